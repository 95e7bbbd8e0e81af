"""The figures of one evaluation: computed from graded samples, laid out as the seed's `results` and `records`, and shown."""

import statistics
from pathlib import Path

from lib import models, rows, tables
from lib.evaluation import metrics
from lib.evaluation.benchmark import Plan
from lib.grading import answers
from lib.progress import say


def figures(plan: Plan, asked: int, prompt: str, graded: list[dict]) -> dict:
    """The `results` of one run over `asked` problems. Shares are percent; their definitions are in lib/evaluation/metrics.py.

    `accuracy` is avg@n of lenient extraction, `any_correct` what the seed called accuracy: at least one sample right.
    """
    groups = by_problem(graded)
    counts = [(sum(s["correct"] for s in g), len(g)) for g in groups]
    strict = [(sum(s["correct_strict"] for s in g), len(g)) for g in groups]
    n, total = plan.n_sampling, len(graded)
    right = sum(c for c, _ in counts)
    missing = [s for s in graded if not s["correct"]]
    truncated = sum(s["why"] == "truncated" for s in missing)
    unanswered = sum(s["why"] == "no answer" for s in missing)
    lengths, prompts = [s["tokens"] for s in graded], [s["prompt_tokens"] for s in graded]
    accuracy = percent(metrics.avg_at_n(counts))
    found = {
        "model_type": plan.model_type,
        "model": models.identity(plan.model),
        "dataset": plan.dataset,
        "total_problems": len(groups),
        "not_asked": asked - len(groups),
        "total_responses": total,
        "correct_answers": right,
        "accuracy": accuracy,
        "interval": [percent(x) for x in metrics.interval(counts)],
        "accuracy_strict": percent(metrics.avg_at_n(strict)),
        "interval_strict": [percent(x) for x in metrics.interval(strict)],
        "any_correct": percent(sum(c > 0 for c, _ in counts) / len(groups)),
        "truncated": truncated,
        "no_answer": unanswered,
        "wrong": total - right - truncated - unanswered,
        "source_stats": {},
        "source_accuracies": {},
    }
    if n > 1:
        votes = [[s["extracted"] for s in g] for g in groups]
        golds = [g[0]["answer"] for g in groups]
        found["pass_at_k"] = percent(metrics.pass_at_k(counts, n))
        found["pass_at"] = {str(k): percent(metrics.pass_at_k(counts, k)) for k in powers_of_two(n)}
        found["maj_at_n"] = percent(metrics.maj_at_k(votes, golds, n, answers.is_equal))
    for source in dict.fromkeys(s["source_dataset"] for s in graded):
        part = [c for c, g in zip(counts, groups, strict=True) if g[0]["source_dataset"] == source]
        found["source_stats"][source] = {
            "total": len(part),
            "correct": sum(c for c, _ in part),
            "samples": n * len(part),
        }
        found["source_accuracies"][source] = percent(metrics.avg_at_n(part))
    settings = {
        "temperature": plan.temperature,
        "top_p": plan.top_p,
        "max_tokens": plan.max_tokens,
        "n_sampling": n,
    }
    found |= settings | {"seed": plan.seed, "prompt": prompt, "grader": answers.version()}
    return found | {
        "avg_input_tokens": round(statistics.mean(prompts), 1),
        "max_input_tokens": max(prompts),
        "avg_output_tokens": round(statistics.mean(lengths), 1),
        "max_output_tokens": max(lengths),
    }


def by_problem(graded: list[dict]) -> list[list[dict]]:
    """The samples of each problem together. A prompt that did not fit is missing with all its samples, so none has fewer."""
    groups: dict[str, list[dict]] = {}
    for sample in graded:
        groups.setdefault(sample["id"], []).append(sample)
    return list(groups.values())


def powers_of_two(n: int) -> list[int]:
    """1, 2, 4 … and `n` itself."""
    return sorted({1 << k for k in range(n.bit_length()) if 1 << k <= n} | {n})


def percent(share: float) -> float:
    return round(100 * share, 2)


def records(graded: list[dict]) -> dict[str, dict]:
    """The problems with all their samples, in the seed's shape, by their number."""
    found = {}
    for number, group in enumerate(by_problem(graded)):
        first, right = group[0], sum(s["correct"] for s in group)
        found[str(number)] = {
            "id": first["id"],
            "global_id": number,
            "original_id": first["original_id"],
            "source_dataset": first["source_dataset"],
            "problem": first["problem"],
            "ground_truth": first["answer"],
            "responses": [s["response"] for s in group],
            "extracted_answers": [s["extracted"] for s in group],
            "correct_responses": [s["correct"] for s in group],
            "why": [s["why"] for s in group],
            "finish_reasons": [s["finish_reason"] for s in group],
            "output_tokens": [s["tokens"] for s in group],
            "input_tokens": first["prompt_tokens"],
            "is_correct": right > 0,
            "n_correct": right,
            "n_total": len(group),
        }
    return found


def table(r: dict) -> list[str]:
    """The results as a Markdown table: a row for all problems, and one a source where there are several."""
    n, sources = r["n_sampling"], r["source_accuracies"] if len(r["source_accuracies"]) > 1 else {}
    low, high = r["interval"]
    columns = {r["model_type"]: ["all", *sources]}
    columns["problems"] = [
        f"{count:,}"
        for count in (r["total_problems"], *(r["source_stats"][s]["total"] for s in sources))
    ]
    columns[f"avg@{n}" if n > 1 else "accuracy"] = [
        tables.percent(a, 100) for a in (r["accuracy"], *sources.values())
    ]
    whole = {
        "95% interval": f"{low:.1f}–{high:.1f}",
        "strict": tables.percent(r["accuracy_strict"], 100),
    }
    if n > 1:
        whole |= {
            f"pass@{n}": tables.percent(r["pass_at_k"], 100),
            f"maj@{n}": tables.percent(r["maj_at_n"], 100),
        }
    whole |= {
        k.replace("_", " "): tables.percent(r[k], r["total_responses"])
        for k in ("wrong", "no_answer", "truncated")
    }
    whole["tokens"] = f"{r['avg_output_tokens']:.0f}"
    return tables.markdown(
        columns | {head: [cell, *[""] * len(sources)] for head, cell in whole.items()}
    )


def write(path: Path, found: dict, graded: list[dict]) -> None:
    """The result file, and its table on the screen."""
    rows.write_json(path, {"results": found, "records": records(graded)})
    print("\n".join(table(found)))
    if found["not_asked"]:
        say(
            f"{found['not_asked']:,} problems did not fit into the context and are not in these figures"
        )
    say(
        f"wrote {path}; against another: python exp/compare_evals.py --results_paths BASE.json,{path} --save_path VS.json"
    )
