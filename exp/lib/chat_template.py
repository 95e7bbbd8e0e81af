"""A chat template in use: rendering with it, and finding the shape of messages that it takes.

Templates differ in what they accept. Some have no place for a system prompt, some want contents as
lists of parts, some refuse a conversation that ends in a user's turn. The shape that works is found
by rendering marked words and looking where they stand, so that no model's name is needed here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Literal

from lib.errors import one_line

# Templates that print a date get the same one every day, so that the same run gives the same
# prompts tomorrow. It is the day that Llama 3's own template falls back to.
DAY = datetime(2024, 7, 26)

# Marked words. Letters alone survive a template that trims, splits or escapes, and they are looked
# up in any case, because a template may write contents in lower or title case.
SYSTEM, USER, ASSISTANT = "zqsystemzq", "zquserzq", "zqassistantzq"

# A list of parts that the template printed as data instead of the text in it.
PRINTED_PARTS = re.compile(r"""['"]type['"]: ['"]text['"]""")

SystemPlace = Literal["own", "folded", "both"]
Parts = Literal["none", "all", "turns"]
Ending = Literal["header", "nothing", "answer"]


@dataclass(frozen=True)
class Shape:
    """How messages are laid out so that a template takes them.

    `system`: the system prompt is a message of its "own", is "folded" into the first user's turn,
    or "both", where the message is dropped but keeps the template's default prompt away.
    `parts`: contents are lists of text parts in "none" of the messages, in "all", or in all "turns"
    but not in the system message.
    `ending`: behind the user's words stand the "header" of an answer, "nothing", or an "answer".
    """

    system: SystemPlace
    parts: Parts
    ending: Ending

    @property
    def with_header(self) -> bool:
        return self.ending == "header"

    @property
    def with_answer(self) -> bool:
        return self.ending == "answer"


class _Refused(Exception):
    """The template does not take the messages, or loses their words; the message says why."""


def name_of(tokenizer) -> str:
    """The tokenizer's name for messages."""
    return getattr(tokenizer, "name_or_path", "") or "this tokenizer"


def template_of(tokenizer) -> str:
    """The one template, or of several named ones the default. ValueError: a base model has none."""
    template = getattr(tokenizer, "chat_template", None)
    if isinstance(template, dict):
        named_templates = list(template.values())
        only_one = named_templates[0] if len(named_templates) == 1 else None
        template = template.get("default") or only_one
    if not template:
        problem = "its tokenizer has no chat template (a base model?)"
        advice = "use the model's chat version, or put its chat_template.jinja into the folder"
        raise ValueError(f"{name_of(tokenizer)}: {problem}; {advice}")
    return template


def position_of(word: str, text: str) -> int | None:
    """Where a marked word begins in rendered text; None where it is not."""
    occurrence = re.search(word, text, re.IGNORECASE)
    return occurrence.start() if occurrence else None


def dialogue(system_prompt: str, with_answer: bool) -> list[dict]:
    """The marked user's words, behind the system prompt if there is one, and an answer if asked."""
    messages = []
    if system_prompt.strip():
        messages.append({"role": "system", "content": system_prompt})
    messages.append({"role": "user", "content": USER})
    if with_answer:
        messages.append({"role": "assistant", "content": ASSISTANT})
    return messages


def find_shape(tokenizer, with_system: bool) -> Shape:
    """The first shape in which the template shows the user's words, behind the system prompt's.

    ValueError if there is none, or no template.
    """
    fitting: list[tuple[int, Shape]] = []
    problems: dict[str, str] = {}
    places: tuple[SystemPlace, ...] = ("own", "folded", "both") if with_system else ("own",)
    for place in places:
        try:
            position, shape = _first_fitting(tokenizer, place, with_system)
        except _Refused as e:
            problems[place] = str(e)
            continue
        if place == "own":
            return shape
        fitting.append((position, shape))
    if not fitting:
        raise ValueError(_no_shape_message(tokenizer, with_system, problems))
    # A message that is dropped may still keep the template's default prompt away: the text before
    # the user's words is then the shorter one.
    _, shape = min(fitting, key=lambda fit: fit[0])
    return shape


def render_in_shape(tokenizer, shape: Shape, messages: list[dict], with_header: bool) -> str:
    """The text of a conversation in this shape. ValueError: no template, or it refuses."""
    try:
        return _render(tokenizer, shape, messages, with_header)
    except _Refused as e:
        raise ValueError(f"{name_of(tokenizer)}: its chat template refuses: {e}") from e.__cause__


def with_system_in_place(shape: Shape, messages: list[dict]) -> list[dict]:
    """The messages with the system prompt where this shape has it; the originals stay."""
    if messages[0]["role"] != "system" or shape.system == "own":
        return messages
    turns = _with_folded_system(messages)
    return [messages[0], *turns] if shape.system == "both" else turns


def _no_shape_message(tokenizer, with_system: bool, problems: dict[str, str]) -> str:
    attempts = []
    if "own" in problems:
        first_message = "a system message" if with_system else "a user's turn"
        attempts.append(f"{first_message} ({problems['own']})")
    if "folded" in problems:
        attempts.append(f"the system prompt in that turn ({problems['folded']})")
    failure = "its chat template cannot be cut before the user's words"
    return f"{name_of(tokenizer)}: {failure}; tried {'; '.join(attempts)}"


def _first_fitting(tokenizer, place: SystemPlace, with_system: bool) -> tuple[int, Shape]:
    """The first shape that fits, and where the user's words begin in it.

    _Refused gives the first shape's reason if none fits.
    """
    first_refusal = None
    for shape in _shapes(place):
        try:
            return _position_of_user(tokenizer, shape, with_system), shape
        except _Refused as e:
            first_refusal = first_refusal or e
    raise first_refusal


def _shapes(place: SystemPlace) -> Iterator[Shape]:
    """Every shape with the system prompt at that place, the most usual ones first."""
    parts: tuple[Parts, ...] = ("none", "all", "turns")
    endings: tuple[Ending, ...] = ("header", "nothing", "answer")
    for parts_in, ending in product(parts, endings):
        yield Shape(place, parts_in, ending)


def _position_of_user(tokenizer, shape: Shape, with_system: bool) -> int:
    """Where the user's words begin in this shape; _Refused if words are lost or out of order."""
    messages = dialogue(SYSTEM if with_system else "", shape.with_answer)
    rendered = _render(tokenizer, shape, messages, shape.with_header)
    user_position = position_of(USER, rendered)
    if user_position is None or PRINTED_PARTS.search(rendered):
        raise _Refused("the user's words are not in the text")
    if with_system:
        system_position = position_of(SYSTEM, rendered)
        if system_position is None or system_position > user_position:
            raise _Refused("the system prompt is not before the user's words")
    return user_position


def _render(tokenizer, shape: Shape, messages: list[dict], with_header: bool) -> str:
    """One rendering for the fixed day; _Refused, caused by what the template raised."""
    from jinja2 import TemplateError

    refusals = (
        TemplateError,
        TypeError,
        ValueError,
        ArithmeticError,
        LookupError,
        AttributeError,
        RuntimeError,
        AssertionError,
    )
    template = template_of(tokenizer)
    options = {"tokenize": False, "add_generation_prompt": with_header}
    options |= _date_variables(template)
    if isinstance(tokenizer.chat_template, dict):
        options["chat_template"] = template
    laid_out_messages = _laid_out(shape, messages)
    attempts = [options]
    # Some templates loop over the tools that nobody gave. To others even an empty list means that
    # there are tools, so that the list comes second.
    if "tools" in template:
        attempts.append({**options, "tools": []})
    first_error = None
    for attempt in attempts:
        try:
            return tokenizer.apply_chat_template(laid_out_messages, **attempt)
        except refusals as e:
            first_error = first_error or e
    raise _Refused(one_line(first_error)) from first_error


def _date_variables(template: str) -> dict:
    """The fixed day for the variables by which a template asks for the date."""
    variables = {}
    if "strftime_now" in template:  # a variable shadows the environment's function of that name
        variables["strftime_now"] = DAY.strftime
    has_default_date = re.search(r"\bset\s+date_string\b", template)
    if "date_string" in template and not has_default_date:
        variables["date_string"] = DAY.strftime("%d %b %Y")
    return variables


def _laid_out(shape: Shape, messages: list[dict]) -> list[dict]:
    """The messages in this shape; the originals stay as they are."""
    laid_out = []
    for message in with_system_in_place(shape, messages):
        is_turn = message["role"] != "system"
        if shape.parts == "all" or (shape.parts == "turns" and is_turn):
            message = {**message, "content": [{"type": "text", "text": message["content"]}]}
        laid_out.append(message)
    return laid_out


def _with_folded_system(messages: list[dict]) -> list[dict]:
    """The turns, of which the first user's begins with the system prompt and a blank line."""
    system, *turns = messages
    for position, turn in enumerate(turns):
        if turn["role"] == "user":
            content = f"{system['content'].strip()}\n\n{turn['content']}"
            turns[position] = {**turn, "content": content}
            break
    return turns
