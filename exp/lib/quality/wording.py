"""A problem's text as it is compared with another one: its words and numbers, each in one spelling, and its signs.

`1,000`, `1000` and `one thousand` are one number, `\\dfrac` and `\\frac` one word, `\\times` and `×` one sign. Case, punctuation,
the layout of LaTeX and a number in front (`Problem 3:`) do not count.
"""

import re
import unicodedata

_NUMBERED = re.compile(
    r"\s*(?:(?:problem|question|exercise)\s*[0-9]*\s*[:.)]|[0-9]{1,3}[.)](?=\s))\s*"
)
_NUMBER = r"[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]*\.?[0-9]+"
_ASCII, _ANY = re.compile(f"[a-z]+|{_NUMBER}"), re.compile(rf"[^\W\d_]+|{_NUMBER}")
_DOTTED = re.compile(r"[0-9.][.,][0-9]|(?<![0-9.])0[0-9]")
_LAYOUT = re.compile(
    r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|textstyle|text(?:bf|it|rm)?|math(?:rm|bf|it|cal|sf)|operatorname|limits|q?quad|begin|"
    r"end|hline|times|cdot|div|prime|leq?(?:slant)?|geq?(?:slant)?|[lg]t)(?![a-z])|\\[dt](?=frac|binom)|\\mathbb(?![a-z])"
)
_DIGITS_OF_FRACTION = re.compile(r"frac\s*([0-9])\s*([0-9])")
_SIGN = re.compile(
    r"[+/^=<>]|(?<![^\W\d_]{2})-(?![^\W\d_]{2})|(?<=[\w)])\*\*?(?=[\w(])|(?<=\s)\*(?=\s)|(?<=[^\W\d_)])(?<![^\W\d_]{2})'+(?![^\W\d_])|"
    r"\\(?:times|cdot|div|prime|[lg](?:eq?|eqslant|t))(?![a-z])"
)
_MAY_BE_SIGN = re.compile(r"[-+*/^=<>'\\]")
_DIGITS_OF_FRACTION = re.compile(r"frac\s*([0-9])\s*([0-9])")  # \frac12 is one half
_MARK, _NO_LETTER = re.compile(r"[^\w\s]"), re.compile(r"[\W_]")
_LATEX_SIGN = {r"\times": "*", r"\cdot": "*", r"\div": "/", r"\prime": "'", r"\l": "<", r"\g": ">"}
_SAME = str.maketrans({"’": "'", "‘": "'", "′": "'", "″": "''", "−": "-", "–": "-", "×": "*", "·": "*", "⋅": "*", "÷": "/",
                       "≤": "<", "≥": ">", "\u2044": "/"})  # fmt: skip
_SMALL = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen"
_VALUES = {w: n for n, w in enumerate([*_SMALL.split(), "nineteen"])}
_VALUES |= {
    w: 20 + 10 * n
    for n, w in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split())
}
_SCALES = {"thousand": 1000, "million": 10**6}
_NAMES_OF_NUMBERS = frozenset(_VALUES | _SCALES)


def words(text: str) -> list[str]:
    """The words in lower case and the numbers in digits, in order: `Find Tom's f(2.50) - two x.` is find toms f 2.5 2 x."""
    text = _folded(text).replace("'", "")
    if "\\" in text:
        text = _DIGITS_OF_FRACTION.sub(r" frac \1 \2 ", _LAYOUT.sub(" ", text))
    found = (_ASCII if text.isascii() else _ANY).findall(text)
    if _DOTTED.search(text):
        found = [_plain(t) if is_number(t) else t for t in found]
    return found if _NAMES_OF_NUMBERS.isdisjoint(found) else _worded(found)


def signs(text: str) -> list[str]:
    """The signs of its formulas, sorted, primes as one: `f''(x) - 1 = 0` has '' - =; hyphens and apostrophes are none."""
    if text.isascii() and not _MAY_BE_SIGN.search(
        text
    ):  # as most word problems: a tenth of the time
        return []
    found = _SIGN.findall(_folded(text))
    return sorted(_LATEX_SIGN.get(s) or _LATEX_SIGN[s[:2]] if s[0] == "\\" else s for s in found)


def is_number(word: str) -> bool:
    """Whether a word of `words` is a number: of all that can begin one, only digits and the point sort before the colon."""
    return word < ":"


def is_bare(text: str) -> bool:
    """Whether a text has no punctuation and no sign: in a copy they were taken away, `8 \\cdot 4-6` has become `8cdot 46`."""
    return not _MARK.search(text)


def squeezed(text: str) -> str:
    """Its letters and digits alone, by which a bare copy is known."""
    return _NO_LETTER.sub("", text.lower())


def _folded(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_SAME))
    text = text.lower()
    start = _NUMBERED.match(text)
    return text[start.end() :] if start else text


def _plain(number: str) -> str:
    """`1,000` as 1000, `2.50` as 2.5, `0.5` as .5"""
    number = number.replace(",", "")
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return number.lstrip("0") or "0"


def _worded(found: list[str]) -> list[str]:
    """The words with `twenty five` as 25 and `two hundred` as 200; `one two` stays two numbers."""
    made: list[str] = []
    total, current = 0, None  # of the number being read: its thousands, and what is below
    for word in [*found, ""]:
        n = _VALUES.get(word)
        if current is not None:
            if n and _grows(total, current, n):
                current += n
                continue
            if word == "hundred" and current:
                current *= 100
                continue
            if word in _SCALES and current:
                total, current = total + current * _SCALES[word], 0
                continue
            made.append(str(total + current))
        elif word in _SCALES and made and made[-1].isdigit():  # 12 million
            made[-1] = str(int(made[-1]) * _SCALES[word])
            continue
        total, current = 0, n
        if n is None and word:
            made.append(word)
    return made


def _grows(total: int, current: int, n: int) -> bool:
    """Whether the word for `n` goes on with the number: five after twenty, anything after two hundred or a thousand."""
    if not current:
        return total > 0
    return not current % 100 or current % 100 >= 20 and not current % 10 and n < 10
