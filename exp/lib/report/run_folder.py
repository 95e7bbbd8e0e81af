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


def find(run_path: Path) -> list[RunFile]:
    """The run's finished files in the order of the work.

    UserError where there is no run, or where a meta file is missing or torn.
    """
    domains = domains_of(run_path)
    described_domains = info(run_path).get("domains", {})
    domains = in_order(domains, list(described_domains))
    run_files = []
    for kind, ending in OF_A_DOMAIN.items():
        for domain in domains:
            file_path = run_path / domain / f"{domain}{ending}.json"
            if file_path.exists():
                run_files.append(RunFile(kind, domain, file_path, read_meta(file_path)))
    for kind, file_name in REFINED.items():
        file_path = run_path / "refined" / file_name
        if file_path.exists():
            run_files.append(RunFile(kind, None, file_path, read_meta(file_path)))
    return run_files


def halves_left(folder: Path, problems: int) -> set[str]:
    """The halves of a domain's work that are left: `generate`, `rank`, or both; none if finished.

    `problems` are wanted. A file is finished if it is there and made from the file before it as
    that is now.
    """
    files = {kind: folder / f"{folder.name}{ending}.json" for kind, ending in OF_A_DOMAIN.items()}
    asked = _meta_of(files["problems"]).get("settings", {}).get("total_prompts")
    is_generated = asked == problems
    for kind in ("answered", "sampled"):
        is_generated = is_generated and _is_made_from(files[kind], files["problems"])
    if not is_generated:
        return {"generate", "rank"}
    return set() if _is_made_from(files["ranked"], files["sampled"]) else {"rank"}


def _meta_of(file_path: Path) -> dict:
    """The meta file of a finished file; empty without either."""
    if not file_path.exists():
        return {}
    return rows.read_object(f"{file_path}.meta.json") or {}


def _is_made_from(file_path: Path, input_path: Path) -> bool:
    hashes = list(_meta_of(file_path).get("inputs", {}).values())
    return hashes == [rows.sha256(input_path)] if hashes else False


def domains_of(run_path: Path) -> list[str]:
    """The domains whose problems are there, in any order; UserError where there are none."""
    if not run_path.is_dir():
        raise UserError(f"{run_path}: no such folder")
    domains = []
    for folder in run_path.iterdir():
        problems_path = folder / f"{folder.name}_ins.json"
        if problems_path.exists():
            domains.append(folder.name)
    if not domains:
        expected = "expected such as algebra/algebra_ins.json"
        raise UserError(f"{run_path}: no domain's files in it ({expected})")
    return domains


def begun_domains_of(run_path: Path) -> list[str]:
    """The domains that have a folder with logs or problems, in any order.

    UserError where there are none.
    """
    begun_domains = set()
    for log_folder in run_path.glob("*/logs"):
        begun_domains.add(log_folder.parent.name)
    try:
        begun_domains.update(domains_of(run_path))
    except UserError:
        if not begun_domains:
            raise
    return sorted(begun_domains)


def in_order(domains: list[str], known_domains: list[str]) -> list[str]:
    """The domains in the order of the known ones, the others behind them by their names."""
    known = [domain for domain in known_domains if domain in domains]
    unknown = set(domains).difference(known_domains)
    return known + sorted(unknown)


def unfinished(run_path: Path) -> list[str]:
    """The names of files that are still growing."""
    growing_files = [*run_path.glob("*/*.json.part"), *run_path.glob("refined/*.jsonl.part")]
    return sorted(growing_file.name.removesuffix(".part") for growing_file in growing_files)


def info(run_path: Path) -> dict:
    """combined_dataset_info.json; empty where there is none."""
    return rows.read_object(run_path / "combined_dataset_info.json") or {}


def read_meta(file_path: Path) -> dict:
    """The meta file of a finished file; UserError if it is missing, torn, or lacks a key."""
    meta_path = f"{file_path}.meta.json"
    meta = rows.read_object(meta_path)
    if meta is None:
        advice = f"make {file_path.name} again, its settings are unknown"
        raise UserError(f"{meta_path}: no such file; {advice}")
    for key in META_KEYS:
        if key not in meta:
            raise UserError(f"{meta_path}: no key {key!r} (has: {', '.join(meta)})")
    return meta


def read(run_file: RunFile, needed_keys: tuple[str, ...]) -> Iterator[dict]:
    """The rows of a file, one in memory at a time, with the keys in `needed_keys`.

    UserError says FILE:LINE, or that the file has not the rows that its meta file counts.
    """
    expected_count = run_file.meta["rows_out"]
    if expected_count == 0 and run_file.path.stat().st_size <= NO_ROWS:
        return  # rows.stream takes a file without rows for a mistake
    row_count = 0
    for location, row in rows.stream(str(run_file.path), need=()):
        _check_row(location, row, needed_keys)
        row_count += 1
        yield row
    if row_count != expected_count:
        difference = f"{row_count:,} rows, but its meta file counts {expected_count}"
        raise UserError(f"{run_file.path}: {difference}; make it again")


def _check_row(location: str, row: dict, needed_keys: tuple[str, ...]) -> None:
    """UserError unless the row has the needed keys, of the types that the report counts on."""
    for key in needed_keys:
        if key not in row:
            existing_keys = ", ".join(row) or "nothing"
            raise UserError(f"{location}: no key {key!r} (has: {existing_keys})")
        if key in LISTS and not isinstance(row[key], list):
            raise UserError(f"{location}: {key!r} is not a list")
    if "instruction" in needed_keys and not isinstance(row["instruction"], str):
        raise UserError(f"{location}: 'instruction' is not text")
    for score in row.get("scores") or ():
        if score is not None and not isinstance(score, int | float):
            raise UserError(f"{location}: 'scores' holds what is no number")
    if "responses" in needed_keys:
        _check_responses(location, row)


def _check_responses(location: str, row: dict) -> None:
    """UserError unless the responses are texts, and each has whatever belongs to a response."""
    responses = row["responses"]
    are_texts = all(isinstance(response, str) for response in responses)
    if not responses or not are_texts:
        raise UserError(f"{location}: 'responses' is not a list of texts")
    for key in LISTS:
        if key in row and len(row[key]) != len(responses):
            counts = f"{len(row[key])} {key} of {len(responses)} responses"
            raise UserError(f"{location}: {counts}")
