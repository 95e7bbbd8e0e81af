"""Procedural school problems in six domains: made from templates, and read back from their text.

A template (lib/tiny/templates.py) has wordings with slots, ranges of numbers, and the answer as an
expression. The expression is evaluated on numbers that show their work (lib/tiny/worked.py), so
that question, steps and answer cannot disagree.
"""

import hashlib
import itertools
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from lib.tiny.templates import NAMES, TEMPLATES, THINGS, Template
from lib.tiny.worked import IllPosed, Num

DOMAINS = ("algebra", "calculus", "geometry", "statistics", "number_theory", "discrete")

# The first byte of a question's hash decides what the question may be used for.
DEVELOPMENT_BYTES = range(5)
FRESH_BYTES = range(5, 26)  # with those of the development .102 of all questions
TRAINING_BYTES = range(26, 256)

LARGEST_IN_QUESTION = 999  # the results of steps may reach Num.LARGEST
LARGEST_RESULT = 9999  # of a step in a problem that is made; none of them is negative
LONGEST_QUESTION = 400  # characters; the longest question of any template has 127

# What stands for a number, a name, a thing and the last full stop or question mark in the shape of
# a question. None is ASCII, so that no question that is read can hold one itself.
NUMBER_MARK = "№"
NAME_MARK = "☺"
THING_MARK = "□"
END_MARK = "¶"
BLANK_MARKS = (NUMBER_MARK, NAME_MARK, THING_MARK)

Values = dict[str, int | str]  # what the slots hold: numbers, and a name or a thing

_NUMBER_OR_WORD = re.compile(rf"[0-9]+|\b(?:{'|'.join(NAMES)})\b|\b(?:{'|'.join(THINGS)})\b")
_REQUEST = re.compile(r"\b(?:Find|Compute|Determine|Evaluate|What is|How large is|find|what is)\b")
_QUESTION_WORD = re.compile("what|how", re.IGNORECASE)
_CHOICE = re.compile(r"\[([^\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")
_SLOT_OR_NUMBER = re.compile(r"\{\w+\}|[0-9]+")


@dataclass(frozen=True)
class Problem:
    """A question with its worked steps and its integer answer."""

    domain: str
    template: str
    question: str
    steps: tuple[str, ...]
    answer: int

    @property
    def direct(self) -> str:
        """The answer without the work."""
        return rf"The answer is \boxed{{{self.answer}}}."

    @property
    def solution(self) -> str:
        """The steps alone: `3 * 10 = 30. 30 - 8 = 22.`"""
        return " ".join(f"{step}." for step in self.steps)

    @property
    def worked(self) -> str:
        """The answer behind its steps: `3 * 10 = 30. 30 - 8 = 22. The answer is \\boxed{22}.`"""
        return f"{self.solution} {self.direct}"


@dataclass(frozen=True)
class Reading:
    """What the questions of one shape ask: their template, and what each blank of the shape is.

    A blank is the name of a slot, or a number of the wording itself, as the 2 in x^2.
    """

    template: Template
    blanks: tuple[str, ...]


def system_prompt(domain: str) -> str:
    """What the embedded model is told that it is: in training, and when a domain is asked for."""
    return f"You are a math tutor for {domain.replace('_', ' ')}."


def fresh(count: int, seed: int) -> list[Problem]:
    """`count` different held-out problems, the domains in turn: 600 are 100 of each."""
    return _draw_different(count, f"fresh {seed}", FRESH_BYTES)


def development(count: int, seed: int) -> list[Problem]:
    """As `fresh`, but questions that `fresh` never draws: for choices made while training."""
    return _draw_different(count, f"development {seed}", DEVELOPMENT_BYTES)


def training(count: int, seed: int | str) -> list[Problem]:
    """`count` problems that are not held out, the domains in turn; questions may repeat."""
    rng = random.Random(f"training {seed}")
    return [_make_of(domain, rng, TRAINING_BYTES) for domain in _domains_in_turn(count)]


def is_held_out(question: str) -> bool:
    """Whether the question is of the tenth, by its hash, that is never trained on."""
    return _hash_byte(question) not in TRAINING_BYTES


def make(domain: str, rng: random.Random) -> Problem:
    """A problem of the domain: a template, a wording and numbers that fit.

    KeyError, with the known names, for another domain.
    """
    if domain not in DOMAINS:
        raise KeyError(f"unknown domain {domain!r}; known: {', '.join(DOMAINS)}")
    template = rng.choice(_BY_DOMAIN[domain])
    wording = rng.choice(_WORDINGS[domain, template.name])
    while True:  # most draws fit at once
        values = _draw_values(template, wording, rng)
        if template.where and not _call(template.where, values):
            continue
        try:
            problem = _solve(template, wording.format(**values), values)
        except IllPosed:
            continue
        results = [int(step.split()[-1]) for step in problem.steps]
        if min(results) >= 0 and max(results) <= LARGEST_RESULT:
            return problem


def parse(question: str) -> Problem | None:
    """The problem that a text asks, with its true answer.

    None unless the text is a template's and its numbers are well posed.
    """
    if len(question) > LONGEST_QUESTION or not question.isascii():
        return None
    reading = _READINGS.get(_shape(question))
    if reading is None:
        return None
    try:
        values = _read_values(reading.blanks, _NUMBER_OR_WORD.findall(question))
        return _solve(reading.template, question, values)
    except IllPosed:
        return None


def _draw_different(count: int, seed: str, hash_bytes: range) -> list[Problem]:
    rng = random.Random(seed)
    by_question: dict[str, Problem] = {}
    for domain in _domains_in_turn(count):
        problem = _make_of(domain, rng, hash_bytes)
        while problem.question in by_question:
            problem = _make_of(domain, rng, hash_bytes)
        by_question[problem.question] = problem
    return list(by_question.values())


