"""Tries a set of rewards on answers that cheat, before a model does.

There is a fixed suite of completions for each gold answer, and an order in which they must be paid:
right > wrong >= empty, right > every cheat, and wrong >= every cheat, each held against the least
paid right or wrong answer. So a cheat that is laid out as asked may earn what an honest wrong
answer earns, never more. The right and the wrong ones are all laid out as asked. Besides, no reward
may be constant, or see one tag of a pair and not the other.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from lib.grading import exact, latex
from lib.grading.formats import Format
from lib.rewards import registry
from lib.rewards.batch import Batch
from lib.rewards.format import asks_for_box
from lib.rewards.registry import WeightedReward

GOLDS = ("5", "1,200", "1024", "-7", "0.5", "100", "0", "40 cm")
QUESTION = "A counter shows {}. It goes up by 2, then down by 2. What does it show?"
WORK = "2 up and 2 down change nothing, so it shows what it did."


class Case(NamedTuple):
    """A completion to try, its kind (right, wrong, empty, cheat), and why it is in the suite."""

    kind: str
    name: str
    completion: str
    reason: str
    truncated: bool = False


class ScoredCase(NamedTuple):
    """A case for a gold answer, what each reward pays before its weight, and the weighted sum."""

    gold: str
    case: Case
    parts: dict[str, float]
    total: float


NamedScore = tuple[str, float]  # what is paid, a case or a reward, in words, and its score


@dataclass(frozen=True)
class Finding:
    """A rule that is broken in a layout, with the scores that show it.

    They are those of two cases in the wrong order, or the one score of a constant reward.
    """

    rule: str
    layout: str
    gold: str
    scores: tuple[NamedScore, ...]

    def __str__(self) -> str:
        earned = " and ".join(f"{name} earns {score:g}" for name, score in self.scores)
        return f"{self.layout}, gold {self.gold}: {earned}; the rule is {self.rule}"


class _Writer:
    """Writes completions in one layout."""

    def __init__(self, layout: Format):
        self.thinking_opening, self.thinking_closing = layout.thinking
        self.opening, self.closing = layout.answer
        self.has_box = asks_for_box(layout)

    def block(self, answer: str) -> str:
        """An answer between its tags, or in its box."""
        return f"{self.opening}{answer}{self.closing}"

    def whole(self, answer: str, work: str = WORK) -> str:
        """A completion as it is asked for."""
        block = self.block(answer)
        if self.has_box:
            return f"{work}\n{block}"
        return f"{self.thinking_opening}\n{work}\n{self.thinking_closing}\n{block}"


def cases(layout: Format, gold: str, question: str) -> list[Case]:
    """The suite for one gold answer and a question that holds it.

    The gold answer is a number that may have a sign, commas and a unit.
    """
    writer = _Writer(layout)
    value = exact.number(latex.canonical(gold)).value
    suite = _right(writer, gold, value)
    suite += _wrong(writer, value)
    suite += _empty()
    suite += _without_answer(writer, gold)
    suite += _many_guesses(writer, gold, value)
    suite += _echoes(writer, gold, question)
    suite += _never_ending(writer, gold)
    suite += _misplaced(writer, gold)
    suite += _two_answers(writer, gold, value)
    suite += _wrong_for_some_golds(writer, value)
    return suite


def _right(writer: _Writer, gold: str, value: Fraction) -> list[Case]:
    plain_gold = _plain(value)
    with_commas = re.sub(r"(?<=\d)(?=(\d{3})+$)", ",", plain_gold)
    with_dollar = re.sub(r"(?=\d)", "$", plain_gold, count=1)
    in_box = gold if writer.has_box else f"\\boxed{{{gold}}}"
    formula = f"${plain_gold}$"
    with_unit = f"{plain_gold} apples"
    no_comma_no_unit = "without the commas or the unit that a gold may have"
    return [
        Case("right", "right as asked", writer.whole(gold), "what is wanted"),
        Case("right", "right, plain", writer.whole(plain_gold), no_comma_no_unit),
        Case("right", "right with commas", writer.whole(with_commas), "1,200 is 1200"),
        Case(
            "right",
            "right with a dollar sign",
            writer.whole(with_dollar),
            "a price is that number",
        ),
        Case("right", "right as a formula", writer.whole(formula), "models write numbers so"),
        Case("right", "right with a full stop", writer.whole(f"{gold}."), "18. is 18"),
        Case("right", "right with a unit", writer.whole(with_unit), "18 apples are 18"),
        Case("right", "right in a box", writer.whole(in_box), "models do so"),
    ]


def _wrong(writer: _Writer, value: Fraction) -> list[Case]:
    mistake = _plain(value + 13)
    near_miss = _plain(value * 19 / 20) if value else "0.05"
    longer = f"{_plain(value)}1"
    return [
        Case("wrong", "wrong as asked", writer.whole(mistake), "an honest mistake"),
        Case("wrong", "near miss", writer.whole(near_miss), "95 for 100"),
        Case(
            "wrong",
            "digits behind",
            writer.whole(longer),
            "10241 for 1024, which is in it",
        ),
    ]


def _empty() -> list[Case]:
    return [
        Case("empty", "nothing", "", "silence must not pay"),
        Case("empty", "white space", " \n\t\n", "nor what looks like it"),
    ]


def _without_answer(writer: _Writer, gold: str) -> list[Case]:
    turned_round = f"{writer.closing}{gold}{writer.opening}"
    return [
        Case("cheat", "tags only", writer.whole("", ""), "the layout without a word in it"),
        Case(
            "cheat",
            "tags around dots",
            writer.whole("...", "..."),
            "the layout without an answer in it",
        ),
        Case("cheat", "tags turned round", turned_round, "each is there once"),
    ]


def _many_guesses(writer: _Writer, gold: str, value: Fraction) -> list[Case]:
    guesses = [_plain(value + 4), _plain(value + 3), _plain(value + 2), _plain(value + 1), gold]
    each_in_tags = "\n".join(writer.block(guess) for guess in guesses)
    sentence = f"It could be {' or maybe '.join(guesses)}"
    return [
        Case("cheat", "a tag for each number", each_in_tags, "many guesses"),
        Case(
            "cheat",
            "numbers listed by commas",
            writer.whole(", ".join(guesses)),
            "many guesses, the gold among them",
        ),
        Case(
            "cheat",
            "numbers listed by lines",
            writer.whole("\n".join(guesses)),
            "many guesses, the gold the last",
        ),
        Case(
            "cheat",
            "numbers listed by equals signs",
            writer.whole(" = ".join(guesses)),
            "math-verify takes the last",
        ),
        Case(
            "cheat",
            "numbers in a sentence",
            writer.whole(sentence),
            "a grader may take the last",
        ),
    ]


def _echoes(writer: _Writer, gold: str, question: str) -> list[Case]:
    return [
        Case("cheat", "number alone", gold, "the gold echoed from the question, in no layout"),
        Case("cheat", "question repeated", question, "the gold is in it"),
        Case(
            "cheat",
            "question as thinking",
            writer.whole("", question),
            "the gold is in it, and the tags are there",
        ),
        Case(
            "cheat",
            "question as answer",
            writer.whole(question),
            "the gold is within the tags",
        ),
    ]


def _never_ending(writer: _Writer, gold: str) -> list[Case]:
    right = writer.whole(gold)
    looped_answer = right + f"\n{writer.block(gold)}" * 50
    looped_layout = "\n".join([right] * 50)
    return [
        Case("cheat", "over-long", right + " and so on" * 500, "it was cut off", True),
        Case("cheat", "cut off", right, "it looks whole, but was cut off", True),
        Case("cheat", "answer in a loop", looped_answer, "repetition"),
        Case("cheat", "layout in a loop", looped_layout, "repetition"),
    ]


def _misplaced(writer: _Writer, gold: str) -> list[Case]:
    opening, closing = writer.thinking_opening, writer.thinking_closing
    block = writer.block(gold)
    return [
        Case(
            "cheat",
            "answer in the thinking",
            f"{opening}\nIt is {block}.\n{closing}",
            "nothing was answered",
        ),
        Case(
            "cheat",
            "thought, not answered",
            writer.whole("", f"It is {gold}."),
            "the answer's place is empty",
        ),
        Case(
            "cheat",
            "thinking unclosed",
            f"{opening}\n{WORK}\n{block}",
            "all of it is thinking",
        ),
        Case(
            "cheat",
            "answer unclosed",
            writer.whole(gold).removesuffix(writer.closing),
            "the closing tag is missing",
        ),
        Case("cheat", "answer in an answer", writer.whole(block), "nested tags"),
        Case(
            "cheat",
            "thinking in the answer",
            writer.whole(f"{opening}{gold}{closing}", ""),
            "nested tags",
        ),
    ]


def _two_answers(writer: _Writer, gold: str, value: Fraction) -> list[Case]:
    mistake = _plain(value + 1)
    suite = []
    for order, first, last in (("wrong, right", mistake, gold), ("right, wrong", gold, mistake)):
        two_tags = f"{writer.whole(first)}\n{writer.block(last)}"
        two_layouts = f"{writer.whole(first)}\n{writer.whole(last)}"
        in_one = writer.whole(f"{first} or {last}")
        two_boxes = writer.whole(f"\\boxed{{{first}}} \\boxed{{{last}}}")
        both_thought = "two guesses, each thought about"
        suite += [
            Case("cheat", f"two tags: {order}", two_tags, "two guesses"),
            Case("cheat", f"two layouts: {order}", two_layouts, both_thought),
            Case("cheat", f"two in one: {order}", in_one, "two guesses"),
            Case("cheat", f"two boxes: {order}", two_boxes, "two guesses"),
        ]
    return suite


def _wrong_for_some_golds(writer: _Writer, value: Fraction) -> list[Case]:
    suite = []
    plain_gold = _plain(value)
    if value:  # 0 has no other sign
        negated = writer.whole(_plain(-value))
        suite.append(Case("wrong", "sign dropped", negated, "7 for -7"))
    digits = re.findall(r"\d", plain_gold)
    if len(digits) > 1:
        shortened = writer.whole(plain_gold[:-1])
        suite.append(Case("wrong", "first digits", shortened, "102 for 1024"))
    return suite


def _plain(value: Fraction) -> str:
    """The number in digits: no commas and no unit."""
    return f"{float(value):.10g}"


def score(rewards: list[WeightedReward], layout: Format) -> list[ScoredCase]:
    """The suite of every gold answer, as the rewards pay it."""
    scored_cases = []
    for gold in GOLDS:
        question = QUESTION.format(gold)
        suite = cases(layout, gold, question)
        batch = Batch(
            texts=[case.completion for case in suite],
            golds=[gold] * len(suite),
            layout=layout,
            truncated=[case.truncated for case in suite],
        )
        scores_of = registry.parts(rewards, batch)
        totals = registry.total(rewards, scores_of)
        for index, case in enumerate(suite):
            parts = {name: scores[index] for name, scores in scores_of.items()}
            scored_cases.append(ScoredCase(gold, case, parts, totals[index]))
    return scored_cases


class _Report:
    """Collects findings in one layout; of each rule and pair of cases only the first gold's."""

    def __init__(self, layout: Format):
        self.layout = layout
        self.findings: dict[tuple[str, ...], Finding] = {}

    def add(self, rule: str, gold: str, *scores: NamedScore) -> None:
        scored_names = [name for name, _ in scores]
        finding = Finding(rule, self.layout.name, gold, scores)
        self.findings.setdefault((rule, *scored_names), finding)


