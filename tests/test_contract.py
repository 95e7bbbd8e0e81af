"""The contract of a stage (data/README.md, every exp/*.py): what holds for all of them alike."""

import ast
import re
import shlex
import subprocess
import sys
import time

import pytest

from conftest import ROOT, stage

STAGES = sorted(p.stem for p in (ROOT / "exp").glob("*.py"))
# A flag of each stage that names an input, for the missing-input test; stages without one make something from nothing.
INPUTS = {
    "gen_res": ["--model_path", "tiny", "--save_path", "x.json", "--ins_data_path"],
    "gen_po_multi_res": ["--model_path", "tiny", "--save_path", "x.json", "--ins_data_path"],
    "gen_po_rewards": [
        "--model_name_or_path",
        "tiny-rm",
        "--save_path",
        "x.json",
        "--ins_data_path",
    ],
    "gen_ins": [
        "--total_prompts",
        "1",
        "--domain",
        "algebra",
        "--save_path",
        "x.json",
        "--model_path",
    ],
    "describe_run": ["--model_path", "tiny", "--run_path"],
    "check_run": ["--model"],
    "serve_model": ["--port", "1", "--model_path"],
    "prep_gsm8k": ["--save_path", "x.json", "--source"],
    "prep_aime": ["--save_path", "x.jsonl", "--source"],
    "prep_limo": ["--save_path", "x.json", "--source"],
    "eval_gsm8k": ["--model_path", "tiny", "--save_path", "x.csv", "--test_data_path"],
    "eval_aime": ["--model_path", "tiny", "--save_dir", ".", "--test_data_path"],
    "eval_tiny": ["--save_path", "x.json", "--model_path"],
    "compare_evals": ["--save_path", "x.json", "--results_paths"],
    "grade_res": ["--save_path", "x.json", "--responses_path"],
    "prep_tiny": ["--save_path", "x.json", "--num_examples"],
    "vote_res": ["--save_path", "x.json", "--ins_data_path"],
    "prep_sft": ["--save_path", "x.json", "--voted_paths"],
    "prep_pairs": ["--save_path", "x.jsonl", "--voted_paths"],
    "dpo": ["--model_path", "tiny", "--save_path", "x", "--data_path"],
    "clean_ins": ["--save_path", "x.json", "--ins_data_path"],
    "report_run": ["--run_path"],
    "export_dataset": ["--model_path", "tiny", "--save_path", "x", "--data_paths"],
    "sft": ["--model_path", "tiny", "--save_path", "x", "--data_path"],
    "grpo": ["--model_path", "tiny", "--save_path", "x", "--data_path"],
    "export_model": ["--save_path", "x", "--model_path"],
    "check_rewards": ["--rewards", "answer=1", "--format"],
    "make_tiny": ["--save_path", "x", "--policy_path"],
}


def source(name: str) -> str:
    return (ROOT / f"exp/{name}.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", STAGES)
def test_importing_a_stage_loads_no_heavy_library(name):
    code = f"import sys; sys.path.insert(0, 'exp'); import {name}; print([m for m in ('torch', 'vllm', 'transformers') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


@pytest.mark.parametrize("name", STAGES)
def test_help_answers_within_a_second_and_shows_every_flag(name):
    times = []
    for _ in range(3):  # the best of three: the machine may be busy with something else
        started = time.monotonic()
        result = stage(name, "--help")
        times.append(time.monotonic() - started)
        if times[-1] < 1:
            break
    assert result.returncode == 0, result.stderr
    assert all(f"--{p}" in result.stdout for p in parameters(name))
    assert min(times) < 1


def parameters(name: str) -> list[str]:
    (main,) = [
        n
        for n in ast.parse(source(name)).body
        if isinstance(n, ast.FunctionDef) and n.name == "main"
    ]
    return [a.arg for a in main.args.args]


@pytest.mark.parametrize("name", STAGES)
def test_the_docstring_says_what_goes_in_and_out_and_its_command_parses(name):
    doc = ast.get_docstring(ast.parse(source(name)))
    assert re.search(r"^in ", doc, re.M) and re.search(r"^out ", doc, re.M)
    assert doc.split("\n")[0].endswith(".")
    (command,) = re.findall(rf"^ *(python exp/{name}\.py (?:.*\\\n)*.*)", doc, re.M)
    code = "import sys; sys.path.insert(0, 'exp'); from lib import cli; import {0}; print(cli.parse({0}.main, sys.argv[1:]))"
    words = shlex.split(command.replace("\\\n", " "))[2:]
    result = subprocess.run(
        [sys.executable, "-c", code.format(name), *words], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", STAGES)
def test_every_flag_is_read(name):
    body = source(name).split("def main(")[1].split("):\n", 1)[1]
    assert [p for p in parameters(name) if not re.search(rf"\b{p}\b", body)] == []


@pytest.mark.parametrize("name", STAGES)
def test_a_missing_input_is_one_line_and_exit_2_and_nothing_is_written(name, tmp_path):
    assert name in INPUTS, f"{name} is not in this test's table of inputs"
    result = stage(name, *INPUTS[name], "./does_not_exist", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stdout == "" and len(result.stderr.strip().splitlines()) == 1
    assert result.stderr.startswith(f"{name}: error: ") and "does_not_exist" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", STAGES)
def test_an_unknown_flag_is_one_line_that_lists_near_names(name):
    near = parameters(name)[0]
    result = stage(name, f"--{near}x", "1")
    assert result.returncode == 2 and len(result.stderr.strip().splitlines()) == 1
    assert f"'{near}'" in result.stderr


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_imports_no_other_stage(name):
    imported = {
        n.names[0].name for n in ast.walk(ast.parse(source(name))) if isinstance(n, ast.Import)
    }
    imported |= {
        n.module for n in ast.walk(ast.parse(source(name))) if isinstance(n, ast.ImportFrom)
    }
    assert not imported & set(STAGES)
