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
    is_decimal: bool
    is_percent: bool


# Larger than anything that is written out, and only ever compared with itself.
_INFINITY = Number(Fraction("1e999"), is_decimal=False, is_percent=False)
_MINUS_INFINITY = Number(-_INFINITY.value, is_decimal=False, is_percent=False)
_INFINITE = {r"\infty": _INFINITY, r"+\infty": _INFINITY, r"-\infty": _MINUS_INFINITY}


class _Numbers(NamedTuple):
    """The numbers of a list, pair, interval or matrix. Only the same kinds can be compared."""

    kind: str
    brackets: str
    values: list[Number]


def compare(answer: str, gold: str) -> bool | None:
    """The verdict on two canonical answers if text or exact numbers decide it, else None.

    Different words are different answers, although sympy would multiply their letters: `Evelyn`
    is `nylevE` to it.
    """
    answer_value, gold_value = _without_names(answer, gold)
    if _tight(answer) == _tight(gold) or _tight(answer_value) == _tight(gold_value):
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
        verdict = rule(answer_value, gold_value)
        if verdict is not None:
            return verdict
    return None


def _without_names(answer: str, gold: str) -> tuple[str, str]:
    """Both without their names, unless these differ: `x = 5` is 5, but `x = 5` is not `y = 5`."""
    answer_name, gold_name = _NAME.match(answer), _NAME.match(gold)
    if answer_name and gold_name and answer_name[0] != gold_name[0]:
        return answer, gold
    return without_name(answer), without_name(gold)


def without_name(text: str) -> str:
    """`5` of `x = 5`, `2x + 3` of `f(x) = 2x + 3`; any other equation as it is."""
    return _NAME.sub("", text)


def _compare_based_numbers(answer: str, gold: str) -> bool | None:
    """Numbers with a base are equal if digits and base are."""
    answer_number, gold_number = _BASED.fullmatch(answer), _BASED.fullmatch(gold)
    if not answer_number or not gold_number:
        return None
    return answer_number.groups() == gold_number.groups()


def _compare_numbers(answer: str, gold: str) -> bool | None:
    answer_number, gold_number = number(answer), number(gold)
    if answer_number and gold_number:
        return same_number(answer_number, gold_number)
    if answer_number and _TIME_OR_DATE.fullmatch(gold):
        return False  # math-verify would work 10:30 out as a ratio
    if gold_number and _TIME_OR_DATE.fullmatch(answer):
        return False
    return None


def _refuse_what_math_verify_drops(answer: str, gold: str) -> bool | None:
    """False where math-verify would overlook a difference."""
    other_derivative = answer.count("'") != gold.count("'")  # it drops the sign
    if other_derivative and not answer.isalpha() and not gold.isalpha():
        return False
    if _SEVERAL_NUMBERS.search(answer) and not _SEVERAL_NUMBERS.search(gold):
        return False  # it multiplies several numbers
    return None


def _compare_words(answer: str, gold: str) -> bool | None:
    if not answer.isalpha() or not gold.isalpha():
        return None
    if not _WORD.fullmatch(answer) and not _WORD.fullmatch(gold):
        return None
    return answer.casefold() == gold.casefold()


def _compare_lists(answer: str, gold: str) -> bool | None:
    """Lists, pairs, intervals and matrices are equal if their numbers are."""
    answer_numbers = _read_numbers(answer)
    gold_numbers = _read_numbers(gold) if answer_numbers else None
    if not answer_numbers or not gold_numbers:
        return None
    if answer_numbers.kind != gold_numbers.kind:
        return None
    if answer_numbers.brackets != gold_numbers.brackets:
        return False
    if len(answer_numbers.values) != len(gold_numbers.values):
        return False
    return all(map(same_number, answer_numbers.values, gold_numbers.values))


