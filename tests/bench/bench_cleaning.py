"""Measure the cleaning of problems: what it finds, what it drops wrongly, and how fast it is.

in    nothing: problems are generated, copies of a fifth of them planted (perturbations.py); or two
      files for the benchmark part
out   stdout: tables of one run; rates on a shared machine mean little, their ratio does
      pip install -r requirements/bench.txt
      PYTHONPATH=exp python tests/bench/bench_cleaning.py --problems 20000

The yardstick of speed is datasketch. --benchmark_path gsm8k_test.jsonl --clean_path
gsm8k_train.jsonl measure the benchmark part on real questions: copies of those of the first file,
and the second one's, of which none should be found. Without them the benchmark is 300 generated
problems, and others are compared with it by the rule of --same_numbers, since two of one template
differ in their numbers alone.
"""

import importlib.util
import random
import resource
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import perturbations
from lib import cli, tables
from lib.errors import UserError
from lib.progress import say
from lib.quality import contamination, duplicates, same_problem
from lib.tiny import problems

SAMPLE = 8000  # texts or more that datasketch gets too: it takes ten times as long


def distinct(count: int, seed: str) -> list[str]:
    """Questions of which no two are one problem in other words: template and steps differ."""
    questions: dict[tuple, str] = {}
    for problem in problems.training(2 * count, seed):
        same_problem = (problem.domain, problem.template, problem.steps)
        questions.setdefault(same_problem, problem.question)
    return list(questions.values())[:count]


def planted(base: list[str], rng: random.Random) -> list[tuple[str, str]]:
    """(text, kind): the problems, kind "", then changed copies of a fifth, the kinds in turn."""
    kinds = list(perturbations.SAME_PROBLEM.items())
    texts = [(text, "") for text in base]
    for number, text in enumerate(rng.sample(base, len(base) // 5)):
        kind, change = kinds[number % len(kinds)]
        texts.append((change(text, rng), kind))
    return texts


def with_datasketch(texts: list[str]) -> list[bool]:
    """Which texts repeat an earlier one, by datasketch's sketches and index.

    The shingles and the comparison are ours; it has 128 permutations.
    """
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=0.5, num_perm=128)
    kept: dict[int, same_problem.Problem] = {}
    is_repeat = []
    for number, text in enumerate(texts):
        problem, sketch = same_problem.read(text), MinHash(128, seed=1)
        shingles = duplicates.shingles(problem.words, problem.numbers)
        sketch.update_batch([shingle.encode() for shingle in shingles])
        others = index.query(sketch)
        has_match = any(same_problem.similarity(problem, kept[other]) for other in others)
        if not has_match:
            index.insert(number, sketch)
            kept[number] = problem
        is_repeat.append(has_match)
    return is_repeat


def with_ours(texts: list[str]) -> list[bool]:
    return [match is not None for match in duplicates.matches(texts)]


def resident() -> int:
    """Bytes of this process in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def seconds_of(function, texts: list[str]) -> tuple[list[bool], float]:
    started = time.perf_counter()
    results = function(texts)
    return results, time.perf_counter() - started


def near_duplicates(count: int, seed: int) -> Iterator[str]:
    """The lines of the near-duplicates' part."""
    labelled = planted(distinct(count, f"cleaning {seed}"), random.Random(seed))
    texts = [text for text, _ in labelled]
    before = resident()
    kept_texts = duplicates.KeptTexts()  # lives until its memory is read
    started = time.perf_counter()
    is_repeat = []
    for start in range(0, len(texts), 1000):
        for match in kept_texts.match(texts[start : start + 1000]):
            is_repeat.append(match is not None)
    seconds = time.perf_counter() - started
    grown = resident() - before
    sample = texts[:: max(1, len(texts) // SAMPLE)]
    ours, ours_s = seconds_of(with_ours, sample)
    theirs, theirs_s = seconds_of(with_datasketch, sample)

    planted_of = Counter(kind for _, kind in labelled)
    hits = Counter()
    for (_, kind), hit in zip(labelled, is_repeat, strict=True):
        hits[kind] += hit
    wrongly, problem_count = hits.pop(""), planted_of.pop("")
    planted_of["all"], hits["all"] = planted_of.total(), hits.total()
    kinds = [*perturbations.SAME_PROBLEM, "all"]
    yield from tables.markdown(
        {
            "near-duplicates": kinds,
            "planted": [f"{planted_of[kind]:,}" for kind in kinds],
            "found": [tables.percent(hits[kind], planted_of[kind]) for kind in kinds],
        }
    )
    yield ""
    alike = sum(map(bool.__eq__, ours, theirs))
    figures = {
        "distinct problems dropped wrongly": f"{wrongly} of {problem_count:,}",
        "texts a second": f"{len(texts) / seconds:,.0f}",
        f"the same, {len(sample):,} of them": f"{len(sample) / ours_s:,.0f}",
        "datasketch on those": f"{len(sample) / theirs_s:,.0f}",
        "ratio": f"{theirs_s / ours_s:.1f}",
        "decisions alike": tables.percent(alike, len(sample)),
        "bytes a text": f"{grown / len(texts):,.0f}",
    }
    yield from tables.markdown({"measure": list(figures), "figure": list(figures.values())})


def benchmark(benchmark_path: str, clean_path: str, seed: int) -> Iterator[str]:
    """The lines of the benchmarks' part."""
    rng = random.Random(seed)
    if benchmark_path:
        questions = contamination.read_questions(benchmark_path)
        clean_texts = [text for _, text in contamination.read_questions(clean_path)]
    else:
        questions = [("generated", problem.question) for problem in problems.fresh(300, seed)]
        clean_texts = distinct(5000, f"clean {seed}")
    known = contamination.Benchmarks(questions)
    strict = known if clean_path else contamination.Benchmarks(questions, same_numbers=True)

    shares = []
    for change in perturbations.LEAKS.values():
        hits = sum(known.find(change(question, rng)) is not None for _, question in questions)
        shares.append(tables.percent(hits, len(questions)))
    copies = f"copies of {len(questions):,} questions"
    yield from tables.markdown({copies: list(perturbations.LEAKS), "found": shares})
    yield ""
    started = time.perf_counter()
    hits = [strict.find(text) for text in clean_texts]
    seconds = time.perf_counter() - started
    alarms = [(text, hit) for text, hit in zip(clean_texts, hits, strict=True) if hit]
    share = len(alarms) / len(clean_texts)
    yield f"clean problems found: {len(alarms)} of {len(clean_texts):,} ({share:.3%})"
    yield f"texts a second: {len(clean_texts) / seconds:,.0f}"
    for text, hit in alarms[:3]:
        yield f"  {hit.score:.2f} {text[:160]!r} as {hit.question[:160]!r}"


def main(problems: int = 20000, benchmark_path: str = "", clean_path: str = "", seed: int = 0):
    if problems < 100:
        raise UserError(f"--problems {problems}: at least 100")
    if bool(benchmark_path) != bool(clean_path):
        raise UserError("--benchmark_path and --clean_path go together")
    if importlib.util.find_spec("datasketch") is None:
        raise UserError("no datasketch here; pip install -r requirements/bench.txt")
    for path in filter(None, (benchmark_path, clean_path)):
        contamination.read_questions(path)  # a mistake in them shows before the work
    copies = f"{problems:,} distinct problems and {problems // 5:,} changed copies"
    say(f"{copies}; datasketch gets a sample of them")
    print("\n".join(near_duplicates(problems, seed)), flush=True)
    print("\n" + "\n".join(benchmark(benchmark_path, clean_path, seed)))


if __name__ == "__main__":
    cli.run(main)
