"""Compare evaluated models on the same problems: a table, a picture, and whether each change is more than noise.

in    data/eval/base.json, …                 results of eval_* stages: {results, records}, a file per model
out   data/eval/aime_model_comparison.json   best_model, base_model, models with intervals and changes, sources
      data/eval/aime_model_comparison.png    the scores with their 95% intervals
      python exp/compare_evals.py --results_paths data/eval/base.json,data/eval/tuned.json \
          --save_path data/eval/aime_model_comparison.json

Each model is held against `--base` (a model_type; else the first file) on the same problems, as lib/evaluation/metrics.compare says.
Files with other problems, gold answers, prompt or sampling are refused; `--allow_different` compares the problems they share.
"""

import io
import json
import textwrap
from dataclasses import asdict, dataclass
from pathlib import Path

from lib import cli, rows
from lib.errors import UserError, near
from lib.evaluation import metrics
from lib.progress import say
from lib.tables import markdown, percent

SAMPLING = ("prompt", "temperature", "top_p", "max_tokens", "n_sampling")
COUNTED = ("truncated", "no_answer", "wrong")  # samples; shown as shares
MANNER = {
    "worked_share": "worked",
    "accuracy_worked": "accuracy worked",
    "format_accuracy": "in format",
}
RESULT_KEYS = ("model_type", "model", "dataset", "interval", *SAMPLING, *COUNTED)
RECORD_KEYS = ("id", "source_dataset", "ground_truth", "n_correct", "n_total")
COLOURS = {"gain": "#1b7f3b", "loss": "#b3261e", "within noise": "#555555", "base": "#1f4e9c"}


@dataclass(frozen=True)
class Evaluation:
    """One result file: its name in tables, `results` as it stands there, the records by the problem's id."""

    path: str
    name: str
    results: dict
    records: dict[str, dict]

    def counts(self, ids: list[str]) -> metrics.Counts:
        return [(self.records[i]["n_correct"], self.records[i]["n_total"]) for i in ids]


def read(path: str) -> tuple[dict, dict[str, dict]]:
    """`results`, and `records` by the problem's id; UserError says what is wrong with the file."""
    try:
        value = json.loads(Path(path).read_bytes())
    except OSError as e:
        raise UserError(f"{path}: {e.strerror}") from None
    except ValueError as e:
        raise UserError(f"{path}: torn or not JSON ({e}); run its evaluation again") from None
    for key in ("results", "records"):
        if not (isinstance(value, dict) and isinstance(value.get(key), dict) and value[key]):
            raise UserError(f"{path}: no {key!r} in it; expected the file of an eval_* stage")
    need(f"{path}: results", value["results"], RESULT_KEYS)
    records: dict[str, dict] = {}
    for number, r in value["records"].items():
        need(f"{path}: record {number}", r, RECORD_KEYS)
        if not 0 <= r["n_correct"] <= r["n_total"] or not r["n_total"]:
            raise UserError(
                f"{path}: record {number}: {r['n_correct']} right of {r['n_total']} samples"
            )
        if records.setdefault(r["id"], r) is not r:
            raise UserError(f"{path}: record {number}: id {r['id']} is there twice")
    return value["results"], records


def need(where: str, found: dict, keys: tuple[str, ...]) -> None:
    if missing := [key for key in keys if key not in found]:
        raise UserError(f"{where}: no key {missing[0]!r} (has: {', '.join(found)})")


def read_all(paths: list[str]) -> list[Evaluation]:
    """The evaluations under distinct names: the model_type, with the file's stem (or path) where several share it."""
    found = [read(path) for path in paths]
    types = [results["model_type"] for results, _ in found]
    names = [
        f"{t}:{Path(p).stem}" if types.count(t) > 1 else t
        for t, p in zip(types, paths, strict=True)
    ]
    names = [
        f"{t}:{p}" if names.count(n) > 1 else n for t, p, n in zip(types, paths, names, strict=True)
    ]
    return [Evaluation(p, n, *f) for p, n, f in zip(paths, names, found, strict=True)]


def choose_base(evaluations: list[Evaluation], asked: str) -> Evaluation:
    matches = (
        [e for e in evaluations if asked in (e.name, e.results["model_type"])]
        if asked
        else evaluations[:1]
    )
    if not matches:
        raise UserError(
            f"no result of --base {asked!r}; {near(asked, [e.name for e in evaluations])}"
        )
    if len(matches) > 1:
        raise UserError(
            f"--base {asked!r} is {len(matches)} files; give one of: {', '.join(e.name for e in matches)}"
        )
    return matches[0]


