"""Public rows: read from a local file or from a dataset of the hub, and written as one output of a stage."""

import re
from collections import Counter
from collections.abc import Sized
from pathlib import Path

from lib import cli, progress, rows
from lib.inference import generate
from lib.output import Output

SUFFIXES = (".json", ".jsonl", ".parquet")


def on_hub(source: str) -> bool:
    """Whether `source` is meant as a dataset of the hub, OWNER/NAME, and not as a local file."""
    path = Path(source)
    return bool(re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", source)) and path.suffix not in SUFFIXES and not path.exists()


def load(
    source: str, split: str, columns: tuple[str, ...], first: int | None = None, config: str | None = None
) -> tuple[list[dict], dict]:
    """All rows, or the `first` so many, and notes for the meta file (the revision of a dataset of the hub).

    A row is {"place": for messages, "original_id": its number from 0, and each column as text, "" where it is null}.
    `split` and `config` are for the hub only. UserError says which row, or which dataset and why.
    """
    found, places, notes = _from_hub(source, split, config) if on_hub(source) else _from_file(source)
    if first is not None and not 1 <= first <= len(found):
        raise cli.UserError(f"--num_examples {first} of {source}, which has {len(found):,} rows")
    found, places = found[:first], places[:first]
    for place, row in zip(places, found, strict=True):
        for column in columns:
            if column not in row:
                raise cli.UserError(f"{place}: no key {column!r} (has: {', '.join(row) or 'nothing'})")
            if isinstance(row[column], list | dict):
                raise cli.UserError(f"{place}: {column!r} is a {type(row[column]).__name__}, not text")
    texts = [{c: "" if row[c] is None else str(row[c]) for c in columns} for row in found]
    return [{"place": p, "original_id": str(n), **t} for n, (p, t) in enumerate(zip(places, texts, strict=True))], notes


def _from_file(path: str) -> tuple[list[dict], list[str], dict]:
    if not path.endswith(SUFFIXES):
        raise cli.UserError(f"{path}: expected a {', '.join(SUFFIXES)} file, or OWNER/NAME of a dataset on the hub")
    if path.endswith(".parquet"):
        import pyarrow.parquet

        try:
            found = pyarrow.parquet.read_table(path).to_pylist()
        except (OSError, pyarrow.ArrowException) as e:
            raise cli.UserError(f"{path}: torn or not parquet ({_line(e)})") from None
        return found, [f"{path}:{n}" for n in _numbers(found)], {}
    placed = rows.read_placed(path)
    return [row for _, row in placed], [place for place, _ in placed], {}


def _from_hub(source: str, split: str, config: str | None) -> tuple[list[dict], list[str], dict]:
    import datasets

    datasets.disable_progress_bars()
    try:
        builder = datasets.load_dataset_builder(source, config)
        promised = builder.info.splits or {}  # by the dataset's card
        found = datasets.load_dataset(source, config, split=split)
    except Exception as e:  # the hub's client, the network and the file formats have no common base class of errors
        why = " <- ".join(_line(x) for x in (e, e.__cause__) if x)
        raise cli.UserError(f"{source} on the hub, split {split}: {why}") from e
    if split in promised and promised[split].num_examples not in (0, len(found)):
        raise cli.UserError(f"{source} on the hub, split {split}: only {len(found):,} of {promised[split].num_examples:,} rows "
                            "came; remove its folder from the cache and run this again")  # fmt: skip
    return list(found), [f"{source} {split} {n}" for n in _numbers(found)], {"revision": builder.hash}


def _numbers(found: Sized) -> list[str]:
    return [f"row {n}" for n in range(1, len(found) + 1)]


def _line(e: BaseException) -> str:
    return (str(e).strip().split("\n")[0] or type(e).__name__).rstrip(".")


def announce(out: Output, what: str) -> bool:
    """Say in the first second what will be done; True when it is done already."""
    if out.finished:
        cli.say(f"{out.path} is finished: {generate.summary(out)}; nothing to do")
    else:
        cli.say(f"{what} -> {out.path}")
    return out.finished


def write(out: Output, made: list[tuple[dict, str | None]], notes: dict) -> None:
    """Finish `out` with (row, why it is dropped) pairs; a second row of the same `id` is dropped as a repeat."""
    seen, checked = set(), []
    for row, why in made:
        why = why or ("repeat" if row["id"] in seen else None)
        seen.update([] if why else [row["id"]])
        checked.append((row, why))
    dropped = Counter(why for _, why in checked if why)
    if dropped.total() == len(checked):
        raise cli.UserError(f"{out.path}: no row is left: {progress.reasons(dropped)}; nothing is written")
    out.open(notes)
    for place, (row, why) in enumerate(checked):
        if place not in out:
            out.add(place, row, why)
    out.finish(len(checked))
    generate.done(out)
