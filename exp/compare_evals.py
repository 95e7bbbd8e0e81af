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

import io
import textwrap
from pathlib import Path

from lib import cli, rows
from lib.errors import UserError
from lib.evaluation import comparison
from lib.evaluation.comparison import Evaluation
from lib.progress import say
from lib.tables import markdown, percent

LAYOUT_TITLES = {
    "worked_share": "worked",
    "accuracy_worked": "accuracy worked",
    "format_accuracy": "in format",
}
COLOURS = {"gain": "#1b7f3b", "loss": "#b3261e", "within noise": "#555555", "base": "#1f4e9c"}
NAME_WIDTH = 40  # characters of a model's name on one line of the picture


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
    models, metric = compared["models"], compared["metric"]
    columns = {
        "model": [model["model_type"] for model in models],
        f"{metric} [95%]": [score_with_interval(model) for model in models],
    }
    if metric != "accuracy":
        columns[f"pass@{compared['k']}"] = percentages(models, "pass_at_k")
        columns[metric.replace("avg", "maj")] = percentages(models, "maj_at_n")
    for key in comparison.FAILURES:
        shares = [percent(model[key], model["samples"]) for model in models]
        columns[key.replace("_", " ")] = shares
    for key, title in LAYOUT_TITLES.items():
        if all(model[key] is not None for model in models):
            columns[title] = percentages(models, key)
    changes = [change_in_words(model["change"]) for model in models]
    columns["change, points [95%]"] = [change or "(base)" for change in changes]
    if len(models) > 2:
        columns["from the row above"] = [change_in_words(model["step"]) for model in models]
    return markdown(columns)


def score_with_interval(model: dict) -> str:
    low, high = model["interval"]
    return f"{model['accuracy']:.1f}% [{low:.1f}, {high:.1f}]"


def percentages(models: list[dict], key: str) -> list[str]:
    return [percent(model[key], 100) for model in models]


def source_table(compared: dict) -> list[str]:
    """A row a source, with every model's score, as Markdown."""
    sources = compared["sources"]
    parts = list(sources.values())
    columns = {
        f"{compared['metric']} by source": list(sources),
        "problems": [f"{part['problems']:,}" for part in parts],
    }
    for model in compared["models"]:
        name = model["model_type"]
        columns[name] = [percent(part["accuracy"][name], 100) for part in parts]
    return markdown(columns)


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
    others = {name: model["change"] for name, model in models.items() if model["change"]}
    similar = [name for name, change in others.items() if change["verdict"] == "within noise"]
    rest = f"within noise of it: {', '.join(similar)}" if similar else "every other is a loss"
    return f"{start}, the base itself; {rest}"


def draw(compared: dict) -> bytes:
    """The PNG: a point with its 95% interval for each model, the base as a dashed line.

    The same comparison gives the same bytes.
    """
    from matplotlib.figure import Figure

    models = compared["models"]
    names = [textwrap.fill(model["model_type"], NAME_WIDTH) for model in models]
    most_lines = max(name.count("\n") + 1 for name in names)
    inches = 0.8 + (0.3 + 0.17 * most_lines) * len(models)
    figure = Figure(
        figsize=(7, inches)
    )  # without pyplot: it draws by Agg, whatever display is there
    axes = figure.add_subplot()
    for place, model in enumerate(models):
        draw_model(axes, place, model)
    axes.set_yticks(range(len(models)), names, parse_math=False)
    axes.set_ylim(len(models) - 0.5, -0.5)
    problems = f"{compared['dataset']} ({compared['problems']:,} problems)"
    label = f"{compared['metric']} on {problems}, %, with 95% intervals"
    axes.set_xlabel(label, parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=150, bbox_inches="tight", metadata={"Software": None})
    return image.getvalue()


def draw_model(axes, place: int, model: dict) -> None:
    """One model's point, interval and note at height `place`, coloured by its verdict."""
    score, change = model["accuracy"], model["change"]
    if change:
        colour = COLOURS[change["verdict"]]
        note = f"{change['difference']:+.1f} {change['verdict']}"
    else:
        colour = COLOURS["base"]
        note = "(base)"
    axes.plot(model["interval"], [place, place], color=colour, linewidth=2)
    axes.plot(score, place, "o", color=colour)
    beside_the_axes = axes.get_yaxis_transform()
    text = f"{score:.1f}  {note}"
    axes.text(1.02, place, text, color=colour, va="center", transform=beside_the_axes)
    if not change:
        axes.axvline(score, color=colour, linestyle="--", linewidth=1, zorder=0)


def check_paths(paths: list[str], results_paths: str, save_path: str) -> None:
    if not paths or len(set(paths)) < len(paths):
        expected = "expected one or more different files, separated by commas"
        raise UserError(f"--results_paths {results_paths!r}: {expected}")
    if Path(save_path).suffix != ".json" or save_path in paths:
        expected = "expected a .json file that is none of the results"
        raise UserError(f"--save_path {save_path}: {expected}")


def differences_from_first(evaluations: list[Evaluation]) -> list[str]:
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
    say(f"{files} on {dataset} ({len(ids):,} problems) -> {save_path}")
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
    say(f"wrote {save_path} and {picture}")


if __name__ == "__main__":
    cli.run(main)
