"""Answers as text: one spelling for what is written in many, exact numbers, lists, and what would be too costly to work out.

Nothing here computes more than a fraction of two short numbers, and all of it is linear in the text: any text may come in.
"""

import re
from fractions import Fraction
from typing import NamedTuple

_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{|\\boxed\s+(?=[^\s{])")
_GAP = re.compile(  # what may stand between the boxes of one answer, as in \boxed{1}$ and $\boxed{2}
    r"(?:\s|[$,;&]|\\[,;:! ()\[\]]|\\q?quad|\\text\{[^{}]{0,40}\}|\band\b|\bor\b)*"
)
_SIZES = re.compile(r"\\(?:left|right|[bB]igg?[lr]?)(?![a-zA-Z])\.?")
_SPACES = re.compile(
    r"(?<!\\)\\[,;:> ]|\\q?quad|\\(?:thinspace|displaystyle|limits)(?![a-z])|\\hspace\*?\{[^{}]*\}|~|\u00a0|\u202f"
)
_DELIMITERS = re.compile(r"(?<!\\)\\[()\[\]]|\$+")
_CURRENCY = re.compile(r"\\\$|\\(?:pounds|euro)(?![a-z])|[€£¥₹]")
_DEGREES = re.compile(r"\^\s*\{?\s*\\circ\s*\}?|\\degree(?![a-z])|°")
_TEXT = r"\\(?:text|textbf|textit|textrm|textnormal|mathrm|mathbf|mathit|mathsf|mbox|operatorname)\s*"
_UNWRAP = re.compile(rf"{_TEXT}\{{([^{{}}]*)\}}")
# Units behind a number. In \text a single letter is one too, but for e and i; bare, `3 m` may be a product.
_TEXT_UNIT = re.compile(
    rf"(?<=[\d}})]){_TEXT}\{{\s*(?!(?:and|or|[eid])\s*\}})[A-Za-z][A-Za-z./ ^0-9]*\}}(?:\^\{{?-?\d\}}?)?[ .]*$"
)
_NO_UNIT = r"(?:and|or|mod|sin|cos|tan|sec|csc|cot|log|ln|exp|max|min|gcd|lcm|sqrt|frac|pi|percent|pct)\b"
_SHORT_UNIT = r"(?:[cmk]m|[mk]g|ml|ft|in|hr|mi|yd|lbs?|oz|am|pm|mph)"
_UNIT = re.compile(
    rf"(?<=[\d}})])(?: (?!{_NO_UNIT})(?:[A-Za-z]{{3,}}|of|to|a|{_SHORT_UNIT})\.?(?:\^\{{?\d\}}?)?(?:/[a-z]+)?)+$"
    rf"|(?<=\d){_SHORT_UNIT}(?:\^\{{?\d\}}?)?$"
)
_THOUSANDS = re.compile(r"(?<![\d.,(\[])\d{1,3}(?:,\d{3})+(?![\d,)\]])|(?<![\d.])\d{1,3}(?: \d{3})+(?![ \d])")
_NAME = re.compile(r"^(?:\\?[A-Za-z]+(?:_\{?\w+\}?)?|[A-Za-z]\([A-Za-z]\)|\|[A-Z]{2}\|)\s*=(?![^=<>]*[=<>])\s*")
_PERCENT = re.compile(r"\s*(?:\\?%|\bper\s?cent(?:age)?\b|\bpct\b)$", re.IGNORECASE)

_DIGITS = r"(?:\d+\.?\d*|\.\d+)"
_PLAIN = re.compile(rf"[-+]?{_DIGITS}")
_RATIO = re.compile(rf"([-+]?)({_DIGITS})/([-+]?{_DIGITS})")
_FRAC = re.compile(rf"([-+]?)(\d*)\\frac\{{([-+]?{_DIGITS})\}}\{{([-+]?{_DIGITS})\}}")
_SCIENTIFIC = re.compile(rf"([-+]?{_DIGITS})(?:(?:\\times|\\cdot|\*|×)10\^\{{?([-+]?\d{{1,3}})\}}?|[eE]([-+]?\d{{1,3}}))")
_WORDS = re.compile(r"(?=.{4}|.* )[A-Za-z][A-Za-z' -]*")  # three letters may still be a product
_LETTER, _CHOICE = re.compile("[A-J]"), re.compile(r"\(?([A-J])(?:[):]|\.(?!\d))")
_REPEATING = re.compile(r"([-+]?)(\d+)\.(\d*)\\overline\{(\d+)\}")
_LONGEST = 2000  # characters of an answer that is looked into; a 10 by 10 matrix of fractions has 1,700


class Number(NamedTuple):
    """An exact value, and how it was written: `12.50%` is 25/2, decimal, percent."""

    value: Fraction
    decimal: bool
    percent: bool


def boxes(text: str) -> list[tuple[int, int, str]]:
    """(start, end, contents) of every `\\boxed{…}` with balanced braces, in order; nested ones count as their outermost."""
    openings, closes, stack = list(_BOX.finditer(text)), {}, []
    if not openings:
        return []
    for brace in re.finditer(r"\\[{}\\]|[{}]", text[openings[0].start() :]):  # escaped braces are no braces
        if brace[0] == "{":
            stack.append(brace.end())
        elif brace[0] == "}" and stack:
            closes[stack.pop()] = brace.start()
    shift, found = openings[0].start(), []
    for opening in openings:
        if found and opening.start() < found[-1][1]:
            continue
        start, inside = opening.span()
        if opening[0][-1] != "{":
            found.append((start, inside + 1, text[inside]))
        elif inside - shift in closes:  # else never closed: cut off
            end = closes[inside - shift] + shift
            found.append((start, end + 1, text[inside:end]))
    return found


def last_box(text: str) -> str | None:
    """What the last box holds; the last boxes, where nothing but `,` or `and` stands between them, are one list."""
    found = boxes(text)
    if not found:
        return None
    group = [found[-1]]
    for box in reversed(found[:-1]):
        if not _GAP.fullmatch(text, box[1], group[0][0]):
            break
        group.insert(0, box)
    contents = dict.fromkeys(c.strip() for _, _, c in group)
    return ", ".join(c for c in contents if c) or None


def canonical(text: str) -> str:
    """One spelling of an answer: without delimiters, spacing, units, degrees, currency and thousands commas; `\\frac{a}{b}`.

    A percent sign stays, for `number`, and so does `x =`, for `without_name`.
    """
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return text.lstrip("0") or "0"
    if "box" in text:
        text = last_box(text) or text
    for seldom, usual in (("{,}", ","), ("−", "-"), ("²", "^2"), ("³", "^3"), ("\\varnothing", "\\emptyset")):
        text = text.replace(seldom, usual)
    text = re.sub(r",?\\!\s*", lambda m: m[0][: m[0][0] == ","], text)
    text = _DELIMITERS.sub(" ", _CURRENCY.sub("", _SPACES.sub(" ", text)))
    text = _DEGREES.sub("", re.sub(r"\\[dtc]frac(?![a-z])", r"\\frac", _SIZES.sub("", text)))
    text = " ".join(text.split()).rstrip(" .,;:")
    text = _TEXT_UNIT.sub("", re.sub(rf"(?<=[\d}})]) (?={_TEXT})", "", text))
    for _ in range(3):  # as deep as people nest them: \text{\textbf{(C)}}
        text = _UNWRAP.sub(r" \1 ", text)
    text = re.sub(r"\\(?:rm|bf|it)(?![a-z])", " ", text).replace("**", "^")
    text = re.sub(r"\\(le|ge|ne)q?(?:slant)?(?![a-z])", r"\\\1q ", text.replace("\\lt ", "<").replace("\\gt ", ">"))
    text = _braced(" ".join(text.split()).rstrip(" .,;:"))
    text = _THOUSANDS.sub(lambda m: re.sub("[, ]", "", m[0]), _UNIT.sub("", text))
    inner = re.fullmatch(r"[({]\s*([A-Za-z]|[-+]?[\d.]+)\s*[)}]", text)  # (C), {5}
    return inner[1] if inner else text


def _braced(text: str) -> str:
    """`\\frac12`, `\\frac 1 2` and `\\sqrt2` with the braces that they mean."""
    if "\\frac" in text:
        text = re.sub(r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}", text)
        text = re.sub(r"\\frac\s*(\{[^{}]*\})\s*(\w)", r"\\frac\1{\2}", text)
        text = re.sub(r"\\frac\s*(\w)\s*\{", r"\\frac{\1}{", text)
    return re.sub(r"\\sqrt\s*(\w)", r"\\sqrt{\1}", text)


def without_name(text: str) -> str:
    """`5` of `x = 5`, `2x + 3` of `f(x) = 2x + 3`; any other equation as it is."""
    return _NAME.sub("", text)


def number(text: str) -> Number | None:
    """The exact value of a canonical text that is a plain number, a fraction, a mixed number or a scientific one."""
    if len(text) > 200 or not any(c.isdigit() for c in text[:20]):
        return None
    percent = _PERCENT.search(text)
    text = text[: percent.start()] if percent else text
    text = re.sub(r"^([-+]?\d+) (\d+)/(\d+)$", r"\1\\frac{\2}{\3}", text).replace(" ", "")  # 3 1/2
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
    return Number(Fraction(sign * above, 1) / below, "." in text and m.re != _REPEATING, bool(percent)) if below else None


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
    if answer.replace(" ", "") == gold.replace(" ", "") or ours.replace(" ", "") == theirs.replace(" ", ""):
        return True
    a, b = number(ours), number(theirs)
    if a and b:
        return same_number(a, b)
    if _WORDS.fullmatch(ours) and _WORDS.fullmatch(theirs):
        return ours.casefold() == theirs.casefold()
    for letter, choice in ((ours, theirs), (theirs, ours)):
        if _LETTER.fullmatch(letter) and (named := _CHOICE.match(choice)):
            return named[1] == letter
    return None


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


def too_costly(text: str) -> bool:
    """Whether working a canonical text out could take for ever: towers of powers, large factorials, deep nesting, length.

    What it misses meets the time limit of `lib.verifier`; what it names can only be equal as text.
    """
    if len(text) > _LONGEST:
        return True
    depth = deepest = 0
    for c in text:
        depth += (c in "({[") - (c in ")}]")
        deepest = max(deepest, depth)
    flat = re.sub(r"[\s{}()]|\\[a-z]*(?:left|right)", "", text)
    powers = re.findall(r"(\d+)!?\^[-+]?(\d+)([!^]?)", flat)
    return (
        deepest > 40
        or any(len(power) > 5 or after or len(base) * int(power) > 100_000 for base, power, after in powers)
        or bool(re.search(r"\d{5,}!|!!|\\[dt]?binom\d{5,}|\d{200,}|\^\d*!", flat))
    )
