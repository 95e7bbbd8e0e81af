"""What a report says besides figures of rows: where the run came from, its settings, examples."""

import math
from collections import Counter
from pathlib import Path

from lib.errors import UserError
from lib.progress import clock
from lib.report import charts
from lib.report.run_folder import RunFile
from lib.report.sections import Table, reward, spoken
from lib.rows import read_object
from lib.tables import percent
from lib.tiny import truth

KINDS = {  # kind of a file -> what its rows are called in the sums
    "problems": "problems",
    "answered": "single answers",
    "ranked": "ranked problems",
    "clean": "clean problems",
    "voted": "majority-voted problems",
    "sft": "conversations",
    "pairs": "preference pairs",
}
LONGEST_SETTING = 60  # characters; a longer one stands with the prompts
UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
COMPARED = ("dataset", "problems", "best_model", "base_model", "test")  # what the captions state


def sums(files: list[RunFile]) -> list[tuple[str, str]]:
    """The run's rows, tokens and time: pairs of a name and a figure as text."""
    row_counts = Counter()
    tokens = asking_seconds = seconds = 0
    for file in files:
        row_counts[file.kind] += file.meta["rows_out"]
        tokens += file.meta.get("tokens") or 0
        asking_seconds += file.meta.get("asking_seconds") or 0
        seconds += file.meta["seconds"]
    figures = []
    for kind, rows_name in KINDS.items():
        if kind in row_counts:
            figures.append((rows_name, f"{row_counts[kind]:,}"))
    figures.append(("tokens", _three_digits(tokens)))
    figures.append(("time of the stages", clock(seconds)))
    if tokens and asking_seconds:
        speed = tokens / asking_seconds
        figures.append(("tokens/s per domain", f"{speed:,.0f}"))
    return figures


def _three_digits(count: int) -> str:
    """A count rounded to three digits: `812`, `93.5 k`, `1.32 M`."""
    for unit_size, unit in UNITS:
        if count >= unit_size:
            in_units = count / unit_size
            digits_before_point = 1 + int(math.log10(in_units))
            decimals = max(0, 3 - digits_before_point)
            return f"{in_units:.{decimals}f} {unit}"
    return str(count)


def origin(files: list[RunFile], info: dict) -> dict[str, str]:
    """Models, date, seeds and whatever else the meta files note, each value once."""
    values_by_name: dict[str, list[str]] = {}
    for file in files:
        model_kind = "reward model" if file.kind == "ranked" else "model"
        model = file.meta["settings"].get("model")
        _add_value(values_by_name, model_kind, model)
    date = str(info.get("generation_date", ""))
    in_words = date.replace("T", " ").replace("+0000", " UTC")
    _add_value(values_by_name, "finished", in_words)
    for file in files:
        seed = file.meta["settings"].get("seed")
        _add_value(values_by_name, "seed", seed)
    for file in files:
        notes = file.meta.get("notes") or {}
        for note, value in notes.items():
            _add_value(values_by_name, spoken(note), value)
    return {name: ", ".join(values) for name, values in values_by_name.items()}


def _add_value(
    values_by_name: dict[str, list[str]], name: str, value: str | int | dict | None
) -> None:
    """Add a value as text, unless it is empty or there already. A dict holds versions by name."""
    if value in (None, "", {}):
        return
    if isinstance(value, dict):
        value = ", ".join(f"{library} {version}" for library, version in value.items())
    values = values_by_name.setdefault(name, [])
    if str(value) not in values:
        values.append(str(value))


def settings(files: list[RunFile]) -> tuple[Table, list[tuple[str, str]]]:
    """A line for each setting of each stage, and the prompts: pairs of a heading and a text.

    What is equal in every domain is said once.
    """
    lines, prompts = [], []
    for (stage, setting), domains_by_value in _values_of_settings(files).items():
        for value, domains in domains_by_value.items():
            in_domains = ", ".join(domains) if len(domains_by_value) > 1 else ""
            is_prompt = setting.endswith("prompt") and value
            if not is_prompt and len(value) <= LONGEST_SETTING:
                lines.append([stage, setting, value or "–", in_domains or "all"])
                continue
            heading = f"{stage}, {spoken(setting)}"
            if in_domains:
                heading += f", {in_domains}"
            prompts.append((heading, value))
    titles = ["stage", "setting", "value", "domains"]
    return Table(titles, lines, text_columns=(0, 1, 2, 3)), prompts


