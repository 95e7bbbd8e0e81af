"""Make training conversations of majority-voted responses, one for each problem.

in    algebra_ins_7res_voted.json, …   from vote_res, several by commas: instruction, responses,
                                       marks, answer, agreement
out   sft.jsonl                        id, messages, question, answer, agreement
      python exp/prep_sft.py --voted_paths data/demo/algebra_ins_7res_voted.json \\
          --save_path data/demo/sft.jsonl

The first response that is marked right is taken: of a ranked file the reward model's best. With
--format it is laid out as that format of configs/formats.yaml asks, with the format's prompt before
it. Rows with less agreement than --min_agreement, and exact repeats of a problem, are dropped.
"""

from lib import cli, rows
from lib.errors import UserError
from lib.grading import formats
from lib.output import REMAKE, Output
from lib.training import conversations

NEED = ("instruction", "responses", "marks", "answer", "agreement")


def training_row(voted_row: dict, layout: formats.Format | None) -> dict:
    """The conversation of a majority-voted row's question and its first right response."""
    question = voted_row["instruction"]
    answer = voted_row["answer"]
    first_right = voted_row["marks"].index("right")
    response = voted_row["responses"][first_right]
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
            drop_reason = None
            if voted_row["agreement"] < min_agreement:
                drop_reason = "little agreement"
            training_rows.append((training_row(voted_row, layout), drop_reason))
    out.write_rows(training_rows, notes={})


if __name__ == "__main__":
    cli.run(main)
