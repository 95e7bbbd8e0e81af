"""Scores of sampled answers and how sure they are: avg@n, pass@k, maj@k, intervals, and paired tests of two models.

`counts` is everywhere one (right samples, samples) per problem. Scores are shares from 0 to 1. The problem is the unit that
intervals and tests draw anew: samples of one problem are alike, and counting each as independent would make intervals too short.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

FEWEST = 6  # problems that must change before a difference is more than noise: of five, all one way, 1 in 16 is chance
Counts = Sequence[tuple[int, int]]


def _shares(counts: Counts) -> list[float]:
    """right / samples of each problem; ValueError where there is nothing to divide."""
    if not counts:
        raise ValueError("no problems to score")
    if any(not 0 <= right <= samples or samples < 1 for right, samples in counts):
        raise ValueError(
            "each problem needs at least one sample and between none and all of them right"
        )
    return [right / samples for right, samples in counts]


def avg_at_n(counts: Counts) -> float:
    """Mean over problems of right / samples: the expected accuracy of one sample (pass@1, Chen et al. 2021, arXiv 2107.03374)."""
    shares = _shares(counts)
    return math.fsum(shares) / len(shares)


def pass_at_k(counts: Counts, k: int) -> float:
    """Mean over problems of 1 - C(n-c, k) / C(n, k): the chance that at least one of k samples is right, without bias.

    c of a problem's n samples are right; 1 - (1 - c/n)^k would be too low (Chen et al. 2021, arXiv 2107.03374, eq. 1).
    ValueError if k is below 1 or above the samples of any problem.
    """
    _shares(counts)
    fewest = min(samples for _, samples in counts)
    if not 1 <= k <= fewest:
        raise ValueError(
            f"pass@{k} needs k from 1 to the samples per problem, of which one problem has {fewest}"
        )
    return math.fsum(1 - math.comb(n - c, k) / math.comb(n, k) for c, n in counts) / len(counts)


def vote(answers: Sequence[str | None], equal: Callable[[str, str], bool]) -> list[list[int]]:
    """The classes of equal answers as lists of indices, largest first, equally large ones by first appearance.

    An answer joins the first class whose first member it is `equal` to; the same text always votes together. None has no vote.
    """
    classes: list[list[int]] = []
    class_of: dict[str, list[int]] = {}  # `equal` may parse both sides: each text is judged once
    for index, answer in enumerate(answers):
        if answer is None:
            continue
        if answer not in class_of:
            match = next(
                (members for members in classes if equal(answers[members[0]], answer)), None
            )
            if match is None:
                classes.append(match := [])
            class_of[answer] = match
        class_of[answer].append(index)
    return sorted(classes, key=len, reverse=True)


def maj_at_k(
    votes: Sequence[Sequence[str | None]],
    golds: Sequence[str],
    k: int,
    equal: Callable[[str, str], bool],
) -> float:
    """Mean over problems of whether the majority answer of the first k samples is right (self-consistency).

    A tie of the t largest classes is drawn by lot, so it earns its expected credit: 1/t if one of them equals gold. No vote at
    all earns 0. Wang et al. 2022, arXiv 2203.11171. ValueError if k is below 1 or above the samples of any problem.
    """
    if not votes or len(votes) != len(golds):
        raise ValueError(
            f"maj@{k} needs one gold answer per problem, and got {len(golds)} for {len(votes)} problems"
        )
    fewest = min(map(len, votes))
    if not 1 <= k <= fewest:
        raise ValueError(
            f"maj@{k} needs k from 1 to the samples per problem, of which one problem has {fewest}"
        )
    credit = []
    for answers, gold in zip(votes, golds, strict=True):
        classes = vote(answers[:k], equal)
        largest = [c for c in classes if len(c) == len(classes[0])]
        credit.append(
            sum(equal(answers[c[0]], gold) for c in largest) / len(largest) if largest else 0.0
        )
    return math.fsum(credit) / len(credit)


def wilson(right: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """(low, high) of a share of independent trials: the score interval of Wilson 1927 (JASA 22, 209-212).

    Centre (p + z²/2n) / (1 + z²/n), half-width z √(p(1-p)/n + z²/4n²) / (1 + z²/n): never outside 0..1, and not of width 0
    at 0 or n right. ValueError without trials.
    """
    if total < 1 or not 0 <= right <= total:
        raise ValueError(
            f"a share needs at least one trial and right ones among them, not {right} of {total}"
        )
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p, shrink = right / total, 1 + z * z / total
    centre = (p + z * z / (2 * total)) / shrink
    half = z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total)) / shrink
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap(
    values: Sequence[float], confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """(low, high) of the mean of per-problem values: percentile bootstrap over problems (Efron 1979, Ann. Statist. 7, 1-26).

    The same values and seed give the same interval, in whatever order the problems come. ValueError without values.
    """
    import numpy as np

    if not len(values):
        raise ValueError("no problems to draw from")
    # How often each distinct value is drawn is multinomial: the same distribution as drawing problem by problem, but with
    # 9 distinct values (8 samples per problem) instead of thousands of problems.
    distinct, times = np.unique(np.asarray(values, dtype=float), return_counts=True)
    rng, means = np.random.default_rng(seed), np.empty(resamples)
    step = max(1, 1_000_000 // len(distinct))  # at most 8 MB of draws at a time
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        means[start : start + size] = (
            rng.multinomial(len(values), times / len(values), size) @ distinct / len(values)
        )
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    # Sevenths and the like do not cancel exactly, and 2e-17 must not pass for "above zero"; + 0.0 turns -0.0 into 0.0.
    return round(float(low), 12) + 0.0, round(float(high), 12) + 0.0


def interval(counts: Counts, confidence: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """(low, high) of avg@n: Wilson where every problem has one sample, else the bootstrap over problems.

    Where all problems have the same share, every draw is the same and the bootstrap's interval a point: Wilson over problems.
    """
    shares = _shares(counts)
    if all(samples == 1 for _, samples in counts) or len(set(shares)) == 1:
        return wilson(round(sum(shares)), len(counts), confidence)
    return bootstrap(shares, confidence, seed=seed)


def mcnemar(a: Sequence[bool], b: Sequence[bool]) -> float:
    """Two-sided p-value that two models are right equally often on the same problems: the exact test of McNemar 1947.

    Only the n problems that one model alone has right speak; under the null each is a fair coin, so p is twice the binomial
    tail, 2 Σ_{i<=m} C(n, i) / 2^n with m the fewer, at most 1. 1.0 if there are none. ValueError for unequal lengths.
    """
    if len(a) != len(b):
        raise ValueError(
            f"a paired test needs the same problems on both sides, not {len(a)} and {len(b)}"
        )
    only_a = sum(bool(x) and not y for x, y in zip(a, b, strict=True))
    only_b = sum(bool(y) and not x for x, y in zip(a, b, strict=True))
    n, tail, term = only_a + only_b, 0, 1
    for i in range(min(only_a, only_b) + 1):
        tail += term
        term = term * (n - i) // (i + 1)
    return min(1.0, 2 * tail / 2**n)


def paired_bootstrap(
    a: Sequence[float],
    b: Sequence[float],
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """(difference, low, high) of mean(b) - mean(a) over the same problems, drawn together (Efron & Tibshirani 1993, ch. 16).

    A problem hard for both models is then drawn for both or neither, so its hardness cancels. ValueError for unequal lengths.
    """
    if len(a) != len(b):
        raise ValueError(
            f"a paired interval needs the same problems on both sides, not {len(a)} and {len(b)}"
        )
    changes = [y - x for x, y in zip(a, b, strict=True)]
    low, high = bootstrap(changes, confidence, resamples, seed)
    return round(math.fsum(changes) / len(changes), 12), low, high


@dataclass(frozen=True)
class Comparison:
    """Another model against a base on the same problems: shares, positive where the other is better."""

    difference: float
    low: float
    high: float
    p: float | None  # None: the verdict is the interval's
    test: str
    verdict: str  # "gain", "loss" or "within noise"


def compare(base: Counts, other: Counts, confidence: float = 0.95, seed: int = 0) -> Comparison:
    """Is `other` better or worse than `base`? Both are counts of the same problems in the same order, else ValueError.

    One sample per problem on both sides: McNemar's exact test decides, at p below 1 - confidence. Otherwise the interval of
    the paired bootstrap does, by excluding zero, if at least FEWEST problems changed. The interval is the paired bootstrap's in
    both cases. With few problems the bootstrap is too sure: of two equal models (8 samples, 600 trials) it called 10% different
    at 5 to 10 problems, 6% at 30.
    """
    a, b = _shares(base), _shares(other)
    difference, low, high = paired_bootstrap(a, b, confidence, seed=seed)
    if all(samples == 1 for _, samples in (*base, *other)):
        test, p = "McNemar exact", mcnemar([x == 1 for x in a], [y == 1 for y in b])
        significant = p < 1 - confidence
    else:
        test, p = "paired bootstrap", None
        changed = sum(x != y for x, y in zip(a, b, strict=True))
        significant = changed >= FEWEST and (low > 0 or high < 0)
    verdict = ("gain" if difference > 0 else "loss") if significant else "within noise"
    return Comparison(difference, low, high, p, test, verdict)
