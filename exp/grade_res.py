"""Grade saved responses again, without a model: after a change of the grader or the gold answers.

in    responses.json         response, and the gold answer in `answer`; finish_reason if it is known
out   graded.json            those, correct, extracted, how (box, tag, hashes, phrase, last number),
                             why
      python exp/grade_res.py --responses_path data/eval/base_responses.json \\
          --save_path data/eval/base_graded.json

Grading is lenient unless --strict: then only an answer that is stated as one counts. A truncated
response is always read strictly. Rows whose gold cannot be read are dropped and reported, never
scored. A gold may still be GSM8K's worked solution with its `#### N`.
"""

from collections import Counter, defaultdict

from lib import cli, parallel, rows
from lib.errors import UserError
from lib.evaluation import benchmark, metrics
from lib.grading import answers
from lib.output import Output
from lib.progress import Progress, say, shown_path
from lib.tables import percent

BATCH = 2000  # rows between two looks at the clock
UNPARSABLE = "unparsable gold"


def read_responses(path: str) -> list[tuple[str, dict]]:
    """(FILE:LINE, row) of every response; UserError unless each has its text and a gold answer."""
    placed_rows = rows.read_placed(path)
    for place, row in placed_rows:
        if "answer" not in row:
            raise UserError(f"{place}: no key 'answer' (has: {', '.join(row)})")
        if not isinstance(row.get("response"), str):
            raise UserError(f"{place}: no text in 'response' (has: {', '.join(row)})")
    return placed_rows


def report_unparsable(
    path: str, placed_rows: list[tuple[str, dict]], golds: list[str | None]
) -> None:
    """Say where the first gold that cannot be read stands; UserError if none can be."""
    unparsable = []
    for (place, row), gold in zip(placed_rows, golds, strict=True):
        if gold is None:
            unparsable.append(f"{place}: {UNPARSABLE} {str(row['answer'])[:60]!r}")
    if unparsable:
        say(f"{unparsable[0]}; {len(unparsable):,} such rows are dropped, not scored")
    if len(unparsable) == len(placed_rows):
        raise UserError(f"{path}: no row has a gold that can be scored")


def result_line(graded_rows: list[dict]) -> str:
    """`8 of 16 right: 50.0% [0.0%, 100.0%]; others: 6 no answer, 2 truncated`."""
    by_problem: dict[str, list[bool]] = defaultdict(list)  # since samples of a problem are alike
    wrong: Counter[str] = Counter()
    for key, row in enumerate(graded_rows):
        by_problem[str(row.get("id", key))].append(row["correct"])
        if not row["correct"]:
            wrong[row["why"]] += 1
    counts = [(sum(verdicts), len(verdicts)) for verdicts in by_problem.values()]
    low, high = metrics.interval(counts)
    total = len(graded_rows)
    right = total - wrong.total()
    line = f"{right:,} of {total:,} right: {percent(right, total)} [{low:.1%}, {high:.1%}]"
    if wrong:
        reasons = ", ".join(f"{count:,} {why}" for why, count in wrong.most_common())
        line += f"; others: {reasons}"
    return line


def changed_verdicts(old_rows: list[dict], graded_rows: list[dict]) -> int | None:
    """How many verdicts differ from the file's own; None if it does not have one in every row."""
    changed = 0
    for old, graded in zip(old_rows, graded_rows, strict=True):
        if not isinstance(old.get("correct"), bool):
            return None
        if old["correct"] != graded["correct"]:
            changed += 1
    return changed


def main(responses_path: str, save_path: str, strict: bool = False, overwrite: bool = False):
    settings = {"strict": strict, "grader": answers.version()}
    out = Output(save_path, "grade_res", settings, (responses_path,), overwrite)
    reading = "strict" if strict else "lenient"
    if out.announce(f"{reading} grades of {shown_path(responses_path)}"):
        return
    placed_rows = read_responses(responses_path)
    responses = [row for _, row in placed_rows]
    golds = [answers.gold_of(row["answer"]) for row in responses]
    report_unparsable(responses_path, placed_rows, golds)

    def grade(key: int) -> tuple[dict, str | None]:
        row, gold = responses[key], golds[key]
        if gold is None:
            return row, UNPARSABLE
        return row | benchmark.verdict(row | {"answer": gold}, strict), None

    out.open()
    pending = [key for key in range(len(responses)) if key not in out]
    progress = Progress(out.path.name, len(responses), len(out))
    for start in range(0, len(pending), BATCH):
        batch = pending[start : start + BATCH]
        for key, (row, why) in zip(batch, parallel.in_threads(grade, batch), strict=True):
            out.add(key, row, why)
        progress.advance(len(out), dropped=out.dropped.total())
    progress.close()
    out.finish(len(responses))

    graded_rows = rows.read(save_path)
    print(result_line(graded_rows))
    scored = [row for row, gold in zip(responses, golds, strict=True) if gold is not None]
    changed = changed_verdicts(scored, graded_rows)
    if changed is not None:
        print(f"{changed:,} verdicts differ from the file's own")
    out.done()


if __name__ == "__main__":
    cli.run(main)
