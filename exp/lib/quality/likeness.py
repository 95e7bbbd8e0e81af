"""How alike two problems are, and what makes them two however alike they are: other numbers, other signs, another thing asked.

Two procedural problems may differ in a single digit and be two; a typo, another name or another order of clauses makes no second
problem. So the numbers must agree, and each must stand beside the same words; the signs must agree; and of words that decide what
is asked (mean or median, larger or smaller) none may stand for another.
"""

from typing import NamedTuple

from rapidfuzz import fuzz
from rapidfuzz.distance import OSA

from lib.quality.wording import is_bare, is_number, signs, squeezed, words

ALIKE = 0.7  # least similarity of the words: of five, one may be another
LONG, ALIKE_LONG = 20, 0.75  # the same from 20 words on
MOVED = 0.8  # the same where the numbers come in another order

# One of these in place of another asks for something else, however alike the texts are.
_DECIDE = frozenset(
    "mean median mode range variance deviation average sum difference product quotient remainder gcd lcm divisor divisors "
    "factor factors multiple multiples common area perimeter circumference volume surface diagonal radius diameter "
    "hypotenuse leg legs larger smaller largest smallest greater greatest least most fewest fewer more less max min maximum "
    "minimum maximize minimize longer shorter longest shortest older younger oldest youngest higher lower highest lowest "
    "faster slower first last even odd increase decrease increases decreases increased decreased increasing decreasing "
    "gains loses before after above below sin cos tan cot sec csc log ln exp sqrt mod with without replacement permutations "
    "combinations red blue green white black yellow square rectangle triangle circle cube sphere cylinder cone pentagon "
    "hexagon heptagon octagon vertices edges faces positive negative integer prime rational daily weekly monthly yearly day "
    "week month year hour hours minute minutes second seconds days weeks months years north south east west up down "
    "subtract multiply divide added subtracted multiplied divided buys sells bought sold gives gets win lose heads tails "
    "boys girls men women percent cents dollars".split()
)
# One of these more or fewer does so too.
_TURN = frozenset(
    "not no never except without second third fourth fifth half twice double triple thrice squared cubed root inverse "
    "derivative integral reciprocal complement consecutive distinct expected".split()
)
_FILLERS = frozenset(
    "a an the of to in is are and or with by at for has have".split()
)  # a number is known by other neighbours


class Read(NamedTuple):
    """A text with its words and numbers (`lib.quality.wording`)."""

    text: str
    words: list[str]
    numbers: list[str]


def read(text: str) -> Read:
    found = words(text)
    return Read(
        text, found, [w for w in found if w < ":"]
    )  # is_number, without a call for each word


def similarity(a: Read, b: Read) -> float:
    """How alike two problems' words are, 0..1; 0 where their numbers, signs or deciding words say that they are two problems."""
    bare = is_bare(a.text) != is_bare(
        b.text
    )  # one has lost its punctuation: its signs and the points of its numbers are gone too
    if bare and squeezed(a.text) == squeezed(b.text):
        return 1.0
    in_order, score = a.numbers == b.numbers, 1.0
    if a.words != b.words:
        least = MOVED if not in_order else ALIKE if len(a.words) < LONG else ALIKE_LONG
        score = fuzz.ratio(a.words, b.words) / 100
        if score < least:
            score = fuzz.ratio(sorted(a.words), sorted(b.words)) / 100
        if (
            score < least
            or _asks_otherwise(a.words, b.words)
            or not in_order
            and not _same_numbers(a, b)
        ):
            return 0.0
    return score if bare or signs(a.text) == signs(b.text) else 0.0


def _asks_otherwise(a: list[str], b: list[str]) -> bool:
    """Whether the words in which two texts differ make them two problems."""
    only_a, only_b = [], list(b)
    for word in a:
        if word in only_b:
            only_b.remove(word)
        else:
            only_a.append(word)
    if (
        not _DECIDE.isdisjoint(only_a)
        and not _DECIDE.isdisjoint(only_b)
        or _turned(only_a, only_b)
        or _turned(only_b, only_a)
    ):
        return True
    return (
        bool(only_a and only_b) and all(w in b for w in only_a) and all(w in a for w in only_b)
    )  # red and blue changed places


def _turned(ours: list[str], theirs: list[str]) -> bool:
    """Whether a turning word is on one side only, and not just misspelt on the other."""
    return any(
        all(OSA.distance(word, w) > 1 for w in theirs if w not in _TURN | _DECIDE)
        for word in ours
        if word in _TURN
    )


def _same_numbers(a: Read, b: Read) -> bool:
    """Whether numbers that come in another order are the same, each beside the words it stands beside in the other text."""
    if a.numbers.count("1") != b.numbers.count(
        "1"
    ):  # `one` counts nothing in `one of them`, `the larger one`
        return [n for n in a.numbers if n != "1"] == [n for n in b.numbers if n != "1"]
    return sorted(a.numbers) == sorted(b.numbers) and _bound(a.words, b.words)


def _bound(a: list[str], b: list[str]) -> bool:
    """Whether every number of `a` has its value at the place in `b` whose words are most like its own.

    `base 42 and height 6` is `height 6 and base 42`, but `11x + 9` is not `9x + 11`. Of equally good places the first counts.
    """
    places = [(w, _around(b, i)) for i, w in enumerate(b) if is_number(w)]
    for i, word in enumerate(a):
        if is_number(word):
            near = _around(a, i)
            fits = [2 * sum(min(x, there.get(w, 0)) for w, x in near.items()) / (sum(near.values()) + sum(there.values()) or 1)
                    for _, there in places]  # fmt: skip
            value, _ = places.pop(fits.index(max(fits)))
            if value != word:
                return False
    return True


def _around(words: list[str], place: int) -> dict[tuple[str, bool], float]:
    """The words up to three places before and behind, as (word, whether behind): 1/distance; numbers and fillers are left out."""
    near: dict[tuple[str, bool], float] = {}
    for step in (-1, 1):
        for distance in (3, 2, 1):
            at = place + step * distance
            if 0 <= at < len(words) and words[at] not in _FILLERS and not is_number(words[at]):
                near[words[at], step > 0] = 1 / distance
    return near
