"""lib/evaluation/metrics against other ways to compute the same: enumeration, exact fractions, tables of scipy 1.17.1, simulation."""

import itertools
import math
import random
from fractions import Fraction

import pytest

from lib.evaluation import metrics


def same(a: str, b: str) -> bool:
    return a == b


def as_number(a: str, b: str) -> bool:
    return Fraction(a) == Fraction(b)


def ids(rows: list) -> list[str]:
    return [row[-1] for row in rows]


@pytest.mark.parametrize(
    "counts, expected",
    [
        ([(3, 8), (8, 8)], 11 / 16),
        ([(0, 1), (1, 1), (1, 1)], 2 / 3),
        ([(1, 2), (2, 8)], 3 / 8),
        ([(0, 4)], 0.0),
    ],
    ids=[
        "mean of shares",
        "accuracy with one sample",
        "problems weigh alike whatever their samples",
        "nothing right",
    ],
)
def test_avg_at_n_is_the_mean_over_problems(counts, expected):
    assert metrics.avg_at_n(counts) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("samples", range(1, 8))
def test_pass_at_k_is_the_share_of_k_subsets_with_a_right_one(samples):
    for right, k in itertools.product(range(samples + 1), range(1, samples + 1)):
        subsets = list(itertools.combinations([i < right for i in range(samples)], k))
        assert metrics.pass_at_k([(right, samples)], k) == pytest.approx(
            sum(map(any, subsets)) / len(subsets), abs=1e-15
        )


@pytest.mark.parametrize(
    "counts, k, expected",
    [
        ([(0, 8), (8, 8), (1, 8)], 8, 2 / 3),
        ([(2, 4), (1, 3)], 1, (1 / 2 + 1 / 3) / 2),
        ([(1, 100_000)], 50_000, 0.5),
        ([(1, 4), (1, 8)], 2, (1 / 2 + 1 / 4) / 2),
    ],
    ids=[
        "k = n: any right",
        "k = 1 is avg@n",
        "binomials far beyond a float",
        "problems with unlike samples",
    ],
)
def test_pass_at_k_is_averaged_over_problems(counts, k, expected):
    assert metrics.pass_at_k(counts, k) == pytest.approx(expected, abs=1e-12)


def test_pass_at_k_is_unbiased():
    # Its mean over what 6 samples may show is 1 - (1 - p)^3, the chance that 3 fresh samples contain a right one.
    p, n, k = 0.3, 6, 3
    chances = [math.comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)]
    assert sum(w * metrics.pass_at_k([(c, n)], k) for c, w in enumerate(chances)) == pytest.approx(
        1 - 0.7**3
    )


VOTES = [
    (["1", "2", "2"], same, [[1, 2], [0]], "largest first"),
    (["1", "2", "2", "1"], same, [[0, 3], [1, 2]], "a tie keeps the order of appearance"),
    ([None, "1", None], same, [[1]], "no answer has no vote"),
    ([None, None], same, [], "nobody votes"),
    (["1/2", "3", "0.5", "2/4"], as_number, [[0, 2, 3], [1]], "equal forms vote together"),
    (
        ["x", "x"],
        lambda a, b: False,
        [[0, 1]],
        "the same text is one class even if equality cannot read it",
    ),
    (
        ["0", "1", "2"],
        lambda a, b: abs(int(a) - int(b)) <= 1,
        [[0, 1], [2]],
        "the class's first member decides",
    ),
]


@pytest.mark.parametrize("answers, equal, classes", [v[:-1] for v in VOTES], ids=ids(VOTES))
def test_answers_are_joined_into_classes(answers, equal, classes):
    assert metrics.vote(answers, equal) == classes


def test_a_text_is_judged_once_however_often_it_is_given():
    asked = []
    metrics.vote(["1", "2", "3"] * 50, lambda a, b: bool(asked.append((a, b))))
    assert asked == [("1", "2"), ("1", "3"), ("2", "3")]


