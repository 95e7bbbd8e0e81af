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
LONG = 20  # words
ALIKE_LONG = 0.75  # the same from LONG words on
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
# A number is recognised by its neighbours (`base 42`), but not by these.
_FILLERS = frozenset("a an the of to in is are and or with by at for has have".split())


class Problem(NamedTuple):
    """A text with its words and its numbers (`lib.quality.wording`)."""

    text: str
    words: list[str]
    numbers: list[str]


def read(text: str) -> Problem:
    all_words = words(text)
    # `word < ":"` is `is_number` without a call for each word.
    numbers = [word for word in all_words if word < ":"]
    return Problem(text, all_words, numbers)


def similarity(first: Problem, second: Problem) -> float:
    """How alike two problems' words are, from 0 to 1.

    It is 0 where their numbers, signs or deciding words say that they are two problems.
    """
    # One that has lost its punctuation has lost its signs and the points of its numbers too.
    one_is_bare = is_bare(first.text) != is_bare(second.text)
    if one_is_bare and squeezed(first.text) == squeezed(second.text):
        return 1.0
    score = 1.0
    if first.words != second.words:
        score = _similarity_of_words(first, second)
        if score == 0 or _ask_otherwise(first.words, second.words):
            return 0.0
        if first.numbers != second.numbers and not _have_same_numbers(first, second):
            return 0.0
    if not one_is_bare and signs(first.text) != signs(second.text):
        return 0.0
    return score


def _similarity_of_words(first: Problem, second: Problem) -> float:
    """The words' similarity in their order, else in any order; 0 if both are below the least."""
    if first.numbers != second.numbers:
        least = ALIKE_MOVED
    elif len(first.words) < LONG:
        least = ALIKE
    else:
        least = ALIKE_LONG
    score = fuzz.ratio(first.words, second.words) / 100
    if score < least:
        score = fuzz.ratio(sorted(first.words), sorted(second.words)) / 100
    return score if score >= least else 0.0


def _ask_otherwise(first_words: list[str], second_words: list[str]) -> bool:
    """Whether the words in which two texts differ make them two problems."""
    only_first: list[str] = []
    only_second = list(second_words)
    for word in first_words:
        if word in only_second:
            only_second.remove(word)
        else:
            only_first.append(word)
    if _has_deciding_word(only_first) and _has_deciding_word(only_second):
        return True
    if _has_turning_word(only_first, only_second) or _has_turning_word(only_second, only_first):
        return True
    # If each word that one text has more often is in the other too, words have changed places: red
    # and blue.
    if not only_first or not only_second:
        return False
    return set(only_first) <= set(second_words) and set(only_second) <= set(first_words)


def _has_deciding_word(own_words: list[str]) -> bool:
    return not _DECIDING_WORDS.isdisjoint(own_words)


def _has_turning_word(own_words: list[str], other_words: list[str]) -> bool:
    """Whether a text's own words have a turning word, and not just one that the other misspells."""
    turning_words = [word for word in own_words if word in _TURNING_WORDS]
    if not turning_words:
        return False
    # A known word is no misspelling of another one.
    known_words = _TURNING_WORDS | _DECIDING_WORDS
    misspellings = [word for word in other_words if word not in known_words]
    return any(not _is_among(word, misspellings) for word in turning_words)


def _is_among(word: str, others: list[str]) -> bool:
    """Whether one of the others is the word with a typo: at most one edit away."""
    return any(OSA.distance(word, other) <= 1 for other in others)


def _have_same_numbers(first: Problem, second: Problem) -> bool:
    """Whether numbers in another order are the same, each beside the same words in both texts."""
    if first.numbers.count("1") != second.numbers.count("1"):
        # `one` counts nothing in `one of them` and `the larger one`.
        return _numbers_but_one(first) == _numbers_but_one(second)
    if sorted(first.numbers) != sorted(second.numbers):
        return False
    return _have_same_places(first.words, second.words)


def _numbers_but_one(problem: Problem) -> list[str]:
    return [number for number in problem.numbers if number != "1"]


def _have_same_places(first_words: list[str], second_words: list[str]) -> bool:
    """Whether each of the first text's numbers is the second's that has its neighbours.

    `base 42 and height 6` is `height 6 and base 42`, but `11x + 9` is not `9x + 11`. In the second
    text a number is looked for at the place whose neighbours are most like its own. Of equally good
    places the first one counts, and each place is taken once.
    """
    untaken: list[tuple[str, Neighbours]] = []
    for position, word in enumerate(second_words):
        if is_number(word):
            untaken.append((word, _neighbours(second_words, position)))
    for position, number in enumerate(first_words):
        if not is_number(number):
            continue
        neighbours = _neighbours(first_words, position)
        overlaps = [_overlap(neighbours, others) for _, others in untaken]
        best_place = overlaps.index(max(overlaps))
        number_there, _ = untaken.pop(best_place)
        if number_there != number:
            return False
    return True


Neighbours = dict[tuple[str, bool], float]


def _neighbours(all_words: list[str], position: int) -> Neighbours:
    """The words up to three places before and behind, as (word, is it behind): 1/distance.

    Numbers and fillers are left out. Of a word that comes twice on a side the nearer one counts.
    """
    neighbours: Neighbours = {}
    for direction in (-1, 1):
        is_behind = direction > 0
        for distance in (3, 2, 1):
            neighbour_position = position + direction * distance
            if not 0 <= neighbour_position < len(all_words):
                continue
            word = all_words[neighbour_position]
            if word not in _FILLERS and not is_number(word):
                neighbours[word, is_behind] = 1 / distance
    return neighbours


def _overlap(neighbours: Neighbours, others: Neighbours) -> float:
    """What two places have in common of their neighbours' weights (Dice), from 0 to 1."""
    common = sum(min(weight, others.get(word, 0)) for word, weight in neighbours.items())
    total = sum(neighbours.values()) + sum(others.values())
    return 2 * common / (total or 1)
