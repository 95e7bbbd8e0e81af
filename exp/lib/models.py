"""Facts about models and domains, from configs/models.yaml and the domains file that it names."""

import hashlib
import json
import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from lib.errors import UserError, near, one_line
from lib.rows import ROOT, read_object

MODELS_FILE = ROOT / "configs/models.yaml"
# Bytes of weights under which compiling is not worth its time: the embedded model would spend 22 s
# for 2% more speed.
WORTH_COMPILING = 100_000_000
LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # those that vLLM has kernels for
# An identity reads whole texts (configuration, tokenizer, templates, a model's own code), and of
# weights so many pieces of so many bytes, spread evenly: the ends alone are embeddings and norms,
# which a merged adapter leaves as they were. 60 GB in 17 files are read in under a second.
TEXTS = (".json", ".jinja", ".txt", ".model", ".tiktoken", ".py")
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf")
PIECES = 16
PIECE_BYTES = 16 * 1024
# What a trainer leaves beside the weights: state to go on from, and figures.
OF_TRAINING = re.compile(
    r"(?:training_args|optimizer|scheduler|scaler|rng_state|trainer_state|complete)\b.*|rng_state_.*"
)
# Keys of a configuration that say where something lay; the same model has others elsewhere.
PATH_KEYS = {
    "_name_or_path",
    "name_or_path",
    "base_model_name_or_path",
    "tokenizer_file",
    "vocab_file",
    "merges_file",
    "special_tokens_map_file",
}


@dataclass(frozen=True)
class Model:
    """What is known of one model.

    `path` is an existing folder or a hub name, `number` the model's place in the menu, if it has
    one, and `adapter` the folder of a LoRA adapter that is applied unmerged. The other fields are
    explained in configs/models.yaml.
    """

    path: str
    number: int | None = None
    description: str = ""
    parameters_b: float | None = None
    dtype: str = "auto"
    max_model_len: int | None = None
    longest_context: int | None = None
    tensor_parallel_size: int | None = None
    gpu_memory_utilization: float = 0.95
    enforce_eager: bool = False
    runner: str = "generate"
    domains: str = ""
    reward_model: str = ""
    scale: float = 1.0
    gpu: bool = True
    procedural: bool = False
    max_temperature: float | None = None
    max_tokens_ins: int | None = None
    max_tokens_res: int | None = None
    tokens_s: float | None = None
    adapter: str = ""

    @property
    def name(self) -> str:
        """The last part of the path, or of the adapter's: `DeepSeek-R1-Distill-Qwen-32B`."""
        return Path(self.adapter or self.path).name

    @property
    def lora_rank(self) -> int:
        """The adapter's rank, rounded up to one that vLLM has kernels for."""
        rank = _rank_of(Path(self.adapter))
        for known_rank in LORA_RANKS:
            if known_rank >= rank:
                return known_rank
        return rank

    @property
    def is_local(self) -> bool:
        return Path(self.path).is_dir()


@dataclass(frozen=True)
class Domain:
    """One domain: its place in the plan, how it is steered, and how its stages sample.

    `system_prompt` steers problems, `res_system_prompt` answers; an empty one steers none.
    """

    name: str
    count: int
    description: str
    system_prompt: str
    ins_temperature: float
    res_temperature: float
    max_tokens_ins: int
    max_tokens_res: int
    res_system_prompt: str = ""


def menu() -> list[Model]:
    """The numbered models, in the order of configs/models.yaml: 0 is the embedded one."""
    return _numbered(_load(MODELS_FILE))


def reward_models() -> list[Model]:
    """The models that rank, in the order of configs/models.yaml."""
    table = _load(MODELS_FILE)
    return [_model(facts, table["any"]) for facts in table["reward_models"]]


def find(model: str, adapter_path: str = "") -> Model:
    """The facts for what a user typed, with a LoRA adapter if one is named.

    `model` is a number of the menu, a name in it, a folder (from here or from the repository) or a
    hub name. UserError lists near names if it can be none of them.
    """
    base = _find(model)
    return with_adapter(base, adapter_path) if adapter_path else base


