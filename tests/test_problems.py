"""The procedural problems: every answer worked out a second way, every question read back."""

import itertools
import math
import random
import re
import statistics
import time
from fractions import Fraction

import pytest
import yaml

from conftest import ROOT
from lib.tiny import problem_templates, problems, truth, worked


def slope(f, x):
    """The derivative of a polynomial by a complex step, exact to the last digits."""
    return round(f(x + 1e-30j).imag / 1e-30)


def bend(f, x):
    """The second derivative of a cubic: its second difference has no error."""
    return f(x + 1) - 2 * f(x) + f(x - 1)


def area(f, low, high):
    """Simpson's rule, exact for a line."""
    return Fraction(high - low, 6) * (f(low) + 4 * f(Fraction(low + high, 2)) + f(high))


def first(holds, candidates=range(10_000)):
    return next(x for x in candidates if holds(x))


def pairs(n):
    return len(list(itertools.combinations(range(n), 2)))


def number_after(words, q):
    return int(re.search(words + r" \(?([0-9]+)", q)[1])


def two_equations(q, _):
    b, c = map(int, re.search(r"x \+ (\d+) = (\d+)", q).groups())
    return int(re.search(r"y = (\d+)x", q)[1]) * first(lambda x: x + b == c)


def third_score(q, n):
    mean, *known = n if q.startswith("The mean") else (n[2], n[0], n[1])
    return first(lambda x: statistics.mean([*known, x]) == mean)


def trapezoid(q, n):
    h = number_after("height", q)
    a, b = map(int, re.search(r"parallel sides (?:are )?(\d+) and (\d+)", q).groups())
    return area(lambda y: a + Fraction(b - a, h) * y, 0, h)


def multiples(q, n):
    m, top = (n[2], n[1]) if q.startswith("How many of") else n
    return len([k for k in range(1, top + 1) if k % m == 0])


def base_value(q, n):
    a, b, c, k = n if q.startswith("A number") else (*n[1:], n[0])
    return int(f"{a}{b}{c}", k)


def most_without(k, m):
    """One more than the draws that leave every colour one short of m."""
    return len([colour for colour in range(k) for _ in range(m - 1)]) + 1


