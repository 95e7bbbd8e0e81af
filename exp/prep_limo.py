"""Make training rows of LIMO: few hard problems, each with a long worked solution and its answer.

in    GAIR/LIMO or GAIR/LIMO-v2 on the hub, or a local .jsonl, .json or .parquet file: question,
                             solution, answer
out   train.json             id, question, answer, solution, source_dataset, original_id
      python exp/prep_limo.py --source GAIR/LIMO --split train --save_path data/limo/train.json

The texts are kept as they are but for white space around them; `original_id` is the row's number
from 0. A row is dropped if one of its texts is empty or its question is a repeat. For a local file
--split only names `source_dataset` (limo_train).
"""

from pathlib import Path

from lib import cli, rows, sources
from lib.output import Output


def make_row(source_row: dict, source_dataset: str) -> tuple[dict, str | None]:
    """The row and why it is dropped."""
    question = source_row["question"].strip()
    answer = source_row["answer"].strip()
    solution = source_row["solution"].strip()
    row = {
        "id": rows.row_id(question),
        "question": question,
        "answer": answer,
        "solution": solution,
        "source_dataset": source_dataset,
        "original_id": source_row["original_id"],
    }
    is_whole = question and answer and solution
    drop_reason = None if is_whole else "empty"
    return row, drop_reason


def main(
    save_path: str,
    source: str = "GAIR/LIMO",
    split: str = "train",
    num_examples: int | None = None,
    overwrite: bool = False,
):
    is_on_hub = sources.on_hub(source)
    dataset = Path(source).name.lower() if is_on_hub else "limo"
    source_dataset = f"{dataset}_{split}"
    settings = {"source": source if is_on_hub else "a file"}
    settings |= {"split": split, "num_examples": num_examples}
    inputs = () if is_on_hub else (source,)
    out = Output(save_path, "prep_limo", settings, inputs, overwrite)
    count = "all" if num_examples is None else num_examples
    if out.announce(f"{count} rows of {source} as {source_dataset}"):
        return
    columns = ("question", "solution", "answer")
    source_rows, notes = sources.load(source, split, columns, num_examples)
    made_rows = [make_row(row, source_dataset) for row in source_rows]
    out.write_rows(made_rows, notes)


if __name__ == "__main__":
    cli.run(main)
