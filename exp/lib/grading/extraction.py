"""Finds the answer that a text gives: a box, tags, `#### N`, "the answer is", and unless strict a last formula or number."""

import re
from typing import NamedTuple

from lib import chat
from lib.grading import latex

_TAGS = "answer|solution|final_answer"
# Neither a tag nor a formula holds another opening of its kind: so thousands of openings cost no more than one.
_TAG = re.compile(rf"<({_TAGS})>((?:(?!<(?:{_TAGS})>).)*?)</\1>", re.IGNORECASE | re.DOTALL)
_OPEN_TAG = re.compile(rf"<(?:{_TAGS})>", re.IGNORECASE)
_HASHES = re.compile(r"^[ \t]*####[ \t]*(.+)$", re.MULTILINE)
_HEADING = re.compile(
    r"(?:\*\*)?(?:\w+\s+)?\d+(?:[.):]\s+(?!I hope)|:?\s*\*\*\s*)[A-Za-z]|[A-Za-z]+\s+\d+\s*:"
)
_PHRASE = re.compile(
    r"\b(?:final\s+)?(?:answers?|result|solution)\b(?![ \t]+choice)[^.\n:=$]{0,60}?(?:\bis\b(?!\s+not\b)|\bare\b|:|=)\s*"
    r"|^[ \t]*(?:\*\*)?A(?:nswer)?(?:\*\*)?[ \t]*:\s*|答案\s*(?:是|为|[:：])\s*",
    re.IGNORECASE | re.MULTILINE,
)
# Prices are no formula, as in `$18 a day and $20`: blanks stand on both inner sides of the signs or on none, no digit behind.
_MATHS = re.compile(
    r"\$\$(.+?)\$\$|(?<!\\)\$(?:(?!\s)(?:\\.|[^$\n])+?(?<![\s\\])|\s(?:\\.|[^$\n])+?\s)\$(?!\d)"
    r"|\\\((?:(?!\\\().)+?\\\)|(?<!\\)\\\[(?:(?!\\\[).)+?\\\]",
    re.DOTALL,
)
_JOINED = re.compile(r"\s{0,3},?\s{0,3}(?:and|or)\s{0,3}")
_CURRENCY = r"(?:(?:\\?\$|[€£¥₹])\s?)?"
_NUMBER = re.compile(
    rf"(?<![A-Za-z0-9_.,])[-+−]?{_CURRENCY}"
    r"(?:\d+ \d+/\d+|\d{1,3}(?:\{?,\}?\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"(?:\s?/\s?\d+(?!\d|\.\d))?(?:\s?(?:\\?%|percent\b))?"
)
# What follows a number that is only the beginning of the answer: 3x + 5, 2\pi, 10!, 3 or 4, 5 million.
_GOES_ON = re.compile(
    r"\s*(?:[-+*/^=<>,;:_]\s*[\w(\\$]|[\\!π√]|\d|(?:sqrt|root|pi|or|and [\d$]|million|thousand|billion)\b|[a-z]\b(?!\s+[a-z]))"
)
_LETTER = re.compile(r"(?<![A-Za-z0-9'])\(?([B-HJ]|A(?!\s+[a-z]))\)?(?![A-Za-z0-9'])")
_CHOICE = re.compile(r"\(([A-J])\)|([A-J])(?=[.,:)]|$|\s+(?:because|since|as)\b)")
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|\n|\bI hope\b")
# A base model goes on with the next problem, or with another turn: none of that is its answer.
_RUNS_ON = re.compile(
    r"<\|(?:im_start|im_end|endoftext|eot_id|start_header_id)\|>|\n[ \t]*(?:\*\*)?(?:Question|Problem|Q|User|Human)\s*:"
)


class Found(NamedTuple):
    """An answer as it stands in the text, and how it was found: box, tag, hashes, phrase or last number (lenient only)."""

    answer: str
    how: str


def extract(text: str, strict: bool = False) -> str | None:
    """The answer that a text gives, as it stands there; None if it gives none.

    Looked for in this order, the last of each kind: `\\boxed{}`, `<answer>` or `<SOLUTION>` tags, `#### N`, "the answer is".
    Unless `strict`, a last formula, number or choice letter counts too. Text behind `</think>` wins over the thinking, in
    which only lenient extraction looks; thinking that never ended gives no answer.
    """
    found = find(text, strict)
    return found.answer if found else None


