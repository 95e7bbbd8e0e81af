"""A stage's output while it grows: a finished name means a whole file, made with known settings.

While it grows, `X.json` is `X.json.part` (lib/part_file.py). Only `Output.finish` creates `X.json`,
with the rows in the order of their keys, so a kill at any byte costs the rows in flight and nothing
else.

A finished file can grow or shrink with its input: it becomes `.part` again, rows that still answer
their input are kept, and the result is the file of a run that had the new input from the start.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from lib import progress
from lib.errors import UserError
from lib.locks import remove_unless_held
from lib.part_file import PartFile, Record
from lib.progress import say, shown_path
from lib.rows import dumps, is_made_from, sha256, stream, write_json

REFUSE, EXTEND, REMAKE = "refuse", "extend", "remake"  # what a new input does to a finished file

# What a rerun reads of a meta file, and what only a finished file's has.
META_KEYS = {"stage": str, "settings": dict, "inputs": dict, "seconds": (int, float)}
FINISHED_KEYS = {"rows_in": int, "rows_out": int, "dropped": dict}


class Output:
    """One output file of one stage: new, resumed, or recognised as finished.

    `settings` is everything that changes a row; with the hashes of the inputs it is remembered in
    `X.meta.json`, and a rerun with others is refused. Keys are the rows' places: ints.
    """

    def __init__(
        self,
        path: str,
        stage: str,
        settings: dict,
        inputs: tuple[str, ...] = (),
        overwrite: bool = False,
        adjustable: tuple[str, ...] = (),
        new_input: str = REFUSE,
    ):
        """`adjustable` names settings that may change: the stage keeps the rows that still hold.

        `new_input` says what other contents of an input do: refuse, extend (rows that still answer
        theirs are kept, see `answers_to`) or remake.
        """
        self.path = Path(path)
        self.part = Path(f"{path}.part")
        self.meta_path = Path(f"{path}.meta.json")
        self.dropped_path = Path(f"{path}.dropped.jsonl")
        hashes = {str(name): sha256(name) for name in inputs}
        self.made_by = {"stage": stage, "settings": settings, "inputs": hashes}
        self._finished_rows = PartFile(self.part)
        self._overwrite = overwrite  # what is there stays until `open` holds it
        self._adjustable, self._new_input = adjustable, new_input
        self._changes: list[str] = []  # what has changed since an earlier session, and may
        self._is_current: Callable[[int, dict], bool] | None = None
        self.meta = {} if overwrite else self._remembered_meta()
        self.finished = self.path.exists() and not overwrite and not self._changes
        if self.finished:
            # Left by a kill between the last rename and its removal. If a process that was started
            # with --overwrite holds it, it stays.
            remove_unless_held(self.part)

    def announce(self, what: str) -> bool:
        """Say in the first second what will be made; True if it is there already."""
        if self.finished:
            say(f"{shown_path(self.path)} is finished: {self.summary()}; nothing to do")
        else:
            say(f"{what} -> {shown_path(self.path)}")
        if self._changes:
            kept = "made anew" if self._new_input == REMAKE else "finished rows are kept"
            say(f"{self.path.name} was made with {'; '.join(self._changes)}: {kept}")
        return self.finished

    def open(self, notes: dict | None = None, total: int | None = None) -> None:
        """Create or resume `.part`; a torn last line is cut off. One process at a time holds it.

        With --overwrite what was there before is removed once this process holds it, not earlier.
        `notes` is remembered but may differ in a later session (engine, versions, hardware);
        `total` is how many rows are expected, for those who watch the file grow.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._finished_rows.hold()
        if self._overwrite:
            self._remove_old_files()
        else:  # another process may have worked on it since this one looked
            self.meta = self._remembered_meta()
        if self._changes:
            self._refill_part()
        elif self._finished_rows.is_empty():
            self._refuse_finished()
            self.meta = {**self.made_by, "notes": notes or {}, "seconds": 0.0}
            if total is not None:
                self.meta["rows_expected"] = total
            write_json(self.meta_path, self.meta)
        self._finished_rows.read()
        self._forget_stale_rows()
        if self._changes:
            self._take_over(total)
        self.resumed = len(self)
        self._started = time.monotonic()

    def __contains__(self, key: int) -> bool:
        return key in self._finished_rows

    def __len__(self) -> int:
        return len(self._finished_rows)

    @property
    def dropped(self) -> Counter[str]:
        """The dropped rows so far, by the reason."""
        return self._finished_rows.dropped

    @property
    def kept(self) -> int:
        """Finished rows that were not dropped."""
        return len(self) - self.dropped.total()

    def add(self, key: int, row: dict, reason: str | None = None) -> None:
        """Remember that row `key` is finished: kept, or dropped for a reason."""
        self._finished_rows.add(Record(key, row, reason))

    def records(self) -> Iterator[Record]:
        """All finished rows in the order of their keys, one at a time."""
        return self._finished_rows.records()

    def pause(self) -> None:
        """Add this session's seconds to the meta file, whether the work is finished or not."""
        now = time.monotonic()
        self.meta["seconds"] = round(self.meta["seconds"] + now - self._started, 3)
        self._started = now
        write_json(self.meta_path, self.meta)

    def finish(self, rows_in: int, check: Callable[[dict], str | None] | None = None) -> None:
        """Write the kept rows to X and the dropped ones beside it, in the order of their keys.

        `check` sees the kept rows in that order and may drop more: it returns the reason or None.
        """
        assert len(self) == rows_in, f"{rows_in} rows in, {len(self)} accounted for"
        whole_path, aside_path = Path(f"{self.path}.tmp"), Path(f"{self.dropped_path}.tmp")
        reasons: Counter[str] = Counter()
        with open(whole_path, "wb") as kept_file, open(aside_path, "wb") as dropped_file:
            writer = _RowWriter(kept_file, is_array=self.path.suffix != ".jsonl")
            for key, row, reason in self.records():
                if reason is None and check:
                    reason = check(row)
                if reason:
                    reasons[reason] += 1
                    number = {"row_number": key} if self._may_grow else {}
                    dropped_file.write(dumps({"why": reason, **number, **row}) + b"\n")
                else:
                    writer.write(row)
            writer.end()
            for file in (kept_file, dropped_file):
                file.flush()
                os.fsync(file.fileno())
        assert rows_in == writer.rows + reasons.total()
        self.meta.pop("rows_expected", None)
        self.meta |= {"rows_in": rows_in, "rows_out": writer.rows}
        self.meta["dropped"] = dict(sorted(reasons.items()))
        self.pause()
        if reasons:
            os.replace(aside_path, self.dropped_path)
        else:
            aside_path.unlink()
            self.dropped_path.unlink(missing_ok=True)  # of an earlier session
        os.replace(whole_path, self.path)
        self.part.unlink()
        self._finished_rows.release()
        self.finished = True

    def finish_or_abandon(self, rows_in: int) -> None:
        """Finish the file and say so; if every row was dropped, abandon it."""
        if self.dropped.total() == rows_in:
            self.abandon()
        self.finish(rows_in)
        self.done()

    def write_rows(self, rows: Iterable[tuple[dict, str | None]], notes: dict) -> None:
        """Open, fill and finish in one go with (row, why it is dropped) pairs.

        A second row of the same `id` is dropped as a repeat.
        """
        seen_ids: set[str] = set()
        self.open(notes)
        row_count = 0
        for key, (row, reason) in enumerate(rows):
            if reason is None and row["id"] in seen_ids:
                reason = "repeat"
            if reason is None:
                seen_ids.add(row["id"])
            if key not in self:
                self.add(key, row, reason)
            row_count = key + 1
        self.finish_or_abandon(row_count)

    def abandon(self) -> NoReturn:
        """Remove what came to nothing, so that other settings may try; UserError says why."""
        self.part.unlink()
        self.meta_path.unlink()
        self._finished_rows.release()
        counts = progress.reasons(self.dropped)
        raise UserError(f"{self.path}: no row is left: {counts}; nothing is written")

    def summary(self) -> str:
        """`4,988 rows, 12 dropped (9 truncated, 3 empty), 26m, 8,120 tokens/s`."""
        meta = self.meta
        figures = [f"{meta['rows_out']:,} rows"]
        figures.append(progress.reasons(meta["dropped"]))
        figures.append(progress.clock(meta["seconds"]))
        if meta.get("tokens") and meta.get("asking_seconds"):
            tokens_per_second = meta["tokens"] / meta["asking_seconds"]
            figures.append(f"{tokens_per_second:,.0f} tokens/s")
        return ", ".join(figures)

    def done(self) -> None:
        """The last line of a stage: what it wrote."""
        say(f"wrote {shown_path(self.path)}: {self.summary()}")

    def _refuse_finished(self) -> None:
        """UserError if another process has finished the file since this one looked."""
        if self.path.exists():
            self.part.unlink()
            advice = "run the same command again"
            raise UserError(f"{self.path} was finished by another process just now; {advice}")

    def _remove_old_files(self) -> None:
        """Empty `.part`, which is held, and remove the file of an earlier run.

        Its meta file is replaced by the new one in one step, so that no moment leaves a file with
        another's settings.
        """
        self._finished_rows.empty()
        self.path.unlink(missing_ok=True)
        self.dropped_path.unlink(missing_ok=True)

    def _remembered_meta(self) -> dict:
        """The meta file of an earlier session; UserError if that one had other settings."""
        # A `.part` without a row is left by a session that failed before its first one.
        is_begun = self.part.exists() and self.part.stat().st_size > 0
        if not (self.path.exists() or is_begun):
            return {}
        old_meta = self._read_meta()
        old_settings, new_settings = dict(old_meta["settings"]), dict(self.made_by["settings"])
        old_adjustable = {name: old_settings.pop(name, None) for name in self._adjustable}
        new_adjustable = {name: new_settings.pop(name, None) for name in self._adjustable}
        differences = changed_settings(
            {"stage": old_meta["stage"], **old_settings},
            {"stage": self.made_by["stage"], **new_settings},
        )
        self._changes = changed_settings(old_adjustable, new_adjustable)
        # Inputs are compared by hash and not by name: a run's folder may be moved.
        old_inputs, new_inputs = old_meta["inputs"], self.made_by["inputs"]
        if list(old_inputs.values()) != list(new_inputs.values()):
            if self._new_input != REFUSE and _are_of_one_run(old_inputs, new_inputs):
                self._changes.append(self._other_contents())
            else:
                differences.append(self._other_contents())
        refuse_changes(self.path, differences)
        return old_meta

    def _read_meta(self) -> dict:
        """The meta file that is there; UserError if it is missing, torn or not one of a stage."""
        needed_keys = META_KEYS | (FINISHED_KEYS if self.path.exists() else {})
        try:
            meta = json.loads(self.meta_path.read_bytes())
            is_whole = all(isinstance(meta[key], kind) for key, kind in needed_keys.items())
        except (OSError, ValueError, KeyError, TypeError):
            is_whole = False
        if not is_whole:
            unreadable = f"exists but its {self.meta_path.name} cannot be read"
            advice = "use another --save_path or --overwrite"
            raise UserError(f"{self.path} {unreadable}; {advice}")
        return meta

    def _other_contents(self) -> str:
        return f"other contents of {', '.join(self.made_by['inputs'])}"

    # A finished file whose input or number of rows has changed.

    def answers_to(
        self, input_rows: list[dict], is_made_from: Callable[[dict, dict], bool] = is_made_from
    ) -> None:
        """Say before `open` which rows there are to answer: the row of key k is that of place k.

        A row of an earlier session is kept if `is_made_from(row, input_row)`; the others are asked
        again, or are gone with their input.
        """

        def is_current(key: int, row: dict) -> bool:
            return key < len(input_rows) and is_made_from(row, input_rows[key])

        self._is_current = is_current

    def forget_from(self, first_key: int) -> None:
        """Forget the rows of this key and higher ones."""
        self._finished_rows.forget(self._finished_rows.keys_from(first_key))

    @property
    def _may_grow(self) -> bool:
        return bool(self._adjustable) or self._new_input == EXTEND

    def _refill_part(self) -> None:
        """Fill `.part` from the finished file, which stays until all of it is on the disk."""
        if self._new_input == REMAKE:
            self._finished_rows.empty()
        elif self.path.exists():
            self._finished_rows.replace(self._finished_records())

    def _finished_records(self) -> Iterator[Record]:
        """The records of `.part` again: dropped rows know their keys, kept ones fill the rest."""
        dropped_rows = self._numbered_dropped_rows() if self.meta["dropped"] else {}
        kept_rows = stream(str(self.path)) if self.meta["rows_out"] else iter(())
        for key in range(self.meta["rows_in"]):
            if key in dropped_rows:
                row = dropped_rows[key]
                reason = row.pop("why")
                yield Record(key, row, reason)
                continue
            place, row = next(kept_rows, ("", None))
            if row is None:
                problem = "has fewer rows than its meta file counts"
                raise UserError(f"{self.path} {problem}; make it again with --overwrite")
            yield Record(key, row, None)

    def _numbered_dropped_rows(self) -> dict[int, dict]:
        dropped_rows = {}
        for place, row in stream(str(self.dropped_path), need=("why",)):
            if "row_number" not in row:
                problem = f"{place}: no key 'row_number', so that no row can be added to"
                raise UserError(f"{problem} {self.path}; use another --save_path or --overwrite")
            dropped_rows[row.pop("row_number")] = row
        return dropped_rows

    def _forget_stale_rows(self) -> None:
        """Forget rows that answer no row of the input; if none is left, it is another input."""
        if self._is_current is None or not (self._changes or "changes" in self.meta):
            return
        stale_keys = [key for key, row, _ in self.records() if not self._is_current(key, row)]
        if self._changes and stale_keys and len(stale_keys) == len(self):
            refuse_changes(self.path, [self._other_contents()])
        self._finished_rows.forget(stale_keys)

    def _take_over(self, total: int | None) -> None:
        """From now on the file is unfinished and of the new settings and inputs."""
        self.path.unlink(missing_ok=True)
        self.dropped_path.unlink(missing_ok=True)
        for key in ("rows_in", "rows_out", "dropped"):
            self.meta.pop(key, None)
        self.meta |= self.made_by
        self.meta["changes"] = self.meta.get("changes", []) + self._changes
        if total is not None:
            self.meta["rows_expected"] = total
        write_json(self.meta_path, self.meta)


