"""Does a text ask for something to be worked out?

By a question mark, a word, an order at the beginning of a clause, a gap to be filled, or formulas
that are an exercise by themselves.
"""

import re

# Fewer words without a formula are no problem (`why?`), but for an order of three: `Prove Cauchy's
# theorem.`
LEAST_WORDS = 4
LEAST_WORDS_OF_ORDER = 3

# These words ask wherever they stand.
_ASKING = re.compile(
    r"[?？؟]|\b(?:find|compute|calculate|determine|evaluate|solve|prove|show|derive|simplify|factor|"
    r"factori[sz]e|estimate|approximate|verify|express|describe|classify|construct|establish|"
    r"deduce|state|give|list|minimi[sz]e|maximi[sz]e|integrate|differentiate|explain|"
    r"characteri[sz]e|define|expand|sketch|convert|count|identify|conclude|rewrite|rationali[sz]e|"
    r"diagonali[sz]e|true or false|true/false|t/f|what|how|whether|why|"
    r"which (?:of|is|are|one|number|value))\b",
    re.IGNORECASE,
)
# These ask as the first word of a clause alone: elsewhere `put` and `use` tell.
_ORDERING_WORDS = (
    "add analy[sz]e answer apply argue arrange assign balance bound break build change check "
    "choose clear collect combine compare complete confirm contrast create decide decipher decode "
    "decompose decrypt demonstrate design detect develop discuss disprove distribute divide draw "
    "encode encrypt enter enumerate examine exhibit fill formulate generali[sz]e generate graph "
    "group illustrate indicate interpret invert investigate isolate justify label locate make "
    "match model multiply name negate normali[sz]e obtain optimi[sz]e order orthogonali[sz]e "
    "extrapolate guess infer interpolate lineari[sz]e permute reconstruct simulate tabulate "
    "parametri[sz]e partition perform pick plot predict present print produce project propose "
    "provide put rank rearrange recall reduce refute replace represent rotate round select "
    "separate sort specify split study subtract suggest sum tell test trace transform "
    "translate use write"
).split()
_ORDER = re.compile(
    r"(?:(?:^|[.!;:,)\]$\n])[\s*_#>\"'(]*|\b(?:then|please|also|now) +)"
    rf"(?:{'|'.join(_ORDERING_WORDS)}|work out|figure out|take the)\b",
    re.IGNORECASE,
)
# A gap to be filled, choices to take one of, or a sentence that stops before its end.
_GAP = re.compile(
    r"_{2,}|(?:\\_){2,}|[(\[]\s*[)\]]\W*$|"
    r"\\(?:underline|qquad|quad|blank|l?dots)\b[^a-z]*$|"
    r"\(?A[).]\s.*\(?B[).]\s|"
    r"(?:[:=]|\b(?:is|are|was|be|equals?|equal to|of|by|to|than|at|as|in)|…|\.\.\.)[\s$.)\]]*$",
    re.DOTALL,
)
_WANTS_HELP = re.compile(r"\b(?:help|stuck|struggling|trouble)\b", re.IGNORECASE)
_FORMULA = re.compile(
    r"\$\$.*?\$\$|\$[^$]*\$|\\\[.*?\\\]|\\\(.*?\\\)|\\begin\{.*?\\end\{\w+\*?\}", re.DOTALL
)
_MATHEMATICS = re.compile(r"[$\\=<>^≤≥≠≈√∫∑∏∞×÷±]|\d")
# More than a number or a symbol alone.
_RELATION = re.compile(r"[\\=<>^+*/≤≥≠≈√∫∑∏∞×÷±!|]|\d\s*-\s*[\w(]|[\w)]\s*-\s*\d")
_PROSE_WORD = re.compile(r"[^\W\d_]{2,}")
_PREMISE = re.compile(
    r"\W*(?:let|suppose|assume|given|consider|define|denote|if|for (?:all|any|each|every)|"
    r"there (?:is|are|exists?))\b",
    re.IGNORECASE,
)
# A step of a solution, which is no problem however many formulas it has.
_STEP = re.compile(
    r"\W*(?:therefore|thus|hence|so|since|because|then|we (?:have|get|obtain|know|see|find|can)|"
    r"it follows|this (?:gives|means|is)|which|by|note|recall|step|answer|solution|boxed)\b",
    re.IGNORECASE,
)


def asks(text: str) -> bool:
    """Whether a text wants something worked out. Only English words are known."""
    text = text.strip()
    if len(text.split()) < LEAST_WORDS and not _RELATION.search(text):
        return _is_short_order(text)
    if _ASKING.search(text) or _ORDER.search(text) or _GAP.search(text):
        return True
    wants_help = _WANTS_HELP.search(text) and _MATHEMATICS.search(text)
    return bool(wants_help) or _is_exercise(text)


def _is_short_order(text: str) -> bool:
    """Whether few words are an order: `Factor 12.`, `Prove Cauchy's theorem.`"""
    if "?" in text or not (_ASKING.match(text) or _ORDER.match(text)):
        return False
    return len(text.split()) >= LEAST_WORDS_OF_ORDER or _MATHEMATICS.search(text) is not None


def _is_exercise(text: str) -> bool:
    """Whether a text without a word that asks is an exercise by its formulas.

    It is if it has hardly a word besides them, if it begins with a premise (`Let …`), or if they
    are the larger part of it.
    """
    if not _RELATION.search(text) or _STEP.match(text):
        return False
    prose = _FORMULA.sub(" ", text)
    if len(_PROSE_WORD.findall(prose)) <= 2:
        return True
    has_formula = prose != text
    return has_formula and (_PREMISE.match(text) is not None or len(prose) < len(text) / 2)
