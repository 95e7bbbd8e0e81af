"""Rewards for the answer that a completion states: is it right, close, a number at all?

The grader of the evaluations decides what is equal. A reward invites guessing, so this module is
stricter than the evaluations about where an answer stands, and it never picks one of several.
"""

import re

from lib.grading import answers, exact, latex
from lib.grading.formats import Format
from lib.rewards.batch import Batch
from lib.rewards.format import BOX, asks_for_box

RIGHT = 5.0
CLOSE = 1.0
CLOSE_SHARE = 0.1  # a wrong number is close if it is off by at most this share of the gold one
NUMBER = 0.5
MOST_PLACES = 2  # in the working and again at the end; more of the same is a loop

_RELATION = re.compile(r"=+|\\equiv(?![a-z])")
# `and` and `or` are no words here: they stand between the items of a list.
_WORD = re.compile(r"(?<![^\W\d_])(?!(?:and|or)\b)[^\W\d_]{2,}")
# The letters and digits of LaTeX commands, indices and exponents are neither words nor values.
_COMMAND = re.compile(r"\\(?:begin|end)\s*\{\w+\}|\\[A-Za-z]+|[_^]\s*(?:\{[^{}]*\}|\w)")
_VALUE = re.compile(r"\d[\d.,]*(?<=\d)(?:\s*/\s*\d+)?")


def answer(batch: Batch) -> list[float]:
    """5 for the right answer, 0 for a wrong one, for none, and if the completion was cut off."""
    paid = []
    for stated_answer, gold in zip(_stated_answers(batch), batch.golds, strict=True):
        paid.append(RIGHT if is_right(stated_answer, gold) else 0.0)
    return paid


def answer_close(batch: Batch) -> list[float]:
    """As `answer`, but 1 for a wrong number that is off by at most 10% of a gold one other than 0.

    Other wrong answers earn 0, as none does. Unsloth's test also pays +1 for 95 where 100 is right,
    but -1.5 for an honest wrong answer and 0 for silence: a policy that is not sure learns to be
    silent. So here a wrong answer never earns less than an empty one.
    """
    paid = []
    for stated_answer, gold in zip(_stated_answers(batch), batch.golds, strict=True):
        if is_right(stated_answer, gold):
            paid.append(RIGHT)
        else:
            paid.append(CLOSE if is_close(stated_answer, gold) else 0.0)
    return paid


def number(batch: Batch) -> list[float]:
    """0.5 if the stated answer is a number at all, as `1,200`, `$5` and `\\frac12` are, else 0.

    A completion that was cut off earns 0.
    """
    values = [_value(stated_answer) for stated_answer in _stated_answers(batch)]
    return [0.0 if value is None else NUMBER for value in values]


def _stated_answers(batch: Batch) -> list[str | None]:
    """What each completion states; None for one that was cut off, even if it looks whole."""
    stated_answers = []
    for text, truncated in zip(batch.texts, batch.truncated, strict=True):
        stated_answers.append(None if truncated else stated(text, batch.layout))
    return stated_answers


def stated(text: str, layout: Format) -> str | None:
    """The one answer that a text states outside of its thinking; None if it states none.

    It counts only in the layout's answer tags or box, all of them closed, none inside another, and
    at most twice. A text whose tags and boxes hold different answers states none, so that naming
    several wins nothing.
    """
    text = _outside_thinking(text, layout)
    places = _answer_places(text, layout)
    if not 1 <= len(places) <= MOST_PLACES:
        return None
    candidates = []
    rest = ""  # the text around the places
    end = 0
    for start, stop, inside in places:
        candidates += _boxed(inside) or [inside]
        rest += text[end:start] + "\n"
        end = stop
    rest += text[end:]
    candidates += _boxed(rest)
    # The tags of another layout count too, since the evaluations read them.
    elsewhere = answers.find(rest, strict=True)
    if elsewhere and elsewhere.how == "tag":
        candidates.append(elsewhere.answer)
    first, *others = (" ".join(candidate.split()) for candidate in candidates)
    all_agree = all(answers.is_equal(other, first) for other in others)
    return first if latex.canonical(first) and all_agree else None


def is_right(stated_answer: str | None, gold: str) -> bool:
    """Whether a stated answer, if there is any, is the gold one.

    The grader compares what was meant, and of a sentence it picks the answer. Here nothing is
    picked: both sides of `6 = 5` must be right, and several numbers among words are not.
    """
    if stated_answer is None or not answers.is_equal(stated_answer, gold):
        return False
    plain = latex.canonical(stated_answer)
    if _is_sentence_of_numbers(plain):
        return False
    # `x = 1, y = 2` answers the gold `1, 2`, and a gold may itself be an equation.
    if exact.split_list(plain) or _RELATION.search(gold):
        return True
    sides = [side for side in _RELATION.split(plain) if re.search(r"\d", side)]
    return len(sides) < 2 or all(answers.is_equal(side, gold) for side in sides)


def is_close(stated_answer: str | None, gold: str) -> bool:
    """Whether both are numbers and the answer is off by at most 10% of a gold one other than 0."""
    ours, theirs = _value(stated_answer), _value(gold)
    if not ours or not theirs or not theirs.value:
        return False
    return abs(ours.value - theirs.value) <= CLOSE_SHARE * abs(theirs.value)


def _is_sentence_of_numbers(plain: str) -> bool:
    """Whether a canonical answer has words, and several different numbers among them."""
    without_commands = _COMMAND.sub(" ", plain)
    values = {value.replace(",", "") for value in _VALUE.findall(without_commands)}
    return bool(_WORD.search(without_commands)) and len(values) > 1


def _outside_thinking(text: str, layout: Format) -> str:
    """The text without its thinking; thinking that never ends is all of the text behind it."""
    opening, closing = layout.thinking
    before, closed, behind = text.partition(closing)
    if closed and opening not in before:  # the prompt may have opened it
        text = behind
    thinking = rf"{re.escape(opening)}.*?(?:{re.escape(closing)}|\Z)"
    return re.sub(thinking, "\n", text, flags=re.DOTALL)


def _answer_places(text: str, layout: Format) -> list[tuple[int, int, str]]:
    """(start, stop, inside) of the layout's answers; empty if any is unclosed or nested."""
    opening, closing = layout.answer
    if asks_for_box(layout):
        places = latex.boxes(text)
        return places if text.count(BOX) == len(places) else []
    start, stop = re.escape(opening), re.escape(closing)
    between_tags = re.compile(rf"{start}((?:(?!{start}).)*?){stop}", re.DOTALL)
    places = [(*match.span(), match[1]) for match in between_tags.finditer(text)]
    all_paired = text.count(opening) == text.count(closing) == len(places)
    return places if all_paired else []


def _boxed(text: str) -> list[str]:
    return [inside for _, _, inside in latex.boxes(text)]


def _value(text: str | None) -> exact.Number | None:
    """The number that an answer is; None for no answer and for one that is no number."""
    return exact.number(exact.without_name(latex.canonical(text))) if text else None