def _make_of(domain: str, rng: random.Random, hash_bytes: range) -> Problem:
    """A problem whose question's hash begins with one of the bytes."""
    problem = make(domain, rng)
    while _hash_byte(problem.question) not in hash_bytes:
        problem = make(domain, rng)
    return problem


def _hash_byte(question: str) -> int:
    return hashlib.sha256(question.encode()).digest()[0]


def _domains_in_turn(count: int) -> itertools.islice:
    return itertools.islice(itertools.cycle(DOMAINS), count)


def _draw_values(template: Template, wording: str, rng: random.Random) -> Values:
    """What the slots of the wording hold."""
    drawn: Values = {}
    for slot, numbers in template.ranges.items():
        drawn[slot] = rng.choice(numbers)
    for slot, formula in template.derived_slots.items():
        drawn[slot] = _call(formula, drawn)
    drawn["who"] = rng.choice(NAMES)
    drawn["thing"] = rng.choice(THINGS)
    return {slot: drawn[slot] for slot in _SLOT.findall(wording)}


def _read_values(blanks: tuple[str, ...], words: list[str]) -> Values:
    """What the slots of a question hold; IllPosed if the words do not fit into the blanks."""
    values: Values = {}
    for blank, word in zip(blanks, words, strict=True):
        value = _read_number(word) if word[0].isdigit() else word
        if blank.isdigit():  # a number of the wording itself
            if word != blank:
                raise IllPosed
        elif values.get(blank, value) != value:  # a slot that comes twice holds the same twice
            raise IllPosed
        else:
            values[blank] = value
    return values


def _read_number(digits: str) -> int:
    has_leading_zero = digits[0] == "0" and digits != "0"
    if len(digits) > 3 or has_leading_zero:
        raise IllPosed
    return int(digits)


def _solve(template: Template, question: str, values: Values) -> Problem:
    """The problem with these values in its slots.

    IllPosed unless it is sound and every step has a whole result.
    """
    steps: list[str] = []
    numbers: dict[str, Num] = {}
    for slot, value in values.items():
        if isinstance(value, str):
            continue
        if not template.smallest.get(slot, 1) <= value <= LARGEST_IN_QUESTION:
            raise IllPosed
        numbers[slot] = Num.of(value, steps)
    if template.sound and not _call(template.sound, values):
        raise IllPosed
    answer = int(_call(template.answer, numbers))
    if not template.signed and any(" = -" in step for step in steps):
        raise IllPosed
    return Problem(template.domain, template.name, question, tuple(steps), answer)


def _call(formula: Callable, values: Values):
    """The formula on the values that its parameters name."""
    code = formula.__code__
    parameters = code.co_varnames[: code.co_argcount]
    return formula(*[values[name] for name in parameters])


def _shape(text: str) -> str:
    """The text with marks for numbers, names and things, and with every request made one.

    `What is 7 mod 2?` and `Compute 8 mod 3.` both have the shape `Find № mod №¶`.
    """
    shape = _NUMBER_OR_WORD.sub(_mark, text)
    if not text.endswith(_last_character(text)):
        return shape
    return _REQUEST.sub("Find", shape[:-1]) + END_MARK


def _mark(match: re.Match) -> str:
    word = match[0]
    if word[0].isdigit():
        return NUMBER_MARK
    return NAME_MARK if word[0].isupper() else THING_MARK


def _last_character(text: str) -> str:
    """What a text ends with: `?` if its last sentence asks what or how, else `.`"""
    last_sentence = text.split(". ")[-1]
    return "?" if _QUESTION_WORD.search(last_sentence) else "."


def _expand(wording: str) -> list[str]:
    """`[Find|What is] x~` as its two wordings, `Find x.` and `What is x?`"""
    parts = _CHOICE.split(wording)  # text and choices by turns
    alternatives = [part.split("|") for part in parts]
    wordings = []
    for choice in itertools.product(*alternatives):
        text = "".join(choice)
        wordings.append(text.replace("~", _last_character(text)))
    return wordings


def _by_domain() -> dict[str, list[Template]]:
    templates: dict[str, list[Template]] = {domain: [] for domain in DOMAINS}
    for template in TEMPLATES:
        templates[template.domain].append(template)
    return templates


def _all_wordings() -> dict[tuple[str, str], list[str]]:
    """The wordings of each template, by its domain and name."""
    wordings = {}
    for template in TEMPLATES:
        expanded = [_expand(wording) for wording in template.wordings]
        wordings[template.domain, template.name] = list(itertools.chain(*expanded))
    return wordings


def _all_readings() -> dict[str, Reading]:
    """The reading of every wording's shape; ValueError if a shape has two."""
    readings: dict[str, Reading] = {}
    for template in TEMPLATES:
        for wording in _WORDINGS[template.domain, template.name]:
            stand_ins = dict.fromkeys(_SLOT.findall(wording), 0)
            stand_ins |= {"who": NAMES[0], "thing": THINGS[0]}
            shape = _shape(wording.format(**stand_ins))
            blanks = tuple(blank.strip("{}") for blank in _SLOT_OR_NUMBER.findall(wording))
            reading = Reading(template, blanks)
            marks = [mark for mark in shape if mark in BLANK_MARKS]
            if readings.get(shape, reading) != reading or len(blanks) != len(marks):
                raise ValueError(f"not the only reading of {wording!r}")
            readings[shape] = reading
    return readings


_BY_DOMAIN = _by_domain()
_WORDINGS = _all_wordings()
_READINGS = _all_readings()
