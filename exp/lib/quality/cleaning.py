"""What cleaning decides on each row: a broken rule, a benchmark's question, a repeat, or kept.

An `Examiner` says what can be said of a text alone, in as many processes as there are cores. A
`Decider` then compares each row with the rows before it, one after the other.
"""

from pathlib import Path
from typing import NamedTuple

from lib import provenance
from lib.quality import contamination, duplicates, rules
from lib.quality.wording import normalised

CASES = Path(__file__).with_name("cleaning_cases.jsonl")


class Finding(NamedTuple):
    """Of a text alone: the rule that it breaks, or else the benchmark's question that it is."""

    broken_rule: str | None
    hit: contamination.Hit | None


class Decision(NamedTuple):
    """Why a row is dropped (None: kept), what it repeats, and how alike both are, 0 to 1."""

    why: str | None = None
    partner: dict | None = None  # place, instruction
    score: float | None = None


class Examiner:
    """Examines texts by the rules and against the questions (FILE:LINE, text) of benchmarks."""

    def __init__(
        self,
        limits: rules.Limits,
        skipped_rules: frozenset[str],
        questions: list[tuple[str, str]],
        same_numbers: bool,
    ):
        self.limits = limits
        self.skipped_rules = skipped_rules
        self.benchmarks = None  # the search is left out where there is nothing to find
        if questions:
            self.benchmarks = contamination.Benchmarks(questions, same_numbers)

    def examine(self, texts: list[str]) -> list[Finding]:
        return [self._examine_one(text) for text in texts]

    def _examine_one(self, text: str) -> Finding:
        broken_rule = rules.first_broken_rule(text, self.limits, self.skipped_rules)
        hit = None
        if self.benchmarks and not broken_rule:
            hit = self.benchmarks.find(text)
        return Finding(broken_rule, hit)


class Decider:
    """Decides on all rows of a run, in their order: a row may repeat one before it."""

    def __init__(self):
        self.compared_texts = duplicates.KeptTexts()
        self.places: list[str] = []  # of all rows up to now
        # The questions of the rows that are in a benchmark. Later rows are compared with these rows
        # too, and a near-duplicate of one is in that benchmark.
        self.questions: dict[int, dict] = {}

    def decide(
        self, placed_texts: list[tuple[str, str]], findings: list[Finding]
    ) -> list[Decision]:
        """The decisions on the next rows, each given as (FILE:LINE, text)."""
        # A row that broke a rule is compared with no other, and later rows not with it: None.
        sound_texts: list[str | None] = []
        for (_, text), finding in zip(placed_texts, findings, strict=True):
            sound_texts.append(None if finding.broken_rule else text)
        matches = self.compared_texts.match(sound_texts)
        decisions = []
        for (place, text), finding, match in zip(placed_texts, findings, matches, strict=True):
            self.places.append(place)
            decisions.append(self._decide_on_newest(text, finding, match))
        return decisions

    def _decide_on_newest(
        self, text: str, finding: Finding, match: duplicates.Match | None
    ) -> Decision:
        """The decision on the newest row, whose place is the last one of `places`."""
        if finding.broken_rule:
            return Decision(finding.broken_rule)
        if finding.hit:
            hit = finding.hit
            question = {"place": hit.place, "instruction": hit.question}
            last_row = len(self.places) - 1
            self.questions[last_row] = question
            return Decision("in benchmark", question, hit.score)
        if match is None:
            return Decision()
        score = round(match.score, 4)
        if match.partner in self.questions:
            question = self.questions[match.partner]
            return Decision("in benchmark", question, score)
        partner = {"place": self.places[match.partner], "instruction": match.text}
        if normalised(text) == normalised(match.text):
            return Decision("repeat", partner, score)
        return Decision("near-duplicate", partner, score)


def version() -> str:
    """A hash of what cleaning decides, so that no interrupted run is finished by other rules.

    A decision that changes on none of the cases is not noticed: who changes a rule adds a case.
    """
    return provenance.decisions_hash(CASES, decide_case)


def decide_case(case: dict) -> list[list]:
    """[why, partner's place, score] of each of a case's `texts`, against its `questions`."""
    texts = case["texts"]
    questions = _numbered("question", case.get("questions", []))
    same_numbers = case.get("same_numbers", False)
    nothing_skipped: frozenset[str] = frozenset()
    examiner = Examiner(rules.Limits(), nothing_skipped, questions, same_numbers)
    findings = examiner.examine(texts)
    placed_texts = _numbered("text", texts)
    outcomes = []
    for why, partner, score in Decider().decide(placed_texts, findings):
        partner_place = partner["place"] if partner else None
        outcomes.append([why, partner_place, score])
    return outcomes


def _numbered(label: str, texts: list[str]) -> list[tuple[str, str]]:
    """(`LABEL 1`, text), (`LABEL 2`, text), …, as rows of a file would be placed."""
    return [(f"{label} {number}", text) for number, text in enumerate(texts, 1)]