class _RowWriter:
    """Writes rows one a line, as `.jsonl` or as a JSON array."""

    def __init__(self, file, is_array: bool):
        self.file, self.is_array, self.rows = file, is_array, 0

    def write(self, row: dict) -> None:
        if self.is_array:
            self.file.write(b",\n" if self.rows else b"[\n")
        self.file.write(dumps(row))
        if not self.is_array:
            self.file.write(b"\n")
        self.rows += 1

    def end(self) -> None:
        if self.is_array:
            self.file.write(b"\n]\n" if self.rows else b"[]\n")


def _are_of_one_run(old_inputs: dict[str, str], new_inputs: dict[str, str]) -> bool:
    """Whether the inputs have the same file names; a run that goes on may have more of them."""
    old_names = {Path(name).name for name in old_inputs}
    new_names = {Path(name).name for name in new_inputs}
    return old_names <= new_names or new_names <= old_names


def changed_settings(old: dict, new: dict) -> list[str]:
    """`temperature 0.05, now 0.8` for every setting that differs, in the order of their names."""
    changes = []
    names = sorted(old.keys() | new.keys())
    for name in sorted(names, key=lambda name: name != "stage"):  # the stage first
        if old.get(name) != new.get(name):
            changes.append(f"{name} {old.get(name)}, now {new.get(name)}")
    return changes


def refuse_changes(path: Path, differences: list[str]) -> None:
    """UserError if something that is there already was made with other settings."""
    if differences:
        changes = "; ".join(differences)
        raise UserError(f"{path} was made with {changes}; use another --save_path or --overwrite")
