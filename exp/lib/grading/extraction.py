r"""Finds the answer that a text gives: a box, tags, `#### N` or "the answer is".

Unless strict, a last formula or number counts too.
"""

import re
from typing import NamedTuple

from lib import thinking
from lib.grading import latex

# Neither a tag nor a formula holds another opening of its kind, so that thousands of openings cost
# no more than one.
_TAGS = "answer|solution|final_answer"
_TAG = re.compile(rf"<({_TAGS})>((?:(?!<(?:{_TAGS})>).)*?)</\1>", re.IGNORECASE | re.DOTALL)
_OPEN_TAG = re.compile(rf"<(?:{_TAGS})>", re.IGNORECASE)
_LONGEST_IN_TAGS = 80  # characters of an answer that is taken as it stands

_HASHES = re.compile(r"^[ \t]*####[ \t]*(.+)$", re.MULTILINE)
# `#### Step 1: add` and `#### 2. Compute the sum` are headings of Markdown, and no answers.
_HEADING = re.compile(
    r"""
    (?:\*\*)?(?:\w+\s+)?\d+(?:[.):]\s+(?!I[ ]hope)|:?\s*\*\*\s*)[A-Za-z]
    | [A-Za-z]+\s+\d+\s*:
    """,
    re.VERBOSE,
)
_BRACKET_OR_COMMAND = re.compile(r"[\\(]")