# By template: the answer from the question's text and the numbers in it, in the order in which they stand there.
SECOND_WAY = {
    ("algebra", "linear equation"): lambda q, n: first(lambda x: Fraction(x, n[0]) + n[1] == n[2]),
    ("algebra", "linear function"): lambda q, n: sum([n[0]] * n[2]) + n[1],
    ("algebra", "quadratic value"): lambda q, n: (n[3] + Fraction(n[1], 2)) ** 2 + n[2] - Fraction(n[1], 2) ** 2,
    ("algebra", "sum and difference"): lambda q, n: first(lambda x: x - (n[0] - x) == n[1]),
    ("algebra", "arithmetic sequence"): lambda q, n: list(itertools.islice(itertools.count(n[0], n[1]), n[2]))[-1],
    ("algebra", "change"): lambda q, n: n[0] - sum([n[2]] * n[1]),
    ("algebra", "unknown on both sides"): lambda q, n: first(lambda x: n[0] * x + n[1] == n[2] * x + n[3]),
    ("algebra", "two equations"): two_equations,
    ("calculus", "derivative of a quadratic"): lambda q, n: slope(lambda x: n[0] * x * x + n[2] * x + n[3], n[-1]),
    ("calculus", "slope of a cubic"): lambda q, n: slope(lambda x: x * x * x + n[1] * x + n[2], n[3]),
    ("calculus", "integral of a line"): lambda q, n: area(lambda x: n[0] * x + n[1], n[2], n[3]),
    ("calculus", "velocity"): lambda q, n: slope(lambda t: n[0] * t * t + n[2] * t, n[3]),
    ("calculus", "minimum"): lambda q, n: min(range(1000), key=lambda x: x * x - n[1] * x + n[2]),
    ("calculus", "limit"): lambda q, n: round(float((n[0] * (n[2] + 1e-7) + n[1]) * 1e-7 / 1e-7)),
    ("calculus", "second derivative"): lambda q, n: bend(lambda x: n[0] * x**3 + n[2] * x**2 + n[4] * x, n[5]),
    ("calculus", "growing square"): lambda q, n: slope(lambda t: (n[1] + n[0] * t) * (n[1] + n[0] * t), 0),
    ("calculus", "rate of change"): lambda q, n: Fraction(sum(2 * x + 1 for x in range(n[2], n[3])), n[3] - n[2]),
    ("geometry", "rectangle area"): lambda q, n: len([1 for _ in range(n[0]) for _ in range(n[1])]),
    ("geometry", "rectangle perimeter"): lambda q, n: sum([n[0], n[1], n[0], n[1]]),
    ("geometry", "third angle"): lambda q, n: first(lambda x: x + sum(n) == 180),
    ("geometry", "triangle area"): lambda q, n: area(lambda y: n[0] - Fraction(n[0], n[1]) * y, 0, n[1]),
    ("geometry", "box volume"): lambda q, n: math.prod(n),
    ("geometry", "cut-out"): lambda q, n: sum(x >= n[0] or y >= n[0] for x in range(n[1]) for y in range(n[2])),
    ("geometry", "hypotenuse"): lambda q, n: round(math.hypot(n[0], n[1]) ** 2),
    ("geometry", "fourth angle"): lambda q, n: first(lambda x: x + sum(n) == 360),
    ("geometry", "trapezoid area"): trapezoid,
    ("geometry", "similar triangles"): lambda q, n: sum(side * n[3] for side in n[:3]),
    ("geometry", "distance"): lambda q, n: round(math.dist(n[:2], n[2:4]) ** 2),
    ("statistics", "mean"): lambda q, n: statistics.mean(n),
    ("statistics", "sum from mean"): lambda q, n: sum([n[1]] * n[0]) - n[2],
    ("statistics", "median"): lambda q, n: statistics.median(n),
    ("statistics", "range"): lambda q, n: max(abs(a - b) for a in n for b in n),
    ("statistics", "missing value"): third_score,
    ("statistics", "expected wins"): lambda q, n: Fraction(n[0], 100) * n[1],
    ("statistics", "two groups"): lambda q, n: sum([n[1]] * n[0] + [n[3]] * n[2]),
    ("statistics", "expected count"): lambda q, n: Fraction(n[0], n[0] + n[1]) * n[2],
    ("statistics", "variance"): lambda q, n: round(statistics.pvariance([n[1] * s * math.sqrt(n[0]) + n[2] for s in (-1, 1)])),
    ("statistics", "mean of a line"): lambda q, n: statistics.mean([n[1] * (n[0] + d) + n[2] for d in (-1, 1)]),
    ("statistics", "standard score"): lambda q, n: first(lambda z: n[0] + z * n[1] == n[2]),
    ("number_theory", "greatest common divisor"): lambda q, n: math.gcd(*n),
    ("number_theory", "least common multiple"): lambda q, n: first(lambda x: x and not x % n[0] and not x % n[1]),
    ("number_theory", "remainder"): lambda q, n: n[0] % n[1],
    ("number_theory", "product mod"): lambda q, n: sum([n[0]] * n[1]) % n[2],
    ("number_theory", "sum mod"): lambda q, n: (n[0] % n[2] + n[1] % n[2]) % n[2],
    ("number_theory", "digit sum"): lambda q, n: n[0] // 100 + n[0] // 10 % 10 + n[0] % 10,
    ("number_theory", "next multiple"): lambda q, n: first(lambda x: x > n[1] and x % n[0] == 0),
    ("number_theory", "number of divisors"): lambda q, n: len({n[0] ** i * n[2] ** j for i in range(n[1] + 1) for j in range(n[3] + 1)}),
    ("number_theory", "count of multiples"): multiples,
    ("number_theory", "base"): base_value,
    ("discrete", "complete graph"): lambda q, n: pairs(n[1]) - n[0],
    ("discrete", "degree sum"): lambda q, n: Fraction(sum([n[1]] * n[0] + [n[3]] * n[2]), 2),
    ("discrete", "at least one"): lambda q, n: len({*range(n[0])} | {*range(n[0] - n[2], n[0] - n[2] + n[1])}),
    ("discrete", "outfits"): lambda q, n: len(list(itertools.product(*map(range, n)))),
    ("discrete", "recurrence"): lambda q, n: [*itertools.accumulate(range(2), lambda a, _: n[3] * a + n[4], initial=n[1])][-1],
    ("discrete", "committee"): lambda q, n: pairs(n[0]) * n[1],
    ("discrete", "pigeonhole"): lambda q, n: most_without(*n),
    ("discrete", "two menus"): lambda q, n: sum(len(list(itertools.product(range(a), range(b)))) for a, b in (n[:2], n[2:])),
    ("discrete", "tournament"): lambda q, n: sum(n[1] for _ in itertools.combinations(range(n[0]), 2)),
}  # fmt: skip


