"""The rewards by name: read a set of them from the command line, and pay a batch by that set.

A reward is a plain function of a `Batch`; none needs a model. To add one, add an entry to REWARDS;
`lib.rewards.lint` then tries it on answers that cheat.
"""

import math
from dataclasses import dataclass

from lib import cli
from lib.errors import UserError, near
from lib.rewards.batch import Batch, Reward
from lib.rewards.correctness import answer, answer_close, number
from lib.rewards.format import format_approximate, format_exact

REWARDS: dict[str, Reward] = {
    "format_exact": format_exact,
    "format_approximate": format_approximate,
    "answer": answer,
    "answer_close": answer_close,
    "number": number,
}


@dataclass(frozen=True)
class WeightedReward:
    """One reward of a set."""

    name: str
    weight: float
    pay: Reward


def parse(text: str) -> list[WeightedReward]:
    """The rewards that `format_exact=1,answer=1` names, in that order; a bare name weighs 1.

    UserError for an unknown or repeated name, for a weight that is no finite number, and if nothing
    is named.
    """
    rewards: dict[str, WeightedReward] = {}
    for word in cli.comma_list(text):
        name, has_weight, weight = (part.strip() for part in word.partition("="))
        if name not in REWARDS:
            raise UserError(f"no reward {name!r}; {near(name, REWARDS)}")
        if name in rewards:
            raise UserError(f"rewards {text!r}: {name} is there twice")
        weighs = _as_number(weight if has_weight else "1")
        if not math.isfinite(weighs):
            raise UserError(f"rewards {text!r}: the weight of {name} is {weight!r}, not a number")
        rewards[name] = WeightedReward(name, weighs, REWARDS[name])
    if not rewards:
        raise UserError(f"rewards {text!r}: no reward in it; known: {', '.join(REWARDS)}")
    return list(rewards.values())


def _as_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def parts(rewards: list[WeightedReward], batch: Batch) -> dict[str, list[float]]:
    """What each reward pays each completion, before its weight."""
    return {reward.name: reward.pay(batch) for reward in rewards}


def total(rewards: list[WeightedReward], paid: dict[str, list[float]]) -> list[float]:
    """The weighted sum for each completion of what `parts` says it is paid, as the trainer adds."""
    completions = len(paid[rewards[0].name])
    sums = []
    for place in range(completions):
        sums.append(sum(reward.weight * paid[reward.name][place] for reward in rewards))
    return sums
