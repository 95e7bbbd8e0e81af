"""The model that is trained: loaded by unsloth or by transformers and PEFT, and saved whole."""

import contextlib
import importlib.util
import json
import os
import shutil
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib import chat, cli, models
from lib.errors import UserError, near

BACKENDS = ("auto", "unsloth", "hf")
ALL_LINEAR = "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj"
# With vLLM beside the training on one GPU, its share of the memory: as in the GSM8K pipeline.
VLLM_MEMORY_SHARE = 0.8


@dataclass(frozen=True)
class Lora:
    """Flags of every trainer: which weights are trained.

    Rank 0 trains all of them. A model that comes with an adapter has that adapter trained on.
    """

    lora_rank: int = 64
    lora_alpha: int = 128
    lora_targets: str = ALL_LINEAR  # names of modules, by commas
    load_in_4bit: bool = False

    def __post_init__(self):
        if self.lora_rank < 0:
            choices = "0 for all weights, or the adapter's rank"
            raise UserError(f"--lora_rank {self.lora_rank}: {choices}")
        if self.load_in_4bit and not self.lora_rank:
            condition = "trains an adapter beside frozen weights; give --lora_rank, such as 64"
            raise UserError(f"--load_in_4bit {condition}")

    @property
    def targets(self) -> list[str]:
        return cli.comma_list(self.lora_targets)


@dataclass(frozen=True)
class Loading:
    """How a policy is loaded."""

    model: models.Model
    lora: Lora
    max_length: int  # tokens
    backend: str = "auto"
    seed: int = 0
    vision: bool = False  # reads images; its processor takes the tokenizer's place
    fast_inference: bool = False  # unsloth shares the weights with vLLM, which samples from them

    def __post_init__(self):
        if self.backend not in BACKENDS:
            raise UserError(f"no backend {self.backend!r}; {near(self.backend, BACKENDS)}")

    @property
    def settings(self) -> dict:
        """What of it changes the weights."""
        return {
            "model": models.identity(self.model),
            "backend": choose_backend(self.backend, self.vision),
            "lora_rank": self.lora.lora_rank,
            "lora_alpha": self.lora.lora_alpha,
            "lora_targets": self.lora.lora_targets,
            "max_length": self.max_length,
            "load_in_4bit": self.lora.load_in_4bit,
        }


@dataclass
class Policy:
    """A loaded model. `tokenizer` is the processor of a model that reads images."""

    model: Any  # of transformers, or of PEFT around it
    tokenizer: Any
    is_lora: bool


def choose_backend(backend: str, vision: bool = False) -> str:
    """`unsloth` for `auto` if it is installed, else `hf`; on a CPU unsloth trains text only."""
    if backend != "auto":
        return backend
    if not importlib.util.find_spec("unsloth"):
        return "hf"
    has_gpu = shutil.which("nvidia-smi") is not None
    return "unsloth" if has_gpu or not vision else "hf"


def begin(backend: str = "hf", vision: bool = False) -> str:
    """Import what the backend needs, before anything else imports transformers; returns its name.

    The libraries are kept from writing their dozens of lines.
    """
    import logging

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("UNSLOTH_DISABLE_STATISTICS", "1")
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # in a log a bar is one long line
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    backend = choose_backend(backend, vision)
    if backend == "unsloth":
        with contextlib.redirect_stdout(sys.stderr):  # it greets on stdout, where only data goes
            import unsloth  # noqa: F401  before trl and transformers, which it patches
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    return backend


def load(loading: Loading) -> Policy:
    """The policy, with a new adapter if `lora_rank` asks for one and the model has none.

    UserError if a LoRA target matches no module of the model.
    """
    with contextlib.redirect_stdout(sys.stderr):
        if begin(loading.backend, loading.vision) == "unsloth":
            return _load_by_unsloth(loading)
        return _load_by_transformers(loading)


