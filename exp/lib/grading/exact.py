r"""Answers decided without algebra: equal text, exact numbers, and lists and matrices of numbers.

All functions take canonical text (`latex.canonical`) and compute no more than fractions of short
numbers: any text may come in.
"""

import re
from fractions import Fraction
from typing import NamedTuple

# x =, a_1 =, f(x) =, |AB| =; but not of a chain such as x = y = 5.
_NAME = re.compile(
    r"""
    ^(?: \\?[A-Za-z]+(?:_\{?\w+\}?)? | [A-Za-z]\([A-Za-z]\) | \|[A-Z]{2}\| )
    \s*=(?![^=<>]*[=<>])\s*
    """,
    re.VERBOSE,
)
_PERCENT = re.compile(r"\s*(?:\\?%|\bper\s?cent(?:age)?\b|\bpct\b)$", re.IGNORECASE)
_DIGITS = r"(?:\d+\.?\d*|\.\d+)"
_PLAIN = re.compile(rf"[-+]?{_DIGITS}")
_RATIO = re.compile(rf"([-+]?)({_DIGITS})/([-+]?{_DIGITS})")
_FRACTION = re.compile(rf"([-+]?)(\d*)\\frac\{{([-+]?{_DIGITS})\}}\{{([-+]?{_DIGITS})\}}")
_REPEATING = re.compile(r"([-+]?)(\d+)\.(\d*)\\overline\{(\d+)\}")
_SCIENTIFIC = re.compile(
    rf"""
    ([-+]?{_DIGITS})
    (?:
        (?:\\times|\\cdot|\*|×)10\^\{{?([-+]?\d{{1,3}})\}}?
        | [eE]([-+]?\d{{1,3}})
    )
    """,
    re.VERBOSE,
)
_MIXED = re.compile(r"^([-+]?\d+) (\d+)/(\d+)$")  # 3 1/2
_SEVERAL_NUMBERS = re.compile(r"\d \d")  # where blanks part thousands, they are gone already
_BLANKS = re.compile(r"(?<!\d) +| +(?!\d)")  # all but those that part two numbers
_LONGEST_NUMBER = 200  # characters

_BASED = re.compile(r"\(?(\d\w*?)\)?_\{?(\d+)\}?")  # 101_2
_TIME_OR_DATE = re.compile(r"\d{1,2}:\d{2}(?::\d{2})?|\d{4}-\d{2}-\d{2}")
_WORD = re.compile(r"[A-Za-z]{4,}")  # three letters may still be a product
_LETTER = re.compile("[A-J]")
_CHOICE = re.compile(r"\(?([A-J])(?:[):]|\.(?!\d))")
_ANOTHER_CHOICE = re.compile(r"(?<![A-Za-z])[A-J](?![A-Za-z])")  # `(A) or (B)` names no choice

_MATRIX = re.compile(r"\\begin\{[pb]?matrix\}(.*)\\end\{[pb]?matrix\}", re.DOTALL)
_END_OF_ROW = re.compile(r"\\\\")
_INTERVAL = re.compile(r"([\[(])([^,()\[\]]+),([^,()\[\]]+)([\])])")
_BRACKET_OR_SEPARATOR = re.compile(
    r"\\[{}]|[({\[\]})]|[,;]|\b(?:and|or)\b|(?<=\))or(?=\()"  # also `(1,2)or(3,4)`
)
_CLOSING = {"{": "}", "(": ")", "[": "]"}


class Number(NamedTuple):
    """An exact value, and how it was written: `12.50%` is 25/2, decimal, percent."""

    value: Fraction
    decimal: bool
    percent: bool


# Larger than anything that is written out, and only ever compared with itself.
_INFINITY = Number(Fraction("1e999"), decimal=False, percent=False)
_INFINITE = {
    r"\infty": _INFINITY,
    r"+\infty": _INFINITY,
    r"-\infty": Number(-_INFINITY.value, decimal=False, percent=False),
}


class _Numbers(NamedTuple):
    """The numbers of a list, pair, interval or matrix. Only the same kinds can be compared."""

    kind: str
    brackets: str
    values: list[Number]


def quick(answer: str, gold: str) -> bool | None:
    """The verdict on two canonical answers if text or exact numbers decide it, else None.

    Different words are different answers, although sympy would multiply their letters: `Evelyn`
    is `nylevE` to it.
    """
    ours, theirs = _without_names(answer, gold)
    if _tight(answer) == _tight(gold) or _tight(ours) == _tight(theirs):
        return True
    rules = (
        _compare_based_numbers,
        _compare_numbers,
        _refuse_what_math_verify_drops,
        _compare_words,
        _compare_lists,
        _compare_choices,
    )
    for rule in rules:
        verdict = rule(ours, theirs)
        if verdict is not None:
            return verdict
    return None


