"""Measure the grader: speed over math-verify alone, agreement with it, and what hostile answers cost.

in    nothing: pairs are generated, each with its truth; or --cases_path, labelled pairs: gold, pred, pred_kind, expected
out   stdout: rates and ratios of one run; rates on a shared machine mean little, the ratios do
      PYTHONPATH=exp python tests/bench/bench_answers.py --pairs 5000
"""

import json
import random
import time
from collections.abc import Callable
from pathlib import Path

from lib import cli, rows, tables
from lib.errors import UserError
from lib.grading import answers
from lib.progress import say

WORDS = ("Evelyn", "Navin", "Even", "Odd", "East", "Monday", "Yes", "None")
# Each would take for ever. Most are seen beforehand; the last is not, and costs its whole time limit.
HOSTILE = (
    *(
        "9^{{9^{{9^{n}}}}}",
        "{n}99999999!",
        r"\binom{{{n}00000000}}{{4999999}}",
        "(x+y+z+w)^{{{n}00}}",
        r"\Gamma({n}0^{{10}})",
    ),
    *(
        "7^{{{n}999999999}} \\bmod 13",
        r"\sum_{{k=1}}^{{{n}99999}} \frac{{1}}{{k}}",
        "(({n}!)!)!",
        "{n}**9**9**9",
    ),
    *(
        "(" * 3000 + "{n}" + ")" * 3000,
        r"\sqrt{{" * 300 + "{n}" + "}}" * 300,
        "{n}" * 5000,
        r"\boxed{{" * 3000,
    ),
    *(
        '__import__("os").system("exit {n}")',
        r"\input{{/etc/passwd{n}}}",
        r"\pi^{{\pi^{{\pi^{{\pi+{n}}}}}}}",
    ),
    "(a+b+c+d)^{{99}}-(a+b+{n}d)^{{98}}",
)


