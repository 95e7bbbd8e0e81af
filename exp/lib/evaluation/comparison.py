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

Records = dict[str, dict]  # by the problem's id


@dataclass(frozen=True)
class Evaluation:
    """One result file: its name in tables, its `results` and its `records`."""

    path: str
    name: str
    results: dict
    records: Records

    def counts(self, problem_ids: list[str]) -> metrics.Counts:
        """(right samples, samples) of each of these problems."""
        counts = []
        for problem_id in problem_ids:
            record = self.records[problem_id]
            counts.append((record["n_correct"], record["n_total"]))
        return counts

    def accuracy(self, problem_ids: list[str]) -> float:
        """avg@n over these problems, in percent."""
        counts = self.counts(problem_ids)
        return _in_percent(metrics.avg_at_n(counts))

    def fewest_samples(self, problem_ids: list[str]) -> int:
        """The samples of that one of these problems which has the fewest."""
        return min(samples for _, samples in self.counts(problem_ids))

    def gold_of(self, problem_id: str) -> str:
        return self.records[problem_id]["ground_truth"]

    def has_gold(self, problem_id: str, gold: str) -> bool:
        """Whether it has the problem with this gold answer."""
        if problem_id not in self.records:
            return False
        return self.gold_of(problem_id) == gold


def read_all(paths: list[str]) -> list[Evaluation]:
    """The evaluations under distinct names; UserError says what is wrong with a file."""
    contents = [_read_file(path) for path in paths]
    model_types = [results["model_type"] for results, _ in contents]
    names = _distinct_names(model_types, paths)
    evaluations = []
    for path, name, content in zip(paths, names, contents, strict=True):
        results, records = content
        evaluations.append(Evaluation(path, name, results, records))
    return evaluations


def _read_file(path: str) -> tuple[dict, Records]:
    """The two parts of a result file."""
    content = _read_json(path)
    sections = content if isinstance(content, dict) else {}
    for key in ("results", "records"):
        section = sections.get(key)
        if not section or not isinstance(section, dict):
            raise UserError(f"{path}: no {key!r} in it; expected the file of an eval_* stage")
    results = content["results"]
    _require_keys(f"{path}: results", results, RESULT_KEYS)
    records: Records = {}
    for number, record in content["records"].items():
        place = f"{path}: record {number}"
        _check_record(place, record)
        problem_id = record["id"]
        if problem_id in records:
            raise UserError(f"{place}: id {problem_id} is there twice")
        records[problem_id] = record
    return results, records


def _read_json(path: str):
    try:
        return json.loads(Path(path).read_bytes())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path}: torn or not JSON ({error}); run its evaluation again") from None


def _check_record(place: str, record: dict) -> None:
    """UserError, naming `place`, for a key that is missing or a count that cannot be."""
    _require_keys(place, record, RECORD_KEYS)
    right, samples = record["n_correct"], record["n_total"]
    if samples == 0 or not 0 <= right <= samples:
        raise UserError(f"{place}: {right} right of {samples} samples")


def _require_keys(place: str, content: dict, keys: tuple[str, ...]) -> None:
    for key in keys:
        if key not in content:
            known_keys = ", ".join(content)
            raise UserError(f"{place}: no key {key!r} (has: {known_keys})")


def _distinct_names(model_types: list[str], paths: list[str]) -> list[str]:
    """The model types; with the file's stem, or else its path, where several are the same."""
    type_counts = Counter(model_types)
    names = []
    for model_type, path in zip(model_types, paths, strict=True):
        is_unique = type_counts[model_type] == 1
        stem = Path(path).stem
        names.append(model_type if is_unique else f"{model_type}:{stem}")
    name_counts = Counter(names)
    distinct_names = []
    for name, model_type, path in zip(names, model_types, paths, strict=True):
        is_unique = name_counts[name] == 1
        distinct_names.append(name if is_unique else f"{model_type}:{path}")
    return distinct_names


def choose_base(evaluations: list[Evaluation], base: str) -> Evaluation:
    """The evaluation whose name or model type is `base`; the first if it is empty."""
    if not base:
        return evaluations[0]
    matches = []
    for evaluation in evaluations:
        if base in (evaluation.name, evaluation.results["model_type"]):
            matches.append(evaluation)
    if not matches:
        names = [evaluation.name for evaluation in evaluations]
        raise UserError(f"no result of --base {base!r}; {near(base, names)}")
    if len(matches) > 1:
        names = ", ".join(match.name for match in matches)
        raise UserError(f"--base {base!r} is {len(matches)} files; give one of: {names}")
    return matches[0]


def differences(first: Evaluation, other: Evaluation) -> str:
    """What besides the model differs between two evaluations, in words; empty if nothing does."""
    phrases = _different_problems(first, other) + _different_settings(first, other)
    if not phrases:
        return ""
    listed = "; ".join(phrases)
    return f"{first.path} and {other.path} differ in {listed}"


def _different_problems(first: Evaluation, other: Evaluation) -> list[str]:
    """At most two phrases: problems that only one has, and problems with two gold answers."""
    phrases = []
    unshared_ids = first.records.keys() ^ other.records.keys()
    if unshared_ids:
        count = len(unshared_ids)
        example = min(unshared_ids)
        owner = first if example in first.records else other
        phrases.append(f"{count} ids, such as {example} (only in {owner.path})")
    contested_ids = []
    for problem_id in first.records:
        if problem_id not in other.records:
            continue
        gold = first.gold_of(problem_id)
        if not other.has_gold(problem_id, gold):
            contested_ids.append(problem_id)
    if contested_ids:
        count = len(contested_ids)
        example = contested_ids[0]
        first_gold = first.gold_of(example)
        other_gold = other.gold_of(example)
        golds = f"({first_gold!r}, {other_gold!r})"
        phrases.append(f"ground_truth of {count} ids, such as {example} {golds}")
    return phrases


