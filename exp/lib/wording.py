"""A problem's text as it is compared with another one: its words, numbers and signs, each in one spelling.

`1,000`, `1000` and `one thousand` are one number, `\\dfrac`, `\\frac` one word, `\\times`, `×` one sign; case, punctuation, LaTeX's
spacing and a number in front (`Problem 3:`) do not count. The minus of `x - 1` is a sign, the hyphen of `two-digit` is not.
"""

import re
import unicodedata

SIGNS = frozenset(("+", "*", "/", "^", "=", "<", ">", "-", "'", "''", "'''"))  # the last are the primes of f'(x) and f''(x)

_NUMBERED = re.compile(r"\s*(?:(?:problem|question|exercise)\s*[0-9]*\s*[:.)]|[0-9]{1,3}[.)](?=\s))\s*")
_APOSTROPHE = re.compile(r"(?<=[^\W\d_])'(?=[^\W\d_])|(?<=[^\W\d_]{2})'")
_HYPHEN = re.compile(r"(?<=[^\W\d_]{2})-|-(?=[^\W\d_]{2})")
_TOKEN = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]*\.?[0-9]+|\\[a-z]+|[^\W\d_]+|[+*/^=<>-]|(?<=[a-z])'+")
_SAME = str.maketrans({"’": "'", "‘": "'", "′": "'", "″": "''", "−": "-", "–": "-", "×": "*", "·": "*", "⋅": "*", "÷": "/",
                       "≤": "<", "≥": ">", "\u2044": "/"})  # fmt: skip
_LAYOUT = frozenset(
    "left right big bigl bigr bigg biggl biggr displaystyle textstyle text textbf textit mathrm mathbf mathit mathcal operatorname"
    " limits quad qquad begin end hline hspace vspace".split()
)
_LATEX = {"dfrac": "frac", "tfrac": "frac", "cdot": "*", "times": "*", "div": "/", "leq": "<", "le": "<", "geq": ">", "ge": ">",
          "lt": "<", "gt": ">", "prime": "'", "leqslant": "<", "geqslant": ">", "degree": "circ"}  # fmt: skip
_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen"
)
_VALUES = {w: n for n, w in enumerate([*_SMALL.split(), "nineteen"])}
_VALUES |= {w: 20 + 10 * n for n, w in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split())}
_SCALES = {"thousand": 1000, "million": 10**6}


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
    total = current = None  # of the number being read: its thousands, and what is below
    for token in [*found, ""]:
        n = _VALUES.get(token)
        if n is not None and current is not None and _grows(total, current, n):
            current += n
        elif token == "hundred" and current:
            current *= 100
        elif token in _SCALES and current:
            total, current = total + current * _SCALES[token], 0
        else:
            if current is not None:
                made.append(str(total + current))
            total, current = (None, None) if n is None else (0, n)
            if n is None and token:
                made.append(token)
    return made


def _grows(total: int, current: int, n: int) -> bool:
    """Whether the word for `n` goes on with the number: five after twenty, anything after two hundred or a thousand."""
    return bool(n) and (
        not current and total > 0 or current > 0 and not current % 100 or current % 100 >= 20 and not current % 10 and n < 10
    )
