"""A stage's output while it grows: a finished name means a whole file, made with known settings.

While it grows, `X.json` is `X.json.part`: one line a finished row, appended in one write, in the order of finishing. Only
`Output.finish` creates `X.json` (rows in order of their key), so a kill at any byte costs the rows in flight and nothing else.
"""

import fcntl
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from lib.cli import UserError
from lib.rows import dumps, sha256, write_json


class Output:
    """One output file of one stage: opened, resumed or recognised as finished; then rows are kept or dropped by key.

    `settings` is everything that changes a row; with the inputs' hashes it is remembered in `X.meta.json`, and a rerun
    with others is refused. `notes` is remembered too (engine, versions) but may differ. Keys are the rows' places: ints.
    """

    def __init__(self, path: str, stage: str, settings: dict, inputs: tuple[str, ...] = (), overwrite: bool = False):
        self.path, self.stage = Path(path), stage
        self.part, self.meta_path = Path(f"{path}.part"), Path(f"{path}.meta.json")
        self.dropped_path = Path(f"{path}.dropped.jsonl")
        self.made_by = {"stage": stage, "settings": settings, "inputs": {str(p): sha256(p) for p in inputs}}
        self._places: dict[int, tuple[int, str | None]] = {}  # key -> offset in .part, why it was dropped
        self.dropped: Counter[str] = Counter()  # how many rows so far, by reason
        self._fd: int | None = None
        if overwrite:
            for old in (self.path, self.part, self.meta_path, self.dropped_path):
                old.unlink(missing_ok=True)
        self.meta = self._remembered()
        self.finished = self.path.exists()
        if self.finished:
            self.part.unlink(missing_ok=True)  # a kill between the last rename and this unlink leaves it

    def _remembered(self) -> dict:
        if not (self.path.exists() or self.part.exists()):
            return {}
        try:
            old = json.loads(self.meta_path.read_bytes())
        except (OSError, ValueError):
            raise UserError(f"{self.path} exists but its {self.meta_path.name} cannot be read; "
                            "use another --save_path or --overwrite") from None  # fmt: skip
        now, differences = self.made_by, []
        if old["stage"] != now["stage"]:
            differences.append(f"stage {old['stage']}, now {now['stage']}")
        for key in sorted(old["settings"].keys() | now["settings"].keys()):
            before, after = old["settings"].get(key), now["settings"].get(key)
            if before != after:
                differences.append(f"{key} {before}, now {after}")
        # By hash and not by name: a run's folder may be moved.
        if list(old["inputs"].values()) != list(now["inputs"].values()):
            differences.append(f"other contents of {', '.join(now['inputs'])}")
        if differences:
            raise UserError(f"{self.path} was made with {'; '.join(differences)}; use another --save_path or --overwrite")
        return old

    def open(self, notes: dict) -> None:
        """Create or resume `.part`; a torn last line is cut off. Only one process at a time may hold it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.part.exists():
            self.meta = {**self.made_by, "notes": notes, "seconds": 0.0}
            write_json(self.meta_path, self.meta)
        self._fd = os.open(self.part, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{self.part} is being written by another process; wait for it or stop it") from None
        end = 0
        with open(self.part, "rb") as f:
            for number, line in enumerate(f, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    record = json.loads(line)
                except ValueError:
                    raise UserError(f"{self.part}:{number}: not JSON; mend that line or use --overwrite") from None
                self._note(record["key"], end, record.get("why"))
                end += len(line)
        os.ftruncate(self._fd, end)
        self._end, self.resumed, self._started = end, len(self._places), time.monotonic()

    def __contains__(self, key: int) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def _note(self, key: int, offset: int, why: str | None) -> None:
        self._places[key] = (offset, why)
        self.dropped.update([why] if why else [])

    def add(self, key: int, row: dict, why: str | None = None) -> None:
        """Remember that row `key` is finished: kept, or with `why` dropped. One append, so a kill tears only this line."""
        assert key not in self._places, f"row {key} was answered twice"
        line = dumps({"key": key, "why": why, "row": row} if why else {"key": key, "row": row}) + b"\n"
        written = os.write(self._fd, line)
        if written != len(line):  # a full disk: cut the torn line off, so that a resume starts clean
            os.ftruncate(self._fd, self._end)
            raise OSError(28, "No space left on device", str(self.part))
        self._note(key, self._end, why)
        self._end += len(line)

    def records(self) -> Iterator[tuple[int, dict, str | None]]:
        """(key, row, why) of all finished rows in the order of their keys, read back one at a time."""
        with open(self.part, "rb") as f:
            for key in sorted(self._places):
                offset, why = self._places[key]
                f.seek(offset)
                yield key, json.loads(f.readline())["row"], why

    def pause(self) -> None:
        """Add this session's seconds to the meta file: called whenever the loop ends, finished or not."""
        self.meta["seconds"] = round(self.meta["seconds"] + time.monotonic() - self._started, 3)
        self._started = time.monotonic()
        write_json(self.meta_path, self.meta)

    def finish(self, rows_in: int, check: Callable[[dict], str | None] | None = None, **figures: object) -> None:
        """Write kept rows to X and dropped ones beside it, in key order. `check` may drop more, seeing rows in that order."""
        assert len(self) == rows_in, f"{rows_in} rows in, {len(self)} accounted for"
        kept, reasons = 0, Counter()
        whole, aside = Path(f"{self.path}.tmp"), Path(f"{self.dropped_path}.tmp")
        lines = self.path.suffix == ".jsonl"
        first, between, last, none = (b"", b"\n", b"\n", b"") if lines else (b"[\n", b",\n", b"\n]\n", b"[]\n")
        with open(whole, "wb") as x, open(aside, "wb") as d:
            for _, row, why in self.records():
                why = why or (check(row) if check else None)
                if why:
                    reasons[why] += 1
                    d.write(dumps({"why": why, **row}) + b"\n")
                else:
                    x.write((between if kept else first) + dumps(row))
                    kept += 1
            x.write(last if kept else none)
            for f in (x, d):
                f.flush()
                os.fsync(f.fileno())
        self.meta |= {"rows_in": rows_in, "rows_out": kept, "dropped": dict(sorted(reasons.items())), **figures}
        assert rows_in == kept + sum(reasons.values())
        self.pause()
        if reasons:
            os.replace(aside, self.dropped_path)
        else:
            aside.unlink()
        os.replace(whole, self.path)
        self.part.unlink()
        self.finished = True
