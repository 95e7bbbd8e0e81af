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
    text = str(row.get("question") or row.get("instruction") or row["id"])
    digest = hashlib.sha256(text.encode(errors="replace")).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def read_parts(files: dict[str, str], test_share: float) -> Parts:
    """The rows of each file, by its part's name, in their splits."""
    parts = {}
    for name, path in files.items():
        splits = {split: [] for split in SPLITS}
        for row in rows.read(path):
            splits["test" if is_test(row, test_share) else "train"].append(row)
        parts[name] = splits
    return parts


def licence(model: models.Model) -> str:
    """The licence that the model's card names, in its folder or the hub; empty if it names none."""
    from huggingface_hub import ModelCard
    from huggingface_hub.errors import HfHubHTTPError

    card = Path(model.path, "README.md") if model.is_local else model.path
    try:
        data = ModelCard.load(str(card)).data
    except (OSError, ValueError, HfHubHTTPError) as e:  # no card, no network
        say(f"the card of {model.path} cannot be read ({type(e).__name__})")
        return ""
    return data.get("license_name") or data.license or ""


def write_part(folder: Path, name: str, splits: dict[str, list[dict]]) -> list[str]:
    """Write a part's splits as Parquet and JSONL; returns those that have rows and so files."""
    from datasets import Dataset

    written = [split for split in SPLITS if splits[split]]
    for split in written:
        for subfolder in (name, "jsonl"):
            (folder / subfolder).mkdir(exist_ok=True)
        Dataset.from_list(splits[split]).to_parquet(folder / name / f"{split}.parquet")
        rows.write_lines(folder / f"jsonl/{name}_{split}.jsonl", splits[split])
    return written


def records_of(files: dict[str, str]) -> list[dict]:
    """The meta records of everything that the files were made from, each once."""
    metas = {}
    for path in files.values():
        for meta in provenance.trace(path):
            metas[meta["stage"], meta["file"], str(meta["inputs"])] = meta
    return list(metas.values())


def card(
    folder: Path, parts: Parts, written: dict[str, list[str]], metas: list[dict], facts: dict
) -> str:
    """README.md of a dataset, from its files in `folder`, the records of its rows, and `facts`."""
    template = (rows.ROOT / CARD).read_text(encoding="utf-8")
    return template.format(
        configs="\n".join(_config(name, splits) for name, splits in written.items()),
        counts="\n".join(markdown(_counts(parts))),
        first=next(iter(parts)),
        stages="\n".join(markdown(provenance.table(metas))),
        settings="\n".join(_settings(metas)),
        versions=_software(metas),
        hashes="\n".join(_hashes(folder)),
        **facts,
    )


def _config(name: str, splits: list[str]) -> str:
    """The YAML by which `load_dataset` finds the files of a part."""
    lines = [f"- config_name: {name}", "  data_files:"]
    for split in splits:
        lines += [f"  - split: {split}", f"    path: {name}/{split}.parquet"]
    return "\n".join(lines)


def _counts(parts: Parts) -> dict[str, list[str]]:
    """Columns: the parts, how many rows each split has, and the keys of a row."""
    columns: dict[str, list[str]] = {"part": list(parts)}
    for split in SPLITS:
        columns[split] = [f"{len(splits[split]):,}" for splits in parts.values()]
    columns["keys"] = []
    for splits in parts.values():
        first_row = (splits["train"] + splits["test"])[0]
        columns["keys"].append(", ".join(first_row))
    return columns


def _settings(metas: list[dict]) -> list[str]:
    lines = []
    for stage, settings in provenance.settings(metas).items():
        shown = [f"{name} {_values(values)}" for name, values in settings.items()]
        lines.append(f"| {stage} | {', '.join(shown) or '–'} |")
    return lines


def _values(values: list) -> str:
    """`0.8 / 1.0`, on one line and fit for a cell of a table."""
    text = " / ".join(str(value) for value in values[:MOST_VALUES])
    if len(values) > MOST_VALUES:
        text += " / …"
    return " ".join(text.replace("|", "\\|").split())


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


def _hashes(folder: Path) -> list[str]:
    files = sorted(path for path in folder.rglob("*.*") if path.is_file())
    return [f"| {path.relative_to(folder)} | {rows.sha256(path)} |" for path in files]


def export(
    folder: OutputFolder,
    files: dict[str, str],
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
    parts = read_parts(files, test_share)
    metas = records_of(files)
    facts = {
        "license": license or "unknown",
        "name": f"{folder.path.resolve().parent.name} {folder.path.name}",
        "model": model.name,
        "rights": rights,
        "test_share": test_share,
        "address": address,
    }

    def fill(whole: Path) -> None:
        written = {name: write_part(whole, name, splits) for name, splits in parts.items()}
        text = card(whole, parts, written, metas, facts)
        rows.write_whole(whole / "README.md", text.encode())

    folder.open()
    folder.finish(fill)
    sizes = []
    for name, splits in parts.items():
        sizes.append(f"{name} {len(splits['train']):,} train, {len(splits['test']):,} test")
    folder.done(f"{'; '.join(sizes)}, licence {license or 'unknown'}")


def upload(folder: Path, repository: str) -> None:
    """Upload a finished folder to the hub; UserError if its licence is not known."""
    front_matter = (folder / "README.md").read_text(encoding="utf-8").split("---")[1]
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
    paths = cli.comma_list(data_paths)
    names = [Path(path).stem for path in paths]
    if not paths or len(set(names)) < len(names) or "jsonl" in names:
        expected = "one or more files of different names, separated by commas"
        raise UserError(f"--data_paths {data_paths!r}: {expected}")
    if not 0 <= test_share < 1:
        raise UserError(f"--test_share {test_share}: from 0 to under 1")
    model = models.find(model_path)
    settings = {
        "data": [rows.sha256(path) for path in paths],
        "model": models.identity(model),
        "test_share": test_share,
        "license": license,
    }
    folder = OutputFolder(save_path, "export_dataset", settings, overwrite)
    if not folder.announce(", ".join(map(shown_path, paths))):
        files = dict(zip(names, paths, strict=True))
        export(folder, files, model, test_share, license, push_to_hub or save_path)
    if push_to_hub:
        upload(Path(save_path), push_to_hub)
    else:
        loaded = f'load_dataset("{shown_path(save_path)}", "{names[0]}")'
        say(f"next: {loaded}, or --push_to_hub OWNER/NAME")


if __name__ == "__main__":
    cli.run(main)
