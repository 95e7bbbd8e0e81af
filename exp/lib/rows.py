"""Rows in files: read with the line that is wrong in the message, written whole or not at all."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from lib.cli import UserError

ROOT = Path(__file__).resolve().parents[2]


def dumps(row: dict) -> bytes:
    """One row as one line of UTF-8 JSON, without the newline; a lone surrogate stays the escape that JSON has for it."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False).encode("utf-8", errors="backslashreplace")


def row_id(*parts: str) -> str:
    """16 hex digits of the content's SHA-256: the same text has the same id in every run."""
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", errors="backslashreplace")).hexdigest()[:16]


def derive_seed(seed: int, key: int, salt: str = "") -> int:
    """The sampling seed of row `key`: below 2^31 - 64, so that a server may add the sample's number to it."""
    digest = hashlib.sha256(f"{seed}:{key}:{salt}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % (2**31 - 64)


def sha256(path: str) -> str:
    """The hash of a file's contents; UserError where there is none."""
    try:
        with open(path, "rb") as f:
            return hashlib.file_digest(f, "sha256").hexdigest()
    except OSError as e:
        raise UserError(f"{path}: {e.strerror or e}") from None


def read(path: str, need: tuple[str, ...] = ()) -> list[dict]:
    """The rows of a `.json` array or of `.jsonl` lines, each an object with the keys in `need`; UserError says FILE:LINE."""
    return [row for _, row in read_placed(path, need)]


def read_placed(path: str, need: tuple[str, ...] = ()) -> list[tuple[str, dict]]:
    """As `read`, each row with its place for messages, FILE:LINE."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        part = " (it is still growing as .part: run its stage again to finish it)" if Path(f"{path}.part").exists() else ""
        raise UserError(f"{path}: no such file{part}") from None
    except OSError as e:
        raise UserError(f"{path}: {e.strerror}") from None
    array = data.lstrip()[:1] == b"["
    rows = _parse_array(path, data) if array else _parse_lines(path, data)
    texts = [text.strip(b" \t\r[]," if array else b" \t\r") for text in data.split(b"\n")]
    lines: list = [n for n, text in enumerate(texts, 1) if text and not (array and text[:1] in b'"}')]
    if len(lines) != len(rows):  # an array that is not laid out as one row a line: its number must do
        lines = [f"row {n}" for n in range(1, len(rows) + 1)]
    if not rows:
        raise UserError(f"{path}: no rows")
    return [(f"{path}:{line}", _checked(f"{path}:{line}", row, need)) for line, row in zip(lines, rows, strict=True)]


def stream(path: str, need: tuple[str, ...] = ()) -> Iterator[tuple[str, dict]]:
    """As `read_placed`, one row at a time: a file with one row a line, as all of ours have, is never in memory as a whole."""
    count = 0
    try:
        for number, row in _row_a_line(path):
            yield f"{path}:{number}", _checked(f"{path}:{number}", row, need)
            count += 1
    except _OtherLayout:  # or torn, empty or not there: then this says so
        yield from read_placed(path, need)[count:]


class _OtherLayout(Exception):
    pass


def _row_a_line(path: str) -> Iterator[tuple[int, object]]:
    """(line, row) of `.jsonl`, or of an array whose brackets stand on lines of their own."""
    array, more = None, True  # of an array: whether a row may follow, by the comma behind the one before
    try:
        with open(path, "rb") as f:
            for number, line in enumerate(f, 1):
                text = line.strip()
                if not text:
                    continue
                if array is None:
                    array = text[:1] == b"["
                    if array and text != b"[":
                        raise _OtherLayout
                    if array:
                        continue
                if array:
                    if text == b"]" and not more and not f.read().strip():
                        return
                    if not more:
                        raise _OtherLayout
                    more = text.endswith(b",")
                    text = text.removesuffix(b",")
                yield number, json.loads(text)
    except (OSError, ValueError):
        raise _OtherLayout from None
    if array is not False:
        raise _OtherLayout


def _checked(place: str, row: object, need: tuple[str, ...]) -> dict:
    """The row, if it is an object with the keys in `need`; UserError says what it lacks."""
    if not isinstance(row, dict):
        raise UserError(f"{place}: expected an object, found {type(row).__name__}")
    for key in need:
        if key not in row:
            raise UserError(f"{place}: no key {key!r} (has: {', '.join(row) or 'nothing'})")
        if row[key] is None or row[key] == "" or row[key] == []:
            raise UserError(f"{place}: {key!r} is empty")
        if key == "responses" and not (isinstance(row[key], list) and all(isinstance(r, str) for r in row[key])):
            raise UserError(f"{place}: {key!r} is not a list of texts")
        if key == "instruction" and not isinstance(row[key], str):
            raise UserError(f"{place}: {key!r} is a {type(row[key]).__name__}, not text")
    return row


def _parse_array(path: str, data: bytes) -> list:
    try:
        return json.loads(data)
    except UnicodeDecodeError as e:
        raise UserError(f"{path}:{data[: e.start].count(10) + 1}: not UTF-8") from None
    except json.JSONDecodeError as e:
        raise UserError(f"{path}:{e.lineno}: torn or not JSON ({e.msg}); make it again, or mend that line") from None


def _parse_lines(path: str, data: bytes) -> list:
    rows = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except ValueError as e:
                why = "not UTF-8" if isinstance(e, UnicodeDecodeError) else f"torn or not JSON ({e.msg})"
                raise UserError(f"{path}:{number}: {why}; make it again, or mend that line") from None
    return rows


def write_whole(path: str | Path, data: bytes) -> None:
    """Create or replace a file in one step: other processes see the old one or the new one, never a part."""
    temporary = Path(f"{path}.tmp")
    with open(temporary, "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
    os.replace(temporary, path)


def write_json(path: str | Path, value: object) -> None:
    """A value as indented JSON, in one step as `write_whole`."""
    write_whole(path, json.dumps(value, ensure_ascii=False, indent=2).encode("utf-8", errors="backslashreplace") + b"\n")
