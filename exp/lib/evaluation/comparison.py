"""Evaluated models on the same problems: read their result files, refuse what differs, test.

A result file is {results, records}, as `results.write` makes it.
"""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from lib.errors import UserError, near
from lib.evaluation import metrics

# What must be the same in all files, beside the problems and their gold answers.
SETTINGS = ("prompt", "temperature", "top_p", "max_tokens", "n_sampling")
FAILURES = ("truncated", "no_answer", "wrong")  # counts of samples
# Scores that not every evaluation has, in percent: how its samples are laid out.
LAYOUT_SCORES = ("worked_share", "accuracy_worked", "format_accuracy")
RESULT_KEYS = ("model_type", "model", "dataset", "interval", *SETTINGS, *FAILURES)
RECORD_KEYS = ("id", "source_dataset", "ground_truth", "n_correct", "n_total")


@dataclass(frozen=True)
class Evaluation:
    """One result file: its name in tables, its `results`, its `records` by the problem's id."""

    path: str
    name: str
    results: dict
    records: dict[str, dict]

    def counts(self, ids: list[str]) -> metrics.Counts:
        """(right samples, samples) of each of these problems."""
        chosen = [self.records[problem_id] for problem_id in ids]
        return [(record["n_correct"], record["n_total"]) for record in chosen]

    def accuracy(self, ids: list[str]) -> float:
        """avg@n over these problems, in percent."""
        return _in_percent(metrics.avg_at_n(self.counts(ids)))

    def fewest_samples(self, ids: list[str]) -> int:
        return min(self.records[problem_id]["n_total"] for problem_id in ids)

    def gold_of(self, problem_id: str) -> str:
        return self.records[problem_id]["ground_truth"]

    def has_gold(self, problem_id: str, gold: str) -> bool:
        """Whether it has the problem with this gold answer."""
        return problem_id in self.records and self.gold_of(problem_id) == gold


def read_all(paths: list[str]) -> list[Evaluation]:
    """The evaluations under distinct names; UserError says what is wrong with a file."""
    files = [_read_file(path) for path in paths]
    types = [results["model_type"] for results, _ in files]
    names = _distinct_names(types, paths)
    evaluations = []
    for path, name, (results, records) in zip(paths, names, files, strict=True):
        evaluations.append(Evaluation(path, name, results, records))
    return evaluations


def _read_file(path: str) -> tuple[dict, dict[str, dict]]:
    """(results, records by the problem's id)."""
    content = _read_json(path)
    for key in ("results", "records"):
        part = content.get(key) if isinstance(content, dict) else None
        if not part or not isinstance(part, dict):
            raise UserError(f"{path}: no {key!r} in it; expected the file of an eval_* stage")
    results = content["results"]
    _require_keys(f"{path}: results", results, RESULT_KEYS)
    records: dict[str, dict] = {}
    for number, record in content["records"].items():
        place = f"{path}: record {number}"
        _check_record(place, record)
        if record["id"] in records:
            raise UserError(f"{place}: id {record['id']} is there twice")
        records[record["id"]] = record
    return results, records


def _read_json(path: str):
    try:
        return json.loads(Path(path).read_bytes())
    except OSError as e:
        raise UserError(f"{path}: {e.strerror}") from None
    except ValueError as e:
        raise UserError(f"{path}: torn or not JSON ({e}); run its evaluation again") from None


def _check_record(place: str, record: dict) -> None:
    _require_keys(place, record, RECORD_KEYS)
    right, samples = record["n_correct"], record["n_total"]
    if samples == 0 or not 0 <= right <= samples:
        raise UserError(f"{place}: {right} right of {samples} samples")


def _require_keys(place: str, value: dict, keys: tuple[str, ...]) -> None:
    for key in keys:
        if key not in value:
            raise UserError(f"{place}: no key {key!r} (has: {', '.join(value)})")


def _distinct_names(types: list[str], paths: list[str]) -> list[str]:
    """The model types; with the file's stem, or else its path, where several are the same."""
    type_counts = Counter(types)
    names = []
    for model_type, path in zip(types, paths, strict=True):
        is_unique = type_counts[model_type] == 1
        names.append(model_type if is_unique else f"{model_type}:{Path(path).stem}")
    name_counts = Counter(names)
    for place, name in enumerate(names):
        if name_counts[name] > 1:
            names[place] = f"{types[place]}:{paths[place]}"
    return names


def choose_base(evaluations: list[Evaluation], base: str) -> Evaluation:
    """The evaluation whose name or model type is `base`; the first if it is empty."""
    if not base:
        return evaluations[0]
    matches = [e for e in evaluations if base in (e.name, e.results["model_type"])]
    if not matches:
        names = [evaluation.name for evaluation in evaluations]
        raise UserError(f"no result of --base {base!r}; {near(base, names)}")
    if len(matches) > 1:
        names = ", ".join(evaluation.name for evaluation in matches)
        raise UserError(f"--base {base!r} is {len(matches)} files; give one of: {names}")
    return matches[0]


