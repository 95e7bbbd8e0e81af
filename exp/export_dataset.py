"""Export training rows as a dataset: train and test splits, Parquet and JSONL, and a card from the rows' own records.

in    refined/sft.jsonl, refined/pairs.jsonl   any of our files of rows, each becomes a part of its own
out   dataset/           sft/train.parquet, sft/test.parquet, jsonl/sft_train.jsonl, …, README.md (the card), settings.json
      python exp/export_dataset.py --data_paths data/demo/refined/sft.jsonl --model_path 0 --save_path data/demo/dataset

`datasets.load_dataset("data/demo/dataset", "sft")` reads it. A problem is in the test split by the hash of its text, so that no
part trains on what another tests. The licence is the generating model's, from its card (--model_path), or typed; what is not
known is said, and not uploaded. --push_to_hub OWNER/NAME uploads the folder (HF_TOKEN).
"""

import hashlib
from pathlib import Path

from lib import cli, models, provenance, rows
from lib.errors import UserError
from lib.output_folder import OutputFolder
from lib.progress import say
from lib.tables import markdown

CARD = """---
license: {license}
task_categories: [text-generation]
tags: [math, synthetic, magpie]
configs:
{configs}
---
# {name}

Math problems that {model} invented from its own chat format alone (Magpie, Xu et al. 2024), with its own answers, filtered and
verified by Tiding. {rights}

{counts}

About {test_share:.0%} of the problems, those of the lowest hashes and in every part the same, are the test split.

```python
from datasets import load_dataset
rows = load_dataset("{address}", "{first}", split="train")
```

## How it was made

{stages}

| stage | settings |
| --- | --- |
{settings}

Software: {versions}.

| file | SHA-256 |
| --- | --- |
{hashes}
"""


def is_test(row: dict, share: float) -> bool:
    """Whether a row's problem is in the test split: by its text, so alike in every part and in every version of the data."""
    digest = hashlib.sha256(
        str(row.get("question") or row.get("instruction") or row["id"]).encode(errors="replace")
    ).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def licence(model: models.Model) -> str:
    """The licence that the model's card names, of its folder or the hub; empty if it names none or there is no card."""
    from huggingface_hub import ModelCard
    from huggingface_hub.errors import HfHubHTTPError

    card = Path(model.path, "README.md") if model.is_local else model.path
    try:
        data = ModelCard.load(str(card)).data
    except (OSError, ValueError, HfHubHTTPError) as e:  # no card, no network
        say(f"the card of {model.path} cannot be read ({type(e).__name__})")
        return ""
    return data.get("license_name") or data.license or ""


def write(folder: Path, name: str, splits: dict[str, list[dict]]) -> dict[str, Path]:
    """One part's splits as Parquet and JSONL; the Parquet files by split. An empty split has no file."""
    from datasets import Dataset

    made = {}
    for split, found in splits.items():
        if found:
            for sub in (name, "jsonl"):
                (folder / sub).mkdir(exist_ok=True)
            made[split] = folder / name / f"{split}.parquet"
            Dataset.from_list(found).to_parquet(made[split])
            rows.write_whole(
                folder / f"jsonl/{name}_{split}.jsonl",
                b"".join(rows.dumps(row) + b"\n" for row in found),
            )
    return made


def main(
    data_paths: str,
    save_path: str,
    model_path: str,
    test_share: float = 0.05,
    license: str = "",
    push_to_hub: str = "",
    overwrite: bool = False,
):
    paths = [p.strip() for p in data_paths.split(",") if p.strip()]
    names = [Path(p).stem for p in paths]
    if not paths or len(set(names)) < len(names) or "jsonl" in names:
        raise UserError(
            f"--data_paths {data_paths!r}: one or more files of different names, separated by commas"
        )
    if not 0 <= test_share < 1:
        raise UserError(f"--test_share {test_share}: from 0 to under 1")
    model = models.find(model_path)
    settings = {
        "data": [rows.sha256(p) for p in paths],
        "model": models.identity(model),
        "test_share": test_share,
        "license": license,
    }
    folder = OutputFolder(save_path, "export_dataset", settings, overwrite)
    if folder.finished:
        say(f"{save_path} is finished; nothing to do")
    else:
        say(f"{', '.join(paths)} -> {save_path}")
        export(
            folder,
            dict(zip(names, paths, strict=True)),
            model,
            test_share,
            license,
            push_to_hub or save_path,
        )
    if push_to_hub:
        upload(Path(save_path), push_to_hub)
    else:
        say(f'next: load_dataset("{save_path}", "{names[0]}"), or --push_to_hub OWNER/NAME')


