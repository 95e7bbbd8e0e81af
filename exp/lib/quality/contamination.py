"""Whether a problem is one of a benchmark's.

It may be there verbatim, renamed, renumbered, with words put in, or inside a longer text. N-grams
of words, with the numbers masked, retrieve the few questions that a text may be, and rapidfuzz on
the masked texts decides. An n-gram rule alone misses too much: 8-grams find .17 of the copies with
a word put in every seven, and never a question of under 8 words.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from rapidfuzz import fuzz

from lib import rows
from lib.errors import UserError
from lib.quality.wording import is_bare, is_number, signs, squeezed, words

# A file's questions are in the first of these columns that it has.
COLUMNS = ("question", "problem", "instruction", "prompt")
GRAM = 3  # words: with a word put in every seven, five of seven n-grams are whole
# N-grams that more than 20 questions have say little (`how many 0`), but of each question at least
# its 8 rarest are kept.
COMMON, FEWEST = 20, 8
# Least share of a question's n-grams: .6 are left with every eighth word another, .7 with one put
# in every seven.
SHARED = 0.2
COMPARED = 8  # wordings, those with most n-grams in common
ALIKE = 0.78  # least ratio of the masked texts
# The same with names masked too: renamed copies have .95 and more, other problems of who is older
# than whom up to .91.
ALIKE_NAMELESS = 0.92
ALIKE_NUMBERS = 0.7  # the same where there are two or more numbers and all are the same
SHORT = 12  # words besides numbers; of a shorter question the numbers or the signs must agree too
CONTAINED = 0.9  # least ratio of a short question to a part of a longer text
LONGER = 1.2  # times a question's length: from there on a text may contain it

# Words with a capital that do not begin a sentence.
_NAME = re.compile(r"(?<=[^\W\d_,;'’] )[A-Z][a-z]{2,}\b|(?<=[,;] )[A-Z][a-z]{2,}\b")


class Hit(NamedTuple):
    """The benchmark's question that a text is."""

    place: str  # FILE:LINE
    question: str
    score: float  # how alike both are, 0 to 1


class Benchmarks:
    """The questions of benchmarks, as (FILE:LINE, text).

    With `same_numbers` a copy with other numbers is another problem and no leak.
    """

    def __init__(self, questions: list[tuple[str, str]], same_numbers: bool = False):
        self.same_numbers = same_numbers
        self.questions = [_Question(place, text, words(text)) for place, text in questions]
        self.by_letters = {}
        masked, nameless = [], []
        for number, question in enumerate(self.questions):
            self.by_letters[squeezed(question.text)] = number
            masked.append(mask(question.words))
            nameless.append(mask(question.words, names(question.text)))
        self.masked_index = _Index(masked)
        self.nameless_index = _Index(nameless)

    def find(self, text: str) -> Hit | None:
        """The question most like the text, or None where none is alike enough."""
        if is_bare(text):
            number = self.by_letters.get(squeezed(text))
            if number is not None:
                return self._hit(number, 1.0)
        text_words = words(text)
        hit = self._find_in(self.masked_index, mask(text_words), text, text_words, ALIKE)
        if hit:
            return hit
        text_names = names(text)
        if not text_names:
            return None
        nameless = mask(text_words, text_names)
        return self._find_in(self.nameless_index, nameless, text, text_words, ALIKE_NAMELESS)

    def _hit(self, number: int, score: float) -> Hit:
        question = self.questions[number]
        return Hit(question.place, question.text, round(score, 4))

    def _find_in(
        self,
        index: "_Index",
        masked_words: list[str],
        text: str,
        text_words: list[str],
        least: float,
    ) -> Hit | None:
        best = None
        masked_text = " ".join(masked_words)
        for candidate in index.candidates(masked_words):
            score, is_whole = _ratio(masked_text, index.wordings[candidate], least)
            if score <= (best.score if best else 0):
                continue
            for number in index.questions[candidate]:
                if self._agree(number, text, text_words, score, is_whole, least):
                    best = self._hit(number, score)
                    break
        return best

    def _agree(
        self,
        number: int,
        text: str,
        text_words: list[str],
        score: float,
        is_whole: bool,
        least: float,
    ) -> bool:
        """Whether numbers and signs allow that the text, or a part of it, is question `number`.

        `Solve 18x + 17 = 17x + 36` is not `Solve x^2 - 5x + 6 = 0`: of a short question little is
        left but masked numbers.
        """
        question = self.questions[number]
        its_numbers = list(filter(is_number, question.words))
        numbers = list(filter(is_number, text_words))
        is_short = len(question.words) - len(its_numbers) < SHORT
        if self.same_numbers and f" {' '.join(its_numbers)} " not in f" {' '.join(numbers)} ":
            return False
        if is_whole and len(its_numbers) > 1 and sorted(its_numbers) == sorted(numbers):
            return score >= ALIKE_NUMBERS
        if score < least:
            return False
        if not is_short:
            return True
        if Counter(its_numbers) <= Counter(numbers):
            return is_whole or score >= CONTAINED
        return is_whole and signs(text) == signs(question.text)


