"""What a run's rows say in figures: counts, lengths, rewards and votes.

They are gathered in one pass over each file, and without the texts.
"""

import heapq
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from lib.inference.endings import LENGTH, STOP
from lib.quality import diversity
from lib.report.run_folder import RunFile, read
from lib.tiny import truth

# The share of well-formed problems from which on the embedded generator's parser has something to
# say about a run. Below it, the problems are another model's, of which it reads one by chance.
LEAST_WELL_FORMED = 0.1

Level = tuple[int, int]  # (votes, responses) of a problem


@dataclass
class Domain:
    """A domain's figures before refining.

    Lengths of problems are in words, those of responses in characters; rewards are raw.
    """

    name: str
    problems: int = 0
    well_formed: int = 0
    word_counts: list[int] = field(default_factory=list)
    curve: diversity.Curve | None = None
    # "answered" (once) or "sampled" (many times) -> the finish reasons of those responses
    finish_reasons: dict[str, Counter] = field(default_factory=dict)
    finished_lengths: list[int] = field(default_factory=list)
    truncated_lengths: list[int] = field(default_factory=list)
    best_rewards: list[float] = field(default_factory=list)  # one for each problem: its highest
    other_rewards: list[float] = field(default_factory=list)


@dataclass
class Votes:
    """What the responses of majority-voted problems agree on."""

    vote_levels: Counter[Level] = field(default_factory=Counter)  # problems with so many votes
    right_levels: Counter[Level] = field(default_factory=Counter)  # with so many right responses
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
        self.count = count
        self.rng = random.Random(seed)
        self.offered = 0
        # Heaps of (rank, -number, row): the number of a row is unique, so rows are never compared.
        self._best, self._worst = [], []
        self._random = []

    def offer(self, row: dict) -> None:
        """Take one more row into account."""
        self.offered += 1
        rewards = _rewards(row)
        if rewards:
            reward = max(rewards)
            self._keep_highest(self._best, reward, row)
            self._keep_highest(self._worst, -reward, row)
        # Reservoir sampling (Vitter 1985): each row has the same chance, however many follow.
        if len(self._random) < self.count:
            self._random.append(row)
            return
        drawn = self.rng.randrange(self.offered)
        if drawn < self.count:
            self._random[drawn] = row

    def groups(self) -> dict[str, list[dict]]:
        """Their rows by "best", "worst" and "random", without groups that are empty."""
        groups = {
            "best": _rows_from_highest(self._best),
            "worst": _rows_from_highest(self._worst),
            "random": self._random,
        }
        return {group: examples for group, examples in groups.items() if examples}

    def _keep_highest(self, heap: list, rank: float, row: dict) -> None:
        heapq.heappush(heap, (rank, -self.offered, row))
        if len(heap) > self.count:
            heapq.heappop(heap)


def _rewards(row: dict) -> list[float]:
    """The rewards of the responses that have one."""
    return [score for score in row.get("scores") or () if score is not None]


def _rows_from_highest(heap: list[tuple[float, int, dict]]) -> list[dict]:
    return [row for _, _, row in sorted(heap, reverse=True)]


def count_domain(name: str, files: dict[str, RunFile], examples: Examples | None) -> Domain:
    """A domain's figures from its files by kind, of which "problems" must be there.

    `examples` is offered the rows with responses.
    """
    domain = Domain(name)
    _count_problems(domain, files["problems"])
    if "answered" in files:
        answered_rows = read(files["answered"], ("finish_reason",))
        finish_reasons = Counter(row["finish_reason"] for row in answered_rows)
        domain.finish_reasons["answered"] = finish_reasons
    # The ranked rows are the sampled ones and their scores.
    sampled_file = files.get("ranked") or files.get("sampled")
    if sampled_file:
        _count_responses(domain, sampled_file, examples)
    return domain


def together(domains: list[Domain]) -> Domain:
    """The figures of all domains as those of one, without a curve."""
    whole = Domain("all")
    for domain in domains:
        whole.problems += domain.problems
        whole.well_formed += domain.well_formed
        whole.word_counts += domain.word_counts
        whole.best_rewards += domain.best_rewards
        whole.other_rewards += domain.other_rewards
        for kind, finish_reasons in domain.finish_reasons.items():
            whole.finish_reasons.setdefault(kind, Counter()).update(finish_reasons)
        whole.finished_lengths += domain.finished_lengths
        whole.truncated_lengths += domain.truncated_lengths
    return whole


def count_pairs(pairs: RunFile) -> dict[str, list[float]]:
    """The rewards of both sides of preference pairs, where they were ranked."""
    rewards = {"chosen": [], "rejected": []}
    for pair in read(pairs, ("chosen_score", "rejected_score")):
        for side, side_rewards in rewards.items():
            score = pair[f"{side}_score"]
            if score is not None:
                side_rewards.append(score)
    return rewards


def count_votes(voted_rows: Iterable[dict], examples: Examples) -> Votes:
    """The votes' figures from majority-voted rows; `examples` is offered each."""
    votes = Votes()
    marked_answers = []
    for row in voted_rows:
        marks = row["marks"]
        # The file has shares, rounded to four digits.
        responses = len(marks)
        agreeing = round(row["agreement"] * responses)
        right = round(row["difficulty"] * responses)
        votes.vote_levels[agreeing, responses] += 1
        votes.right_levels[right, responses] += 1
        votes.marks.setdefault(row.get("domain", ""), Counter()).update(marks)
        if row.get("scores"):
            for mark, score in zip(marks, row["scores"], strict=True):
                rewards = votes.right_rewards if mark == "right" else votes.wrong_rewards
                if score is not None:
                    rewards.append(score)
        # Without the responses, which would not fit in memory.
        marked_answer = {"instruction": row["instruction"], "answer": row["answer"], "marks": marks}
        marked_answers.append(marked_answer)
        examples.offer(row)
    votes.precision = truth.vote_precision(marked_answers)
    return votes


def _count_problems(domain: Domain, problems: RunFile) -> None:
    problem_texts = []
    for row in read(problems, ("instruction",)):
        problem = row["instruction"]
        problem_texts.append(problem)
        domain.word_counts.append(len(problem.split()))
        domain.well_formed += truth.domain_of(problem) == domain.name
    domain.problems = len(problem_texts)
    if problem_texts:
        domain.curve = diversity.curve(problem_texts)


def _count_responses(domain: Domain, sampled_file: RunFile, examples: Examples | None) -> None:
    reason_counts = domain.finish_reasons.setdefault("sampled", Counter())
    for row in read(sampled_file, ("instruction", "responses", "finish_reasons")):
        finish_reasons = row["finish_reasons"]
        reason_counts.update(finish_reasons)
        for response, finish_reason in zip(row["responses"], finish_reasons, strict=True):
            if finish_reason == STOP:
                domain.finished_lengths.append(len(response))
            elif finish_reason == LENGTH:
                domain.truncated_lengths.append(len(response))
        rewards = sorted(_rewards(row), reverse=True)
        domain.best_rewards += rewards[:1]
        domain.other_rewards += rewards[1:]
        if examples:
            examples.offer(row)