def differences(a: Evaluation, b: Evaluation) -> str:
    """What besides the model differs between two evaluations, in words; empty if nothing does."""
    found = []
    if odd := sorted(a.records.keys() ^ b.records.keys()):
        found.append(
            f"{len(odd)} ids, such as {odd[0]} (only in {a.path if odd[0] in a.records else b.path})"
        )
    golds = [
        (i, r["ground_truth"], b.records[i]["ground_truth"])
        for i, r in a.records.items()
        if i in b.records
    ]
    if golds := [g for g in golds if g[1] != g[2]]:
        found.append(
            f"ground_truth of {len(golds)} ids, such as {golds[0][0]} ({golds[0][1]!r}, {golds[0][2]!r})"
        )
    settings = [
        (key, a.results.get(key), b.results.get(key)) for key in ("dataset", *SAMPLING, "grader")
    ]
    found += [f"{key} ({x}, {y})" for key, x, y in settings if x != y]
    return f"{a.path} and {b.path} differ in {'; '.join(found)}" if found else ""


def change(before: Evaluation, after: Evaluation, ids: list[str]) -> dict:
    """The paired test's figures, the differences in points."""
    found = asdict(metrics.compare(before.counts(ids), after.counts(ids)))
    return found | {key: round(100 * found[key], 4) for key in ("difference", "low", "high")}


def summarize(
    e: Evaluation, base: Evaluation, above: Evaluation | None, ids: list[str], k: int
) -> dict:
    """One model's scores over `ids` in percent, and its change in points against the base and against the model `above` it in
    the list; None for a figure that its file gives only over more problems than these."""
    counts, whole = e.counts(ids), len(ids) == len(e.records)
    span = [round(100 * edge, 4) for edge in metrics.interval(counts)]
    summary = {"model_type": e.name, "model": e.results["model"], "file": e.path, "n_sampling": e.results["n_sampling"],
               "accuracy": round(100 * metrics.avg_at_n(counts), 4), "interval": span,
               "pass_at_k": round(100 * metrics.pass_at_k(counts, k), 4), "samples": sum(n for _, n in counts)}  # fmt: skip
    for key in ("maj_at_n", *COUNTED, *MANNER):
        summary[key] = e.results.get(key) if whole else None
    summary["change"] = None if e is base else change(base, e, ids)
    return summary | {"step": change(above, e, ids) if above else None}


def compare(evaluations: list[Evaluation], base: Evaluation, ids: list[str]) -> dict:
    """What is saved: every model's summary, the best one (of equals the base), and the scores by source."""
    k = min(samples for e in evaluations for _, samples in e.counts(ids))
    models = [
        summarize(e, base, above, ids, k)
        for e, above in zip(evaluations, [None, *evaluations], strict=False)
    ]
    best = max(models, key=lambda m: (m["accuracy"], m["change"] is None))
    (n, *others) = {m["n_sampling"] for m in models}
    source_of, sources = {i: evaluations[0].records[i]["source_dataset"] for i in ids}, {}
    for source in dict.fromkeys(source_of.values()):
        part = [i for i in ids if source_of[i] == source]
        scores = {e.name: round(100 * metrics.avg_at_n(e.counts(part)), 4) for e in evaluations}
        sources[source] = {"problems": len(part), "accuracy": scores}
    return {
        "best_model": best["model_type"],
        "base_model": base.name,
        "problems": len(ids),
        "metric": "avg@n" if others else "accuracy" if n == 1 else f"avg@{n}",
        "k": k,
        "test": ", ".join(dict.fromkeys(m["change"]["test"] for m in models if m["change"]))
        or None,
        "models": models,
        "sources": sources,
        "files": [e.path for e in evaluations],
    }


def words(change: dict | None) -> str:
    """`+6.8 [+2.1, +11.5] gain, p = 0.012`, in points; empty for none."""
    if change is None:
        return ""
    p = (
        ""
        if change["p"] is None
        else ", p < 0.001"
        if change["p"] < 0.001
        else f", p = {change['p']:.3f}"
    )
    return f"{change['difference']:+.1f} [{change['low']:+.1f}, {change['high']:+.1f}] {change['verdict']}{p}"


def tables(comparison: dict) -> list[str]:
    """The models, and with several sources the scores by source, as Markdown."""
    models, k, name = comparison["models"], comparison["k"], comparison["metric"]
    columns = {"model": [m["model_type"] for m in models]}
    columns[f"{name} [95%]"] = [
        f"{m['accuracy']:.1f}% [{m['interval'][0]:.1f}, {m['interval'][1]:.1f}]" for m in models
    ]
    if name != "accuracy":
        columns[f"pass@{k}"] = [percent(m["pass_at_k"], 100) for m in models]
        columns[name.replace("avg", "maj")] = [percent(m["maj_at_n"], 100) for m in models]
    columns |= {
        key.replace("_", " "): [percent(m[key], m["samples"]) for m in models] for key in COUNTED
    }
    for key, title in MANNER.items():
        if all(m[key] is not None for m in models):
            columns[title] = [percent(m[key], 100) for m in models]
    columns["change, points [95%]"] = [words(m["change"]) or "(base)" for m in models]
    if len(models) > 2:
        columns["from the row above"] = [words(m["step"]) for m in models]
    lines = markdown(columns)
    if len(sources := comparison["sources"]) > 1:
        columns = {
            f"{name} by source": list(sources),
            "problems": [f"{s['problems']:,}" for s in sources.values()],
        }
        scores = {
            m["model_type"]: [
                percent(s["accuracy"][m["model_type"]], 100) for s in sources.values()
            ]
            for m in models
        }
        lines += ["", *markdown(columns | scores)]
    return lines


