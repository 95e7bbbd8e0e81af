"""Make evaluation rows of GSM8K: each question with its gold answer as a bare number.

in    openai/gsm8k on the hub, or a local .jsonl, .json or .parquet file: question, answer (worked, its last line "#### N")
out   test.json              id, question, answer, solution, source_dataset, original_id
      python exp/prep_gsm8k.py --source openai/gsm8k --split test --save_path data/gsm8k/test.json

`answer` has no thousands commas, `solution` no calculator marks, `original_id` is the row's number from 0. A row whose gold is
no number, an empty question and a repeat are dropped. For a local file --split only names `source_dataset` (gsm8k_test).
"""

import re
from pathlib import Path

from lib import cli, rows, sources
from lib.output import Output
from lib.progress import say

# Commas only where thousands have them: "2,12" may be a typing error of 2.12 or 212, and is nobody's gold.
GOLD = re.compile(r"####\s*\$?([-\u2212]?)\$?([0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(\.[0-9]+)?\.?")
CALCULATOR = re.compile(r"<<.*?>>")


def last_line(text: str) -> str:
    return text.rstrip().rpartition("\n")[2].strip()


def gold_of(answer_text: str) -> str | None:
    """`1080` of a worked answer that ends with `#### $1,080.00`: digits, perhaps a sign and decimals; None of anything else."""
    found = GOLD.fullmatch(last_line(answer_text))
    if not found:
        return None
    sign, whole, decimals = found.groups(default="")
    number = (whole.replace(",", "").lstrip("0") or "0") + decimals.rstrip("0").rstrip(".")
    return f"-{number}" if sign and number != "0" else number


def solution_of(answer_text: str) -> str:
    """The worked answer before its last line, without marks such as <<16-3-4=9>>."""
    return CALCULATOR.sub("", answer_text.rstrip().rpartition("\n")[0]).strip()


def main(
    save_path: str,
    source: str = "openai/gsm8k",
    split: str = "test",
    num_examples: int | None = None,
    overwrite: bool = False,
):
    hub = sources.on_hub(source)
    name = f"{Path(source).name.lower() if hub else 'gsm8k'}_{split}"
    settings = {"source": source if hub else "a file", "split": split, "num_examples": num_examples}
    out = Output(save_path, "prep_gsm8k", settings, () if hub else (source,), overwrite)
    if out.announce(
        f"{'all' if num_examples is None else num_examples} rows of {source} as {name}"
    ):
        return
    found, notes = sources.load(source, split, ("question", "answer"), num_examples, config="main")
    made, bad = [], []
    for row in found:
        question, text, gold = row["question"], row["answer"], gold_of(row["answer"])
        fine = (
            {"answer": gold, "solution": solution_of(text)}
            if gold
            else {"answer": text, "solution": ""}
        )
        why = "empty" if not question.strip() else None if gold else "unparsable gold"
        if why == "unparsable gold":
            bad.append(f"{row['place']}: unparsable gold {last_line(text)[:60]!r}")
        key = {"id": rows.row_id(question), "question": question}
        made.append((key | fine | {"source_dataset": name, "original_id": row["original_id"]}, why))
    if bad:
        say(f"{bad[0]}; {len(bad):,} such rows are dropped")
    sources.write(out, made, notes)
    say(
        f"next: python exp/eval_gsm8k.py --model_path tiny --test_data_path {save_path} --save_path data/eval/tiny_gsm8k.csv"
    )


if __name__ == "__main__":
    cli.run(main)
