"""Find the answer that most of a problem's responses agree on, and mark each response by it.

in    algebra_ins_7res.json         id, instruction, responses, finish_reasons; or _armorm, ranked
out   algebra_ins_7res_voted.json   those, answer (the majority's), agreement, marks, difficulty
      python exp/vote_res.py --ins_data_path data/demo/algebra_ins_7res_armorm.json \\
          --save_path data/demo/algebra_ins_7res_voted.json

The majority-voted answer takes the place of a gold one. Votes are joined by mathematical equality
(self-consistency, Wang et al. 2022, arXiv 2203.11171). `agreement` is the share of all responses
that give `answer`; `difficulty` is the share right. A mark is right, wrong, no answer, truncated,
or the finish reason of another incomplete response (content_filter). Incomplete ones never vote.
A row in which nobody answers, or two answers tie, is dropped: it has no majority. If the project's
generator can read a problem, its true answer shows how often the majority is right.
"""

from lib import cli, parallel, rows
from lib.errors import UserError
from lib.evaluation import metrics
from lib.grading import answers
from lib.inference.endings import why_incomplete
from lib.output import REMAKE, Output
from lib.progress import shown_path
from lib.tables import markdown, percent
from lib.tiny import truth


def count_votes(row: dict) -> tuple[dict, str | None]:
    """The row with its majority-voted answer and a mark for each response, or why it is dropped."""
    responses = row["responses"]
    finish_reasons = row.get("finish_reasons") or ["stop"] * len(responses)
    votes = []
    for response, finish_reason in zip(responses, finish_reasons, strict=True):
        votes.append(cast_vote(response, finish_reason))
    classes = metrics.vote(votes, answers.is_equal)
    if not classes:
        return row, "no answer"
    if len(classes) > 1 and len(classes[0]) == len(classes[1]):
        return row, "tied votes"
    majority = classes[0]  # the indices of the responses that agree
    marks = []
    for index, vote in enumerate(votes):
        marks.append(mark(vote, finish_reasons[index], index in majority))
    agreement = round(len(majority) / len(votes), 4)
    voted_row = row | {
        "answer": votes[majority[0]],
        "agreement": agreement,
        "marks": marks,
        "difficulty": agreement,
    }
    return voted_row, None


def cast_vote(response: str, finish_reason: str) -> str | None:
    """The answer that a response states; None if it states none or is not complete."""
    if why_incomplete(finish_reason):
        return None
    return answers.extract(response, strict=True)


def mark(answer: str | None, finish_reason: str, in_majority: bool) -> str:
    """`right`, `wrong`, `no answer`, `truncated`, or another reason why it is not complete."""
    if in_majority:
        return "right"
    incomplete = why_incomplete(finish_reason)
    if incomplete:
        return incomplete
    return "wrong" if answer else "no answer"


def precision_table(voted_rows: list[dict]) -> list[str]:
    """How often the majority has the true answer, by agreement, over problems whose truth is known.

    No lines if there are none.
    """
    levels = truth.vote_precision(voted_rows)
    if not levels:
        return []
    agreements, problem_counts, shares_right = [], [], []
    for (votes, responses), (right, problems) in levels.items():
        agreements.append(f"{votes} of {responses}")
        problem_counts.append(f"{problems:,}")
        shares_right.append(percent(right, problems))
    return markdown(
        {"votes": agreements, "problems": problem_counts, "pseudo-gold right": shares_right}
    )


def check_counts(placed_rows: list[tuple[str, dict]]) -> None:
    """UserError unless every row has as many responses, reasons and scores as the first row."""
    _, first_row = placed_rows[0]
    expected = len(first_row["responses"])
    for place, row in placed_rows:
        for column in ("responses", "finish_reasons", "scores"):
            if column not in row:
                continue
            count = len(row[column])
            if count != expected:
                first_has = f"{expected} responses in the first row"
                raise UserError(f"{place}: {count} {column}, and {first_has}")


def main(ins_data_path: str, save_path: str, overwrite: bool = False):
    settings = {"grader": answers.version()}
    inputs = (ins_data_path,)
    out = Output(save_path, "vote_res", settings, inputs, overwrite, new_input=REMAKE)
    if out.announce(f"votes of the responses of {shown_path(ins_data_path)}"):
        return
    placed_rows = rows.read_placed(ins_data_path, need=("instruction", "responses"))
    check_counts(placed_rows)

    def vote_on(row_key: int) -> tuple[dict, str | None]:
        _, row = placed_rows[row_key]
        return count_votes(row)

    out.open()
    total = len(placed_rows)
    pending = [row_key for row_key in range(total) if row_key not in out]
    voted_rows = parallel.in_threads(vote_on, pending)
    for row_key, (row, why) in zip(pending, voted_rows, strict=True):
        out.add(row_key, row, why)
    out.finish(total)

    if out.meta["rows_out"]:
        for line in precision_table(rows.read(save_path)):
            print(line)
    out.done()


if __name__ == "__main__":
    cli.run(main)
