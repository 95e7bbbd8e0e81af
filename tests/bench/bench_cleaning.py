"""Measure the cleaning of problems: what it finds of changed copies, what it drops wrongly, and its speed beside datasketch's.

in    nothing: problems are generated, copies of a fifth of them planted (lib/perturbations); or two files for the benchmark part
out   stdout: tables of one run; rates on a shared machine mean little, their ratio does
      PYTHONPATH=exp python tests/bench/bench_cleaning.py --problems 20000

--benchmark_path gsm8k_test.jsonl --clean_path gsm8k_train.jsonl measure the benchmark part on real questions: copies of those of
the first file, and the second one's, of which none should be found. Without them the benchmark is 300 generated problems, and
others are compared with it by the rule of --same_numbers, since two of one template differ in their numbers alone.
"""

import random
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import perturbations
from lib import cli, rows, tables
from lib.errors import UserError
from lib.progress import say
from lib.quality import contamination, duplicates, likeness
from lib.tiny import problems


def distinct(count: int, seed: str) -> list[str]:
    """Questions of which no two are one problem in other words: template and worked steps differ."""
    found: dict[tuple, str] = {}
    for problem in problems.training(2 * count, seed):
        found.setdefault((problem.domain, problem.template, problem.steps), problem.question)
    return list(found.values())[:count]


def planted(base: list[str], rng: random.Random) -> list[tuple[str, str]]:
    """(text, kind): the problems, kind "", and behind them changed copies of a fifth, the kinds in turn."""
    kinds = list(perturbations.SAME_PROBLEM.items())
    chosen = rng.sample(base, len(base) // 5)
    copies = [
        (kinds[n % len(kinds)][1](text, rng), kinds[n % len(kinds)][0])
        for n, text in enumerate(chosen)
    ]
    return [(text, "") for text in base] + copies


def with_datasketch(texts: list[str]) -> list[bool]:
    """The same shingles and the same comparison, by datasketch 2.0's sketches of 128 permutations and its own index."""
    from datasketch import MinHash, MinHashLSH

    index, kept, found = MinHashLSH(threshold=0.5, num_perm=128), {}, []
    for place, text in enumerate(texts):
        this, sketch = likeness.read(text), MinHash(128, seed=1)
        sketch.update_batch([s.encode() for s in duplicates.shingles(this.words, this.numbers)])
        match = any(likeness.similarity(this, kept[other]) for other in index.query(sketch))
        if not match:
            index.insert(place, sketch)
            kept[place] = this
        found.append(match)
    return found


def resident() -> int:
    """Bytes of this process in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def near_duplicates(count: int, seed: int) -> Iterator[str]:
    rng = random.Random(seed)
    texts = planted(distinct(count, f"cleaning {seed}"), rng)
    before, started, found = resident(), time.perf_counter(), []
    for match in duplicates.matches(text for text, _ in texts):
        found.append(match is not None)
        if len(found) == len(texts):
            grown, seconds = resident() - before, time.perf_counter() - started
    sample = [text for text, _ in texts[:: max(1, len(texts) // 8000)]]
    started = time.perf_counter()
    ours = [m is not None for m in duplicates.matches(sample)]
    ours_s, started = time.perf_counter() - started, time.perf_counter()
    theirs = with_datasketch(sample)
    theirs_s = time.perf_counter() - started
    of = Counter(kind for _, kind in texts)
    hits = Counter(kind for (_, kind), hit in zip(texts, found, strict=True) if hit)
    of["all"], hits["all"] = len(texts) - of[""], hits.total() - hits[""]
    lines = [*perturbations.SAME_PROBLEM, "all"]
    shares = [tables.percent(hits[kind], of[kind]) for kind in lines]
    yield from tables.markdown(
        {"near-duplicates": lines, "planted": [f"{of[k]:,}" for k in lines], "found": shares}
    )
    yield ""
    figures = {
        "distinct problems dropped wrongly": f"{hits['']} of {of['']:,}",
        "texts a second": f"{len(texts) / seconds:,.0f}",
        f"the same, {len(sample):,} of them": f"{len(sample) / ours_s:,.0f}",
        "datasketch on those": f"{len(sample) / theirs_s:,.0f}",
        "ratio": f"{theirs_s / ours_s:.1f}",
        "verdicts alike": tables.percent(sum(map(bool.__eq__, ours, theirs)), len(sample)),
        "bytes a text": f"{grown / len(texts):,.0f}",
    }
    yield from tables.markdown({"measure": list(figures), "figure": list(figures.values())})


def benchmark(benchmark_path: str, clean_path: str, seed: int) -> Iterator[str]:
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        if not benchmark_path:
            benchmark_path = f"{folder}/benchmark.jsonl"
            made = [{"question": p.question} for p in problems.fresh(300, seed)]
            rows.write_whole(benchmark_path, b"".join(rows.dumps(row) + b"\n" for row in made))
        asked = [question for _, question in contamination.questions(benchmark_path)]
        clean = (
            [text for _, text in contamination.questions(clean_path)]
            if clean_path
            else distinct(5000, f"clean {seed}")
        )
        known = contamination.Benchmarks([benchmark_path])
        strict = (
            known if clean_path else contamination.Benchmarks([benchmark_path], same_numbers=True)
        )
    shares = [
        tables.percent(sum(known.find(change(q, rng)) is not None for q in asked), len(asked))
        for change in perturbations.LEAKS.values()
    ]
    yield from tables.markdown(
        {f"copies of {len(asked):,} questions": list(perturbations.LEAKS), "found": shares}
    )
    yield ""
    started = time.perf_counter()
    alarms = [(text, hit) for text in clean if (hit := strict.find(text))]
    seconds = time.perf_counter() - started
    yield f"clean problems found: {len(alarms)} of {len(clean):,} ({len(alarms) / len(clean):.3%})"
    yield f"texts a second: {len(clean) / seconds:,.0f}"
    for text, hit in alarms[:3]:
        yield f"  {hit.score:.2f} {text[:160]!r} as {hit.question[:160]!r}"


def main(problems: int = 20000, benchmark_path: str = "", clean_path: str = "", seed: int = 0):
    if problems < 100 or bool(benchmark_path) != bool(clean_path):
        raise UserError(
            f"--problems {problems}: at least 100; --benchmark_path and --clean_path go together"
        )
    for path in filter(None, (benchmark_path, clean_path)):
        contamination.questions(path)
    say(
        f"{problems:,} distinct problems and {problems // 5:,} changed copies; datasketch on a third of them"
    )
    print("\n".join(near_duplicates(problems, seed)), flush=True)
    print("\n" + "\n".join(benchmark(benchmark_path, clean_path, seed)))


if __name__ == "__main__":
    cli.run(main)
