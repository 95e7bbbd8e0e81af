"""Make training rows of LIMO: few hard problems, each with a long worked solution and its final answer.

in    GAIR/LIMO or GAIR/LIMO-v2 on the hub, or a local .jsonl, .json or .parquet file: question, solution, answer
out   train.json             id, question, answer, solution, source_dataset, original_id
      python exp/prep_limo.py --source GAIR/LIMO --split train --save_path data/limo/train.json

The texts are kept as they are but for white space around them; `original_id` is the row's number from 0. A row with an empty
text and a repeated question are dropped. For a local file --split only names `source_dataset` (limo_train).
"""

from pathlib import Path

from lib import cli, rows, sources
from lib.output import Output


def main(
    save_path: str,
    source: str = "GAIR/LIMO",
    split: str = "train",
    num_examples: int | None = None,
    overwrite: bool = False,
):
    hub = sources.on_hub(source)
    name = f"{Path(source).name.lower() if hub else 'limo'}_{split}"
    settings = {"source": source if hub else "a file", "split": split, "num_examples": num_examples}
    out = Output(save_path, "prep_limo", settings, () if hub else (source,), overwrite)
    if out.announce(
        f"{'all' if num_examples is None else num_examples} rows of {source} as {name}"
    ):
        return
    found, notes = sources.load(source, split, ("question", "solution", "answer"), num_examples)
    made = []
    for row in found:
        texts = {column: row[column].strip() for column in ("question", "answer", "solution")}
        facts = {"source_dataset": name, "original_id": row["original_id"]}
        made.append(
            (
                {"id": rows.row_id(texts["question"])} | texts | facts,
                None if all(texts.values()) else "empty",
            )
        )
    sources.write(out, made, notes)


if __name__ == "__main__":
    cli.run(main)
