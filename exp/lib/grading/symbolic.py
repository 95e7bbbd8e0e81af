"""Whether two answers are mathematically equal, worked out by math-verify in processes that a hard limit kills.

sympy can hang inside one C call, where no exception and no signal handler reaches it: `9^{9^{9^9}}` in a thread stops the
whole process. So it runs in a process of its own, that the kernel ends after LIMIT_S seconds of CPU time; a fresh fork of a
parent that has sympy loaded already takes its place within milliseconds.
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

if __package__ in (None, ""):  # run as the worker's script
    sys.path[0] = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))

from lib.grading import exact

LIMIT_S = 1.0  # CPU seconds for one pair: twice the slowest of 970 real and generated ones, 200 times their mean
BACKSTOP_S = (
    30  # wall seconds after which the worker itself counts as lost, on a machine however busy
)
MEMORY = 2 << 30  # bytes of address space beyond what sympy takes
_UNIT_I = re.compile(r"(?<![A-Za-z\\])i(?![A-Za-z])")
_FALLING = re.compile(r"([^<>]+?)(>|\\geq )([^<>]+?)(>|\\geq )([^<>]+)")
_TURNED = {">": "<", "\\geq ": "\\leq "}
TOO_SLOW, FAILED = "time limit", "not comparable"


class Worker:
    """One process that compares pairs, one at a time; started at the first one, which takes two seconds."""

    def __init__(self):
        self.process = None

    def _start(self) -> None:
        # A session of its own: Ctrl-C in the terminal is for the stage alone, which closes the pipe.
        self.process = subprocess.Popen([sys.executable, "-W", "ignore", os.path.abspath(__file__)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, start_new_session=True)  # fmt: skip
        if self._read(120) != "ready":
            raise RuntimeError(
                "the grader's worker process did not start; is math-verify installed?"
            )

    def compare(self, answer: str, gold: str) -> bool | str:
        """True or False, or why there is no verdict: TOO_SLOW or FAILED."""
        if self.process and self.process.poll() is not None:  # somebody killed it
            self.stop()
        if not self.process:
            self._start()
        try:
            self.process.stdin.write(json.dumps([answer, gold]).encode() + b"\n")
            self.process.stdin.flush()
            verdict = self._read(BACKSTOP_S)
        except BrokenPipeError:
            verdict = None
        if verdict is None:
            self.stop()
            return TOO_SLOW
        return verdict

    def _read(self, seconds: float) -> object:
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if ready else b""
        return json.loads(line) if line else None

    def stop(self) -> None:
        process, self.process = self.process, None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        with contextlib.suppress(BrokenPipeError):  # an unsent request
            process.stdin.close()
        process.stdout.close()


class Pool:
    """As many workers as cores, each started when it is first needed; safe to call from several threads."""

    def __init__(self, size: int):
        self._idle = [Worker() for _ in range(size)]
        self._free = threading.Semaphore(size)

    def compare(self, answer: str, gold: str) -> bool | str:
        with self._free:
            worker = self._idle.pop()  # the one used last: a single thread starts a single worker
            try:
                return worker.compare(answer, gold)
            finally:
                self._idle.append(worker)


def equal(answer: str, gold: str) -> bool:
    """Whether two canonical answers (`latex.canonical`) are equal, as exact numbers, item by item, or by math-verify.

    Only to be called in a worker: it may take for ever.
    """
    known = exact.quick(answer, gold)
    if known is not None:
        return known
    ours, theirs = exact.split_list(answer), exact.split_list(gold)
    if ours and theirs and {ours[0], theirs[0]} == {"(", "{"}:
        return False
    if ours and theirs and len(ours[1]) == len(theirs[1]) <= 8 and _items_equal(ours, theirs):
        return True
    return _by_math_verify(answer, gold)


def _items_equal(ours: tuple[str, list[str]], theirs: tuple[str, list[str]]) -> bool:
    """Items in order within the same round or square brackets, in any order in sets and bare lists."""
    if "(" in ours[0] + theirs[0] or "[" in ours[0] + theirs[0]:
        return ours[0] == theirs[0] and all(map(equal, ours[1], theirs[1]))
    table = [[equal(a, g) for g in theirs[1]] for a in ours[1]]
    return any(
        all(map(list.__getitem__, table, order))
        for order in itertools.permutations(range(len(table)))
    )


def _by_math_verify(answer: str, gold: str) -> bool:
    from math_verify import LatexExtractionConfig, parse, verify

    config = [LatexExtractionConfig(boxed_match_priority=0)]
    # Its own limits are SIGALRM's: off, the process's is harder.
    ours, theirs = (
        parse(f"${_readable(text)}$", config, parsing_timeout=None) for text in (answer, gold)
    )
    if not ours or not theirs:
        return False
    known = _same_values(ours[0], theirs[0])
    return (
        verify(theirs, ours, allow_set_relation_comp=True, timeout_seconds=None)
        if known is None
        else known
    )


def _readable(text: str) -> str:
    """As math-verify's grammar has it: `(I)` for the imaginary unit (an `i` that counts, as in a sum or `x_i`, stays), and
    `1 < x < 5` for `5 > x > 1`."""
    if chain := _FALLING.fullmatch(text):
        return f"{chain[5]} {_TURNED[chain[4]]} {chain[3]} {_TURNED[chain[2]]} {chain[1]}"
    return (
        _UNIT_I.sub("(I)", text)
        if "i" in text and not re.search(r"\\sum|\\prod|_\{?i", text)
        else text
    )


def _same_values(ours: object, theirs: object) -> bool | None:
    """Whether two expressions in the same symbols have the same values at three positive points; None where that says nothing.

    Values that differ are a disproof, and equal ones to 50 digits as good as the proof that simplify would look for, in a tenth
    of the time. Positive, because sympy takes symbols for any real number, where sqrt(a b) = sqrt(a) sqrt(b) does not hold; the
    symbols of answers are lengths, masses, counts. |x| and x must stay different, and a rounded number is for math-verify.
    """
    import sympy

    if (
        not (isinstance(ours, sympy.Expr) and isinstance(theirs, sympy.Expr))
        or ours.free_symbols != theirs.free_symbols
    ):
        return None
    if (ours - theirs).has(sympy.Abs, sympy.Max, sympy.Min, sympy.floor, sympy.ceiling, sympy.sign):
        return None
    symbols = sorted(theirs.free_symbols, key=str)
    if ours.has(sympy.Float) or theirs.has(sympy.Float):
        if not symbols:
            return None
        ours, theirs = (
            sympy.nsimplify(expression, rational=True) for expression in (ours, theirs)
        )  # x^0.5 is a root
    if not symbols and (difference := (ours - theirs).doit()).is_Rational:
        return bool(difference == 0)
    for shift in range(3 if symbols else 1):
        point = {s: sympy.Rational(3 + 2 * k + 7 * shift, 5 + k) for k, s in enumerate(symbols)}
        a, b = (expression.subs(point).evalf(60) for expression in (ours, theirs))
        if not (a.is_number and b.is_number and a.is_finite and b.is_finite):
            return None
        if abs(a - b) > sympy.Float("1e-50", 60) * max(abs(a), abs(b)):
            return False
    return True


def _serve() -> None:
    """The worker's life: load sympy once, then let a child answer, and the next child when the kernel has ended that one."""
    import logging
    import resource

    import math_verify  # noqa: F401  loaded before the fork, for every child

    logging.disable()
    equal(r"\sqrt{8}+x", r"x+2\sqrt{2}")  # the grammar's tables are built at the first use: .5 s
    used = (
        int(open("/proc/self/statm").read().split()[0]) * 4096
        if os.path.exists("/proc/self/statm")
        else 1 << 30
    )
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _write("ready")
    while child := os.fork():
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
            return  # its standard input has ended: nobody asks any more
        _write(
            TOO_SLOW if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF else FAILED
        )
    line = b""
    while chunk := os.read(
        0, 65536
    ):  # unbuffered: what a child has read and not answered is lost with it
        line += chunk
        if line.endswith(b"\n"):
            signal.setitimer(
                signal.ITIMER_PROF, LIMIT_S
            )  # SIGPROF is not handled: the kernel ends the process
            try:
                verdict = equal(*json.loads(line))
            except (
                Exception
            ):  # sympy and its parser raise all kinds, RecursionError and MemoryError among them
                verdict = FAILED
            signal.setitimer(signal.ITIMER_PROF, 0)
            _write(verdict)
            line = b""
    os._exit(0)


def _write(verdict: bool | str) -> None:
    os.write(1, json.dumps(verdict).encode() + b"\n")


if __name__ == "__main__":
    _serve()
