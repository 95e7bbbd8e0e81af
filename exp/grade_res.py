"""Grade saved responses again, without a model: after a change of the grader or the gold answers.

in    responses.json         response, and the gold answer in `answer`; finish_reason if it is known
out   graded.json            those, correct, extracted, how (box, tag, hashes, phrase, last number),
                             why
      python exp/grade_res.py --responses_path data/eval/base_responses.json \\
          --save_path data/eval/base_graded.json

Grading is lenient unless --strict: then only an answer that is stated as one counts. A response
that is not complete (its finish_reason is not stop) is always read strictly. Rows whose gold cannot
be read are dropped and reported, never scored. A gold may still be GSM8K's worked solution with its
`#### N`.
"""

from collections import Counter

from lib import cli, parallel, rows
from lib.errors import UserError
from lib.evaluation import benchmark, metrics
from lib.grading import answers
from lib.output import Output
from lib.progress import Progress, say, shown_path
from lib.tables import percent

BATCH = 2000  # rows between two reports of progress
UNPARSABLE = "unparsable gold"


def read_responses(responses_path: str) -> list[tuple[str, dict]]:
    """(FILE:LINE, row) of every response; UserError unless each has its text and a gold answer."""
    placed_rows = rows.read_placed(responses_path)
    for place, row in placed_rows:
        missing = what_is_missing(row)
        if missing:
            columns = ", ".join(row)
            raise UserError(f"{place}: {missing} (has: {columns})")
    return placed_rows


def what_is_missing(row: dict) -> str | None:
    """Why a row cannot be graded; None if it can."""
    if "answer" not in row:
        return "no key 'answer'"
    if not isinstance(row.get("response"), str):
        return "no text in 'response'"
    return None


def report_unparsable(
    responses_path: str, placed_rows: list[tuple[str, dict]], golds: list[str | None]
) -> None:
    """Say where the first gold that cannot be read stands; UserError if none can be."""
    unparsable = []
    for placed_row, gold in zip(placed_rows, golds, strict=True):
        if gold is None:
            unparsable.append(placed_row)
    if unparsable:
        place, row = unparsable[0]
        shown_answer = str(row["answer"])[:60]
        first = f"{place}: {UNPARSABLE} {shown_answer!r}"
        say(f"{first}; {len(unparsable):,} such rows are dropped, not scored")
    if len(unparsable) == len(placed_rows):
        raise UserError(f"{responses_path}: no row has a gold that can be scored")


def result_line(graded_rows: list[dict]) -> str:
    """`8 of 16 right: 50.0% [0.0%, 100.0%]; others: 6 no answer, 2 truncated`."""
    # By problem, since its samples are alike: more of them say less than more problems would.
    right_of: Counter[str] = Counter()
    samples_of: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for row_number, row in enumerate(graded_rows):
        problem_id = str(row.get("id", row_number))
        samples_of[problem_id] += 1
        if row["correct"]:
            right_of[problem_id] += 1
        else:
            wrong[row["why"]] += 1
    counts = [(right_of[problem_id], samples) for problem_id, samples in samples_of.items()]
    low, high = metrics.interval(counts)
    total = len(graded_rows)
    right = right_of.total()
    share = percent(right, total)
    line = f"{right:,} of {total:,} right: {share} [{low:.1%}, {high:.1%}]"
    if wrong:
        reasons = [f"{count:,} {why}" for why, count in wrong.most_common()]
        line += f"; others: {', '.join(reasons)}"
    return line


def changed_verdicts(scored_rows: list[dict], graded_rows: list[dict]) -> int | None:
    """How many verdicts differ from the file's own; None if it does not have one in every row."""
    changed = 0
    for scored_row, graded_row in zip(scored_rows, graded_rows, strict=True):
        old_verdict = scored_row.get("correct")
        if not isinstance(old_verdict, bool):
            return None
        if old_verdict != graded_row["correct"]:
            changed += 1
    return changed


def main(responses_path: str, save_path: str, strict: bool = False, overwrite: bool = False):
    settings = {"strict": strict, "grader": answers.version()}
    out = Output(save_path, "grade_res", settings, (responses_path,), overwrite)
    reading = "strict" if strict else "lenient"
    if out.announce(f"{reading} grades of {shown_path(responses_path)}"):
        return
    placed_rows = read_responses(responses_path)
    samples = [row for _, row in placed_rows]
    golds = [answers.gold_of(sample["answer"]) for sample in samples]
    report_unparsable(responses_path, placed_rows, golds)

    def grade(row_key: int) -> tuple[dict, str | None]:
        sample, gold = samples[row_key], golds[row_key]
        if gold is None:
            return sample, UNPARSABLE
        # The grade is of the plain gold, and the row keeps its answer as it was.
        verdict = benchmark.verdict(sample | {"answer": gold}, strict)
        return sample | verdict, None

    out.open()
    total = len(samples)
    pending = [row_key for row_key in range(total) if row_key not in out]
    progress = Progress(out.path.name, total, len(out))
    for start in range(0, len(pending), BATCH):
        batch = pending[start : start + BATCH]
        graded_batch = parallel.in_threads(grade, batch)
        for row_key, (row, why) in zip(batch, graded_batch, strict=True):
            out.add(row_key, row, why)
        progress.advance(len(out), dropped=out.dropped.total())
    progress.close()
    out.finish(total)

    graded_rows = rows.read(save_path)
    print(result_line(graded_rows))
    scored_rows = []
    for sample, gold in zip(samples, golds, strict=True):
        if gold is not None:
            scored_rows.append(sample)
    changed = changed_verdicts(scored_rows, graded_rows)
    if changed is not None:
        print(f"{changed:,} verdicts differ from the file's own")
    out.done()


if __name__ == "__main__":
    cli.run(main)
