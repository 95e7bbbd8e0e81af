"""The result file of one evaluation: `results`, its figures, and `records`, its problems."""

import statistics
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from lib import models, rows, tables
from lib.evaluation import metrics
from lib.evaluation.benchmark import Plan, Problem, prompt_hash
from lib.grading import answers
from lib.progress import say

Group = list[dict]  # the graded samples of one problem


def compute(plan: Plan, problems: list[Problem], graded: list[dict]) -> dict:
    """The `results` of the graded samples of `problems`, all scores in percent.

    lib/evaluation/metrics.py defines the scores. `accuracy` is avg@n of lenient extraction.
    """
    groups = by_problem(graded)
    figures = {
        "model_type": plan.model_type,
        "model": models.identity(plan.model),
        "dataset": plan.dataset,
        "total_problems": len(groups),
        "not_asked": len(problems) - len(groups),
        "total_responses": len(graded),
    }
    figures |= _accuracy(groups) | _failures(graded) | _by_source(groups)
    if plan.n_sampling > 1:
        figures |= _over_samples(groups, plan.n_sampling)
    figures |= asdict(plan.sampling)
    figures |= {
        "n_sampling": plan.n_sampling,
        "seed": plan.seed,
        "prompt": prompt_hash(problems),
        "grader": answers.version(),
    }
    return figures | _lengths(graded)


def by_problem(graded: list[dict]) -> list[Group]:
    """The samples of each problem together.

    All samples of a problem whose prompt did not fit are missing, so no group is smaller than
    another.
    """
    groups: dict[str, Group] = {}
    for sample in graded:
        groups.setdefault(sample["id"], []).append(sample)
    return list(groups.values())


def in_percent(share: float) -> float:
    """A share as a number from 0 to 100, rounded to two digits."""
    return round(100 * share, 2)


def powers_of_two(n: int) -> list[int]:
    """1, 2, 4 … up to `n`, and `n` itself."""
    powers = []
    power = 1
    while power < n:
        powers.append(power)
        power *= 2
    return [*powers, n]


def _counts(groups: list[Group], verdict: str = "correct") -> metrics.Counts:
    counts = []
    for group in groups:
        right = sum(sample[verdict] for sample in group)
        counts.append((right, len(group)))
    return counts


def _accuracy(groups: list[Group]) -> dict:
    """avg@n with its interval, lenient and strict.

    `any_correct` is the share of problems with at least one right sample, which unsloth's AIME
    evaluation calls accuracy.
    """
    lenient = _counts(groups)
    strict = _counts(groups, "correct_strict")
    solved = sum(right > 0 for right, _ in lenient)
    return {
        "correct_answers": sum(right for right, _ in lenient),
        "accuracy": in_percent(metrics.avg_at_n(lenient)),
        "interval": _interval(lenient),
        "accuracy_strict": in_percent(metrics.avg_at_n(strict)),
        "interval_strict": _interval(strict),
        "any_correct": in_percent(solved / len(groups)),
    }


def _interval(counts: metrics.Counts) -> list[float]:
    low, high = metrics.interval(counts)
    return [in_percent(low), in_percent(high)]


def _failures(graded: list[dict]) -> dict:
    """How many samples were truncated, gave no answer, or are wrong."""
    reasons = Counter(sample["why"] for sample in graded if not sample["correct"])
    truncated = reasons.pop("truncated", 0)
    no_answer = reasons.pop("no answer", 0)
    return {"truncated": truncated, "no_answer": no_answer, "wrong": reasons.total()}


def _by_source(groups: list[Group]) -> dict:
    """The counts and the accuracy of each part of the benchmark."""
    parts: dict[str, list[Group]] = {}
    for group in groups:
        parts.setdefault(group[0]["source_dataset"], []).append(group)
    stats = {}
    accuracies = {}
    for source, part in parts.items():
        counts = _counts(part)
        right = sum(right for right, _ in counts)
        samples = sum(samples for _, samples in counts)
        stats[source] = {"total": len(part), "correct": right, "samples": samples}
        accuracies[source] = in_percent(metrics.avg_at_n(counts))
    return {"source_stats": stats, "source_accuracies": accuracies}


