r"""Answers as text: what a box holds, one spelling for each answer, and which would be too costly.

Nothing is computed here, and the time is linear in the length of the text: any text may come in.
"""

import re

_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{|\\boxed\s+(?=[^\s{])")
_PLAIN_BOX = re.compile(r"\\boxed\{([^{}\\]*)\}")
_BRACE = re.compile(r"\\[{}\\]|[{}]")  # escaped ones match too, so that they are passed over
# What may stand between the boxes of one answer, as in \boxed{1}$ and $\boxed{2}.
_BETWEEN_BOXES = re.compile(
    r"""(?:
        \s
        | [$,;&]
        | \\[,;:! ()\[\]]                # LaTeX's small spaces, and the ends of a formula
        | \\q?quad
        | \\text\{[^{}]{0,40}\}
        | \band\b
        | \bor\b
        | [A-Za-z](?:_\{?\d\}?)?\s*=     # the name of the next value: x_1 =
    )*""",
    re.VERBOSE,
)

_SEVERAL_SPELLINGS = (  # the less usual one, the usual one
    ("{,}", ","),
    ("−", "-"),
    ("²", "^2"),
    ("³", "^3"),
    ("\\varnothing", "\\emptyset"),
    ("∞", "\\infty "),
)
_ROOT_SIGN = re.compile(r"√\s*(\d+|\w)")
_BARE_PI = re.compile(r"(?<![A-Za-z\\])pi(?![A-Za-z])")
_NEGATIVE_SPACE = re.compile(r"(,?)\\!\s*")  # 12,\!000 is how LaTeX sets a thousands comma
_SPACES = re.compile(
    r"""
    (?<!\\)\\[,;:> ]
    | \\q?quad
    | \\(?:thinspace|displaystyle|limits)(?![a-z])
    | \\hspace\*?\{[^{}]*\}
    | ~
    | \u00a0 | \u202f        # no-break spaces
    """,
    re.VERBOSE,
)
_CURRENCY = re.compile(r"\\\$|\\(?:pounds|euro)(?![a-z])|[€£¥₹]")
_DELIMITERS = re.compile(r"(?<!\\)\\[()\[\]]|\$+")
_ANGLE = re.compile(
    r"""
    (\\(?:sin|cos|tan|cot|sec|csc))
    [ ]?[({]?[ ]?
    ([\d.]+)
    [ ]?[)}]?[ ]?
    (?:\^[ ]?\{?[ ]?\\circ[ ]?\}?|°)     # the degrees
    [ ]?[)}]?
    """,
    re.VERBOSE,
)
_SIZES = re.compile(r"\\(?:left|right|[bB]igg?[lr]?)(?![a-zA-Z])\.?")
_SIZED_FRACTION = re.compile(r"\\[dtc]frac(?![a-z])")
_DEGREES = re.compile(r"(?:\^ ?\{? ?\\circ ?\}?|\\degree(?![a-z])|°)(?: ?[CF]\b)?")

_TEXT = (
    r"\\(?:text|textbf|textit|textrm|textnormal|mathrm|mathbf|mathit|mathsf|mbox|operatorname)\s*"
)
_BLANK_BEFORE_TEXT = re.compile(rf"(?<=[\d}})]) (?={_TEXT})")
_TEXT_COMMAND = re.compile(rf"{_TEXT}\{{([^{{}}]*)\}}")
_FONT = re.compile(r"\\(?:rm|bf|it)(?![a-z])")
_COMPARISON = re.compile(r"\\(le|ge|ne)q?(?:slant)?(?![a-z])")
# Words behind a number that are no units: functions, and words that make it another number.
_NO_UNIT = (
    r"(?:and|or|mod|a?r?c?sin|a?r?c?cos|a?r?c?tan|sinh|cosh|tanh|sec|csc|cot|log|ln|exp|max|min"
    r"|gcd|lcm|sqrt|frac|pi|percent|pct|hundred|thousand|[mbtr]+illion|dozen|half|halves|thirds?"
    r"|quarters?|fourths?|fifths?|\w*[dn]ths|squared|cubed|factorial|theta|alpha|beta|more|less"
    r"|times)\b"
)
# Units behind a number. In \text a single letter is one too, but for e and i; bare, `3 m` may be a
# product.
_TEXT_UNIT = re.compile(
    rf"""
    (?:(?<=[\d}})]) | (?<=\\pi) | (?<=\\pi[ ]))        # behind a number, a bracket or pi
    (?!\\mathbf){_TEXT}
    \{{\s*(?!{_NO_UNIT}|[eid]\s*\}})[A-Za-z][A-Za-z./ ^0-9]*\}}
    (?:\^\{{?-?\d\}}?)?                                # \text{{cm}}^2
    [ .]*$
    """,
    re.VERBOSE,
)
_SHORT_UNIT = r"(?:[cmk]m|[mk]g|ml|ft|in|hr|mi|yd|lbs?|oz|am|pm|mph)"
_UNIT = re.compile(
    rf"""
    (?<=[\d}})])
    (?:
        [ ](?!{_NO_UNIT})
        (?:[A-Za-z]{{3,}}|of|to|a|{_SHORT_UNIT})\.?    # 5 cups of tea
        (?:\^\{{?\d\}}?)?
        (?:/[a-z]+)?                                   # 5 miles/hour
    )+$
    | (?<=\d){_SHORT_UNIT}(?:\^\{{?\d\}}?)?$           # 5cm^2
    """,
    re.VERBOSE,
)
_THOUSANDS = re.compile(
    r"""
    (?<![\d.,(\[])(?<!\\\{)\d{1,3}(?:,\d{3})+(?![\d,)\]])  # not within a pair: (2,102)
    | (?<![\d.])\d{1,3}(?:[ ]\d{3})+(?![ \d])
    """,
    re.VERBOSE,
)
_LONE_IN_BRACKETS = re.compile(r"[({]\s*([A-Za-z]|[-+]?[\d.]+)\s*[)}]")  # (C), {5}

_FRACTION_OF_DIGITS = re.compile(r"\\frac\s*(\d)\s*(\d)")
_FRACTION_OVER_LETTER = re.compile(r"\\frac\s*(\{[^{}]*\})\s*(\w)")
_FRACTION_OF_LETTER = re.compile(r"\\frac\s*(\w)\s*\{")
_ROOT_OF_LETTER = re.compile(r"\\sqrt\s*(\w)")

# Characters of an answer that is worked out; a 10 by 10 matrix of fractions has 1,700.
_LONGEST = 2000
_DEEPEST = 40  # brackets in brackets
_HIGHEST = 2  # exponents on exponents
_MOST_DIGITS = 20_000  # of a power that is written out
_SPACING_AND_BRACKETS = re.compile(r"[\s{}()]|\\[a-z]*(?:left|right)")
# Also the bounds of sums: \sum_{k=1}^{99999}.
_POWER = re.compile(r"(\d+)!?\^[-+]?(\d+)([!^]?)")
_COSTLY = re.compile(
    r"""
    \d{5,}! | !! | \^\d*!                # factorials
    | \\[dt]?binom\d{5,}
    | \d{200,}
    | \\Gamma\d*(?:\^|\d{5})
    """,
    re.VERBOSE,
)
_COSTLY_EXPANSION = re.compile(r"[a-zA-Z][^^()]*\)\^\{?\d{3,}")  # (x+y)^{100}


def boxes(text: str) -> list[tuple[int, int, str]]:
    r"""(start, end, contents) of every `\boxed{…}` with balanced braces, in order.

    Of boxes in a box only the outermost counts.
    """
    openings = list(_BOX.finditer(text))
    if not openings:
        return []
    closing_braces = _closing_braces(text, openings[0].start())
    boxes_in_text: list[tuple[int, int, str]] = []
    end_of_last = 0
    for opening in openings:
        start, inside = opening.span()
        if start < end_of_last:
            continue
        if not opening[0].endswith("{"):  # \boxed 5
            box = (start, inside + 1, text[inside])
        elif inside in closing_braces:
            end = closing_braces[inside]
            box = (start, end + 1, text[inside:end])
        else:  # cut off
            continue
        boxes_in_text.append(box)
        end_of_last = box[1]
    return boxes_in_text


def _closing_braces(text: str, start: int) -> dict[int, int]:
    """The place of each closing brace, by the place behind the opening one that it belongs to."""
    closing_braces: dict[int, int] = {}
    still_open: list[int] = []
    for brace in _BRACE.finditer(text, start):
        if brace[0] == "{":
            still_open.append(brace.end())
        elif brace[0] == "}" and still_open:
            closing_braces[still_open.pop()] = brace.start()
    return closing_braces


def last_box(text: str) -> str | None:
    """The contents of the last box; None if there is none, or an empty one.

    The last boxes are one list if nothing but `,` or `and` stands between them.
    """
    if text.count("box") == 1:  # so it is in most texts, and takes a third of the time
        only_box = _PLAIN_BOX.search(text)
        if only_box:
            return only_box[1].strip() or None
    boxes_in_text = boxes(text)
    if not boxes_in_text:
        return None
    contents: list[str] = []  # the last first
    start_of_next = None
    for start, end, content in reversed(boxes_in_text):
        if contents and not _BETWEEN_BOXES.fullmatch(text, end, start_of_next):
            break
        contents.append(content.strip())
        start_of_next = start
    distinct = dict.fromkeys(reversed(contents))
    return ", ".join(content for content in distinct if content) or None


def canonical(text: str) -> str:
    r"""One spelling of an answer, with `\frac{a}{b}` and `\sqrt{a}` in braces.

    Delimiters, spacing, units, degrees, currency and thousands commas are gone. A percent sign
    stays, for `exact.number`, and so does `x =`, for `exact.without_name`.
    """
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return text.lstrip("0") or "0"
    if "box" in text:
        text = last_box(text) or text
    text = _with_usual_signs(text)
    text = _without_layout(text)
    text = _without_text_commands(text)
    text = _with_usual_operators(text)
    text = _with_braces(_trimmed(text))
    text = _UNIT.sub("", text)
    text = _THOUSANDS.sub(_joined_digits, text)
    lone = _LONE_IN_BRACKETS.fullmatch(text)
    return lone[1] if lone else text


def _with_usual_signs(text: str) -> str:
    for unusual, usual in _SEVERAL_SPELLINGS:
        text = text.replace(unusual, usual)
    text = _ROOT_SIGN.sub(r"\\sqrt{\1}", text)
    return _BARE_PI.sub(r"\\pi", text)


def _without_layout(text: str) -> str:
    """Without what only sets the type: spacing, `$`, sizes of brackets, signs of degrees."""
    text = _NEGATIVE_SPACE.sub(r"\1", text)
    text = _SPACES.sub(" ", text)
    text = _CURRENCY.sub("", text)
    text = _DELIMITERS.sub(" ", text)
    text = " ".join(text.split())
    text = _ANGLE.sub(r"\1(\2\\pi/180)", text)  # in a sine, degrees are a number
    text = _SIZES.sub("", text)
    text = _SIZED_FRACTION.sub(r"\\frac", text)
    text = _DEGREES.sub("", text)
    return _trimmed(text)


def _without_text_commands(text: str) -> str:
    r"""The contents of `\text{…}` and its kin; where they are a unit, nothing."""
    text = _BLANK_BEFORE_TEXT.sub("", text)
    text = _TEXT_UNIT.sub("", text)
    for _ in range(3):  # as deep as people nest them: \text{\textbf{(C)}}
        text = _TEXT_COMMAND.sub(r" \1 ", text)
    return _FONT.sub(" ", text)


def _with_usual_operators(text: str) -> str:
    text = text.replace("**", "^").replace("\\lt ", "<").replace("\\gt ", ">")
    return _COMPARISON.sub(r"\\\1q ", text)


def _with_braces(text: str) -> str:
    r"""`\frac12`, `\frac 1 2` and `\sqrt2` with the braces that they mean."""
    if "\\frac" in text:
        text = _FRACTION_OF_DIGITS.sub(r"\\frac{\1}{\2}", text)
        text = _FRACTION_OVER_LETTER.sub(r"\\frac\1{\2}", text)
        text = _FRACTION_OF_LETTER.sub(r"\\frac{\1}{", text)
    return _ROOT_OF_LETTER.sub(r"\\sqrt{\1}", text)


def _trimmed(text: str) -> str:
    return " ".join(text.split()).rstrip(" .,;:")


def _joined_digits(thousands: re.Match) -> str:
    return thousands[0].replace(",", "").replace(" ", "")


def too_costly(text: str) -> bool:
    """Whether working a canonical text out could take for ever, so that only equal text is right.

    Such are towers of powers, large factorials, deep nesting and length. What this misses meets
    the time limit of `lib.grading.symbolic`.
    """
    if len(text) > _LONGEST:
        return True
    depth, height = _nesting(text)
    if depth > _DEEPEST or height > _HIGHEST:
        return True
    flat = _SPACING_AND_BRACKETS.sub("", text)
    if any(_is_costly_power(*power.groups()) for power in _POWER.finditer(flat)):
        return True
    return bool(_COSTLY.search(flat) or _COSTLY_EXPANSION.search(text))


def _nesting(text: str) -> tuple[int, int]:
    """(brackets in brackets, exponents on exponents): `x^{x^{x^{x}}}` is three high."""
    depth = deepest = highest = 0
    exponents: list[int] = []  # the depths at which the exponents that are open now opened
    previous = ""
    for character in text:
        if character in "({[":
            depth += 1
            if previous == "^":
                exponents.append(depth)
        elif character in ")}]":
            if exponents and exponents[-1] == depth:
                exponents.pop()
            depth -= 1
        deepest = max(deepest, depth)
        highest = max(highest, len(exponents))
        previous = character
    return deepest, highest


def _is_costly_power(base: str, exponent: str, goes_on: str) -> bool:
    if goes_on or len(exponent) > 5:
        return True
    return len(base) * int(exponent) > _MOST_DIGITS
