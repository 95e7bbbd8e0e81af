"""Measure the grader: its speed, its agreement with math-verify, and what hostile answers cost.

in    nothing: pairs are generated, each with its truth
      --cases_path             or labelled pairs: gold, pred, pred_kind, expected
out   stdout: rates and ratios of one run; rates on a shared machine mean little, the ratios do
      PYTHONPATH=exp python tests/bench/bench_answers.py --pairs 5000
"""

import json
import logging
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from lib import cli, parallel, rows, tables
from lib.errors import UserError
from lib.grading import answers
from lib.progress import say

INTEGERS = 300_000  # pairs that are compared as text
HOSTILE_EVERY = 50  # one pair in so many is hostile: 2%

WORDS = ("Evelyn", "Navin", "Even", "Odd", "East", "Monday", "Yes", "None")
# Each would take for ever. Most are seen beforehand; the last is not, and costs its whole limit.
HOSTILE = (
    "9^{{9^{{9^{n}}}}}",
    "{n}99999999!",
    r"\binom{{{n}00000000}}{{4999999}}",
    "(x+y+z+w)^{{{n}00}}",
    r"\Gamma({n}0^{{10}})",
    "7^{{{n}999999999}} \\bmod 13",
    r"\sum_{{k=1}}^{{{n}99999}} \frac{{1}}{{k}}",
    "(({n}!)!)!",
    "{n}**9**9**9",
    "(" * 3000 + "{n}" + ")" * 3000,
    r"\sqrt{{" * 300 + "{n}" + "}}" * 300,
    "{n}" * 5000,
    r"\boxed{{" * 3000,
    '__import__("os").system("exit {n}")',
    r"\input{{/etc/passwd{n}}}",
    r"\pi^{{\pi^{{\pi^{{\pi+{n}}}}}}}",
    "(a+b+c+d)^{{99}}-(a+b+{n}d)^{{98}}",
)


class Pair(NamedTuple):
    """An answer and the gold one, in other spellings, and whether they are equal."""

    answer: str
    gold: str
    is_equal: bool


# Each kind of pair is (a right answer, the gold one, a wrong answer), made of four small numbers.


def whole(rng: random.Random, a: int, b: int, c: int, d: int) -> tuple[str, str, str]:
    product = a * b * c * d
    spellings = ("{}", "{:,}", r"\${}", "{}.", "{}.0", r"{} \text{{ cm}}", "x = {}", r"{}^\circ")
    spelling = rng.choice(spellings)
    return spelling.format(product), str(product), spelling.format(product + d)


def fraction(rng: random.Random, a: int, b: int, c: int, d: int) -> tuple[str, str, str]:
    right = rf"\dfrac{{{a * c}}}{{{b * c}}}"
    wrong = rf"\dfrac{{{a * c + 1}}}{{{b * c}}}"
    return right, rf"\frac{{{a}}}{{{b}}}", wrong


def decimal(rng: random.Random, a: int, b: int, c: int, d: int) -> tuple[str, str, str]:
    return f"{a * b / 8}", rf"\frac{{{a * b}}}{{8}}", f"{(a * b + 1) / 8}"


def root(rng: random.Random, a: int, b: int, c: int, d: int) -> tuple[str, str, str]:
    return rf"\sqrt{{{a * a * b}}}", rf"{a}\sqrt{{{b}}}", rf"\sqrt{{{a * a * b + 1}}}"


def expanded(rng: random.Random, a: int, b: int, c: int, d: int) -> tuple[str, str, str]:
    polynomial = f"x^2 + {a + b}x + "
    return f"{polynomial}{a * b}", f"(x+{a})(x+{b})", f"{polynomial}{a * b + 1}"


def several(rng: random.Random, a: int, b: int, c: int, d: int) -> tuple[str, str, str]:
    larger = a + b
    return rf"\{{{larger}, {a}\}}", f"{a}, {larger}", rf"\{{{larger}, {a - 1}\}}"


def interval(rng: random.Random, a: int, b: int, c: int, d: int) -> tuple[str, str, str]:
    ends = rf"{-a}, \frac{{{b * c}}}{{{c}}}"
    return rf"\left({ends}\right]", f"({-a}, {b}]", rf"\left({ends}\right)"