class _Question(NamedTuple):
    place: str
    text: str
    words: list[str]


class _Index:
    """Distinct wordings, the numbers of the questions that have each, and their n-grams."""

    def __init__(self, masked_questions: list[list[str]]):
        questions_of: dict[str, list[int]] = {}
        for number, masked_words in enumerate(masked_questions):
            questions_of.setdefault(" ".join(masked_words), []).append(number)
        self.wordings = list(questions_of)
        self.questions = list(questions_of.values())
        grams_of = [list(dict.fromkeys(_ngrams(text.split()))) for text in self.wordings]
        frequency = Counter()
        for grams in grams_of:
            frequency.update(grams)
        self.wordings_with: dict[tuple[str, ...], list[int]] = {}
        self.least_shared: list[float] = []
        for wording, grams in enumerate(grams_of):
            rarest_first = sorted(grams, key=frequency.__getitem__)
            rare = sum(frequency[gram] <= COMMON for gram in grams)
            telling = rarest_first[: max(FEWEST, rare)]
            self.least_shared.append(SHARED * len(telling))
            for gram in telling:
                self.wordings_with.setdefault(gram, []).append(wording)

    def candidates(self, masked_words: list[str]) -> list[int]:
        """The wordings that share most n-grams with the words, at least SHARED of their own."""
        shared: Counter[int] = Counter()
        for gram in _ngrams(masked_words):
            if gram in self.wordings_with:
                shared.update(self.wordings_with[gram])
        most_shared = shared.most_common(COMPARED)
        return [wording for wording, count in most_shared if count >= self.least_shared[wording]]


def read_questions(path: str) -> list[tuple[str, str]]:
    """(FILE:LINE, question) of a benchmark's rows.

    UserError names the columns of a file that has none of COLUMNS, and the place of an empty one.
    """
    placed_rows = rows.read_placed(path)
    place, first_row = placed_rows[0]
    column = next((name for name in COLUMNS if name in first_row), None)
    if column is None:
        has = ", ".join(first_row) or "nothing"
        expected = f"expected one of {', '.join(COLUMNS)}"
        raise UserError(f"{place}: no question; {expected} (has: {has})")
    questions = []
    for place, row in placed_rows:
        question = row.get(column)
        if not isinstance(question, str) or not question.strip():
            raise UserError(f"{place}: {column!r} is missing, empty or not text")
        questions.append((place, question))
    return questions


def mask(text_words: list[str], text_names: frozenset[str] = frozenset()) -> list[str]:
    """The words with every number as 0 and every name as @."""
    masked = ["0" if word < ":" else word for word in text_words]
    if text_names:
        masked = ["@" if word in text_names else word for word in masked]
    return masked


def names(text: str) -> frozenset[str]:
    """The words that are names of persons or places, by their capitals, in lower case.

    None where so many words have a capital that it tells nothing, as in a title.
    """
    capitalised = _NAME.findall(text)
    if 4 * len(capitalised) >= len(text.split()) + 8:
        return frozenset()
    return frozenset(name.lower() for name in capitalised)


def _ratio(text: str, question: str, least: float) -> tuple[float, bool]:
    """How alike the masked texts are, and whether that holds of the whole text.

    If the whole is not alike and the text is longer, the part of it most like the question counts.
    """
    score = fuzz.ratio(text, question, score_cutoff=100 * ALIKE_NUMBERS) / 100
    if score < least and len(text) > LONGER * len(question):
        part_score = fuzz.partial_ratio(text, question, score_cutoff=100 * least) / 100
        if part_score:
            return part_score, False
    return score, True


def _ngrams(text_words: list[str]) -> Iterable[tuple[str, ...]]:
    return zip(*(text_words[start:] for start in range(GRAM)), strict=False)
