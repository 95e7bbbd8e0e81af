"""Scores of sampled answers and how sure they are: avg@n, pass@k, maj@k, intervals, paired tests.

Scores are shares from 0 to 1. The problem is the unit that intervals and tests redraw: samples of
one problem are alike, and counting each as independent would make the intervals too short.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

# A difference can be more than noise only if at least this many problems changed. Even if five
# problems all change in the same direction, that is chance once in 16 times.
FEWEST_CHANGED = 6
DRAWS_IN_MEMORY = 1_000_000  # of the bootstrap at a time: 8 MB

Counts = Sequence[tuple[int, int]]  # (right samples, samples) of each problem
Shares = Sequence[float]  # right / samples of each problem
Answers = Sequence[str | None]  # of the samples of one problem; None where none was found
Equality = Callable[[str, str], bool]
Interval = tuple[float, float]  # (low, high)


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
    sample_numbers = [samples for _, samples in counts]
    fewest_samples = min(sample_numbers)
    _check_k(f"pass@{k}", k, fewest_samples)
    chances = []
    for right, samples in counts:
        all_wrong_draws = math.comb(samples - right, k)
        all_draws = math.comb(samples, k)
        chances.append(1 - all_wrong_draws / all_draws)
    return _mean(chances)


def maj_at_k(answers: Sequence[Answers], golds: Sequence[str], k: int, equal: Equality) -> float:
    """Mean over problems of the credit that the majority of the first k answers earns.

    This is self-consistency (Wang et al. 2022, arXiv 2203.11171). A tie of the t largest classes
    would be decided by lot, so it earns the expected credit: 1/t if one of them equals the gold
    answer. If nobody votes, the credit is 0. ValueError if k is below 1 or above the number of
    samples of any problem.
    """
    if not answers or len(answers) != len(golds):
        mismatch = f"{len(golds)} for {len(answers)} problems"
        raise ValueError(f"maj@{k} needs one gold answer per problem, and got {mismatch}")
    sample_numbers = [len(problem_answers) for problem_answers in answers]
    fewest_samples = min(sample_numbers)
    _check_k(f"maj@{k}", k, fewest_samples)
    credits = []
    for problem_answers, gold in zip(answers, golds, strict=True):
        credit = _majority_credit(problem_answers[:k], gold, equal)
        credits.append(credit)
    return _mean(credits)


def vote(answers: Answers, equal: Equality) -> list[list[int]]:
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
            matching_class = _matching_class(classes, answers, answer, equal)
            if matching_class is None:
                matching_class = []
                classes.append(matching_class)
            class_of[answer] = matching_class
        class_of[answer].append(index)
    return sorted(classes, key=len, reverse=True)


def _matching_class(
    classes: list[list[int]], answers: Answers, answer: str, equal: Equality
) -> list[int] | None:
    """The first class whose first member `answer` is equal to, or None."""
    for members in classes:
        first_member = answers[members[0]]
        if equal(first_member, answer):
            return members
    return None


def _majority_credit(answers: Answers, gold: str, equal: Equality) -> float:
    """The share of the largest classes that is right: 1 or 0 unless classes tie."""
    classes = vote(answers, equal)
    if not classes:
        return 0.0
    most_votes = len(classes[0])
    tied_classes = 0
    right_classes = 0
    for members in classes:
        if len(members) == most_votes:
            tied_classes += 1
            first_member = answers[members[0]]
            right_classes += equal(first_member, gold)
    return right_classes / tied_classes


def wilson(right: int, total: int, confidence: float = 0.95) -> Interval:
    """(low, high) of the share right / total of independent trials: Wilson 1927's score interval.

    With p the share, n the trials and z the normal quantile of the confidence, the centre is
    (p + z²/2n) / (1 + z²/n), the half-width z √(p(1-p)/n + z²/4n²) / (1 + z²/n) (JASA 22, 209-212).
    It never leaves 0..1, and it has a width even at 0 or n right. ValueError without trials.
    """
    if total < 1 or not 0 <= right <= total:
        needed = "a share needs at least one trial and right ones among them"
        raise ValueError(f"{needed}, not {right} of {total}")
    n = total
    p = right / n
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    shrinkage = 1 + z * z / n
    centre = (p + z * z / (2 * n)) / shrinkage
    variance = p * (1 - p) / n + z * z / (4 * n * n)
    half_width = z * math.sqrt(variance) / shrinkage
    # Floats may leave 0..1 by their last digit.
    low = max(0.0, centre - half_width)
    high = min(1.0, centre + half_width)
    return low, high


def bootstrap(
    values: Sequence[float], confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """(low, high) of the mean of per-problem values: the percentile bootstrap over problems.

    Efron 1979, Ann. Statist. 7, 1-26. The same values and seed give the same interval, whatever the
    order of the problems. ValueError without values.
    """
    import numpy as np

    problems = len(values)
    if not problems:
        raise ValueError("no problems to draw from")
    # How often each distinct value is drawn is multinomial. That is the same distribution as
    # drawing problem by problem, but with 9 distinct values (8 samples per problem) instead of
    # thousands of problems.
    values = np.asarray(values, dtype=float)
    distinct_values, frequencies = np.unique(values, return_counts=True)
    chances = frequencies / problems
    generator = np.random.default_rng(seed)
    means = np.empty(resamples)
    batch_size = max(1, DRAWS_IN_MEMORY // len(distinct_values))
    for start in range(0, resamples, batch_size):
        size = min(batch_size, resamples - start)
        draws = generator.multinomial(problems, chances, size)
        means[start : start + size] = draws @ distinct_values / problems
    low = np.quantile(means, (1 - confidence) / 2)
    high = np.quantile(means, (1 + confidence) / 2)
    return _without_float_noise(low), _without_float_noise(high)


def _without_float_noise(edge: float) -> float:
    """An interval's edge to 12 digits.

    Sevenths and the like do not cancel exactly, and 2e-17 must not pass for "above zero".
    """
    return round(float(edge), 12) + 0.0  # + 0.0 turns -0.0 into 0.0


def interval(counts: Counts, confidence: float = 0.95, seed: int = 0) -> Interval:
    """(low, high) of avg@n: Wilson if every problem has one sample, else the bootstrap.

    If all problems have the same share, every draw is the same and the bootstrap's interval would
    be a point; then it is Wilson over problems too.
    """
    shares = _shares(counts)
    all_alike = len(set(shares)) == 1
    if all_alike or _has_one_sample_each(counts):
        right_problems = round(sum(shares))
        return wilson(right_problems, len(counts), confidence)
    return bootstrap(shares, confidence, seed=seed)


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Two-sided p-value that two models are right equally often on the same problems.

    This is the exact test of McNemar 1947. Only the n problems that one model alone has right
    count. Under the null hypothesis each is a fair coin, so p is twice the binomial tail,
    2 Σ_{i<=m} C(n, i) / 2^n with m the smaller side, but at most 1. It is 1.0 if there are no such
    problems. ValueError for unequal lengths.
    """
    _check_paired("test", first, second)
    only_first = 0
    only_second = 0
    for first_is_right, second_is_right in zip(first, second, strict=True):
        if first_is_right and not second_is_right:
            only_first += 1
        elif second_is_right and not first_is_right:
            only_second += 1
    n = only_first + only_second
    m = min(only_first, only_second)
    tail = 0
    binomial = 1  # C(n, i), each from the one before: thousands of problems take no time
    for i in range(m + 1):
        tail += binomial
        binomial = binomial * (n - i) // (i + 1)
    return min(1.0, 2 * tail / 2**n)