def pair(rng: random.Random) -> tuple[str, str, bool]:
    """(answer, gold, equal): what math models answer, in another spelling than the gold one; a third of them wrong."""
    a, b, c, d = (rng.randint(2, 60) for _ in range(4))
    kinds = (
        whole,
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
    answer, gold, wrong = rng.choice(kinds)(rng, a, b, c, d)
    equal = rng.random() > 1 / 3
    return (answer if equal else wrong), gold, equal


def whole(rng, a, b, c, d):
    n = a * b * c * d
    dress = rng.choice(
        ("{}", "{:,}", r"\${}", "{}.", "{}.0", r"{} \text{{ cm}}", "x = {}", r"{}^\circ")
    )
    return dress.format(n), str(n), dress.format(n + d)


def fraction(rng, a, b, c, d):
    return (
        rf"\dfrac{{{a * c}}}{{{b * c}}}",
        rf"\frac{{{a}}}{{{b}}}",
        rf"\dfrac{{{a * c + 1}}}{{{b * c}}}",
    )


def decimal(rng, a, b, c, d):
    return f"{a * b / 8}", rf"\frac{{{a * b}}}{{8}}", f"{(a * b + 1) / 8}"


def root(rng, a, b, c, d):
    return rf"\sqrt{{{a * a * b}}}", rf"{a}\sqrt{{{b}}}", rf"\sqrt{{{a * a * b + 1}}}"


def expanded(rng, a, b, c, d):
    return f"x^2 + {a + b}x + {a * b}", f"(x+{a})(x+{b})", f"x^2 + {a + b}x + {a * b + 1}"


def several(rng, a, b, c, d):
    b = a + b
    return rf"\{{{b}, {a}\}}", f"{a}, {b}", rf"\{{{b}, {a - 1}\}}"


def interval(rng, a, b, c, d):
    return (
        rf"\left({-a}, \frac{{{b * c}}}{{{c}}}\right]",
        f"({-a}, {b}]",
        rf"\left({-a}, \frac{{{b * c}}}{{{c}}}\right)",
    )


def matrix(rng, a, b, c, d):
    wide = r"\begin{{bmatrix}} {} & {} \\ {} & {} \end{{bmatrix}}"
    tight = r"\begin{{pmatrix}}{}&{}\\{}&{}\end{{pmatrix}}"
    return wide.format(a, b, c, d), tight.format(a, b, c, d), wide.format(a, b, c, d + 1)


def circle(rng, a, b, c, d):
    return rf"\frac{{{a * b}\pi}}{{{b}}}", rf"{a}\pi", rf"\frac{{{a * b}\pi}}{{{b + 1}}}"


def named(rng, a, b, c, d):
    return f"y = {a}x + {b}", f"{a}x+{b}", f"y = {a}x - {b}"


def worded(rng, a, b, c, d):
    right, wrong = rng.sample(WORDS, 2)
    return rf"\text{{{right}}}", right, rf"\text{{{wrong}}}"


def math_verify_alone(answer: str, gold: str) -> bool | None:
    """Its verdict with the limits and the settings that it comes with, text in its best form; None if it cannot read a side."""
    from math_verify import parse, verify

    ours, theirs = (
        parse(text if "$" in text or "box" in text else f"${text}$") for text in (answer, gold)
    )
    return bool(verify(theirs, ours)) if ours and theirs else None


def timed(function: Callable, items: list) -> tuple[list, float]:
    """What the function returns for all items, and items a second."""
    started = time.perf_counter()
    found = function(items)
    return found, len(items) / (time.perf_counter() - started)


def graded(pairs: list[tuple]) -> list[bool]:
    return answers.in_parallel(lambda p: answers.is_equal(p[0], p[1]), pairs)


def main(pairs: int = 5000, cases_path: str = ""):
    import logging

    logging.disable()
    if cases_path:
        on_cases(cases_path)
        return
    if pairs < 100:
        raise UserError(f"--pairs {pairs}: at least 100, for 2% hostile ones")
    say(
        f"{pairs:,} generated pairs, by the grader and by math-verify alone in turn: some two minutes"
    )
    rng = random.Random(0)
    clean = list(dict.fromkeys(pair(rng) for _ in range(4 * pairs)))[:pairs]
    integers = [(str(n), f"{n + n % 3}") for n in range(300_000)]
    _, integers_s = timed(lambda items: [answers.is_equal(*p) for p in items], integers)
    texts = [
        (f"So 3 * 4 = 12 and 12 + {n} is it.\nThe answer is \\boxed{{{n}}}.", gold)
        for n, gold in integers
    ]
    _, texts_s = timed(lambda items: [answers.grade(*p) for p in items], texts)
    graded([("x+y", "y+x")] * 8)  # workers started
    math_verify_alone("x+y", "y+x")
    mixed, mixed_s = timed(graded, clean)
    alone, alone_s = timed(lambda items: [math_verify_alone(*p[:2]) for p in items], clean)
    odd = [
        (p, ours, theirs)
        for p, ours, theirs in zip(clean, mixed, alone, strict=True)
        if theirs not in (None, ours)
    ]
    answers.forget()
    every = range(0, pairs, 50)
    spoilt = [
        (HOSTILE[k // 50 % len(HOSTILE)].format(n=1 + k // 450), p[1]) if k in every else p
        for k, p in enumerate(clean)
    ]
    verdicts, spoilt_s = timed(graded, spoilt)
    truths = [p[2] for p in clean]
    figures = {
        "integer answers compared a second": f"{integers_s:,.0f}",
        "boxed integers found and compared a second": f"{texts_s:,.0f}",
        "mixed LaTeX pairs a second": f"{mixed_s:,.0f}",
        "math-verify alone, pairs a second": f"{alone_s:,.0f}",
        "ratio": f"{mixed_s / alone_s:.1f}",
        "pairs decided without sympy": tables.percent(
            sum(answers.is_quick(*p[:2]) for p in clean), pairs
        ),
        "right, by construction": tables.percent(sum(map(bool.__eq__, mixed, truths)), pairs),
        "math-verify alone right": tables.percent(
            sum(a == t for a, t in zip(alone, truths, strict=True)), pairs
        ),
        "disagreements where both decide": f"{len(odd)} of {sum(a is not None for a in alone):,}",
        "with 2% hostile answers, pairs a second": f"{spoilt_s:,.0f}",
        "ratio to clean": f"{spoilt_s / mixed_s:.2f}",
        "hostile answers taken for right": str(sum(verdicts[k] for k in every)),
    }
    print("\n".join(tables.markdown({"measure": list(figures), "figure": list(figures.values())})))
    for (answer, gold, truth), ours, theirs in odd[:10]:
        print(
            f"disagreement: {answer!r} for {gold!r}, truly {truth}: grader {ours}, math-verify {theirs}"
        )


def on_cases(path: str) -> None:
    """How many labelled pairs the grader and math-verify alone get right."""
    cases = rows.read(path, need=("gold", "pred", "pred_kind"))
    say(f"{len(cases):,} labelled pairs of {Path(path).name}")

    def ours(case: dict) -> bool:
        return answers.is_equal(
            case["pred"] if case["pred_kind"] == "answer" else answers.extract(case["pred"]),
            case["gold"],
        )

    right = sum(
        v == c["expected"] for v, c in zip(answers.in_parallel(ours, cases), cases, strict=True)
    )
    alone = sum((math_verify_alone(c["pred"], c["gold"]) or False) == c["expected"] for c in cases)
    print(
        json.dumps({"cases": len(cases), "grader_right": right, "math_verify_alone_right": alone})
    )


if __name__ == "__main__":
    cli.run(main)
