r"""The one grader: finds the answer in a text and says whether it is right.

Evaluation, rewards, votes and filters all use it. Text and exact numbers decide most pairs (100,000
a second and more); math-verify works out the others, in processes with a hard limit
(`lib.grading.symbolic`). Nothing is ever evaluated as code, and no text can stop the caller or slow
it down beyond that limit.
"""

import os
import re
import threading
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from lib import parallel, provenance, rows
from lib.grading import exact, latex, symbolic
from lib.grading.extraction import extract, find

__all__ = [
    "extract",
    "find",
    "forget",
    "gold_of",
    "grade",
    "is_equal",
    "is_quick",
    "version",
]

# (text, gold, strict) of every branch of this package; `version` is a hash of what is decided on
# them. Pairs that a worker must decide have its verdict in `equal`, which a test keeps true.
FROZEN_CASES = Path(__file__).with_name("frozen_cases.jsonl")

# In a sentence with such a word the last number is no answer.
_DENIAL = re.compile(r"\b(?:not|more|less|least|most|between|could|or|step)\b", re.IGNORECASE)
_PROSE = re.compile(
    r"""
    ^Answer\b
    | (?<![A-Za-z])[A-Za-z]{3,}[ ](?:[A-Za-z]{2,}[ ].*){2}    # four words
    | [\u3040-\u9fff]{3}                                      # Japanese or Chinese
    """,
    re.VERBOSE,
)
_COMMAND = re.compile(r"\\\w+")
_LONGEST_INTEGER = 10_000  # bits: longer ones Python would refuse to write out


class Grade(NamedTuple):
    """The verdict on a text.

    `how` its answer was found: see `Extraction`. `why` the verdict: same or other text or number,
    math-verify, no answer, time limit, not comparable, too costly.
    """

    correct: bool
    extracted: str | None
    how: str
    why: str


def grade(text: str, gold: str, strict: bool = False) -> Grade:
    """Find the answer in a text and compare it with the gold one."""
    extraction = find(text, strict)
    if not extraction:
        return Grade(False, None, "", "no answer")
    correct, why = _compare(extraction.answer, gold)
    return Grade(correct, extraction.answer, extraction.how, why)


def is_equal(answer: str | None, gold: str) -> bool:
    r"""Whether an answer is mathematically the gold one.

    `1,200` is 1200, `0.5` is `\frac12`, `x = 5` is 5, `10\%` is 10, `10 cm` is 10; bare lists and
    sets have no order. This never raises for any text, and takes at most a worker's limit.
    """
    return answer is not None and _compare(answer, gold)[0]


def is_quick(answer: str, gold: str) -> bool:
    """Whether text and exact numbers decide this pair, without a worker."""
    verdict = exact.compare(_canonical_answer(answer), _canonical_answer(gold))
    return verdict is not None


def gold_of(value) -> str | None:
    """The gold answer in a row's value: as it stands, or the number behind GSM8K's `####`.

    None if nothing can be compared with it.
    """
    # To Python True is an int.
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, int) and value.bit_length() > _LONGEST_INTEGER:
        return None
    _, _, behind_hashes = str(value).rpartition("####")  # all of it where there are none
    gold = behind_hashes.strip()
    return gold if latex.canonical(gold) else None


def forget() -> None:
    """Judge every pair anew, as if none had been seen."""
    _remembered_verdict.cache_clear()


@cache
def version() -> str:
    """12 hex digits that change if a verdict does: what is decided on the frozen cases.

    What only a worker can decide is known by the text that math-verify gets, by math-verify's
    version and by the worker's limits.
    """
    decisions = provenance.decisions_hash(FROZEN_CASES, _decide_case)
    math_verify_version = metadata.version("math-verify")
    worker_limits = f"{symbolic.LIMIT_S} {symbolic.MEMORY}"
    return rows.row_id(decisions, math_verify_version, worker_limits)[:12]


def _decide_case(case: dict) -> dict:
    """Everything that is decided on a frozen case but math-verify's verdict."""
    gold = gold_of(case["gold"])
    extraction = find(case["text"], case["strict"])
    decision = {"gold": gold, "extraction": extraction}
    if extraction and gold:
        canonical_answer = _canonical_answer(extraction.answer)
        canonical_gold = _canonical_answer(gold)
        decision["verdict"] = _verdict_without_worker(canonical_answer, canonical_gold)
        if not decision["verdict"]:
            readable_answer = symbolic.readable(canonical_answer)
            readable_gold = symbolic.readable(canonical_gold)
            decision["math-verify"] = readable_answer, readable_gold
    return decision


class _NoVerdict(Exception):
    """The worker gave none: another try may have more luck, so this is not remembered."""


def _compare(answer: str, gold: str) -> tuple[bool, str]:
    """(correct, why)."""
    # Most of GSM8K and AIME: six times as fast as what follows, and no place in its memory.
    if answer.isdecimal() and gold.isdecimal() and answer.isascii() and gold.isascii():
        correct = answer.lstrip("0") == gold.lstrip("0")
        return correct, "same number" if correct else "other number"
    try:
        return _remembered_verdict(answer, gold)
    except _NoVerdict as no_verdict:
        return False, str(no_verdict)


@lru_cache(100_000)
def _remembered_verdict(answer: str, gold: str) -> tuple[bool, str]:
    canonical_answer, canonical_gold = _canonical_answer(answer), _canonical_answer(gold)
    verdict = _verdict_without_worker(canonical_answer, canonical_gold)
    if verdict:
        return verdict
    # Of a worker: True, False, or in words why there is no verdict.
    correct = _pool().compare(canonical_answer, canonical_gold)
    if not isinstance(correct, bool):
        raise _NoVerdict(correct)
    return correct, "math-verify"


def _verdict_without_worker(canonical_answer: str, canonical_gold: str) -> tuple[bool, str] | None:
    """(correct, why) of two canonical answers; None if they must be worked out."""
    if not canonical_answer or not canonical_gold:
        return False, "no answer"
    correct = exact.compare(canonical_answer, canonical_gold)
    if correct is not None:
        sameness = "same" if correct else "other"
        is_number = exact.number(exact.without_name(canonical_answer)) is not None
        kind = "number" if is_number else "text"
        return correct, f"{sameness} {kind}"
    if latex.too_costly(canonical_answer) or latex.too_costly(canonical_gold):
        return False, "too costly"
    return None


def _canonical_answer(text: str) -> str:
    """A canonical answer; of a sentence (`Answer $9$`, `计划的比例为13/28`) the answer in it."""
    canonical = latex.canonical(text)
    if "box" in text or not _PROSE.search(_COMMAND.sub("", canonical)):
        return canonical
    extraction = find(text, strict=bool(_DENIAL.search(text)))
    if extraction:
        return latex.canonical(extraction.answer)
    return canonical


# By process, since a forked child must not share its parent's pipes.
_POOLS: dict[int, symbolic.Pool] = {}
_POOLS_LOCK = threading.Lock()


def _pool() -> symbolic.Pool:
    with _POOLS_LOCK:
        process_id = os.getpid()
        if process_id not in _POOLS:
            _POOLS[process_id] = symbolic.Pool(parallel.cores())
        return _POOLS[process_id]
