"""Describe a finished run for people and programs, and print its table.

in    data/RUN/<domain>/        the four files of each domain and their .meta.json
out   data/RUN/<domain>/dataset_info.json, data/RUN/combined_dataset_info.json, data/RUN/README.md
      python exp/describe_run.py --run_path data/demo --model_path data/models/tiny

Everything is counted from the files. For a model whose problems are procedural (the embedded one) lib/tiny/problems reads each problem
back: whether it is well formed and in its domain, what its true answer is, how often the best-scored response has it.
"""

import json
import time
from pathlib import Path

from lib import cli, models, rows
from lib.errors import UserError
from lib.grading import answers
from lib.models import Model
from lib.progress import say
from lib.tables import markdown, percent

FILES = {"instructions": "{}_ins.json", "sft_data": "{}_ins_res.json", "multi_response_data": "{}_ins_7res.json",
         "preference_data": "{}_ins_7res_armorm.json"}  # fmt: skip
STAGES = ("gen_ins", "gen_res", "gen_po_multi_res", "gen_po_rewards")


def is_right(response: str, gold: int) -> bool:
    """Whether the response states the gold answer."""
    return answers.is_equal(answers.extract(response, strict=True), str(gold))


def check_procedural(
    domain: str, problems: list[dict], answered: list[dict], ranked: list[dict]
) -> dict:
    """How many problems parse in their domain, and the shares of right answers: the single one, a random and the best of
    the ranked ones, over well-formed problems."""
    from lib.tiny.problems import parse

    truth = {}
    for row in problems:
        problem = parse(row["instruction"])
        if problem and problem.domain == domain:
            truth[row["instruction"]] = problem.answer
    single = [
        is_right(r["response"], truth[r["instruction"]])
        for r in answered
        if r["instruction"] in truth
    ]
    marks = [
        [is_right(text, truth[r["instruction"]]) for text in r["responses"]]
        for r in ranked
        if r["instruction"] in truth
    ]
    return {
        "well_formed": len(truth),
        "well_formed_share": share(len(truth), len(problems)),
        "right_single": share(sum(single), len(single)),
        "right_random_of_ranked": share(sum(map(sum, marks)), sum(map(len, marks))),
        "right_best_of_ranked": share(sum(m[0] for m in marks), len(marks)),
    }


def share(part: float, whole: float) -> float | None:
    """part / whole to four digits; None of nothing."""
    return round(part / whole, 4) if whole else None


def describe(folder: Path, model: Model) -> dict:
    """dataset_info of one domain, from its files and their meta files."""
    name = folder.name
    paths = {kind: folder / pattern.format(name) for kind, pattern in FILES.items()}
    tables = {kind: rows.read(str(path)) for kind, path in paths.items()}
    metas = {
        kind: json.loads(Path(f"{path}.meta.json").read_bytes()) for kind, path in paths.items()
    }
    facts = models.domains(model).get(name)
    texts = [row["instruction"] for row in tables["instructions"]]
    ends = [r["finish_reason"] for r in tables["sft_data"]]
    ends_of_many = [e for r in tables["preference_data"] for e in r["finish_reasons"]]
    info = {
        "domain": name,
        "model": metas["instructions"]["settings"]["model"],
        "reward_model": metas["preference_data"]["settings"]["model"],
        "description": facts.description if facts else "",
        "problems": len(texts),
        "exact_repeats": len(texts) - len(set(texts)),
        "sft_rows": len(tables["sft_data"]),
        "preference_rows": len(tables["preference_data"]),
        "truncated_share": share(ends.count("length"), len(ends)),
        "truncated_share_of_ranked": share(ends_of_many.count("length"), len(ends_of_many)),
        "stages": {
            stage: {
                k: meta.get(k)
                for k in (
                    "settings",
                    "rows_in",
                    "rows_out",
                    "dropped",
                    "seconds",
                    "tokens",
                    "notes",
                )
            }
            for stage, meta in zip(STAGES, metas.values(), strict=True)
        },
        "files": {kind: path.name for kind, path in paths.items()},
    }
    if model.procedural:
        info["checked"] = check_procedural(
            name, *(tables[k] for k in ("instructions", "sft_data", "preference_data"))
        )
    return info


def total(infos: list[dict], model: Model, run: str) -> dict:
    """combined_dataset_info: the sums over the domains, in the seed's shape."""
    problems = sum(i["problems"] for i in infos)
    combined = {
        "dataset_name": f"Magpie-Math-{'Complete' if len(infos) > 1 else infos[0]['domain']}-{run}",
        "model": infos[0]["model"],
        "reward_model": infos[0]["reward_model"],
        "total_problems": problems,
        "generation_date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "domains": {
            i["domain"]: {
                "problems": i["problems"],
                "description": i["description"],
                "directory": i["domain"],
            }
            for i in infos
        },
        "files_per_domain": {kind: pattern.format("<domain>") for kind, pattern in FILES.items()}
        | {"info": "dataset_info.json"},
    }
    if model.procedural:
        weights = [i["checked"]["well_formed"] for i in infos]
        combined["checked"] = {
            "by": "lib/tiny/problems.parse: well formed and in the asked domain; right: the true answer, over well-formed problems",
            "well_formed_share": share(sum(weights), problems),
            "exact_repeats": sum(i["exact_repeats"] for i in infos),
        } | {
            key: share(
                sum(i["checked"][key] * w for i, w in zip(infos, weights, strict=True) if w),
                sum(weights),
            )
            for key in ("right_single", "right_random_of_ranked", "right_best_of_ranked")
        }
    return combined


