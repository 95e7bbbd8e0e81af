"""Procedural school problems in six domains: made from templates, and read back from their text.

A template (lib/tiny/problem_templates.py) has wordings with slots, ranges of numbers, and the
answer as an expression. The expression is evaluated on numbers that show their work
(lib/tiny/worked.py), so that question, steps and answer cannot disagree.
"""

import hashlib
import itertools
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from lib.tiny.problem_templates import NAMES, TEMPLATES, THINGS, Template
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
TemplateKey = tuple[str, str]  # a template's domain and name

_ANY_NAME = "|".join(NAMES)
_ANY_THING = "|".join(THINGS)
_NUMBER_OR_WORD = re.compile(rf"[0-9]+|\b(?:{_ANY_NAME})\b|\b(?:{_ANY_THING})\b")
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
    drawn = []
    for domain in _domains_in_turn(count):
        drawn.append(_make_of(domain, rng, TRAINING_BYTES))
    return drawn


def is_held_out(question: str) -> bool:
    """Whether the question is of the tenth, by its hash, that is never trained on."""
    return _hash_byte(question) not in TRAINING_BYTES


def make(domain: str, rng: random.Random) -> Problem:
    """A problem of the domain: a template, a wording and numbers that fit.

    KeyError, with the known names, for another domain.
    """
    if domain not in DOMAINS:
        known = ", ".join(DOMAINS)
        raise KeyError(f"unknown domain {domain!r}; known: {known}")
    template = rng.choice(_TEMPLATES_BY_DOMAIN[domain])
    wording = rng.choice(_WORDINGS[domain, template.name])
    while True:  # most draws fit at once
        values = _draw_values(template, wording, rng)
        problem = _fitting_problem(template, wording, values)
        if problem is not None:
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
    words = _NUMBER_OR_WORD.findall(question)
    try:
        values = _read_values(reading.blanks, words)
        return _solve(reading.template, question, values)
    except IllPosed:
        return None


def _draw_different(count: int, seed: str, hash_bytes: range) -> list[Problem]:
    """`count` problems with different questions, the domains in turn."""
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
    digest = hashlib.sha256(question.encode()).digest()
    return digest[0]


def _domains_in_turn(count: int) -> itertools.islice:
    turns = itertools.cycle(DOMAINS)
    return itertools.islice(turns, count)


def _fitting_problem(template: Template, wording: str, values: Values) -> Problem | None:
    """The problem with these values, None if they are not fit for one that is made."""
    if template.where and not _call(template.where, values):
        return None
    question = wording.format(**values)
    try:
        problem = _solve(template, question, values)
    except IllPosed:
        return None
    for step in problem.steps:
        result = int(step.split()[-1])
        if not 0 <= result <= LARGEST_RESULT:
            return None
    return problem


def _draw_values(template: Template, wording: str, rng: random.Random) -> Values:
    """What the slots of the wording hold."""
    drawn_values: Values = {}
    for slot, numbers in template.ranges.items():
        drawn_values[slot] = rng.choice(numbers)
    for slot, formula in template.derived_slots.items():
        drawn_values[slot] = _call(formula, drawn_values)
    drawn_values["who"] = rng.choice(NAMES)
    drawn_values["thing"] = rng.choice(THINGS)
    return {slot: drawn_values[slot] for slot in _SLOT.findall(wording)}


def _read_values(blanks: tuple[str, ...], words: list[str]) -> Values:
    """What the slots of a question hold; IllPosed if the words do not fit into the blanks."""
    values: Values = {}
    for blank, word in zip(blanks, words, strict=True):
        value = _read_number(word) if word[0].isdigit() else word
        if blank.isdigit():  # a number of the wording itself
            if word != blank:
                raise IllPosed
        else:
            # A slot that comes twice holds the same twice.
            if values.setdefault(blank, value) != value:
                raise IllPosed
    return values