def _compare_choices(answer: str, gold: str) -> bool | None:
    """`B` is `(B) 12`; two letters alone were compared as text, and `(A) or (B)` is no choice."""
    for letter, text in ((answer, gold), (gold, answer)):
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
    # A number has a digit early: `-\frac{12}{7}` at its eighth place.
    if len(text) > _LONGEST_NUMBER or not any(character.isdigit() for character in text[:20]):
        return None
    percent_sign = _PERCENT.search(text)
    is_percent = percent_sign is not None
    if percent_sign:
        text = text[: percent_sign.start()]
    text = _MIXED.sub(r"\1\\frac{\2}{\3}", text)
    if _SEVERAL_NUMBERS.search(text):
        return None
    text = _tight(text)
    if text[:1] == "(" and text[-1] == ")" and _encloses(text):
        text = text[1:-1]
    has_point = "." in text
    if _PLAIN.fullmatch(text):
        is_decimal = has_point and not text.endswith(".")
        return Number(Fraction(text), is_decimal, is_percent)
    if scientific := _SCIENTIFIC.fullmatch(text):
        significand = Fraction(scientific[1])
        exponent = int(scientific[2] or scientific[3])
        return Number(significand * Fraction(10) ** exponent, True, is_percent)
    if repeating := _REPEATING.fullmatch(text):
        return Number(_repeating_decimal(*repeating.groups()), False, is_percent)
    value = _fraction(text)
    return None if value is None else Number(value, has_point, is_percent)


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
    divisor = Fraction(denominator)
    if not divisor:
        return None
    value = Fraction(numerator) / divisor
    if whole:
        value += Fraction(whole)
    return -value if sign == "-" else value


def same_number(answer: Number, gold: Number) -> bool:
    """Whether two values are equal, up to the rounding of a decimal.

    `10%` is 10, as in most gold answers, and also 0.1 if the other side has no percent sign.
    """
    is_rounded = answer.is_decimal or gold.is_decimal
    if _is_close(answer.value, gold.value, is_rounded):
        return True
    if answer.is_percent == gold.is_percent:
        return False
    if answer.is_percent:
        return _is_close(answer.value / 100, gold.value, is_rounded)
    return _is_close(answer.value, gold.value / 100, is_rounded)


def _is_close(answer: Fraction, gold: Fraction, is_rounded: bool) -> bool:
    """Equal; if rounded, to six decimals, as in math-verify, and to four significant digits."""
    if answer == gold or not is_rounded:
        return answer == gold
    if round(answer, 6) != round(gold, 6):
        return False
    return abs(answer - gold) * 10_000 <= max(abs(answer), abs(gold))


def _read_numbers(text: str) -> _Numbers | None:
    """The numbers of a canonical list, pair, interval or matrix, if all its items are numbers."""
    brackets = ""
    if matrix := _MATRIX.fullmatch(text):
        kind, items = _read_matrix(matrix[1])
    elif interval := _INTERVAL.fullmatch(text):  # or a pair
        opening, low, high, closing = interval.groups()
        kind = "interval"
        brackets = opening + closing
        items = [low.strip(), high.strip()]
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
        distinct = {value.value: value for value in values}
        values = sorted(distinct.values())
    return _Numbers(kind, brackets, values)


def _read_matrix(inside: str) -> tuple[str, list[str]]:
    """(kind, cells row by row) of what stands in a matrix; the kind has the length of each row."""
    row_lengths, cells = [], []
    for row in _END_OF_ROW.split(inside):
        if row.strip():
            row_cells = row.split("&")
            row_lengths.append(len(row_cells))
            cells.extend(map(str.strip, row_cells))
    return f"matrix {row_lengths}", cells


def split_list(text: str) -> tuple[str, list[str]] | None:
    """(bracket, items) of a canonical list; None for a single thing.

    Without a bracket ("") or in "{" the order does not count, in "(" and "[" it does. Items are
    separated by commas, semicolons, `and` or `or` outside of any bracket.
    """
    bracket, inside = "", text
    if text[:2] == r"\{" and text[-2:] == r"\}":
        bracket, inside = "{", text[2:-2]
    elif text[:1] in _CLOSING and _encloses(text):
        if text[-1] != _CLOSING[text[0]]:
            return None  # a half-open interval
        bracket, inside = text[0], text[1:-1]
    parts = []
    depth = start = 0
    for mark in _BRACKET_OR_SEPARATOR.finditer(inside):
        last_character = mark[0][-1]  # of `\{` the brace
        if last_character in "({[":
            depth += 1
        elif last_character in ")}]":
            depth -= 1
        elif depth == 0:
            parts.append(inside[start : mark.start()])
            start = mark.end()
    parts.append(inside[start:])
    items = list(filter(None, map(str.strip, parts)))
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