def _values_of_settings(files: list[RunFile]) -> dict[tuple[str, str], dict[str, list[str]]]:
    """{(stage, setting): {value as text: its domains}}, in the order of the files."""
    values_of_settings = {}
    for file in files:
        stage = file.meta["stage"]
        domain = spoken(file.domain or "")
        for setting, value in file.meta["settings"].items():
            if setting != "domain":
                domains_by_value = values_of_settings.setdefault((stage, setting), {})
                domains = domains_by_value.setdefault(str(value), [])
                domains.append(domain)
    return values_of_settings


def example(row: dict) -> dict:
    """A problem and its responses as the template shows them, equal responses as one."""
    scores = row.get("scores")
    true_answer = truth.answer_of(row["instruction"])
    return {
        "problem": row["instruction"],
        "domain": spoken(row.get("domain") or ""),
        "reward": _reward_of(scores, 0),
        "responses": _distinct_responses(row),
        "agreed": percent(row["agreement"]) if "agreement" in row else "",
        "answer": str(row.get("answer", "")),
        "true": "" if true_answer is None else str(true_answer),
    }


def _distinct_responses(row: dict) -> list[dict]:
    """The responses in their order; of equal ones the first, and how many times it is there."""
    marks, scores = row.get("marks"), row.get("scores")
    shown_responses: dict[str, dict] = {}
    for position, response in enumerate(row["responses"]):
        if response in shown_responses:
            shown_responses[response]["times"] += 1
            continue
        shown_responses[response] = {
            "text": response,
            "times": 1,
            "mark": marks[position] if marks else "",
            "end": row["finish_reasons"][position],
            "reward": _reward_of(scores, position),
        }
    return list(shown_responses.values())


def _reward_of(scores: list[float | None] | None, position: int) -> str:
    """One response's reward as it is shown; "" without one."""
    if not scores or scores[position] is None:
        return ""
    return reward(scores[position])


def comparison(comparison_path: Path) -> dict | None:
    """The table and chart of the file of a comparison; None where there is none."""
    compared = read_object(comparison_path)
    if compared is None:
        return None
    try:
        return _comparison(compared)
    except (KeyError, TypeError, IndexError, AttributeError) as e:
        problem = f"not a comparison of models ({type(e).__name__}: {e}); make it again"
        raise UserError(f"{comparison_path}: {problem}") from None


def _comparison(compared: dict) -> dict:
    models = compared["models"]
    model_names = [model["model_type"] for model in models]
    metric, base = compared["metric"], compared["base_model"]
    titles = ["model", metric, "95% interval", "wrong", "no answer", "cut off"]
    titles += [f"against {base}", "95% interval", "verdict"]
    model_lines = [_model_line(model) for model in models]
    source_lines = []
    for source, figures in compared["sources"].items():
        accuracies = [percent(figures["accuracy"][model], 100) for model in model_names]
        source_lines.append([spoken(source), f"{figures['problems']:,}", *accuracies])
    intervals = [_interval(model) for model in models]
    chart = charts.intervals(f"{metric} of each model", metric, intervals)
    return {
        "table": Table(titles, model_lines, text_columns=(0, 8)),
        "chart": charts.as_inline_svg(chart),
        "sources": Table(["source", "problems", *model_names], source_lines),
        "facts": {key: str(compared[key]) for key in COMPARED},
    }


def _model_line(model: dict) -> list[str]:
    """The model's line in the table: its score, how its samples fail, and its change."""
    low, high = model["interval"]
    accuracy = f"{model['accuracy']:.1f}%"
    cells = [model["model_type"], accuracy, f"{low:.1f} to {high:.1f}"]
    for failure in ("wrong", "no_answer", "truncated"):
        share = percent(model[failure], model["samples"])
        cells.append(share)
    change = model["change"]
    if not change:
        return [*cells, "–", "–", "base"]
    points = f"{change['difference']:+.1f}"
    low_points, high_points = f"{change['low']:+.1f}", f"{change['high']:+.1f}"
    return [*cells, points, f"{low_points} to {high_points}", change["verdict"]]


def _interval(model: dict) -> charts.Interval:
    """The model's row in the chart; the file has percent, a chart takes shares."""
    low, high = model["interval"]
    accuracy = model["accuracy"]
    verdict = model["change"]["verdict"] if model["change"] else "base"
    return charts.Interval(
        name=model["model_type"],
        low=low / 100,
        value=accuracy / 100,
        high=high / 100,
        note=f"{accuracy:.1f}% {verdict}",
        verdict=verdict,
    )