def table(infos: list[dict], combined: dict) -> list[str]:
    """The run as a Markdown table, a line a domain and one for the whole."""
    head = ["domain", "problems", "dropped", "SFT rows", "ranked rows", "truncated"]
    checked = "checked" in combined
    head += ["well formed", "right: single", "random of 7", "best of 7"] * checked
    keys = ("well_formed_share", "right_single", "right_random_of_ranked", "right_best_of_ranked")
    body = []
    for i in infos:
        dropped = sum(i["stages"]["gen_ins"]["dropped"].values())
        line = [
            i["domain"],
            f"{i['problems']:,}",
            f"{dropped:,}",
            f"{i['sft_rows']:,}",
            f"{i['preference_rows']:,}",
        ]
        body.append(
            line
            + [percent(i["truncated_share"])]
            + [percent(i["checked"][k]) for k in keys if checked]
        )
    sums = [sum(int(line[c].replace(",", "")) for line in body) for c in range(1, 5)]
    last = ["all", *(f"{s:,}" for s in sums)]
    truncated = sum(i["truncated_share"] * i["sft_rows"] for i in infos) / sum(
        i["sft_rows"] for i in infos
    )
    body.append(
        last + [percent(truncated)] + [percent(combined["checked"][k]) for k in keys if checked]
    )
    return markdown({name: list(column) for name, *column in zip(head, *body, strict=True)})


CARD = """# {name}

{problems} math problems invented by {model} from its own chat format alone (Magpie), each with one answer and with seven answers
ranked by {reward_model}. Made on {date} by Tiding.

{table}

"Dropped" counts attempts at a problem that were unusable or exact repeats, and were replaced. {checked}

## Files in each domain's folder

| file | use | keys |
| --- | --- | --- |
| `<domain>_ins.json` | the problems | id, instruction, domain |
| `<domain>_ins_res.json` | supervised fine-tuning | + response, finish_reason |
| `<domain>_ins_7res.json` | seven answers as sampled | + responses, finish_reasons |
| `<domain>_ins_7res_armorm.json` | preference training (DPO, RLHF) | + responses (best first), scores, finish_reasons |
| `dataset_info.json` | counts and settings | |

A `.json` file is one array with one row a line; `X.meta.json` holds the settings that made X, `X.dropped.jsonl` what was left out
and why. A response with finish_reason "length" was cut off by the token limit. The answers are the model's own and not all right.

## Settings

{settings}

```python
from datasets import load_dataset
rows = load_dataset("json", data_files="{first}/{first}_ins_res.json", split="train")
```

The text is under the terms of the model that wrote it.
"""


CHECKED = """"Well formed": the project's own parser reads the problem back in the asked domain. "Right": the answer is the one
which that parser computes, over well-formed problems."""


def card(combined: dict, infos: list[dict], lines: list[str]) -> str:
    """README.md of a run: its true counts and true settings."""
    settings = ["| domain | stage | settings |", "| --- | --- | --- |"]
    for i in infos:
        for stage, facts in i["stages"].items():
            shown = ", ".join(
                f"{k} {v}"
                for k, v in facts["settings"].items()
                if k not in ("model", "domain", "system_prompt")
            )
            settings.append(f"| {i['domain']} | {stage} | {shown or '–'} |")
    note = CHECKED if "checked" in combined else ""
    return CARD.format(name=combined["dataset_name"], problems=f"{combined['total_problems']:,}", model=combined["model"],
                       reward_model=combined["reward_model"], date=combined["generation_date"][:10], table="\n".join(lines),
                       checked=note, settings="\n".join(settings), first=infos[0]["domain"])  # fmt: skip


def main(run_path: str, model_path: str):
    model, run = models.find(model_path), Path(run_path)
    if not run.is_dir():
        raise UserError(f"{run}: no such folder")
    order = list(models.domains(model))
    folders = [f for f in run.iterdir() if (f / f"{f.name}_ins.json").exists()]
    folders.sort(key=lambda f: (order.index(f.name) if f.name in order else len(order), f.name))
    if not folders:
        raise UserError(
            f"{run}: no domain's files in it (expected such as algebra/algebra_ins.json)"
        )
    say(f"describing {', '.join(f.name for f in folders)} of {run}")
    infos = [describe(folder, model) for folder in folders]
    combined = total(infos, model, run.resolve().name)
    lines = table(infos, combined)
    for folder, info in zip(folders, infos, strict=True):
        rows.write_json(folder / "dataset_info.json", info)
    rows.write_json(run / "combined_dataset_info.json", combined)
    rows.write_whole(run / "README.md", card(combined, infos, lines).encode())
    print("\n".join(lines))
    if model.procedural and len(combined["checked"]) > 3:
        c = combined["checked"]
        print(f"\nThe best-scored of 7 responses is right in {percent(c['right_best_of_ranked'])} of the problems, "
              f"a random one in {percent(c['right_random_of_ranked'])}.")  # fmt: skip
    print(f"\nDataset: {run}   (settings and use: {run / 'README.md'})")


if __name__ == "__main__":
    cli.run(main)
