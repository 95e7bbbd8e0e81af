"""Find the answer that most of a problem's responses agree on, and mark each response by it.

in    algebra_ins_7res.json        id, instruction, responses, finish_reasons (or _armorm, best first)
out   algebra_ins_7res_voted.json   those, answer (the pseudo-gold), agreement, marks, difficulty
      python exp/vote_res.py --ins_data_path data/demo/algebra_ins_7res_armorm.json \\
          --save_path data/demo/algebra_ins_7res_voted.json

Votes are joined by mathematical equality (self-consistency, Wang et al. 2022, arXiv 2203.11171). `agreement` is the share of all
responses that give `answer`; a mark is right, wrong, no answer or truncated; `difficulty` is the share right. A row in which
nobody answers, or two answers tie, is dropped: there is nothing to verify by. Where the project's generator can read a problem,
its true answer says how often the pseudo-gold is right.
"""

from lib import cli, rows
from lib.errors import UserError
from lib.evaluation import metrics
from lib.grading import answers
from lib.output import Output
from lib.progress import say
from lib.tables import markdown, percent
from lib.tiny import truth


def marked(row: dict) -> tuple[dict, str | None]:
    """(the row with its votes counted, why it is dropped)."""
    ends = row.get("finish_reasons") or ["stop"] * len(row["responses"])
    found = [
        None if end == "length" else answers.extract(text, strict=True)
        for text, end in zip(row["responses"], ends, strict=True)
    ]
    classes = metrics.vote(found, answers.is_equal)
    if not classes:
        return row, "no answer"
    if len(classes) > 1 and len(classes[0]) == len(classes[1]):
        return row, "tied votes"
    right, gold = set(classes[0]), found[classes[0][0]]
    marks = ["right" if k in right else "truncated" if end == "length" else "wrong" if a else "no answer"
             for k, (a, end) in enumerate(zip(found, ends, strict=True))]  # fmt: skip
    share = round(len(right) / len(found), 4)
    return row | {"answer": gold, "agreement": share, "marks": marks, "difficulty": share}, None


def precision(kept: list[dict]) -> list[str]:
    """How often the pseudo-gold is the true answer, by agreement, over the problems that the generator can read."""
    levels = truth.precision(kept)
    if not levels:
        return []
    return markdown({"votes": [f"{right} of {of}" for right, of in levels], "problems": [f"{n:,}" for _, n in levels.values()],
                     "pseudo-gold right": [percent(right, n) for right, n in levels.values()]})  # fmt: skip


def main(ins_data_path: str, save_path: str, overwrite: bool = False):
    out = Output(save_path, "vote_res", {"grader": answers.version()}, (ins_data_path,), overwrite)
    if out.finished:
        say(f"{out.path} is finished: {out.summary()}; nothing to do")
        return
    say(f"votes of the responses of {ins_data_path} -> {save_path}")
    placed = rows.read_placed(ins_data_path, need=("instruction", "responses"))
    for place, row in placed:
        for column in ("responses", "finish_reasons", "scores"):
            if column in row and len(row[column]) != len(placed[0][1]["responses"]):
                raise UserError(
                    f"{place}: {len(row[column])} {column}, and {len(placed[0][1]['responses'])} responses in the first row"
                )
    found = [row for _, row in placed]
    out.open({})
    todo = [key for key in range(len(found)) if key not in out]
    for key, (row, why) in zip(
        todo, answers.in_parallel(lambda key: marked(found[key]), todo), strict=True
    ):
        out.add(key, row, why)
    out.finish(len(found))
    if lines := precision(rows.read(save_path) if out.meta["rows_out"] else []):
        print("\n".join(lines))
    out.done()


if __name__ == "__main__":
    cli.run(main)
