"""DRY=1 of every driver needs nothing, and prints commands that can be pasted, every stage in its order.

There is no GPU here, no hub, and no model or data file of the names that are typed.
"""

import importlib
import os
import re
import shlex
import subprocess
import sys

import pytest

from conftest import ROOT
from lib import cli

NOWHERE = "nobody/nothing"  # a hub name; the hub is a port where nobody answers
REFINE = "clean_ins vote_res prep_sft prep_pairs export_dataset report_run"
HALF = "serve_model" + " gen_ins gen_res gen_po_multi_res"
DOMAIN = f"{HALF} serve_model gen_po_rewards describe_run"
ALL = (
    "serve_model"
    + " gen_ins gen_res gen_po_multi_res" * 6
    + " serve_model"
    + " gen_po_rewards" * 6
    + f" describe_run {REFINE}"
)
CHAINS = {
    "run_math_generation.sh 1 1 algebra 20": DOMAIN,
    f"run_math_generation.sh {NOWHERE} 2": ALL,
    "run_math_generation.sh ./no/such/folder 3": ALL,
    "run_math_generation.sh 3 4 50": ALL,
    f"scripts/generate_domain_dataset.sh {NOWHERE} algebra": DOMAIN,
    f"scripts/refine_dataset.sh data/none {NOWHERE}": REFINE,
    f"scripts/evaluate.sh tiny {NOWHERE}": "eval_tiny",
    f"scripts/evaluate.sh gsm8k 1 {NOWHERE}": "prep_gsm8k eval_gsm8k eval_gsm8k compare_evals",
    f"scripts/evaluate.sh aime 3 {NOWHERE}+my/adapter": "prep_aime eval_aime eval_aime compare_evals",
    "scripts/train_tiny.sh": f"{ALL} sft sft grpo export_model"
    + " eval_tiny" * 5
    + " compare_evals report_run",
    "scripts/train_format.sh reasoning": "prep_tiny sft eval_tiny eval_tiny compare_evals",
    f"scripts/train_gsm8k.sh {NOWHERE}": "prep_gsm8k prep_gsm8k eval_gsm8k sft eval_gsm8k sft eval_gsm8k grpo"
    " eval_gsm8k compare_evals",
    f"scripts/train_limo.sh {NOWHERE}": "prep_limo prep_gsm8k prep_aime eval_aime sft eval_aime grpo"
    " eval_aime export_model compare_evals",
}  # fmt: skip


def path_without_nvidia_smi() -> str:
    folders = os.environ["PATH"].split(":")
    return ":".join(f for f in folders if not os.path.exists(f"{f}/nvidia-smi"))


@pytest.fixture(scope="module")
def dry_run(tmp_path_factory):
    """Runs a driver's command line with DRY=1 in an empty home, and returns what it printed."""
    home = tmp_path_factory.mktemp("home")

    def run(command: str) -> subprocess.CompletedProcess:
        settings = {"DRY": "1", "PYTHON": sys.executable, "RUN": "dry", "HOME": str(home)}
        settings |= {"HF_ENDPOINT": "http://127.0.0.1:9", "PATH": path_without_nvidia_smi()}
        env = {name: value for name, value in os.environ.items() if name != "HF_HOME"} | settings
        driver, *arguments = command.split()
        return subprocess.run(
            [ROOT / driver, *arguments],
            env=env,
            cwd=home,
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
        )

    return run


@pytest.mark.parametrize("command", CHAINS)
def test_a_dry_run_needs_nothing_and_its_commands_can_be_pasted(command, dry_run):
    before = sorted((ROOT / "data").iterdir())
    dry = dry_run(command)
    assert dry.returncode == 0, dry.stderr
    assert sorted((ROOT / "data").iterdir()) == before
    stages = []
    for line in dry.stdout.splitlines():
        assert not re.search(r"[*?]|\$\{?[A-Z]", line), line
        if not line.startswith("python exp/"):
            assert re.match(r"until curl |kill ", line), line
            continue
        _, path, *flags = shlex.split(line.removesuffix("&"))
        stage = re.fullmatch(r"exp/(\w+)\.py", path)[1]
        stages.append(stage)
        arguments = cli.parse(importlib.import_module(stage).main, flags)
        if stage in ("sft", "grpo"):
            assert "--config" in flags
        where = arguments.get("where")
        assert where is None or where.engine == "vllm" or where.base_url.endswith(":8000/v1")
    assert " ".join(stages) == CHAINS[command]


def test_what_the_checks_find_in_a_dry_run_is_a_warning_each(dry_run):
    dry = dry_run("run_math_generation.sh 1 1 algebra 20")
    warnings = re.findall("^check_run: warning: (.*)", dry.stderr, re.MULTILINE)
    assert any("DeepSeek-R1-Distill-Qwen-32B needs a GPU for 66 GB" in line for line in warnings)
    assert len(warnings) == len(set(warnings)) >= 3
    trained = dry_run("scripts/train_gsm8k.sh 3")
    assert "warning: Qwen2.5-Math-72B-Instruct needs a GPU" in trained.stderr


def test_aimes_results_have_the_name_that_its_evaluation_writes(dry_run):
    printed = dry_run(f"scripts/evaluate.sh aime 3 {NOWHERE}").stdout
    names = ("3_t0.3_n8", "nothing_t0.3_n8")
    expected = [f"{ROOT}/data/eval/dry/aime_eval_combined_{name}.json" for name in names]
    (compared,) = [line for line in printed.splitlines() if "compare_evals" in line]
    words = shlex.split(compared)
    assert words[words.index("--results_paths") + 1] == ",".join(expected)