def _without_names(answer: str, gold: str) -> tuple[str, str]:
    """Both without their names, unless these differ: `x = 5` is 5, but `x = 5` is not `y = 5`."""
    name, gold_name = _NAME.match(answer), _NAME.match(gold)
    if name and gold_name and name[0] != gold_name[0]:
        return answer, gold
    return without_name(answer), without_name(gold)


def without_name(text: str) -> str:
    """`5` of `x = 5`, `2x + 3` of `f(x) = 2x + 3`; any other equation as it is."""
    return _NAME.sub("", text)


def _compare_based_numbers(ours: str, theirs: str) -> bool | None:
    """Numbers with a base are equal if digits and base are."""
    our_number, their_number = _BASED.fullmatch(ours), _BASED.fullmatch(theirs)
    if not our_number or not their_number:
        return None
    return our_number.groups() == their_number.groups()


def _compare_numbers(ours: str, theirs: str) -> bool | None:
    our_number, their_number = number(ours), number(theirs)
    if our_number and their_number:
        return same_number(our_number, their_number)
    if our_number and _TIME_OR_DATE.fullmatch(theirs):
        return False  # math-verify would work 10:30 out as a ratio
    if their_number and _TIME_OR_DATE.fullmatch(ours):
        return False
    return None


def _refuse_what_math_verify_drops(ours: str, theirs: str) -> bool | None:
    """False where math-verify would overlook a difference."""
    other_derivative = ours.count("'") != theirs.count("'")  # it drops the sign
    if other_derivative and not ours.isalpha() and not theirs.isalpha():
        return False
    if _SEVERAL_NUMBERS.search(ours) and not _SEVERAL_NUMBERS.search(theirs):
        return False  # it multiplies several numbers
    return None


def _compare_words(ours: str, theirs: str) -> bool | None:
    if not ours.isalpha() or not theirs.isalpha():
        return None
    if not _WORD.fullmatch(ours) and not _WORD.fullmatch(theirs):
        return None
    return ours.casefold() == theirs.casefold()


def _compare_lists(ours: str, theirs: str) -> bool | None:
    """Lists, pairs, intervals and matrices are equal if their numbers are."""
    our_numbers = _numbers(ours)
    their_numbers = _numbers(theirs) if our_numbers else None
    if not our_numbers or not their_numbers or our_numbers.kind != their_numbers.kind:
        return None
    if our_numbers.brackets != their_numbers.brackets:
        return False
    if len(our_numbers.values) != len(their_numbers.values):
        return False
    return all(map(same_number, our_numbers.values, their_numbers.values))


def _compare_choices(ours: str, theirs: str) -> bool | None:
    """`B` is `(B) 12`; two letters alone were compared as text, and `(A) or (B)` is no choice."""
    for letter, text in ((ours, theirs), (theirs, ours)):
        choice = _CHOICE.match(text)
        if not choice or not _LETTER.fullmatch(letter):
            continue
        if not _ANOTHER_CHOICE.search(text, choice.end()):
            return choice[1] == letter
    return None


def number(text: str) -> Number | None:
    """The exact value of canonical text that is one number, else None.

    That is a plain number, a fraction, a mixed, a repeating or a scientific one; each may end in a
    percent sign.
    """
    if len(text) > _LONGEST_NUMBER or not any(character.isdigit() for character in text[:20]):
        return None
    percent_sign = _PERCENT.search(text)
    if percent_sign:
        text = text[: percent_sign.start()]
    text = _MIXED.sub(r"\1\\frac{\2}{\3}", text)
    if _SEVERAL_NUMBERS.search(text):
        return None
    text = _tight(text)
    if text[:1] == "(" and text[-1] == ")" and _encloses(text):
        text = text[1:-1]
    is_percent = bool(percent_sign)
    if _PLAIN.fullmatch(text):
        return Number(Fraction(text), "." in text.rstrip("."), is_percent)
    if scientific := _SCIENTIFIC.fullmatch(text):
        exponent = int(scientific[2] or scientific[3])
        return Number(Fraction(scientific[1]) * Fraction(10) ** exponent, True, is_percent)
    if repeating := _REPEATING.fullmatch(text):
        return Number(_repeating_decimal(*repeating.groups()), False, is_percent)
    value = _fraction(text)
    return None if value is None else Number(value, "." in text, is_percent)