@pytest.fixture(scope="module")
def made():
    """Some 250 problems of each template: every wording comes many times."""
    rng = random.Random(0)
    return [problems.make(domain, rng) for domain in problems.DOMAINS for _ in range(2500)]


def test_every_template_has_a_second_way_and_every_domain_six_templates():
    named = [(t.domain, t.name) for t in problem_templates.TEMPLATES]
    assert sorted(named) == sorted(SECOND_WAY)
    assert all(sum(d == domain for d, _ in named) >= 6 for domain in problems.DOMAINS)


def test_every_answer_is_the_one_found_a_second_way(made):
    wrong = [
        p
        for p in made
        if SECOND_WAY[p.domain, p.template](
            p.question, [*map(int, re.findall("[0-9]+", p.question))]
        )
        != p.answer
    ]
    assert wrong == []
    assert {(p.domain, p.template) for p in made} == SECOND_WAY.keys()


def test_every_step_is_true_arithmetic_and_the_last_one_gives_the_answer(made):
    signs = {
        "+": int.__add__,
        "-": int.__sub__,
        "*": int.__mul__,
        "/": int.__floordiv__,
        "mod": int.__mod__,
    }
    for p in made:
        assert 1 <= len(p.steps) <= 8
        for step in p.steps:
            if step.startswith("Sorted: "):
                numbers = [*map(int, step.removeprefix("Sorted: ").split(", "))]
                assert numbers == sorted(numbers)
                continue
            left, sign, right, result = re.fullmatch(r"(\d+) (\S+) (\d+) = (\d+)", step).groups()
            assert signs[sign](int(left), int(right)) == int(result), step
            assert sign != "/" or int(left) % int(right) == 0


def test_the_two_manners_of_answering():
    p = problems.Problem("algebra", "change", "?", ("3 * 10 = 30", "30 - 8 = 22"), 22)
    assert p.worked == r"3 * 10 = 30. 30 - 8 = 22. The answer is \boxed{22}."
    assert p.direct == r"The answer is \boxed{22}."


def test_every_question_is_read_back_whole(made):
    assert [p for p in made if problems.parse(p.question) != p] == []
    assert set(problems._READINGS) == {problems._shape(p.question) for p in made}


def test_questions_read_as_sentences(made):
    for p in made:
        assert (
            p.question.isascii()
            and p.question[0].isupper() | p.question[0].isdigit()
            and p.question[-1] in ".?"
        ), p.question
        assert (p.question[-1] == "?") == bool(
            re.search("what|how", p.question.split(". ")[-1], re.I)
        ), p.question
        assert not re.search(r"[\[\]{}|~]|  ", p.question), p.question


def test_few_questions_come_twice():
    rng = random.Random(1)
    for domain in problems.DOMAINS:
        drawn = [problems.make(domain, rng).question for _ in range(1000)]
        assert len(set(drawn)) > 970, domain


def test_the_same_seed_makes_the_same_problems():
    assert problems.make("geometry", random.Random(3)) == problems.make(
        "geometry", random.Random(3)
    )
    assert problems.fresh(30, seed=5) == problems.fresh(30, seed=5) != problems.fresh(30, seed=6)


def test_an_unknown_domain_is_refused_with_the_known_names():
    with pytest.raises(
        KeyError,
        match="alchemy.*known: algebra, calculus, geometry, statistics, number_theory, discrete",
    ):
        problems.make("alchemy", random.Random(0))


def test_a_tenth_of_the_questions_is_held_out(made):
    assert 0.09 < statistics.mean(problems.is_held_out(p.question) for p in made) < 0.115


