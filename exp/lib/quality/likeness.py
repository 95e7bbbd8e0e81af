"""How alike two problems are, and what makes them two however alike they are.

Two procedural problems may differ in a single digit and be two, while a typo, another name or
another order of clauses makes no second problem. So the numbers must agree, and each must stand
beside the same words; the signs must agree; and of the words that decide what is asked (mean or
median, larger or smaller) none may stand for another.
"""

from typing import NamedTuple

from rapidfuzz import fuzz
from rapidfuzz.distance import OSA

from lib.quality.wording import is_bare, is_number, signs, squeezed, words

ALIKE = 0.7  # least similarity of the words: of five, one may be another
LONG, ALIKE_LONG = 20, 0.75  # the same from 20 words on
ALIKE_MOVED = 0.8  # the same where the numbers come in another order

# One of these in place of another asks for something else, however alike the texts are.
_DECIDING_WORDS = frozenset(
    "mean median mode range variance deviation average sum difference product quotient remainder "
    "gcd lcm divisor divisors factor factors multiple multiples common area perimeter "
    "circumference volume surface diagonal radius diameter hypotenuse leg legs larger smaller "
    "largest smallest greater greatest least most fewest fewer more less max min maximum minimum "
    "maximize minimize longer shorter longest shortest older younger oldest youngest higher lower "
    "highest lowest faster slower first last even odd increase decrease increases decreases "
    "increased decreased increasing decreasing gains loses before after above below sin cos tan "
    "cot sec csc log ln exp sqrt mod with without replacement permutations combinations red blue "
    "green white black yellow square rectangle triangle circle cube sphere cylinder cone pentagon "
    "hexagon heptagon octagon vertices edges faces positive negative integer prime rational daily "
    "weekly monthly yearly day week month year hour hours minute minutes second seconds days weeks "
    "months years north south east west up down subtract multiply divide added subtracted "
    "multiplied divided buys sells bought sold gives gets win lose heads tails boys girls men "
    "women percent cents dollars".split()
)
# One of these more or fewer asks for something else too.
_TURNING_WORDS = frozenset(
    "not no never except without second third fourth fifth half twice double triple thrice squared "
    "cubed root inverse derivative integral reciprocal complement consecutive distinct "
    "expected".split()
)
# A number is known by other neighbours than these.
_FILLERS = frozenset("a an the of to in is are and or with by at for has have".split())


class Problem(NamedTuple):
    """A text with its words and its numbers (`lib.quality.wording`)."""

    text: str
    words: list[str]
    numbers: list[str]


def read(text: str) -> Problem:
    all_words = words(text)
    # `word < ":"` is `is_number` without a call for each word.
    return Problem(text, all_words, [word for word in all_words if word < ":"])


def similarity(a: Problem, b: Problem) -> float:
    """How alike two problems' words are, from 0 to 1.

    It is 0 where their numbers, signs or deciding words say that they are two problems.
    """
    # One that has lost its punctuation has lost its signs and the points of its numbers too.
    one_is_bare = is_bare(a.text) != is_bare(b.text)
    if one_is_bare and squeezed(a.text) == squeezed(b.text):
        return 1.0
    score = 1.0
    if a.words != b.words:
        score = _similarity_of_words(a, b)
        if score == 0 or _ask_otherwise(a.words, b.words):
            return 0.0
        if a.numbers != b.numbers and not _have_same_numbers(a, b):
            return 0.0
    if not one_is_bare and signs(a.text) != signs(b.text):
        return 0.0
    return score


def _similarity_of_words(a: Problem, b: Problem) -> float:
    """The words' similarity in their order, else in any order; 0 if both are below the least."""
    if a.numbers != b.numbers:
        least = ALIKE_MOVED
    elif len(a.words) < LONG:
        least = ALIKE
    else:
        least = ALIKE_LONG
    score = fuzz.ratio(a.words, b.words) / 100
    if score < least:
        score = fuzz.ratio(sorted(a.words), sorted(b.words)) / 100
    return score if score >= least else 0.0


def _ask_otherwise(a: list[str], b: list[str]) -> bool:
    """Whether the words in which two texts differ make them two problems."""
    only_a, only_b = [], list(b)
    for word in a:
        if word in only_b:
            only_b.remove(word)
        else:
            only_a.append(word)
    if not _DECIDING_WORDS.isdisjoint(only_a) and not _DECIDING_WORDS.isdisjoint(only_b):
        return True
    if _is_turned(only_a, only_b) or _is_turned(only_b, only_a):
        return True
    # If each word that one text has more often is in the other too, words have changed places: red
    # and blue.
    if not only_a or not only_b:
        return False
    return set(only_a) <= set(b) and set(only_b) <= set(a)


def _is_turned(ours: list[str], theirs: list[str]) -> bool:
    """Whether a turning word is on our side only, and not just misspelt on theirs."""
    turning = [word for word in ours if word in _TURNING_WORDS]
    if not turning:
        return False
    others = [word for word in theirs if word not in _TURNING_WORDS | _DECIDING_WORDS]
    return any(not _is_among(word, others) for word in turning)


def _is_among(word: str, others: list[str]) -> bool:
    """Whether one of the others is the word with a typo: at most one edit away."""
    return any(OSA.distance(word, other) <= 1 for other in others)


def _have_same_numbers(a: Problem, b: Problem) -> bool:
    """Whether numbers in another order are the same, each beside the same words in both texts."""
    if a.numbers.count("1") != b.numbers.count("1"):
        # `one` counts nothing in `one of them` and `the larger one`.
        return _numbers_but_one(a) == _numbers_but_one(b)
    return sorted(a.numbers) == sorted(b.numbers) and _have_same_places(a.words, b.words)


def _numbers_but_one(problem: Problem) -> list[str]:
    return [number for number in problem.numbers if number != "1"]


def _have_same_places(a: list[str], b: list[str]) -> bool:
    """Whether every number of `a` stands at the place in `b` whose words are most like its own.

    `base 42 and height 6` is `height 6 and base 42`, but `11x + 9` is not `9x + 11`. Of equally
    good places the first one counts, and each place is taken once.
    """
    places = [(word, _neighbours(b, at)) for at, word in enumerate(b) if is_number(word)]
    for at, number in enumerate(a):
        if not is_number(number):
            continue
        ours = _neighbours(a, at)
        overlaps = [_overlap(ours, theirs) for _, theirs in places]
        best_place = overlaps.index(max(overlaps))
        number_there, _ = places.pop(best_place)
        if number_there != number:
            return False
    return True


Neighbours = dict[tuple[str, bool], float]


def _neighbours(all_words: list[str], place: int) -> Neighbours:
    """The words up to three places before and behind, as (word, is it behind): 1/distance.

    Numbers and fillers are left out.
    """
    neighbours: Neighbours = {}
    for step in (-1, 1):
        for distance in (3, 2, 1):
            at = place + step * distance
            if not 0 <= at < len(all_words):
                continue
            word = all_words[at]
            if word not in _FILLERS and not is_number(word):
                neighbours[word, step > 0] = 1 / distance
    return neighbours


def _overlap(ours: Neighbours, theirs: Neighbours) -> float:
    """What two places have in common of their neighbours' weights (Dice), from 0 to 1."""
    common = sum(min(weight, theirs.get(word, 0)) for word, weight in ours.items())
    total = sum(ours.values()) + sum(theirs.values())
    return 2 * common / (total or 1)
