"""Answers decided without algebra: the same text, exact numbers, and lists, pairs, intervals and matrices of numbers.

All take canonical text (`latex.canonical`) and compute no more than fractions of short numbers: any text may come in.
"""

import re
from fractions import Fraction
from typing import NamedTuple

_NAME = re.compile(
    r"^(?:\\?[A-Za-z]+(?:_\{?\w+\}?)?|[A-Za-z]\([A-Za-z]\)|\|[A-Z]{2}\|)\s*=(?![^=<>]*[=<>])\s*"
)
_PERCENT = re.compile(r"\s*(?:\\?%|\bper\s?cent(?:age)?\b|\bpct\b)$", re.IGNORECASE)
_DIGITS = r"(?:\d+\.?\d*|\.\d+)"
_PLAIN = re.compile(rf"[-+]?{_DIGITS}")
_RATIO = re.compile(rf"([-+]?)({_DIGITS})/([-+]?{_DIGITS})")
_FRAC = re.compile(rf"([-+]?)(\d*)\\frac\{{([-+]?{_DIGITS})\}}\{{([-+]?{_DIGITS})\}}")
_SCIENTIFIC = re.compile(
    rf"([-+]?{_DIGITS})(?:(?:\\times|\\cdot|\*|×)10\^\{{?([-+]?\d{{1,3}})\}}?|[eE]([-+]?\d{{1,3}}))"
)
_WORDS = re.compile(r"[A-Za-z]{4,}")  # three letters may still be a product
_LETTER, _CHOICE = re.compile("[A-J]"), re.compile(r"\(?([A-J])(?:[):]|\.(?!\d))")
_OTHER = re.compile(r"(?<![A-Za-z])[A-J](?![A-Za-z])")  # `(A) or (B)` names no choice
_BASED = re.compile(r"\(?(\d\w*?)\)?_\{?(\d+)\}?")
_NO_VALUE = re.compile(
    r"\d{1,2}:\d{2}(?::\d{2})?|\d{4}-\d{2}-\d{2}"
)  # a time or a date, which math-verify works out
_MATRIX = re.compile(r"\\begin\{[pb]?matrix\}(.*)\\end\{[pb]?matrix\}", re.DOTALL)
_INTERVAL = re.compile(r"([\[(])([^,()\[\]]+),([^,()\[\]]+)([\])])")
_REPEATING = re.compile(r"([-+]?)(\d+)\.(\d*)\\overline\{(\d+)\}")


class Number(NamedTuple):
    """An exact value, and how it was written: `12.50%` is 25/2, decimal, percent."""

    value: Fraction
    decimal: bool
    percent: bool


# Larger than anything that is written out: only ever compared with itself.
_INFINITE = {
    sign + r"\infty": Number(Fraction(f"{sign}1e999"), False, False) for sign in ("", "+", "-")
}


def without_name(text: str) -> str:
    """`5` of `x = 5`, `2x + 3` of `f(x) = 2x + 3`; any other equation as it is."""
    return _NAME.sub("", text)


def number(text: str) -> Number | None:
    """The exact value of a canonical text that is a plain number, a fraction, a mixed number or a scientific one."""
    if len(text) > 200 or not any(c.isdigit() for c in text[:20]):
        return None
    percent = _PERCENT.search(text)
    text = text[: percent.start()] if percent else text
    text = re.sub(r"^([-+]?\d+) (\d+)/(\d+)$", r"\1\\frac{\2}{\3}", text)  # 3 1/2
    if re.search(
        r"\d \d", text
    ):  # two numbers, or more; where blanks part thousands, they are gone
        return None
    text = _tight(text)
    if text[:1] == "(" and text[-1] == ")" and _encloses(text):
        text = text[1:-1]
    sign = -1 if text[:1] == "-" else 1
    if _PLAIN.fullmatch(text):
        return Number(Fraction(text), "." in text.rstrip("."), bool(percent))
    if m := _RATIO.fullmatch(text):
        above, below = Fraction(m[2]), Fraction(m[3])
    elif m := _FRAC.fullmatch(text):
        above, below = Fraction(m[3]), Fraction(m[4])
        if m[2]:  # a mixed number: 2\frac{5}{8}
            above += Fraction(m[2]) * below
    elif m := _REPEATING.fullmatch(text):
        above = int(m[2] + m[3] + m[4]) - int(m[2] + m[3])
        below = (10 ** len(m[4]) - 1) * 10 ** len(m[3])
    elif m := _SCIENTIFIC.fullmatch(text):
        return Number(Fraction(m[1]) * Fraction(10) ** int(m[2] or m[3]), True, bool(percent))
    else:
        return None
    return (
        Number(Fraction(sign * above, 1) / below, "." in text and m.re != _REPEATING, bool(percent))
        if below
        else None
    )