def find(text: str, strict: bool = False) -> Found | None:
    """As `extract`, with the way in which the answer was found."""
    thought, said = chat.split_think(text)
    if run_on := _RUNS_ON.search(said, len(said) - len(said.lstrip())):
        before = said[: run_on.start()]
        said = (
            before if before.strip() and ("|" in run_on[0] or _stated(before)) else said
        )  # it may restate the task first
    found = _stated(said)
    if strict or found:
        return found
    return _last(said) or (_stated(thought) if "</think>" in text else None)


def _stated(text: str) -> Found | None:
    tags = [t[2] for t in _TAG.finditer(text)] if "</" in text else []
    box = latex.last_box(tags[-1] if tags else text)
    if box:
        return Found(box, "box")
    if tags:
        inside = tags[-1].strip()
        short = len(inside) <= 80 and "\n" not in inside
        found = (
            Found(inside, "tag")
            if short and not _PHRASE.search(inside)
            else _stated(inside) or _last(inside)
        )
        return Found(found.answer, "tag") if found and found.answer.strip("#* ") else None
    for line in reversed(_HASHES.findall(text)):
        if not _HEADING.match(line) and (m := _NUMBER.search(line)):
            whole = _GOES_ON.match(line, m.end()) or re.search(r"[\\(]", line[: m.start()])
            return Found(_value(line) or m[0] if whole else m[0], "hashes")
    for phrase in reversed(list(_PHRASE.finditer(text))[-50:]):  # a loop says it thousands of times
        if value := _value(text[phrase.end() : phrase.end() + 1000]):
            return Found(value, "phrase")
    return None


def _value(text: str) -> str | None:
    """What a sentence such as "the answer is …" names: its first formula, number or letter, or the few words themselves."""
    text = re.sub(r"^[*: \t]*\n\s*(?:[-•*]|\d+[.)])[ \t]+(?=\S)", "", text).lstrip(
        "*: \t\n"
    )  # a list's mark is no sign
    maths = _MATHS.match(text)
    if maths:  # `$1$ and $2$` is one answer
        end = maths.end()
        while more := re.compile(r"\s*(?:,?\s*(?:and|or)|,)\s*").match(text, end):
            following = _MATHS.match(text, more.end())
            if not following:
                break
            end = following.end()
        return text[:end]
    end = _SENTENCE_END.search(text)
    sentence = (text[: end.start()] if end else text).strip(" *`\"'")
    if choice := _CHOICE.match(sentence):
        return choice[1] or choice[2]
    number = _NUMBER.match(sentence)
    if number and not _GOES_ON.match(sentence, number.end()):
        return number[0]
    if (
        len(sentence) <= 40
        and re.search(r"[\d=^\\({]", sentence)
        and not re.search(r"[A-Za-z]{3,}\s+[A-Za-z]{2,}", sentence)
    ):
        return sentence.strip("$")  # an expression: x^2 + 1, (2, 3), x = 5
    if later := _later(sentence):
        return later
    if letter := _LETTER.search(sentence):
        return letter[1]
    return (
        sentence
        if re.fullmatch(r"[A-Za-z][A-Za-z' -]{0,30}", sentence) and len(sentence.split()) <= 3
        else None
    )


def _last(text: str) -> Found | None:
    """The last formula or number, whichever ends later; a lone last choice letter where there is neither."""
    unclosed = list(_OPEN_TAG.finditer(text))
    if unclosed and (value := _value(text[unclosed[-1].end() :])):
        return Found(value, "last number")
    if later := _later(text):
        return Found(later, "last number")
    letters = _LETTER.findall(text)
    return Found(letters[-1], "last number") if letters else None


def _later(text: str) -> str | None:
    """The last formula or number, whichever ends later; formulas that `and` or `or` joins are one answer."""
    start, end, number = 0, 0, None
    for maths in _MATHS.finditer(text):
        joined = end and _JOINED.fullmatch(text, end, maths.start())
        start, end = start if joined else maths.start(), maths.end()
    for number in _NUMBER.finditer(text):  # noqa: B007  the last one is what is asked for
        pass
    if end and (not number or number.end() <= end):
        return text[start:end]
    return number[0] if number else None