def test_fresh_problems_are_distinct_balanced_and_apart_from_training_and_development():
    fresh, development = problems.fresh(600, seed=1), problems.development(300, seed=1)
    training = problems.training(3000, seed=1)
    questions = [{p.question for p in some} for some in (fresh, development, training)]
    assert len(questions[0]) == 600 and len(questions[1]) == 300
    assert [sum(p.domain == d for p in fresh) for d in problems.DOMAINS] == [100] * 6
    assert all(problems.is_held_out(q) for q in questions[0] | questions[1])
    assert not any(problems.is_held_out(q) for q in questions[2])
    assert not questions[0] & questions[1]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("What is 3 + 4?", id="another question"),
        pytest.param("Find 25 mod 7. ", id="one space too many"),
        pytest.param("Find 25 mod 0.", id="division by zero"),
        pytest.param("Find 25 mod 07.", id="a leading zero"),
        pytest.param("Find 2500 mod 7.", id="a number too long"),
        pytest.param("Find ٢٥ mod 7.", id="digits of another script"),
        pytest.param("Find 25 mod 7.\n", id="a line break behind it"),
        pytest.param(
            "Two numbers add up to 114 and differ by 55. Find the larger one.", id="half a number"
        ),
        pytest.param(
            "Ann has 50 dollars and buys 9 pens at 20 dollars each. How many dollars are left?",
            id="negative dollars",
        ),
        pytest.param("Find the area of a triangle with base 5 and height 3.", id="half a square"),
        pytest.param("Solve 9x + 3 = 7x + 8.", id="a fraction for an answer"),
        pytest.param("Find x^3 + 5x + 40 at x = 9.", id="another power than the wording's"),
        pytest.param(
            "Two angles of a triangle are 100 and 90 degrees. Find the third angle.",
            id="angles above 180 degrees",
        ),
        pytest.param(
            "Find the limit of (3x + 1)(x - 4) / (x - 4) as x approaches 5.",
            id="a slot that comes twice and differs",
        ),
        pytest.param("Solve 9x + 3 = 9x + 8.", id="no solution"),
        pytest.param("What is 25 mod 7.", id="a question that ends in a full stop"),
        pytest.param(
            "A number has the digits 3, 7, 4 in base 4. What is its value?",
            id="a digit that the base lacks",
        ),
        pytest.param("Find 25 mod 7." * 100_000, id="very long"),
        pytest.param("9" * 1_000_000, id="a million digits"),
        pytest.param("Find {a} mod #.", id="the shape itself"),
        pytest.param("Find 25 mod #.", id="half of it a shape"),
        pytest.param("Find 25 mod 7~", id="a wording's end"),
        pytest.param("\x00\ud800", id="a lone surrogate"),
    ],
)
def test_text_that_is_no_well_posed_problem_is_none_at_once(text):
    began = time.monotonic()
    assert problems.parse(text) is None
    assert time.monotonic() - began < 0.1


@pytest.mark.parametrize(
    "question, answer",
    [
        pytest.param("Find gcd(24, 60).", 12, id="the smaller number first"),
        pytest.param("Find 5 mod 12.", 5, id="nothing to take away"),
        pytest.param("Find the number of divisors of 5^5 * 5^11.", 17, id="the same prime twice"),
        pytest.param("Find the number of divisors of 4^10 * 7^4.", 105, id="a composite base"),
        pytest.param(
            "Find the number of divisors of 12^1 * 6^2.", 20, id="two bases with primes in common"
        ),
        pytest.param(
            "Find the square of the distance from (9, 4) to (2, 30).", 725, id="to the left"
        ),
        pytest.param("Solve x / 4 + 9 = 5.", -16, id="a negative solution"),
        pytest.param(
            "Find the average rate of change of x^2 + 2 from x = 6 to x = 5.", 11, id="backwards"
        ),
        pytest.param(
            "Tess hits 80 percent of all throws. How many hits are expected in 140 throws?",
            112,
            id="five digits on the way",
        ),
        pytest.param(
            "Compute the area under y = 6x + 31 between 0 and 9.", 522, id="another word to ask"
        ),
        pytest.param("Find the digit sum of 32.", 5, id="two digits"),
    ],
)
def test_questions_that_a_model_asks_and_the_generator_does_not_have_their_true_answer(
    question, answer
):
    assert problems.parse(question).answer == answer