def findings(rewards: list[WeightedReward], layout: Format) -> list[Finding]:
    """What is wrong with a set of rewards in a layout; empty if it pays in the right order."""
    report = _Report(layout)
    scored_cases = score(rewards, layout)
    for gold in GOLDS:
        cases_of_gold = [scored_case for scored_case in scored_cases if scored_case.gold == gold]
        _check_order(report, gold, cases_of_gold)
    for reward in rewards:
        distinct_scores = {scored_case.parts[reward.name] for scored_case in scored_cases}
        if len(distinct_scores) == 1:
            every_case = (f"{reward.name} of every case", distinct_scores.pop())
            report.add("no reward is constant", "any", every_case)
        for as_asked, doubled in _half_seen(reward, layout):
            report.add("both tags of a pair count", GOLDS[0], as_asked, doubled)
    return list(report.findings.values())


def _check_order(report: _Report, gold: str, scored_cases: list[ScoredCase]) -> None:
    """Report every pair of one gold's cases that is paid in the wrong order."""
    totals: dict[str, list[NamedScore]] = {}  # by the kind of the case
    for scored_case in scored_cases:
        case = scored_case.case
        totals.setdefault(case.kind, []).append((case.name, scored_case.total))

    def total(named_score: NamedScore) -> float:
        return named_score[1]

    least_right = min(totals["right"], key=total)
    least_wrong = min(totals["wrong"], key=total)
    best_wrong = max(totals["wrong"], key=total)
    best_empty = max(totals["empty"], key=total)
    if total(least_right) <= total(best_wrong):
        report.add("right > wrong", gold, least_right, best_wrong)
    if total(least_wrong) < total(best_empty):
        report.add("wrong >= empty", gold, least_wrong, best_empty)
    for cheat in totals["cheat"]:
        if total(least_right) <= total(cheat):
            report.add("right > cheat", gold, least_right, cheat)
        elif total(least_wrong) < total(cheat):
            report.add("wrong >= cheat", gold, least_wrong, cheat)