def _over_samples(groups: list[Group], n: int) -> dict:
    """pass@k for k = 1, 2, 4 … n, and maj@n."""
    counts = _counts(groups)
    pass_at = {str(k): in_percent(metrics.pass_at_k(counts, k)) for k in powers_of_two(n)}
    golds = [group[0]["answer"] for group in groups]
    extracted = [_column(group, "extracted") for group in groups]
    maj_at_n = metrics.maj_at_k(extracted, golds, n, answers.is_equal)
    return {
        "pass_at_k": pass_at[str(n)],
        "pass_at": pass_at,
        "maj_at_n": in_percent(maj_at_n),
    }


def _lengths(graded: list[dict]) -> dict:
    """Mean and maximum of the tokens of prompts and of responses."""
    input_tokens = _column(graded, "prompt_tokens")
    output_tokens = _column(graded, "tokens")
    return {
        "avg_input_tokens": round(statistics.mean(input_tokens), 1),
        "max_input_tokens": max(input_tokens),
        "avg_output_tokens": round(statistics.mean(output_tokens), 1),
        "max_output_tokens": max(output_tokens),
    }


def records(graded: list[dict]) -> dict[str, dict]:
    """The problems with all their samples by number, with the keys of unsloth's AIME evaluation."""
    numbered_groups = enumerate(by_problem(graded))
    return {str(number): _record(number, group) for number, group in numbered_groups}


def _record(number: int, group: Group) -> dict:
    first = group[0]
    correct = _column(group, "correct")
    return {
        "id": first["id"],
        "global_id": number,
        "original_id": first["original_id"],
        "source_dataset": first["source_dataset"],
        "problem": first["problem"],
        "ground_truth": first["answer"],
        "responses": _column(group, "response"),
        "extracted_answers": _column(group, "extracted"),
        "correct_responses": correct,
        "why": _column(group, "why"),
        "finish_reasons": _column(group, "finish_reason"),
        "output_tokens": _column(group, "tokens"),
        "input_tokens": first["prompt_tokens"],
        "is_correct": any(correct),
        "n_correct": sum(correct),
        "n_total": len(group),
    }


def _column(samples: list[dict], key: str) -> list:
    return [sample[key] for sample in samples]


def table(figures: dict) -> list[str]:
    """The results as a Markdown table: a row for all problems, and one for each of the sources."""
    n = figures["n_sampling"]
    accuracies = figures["source_accuracies"]
    sources = list(accuracies) if len(accuracies) > 1 else []
    totals = [figures["total_problems"]]
    scores = [figures["accuracy"]]
    for source in sources:
        totals.append(figures["source_stats"][source]["total"])
        scores.append(accuracies[source])
    columns = {
        figures["model_type"]: ["all", *sources],
        "problems": [f"{total:,}" for total in totals],
        f"avg@{n}" if n > 1 else "accuracy": [tables.percent(score, 100) for score in scores],
    }
    for title, cell in _whole_cells(figures).items():
        columns[title] = [cell] + [""] * len(sources)
    return tables.markdown(columns)


def _whole_cells(figures: dict) -> dict[str, str]:
    """The cells by title that only the row of all problems has."""
    n = figures["n_sampling"]
    low, high = figures["interval"]
    cells = {
        "95% interval": f"{low:.1f}–{high:.1f}",
        "strict": tables.percent(figures["accuracy_strict"], 100),
    }
    if n > 1:
        cells[f"pass@{n}"] = tables.percent(figures["pass_at_k"], 100)
        cells[f"maj@{n}"] = tables.percent(figures["maj_at_n"], 100)
    for key in ("wrong", "no_answer", "truncated"):
        title = key.replace("_", " ")
        cells[title] = tables.percent(figures[key], figures["total_responses"])
    cells["tokens"] = f"{figures['avg_output_tokens']:.0f}"
    return cells


def write(path: Path, figures: dict, graded: list[dict]) -> None:
    """Write the result file, and print its table."""
    rows.write_json(path, {"results": figures, "records": records(graded)})
    print("\n".join(table(figures)))
    if figures["not_asked"]:
        what = "problems did not fit into the context and are not in these figures"
        say(f"{figures['not_asked']:,} {what}")
    say(f"wrote {path}")
