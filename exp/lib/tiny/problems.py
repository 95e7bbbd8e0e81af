"""Procedural school problems in six domains: made, told from held-out ones, and read back from their text.

A template (lib/tiny/templates.py) is wordings with slots, ranges, and the answer as a plain expression. It is evaluated on
numbers that show their work (lib/tiny/worked.py), so that question, steps and answer cannot disagree.
"""

import hashlib
import itertools
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from lib.tiny import templates as table
from lib.tiny.templates import NAMES, THINGS, Template
from lib.tiny.worked import IllPosed, Num

DOMAINS = ("algebra", "calculus", "geometry", "statistics", "number_theory", "discrete")

_LARGEST = 999  # a number in a question; the results of steps may reach Num.LARGEST
_MADE = 9999  # results in problems that are made are at most this, and never negative
_LONGEST = 400  # characters; the longest question of any template has 127
_BLANK = re.compile(rf"[0-9]+|\b(?:{'|'.join(NAMES)})\b|\b(?:{'|'.join(THINGS)})\b")
_ASK = re.compile(r"\b(?:Find|Compute|Determine|Evaluate|What is|How large is|find|what is)\b")
_WORD_OF_QUESTION = re.compile("what|how", re.IGNORECASE)
_SLOT = re.compile(r"\{(\w+)\}")


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
    def worked(self) -> str:
        """The answer behind its steps: `3 * 10 = 30. 30 - 8 = 22. The answer is \\boxed{22}.`"""
        return " ".join([*(f"{step}." for step in self.steps), self.direct])


def make(domain: str, rng: random.Random) -> Problem:
    """A problem of the domain: a template, a wording, numbers that fit. KeyError, with the known names, for another domain."""
    if domain not in _BY_DOMAIN:
        raise KeyError(f"unknown domain {domain!r}; known: {', '.join(DOMAINS)}")
    template = rng.choice(_BY_DOMAIN[domain])
    wording = rng.choice(_WORDINGS[domain, template.name])
    while True:  # most draws fit at once
        drawn = {slot: rng.choice(values) for slot, values in template.ranges.items()}
        drawn |= {slot: _call(formula, drawn) for slot, formula in template.derived.items()}
        drawn |= {"who": rng.choice(NAMES), "thing": rng.choice(THINGS)}
        values = {slot: drawn[slot] for slot in _SLOT.findall(wording)}
        if template.where and not _call(template.where, values):
            continue
        try:
            problem = _solved(template, wording.format(**values), values)
        except IllPosed:
            continue
        if all(0 <= int(step.split()[-1]) <= _MADE for step in problem.steps):
            return problem


def system_prompt(domain: str) -> str:
    """What the embedded model is told it is, in training and whenever it is asked for a domain."""
    return f"You are a math tutor for {domain.replace('_', ' ')}."


def is_held_out(question: str) -> bool:
    """Whether the question is of the tenth, by its hash, that is never trained on."""
    return _bucket(question) < 26  # of 256: .102


def fresh(count: int, seed: int) -> list[Problem]:
    """`count` distinct held-out problems, the domains in turn: `fresh(600, seed=…)` has 100 of each."""
    return _draw(count, f"fresh {seed}", range(5, 26))


def development(count: int, seed: int) -> list[Problem]:
    """As `fresh`, from a part of the held-out questions that `fresh` never draws: for choices made while training."""
    return _draw(count, f"development {seed}", range(5))


def training(count: int, seed: int | str) -> list[Problem]:
    """`count` problems that are not held out, the domains in turn; questions may repeat."""
    return _draw(count, f"training {seed}", range(26, 256), distinct=False)


def _bucket(question: str) -> int:
    return hashlib.sha256(question.encode()).digest()[0]


def _draw(count: int, seed: str, buckets: range, distinct: bool = True) -> list[Problem]:
    rng, seen, found = random.Random(seed), set(), []
    for domain in itertools.islice(itertools.cycle(DOMAINS), count):
        problem = make(domain, rng)
        while problem.question in seen or _bucket(problem.question) not in buckets:
            problem = make(domain, rng)
        if distinct:
            seen.add(problem.question)
        found.append(problem)
    return found


