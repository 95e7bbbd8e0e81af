"""Clean problems: drop the unusable, the repeated and those of a benchmark, each with its reason and its partner.

in    algebra_ins.json, …   instruction, and whatever else (it passes untouched); several files by commas
      gsm8k_test.jsonl, …   benchmarks whose questions must not be trained on: question, problem, instruction or prompt
out   clean.json            the rows that are left, in their order; clean.json.dropped.jsonl: why, place, partner, score
      python exp/clean_ins.py --ins_data_path data/demo/algebra_ins.json --save_path data/demo/algebra_ins_clean.json --audit 5

Rules (lib/quality/rules) go first, then benchmarks (lib/quality/contamination), then repeats and near-duplicates (lib/quality/duplicates); a
near-duplicate of a row in a benchmark is in that benchmark. --skip_rules "not English" lets that rule's rows pass. A problem that
differs from a benchmark's in its numbers alone counts as in it, but not with --same_numbers. --audit N shows N dropped rows.
"""

import functools
import hashlib
import heapq
import itertools
import os
import shutil
import signal
import textwrap
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from lib import cli, progress, rows
from lib.errors import UserError, near
from lib.output import Output
from lib.quality import contamination, duplicates, generations, likeness, rules, wording

CHUNK = 500  # rows that a worker judges at a time: some 50 ms


class Judged(NamedTuple):
    """A row with what can be said of it alone: the rule that drops it, the benchmark's question that it is."""

    place: str
    row: dict
    why: str | None
    hit: contamination.Hit | None


def version() -> str:
    """A hash of the code that decides: a run that was interrupted is not finished by other rules."""
    modules = (contamination, duplicates, likeness, rules, generations, wording)
    return hashlib.sha256(b"".join(Path(m.__file__).read_bytes() for m in modules)).hexdigest()[:12]


Verdict = tuple[str | None, contamination.Hit | None]


def judge(
    limits: rules.Limits,
    skipped: frozenset[str],
    known: contamination.Benchmarks | None,
    texts: list[str],
) -> list[Verdict]:
    """For each text the rule that drops it, or else the question of a benchmark that it is."""
    reasons = [rules.why(text, limits, skipped) for text in texts]
    return [
        (why, None if why or not known else known.find(text))
        for why, text in zip(reasons, texts, strict=True)
    ]


