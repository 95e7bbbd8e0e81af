"""The GPUs that a process on this machine may use, and the memory of each."""

import os
import re
import subprocess
from dataclasses import dataclass

from lib.progress import say

BYTES_OF_GIB = 2**30
QUERY = ("--query-gpu=index,uuid,memory.total", "--format=csv,noheader,nounits")


@dataclass(frozen=True)
class Gpu:
    """One GPU, or one MIG slice of it; `gib` is None where nothing says how much memory it has."""

    index: int
    uuid: str
    gib: float | None


def visible() -> list[float | None]:
    """The memory in GiB of each GPU that CUDA_VISIBLE_DEVICES leaves; None where it is unknown.

    Empty if there is no nvidia-smi or no device. A GPU that shares the machine's memory reports
    none of its own: it counts with the machine's, which is reported.
    """
    installed = _installed()
    names = os.environ.get("CUDA_VISIBLE_DEVICES")
    if names is None:
        return [gpu.gib for gpu in installed]
    chosen = []
    for name in names.split(","):
        gpu = _named(name.strip(), installed)
        if gpu is None:  # CUDA ignores whatever stands behind a name that it does not know
            break
        chosen.append(gpu.gib)
    return chosen


def _installed() -> list[Gpu]:
    """Every GPU of the machine, in nvidia-smi's order."""
    installed = []
    for line in _nvidia_smi(*QUERY):
        *names, memory = [field.strip() for field in line.split(",")]
        uuid = names[-1] if names else ""
        installed.append(Gpu(len(installed), uuid, _gib(memory)))
    return installed


def _gib(memory: str) -> float:
    """GiB of a number of MiB, or of the machine's memory for what is no number."""
    try:
        return float(memory) / 1024
    except ValueError:
        shared = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / BYTES_OF_GIB
        reported = f"warning: nvidia-smi gives {memory} as the memory of a GPU"
        say(f"{reported}; the machine's {shared:.0f} GiB are taken for it")
        return shared


def _named(name: str, installed: list[Gpu]) -> Gpu | None:
    """The GPU of an index, of the start of a UUID, or of a MIG slice; None if there is none."""
    if name.startswith("MIG-"):
        return _slice(name) if installed else None
    for gpu in installed:
        is_uuid = name.startswith("GPU-") and gpu.uuid.startswith(name)
        if name == str(gpu.index) or is_uuid:
            return gpu
    return None


def _slice(name: str) -> Gpu:
    """A MIG slice; the name of its kind, such as `3g.20gb`, says its memory."""
    for line in _nvidia_smi("-L"):
        if name in line:
            size = re.search(r"(\d+)gb", line)
            return Gpu(0, name, float(size[1]) if size else None)
    return Gpu(0, name, None)


def _nvidia_smi(*arguments: str) -> list[str]:
    """The lines that nvidia-smi prints; none where there is no nvidia-smi, or where it fails."""
    try:
        finished = subprocess.run(
            ["nvidia-smi", *arguments], capture_output=True, text=True, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    if finished.returncode != 0:
        return []
    return [line for line in finished.stdout.splitlines() if line.strip()]
