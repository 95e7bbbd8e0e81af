r"""Named layouts of an answer, from `configs/formats.yaml`: their prompts, and how to see them."""

import re
from dataclasses import dataclass

import yaml

from lib.errors import UserError, near
from lib.grading import latex
from lib.rows import ROOT


@dataclass(frozen=True)
class Format:
    """A format's prompt and its tags, as (opening, closing)."""

    name: str
    system_prompt: str
    thinking: tuple[str, str]
    answer: tuple[str, str]

    def shows_thinking(self, text: str) -> bool:
        """Whether there is reasoning, not empty, before the closing thinking tag.

        The opening tag may be missing, since it may stand in the prompt.
        """
        opening, closing = self.thinking
        before, closing_tag, _ = text.partition(closing)
        return bool(closing_tag) and bool(before.replace(opening, "").strip())

    def fits(self, text: str) -> bool:
        """Whether a text is the thinking, then the answer, each once and not empty, and no more.

        `boxed` asks for no thinking tags: there a text has one box.
        """
        if self.name == "boxed":
            return _has_one_box(text)
        tags = (*self.thinking, *self.answer)
        if any(text.count(tag) != 1 for tag in tags):
            return False
        layout = r"\s*{}\s*\S.*{}\s*{}\s*\S.*{}\s*".format(*map(re.escape, tags))
        return bool(re.fullmatch(layout, text, re.DOTALL))


def _has_one_box(text: str) -> bool:
    boxes = latex.boxes(text)
    if len(boxes) != 1 or text.count("\\boxed{") != 1:
        return False
    _, _, contents = boxes[0]
    return bool(contents.strip())


def find(name: str) -> Format:
    """The format of that name; UserError lists near names."""
    table = yaml.safe_load((ROOT / "configs/formats.yaml").read_text(encoding="utf-8"))
    if name not in table:
        raise UserError(f"no format {name!r}; {near(name, table)}")
    facts = table[name]
    return Format(name, facts["system_prompt"], tuple(facts["thinking"]), tuple(facts["answer"]))