def judged(
    how: Callable[[list[str]], list[Verdict]], placed: Iterator[tuple[str, dict]]
) -> Iterator[Judged]:
    """The rows in their order, judged by as many processes as there are cores; few chunks are under way at a time."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    chunks = iter(lambda: list(itertools.islice(placed, CHUNK)), [])
    pool = ProcessPoolExecutor(
        cores, get_context("fork"), _start, (how, os.getpid())
    )  # forked: `how` is there, not sent
    try:
        under_way: deque = deque()
        for chunk in chunks:
            under_way.append((chunk, pool.submit(_judge, [row["instruction"] for _, row in chunk])))
            if len(under_way) > 2 * cores:
                first, verdicts = under_way.popleft()
                yield from _joined(first, verdicts.result())
        for chunk, verdicts in under_way:
            yield from _joined(chunk, verdicts.result())
    finally:
        pool.shutdown(cancel_futures=True)


def _joined(chunk: list[tuple[str, dict]], verdicts: list[Verdict]) -> Iterator[Judged]:
    return (Judged(*placed, *verdict) for placed, verdict in zip(chunk, verdicts, strict=True))


_WORKER: list[Callable] = []  # in a worker process: what it does


def _start(how: Callable, parent: int) -> None:
    _WORKER.append(how)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:  # a killed parent can tell nobody
        time.sleep(0.5)
    os._exit(1)


def _judge(texts: list[str]) -> list[Verdict]:
    return _WORKER[0](texts)


def decided(
    found: Iterator[Judged],
) -> Iterator[tuple[Judged, str | None, dict | None, float | None]]:
    """(row, why it is dropped, its partner, how alike they are) of every row in order."""
    places: list[str] = []
    leaked: dict[
        int, dict
    ] = {}  # rows that are in a benchmark, and are what later rows are compared with: the question
    ahead, found = itertools.tee(found)
    near = duplicates.matches(None if j.why else j.row["instruction"] for j in ahead)
    for key, (this, match) in enumerate(zip(found, near, strict=True)):
        places.append(this.place)
        if this.why:
            yield this, this.why, None, None
        elif this.hit:
            leaked[key] = {"place": this.hit.place, "instruction": this.hit.question}
            yield this, "in benchmark", leaked[key], this.hit.score
        elif not match:
            yield this, None, None, None
        elif match.partner in leaked:
            yield this, "in benchmark", leaked[match.partner], round(match.score, 4)
        else:
            same = generations.normalised(this.row["instruction"]) == generations.normalised(
                match.text
            )
            partner = {"place": places[match.partner], "instruction": match.text}
            yield this, "repeat" if same else "near-duplicate", partner, round(match.score, 4)


def show_dropped(out: Output, count: int) -> None:
    """Print `count` dropped rows beside their partners, the reasons in turn, of each those nearest to the threshold first."""
    if not count or not out.dropped_path.exists():
        return
    nearest: dict[str, list[tuple[float, int, dict]]] = {}
    for number, (_, row) in enumerate(rows.stream(str(out.dropped_path))):
        heap = nearest.setdefault(row["why"], [])
        (heapq.heappush if len(heap) < count else heapq.heappushpop)(
            heap, (-(row["score"] or 0), -number, row)
        )
    turns = itertools.zip_longest(*(sorted(heap, reverse=True) for heap in nearest.values()))
    width = max(30, (shutil.get_terminal_size((160, 24)).columns - 3) // 2)
    for _, _, row in itertools.islice((shown for turn in turns for shown in turn if shown), count):
        partner = row["partner"] or {"place": "", "instruction": ""}
        print(
            f"\n{row['why']}" + (f", {row['score']:.2f} alike" if row["score"] is not None else "")
        )
        sides = [[side["place"], *_wrapped(side["instruction"], width)] for side in (row, partner)]
        print(
            "\n".join(
                f"{a:<{width}} | {b}".rstrip(" |")
                for a, b in itertools.zip_longest(*sides, fillvalue="")
            )
        )


def _wrapped(text: str, width: int) -> list[str]:
    shown = (
        "".join(c if c.isprintable() else " " for c in line) for line in text[:1500].splitlines()
    )
    return [part for line in shown for part in textwrap.wrap(line, width) or [""]]


def main(
    ins_data_path: str,
    save_path: str,
    benchmarks: str = "",
    same_numbers: bool = False,
    min_words: int = 3,
    max_words: int = 1000,
    min_chars: int = 8,
    max_chars: int = 8000,
    skip_rules: str = "",
    audit: int = 0,
    overwrite: bool = False,
):
    paths, against, skipped = (
        tuple(p.strip() for p in t.split(",") if p.strip())
        for t in (ins_data_path, benchmarks, skip_rules)
    )
    limits = rules.Limits(min_words, max_words, min_chars, max_chars)
    if not paths or not 0 <= min_words <= max_words or not 0 <= min_chars <= max_chars or audit < 0:
        raise UserError(
            f"--ins_data_path {ins_data_path!r}, limits {limits}, --audit {audit}: files; least, most; a number"
        )
    for rule in skipped:
        if rule not in dict(rules.RULES):
            raise UserError(f"--skip_rules: no rule {rule!r}; {near(rule, dict(rules.RULES))}")
    settings = vars(limits) | {"skip_rules": sorted(skipped), "same_numbers": same_numbers}
    settings |= {"benchmarks": len(against), "cleaner": version()}
    out = Output(save_path, "clean_ins", settings, paths + against, overwrite)
    if out.announce(f"problems of {len(paths)} files, against {len(against)} benchmarks"):
        show_dropped(out, audit)
        return
    known = contamination.Benchmarks(against, same_numbers) if against else None
    total = sum(
        1 for path in paths for _ in rows.stream(path, need=("instruction",))
    )  # all of them are sound
    placed = itertools.chain.from_iterable(rows.stream(path) for path in paths)
    made = decided(judged(functools.partial(judge, limits, frozenset(skipped), known), placed))
    made = itertools.chain(
        [next(made)], made
    )  # workers are forked before `out` is locked: they would hold it when this dies
    out.open({})
    shown = progress.Progress(out.path.name, total, len(out))
    for key, (this, why, partner, score) in enumerate(made):
        if (
            key not in out
        ):  # what an earlier session wrote is decided again, since the rows behind it depend on it
            row = (
                this.row | {"place": this.place, "partner": partner, "score": score}
                if why
                else this.row
            )
            out.add(key, row, why)
            shown.advance(len(out), 0, out.dropped.total())
    shown.close()
    if out.dropped.total() == total:
        out.part.unlink()
        out.meta_path.unlink()
        raise UserError(
            f"{out.path}: no row is left: {progress.reasons(out.dropped)}; nothing is written"
        )
    out.finish(total)
    show_dropped(out, audit)
    out.done()


if __name__ == "__main__":
    cli.run(main)