def _load_by_unsloth(loading: Loading) -> Policy:
    import torch
    from unsloth import FastLanguageModel, FastVisionModel

    model = loading.model
    lora = loading.lora
    loader = FastVisionModel if loading.vision else FastLanguageModel
    # A CPU has memory enough, and computing activations twice costs a tenth of the time.
    checkpointing = "unsloth" if torch.cuda.is_available() else False
    vllm_arguments = {}
    if loading.fast_inference:
        vllm_arguments["fast_inference"] = True
        vllm_arguments["max_lora_rank"] = lora.lora_rank
        vllm_arguments["gpu_memory_utilization"] = VLLM_MEMORY_SHARE
    loaded_model, tokenizer = loader.from_pretrained(
        model.adapter or model.path,
        max_seq_length=loading.max_length,
        dtype=_dtype(model),
        load_in_4bit=lora.load_in_4bit,
        full_finetuning=not lora.lora_rank,
        use_gradient_checkpointing=checkpointing,
        **vllm_arguments,
    )
    if lora.lora_rank and not model.adapter:
        _check_targets(loaded_model, lora.targets)
        loaded_model = loader.get_peft_model(
            loaded_model,
            r=lora.lora_rank,
            lora_alpha=lora.lora_alpha,
            lora_dropout=0,
            bias="none",
            target_modules=lora.targets,
            use_gradient_checkpointing=checkpointing,
            random_state=loading.seed,
        )
    return Policy(loaded_model, tokenizer, is_lora=lora.lora_rank > 0)


def _load_by_transformers(loading: Loading) -> Policy:
    import transformers

    from lib.training import trl_on_cpu

    model = loading.model
    lora = loading.lora
    trl_on_cpu.stand_in()
    transformers.set_seed(loading.seed)
    quantization = {}
    if lora.load_in_4bit:
        four_bits = transformers.BitsAndBytesConfig(load_in_4bit=True)
        quantization["quantization_config"] = four_bits
    if loading.vision:
        loader = transformers.AutoModelForImageTextToText
        tokenizer = transformers.AutoProcessor.from_pretrained(model.path)
    else:
        loader = transformers.AutoModelForCausalLM
        tokenizer = chat.load_tokenizer(model.path)
    dtype = _dtype(model) or "auto"
    loaded_model = loader.from_pretrained(model.path, dtype=dtype, **quantization)
    if model.adapter:
        from peft import PeftModel

        loaded_model = PeftModel.from_pretrained(loaded_model, model.adapter, is_trainable=True)
    elif lora.lora_rank:
        from peft import LoraConfig, get_peft_model

        _check_targets(loaded_model, lora.targets)
        config = LoraConfig(
            r=lora.lora_rank,
            lora_alpha=lora.lora_alpha,
            lora_dropout=0.0,
            bias="none",
            target_modules=lora.targets,
            task_type="CAUSAL_LM",
        )
        loaded_model = get_peft_model(loaded_model, config)
    return Policy(loaded_model, tokenizer, is_lora=lora.lora_rank > 0)


def _dtype(model: models.Model):
    """The torch dtype that the model's facts ask for; None leaves it to the library.

    A CPU trains in fp32: an update of 1e-4 of a weight is lost in bf16's eight bits, and without
    AMX bf16 is no faster.
    """
    import torch

    if not torch.cuda.is_available():
        return torch.float32
    if model.dtype == "auto":
        return None
    return getattr(torch, model.dtype)


def _check_targets(loaded_model, targets: list[str]) -> None:
    """UserError unless each target is the last part of a module's name, as q_proj."""
    module_names = set()
    for full_name, _ in loaded_model.named_modules():
        module_names.add(full_name.rsplit(".", 1)[-1])
    module_names.discard("")  # the name of the model itself
    for target in targets:
        if target not in module_names:
            suggestion = near(target, sorted(module_names))
            raise UserError(f"LoRA target {target!r} matches no module; {suggestion}")


def save(policy: Policy, folder: Path) -> None:
    """The tokenizer and the trained weights, as safetensors: of LoRA only the adapter.

    TRL keeps a second adapter, the start's, as the reference; it is left out.
    """
    selection = {"selected_adapters": ["default"]} if policy.is_lora else {}
    policy.model.save_pretrained(folder, safe_serialization=True, **selection)
    policy.tokenizer.save_pretrained(folder)
    config_path = folder / "adapter_config.json"
    if config_path.exists():
        _sort_adapter_config(config_path)


def _sort_adapter_config(config_path: Path) -> None:
    """Sort the lists of names, such as target_modules, in an adapter's configuration.

    peft keeps them as sets and saves them in an order that changes from process to process, and
    models.identity hashes the file: the same training twice would be two models.
    """
    config = json.loads(config_path.read_bytes())
    for field, value in config.items():
        if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
            config[field] = sorted(value)
    text = json.dumps(config, indent=2, sort_keys=True)  # as peft writes it
    config_path.write_text(text, encoding="utf-8")