def _different_settings(first: Evaluation, other: Evaluation) -> list[str]:
    """`temperature (0.0, 0.3)` for each setting that differs."""
    phrases = []
    for key in ("dataset", *SETTINGS, "grader"):
        first_value = first.results.get(key)
        other_value = other.results.get(key)
        if first_value != other_value:
            phrases.append(f"{key} ({first_value}, {other_value})")
    return phrases


def shared_ids(evaluations: list[Evaluation]) -> list[str]:
    """The problems that all have with the same gold answer, in the order of the first."""
    first, *others = evaluations
    problem_ids = []
    for problem_id in first.records:
        gold = first.gold_of(problem_id)
        if all(other.has_gold(problem_id, gold) for other in others):
            problem_ids.append(problem_id)
    return problem_ids


def compare(evaluations: list[Evaluation], base: Evaluation, problem_ids: list[str]) -> dict:
    """Every model's summary, the best one (among equals the base), and the scores by source."""
    # pass@k is defined for all models only up to the fewest samples of any problem.
    k = min(evaluation.fewest_samples(problem_ids) for evaluation in evaluations)
    summaries = []
    tests: dict[str, None] = {}  # a set in order: each test that was made
    previous = None
    for evaluation in evaluations:
        summary = _summarize(evaluation, base, previous, problem_ids, k)
        summaries.append(summary)
        if summary["change"]:
            tests[summary["change"]["test"]] = None
        previous = evaluation
    best = max(summaries, key=_rank)
    sample_numbers = {summary["n_sampling"] for summary in summaries}
    return {
        "best_model": best["model_type"],
        "base_model": base.name,
        "problems": len(problem_ids),
        "metric": _metric_name(sample_numbers),
        "k": k,
        "test": ", ".join(tests) or None,
        "models": summaries,
        "sources": _by_source(evaluations, problem_ids),
        "files": [evaluation.path for evaluation in evaluations],
    }


def _rank(summary: dict) -> tuple[float, bool]:
    """What the best model has most of: accuracy, and among equals being the base."""
    is_base = summary["change"] is None
    return summary["accuracy"], is_base


def _metric_name(sample_numbers: set[int]) -> str:
    """`accuracy` for one sample a problem, `avg@8` for eight, `avg@n` where models differ."""
    if len(sample_numbers) > 1:
        return "avg@n"
    (n_sampling,) = sample_numbers
    return "accuracy" if n_sampling == 1 else f"avg@{n_sampling}"


def _by_source(evaluations: list[Evaluation], problem_ids: list[str]) -> dict[str, dict]:
    """The number of problems and every model's accuracy for each part of the benchmark."""
    first = evaluations[0]
    ids_by_source: dict[str, list[str]] = {}
    for problem_id in problem_ids:
        source = first.records[problem_id]["source_dataset"]
        ids_by_source.setdefault(source, []).append(problem_id)
    sources = {}
    for source, source_ids in ids_by_source.items():
        accuracies = {}
        for evaluation in evaluations:
            accuracies[evaluation.name] = evaluation.accuracy(source_ids)
        sources[source] = {"problems": len(source_ids), "accuracy": accuracies}
    return sources


def _summarize(
    evaluation: Evaluation,
    base: Evaluation,
    previous: Evaluation | None,
    problem_ids: list[str],
    k: int,
) -> dict:
    """One model's scores over `problem_ids` in percent, with its changes in points.

    `change` is against the base, `step` against the model before it in the list. A figure that the
    file gives only over more problems than `problem_ids` is None.
    """
    counts = evaluation.counts(problem_ids)
    low, high = metrics.interval(counts)
    pass_at_k = metrics.pass_at_k(counts, k)
    summary = {
        "model_type": evaluation.name,
        "model": evaluation.results["model"],
        "file": evaluation.path,
        "n_sampling": evaluation.results["n_sampling"],
        "accuracy": evaluation.accuracy(problem_ids),
        "interval": [_in_percent(low), _in_percent(high)],
        "pass_at_k": _in_percent(pass_at_k),
        "samples": sum(samples for _, samples in counts),
    }
    has_all_problems = len(problem_ids) == len(evaluation.records)
    for key in ("maj_at_n", *FAILURES, *LAYOUT_SCORES):
        summary[key] = evaluation.results.get(key) if has_all_problems else None
    summary["change"] = None
    if evaluation is not base:
        summary["change"] = _change(base, evaluation, problem_ids)
    summary["step"] = None
    if previous:
        summary["step"] = _change(previous, evaluation, problem_ids)
    return summary


def _change(before: Evaluation, after: Evaluation, problem_ids: list[str]) -> dict:
    """The paired test's figures, the differences in points."""
    counts_before = before.counts(problem_ids)
    counts_after = after.counts(problem_ids)
    change = asdict(metrics.compare(counts_before, counts_after))
    for key in ("difference", "low", "high"):
        change[key] = _in_percent(change[key])
    return change


def _in_percent(share: float) -> float:
    return round(100 * share, 4)
