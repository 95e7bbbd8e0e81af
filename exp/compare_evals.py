"""Compare evaluated models on the same problems: a table, a picture, and what is more than noise.

in    base.json, tuned.json, …   results of eval_* stages: {results, records}, a file per model
out   aime_model_comparison.json best_model, base_model, models with intervals and changes, sources
      aime_model_comparison.png  the scores with their 95% intervals
      python exp/compare_evals.py --results_paths data/eval/base.json,data/eval/tuned.json \\
          --save_path data/eval/aime_model_comparison.json

Each model is held against `--base` (a model_type; else the first file) on the same problems, as
lib/evaluation/metrics.compare says. Files with other problems, gold answers, prompt or sampling are
refused; `--allow_different` compares the problems they share.
"""

from pathlib import Path

from lib import cli, rows
from lib.errors import UserError
from lib.evaluation import comparison
from lib.evaluation.comparison import Evaluation
from lib.progress import say, shown_path
from lib.report import charts
from lib.tables import markdown, percent

LAYOUT_TITLES = {
    "worked_share": "worked",
    "accuracy_worked": "accuracy worked",
    "format_accuracy": "in format",
}


def change_in_words(change: dict | None) -> str:
    """`+6.8 [+2.1, +11.5] gain, p = 0.012`, in points; empty for none."""
    if change is None:
        return ""
    interval = f"[{change['low']:+.1f}, {change['high']:+.1f}]"
    text = f"{change['difference']:+.1f} {interval} {change['verdict']}"
    p = change["p"]
    if p is None:
        return text
    return f"{text}, p < 0.001" if p < 0.001 else f"{text}, p = {p:.3f}"


def model_table(compared: dict) -> list[str]:
    """A row a model, as Markdown."""
    models = compared["models"]
    titles = {}  # of the layout scores that every model has
    for key, title in LAYOUT_TITLES.items():
        if all(model[key] is not None for model in models):
            titles[key] = title
    return markdown(as_columns([model_row(model, compared, titles) for model in models]))


def model_row(model: dict, compared: dict, layout_titles: dict[str, str]) -> dict[str, str]:
    metric = compared["metric"]
    low, high = model["interval"]
    row = {
        "model": model["model_type"],
        f"{metric} [95%]": f"{model['accuracy']:.1f}% [{low:.1f}, {high:.1f}]",
    }
    if metric != "accuracy":
        row[f"pass@{compared['k']}"] = percent(model["pass_at_k"], 100)
        row[metric.replace("avg", "maj")] = percent(model["maj_at_n"], 100)
    for key in comparison.FAILURES:
        row[key.replace("_", " ")] = percent(model[key], model["samples"])
    for key, title in layout_titles.items():
        row[title] = percent(model[key], 100)
    row["change, points [95%]"] = change_in_words(model["change"]) or "(base)"
    if len(compared["models"]) > 2:
        row["from the row above"] = change_in_words(model["step"])
    return row


def source_table(compared: dict) -> list[str]:
    """A row a source, with every model's score, as Markdown."""
    table_rows = []
    for source, figures in compared["sources"].items():
        row = {f"{compared['metric']} by source": source, "problems": f"{figures['problems']:,}"}
        for name, accuracy in figures["accuracy"].items():
            row[name] = percent(accuracy, 100)
        table_rows.append(row)
    return markdown(as_columns(table_rows))


def as_columns(table_rows: list[dict[str, str]]) -> dict[str, list[str]]:
    columns = {}
    for title in table_rows[0]:
        columns[title] = [row[title] for row in table_rows]
    return columns


def conclusion(compared: dict) -> str:
    """One sentence on the best model that claims no more than the test does."""
    models = {model["model_type"]: model for model in compared["models"]}
    best = models[compared["best_model"]]
    start = f"Best: {best['model_type']} ({compared['metric']} {best['accuracy']:.1f}%)"
    if best["change"]:
        against = f"against {compared['base_model']}: {change_in_words(best['change'])}"
        return f"{start}; {against}"
    if len(models) == 1:
        return f"{start}, the only model"
    similar = []
    for name, model in models.items():
        if model["change"] and model["change"]["verdict"] == "within noise":
            similar.append(name)
    rest = f"within noise of it: {', '.join(similar)}" if similar else "every other is a loss"
    return f"{start}, the base itself; {rest}"


def draw(compared: dict) -> bytes:
    """The PNG: a point with its 95% interval for each model, the base as a dashed line."""
    problems = f"{compared['dataset']} ({compared['problems']:,} problems)"
    label = f"{compared['metric']} on {problems}, 95% interval"
    intervals = [interval_of(model) for model in compared["models"]]
    return charts.as_png(charts.intervals(label, label, intervals))


def interval_of(model: dict) -> charts.Interval:
    """A model's row in the picture, with its verdict."""
    low, high = model["interval"]
    score, change = model["accuracy"], model["change"]
    if change:
        verdict = change["verdict"]
        note = f"{score:.1f}% {change['difference']:+.1f} {verdict}"
    else:
        verdict = "base"
        note = f"{score:.1f}% (base)"
    return charts.Interval(model["model_type"], low / 100, score / 100, high / 100, note, verdict)


def check_paths(paths: list[str], results_paths: str, save_path: str) -> None:
    if not paths or len(set(paths)) < len(paths):
        expected = "expected one or more different files, separated by commas"
        raise UserError(f"--results_paths {results_paths!r}: {expected}")
    if Path(save_path).suffix != ".json" or save_path in paths:
        expected = "expected a .json file that is none of the results"
        raise UserError(f"--save_path {save_path}: {expected}")


def differences_from_first(evaluations: list[Evaluation]) -> list[str]:
    """In words, of each evaluation that differs in more than its model."""
    first, *others = evaluations
    texts = [comparison.differences(first, other) for other in others]
    return [text for text in texts if text]


def main(results_paths: str, save_path: str, base: str = "", allow_different: bool = False):
    paths = cli.comma_list(results_paths)
    check_paths(paths, results_paths, save_path)
    evaluations = comparison.read_all(paths)
    base_evaluation = comparison.choose_base(evaluations, base)
    differences = differences_from_first(evaluations)
    if differences and not allow_different:
        advice = "--allow_different compares them on the problems they share"
        raise UserError(f"{differences[0]}; {advice}")
    ids = comparison.shared_ids(evaluations)
    if not ids:
        raise UserError(f"no problem with the same gold answer is in all of {', '.join(paths)}")
    datasets = [evaluation.results["dataset"] for evaluation in evaluations]
    dataset = "+".join(dict.fromkeys(datasets))
    files = "1 result" if len(paths) == 1 else f"{len(paths)} results"
    say(f"{files} on {dataset} ({len(ids):,} problems) -> {shown_path(save_path)}")
    for text in differences:
        say(f"{text}; compared on the {len(ids):,} problems in common")
    compared = comparison.compare(evaluations, base_evaluation, ids)
    compared |= {"dataset": dataset, "differences": differences}
    picture = Path(save_path).with_suffix(".png")
    picture.parent.mkdir(parents=True, exist_ok=True)
    rows.write_whole(picture, draw(compared))
    rows.write_json(save_path, compared)
    lines = model_table(compared)
    if len(compared["sources"]) > 1:
        lines += ["", *source_table(compared)]
    print("\n".join([*lines, "", conclusion(compared)]))
    say(f"wrote {shown_path(save_path)} and {shown_path(picture)}")


if __name__ == "__main__":
    cli.run(main)