def differences(first: Evaluation, other: Evaluation) -> str:
    """What besides the model differs between two evaluations, in words; empty if nothing does."""
    parts = _different_problems(first, other) + _different_settings(first, other)
    if not parts:
        return ""
    return f"{first.path} and {other.path} differ in {'; '.join(parts)}"


def _different_problems(first: Evaluation, other: Evaluation) -> list[str]:
    parts = []
    unshared = sorted(first.records.keys() ^ other.records.keys())
    if unshared:
        example = unshared[0]
        owner = first if example in first.records else other
        parts.append(f"{len(unshared)} ids, such as {example} (only in {owner.path})")
    contested = []
    for problem_id, record in first.records.items():
        is_in_both = problem_id in other.records
        if is_in_both and not other.has_gold(problem_id, record["ground_truth"]):
            contested.append(problem_id)
    if contested:
        example = contested[0]
        golds = f"({first.gold_of(example)!r}, {other.gold_of(example)!r})"
        parts.append(f"ground_truth of {len(contested)} ids, such as {example} {golds}")
    return parts


def _different_settings(first: Evaluation, other: Evaluation) -> list[str]:
    parts = []
    for key in ("dataset", *SETTINGS, "grader"):
        ours, theirs = first.results.get(key), other.results.get(key)
        if ours != theirs:
            parts.append(f"{key} ({ours}, {theirs})")
    return parts


def shared_ids(evaluations: list[Evaluation]) -> list[str]:
    """The problems that all have with the same gold answer, in the order of the first."""
    first, *others = evaluations
    ids = []
    for problem_id in first.records:
        gold = first.gold_of(problem_id)
        if all(other.has_gold(problem_id, gold) for other in others):
            ids.append(problem_id)
    return ids


def compare(evaluations: list[Evaluation], base: Evaluation, ids: list[str]) -> dict:
    """Every model's summary, the best one (among equals the base), and the scores by source."""
    k = min(evaluation.fewest_samples(ids) for evaluation in evaluations)
    models = []
    previous = None
    for evaluation in evaluations:
        models.append(_summarize(evaluation, base, previous, ids, k))
        previous = evaluation
    best = max(models, key=lambda model: (model["accuracy"], model["change"] is None))
    tests = [model["change"]["test"] for model in models if model["change"]]
    return {
        "best_model": best["model_type"],
        "base_model": base.name,
        "problems": len(ids),
        "metric": _metric_name({model["n_sampling"] for model in models}),
        "k": k,
        "test": ", ".join(dict.fromkeys(tests)) or None,
        "models": models,
        "sources": _by_source(evaluations, ids),
        "files": [evaluation.path for evaluation in evaluations],
    }


def _metric_name(sample_numbers: set[int]) -> str:
    if len(sample_numbers) > 1:
        return "avg@n"
    (n,) = sample_numbers
    return "accuracy" if n == 1 else f"avg@{n}"


def _by_source(evaluations: list[Evaluation], ids: list[str]) -> dict[str, dict]:
    """The number of problems and every model's accuracy for each part of the benchmark."""
    ids_by_source: dict[str, list[str]] = {}
    for problem_id in ids:
        source = evaluations[0].records[problem_id]["source_dataset"]
        ids_by_source.setdefault(source, []).append(problem_id)
    sources = {}
    for source, part in ids_by_source.items():
        accuracy = {evaluation.name: evaluation.accuracy(part) for evaluation in evaluations}
        sources[source] = {"problems": len(part), "accuracy": accuracy}
    return sources


def _summarize(
    evaluation: Evaluation,
    base: Evaluation,
    previous: Evaluation | None,
    ids: list[str],
    k: int,
) -> dict:
    """One model's scores over `ids` in percent, with its changes in points.

    `change` is against the base, `step` against the model before it in the list. A figure that the
    file gives only over more problems than `ids` is None.
    """
    counts = evaluation.counts(ids)
    low, high = metrics.interval(counts)
    summary = {
        "model_type": evaluation.name,
        "model": evaluation.results["model"],
        "file": evaluation.path,
        "n_sampling": evaluation.results["n_sampling"],
        "accuracy": evaluation.accuracy(ids),
        "interval": [_in_percent(low), _in_percent(high)],
        "pass_at_k": _in_percent(metrics.pass_at_k(counts, k)),
        "samples": sum(samples for _, samples in counts),
    }
    has_all_problems = len(ids) == len(evaluation.records)
    for key in ("maj_at_n", *FAILURES, *LAYOUT_SCORES):
        summary[key] = evaluation.results.get(key) if has_all_problems else None
    summary["change"] = None if evaluation is base else _change(base, evaluation, ids)
    summary["step"] = _change(previous, evaluation, ids) if previous else None
    return summary


def _change(before: Evaluation, after: Evaluation, ids: list[str]) -> dict:
    """The paired test's figures, the differences in points."""
    change = asdict(metrics.compare(before.counts(ids), after.counts(ids)))
    for key in ("difference", "low", "high"):
        change[key] = _in_percent(change[key])
    return change


def _in_percent(share: float) -> float:
    return round(100 * share, 4)
