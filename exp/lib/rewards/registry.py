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


def parse(rewards_text: str) -> list[WeightedReward]:
    """The rewards that `format_exact=1,answer=1` names, in that order; a bare name weighs 1.

    UserError for an unknown or repeated name, for a weight that is no finite number, and if nothing
    is named.
    """
    rewards: dict[str, WeightedReward] = {}
    for entry in cli.comma_list(rewards_text):
        name, equals_sign, weight_text = (part.strip() for part in entry.partition("="))
        if name not in REWARDS:
            raise UserError(f"no reward {name!r}; {near(name, REWARDS)}")
        if name in rewards:
            raise UserError(f"rewards {rewards_text!r}: {name} is there twice")
        weight = _as_number(weight_text) if equals_sign else 1.0
        if not math.isfinite(weight):
            fault = f"the weight of {name} is {weight_text!r}, not a number"
            raise UserError(f"rewards {rewards_text!r}: {fault}")
        rewards[name] = WeightedReward(name, weight, REWARDS[name])
    if not rewards:
        known_names = ", ".join(REWARDS)
        raise UserError(f"rewards {rewards_text!r}: no reward in it; known: {known_names}")
    return list(rewards.values())


def _as_number(weight_text: str) -> float:
    """The number that a text is; NaN if it is none."""
    try:
        return float(weight_text)
    except ValueError:
        return math.nan


def parts(rewards: list[WeightedReward], batch: Batch) -> dict[str, list[float]]:
    """What each reward pays each completion, before its weight."""
    return {reward.name: reward.pay(batch) for reward in rewards}


def total(rewards: list[WeightedReward], scores_of: dict[str, list[float]]) -> list[float]:
    """The weighted sum for each completion of what `parts` says it is paid, as the trainer adds.

    `scores_of` is what `parts` returned: each reward's name with its scores.
    """
    completions = len(scores_of[rewards[0].name])
    totals = []
    for index in range(completions):
        weighted_scores = []
        for reward in rewards:
            score = scores_of[reward.name][index]
            weighted_scores.append(reward.weight * score)
        totals.append(sum(weighted_scores))
    return totals
