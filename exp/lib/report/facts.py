"""What a run's report says besides figures of rows: where the run came from, its settings and prompts, examples, a comparison."""

import math
from collections import Counter
from pathlib import Path

from lib.errors import UserError
from lib.progress import clock
from lib.report import charts
from lib.report.run_folder import Made, value
from lib.report.sections import Table, reward, spoken
from lib.tables import percent
from lib.tiny.problems import parse

KINDS = {"problems": "problems", "answered": "single answers", "ranked": "ranked problems", "clean": "clean problems",
         "verified": "verified problems", "sft": "conversations", "pairs": "preference pairs"}  # fmt: skip
PROMPT = 60  # characters of a setting from which on it stands with the prompts


def sums(made: list[Made]) -> list[tuple[str, str]]:
    """(what, how many) of the run's rows, tokens and time."""
    count = Counter()
    for m in made:
        count[m.kind] += m.meta["rows_out"]
    tokens, asking = (
        sum(m.meta.get(key) or 0 for m in made) for key in ("tokens", "asking_seconds")
    )
    found = [(name, f"{count[kind]:,}") for kind, name in KINDS.items() if kind in count]
    found += [
        ("tokens", _short(tokens)),
        ("time of the stages", clock(sum(m.meta["seconds"] for m in made))),
    ]
    return found + (
        [("tokens/s per domain", f"{tokens / asking:,.0f}")] if tokens and asking else []
    )


def _short(count: int) -> str:
    """`812`, `93.5 k`, `1.32 M`: three figures, as nobody reads nine."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= size:
            return f"{count / size:.{max(0, 2 - int(math.log10(count / size)))}f}{unit}"
    return str(count)


def origin(made: list[Made], info: dict) -> dict[str, str]:
    """Model, reward model, date, seeds, engine, versions, commit and whatever else the meta files note, each value once."""
    found: dict[str, list[str]] = {}

    def note(name: str, text: object) -> None:
        if text not in (None, "", {}) and str(text) not in found.setdefault(name, []):
            found[name].append(str(text))

    for m in made:
        note("reward model" if m.kind == "ranked" else "model", m.meta["settings"].get("model"))
    note(
        "finished", str(info.get("generation_date", "")).replace("T", " ").replace("+0000", " UTC")
    )
    for m in made:
        note("seed", m.meta["settings"].get("seed"))
    for m in made:
        for name, text in (m.meta.get("notes") or {}).items():
            note(
                spoken(name),
                ", ".join(f"{k} {v}" for k, v in text.items()) if isinstance(text, dict) else text,
            )
    return {name: ", ".join(texts) for name, texts in found.items() if texts}


def settings(made: list[Made]) -> tuple[Table, list[tuple[str, str]]]:
    """A line for each setting of each stage, and the prompts as (where, text); what is equal in every domain is said once."""
    stages: dict[
        str, dict[str, dict[str, list[str]]]
    ] = {}  # stage -> setting -> its value as text -> domains
    for m in made:
        stage = stages.setdefault(m.meta["stage"], {})
        for name, text in m.meta["settings"].items():
            if name != "domain":
                stage.setdefault(name, {}).setdefault(str(text), []).append(spoken(m.domain or ""))
    table, prompts = [], []
    for stage, names in stages.items():
        for name, texts in names.items():
            for text, where in texts.items():
                place = ", ".join(where) if len(texts) > 1 else ""
                if len(text) > PROMPT or name.endswith("prompt") and text:
                    prompts.append((", ".join(filter(None, (stage, spoken(name), place))), text))
                else:
                    table.append([stage, name, text or "–", place or "all"])
    return Table(["stage", "setting", "value", "domains"], table, (0, 1, 2, 3)), prompts


def example(row: dict) -> dict:
    """A problem with its responses, equal ones as one with their number, as the template shows them."""
    shown, scores = {}, row.get("scores")
    for k, text in enumerate(row["responses"]):
        mark, end = row["marks"][k] if "marks" in row else "", row["finish_reasons"][k]
        first = {
            "text": text,
            "times": 0,
            "mark": mark,
            "end": end,
            "reward": reward(scores[k]) if scores else "",
        }
        shown.setdefault(text, first)["times"] += 1
    true = parse(row["instruction"])
    return {
        "problem": row["instruction"],
        "domain": spoken(row.get("domain") or ""),
        "reward": reward(scores[0]) if scores else "",
        "responses": list(shown.values()),
        "agreed": percent(row["agreement"]) if "agreement" in row else "",
        "answer": str(row.get("answer", "")),
        "true": str(true.answer) if true else "",
    }


def comparison(path: Path) -> dict | None:
    """The table and chart of a comparison's file; None where there is none."""
    found = value(path)
    if found is None:
        return None
    try:
        return _compared(found)
    except (KeyError, TypeError, IndexError, AttributeError) as e:
        why = f"not a comparison of models ({type(e).__name__}: {e}); make it again"
        raise UserError(f"{path}: {why}") from None


def _compared(found: dict) -> dict:
    body, drawn = [], []
    for m in found["models"]:
        name, score, (low, high), change = (
            m["model_type"],
            m["accuracy"],
            m["interval"],
            m["change"],
        )
        against = ["–", "–", "base"]
        if change:
            against = [
                f"{change['difference']:+.1f}",
                f"{change['low']:+.1f} to {change['high']:+.1f}",
                change["verdict"],
            ]
        missed = [percent(m[key], m["samples"]) for key in ("wrong", "no_answer", "truncated")]
        body.append([name, f"{score:.1f}%", f"{low:.1f} to {high:.1f}", *missed, *against])
        drawn.append((name, low / 100, score / 100, high / 100, f"{score:.1f}%"))
    names, metric = [m["model_type"] for m in found["models"]], found["metric"]
    head = [
        "model",
        metric,
        "95% interval",
        "wrong",
        "no answer",
        "cut off",
        f"against {found['base_model']}",
        "95% interval",
    ]
    sources = [
        [
            spoken(name),
            f"{s['problems']:,}",
            *(percent(s["accuracy"][model], 100) for model in names),
        ]
        for name, s in found["sources"].items()
    ]
    return {
        "table": Table([*head, "verdict"], body, (0, 8)),
        "chart": charts.intervals(f"{metric} of each model", metric, drawn),
        "sources": Table(["source", "problems", *names], sources),
        "facts": {
            key: str(found[key])
            for key in ("dataset", "problems", "best_model", "base_model", "test")
        },
    }
