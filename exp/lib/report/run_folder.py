"""A run's folder: which files there are, what made them, and their rows one at a time.

Only one row at a time is in memory, since the files may be larger than that.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lib import rows
from lib.errors import UserError

OF_A_DOMAIN = {  # kind -> how the file's name ends
    "problems": "_ins",
    "answered": "_ins_res",
    "sampled": "_ins_7res",
    "ranked": "_ins_7res_armorm",
}
REFINED = {  # kind -> the file in refined/
    "clean": "clean.json",
    "voted": "voted.json",
    "sft": "sft.jsonl",
    "pairs": "pairs.jsonl",
}
LISTS = ("responses", "finish_reasons", "scores", "marks")  # keys with a value for each response
META_KEYS = ("stage", "settings", "seconds", "rows_in", "rows_out", "dropped")
NO_ROWS = len(b"[]\n")  # bytes of a finished file without rows


@dataclass(frozen=True)
class RunFile:
    """A finished file: what kind of rows, of which domain (None: of all), and its meta file."""

    kind: str
    domain: str | None
    path: Path
    meta: dict


def find(run: Path) -> list[RunFile]:
    """The run's finished files in the order of the work.

    UserError where there is no run, or where a meta file is missing or torn.
    """
    domains = domains_of(run)
    domains = in_order(domains, list(info(run).get("domains", {})))
    files = []
    for kind, ending in OF_A_DOMAIN.items():
        for domain in domains:
            path = run / domain / f"{domain}{ending}.json"
            if path.exists():
                files.append(RunFile(kind, domain, path, read_meta(path)))
    for kind, name in REFINED.items():
        path = run / "refined" / name
        if path.exists():
            files.append(RunFile(kind, None, path, read_meta(path)))
    return files


def domains_of(run: Path) -> list[str]:
    """The domains whose problems are there, in any order; UserError where there are none."""
    if not run.is_dir():
        raise UserError(f"{run}: no such folder")
    domains = []
    for folder in run.iterdir():
        if (folder / f"{folder.name}_ins.json").exists():
            domains.append(folder.name)
    if not domains:
        expected = "expected such as algebra/algebra_ins.json"
        raise UserError(f"{run}: no domain's files in it ({expected})")
    return domains


def in_order(domains: list[str], known: list[str]) -> list[str]:
    """The domains in the order of the known ones, the others behind them by their names."""
    unknown = sorted(domain for domain in domains if domain not in known)
    return [domain for domain in known if domain in domains] + unknown


def unfinished(run: Path) -> list[str]:
    """The names of files that are still growing."""
    parts = [*run.glob("*/*.json.part"), *run.glob("refined/*.jsonl.part")]
    return sorted(part.name.removesuffix(".part") for part in parts)


def info(run: Path) -> dict:
    """combined_dataset_info.json; empty where there is none."""
    return rows.read_object(run / "combined_dataset_info.json") or {}


def read_meta(path: Path) -> dict:
    """The meta file of a finished file; UserError if it is missing, torn, or lacks a key."""
    meta = rows.read_object(f"{path}.meta.json")
    if meta is None:
        advice = f"make {path.name} again, its settings are unknown"
        raise UserError(f"{path}.meta.json: no such file; {advice}")
    for key in META_KEYS:
        if key not in meta:
            raise UserError(f"{path}.meta.json: no key {key!r} (has: {', '.join(meta)})")
    return meta


def read(file: RunFile, need: tuple[str, ...]) -> Iterator[dict]:
    """The rows of a file, one in memory at a time, with the keys in `need`.

    UserError says FILE:LINE, or that the file has not the rows that its meta file counts.
    """
    expected = file.meta["rows_out"]
    if expected == 0 and file.path.stat().st_size <= NO_ROWS:
        return  # rows.stream takes a file without rows for a mistake
    count = 0
    for place, row in rows.stream(str(file.path), need=()):
        _check(place, row, need)
        count += 1
        yield row
    if count != expected:
        difference = f"{count:,} rows, but its meta file counts {expected}"
        raise UserError(f"{file.path}: {difference}; make it again")


def _check(place: str, row: dict, need: tuple[str, ...]) -> None:
    """UserError unless the row has the keys in `need`, of the types that the report counts on."""
    for key in need:
        if key not in row:
            raise UserError(f"{place}: no key {key!r} (has: {', '.join(row) or 'nothing'})")
        if key in LISTS and not isinstance(row[key], list):
            raise UserError(f"{place}: {key!r} is not a list")
    if "instruction" in need and not isinstance(row["instruction"], str):
        raise UserError(f"{place}: 'instruction' is not text")
    for score in row.get("scores") or ():
        if not isinstance(score, int | float):
            raise UserError(f"{place}: 'scores' holds what is no number")
    if "responses" in need:
        _check_responses(place, row)


def _check_responses(place: str, row: dict) -> None:
    """UserError unless the responses are texts, and each has whatever belongs to a response."""
    responses = row["responses"]
    if not responses or not all(isinstance(text, str) for text in responses):
        raise UserError(f"{place}: 'responses' is not a list of texts")
    for key in LISTS:
        if key in row and len(row[key]) != len(responses):
            raise UserError(f"{place}: {len(row[key])} {key} of {len(responses)} responses")