def unchecked(path: str) -> Model:
    """What is taken for the facts of a model that is not on this machine."""
    return _model({"path": path}, _load(MODELS_FILE)["any"])


def with_adapter(model: Model, adapter_path: str) -> Model:
    """The model with a LoRA adapter, by PEFT's `save_pretrained`, applied as it runs.

    UserError if there is no adapter in the folder, or its configuration is torn.
    """
    folder = Path(adapter_path).expanduser()
    if not (folder / "adapter_config.json").exists():
        raise UserError(f"{adapter_path}: no LoRA adapter there (no adapter_config.json)")
    if not (folder / "adapter_model.safetensors").exists():
        raise UserError(f"{adapter_path}: the adapter has no adapter_model.safetensors")
    _rank_of(folder)
    return replace(model, adapter=str(folder.resolve()))


def identity(model: Model) -> str:
    """The model in a settings record: `tiny@0123456789ab`, a hub name as it is.

    A folder's hash changes with its configuration, tokenizer, chat template or weights, and not
    with the place where it lies. An adapter's is added: `…+lora@…`.
    """
    base = _fingerprint(model.path) if model.is_local else model.path
    if not model.adapter:
        return base
    return f"{base}+{_fingerprint(model.adapter)}"


def domains(model: Model) -> dict[str, Domain]:
    """The domains of a model by name, in their order.

    UserError names the key that is missing or unknown.
    """
    domains_path = ROOT / model.domains
    by_name = {}
    for domain_name, facts in _load(domains_path).items():
        try:
            by_name[domain_name] = Domain(name=domain_name, **facts)
        except TypeError as e:
            # Such as "Domain.__init__() missing 1 required positional argument: 'count'".
            _, _, problem = str(e).rpartition("__init__() ")
            raise UserError(f"{domains_path}: domain {domain_name!r}: {problem}") from None
    return by_name


def domain(model: Model, name: str) -> Domain:
    """The domain of that name; UserError lists near names."""
    known_domains = domains(model)
    if name not in known_domains:
        raise UserError(f"no domain {name!r}; {near(name, known_domains)}")
    return known_domains[name]


def _find(typed: str) -> Model:
    """The facts for what a user typed, without an adapter."""
    table = _load(MODELS_FILE)
    defaults = table["any"]
    menu_models = _numbered(table)
    if typed.isdigit():
        return _by_number(typed, menu_models)
    listed_models = menu_models + reward_models()
    folder = _folder_of(typed)
    for listed in listed_models:
        if typed in (listed.path, listed.name) or _is_in(folder, listed):
            return listed
    if folder:
        return _model(_facts_of_folder(typed, folder), defaults)
    if not _looks_like_hub_name(typed):
        names = [listed.name for listed in listed_models]
        names += [listed.path for listed in listed_models]
        problem = f"no model {typed!r}: not a number, a folder or a hub name 'owner/model'"
        raise UserError(f"{problem}; {near(typed, names)}")
    return _model({"path": typed}, defaults)


def _by_number(typed: str, menu_models: list[Model]) -> Model:
    number = int(typed)
    if number >= len(menu_models):
        numbers = ", ".join(f"{model.number} {model.name}" for model in menu_models)
        raise UserError(f"no model {typed}; known: {numbers}")
    return menu_models[number]


def _facts_of_folder(typed: str, folder: Path) -> dict:
    """What is known of a folder that configs/models.yaml does not list."""
    if not (folder / "config.json").exists():
        raise UserError(f"{typed}: a folder without config.json is no model")
    weights = 0
    for weights_file in folder.glob("*.safetensors"):
        weights += weights_file.stat().st_size
    return {"path": str(folder.resolve()), "enforce_eager": weights < WORTH_COMPILING}


def _numbered(table: dict) -> list[Model]:
    """The models under `models` of configs/models.yaml, each with its place as its number."""
    menu_models = []
    for number, facts in enumerate(table["models"]):
        model = _model({**facts, "number": number}, table["any"])
        menu_models.append(model)
    return menu_models