def parse(question: str) -> Problem | None:
    """The problem that a text asks, with its true answer; None unless the text is a template's and its numbers are well posed."""
    if len(question) > _LONGEST or not question.isascii():
        return None
    known = _SHAPES.get(_shape(question))
    if known is None:
        return None
    template, slots = known
    values: dict[str, int | str] = {}
    for slot, word in zip(slots, _BLANK.findall(question), strict=True):
        if word[0].isdigit() and (len(word) > 3 or word != "0" and word[0] == "0"):
            return None
        value = int(word) if word[0].isdigit() else word
        if isinstance(slot, int):  # a number of the wording itself, as the 2 in x^2
            if value != slot:
                return None
        elif values.setdefault(slot, value) != value:  # a slot that comes twice says the same twice
            return None
    try:
        return _solved(template, question, values)
    except IllPosed:
        return None


def _solved(template: Template, question: str, values: dict[str, int | str]) -> Problem:
    """The problem with these values in its slots; IllPosed unless it is sound and every step has a whole result."""
    for slot, value in values.items():
        if isinstance(value, int) and not template.least.get(slot, 1) <= value <= _LARGEST:
            raise IllPosed
    if template.sound and not _call(template.sound, values):
        raise IllPosed
    log: list[str] = []
    answer = _call(
        template.answer, {k: Num.of(v, log) if isinstance(v, int) else v for k, v in values.items()}
    )
    if not template.signed and any(" = -" in step for step in log):
        raise IllPosed
    return Problem(template.domain, template.name, question, tuple(log), int(answer))


def _call(formula: Callable, values: dict) -> object:
    """The formula on the values that its parameters name."""
    return formula(
        *(values[name] for name in formula.__code__.co_varnames[: formula.__code__.co_argcount])
    )


def _shape(text: str) -> str:
    """The text, its numbers, names and things blanked, every way to ask made one: `What is 7 mod 2?` and `Compute 8 mod 3.`"""
    asked = bool(_WORD_OF_QUESTION.search(text[text.rfind(". ") + 1 :]))
    text = _BLANK.sub(_kind, text)
    return _ASK.sub("Find", text[:-1]) + "~" if text.endswith("?" if asked else ".") else text


def _kind(match: re.Match) -> str:
    word = match[0]
    return "#" if word[0].isdigit() else "@" if word[0].isupper() else "&"


def _expand(wording: str) -> list[str]:
    """`[Find|What is] x~` as its two wordings, `Find x.` and `What is x?`"""
    parts = [
        part.split("|") if i % 2 else [part]
        for i, part in enumerate(re.split(r"\[([^\]]*)\]", wording))
    ]
    texts = ["".join(choice) for choice in itertools.product(*parts)]
    return [
        t.replace("~", "?" if _WORD_OF_QUESTION.search(t.split(". ")[-1]) else ".") for t in texts
    ]


def _index() -> dict[str, tuple[Template, tuple[str | int, ...]]]:
    """Every wording's shape, with its template and what its blanks stand for; a shape has one reading."""
    shapes: dict[str, tuple[Template, tuple[str | int, ...]]] = {}
    stand_in = {"who": NAMES[0], "thing": THINGS[0]}
    for (domain, name), wordings in _WORDINGS.items():
        template = next(t for t in _BY_DOMAIN[domain] if t.name == name)
        for wording in wordings:
            shape = _shape(_SLOT.sub(lambda m: stand_in.get(m[1], "0"), wording))
            order = tuple(m[1] or int(m[2]) for m in re.finditer(r"\{(\w+)\}|([0-9]+)", wording))
            if shapes.setdefault(shape, (template, order)) != (template, order) or len(
                order
            ) != len(re.findall("[#@&]", shape)):
                raise ValueError(f"not the only reading of {wording!r}")
    return shapes


_BY_DOMAIN = {d: [t for t in table.TEMPLATES if t.domain == d] for d in DOMAINS}
_WORDINGS = {
    (t.domain, t.name): [w for text in t.wordings for w in _expand(text)] for t in table.TEMPLATES
}
_SHAPES = _index()
