"""Facts about models and domains: `configs/models.yaml` and the domains file that a model's facts name."""

import hashlib
import json
from dataclasses import dataclass, fields, replace
from pathlib import Path

import yaml

from lib.errors import UserError, near
from lib.rows import ROOT

SMALL = 100_000_000  # bytes of weights under which compiling is not worth its time: 22 s for 2% more speed of the embedded model


@dataclass(frozen=True)
class Model:
    """What is known of one model. `path` is an existing folder or a hub name; `number` its place in the menu, if any."""

    path: str
    number: int | None = None
    description: str = ""
    parameters_b: float | None = None
    dtype: str = "auto"
    max_model_len: int | None = None
    tensor_parallel_size: int = 1
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
    think: tuple[str, str] | None = None
    tokens_s: float | None = None
    adapter: str = (
        ""  # folder of a LoRA adapter that is applied to it, unmerged; never in configs/models.yaml
    )

    @property
    def name(self) -> str:
        """The last part of the path, the adapter's where there is one: `DeepSeek-R1-Distill-Qwen-32B`."""
        return Path(self.adapter or self.path).name

    @property
    def lora_rank(self) -> int:
        """The adapter's rank, rounded up to one that vLLM has kernels for."""
        rank = json.loads(Path(self.adapter, "adapter_config.json").read_bytes())["r"]
        return next((known for known in (8, 16, 32, 64, 128, 256, 320, 512) if known >= rank), rank)

    @property
    def is_local(self) -> bool:
        return Path(self.path).is_dir()


def _load(path: Path) -> dict:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise UserError(f"{path}: {e.strerror}") from None
    except yaml.YAMLError as e:
        raise UserError(f"{path}: not YAML: {' '.join(str(e).split())}") from None


def _model(facts: dict, number: int | None, base: dict) -> Model:
    merged = {**base, **facts}
    unknown = merged.keys() - {f.name for f in fields(Model)}
    if unknown:
        raise UserError(f"configs/models.yaml: unknown key {min(unknown)!r} of {facts.get('path')}")
    if merged.get("think"):
        merged["think"] = tuple(merged["think"])
    for key in (
        "path",
        "reward_model",
    ):  # a folder in this file means one of this repository, wherever the user stands
        merged[key] = str(ROOT / merged[key]) if (ROOT / merged[key]).is_dir() else merged[key]
    return Model(**merged, number=number)


def menu() -> list[Model]:
    """The numbered models, in the order of `configs/models.yaml`: 0 is the embedded one."""
    table = _load(ROOT / "configs/models.yaml")
    return [_model(facts, number, table["any"]) for number, facts in enumerate(table["models"])]


def find(model: str, adapter_path: str = "") -> Model:
    """Facts for what a user typed: a number of the menu, a name in it, a folder (from here or from the repository) or a
    hub name, and a LoRA adapter for it. UserError lists near names when it can be none of them."""
    found = _find(model)
    return with_adapter(found, adapter_path) if adapter_path else found


def _find(model: str) -> Model:
    table = _load(ROOT / "configs/models.yaml")
    numbered = menu()
    known = numbered + [_model(facts, None, table["any"]) for facts in table["reward_models"]]
    if model.isdigit():
        if int(model) >= len(numbered):
            raise UserError(
                f"no model {model}; known: " + ", ".join(f"{m.number} {m.name}" for m in numbered)
            )
        return numbered[int(model)]
    folder = next((p for p in (Path(model).expanduser(), ROOT / model) if p.is_dir()), None)
    for m in known:
        if model in (m.path, m.name) or (
            folder and m.is_local and folder.resolve() == Path(m.path).resolve()
        ):
            return m
    if folder:
        if not (folder / "config.json").exists():
            raise UserError(f"{model}: a folder without config.json is no model")
        size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
        return _model(
            {"path": str(folder.resolve()), "enforce_eager": size < SMALL}, None, table["any"]
        )
    looks_like_hub = (
        model.count("/") == 1 and not model.startswith((".", "/", "~", "-")) and " " not in model
    )
    if not looks_like_hub:
        names = [m.name for m in known] + [m.path for m in known]
        raise UserError(
            f"no model {model!r}: not a number, a folder or a hub name 'owner/model'; {near(model, names)}"
        )
    return _model({"path": model}, None, table["any"])


def identity(model: Model) -> str:
    """The model in a settings record: its name, and for a folder a hash that changes when config or weights do.

    Of big files the first and last 64 KiB are read: enough to tell two trainings apart, cheap for 60 GB.
    """
    base = _fingerprint(model.path) if model.is_local else model.path
    return f"{base}+{_fingerprint(model.adapter)}" if model.adapter else base


def _fingerprint(folder: str) -> str:
    digest = hashlib.sha256()
    for file in sorted(Path(folder).glob("*.json")) + sorted(Path(folder).glob("*.safetensors")):
        size = file.stat().st_size
        digest.update(f"{file.name}:{size}".encode())
        with open(file, "rb") as f:
            digest.update(f.read(65536))
            if size > 131072:
                f.seek(-65536, 2)
            digest.update(f.read(65536))
    return f"{Path(folder).name}@{digest.hexdigest()[:12]}"


def with_adapter(model: Model, adapter_path: str) -> Model:
    """The model with a LoRA adapter, by PEFT's `save_pretrained`, applied as it runs; UserError: no adapter there."""
    folder = Path(adapter_path).expanduser()
    if not (folder / "adapter_config.json").exists():
        raise UserError(f"{adapter_path}: no LoRA adapter there (no adapter_config.json)")
    if not (folder / "adapter_model.safetensors").exists():
        raise UserError(f"{adapter_path}: the adapter has no adapter_model.safetensors")
    return replace(model, adapter=str(folder.resolve()))


@dataclass(frozen=True)
class Domain:
    """One domain: its place in the plan, how it is steered, and how its stages sample."""

    name: str
    count: int
    description: str
    system_prompt: str
    ins_temperature: float
    res_temperature: float
    max_tokens_ins: int
    max_tokens_res: int


def domains(model: Model) -> dict[str, Domain]:
    """The domains of a model by name, in their order; UserError names the key that is missing or unknown."""
    path = ROOT / model.domains
    found = {}
    for name, facts in _load(path).items():
        try:
            found[name] = Domain(name=name, **facts)
        except TypeError as e:
            raise UserError(f"{path}: domain {name!r}: {str(e).split('__init__() ')[-1]}") from None
    return found


def domain(model: Model, name: str) -> Domain:
    """The domain of that name; UserError lists near names."""
    known = domains(model)
    if name not in known:
        raise UserError(f"no domain {name!r}; {near(name, known)}")
    return known[name]