def _model(facts: dict, defaults: dict) -> Model:
    """A model with the defaults where its own facts say nothing.

    A folder among the facts means one of this repository, wherever the user stands.
    """
    facts = {**defaults, **facts}
    known_keys = {field.name for field in fields(Model)}
    unknown_keys = facts.keys() - known_keys
    if unknown_keys:
        first_key = min(unknown_keys)
        raise UserError(f"configs/models.yaml: unknown key {first_key!r} of {facts.get('path')}")
    for key in ("path", "reward_model"):
        folder = ROOT / facts[key]
        if folder.is_dir():
            facts[key] = str(folder)
    return Model(**facts)


def _folder_of(typed: str) -> Path | None:
    """The folder that was typed, from here or from the repository; None if there is none."""
    for folder in (Path(typed).expanduser(), ROOT / typed):
        if folder.is_dir():
            return folder
    return None


def _is_in(folder: Path | None, model: Model) -> bool:
    """Whether this folder is the model's own, by whatever path."""
    if not folder or not model.is_local:
        return False
    return folder.resolve() == Path(model.path).resolve()


def _looks_like_hub_name(typed: str) -> bool:
    """Whether it can be `owner/model` and is not a path."""
    looks_like_path = typed.startswith((".", "/", "~", "-"))
    return typed.count("/") == 1 and not looks_like_path and " " not in typed


def _rank_of(adapter_folder: Path) -> int:
    """The rank of a LoRA adapter; UserError if its configuration is torn or names none."""
    config_path = adapter_folder / "adapter_config.json"
    config = read_object(config_path) or {}
    rank = config.get("r")
    if type(rank) is not int or rank < 1:
        raise UserError(f"{config_path}: 'r' is {rank!r}, expected the rank of a LoRA adapter")
    return rank


def _fingerprint(folder: str) -> str:
    """The folder's name and a hash of what makes the model: names, texts, pieces of weights."""
    digest = hashlib.sha256()
    templates = Path(folder).glob("*/*.jinja")  # such as additional_chat_templates/
    for file_path in sorted([*Path(folder).iterdir(), *templates]):
        if OF_TRAINING.fullmatch(file_path.name) or not file_path.is_file():
            continue
        if file_path.suffix in TEXTS:
            content = _text_of_model(file_path)
        elif file_path.suffix in WEIGHTS:
            content = _pieces_of_weights(file_path)
        else:
            continue
        digest.update(f"{file_path.name}:{len(content)}:".encode())
        digest.update(content)
    return f"{Path(folder).name}@{digest.hexdigest()[:12]}"


def _text_of_model(file_path: Path) -> bytes:
    """A text as it counts: a configuration without the paths in it, any other as it is."""
    if not file_path.name.endswith("config.json"):
        return file_path.read_bytes()
    config = _without_paths(read_object(file_path))
    return json.dumps(config, sort_keys=True).encode()


def _without_paths(value: Any) -> Any:
    """A configuration, and those inside it, without the keys that say where something lay."""
    if isinstance(value, list):
        return [_without_paths(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for key, entry in value.items():
        if key not in PATH_KEYS:
            kept[key] = _without_paths(entry)
    return kept


def _pieces_of_weights(file_path: Path) -> bytes:
    """The size of a file and pieces of it from its beginning to its end; all of a small one."""
    size = file_path.stat().st_size
    pieces = [f"{size}:".encode()]
    with open(file_path, "rb") as file:
        if size <= PIECES * PIECE_BYTES:
            return pieces[0] + file.read()
        last_start = size - PIECE_BYTES
        for number in range(PIECES):
            file.seek(last_start * number // (PIECES - 1))
            pieces.append(file.read(PIECE_BYTES))
    return b"".join(pieces)


def _load(facts_path: Path) -> dict:
    """A YAML file of facts; UserError if it cannot be read."""
    try:
        return yaml.safe_load(facts_path.read_text(encoding="utf-8"))
    except OSError as e:
        raise UserError(f"{facts_path}: {e.strerror}") from None
    except yaml.YAMLError as e:
        raise UserError(f"{facts_path}: not YAML: {one_line(e)}") from None
