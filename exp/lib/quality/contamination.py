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
NGRAM_WORDS = 3  # with a word put in every seven, five of seven n-grams are whole
# N-grams that more than 20 questions have say little (`how many 0`), but of each question at least
# its 8 rarest are kept.
COMMON = 20
FEWEST_KEPT = 8
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
        self.questions: list[_Question] = []
        self.indices_by_letters: dict[str, int] = {}
        masked_questions, nameless_questions = [], []
        for question_index, (place, text) in enumerate(questions):
            question_words = words(text)
            self.questions.append(_Question(place, text, question_words))
            self.indices_by_letters[squeezed(text)] = question_index
            masked_questions.append(mask(question_words))
            nameless_questions.append(mask(question_words, names(text)))
        self.masked_index = _Index(masked_questions)
        self.nameless_index = _Index(nameless_questions)

    def find(self, text: str) -> Hit | None:
        """The question most like the text, or None where none is alike enough."""
        if is_bare(text):
            question_index = self.indices_by_letters.get(squeezed(text))
            if question_index is not None:
                return self._hit(question_index, 1.0)
        problem = _Text(text, words(text))
        masked_words = mask(problem.words)
        hit = self._find_in(self.masked_index, masked_words, problem, ALIKE)
        if hit:
            return hit
        text_names = names(text)
        if not text_names:
            return None
        nameless_words = mask(problem.words, text_names)
        return self._find_in(self.nameless_index, nameless_words, problem, ALIKE_NAMELESS)

    def _hit(self, question_index: int, score: float) -> Hit:
        question = self.questions[question_index]
        return Hit(question.place, question.text, round(score, 4))

    def _find_in(
        self, index: "_Index", masked_words: list[str], problem: "_Text", least_ratio: float
    ) -> Hit | None:
        """The best hit among the wordings of an index, whose words are masked in the same way."""
        best = None
        best_score = 0.0
        masked_text = " ".join(masked_words)
        for candidate in index.candidates(masked_words):
            ratio, is_whole = _ratio(masked_text, index.wordings[candidate], least_ratio)
            if ratio <= best_score:
                continue
            for question_index in index.questions[candidate]:
                question = self.questions[question_index]
                if self._is_copy(problem, question, ratio, is_whole, least_ratio):
                    best = self._hit(question_index, ratio)
                    best_score = best.score
                    break
        return best

    def _is_copy(
        self,
        problem: "_Text",
        question: "_Question",
        ratio: float,
        is_whole: bool,
        least_ratio: float,
    ) -> bool:
        """Whether numbers and signs allow that the problem, or a part of it, is the question.

        `Solve 18x + 17 = 17x + 36` is not `Solve x^2 - 5x + 6 = 0`: of a short question little is
        left but masked numbers.
        """
        question_numbers = list(filter(is_number, question.words))
        problem_numbers = list(filter(is_number, problem.words))
        if self.same_numbers and not _is_run_of(question_numbers, problem_numbers):
            return False
        has_numbers = is_whole and len(question_numbers) > 1
        if has_numbers and sorted(question_numbers) == sorted(problem_numbers):
            return ratio >= ALIKE_NUMBERS
        if ratio < least_ratio:
            return False
        is_short = len(question.words) - len(question_numbers) < SHORT
        if not is_short:
            return True
        if Counter(question_numbers) <= Counter(problem_numbers):
            return is_whole or ratio >= CONTAINED
        return is_whole and signs(problem.text) == signs(question.text)


class _Question(NamedTuple):
    place: str
    text: str
    words: list[str]


class _Text(NamedTuple):
    text: str
    words: list[str]


