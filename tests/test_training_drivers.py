"""The training drivers' commands: every stage of the chain is named, in its order, and its flags parse."""

import os
import re
import shlex
import subprocess
import sys

import pytest

from conftest import ROOT

CHAINS = {
    "train_tiny": ([], ["verify_res"] * 6 + ["prep_sft", "sft", "grpo", "export_model"] + ["eval_tiny"] * 4 + ["compare_evals"]),
    "train_gsm8k": (
        ["0"],
        [
            "prep_gsm8k",
            "prep_gsm8k",
            "eval_gsm8k",
            "sft",
            "eval_gsm8k",
            "sft",
            "eval_gsm8k",
            "grpo",
            "eval_gsm8k",
            "compare_evals",
        ],
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_the_chain_is_in_order_and_every_command_parses(name):
    arguments, expected = CHAINS[name]
    env = {**os.environ, "DRY": "1", "PYTHON": sys.executable}
    run = subprocess.run(
        [ROOT / f"scripts/{name}.sh", *arguments], env=env, text=True, capture_output=True, stdin=subprocess.DEVNULL
    )
    assert run.returncode == 0, run.stderr
    commands = [line for line in run.stdout.splitlines() if re.match(r"python exp/\w+\.py ", line)]
    named = [re.match(r"python exp/(\w+)\.py", line)[1] for line in commands]
    assert [n for n in named if n in expected] == expected
    code = "import sys; sys.path.insert(0, 'exp'); from lib import cli\nfor line in sys.stdin:\n    import importlib, shlex\n" \
           "    words = shlex.split(line); cli.parse(importlib.import_module(words[1][4:-3]).main, words[2:])"  # fmt: skip
    mine = [line for line, n in zip(commands, named, strict=True) if n in expected]
    parsed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, input="\n".join(mine), text=True, capture_output=True)
    assert parsed.returncode == 0, parsed.stderr
    assert all("--config" in shlex.split(line) for line, n in zip(commands, named, strict=True) if n in ("sft", "grpo"))
