"""Clean problems: drop the unusable, the repeated and a benchmark's, each with its reason.

in    algebra_ins.json, …   instruction, and whatever else (it passes untouched); files by commas
      gsm8k_test.jsonl, …   benchmarks whose questions must not be trained on: question, problem,
                            instruction or prompt
out   clean.json            the rows that are left, in their order
      clean.json.dropped.jsonl   the others with why, place, partner, score
      python exp/clean_ins.py --ins_data_path data/demo/algebra_ins.json \\
          --save_path data/demo/algebra_ins_clean.json --audit 5

Rules (lib/quality/rules) go first, then benchmarks (lib/quality/contamination), then repeats and
near-duplicates (lib/quality/duplicates); a near-duplicate of a row in a benchmark is in that
benchmark. --skip_rules "not English" lets that rule's rows pass. A problem that differs from a
benchmark's in its numbers alone counts as in it, but not with --same_numbers. --audit N shows N
dropped rows.
"""

import heapq
import itertools
import shutil
import textwrap
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict

from lib import cli, rows
from lib.errors import UserError, near
from lib.output import REMAKE, Output
from lib.parallel import ProcessPool
from lib.progress import Progress
from lib.quality import cleaning, contamination, rules

CHUNK = 500  # rows whose texts a worker examines at a time: some 50 ms


def rules_by_name(rule_names: str) -> list[str]:
    """The rules that `a,b` names; UserError for one that is none."""
    skipped_rules = cli.comma_list(rule_names)
    for rule in skipped_rules:
        if rule not in rules.RULES:
            raise UserError(f"--skip_rules: no rule {rule!r}; {near(rule, rules.RULES)}")
    return skipped_rules


def read_all_questions(benchmark_paths: list[str]) -> list[tuple[str, str]]:
    """(FILE:LINE, question) of every benchmark."""
    questions = []
    for path in benchmark_paths:
        questions += contamination.read_questions(path)
    return questions


def count_rows(paths: list[str]) -> int:
    """How many rows the files have; UserError for one that is not sound, before any is cleaned."""
    total = 0
    for path in paths:
        for _ in rows.stream(path, need=("instruction",)):
            total += 1
    return total


def stream_all(paths: list[str]) -> Iterator[tuple[str, dict]]:
    """(FILE:LINE, row) of every row of the files, one after the other."""
    for path in paths:
        yield from rows.stream(path)


def clean(pool: ProcessPool, paths: list[str]) -> Iterator[tuple[str, dict, cleaning.Decision]]:
    """(FILE:LINE, row, decision) of every row in order; the pool examines the texts."""
    decider = cleaning.Decider()
    # Rows wait here while the pool has their texts: only these are sent to other processes.
    waiting_chunks: deque[list[tuple[str, dict]]] = deque()

    def chunks_of_texts() -> Iterator[list[str]]:
        placed_rows = stream_all(paths)
        while chunk := list(itertools.islice(placed_rows, CHUNK)):
            waiting_chunks.append(chunk)
            yield [row["instruction"] for _, row in chunk]

    for _, findings in pool.map(chunks_of_texts()):
        chunk = waiting_chunks.popleft()
        placed_texts = [(place, row["instruction"]) for place, row in chunk]
        decisions = decider.decide(placed_texts, findings)
        for (place, row), decision in zip(chunk, decisions, strict=True):
            yield place, row, decision


def show_dropped(out: Output, row_count: int) -> None:
    """Print `row_count` dropped rows beside their partners, the reasons in turn.

    Of each reason the rows nearest to the threshold come first.
    """
    if not row_count or not out.dropped_path.exists():
        return
    by_reason = nearest_dropped(str(out.dropped_path), row_count)
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(*by_reason))
    dropped_rows = filter(None, in_turn)  # None stands where a reason has no more rows
    for dropped_row in itertools.islice(dropped_rows, row_count):
        print(shown_beside_partner(dropped_row))


