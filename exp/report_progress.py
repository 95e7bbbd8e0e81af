"""Show a growing run as one live table: what each domain is making, its rows, rate and time left.

in    data/RUN/<domain>/     the .part files that the stages are writing, their .meta.json
out   stderr                 the table, drawn again every second; --once prints it once
      python exp/report_progress.py --run_path data/demo --once

The main job draws it on a terminal, where the lines of six domains would run into each other. It
can as well be called beside a run that is under way elsewhere.
"""

import json
import shutil
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
        meta_path = part.with_name(f"{self.name}.meta.json")
        meta = json.loads(meta_path.read_bytes())
        self.stage: str = meta["stage"]
        self.expected: int | None = meta.get("rows_expected")
        self.rows = self._offset = 0
        self.count()
        self.rows_at_start, self.started = self.rows, time.monotonic()

    def count(self) -> None:
        """Count the lines that were appended since the last look."""
        with open(self.part, "rb") as part_file:
            part_file.seek(self._offset)
            appended = part_file.read()
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

    domain: str
    finished_files: list[str]  # their names, the oldest first
    growing_file: GrowingFile | None

    def cells(self) -> dict[str, str]:
        """The domain's line of the table, by the titles of its columns."""
        file = self.growing_file
        if file:
            rows = f"{file.rows:,}"
            if file.expected:
                rows += f"/{file.expected:,}"
            state, rate, time_left = file.stage, f"{file.rate():.1f}/s", file.time_left()
        else:
            rows = rate = time_left = "–"
            state = "waiting"
            if self.finished_files:
                newest = self.finished_files[-1]
                state = newest.removeprefix(f"{self.domain}_").removesuffix(".json") + " done"
        return {
            "domain": self.domain,
            "state": state,
            "rows": rows,
            "rate": rate,
            "left": time_left,
        }


class RunWatcher:
    """The state of every domain of a run, looked at again and again."""

    def __init__(self, run: Path):
        self.run = run
        self._files: dict[Path, GrowingFile] = {}

    def states(self) -> list[DomainState]:
        log_folders = sorted(
            self.run.glob("*/logs")
        )  # every domain has one from its first stage on
        return [self._state(log_folder.parent) for log_folder in log_folders]

    def _state(self, folder: Path) -> DomainState:
        finished_files = []
        for file in folder.glob("*_ins*.json"):
            if file.suffixes == [".json"]:  # not X.meta.json
                finished_files.append(file)
        finished_files.sort(key=lambda file: file.stat().st_mtime)
        growing_file = None
        for part in folder.glob("*.part"):
            growing_file = self._growing_file(part) or growing_file
        return DomainState(folder.name, [file.name for file in finished_files], growing_file)

    def _growing_file(self, part: Path) -> GrowingFile | None:
        try:
            if part not in self._files:
                self._files[part] = GrowingFile(part)
            self._files[part].count()
        except FileNotFoundError:  # it was finished between two looks
            return None
        return self._files[part]


def table(states: list[DomainState]) -> list[str]:
    """The lines of the table, one for each domain."""
    columns: dict[str, list[str]] = {}
    for state in states:
        for title, cell in state.cells().items():
            columns.setdefault(title, []).append(cell)
    return tables.markdown(columns) if columns else ["no domain has begun"]


def main(run_path: str, once: bool = False):
    run = Path(run_path)
    if not run.is_dir():
        raise UserError(f"{run}: no such folder")
    watcher = RunWatcher(run)
    lines_drawn = 0
    try:
        while True:
            # A line that the terminal wraps would be two, and the table drawn beside itself.
            width = shutil.get_terminal_size((200, 24)).columns
            lines = [line[:width] for line in table(watcher.states())]
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