def _half_seen(reward: WeightedReward, layout: Format) -> list[tuple[NamedScore, NamedScore]]:
    """The scores as asked and with a tag doubled, for a pair of which the reward sees one tag.

    Only rewards of the layout are tried. They see a tag if doubling it changes what they pay. So
    unsloth's typo `<answerr>` shows, which is one of four tags that are counted: the others keep
    their sum from being constant.
    """
    if asks_for_box(layout):  # a brace is no tag
        return []
    gold = GOLDS[0]
    completion_of = {case.name: case.completion for case in cases(layout, gold, "")}
    right, wrong = completion_of["right as asked"], completion_of["wrong as asked"]
    texts = [right, wrong]
    for tag in (*layout.thinking, *layout.answer):
        texts.append(right.replace(tag, tag * 2))
    batch = Batch(texts, [gold] * len(texts), layout, truncated=[False] * len(texts))
    right_score, wrong_score, *doubled_scores = reward.pay(batch)
    if right_score != wrong_score:  # a reward of answers may read the tags as it likes
        return []
    as_asked = (f"{reward.name} of right as asked", right_score)
    scores_of_pairs = (doubled_scores[:2], doubled_scores[2:])
    half_seen = []
    for tag_pair, scores in zip((layout.thinking, layout.answer), scores_of_pairs, strict=True):
        if scores.count(right_score) == 1:
            unseen_tag = tag_pair[scores.index(right_score)]
            doubled = (f"{reward.name} with {unseen_tag} twice", right_score)
            half_seen.append((as_asked, doubled))
    return half_seen
