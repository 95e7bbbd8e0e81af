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
from lib.output import Output
from lib.training import conversations

NEED = ("instruction", "responses", "marks", "answer", "agreement")


def conversation_of(row: dict, layout: formats.Format | None) -> dict:
    """The training row of a voted one: its first response that is marked right."""
    question, answer = row["instruction"], row["answer"]
    response = row["responses"][row["marks"].index("right")]
    if layout:
        messages = conversations.lay_out(layout, question, response, answer)
    else:
        messages = conversations.exchange(question, response)
    return {
        "id": rows.row_id(question),
        "messages": messages,
        "question": question,
        "answer": answer,
        "agreement": row["agreement"],
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
    out = Output(save_path, "prep_sft", settings, paths, overwrite)
    if out.announce(f"majority-voted responses of {len(paths)} files"):
        return
    examples = []
    for path in paths:
        for row in rows.read(path, need=NEED):
            why = None if row["agreement"] >= min_agreement else "little agreement"
            examples.append((conversation_of(row, layout), why))
    out.write_rows(examples, notes={})


if __name__ == "__main__":
    cli.run(main)