_PHRASE = re.compile(
    r"""
    \b(?:final\s+)?(?:answers?|result|solution)\b(?![ \t]+choice)    # the answer …
        [^.\n:=$]{0,60}?
        (?:\bis\b(?!\s+not\b)|\bare\b|:|=)\s*                        # … is
    | ^[ \t]*(?:\*\*)?A(?:nswer)?(?:\*\*)?[ \t]*:\s*                 # **Answer**:
    | 答案\s*(?:是|为|[:：])\s*
    """,
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_MOST_PHRASES = 50  # that are looked at, from the end: a loop says it thousands of times
_LONGEST_VALUE = 1000  # characters behind a phrase
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|\n|\bI hope\b")
_LIST_MARK = re.compile(r"^[*: \t]*\n\s*(?:[-•*]|\d+[.)])[ \t]+(?=\S)")

# Prices are no formula, as in `$18 a day and $20`: blanks stand on both inner sides of the signs or
# on none, and no digit stands behind.
_FORMULA = re.compile(
    r"""
    \$\$(.+?)\$\$
    | (?<!\\)\$(?:(?!\s)(?:\\.|[^$\n])+?(?<![\s\\])|\s(?:\\.|[^$\n])+?\s)\$(?!\d)
    | \\\((?:(?!\\\().)+?\\\)
    | (?<!\\)\\\[(?:(?!\\\[).)+?\\\]
    """,
    re.DOTALL | re.VERBOSE,
)
_BETWEEN_VALUES = re.compile(r"\s*(?:,?\s*(?:and|or)|,)\s*")
_BETWEEN_LAST_FORMULAS = re.compile(r"\s{0,3},?\s{0,3}(?:and|or)\s{0,3}")

_CURRENCY = r"(?:(?:\\?\$|[€£¥₹])\s?)?"
_NUMBER = re.compile(
    rf"""
    (?<![A-Za-z0-9_.,])
    [-+−]?{_CURRENCY}
    (?:
        \d+[ ]\d+/\d+                                      # 3 1/2
        | \d{{1,3}}(?:\{{?,\}}?\d{{3}})+(?!\d)(?:\.\d+)?   # 1,200.50
        | \d+(?:\.\d+)?
        | \.\d+
    )
    (?:\s?/\s?\d+(?!\d|\.\d))?                             # 1/3
    (?:\s?(?:\\?%|percent\b))?
    """,
    re.VERBOSE,
)
# What follows a number that is only the beginning of the answer: 3x + 5, 2\pi, 10!, 3 or 4,
# 5 million.
_GOES_ON = re.compile(
    r"""
    \s*(?:
        [-+*/^=<>,;:_]\s*[\w(\\$]
        | [\\!π√]
        | \d
        | (?:sqrt|root|pi|or|and[ ][\d$]|million|thousand|billion)\b
        | [a-z]\b(?!\s+[a-z])
    )
    """,
    re.VERBOSE,
)
_LETTER = re.compile(r"(?<![A-Za-z0-9'])\(?([B-HJ]|A(?!\s+[a-z]))\)?(?![A-Za-z0-9'])")
_CHOICE = re.compile(r"\(([A-J])\)|([A-J])(?=[.,:)]|$|\s+(?:because|since|as)\b)")
# Short expressions stand for themselves: x^2 + 1, (2, 3), x = 5. Two words make a sentence.
_LONGEST_EXPRESSION = 40  # characters
_IN_EXPRESSION = re.compile(r"[\d=^\\({]")
_TWO_WORDS = re.compile(r"[A-Za-z]{3,}\s+[A-Za-z]{2,}")
_FEW_WORDS = re.compile(r"[A-Za-z][A-Za-z' -]{0,30}")

# A base model goes on with the next problem, or with another turn: none of that is its answer.
_RUNS_ON = re.compile(
    r"""
    <\|(?:im_start|im_end|endoftext|eot_id|start_header_id)\|>
    | \n[ \t]*(?:\*\*)?(?:Question|Problem|Q|User|Human)\s*:
    """,
    re.VERBOSE,
)


class Extraction(NamedTuple):
    """An answer as it stands in the text, and how it was found.

    `how` is box, tag, hashes, phrase, or last number (lenient only).
    """

    answer: str
    how: str


def extract(text: str, strict: bool = False) -> str | None:
    r"""The answer that a text gives, as it stands there; None if it gives none.

    These are looked for in turn, the last of each kind: `\boxed{}`, `<answer>` or `<SOLUTION>`
    tags, `#### N`, "the answer is". Unless `strict`, a last formula, number or choice letter counts
    too. Text behind the thinking wins over it: only lenient extraction looks there, and never in
    thinking that was cut off.
    """
    extraction = find(text, strict)
    return extraction.answer if extraction else None


def find(text: str, strict: bool = False) -> Extraction | None:
    """As `extract`, with the way in which the answer was found."""
    reasoning, response = thinking.split(text)
    response = _without_run_on(response)
    stated = _find_stated(response)
    if strict or stated:
        return stated
    last = _find_last(response)
    if last:
        return last
    return _find_stated(reasoning) if thinking.has_ended(text) else None


def _without_run_on(response: str) -> str:
    """A response up to where its model went on with another problem or turn."""
    leading_blanks = len(response) - len(response.lstrip())
    run_on = _RUNS_ON.search(response, leading_blanks)
    if not run_on:
        return response
    before = response[: run_on.start()]
    is_another_turn = "|" in run_on[0]
    # A "Problem:" with no answer before it may be the model's restatement of its task.
    if before.strip() and (is_another_turn or _find_stated(before)):
        return before
    return response


def _find_stated(text: str) -> Extraction | None:
    """An answer that the text says is one: in a box, in tags, behind `####` or a phrase."""
    in_tags = None
    if "</" in text:
        for tag in _TAG.finditer(text):
            in_tags = tag[2]
    box = latex.last_box(text if in_tags is None else in_tags)
    if box:
        return Extraction(box, "box")
    if in_tags is not None:
        answer = _answer_in_tags(in_tags.strip())
        return Extraction(answer, "tag") if answer and answer.strip("#* ") else None
    answer = _answer_behind_hashes(text)
    if answer:
        return Extraction(answer, "hashes")
    phrases = list(_PHRASE.finditer(text))
    for phrase in reversed(phrases[-_MOST_PHRASES:]):
        value = _first_value(text[phrase.end() : phrase.end() + _LONGEST_VALUE])
        if value:
            return Extraction(value, "phrase")
    return None


def _answer_in_tags(inside: str) -> str | None:
    is_short = len(inside) <= _LONGEST_IN_TAGS and "\n" not in inside
    if is_short and not _PHRASE.search(inside):
        return inside
    extraction = _find_stated(inside) or _find_last(inside)
    return extraction.answer if extraction else None


def _answer_behind_hashes(text: str) -> str | None:
    for line in reversed(_HASHES.findall(text)):
        number = _NUMBER.search(line)
        if not number or _HEADING.match(line):
            continue
        goes_on = _GOES_ON.match(line, number.end())
        begins_before = _BRACKET_OR_COMMAND.search(line[: number.start()])
        if goes_on or begins_before:
            return _first_value(line) or number[0]
        return number[0]
    return None


def _first_value(text: str) -> str | None:
    """What "the answer is …" names: its first formula, number or letter, or the few words."""
    text = _LIST_MARK.sub("", text).lstrip("*: \t\n")  # a list's mark is no minus sign
    formulas = _first_formulas(text)
    if formulas:
        return formulas
    sentence_end = _SENTENCE_END.search(text)
    sentence = text[: sentence_end.start()] if sentence_end else text
    sentence = sentence.strip(" *`\"'")
    if choice := _CHOICE.match(sentence):
        return choice[1] or choice[2]
    number = _NUMBER.match(sentence)
    if number and not _GOES_ON.match(sentence, number.end()):
        return number[0]
    if _is_expression(sentence):
        return sentence.strip("$")
    if last_value := _last_formula_or_number(sentence):
        return last_value
    if letter := _LETTER.search(sentence):
        return letter[1]
    if _FEW_WORDS.fullmatch(sentence) and len(sentence.split()) <= 3:
        return sentence
    return None


def _first_formulas(text: str) -> str | None:
    """The formula that a text begins with; `$1$ and $2$` is one answer."""
    end = 0
    formula = _FORMULA.match(text)
    while formula:
        end = formula.end()
        between = _BETWEEN_VALUES.match(text, end)
        formula = _FORMULA.match(text, between.end()) if between else None
    return text[:end] or None


def _is_expression(sentence: str) -> bool:
    if len(sentence) > _LONGEST_EXPRESSION or not _IN_EXPRESSION.search(sentence):
        return False
    return not _TWO_WORDS.search(sentence)


def _find_last(text: str) -> Extraction | None:
    """The last formula or number; a last choice letter if there is neither."""
    answer = _answer_in_open_tag(text) or _last_formula_or_number(text)
    if not answer:
        letters = _LETTER.findall(text)
        answer = letters[-1] if letters else None
    return Extraction(answer, "last number") if answer else None


def _answer_in_open_tag(text: str) -> str | None:
    """The value behind a last opening tag, which was cut off before its closing one."""
    end = None
    for tag in _OPEN_TAG.finditer(text):
        end = tag.end()
    return None if end is None else _first_value(text[end:])


def _last_formula_or_number(text: str) -> str | None:
    """Whichever ends later; formulas that `and` or `or` joins are one answer."""
    start = end = 0
    for formula in _FORMULA.finditer(text):
        continues = end and _BETWEEN_LAST_FORMULAS.fullmatch(text, end, formula.start())
        if not continues:
            start = formula.start()
        end = formula.end()
    number = None
    for number in _NUMBER.finditer(text):  # noqa: B007  only the last one is wanted
        pass
    if end and (not number or number.end() <= end):
        return text[start:end]
    return number[0] if number else None
