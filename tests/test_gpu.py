"""What only a GPU can show; skipped elsewhere."""

import json
import subprocess

import pytest

from conftest import ROOT, TINY, stage


@pytest.mark.gpu
def test_the_gpu_build_of_vllm_answers(tmp_path):
    try:
        subprocess.run(["nvidia-smi", "-L"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs an NVIDIA GPU")
    (tmp_path / "in.json").write_text(json.dumps([{"instruction": "What is 3 + 4?"}] * 4))
    result = stage(
        "gen_res", "--model_path", TINY, "--ins_data_path", tmp_path / "in.json", "--save_path", tmp_path / "o.json", cwd=ROOT
    )
    assert result.returncode == 0, result.stderr[-3000:]
