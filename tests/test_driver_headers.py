"""A driver's header is its manual: it declares every variable that the driver reads, once."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from conftest import ROOT

DRIVERS = sorted([*(ROOT / "scripts").glob("*.sh"), ROOT / "run_math_generation.sh"])
HELPERS = {"lib.sh", "header.sh", "checks.sh", "make_venv.sh"}
# Passed from one driver to the next, or bash's own: nobody types them.
INTERNAL = {
    "BASE_URL",
    "LOG",
    "PHASE",
    "PLAN",
    "POOLING",
    "TIDING_DOMAIN",
    "TIDING_FAILURES",
    "BASH_SOURCE",
    "PWD",
    "SECONDS",
}


PASSED_ON = {"serve.sh": "VLLM_FLAGS"}  # what a stage reads from the environment


def header(driver) -> str:
    return re.match(r"(?:#.*\n)+", driver.read_text()).group()


def declared(driver) -> set[str]:
    """The variables of a header and of those that it refers to, read here in Python."""
    names = set(re.findall(r"^#   ([A-Z_]+)=", header(driver), re.M))
    for other in re.findall(r"those of scripts/(\w+\.sh)", header(driver)):
        names |= declared(ROOT / "scripts" / other)
    return names


def read(driver) -> set[str]:
    code = driver.read_text().removeprefix(header(driver))
    return set(re.findall(r"\$\{?([A-Z][A-Z_]+)", code)) - INTERNAL


@pytest.mark.parametrize(
    "driver", [d for d in DRIVERS if d.name not in HELPERS], ids=lambda d: d.name
)
def test_every_variable_that_a_driver_reads_is_declared_in_its_header(driver):
    everywhere = declared(ROOT / "scripts/header.sh")
    assert read(driver) <= declared(driver) | everywhere
    own = set(re.findall(r"^#   ([A-Z_]+)=", header(driver), re.M))
    readers = driver.read_text().removeprefix(header(driver)) + PASSED_ON.get(driver.name, "")
    assert [name for name in own if name not in readers] == []


@pytest.mark.parametrize(
    "driver", [d for d in DRIVERS if d.name not in HELPERS], ids=lambda d: d.name
)
def test_help_prints_the_header(driver):
    shown = subprocess.run(
        [driver, "--help"], text=True, capture_output=True, env={"PATH": os.environ["PATH"]}
    )
    assert shown.returncode == 0 and shown.stderr == ""
    assert "PYTHON=python3" in shown.stdout
    assert all(
        name in shown.stdout for name in re.findall(r"^#   ([A-Z_]+)=", header(driver), re.M)
    )


@pytest.mark.slow
def test_the_line_that_resumes_a_run_repeats_every_variable_that_was_set(tmp_path):
    settings = {
        "OVERWRITE": "1",
        "VLLM_FLAGS": "--a 1",
        "TIMEOUT": "7",
        "BENCHMARKS": "./no benchmark.json",
        "RUN": "r",
    }
    env = {**os.environ, **settings, "PYTHON": sys.executable}
    (tmp_path / "algebra").mkdir()
    (tmp_path / "algebra/algebra_ins_7res_armorm.json").write_text("[]\n")
    refine = subprocess.run(
        [ROOT / "scripts/refine_dataset.sh", tmp_path, "0"], env=env, text=True, capture_output=True
    )
    assert refine.returncode == 2
    (resume,) = [line for line in refine.stderr.splitlines() if line.startswith("  RUN=")]
    assert f"BENCHMARKS='./no benchmark.json' OVERWRITE='1' PYTHON='{sys.executable}'" in resume
    assert "VLLM_FLAGS" not in resume  # refining starts no server
    failing = tmp_path / "failing python"  # checks the run as ever, and fails at the first stage
    failing.write_text(
        f'#!/usr/bin/env bash\n[[ $1 == */check_run.py ]] || exit 7\nexec "{sys.executable}" "$@"\n'
    )
    failing.chmod(0o755)
    env |= {
        "POLICY_URL": "http://127.0.0.1:9/v1",
        "RUN": f"resumed_{os.getpid()}",
        "PYTHON": str(failing),
    }
    command = [ROOT / "scripts/generate_domain_dataset.sh", "0", "algebra", "5"]
    one = subprocess.run(command, env=env, text=True, capture_output=True)
    shutil.rmtree(ROOT / "data" / env["RUN"], ignore_errors=True)
    (resume,) = [line for line in one.stderr.splitlines() if line.startswith("  RUN=")]
    for word in (
        "POLICY_URL='http://127.0.0.1:9/v1'",
        "TIMEOUT='7'",
        "VLLM_FLAGS='--a 1'",
        "PYTHON=",
    ):
        assert word in resume
