"""A model's text as HTML: all of it escaped, and its LaTeX as MathML where that can be read.

The text is hostile until shown otherwise. Nothing of it becomes markup but the elements and
attributes listed here, whose values are checked: no link, no style, no class of its own. What
cannot be read stays the source that it was, as code.
"""

import html
import re
from xml.etree.ElementTree import Element

from markupsafe import Markup

from lib.grading.latex import boxes

# Characters of a formula: any 800 took at most 14 ms in 50,000 random trials, macros apart.
LONGEST_FORMULA = 800
LONGEST_TEXT = 2400  # characters that are shown of a response

_ENVIRONMENTS = r"(?:equation|align|gather|multline)\*?"
# The last way is pandoc's, for which `$5 and $6` are prices.
_FORMULA = re.compile(
    r"\$\$(?P<dollars>.+?)\$\$"
    r"|\\\[(?P<display>.+?)\\\]"
    r"|\\\((?P<inline>.+?)\\\)"
    rf"|(?P<environment>\\begin\{{(?P<name>{_ENVIRONMENTS})\}}.+?\\end\{{(?P=name)\}})"
    r"|(?<![\\$])\$(?=[^\s$])(?P<dollar>[^$\n]{0,600}?[^\s$\\])\$(?!\d)",
    re.DOTALL,
)
_DISPLAYED = ("dollars", "display", "environment")
_BLANK_LINES = re.compile(r"\A\s*\n")
# Definitions are refused: twice ten lines of \def\a{\b\b} never end.
_MACROS = re.compile(r"\\(?:[a-z]*def|let|(?:re)?new|provide|Declare)")
_UNKNOWN_COMMAND = re.compile(r"\\[A-Za-z]")  # as text: the converter leaves it as it came
_ALIGNED = re.compile(r"\\(begin|end)\{(?:aligned|alignedat|eqnarray\*?|gather(?:ed|\*)?)\}")

_ELEMENTS = set(
    "math mrow mi mn mo mtext mspace mfrac msqrt mroot msub msup msubsup mover munder munderover "
    "mmultiscripts mprescripts none mtable mtr mtd mstyle mpadded mphantom menclose".split()
)
_CHILDREN = {
    "mfrac": 2,
    "mroot": 2,
    "msub": 2,
    "msup": 2,
    "mover": 2,
    "munder": 2,
    "msubsup": 3,
    "munderover": 3,
}
_WORDS = (
    "stretchy fence form accent accentunder displaystyle movablelimits largeop columnalign "
    "mathvariant separator"
)
_LENGTHS = "linethickness width minsize maxsize"
_LENGTH = re.compile(r"-?\d?(?:\.\d{1,4})?(?:em|ex|pt)|0")  # below 10 em: 9999em is a page
_ATTRIBUTES = {
    **dict.fromkeys(_WORDS.split(), re.compile("[a-z -]{1,40}")),
    **dict.fromkeys(_LENGTHS.split(), _LENGTH),
    "scriptlevel": re.compile(r"\d"),
}
# Control characters, noncharacters and halves of surrogate pairs; and what is unseen or turns the
# direction of others around.
_UNSEEN = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ud800-\udfff\ufff0-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)


def plain(text: str) -> str:
    """The text with what cannot be seen as its code point, `⟨U+202E⟩`; not escaped yet."""
    return _UNSEEN.sub(_code_point, text.replace("\r\n", "\n"))


def _code_point(match: re.Match) -> str:
    return f"⟨U+{ord(match[0]):04X}⟩"


def to_html(text: str, longest: int = LONGEST_TEXT) -> Markup:
    """The text as HTML.

    Of more than `longest` characters it shows the first two thirds, and the last third, where a
    response ends.
    """
    if len(text) <= longest:
        return Markup(_converted(text))
    head = text[: longest * 2 // 3]
    tail = text[len(text) - longest // 3 :]
    # From a line's beginning where there is one, lest half a formula turn text into formulas.
    line_end = tail.find("\n", 0, len(tail) // 2)
    tail = tail[line_end + 1 :]
    hidden = len(text) - len(head) - len(tail)
    note = f'<span class="cut">… {hidden:,} more characters …</span>'
    return Markup(_converted(head) + note + _converted(tail))


def _converted(text: str) -> str:
    """The text as HTML; a displayed formula is a line of its own, without blank lines around it."""
    visible_text = plain(text)
    pieces = []
    position = 0  # up to here the text is in the pieces
    after_display = False
    for match in _FORMULA.finditer(visible_text):
        kind = match.lastgroup  # "name" is inside of "environment", and so closed before it
        formula = mathml(match[kind], kind in _DISPLAYED)
        is_displayed = formula is not None and kind in _DISPLAYED
        between = visible_text[position : match.start()]
        if after_display:
            between = _BLANK_LINES.sub("", between)
        if is_displayed:
            between = between.rstrip()
        pieces += [_with_boxes(between), formula or _source(match[0])]
        position = match.end()
        after_display = is_displayed
    rest = visible_text[position:]
    if after_display:
        rest = _BLANK_LINES.sub("", rest)
    pieces.append(_with_boxes(rest))
    return "".join(pieces)


def mathml(latex: str, display: bool = False) -> str | None:
    """A formula without its delimiters as a <math> element.

    None where it cannot be read or holds what is not allowed.
    """
    from latex2mathml.converter import convert_to_element

    if len(latex) > LONGEST_FORMULA or _MACROS.search(latex):
        return None
    # The converter does not know these environments, which look much the same as align*.
    readable = _ALIGNED.sub(r"\\\1{align*}", latex.strip())
    try:
        tree = convert_to_element(readable)
        inside = "".join(map(_safe, tree))
    except Exception:  # IndexError, StopIteration, …: a dozen ways to fail on half a formula
        return None
    return f'<math display="block">{inside}</math>' if display else f"<math>{inside}</math>"


def _safe(element: Element) -> str:
    """An element as text, built anew from the lists above; ValueError for what is not in them."""
    tag = element.tag
    # The converter writes `&#x2211;` for a sum sign, and leaves the rest as it came.
    text = html.unescape(element.text or "")
    has_its_children = len(element) == _CHILDREN.get(tag, len(element))
    if tag not in _ELEMENTS or not has_its_children or _UNKNOWN_COMMAND.match(text):
        raise ValueError(f"<{tag}> of {len(element)}: {text}")
    inside = html.escape(plain(text)) + "".join(map(_safe, element))
    if tag == "menclose":  # browsers draw no menclose; the style sheet draws the box
        if element.get("notation") != "box":
            raise ValueError(element.get("notation"))
        return f'<mrow class="boxed">{inside}</mrow>'
    attributes = ""
    for attribute, value in element.items():
        allowed_values = _ATTRIBUTES.get(attribute)
        if allowed_values and allowed_values.fullmatch(value):
            attributes += f' {attribute}="{value}"'
    return f"<{tag}{attributes}>{inside}</{tag}>"


def _with_boxes(text: str) -> str:
    """Text outside formulas: escaped, with `\\boxed{…}` drawn as a box."""
    pieces = []
    position = 0  # up to here the text is in the pieces
    for start, end, inside in boxes(text):
        box = mathml(rf"\boxed{{{inside}}}") or _source(text[start:end])
        pieces += [html.escape(text[position:start]), box]
        position = end
    pieces.append(html.escape(text[position:]))
    return "".join(pieces)


def _source(latex: str) -> str:
    """A formula that cannot be read, as code."""
    return f"<code>{html.escape(latex)}</code>"
