"""A problem's text as it is compared with another one: its words, numbers and signs, each in one spelling.

`1,000`, `1000` and `one thousand` are one number, `\\dfrac`, `\\frac` one word, `\\times`, `×` one sign; case, punctuation, LaTeX's
spacing and a number in front (`Problem 3:`) do not count. The minus of `x - 1` is a sign, the hyphen of `two-digit` is not.
"""

import re
import unicodedata

SIGNS = frozenset("+*/^=<>-!'\"")  # ' and " are the primes of f'(x) and f''(x)

_NUMBERED = re.compile(r"\s*(?:(?:problem|question|exercise)\s*[0-9]*\s*[:.)]|[0-9]{1,3}[.)](?=\s))\s*")
_APOSTROPHE = re.compile(r"(?<=[^\W\d_])'(?=[^\W\d_])|(?<=[^\W\d_]{2})'")
_HYPHEN = re.compile(r"(?<=[^\W\d_]{2})-|-(?=[^\W\d_]{2})")
_TOKEN = re.compile(
    r"[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]*\.?[0-9]+|\\[a-z]+|[^\W\d_]+|[+*/^=<>-]|(?<=[0-9a-z)\]])!(?=[-+*/^=)])"
    r"|(?<![^\W\d_])(?<=[a-z])'+"
    r"|(?<=[a-z])'+(?=\()"
)
_SAME = str.maketrans({"’": "'", "‘": "'", "′": "'", "″": '"', "−": "-", "–": "-", "×": "*", "·": "*", "⋅": "*", "÷": "/",
                       "≤": "<", "≥": ">", "\u2044": "/"})  # fmt: skip
_LAYOUT = frozenset(
    "left right big bigl bigr bigg biggl biggr displaystyle textstyle text textbf textit mathrm mathbf mathit mathcal operatorname"
    " limits quad qquad begin end hline hspace vspace".split()
)
_LATEX = {"dfrac": "frac", "tfrac": "frac", "cdot": "*", "times": "*", "div": "/", "leq": "<", "le": "<", "geq": ">", "ge": ">",
          "lt": "<", "gt": ">", "prime": "'", "leqslant": "<", "geqslant": ">", "degree": "circ"}  # fmt: skip
_SMALL = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen"
_VALUES = {w: n for n, w in enumerate([*_SMALL.split(), "nineteen"])}
_VALUES |= {w: 20 + 10 * n for n, w in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split())}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6}


def tokens(text: str) -> list[str]:
    """Words in lower case, numbers in digits and signs, in order: `Find f'(2.50) - two x.` is find f ' 2.5 - 2 x."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_SAME))
    text = text.lower()
    if start := _NUMBERED.match(text):
        text = text[start.end() :]
    if "'" in text:
        text = _APOSTROPHE.sub("", text)
    if "-" in text:
        text = _HYPHEN.sub(" ", text)
    found = _TOKEN.findall(text)
    if "\\" in text:
        found = [_LATEX.get(t[1:], t[1:]) if t[0] == "\\" else t for t in found]
        found = [t for t in found if t not in _LAYOUT]
    if "." in text or "," in text:
        found = [_plain(t) if t[0] in ".0123456789" else t for t in found]
    return found if _VALUES.keys().isdisjoint(found) else _worded(found)


def is_number(token: str) -> bool:
    return token[0] in ".0123456789"


def _plain(number: str) -> str:
    """`1,000` as 1000, `2.50` as 2.5, `0.5` as .5"""
    number = number.replace(",", "")
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return number.lstrip("0") or "0"


def _worded(found: list[str]) -> list[str]:
    """The tokens with `twenty five` as 25 and `two hundred` as 200; `one two` stays two numbers."""
    made: list[str] = []
    value = group = None  # the number being read, and what of it may still grow: 20 of `twenty`, 100 of `one hundred`
    for token in [*found, ""]:
        n = _VALUES.get(token)
        if n is not None and value is not None and group is not None and 0 < n < group:
            value, group = value + n, 10 if n >= 20 else None
        elif token in _SCALES and value is not None:
            value, group = value * _SCALES[token], _SCALES[token]
        else:
            if value is not None:
                made.append(str(value))
            value, group = (n, 10 if n >= 20 else None) if n is not None else (None, None)
            if n is None and token:
                made.append(token)
    return made
