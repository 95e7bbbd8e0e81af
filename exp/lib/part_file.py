"""The file in which an output grows: one line a finished row, in the order of finishing.

A line is appended in one write, so that a kill tears the last line only, which the next session
cuts off. The last line of a key counts.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from lib.errors import UserError
from lib.locks import hold
from lib.rows import dumps

NO_SPACE = 28  # ENOSPC


class Record(NamedTuple):
    """A finished row by its place among all; `reason` is why it was dropped, None if it was not."""

    key: int
    row: dict
    reason: str | None


class PartFile:
    """Records on the disk, found by their keys. `dropped` counts those that are not kept."""

    def __init__(self, path: Path):
        self.path = path
        self.dropped: Counter[str] = Counter()  # by reason
        self._places: dict[int, tuple[int, str | None]] = {}  # key -> offset, reason
        self._descriptor: int | None = None
        self._end = 0

    def hold(self) -> None:
        """Open the file, which may be new, and hold it against other processes."""
        self._descriptor = hold(self.path)

    def release(self) -> None:
        """Let other processes hold it."""
        os.close(self._descriptor)

    def is_empty(self) -> bool:
        return os.fstat(self._descriptor).st_size == 0

    def read(self) -> None:
        """Find the records of earlier sessions, and cut a torn last line off."""
        with open(self.path, "rb") as file:
            for line_number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    record = json.loads(line)
                    self._note(record["key"], self._end, record.get("why"))
                except (ValueError, KeyError, TypeError):
                    advice = "mend that line or use --overwrite"
                    raise UserError(f"{self.path}:{line_number}: no row; {advice}") from None
                self._end += len(line)
        os.ftruncate(self._descriptor, self._end)

    def empty(self) -> None:
        os.ftruncate(self._descriptor, 0)

    def replace(self, records: Iterable[Record]) -> None:
        """Write these records in place of all that is there; returns when they are on the disk."""
        self.empty()
        with open(self.path, "ab") as file:
            for record in records:
                file.write(_line_of(record))
            file.flush()
            os.fsync(file.fileno())

    def add(self, record: Record) -> None:
        """Append a record. OSError if the disk is full; what was there stays whole."""
        assert record.key not in self._places, f"row {record.key} was answered twice"
        line = _line_of(record)
        bytes_written = os.write(self._descriptor, line)
        if bytes_written != len(line):
            os.ftruncate(self._descriptor, self._end)
            raise OSError(NO_SPACE, "No space left on device", str(self.path))
        self._note(record.key, self._end, record.reason)
        self._end += len(line)

    def records(self) -> Iterator[Record]:
        """All records in the order of their keys, read one at a time."""
        with open(self.path, "rb") as file:
            for key in sorted(self._places):
                offset, reason = self._places[key]
                file.seek(offset)
                yield Record(key, json.loads(file.readline())["row"], reason)

    def forget(self, keys: Iterable[int]) -> None:
        """Count the records of these keys as unfinished."""
        for key in list(keys):
            _, reason = self._places.pop(key)
            if reason:
                self.dropped -= Counter([reason])

    def keys_from(self, first_key: int) -> list[int]:
        return [key for key in self._places if key >= first_key]

    def __contains__(self, key: int) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def _note(self, key: int, offset: int, reason: str | None) -> None:
        if key in self._places:
            self.forget([key])
        self._places[key] = (offset, reason)
        if reason:
            self.dropped[reason] += 1


def _line_of(record: Record) -> bytes:
    fields = {"key": record.key}
    if record.reason:
        fields["why"] = record.reason
    fields["row"] = record.row
    return dumps(fields) + b"\n"
