"""A model's config.json and the size of its weights: from its folder, its cache or the hub."""

import socket
from pathlib import Path
from urllib.parse import urlsplit

from lib import rows
from lib.errors import UserError, one_line
from lib.models import Model
from lib.progress import shown_path

BYTES_OF_WEIGHT = {"float32": 4, "auto": 2, "bfloat16": 2, "float16": 2}
BITS_OF_METHOD = {"fp8": 8, "fbgemm_fp8": 8, "mxfp4": 4, "awq": 4, "gptq": 4}
# Each group of 128 weights of 4 bits has a scale of 16 bits and a zero of 4: 20 bits on 512.
WITH_SCALES = 1.04
INDEX = "model.safetensors.index.json"


def loaded_gb(model: Model) -> float:
    """GB of the model's weights in memory.

    The files count as they are where they are on this machine, else the index of the files, else
    the parameters. UserError if nothing of it can be had.
    """
    stored_gb = on_disk_gb(model)
    if not stored_gb and not model.parameters_b:
        stored_gb = _gb_on_the_hub(model)
    if stored_gb:
        return stored_gb * _widening(model, config_at_hand(model))
    if model.parameters_b:
        return model.parameters_b * BYTES_OF_WEIGHT[model.dtype]
    return _gb_of_parameters(model, config_of(model))


def on_disk_gb(model: Model) -> float:
    """GB of the model's files of weights by its folder or by their index; 0 if neither is here."""
    folder = folder_of(model)
    if folder is None:
        return 0
    return sum(files_of(folder).values()) / 1e9 or _indexed_gb(folder / INDEX)


def download_gb(model: Model) -> float:
    """GB that loading the model downloads first; 0 if all of it is on this machine."""
    if model.is_local:
        return 0
    folder = folder_of(model)
    if folder and files_of(folder):
        return 0
    return loaded_gb(model)


def files_of(folder: Path) -> dict[str, int]:
    """The files of weights that vLLM would load, by name, with their bytes.

    Empty if there are none, or if one that the index names is missing. Files that repeat the
    weights in another form (`consolidated.safetensors`, `.bin` beside `.safetensors`) do not count.
    """
    for pattern in ("*.safetensors", "*.bin"):
        sizes = {file.name: file.stat().st_size for file in sorted(folder.glob(pattern))}
        for index_path in folder.glob(f"{pattern}.index.json"):
            named_files = set(rows.read_object(index_path).get("weight_map", {}).values())
            if not named_files <= sizes.keys():
                return {}
            if named_files:
                return {name: sizes[name] for name in named_files}
        for single_file in ("model.safetensors", "pytorch_model.bin"):
            if single_file in sizes:
                return {single_file: sizes[single_file]}
        if sizes:
            return sizes
    return {}


def folder_of(model: Model) -> Path | None:
    """The model's folder, or its snapshot in the hub's cache; None if there is neither."""
    if model.is_local:
        return Path(model.path)
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(model.path, "config.json")
    except HFValidationError:  # a path to nothing
        return None
    return Path(cached).parent if isinstance(cached, str) else None


def cache_folder() -> Path:
    """Where the hub's files are downloaded to; it need not exist yet."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def config_of(model: Model) -> dict:
    """The model's config.json, from its folder, the hub's cache or the hub.

    UserError if it can be had nowhere.
    """
    config = config_at_hand(model)
    if config:
        return config
    if model.is_local:
        config_path = Path(model.path, "config.json")
        if config_path.exists():
            return {}
        raise UserError(f"{shown_path(config_path)}: no such file")
    return rows.read_object(_hub_file(model, "config.json", needed=True))


def config_at_hand(model: Model) -> dict:
    """The model's config.json if it is on this machine; else empty. UserError if it is torn."""
    folder = folder_of(model)
    if folder is None:
        return {}
    return rows.read_object(folder / "config.json") or {}


