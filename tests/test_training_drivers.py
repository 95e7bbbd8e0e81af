"""The training drivers' commands: every stage of the chain is named, in its order, and its flags parse."""

import os
import re
import shlex
import subprocess
import sys

import pytest

from conftest import ROOT

REFINE = "clean_ins vote_res prep_sft prep_pairs export_dataset report_run"
CHAINS = {
    "refine_dataset": (["data/none", "0"], REFINE),
    "train_tiny": (
        [],
        f"{REFINE} sft sft grpo export_model" + " eval_tiny" * 5 + " compare_evals report_run",
    ),
    "train_format": (["reasoning"], "prep_tiny sft eval_tiny eval_tiny compare_evals"),
    "train_gsm8k": (
        ["0"],
        "prep_gsm8k prep_gsm8k eval_gsm8k sft eval_gsm8k sft eval_gsm8k grpo eval_gsm8k compare_evals",
    ),
    "train_limo": (
        ["0"],
        "prep_limo prep_gsm8k prep_aime eval_aime sft eval_aime grpo eval_aime export_model compare_evals",
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_the_chain_is_in_order_and_every_command_parses(name):
    arguments, expected = CHAINS[name][0], CHAINS[name][1].split()
    env = {**os.environ, "DRY": "1", "PYTHON": sys.executable}
    run = subprocess.run(
        [ROOT / f"scripts/{name}.sh", *arguments],
        env=env,
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )
    assert run.returncode == 0, run.stderr
    commands = [line for line in run.stdout.splitlines() if re.match(r"python exp/\w+\.py ", line)]
    named = [re.match(r"python exp/(\w+)\.py", line)[1] for line in commands]
    assert [n for n in named if n in expected] == expected
    code = "import sys; sys.path.insert(0, 'exp'); from lib import cli\nfor line in sys.stdin:\n    import importlib, shlex\n" \
           "    words = shlex.split(line); cli.parse(importlib.import_module(words[1][4:-3]).main, words[2:])"  # fmt: skip
    mine = [line for line, n in zip(commands, named, strict=True) if n in expected]
    parsed = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        input="\n".join(mine),
        text=True,
        capture_output=True,
    )
    assert parsed.returncode == 0, parsed.stderr
    assert all(
        "--config" in shlex.split(line)
        for line, n in zip(commands, named, strict=True)
        if n in ("sft", "grpo")
    )
