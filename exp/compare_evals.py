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

Cells = dict[str, str]  # of a table's row, by the title of their column

LAYOUT_TITLES = {
    "worked_share": "worked",
    "accuracy_worked": "accuracy worked",
    "format_accuracy": "in format",
}


def change_in_words(change: dict | None) -> str:
    """`+6.8 [+2.1, +11.5] gain, p = 0.012`, in points; empty for none."""
    if change is None:
        return ""
    difference, p_value = change["difference"], change["p"]
    interval = f"[{change['low']:+.1f}, {change['high']:+.1f}]"
    sentence = f"{difference:+.1f} {interval} {change['verdict']}"
    if p_value is None:
        return sentence
    if p_value < 0.001:
        return f"{sentence}, p < 0.001"
    return f"{sentence}, p = {p_value:.3f}"


def model_table(compared: dict) -> list[str]:
    """A row a model, as Markdown."""
    models = compared["models"]
    layout_titles = {}  # of the layout scores that every model has
    for key, title in LAYOUT_TITLES.items():
        if all(model[key] is not None for model in models):
            layout_titles[key] = title
    table_rows = [model_row(model, compared, layout_titles) for model in models]
    return markdown(as_columns(table_rows))


def model_row(model: dict, compared: dict, layout_titles: dict[str, str]) -> Cells:
    metric = compared["metric"]
    accuracy = model["accuracy"]
    low, high = model["interval"]
    cells = {"model": model["model_type"]}
    cells[f"{metric} [95%]"] = f"{accuracy:.1f}% [{low:.1f}, {high:.1f}]"
    if metric != "accuracy":  # with one sample a problem, pass@k and maj@n are the accuracy
        pass_title = f"pass@{compared['k']}"
        majority_title = metric.replace("avg", "maj")
        cells[pass_title] = percent(model["pass_at_k"], 100)
        cells[majority_title] = percent(model["maj_at_n"], 100)
    for key in comparison.FAILURES:
        title = key.replace("_", " ")
        cells[title] = percent(model[key], model["samples"])
    for key, title in layout_titles.items():
        cells[title] = percent(model[key], 100)
    cells["change, points [95%]"] = change_in_words(model["change"]) or "(base)"
    if len(compared["models"]) > 2:  # of two, it would repeat the change
        cells["from the row above"] = change_in_words(model["step"])
    return cells


def source_table(compared: dict) -> list[str]:
    """A row a source, with every model's score, as Markdown."""
    source_title = f"{compared['metric']} by source"
    table_rows = []
    for source, figures in compared["sources"].items():
        cells = {source_title: source, "problems": f"{figures['problems']:,}"}
        for model_type, accuracy in figures["accuracy"].items():
            cells[model_type] = percent(accuracy, 100)
        table_rows.append(cells)
    return markdown(as_columns(table_rows))


def as_columns(table_rows: list[Cells]) -> dict[str, list[str]]:
    """The columns of rows that have the same titles, by title."""
    columns: dict[str, list[str]] = {}
    for cells in table_rows:
        for title, cell in cells.items():
            columns.setdefault(title, []).append(cell)
    return columns


def conclusion(compared: dict) -> str:
    """One sentence on the best model that claims no more than the test does."""
    models = {model["model_type"]: model for model in compared["models"]}
    best_name = compared["best_model"]
    best = models[best_name]
    score = f"{compared['metric']} {best['accuracy']:.1f}%"
    opening = f"Best: {best_name} ({score})"
    if best["change"]:
        change = change_in_words(best["change"])
        return f"{opening}; against {compared['base_model']}: {change}"
    if len(models) == 1:
        return f"{opening}, the only model"
    similar_models = []
    for model_type, model in models.items():
        change = model["change"]
        if change and change["verdict"] == "within noise":
            similar_models.append(model_type)
    if not similar_models:
        return f"{opening}, the base itself; every other is a loss"
    return f"{opening}, the base itself; within noise of it: {', '.join(similar_models)}"


def draw(compared: dict) -> bytes:
    """The PNG: a point with its 95% interval for each model, the base as a dashed line."""
    dataset, problems = compared["dataset"], compared["problems"]
    label = f"{compared['metric']} on {dataset} ({problems:,} problems), 95% interval"
    intervals = [interval_of(model) for model in compared["models"]]
    figure = charts.intervals(label, label, intervals)
    return charts.as_png(figure)


def interval_of(model: dict) -> charts.Interval:
    """A model's row in the picture, which is in shares and not in percent."""
    low, high = model["interval"]
    accuracy = model["accuracy"]
    change = model["change"]
    if change:
        verdict = change["verdict"]
        difference = change["difference"]
        note = f"{accuracy:.1f}% {difference:+.1f} {verdict}"
    else:
        verdict = "base"
        note = f"{accuracy:.1f}% (base)"
    return charts.Interval(
        name=model["model_type"],
        low=low / 100,
        value=accuracy / 100,
        high=high / 100,
        note=note,
        verdict=verdict,
    )


def check_paths(paths: list[str], results_paths: str, save_path: str) -> None:
    """UserError unless the results are different files and the output is none of them."""
    if not paths or len(set(paths)) < len(paths):
        expected = "expected one or more different files, separated by commas"
        raise UserError(f"--results_paths {results_paths!r}: {expected}")
    if Path(save_path).suffix != ".json" or save_path in paths:
        expected = "expected a .json file that is none of the results"
        raise UserError(f"--save_path {save_path}: {expected}")


def differences_from_first(evaluations: list[Evaluation]) -> list[str]:
    """In words, of each evaluation that differs in more than its model."""
    first, *others = evaluations
    differences = []
    for other in others:
        difference = comparison.differences(first, other)
        if difference:
            differences.append(difference)
    return differences


def main(results_paths: str, save_path: str, base: str = "", allow_different: bool = False):
    paths = cli.comma_list(results_paths)
    check_paths(paths, results_paths, save_path)
    evaluations = comparison.read_all(paths)
    base_evaluation = comparison.choose_base(evaluations, base)
    differences = differences_from_first(evaluations)
    if differences and not allow_different:
        advice = "--allow_different compares them on the problems they share"
        raise UserError(f"{differences[0]}; {advice}")
    problem_ids = comparison.shared_ids(evaluations)
    problems = len(problem_ids)
    if not problem_ids:
        raise UserError(f"no problem with the same gold answer is in all of {', '.join(paths)}")
    datasets = [evaluation.results["dataset"] for evaluation in evaluations]
    dataset = "+".join(dict.fromkeys(datasets))  # each once, in order
    results_read = "1 result" if len(paths) == 1 else f"{len(paths)} results"
    say(f"{results_read} on {dataset} ({problems:,} problems) -> {shown_path(save_path)}")
    for difference in differences:
        say(f"{difference}; compared on the {problems:,} problems in common")
    compared = comparison.compare(evaluations, base_evaluation, problem_ids)
    compared |= {"dataset": dataset, "differences": differences}
    picture_path = Path(save_path).with_suffix(".png")
    picture_path.parent.mkdir(parents=True, exist_ok=True)
    rows.write_whole(picture_path, draw(compared))
    rows.write_json(save_path, compared)
    report_lines = model_table(compared)
    if len(compared["sources"]) > 1:
        report_lines += ["", *source_table(compared)]
    report_lines += ["", conclusion(compared)]
    print("\n".join(report_lines))
    say(f"wrote {shown_path(save_path)} and {shown_path(picture_path)}")


if __name__ == "__main__":
    cli.run(main)
