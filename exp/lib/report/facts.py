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


def sums(files: list[RunFile]) -> list[tuple[str, str]]:
    """(what, how many) of the run's rows, tokens and time."""
    rows = Counter()
    tokens = asking_seconds = seconds = 0
    for file in files:
        rows[file.kind] += file.meta["rows_out"]
        tokens += file.meta.get("tokens") or 0
        asking_seconds += file.meta.get("asking_seconds") or 0
        seconds += file.meta["seconds"]
    figures = [(name, f"{rows[kind]:,}") for kind, name in KINDS.items() if kind in rows]
    figures.append(("tokens", _short(tokens)))
    figures.append(("time of the stages", clock(seconds)))
    if tokens and asking_seconds:
        figures.append(("tokens/s per domain", f"{tokens / asking_seconds:,.0f}"))
    return figures


def _short(count: int) -> str:
    """`812`, `93.5 k`, `1.32 M`: three figures, as nobody reads nine."""
    for size, unit in UNITS:
        if count >= size:
            digits_before_point = 1 + int(math.log10(count / size))
            return f"{count / size:.{max(0, 3 - digits_before_point)}f} {unit}"
    return str(count)


def origin(files: list[RunFile], info: dict) -> dict[str, str]:
    """Models, date, seeds and whatever else the meta files note, each value once."""
    facts = {}

    def add(name: str, value: str | int | dict | None) -> None:
        if value in (None, "", {}):
            return
        values = facts.setdefault(name, [])
        if isinstance(value, dict):
            value = ", ".join(f"{key} {version}" for key, version in value.items())
        if str(value) not in values:
            values.append(str(value))

    for file in files:
        name = "reward model" if file.kind == "ranked" else "model"
        add(name, file.meta["settings"].get("model"))
    date = str(info.get("generation_date", ""))
    add("finished", date.replace("T", " ").replace("+0000", " UTC"))
    for file in files:
        add("seed", file.meta["settings"].get("seed"))
    for file in files:
        for name, value in (file.meta.get("notes") or {}).items():
            add(spoken(name), value)
    return {name: ", ".join(values) for name, values in facts.items()}


def settings(files: list[RunFile]) -> tuple[Table, list[tuple[str, str]]]:
    """A line for each setting of each stage, and the prompts as (where, text).

    What is equal in every domain is said once.
    """
    lines, prompts = [], []
    for (stage, name), domains_by_value in _values_of_settings(files).items():
        for value, domains in domains_by_value.items():
            place = ", ".join(domains) if len(domains_by_value) > 1 else ""
            if len(value) > LONGEST_SETTING or (name.endswith("prompt") and value):
                where = [stage, spoken(name), place]
                prompts.append((", ".join(filter(None, where)), value))
            else:
                lines.append([stage, name, value or "–", place or "all"])
    return Table(["stage", "setting", "value", "domains"], lines, (0, 1, 2, 3)), prompts


def _values_of_settings(files: list[RunFile]) -> dict[tuple[str, str], dict[str, list[str]]]:
    """{(stage, setting): {value as text: its domains}}, in the order of the files."""
    settings = {}
    for file in files:
        for name, value in file.meta["settings"].items():
            if name != "domain":
                domains_by_value = settings.setdefault((file.meta["stage"], name), {})
                domains = domains_by_value.setdefault(str(value), [])
                domains.append(spoken(file.domain or ""))
    return settings


def example(row: dict) -> dict:
    """A problem and its responses as the template shows them, equal responses as one."""
    scores = row.get("scores")
    true_answer = truth.answer_of(row["instruction"])
    return {
        "problem": row["instruction"],
        "domain": spoken(row.get("domain") or ""),
        "reward": reward(scores[0]) if scores else "",
        "responses": _distinct_responses(row),
        "agreed": percent(row["agreement"]) if "agreement" in row else "",
        "answer": str(row.get("answer", "")),
        "true": "" if true_answer is None else str(true_answer),
    }


def _distinct_responses(row: dict) -> list[dict]:
    """The responses in their order; of equal ones the first, and how many times it is there."""
    responses = {}
    for place, text in enumerate(row["responses"]):
        if text in responses:
            responses[text]["times"] += 1
            continue
        responses[text] = {
            "text": text,
            "times": 1,
            "mark": row["marks"][place] if "marks" in row else "",
            "end": row["finish_reasons"][place],
            "reward": reward(row["scores"][place]) if row.get("scores") else "",
        }
    return list(responses.values())


def comparison(path: Path) -> dict | None:
    """The table and chart of the file of a comparison; None where there is none."""
    content = read_object(path)
    if content is None:
        return None
    try:
        return _comparison(content)
    except (KeyError, TypeError, IndexError, AttributeError) as e:
        what = f"not a comparison of models ({type(e).__name__}: {e}); make it again"
        raise UserError(f"{path}: {what}") from None


def _comparison(content: dict) -> dict:
    models = content["models"]
    names = [model["model_type"] for model in models]
    metric, base = content["metric"], content["base_model"]
    head = ["model", metric, "95% interval", "wrong", "no answer", "cut off"]
    head += [f"against {base}", "95% interval", "verdict"]
    sources = []
    for source, figures in content["sources"].items():
        scores = [percent(figures["accuracy"][name], 100) for name in names]
        sources.append([spoken(source), f"{figures['problems']:,}", *scores])
    shown = ("dataset", "problems", "best_model", "base_model", "test")
    intervals = [_interval(model) for model in models]
    chart = charts.intervals(f"{metric} of each model", metric, intervals)
    return {
        "table": Table(head, [_compared_model(model) for model in models], (0, 8)),
        "chart": charts.as_inline_svg(chart),
        "sources": Table(["source", "problems", *names], sources),
        "facts": {key: str(content[key]) for key in shown},
    }


def _compared_model(model: dict) -> list[str]:
    """The model's line in the table: its score, how its samples fail, and its change."""
    low, high = model["interval"]
    line = [model["model_type"], f"{model['accuracy']:.1f}%", f"{low:.1f} to {high:.1f}"]
    for key in ("wrong", "no_answer", "truncated"):
        line.append(percent(model[key], model["samples"]))
    change = model["change"]
    if not change:
        return [*line, "–", "–", "base"]
    span = f"{change['low']:+.1f} to {change['high']:+.1f}"
    return [*line, f"{change['difference']:+.1f}", span, change["verdict"]]


def _interval(model: dict) -> charts.Interval:
    low, high = model["interval"]
    verdict = model["change"]["verdict"] if model["change"] else "base"
    return charts.Interval(
        name=model["model_type"],
        low=low / 100,
        value=model["accuracy"] / 100,
        high=high / 100,
        note=f"{model['accuracy']:.1f}% {verdict}",
        verdict=verdict,
    )