def same_number(a: Number, b: Number) -> bool:
    """Equal values. A decimal may be rounded: six decimals must agree, as in math-verify, and four significant digits.

    `10%` is 10, as in most gold answers, and also 0.1 where the other side has no percent sign.
    """
    rounded = a.decimal or b.decimal
    if _close(a.value, b.value, rounded) or a.percent == b.percent:
        return _close(a.value, b.value, rounded)
    return _close(a.value / (100 if a.percent else 1), b.value / (100 if b.percent else 1), rounded)


def _close(a: Fraction, b: Fraction, rounded: bool) -> bool:
    if a == b or not rounded:
        return a == b
    return round(a, 6) == round(b, 6) and abs(a - b) * 10_000 <= max(abs(a), abs(b))


def quick(answer: str, gold: str) -> bool | None:
    """The verdict on two canonical answers where text or exact numbers decide it; None where it must be worked out.

    Different words are different answers, where sympy would multiply their letters: `Evelyn` is `nylevE` to it.
    """
    names = {m[0] for m in map(_NAME.match, (answer, gold)) if m}
    ours, theirs = (answer, gold) if len(names) > 1 else (without_name(answer), without_name(gold))
    if _tight(answer) == _tight(gold) or _tight(ours) == _tight(theirs):
        return True
    if (base := _BASED.fullmatch(ours)) and (other := _BASED.fullmatch(theirs)):
        return base.groups() == other.groups()
    a, b = number(ours), number(theirs)
    if a and b:
        return same_number(a, b)
    if a and _NO_VALUE.fullmatch(theirs) or b and _NO_VALUE.fullmatch(ours):
        return False
    if ours.count("'") != theirs.count("'") and not (
        ours.isalpha() or theirs.isalpha()
    ):  # a derivative; math-verify drops it
        return False
    if re.search(r"\d \d", ours) and not re.search(
        r"\d \d", theirs
    ):  # several numbers; math-verify multiplies them
        return False
    if (_WORDS.fullmatch(ours) or _WORDS.fullmatch(theirs)) and ours.isalpha() and theirs.isalpha():
        return ours.casefold() == theirs.casefold()
    if (first := _numbers(ours)) and (second := _numbers(theirs)) and first[0] == second[0]:
        return len(first[1]) == len(second[1]) and all(map(same_number, first[1], second[1]))
    for letter, choice in ((ours, theirs), (theirs, ours)):
        if (
            _LETTER.fullmatch(letter)
            and (named := _CHOICE.match(choice))
            and not _OTHER.search(choice, named.end())
        ):
            return named[1] == letter
    return None


def _tight(text: str) -> str:
    """Without blanks, but for those that part two numbers."""
    return re.sub(r"(?<!\d) +| +(?!\d)", "", text)


def _numbers(text: str) -> tuple[str, list[Number]] | None:
    """(kind, values) of a canonical list, pair, interval or matrix of plain numbers; sets sorted, as their order is none."""
    if m := _MATRIX.fullmatch(text):
        table = [row.split("&") for row in re.split(r"\\\\", m[1]) if row.strip()]
        kind, items = (
            f"matrix {[len(row) for row in table]}",
            [cell.strip() for row in table for cell in row],
        )
    elif m := _INTERVAL.fullmatch(text):
        kind, items = (
            "interval",
            [{"[": "1", "(": "2"}[m[1]], m[2].strip(), m[3].strip(), {"]": "1", ")": "2"}[m[4]]],
        )
    elif found := split_list(text):
        kind, items = found if found[0] in ("(", "[") else ("set", found[1])
    else:
        return None
    values = [_INFINITE.get(item.replace(" ", "")) or number(item) for item in items]
    if None in values:
        return None
    if kind == "set":
        values = sorted({v.value: v for v in values}.values())
    return kind, values


def split_list(text: str) -> tuple[str, list[str]] | None:
    """(bracket, items) of a canonical list: bracket "" or "{" has no order, "(" and "[" have; None for a single thing.

    Items are separated by commas, semicolons, `and` or `or` outside of any bracket.
    """
    bracket, inner = "", text
    if text[:2] == r"\{" and text[-2:] == r"\}":
        bracket, inner = "{", text[2:-2]
    elif text[:1] in ("{", "(", "[") and _encloses(text):
        if text[-1] != {"{": "}", "(": ")", "[": "]"}[text[0]]:
            return None  # a half-open interval
        bracket, inner = text[0], text[1:-1]
    items, depth, start = [], 0, 0
    for m in re.finditer(r"\\[{}]|[({\[\]})]|[,;]|\b(?:and|or)\b|(?<=\))or(?=\()", inner):
        if m[0][-1] in "({[":
            depth += 1
        elif m[0][-1] in ")}]":
            depth -= 1
        elif depth == 0:
            items.append(inner[start : m.start()])
            start = m.end()
    items = [i.strip() for i in [*items, inner[start:]] if i.strip()]
    return (bracket, items) if len(items) > 1 else None


def _encloses(text: str) -> bool:
    """Whether the first bracket is closed by the last one: so in `(1,2)`, not so in `(1,2),(3,4)`."""
    depth = 0
    for place, c in enumerate(text):
        depth += (c in "({[") - (c in ")}]")
        if depth == 0:
            return place == len(text) - 1
    return False
