"""Integers that show their work: an expression on `Num`s writes each operation down as a step.

`Num.of(30, steps) - 8` is 22 and appends `30 - 8 = 22`. School problems stay whole and small:
everything else is IllPosed.
"""

import math


class IllPosed(ValueError):
    """Numbers for which an expression has no whole value, or that do not fit into a question."""


class Num(int):
    """An int that writes down each operation on it."""

    LARGEST = 99_999
    steps: list[str]

    @classmethod
    def of(cls, value: int, steps: list[str]) -> "Num":
        number = cls(value)
        number.steps = steps
        return number

    def _step(self, left: int, sign: str, right: int, result: int) -> "Num":
        if abs(result) > self.LARGEST:
            raise IllPosed
        self.steps.append(f"{int(left)} {sign} {int(right)} = {result}")
        return Num.of(result, self.steps)

    def __add__(self, other: int) -> "Num":
        return self._step(self, "+", other, int(self) + int(other))

    def __sub__(self, other: int) -> "Num":
        return self._step(self, "-", other, int(self) - int(other))

    def __rsub__(self, other: int) -> "Num":
        return self._step(other, "-", self, int(other) - int(self))

    def __mul__(self, other: int) -> "Num":
        return self._step(self, "*", other, int(self) * int(other))

    def __rmul__(self, other: int) -> "Num":
        return self._step(other, "*", self, int(other) * int(self))

    def __truediv__(self, other: int) -> "Num":
        if not other or int(self) % int(other):
            raise IllPosed
        return self._step(self, "/", other, int(self) // int(other))

    def __mod__(self, other: int) -> "Num":
        if not other:
            raise IllPosed
        return self._step(self, "mod", other, int(self) % int(other))


def square(n: Num) -> Num:
    """n * n, where n is itself an expression that must be worked out once."""
    return n * n


def digit_sum(number: Num) -> Num:
    """The sum of the digits, which are read off and not worked out."""
    digits = [Num.of(int(digit), number.steps) for digit in str(int(number))]
    return sum(digits[1:], start=digits[0])


def divisors(p: Num, a: Num, q: Num, b: Num) -> Num:
    """How many divisors p^a * q^b has, for p and q above 1.

    For different primes that is (a + 1) * (b + 1); other bases are taken apart into primes first.
    """
    exponents: dict[int, Num] = {}
    for base, exponent in ((int(p), a), (int(q), b)):
        for prime in _prime_factors(base):
            known = exponents.get(prime)
            exponents[prime] = exponent if known is None else known + exponent
    choices = [exponent + 1 for exponent in exponents.values()]
    return math.prod(choices[1:], start=choices[0])


def _prime_factors(number: int) -> list[int]:
    """12 is 2, 2, 3."""
    factors = []
    for prime in range(2, number + 1):
        while number % prime == 0:
            number //= prime
            factors.append(prime)
    return factors


def gap(a: Num, b: Num) -> Num:
    """The larger less the smaller."""
    return b - a if b >= a else a - b


def remainder(n: int, m: int) -> Num:
    """n mod m: the largest multiple is taken away, 0 if n < m."""
    return n - m * (int(n) // int(m))


def gcd(a: Num, b: Num) -> Num:
    """The greatest common divisor by Euclid's algorithm."""
    while b:
        a, b = b, a % b
    return a


def median(*numbers: Num) -> Num:
    """The middle one of an odd count of numbers; the step is the sorted list."""
    steps = numbers[0].steps
    ordered = sorted(int(number) for number in numbers)
    steps.append(f"Sorted: {', '.join(map(str, ordered))}")
    return Num.of(ordered[len(ordered) // 2], steps)


def spread(*numbers: Num) -> Num:
    """The largest less the smallest."""
    largest = Num.of(max(map(int, numbers)), numbers[0].steps)
    return largest - min(map(int, numbers))
