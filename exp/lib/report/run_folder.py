"""A run's folder: which files there are, what made them, and their rows one at a time, for they may be larger than the memory."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lib import rows
from lib.errors import UserError

OF_A_DOMAIN = {
    "problems": "_ins",
    "answered": "_ins_res",
    "sampled": "_ins_7res",
    "ranked": "_ins_7res_armorm",
}
REFINED = {
    "clean": "clean.json",
    "verified": "voted.json",
    "sft": "sft.jsonl",
    "pairs": "pairs.jsonl",
}
_LISTS = ("responses", "finish_reasons", "scores", "marks")


@dataclass(frozen=True)
class Made:
    """A finished file: what kind of rows, of which domain (None: of all), and its meta file."""

    kind: str
    domain: str | None
    path: Path
    meta: dict


def find(run: Path) -> list[Made]:
    """The run's finished files in the order of the work; UserError where there is no run, or a meta file is missing or torn."""
    if not run.is_dir():
        raise UserError(f"{run}: no such folder")
    names = [f.name for f in run.iterdir() if (f / f"{f.name}_ins.json").exists()]
    if not names:
        raise UserError(
            f"{run}: no domain's files in it (expected such as algebra/algebra_ins.json)"
        )
    order = list(info(run).get("domains", {}))
    names.sort(key=lambda name: (order.index(name) if name in order else len(order), name))
    places = [
        (kind, name, run / name / f"{name}{end}.json")
        for kind, end in OF_A_DOMAIN.items()
        for name in names
    ]
    places += [(kind, None, run / "refined" / name) for kind, name in REFINED.items()]
    return [Made(kind, domain, path, _meta(path)) for kind, domain, path in places if path.exists()]


def growing(run: Path) -> list[str]:
    """The names of files that are not finished."""
    return sorted(
        p.name.removesuffix(".part")
        for p in [*run.glob("*/*.json.part"), *run.glob("refined/*.jsonl.part")]
    )


def info(run: Path) -> dict:
    """combined_dataset_info.json; empty where there is none."""
    return value(run / "combined_dataset_info.json") or {}


def value(path: Path) -> dict | None:
    """The object that a JSON file holds; None where there is no file, UserError where it is torn."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as e:
        raise UserError(f"{path}: torn or not JSON ({e}); make it again") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: expected an object, found {type(found).__name__}")
    return found


def _meta(path: Path) -> dict:
    found = value(Path(f"{path}.meta.json"))
    if found is None:
        raise UserError(
            f"{path}.meta.json: no such file; make {path.name} again, its settings are unknown"
        )
    for key in ("stage", "settings", "seconds", "rows_in", "rows_out", "dropped"):
        if key not in found:
            raise UserError(f"{path}.meta.json: no key {key!r} (has: {', '.join(found)})")
    return found


def read(made: Made, need: tuple[str, ...]) -> Iterator[dict]:
    """The rows of a file, one in memory at a time, with the keys in `need`; UserError says FILE:LINE."""
    count = 0
    with open(made.path, "rb") as f:
        array = f.readline().rstrip() == b"["
        if not array:
            f.seek(0)
        for number, line in enumerate(f, 1 + array):
            text = line.strip().rstrip(b",") if array else line.strip()
            if array and text == b"]" or not text:
                continue
            try:
                row = json.loads(text)
            except ValueError:
                break
            count += 1
            _check(f"{made.path}:{number}", row, need)
            yield row
    if (
        count != made.meta["rows_out"]
    ):  # torn, or laid out in another way: read whole, and that says which
        found = rows.read(str(made.path), need)
        if len(found) != made.meta["rows_out"]:
            counted = made.meta["rows_out"]
            raise UserError(
                f"{made.path}: {len(found):,} rows, but its meta file counts {counted}; make it again"
            )
        for number, row in enumerate(found[count:], count + 1):
            _check(f"{made.path}: row {number}", row, need)
            yield row


def _check(place: str, row: object, need: tuple[str, ...]) -> None:
    """UserError unless the row has the keys in `need`, its problem is text, and what belongs to a response is there for each."""
    if not isinstance(row, dict):
        raise UserError(f"{place}: expected an object, found {type(row).__name__}")
    for key in need:
        if key not in row:
            raise UserError(f"{place}: no key {key!r} (has: {', '.join(row) or 'nothing'})")
        if not isinstance(row[key], list if key in _LISTS else object):
            raise UserError(f"{place}: {key!r} is not a list")
    if "instruction" in need and not isinstance(row["instruction"], str):
        raise UserError(f"{place}: 'instruction' is not text")
    if not all(isinstance(score, int | float) for score in row.get("scores") or ()):
        raise UserError(f"{place}: 'scores' holds what is no number")
    responses = row.get("responses", [])
    if "responses" in need and not (responses and all(isinstance(text, str) for text in responses)):
        raise UserError(f"{place}: 'responses' is not a list of texts")
    for key in _LISTS:
        if "responses" in need and key in row and len(row[key]) != len(responses):
            raise UserError(f"{place}: {len(row[key])} {key} of {len(responses)} responses")
