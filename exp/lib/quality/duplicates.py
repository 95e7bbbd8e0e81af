"""Near-duplicates among problems: the same problem in slightly other words.

A problem that differs in its numbers is another one. MinHash (Broder 1997) finds what a text may be
a copy of among all kept before it, and `lib.quality.same_problem` decides.
"""

import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import rensa

from lib.quality import same_problem
from lib.quality.wording import is_bare, normalised

PERMUTATIONS = 48
# 16 bands of 3: a pair that shares .4 of its shingles is found with probability .65, one that
# shares .5 with .88, and one that shares .6 with .98. A text takes .7 kB.
BANDS = 16
# Least estimate of the share. Sentences like `How many of the … are there?` have .15 in common with
# any other.
SHARED = 0.2
_HASH_SEED = 1
_COMPARED = 64  # the first candidates: bounds the time of a text that is like thousands
_DEFLATED_ABOVE = 200  # characters


class Match(NamedTuple):
    """The earlier kept text that a text repeats."""

    partner: int  # its index among all texts
    score: float  # similarity of the words, 0 to 1
    text: str


class KeptTexts:
    """The texts that are kept, and which of them a new text repeats.

    A text with a match is not kept, so that a chain of small changes does not eat what is far from
    its start. Memory is a sketch's bands and the kept text, deflated where it is long. Signatures
    are never stored in files: rensa's differ by its version.
    """

    def __init__(self):
        self._index = rensa.RMinHashLSH(0.5, PERMUTATIONS, BANDS)
        self._kept: dict[int, _KeptText] = {}
        self._exact: dict[int, int] = {}  # hash of the normalised text -> its index
        self._count = 0

    def match(self, texts: list[str | None]) -> list[Match | None]:
        """For each text the most similar text kept before it; None: it is new, and kept.

        A None among the texts takes no part. It counts as a text in the indices of partners.
        """
        problems, shingle_sets = [], []
        for text in texts:
            if text is not None:
                problem = same_problem.read(text)
                problems.append(problem)
                shingle_sets.append(shingles(problem.words, problem.numbers))
        sketches = rensa.RMinHash.from_token_sets(shingle_sets, PERMUTATIONS, _HASH_SEED)
        sketched_problems = zip(problems, sketches, strict=True)
        text_matches = []
        for text in texts:
            match = None
            if text is not None:
                problem, sketch = next(sketched_problems)
                match = self._match_or_keep(problem, sketch)
            text_matches.append(match)
            self._count += 1
        return text_matches

    def _match_or_keep(self, problem: same_problem.Problem, sketch: rensa.RMinHash) -> Match | None:
        exact_hash = hash(normalised(problem.text))
        numbers = _sorted_numbers(problem)
        if exact_hash in self._exact:
            candidates = [self._exact[exact_hash]]
        else:
            candidates = sorted(self._index.query(sketch))[:_COMPARED]
        best = None
        for candidate in candidates:
            kept = self._kept[candidate]
            # `same_problem` would reject these too, in ten times the time.
            both_known = numbers is not None and kept.numbers is not None
            if both_known and numbers != kept.numbers:
                continue
            if sketch.jaccard(kept.sketch) < SHARED:
                continue
            kept_text = _unpacked(kept.packed_text)
            kept_problem = same_problem.read(kept_text)
            score = same_problem.similarity(problem, kept_problem)
            if score and (best is None or score > best.score):
                best = Match(candidate, score, kept_text)
        if best is None:
            self._keep(problem, sketch, numbers, exact_hash)
        return best

    def _keep(
        self,
        problem: same_problem.Problem,
        sketch: rensa.RMinHash,
        numbers: str | None,
        exact_hash: int,
    ) -> None:
        packed_text = _packed(problem.text)
        self._kept[self._count] = _KeptText(sketch, numbers, packed_text)
        self._index.insert(self._count, sketch)
        self._exact[exact_hash] = self._count


def matches(texts: Iterable[str | None], batch_size: int = 1000) -> Iterator[Match | None]:
    """As `KeptTexts.match`, over any number of texts."""
    kept_texts = KeptTexts()
    remaining_texts = iter(texts)
    while batch := list(islice(remaining_texts, batch_size)):
        yield from kept_texts.match(batch)


def shingles(words: list[str], numbers: list[str]) -> list[str]:
    """The words, each with the problem's digits: other numbers, no shingle in common.

    The digits are sorted and without 0 and 1, so that `1,000`, `1000` and `2.50`, `250` agree
    whatever was done to their punctuation, and `one` may be no number. Where fewer than two digits
    are left the shingles are pairs of words: most problems have `what` and 2.
    """
    digits = "".join(sorted("".join(numbers))).lstrip(".01")
    if len(digits) > 1:
        return [f"{digits} {word}" for word in words]
    pairs = zip(["", *words], [*words, ""], strict=True)
    return [f"{digits} {first} {second}" for first, second in pairs]


class _KeptText(NamedTuple):
    """What is remembered of a kept text."""

    sketch: rensa.RMinHash
    numbers: str | None
    packed_text: str | bytes


def _sorted_numbers(problem: same_problem.Problem) -> str | None:
    """The numbers but 1, sorted, which must agree in two copies.

    None for a text without punctuation, of whose numbers that cannot be said.
    """
    if is_bare(problem.text):
        return None
    numbers = sorted(problem.numbers)
    return " ".join(number for number in numbers if number != "1")


def _packed(text: str) -> str | bytes:
    if len(text) <= _DEFLATED_ABOVE:
        return text
    encoded = text.encode(
        "utf-8", errors="surrogatepass"
    )  # JSON may hold half of a pair of surrogates
    return zlib.compress(encoded, 1)


def _unpacked(packed_text: str | bytes) -> str:
    if isinstance(packed_text, str):
        return packed_text
    encoded = zlib.decompress(packed_text)
    return encoded.decode("utf-8", errors="surrogatepass")
