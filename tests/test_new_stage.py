"""A new stage that asks a model is 40 lines, and has the whole contract by calling the seams."""

import json
import subprocess
import sys

from conftest import ROOT

STAGE = ROOT / "tests/translate_ins.py"


def run(folder, url: str, *flags: str) -> subprocess.CompletedProcess:
    command = [
        sys.executable,
        STAGE,
        "--model_path",
        "tiny",
        "--ins_data_path",
        "ins.json",
        "--save_path",
        "fr.json",
    ]
    command += ["--engine", "openai", "--base_url", url, *flags]
    return subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(ROOT / "exp")}, text=True, capture_output=True
    )


def test_a_new_stage_that_asks_a_model_takes_at_most_40_lines_and_keeps_the_contract(
    tmp_path, policy_url
):
    assert len(STAGE.read_text().splitlines()) <= 40
    rows = [{"instruction": "What is 1 + 1?"}, {"instruction": "What is 1 + 1? " * 100}]
    (tmp_path / "ins.json").write_text(json.dumps(rows))
    first = run(tmp_path, policy_url)
    assert first.returncode == 0 and "1 rows, 1 dropped (1 too long)" in first.stderr, first.stderr
    (row,) = json.loads((tmp_path / "fr.json").read_bytes())
    assert list(row) == ["id", "instruction", "translation"] and row["translation"]
    again = run(tmp_path, "http://127.0.0.1:9/v1")
    assert again.returncode == 0 and "nothing to do" in again.stderr
    other = run(tmp_path, policy_url, "--model_path", "tiny-rm")
    assert other.returncode == 2 and "fr.json was made with model tiny@" in other.stderr