def conclusion(comparison: dict) -> str:
    """One sentence on the best model that claims no more than the test does."""
    models = {m["model_type"]: m for m in comparison["models"]}
    best = models[comparison["best_model"]]
    start = f"Best: {best['model_type']} ({comparison['metric']} {best['accuracy']:.1f}%)"
    if best["change"]:
        return f"{start}; against {comparison['base_model']}: {words(best['change'])}"
    near = [
        name
        for name, m in models.items()
        if m["change"] and m["change"]["verdict"] == "within noise"
    ]
    rest = f"within noise of it: {', '.join(near)}" if near else "every other is a loss"
    return f"{start}, the base itself; {rest}" if len(models) > 1 else f"{start}, the only model"


def draw(comparison: dict) -> bytes:
    """The PNG: a point with its 95% interval per model, the base as a dashed line. The same comparison gives the same bytes."""
    from matplotlib.figure import Figure

    models = comparison["models"]
    names = [textwrap.fill(m["model_type"], 40) for m in models]
    row = 0.3 + 0.17 * max(name.count("\n") + 1 for name in names)  # inches
    figure = Figure(
        figsize=(7, 0.8 + row * len(models))
    )  # without pyplot: Agg, whatever display there is
    axes = figure.add_subplot()
    for place, m in enumerate(models):
        change = m["change"]
        colour = COLOURS[change["verdict"] if change else "base"]
        axes.plot(m["interval"], [place, place], color=colour, linewidth=2)
        axes.plot(m["accuracy"], place, "o", color=colour)
        note = f"{change['difference']:+.1f} {change['verdict']}" if change else "(base)"
        axes.text(
            1.02,
            place,
            f"{m['accuracy']:.1f}  {note}",
            color=colour,
            va="center",
            transform=axes.get_yaxis_transform(),
        )
        if not change:
            axes.axvline(m["accuracy"], color=colour, linestyle="--", linewidth=1, zorder=0)
    axes.set_yticks(range(len(models)), names, parse_math=False)
    axes.set_ylim(len(models) - 0.5, -0.5)
    of = f"{comparison['dataset']} ({comparison['problems']:,} problems)"
    axes.set_xlabel(f"{comparison['metric']} on {of}, %, with 95% intervals", parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=150, bbox_inches="tight", metadata={"Software": None})
    return image.getvalue()


def main(results_paths: str, save_path: str, base: str = "", allow_different: bool = False):
    paths = [p.strip() for p in results_paths.split(",") if p.strip()]
    if not paths or len(set(paths)) < len(paths):
        raise UserError(
            f"--results_paths {results_paths!r}: expected one or more different files, separated by commas"
        )
    if Path(save_path).suffix != ".json" or save_path in paths:
        raise UserError(
            f"--save_path {save_path}: expected a .json file that is none of the results"
        )
    evaluations = read_all(paths)
    first, chosen = evaluations[0], choose_base(evaluations, base)
    odd = [text for e in evaluations[1:] if (text := differences(first, e))]
    if odd and not allow_different:
        raise UserError(f"{odd[0]}; --allow_different compares them on the problems they share")
    shared = set.intersection(
        *({(i, r["ground_truth"]) for i, r in e.records.items()} for e in evaluations)
    )
    ids = [i for i, r in first.records.items() if (i, r["ground_truth"]) in shared]
    if not ids:
        raise UserError(f"no problem with the same gold answer is in all of {', '.join(paths)}")
    dataset = "+".join(dict.fromkeys(e.results["dataset"] for e in evaluations))
    say(
        f"{len(paths)} result{'s' * (len(paths) > 1)} on {dataset} ({len(ids):,} problems) -> {save_path}"
    )
    for text in odd:
        say(f"{text}; compared on the {len(ids):,} problems in common")
    comparison = compare(evaluations, chosen, ids) | {"dataset": dataset, "differences": odd}
    picture = Path(save_path).with_suffix(".png")
    picture.parent.mkdir(parents=True, exist_ok=True)
    rows.write_whole(picture, draw(comparison))
    rows.write_json(save_path, comparison)
    print("\n".join([*tables(comparison), "", conclusion(comparison)]))
    say(f"wrote {save_path} and {picture}")


if __name__ == "__main__":
    cli.run(main)