def paired_bootstrap(
    before: Shares,
    after: Shares,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """(difference, low, high) of mean(after) - mean(before) over the same problems, drawn together.

    A problem that is hard for both models is drawn for both or for neither, so its hardness cancels
    (Efron & Tibshirani 1993, ch. 16). ValueError for unequal lengths.
    """
    _check_paired("interval", before, after)
    changes = []
    for share_before, share_after in zip(before, after, strict=True):
        changes.append(share_after - share_before)
    low, high = bootstrap(changes, confidence, resamples, seed)
    difference = round(_mean(changes), 12)
    return difference, low, high


@dataclass(frozen=True)
class Comparison:
    """Another model against a base on the same problems.

    `difference` and its interval `low` to `high` are shares, positive if the other model is better.
    Without the p-value `p` the interval decides the verdict.
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
    before = _shares(base)
    after = _shares(other)
    difference, low, high = paired_bootstrap(before, after, confidence, seed=seed)
    if _has_one_sample_each(base) and _has_one_sample_each(other):
        test = "McNemar exact"
        base_is_right = [share == 1 for share in before]
        other_is_right = [share == 1 for share in after]
        p = mcnemar(base_is_right, other_is_right)
        is_significant = p < 1 - confidence
    else:
        test = "paired bootstrap"
        p = None
        changed_problems = _count_changes(before, after)
        excludes_zero = low > 0 or high < 0
        is_significant = excludes_zero and changed_problems >= FEWEST_CHANGED
    verdict = _verdict(difference, is_significant)
    return Comparison(difference, low, high, p, test, verdict)


def _verdict(difference: float, is_significant: bool) -> str:
    if not is_significant:
        return "within noise"
    return "gain" if difference > 0 else "loss"


def _count_changes(before: Shares, after: Shares) -> int:
    """How many problems have another share of right samples than before."""
    changed_problems = 0
    for share_before, share_after in zip(before, after, strict=True):
        changed_problems += share_before != share_after
    return changed_problems


def _shares(counts: Counts) -> Shares:
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


def _has_one_sample_each(counts: Counts) -> bool:
    return all(samples == 1 for _, samples in counts)


def _check_k(metric: str, k: int, fewest_samples: int) -> None:
    """ValueError unless 1 <= k <= the fewest samples that a problem has."""
    if not 1 <= k <= fewest_samples:
        allowed = "k from 1 to the samples per problem"
        raise ValueError(f"{metric} needs {allowed}, of which one problem has {fewest_samples}")


def _check_paired(method: str, first: Sequence, second: Sequence) -> None:
    """ValueError unless both sides have as many problems."""
    if len(first) != len(second):
        lengths = f"{len(first)} and {len(second)}"
        raise ValueError(f"a paired {method} needs the same problems on both sides, not {lengths}")
