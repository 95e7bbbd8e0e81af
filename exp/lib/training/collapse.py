"""When a GRPO run has collapsed: answers too short, groups paid alike, too far from the start."""

from dataclasses import dataclass

WINDOW = 10  # logged steps that must agree before a run is stopped
# Names of TRL's GRPOTrainer. Lengths are in tokens; clipped are the samples that were cut off; zero
# standard deviation have the groups in which all samples were paid alike; KL is in nats.
MEAN_LENGTH = "completions/mean_length"
ZERO_VARIANCE = "frac_reward_zero_std"
KL = "kl"


@dataclass(frozen=True)
class Bounds:
    """Flags of GRPO: when a run has collapsed. Each bounds a mean of ten steps."""

    min_length: int = 4  # tokens of an answer
    max_zero_variance: float = 0.98  # share of the groups in which all answers are paid alike
    max_kl: float = 10.0  # nats from the start

    def collapse(self, steps: list[dict]) -> str:
        """Why the last steps are a collapse, in a sentence; empty if they are none."""
        length = _window_mean(steps, MEAN_LENGTH)
        if length is not None and length < self.min_length:
            bound = f"under --min_length {self.min_length:g}"
            return f"answers have {length:.1f} tokens, {bound}: it has learned to say nothing"
        alike_share = _window_mean(steps, ZERO_VARIANCE)
        if alike_share is not None and alike_share > self.max_zero_variance:
            finding = f"in {alike_share:.0%} of the groups all answers were paid alike"
            bound = f"over --max_zero_variance {self.max_zero_variance:g}"
            advice = "nothing is left to learn from; use harder or easier questions"
            return f"{finding}, {bound}: {advice}"
        divergence = _window_mean(steps, KL)
        if divergence is not None and divergence > self.max_kl:
            finding = f"the KL divergence from the start is {divergence:.1f}"
            bound = f"over --max_kl {self.max_kl:g}"
            return f"{finding}, {bound}: lower the learning rate"
        return ""


def _window_mean(steps: list[dict], figure_name: str) -> float | None:
    """The mean of a figure; None unless a whole window of steps has logged it."""
    values = values_of(steps, figure_name)
    if len(values) != WINDOW:
        return None
    return sum(values) / WINDOW


def values_of(steps: list[dict], figure_name: str) -> list[float]:
    """One figure of the steps that have it."""
    return [step[figure_name] for step in steps if figure_name in step]
