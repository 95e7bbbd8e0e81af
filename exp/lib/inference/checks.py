"""What can be known before a model loads: a function for each fault, which raises UserError."""

import importlib.util
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lib import chat, light_tokenizer
from lib.errors import UserError, near
from lib.inference import weights
from lib.inference.run_estimate import RunPlan, token_limits
from lib.models import Model
from lib.progress import say, shown_path
from lib.rows import ROOT

SPARE_GB = 0.1  # of the disk, for logs and whatever else a run writes


class Checks:
    """Runs checks one by one: what a check finds ends the run, or is a warning."""

    CHOICES = ("refuse", "warn")

    def __init__(self, choice: str):
        if choice not in self.CHOICES:
            raise UserError(f"CHECK={choice}: {near(choice, self.CHOICES)}")
        self.only_warn = choice == "warn"
        self._warnings: set[str] = set()

    def run(self, check: Callable, *arguments: Any) -> Any:
        """What the check returns; None after a warning. UserError says how to overrule it."""
        try:
            return check(*arguments)
        except UserError as e:
            if not self.only_warn:
                raise UserError(f"{e} (CHECK=warn goes on all the same)") from None
            self.warn(str(e))
            return None

    def warn(self, warning: str) -> None:
        """Report what is amiss, once."""
        if warning not in self._warnings:
            say(f"warning: {warning}")
        self._warnings.add(warning)


def check_context(plan: RunPlan) -> None:
    """A problem and its answer must fit the context together."""
    advice = "lower max_tokens_res in configs/models.yaml"
    _check_fit(plan, plan.policy.max_model_len, plan.policy.name, advice)


def check_reward_model(plan: RunPlan, trust_remote_code: bool) -> None:
    """The reward model can be run, and what it is to rank fits into it."""
    from lib.inference import reward_engine

    model = reward_engine.with_runner(plan.reward_model, trust_remote_code)
    config = weights.config_of(model)
    check_reward_context(plan, model.max_model_len or config.get("max_position_embeddings"))


def check_reward_context(plan: RunPlan, context: int | None) -> None:
    """A problem and its answer must fit the reward model's context of so many tokens together.

    A longer answer would rank last without a score, however good it is.
    """
    reward_model = f"the reward model {plan.reward_model.name}"
    _check_fit(plan, context, reward_model, "choose another with REWARD_MODEL=…")


def _check_fit(plan: RunPlan, context: int | None, whose: str, advice: str) -> None:
    for planned in plan.domains:
        problem_tokens, answer_tokens = token_limits(planned.domain, plan.policy)
        if context and problem_tokens + answer_tokens > context:
            tokens = f"{problem_tokens} tokens of problem and {answer_tokens} of answer"
            limit = f"the context of {context} of {whose}"
            raise UserError(f"{planned.domain.name}: {tokens} do not fit {limit}; {advice}")


def check_template(model: Model, system_prompt: str, trust_remote_code: bool) -> str:
    """The pre-query prompt, so that a template that cannot give one fails here."""
    try:
        tokenizer = light_tokenizer.load(model.path, trust_remote_code)
        return chat.pre_query(tokenizer, system_prompt)
    except ValueError as e:
        raise UserError(str(e)) from None


def check_installed() -> None:
    if importlib.util.find_spec("vllm") is None:
        raise UserError("vllm is not installed in this Python; run 'make setup'")


def check_disk(written_gb: float, loaded_models: list[Model]) -> None:
    """There is room for what the run writes and for what it downloads first.

    `data` can be written to. `loaded_models` are loaded on this machine.
    """
    downloads = {}
    for model in loaded_models:
        downloads[model.name] = weights.download_gb(model)
    download_gb = sum(downloads.values())
    if download_gb:
        names = ", ".join(f"{name} {size:.0f} GB" for name, size in downloads.items() if size)
        say(f"to download first: {names}")
    data_folder = _existing(ROOT / "data")
    cache = _existing(weights.cache_folder())
    is_one_disk = cache.stat().st_dev == data_folder.stat().st_dev
    if is_one_disk:
        check_room(data_folder, written_gb + download_gb)
    else:
        check_room(data_folder, written_gb)
        check_room(cache, download_gb)
    if not os.access(data_folder, os.W_OK):
        raise UserError(f"{shown_path(data_folder)} is not writable")


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists: where it will be made."""
    while not folder.exists():
        folder = folder.parent
    return folder


def check_room(folder: Path, needed_gb: float) -> None:
    free_gb = shutil.disk_usage(folder).free / 1e9
    if needed_gb and free_gb < needed_gb + SPARE_GB:
        disk = f"the disk of {folder} has {free_gb:.1f} GB free"
        raise UserError(f"{disk}, and up to {needed_gb:.1f} GB will be written there")


def check_port(port: str) -> None:
    """The port that was asked for is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(port)))
        except (OSError, ValueError, OverflowError):
            problem = "it is taken, or no number; leave it out for a free one"
            raise UserError(f"PORT {port} cannot be used: {problem}") from None
