"""The table of stages, from the first line of each docstring: for `make help` and the README.

python scripts/stages.py                    print it
python scripts/stages.py --check README.md  exit 1 if the table there is another
python scripts/stages.py --write README.md  put it there
"""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- stages: begin (make format) -->", "<!-- stages: end -->"
# The order of the work, not of the alphabet.
ORDER = (
    *(
        "check_run",
        "serve_model",
        "gen_ins",
        "gen_res",
        "gen_po_multi_res",
        "gen_po_rewards",
        "describe_run",
    ),
    *("clean_ins", "vote_res", "prep_sft", "prep_pairs", "export_dataset", "report_run"),
    *("prep_tiny", "sft", "dpo", "check_rewards", "grpo", "export_model"),
    *(
        "prep_gsm8k",
        "prep_aime",
        "prep_limo",
        "eval_gsm8k",
        "eval_aime",
        "eval_tiny",
        "compare_evals",
        "grade_res",
    ),
)


def stages() -> list[tuple[str, str]]:
    """(name, first line of the docstring) of every exp/*.py."""
    files = {p.stem: p for p in (ROOT / "exp").glob("*.py")}
    names = [n for n in ORDER if n in files] + sorted(files.keys() - set(ORDER))
    return [
        (
            n,
            (ast.get_docstring(ast.parse(files[n].read_text(encoding="utf-8"))) or "").split("\n")[
                0
            ],
        )
        for n in names
    ]


def main(arguments: list[str]) -> int:
    if not arguments:
        print("\n".join(f"  {name:<18} {line}" for name, line in stages()))
        return 0
    mode, path = arguments[0], Path(arguments[1])
    told = [
        (name, line) for name, line in stages() if not name.startswith(("bench_", "make_"))
    ]  # make bench, make tiny
    lines = [
        "| stage | what it does |",
        "| --- | --- |",
        *(f"| `exp/{name}.py` | {line} |" for name, line in told),
    ]
    text = path.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    fresh = before + BEGIN + "\n" + "\n".join(lines) + "\n" + END + rest.split(END)[1]
    if mode == "--write":
        path.write_text(fresh, encoding="utf-8")
    elif fresh != text:
        print(f"{path}: the table of stages is out of date; run 'make format'", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
