"""Rows in files: read with the line that is wrong in the message, written whole or not at all."""

import hashlib
import json
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NoReturn

from lib.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


def dumps(row: dict) -> bytes:
    """One row as one line of UTF-8 JSON, without the newline; half a character becomes U+FFFD.

    ValueError for a number that JSON has not, NaN or Infinity.
    """
    return _encoded(json.dumps(row, ensure_ascii=False, allow_nan=False))


def row_id(*parts: str) -> str:
    """16 hex digits of the content's SHA-256: the same text has the same id in every run."""
    content = "\x1f".join(parts).encode("utf-8", errors="backslashreplace")
    return hashlib.sha256(content).hexdigest()[:16]


def with_id(row: dict) -> dict:
    """A copy of an instruction's row with its `id` first; an id that is there stays."""
    return {"id": row.get("id") or row_id(row["instruction"]), **row}


def is_made_from(row: dict, input_row: dict) -> bool:
    """Whether a stage that only adds keys has made the row from this input row."""
    return all(row.get(key) == value for key, value in input_row.items())


def derive_seed(seed: int, key: int, salt: str = "") -> int:
    """The sampling seed of row `key`, below 2^31 - 64: a server may add a sample's number to it."""
    digest = hashlib.sha256(f"{seed}:{key}:{salt}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % (2**31 - 64)


def sha256(path: str | Path) -> str:
    """The hash of a file's contents; UserError if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as e:
        raise UserError(f"{path}: {e.strerror or e}") from None


def read(path: str, need: tuple[str, ...] = ()) -> list[dict]:
    """The rows of a `.json` array or of `.jsonl` lines, each an object with the keys in `need`.

    UserError says FILE:LINE and what is wrong there.
    """
    return [row for _, row in read_placed(path, need)]


def read_placed(path: str, need: tuple[str, ...] = ()) -> list[tuple[str, dict]]:
    """As `read`, each row with its place for messages, FILE:LINE."""
    data = _read_bytes(path)
    is_array = data.lstrip()[:1] == b"["
    rows = _parse_array(path, data) if is_array else _parse_lines(path, data)
    if not rows:
        raise UserError(f"{path}: no rows")
    may_hold_halves = _may_hold_halves(data)
    labels = _line_numbers(data, is_array)
    if len(labels) != len(rows):  # an array that is not laid out as one row a line
        labels = [f"row {number}" for number in range(1, len(rows) + 1)]
    placed_rows = []
    for label, row in zip(labels, rows, strict=True):
        place = f"{path}:{label}"
        if may_hold_halves and _holds_halves(row):
            advice = "make it again, or mend that line"
            raise UserError(f"{place}: half a character (a lone \\ud800 to \\udfff); {advice}")
        placed_rows.append((place, _checked(place, row, need)))
    return placed_rows


def stream(path: str, need: tuple[str, ...] = ()) -> Iterator[tuple[str, dict]]:
    """As `read_placed`, but with one row in memory at a time where the file has one row a line."""
    rows_read = 0
    try:
        for line_number, row in _stream_lines(path):
            place = f"{path}:{line_number}"
            yield place, _checked(place, row, need)
            rows_read += 1
    except _OtherLayout:  # or torn, empty, or not there: reading it whole says which
        yield from read_placed(path, need)[rows_read:]


def write_whole(path: str | Path, data: bytes) -> None:
    """Create or replace a file in one step: other processes see the old one or the new one."""
    temporary_path = Path(f"{path}.tmp")
    with open(temporary_path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary_path, path)


def write_json(path: str | Path, value: object) -> None:
    """A value as indented JSON, in one step as `write_whole`.

    UserError for NaN or an infinite number, which JSON has not.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    except ValueError:
        raise UserError(f"{path}: a figure is NaN or infinite; nothing is written") from None
    write_whole(path, _encoded(text))


def write_lines(path: str | Path, rows: list[dict]) -> None:
    """Rows as `.jsonl`, in one step as `write_whole`."""
    write_whole(path, b"".join(dumps(row) + b"\n" for row in rows))


def read_object(path: str | Path) -> dict | None:
    """The object that a JSON file holds; None without the file, UserError if it is torn."""
    try:
        value = json.loads(Path(path).read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as e:
        raise UserError(f"{path}: torn or not JSON ({e}); make it again") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected an object, found {type(value).__name__}")
    return value


def _encoded(text: str) -> bytes:
    """UTF-8. A lone surrogate has no bytes in it: U+FFFD takes its place.

    A server's JSON may hold one, `\\ud800`, where an answer was cut inside a character; vLLM itself
    writes U+FFFD there.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return whole.encode("utf-8")


class _NoNumber(ValueError):
    """NaN, Infinity, or a number too large for a float: JSON has none of them."""


def _refuse_number(literal: str) -> NoReturn:
    raise _NoNumber(literal)


def _finite(literal: str) -> float:
    number = float(literal)
    if math.isinf(number):
        raise _NoNumber(literal)
    return number


_NEXT_VALUE = re.compile(r"[\s,]*")
_DECODER = json.JSONDecoder(parse_constant=_refuse_number, parse_float=_finite)


def _decode(data: bytes) -> object:
    """The value in JSON. ValueError: torn, not UTF-8, or a number that JSON has not."""
    return _DECODER.decode(data.decode(json.detect_encoding(data)))


def _may_hold_halves(data: bytes) -> bool:
    """Whether there is an escape that may be half a character; so may one of a whole pair."""
    if b"\\u" not in data:  # one search is enough for most: 100 MB take 0.07 s
        return False
    return b"\\ud" in data or b"\\uD" in data


def _holds_halves(row: object) -> bool:
    try:
        json.dumps(row, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _read_bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        growing = ""
        if Path(f"{path}.part").exists():
            growing = " (it is still growing as .part: run its stage again to finish it)"
        raise UserError(f"{path}: no such file{growing}") from None
    except OSError as e:
        raise UserError(f"{path}: {e.strerror}") from None


def _line_numbers(data: bytes, is_array: bool) -> list[str]:
    """The numbers of the lines that hold a row, if the file has one row a line."""
    line_numbers = []
    for line_number, line in enumerate(data.split(b"\n"), 1):
        content = line.strip(b" \t\r[],") if is_array else line.strip(b" \t\r")
        inside_a_row = is_array and content[:1] in (b'"', b"}")
        if content and not inside_a_row:
            line_numbers.append(str(line_number))
    return line_numbers


class _OtherLayout(Exception):
    """The file has not one row a line."""


def _stream_lines(path: str) -> Iterator[tuple[int, object]]:
    """(line number, row) of `.jsonl`, or of an array whose brackets stand on lines of their own."""
    try:
        with open(path, "rb") as file:
            lines = _filled_lines(file)
            line_number, content = next(lines, (0, b""))
            if content == b"[":
                yield from _array_lines(lines)
            elif content[:1] in (b"", b"["):
                raise _OtherLayout
            else:
                yield line_number, _decode_row(content)
                for line_number, content in lines:
                    yield line_number, _decode_row(content)
    except (OSError, ValueError):
        raise _OtherLayout from None


def _decode_row(content: bytes) -> object:
    row = _decode(content)
    if _may_hold_halves(content) and _holds_halves(row):
        raise _OtherLayout  # reading the file whole says what is wrong, and where
    return row


def _filled_lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """(line number, stripped line) of every line that is not blank."""
    for line_number, line in enumerate(file, 1):
        content = line.strip()
        if content:
            yield line_number, content


def _array_lines(lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, object]]:
    """The rows behind an array's opening bracket; every row but the last ends in a comma."""
    row_may_follow = True
    for line_number, content in lines:
        if not row_may_follow:
            if content == b"]" and next(lines, None) is None:
                return
            raise _OtherLayout
        row_may_follow = content.endswith(b",")
        yield line_number, _decode_row(content.removesuffix(b","))
    raise _OtherLayout  # the closing bracket is missing


def _checked(place: str, row: object, need: tuple[str, ...]) -> dict:
    """The row, if it is an object with the keys in `need`; UserError says what it lacks."""
    if not isinstance(row, dict):
        raise UserError(f"{place}: expected an object, found {type(row).__name__}")
    for key in need:
        if key not in row:
            raise UserError(f"{place}: no key {key!r} (has: {', '.join(row) or 'nothing'})")
        value = row[key]
        if value is None or value in ("", []):
            raise UserError(f"{place}: {key!r} is empty")
        if key == "responses" and not _is_list_of_texts(value):
            raise UserError(f"{place}: {key!r} is not a list of texts")
        if key == "instruction" and not isinstance(value, str):
            raise UserError(f"{place}: {key!r} is a {type(value).__name__}, not text")
    return row


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _parse_array(path: str, data: bytes) -> list:
    try:
        return _decode(data)
    except UnicodeDecodeError as e:
        line_number = data[: e.start].count(b"\n") + 1
        raise UserError(f"{path}:{line_number}: not UTF-8") from None
    except _NoNumber as e:
        line_number = _line_without_number(data)
        fault = f"{e} is no number in JSON"
        raise UserError(
            f"{path}:{line_number}: {fault}; make it again, or mend that line"
        ) from None
    except json.JSONDecodeError as e:
        fault = f"torn or not JSON ({e.msg})"
        raise UserError(f"{path}:{e.lineno}: {fault}; make it again, or mend that line") from None


def _line_without_number(data: bytes) -> int:
    """The line where the row of an array begins that holds NaN, Infinity or the like."""
    text = data.decode(json.detect_encoding(data))
    position = text.index("[") + 1
    while True:
        position = _NEXT_VALUE.match(text, position).end()
        try:
            _, position = _DECODER.raw_decode(text, position)
        except _NoNumber:
            return text.count("\n", 0, position) + 1


def _parse_lines(path: str, data: bytes) -> list:
    rows = []
    for line_number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            rows.append(_decode(line))
        except UnicodeDecodeError:
            fault = "not UTF-8"
        except _NoNumber as e:
            fault = f"{e} is no number in JSON"
        except json.JSONDecodeError as e:
            fault = f"torn or not JSON ({e.msg})"
        else:
            continue
        raise UserError(f"{path}:{line_number}: {fault}; make it again, or mend that line")
    return rows
