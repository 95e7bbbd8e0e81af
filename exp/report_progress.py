"""Show a growing run as one live table: what each domain is making, its rows, rate and time left.

in    data/RUN/<domain>/     the .part files that the stages are writing, their .meta.json
out   stderr                 the table, drawn again every second; --once prints it once
      python exp/report_progress.py --run_path data/demo --once

The main job draws it on a terminal, where the lines of six domains would run into each other. It
can as well be called beside a run that is under way elsewhere.
"""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from lib import cli, tables
from lib.errors import UserError
from lib.progress import clock

EVERY_S = 1.0
UP_AND_CLEAR = "\x1b[{lines}F\x1b[J"  # the cursor to the start of the table, which is then erased


class GrowingFile:
    """A `.part` file, its rows counted as it grows."""

    def __init__(self, part: Path):
        self.part = part
        self.name = part.name.removesuffix(".part")
        meta = json.loads(Path(f"{part.parent / self.name}.meta.json").read_bytes())
        self.stage: str = meta["stage"]
        self.expected: int | None = meta.get("rows_expected")
        self.rows = self._offset = 0
        self.count()
        self.rows_at_start, self.started = self.rows, time.monotonic()

    def count(self) -> None:
        """Count the lines that were appended since the last look."""
        with open(self.part, "rb") as f:
            f.seek(self._offset)
            appended = f.read()
        self.rows += appended.count(b"\n")
        self._offset += len(appended)

    def rate(self) -> float:
        """Rows a second since the first look."""
        seconds = time.monotonic() - self.started
        return (self.rows - self.rows_at_start) / seconds if seconds else 0.0

    def time_left(self) -> str:
        if not self.expected or not self.rate():
            return "–"
        return clock(max(0, self.expected - self.rows) / self.rate())


@dataclass
class DomainState:
    """What one domain is doing: the file that grows, or the one that was finished last."""

    name: str
    finished: list[str]  # names of finished files, the oldest first
    growing: GrowingFile | None

    def cells(self) -> list[str]:
        if self.growing is None:
            last = self.finished[-1] if self.finished else "–"
            return [self.name, "waiting" if not self.finished else f"{last} done", "–", "–", "–"]
        rows = f"{self.growing.rows:,}"
        if self.growing.expected:
            rows += f"/{self.growing.expected:,}"
        rate = f"{self.growing.rate():.1f}/s"
        return [self.name, self.growing.stage, rows, rate, self.growing.time_left()]


class RunWatcher:
    """The state of every domain of a run, looked at again and again."""

    def __init__(self, run: Path):
        self.run = run
        self._files: dict[Path, GrowingFile] = {}

    def states(self) -> list[DomainState]:
        folders = sorted(f for f in self.run.iterdir() if (f / "logs").is_dir() and f.is_dir())
        return [self._state(folder) for folder in folders]

    def _state(self, folder: Path) -> DomainState:
        outputs = [file for file in folder.glob("*_ins*.json") if file.suffixes == [".json"]]
        outputs.sort(key=lambda file: file.stat().st_mtime)
        growing = None
        for part in folder.glob("*.part"):
            growing = self._growing_file(part) or growing
        return DomainState(folder.name, [file.name for file in outputs], growing)

    def _growing_file(self, part: Path) -> GrowingFile | None:
        try:
            if part not in self._files:
                self._files[part] = GrowingFile(part)
            self._files[part].count()
        except FileNotFoundError:  # it was finished between two looks
            return None
        return self._files[part]


def table(states: list[DomainState]) -> list[str]:
    titles = ("domain", "makes", "rows", "rate", "left")
    rows = [state.cells() for state in states]
    return tables.markdown({title: [row[k] for row in rows] for k, title in enumerate(titles)})


def main(run_path: str, once: bool = False):
    run = Path(run_path)
    if not run.is_dir():
        raise UserError(f"{run}: no such folder")
    watcher = RunWatcher(run)
    lines_drawn = 0
    try:
        while True:
            lines = table(watcher.states())
            if lines_drawn:
                sys.stderr.write(UP_AND_CLEAR.format(lines=lines_drawn))
            sys.stderr.write("\n".join(lines) + "\n")
            sys.stderr.flush()
            if once:
                return
            lines_drawn = len(lines)
            time.sleep(EVERY_S)
    except KeyboardInterrupt:  # whoever started this stops it: that is its ordinary end
        return


if __name__ == "__main__":
    cli.run(main)
