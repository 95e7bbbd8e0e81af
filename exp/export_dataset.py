"""Export training rows as a dataset: splits, Parquet and JSONL, a card from the rows' own records.

in    refined/sft.jsonl, refined/pairs.jsonl    files of rows, each becomes a part of its own
out   dataset/    sft/train.parquet, sft/test.parquet, jsonl/sft_train.jsonl, …,
                  README.md (the card), settings.json
      python exp/export_dataset.py --data_paths data/demo/refined/sft.jsonl --model_path 0 \\
          --save_path data/demo/dataset

`datasets.load_dataset("data/demo/dataset", "sft")` reads it. A problem is in the test split by the
hash of its text, so that no part trains on what another tests. The licence is the generating
model's, from its card (--model_path), or typed; a dataset of unknown licence is not uploaded.
--push_to_hub OWNER/NAME uploads the folder (HF_TOKEN).
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from lib import cli, models, provenance, rows
from lib.errors import UserError
from lib.output_folder import OutputFolder
from lib.progress import say, shown_path
from lib.tables import markdown

SPLITS = ("train", "test")
MOST_VALUES = 6  # of a setting in the card: a seed may have one in each file
NO_LICENCE = (
    "The licence of the model that wrote it is not known here: its terms apply to this text."
)
Parts = dict[str, dict[str, list[dict]]]  # part -> split -> rows
CARD = "configs/dataset_card.md"


def is_test(row: dict, share: float) -> bool:
    """Whether a row's problem is in the test split.

    Its text decides, so that it is there in every part and in every version of the data.
    """
    problem = str(row.get("question") or row.get("instruction") or row["id"])
    digest = hashlib.sha256(problem.encode(errors="replace")).digest()
    position = int.from_bytes(digest[:8], "big")  # evenly spread from 0 to 2**64
    return position < share * 2**64


def read_parts(paths_by_part: dict[str, str], test_share: float) -> Parts:
    """The rows of each part's file in their splits."""
    parts = {}
    for part_name, rows_path in paths_by_part.items():
        splits = {"train": [], "test": []}
        for row in rows.read(rows_path):
            split = "test" if is_test(row, test_share) else "train"
            splits[split].append(row)
        parts[part_name] = splits
    return parts


def licence(model: models.Model) -> str:
    """The licence that the model's card names, in its folder or the hub; empty if it names none."""
    from huggingface_hub import ModelCard
    from huggingface_hub.errors import HfHubHTTPError

    card_source = Path(model.path, "README.md") if model.is_local else model.path
    try:
        card_data = ModelCard.load(str(card_source)).data
    except (OSError, ValueError, HfHubHTTPError) as e:  # no card, no network
        say(f"the card of {model.path} cannot be read ({type(e).__name__})")
        return ""
    # A licence that is not on the hub's list is "other" there, and named by itself.
    return card_data.get("license_name") or card_data.license or ""


def write_part(folder: Path, part_name: str, splits: dict[str, list[dict]]) -> list[str]:
    """Write a part's splits as Parquet and JSONL; returns those that have rows and so files."""
    from datasets import Dataset

    written_splits = []
    for split in SPLITS:
        split_rows = splits[split]
        if not split_rows:
            continue
        for subfolder in (part_name, "jsonl"):
            (folder / subfolder).mkdir(exist_ok=True)
        Dataset.from_list(split_rows).to_parquet(folder / part_name / f"{split}.parquet")
        rows.write_lines(folder / "jsonl" / f"{part_name}_{split}.jsonl", split_rows)
        written_splits.append(split)
    return written_splits


def records_of(rows_paths: Iterable[str]) -> list[dict]:
    """The meta records of everything that the files were made from, each once."""
    metas = {}
    for rows_path in rows_paths:
        for meta in provenance.trace(rows_path):
            identity = (meta["stage"], meta["file"], str(meta["inputs"]))
            metas[identity] = meta
    return list(metas.values())


def card(
    folder: Path,
    parts: Parts,
    written_splits: dict[str, list[str]],
    metas: list[dict],
    facts: dict[str, str | float],
) -> str:
    """README.md of a dataset, from its files in `folder`, the records of its rows, and `facts`."""
    template = (rows.ROOT / CARD).read_text(encoding="utf-8")
    count_lines = markdown(_counts(parts))
    stage_lines = markdown(provenance.table(metas))
    return template.format(
        configs="\n".join(_config_lines(written_splits)),
        counts="\n".join(count_lines),
        first=next(iter(parts)),
        stages="\n".join(stage_lines),
        settings="\n".join(_settings_lines(metas)),
        versions=_software(metas),
        hashes="\n".join(_hash_lines(folder)),
        **facts,
    )


def _config_lines(written_splits: dict[str, list[str]]) -> list[str]:
    """The YAML by which `load_dataset` finds the files of each part."""
    lines = []
    for part_name, splits in written_splits.items():
        lines += [f"- config_name: {part_name}", "  data_files:"]
        for split in splits:
            lines += [f"  - split: {split}", f"    path: {part_name}/{split}.parquet"]
    return lines


def _counts(parts: Parts) -> dict[str, list[str]]:
    """Columns: the parts, how many rows each split has, and the keys of a row."""
    columns = {"part": [], "train": [], "test": [], "keys": []}
    for part_name, splits in parts.items():
        columns["part"].append(part_name)
        for split in SPLITS:
            columns[split].append(f"{len(splits[split]):,}")
        first_row = (splits["train"] + splits["test"])[0]
        columns["keys"].append(", ".join(first_row))
    return columns


