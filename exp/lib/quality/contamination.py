"""Whether a problem is one of a benchmark's: verbatim, renamed, renumbered, with words put in, or inside a longer text.

N-grams of words, numbers masked, retrieve the few questions that a text may be; rapidfuzz on the masked texts decides. An n-gram
rule alone misses too much: 8-grams find .17 of copies with a word put in every seven, and never a question of under 8 words.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from rapidfuzz import fuzz

from lib import rows
from lib.errors import UserError
from lib.quality.wording import is_bare, is_number, signs, squeezed, words

COLUMNS = (
    "question",
    "problem",
    "instruction",
    "prompt",
)  # the first that a file has is its questions
GRAM = 3  # words: with a word put in every seven, five of seven n-grams are whole
COMMON, FEW = (
    20,
    8,
)  # n-grams of more questions say little (`how many 0`), but so many are kept of each question
SHARED = 0.2  # least share of a question's n-grams: .6 are left with every eighth word another, .7 with one put in every seven
TRIED = 8  # wordings compared, those with most n-grams in common
ALIKE = 0.78  # least ratio of the masked texts
ALIKE_NAMELESS = 0.92  # with names masked too: renamed copies have .95 and more, other problems of who is older than whom up to .91
ALIKE_NUMBERS = 0.7  # where two or more numbers are there and are all the same
SHORT = 12  # words besides numbers; of a shorter question the numbers or the signs must agree too
CONTAINED = 0.9  # least ratio of a short question to a part of a longer text

_NAME = re.compile(
    r"(?<=[^\W\d_,;'’] )[A-Z][a-z]{2,}\b|(?<=[,;] )[A-Z][a-z]{2,}\b"
)  # capitals that begin no sentence


class Hit(NamedTuple):
    """The benchmark's question that a text is: its place FILE:LINE, its text, and how alike both are (0..1)."""

    place: str
    question: str
    score: float


class Benchmarks:
    """The questions of benchmark files. With `same_numbers` a copy with other numbers is another problem and no leak."""

    def __init__(self, paths: Iterable[str], same_numbers: bool = False):
        self.same_numbers = same_numbers
        self.questions = [placed for path in paths for placed in questions(path)]
        self.read = [words(text) for _, text in self.questions]
        self.squeezed = {squeezed(text): n for n, (_, text) in enumerate(self.questions)}
        self.plain = _Index([masked(found) for found in self.read])
        self.nameless = _Index(
            [
                masked(found, names(text))
                for found, (_, text) in zip(self.read, self.questions, strict=True)
            ]
        )

    def find(self, text: str) -> Hit | None:
        """The question most like the text, or None where none is alike enough."""
        if is_bare(text):
            n = self.squeezed.get(squeezed(text))
            if n is not None:
                return Hit(*self.questions[n], 1.0)
        found, called = words(text), names(text)
        hit = self._in(self.plain, masked(found), text, found, ALIKE)
        if not hit and called:
            hit = self._in(self.nameless, masked(found, called), text, found, ALIKE_NAMELESS)
        return hit

    def _in(
        self, index: "_Index", this: list[str], text: str, found: list[str], least: float
    ) -> Hit | None:
        best, joined = None, " ".join(this)
        for wording in index.candidates(this):
            question = index.wordings[wording]
            score, whole = (
                fuzz.ratio(joined, question, score_cutoff=100 * ALIKE_NUMBERS) / 100,
                True,
            )
            if score < least and len(joined) > 1.2 * len(question):
                part = fuzz.partial_ratio(joined, question, score_cutoff=100 * least) / 100
                score, whole = (part, False) if part else (score, True)
            if score > (best.score if best else 0):
                n = next(
                    (
                        n
                        for n in index.questions[wording]
                        if self._agree(n, text, found, score, whole, least)
                    ),
                    None,
                )
                best = best if n is None else Hit(*self.questions[n], round(score, 4))
        return best

    def _agree(
        self, n: int, text: str, found: list[str], score: float, whole: bool, least: float
    ) -> bool:
        """Whether numbers and signs allow that the text is question `n`, whose words it has.

        `Solve 18x + 17 = 17x + 36` is not `Solve x^2 - 5x + 6 = 0`: of a short question little is left but masked numbers.
        """
        short = sum(not is_number(w) for w in self.read[n]) < SHORT
        its, numbers = ([w for w in x if is_number(w)] for x in (self.read[n], found))
        if self.same_numbers and f" {' '.join(its)} " not in f" {' '.join(numbers)} ":
            return False
        if whole and len(its) > 1 and sorted(its) == sorted(numbers):
            return score >= ALIKE_NUMBERS
        if score < least:
            return False
        if not short or Counter(its) <= Counter(numbers):
            return whole or not short or score >= CONTAINED
        return whole and signs(text) == signs(self.questions[n][1])


class _Index:
    """Distinct wordings, the questions of each, and which n-grams lead to them."""

    def __init__(self, texts: list[list[str]]):
        by_wording: dict[str, list[int]] = {}
        for n, this in enumerate(texts):
            by_wording.setdefault(" ".join(this), []).append(n)
        self.wordings, self.questions = list(by_wording), list(by_wording.values())
        grams = [list(dict.fromkeys(_grams(wording.split()))) for wording in self.wordings]
        of = Counter(gram for found in grams for gram in found)
        self.leads: dict[tuple[str, ...], list[int]] = {}
        self.least: list[float] = []
        for n, found in enumerate(grams):
            rare = sorted(found, key=of.__getitem__)
            rare = rare[: max(FEW, sum(of[gram] <= COMMON for gram in rare))]
            self.least.append(SHARED * len(rare))
            for gram in rare:
                self.leads.setdefault(gram, []).append(n)

    def candidates(self, this: list[str]) -> list[int]:
        """The wordings that share most n-grams with the words, at least SHARED of their own."""
        counts: Counter[int] = Counter()
        for gram in _grams(this):
            if gram in self.leads:
                counts.update(self.leads[gram])
        return [n for n, count in counts.most_common(TRIED) if count >= self.least[n]]


def questions(path: str) -> list[tuple[str, str]]:
    """(FILE:LINE, question) of a benchmark's rows; UserError names the columns of a file that has none for questions."""
    placed = rows.read_placed(path)
    place, first = placed[0]
    column = next((c for c in COLUMNS if c in first), None)
    if column is None:
        raise UserError(
            f"{place}: no question; expected one of {', '.join(COLUMNS)} (has: {', '.join(first) or 'nothing'})"
        )
    for place, row in placed:
        if not isinstance(row.get(column), str) or not row[column].strip():
            raise UserError(f"{place}: {column!r} is missing, empty or not text")
    return [(place, row[column]) for place, row in placed]


def masked(found: list[str], called: frozenset[str] = frozenset()) -> list[str]:
    """The words with every number as 0 and every name as @; at least GRAM of them."""
    made = ["@" if w in called else "0" if w < ":" else w for w in found]
    return made + [""] * (GRAM - len(made))


def names(text: str) -> frozenset[str]:
    """The words that are names of persons or places, by their capitals; none where most words have one."""
    found = _NAME.findall(text)
    return (
        frozenset(n.lower() for n in found)
        if 4 * len(found) < len(text.split()) + 8
        else frozenset()
    )


def _grams(this: list[str]) -> Iterable[tuple[str, ...]]:
    return zip(*(this[k:] for k in range(GRAM)), strict=False)
