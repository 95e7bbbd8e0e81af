"""Rewards for the answer that a completion states: is it right, close, a number at all?

The grader of the evaluations decides what is equal. A reward invites guessing, so this module is
stricter than the evaluations about where an answer stands, and it never picks one of several.
"""

import re

from lib.grading import answers, exact, latex
from lib.grading.formats import Format
from lib.rewards.batch import Batch
from lib.rewards.format import BOX, asks_for_box

Place = tuple[int, int, str]  # (start, stop, inside) of an answer with its tags or its box

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
    scores = []
    for stated_answer, gold in zip(_stated_answers(batch), batch.golds, strict=True):
        scores.append(RIGHT if is_right(stated_answer, gold) else 0.0)
    return scores


def answer_close(batch: Batch) -> list[float]:
    """As `answer`, but 1 for a wrong number that is off by at most 10% of a gold one other than 0.

    Other wrong answers earn 0, as none does. Unsloth's test also pays +1 for 95 where 100 is right,
    but -1.5 for an honest wrong answer and 0 for silence: a policy that is not sure learns to be
    silent. So here a wrong answer never earns less than an empty one.
    """
    scores = []
    for stated_answer, gold in zip(_stated_answers(batch), batch.golds, strict=True):
        if is_right(stated_answer, gold):
            scores.append(RIGHT)
        elif is_close(stated_answer, gold):
            scores.append(CLOSE)
        else:
            scores.append(0.0)
    return scores


def number(batch: Batch) -> list[float]:
    """0.5 if the stated answer is a number at all, as `1,200`, `$5` and `\\frac12` are, else 0.

    A completion that was cut off earns 0.
    """
    scores = []
    for stated_answer in _stated_answers(batch):
        is_number = _number_of(stated_answer) is not None
        scores.append(NUMBER if is_number else 0.0)
    return scores


def _stated_answers(batch: Batch) -> list[str | None]:
    """What each completion states; None for one that was cut off, even if it looks whole."""
    stated_answers = []
    for text, is_truncated in zip(batch.texts, batch.truncated, strict=True):
        stated_answer = None if is_truncated else find_stated_answer(text, batch.layout)
        stated_answers.append(stated_answer)
    return stated_answers


def find_stated_answer(text: str, layout: Format) -> str | None:
    """The one answer that a text states outside of its thinking; None if it states none.

    It counts only in the layout's answer tags or box, all of them closed, none inside another, and
    at most twice. A text whose tags and boxes hold different answers states none, so that naming
    several wins nothing.
    """
    answer_text = _outside_thinking(text, layout)
    places = _answer_places(answer_text, layout)
    if not 1 <= len(places) <= MOST_PLACES:
        return None
    candidates = _candidates(answer_text, places)
    first, *others = (_with_single_blanks(candidate) for candidate in candidates)
    is_empty = not latex.canonical(first)
    if is_empty:
        return None
    for other in others:
        if not answers.is_equal(other, first):
            return None
    return first


def _candidates(text: str, places: list[Place]) -> list[str]:
    """Everything that the text gives as its answer: at these places, in boxes, in other tags."""
    candidates = []
    text_around = ""  # what stands before, between and behind the places
    end = 0
    for start, stop, inside in places:
        candidates += _boxed(inside) or [inside]
        text_around += text[end:start] + "\n"
        end = stop
    text_around += text[end:]
    candidates += _boxed(text_around)
    # The tags of another layout count too, since the evaluations read them.
    elsewhere = answers.find(text_around, strict=True)
    if elsewhere and elsewhere.how == "tag":
        candidates.append(elsewhere.answer)
    return candidates


def _with_single_blanks(text: str) -> str:
    return " ".join(text.split())


def is_right(stated_answer: str | None, gold: str) -> bool:
    """Whether a stated answer, if there is any, is the gold one.

    The grader compares what was meant, and of a sentence it picks the answer. Here nothing is
    picked: both sides of `6 = 5` must be right, and several numbers among words are not.
    """
    if stated_answer is None or not answers.is_equal(stated_answer, gold):
        return False
    canonical_answer = latex.canonical(stated_answer)
    if _is_sentence_of_numbers(canonical_answer):
        return False
    # `x = 1, y = 2` answers the gold `1, 2`, and a gold may itself be an equation.
    if exact.split_list(canonical_answer) or _RELATION.search(gold):
        return True
    sides = _RELATION.split(canonical_answer)
    sides_with_digits = [side for side in sides if re.search(r"\d", side)]
    if len(sides_with_digits) < 2:
        return True
    return all(answers.is_equal(side, gold) for side in sides_with_digits)


def is_close(stated_answer: str | None, gold: str) -> bool:
    """Whether both are numbers and the answer is off by at most 10% of a gold one other than 0."""
    answer_number = _number_of(stated_answer)
    gold_number = _number_of(gold)
    if not answer_number or not gold_number or not gold_number.value:
        return False
    error = abs(answer_number.value - gold_number.value)
    return error <= CLOSE_SHARE * abs(gold_number.value)


def _is_sentence_of_numbers(canonical_answer: str) -> bool:
    """Whether a canonical answer has words, and several different numbers among them."""
    without_commands = _COMMAND.sub(" ", canonical_answer)
    if not _WORD.search(without_commands):
        return False
    numbers = _VALUE.findall(without_commands)
    distinct_numbers = {number.replace(",", "") for number in numbers}
    return len(distinct_numbers) > 1


def _outside_thinking(text: str, layout: Format) -> str:
    """The text without its thinking; thinking that never ends is all of the text behind it."""
    opening, closing = layout.thinking_tags(text)
    before, closing_tag, behind = text.partition(closing)
    if closing_tag and opening not in before:  # the prompt may have opened it
        text = behind
    start = re.escape(opening)
    stop = re.escape(closing)
    thinking = re.compile(rf"{start}.*?(?:{stop}|\Z)", re.DOTALL)
    return thinking.sub("\n", text)


def _answer_places(text: str, layout: Format) -> list[Place]:
    """The places of the layout's answers; empty if any is unclosed or nested."""
    if asks_for_box(layout):
        boxes = latex.boxes(text)
        all_closed = text.count(BOX) == len(boxes)
        return boxes if all_closed else []
    opening, closing = layout.answer
    start = re.escape(opening)
    stop = re.escape(closing)
    between_tags = re.compile(rf"{start}((?:(?!{start}).)*?){stop}", re.DOTALL)
    places = []
    for match in between_tags.finditer(text):
        start_offset, stop_offset = match.span()
        places.append((start_offset, stop_offset, match[1]))
    openings = text.count(opening)
    closings = text.count(closing)
    all_paired = openings == closings == len(places)
    return places if all_paired else []


def _boxed(text: str) -> list[str]:
    """What stands in each box of the text."""
    return [inside for _, _, inside in latex.boxes(text)]


def _number_of(answer_text: str | None) -> exact.Number | None:
    """The number that an answer is; None for no answer and for one that is no number."""
    if not answer_text:
        return None
    canonical_answer = latex.canonical(answer_text)
    return exact.number(exact.without_name(canonical_answer))
