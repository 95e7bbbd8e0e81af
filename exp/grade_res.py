"""Grade saved responses again, without a model: after a change of the grader, or of the gold answers.

in    responses.json         response, and the gold answer in `answer`; finish_reason where it is known
out   graded.json            those, correct, extracted, how (box, tag, hashes, phrase, last number), why
      python exp/grade_res.py --responses_path data/eval/base_responses.json --save_path data/eval/base_graded.json

Lenient unless --strict: then only an answer that is stated as one counts. A truncated response is always read strictly. Rows
whose gold cannot be read are dropped and said, never scored. A gold may still be GSM8K's worked solution with its `#### N`.
"""

from collections import Counter

from lib import cli, progress, rows
from lib.errors import UserError
from lib.evaluation import benchmark, metrics
from lib.grading import answers
from lib.output import Output
from lib.progress import say
from lib.tables import percent

BATCH = 2000  # rows between two looks at the clock


def main(responses_path: str, save_path: str, strict: bool = False, overwrite: bool = False):
    settings = {"strict": strict, "grader": answers.version()}
    out = Output(save_path, "grade_res", settings, (responses_path,), overwrite)
    if out.finished:
        say(f"{out.path} is finished: {out.summary()}; nothing to do")
        return
    found = rows.read_placed(responses_path)
    for place, row in found:
        if "answer" not in row:
            raise UserError(f"{place}: no key 'answer' (has: {', '.join(row)})")
        if not isinstance(row.get("response"), str):
            raise UserError(f"{place}: no text in 'response' (has: {', '.join(row)})")
    say(f"{len(found):,} responses, {'strict' if strict else 'lenient'} -> {save_path}")
    golds = [answers.gold_of(row["answer"]) for _, row in found]
    bad = [
        f"{place}: unparsable gold {str(row['answer'])[:60]!r}"
        for (place, row), g in zip(found, golds, strict=True)
        if g is None
    ]
    if bad:
        say(f"{bad[0]}; {len(bad):,} such rows are dropped, not scored")
    if len(bad) == len(found):
        raise UserError(f"{responses_path}: no row has a gold that can be scored")
    out.open({})
    todo, shown = (
        [k for k in range(len(found)) if k not in out],
        progress.Progress(out.path.name, len(found), len(out)),
    )

    def graded(key: int) -> dict:
        row = found[key][1]
        return (
            row
            if golds[key] is None
            else row | benchmark.verdict(row | {"answer": golds[key]}, strict)
        )

    for start in range(0, len(todo), BATCH):
        batch = todo[start : start + BATCH]
        for key, row in zip(batch, answers.in_parallel(graded, batch), strict=True):
            out.add(key, row, "unparsable gold" if golds[key] is None else None)
        shown.advance(len(out), 0, out.dropped.total())
    shown.close()
    out.finish(len(found))
    done = rows.read(save_path)
    right = sum(row["correct"] for row in done)
    groups: dict[str, list[bool]] = {}
    for key, row in enumerate(done):
        groups.setdefault(str(row.get("id", key)), []).append(row["correct"])
    low, high = metrics.interval(
        [(sum(group), len(group)) for group in groups.values()]
    )  # samples of a problem are alike
    whys = ", ".join(
        f"{n:,} {why}"
        for why, n in Counter(r["why"] for r in done if not r["correct"]).most_common()
    )
    print(
        f"{right:,} of {len(done):,} right: {percent(right, len(done))} [{low:.1%}, {high:.1%}]{'; others: ' * bool(whys)}{whys}"
    )
    before = [
        (old.get("correct"), golds[k]) for k, (_, old) in enumerate(found) if golds[k] is not None
    ]
    if all(isinstance(old, bool) for old, _ in before):
        changed = sum(old != new["correct"] for (old, _), new in zip(before, done, strict=True))
        print(f"{changed:,} verdicts differ from the file's own")
    out.done()


if __name__ == "__main__":
    cli.run(main)
