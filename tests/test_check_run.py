"""What is checked before anything loads."""

import pytest

import check_run
from lib import models
from lib.errors import UserError

CONFIGS = [
    pytest.param({"hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
                      "intermediate_size": 18944, "vocab_size": 152064, "tie_word_embeddings": False}, 7.62, id="Qwen2.5-7B"),
    pytest.param({"hidden_size": 5120, "num_hidden_layers": 64, "num_attention_heads": 40, "num_key_value_heads": 8,
                      "intermediate_size": 27648, "vocab_size": 152064, "tie_word_embeddings": False}, 32.8, id="R1-Distill-Qwen-32B"),
    pytest.param({"hidden_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 24, "num_key_value_heads": 8, "head_dim": 128,
                      "intermediate_size": 8192, "vocab_size": 128256, "tie_word_embeddings": True}, 3.21, id="Llama-3.2-3B"),
    pytest.param({"hidden_size": 2048, "num_hidden_layers": 48, "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128,
                      "intermediate_size": 6144, "moe_intermediate_size": 768, "num_experts": 128, "vocab_size": 151936,
                      "tie_word_embeddings": False}, 30.5, id="Qwen3-30B-A3B"),
]  # fmt: skip


@pytest.mark.parametrize("config, published", CONFIGS)
def test_parameters_are_estimated_within_two_in_a_hundred_of_the_published_count(config, published):
    assert check_run.parameters_b(config) == pytest.approx(published, rel=0.02)


def test_a_config_that_is_no_decoders_says_what_to_do():
    with pytest.raises(UserError, match="no 'hidden_size': add the model"):
        check_run.parameters_b({})


@pytest.mark.parametrize(
    "facts, devices, says",
    [
        pytest.param(
            {"parameters_b": 32.8, "dtype": "bfloat16"}, [], "needs a GPU for 66 GB", id="no GPU"
        ),
        pytest.param(
            {"parameters_b": 32.8, "dtype": "bfloat16"},
            [24.0],
            "needs 72 GB of GPU memory",
            id="GPU too small",
        ),
        pytest.param(
            {"parameters_b": 72.7, "dtype": "bfloat16", "tensor_parallel_size": 4},
            [80.0],
            "4 GPUs",
            id="too few GPUs",
        ),
    ],
)
def test_too_little_is_one_line(facts, devices, says):
    with pytest.raises(UserError, match=says):
        check_run.check_device(models.Model("a/b", **facts), devices, "do something else")


@pytest.mark.parametrize("devices", [[80.0], [24.0] * 4])
def test_enough_is_said_in_words(devices):
    model = models.Model(
        "a/b", parameters_b=32.8, dtype="bfloat16", tensor_parallel_size=len(devices)
    )
    assert "GPUs" in check_run.check_device(model, devices, "")


def test_the_counts_are_the_seeds_times_the_scale():
    for name, scale in (("0", 0.01), ("1", 1)):
        model = models.find(name)
        counts = [n for _, n in check_run.plan(model, "", "", None)]
        assert counts == [round(n * scale) for n in (10_000, 10_000, 6_000, 6_000, 4_000, 8_000)]


def test_a_hub_without_a_way_to_it_is_found_at_once(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "https://127.0.0.1:9")
    with pytest.raises(UserError, match="neither on this machine nor to be had from 127.0.0.1"):
        check_run.config_of(models.Model("nobody/nothing-of-this-name"))