def export(
    folder: OutputFolder,
    files: dict[str, str],
    model: models.Model,
    test_share: float,
    typed: str,
    address: str,
) -> None:
    """Write the folder and its card."""
    import datasets

    datasets.disable_progress_bars()
    known = typed or licence(model)
    splits = {}
    for name, path in files.items():
        splits[name] = {"train": [], "test": []}
        for row in rows.read(path):
            splits[name]["test" if is_test(row, test_share) else "train"].append(row)
    metas = list(
        {
            (m["stage"], m["file"], str(m["inputs"])): m
            for path in files.values()
            for m in provenance.trace(path)
        }.values()
    )
    versions = sorted(
        {f"{k} {v}" for m in metas for k, v in (m.get("notes", {}).get("versions") or {}).items()}
    )
    commits = sorted({m["notes"]["commit"] for m in metas if m.get("notes", {}).get("commit")})
    software = ", ".join([*versions, *(f"Tiding {c}" for c in commits)]) or "not noted"

    def fill(whole: Path) -> None:
        made = {name: write(whole, name, parts) for name, parts in splits.items()}
        configs = "\n".join(
            "\n".join([f"- config_name: {name}", "  data_files:"]
                      + [f"  - split: {split}\n    path: {name}/{split}.parquet" for split in files])
            for name, files in made.items())  # fmt: skip
        counts = {"part": list(splits), **{s: [f"{len(p[s]):,}" for p in splits.values()] for s in ("train", "test")},
                  "keys": [", ".join(next(r for s in p.values() for r in s)) for p in splits.values()]}  # fmt: skip
        shown = [f"| {stage} | {', '.join(f'{k} {_values(v)}' for k, v in facts.items()) or '–'} |"
                 for stage, facts in provenance.settings(metas).items()]  # fmt: skip
        hashes = [
            f"| {p.relative_to(whole)} | {rows.sha256(str(p))} |"
            for p in sorted(whole.rglob("*.*"))
            if p.is_file()
        ]
        rights = (f"The text is under the licence of the model that wrote it: {known}." if known else
                  "The licence of the model that wrote it is not known here: its terms apply to this text.")  # fmt: skip
        card = CARD.format(
            license=known or "unknown", configs=configs, name=f"{Path(folder.path).resolve().parent.name} {folder.path.name}",
            model=model.name, rights=rights, counts="\n".join(markdown(counts)), test_share=test_share, address=address,
            first=next(iter(files)), stages="\n".join(markdown(provenance.table(metas))), settings="\n".join(shown),
            versions=software, hashes="\n".join(hashes))  # fmt: skip
        rows.write_whole(whole / "README.md", card.encode())

    folder.open()
    folder.finish(fill)
    sizes = "; ".join(
        f"{name} {len(p['train']):,} train, {len(p['test']):,} test" for name, p in splits.items()
    )
    say(f"wrote {folder.path}: {sizes}, licence {known or 'unknown'}")


def _values(values: list) -> str:
    text = " / ".join(str(v) for v in values[:6]) + (" / …" if len(values) > 6 else "")
    return " ".join(text.replace("|", "\\|").split())


def upload(folder: Path, repository: str) -> None:
    if "license: unknown" in (folder / "README.md").read_text(encoding="utf-8").split("---")[1]:
        raise UserError(
            "the licence of the generating model is not known; --license NAME --overwrite says it"
        )
    from huggingface_hub import HfApi

    HfApi().create_repo(repository, repo_type="dataset", exist_ok=True)
    HfApi().upload_folder(repo_id=repository, repo_type="dataset", folder_path=folder)
    say(f"uploaded to {repository}")


if __name__ == "__main__":
    cli.run(main)
