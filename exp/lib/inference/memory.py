"""Whether a model fits this machine: its parameters by its config.json, and the GPUs' memory."""

import socket
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from lib import rows
from lib.errors import UserError, one_line
from lib.models import Model
from lib.progress import shown_path

BYTES_OF_WEIGHT = {"float32": 4, "auto": 2, "bfloat16": 2, "float16": 2}
WITH_CACHE = 1.1  # the weights and a tenth more, for the cache
GB_OF_GIB = 1.0737  # 2**30 / 10**9
CPU_GB = 2  # of weights: what a laptop's CPU still reads fast enough to be of use


def check_device(model: Model, devices: list[float], instead: str) -> str:
    """Where the model runs, in words, if there is memory for its weights and the cache.

    `devices` are GPUs by their memory in GiB. UserError if there is too little; `instead` ends the
    message of a model that is too large for a machine without a GPU.
    """
    billions = model.parameters_b or parameters_b(config_of(model))
    weights_gb = billions * BYTES_OF_WEIGHT[model.dtype]
    if not devices:
        if model.gpu and weights_gb > CPU_GB:
            problem = f"{model.name} needs a GPU for {weights_gb:.0f} GB of weights"
            raise UserError(f"{problem} and this machine has none; {instead}")
        return "CPU"
    gpu_count = model.tensor_parallel_size
    if len(devices) < gpu_count:
        setting = f"{model.name} is set to {gpu_count} GPUs (tensor_parallel_size)"
        raise UserError(f"{setting} and this machine has {len(devices)}")
    total_gb = sum(devices[:gpu_count]) * GB_OF_GIB
    usable_gb = total_gb * model.gpu_memory_utilization
    needed_gb = weights_gb * WITH_CACHE
    if needed_gb > usable_gb:
        parts = f"({weights_gb:.0f} of weights, a tenth for the cache)"
        advice = "raise tensor_parallel_size or take a smaller model"
        raise UserError(
            f"{model.name} needs {needed_gb:.0f} GB of GPU memory {parts}; "
            f"{gpu_count} GPUs give {usable_gb:.0f}: {advice}"
        )
    gpus_used = f"{gpu_count} of {len(devices)} GPUs"
    return f"{gpus_used}, {weights_gb:.0f} of {usable_gb:.0f} GB for weights"


def gpus() -> list[float]:
    """The memory of each visible GPU in GiB; empty if there is no nvidia-smi or no device."""
    query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        finished = subprocess.run(query, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return []
    if finished.returncode != 0:
        return []
    return [float(mebibytes) / 1024 for mebibytes in finished.stdout.split()]


def parameters_b(config: dict) -> float:
    """Billions of parameters of a decoder by its config.json.

    Counted are embeddings, attention (q, k, v, o) and gated MLPs, with experts; norms and biases
    are too small to matter. UserError if the config is no decoder's.
    """
    decoder = config.get("text_config", config)
    for key in ("hidden_size", "num_hidden_layers", "vocab_size", "num_attention_heads"):
        if key not in decoder:
            advice = "add the model with its parameters_b to configs/models.yaml"
            raise UserError(f"config.json has no {key!r}: {advice}")
    width = decoder["hidden_size"]
    heads = decoder["num_attention_heads"]
    key_value_heads = decoder.get("num_key_value_heads") or heads
    head_width = decoder.get("head_dim") or width // heads
    attention = 2 * width * head_width * (heads + key_value_heads)  # q and o, k and v

    experts = _number_of_experts(decoder)
    inner_width = decoder.get("intermediate_size") or 4 * width
    if experts > 1:
        inner_width = decoder.get("moe_intermediate_size") or inner_width
    mlp = 3 * width * inner_width * experts  # gate, up, down

    is_tied = decoder.get("tie_word_embeddings", config.get("tie_word_embeddings"))
    embeddings = decoder["vocab_size"] * width
    if not is_tied:
        embeddings *= 2  # one for the input, one for the output
    layers = decoder["num_hidden_layers"] * (attention + mlp)
    return (embeddings + layers) / 1e9


def _number_of_experts(decoder: dict) -> int:
    """The experts of each layer, by the names that model families give them; 1 without."""
    for key in ("num_experts", "num_local_experts", "n_routed_experts"):
        if decoder.get(key):
            return decoder[key]
    return 1


def config_of(model: Model) -> dict:
    """The model's config.json, from its folder, the hub's cache or the hub.

    UserError if it can be had nowhere.
    """
    if model.is_local:
        return _read_config(Path(model.path) / "config.json")
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

    cached = try_to_load_from_cache(model.path, "config.json")
    if isinstance(cached, str):
        return _read_config(Path(cached))
    hub = urlsplit(constants.ENDPOINT)
    try:
        # The hub's client tries for half a minute; one connection shows whether there is a way.
        address = (hub.hostname, hub.port or 443)
        socket.create_connection(address, timeout=3).close()
        downloaded = hf_hub_download(model.path, "config.json", etag_timeout=5)
    except GatedRepoError:
        advice = "accept its terms on the hub and set HF_TOKEN"
        raise UserError(f"{model.path} is gated: {advice}") from None
    except (HfHubHTTPError, OSError, ValueError) as e:
        problem = f"neither on this machine nor to be had from {hub.hostname}"
        reason = one_line(e, longest=150)
        raise UserError(f"{model.path} is {problem}: {reason}") from None
    return _read_config(Path(downloaded))


def _read_config(config_path: Path) -> dict:
    config = rows.read_object(config_path)
    if config is None:
        raise UserError(f"{shown_path(config_path)}: no such file")
    return config
