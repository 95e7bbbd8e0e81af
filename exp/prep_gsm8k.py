"""Make evaluation rows of GSM8K: each question with its gold answer as a bare number.

in    openai/gsm8k on the hub, or a local .jsonl, .json or .parquet file: question, answer (worked,
                             its last line "#### N")
out   test.json              id, question, answer, solution, source_dataset, original_id
      python exp/prep_gsm8k.py --source openai/gsm8k --split test --save_path data/gsm8k/test.json

`answer` has no thousands commas, `solution` no calculator marks, and `original_id` is the row's
number from 0. A row is dropped if its gold is no number, its question is empty, or it is a repeat.
For a local file --split only names `source_dataset` (gsm8k_test).
"""

import re
from pathlib import Path

from lib import cli, rows, sources
from lib.output import Output
from lib.progress import say

# Commas only between thousands: "2,12" may be a typing error of 2.12 or of 212, so it is no gold.
GOLD = re.compile(r"####\s*\$?([-\u2212]?)\$?([0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(\.[0-9]+)?\.?")
CALCULATOR_MARK = re.compile(r"<<.*?>>")
NOT_A_NUMBER = "unparsable gold"


def last_line(worked_answer: str) -> str:
    return worked_answer.rstrip().rpartition("\n")[2].strip()


def gold_of(worked_answer: str) -> str | None:
    """`1080` of a worked answer that ends in `#### $1,080.00`; None if that is no number.

    A number is digits, with or without a sign and decimals.
    """
    gold_line = last_line(worked_answer)
    match = GOLD.fullmatch(gold_line)
    if not match:
        return None
    sign, whole, decimals = match.groups(default="")
    digits = whole.replace(",", "").lstrip("0") or "0"
    number = digits + decimals.rstrip("0").rstrip(".")
    is_negative = sign and number != "0"
    return f"-{number}" if is_negative else number


def solution_of(worked_answer: str) -> str:
    """The worked answer before its last line, without marks such as <<16-3-4=9>>."""
    lines_before = worked_answer.rstrip().rpartition("\n")[0]
    return CALCULATOR_MARK.sub("", lines_before).strip()


def why_dropped(question: str, gold: str | None) -> str | None:
    """The reason, or None for a row that is kept."""
    if not question.strip():
        return "empty"
    return NOT_A_NUMBER if gold is None else None


def make_row(source_row: dict, source_dataset: str) -> tuple[dict, str | None]:
    """The row and why it is dropped. Without a gold the worked answer stays as it is."""
    question = source_row["question"]
    worked_answer = source_row["answer"]
    gold = gold_of(worked_answer)
    row = {
        "id": rows.row_id(question),
        "question": question,
        "answer": gold or worked_answer,
        "solution": solution_of(worked_answer) if gold else "",
        "source_dataset": source_dataset,
        "original_id": source_row["original_id"],
    }
    return row, why_dropped(question, gold)


def report_unparsable(source_rows: list[dict], made_rows: list[tuple[dict, str | None]]) -> None:
    """Say where the first gold that is no number stands, and how many there are."""
    unparsable_golds = []
    for source_row, (_, drop_reason) in zip(source_rows, made_rows, strict=True):
        if drop_reason == NOT_A_NUMBER:
            gold_line = last_line(source_row["answer"])
            fault = f"{NOT_A_NUMBER} {gold_line[:60]!r}"
            unparsable_golds.append(f"{source_row['place']}: {fault}")
    if unparsable_golds:
        first_gold = unparsable_golds[0]
        say(f"{first_gold}; {len(unparsable_golds):,} such rows are dropped")


def main(
    save_path: str,
    source: str = "openai/gsm8k",
    split: str = "test",
    num_examples: int | None = None,
    overwrite: bool = False,
):
    is_on_hub = sources.on_hub(source)
    dataset = Path(source).name.lower() if is_on_hub else "gsm8k"
    source_dataset = f"{dataset}_{split}"
    settings = {"source": source if is_on_hub else "a file"}
    settings |= {"split": split, "num_examples": num_examples}
    inputs = () if is_on_hub else (source,)
    out = Output(save_path, "prep_gsm8k", settings, inputs, overwrite)
    count = "all" if num_examples is None else num_examples
    if out.announce(f"{count} rows of {source} as {source_dataset}"):
        return
    columns = ("question", "answer")
    source_rows, notes = sources.load(source, split, columns, num_examples, config="main")
    made_rows = [make_row(row, source_dataset) for row in source_rows]
    report_unparsable(source_rows, made_rows)
    out.write_rows(made_rows, notes)
    command = f"--model_path tiny --test_data_path {save_path} --save_path data/eval/tiny_gsm8k.csv"
    say(f"next: python exp/eval_gsm8k.py {command}")


if __name__ == "__main__":
    cli.run(main)
