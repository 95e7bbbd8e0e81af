"""A model that is trained: loaded by unsloth or by transformers and PEFT, and saved whole."""

import contextlib
import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

from lib import models
from lib.errors import UserError, near

BACKENDS = ("auto", "unsloth", "hf")
ALL_LINEAR = "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj"


@dataclass(frozen=True)
class Loading:
    """How a policy is loaded. `lora_rank` 0 trains every weight; a model with an adapter has that trained on. Tokens."""

    model: models.Model
    backend: str = "auto"
    lora_rank: int = 0
    lora_alpha: int = 128
    lora_targets: str = ALL_LINEAR  # names of modules, by commas
    max_length: int = 2048
    load_in_4bit: bool = False
    vision: bool = False  # a model that reads images, with its processor in the tokenizer's place
    fast_inference: bool = False  # unsloth loads the model into vLLM as well, which samples from the weights that are trained
    gpu_share: float = 0.8  # of the memory, with fast_inference: the seed's
    seed: int = 0

    def __post_init__(self):
        if self.backend not in BACKENDS:
            raise UserError(f"no backend {self.backend!r}; {near(self.backend, BACKENDS)}")
        if self.lora_rank < 0:
            raise UserError(
                f"--lora_rank {self.lora_rank}: 0 for all weights, or the adapter's rank"
            )
        if self.load_in_4bit and not self.lora_rank:
            raise UserError(
                "--load_in_4bit trains an adapter beside frozen weights; give --lora_rank, such as 64"
            )

    @property
    def targets(self) -> list[str]:
        return [name.strip() for name in self.lora_targets.split(",") if name.strip()]

    @property
    def settings(self) -> dict:
        """What of it changes the weights."""
        facts = {
            k: getattr(self, k)
            for k in ("lora_rank", "lora_alpha", "lora_targets", "max_length", "load_in_4bit")
        }
        return {
            "model": models.identity(self.model),
            "backend": chosen(self.backend, self.vision),
            **facts,
        }


@dataclass
class Policy:
    model: object
    tokenizer: object
    backend: str
    is_lora: bool


def chosen(backend: str, vision: bool = False) -> str:
    """`unsloth` wherever it is installed (on a GPU, and on a CPU for text), else `hf`."""
    import importlib.util
    import shutil

    if backend != "auto":
        return backend
    runs = importlib.util.find_spec("unsloth") and (not vision or shutil.which("nvidia-smi"))
    return "unsloth" if runs else "hf"


def begin(backend: str = "hf", vision: bool = False) -> str:
    """Import what the backend needs, in its order and without its dozens of lines, before anything else imports transformers.

    Returns the backend that was chosen.
    """
    import logging

    bars = {} if sys.stderr.isatty() else {"TQDM_DISABLE": "1"}  # in a log a bar is one long line
    for name, value in (
        {"TRANSFORMERS_VERBOSITY": "error", "UNSLOTH_DISABLE_STATISTICS": "1"} | bars
    ).items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    if (backend := chosen(backend, vision)) == "unsloth":
        with contextlib.redirect_stdout(sys.stderr):  # it greets on stdout, where only data goes
            import unsloth  # noqa: F401  before trl and transformers, which it mends
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    return backend


def load(how: Loading) -> Policy:
    """The policy, with an adapter added where `lora_rank` says so. UserError: the model or the targets do not fit."""
    with contextlib.redirect_stdout(sys.stderr):
        return _by_unsloth(how) if begin(how.backend, how.vision) == "unsloth" else _by_hf(how)


def _by_unsloth(how: Loading) -> Policy:
    import torch
    from unsloth import FastLanguageModel, FastVisionModel

    loader = FastVisionModel if how.vision else FastLanguageModel
    # On a CPU there is memory, and to compute activations twice costs a tenth of the time.
    checkpointing = "unsloth" if torch.cuda.is_available() else False
    fast = {
        "fast_inference": True,
        "max_lora_rank": how.lora_rank,
        "gpu_memory_utilization": how.gpu_share,
    }
    model, tokenizer = loader.from_pretrained(
        how.model.adapter or how.model.path, max_seq_length=how.max_length, dtype=_dtype(how.model),
        load_in_4bit=how.load_in_4bit, full_finetuning=not how.lora_rank,
        use_gradient_checkpointing=checkpointing, **(fast if how.fast_inference else {}))  # fmt: skip
    if how.lora_rank and not how.model.adapter:
        _check_targets(model, how.targets)
        model = loader.get_peft_model(
            model, r=how.lora_rank, lora_alpha=how.lora_alpha, lora_dropout=0, bias="none", target_modules=how.targets,
            use_gradient_checkpointing=checkpointing, random_state=how.seed)  # fmt: skip
    return Policy(model, tokenizer, "unsloth", bool(how.lora_rank))


def _by_hf(how: Loading) -> Policy:
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForImageTextToText,
        AutoProcessor,
        BitsAndBytesConfig,
        set_seed,
    )

    from lib import chat
    from lib.training import trl_on_cpu

    trl_on_cpu.stand_in()
    set_seed(how.seed)
    extra = (
        {"quantization_config": BitsAndBytesConfig(load_in_4bit=True)} if how.load_in_4bit else {}
    )
    loader = AutoModelForImageTextToText if how.vision else AutoModelForCausalLM
    model = loader.from_pretrained(how.model.path, dtype=_dtype(how.model) or "auto", **extra)
    if how.model.adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, how.model.adapter, is_trainable=True)
    elif how.lora_rank:
        from peft import LoraConfig, get_peft_model

        _check_targets(model, how.targets)
        model = get_peft_model(model, LoraConfig(r=how.lora_rank, lora_alpha=how.lora_alpha, lora_dropout=0.0, bias="none",
                                                 target_modules=how.targets, task_type="CAUSAL_LM"))  # fmt: skip
    words = (
        AutoProcessor.from_pretrained(how.model.path)
        if how.vision
        else chat.load_tokenizer(how.model.path)
    )
    return Policy(model, words, "hf", bool(how.lora_rank))


def _dtype(model: models.Model) -> object:
    """The precision that the model's facts ask for; None leaves it to the library. On a CPU fp32: an update of 1e-4 of a weight
    is lost in bf16's eight bits, and without AMX it is no faster."""
    import torch

    if not torch.cuda.is_available():
        return torch.float32
    return None if model.dtype == "auto" else getattr(torch, model.dtype)


def _check_targets(model: object, targets: list[str]) -> None:
    names = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
    if missing := [t for t in targets if t not in names]:
        raise UserError(
            f"LoRA target {missing[0]!r} matches no module; {near(missing[0], sorted(n for n in names if n))}"
        )


def save(policy: Policy, folder: Path) -> None:
    """The trained weights (an adapter alone, if that is what was trained) and the tokenizer, as safetensors."""
    only = (
        {"selected_adapters": ["default"]} if policy.is_lora else {}
    )  # TRL keeps a second one, the start's, as the reference
    policy.model.save_pretrained(folder, safe_serialization=True, **only)
    policy.tokenizer.save_pretrained(folder)
