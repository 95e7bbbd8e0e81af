"""Integers that show their work: an expression on `Num`s writes each operation down as a step.

`Num.of(30, steps) - 8` is 22 and appends `30 - 8 = 22`. School problems stay whole and small:
everything else is IllPosed.
"""


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

    def _write_step(self, operation: str, result: int) -> "Num":
        """The result, after `operation = result` is written down; IllPosed if it is too large."""
        if abs(result) > self.LARGEST:
            raise IllPosed
        self.steps.append(f"{operation} = {result}")
        return Num.of(result, self.steps)

    # Each works on plain integers, since an operation on `self` would be written down again.

    def __add__(self, addend: int) -> "Num":
        left = int(self)
        right = int(addend)
        return self._write_step(f"{left} + {right}", left + right)

    def __sub__(self, subtrahend: int) -> "Num":
        left = int(self)
        right = int(subtrahend)
        return self._write_step(f"{left} - {right}", left - right)

    def __rsub__(self, minuend: int) -> "Num":
        left = int(minuend)
        right = int(self)
        return self._write_step(f"{left} - {right}", left - right)

    def __mul__(self, factor: int) -> "Num":
        left = int(self)
        right = int(factor)
        return self._write_step(f"{left} * {right}", left * right)

    def __rmul__(self, factor: int) -> "Num":
        left = int(factor)
        right = int(self)
        return self._write_step(f"{left} * {right}", left * right)

    def __truediv__(self, divisor: int) -> "Num":
        left = int(self)
        right = int(divisor)
        if right == 0 or left % right != 0:
            raise IllPosed
        return self._write_step(f"{left} / {right}", left // right)

    def __mod__(self, modulus: int) -> "Num":
        left = int(self)
        right = int(modulus)
        if right == 0:
            raise IllPosed
        return self._write_step(f"{left} mod {right}", left % right)


def square(base: Num) -> Num:
    """base * base, where the base is itself an expression that must be worked out once."""
    return base * base


def digit_sum(number: Num) -> Num:
    """The sum of the digits, which are read off and not worked out."""
    first_digit, *other_digits = str(int(number))  # 305 is "3", "0", "5"
    total = Num.of(int(first_digit), number.steps)
    for digit in other_digits:
        total = total + int(digit)
    return total


def divisors(p: Num, a: Num, q: Num, b: Num) -> Num:
    """How many divisors p^a * q^b has, for p and q above 1.

    For different primes that is (a + 1) * (b + 1); other bases are taken apart into primes first.
    """
    exponents: dict[int, Num] = {}  # of each prime
    for base, exponent in ((int(p), a), (int(q), b)):
        for prime in _prime_factors(base):
            if prime in exponents:
                exponents[prime] = exponents[prime] + exponent
            else:
                exponents[prime] = exponent
    first_choices, *other_choices = [exponent + 1 for exponent in exponents.values()]
    divisor_count = first_choices
    for choices in other_choices:
        divisor_count = divisor_count * choices
    return divisor_count


def _prime_factors(number: int) -> list[int]:
    """12 is 2, 2, 3."""
    factors = []
    for prime in range(2, number + 1):
        while number % prime == 0:
            number //= prime
            factors.append(prime)
    return factors


def gap(first: Num, second: Num) -> Num:
    """The larger less the smaller."""
    if second >= first:
        return second - first
    return first - second


def remainder(number: int, modulus: int) -> Num:
    """number mod modulus: the largest multiple is taken away, 0 if number < modulus."""
    quotient = int(number) // int(modulus)
    return number - modulus * quotient


def gcd(dividend: Num, divisor: Num) -> Num:
    """The greatest common divisor by Euclid's algorithm."""
    while divisor:
        dividend, divisor = divisor, dividend % divisor
    return dividend


def median(*numbers: Num) -> Num:
    """The middle one of an odd count of numbers; the step is the sorted list."""
    steps = numbers[0].steps
    ordered = sorted(int(number) for number in numbers)
    listed = ", ".join(map(str, ordered))
    steps.append(f"Sorted: {listed}")
    middle = len(ordered) // 2
    return Num.of(ordered[middle], steps)


def spread(*numbers: Num) -> Num:
    """The largest less the smallest."""
    values = [int(number) for number in numbers]
    largest = Num.of(max(values), numbers[0].steps)
    return largest - min(values)