def _read_number(digits: str) -> int:
    has_leading_zero = digits != "0" and digits.startswith("0")
    if len(digits) > 3 or has_leading_zero:  # LARGEST_IN_QUESTION has three
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
        smallest = template.smallest.get(slot, 1)
        if not smallest <= value <= LARGEST_IN_QUESTION:
            raise IllPosed
        numbers[slot] = Num.of(value, steps)
    if template.sound and not _call(template.sound, values):
        raise IllPosed
    answer = _call(template.answer, numbers)
    has_negative_result = any(" = -" in step for step in steps)
    if has_negative_result and not template.signed:
        raise IllPosed
    return Problem(template.domain, template.name, question, tuple(steps), int(answer))


def _call(formula: Callable, values: Values):
    """The formula on the values that its parameters name."""
    code = formula.__code__
    slots = code.co_varnames[: code.co_argcount]
    arguments = [values[slot] for slot in slots]
    return formula(*arguments)


def _shape(text: str) -> str:
    """The text with marks for numbers, names and things, and with every request made one.

    `What is 7 mod 2?` and `Compute 8 mod 3.` both have the shape `Find № mod №¶`.
    """
    shape = _NUMBER_OR_WORD.sub(_mark, text)
    if not text.endswith(_last_character(text)):
        return shape
    return _REQUEST.sub("Find", shape[:-1]) + END_MARK


def _mark(match: re.Match) -> str:
    first_character = match[0][0]
    if first_character.isdigit():
        return NUMBER_MARK
    if first_character.isupper():
        return NAME_MARK
    return THING_MARK


def _last_character(text: str) -> str:
    """What a text ends with: `?` if its last sentence asks what or how, else `.`"""
    last_sentence = text.split(". ")[-1]
    if _QUESTION_WORD.search(last_sentence):
        return "?"
    return "."


def _expand(wording: str) -> list[str]:
    """`[Find|What is] x~` as its two wordings, `Find x.` and `What is x?`"""
    parts = _CHOICE.split(wording)  # text and choices by turns
    alternatives = [part.split("|") for part in parts]
    wordings = []
    for choice in itertools.product(*alternatives):
        text = "".join(choice)
        wordings.append(text.replace("~", _last_character(text)))
    return wordings


def _templates_by_domain() -> dict[str, list[Template]]:
    templates: dict[str, list[Template]] = {domain: [] for domain in DOMAINS}
    for template in TEMPLATES:
        templates[template.domain].append(template)
    return templates


def _all_wordings() -> dict[TemplateKey, list[str]]:
    """The wordings of each template, with every choice made."""
    by_template = {}
    for template in TEMPLATES:
        wordings = []
        for short_wording in template.wordings:
            wordings += _expand(short_wording)
        by_template[template.domain, template.name] = wordings
    return by_template


def _all_readings() -> dict[str, Reading]:
    """The reading of every wording's shape; ValueError if a shape has two."""
    readings: dict[str, Reading] = {}
    for template in TEMPLATES:
        for wording in _WORDINGS[template.domain, template.name]:
            shape = _shape_of_wording(wording)
            blanks = [blank.strip("{}") for blank in _SLOT_OR_NUMBER.findall(wording)]
            marks = [character for character in shape if character in BLANK_MARKS]
            reading = Reading(template, tuple(blanks))
            is_only_reading = readings.setdefault(shape, reading) == reading
            if not is_only_reading or len(blanks) != len(marks):
                raise ValueError(f"not the only reading of {wording!r}")
    return readings


def _shape_of_wording(wording: str) -> str:
    """The shape of the questions that have this wording, whatever its slots hold."""
    values: Values = dict.fromkeys(_SLOT.findall(wording), 0)
    values["who"] = NAMES[0]
    values["thing"] = THINGS[0]
    return _shape(wording.format(**values))


_TEMPLATES_BY_DOMAIN = _templates_by_domain()
_WORDINGS = _all_wordings()
_READINGS = _all_readings()
