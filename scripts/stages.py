"""The stages by pipeline, from the first line of each docstring: for `make help` and the docs.

python scripts/stages.py                         print them
python scripts/stages.py --check docs/stages.md  exit 1 if the page there is another
python scripts/stages.py --write docs/stages.md  write the page

It imports nothing of the project, so that `make help` works before there is an environment.
"""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# In the order of the work, not of the alphabet. A stage that is named nowhere is listed as "Other".
PIPELINES = {
    "Generate": (
        "check_run",
        "serve_model",
        "gen_ins",
        "gen_res",
        "gen_po_multi_res",
        "gen_po_rewards",
        "report_progress",
        "describe_run",
    ),
    "Refine": (
        "clean_ins",
        "vote_res",
        "prep_sft",
        "prep_pairs",
        "export_dataset",
        "report_run",
    ),
    "Evaluate": (
        "prep_gsm8k",
        "prep_aime",
        "eval_gsm8k",
        "eval_aime",
        "eval_tiny",
        "compare_evals",
        "grade_res",
    ),
    "Train": ("prep_limo", "sft", "dpo", "check_rewards", "grpo", "export_model"),
    "Embedded model": ("prep_tiny", "make_tiny"),
}
INTRODUCTION = """\
# Stages

Each stage is one file in `exp/`. It reads files and writes files, and its flags name them:
`python exp/gen_res.py --help` prints what goes in, what comes out, one real command and every flag.

This page is written by `make format` from the first line of each stage's docstring.
"""


def stages() -> dict[str, str]:
    """The first docstring line of every exp/*.py by the stage's name."""
    first_lines = {}
    for path in sorted((ROOT / "exp").glob("*.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        first_lines[path.stem] = docstring.partition("\n")[0]
    return first_lines


def by_pipeline() -> dict[str, dict[str, str]]:
    """The stages and their first lines under each pipeline's name; no empty pipeline."""
    rest = stages()
    groups = {}
    for pipeline, names in PIPELINES.items():
        groups[pipeline] = {name: rest.pop(name) for name in names if name in rest}
    groups["Other"] = rest
    return {pipeline: group for pipeline, group in groups.items() if group}


def for_terminal() -> str:
    lines = []
    for pipeline, group in by_pipeline().items():
        lines += ["", f"Stages: {pipeline.lower()}"]
        lines += [f"  {name:<17} {first_line}" for name, first_line in group.items()]
    return "\n".join(lines)


def page() -> str:
    """docs/stages.md."""
    lines = [INTRODUCTION]
    for pipeline, group in by_pipeline().items():
        lines += [f"## {pipeline}", "", "| stage | what it does |", "| --- | --- |"]
        for name, first_line in group.items():
            lines.append(f"| [`{name}`](../exp/{name}.py) | {first_line} |")
        lines.append("")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    if not arguments:
        print(for_terminal())
        return 0
    mode, path = arguments[0], Path(arguments[1])
    if mode == "--write":
        path.write_text(page(), encoding="utf-8")
    elif path.read_text(encoding="utf-8") != page():
        print(f"{path} is out of date; run 'make format'", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
