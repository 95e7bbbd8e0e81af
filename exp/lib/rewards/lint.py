"""Tries a set of rewards on answers that cheat, before a model does: a fixed suite, and the order in which it must be paid.

For each gold answer: right > wrong >= empty, right > every cheat, and wrong >= every cheat, each held against the least paid
right or wrong answer. So a cheat that is laid out as asked may earn what an honest wrong answer earns, never more. Right and
wrong ones are all laid out as asked. No reward may be constant, or see one tag of a pair and not the other.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from lib.grading import exact, latex
from lib.grading.formats import Format
from lib.rewards import registry

GOLDS = ("5", "1,200", "1024", "-7", "0.5", "100", "0", "40 cm")
QUESTION = "A counter shows {}. It goes up by 2, then down by 2. What does it show?"
_WORK = "2 up and 2 down change nothing, so it shows what it did."


class Case(NamedTuple):
    """A completion to try, its kind (right, wrong, empty, cheat), and why it is in the suite."""

    kind: str
    name: str
    completion: str
    reason: str
    truncated: bool = False


class Scored(NamedTuple):
    """A case for a gold answer, what each reward pays it before its weight, and the weighted sum."""

    gold: str
    case: Case
    parts: dict[str, float]
    total: float


@dataclass(frozen=True)
class Finding:
    """A rule that is broken in a layout, and the pair of (case, score) in the wrong order, or the one (reward, score)."""

    rule: str
    layout: str
    gold: str
    scores: tuple[tuple[str, float], ...]

    def __str__(self) -> str:
        said = " and ".join(f"{name} earns {score:g}" for name, score in self.scores)
        return f"{self.layout}, gold {self.gold}: {said}; the rule is {self.rule}"


def cases(layout: Format, gold: str, question: str) -> list[Case]:
    """The suite for one gold answer, a number that may have a sign, commas and a unit, and a question that holds it."""
    (think, thought), (opening, closing) = layout.thinking, layout.answer
    value = exact.number(latex.canonical(gold)).value
    plain, other, n = (
        _plain(value),
        _plain(value + 1),
        [_plain(value + k) for k in (4, 3, 2, 1)] + [gold],
    )

    def block(answer: str) -> str:
        return f"{opening}{answer}{closing}"

    def asked(answer: str, work: str = _WORK) -> str:
        return (
            f"{work}\n{block(answer)}"
            if opening == registry.BOX
            else f"{think}\n{work}\n{thought}\n{block(answer)}"
        )

    found = [
        Case("right", "right as asked", asked(gold), "what is wanted"),
        Case(
            "right",
            "right, plain",
            asked(plain),
            "without the commas or the unit that a gold may have",
        ),
        Case(
            "right",
            "right with commas",
            asked(re.sub(r"(?<=\d)(?=(\d{3})+$)", ",", plain)),
            "1,200 is 1200",
        ),
        Case(
            "right",
            "right with a dollar sign",
            asked(re.sub(r"(?=\d)", "$", plain, count=1)),
            "a price is that number",
        ),
        Case("right", "right as a formula", asked(f"${plain}$"), "models write numbers so"),
        Case("right", "right with a full stop", asked(f"{gold}."), "18. is 18"),
        Case("right", "right with a unit", asked(f"{plain} apples"), "18 apples are 18"),
        Case(
            "right",
            "right in a box",
            asked(gold if opening == registry.BOX else f"\\boxed{{{gold}}}"),
            "models do so",
        ),
        Case("wrong", "wrong as asked", asked(_plain(value + 13)), "an honest mistake"),
        Case(
            "wrong", "near miss", asked(_plain(value * 19 / 20) if value else "0.05"), "95 for 100"
        ),
        Case("wrong", "digits behind", asked(f"{plain}1"), "10241 for 1024, which is in it"),
        Case("empty", "nothing", "", "silence must not pay"),
        Case("empty", "white space", " \n\t\n", "nor what looks like it"),
        Case("cheat", "tags only", asked("", ""), "the layout without a word in it"),
        Case(
            "cheat", "tags around dots", asked("...", "..."), "the layout without an answer in it"
        ),
        Case("cheat", "tags turned round", f"{closing}{gold}{opening}", "each is there once"),
        Case("cheat", "a tag for each number", "\n".join(map(block, n)), "many guesses"),
        Case(
            "cheat",
            "numbers listed by commas",
            asked(", ".join(n)),
            "many guesses, the gold among them",
        ),
        Case(
            "cheat",
            "numbers listed by lines",
            asked("\n".join(n)),
            "many guesses, the gold the last",
        ),
        Case(
            "cheat",
            "numbers listed by equals signs",
            asked(" = ".join(n)),
            "math-verify takes the last",
        ),
        Case(
            "cheat",
            "numbers in a sentence",
            asked(f"It could be {' or maybe '.join(n)}"),
            "a grader may take the last",
        ),
        Case("cheat", "number alone", gold, "the gold echoed from the question, in no layout"),
        Case("cheat", "question repeated", question, "the gold is in it"),
        Case(
            "cheat",
            "question as thinking",
            asked("", question),
            "the gold is in it, and the tags are there",
        ),
        Case("cheat", "question as answer", asked(question), "the gold is within the tags"),
        Case("cheat", "over-long", asked(gold) + " and so on" * 500, "it was cut off", True),
        Case("cheat", "cut off", asked(gold), "it looks whole, but was cut off", True),
        Case("cheat", "answer in a loop", asked(gold) + f"\n{block(gold)}" * 50, "repetition"),
        Case("cheat", "layout in a loop", "\n".join([asked(gold)] * 50), "repetition"),
        Case(
            "cheat",
            "answer in the thinking",
            f"{think}\nIt is {block(gold)}.\n{thought}",
            "nothing was answered",
        ),
        Case(
            "cheat",
            "thought, not answered",
            asked("", f"It is {gold}."),
            "the answer's place is empty",
        ),
        Case(
            "cheat",
            "thinking unclosed",
            f"{think}\n{_WORK}\n{block(gold)}",
            "all of it is thinking",
        ),
        Case(
            "cheat",
            "answer unclosed",
            asked(gold).removesuffix(closing),
            "the closing tag is missing",
        ),
        Case("cheat", "answer in an answer", asked(block(gold)), "nested tags"),
        Case(
            "cheat", "thinking in the answer", asked(f"{think}{gold}{thought}", ""), "nested tags"
        ),
    ]
    for order, (a, b) in {"wrong, right": (other, gold), "right, wrong": (gold, other)}.items():
        found.append(Case("cheat", f"two tags: {order}", f"{asked(a)}\n{block(b)}", "two guesses"))
        found.append(
            Case(
                "cheat",
                f"two layouts: {order}",
                f"{asked(a)}\n{asked(b)}",
                "two guesses, each thought about",
            )
        )
        found.append(Case("cheat", f"two in one: {order}", asked(f"{a} or {b}"), "two guesses"))
        found.append(
            Case(
                "cheat",
                f"two boxes: {order}",
                asked(f"\\boxed{{{a}}} \\boxed{{{b}}}"),
                "two guesses",
            )
        )
    if value:
        found.append(Case("wrong", "sign dropped", asked(_plain(-value)), "7 for -7"))
    if sum(map(str.isdigit, plain)) > 1:
        found.append(Case("wrong", "first digits", asked(plain[:-1]), "102 for 1024"))
    return found


def scored(spec: list, layout: Format) -> list[Scored]:
    """The suite of every gold, paid by the rewards of `spec` (see `registry.find`)."""
    found = []
    for gold in GOLDS:
        suite = cases(layout, gold, QUESTION.format(gold))
        context = (
            [c.completion for c in suite],
            [gold] * len(suite),
            layout,
            [c.truncated for c in suite],
        )
        parts, totals = registry.parts(spec, *context), registry.total(spec, *context)
        found += [
            Scored(gold, c, {name: p[n] for name, p in parts.items()}, totals[n])
            for n, c in enumerate(suite)
        ]
    return found


def lint(spec: list, layout: Format) -> list[Finding]:
    """What is wrong with the rewards of `spec` in a layout; of each rule and pair of cases only the first gold."""
    found: dict[tuple, Finding] = {}

    def report(rule: str, gold: str, *scores: tuple[str, float]) -> None:
        found.setdefault(
            (rule, *(name for name, _ in scores)), Finding(rule, layout.name, gold, scores)
        )

    suite = scored(spec, layout)
    for gold in GOLDS:
        kinds: dict[str, list[tuple[str, float]]] = {}
        for s in suite:
            if s.gold == gold:
                kinds.setdefault(s.case.kind, []).append((s.case.name, s.total))
        least_right, least_wrong = (
            min(kinds[kind], key=lambda pair: pair[1]) for kind in ("right", "wrong")
        )
        best_wrong, best_empty = (
            max(kinds[kind], key=lambda pair: pair[1]) for kind in ("wrong", "empty")
        )
        if least_right[1] <= best_wrong[1]:
            report("right > wrong", gold, least_right, best_wrong)
        if least_wrong[1] < best_empty[1]:
            report("wrong >= empty", gold, least_wrong, best_empty)
        for cheat in kinds["cheat"]:
            if least_right[1] <= cheat[1]:
                report("right > cheat", gold, least_right, cheat)
            elif least_wrong[1] < cheat[1]:
                report("wrong >= cheat", gold, least_wrong, cheat)
    for name, _, pay in spec:
        paid = {s.parts[name] for s in suite}
        if len(paid) == 1:
            report("no reward is constant", "any", (f"{name} of every case", paid.pop()))
        for pair in _half_seen(name, pay, layout):
            report("both tags of a pair count", GOLDS[0], *pair)
    return [*found.values()]


def _half_seen(name: str, pay: Callable, layout: Format) -> list[tuple[tuple[str, float], ...]]:
    """Where doubling one tag of a pair changes what a reward of layout pays, and doubling the other does not.

    So unsloth's `<answerr>` shows, which is one of four tags that are counted: the others keep their sum from being constant.
    """
    if layout.answer[0] == registry.BOX:  # a brace is no tag
        return []
    suite, pairs = (
        {c.name: c.completion for c in cases(layout, GOLDS[0], "")},
        (layout.thinking, layout.answer),
    )
    texts = [suite["right as asked"], suite["wrong as asked"]]
    texts += [texts[0].replace(tag, tag * 2) for pair in pairs for tag in pair]
    right, wrong, *doubled = pay(
        texts, golds=[GOLDS[0]] * len(texts), layout=layout, truncated=[False] * len(texts)
    )
    if right != wrong:  # a reward of answers may read the tags as it likes
        return []
    found = []
    for pair, scores in zip(pairs, (doubled[:2], doubled[2:]), strict=True):
        if scores.count(right) == 1:
            found.append(
                (
                    (f"{name} of right as asked", right),
                    (f"{name} with {pair[scores.index(right)]} twice", right),
                )
            )
    return found


def _plain(value: Fraction) -> str:
    return f"{float(value):.10g}"
