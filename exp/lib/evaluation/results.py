"""The result file of one evaluation: `results`, its figures, and `records`, its problems."""

import statistics
from dataclasses import asdict
from pathlib import Path

from lib import models, rows, tables
from lib.evaluation import metrics
from lib.evaluation.benchmark import Plan, Problem, prompt_hash
from lib.grading import answers
from lib.inference.endings import why_incomplete
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
    figures |= _scores(groups)
    figures |= _failures(graded)
    figures |= _by_source(groups)
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

    A problem is there with all of its samples or with none, so no group is smaller than another.
    """
    group_of: dict[str, Group] = {}  # by the problem's id
    for sample in graded:
        problem_id = sample["id"]
        group_of.setdefault(problem_id, []).append(sample)
    return list(group_of.values())


def in_percent(share: float) -> float:
    """A share as a number from 0 to 100, rounded to two digits."""
    return round(100 * share, 2)


def powers_of_two(largest: int) -> list[int]:
    """1, 2, 4 … up to `largest`, and `largest` itself."""
    powers = []
    power = 1
    while power < largest:
        powers.append(power)
        power *= 2
    return [*powers, largest]


def _counts(groups: list[Group], verdict_key: str = "correct") -> metrics.Counts:
    """(right samples, samples) of each problem, by the verdict under that key."""
    counts = []
    for group in groups:
        right = sum(_column(group, verdict_key))
        counts.append((right, len(group)))
    return counts


def _scores(groups: list[Group]) -> dict:
    """avg@n with its interval, lenient and strict.

    `any_correct` is the share of problems with at least one right sample, which unsloth's AIME
    evaluation calls accuracy.
    """
    lenient_counts = _counts(groups)
    strict_counts = _counts(groups, "correct_strict")
    right_samples = 0
    solved_problems = 0
    for right, _ in lenient_counts:
        right_samples += right
        solved_problems += right > 0
    return {
        "correct_answers": right_samples,
        "accuracy": _accuracy(lenient_counts),
        "interval": _interval(lenient_counts),
        "accuracy_strict": _accuracy(strict_counts),
        "interval_strict": _interval(strict_counts),
        "any_correct": in_percent(solved_problems / len(groups)),
    }


def _accuracy(counts: metrics.Counts) -> float:
    return in_percent(metrics.avg_at_n(counts))


def _interval(counts: metrics.Counts) -> list[float]:
    low, high = metrics.interval(counts)
    return [in_percent(low), in_percent(high)]


def _failures(graded: list[dict]) -> dict:
    """How many samples were truncated, gave no answer, or are wrong."""
    failures = {"truncated": 0, "no_answer": 0, "wrong": 0}
    for sample in graded:
        if not sample["correct"]:
            failures[_failure(sample)] += 1
    return failures


def _failure(sample: dict) -> str:
    """What a sample that is not right counts as.

    One that ended for another reason than `stop` and `length`, such as content_filter, gave no
    answer.
    """
    if sample["why"] == "truncated":
        return "truncated"
    if sample["why"] == "no answer" or why_incomplete(sample["finish_reason"]):
        return "no_answer"
    return "wrong"  # other text, other number, not comparable …


def _by_source(groups: list[Group]) -> dict:
    """The counts and the accuracy of each part of the benchmark."""
    groups_of: dict[str, list[Group]] = {}  # by the source
    for group in groups:
        source = group[0]["source_dataset"]
        groups_of.setdefault(source, []).append(group)
    stats = {}
    accuracies = {}
    for source, source_groups in groups_of.items():
        counts = _counts(source_groups)
        right = sum(right for right, _ in counts)
        samples = sum(samples for _, samples in counts)
        stats[source] = {"total": len(source_groups), "correct": right, "samples": samples}
        accuracies[source] = _accuracy(counts)
    return {"source_stats": stats, "source_accuracies": accuracies}


def _over_samples(groups: list[Group], n_sampling: int) -> dict:
    """pass@k for k = 1, 2, 4 … n, and maj@n."""
    counts = _counts(groups)
    pass_at = {}
    for k in powers_of_two(n_sampling):
        share = metrics.pass_at_k(counts, k)
        pass_at[str(k)] = in_percent(share)
    golds = [group[0]["answer"] for group in groups]
    extracted = [_column(group, "extracted") for group in groups]
    maj_at_n = metrics.maj_at_k(extracted, golds, n_sampling, answers.is_equal)
    return {
        "pass_at_k": pass_at[str(n_sampling)],
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
    numbered_records = {}
    for number, group in enumerate(by_problem(graded)):
        numbered_records[str(number)] = _record(number, group)
    return numbered_records


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
    n_sampling = figures["n_sampling"]
    score_title = f"avg@{n_sampling}" if n_sampling > 1 else "accuracy"
    accuracies = figures["source_accuracies"]
    sources = list(accuracies) if len(accuracies) > 1 else []
    problem_counts = [figures["total_problems"]]
    scores = [figures["accuracy"]]
    for source in sources:
        problem_counts.append(figures["source_stats"][source]["total"])
        scores.append(accuracies[source])
    columns = {
        figures["model_type"]: ["all", *sources],
        "problems": [f"{count:,}" for count in problem_counts],
        score_title: [tables.percent(score, 100) for score in scores],
    }
    empty_cells = [""] * len(sources)
    for title, cell in _cells_of_all(figures).items():
        columns[title] = [cell, *empty_cells]
    return tables.markdown(columns)


def _cells_of_all(figures: dict) -> dict[str, str]:
    """The cells by title that only the row of all problems has."""
    n_sampling = figures["n_sampling"]
    low, high = figures["interval"]
    cells = {
        "95% interval": f"{low:.1f}–{high:.1f}",
        "strict": tables.percent(figures["accuracy_strict"], 100),
    }
    if n_sampling > 1:
        cells[f"pass@{n_sampling}"] = tables.percent(figures["pass_at_k"], 100)
        cells[f"maj@{n_sampling}"] = tables.percent(figures["maj_at_n"], 100)
    for key in ("wrong", "no_answer", "truncated"):
        title = key.replace("_", " ")
        cells[title] = tables.percent(figures[key], figures["total_responses"])
    cells["tokens"] = f"{figures['avg_output_tokens']:.0f}"
    return cells


def write(result_path: Path, figures: dict, graded: list[dict]) -> None:
    """Write the result file, and print its table."""
    content = {"results": figures, "records": records(graded)}
    rows.write_json(result_path, content)
    print("\n".join(table(figures)))
    not_asked = figures["not_asked"]
    if not_asked:
        reason = "problems were dropped (too long, or refused) and are not in these figures"
        say(f"{not_asked:,} {reason}")
    say(f"wrote {result_path}")
