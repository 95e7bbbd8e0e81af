"""The log of a training: every step's figures in a file, and a line on stderr once in a while.

It also stops a training that has collapsed.
"""

import json
import resource
import time
from collections import deque
from pathlib import Path

from lib.progress import clock, say
from lib.training.collapse import KL, MEAN_LENGTH, WINDOW, ZERO_VARIANCE, Bounds, values_of

LOG = "train_log.jsonl"
EVERY_S = 30  # seconds between two lines
PACE = ("tokens_s", "memory_gib")
SHOWN = ("loss", "grad_norm", *PACE)
SHOWN_BY_GRPO = (
    MEAN_LENGTH,
    "completions/clipped_ratio",
    ZERO_VARIANCE,
    KL,
    "clip_ratio/region_mean",
    "entropy",
    "grad_norm",
    *PACE,
)


class TrainLog:
    """The log file of a training that begins, or goes on, at step `first_step`.

    After a kill it goes on behind the checkpoint's step: what was logged after it is run, and
    logged, again.
    """

    def __init__(self, path: Path, first_step: int):
        self.path = path
        self.first_step = first_step
        self.started = time.monotonic()
        self.last_shown = self.started
        self.recent_steps: deque[dict] = deque(maxlen=WINDOW)
        self._counted: tuple[float, float] | None = None  # tokens, after so many seconds
        kept_lines = ""
        for line in _whole_lines(path):
            if json.loads(line)["step"] <= first_step:
                kept_lines += line
        path.write_text(kept_lines, encoding="utf-8")

    def add(self, step: int, figures: dict) -> None:
        """Log a step's figures, and how fast it was."""
        pace = self._pace(figures.get("num_tokens"))
        all_figures = {**figures, **pace}
        line = json.dumps({"step": step, **all_figures})
        with open(self.path, "a", encoding="utf-8") as log_file:
            log_file.write(f"{line}\n")
        self.recent_steps.append(all_figures)

    def _pace(self, tokens: float | None) -> dict:
        """Seconds since this process began to train, the most memory so far in GiB, and tokens/s.

        Tokens are counted since the step before.
        """
        seconds = time.monotonic() - self.started
        gibibytes = most_memory() / 2**30
        pace = {"seconds": round(seconds, 3), "memory_gib": round(gibibytes, 3)}
        if tokens is None:
            return pace
        if self._counted:
            tokens_before, seconds_before = self._counted
            tokens_a_second = (tokens - tokens_before) / (seconds - seconds_before)
            pace["tokens_s"] = round(tokens_a_second, 1)
        self._counted = tokens, seconds
        return pace

    def show(self, step: int, max_steps: int, shown_figures: tuple[str, ...]) -> None:
        """Say how far the training is: at the first step, at the last, and once in a while."""
        now = time.monotonic()
        is_due = now - self.last_shown >= EVERY_S
        if not is_due and step not in (self.first_step + 1, max_steps):
            return
        self.last_shown = now
        steps_a_second = (step - self.first_step) / (now - self.started)
        time_left = "unknown"
        if steps_a_second:
            time_left = clock((max_steps - step) / steps_a_second)
        latest_step = self.recent_steps[-1]
        figures = []
        for figure_name in shown_figures:
            if figure_name in latest_step:
                figures.append(f"{figure_name} {latest_step[figure_name]:.3f}")
        listed = "  ".join(figures)
        pace = f"{steps_a_second:.2f} steps/s  eta {time_left}"
        say(f"step {step:,}/{max_steps:,}  {listed}  {pace}")


def callback(folder: Path, shown: tuple[str, ...] = SHOWN, bounds: Bounds | None = None):
    """A TrainerCallback that writes `folder`/train_log.jsonl and says the figures in `shown`.

    A collapse saves a checkpoint, stops the training and leaves its reason in `collapse`.
    """
    from transformers import TrainerCallback

    class TrainLogCallback(TrainerCallback):
        collapse = ""

        def on_train_begin(self, args, state, control, **kwargs):
            self.log = TrainLog(folder / LOG, state.global_step)

        def on_log(self, args, state, control, logs=None, model=None, **kwargs):
            figures = step_figures(logs or {})
            if not figures:  # the summary at the end
                return
            self.log.add(state.global_step, figures)
            self.collapse = self._collapse(state.global_step, model)
            if self.collapse:
                control.should_save = True
                control.should_training_stop = True
            self.log.show(state.global_step, state.max_steps, shown)

        def _collapse(self, step: int, model) -> str:
            if bounds:
                reason = bounds.collapse(list(self.log.recent_steps))
                if reason:
                    return reason
            if step == self.log.first_step + WINDOW and is_idle(model):
                return f"after {WINDOW} steps the adapter is still all zero: nothing is learned"
            return ""

    return TrainLogCallback()


def step_figures(logs: dict) -> dict:
    """The figures of a step as the trainer logs them, without those of the whole training."""
    figures = {}
    for figure_name, value in logs.items():
        is_of_training = figure_name.startswith(("train_", "total_"))
        if figure_name != "epoch" and not is_of_training:
            figures[figure_name] = _as_number(value)
    return figures


def _as_number(value):
    """The number that a figure is: unsloth's trainers log some as text."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def most_memory() -> int:
    """The most bytes that this process has held: of the GPU's memory, else of the machine's."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_maxrss * 1024  # Linux counts it in KiB


def is_idle(model) -> bool:
    """Whether a LoRA adapter has learned nothing: its B matrices are all zero, as they begin."""
    has_adapter = False
    for parameter_name, weights in model.named_parameters():
        if "lora_B" not in parameter_name:
            continue
        has_adapter = True
        if weights.detach().abs().max() > 0:
            return False
    return has_adapter


def read(folder: Path) -> list[dict]:
    """The logged steps of a finished or growing training."""
    return [json.loads(line) for line in _whole_lines(folder / LOG)]


def read_figure(folder: Path, figure_name: str) -> list[float]:
    """One figure of the logged steps that have it."""
    return values_of(read(folder), figure_name)


def _whole_lines(path: Path) -> list[str]:
    """The whole lines of the log; a torn last one is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n")]
