"""Answers as text: what a box holds, one spelling for what is written in many, and what would be too costly to work out.

Nothing is computed here, and all of it is linear in the text: any text may come in.
"""

import re

_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{|\\boxed\s+(?=[^\s{])")
_PLAIN_BOX = re.compile(r"\\boxed\{([^{}\\]*)\}")
_GAP = re.compile(  # what may stand between the boxes of one answer, as in \boxed{1}$ and $\boxed{2}
    r"(?:\s|[$,;&]|\\[,;:! ()\[\]]|\\q?quad|\\text\{[^{}]{0,40}\}|\band\b|\bor\b|[A-Za-z](?:_\{?\d\}?)?\s*=)*"
)
_SIZES = re.compile(r"\\(?:left|right|[bB]igg?[lr]?)(?![a-zA-Z])\.?")
_SPACES = re.compile(
    r"(?<!\\)\\[,;:> ]|\\q?quad|\\(?:thinspace|displaystyle|limits)(?![a-z])|\\hspace\*?\{[^{}]*\}|~|\u00a0|\u202f"
)
_DELIMITERS = re.compile(r"(?<!\\)\\[()\[\]]|\$+")
_CURRENCY = re.compile(r"\\\$|\\(?:pounds|euro)(?![a-z])|[€£¥₹]")
_DEGREES = re.compile(r"(?:\^ ?\{? ?\\circ ?\}?|\\degree(?![a-z])|°)(?: ?[CF]\b)?")
_ANGLE = re.compile(
    r"(\\(?:sin|cos|tan|cot|sec|csc)) ?[({]? ?([\d.]+) ?[)}]? ?(?:\^ ?\{? ?\\circ ?\}?|°) ?[)}]?"
)
_TEXT = (
    r"\\(?:text|textbf|textit|textrm|textnormal|mathrm|mathbf|mathit|mathsf|mbox|operatorname)\s*"
)
_UNWRAP = re.compile(rf"{_TEXT}\{{([^{{}}]*)\}}")
# Words behind a number that are no units: functions, and words that make it another number.
_NO_UNIT = (
    r"(?:and|or|mod|a?r?c?sin|a?r?c?cos|a?r?c?tan|sinh|cosh|tanh|sec|csc|cot|log|ln|exp|max|min|gcd|lcm|sqrt|frac|pi|percent|pct|"
    r"hundred|thousand|[mbtr]+illion|dozen|half|halves|thirds?|quarters?|fourths?|fifths?|\w*[dn]ths|squared|cubed|factorial|"
    r"theta|alpha|beta|more|less|times)\b"
)
# Units behind a number. In \text a single letter is one too, but for e and i; bare, `3 m` may be a product.
_TEXT_UNIT = re.compile(
    rf"(?:(?<=[\d}})])|(?<=\\pi)|(?<=\\pi ))(?!\\mathbf){_TEXT}\{{\s*(?!{_NO_UNIT}|[eid]\s*\}})"
    r"[A-Za-z][A-Za-z./ ^0-9]*\}(?:\^\{?-?\d\}?)?[ .]*$"
)
_SHORT_UNIT = r"(?:[cmk]m|[mk]g|ml|ft|in|hr|mi|yd|lbs?|oz|am|pm|mph)"
_UNIT = re.compile(
    rf"(?<=[\d}})])(?: (?!{_NO_UNIT})(?:[A-Za-z]{{3,}}|of|to|a|{_SHORT_UNIT})\.?(?:\^\{{?\d\}}?)?(?:/[a-z]+)?)+$"
    rf"|(?<=\d){_SHORT_UNIT}(?:\^\{{?\d\}}?)?$"
)
_THOUSANDS = re.compile(
    r"(?<![\d.,(\[])(?<!\\\{)\d{1,3}(?:,\d{3})+(?![\d,)\]])|(?<![\d.])\d{1,3}(?: \d{3})+(?![ \d])"
)

_LONGEST = (
    2000  # characters of an answer that is looked into; a 10 by 10 matrix of fractions has 1,700
)


def boxes(text: str) -> list[tuple[int, int, str]]:
    """(start, end, contents) of every `\\boxed{…}` with balanced braces, in order; nested ones count as their outermost."""
    openings, closes, stack = list(_BOX.finditer(text)), {}, []
    if not openings:
        return []
    for brace in re.finditer(
        r"\\[{}\\]|[{}]", text[openings[0].start() :]
    ):  # escaped braces are no braces
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
    if text.count("box") == 1 and (
        only := _PLAIN_BOX.search(text)
    ):  # most texts: a third of the time
        return only[1].strip() or None
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
    for seldom, usual in (
        ("{,}", ","),
        ("−", "-"),
        ("²", "^2"),
        ("³", "^3"),
        ("\\varnothing", "\\emptyset"),
        ("∞", "\\infty "),
    ):
        text = text.replace(seldom, usual)
    text = re.sub(
        r"(?<![A-Za-z\\])pi(?![A-Za-z])", r"\\pi", re.sub(r"√\s*(\d+|\w)", r"\\sqrt{\1}", text)
    )
    text = re.sub(r",?\\!\s*", lambda m: m[0][: m[0][0] == ","], text)
    text = _DELIMITERS.sub(" ", _CURRENCY.sub("", _SPACES.sub(" ", text)))
    text = _ANGLE.sub(r"\1(\2\\pi/180)", " ".join(text.split()))
    text = _DEGREES.sub("", re.sub(r"\\[dtc]frac(?![a-z])", r"\\frac", _SIZES.sub("", text)))
    text = " ".join(text.split()).rstrip(" .,;:")
    text = _TEXT_UNIT.sub("", re.sub(rf"(?<=[\d}})]) (?={_TEXT})", "", text))
    for _ in range(3):  # as deep as people nest them: \text{\textbf{(C)}}
        text = _UNWRAP.sub(r" \1 ", text)
    text = re.sub(r"\\(?:rm|bf|it)(?![a-z])", " ", text).replace("**", "^")
    text = re.sub(
        r"\\(le|ge|ne)q?(?:slant)?(?![a-z])",
        r"\\\1q ",
        text.replace("\\lt ", "<").replace("\\gt ", ">"),
    )
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


def too_costly(text: str) -> bool:
    """Whether working a canonical text out could take for ever: towers of powers, large factorials, deep nesting, length.

    What it misses meets the time limit of `lib.grading.symbolic`; what it names can only be equal as text.
    """
    if len(text) > _LONGEST:
        return True
    depth = deepest = 0
    exponents, highest = (
        [],
        0,
    )  # the depths at which an exponent opened: x^{x^{x^{x}}} is three high
    for place, c in enumerate(text):
        if c in "({[":
            depth += 1
            if text[place - 1] == "^" and place:
                exponents.append(depth)
        elif c in ")}]":
            if exponents and exponents[-1] == depth:
                exponents.pop()
            depth -= 1
        deepest, highest = max(deepest, depth), max(highest, len(exponents))
    flat = re.sub(r"[\s{}()]|\\[a-z]*(?:left|right)", "", text)
    powers = re.findall(
        r"(\d+)!?\^[-+]?(\d+)([!^]?)", flat
    )  # and the bounds of sums: \sum_{k=1}^{99999}
    return (
        deepest > 40
        or highest > 2
        or any(
            len(power) > 5 or after or len(base) * int(power) > 20_000
            for base, power, after in powers
        )
        or bool(
            re.search(r"\d{5,}!|!!|\\[dt]?binom\d{5,}|\d{200,}|\^\d*!|\\Gamma\d*(?:\^|\d{5})", flat)
        )
        or bool(re.search(r"[a-zA-Z][^^()]*\)\^\{?\d{3,}", text))
    )
