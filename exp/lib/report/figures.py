"""What a run's rows say in figures: counts, lengths, rewards and votes.

They are gathered in one pass over each file, and without the texts.
"""

import heapq
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from lib.quality import diversity
from lib.report.run_folder import RunFile, read
from lib.tiny import truth

# The share of well-formed problems from which on the generator's parser speaks of a run. Below it,
# the problems are another model's, of which the parser reads one by chance.
READABLE = 0.1

Level = tuple[int, int]  # (votes, responses) of a problem


@dataclass
class Domain:
    """A domain's figures before refining.

    Lengths of problems are in words, those of responses in characters; rewards are raw.
    """

    name: str
    problems: int = 0
    well_formed: int = 0
    words: list[int] = field(default_factory=list)
    curve: diversity.Curve | None = None
    # "answered" or "sampled" -> the finish reasons of those responses
    ends: dict[str, Counter] = field(default_factory=dict)
    finished_lengths: list[int] = field(default_factory=list)
    truncated_lengths: list[int] = field(default_factory=list)
    best: list[float] = field(default_factory=list)  # the reward of each problem's best response
    others: list[float] = field(default_factory=list)


@dataclass
class Votes:
    """What the responses of majority-voted problems agree on."""

    levels: Counter[Level] = field(default_factory=Counter)  # problems with so many votes
    right: Counter[Level] = field(default_factory=Counter)  # problems with so many right responses
    marks: dict[str, Counter] = field(default_factory=dict)  # domain -> mark -> responses
    right_rewards: list[float] = field(default_factory=list)
    wrong_rewards: list[float] = field(default_factory=list)
    # (true answers, problems), as lib.tiny.truth.vote_precision counts them
    precision: dict[Level, tuple[int, int]] = field(default_factory=dict)


class Examples:
    """`count` problems of the highest reward, `count` of the lowest, and as many at random.

    A problem's reward is that of its best response; of equal ones the earlier problem is taken.
    """

    def __init__(self, count: int, seed: int):
        self.count, self.rng = count, random.Random(seed)
        self.offered = 0
        self._best, self._worst = [], []  # heaps of (rank, -number, row)
        self._random = []

    def offer(self, row: dict) -> None:
        """One more row."""
        self.offered += 1
        if row.get("scores"):
            reward = max(row["scores"])
            self._keep_highest(self._best, reward, row)
            self._keep_highest(self._worst, -reward, row)
        # Reservoir sampling (Vitter 1985): each row has the same chance, however many follow.
        if len(self._random) < self.count:
            self._random.append(row)
        else:
            place = self.rng.randrange(self.offered)
            if place < self.count:
                self._random[place] = row

    def groups(self) -> dict[str, list[dict]]:
        """Their rows by "best", "worst" and "random", without groups that are empty."""
        groups = {
            "best": [row for _, _, row in sorted(self._best, reverse=True)],
            "worst": [row for _, _, row in sorted(self._worst, reverse=True)],
            "random": self._random,
        }
        return {name: examples for name, examples in groups.items() if examples}

    def _keep_highest(self, heap: list, rank: float, row: dict) -> None:
        heapq.heappush(heap, (rank, -self.offered, row))
        if len(heap) > self.count:
            heapq.heappop(heap)


def count_domain(name: str, files: dict[str, RunFile], examples: Examples | None) -> Domain:
    """A domain's figures from its files by kind, of which "problems" must be there.

    `examples` is offered the rows with responses.
    """
    domain = Domain(name)
    _count_problems(domain, files["problems"])
    if "answered" in files:
        rows = read(files["answered"], ("finish_reason",))
        domain.ends["answered"] = Counter(row["finish_reason"] for row in rows)
    many = files.get("ranked") or files.get("sampled")
    if many:
        _count_responses(domain, many, examples)
    return domain


def together(domains: list[Domain]) -> Domain:
    """The figures of all domains as those of one, without a curve."""
    whole = Domain("all")
    for domain in domains:
        whole.problems += domain.problems
        whole.well_formed += domain.well_formed
        whole.words += domain.words
        whole.best += domain.best
        whole.others += domain.others
        for kind, finish_reasons in domain.ends.items():
            whole.ends.setdefault(kind, Counter()).update(finish_reasons)
        whole.finished_lengths += domain.finished_lengths
        whole.truncated_lengths += domain.truncated_lengths
    return whole


def count_pairs(pairs: RunFile) -> dict[str, list[float]]:
    """The rewards of both sides of preference pairs, where they were ranked."""
    rewards = {"chosen": [], "rejected": []}
    for row in read(pairs, ("chosen_score", "rejected_score")):
        for side, values in rewards.items():
            if row[f"{side}_score"] is not None:
                values.append(row[f"{side}_score"])
    return rewards


def count_votes(voted_rows: Iterable[dict], examples: Examples) -> Votes:
    """The votes' figures from majority-voted rows; `examples` is offered each."""
    votes = Votes()
    answers = []
    for row in voted_rows:
        marks = row["marks"]
        votes.levels[round(row["agreement"] * len(marks)), len(marks)] += 1
        votes.right[round(row["difficulty"] * len(marks)), len(marks)] += 1
        votes.marks.setdefault(row.get("domain", ""), Counter()).update(marks)
        if row.get("scores"):
            for mark, score in zip(marks, row["scores"], strict=True):
                rewards = votes.right_rewards if mark == "right" else votes.wrong_rewards
                rewards.append(score)
        answers.append({key: row[key] for key in ("instruction", "answer", "marks")})
        examples.offer(row)
    votes.precision = truth.vote_precision(answers)
    return votes


def _count_problems(domain: Domain, problems: RunFile) -> None:
    texts = []
    for row in read(problems, ("instruction",)):
        texts.append(row["instruction"])
        domain.words.append(len(row["instruction"].split()))
        domain.well_formed += truth.domain_of(row["instruction"]) == domain.name
    domain.problems = len(texts)
    if texts:
        domain.curve = diversity.curve(texts)


def _count_responses(domain: Domain, file: RunFile, examples: Examples | None) -> None:
    finish_reasons = domain.ends.setdefault("sampled", Counter())
    for row in read(file, ("instruction", "responses", "finish_reasons")):
        finish_reasons.update(row["finish_reasons"])
        for text, finish_reason in zip(row["responses"], row["finish_reasons"], strict=True):
            if finish_reason == "length":
                domain.truncated_lengths.append(len(text))
            else:
                domain.finished_lengths.append(len(text))
        ranked = sorted(row.get("scores") or (), reverse=True)
        domain.best += ranked[:1]
        domain.others += ranked[1:]
        if examples:
            examples.offer(row)
