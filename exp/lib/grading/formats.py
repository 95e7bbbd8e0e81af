"""Layouts that a response can be asked for, and whether it has them: `configs/formats.yaml`."""

import re
from dataclasses import dataclass

import yaml

from lib import models, thinking
from lib.errors import UserError, near
from lib.grading import latex
from lib.models import Model
from lib.rows import ROOT


@dataclass(frozen=True)
class Format:
    """A format's prompt and its tags, as (opening, closing)."""

    name: str
    system_prompt: str
    thinking: tuple[str, str]
    answer: tuple[str, str]

    def thinking_tags(self, response: str) -> thinking.TagPair:
        """The tags around its thinking: `boxed` asks for none, so that a model uses its own."""
        own_tags = thinking.pair_in(response) if self.name == "boxed" else None
        return own_tags or self.thinking

    def shows_thinking(self, response: str) -> bool:
        """Whether there is reasoning, not empty, before the closing thinking tag.

        The opening tag may be missing, since it may stand in the prompt.
        """
        opening_tag, closing_tag = self.thinking_tags(response)
        if closing_tag not in response:
            return False
        before_closing, _, _ = response.partition(closing_tag)
        reasoning = before_closing.replace(opening_tag, "")
        return bool(reasoning.strip())

    def fits(self, response: str) -> bool:
        """Whether it is the thinking, then the answer, each once and not empty, and no more.

        `boxed` asks for no thinking tags: there a response has one box.
        """
        if self.name == "boxed":
            return _has_one_box(response)
        tags = (*self.thinking, *self.answer)
        for tag in tags:
            if response.count(tag) != 1:
                return False
        think, end_think, begin_answer, end_answer = map(re.escape, tags)
        layout = rf"\s*{think}\s*\S.*{end_think}\s*{begin_answer}\s*\S.*{end_answer}\s*"
        return re.fullmatch(layout, response, re.DOTALL) is not None


def _has_one_box(response: str) -> bool:
    """Whether there is one box, which is not empty, and no second one that was cut off."""
    boxes = latex.boxes(response)
    if len(boxes) != 1 or response.count("\\boxed{") != 1:
        return False
    _, _, contents = boxes[0]
    return bool(contents.strip())


@dataclass(frozen=True)
class AnswerStyle:
    """How a model is asked to answer, as flags of the stages that keep its answers.

    `system_prompt` is the text before each question, to which `format`, a name of
    configs/formats.yaml, adds its own. Where neither is typed, `domain` brings the
    `res_system_prompt` of the model's domains file, if it has one.
    """

    system_prompt: str = ""
    format: str = ""
    domain: str = ""

    def text(self, model: Model) -> str:
        """The system prompt; "" for none. UserError: no such format or domain."""
        default = models.domain(model, self.domain).res_system_prompt if self.domain else ""
        asked_for = [self.system_prompt.strip()]
        if self.format:
            asked_for.append(find(self.format).system_prompt)
        return "\n\n".join(filter(None, asked_for)) or default


def find(format_name: str) -> Format:
    """The format of that name; UserError lists near names."""
    config_path = ROOT / "configs/formats.yaml"
    formats = yaml.safe_load(config_path.read_text(encoding="utf-8"))
    if format_name not in formats:
        raise UserError(f"no format {format_name!r}; {near(format_name, formats)}")
    settings = formats[format_name]
    return Format(
        name=format_name,
        system_prompt=settings["system_prompt"],
        thinking=tuple(settings["thinking"]),
        answer=tuple(settings["answer"]),
    )
