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


ARMORM = "RLHFlow/ArmoRM-Llama3-8B-v0.1"
# The sample of its README, with what it prints: the first objectives times 5 minus 0.5, and the
# three largest coefficients. Its numbers are bfloat16's, and another run of its own code differs by
# up to 0.03.
SAMPLE = (
    'What are some synonyms for the word "beautiful"?',
    "Nicely, Beautifully, Handsome, Stunning, Wonderful, Gorgeous, Pretty, Stunning, Elegant",
)
OBJECTIVES = [2.78125, 2.859375, 3.484375, 1.3847656, 1.296875]
# code-complexity, helpsteer-verbosity, ultrafeedback-instruction_following
COEFFICIENTS = [0.19922, -0.10864, 0.07861]


def test_armorm_gives_what_its_readme_prints(monkeypatch):
    from huggingface_hub import try_to_load_from_cache

    if not isinstance(try_to_load_from_cache(ARMORM, "config.json"), str):
        pytest.skip(f"needs the weights of {ARMORM} in the hub's cache")
    from lib import models
    from lib.inference.requests import Request, user_turn
    from lib.inference.vllm_scorer import VllmScorer

    scorer = VllmScorer(models.find(ARMORM))
    seen = []
    real_scores = scorer.head.head.scores

    def remembering(answers):
        seen.extend(answers)
        return real_scores(answers)

    monkeypatch.setattr(scorer.head.head, "scores", remembering)
    problem, answer = SAMPLE
    scorer.submit(Request(0, [[*user_turn(problem), {"role": "assistant", "content": answer}]]))
    replies = []
    while scorer.pending:
        replies += scorer.poll()
    scorer.close()
    prompt_state, answer_state = seen[0][-2:]
    objectives = scorer.head.head.objectives(answer_state)[:5] * 5 - 0.5
    assert objectives == pytest.approx(OBJECTIVES, abs=0.1)
    coefficients = scorer.head.head.coefficients(prompt_state)
    largest = sorted(coefficients, key=abs, reverse=True)[:3]
    assert largest == pytest.approx(COEFFICIENTS, abs=5e-3)
    assert 0 < replies[0].scores[0].value < 0.5


def test_the_head_of_an_armorm_is_computed_beside_the_gpu(tmp_path, test_data):
    """The backbone runs in vLLM's own processes there, which have to find the plugin."""
    import shaped_models
    from test_reward_heads import Reference

    folder = shaped_models.armorm(tmp_path / "armorm", test_data)
    row = {"instruction": "What is 3 + 4?", "responses": ["7", "It is 7.", "I do not know."]}
    (tmp_path / "in.json").write_text(json.dumps([row]))
    run = stage("gen_po_rewards", "--model_name_or_path", folder, "--ins_data_path", tmp_path / "in.json",
                "--save_path", tmp_path / "out.json")  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    reference = Reference(folder)
    (ranked,) = json.loads((tmp_path / "out.json").read_text())
    for answer, score in zip(ranked["responses"], ranked["scores"], strict=True):
        # A GPU's float32 products may be rounded to 10 bits (TF32).
        assert score == pytest.approx(reference.score(row["instruction"], answer), abs=1e-2)