MAJORITIES = [
    (["7", "7", "8"], "7", 3, same, 1, "majority right"),
    (["7", "7", "8"], "8", 3, same, 0, "majority wrong"),
    (["7", "8"], "7", 2, same, 1 / 2, "a tie of two shares the credit"),
    (["7", "8", "9", "9", "8", "7"], "9", 6, same, 1 / 3, "a tie of three shares the credit"),
    (["7", "8", "1"], "2", 3, same, 0, "a tie without gold"),
    (["8", "7", "7"], "7", 1, same, 0, "only the first k vote"),
    ([None, None, "7"], "7", 3, same, 1, "one vote beats two without answer"),
    ([None, None], "7", 2, same, 0, "nobody votes"),
    (["1/2", "3", "3", "0.5", "2/4"], "4/8", 5, as_number, 1, "equal forms are one class"),
]


@pytest.mark.parametrize(
    "answers, gold, k, equal, credit", [m[:-1] for m in MAJORITIES], ids=ids(MAJORITIES)
)
def test_maj_at_k_is_the_credit_of_the_largest_class(answers, gold, k, equal, credit):
    assert metrics.maj_at_k([answers], [gold], k, equal) == pytest.approx(credit)
    assert metrics.maj_at_k([answers, ["5"] * k], [gold, "5"], k, equal) == pytest.approx(
        (credit + 1) / 2
    )


def test_maj_at_k_is_what_a_lot_among_tied_answers_earns():
    rng = random.Random(0)
    for _ in range(20):
        answers = [rng.choice("1234") for _ in range(rng.randint(1, 9))]
        most = max(answers.count(a) for a in answers)
        winners = [
            rng.choice([a for a in set(answers) if answers.count(a) == most]) == "1"
            for _ in range(4000)
        ]
        assert metrics.maj_at_k([answers], ["1"], len(answers), same) == pytest.approx(
            sum(winners) / 4000, abs=0.04
        )


WILSON = [  # scipy.stats.binomtest(right, total).proportion_ci(0.95, "wilson")
    (0, 10, 0.0, 0.27753279986288926, "none right has still a width"),
    (10, 10, 0.7224672001371109, 1.0, "all right has still a width"),
    (27, 60, 0.3309365440675524, 0.5750806411466566, "AIME"),
    (480, 1319, 0.33837731073668476, 0.39023718225021753, "GSM8K"),
    (1, 1, 0.20654931437723745, 1.0, "one trial"),
]


@pytest.mark.parametrize("right, total, low, high", [w[:-1] for w in WILSON], ids=ids(WILSON))
def test_wilson_agrees_with_scipy(right, total, low, high):
    assert metrics.wilson(right, total) == pytest.approx((low, high), abs=1e-12)


def test_wilson_covers_the_true_share_about_as_often_as_it_says():
    for p, n in [(0.05, 60), (0.3, 30), (0.5, 100), (0.9, 60)]:
        intervals = [metrics.wilson(right, n) for right in range(n + 1)]
        chances = [
            math.comb(n, right) * p**right * (1 - p) ** (n - right) for right in range(n + 1)
        ]
        covered = sum(
            chance
            for chance, (low, high) in zip(chances, intervals, strict=True)
            if low <= p <= high
        )
        assert 0.92 <= covered <= 0.98, (p, n)