class _Index:
    """Distinct wordings, the indices of the questions that have each, and their n-grams."""

    def __init__(self, masked_questions: list[list[str]]):
        questions_of: dict[str, list[int]] = {}
        for question_index, masked_words in enumerate(masked_questions):
            masked_text = " ".join(masked_words)
            questions_of.setdefault(masked_text, []).append(question_index)
        self.wordings = list(questions_of)
        self.questions = list(questions_of.values())
        ngrams_of: list[list[tuple[str, ...]]] = []
        frequency: Counter[tuple[str, ...]] = Counter()  # in how many wordings an n-gram is
        for wording in self.wordings:
            distinct_ngrams = list(dict.fromkeys(_ngrams(wording.split())))
            ngrams_of.append(distinct_ngrams)
            frequency.update(distinct_ngrams)
        self.wordings_with: dict[tuple[str, ...], list[int]] = {}
        self.least_shared: list[float] = []
        for wording_index, ngrams in enumerate(ngrams_of):
            rarest_first = sorted(ngrams, key=frequency.__getitem__)
            rare_count = sum(frequency[ngram] <= COMMON for ngram in ngrams)
            telling_ngrams = rarest_first[: max(FEWEST_KEPT, rare_count)]
            self.least_shared.append(SHARED * len(telling_ngrams))
            for ngram in telling_ngrams:
                self.wordings_with.setdefault(ngram, []).append(wording_index)

    def candidates(self, masked_words: list[str]) -> list[int]:
        """The wordings that share most n-grams with the words, at least SHARED of their own."""
        shared_counts: Counter[int] = Counter()
        for ngram in _ngrams(masked_words):
            if ngram in self.wordings_with:
                shared_counts.update(self.wordings_with[ngram])
        candidates = []
        for wording_index, shared_count in shared_counts.most_common(COMPARED):
            if shared_count >= self.least_shared[wording_index]:
                candidates.append(wording_index)
        return candidates


def read_questions(benchmark_path: str) -> list[tuple[str, str]]:
    """(FILE:LINE, question) of a benchmark's rows.

    UserError names the columns of a file that has none of COLUMNS, and the place of an empty one.
    """
    placed_rows = rows.read_placed(benchmark_path)
    column = _question_column(*placed_rows[0])
    questions = []
    for place, row in placed_rows:
        question = row.get(column)
        if not isinstance(question, str) or not question.strip():
            raise UserError(f"{place}: {column!r} is missing, empty or not text")
        questions.append((place, question))
    return questions


def _question_column(place: str, first_row: dict) -> str:
    for column in COLUMNS:
        if column in first_row:
            return column
    has = ", ".join(first_row) or "nothing"
    expected = f"expected one of {', '.join(COLUMNS)}"
    raise UserError(f"{place}: no question; {expected} (has: {has})")


def mask(text_words: list[str], text_names: frozenset[str] = frozenset()) -> list[str]:
    """The words with every number as 0 and every name as @."""
    # `word < ":"` is `is_number` without a call for each word.
    masked_words = ["0" if word < ":" else word for word in text_words]
    if text_names:
        masked_words = ["@" if word in text_names else word for word in masked_words]
    return masked_words


def names(text: str) -> frozenset[str]:
    """The words that are names of persons or places, by their capitals, in lower case.

    None where so many words have a capital that it tells nothing, as in a title.
    """
    capitalised_words = _NAME.findall(text)
    # A quarter of the words and two more, which a short problem's people may well be.
    if 4 * len(capitalised_words) >= len(text.split()) + 8:
        return frozenset()
    return frozenset(map(str.lower, capitalised_words))


def _is_run_of(numbers: list[str], all_numbers: list[str]) -> bool:
    """Whether all numbers stand next to each other, in their order, among the others."""
    return f" {' '.join(numbers)} " in f" {' '.join(all_numbers)} "


def _ratio(masked_text: str, masked_question: str, least_ratio: float) -> tuple[float, bool]:
    """How alike the masked texts are, and whether that holds of the whole text.

    If the whole is not alike and the text is longer, the part of it most like the question counts.
    """
    # Under its cutoff, a percentage, rapidfuzz stops early and says 0.
    whole_percentage = fuzz.ratio(masked_text, masked_question, score_cutoff=100 * ALIKE_NUMBERS)
    whole_ratio = whole_percentage / 100
    if whole_ratio < least_ratio and len(masked_text) > LONGER * len(masked_question):
        part_percentage = fuzz.partial_ratio(
            masked_text, masked_question, score_cutoff=100 * least_ratio
        )
        if part_percentage:
            return part_percentage / 100, False
    return whole_ratio, True


def _ngrams(text_words: list[str]) -> Iterable[tuple[str, ...]]:
    shifted_words = [text_words[start:] for start in range(NGRAM_WORDS)]
    return zip(*shifted_words, strict=False)