def nearest_dropped(dropped_path: str, row_count: int) -> list[list[dict]]:
    """For each reason up to `row_count` rows: the lowest scores first, and of equals the first.

    Only these are held in memory, however many were dropped.
    """
    heaps: dict[str, list[tuple[float, int, dict]]] = {}
    for row_number, (_, row) in enumerate(rows.stream(dropped_path)):
        heap = heaps.setdefault(row["why"], [])
        score = row["score"] or 0
        # The smallest entry of a heap goes first: here the highest score, so both are negative.
        heapq.heappush(heap, (-score, -row_number, row))
        if len(heap) > row_count:
            heapq.heappop(heap)
    by_reason = []
    for heap in heaps.values():
        lowest_first = sorted(heap, reverse=True)
        by_reason.append([row for _, _, row in lowest_first])
    return by_reason


def shown_beside_partner(dropped_row: dict) -> str:
    """A dropped row and its partner in two columns, under the reason."""
    terminal = shutil.get_terminal_size((160, 24))
    width = max(30, (terminal.columns - len(" | ")) // 2)
    partner = dropped_row["partner"] or {"place": "", "instruction": ""}
    score = dropped_row["score"]
    alike = "" if score is None else f", {score:.2f} alike"
    lines = ["", f"{dropped_row['why']}{alike}"]
    left_column = [dropped_row["place"], *wrapped(dropped_row["instruction"], width)]
    right_column = [partner["place"], *wrapped(partner["instruction"], width)]
    for left, right in itertools.zip_longest(left_column, right_column, fillvalue=""):
        line = f"{left:<{width}} | {right}"
        lines.append(line.rstrip(" |"))
    return "\n".join(lines)


def wrapped(text: str, width: int) -> Iterator[str]:
    """The lines of a text's first 1,500 characters, without what a terminal may act on."""
    for line in text[:1500].splitlines():
        printable = "".join(char if char.isprintable() else " " for char in line)
        yield from textwrap.wrap(printable, width) or [""]


def main(
    ins_data_path: str,
    save_path: str,
    benchmarks: str = "",
    same_numbers: bool = False,
    limits: rules.Limits = rules.Limits(),
    skip_rules: str = "",
    audit: int = 0,
    overwrite: bool = False,
):
    ins_paths = cli.comma_list(ins_data_path)
    benchmark_paths = cli.comma_list(benchmarks)
    if not ins_paths:
        raise UserError(f"--ins_data_path {ins_data_path!r}: at least one file")
    if audit < 0:
        raise UserError(f"--audit {audit}: a number of rows")
    skipped_rules = rules_by_name(skip_rules)
    settings = {
        **asdict(limits),
        "skip_rules": sorted(skipped_rules),
        "same_numbers": same_numbers,
        "benchmarks": len(benchmark_paths),
        "cleaner": cleaning.version(),
    }
    inputs = (*ins_paths, *benchmark_paths)
    out = Output(save_path, "clean_ins", settings, inputs, overwrite, new_input=REMAKE)
    task = f"problems of {len(ins_paths)} files, against {len(benchmark_paths)} benchmarks"
    if out.announce(task):
        show_dropped(out, audit)
        return
    questions = read_all_questions(benchmark_paths)
    total = count_rows(ins_paths)
    examiner = cleaning.Examiner(limits, frozenset(skipped_rules), questions, same_numbers)
    with ProcessPool(examiner.examine) as pool:
        out.open()
        progress = Progress(out.path.name, total, len(out))
        for row_key, (place, row, decision) in enumerate(clean(pool, ins_paths)):
            # What an earlier session wrote is decided again: the rows behind it depend on it.
            if row_key in out:
                continue
            if decision.why:
                row |= {"place": place, "partner": decision.partner, "score": decision.score}
            out.add(row_key, row, decision.why)
            progress.advance(len(out), dropped=out.dropped.total())
        progress.close()
    if out.dropped.total() == total:
        out.abandon()
    out.finish(total)
    show_dropped(out, audit)
    out.done()


if __name__ == "__main__":
    cli.run(main)
