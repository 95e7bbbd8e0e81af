"""A folder that a stage makes (a model, a dataset): it gets its name when it is whole.

`X.part/` holds checkpoints and logs while it grows; only `OutputFolder.finish` creates `X/`. So a
finished name means a whole folder made with known settings, and a killed training goes on from its
newest complete checkpoint.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from lib.locks import hold
from lib.output import changed_settings, refuse_changes
from lib.progress import say, shown_path
from lib.rows import read_object, write_json

COMPLETE = "complete.json"  # written last: transformers takes a half-written checkpoint for whole
SETTINGS = "settings.json"
LOCK = "lock"  # in X.part/, held by the process that makes X


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
        overwrite = overwrite or self._differs_only_in(remade_for)
        self._overwrite = overwrite  # what is there stays until `open` holds it
        self._lock: int | None = None
        self.finished = self.path.exists() and not overwrite
        if self.finished:
            self._compare_settings(self.path)
        elif (self.part / SETTINGS).exists() and not overwrite:
            self._compare_settings(self.part)

    def announce(self, what: str) -> bool:
        """Say in the first second what will be made; True if it is there already."""
        if self.finished:
            say(f"{shown_path(self.path)} is finished; nothing to do")
        else:
            say(f"{what} -> {shown_path(self.path)}")
        return self.finished

    def open(self) -> None:
        """Create `X.part/` with its settings, and remove checkpoints that a kill left torn.

        One process at a time holds it. With --overwrite what it held is removed only then.
        """
        self.part.mkdir(parents=True, exist_ok=True)
        if is_first_rank():
            self._lock = hold(self.part / LOCK)
            self._remove_old_files()
        if (self.part / SETTINGS).exists():  # another process may have begun it in the meantime
            self._compare_settings(self.part)
        write_json(self.part / SETTINGS, self.settings)

    def _remove_old_files(self) -> None:
        """Remove torn checkpoints, and with --overwrite all that an earlier run left."""
        for file in self.part.iterdir():
            is_torn = file.name.startswith("checkpoint-") and not (file / COMPLETE).exists()
            if file.name != LOCK and (is_torn or self._overwrite):
                _remove(file)

    def _differs_only_in(self, setting: str) -> bool:
        """Whether what is there, finished or not, was made with another value of it alone."""
        for folder in (self.path, self.part):
            old_settings = read_object(folder / SETTINGS)
            if not setting or old_settings is None:
                continue
            if old_settings.get(setting) == self.settings[setting]:
                continue
            return old_settings | {setting: self.settings[setting]} == self.settings
        return False

    def _compare_settings(self, folder: Path) -> None:
        """UserError if a folder that is there was made with other settings."""
        # The embedded models' settings name no stage: one more key would change their identity.
        old_settings = {"stage": self.settings["stage"]} | (read_object(folder / SETTINGS) or {})
        refuse_changes(folder, changed_settings(old_settings, self.settings))

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
        if self._lock is not None:  # an open file cannot be removed from a network file system
            os.close(self._lock)
        shutil.rmtree(self.part)
        self.finished = True

    def done(self, figures: str = "") -> None:
        """The last line of a stage: what it wrote, with its figures if there are any."""
        say(f"wrote {shown_path(self.path)}" + (f": {figures}" if figures else ""))


def is_first_rank() -> bool:
    """Whether this process stands alone, or is the first of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def _remove(file: Path) -> None:
    if file.is_dir() and not file.is_symlink():
        shutil.rmtree(file)
    else:
        file.unlink()


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
