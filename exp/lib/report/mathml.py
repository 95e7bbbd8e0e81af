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
LONGEST_TEXT = 2400

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
_DISPLAYED, _INLINE = ("dollars", "display", "environment"), ("inline", "dollar")
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
    head, tail = text[: longest * 2 // 3], text[len(text) - longest // 3 :]
    # From a line's beginning where there is one, lest half a formula turn text into formulas.
    tail = tail[tail.find("\n", 0, len(tail) // 2) + 1 :]
    hidden = len(text) - len(head) - len(tail)
    note = f'<span class="cut">… {hidden:,} more characters …</span>'
    return Markup(_converted(head) + note + _converted(tail))


def _converted(text: str) -> str:
    """The text as HTML; a displayed formula is a line of its own, without blank lines around it."""
    text = plain(text)
    pieces, end, after_display = [], 0, False
    for match in _FORMULA.finditer(text):
        kind = next(name for name in (*_DISPLAYED, *_INLINE) if match[name] is not None)
        formula = mathml(match[kind], kind in _DISPLAYED)
        is_displayed = formula is not None and kind in _DISPLAYED
        between = text[end : match.start()]
        if after_display:
            between = _BLANK_LINES.sub("", between)
        if is_displayed:
            between = between.rstrip()
        pieces += [_with_boxes(between), formula or _source(match[0])]
        end, after_display = match.end(), is_displayed
    rest = text[end:]
    if after_display:
        rest = _BLANK_LINES.sub("", rest)
    return "".join([*pieces, _with_boxes(rest)])


def mathml(latex: str, display: bool = False) -> str | None:
    """A formula without its delimiters as a <math> element.

    None where it cannot be read or holds what is not allowed.
    """
    from latex2mathml.converter import convert_to_element

    if len(latex) > LONGEST_FORMULA or _MACROS.search(latex):
        return None
    try:
        tree = convert_to_element(_ALIGNED.sub(r"\\\1{align*}", latex.strip()))
        inside = "".join(map(_safe, tree))
    except Exception:  # IndexError, StopIteration, …: a dozen ways to fail on half a formula
        return None
    return f'<math display="block">{inside}</math>' if display else f"<math>{inside}</math>"


def _safe(node: Element) -> str:
    """An element as text, built anew from the lists above; ValueError for what is not in them."""
    # The converter writes `&#x2211;` for a sum sign, and leaves the rest as it came.
    text = html.unescape(node.text or "")
    has_its_children = len(node) == _CHILDREN.get(node.tag, len(node))
    if node.tag not in _ELEMENTS or not has_its_children or _UNKNOWN_COMMAND.match(text):
        raise ValueError(f"<{node.tag}> of {len(node)}: {text}")
    inside = html.escape(plain(text)) + "".join(map(_safe, node))
    if node.tag == "menclose":  # browsers draw no menclose; the style sheet draws the box
        if node.get("notation") != "box":
            raise ValueError(node.get("notation"))
        return f'<mrow class="boxed">{inside}</mrow>'
    attributes = ""
    for name, value in node.items():
        if name in _ATTRIBUTES and _ATTRIBUTES[name].fullmatch(value):
            attributes += f' {name}="{value}"'
    return f"<{node.tag}{attributes}>{inside}</{node.tag}>"


def _with_boxes(text: str) -> str:
    """Text outside formulas: escaped, with `\\boxed{…}` drawn as a box."""
    pieces, end = [], 0
    for start, stop, inside in boxes(text):
        box = mathml(rf"\boxed{{{inside}}}") or _source(text[start:stop])
        pieces += [html.escape(text[end:start]), box]
        end = stop
    return "".join([*pieces, html.escape(text[end:])])


def _source(text: str) -> str:
    return f"<code>{html.escape(text)}</code>"
