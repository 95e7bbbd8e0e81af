"""A model folder while it is made: it grows beside its name, remembers its settings, and gets its name when it is whole.

`X.part/` holds checkpoints and logs; only `ModelFolder.finish` creates `X/`. So a finished name means a whole model, made with
known settings, and a killed training goes on from its newest complete checkpoint.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from lib import rows
from lib.cli import UserError

MARK = "complete.json"  # written last into a checkpoint: transformers takes half-written ones for whole
SETTINGS = "settings.json"


class ModelFolder:
    """One model folder of one stage: new, resumed or finished. Settings are everything that changes the weights."""

    def __init__(self, save_path: str, stage: str, settings: dict, overwrite: bool = False):
        self.path, self.part = Path(save_path), Path(f"{save_path}.part")
        self.settings = {"stage": stage, **settings}
        if overwrite:
            shutil.rmtree(self.part, ignore_errors=True)
        self.finished = self.path.exists() and not overwrite
        made = self.path if self.finished else self.part
        if made.exists():
            old = json.loads((made / SETTINGS).read_bytes()) if (made / SETTINGS).exists() else {}
            keys = sorted(old.keys() | self.settings.keys())
            changed = [f"{k} {old.get(k)}, now {self.settings.get(k)}" for k in keys if old.get(k) != self.settings.get(k)]
            if changed:
                raise UserError(f"{made} was made with {'; '.join(changed)}; use another --save_path or --overwrite")

    def open(self) -> None:
        """Create `X.part/` with its settings, and remove checkpoints that a kill left half written."""
        self.part.mkdir(parents=True, exist_ok=True)
        rows.write_json(self.part / SETTINGS, self.settings)
        for torn in self.part.glob("checkpoint-*"):
            if not (torn / MARK).exists():
                shutil.rmtree(torn)

    def checkpoint(self) -> Path | None:
        """The newest complete checkpoint."""
        whole = [c for c in self.part.glob("checkpoint-*") if (c / MARK).exists()]
        return max(whole, key=lambda c: int(c.name.split("-")[1]), default=None)

    def finish(self, write: Callable[[Path], None], keep: tuple[str, ...] = ()) -> None:
        """`write` the model aside, add its settings and the files of `X.part/` named in `keep`, and give it its name."""
        whole = self.part / "whole"
        shutil.rmtree(whole, ignore_errors=True)
        whole.mkdir()
        write(whole)
        for name in keep:
            shutil.copy2(self.part / name, whole / name)
        for file in whole.rglob("*"):
            file.chmod(0o755 if file.is_dir() else 0o644)  # safetensors gives its files to the owner alone
        rows.write_json(whole / SETTINGS, self.settings)
        if self.path.exists():  # with --overwrite the old one stays until the new one is whole
            os.replace(self.path, self.part / "old")
        os.replace(whole, self.path)
        shutil.rmtree(self.part)
        self.finished = True


def mark_complete(checkpoint: Path) -> None:
    """Say that a checkpoint is whole: every file of it is on the disk before the mark is."""
    files = sorted(file for file in checkpoint.rglob("*") if file.is_file())
    for file in files:
        with open(file, "rb") as f:
            os.fsync(f.fileno())
    rows.write_json(checkpoint / MARK, {"files": [str(f.relative_to(checkpoint)) for f in files]})