def _settings_lines(metas: list[dict]) -> list[str]:
    """The lines of a table: each stage and its settings."""
    lines = []
    for stage, settings in provenance.settings(metas).items():
        phrases = [f"{setting} {_values_cell(values)}" for setting, values in settings.items()]
        lines.append(f"| {stage} | {', '.join(phrases) or '–'} |")
    return lines


def _values_cell(values: list) -> str:
    """`0.8 / 1.0`, on one line and fit for a cell of a table."""
    shown_values = " / ".join(map(str, values[:MOST_VALUES]))
    if len(values) > MOST_VALUES:
        shown_values += " / …"
    escaped = shown_values.replace("|", "\\|")  # a bar would end the cell
    return " ".join(escaped.split())


def _software(metas: list[dict]) -> str:
    """The versions of libraries and the commits of this project that the records note."""
    versions, commits = set(), set()
    for meta in metas:
        notes = meta.get("notes", {})
        for library, version in (notes.get("versions") or {}).items():
            versions.add(f"{library} {version}")
        if notes.get("commit"):
            commits.add(f"Tiding {notes['commit']}")
    return ", ".join(sorted(versions) + sorted(commits)) or "not noted"


def _hash_lines(folder: Path) -> list[str]:
    """The lines of a table: each file that is in the folder, and the hash of its content."""
    lines = []
    for file in sorted(folder.rglob("*.*")):
        if file.is_file():
            lines.append(f"| {file.relative_to(folder)} | {rows.sha256(file)} |")
    return lines


def export(
    folder: OutputFolder,
    paths_by_part: dict[str, str],
    model: models.Model,
    test_share: float,
    license: str,
    address: str,
) -> None:
    """Write the folder and its card; `address` is where `load_dataset` will find it."""
    import datasets

    datasets.disable_progress_bars()
    license = license or licence(model)
    if license:
        rights = f"The text is under the licence of the model that wrote it: {license}."
    else:
        rights = NO_LICENCE
    parts = read_parts(paths_by_part, test_share)
    metas = records_of(paths_by_part.values())
    facts = {
        "license": license or "unknown",
        "name": f"{folder.path.resolve().parent.name} {folder.path.name}",
        "model": model.name,
        "rights": rights,
        "test_share": test_share,
        "address": address,
    }

    def fill(unfinished_folder: Path) -> None:
        written_splits = {}
        for part_name, splits in parts.items():
            written_splits[part_name] = write_part(unfinished_folder, part_name, splits)
        card_text = card(unfinished_folder, parts, written_splits, metas, facts)
        rows.write_whole(unfinished_folder / "README.md", card_text.encode())

    folder.open()
    folder.finish(fill)
    sizes = []
    for part_name, splits in parts.items():
        train_rows, test_rows = len(splits["train"]), len(splits["test"])
        sizes.append(f"{part_name} {train_rows:,} train, {test_rows:,} test")
    folder.done(f"{'; '.join(sizes)}, licence {license or 'unknown'}")


def upload(folder: Path, repository: str) -> None:
    """Upload a finished folder to the hub; UserError if its licence is not known."""
    card_text = (folder / "README.md").read_text(encoding="utf-8")
    front_matter = card_text.split("---")[1]
    if "license: unknown" in front_matter:
        advice = "--license NAME --overwrite says it"
        raise UserError(f"the licence of the generating model is not known; {advice}")
    from huggingface_hub import HfApi

    HfApi().create_repo(repository, repo_type="dataset", exist_ok=True)
    HfApi().upload_folder(repo_id=repository, repo_type="dataset", folder_path=folder)
    say(f"uploaded to {repository}")


def main(
    data_paths: str,
    save_path: str,
    model_path: str,
    test_share: float = 0.05,
    license: str = "",
    push_to_hub: str = "",
    overwrite: bool = False,
):
    rows_paths = cli.comma_list(data_paths)
    part_names = [Path(rows_path).stem for rows_path in rows_paths]
    are_different = len(set(part_names)) == len(part_names)
    # A part has a folder of its name, beside the folder jsonl.
    if not part_names or not are_different or "jsonl" in part_names:
        expected = "one or more files of different names, separated by commas"
        raise UserError(f"--data_paths {data_paths!r}: {expected}")
    if not 0 <= test_share < 1:
        raise UserError(f"--test_share {test_share}: from 0 to under 1")
    model = models.find(model_path)
    settings = {
        "data": [rows.sha256(rows_path) for rows_path in rows_paths],
        "model": models.identity(model),
        "test_share": test_share,
        "license": license,
    }
    folder = OutputFolder(save_path, "export_dataset", settings, overwrite, remade_for="data")
    is_finished = folder.announce(", ".join(map(shown_path, rows_paths)))
    if not is_finished:
        paths_by_part = dict(zip(part_names, rows_paths, strict=True))
        address = push_to_hub or save_path
        export(folder, paths_by_part, model, test_share, license, address)
    if push_to_hub:
        upload(Path(save_path), push_to_hub)
    else:
        loaded = f'load_dataset("{shown_path(save_path)}", "{part_names[0]}")'
        say(f"next: {loaded}, or --push_to_hub OWNER/NAME")


if __name__ == "__main__":
    cli.run(main)
