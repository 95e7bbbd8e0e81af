"""Scores of sampled answers and how sure they are: avg@n, pass@k, maj@k, intervals, paired tests.

`counts` is always one (right samples, samples) pair per problem. Scores are shares from 0 to 1. The
problem is the unit that intervals and tests redraw: samples of one problem are alike, and counting
each as independent would make the intervals too short.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

# A difference can be more than noise only if at least this many problems changed. Even if five
# problems all change in the same direction, that is chance once in 16 times.
FEWEST_CHANGED = 6
DRAWS_IN_MEMORY = 1_000_000  # of the bootstrap at a time: 8 MB

Counts = Sequence[tuple[int, int]]
Equality = Callable[[str, str], bool]


def avg_at_n(counts: Counts) -> float:
    """Mean over problems of right / samples: the expected accuracy of one sample.

    This is pass@1 of Chen et al. 2021, arXiv 2107.03374. ValueError without problems.
    """
    return _mean(_shares(counts))


def pass_at_k(counts: Counts, k: int) -> float:
    """Mean over problems of 1 - C(n-c, k) / C(n, k), where c of a problem's n samples are right.

    This is the unbiased chance that at least one of k samples is right; 1 - (1 - c/n)^k would be
    too low (Chen et al. 2021, arXiv 2107.03374, eq. 1). ValueError if k is below 1 or above the
    number of samples of any problem.
    """
    _check_counts(counts)
    _check_k(f"pass@{k}", k, fewest=min(n for _, n in counts))
    return _mean([1 - math.comb(n - c, k) / math.comb(n, k) for c, n in counts])


def maj_at_k(
    answers: Sequence[Sequence[str | None]], golds: Sequence[str], k: int, equal: Equality
) -> float:
    """Mean over problems of the credit that the majority of the first k answers earns.

    This is self-consistency (Wang et al. 2022, arXiv 2203.11171). A tie of the t largest classes
    would be decided by lot, so it earns the expected credit: 1/t if one of them equals the gold
    answer. If nobody votes, the credit is 0. ValueError if k is below 1 or above the number of
    samples of any problem.
    """
    if not answers or len(answers) != len(golds):
        given = f"{len(golds)} for {len(answers)} problems"
        raise ValueError(f"maj@{k} needs one gold answer per problem, and got {given}")
    _check_k(f"maj@{k}", k, fewest=min(map(len, answers)))
    credits = []
    for samples, gold in zip(answers, golds, strict=True):
        credits.append(_majority_credit(samples[:k], gold, equal))
    return _mean(credits)


def vote(answers: Sequence[str | None], equal: Equality) -> list[list[int]]:
    """The classes of equal answers as lists of indices, the largest first.

    Equally large classes stand in the order of their first answers. An answer joins the first class
    whose first member it is `equal` to. None has no vote.
    """
    classes: list[list[int]] = []
    # `equal` may parse both sides, so each text is compared once; the same text always votes
    # together.
    class_of: dict[str, list[int]] = {}
    for index, answer in enumerate(answers):
        if answer is None:
            continue
        if answer not in class_of:
            members = _matching_class(classes, answers, answer, equal)
            if members is None:
                members = []
                classes.append(members)
            class_of[answer] = members
        class_of[answer].append(index)
    return sorted(classes, key=len, reverse=True)


def _matching_class(
    classes: list[list[int]], answers: Sequence[str | None], answer: str, equal: Equality
) -> list[int] | None:
    for members in classes:
        if equal(answers[members[0]], answer):
            return members
    return None


def _majority_credit(answers: Sequence[str | None], gold: str, equal: Equality) -> float:
    classes = vote(answers, equal)
    if not classes:
        return 0.0
    largest = len(classes[0])
    tied = [members for members in classes if len(members) == largest]
    right = sum(equal(answers[members[0]], gold) for members in tied)
    return right / len(tied)


def wilson(right: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """(low, high) of a share of independent trials: the score interval of Wilson 1927.

    The centre is (p + z²/2n) / (1 + z²/n), the half-width z √(p(1-p)/n + z²/4n²) / (1 + z²/n)
    (JASA 22, 209-212). It never leaves 0..1, and it has a width even at 0 or n right. ValueError
    without trials.
    """
    if total < 1 or not 0 <= right <= total:
        needed = "a share needs at least one trial and right ones among them"
        raise ValueError(f"{needed}, not {right} of {total}")
    n = total
    p = right / n
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    shrinkage = 1 + z * z / n
    centre = (p + z * z / (2 * n)) / shrinkage
    half_width = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / shrinkage
    return max(0.0, centre - half_width), min(1.0, centre + half_width)


def bootstrap(
    values: Sequence[float], confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """(low, high) of the mean of per-problem values: the percentile bootstrap over problems.

    Efron 1979, Ann. Statist. 7, 1-26. The same values and seed give the same interval, whatever the
    order of the problems. ValueError without values.
    """
    import numpy as np

    if not len(values):
        raise ValueError("no problems to draw from")
    # How often each distinct value is drawn is multinomial. That is the same distribution as
    # drawing problem by problem, but with 9 distinct values (8 samples per problem) instead of
    # thousands of problems.
    distinct, times = np.unique(np.asarray(values, dtype=float), return_counts=True)
    chances = times / len(values)
    generator = np.random.default_rng(seed)
    means = np.empty(resamples)
    step = max(1, DRAWS_IN_MEMORY // len(distinct))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        draws = generator.multinomial(len(values), chances, size)
        means[start : start + size] = draws @ distinct / len(values)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return _without_float_noise(low), _without_float_noise(high)


def _without_float_noise(edge: float) -> float:
    """An interval's edge to 12 digits.

    Sevenths and the like do not cancel exactly, and 2e-17 must not pass for "above zero".
    """
    return round(float(edge), 12) + 0.0  # + 0.0 turns -0.0 into 0.0


def interval(counts: Counts, confidence: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """(low, high) of avg@n: Wilson if every problem has one sample, else the bootstrap.

    If all problems have the same share, every draw is the same and the bootstrap's interval would
    be a point; then it is Wilson over problems too.
    """
    shares = _shares(counts)
    if _has_one_sample_each(counts) or len(set(shares)) == 1:
        return wilson(round(sum(shares)), len(counts), confidence)
    return bootstrap(shares, confidence, seed=seed)


def mcnemar(a: Sequence[bool], b: Sequence[bool]) -> float:
    """Two-sided p-value that two models are right equally often on the same problems.

    This is the exact test of McNemar 1947. Only the n problems that one model alone has right
    count. Under the null hypothesis each is a fair coin, so p is twice the binomial tail,
    2 Σ_{i<=m} C(n, i) / 2^n with m the smaller side, but at most 1. It is 1.0 if there are no such
    problems. ValueError for unequal lengths.
    """
    _check_paired("test", a, b)
    only_a = only_b = 0
    for a_is_right, b_is_right in zip(a, b, strict=True):
        if a_is_right and not b_is_right:
            only_a += 1
        elif b_is_right and not a_is_right:
            only_b += 1
    n = only_a + only_b
    tail = 0
    binomial = 1  # C(n, i), each from the one before: thousands of problems take no time
    for i in range(min(only_a, only_b) + 1):
        tail += binomial
        binomial = binomial * (n - i) // (i + 1)
    return min(1.0, 2 * tail / 2**n)


def paired_bootstrap(
    a: Sequence[float],
    b: Sequence[float],
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """(difference, low, high) of mean(b) - mean(a) over the same problems, drawn together.

    A problem that is hard for both models is drawn for both or for neither, so its hardness cancels
    (Efron & Tibshirani 1993, ch. 16). ValueError for unequal lengths.
    """
    _check_paired("interval", a, b)
    changes = [after - before for before, after in zip(a, b, strict=True)]
    low, high = bootstrap(changes, confidence, resamples, seed)
    return round(_mean(changes), 12), low, high


@dataclass(frozen=True)
class Comparison:
    """Another model against a base on the same problems.

    The figures are shares, positive if the other model is better. Without a `p` the interval
    decides the verdict.
    """

    difference: float
    low: float
    high: float
    p: float | None
    test: str
    verdict: str  # "gain", "loss" or "within noise"


def compare(base: Counts, other: Counts, confidence: float = 0.95, seed: int = 0) -> Comparison:
    """Is `other` better or worse than `base`? The interval is always the paired bootstrap's.

    If every problem has one sample on both sides, McNemar's exact test decides, at p below
    1 - confidence. Otherwise the interval decides: it must exclude zero, and at least
    FEWEST_CHANGED problems must have changed. With few problems the bootstrap is too sure: of two
    equal models (8 samples, 600 trials) it called 10% different at 5 to 10 problems, 6% at 30.
    Both are counts of the same problems in the same order; ValueError for unequal lengths.
    """
    before, after = _shares(base), _shares(other)
    difference, low, high = paired_bootstrap(before, after, confidence, seed=seed)
    if _has_one_sample_each(base) and _has_one_sample_each(other):
        test = "McNemar exact"
        p = mcnemar(_all_right(before), _all_right(after))
        is_significant = p < 1 - confidence
    else:
        test = "paired bootstrap"
        p = None
        changed = sum(x != y for x, y in zip(before, after, strict=True))
        is_significant = changed >= FEWEST_CHANGED and (low > 0 or high < 0)
    verdict = _verdict(difference, is_significant)
    return Comparison(difference, low, high, p, test, verdict)


def _verdict(difference: float, is_significant: bool) -> str:
    if not is_significant:
        return "within noise"
    return "gain" if difference > 0 else "loss"


def _shares(counts: Counts) -> list[float]:
    """right / samples of each problem."""
    _check_counts(counts)
    return [right / samples for right, samples in counts]


def _check_counts(counts: Counts) -> None:
    """ValueError if there is nothing to divide, or more right samples than samples."""
    if not counts:
        raise ValueError("no problems to score")
    for right, samples in counts:
        if samples < 1 or not 0 <= right <= samples:
            needed = "at least one sample and between none and all of them right"
            raise ValueError(f"each problem needs {needed}")


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _all_right(shares: list[float]) -> list[bool]:
    return [share == 1 for share in shares]


def _has_one_sample_each(counts: Counts) -> bool:
    return all(samples == 1 for _, samples in counts)


def _check_k(metric: str, k: int, fewest: int) -> None:
    """ValueError unless 1 <= k <= the `fewest` samples that a problem has."""
    if not 1 <= k <= fewest:
        allowed = "k from 1 to the samples per problem"
        raise ValueError(f"{metric} needs {allowed}, of which one problem has {fewest}")


def _check_paired(what: str, a: Sequence, b: Sequence) -> None:
    if len(a) != len(b):
        lengths = f"{len(a)} and {len(b)}"
        raise ValueError(f"a paired {what} needs the same problems on both sides, not {lengths}")
