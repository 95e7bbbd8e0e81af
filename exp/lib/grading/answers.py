"""The one grader: finds the answer in a text and says whether it is the right one, for evaluation, rewards, votes and filters.

Text and exact numbers decide most pairs (100,000 a second and more); the rest is worked out by math-verify in processes with a
hard limit (`lib.grading.symbolic`). Nothing is ever evaluated as code, and no text can stop or slow the caller beyond that limit.
"""

import hashlib
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from lib.grading import exact, extraction, latex, symbolic
from lib.grading.extraction import extract, find

__all__ = [
    "extract",
    "find",
    "forget",
    "gold_of",
    "grade",
    "in_parallel",
    "is_equal",
    "is_quick",
    "version",
]

_DENIES = re.compile(
    r"\b(?:not|more|less|least|most|between|could|or|step)\b", re.IGNORECASE
)  # then the last number is no answer
_PROSE = re.compile(
    r"^Answer\b|(?<![A-Za-z])[A-Za-z]{3,} (?:[A-Za-z]{2,} .*){2}|[\u3040-\u9fff]{3}"
)


class Grade(NamedTuple):
    """`why`: same text or number, math-verify, other text or number, no answer, time limit, not comparable, too costly."""

    correct: bool
    extracted: str | None
    how: str
    why: str


def is_equal(answer: str | None, gold: str) -> bool:
    """Whether an answer is mathematically the gold one. Never raises for any text, and takes at most the verifier's limit.

    `1,200` is 1200, `0.5` is `\\frac12`, `x = 5` is 5, `10\\%` is 10, `10 cm` is 10; bare lists and sets have no order.
    """
    return answer is not None and _compare(answer, gold)[0]


def grade(text: str, gold: str, strict: bool = False) -> Grade:
    """The whole way: find the answer in a text and compare it with the gold one."""
    found = find(text, strict)
    if not found:
        return Grade(False, None, "", "no answer")
    correct, why = _compare(found.answer, gold)
    return Grade(correct, found.answer, found.how, why)


def gold_of(text: object) -> str | None:
    """The gold answer of a row: as it stands, or the number behind GSM8K's `####`; None where nothing can be compared with it."""
    if (
        isinstance(text, bool)
        or not isinstance(text, str | int | float)
        or isinstance(text, int)
        and text.bit_length() > 10_000
    ):
        return None
    gold = str(text).rpartition("####")[2].strip()
    return gold if latex.canonical(gold) else None


def version() -> str:
    """A hash of what decides a verdict: this grader's source and math-verify's version."""
    digest = hashlib.sha256(metadata.version("math-verify").encode())
    for module in (exact, extraction, latex, symbolic, sys.modules[__name__]):
        digest.update(Path(module.__file__).read_bytes())
    return digest.hexdigest()[:12]


def in_parallel(function: Callable, items: Iterable) -> list:
    """`function` of every item, in order, by as many threads as there are workers: for many LaTeX answers at once."""
    with ThreadPoolExecutor(_cores()) as threads:
        return list(threads.map(function, items))


def _compare(answer: str, gold: str) -> tuple[bool, str]:
    # Most of GSM8K and AIME: six times as fast as what follows, and no place in its memory.
    if answer.isdecimal() and gold.isdecimal() and answer.isascii() and gold.isascii():
        same = answer.lstrip("0") == gold.lstrip("0")
        return same, "same number" if same else "other number"
    return _verdict(answer, gold)


def _verdict(answer: str, gold: str) -> tuple[bool, str]:
    try:
        return _decided(answer, gold)
    except _Undecided as e:  # not remembered: another try may have more luck
        return False, str(e)


class _Undecided(Exception):
    pass


@lru_cache(100_000)
def _decided(answer: str, gold: str) -> tuple[bool, str]:
    ours, theirs = (_bare(text) for text in (answer, gold))
    if not ours or not theirs:
        return False, "no answer"
    known = exact.quick(ours, theirs)
    if known is not None:
        return (
            known,
            f"{'same' if known else 'other'} {'number' if exact.number(exact.without_name(ours)) else 'text'}",
        )
    if latex.too_costly(ours) or latex.too_costly(theirs):
        return False, "too costly"
    verdict = _pool().compare(ours, theirs)
    if not isinstance(verdict, bool):
        raise _Undecided(verdict)
    return verdict, "math-verify"


def is_quick(answer: str, gold: str) -> bool:
    """Whether text and exact numbers decide this pair, without a worker."""
    return exact.quick(_bare(answer), _bare(gold)) is not None


def forget() -> None:
    """Judge every pair anew, as if none had been seen."""
    _decided.cache_clear()


def _bare(text: str) -> str:
    """A canonical answer; of a whole sentence (`Answer $9$`, `计划的比例为13/28`) the answer in it."""
    bare = latex.canonical(text)
    if _PROSE.search(re.sub(r"\\\w+", "", bare)) and "box" not in text:
        found = find(text, strict=bool(_DENIES.search(text)))
        return latex.canonical(found.answer) if found else bare
    return bare


_POOLS: dict[
    int, symbolic.Pool
] = {}  # by process: a forked child must not share its parent's pipes
_POOLS_LOCK = threading.Lock()


def _pool() -> symbolic.Pool:
    with _POOLS_LOCK:
        if os.getpid() not in _POOLS:
            _POOLS[os.getpid()] = symbolic.Pool(_cores())
        return _POOLS[os.getpid()]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
