"""What a run's rows say in figures: counts, lengths, rewards and votes, gathered in one pass and without the texts."""

import heapq
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from lib.quality import diversity
from lib.report.run_folder import Made, read
from lib.tiny import truth
from lib.tiny.problems import parse

READABLE = 0.1  # the share of problems from which on the generator's parser speaks of a run; of others it reads one by chance


@dataclass
class Domain:
    """A domain's figures before refining; lengths of problems in words, of responses in characters, rewards raw."""

    name: str
    problems: int = 0
    well_formed: int = 0
    words: list[int] = field(default_factory=list)
    curve: diversity.Curve | None = None
    ends: dict[str, Counter] = field(
        default_factory=dict
    )  # "answered", "sampled" -> finish reasons of responses
    lengths: dict[str, list[int]] = field(default_factory=lambda: {"finished": [], "truncated": []})
    best: list[float] = field(default_factory=list)  # the reward of each problem's best response
    others: list[float] = field(default_factory=list)


@dataclass
class Votes:
    """What the responses of verified problems agree on."""

    levels: Counter = field(default_factory=Counter)  # (votes, responses) -> problems
    right: Counter = field(default_factory=Counter)  # (right responses, responses) -> problems
    marks: dict[str, Counter] = field(default_factory=dict)  # domain -> mark -> responses
    rewards: dict[str, list[float]] = field(default_factory=lambda: {"right": [], "wrong": []})
    precision: dict[tuple[int, int], tuple[int, int]] = field(
        default_factory=dict
    )  # as lib/tiny/truth says


class Examples:
    """The `count` problems whose best response has the highest reward, the lowest, and as many at random."""

    def __init__(self, count: int, seed: int):
        self.count, self.rng, self.seen = count, random.Random(seed), 0
        self._best: list[tuple] = []
        self._worst: list[tuple] = []
        self.random: list[dict] = []

    def offer(self, row: dict) -> None:
        """One more row; ties are won by the earlier one."""
        self.seen += 1
        if row.get("scores"):
            for heap, sign in ((self._best, 1), (self._worst, -1)):
                heapq.heappush(heap, (sign * max(row["scores"]), -self.seen, row))
                if len(heap) > self.count:
                    heapq.heappop(heap)
        if len(self.random) < self.count:
            self.random.append(row)
        elif (place := self.rng.randrange(self.seen)) < self.count:
            self.random[place] = row

    def groups(self) -> dict[str, list[dict]]:
        """Their rows, the best first and the worst first."""
        best, worst = (
            [row for _, _, row in sorted(heap, reverse=True)] for heap in (self._best, self._worst)
        )
        return {
            name: found
            for name, found in (("best", best), ("worst", worst), ("random", self.random))
            if found
        }


def of_domain(name: str, files: dict[str, Made], examples: Examples | None) -> Domain:
    """A domain's figures from its files by kind, of which `problems` is there; `examples` is offered the rows with responses."""
    found, texts = Domain(name), []
    for row in read(files["problems"], ("instruction",)):
        texts.append(row["instruction"])
        problem = parse(row["instruction"])
        found.well_formed += bool(problem and problem.domain == name)
    found.problems, found.words = len(texts), [len(text.split()) for text in texts]
    found.curve = diversity.curve(texts) if texts else None
    if "answered" in files:
        found.ends["answered"] = Counter(
            row["finish_reason"] for row in read(files["answered"], ("finish_reason",))
        )
    many = files.get("ranked") or files.get("sampled")
    for row in read(many, ("instruction", "responses", "finish_reasons")) if many else ():
        found.ends.setdefault("sampled", Counter()).update(row["finish_reasons"])
        for text, end in zip(row["responses"], row["finish_reasons"], strict=True):
            found.lengths["truncated" if end == "length" else "finished"].append(len(text))
        ranked = sorted(row.get("scores") or (), reverse=True)
        found.best += ranked[:1]
        found.others += ranked[1:]
        if examples:
            examples.offer(row)
    return found


def of_pairs(pairs: Made) -> dict[str, list[float]]:
    """The rewards of both sides of preference pairs, where they were ranked."""
    found: dict[str, list[float]] = {"chosen": [], "rejected": []}
    for row in read(pairs, ("chosen_score", "rejected_score")):
        for side, values in found.items():
            values += [score for score in (row[f"{side}_score"],) if score is not None]
    return found


def of_votes(verified: Iterable[dict], examples: Examples) -> Votes:
    """The votes' figures from verified rows; `examples` is offered each."""
    found, read_back = Votes(), []
    for row in verified:
        marks = row["marks"]
        found.levels[round(row["agreement"] * len(marks)), len(marks)] += 1
        found.right[round(row["difficulty"] * len(marks)), len(marks)] += 1
        found.marks.setdefault(row.get("domain", ""), Counter()).update(marks)
        for mark, score in zip(marks, row.get("scores") or (), strict=bool(row.get("scores"))):
            found.rewards["right" if mark == "right" else "wrong"].append(score)
        read_back.append({key: row[key] for key in ("instruction", "answer", "marks")})
        examples.offer(row)
    found.precision = truth.precision(read_back)
    return found
