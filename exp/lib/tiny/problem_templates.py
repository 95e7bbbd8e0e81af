"""The table of problem templates: wordings with slots, ranges of the numbers, and the answer.

The answer is an expression on numbers that write down their own steps (lib/tiny/worked.py). The
numbers are small enough for a model of two million parameters: mostly two digits by one, and at
most five steps.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lib.tiny import worked

NAMES = (
    "Ann Ben Cara Dan Eve Finn Gus Hana Ivan Jill Kai Lena Max Nora Omar Pia Quinn Rosa Sam Tess"
).split()
THINGS = "apples books cards coins cups hats keys lamps pens plums rings shells stamps toys".split()


@dataclass(frozen=True)
class Template:
    """One kind of problem. Every formula takes the slots that its parameters name."""

    domain: str
    name: str
    ranges: dict[str, list[int]]  # what is drawn for each slot
    derived_slots: dict[str, Callable]  # slots that follow from drawn ones
    wordings: tuple[str, ...]
    answer: Callable
    where: Callable | None  # holds in every problem that is drawn
    sound: Callable | None  # holds in every problem that is read
    signed: bool  # results may be negative in a problem that is read
    smallest: dict[str, int]  # the smallest number that a slot may hold


def _template(
    domain: str,
    name: str,
    ranges: str,
    *wordings: str,
    answer: Callable,
    where: Callable | None = None,
    sound: Callable | None = None,
    signed: bool = False,
    **derived_slots: Callable,
) -> Template:
    """A template from the short forms of the table below; `sound` is `where` if it is not given.

    Ranges are `a 2-9, p 2|3|5`. In a wording `{a}` is a slot, `[Find|Compute]` a choice, and `~` at
    the end its question mark or full stop.
    """
    numbers_by_slot = {}
    smallest = {}
    for slot_range in ranges.split(", "):
        slot, short_range = slot_range.split()
        numbers = _numbers_of(short_range)
        numbers_by_slot[slot] = numbers
        # A range from 0, 1 or 2 begins there for a reason (no 1x). One that begins higher only
        # keeps the numbers interesting.
        lowest = min(numbers)
        smallest[slot] = lowest if lowest <= 2 else 1
    return Template(
        domain=domain,
        name=name,
        ranges=numbers_by_slot,
        derived_slots=derived_slots,
        wordings=wordings,
        answer=answer,
        where=where,
        sound=sound or where,
        signed=signed,
        smallest=smallest,
    )


def _numbers_of(short_range: str) -> list[int]:
    """The numbers of `2-5`, a range with both ends, or of `2|3|5`, a list."""
    if "-" in short_range:
        lowest, highest = short_range.split("-")
        return list(range(int(lowest), int(highest) + 1))
    return [int(number) for number in short_range.split("|")]


def _always() -> bool:
    """The `sound` of templates whose `where` is not needed for a question to have an answer."""
    return True


TEMPLATES = (
    # algebra
    _template(
        "algebra", "linear equation", "a 2-9, b 1-60, k 2-30",
        "[Solve|Find x in] x / {a} + {b} = {c}~",
        "[Find|Determine] x if x / {a} + {b} = {c}~",
        "What is [x|the value of x] when x / {a} + {b} = {c}~",
        c=lambda b, k: b + k,
        where=lambda b, c: b < c, sound=_always, signed=True,
        answer=lambda a, b, c: (c - b) * a,
    ),
    _template(
        "algebra", "linear function", "a 2-12, n 2-20, b 1-90",
        "[Let|Suppose] f(x) = {a}x + {b}. [Find|Compute|What is] f({n})~",
        "If f(x) = {a}x + {b}, what is f({n})~",
        answer=lambda a, b, n: a * n + b,
    ),
    _template(
        "algebra", "quadratic value", "n 2-12, b 2-9, c 1-90",
        "[Find|Evaluate|Compute] x^2 + {b}x + {c} at x = {n}~",
        "What is x^2 + {b}x + {c} when x = {n}~",
        answer=lambda b, c, n: n * n + b * n + c,
    ),
    _template(
        "algebra", "sum and difference", "y 2-90, d 2-60",
        "Two numbers [add up to|have the sum] {s} and [differ by|have the difference] {d}. "
            "[Find|What is] the larger one~",
        s=lambda y, d: y + y + d,
        where=lambda s, d: d <= s,
        answer=lambda s, d: (s + d) / 2,
    ),
    _template(
        "algebra", "arithmetic sequence", "a 1-60, d 2-12, n 3-20",
        "An arithmetic sequence [starts|begins] with {a} and has [difference|step] {d}. "
            "[Find|What is] term {n}~",
        answer=lambda a, d, n: a + d * (n - 1),
    ),
    _template(
        "algebra", "change", "c 230-500, n 2-9, p 2-25",
        "{who} has {c} dollars and [buys|pays for] {n} {thing} at {p} dollars each. "
            "How many dollars are left~",
        sound=lambda c, n, p: c >= n * p,
        answer=lambda c, n, p: c - n * p,
    ),
    _template(
        "algebra", "unknown on both sides", "c 2-40, b 1-60, x 2-40",
        "[Solve|Find x in] {a}x + {b} = {c}x + {d}~",
        "[Find|Determine] x if {a}x + {b} = {c}x + {d}~",
        a=lambda c: c + 1, d=lambda b, x: b + x,
        where=lambda a, c: a == c + 1, sound=lambda a, c: a != c, signed=True,
        answer=lambda a, b, c, d: (d - b) / (a - c),
    ),
    _template(
        "algebra", "two equations", "a 2-9, b 1-60, x 2-30",
        "[Find|What is] y if y = {a}x and x + {b} = {c}~",
        "If x + {b} = {c} and y = {a}x, what is y~",
        c=lambda b, x: b + x,
        where=lambda b, c: b < c, sound=_always, signed=True,
        answer=lambda a, b, c: a * (c - b),
    ),
    # calculus
    _template(
        "calculus", "derivative of a quadratic", "a 2-9, b 1-60, c 1-60, n 2-12",
        "[Let|Suppose] f(x) = {a}x^2 + {b}x + {c}. [Find|Compute|What is] f'({n})~",
        "What is the derivative of {a}x^2 + {b}x + {c} at x = {n}~",
        answer=lambda a, b, n: 2 * a * n + b,
    ),
    _template(
        "calculus", "slope of a cubic", "b 1-60, c 1-60, n 2-9",
        "[Find|Compute|What is] the slope of y = x^3 + {b}x + {c} at x = {n}~",
        "How steep is the curve y = x^3 + {b}x + {c} at x = {n}~",
        answer=lambda b, n: 3 * (n * n) + b,
    ),
    _template(
        "calculus", "integral of a line", "h 1-5, b 1-30, n 2-10",
        "[Find|Compute|What is] the integral of {a}x + {b} from 0 to {n}~",
        "[Find|What is] the area under y = {a}x + {b} between 0 and {n}~",
        a=lambda h: 2 * h,
        answer=lambda a, b, n: a / 2 * (n * n) + b * n,
    ),
    _template(
        "calculus", "velocity", "a 2-9, b 1-60, t 2-12",
        "A [car|train|ball] moves {a}t^2 + {b}t meters in t seconds. "
            "[Find|What is] its [speed|velocity] at t = {t}~",
        answer=lambda a, b, t: 2 * a * t + b,
    ),
    _template(
        "calculus", "minimum", "x 2-45, c 1-90",
        "At what x is x^2 - {b}x + {c} [smallest|least]~",
        "[Find|What is] the x that minimizes x^2 - {b}x + {c}~",
        b=lambda x: 2 * x,
        answer=lambda b: b / 2,
    ),
    _template(
        "calculus", "limit", "a 2-20, k 2-9, b 1-60",
        "[Find|Compute|What is] the limit of ({k}x + {b})(x - {a}) / (x - {a}) as x "
            "[approaches|tends to|goes to] {a}~",
        answer=lambda k, a, b: k * a + b,
    ),
    _template(
        "calculus", "second derivative", "a 2-6, b 1-30, c 1-60, n 2-9",
        "[Let|Suppose] f(x) = {a}x^3 + {b}x^2 + {c}x. [Find|Compute|What is] f''({n})~",
        "What is the second derivative of {a}x^3 + {b}x^2 + {c}x at x = {n}~",
        answer=lambda a, b, n: 6 * a * n + 2 * b,
    ),
    _template(
        "calculus", "growing square", "r 2-12, s 3-80",
        "The side of a square grows by {r} cm [per|each|every] second. How fast does its area "
            "grow, in square cm per second, [when the side is|at a side of] {s} cm~",
        answer=lambda s, r: 2 * s * r,
    ),
    _template(
        "calculus", "rate of change", "m 1-9, k 1-9, c 1-90",
        "[Find|Compute|What is] the average rate of change of x^2 + {c} from x = {m} to x = {n}~",
        "How fast does x^2 + {c} change on average between x = {m} and x = {n}~",
        n=lambda m, k: m + k,
        where=lambda m, n: m < n, sound=lambda m, n: m != n, signed=True,
        answer=lambda m, n: (n * n - m * m) / (n - m),
    ),
    # geometry
    _template(
        "geometry", "rectangle area", "a 11-99, b 2-12",
        "[Find|Compute|What is] the area of a rectangle with sides {a} and {b}~",
        "{who} draws a rectangle of {a} by {b} cm. [Find|What is] its area in square cm~",
        answer=lambda a, b: a * b,
    ),
    _template(
        "geometry", "rectangle perimeter", "a 2-99, b 2-99",
        "[Find|Compute|What is] the perimeter of a rectangle with sides {a} and {b}~",
        "A rectangle is {a} by {b}. [Find|What is] its perimeter~",
        answer=lambda a, b: 2 * (a + b),
    ),
    _template(
        "geometry", "third angle", "a 15-100, b 10-79",
        "Two angles of a triangle are {a} and {b} degrees. "
            "[Find|What is|How large is] the third angle~",
        "A triangle has angles of {a} and {b} degrees. [Find|What is] the other one~",
        where=lambda a, b: a + b < 180,
        answer=lambda a, b: 180 - (a + b),
    ),
    _template(
        "geometry", "triangle area", "b 2-60, k 1-6",
        "[Find|Compute|What is] the area of a triangle with base {b} and height {h}~",
        "A triangle has base {b} and height {h}. [Find|What is] its area~",
        h=lambda k: 2 * k,
        answer=lambda b, h: b * h / 2,
    ),
    _template(
        "geometry", "box volume", "a 2-20, b 2-9, c 2-9",
        "[Find|Compute|What is] the volume of a box of {a} by {b} by {c}~",
        "{who} fills a box of {a} by {b} by {c} cm. [Find|What is] its volume in cubic cm~",
        answer=lambda a, b, c: a * b * c,
    ),
    _template(
        "geometry", "cut-out", "a 13-50, b 10-12, s 2-9",
        "A square of side {s} is cut [out of|from] a rectangle of {a} by {b}. "
            "[Find|What is|How large is] the area that is left~",
        where=lambda a, b, s: s < min(a, b),
        answer=lambda a, b, s: a * b - s * s,
    ),
    _template(
        "geometry", "hypotenuse", "a 2-25, b 2-25",
        "A right triangle has legs {a} and {b}. "
            "[Find|What is|Compute] the square of [its|the] hypotenuse~",
        "The legs of a right triangle are {a} and {b}. If the hypotenuse is c, what is c^2~",
        answer=lambda a, b: a * a + b * b,
    ),
    _template(
        "geometry", "fourth angle", "a 30-120, b 30-120, c 30-110",
        "Three angles of a quadrilateral are {a}, {b} and {c} degrees. "
            "[Find|What is|How large is] the fourth angle~",
        where=lambda a, b, c: a + b + c < 360,
        answer=lambda a, b, c: 360 - (a + b + c),
    ),
    _template(
        "geometry", "trapezoid area", "a 3-40, b 3-40, k 1-6",
        "A trapezoid has parallel sides {a} and {b} and height {h}. "
            "[Find|What is|Compute] its area~",
        "[Find|What is] the area of a trapezoid of height {h} whose parallel sides are {a} "
            "and {b}~",
        h=lambda k: 2 * k,
        answer=lambda a, b, h: (a + b) * h / 2,
    ),
    _template(
        "geometry", "similar triangles", "a 20-38, b 20-38, c 20-38, k 2-9",
        "A triangle has sides {a}, {b} and {c}. "
            "A similar one is {k} times as [large|wide]. [Find|What is] its perimeter~",
        where=lambda a, b, c: 2 * max(a, b, c) < a + b + c,
        answer=lambda a, b, c, k: k * (a + b + c),
    ),
    _template(
        "geometry", "distance", "x 1-20, y 1-20, p 2-12, q 2-12",
        "[Find|What is|Compute] the square of the distance from ({x}, {y}) to ({u}, {v})~",
        "If the distance [between|of] ({x}, {y}) and ({u}, {v}) is d, what is d^2~",
        u=lambda x, p: x + p, v=lambda y, q: y + q,
        answer=lambda x, y, u, v: worked.square(worked.gap(x, u)) + worked.square(worked.gap(y, v)),
    ),
    # statistics
    _template(
        "statistics", "mean", "d 1-45, m 50-99",
        "[Find|Compute|What is] the [mean|average] of {a} and {b}~",
        "{who} scores {a} points and then {b} points. What is the [mean|average]~",
        a=lambda m, d: m - d, b=lambda m, d: m + d,
        answer=lambda a, b: (a + b) / 2,
    ),
    _template(
        "statistics", "sum from mean", "n 3-12, m 10-60, k 2-29",
        "{n} numbers have mean {m}. One of them is {k}. [Find|What is] the sum of the others~",
        "The average of {n} numbers is {m} and one is {k}. [Find|What is] the sum of the others~",
        answer=lambda n, m, k: n * m - k,
    ),
    _template(
        "statistics", "median", "a 2-99, b 2-99, c 2-99, d 2-99, e 2-99",
        "[Find|What is] the median of {a}, {b}, {c}, {d} and {e}~",
        "[Find|What is] the median of the data {a}, {b}, {c}, {d}, {e}~",
        answer=lambda a, b, c, d, e: worked.median(a, b, c, d, e),
    ),
    _template(
        "statistics", "range", "a 2-99, b 2-99, c 2-99, d 2-99",
        "[Find|Compute|What is] the range of {a}, {b}, {c} and {d}~",
        "[Find|What is] the range of the data {a}, {b}, {c}, {d}~",
        answer=lambda a, b, c, d: worked.spread(a, b, c, d),
    ),
    _template(
        "statistics", "missing value", "m 41-90, a 2-60, b 2-60",
        "The mean of three numbers is {m}. Two of them are {a} and {b}. [Find|What is] the third~",
        "{who} scores {a} and {b} points in two games. "
            "What must the third score be for [a mean|an average] of {m}~",
        answer=lambda m, a, b: 3 * m - a - b,
    ),
    _template(
        "statistics", "expected wins", "i 1-9, j 1-30",
        "Each ticket wins with a chance of {p} percent. {who} [has|buys] {n} tickets. "
            "How many wins are expected~",
        "{who} hits {p} percent of all throws. How many hits are expected in {n} throws~",
        p=lambda i: 10 * i, n=lambda j: 10 * j,
        where=lambda p: p <= 100,
        answer=lambda n, p: n * p / 100,
    ),
    _template(
        "statistics", "two groups", "n 2-30, a 2-12, m 2-30, b 2-12",
        "A group of {n} has mean {a} and a group of {m} has mean {b}. "
            "[Find|What is] the sum of all [values|scores]~",
        "{n} students have an average of {a} points, {m} others of {b} points. "
            "How many points is that in all~",
        answer=lambda n, a, m, b: n * a + m * b,
    ),
    _template(
        "statistics", "expected count", "r 1-9, m 1-30",
        "A bag has {r} red and {b} blue {thing}. {who} draws one and puts it back, "
            "{n} times. What is the expected number of red ones~",
        "Of the {thing} in a bag, {r} are red and {b} are blue. "
            "In {n} draws with replacement, how many red ones are expected~",
        b=lambda r: 10 - r, n=lambda m: 10 * m,
        answer=lambda r, b, n: n / (r + b) * r,
    ),
    _template(
        "statistics", "variance", "a 2-9, v 2-12, b 1-90",
        "X has variance {v}. [Find|What is|Compute] the variance of {a}X + {b}~",
        "If the variance of X is {v}, what is the variance of {a}X + {b}~",
        answer=lambda a, v: a * a * v,
    ),
    _template(
        "statistics", "mean of a line", "m 2-30, a 2-12, b 1-90",
        "X has mean {m}. [Find|What is|Compute] the mean of {a}X + {b}~",
        "If the mean of X is {m}, what is the mean of {a}X + {b}~",
        answer=lambda a, m, b: a * m + b,
    ),
    _template(
        "statistics", "standard score", "m 10-90, s 2|5|10, z 1-15",
        "A test has mean {m} and standard deviation {s}. [Find|What is] the z-score of {x}~",
        "Scores have mean {m} and standard deviation {s}. "
            "How many standard deviations above the mean is {x}~",
        x=lambda m, s, z: m + s * z,
        signed=True,
        answer=lambda m, s, x: (x - m) / s,
    ),
    # number theory
    _template(
        "number_theory", "greatest common divisor", "g 2-12, p 2-12, q 2-12",
        "[Find|Compute|What is] the greatest common divisor of {a} and {b}~",
        "[Find|Compute|What is] gcd({a}, {b})~",
        a=lambda g, p: g * p, b=lambda g, q: g * q,
        where=lambda a, b: a > b, sound=_always,
        answer=lambda a, b: worked.gcd(a, b),
    ),
    _template(
        "number_theory", "least common multiple", "g 1-12, p 2-9, q 2-9",
        "[Find|Compute|What is] the least common multiple of {a} and {b}~",
        "[Find|Compute|What is] lcm({a}, {b})~",
        a=lambda g, p: g * p, b=lambda g, q: g * q,
        where=lambda a, b: a > b, sound=_always,
        answer=lambda a, b: a / worked.gcd(a, b) * b,
    ),
    _template(
        "number_theory", "remainder", "n 20-299, m 3-12",
        "[Find|Compute|What is] {n} mod {m}~",
        "[Find|What is] the remainder when {n} is divided by {m}~",
        "{who} puts {n} {thing} into rows of {m}. How many are left over~",
        where=lambda n, m: n > m, sound=_always,
        answer=lambda n, m: worked.remainder(n, m),
    ),
    _template(
        "number_theory", "product mod", "a 4-30, b 3-9, m 3-12",
        "[Find|Compute|What is] {a} * {b} mod {m}~",
        "[Find|What is] the remainder when {a} * {b} is divided by {m}~",
        where=lambda a, b, m: a * b > m, sound=_always,
        answer=lambda a, b, m: worked.remainder(a * b, m),
    ),
    _template(
        "number_theory", "sum mod", "a 10-99, b 10-99, m 3-12",
        "[Find|Compute|What is] ({a} + {b}) mod {m}~",
        "[Find|What is] the remainder when {a} + {b} is divided by {m}~",
        where=lambda a, b, m: a + b > m, sound=_always,
        answer=lambda a, b, m: worked.remainder(a + b, m),
    ),
    _template(
        "number_theory", "digit sum", "n 100-999",
        "[Find|Compute|What is] the [sum of the digits|digit sum] of {n}~",
        "[Add|Sum] the digits of {n}. What do you get~",
        answer=lambda n: worked.digit_sum(n),
    ),
    _template(
        "number_theory", "next multiple", "m 3-15, n 20-299",
        "[Find|What is] the [smallest|least] multiple of {m} [above|greater than|larger than] {n}~",
        where=lambda m, n: n > m, sound=_always,
        answer=lambda m, n: m * (int(n) // int(m)) + m,
    ),
    _template(
        "number_theory", "number of divisors", "p 2|3|5|7|11|13, q 2|3|5|7|11|13, a 1-12, b 1-12",
        "How many divisors does {p}^{a} * {q}^{b} have~",
        "[Find|What is] the number of divisors of {p}^{a} * {q}^{b}~",
        where=lambda p, q: p != q, sound=_always,
        answer=lambda p, a, q, b: worked.divisors(p, a, q, b),
    ),
    _template(
        "number_theory", "count of multiples", "m 3-12, n 20-299",
        "How many positive multiples of {m} are [at most|not above|up to] {n}~",
        "How many of the numbers from 1 to {n} are [divisible by|multiples of] {m}~",
        where=lambda m, n: n > m, sound=_always,
        answer=lambda m, n: (n - int(n) % int(m)) / m,
    ),
    _template(
        "number_theory", "base", "a 1-8, b 0-8, c 0-8, k 3-9",
        "A number has the digits {a}, {b}, {c} in base {k}. [Find|What is] its value~",
        "[Find|Compute|What is] the value of the base {k} number with digits {a}, {b}, {c}~",
        where=lambda a, b, c, k: max(a, b, c) < k,
        answer=lambda a, b, c, k: (a * k + b) * k + c,
    ),
    # discrete mathematics
    _template(
        "discrete", "complete graph", "n 9-25, r 1-35",
        "How many edges are left when {r} are removed from [the|a] complete graph on {n} "
            "[vertices|nodes]~",
        "{r} edges are taken from [the|a] complete graph with {n} [vertices|nodes]. "
            "How many are left~",
        where=lambda n, r: 2 * r < n * (n - 1),
        answer=lambda n, r: n * (n - 1) / 2 - r,
    ),
    # Twelve vertices of degrees 2 to 6 are enough for such a graph to exist (Zverovich and
    # Zverovich, 1992).
    _template(
        "discrete", "degree sum", "i 3-15, d 2-6, j 3-15, e 2-6",
        "In a graph, {a} [vertices|nodes] have degree {d} and {b} have degree {e}. "
            "How many edges [are there|does it have]~",
        a=lambda i: 2 * i, b=lambda j: 2 * j,
        where=lambda d, e: d != e, sound=lambda a, b, d, e: a + b >= 12 and max(d, e) <= 6,
        answer=lambda a, d, b, e: (a * d + b * e) / 2,
    ),
    _template(
        "discrete", "at least one", "a 31-90, b 31-90, c 2-30",
        "In a class, {a} like {thing}, {b} like [music|sport|chess] and {c} like both. "
            "How many like at least one of them~",
        where=lambda a, b, c: c < min(a, b),
        answer=lambda a, b, c: a + b - c,
    ),
    _template(
        "discrete", "outfits", "a 2-20, b 2-9, c 2-9",
        "{who} [has|owns] {a} shirts, {b} skirts and {c} caps. "
            "How many outfits of one of each are there~",
        "A menu has {a} soups, {b} mains and {c} desserts. "
            "How many meals of three courses are there~",
        answer=lambda a, b, c: a * b * c,
    ),
    _template(
        "discrete", "recurrence", "a 1-12, k 2-6, c 1-30",
        "A sequence has a_1 = {a} and a_(n+1) = {k}a_n + {c}. [Find|Compute|What is] a_3~",
        "[Let|Suppose] a_1 = {a} and a_(n+1) = {k}a_n + {c}. [Find|What is] a_3~",
        answer=lambda a, k, c: k * (k * a + c) + c,
    ),
    _template(
        "discrete", "committee", "n 3-15, m 2-12",
        "How many [teams|committees] of two of {n} women and one of {m} men are there~",
        "{who} [picks|chooses] two of {n} {thing} and one of {m} prizes. "
            "How many choices are there~",
        answer=lambda n, m: n * (n - 1) / 2 * m,
    ),
    _template(
        "discrete", "pigeonhole", "k 2-12, m 3-15",
        "A [box|bag|drawer] has {thing} in {k} colors. "
            "How many must {who} take to be sure of {m} of one color~",
        answer=lambda m, k: k * (m - 1) + 1,
    ),
    _template(
        "discrete", "two menus", "a 2-20, b 2-9, c 2-20, d 2-9",
        "A code is one of {a} letters and one of {b} digits, "
            "or one of {c} signs and one of {d} marks. How many are there~",
        "{who} can [go|travel] by {a} roads and then {b} bridges, "
            "or by {c} boats and then {d} trains. How many ways are there~",
        answer=lambda a, b, c, d: a * b + c * d,
    ),
    _template(
        "discrete", "tournament", "n 4-20, g 2-9",
        "In a [league|tournament|cup] of {n} teams, each pair plays {g} [games|matches]. "
            "How many are played in all~",
        answer=lambda n, g: n * (n - 1) / 2 * g,
    ),
)  # fmt: skip
