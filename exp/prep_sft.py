"""Make training conversations of majority-voted responses, one for each problem.

in    algebra_ins_7res_voted.json, …   from vote_res, several by commas: instruction, responses,
                                       marks, answer, agreement
out   sft.jsonl                        id, messages, question, answer, agreement
      python exp/prep_sft.py --voted_paths data/demo/algebra_ins_7res_voted.json \\
          --save_path data/demo/sft.jsonl

The first response that is marked right is taken: of a ranked file the reward model's best, and
never one without a score. With --format it is laid out as that format of configs/formats.yaml asks,
with the format's prompt before it. Rows with less agreement than --min_agreement, and exact repeats
of a problem, are dropped.
"""

from lib import cli, rows
from lib.errors import UserError
from lib.grading import formats
from lib.output import REMAKE, Output
from lib.training import conversations

NEED = ("instruction", "responses", "marks", "answer", "agreement")


def first_right(voted_row: dict) -> str | None:
    """The first response that is marked right, among scored ones with a score; None without one."""
    responses = voted_row["responses"]
    scores = voted_row.get("scores") or [0.0] * len(responses)
    for response, mark, score in zip(responses, voted_row["marks"], scores, strict=True):
        if mark == "right" and score is not None:
            return response
    return None


def training_row(voted_row: dict, response: str, layout: formats.Format | None) -> dict:
    """The conversation of a majority-voted row's question and one of its responses."""
    question = voted_row["instruction"]
    answer = voted_row["answer"]
    if layout:
        messages = conversations.lay_out(layout, question, response, answer)
    else:
        messages = conversations.exchange(question, response)
    return {
        "id": rows.row_id(question),
        "messages": messages,
        "question": question,
        "answer": answer,
        "agreement": voted_row["agreement"],
    }


def main(
    voted_paths: str,
    save_path: str,
    min_agreement: float = 0.5,
    format: str = "",
    overwrite: bool = False,
):
    paths = tuple(cli.comma_list(voted_paths))
    if not paths or not 0 <= min_agreement <= 1:
        flags = f"--voted_paths {voted_paths!r} and --min_agreement {min_agreement}"
        raise UserError(f"{flags}: files, and a share from 0 to 1")
    layout = formats.find(format) if format else None
    settings = {"min_agreement": min_agreement, "format": format}
    out = Output(save_path, "prep_sft", settings, paths, overwrite, new_input=REMAKE)
    if out.announce(f"majority-voted responses of {len(paths)} files"):
        return
    training_rows = []
    for path in paths:
        for voted_row in rows.read(path, need=NEED):
            response = first_right(voted_row)
            drop_reason = None
            if voted_row["agreement"] < min_agreement:
                drop_reason = "little agreement"
            elif response is None:
                drop_reason = "no scored right response"
            row = training_row(voted_row, response or "", layout)
            training_rows.append((row, drop_reason))
    out.write_rows(training_rows, notes={})


if __name__ == "__main__":
    cli.run(main)
