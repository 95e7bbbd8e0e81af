"""Make training conversations of verified responses: the best one of each problem that enough of its responses agree on.

in    algebra_ins_7res_voted.json, …   from vote_res: instruction, responses, marks, answer, agreement; several by commas
out   sft.jsonl                           id, messages, question, answer, agreement
      python exp/prep_sft.py --voted_paths data/demo/algebra_ins_7res_voted.json --save_path data/demo/sft.jsonl

The first response that is marked right is taken: of a ranked file the reward model's best. With --format it is laid out as that
format of configs/formats.yaml asks, its prompt before it. Rows with less agreement than --min_agreement, and exact repeats of a
problem, are dropped.
"""

from lib import cli, rows, sources
from lib.errors import UserError
from lib.grading import formats
from lib.output import Output
from lib.training import conversations


def main(
    voted_paths: str,
    save_path: str,
    min_agreement: float = 0.5,
    format: str = "",
    overwrite: bool = False,
):
    paths = tuple(p.strip() for p in voted_paths.split(",") if p.strip())
    if not paths or not 0 <= min_agreement <= 1:
        raise UserError(
            f"--voted_paths {voted_paths!r} and --min_agreement {min_agreement}: files, and a share from 0 to 1"
        )
    layout = formats.find(format) if format else None
    out = Output(
        save_path, "prep_sft", {"min_agreement": min_agreement, "format": format}, paths, overwrite
    )
    if out.announce(f"verified responses of {len(paths)} files"):
        return
    made = []
    for path in paths:
        for row in rows.read(
            path, need=("instruction", "responses", "marks", "answer", "agreement")
        ):
            best = row["responses"][row["marks"].index("right")]
            messages = [
                {"role": "user", "content": row["instruction"]},
                {"role": "assistant", "content": best},
            ]
            if layout:
                messages = conversations.laid_out(layout, row["instruction"], best, row["answer"])
            kept = {
                "id": rows.row_id(row["instruction"]),
                "messages": messages,
                "question": row["instruction"],
            }
            kept |= {"answer": row["answer"], "agreement": row["agreement"]}
            made.append((kept, None if row["agreement"] >= min_agreement else "little agreement"))
    sources.write(out, made, {})


if __name__ == "__main__":
    cli.run(main)