def matrix(rng: random.Random, a: int, b: int, c: int, d: int) -> tuple[str, str, str]:
    wide = r"\begin{{bmatrix}} {} & {} \\ {} & {} \end{{bmatrix}}"
    tight = r"\begin{{pmatrix}}{}&{}\\{}&{}\end{{pmatrix}}"
    return wide.format(a, b, c, d), tight.format(a, b, c, d), wide.format(a, b, c, d + 1)


def circle(rng: random.Random, a: int, b: int, c: int, d: int) -> tuple[str, str, str]:
    return rf"\frac{{{a * b}\pi}}{{{b}}}", rf"{a}\pi", rf"\frac{{{a * b}\pi}}{{{b + 1}}}"


def named(rng: random.Random, a: int, b: int, c: int, d: int) -> tuple[str, str, str]:
    return f"y = {a}x + {b}", f"{a}x+{b}", f"y = {a}x - {b}"


def worded(rng: random.Random, a: int, b: int, c: int, d: int) -> tuple[str, str, str]:
    right, wrong = rng.sample(WORDS, 2)
    return rf"\text{{{right}}}", right, rf"\text{{{wrong}}}"


KINDS = (
    whole,  # twice: most answers are whole numbers
    whole,
    fraction,
    decimal,
    root,
    expanded,
    several,
    interval,
    matrix,
    circle,
    named,
    worded,
)


def make_pair(rng: random.Random) -> Pair:
    """What math models answer, in another spelling than the gold one; a third of them wrong."""
    a, b, c, d = (rng.randint(2, 60) for _ in range(4))
    right, gold, wrong = rng.choice(KINDS)(rng, a, b, c, d)
    is_equal = rng.random() > 1 / 3
    return Pair(right if is_equal else wrong, gold, is_equal)


def make_distinct_pairs(count: int) -> list[Pair]:
    rng = random.Random(0)
    distinct = dict.fromkeys(make_pair(rng) for _ in range(4 * count))
    return list(distinct)[:count]