def test_a_name_in_another_place_of_the_question_is_the_same_problem():
    asked = "Tess has 300 dollars and buys 3 pens at 20 dollars each. How many dollars are left?"
    assert problems.parse(asked).answer == 240
    assert problems.parse(asked.replace("Tess", "Lena")).steps == ("3 * 20 = 60", "300 - 60 = 240")
    assert problems.parse(asked.replace("Tess", "Zoe")) is None


def test_reading_is_fast(made):
    """20,000 questions a second on an idle core; a quarter of that is asked, since the machine may be busy."""
    questions = [p.question for p in made]
    rates = []
    for _ in range(3):
        began = time.perf_counter()
        for question in questions:
            problems.parse(question)
        rates.append(len(questions) / (time.perf_counter() - began))
    assert max(rates) > 5000


@pytest.mark.parametrize(
    "expression, value, steps",
    [
        pytest.param(lambda a, b: 2 * (a + b), 14, ["3 + 4 = 7", "2 * 7 = 14"], id="inside out"),
        pytest.param(
            lambda a, b: 180 - a / 1,
            177,
            ["3 / 1 = 3", "180 - 3 = 177"],
            id="a constant on the left",
        ),
        pytest.param(
            lambda a, b: worked.remainder(b, a), 1, ["3 * 1 = 3", "4 - 3 = 1"], id="remainder"
        ),
        pytest.param(lambda a, b: worked.gcd(b, a), 1, ["4 mod 3 = 1", "3 mod 1 = 0"], id="Euclid"),
        pytest.param(lambda a, b: worked.spread(a, b), 1, ["4 - 3 = 1"], id="spread"),
    ],
)
def test_an_expression_writes_its_steps_down(expression, value, steps):
    log = []
    assert expression(worked.Num.of(3, log), worked.Num.of(4, log)) == value
    assert log == steps


@pytest.mark.parametrize("expression", [lambda a, b: b / a, lambda a, b: a / 0, lambda a, b: b % 0,
                                        lambda a, b: a * 99_999])  # fmt: skip
def test_an_expression_without_a_whole_small_value_is_ill_posed(expression):
    log = []
    with pytest.raises(worked.IllPosed):
        expression(worked.Num.of(3, log), worked.Num.of(4, log))


def test_the_configured_system_prompts_are_those_of_the_training():
    domains = yaml.safe_load((ROOT / "configs/domains_tiny.yaml").read_text())
    assert {name: facts["system_prompt"] for name, facts in domains.items()} == {
        domain: problems.system_prompt(domain) for domain in problems.DOMAINS
    }
    assert problems.system_prompt("number_theory") == "You are a math tutor for number theory."


def test_the_truth_of_a_question_is_known_where_it_can_be_read():
    assert (truth.answer_of("What is gcd(12, 8)?"), truth.domain_of("What is gcd(12, 8)?")) == (
        4,
        "number_theory",
    )
    assert truth.answer_of("Compute 8 * 9 mod 6.") == 0  # nought is an answer, and not none
    assert truth.answer_of("Who?") is truth.domain_of("Who?") is None
    assert truth.fresh_questions(6) == [p.question for p in problems.fresh(6, seed=0)]
    assert truth.fresh_questions(6, seed=1) != truth.fresh_questions(6)


@pytest.mark.parametrize("problem", problems.fresh(6, seed=2), ids=lambda p: p.domain)
def test_a_response_shows_its_work_or_does_not(problem):
    assert truth.shows_work(problem.worked)
    assert not truth.shows_work(problem.direct)
    assert not truth.shows_work("")


def test_votes_are_held_against_the_true_answer_by_how_many_agree():
    row = {
        "instruction": "What is gcd(12, 8)?",
        "answer": "4",
        "marks": ["right", "right", "wrong"],
    }
    voted_rows = [
        row,
        row | {"answer": "2"},
        row | {"marks": ["right"] * 3},
        row | {"instruction": "Who?"},
    ]
    assert list(truth.vote_precision(voted_rows).items()) == [((3, 3), (1, 1)), ((2, 3), (1, 2))]
    assert truth.vote_precision([row | {"instruction": "Who?"}]) == {}
