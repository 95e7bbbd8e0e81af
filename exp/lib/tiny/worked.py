"""Integers that show their work: an expression on `Num`s gives its value and, in a log, each operation as a step.

`Num.of(30, log) - 8` is 22 and appends `30 - 8 = 22`. School problems stay whole: anything else is IllPosed.
"""

import math


class IllPosed(ValueError):
    """Numbers for which an expression has no whole value."""


class Num(int):
    """An int that writes down each operation on it."""

    LARGEST = 99_999
    log: list[str]

    @classmethod
    def of(cls, value: int, log: list[str]) -> "Num":
        number = cls(value)
        number.log = log
        return number

    def _step(self, left: int, sign: str, right: int, result: int) -> "Num":
        if abs(result) > self.LARGEST:
            raise IllPosed
        self.log.append(f"{int(left)} {sign} {int(right)} = {result}")
        return Num.of(result, self.log)

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


def digit_sum(n: Num) -> Num:
    """The sum of the digits, which are read off and not worked out."""
    first, *rest = (Num.of(int(digit), n.log) for digit in str(int(n)))
    return sum(rest, start=first)


def divisors(p: Num, a: Num, q: Num, b: Num) -> Num:
    """How many divisors p^a * q^b has, for p and q above 1; for distinct primes (a + 1) * (b + 1)."""
    exponents: dict[int, Num] = {}
    for base, exponent in ((int(p), a), (int(q), b)):
        for prime in range(2, base + 1):
            while base % prime == 0:
                base //= prime
                exponents[prime] = exponents[prime] + exponent if prime in exponents else exponent
    first, *rest = (exponent + 1 for exponent in exponents.values())
    return math.prod(rest, start=first)


def gap(a: Num, b: Num) -> Num:
    """The larger less the smaller."""
    return b - a if b >= a else a - b


def remainder(n: int, m: int) -> Num:
    """n mod m by taking away the largest multiple; nothing to take where n < m."""
    return n - m * (int(n) // int(m))


def gcd(a: Num, b: Num) -> Num:
    """Euclid's algorithm."""
    while b:
        a, b = b, a % b
    return a


def median(*numbers: Num) -> Num:
    """The middle one of an odd number of them; the step is the sorted list."""
    ordered = sorted(int(n) for n in numbers)
    numbers[0].log.append(f"Sorted: {', '.join(map(str, ordered))}")
    return Num.of(ordered[len(ordered) // 2], numbers[0].log)


def spread(*numbers: Num) -> Num:
    """The largest less the smallest."""
    return Num.of(max(map(int, numbers)), numbers[0].log) - min(map(int, numbers))
