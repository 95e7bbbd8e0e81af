"""A folder that a stage makes (a model, a dataset): it gets its name when it is whole.

`X.part/` holds checkpoints and logs while it grows; only `OutputFolder.finish` creates `X/`. So a
finished name means a whole folder made with known settings, and a killed training goes on from its
newest complete checkpoint.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from lib.output import changed_settings, refuse_changes
from lib.progress import say, shown_path
from lib.rows import read_object, write_json

COMPLETE = "complete.json"  # written last: transformers takes a half-written checkpoint for whole
SETTINGS = "settings.json"


class OutputFolder:
    """One folder of one stage: new, resumed or finished. Settings are all that changes it.

    If nothing differs but the setting `remade_for`, the folder is made anew and not refused.
    """

    def __init__(
        self,
        save_path: str,
        stage: str,
        settings: dict,
        overwrite: bool = False,
        remade_for: str = "",
    ):
        self.path, self.part = Path(save_path), Path(f"{save_path}.part")
        self.settings = {"stage": stage, **settings}
        if overwrite:
            shutil.rmtree(self.part, ignore_errors=True)
        self.finished = self.path.exists() and not overwrite
        existing = self.path if self.finished else self.part
        if existing.exists():
            # The embedded models' settings name no stage: one more key would change their identity.
            old_settings = {"stage": stage} | (read_object(existing / SETTINGS) or {})
            if remade_for and remade_for in self.settings:
                same_else = old_settings | {remade_for: self.settings[remade_for]}
                if same_else == self.settings and old_settings != self.settings:
                    shutil.rmtree(self.part, ignore_errors=True)
                    self.finished = False
                    return
            refuse_changes(existing, changed_settings(old_settings, self.settings))

    def announce(self, what: str) -> bool:
        """Say in the first second what will be made; True if it is there already."""
        if self.finished:
            say(f"{shown_path(self.path)} is finished; nothing to do")
        else:
            say(f"{what} -> {shown_path(self.path)}")
        return self.finished

    def open(self) -> None:
        """Create `X.part/` with its settings, and remove checkpoints that a kill left torn."""
        self.part.mkdir(parents=True, exist_ok=True)
        write_json(self.part / SETTINGS, self.settings)
        for checkpoint in self.part.glob("checkpoint-*"):
            if not (checkpoint / COMPLETE).exists():
                shutil.rmtree(checkpoint)

    def checkpoint(self) -> Path | None:
        """The newest complete checkpoint."""
        marks = self.part.glob(f"checkpoint-*/{COMPLETE}")
        checkpoints = [mark.parent for mark in marks]
        return max(checkpoints, key=_step_of, default=None)

    def finish(self, write: Callable[[Path], None], keep: tuple[str, ...] = ()) -> None:
        """`write` the folder aside, add settings and the files of `X.part/` in `keep`, name it."""
        whole = self.part / "whole"
        shutil.rmtree(whole, ignore_errors=True)
        whole.mkdir()
        write(whole)
        for name in keep:
            shutil.copy2(self.part / name, whole / name)
        for file in whole.rglob("*"):  # safetensors gives its files to the owner alone
            file.chmod(0o755 if file.is_dir() else 0o644)
        write_json(whole / SETTINGS, self.settings)
        if self.path.exists():  # with --overwrite the old one stays until the new one is whole
            os.replace(self.path, self.part / "old")
        os.replace(whole, self.path)
        shutil.rmtree(self.part)
        self.finished = True

    def done(self, figures: str = "") -> None:
        """The last line of a stage: what it wrote, with its figures if there are any."""
        say(f"wrote {shown_path(self.path)}" + (f": {figures}" if figures else ""))


def _step_of(checkpoint: Path) -> int:
    """120 of `checkpoint-120`."""
    return int(checkpoint.name.removeprefix("checkpoint-"))


def mark_complete(checkpoint: Path) -> None:
    """Mark a checkpoint as complete, after every file of it is on the disk."""
    files = sorted(file for file in checkpoint.rglob("*") if file.is_file())
    for file in files:
        with open(file, "rb") as opened_file:
            os.fsync(opened_file.fileno())
    names = [str(file.relative_to(checkpoint)) for file in files]
    write_json(checkpoint / COMPLETE, {"files": names})
