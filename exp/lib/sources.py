"""Public rows: read from a local file or from a dataset of the hub."""

import re
from pathlib import Path

from lib import rows
from lib.errors import UserError

SUFFIXES = (".json", ".jsonl", ".parquet")


def on_hub(source: str) -> bool:
    """Whether `source` names a dataset of the hub, OWNER/NAME, and not a local file."""
    path = Path(source)
    if path.suffix in SUFFIXES or path.exists():
        return False
    return bool(re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", source))


def load(
    source: str,
    split: str,
    columns: tuple[str, ...],
    first: int | None = None,
    config: str | None = None,
) -> tuple[list[dict], dict]:
    """All rows, or the `first` so many, and notes for the meta file (the dataset's revision).

    A row is {"place": for messages, "original_id": its number from 0, and each column as text, ""
    where it is null}. `split` and `config` are for the hub only. UserError says which row, or which
    dataset, and why.
    """
    if on_hub(source):
        source_rows, places, notes = _from_hub(source, split, config)
    else:
        source_rows, places = _from_file(source)
        notes = {}
    if first is not None and not 1 <= first <= len(source_rows):
        available = f"{source}, which has {len(source_rows):,} rows"
        raise UserError(f"--num_examples {first} of {available}")
    text_rows = []
    for number, row in enumerate(source_rows[:first]):
        text_row = {"place": places[number], "original_id": str(number)}
        for column in columns:
            text_row[column] = _text(places[number], row, column)
        text_rows.append(text_row)
    return text_rows, notes


def _text(place: str, row: dict, column: str) -> str:
    if column not in row:
        keys = ", ".join(row) or "nothing"
        raise UserError(f"{place}: no key {column!r} (has: {keys})")
    value = row[column]
    if isinstance(value, list | dict):
        raise UserError(f"{place}: {column!r} is a {type(value).__name__}, not text")
    if value is None:
        return ""
    return str(value)


def _from_file(path: str) -> tuple[list[dict], list[str]]:
    """(rows, the place of each)."""
    if not path.endswith(SUFFIXES):
        expected = f"a {', '.join(SUFFIXES)} file, or OWNER/NAME of a dataset on the hub"
        raise UserError(f"{path}: expected {expected}")
    if not path.endswith(".parquet"):
        placed_rows = rows.read_placed(path)
        return [row for _, row in placed_rows], [place for place, _ in placed_rows]
    import pyarrow.parquet

    try:
        source_rows = pyarrow.parquet.read_table(path).to_pylist()
    except (OSError, pyarrow.ArrowException) as e:
        raise UserError(f"{path}: torn or not parquet ({_first_line(e)})") from None
    return source_rows, [f"{path}:row {number}" for number in range(1, len(source_rows) + 1)]


def _from_hub(source: str, split: str, config: str | None) -> tuple[list[dict], list[str], dict]:
    """(rows, the place of each, notes with the revision)."""
    import datasets

    where = f"{source} on the hub, split {split}"
    datasets.disable_progress_bars()
    try:
        builder = datasets.load_dataset_builder(source, config)
        dataset = datasets.load_dataset(source, config, split=split)
    except Exception as e:  # the hub's client, the network and the formats share no base class
        causes = [_first_line(cause) for cause in (e, e.__cause__) if cause]
        raise UserError(f"{where}: {' <- '.join(causes)}") from e
    promised = (builder.info.splits or {}).get(split)  # by the dataset's card
    if promised and promised.num_examples not in (0, len(dataset)):
        came = f"only {len(dataset):,} of {promised.num_examples:,} rows came"
        raise UserError(f"{where}: {came}; remove its folder from the cache and run this again")
    places = [f"{source} {split} row {number}" for number in range(1, len(dataset) + 1)]
    return list(dataset), places, {"revision": builder.hash}


def _first_line(error: BaseException) -> str:
    line = str(error).strip().split("\n")[0]
    return (line or type(error).__name__).rstrip(".")
