"""What every reward is a function of: one batch of completions and what is known of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lib.grading.formats import Format


@dataclass(frozen=True)
class Batch:
    """Completions, in the order of their prompts; every list has one entry a completion.

    GRPO, the lint and the benches build it, so that all of them pay by the same functions. The
    optional lists are None where nobody knows them: a reward that needs one must ask for it.
    """

    texts: Sequence[str]
    golds: Sequence[str]  # the right final answer of each completion's question
    layout: Format  # the format that the answers were asked for
    truncated: Sequence[bool]  # whether the completion was cut off at the length limit
    tokens: Sequence[int] | None = None  # length of the completion
    groups: Sequence[int] | None = None  # number of the prompt that the completion answers
    gold_tokens: Sequence[int] | None = None  # length of the reference solution

    def __post_init__(self):
        completions = len(self.texts)
        for field_name in ("golds", "truncated", "tokens", "groups", "gold_tokens"):
            column = getattr(self, field_name)
            if column is not None and len(column) != completions:
                raise ValueError(f"{len(column)} {field_name} for {completions} texts")


Reward = Callable[[Batch], list[float]]  # one float a completion
