"""The main job with models that are not shaped like tiny: a Llama 3 writes, an ArmoRM ranks, by real servers and real stages."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import shaped_models
from test_drivers import make_copy
from test_reward_heads import Reference


class ShapedRun:
    """What `make all-domains MODEL=policy REWARD_MODEL=armorm COUNT=4` calls, in a copy with one domain."""

    def __init__(self, folder: Path, test_data: Path):
        policy = shaped_models.llama_policy(folder / "policy", test_data)
        self.reward_model = shaped_models.armorm(
            folder / "armorm", test_data, max_position_embeddings=8192
        )
        copy = make_copy(folder)
        domains_path = copy / "configs/domains.yaml"
        domains = yaml.safe_load(domains_path.read_text())
        domains_path.write_text(yaml.safe_dump({"algebra": domains["algebra"]}))
        settings = {
            "PYTHON": sys.executable,
            "REWARD_MODEL": str(self.reward_model),
            "COUNT": "4",
            "RUN": "shaped",
        }
        finished = subprocess.run(
            ["nice", copy / "run_math_generation.sh", policy, "2"],
            cwd=copy,
            env={**os.environ, **settings},
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.folder = copy / "data/shaped"
        self.returncode, self.log = finished.returncode, finished.stdout


@pytest.fixture(scope="module")
def shaped(tmp_path_factory, test_data) -> ShapedRun:
    return ShapedRun(tmp_path_factory.mktemp("shaped"), test_data)


def test_a_llama_and_an_armorm_go_through_all_stages_of_the_main_job(shaped):
    assert shaped.returncode == 0, shaped.log[-3000:]
    assert "was not refined" not in shaped.log and "Traceback" not in shaped.log
    files = shaped.folder / "algebra/algebra"
    problems = json.loads(Path(f"{files}_ins.json").read_text())
    assert len(problems) == 4
    assert {row["instruction"] for row in problems} <= set(shaped_models.PROBLEMS)
    ranked = json.loads(Path(f"{files}_ins_7res_armorm.json").read_text())
    assert {answer for row in ranked for answer in row["responses"]} <= set(shaped_models.ANSWERS)
    for made in ("refined/sft.jsonl", "refined/pairs.jsonl", "dataset/README.md", "report.html"):
        assert (shaped.folder / made).stat().st_size


def test_the_served_armorm_ranks_by_its_own_arithmetic(shaped):
    reference = Reference(shaped.reward_model)
    row, *_ = json.loads((shaped.folder / "algebra/algebra_ins_7res_armorm.json").read_text())
    assert row["scores"] == sorted(row["scores"], reverse=True) and len(row["scores"]) == 7
    for answer, score in zip(row["responses"], row["scores"], strict=True):
        assert score == pytest.approx(reference.score(row["instruction"], answer), abs=1e-4)
