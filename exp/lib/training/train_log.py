"""What a training shows while it runs, and leaves behind: a line a while on stderr, every step's figures in a JSONL log."""

import json
import resource
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from lib import progress
from lib.progress import say

LOG = "train_log.jsonl"
EVERY_S = 30  # seconds between two lines
PACE = ("tokens_s", "memory_gib")
# What TRL's GRPOTrainer logs: tokens, share of samples cut off, share of groups in which all were paid alike, nats, a norm.
LENGTH, ALIKE = "completions/mean_length", "frac_reward_zero_std"
GRPO = (
    LENGTH,
    "completions/clipped_ratio",
    ALIKE,
    "kl",
    "clip_ratio/region_mean",
    "entropy",
    "grad_norm",
    *PACE,
)
WINDOW = 10  # logged steps that must agree before a run is stopped


@dataclass(frozen=True)
class Bounds:
    """When a run has collapsed: answers of fewer tokens, more groups all alike, a larger KL, each as a mean of ten steps."""

    min_length: float
    max_alike: float
    max_kl: float

    def broken(self, steps: list[dict]) -> str:
        """Why the last steps are a collapse, in a sentence; empty if they are none."""

        def mean(key: str) -> float | None:
            values = [step[key] for step in steps if key in step]
            return sum(values) / len(values) if len(values) == WINDOW else None

        length, alike, kl = mean(LENGTH), mean(ALIKE), mean("kl")
        if length is not None and length < self.min_length:
            return f"answers have {length:.1f} tokens, under --min_length {self.min_length:g}: it has learned to say nothing"
        if alike is not None and alike > self.max_alike:
            return (f"in {alike:.0%} of the groups all answers were paid alike, over --max_zero_variance {self.max_alike:g}: "
                    "nothing is left to learn from; use harder or easier questions")  # fmt: skip
        if kl is not None and kl > self.max_kl:
            return f"the KL divergence from the start is {kl:.1f}, over --max_kl {self.max_kl:g}: lower the learning rate"
        return ""


def callback(
    folder: Path,
    shown: tuple[str, ...] = ("loss", "grad_norm", *PACE),
    bounds: Bounds | None = None,
) -> object:
    """A TrainerCallback that appends each logged step to `folder`/train_log.jsonl and says how far the training is.

    After a kill the log goes on behind the checkpoint's step: what was logged after it is run, and logged, again. A collapse
    saves a checkpoint, stops the training and leaves its reason in `why`.
    """
    from transformers import TrainerCallback

    class VitalSigns(TrainerCallback):
        why = ""

        def on_train_begin(self, args, state, control, **kwargs):
            self.path, self.first, self.started = folder / LOG, state.global_step, time.monotonic()
            self.told, self.recent, self.tokens = self.started, deque(maxlen=WINDOW), None
            kept = [
                line for line in _lines(self.path) if json.loads(line)["step"] <= state.global_step
            ]
            self.path.write_text("".join(kept), encoding="utf-8")

        def on_log(self, args, state, control, logs=None, **kwargs):
            figures = {
                k: _number(v)
                for k, v in (logs or {}).items()
                if k != "epoch" and not k.startswith(("train_", "total_"))
            }
            if not figures:  # the summary at the end
                return
            figures |= self._pace(figures.get("num_tokens"))
            with open(self.path, "a", encoding="utf-8") as f:
                f.write(json.dumps({"step": state.global_step, **figures}) + "\n")
            self.recent.append(figures)
            self.why = bounds.broken(list(self.recent)) if bounds else ""
            if (
                not self.why
                and state.global_step == self.first + WINDOW
                and is_idle(kwargs["model"])
            ):
                self.why = f"after {WINDOW} steps the adapter is still all zero: nothing is learned"
            if self.why:
                control.should_save = control.should_training_stop = True
            now = time.monotonic()
            if now - self.told >= EVERY_S or state.global_step in (self.first + 1, state.max_steps):
                self.told = now
                rate = (state.global_step - self.first) / (now - self.started)
                left = (
                    progress.clock((state.max_steps - state.global_step) / rate)
                    if rate
                    else "unknown"
                )
                figures = "  ".join(f"{k} {figures[k]:.3f}" for k in shown if k in figures)
                say(
                    f"step {state.global_step:,}/{state.max_steps:,}  {figures}  {rate:.2f} steps/s  eta {left}"
                )

        def _pace(self, tokens: float | None) -> dict:
            """Seconds since this process began to train, tokens/s since the step before, and the most memory so far in GiB."""
            seconds = time.monotonic() - self.started
            pace = {"seconds": round(seconds, 3), "memory_gib": round(most_memory() / 2**30, 3)}
            if tokens is not None:
                if self.tokens:
                    pace["tokens_s"] = round(
                        (tokens - self.tokens[0]) / (seconds - self.tokens[1]), 1
                    )
                self.tokens = tokens, seconds
            return pace

    return VitalSigns()


def most_memory() -> int:
    """The most bytes that this process has held so far: of the GPU's memory where there is one, else of the machine's."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def is_idle(model: object) -> bool:
    """Whether the model has a LoRA adapter whose B matrices are all zero, as they were at the start."""
    halves = [p for name, p in model.named_parameters() if "lora_B" in name]
    return bool(halves) and not any(p.detach().abs().max() > 0 for p in halves)


def read(folder: Path) -> list[dict]:
    """The logged steps of a finished or growing training."""
    return [json.loads(line) for line in _lines(folder / LOG)]


def _lines(path: Path) -> list[str]:
    """The whole lines of the log; a torn last one is left out."""
    return (
        [x for x in path.read_text(encoding="utf-8").splitlines(True) if x.endswith("\n")]
        if path.exists()
        else []
    )


def _number(value: object) -> object:
    """unsloth's trainers log figures as text."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value
