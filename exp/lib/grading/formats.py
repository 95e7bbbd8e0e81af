"""Named ways to lay out an answer, from `configs/formats.yaml`: the prompt that asks for one, and how to see it in a text."""

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
        """Whether there is reasoning, not empty, between the thinking tags (the opening one may stand in the prompt)."""
        before, closed, _ = text.partition(self.thinking[1])
        return bool(closed) and bool(before.replace(self.thinking[0], "").strip())

    def fits(self, text: str) -> bool:
        """Whether a text is laid out exactly so: the thinking, then the answer, each once and not empty, nothing behind.

        `boxed` asks for no thinking tags: there it is one box.
        """
        parts = [re.escape(tag) for tag in (*self.thinking, *self.answer)]
        if self.name == "boxed":
            found = latex.boxes(text)
            return len(found) == 1 and text.count("\\boxed{") == 1 and bool(found[0][2].strip())
        once = all(text.count(tag) == 1 for tag in (*self.thinking, *self.answer))
        return once and bool(
            re.fullmatch(r"\s*{}\s*\S.*{}\s*{}\s*\S.*{}\s*".format(*parts), text, re.DOTALL)
        )


def find(name: str) -> Format:
    """The format of that name; UserError lists near names."""
    table = yaml.safe_load((ROOT / "configs/formats.yaml").read_text(encoding="utf-8"))
    if name not in table:
        raise UserError(f"no format {name!r}; {near(name, table)}")
    facts = table[name]
    return Format(name, facts["system_prompt"], tuple(facts["thinking"]), tuple(facts["answer"]))
