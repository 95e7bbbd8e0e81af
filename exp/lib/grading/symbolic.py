r"""Whether two answers are mathematically equal, worked out by math-verify under a hard limit.

sympy can hang inside one C call, where no exception and no signal handler reaches it: in a thread,
`9^{9^{9^9}}` stops the whole process. So it runs in a worker process. The worker loads sympy once
and forks a child that answers; the kernel ends the child after LIMIT_S seconds of CPU time, and the
next child takes its place within milliseconds.
"""

import contextlib
import itertools
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading

if __package__ in (None, ""):  # this file is also the worker's script
    sys.path[0] = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))

from lib.grading import exact

# CPU seconds for one pair: twice the slowest of 970 real and generated ones, 200 times their mean.
LIMIT_S = 1.0
# Wall seconds after which the worker itself counts as lost, on a machine however busy.
BACKSTOP_S = 30
START_S = 120  # wall seconds in which a worker must have started; it takes two
MEMORY = 2 << 30  # bytes of address space beyond what sympy takes
TOO_SLOW, FAILED = "time limit", "not comparable"  # why there is no verdict

_MOST_ITEMS = 8  # of lists that are compared item by item
_IMAGINARY_UNIT = re.compile(r"(?<![A-Za-z\\])i(?![A-Za-z])")
_COUNTING_I = re.compile(r"\\sum|\\prod|_\{?i")
_FALLING = re.compile(r"([^<>]+?)(>|\\geq )([^<>]+?)(>|\\geq )([^<>]+)")
_RISING_SIGN = {">": "<", "\\geq ": "\\leq "}


class Worker:
    """One process that compares pairs, one at a time; the first pair starts it."""

    def __init__(self):
        self.process = None

    def compare(self, answer: str, gold: str) -> bool | str:
        """True or False, or why there is no verdict: TOO_SLOW or FAILED."""
        if self.process and self.process.poll() is not None:  # somebody killed it
            self.stop()
        if not self.process:
            self._start()
        try:
            pair = json.dumps([answer, gold]).encode()
            self.process.stdin.write(pair + b"\n")
            self.process.stdin.flush()
            verdict = self._read(BACKSTOP_S)
        except BrokenPipeError:
            verdict = None
        if verdict is None:
            self.stop()
            return TOO_SLOW
        return verdict

    def stop(self) -> None:
        process, self.process = self.process, None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        with contextlib.suppress(BrokenPipeError):  # of a pair that was never sent
            process.stdin.close()
        process.stdout.close()

    def _start(self) -> None:
        # A session of its own: Ctrl-C in the terminal is for the stage alone, which then closes
        # the pipe.
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", os.path.abspath(__file__)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        if self._read(START_S) != "ready":
            message = "the grader's worker process did not start; is math-verify installed?"
            raise RuntimeError(message)

    def _read(self, seconds: float) -> bool | str | None:
        """The worker's next message; None if it ended, or said nothing in time."""
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if ready else b""
        return json.loads(line) if line else None


class Pool:
    """Workers that are started when they are first needed; safe to use from several threads."""

    def __init__(self, size: int):
        self._idle = [Worker() for _ in range(size)]
        self._free = threading.Semaphore(size)

    def compare(self, answer: str, gold: str) -> bool | str:
        """As `Worker.compare`, by the first worker that is free."""
        with self._free:
            worker = self._idle.pop()  # the last one used, so that a single thread starts just one
            try:
                return worker.compare(answer, gold)
            finally:
                self._idle.append(worker)


def equal(answer: str, gold: str) -> bool:
    """Whether two canonical answers (`latex.canonical`) are equal: exactly, by item or by sympy.

    Only to be called in a worker: it may take for ever.
    """
    verdict = exact.compare(answer, gold)
    if verdict is not None:
        return verdict
    answer_list, gold_list = exact.split_list(answer), exact.split_list(gold)
    if answer_list and gold_list:
        answer_bracket, answer_items = answer_list
        gold_bracket, gold_items = gold_list
        brackets = {answer_bracket, gold_bracket}
        if brackets == {"(", "{"}:  # a set is no tuple
            return False
        if _items_equal(answer_items, gold_items, brackets):
            return True
    return _equal_by_math_verify(answer, gold)


def _items_equal(answer_items: list[str], gold_items: list[str], brackets: set[str]) -> bool:
    """Items in order within the same round or square brackets, in any order in sets and lists.

    `brackets` are those of both lists, so one if they agree.
    """
    if len(answer_items) != len(gold_items) or len(answer_items) > _MOST_ITEMS:
        return False
    if "(" in brackets or "[" in brackets:
        return len(brackets) == 1 and all(map(equal, answer_items, gold_items))
    # equal_to[i] has whether the answer's item i is equal to each of the gold's items.
    equal_to = []
    for answer_item in answer_items:
        equal_to.append([equal(answer_item, gold_item) for gold_item in gold_items])
    for order in itertools.permutations(range(len(gold_items))):
        if all(verdicts[index] for verdicts, index in zip(equal_to, order, strict=True)):
            return True
    return False


