"""A problem's text as it is compared with another one: its words and numbers, and its signs.

Each has one spelling: `1,000`, `1000` and `one thousand` are one number, `\\dfrac` and `\\frac` one
word, `\\times` and `×` one sign. Case, punctuation, the layout of LaTeX and a number in front
(`Problem 3:`) do not count.
"""

import re
import unicodedata

_NUMBER_IN_FRONT = re.compile(
    r"\s*(?:(?:problem|question|exercise)\s*[0-9]*\s*[:.)]|[0-9]{1,3}[.)](?=\s))\s*"
)
_NUMBER = r"[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]*\.?[0-9]+"
_ASCII_WORD = re.compile(f"[a-z]+|{_NUMBER}")
_ANY_WORD = re.compile(rf"[^\W\d_]+|{_NUMBER}")
_NUMBER_TO_SHORTEN = re.compile(r"[0-9.][.,][0-9]|(?<![0-9.])0[0-9]")  # has a point or a 0 in front
_LAYOUT = re.compile(
    r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|textstyle|text(?:bf|it|rm)?|"
    r"math(?:rm|bf|it|cal|sf)|operatorname|limits|q?quad|begin|end|hline|"
    r"times|cdot|div|prime|leq?(?:slant)?|geq?(?:slant)?|[lg]t)(?![a-z])|"
    r"\\[dt](?=frac|binom)|\\mathbb(?![a-z])"
)
_DIGITS_OF_FRACTION = re.compile(r"frac\s*([0-9])\s*([0-9])")  # \frac12 is one half

# The signs of formulas. A minus between two words is a hyphen, two stars may be bold type, and a
# prime follows a single letter: behind a word it is an apostrophe.
_SIGN = re.compile(
    r"[+/^=<>]|"
    r"(?<![^\W\d_]{2})-(?![^\W\d_]{2})|"
    r"(?<=[\w)])\*\*?(?=[\w(])|(?<=\s)\*(?=\s)|"
    r"(?<=[^\W\d_)])(?<![^\W\d_]{2})'+(?![^\W\d_])|"
    r"\\(?:times|cdot|div|prime|[lg](?:eq?|eqslant|t))(?![a-z])"
)
_MAY_BE_SIGN = re.compile(r"[-+*/^=<>'\\]")
_LATEX_SIGNS = {r"\times": "*", r"\cdot": "*", r"\div": "/", r"\prime": "'"}
_LATEX_COMPARISONS = {r"\l": "<", r"\g": ">"}  # \le, \leq, \leqslant, \lt are all <
_ONE_SPELLING = str.maketrans(
    {
        **dict.fromkeys("’‘′", "'"),
        "″": "''",
        **dict.fromkeys("−–", "-"),
        **dict.fromkeys("×·⋅", "*"),
        **dict.fromkeys("÷\u2044", "/"),
        "≤": "<",
        "≥": ">",
    }
)
_MARK = re.compile(r"[^\w\s]")
_NO_LETTER = re.compile(r"[\W_]")

_BELOW_TWENTY = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_VALUES = {word: value for value, word in enumerate(_BELOW_TWENTY)}
_VALUES |= {word: 10 * tens for tens, word in enumerate(_TENS, 2)}
_SCALES = {"thousand": 1000, "million": 10**6}
_NAMES_OF_NUMBERS = frozenset(_VALUES | _SCALES)


def normalised(text: str) -> str:
    """The text by which exact repeats are found: Unicode NFC, each run of white space one blank."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def words(text: str) -> list[str]:
    """The words in lower case and the numbers in digits, in order.

    `Find Tom's f(2.50) - two x.` is find toms f 2.5 2 x.
    """
    text = _in_one_spelling(text).replace("'", "")
    if "\\" in text:
        text = _DIGITS_OF_FRACTION.sub(r" frac \1 \2 ", _LAYOUT.sub(" ", text))
    pattern = _ASCII_WORD if text.isascii() else _ANY_WORD
    tokens = pattern.findall(text)
    if _NUMBER_TO_SHORTEN.search(text):
        tokens = [_shortest(token) if is_number(token) else token for token in tokens]
    if _NAMES_OF_NUMBERS.isdisjoint(tokens):
        return tokens
    return _numbers_in_digits(tokens)


def signs(text: str) -> list[str]:
    """The signs of its formulas, sorted; a run of primes is one sign, hyphens are none.

    `f''(x) - 1 = 0` has '' - =.
    """
    # Most word problems end here, which takes a tenth of the time.
    if text.isascii() and not _MAY_BE_SIGN.search(text):
        return []
    return sorted(map(_plain_sign, _SIGN.findall(_in_one_spelling(text))))


def is_number(word: str) -> bool:
    """Whether a word of `words` is a number.

    Of all characters that can begin a word, only the digits and the point sort before the colon.
    """
    return word < ":"


def is_bare(text: str) -> bool:
    """Whether a text has no punctuation and no sign.

    A copy may have lost them: `8 \\cdot 4-6` has become `8cdot 46`.
    """
    return not _MARK.search(text)


def squeezed(text: str) -> str:
    """Its letters and digits alone, by which a bare copy is known."""
    return _NO_LETTER.sub("", text.lower())


def _in_one_spelling(text: str) -> str:
    """The text in lower case and with ASCII signs, without `Problem 3:` in front."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_ONE_SPELLING))
    text = text.lower()
    number_in_front = _NUMBER_IN_FRONT.match(text)
    return text[number_in_front.end() :] if number_in_front else text


def _plain_sign(sign: str) -> str:
    if sign[0] != "\\":
        return sign
    return _LATEX_SIGNS.get(sign) or _LATEX_COMPARISONS[sign[:2]]


def _shortest(number: str) -> str:
    """`1,000` as 1000, `2.50` as 2.5, `0.5` as .5"""
    number = number.replace(",", "")
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return number.lstrip("0") or "0"


def _numbers_in_digits(tokens: list[str]) -> list[str]:
    """The words with `twenty five` as 25 and `two hundred` as 200; `one two` stays two numbers."""
    result: list[str] = []
    # Of the number that is being read: its thousands, and what is below (None: no number).
    thousands, below = 0, None
    for word in [*tokens, ""]:
        value = _VALUES.get(word)
        if below is not None:
            if value and _continues(thousands, below, value):
                below += value
                continue
            if word == "hundred" and below:
                below *= 100
                continue
            if word in _SCALES and below:
                thousands += below * _SCALES[word]
                below = 0
                continue
            result.append(str(thousands + below))
        elif word in _SCALES and result and result[-1].isdigit():  # 12 million
            result[-1] = str(int(result[-1]) * _SCALES[word])
            continue
        thousands, below = 0, value
        if value is None and word:
            result.append(word)
    return result


def _continues(thousands: int, below: int, value: int) -> bool:
    """Whether a word's value goes on with the number that is being read.

    Five does after twenty, and any value does after two hundred or a thousand.
    """
    if not below:
        return thousands > 0
    if below % 100 == 0:
        return True
    ends_in_tens = below % 100 >= 20 and below % 10 == 0
    return ends_in_tens and value < 10