def with_hostile_answers(pairs: list[Pair]) -> list[Pair]:
    """The pairs, one in HOSTILE_EVERY with a hostile answer of its own."""
    mixed = list(pairs)
    for place in range(0, len(pairs), HOSTILE_EVERY):
        template = HOSTILE[place // HOSTILE_EVERY % len(HOSTILE)]
        hostile = template.format(n=1 + place // 450)
        mixed[place] = Pair(hostile, pairs[place].gold, is_equal=False)
    return mixed


def math_verify_alone(answer: str, gold: str) -> bool | None:
    """math-verify's verdict with its own limits and settings; None if it cannot read a side.

    Each text is in its best form: bare text in `$…$`.
    """
    from math_verify import parse, verify

    ours, theirs = parse(_as_formula(answer)), parse(_as_formula(gold))
    if not ours or not theirs:
        return None
    return bool(verify(theirs, ours))


def _as_formula(text: str) -> str:
    return text if "$" in text or "box" in text else f"${text}$"


def grade_pairs(pairs: list[Pair]) -> list[bool]:
    """The grader's verdicts, by as many workers as there are cores."""
    return parallel.in_threads(lambda pair: answers.is_equal(pair.answer, pair.gold), pairs)


def measure_rate(function: Callable, items: list) -> tuple[list, float]:
    """What the function returns for all items, and items a second."""
    started = time.perf_counter()
    results = function(items)
    return results, len(items) / (time.perf_counter() - started)


def integer_rates() -> tuple[float, float]:
    """(whole numbers compared a second, boxed ones found and compared a second)."""
    integers, texts = [], []
    for n in range(INTEGERS):
        gold = str(n + n % 3)
        integers.append((str(n), gold))
        text = f"So 3 * 4 = 12 and 12 + {n} is it.\nThe answer is \\boxed{{{n}}}."
        texts.append((text, gold))

    def compare(pairs: list[tuple]) -> list[bool]:
        return [answers.is_equal(answer, gold) for answer, gold in pairs]

    def find_and_compare(pairs: list[tuple]) -> list:
        return [answers.grade(text, gold) for text, gold in pairs]

    _, compared_a_second = measure_rate(compare, integers)
    _, found_a_second = measure_rate(find_and_compare, texts)
    return compared_a_second, found_a_second


def main(pairs: int = 5000, cases_path: str = ""):
    logging.disable()  # math-verify's warnings
    if cases_path:
        compare_on_cases(cases_path)
        return
    if pairs < 100:
        raise UserError(f"--pairs {pairs}: at least 100, for 2% hostile ones")
    ways = "by the grader and by math-verify alone in turn"
    say(f"{pairs:,} generated pairs, {ways}: some two minutes")
    compare_on_pairs(make_distinct_pairs(pairs))


def compare_on_pairs(pairs: list[Pair]) -> None:
    """Print the table of rates and agreement, and the first disagreements."""
    compared_a_second, found_a_second = integer_rates()
    grade_pairs([Pair("x+y", "y+x", True)] * 8)  # workers started
    math_verify_alone("x+y", "y+x")

    def grade_alone(pairs: list[Pair]) -> list[bool | None]:
        return [math_verify_alone(pair.answer, pair.gold) for pair in pairs]

    verdicts, graded_a_second = measure_rate(grade_pairs, pairs)
    alone, alone_a_second = measure_rate(grade_alone, pairs)
    answers.forget()
    mixed = with_hostile_answers(pairs)
    mixed_verdicts, mixed_a_second = measure_rate(grade_pairs, mixed)

    truths = [pair.is_equal for pair in pairs]
    quick = [answers.is_quick(pair.answer, pair.gold) for pair in pairs]
    disagreements = []
    for pair, verdict, other in zip(pairs, verdicts, alone, strict=True):
        if other is not None and verdict != other:
            disagreements.append((pair, verdict, other))
    decided = len(alone) - alone.count(None)
    figures = {
        "integer answers compared a second": f"{compared_a_second:,.0f}",
        "boxed integers found and compared a second": f"{found_a_second:,.0f}",
        "mixed LaTeX pairs a second": f"{graded_a_second:,.0f}",
        "math-verify alone, pairs a second": f"{alone_a_second:,.0f}",
        "ratio": f"{graded_a_second / alone_a_second:.1f}",
        "pairs decided without sympy": tables.percent(sum(quick), len(pairs)),
        "right, by construction": tables.percent(count_equal(verdicts, truths), len(pairs)),
        "math-verify alone right": tables.percent(count_equal(alone, truths), len(pairs)),
        "disagreements where both decide": f"{len(disagreements)} of {decided:,}",
        "with 2% hostile answers, pairs a second": f"{mixed_a_second:,.0f}",
        "ratio to clean": f"{mixed_a_second / graded_a_second:.2f}",
        "hostile answers taken for right": str(sum(mixed_verdicts[::HOSTILE_EVERY])),
    }
    columns = {"measure": list(figures), "figure": list(figures.values())}
    print("\n".join(tables.markdown(columns)))
    for pair, verdict, other in disagreements[:10]:
        what = f"{pair.answer!r} for {pair.gold!r}, truly {pair.is_equal}"
        print(f"disagreement: {what}: grader {verdict}, math-verify {other}")


def compare_on_cases(path: str) -> None:
    """How many labelled pairs the grader and math-verify alone get right."""
    cases = rows.read(path, need=("gold", "pred", "pred_kind"))
    say(f"{len(cases):,} labelled pairs of {Path(path).name}")

    def grade_case(case: dict) -> bool:
        is_answer = case["pred_kind"] == "answer"
        answer = case["pred"] if is_answer else answers.extract(case["pred"])
        return answers.is_equal(answer, case["gold"])

    expected = [case["expected"] for case in cases]
    verdicts = parallel.in_threads(grade_case, cases)
    # A side that math-verify cannot read makes the pair unequal to it.
    alone = [bool(math_verify_alone(case["pred"], case["gold"])) for case in cases]
    figures = {
        "cases": len(cases),
        "grader_right": count_equal(verdicts, expected),
        "math_verify_alone_right": count_equal(alone, expected),
    }
    print(json.dumps(figures))


def count_equal(verdicts: list, truths: list[bool]) -> int:
    return sum(verdict == truth for verdict, truth in zip(verdicts, truths, strict=True))


if __name__ == "__main__":
    cli.run(main)