def _repeating_decimal(sign: str, whole: str, fixed: str, repeated: str) -> Fraction:
    r"""1.2\overline{34} is (1234 - 12) / 990."""
    numerator = int(whole + fixed + repeated) - int(whole + fixed)
    denominator = (10 ** len(repeated) - 1) * 10 ** len(fixed)
    value = Fraction(numerator, denominator)
    return -value if sign == "-" else value


def _fraction(text: str) -> Fraction | None:
    r"""The value of `3/4`, `\frac{3}{4}` or a mixed `2\frac{3}{4}`, else None; so for x/0."""
    whole = ""
    if match := _RATIO.fullmatch(text):
        sign, numerator, denominator = match.groups()
    elif match := _FRACTION.fullmatch(text):
        sign, whole, numerator, denominator = match.groups()
    else:
        return None
    if not Fraction(denominator):
        return None
    value = Fraction(numerator) / Fraction(denominator)
    if whole:
        value += Fraction(whole)
    return -value if sign == "-" else value


def same_number(a: Number, b: Number) -> bool:
    """Whether two values are equal, up to the rounding of a decimal.

    `10%` is 10, as in most gold answers, and also 0.1 if the other side has no percent sign.
    """
    rounded = a.decimal or b.decimal
    if _close(a.value, b.value, rounded):
        return True
    if a.percent == b.percent:
        return False
    if a.percent:
        return _close(a.value / 100, b.value, rounded)
    return _close(a.value, b.value / 100, rounded)


def _close(a: Fraction, b: Fraction, rounded: bool) -> bool:
    """Equal; if rounded, to six decimals, as in math-verify, and to four significant digits."""
    if a == b or not rounded:
        return a == b
    return round(a, 6) == round(b, 6) and abs(a - b) * 10_000 <= max(abs(a), abs(b))


def _numbers(text: str) -> _Numbers | None:
    """The numbers of a canonical list, pair, interval or matrix, if all its items are numbers."""
    brackets = ""
    if matrix := _MATRIX.fullmatch(text):
        table = [row.split("&") for row in _END_OF_ROW.split(matrix[1]) if row.strip()]
        kind = f"matrix {[len(row) for row in table]}"
        items = [cell.strip() for row in table for cell in row]
    elif interval := _INTERVAL.fullmatch(text):  # or a pair
        kind = "interval"
        brackets = interval[1] + interval[4]
        items = [interval[2].strip(), interval[3].strip()]
    elif listed := split_list(text):
        kind, items = listed
        if kind not in ("(", "["):
            kind = "set"
    else:
        return None
    values = []
    for item in items:
        value = _INFINITE.get(item.replace(" ", "")) or number(item)
        if value is None:
            return None
        values.append(value)
    if kind == "set":  # without order or repeats
        values = sorted({value.value: value for value in values}.values())
    return _Numbers(kind, brackets, values)


def split_list(text: str) -> tuple[str, list[str]] | None:
    """(bracket, items) of a canonical list; None for a single thing.

    Without a bracket ("") or in "{" the order does not count, in "(" and "[" it does. Items are
    separated by commas, semicolons, `and` or `or` outside of any bracket.
    """
    bracket, inner = "", text
    if text[:2] == r"\{" and text[-2:] == r"\}":
        bracket, inner = "{", text[2:-2]
    elif text[:1] in _CLOSING and _encloses(text):
        if text[-1] != _CLOSING[text[0]]:
            return None  # a half-open interval
        bracket, inner = text[0], text[1:-1]
    items = []
    depth = start = 0
    for match in _BRACKET_OR_SEPARATOR.finditer(inner):
        if match[0][-1] in "({[":
            depth += 1
        elif match[0][-1] in ")}]":
            depth -= 1
        elif depth == 0:
            items.append(inner[start : match.start()])
            start = match.end()
    items.append(inner[start:])
    items = [item.strip() for item in items if item.strip()]
    return (bracket, items) if len(items) > 1 else None


def _tight(text: str) -> str:
    """Without blanks, but for those that part two numbers."""
    return _BLANKS.sub("", text)


def _encloses(text: str) -> bool:
    """Whether the last bracket closes the first: it does in `(1,2)`, not in `(1,2),(3,4)`."""
    depth = 0
    for place, character in enumerate(text):
        if character in "({[":
            depth += 1
        elif character in ")}]":
            depth -= 1
        if depth == 0:
            return place == len(text) - 1
    return False
