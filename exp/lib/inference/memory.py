"""Whether a model fits this machine: its weights against the memory of the GPUs."""

import re
import shlex

from lib.errors import UserError
from lib.inference import weights
from lib.models import Model
from lib.progress import say

WITH_CACHE = 1.1  # the weights and a tenth more, for the cache
# The weights and a LoRA adapter's training: unsloth's table of least memory has 19 GB for 7B, 76
# for 32B and 164 for 70B, 1.16 to 1.25 times the weights; with 4 bits 5, 26 and 41, up to 1.5.
WITH_ADAPTER = 1.2
WITH_ADAPTER_4BIT = 1.5
# All weights in bf16, trained by AdamW: a gradient and two moments more, and the activations.
WITH_OPTIMIZER = 4.5
QUARTER = 0.25  # the bytes of a weight of 4 bits over those of 16
GB_OF_GIB = 1.0737  # 2**30 / 10**9
CPU_GB = 2  # of weights: what a laptop's CPU still reads fast enough to be of use


def check_device(model: Model, devices: list[float | None], instead: str) -> str:
    """Where the model answers, in words, if there is memory for its weights and the cache.

    `devices` are GPUs by their memory in GiB. UserError if there is too little; `instead` ends the
    message.
    """
    weights_gb = weights.loaded_gb(model)
    if not devices:
        return _check_cpu(model, weights_gb, instead)
    gpu_count = tensor_parallel_size(model, devices)
    if len(devices) < gpu_count:
        setting = f"{model.name} is set to {gpu_count} GPUs (tensor_parallel_size)"
        raise UserError(f"{setting} and this machine has {len(devices)}")
    used_gpus = f"{gpu_count} of {len(devices)} GPUs"
    usable_gb = _usable_gb(model, devices, gpu_count)
    if usable_gb is None:
        say(f"warning: the memory of a GPU is unknown; {model.name} needs {weights_gb:.0f} GB")
        return f"{used_gpus} of unknown memory"
    needed_gb = weights_gb * WITH_CACHE
    if needed_gb > usable_gb:
        parts = f"({weights_gb:.0f} of weights, a tenth for the cache)"
        gpus = "GPU gives" if gpu_count == 1 else "GPUs give"
        raise UserError(
            f"{model.name} needs {needed_gb:.0f} GB of GPU memory {parts}, "
            f"{gpu_count} {gpus} {usable_gb:.0f}: {instead}"
        )
    return f"{used_gpus}, {weights_gb:.0f} of {usable_gb:.0f} GB for weights"


def check_training(
    model: Model, devices: list[float | None], full_weights: bool, in_4bit: bool, instead: str
) -> str:
    """Where the model is trained, in words, if one GPU has the memory.

    The drivers train on one GPU. Trained are all weights, or a LoRA adapter beside the frozen ones,
    which may be loaded in 4 bits.
    """
    weights_gb = weights.loaded_gb(model)
    if not devices:
        return _check_cpu(model, weights_gb, instead)
    if full_weights:
        needed_gb = weights_gb * WITH_OPTIMIZER
    elif in_4bit:
        needed_gb = weights_gb * QUARTER * WITH_ADAPTER_4BIT
    else:
        needed_gb = weights_gb * WITH_ADAPTER
    gib = devices[0]
    if gib is None:
        say(f"warning: the GPU's memory is unknown; training {model.name} needs {needed_gb:.0f} GB")
    elif needed_gb > gib * GB_OF_GIB:
        usable = f"the GPU has {gib * GB_OF_GIB:.0f}"
        raise UserError(f"to train {model.name} takes {needed_gb:.0f} GB, {usable}: {instead}")
    return "1 GPU"


def tensor_parallel_size(model: Model, devices: list[float | None]) -> int:
    """The GPUs that the model is spread over: those that its facts name, else the fewest that do.

    vLLM spreads the attention heads evenly, so their number must be divisible; without the model's
    config it is a power of two. If even all GPUs are too few it is the most that can be used.
    """
    if model.tensor_parallel_size:
        return model.tensor_parallel_size
    sizes = _possible_sizes(model, len(devices))
    if len(sizes) == 1 or None in devices:
        return 1
    try:
        needed_gb = weights.loaded_gb(model) * WITH_CACHE
    except UserError:  # of unknown size; check_run says so, and vLLM whether it fits
        return 1
    for size in sizes:
        if needed_gb <= _usable_gb(model, devices, size):
            return size
    return sizes[-1]


def typed_tensor_parallel_size(vllm_flags: str) -> int | None:
    """The number of GPUs that VLLM_FLAGS names for one copy of the model; None if they do not.

    UserError for flags with a quote that nothing closes.
    """
    try:
        words = " ".join(shlex.split(vllm_flags))
    except ValueError as e:
        raise UserError(f"VLLM_FLAGS {vllm_flags}: {str(e).lower()}") from None
    typed = re.search(r"(?:^| )(?:--tensor[-_]parallel[-_]size|-tp)[ =](\d+)", words)
    return int(typed[1]) if typed else None


def _possible_sizes(model: Model, gpu_count: int) -> list[int]:
    """Over how many of so many GPUs vLLM can spread the model, the fewest first."""
    heads = weights.attention_heads(weights.config_at_hand(model))
    sizes = [1]
    for size in range(2, gpu_count + 1):
        if heads is None:
            fits = size.bit_count() == 1
        else:
            query_heads, key_value_heads = heads
            fits = query_heads % size == 0
            fits = fits and (key_value_heads % size == 0 or size % key_value_heads == 0)
        if fits:
            sizes.append(size)
    return sizes


def _usable_gb(model: Model, devices: list[float | None], gpu_count: int) -> float | None:
    """GB that vLLM may use of so many GPUs, each as much as the smallest; None if unknown."""
    used = devices[:gpu_count]
    if None in used:
        return None
    return gpu_count * min(used) * GB_OF_GIB * model.gpu_memory_utilization


def _check_cpu(model: Model, weights_gb: float, instead: str) -> str:
    if model.gpu and weights_gb > CPU_GB:
        problem = f"{model.name} needs a GPU for {weights_gb:.0f} GB of weights"
        raise UserError(f"{problem} and this machine has none; {instead}")
    return "CPU"