def _hub_file(model: Model, name: str, needed: bool = False) -> Path | None:
    """A small file of a model on the hub, which is downloaded.

    UserError if the hub cannot be reached or does not let one in, or if a needed file is missing.
    """
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, HfHubHTTPError

    hub = urlsplit(constants.ENDPOINT)
    try:
        if constants.HF_HUB_OFFLINE:
            raise OSError("HF_HUB_OFFLINE is set")
        # The hub's client tries for half a minute; one connection shows whether there is a way.
        address = (hub.hostname, hub.port or 443)
        socket.create_connection(address, timeout=3).close()
        return Path(hf_hub_download(model.path, name, etag_timeout=5))
    except GatedRepoError:
        advice = "accept its terms on the hub and set HF_TOKEN"
        raise UserError(f"{model.path} is gated: {advice}") from None
    except (HfHubHTTPError, OSError, ValueError) as e:
        if isinstance(e, EntryNotFoundError) and not needed:
            return None
        problem = f"neither on this machine nor to be had from {hub.hostname}"
        reason = one_line(e, longest=150)
        raise UserError(f"{model.path} is {problem}: {reason}") from None


def _gb_on_the_hub(model: Model) -> float:
    """GB of the model's files by their index on the hub; 0 if it has none.

    UserError if the hub cannot be asked and the config is not on this machine either.
    """
    if model.is_local:
        return 0
    try:
        return _indexed_gb(_hub_file(model, INDEX))
    except UserError:
        if config_at_hand(model):
            return 0
        raise


def _indexed_gb(index_path: Path | None) -> float:
    """GB of all the files that an index names, by its own sum; 0 without an index."""
    if index_path is None:
        return 0
    index = rows.read_object(index_path) or {}
    return index.get("metadata", {}).get("total_size", 0) / 1e9


def _widening(model: Model, config: dict) -> float:
    """Bytes of a weight in memory over its bytes in the file: 0.5 for fp32 loaded as bf16."""
    stored_type = config.get("dtype") or config.get("torch_dtype")
    if config.get("quantization_config") or stored_type not in BYTES_OF_WEIGHT:
        return 1
    return BYTES_OF_WEIGHT[model.dtype] / BYTES_OF_WEIGHT[stored_type]


def _gb_of_parameters(model: Model, config: dict) -> float:
    """GB by the number of parameters. Quantized layers have few bits, embeddings have all."""
    embeddings, layers = _parameters_b(config)
    bytes_of_weight = BYTES_OF_WEIGHT[model.dtype]
    bits = _quantized_bits(config.get("quantization_config") or {})
    if bits is None:
        return (embeddings + layers) * bytes_of_weight
    return embeddings * bytes_of_weight + layers * bits / 8 * WITH_SCALES


def _quantized_bits(quantization: dict) -> int | None:
    """The bits of a quantized weight, by the names that the methods give them; None without."""
    if quantization.get("load_in_4bit") or quantization.get("_load_in_4bit"):
        return 4
    if quantization.get("load_in_8bit") or quantization.get("_load_in_8bit"):
        return 8
    for key in ("bits", "w_bit", "weight_bits"):
        if quantization.get(key):
            return quantization[key]
    for group in (quantization.get("config_groups") or {}).values():  # compressed-tensors
        bits = (group.get("weights") or {}).get("num_bits")
        if bits:
            return bits
    return BITS_OF_METHOD.get(quantization.get("quant_method"))


def parameters_b(config: dict) -> float:
    """Billions of parameters of a decoder by its config.json; UserError if it is no decoder's."""
    return sum(_parameters_b(config))


def _parameters_b(config: dict) -> tuple[float, float]:
    """Billions of parameters in the embeddings, and in the layers.

    Counted are embeddings, attention (q, k, v, o) and gated MLPs, with experts; norms and biases
    are too small to matter.
    """
    decoder = config.get("text_config") or config
    for key in ("hidden_size", "num_hidden_layers", "vocab_size", "num_attention_heads"):
        if key not in decoder:
            advice = "add the model with its parameters_b to configs/models.yaml"
            raise UserError(f"config.json has no {key!r}: {advice}")
    width = decoder["hidden_size"]
    heads, key_value_heads = attention_heads(config)
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
    return embeddings / 1e9, layers / 1e9


def attention_heads(config: dict) -> tuple[int, int] | None:
    """The heads of queries, and those of keys and values; None if the config has none."""
    decoder = config.get("text_config") or config
    heads = decoder.get("num_attention_heads")
    return (heads, decoder.get("num_key_value_heads") or heads) if heads else None


def _number_of_experts(decoder: dict) -> int:
    """The experts of each layer, by the names that model families give them; 1 without."""
    for key in ("num_experts", "num_local_experts", "n_routed_experts"):
        if decoder.get(key):
            return decoder[key]
    return 1