def test_bootstrap_is_the_percentiles_of_all_resamples():
    # Of 4 problems all 4^4 draws can be listed; 0.8 keeps the percentiles away from the steps of that small distribution.
    values = [0.0, 0.25, 0.5, 1.0]
    means = sorted(sum(d) / 4 for d in itertools.product(values, repeat=4))
    low, high = metrics.bootstrap(values, confidence=0.8, resamples=40_000)
    assert (low, high) == (means[len(means) // 10], means[-len(means) // 10])


def test_bootstrap_depends_on_values_and_seed_alone():
    values = [i % 9 / 8 for i in range(60)]
    shuffled = random.Random(1).sample(values, 60)
    assert metrics.bootstrap(values) == metrics.bootstrap(shuffled)
    assert metrics.bootstrap(values, seed=1) != metrics.bootstrap(values, seed=2)
    assert metrics.bootstrap([0.3] * 5) == (0.3, 0.3)


def test_bootstrap_in_parts_has_the_width_of_the_normal_interval():
    rng = random.Random(3)
    values = [
        rng.random() for _ in range(3000)
    ]  # all distinct: draws are made in more than one part
    low, high = metrics.bootstrap(values, resamples=1000)
    mean, error = sum(values) / 3000, 1.96 * (1 / 12 / 3000) ** 0.5
    assert (low, high) == pytest.approx((mean - error, mean + error), abs=error / 6)


def test_bootstrap_covers_the_true_mean_about_as_often_as_it_says():
    rng, hits, trials = random.Random(0), 0, 300
    for _ in range(trials):
        values = [
            sum(rng.random() < chance for _ in range(8)) / 8
            for chance in (rng.betavariate(1, 1) for _ in range(60))
        ]
        low, high = metrics.bootstrap(values, resamples=1000)
        hits += low <= 0.5 <= high
    assert 0.90 <= hits / trials <= 0.98


MCNEMAR = [  # scipy.stats.binomtest(only_a, only_a + only_b).pvalue
    (0, 5, 0.0625, "five of five are not enough"),
    (0, 6, 0.03125, "six of six are"),
    (1, 8, 0.0390625, "one against"),
    (2, 8, 0.109375, "two against"),
    (10, 15, 0.42435622215270996, "near balance"),
    (7, 7, 1.0, "balance: never above 1"),
    (0, 0, 1.0, "no problem speaks"),
]


@pytest.mark.parametrize("only_a, only_b, p", [m[:-1] for m in MCNEMAR], ids=ids(MCNEMAR))
def test_mcnemar_agrees_with_scipy_both_ways_and_ignores_agreement(only_a, only_b, p):
    a = [True] * only_a + [False] * only_b + [True, False] * 20
    b = [False] * only_a + [True] * only_b + [True, False] * 20
    assert metrics.mcnemar(a, b) == pytest.approx(p) == metrics.mcnemar(b, a)


def test_mcnemar_counts_every_outcome_at_least_as_far_out():
    for n in range(1, 11):
        for only_a in range(n + 1):
            far = [
                flips
                for flips in itertools.product((0, 1), repeat=n)
                if abs(2 * sum(flips) - n) >= abs(2 * only_a - n)
            ]
            p = metrics.mcnemar([i < only_a for i in range(n)], [i >= only_a for i in range(n)])
            assert p == pytest.approx(len(far) / 2**n)


def test_mcnemar_takes_thousands_of_problems():
    assert metrics.mcnemar([True, False] * 3000, [False, True] * 3000) == 1.0
    assert metrics.mcnemar([False] * 5000, [True] * 5000) == pytest.approx(0, abs=1e-300)


def test_paired_bootstrap_lets_the_hardness_of_problems_cancel():
    hard = [i / 20 for i in range(20)]
    slightly_better = [h + (0.05 if i % 2 else 0.03) for i, h in enumerate(hard)]
    difference, low, high = metrics.paired_bootstrap(hard, slightly_better)
    assert difference == pytest.approx(0.04) and 0.03 < low < high < 0.05
    assert (
        metrics.bootstrap(slightly_better)[0] < metrics.bootstrap(hard)[1]
    )  # unpaired, the two overlap


RIGHT, WRONG = (1, 1), (0, 1)
HALF = [(4, 8)] * 30
SEVENTHS = [[(c, 7) for c in right] for right in ((6, 0, 0, 7, 1), (5, 4, 2, 7, 3))]
COMPARISONS = [
    (
        [WRONG] * 6 + [RIGHT] * 20,
        [RIGHT] * 26,
        "McNemar exact",
        "gain",
        "six gained, none lost: p = 0.03",
    ),
    (
        [WRONG] * 5 + [RIGHT] * 20,
        [RIGHT] * 25,
        "McNemar exact",
        "within noise",
        "five gained, none lost: p = 0.06",
    ),
    ([RIGHT] * 26, [WRONG] * 6 + [RIGHT] * 20, "McNemar exact", "loss", "six lost"),
    ([RIGHT, WRONG] * 9, [RIGHT, WRONG] * 9, "McNemar exact", "within noise", "the same answers"),
    (HALF, [(7, 8)] * 30, "paired bootstrap", "gain", "every problem better"),
    (HALF, [(1, 8)] * 30, "paired bootstrap", "loss", "every problem worse"),
    (HALF, [(5, 8), (3, 8)] * 15, "paired bootstrap", "within noise", "as many up as down"),
    (HALF, HALF, "paired bootstrap", "within noise", "the same counts"),
    (
        SEVENTHS[0],
        SEVENTHS[1],
        "paired bootstrap",
        "within noise",
        "a lower end of zero, but 2e-17 in floats",
    ),
    ([WRONG] * 30, HALF, "paired bootstrap", "gain", "one sample against eight"),
]


@pytest.mark.parametrize(
    "base, other, test, verdict", [c[:-1] for c in COMPARISONS], ids=ids(COMPARISONS)
)
def test_compare_says_gain_loss_or_within_noise(base, other, test, verdict):
    found = metrics.compare(base, other)
    assert (found.test, found.verdict) == (test, verdict)
    assert found.difference == pytest.approx(
        metrics.avg_at_n(other) - metrics.avg_at_n(base), abs=1e-12
    )
    assert found.low <= found.difference <= found.high
    assert (found.p is None) == (test == "paired bootstrap")


@pytest.mark.parametrize("samples", [1, 8])
def test_two_equal_models_are_rarely_called_different(samples):
    rng, called, trials = random.Random(5), 0, 100
    for _ in range(trials):
        chances = [rng.betavariate(0.5, 0.5) for _ in range(60)]
        base, other = (
            [(sum(rng.random() < c for _ in range(samples)), samples) for c in chances]
            for _ in range(2)
        )
        called += metrics.compare(base, other).verdict != "within noise"
    assert called <= 12


@pytest.mark.parametrize(
    "counts, expected",
    [
        ([RIGHT] * 27 + [WRONG] * 33, metrics.wilson(27, 60)),
        (HALF[:1] + [(8, 8)] * 9, metrics.bootstrap([0.5] + [1] * 9)),
    ],
    ids=["one sample: Wilson", "several: bootstrap"],
)
def test_the_interval_of_a_score_is_over_problems(counts, expected):
    assert metrics.interval(counts) == expected


REFUSED = [
    (lambda: metrics.avg_at_n([]), "no problems", "avg@n of nothing"),
    (lambda: metrics.avg_at_n([(1, 0)]), "at least one sample", "no samples"),
    (lambda: metrics.avg_at_n([(3, 2)]), "at least one sample", "more right than samples"),
    (
        lambda: metrics.pass_at_k([(1, 8), (1, 4)], 5),
        "one problem has 4",
        "k above the samples of one problem",
    ),
    (lambda: metrics.pass_at_k([(1, 8)], 0), "k from 1", "pass@0"),
    (lambda: metrics.maj_at_k([["1"]], ["1"], 2, same), "one problem has 1", "k above the samples"),
    (lambda: metrics.maj_at_k([["1"]], ["1"], 0, same), "k from 1", "maj@0"),
    (
        lambda: metrics.maj_at_k([["1"]], [], 1, same),
        "one gold answer per problem",
        "fewer golds than problems",
    ),
    (lambda: metrics.wilson(0, 0), "at least one trial", "no trials"),
    (lambda: metrics.wilson(2, 1), "2 of 1", "more right than trials"),
    (lambda: metrics.bootstrap([]), "no problems", "bootstrap of nothing"),
    (lambda: metrics.mcnemar([True], []), "same problems", "mcnemar of unequal lengths"),
    (
        lambda: metrics.paired_bootstrap([1.0], [1.0, 0.0]),
        "same problems",
        "paired bootstrap of unequal lengths",
    ),
    (lambda: metrics.paired_bootstrap([], []), "no problems", "paired bootstrap of nothing"),
    (
        lambda: metrics.compare([RIGHT], [RIGHT, RIGHT]),
        "same problems",
        "compare of unequal lengths",
    ),
]


@pytest.mark.parametrize("call, message", [r[:-1] for r in REFUSED], ids=ids(REFUSED))
def test_what_cannot_be_scored_is_a_value_error_that_says_why(call, message):
    with pytest.raises(ValueError, match=message):
        call()
