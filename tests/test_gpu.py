"""What only a GPU can show; skipped elsewhere."""

import json
import subprocess

import pytest

from conftest import ROOT, TINY, stage
from lib.training import train_log

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True, scope="module")
def gpu():
    try:
        subprocess.run(["nvidia-smi", "-L"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs an NVIDIA GPU")


def test_the_gpu_build_of_vllm_answers(tmp_path):
    (tmp_path / "in.json").write_text(json.dumps([{"instruction": "What is 3 + 4?"}] * 4))
    result = stage(
        "gen_res",
        "--model_path",
        TINY,
        "--ins_data_path",
        tmp_path / "in.json",
        "--save_path",
        tmp_path / "o.json",
        cwd=ROOT,
    )
    assert result.returncode == 0, result.stderr[-3000:]


ADAPTER = ["--lora_rank", 8, "--lora_alpha", 16, "--learning_rate", "1e-3"]


@pytest.mark.parametrize("more", [[], ["--load_in_4bit"]], ids=["bf16", "4 bit"])
@pytest.mark.parametrize("backend", ["unsloth", "hf"])
def test_an_adapter_is_trained_beside_frozen_weights(backend, more, tmp_path):
    assert (
        stage("prep_tiny", "--num_examples", 64, "--save_path", tmp_path / "t.json").returncode == 0
    )
    run = stage("sft", "--model_path", TINY, "--data_path", tmp_path / "t.json", "--format", "boxed", *ADAPTER, "--max_length", 512,
                "--save_path", tmp_path / "m", "--backend", backend, *more)  # fmt: skip
    assert run.returncode == 0 and "GiB" in run.stderr, run.stderr[-3000:]
    losses = [step["loss"] for step in train_log.read(tmp_path / "m")]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("backend", ["unsloth", "hf"])
def test_grpo_samples_with_vllm_on_the_same_gpu(backend, tmp_path):
    assert (
        stage("prep_tiny", "--num_examples", 32, "--save_path", tmp_path / "t.json").returncode == 0
    )
    run = stage("grpo", "--config", ROOT / "configs/grpo/tiny.yaml", "--model_path", TINY, "--data_path", tmp_path / "t.json", *ADAPTER,
                "--save_path", tmp_path / "m", "--backend", backend, "--vllm", "colocate", "--max_steps", 3)  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    assert len([step for step in train_log.read(tmp_path / "m") if "reward" in step]) == 3