def _equal_by_math_verify(answer: str, gold: str) -> bool:
    from math_verify import LatexExtractionConfig, parse, verify

    config = [LatexExtractionConfig(boxed_match_priority=0)]
    # math-verify's own limits work by SIGALRM; they are off, as this process has a harder one.
    parsed_answer = parse(f"${readable(answer)}$", config, parsing_timeout=None)
    parsed_gold = parse(f"${readable(gold)}$", config, parsing_timeout=None)
    if not parsed_answer or not parsed_gold:
        return False
    # Each is the expression, then its text.
    verdict = _same_values(parsed_answer[0], parsed_gold[0])
    if verdict is not None:
        return verdict
    return verify(parsed_gold, parsed_answer, allow_set_relation_comp=True, timeout_seconds=None)


def readable(text: str) -> str:
    """Canonical text as math-verify's grammar has it.

    The imaginary unit is `(I)`, but an `i` that counts, as in a sum or `x_i`, stays. `5 > x > 1`
    is `1 < x < 5`.
    """
    if falling := _FALLING.fullmatch(text):
        high, first_sign, middle, second_sign, low = falling.groups()
        return f"{low} {_RISING_SIGN[second_sign]} {middle} {_RISING_SIGN[first_sign]} {high}"
    if _COUNTING_I.search(text):
        return text
    return _IMAGINARY_UNIT.sub("(I)", text)


def _same_values(answer, gold) -> bool | None:
    """Whether two sympy expressions have equal values at three points; None if that says nothing.

    Values that differ are a disproof. Equal ones to 50 digits are as good as the proof that
    `simplify` would look for, and take a tenth of the time. The points are positive, because the
    symbols of answers are lengths, masses and counts, where sqrt(a b) = sqrt(a) sqrt(b); sympy
    takes symbols for any real number, where it does not hold. But |x| must not equal x, so those
    with signs or steps are left to math-verify, and so are rounded numbers.
    """
    import sympy

    if not isinstance(answer, sympy.Expr) or not isinstance(gold, sympy.Expr):
        return None
    if answer.free_symbols != gold.free_symbols:
        return None
    signs_and_steps = (
        sympy.Abs,
        sympy.Max,
        sympy.Min,
        sympy.floor,
        sympy.ceiling,
        sympy.sign,
    )
    if (answer - gold).has(*signs_and_steps):
        return None
    symbols = sorted(gold.free_symbols, key=str)
    if answer.has(sympy.Float) or gold.has(sympy.Float):
        if not symbols:
            return None
        answer = sympy.nsimplify(answer, rational=True)  # x^0.5 is a root
        gold = sympy.nsimplify(gold, rational=True)
    if not symbols:
        difference = (answer - gold).doit()
        if difference.is_Rational:
            return bool(difference == 0)
    point_count = 3 if symbols else 1
    for point_number in range(point_count):
        # Of two symbols: (3/5, 5/6), then (10/5, 12/6), then (17/5, 19/6).
        point = {}
        for place, symbol in enumerate(symbols):
            numerator = 3 + 2 * place + 7 * point_number
            point[symbol] = sympy.Rational(numerator, 5 + place)
        answer_value = answer.subs(point).evalf(60)
        gold_value = gold.subs(point).evalf(60)
        for value in (answer_value, gold_value):
            if not value.is_number or not value.is_finite:
                return None
        tolerance = sympy.Float("1e-50", 60) * max(abs(answer_value), abs(gold_value))
        if abs(answer_value - gold_value) > tolerance:
            return False
    return True


def _serve() -> None:
    """The worker's life: load sympy once, then fork a child that answers, and another after it."""
    import logging

    import math_verify  # noqa: F401  loaded before the fork, for every child

    logging.disable()
    equal(r"\sqrt{8}+x", r"x+2\sqrt{2}")  # the grammar's tables are built at the first use: 0.5 s
    _limit_memory()
    _write("ready")
    while True:
        child = os.fork()
        if child == 0:
            _answer_pairs()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
            return  # its standard input has ended: nobody asks any more
        was_too_slow = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF
        _write(TOO_SLOW if was_too_slow else FAILED)


def _limit_memory() -> None:
    import resource

    bytes_used = 1 << 30  # a guess for systems without /proc
    if os.path.exists("/proc/self/statm"):
        with open("/proc/self/statm") as memory_file:
            pages_used = int(memory_file.read().split()[0])
        bytes_used = pages_used * 4096
    most_bytes = bytes_used + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no core files of the children that end


def _answer_pairs() -> None:
    """Compare the pairs of standard input, one a line, until it ends."""
    line = b""
    # Unbuffered: what a child has read and not answered is lost with it.
    while chunk := os.read(0, 65536):
        line += chunk
        if line.endswith(b"\n"):
            _write(_limited_verdict(*json.loads(line)))
            line = b""


def _limited_verdict(answer: str, gold: str) -> bool | str:
    # Nothing handles SIGPROF, so the kernel ends the process.
    signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
    try:
        verdict = equal(answer, gold)
    except Exception:  # of all kinds, RecursionError and MemoryError among them
        verdict = FAILED
    signal.setitimer(signal.ITIMER_PROF, 0)
    return verdict


def _write(verdict: bool | str) -> None:
    os.write(1, json.dumps(verdict).encode() + b"\n")


if __name__ == "__main__":
    _serve()
