"""What is checked before anything loads."""

from dataclasses import replace

import pytest

import check_run
from lib import models
from lib.errors import UserError
from lib.inference import memory

CONFIGS = [
    pytest.param(
        {
            "hidden_size": 3584,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "intermediate_size": 18944,
            "vocab_size": 152064,
            "tie_word_embeddings": False,
        },
        7.62,
        id="Qwen2.5-7B",
    ),
    pytest.param(
        {
            "hidden_size": 5120,
            "num_hidden_layers": 64,
            "num_attention_heads": 40,
            "num_key_value_heads": 8,
            "intermediate_size": 27648,
            "vocab_size": 152064,
            "tie_word_embeddings": False,
        },
        32.8,
        id="R1-Distill-Qwen-32B",
    ),
    pytest.param(
        {
            "hidden_size": 3072,
            "num_hidden_layers": 28,
            "num_attention_heads": 24,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "intermediate_size": 8192,
            "vocab_size": 128256,
            "tie_word_embeddings": True,
        },
        3.21,
        id="Llama-3.2-3B",
    ),
    pytest.param(
        {
            "hidden_size": 2048,
            "num_hidden_layers": 48,
            "num_attention_heads": 32,
            "num_key_value_heads": 4,
            "head_dim": 128,
            "intermediate_size": 6144,
            "moe_intermediate_size": 768,
            "num_experts": 128,
            "vocab_size": 151936,
            "tie_word_embeddings": False,
        },
        30.5,
        id="Qwen3-30B-A3B",
    ),
]


@pytest.mark.parametrize("config, published", CONFIGS)
def test_parameters_are_estimated_within_two_in_a_hundred_of_the_published_count(config, published):
    assert memory.parameters_b(config) == pytest.approx(published, rel=0.02)


def test_a_config_that_is_no_decoders_says_what_to_do():
    with pytest.raises(UserError, match="no 'hidden_size': add the model"):
        memory.parameters_b({})


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
        memory.check_device(models.Model("a/b", **facts), devices, "do something else")


@pytest.mark.parametrize("devices", [[80.0], [24.0] * 4])
def test_enough_is_said_in_words(devices):
    model = models.Model(
        "a/b", parameters_b=32.8, dtype="bfloat16", tensor_parallel_size=len(devices)
    )
    assert "GPUs" in memory.check_device(model, devices, "")


@pytest.mark.parametrize("count", ["", "default"])
@pytest.mark.parametrize("name, scale", [("0", 0.01), ("1", 1)])
def test_without_a_count_it_is_the_magpie_pipelines_times_the_scale(name, scale, count):
    planned = check_run.plan_domains(models.find(name), "", count, None)
    expected = [round(n * scale) for n in (10_000, 10_000, 6_000, 6_000, 4_000, 8_000)]
    assert [each.problems for each in planned] == expected


def test_a_count_is_for_each_domain():
    planned = check_run.plan_domains(models.find("0"), "", "7", None)
    assert [each.problems for each in planned] == [7] * 6


def test_a_problem_and_its_answer_that_do_not_fit_the_context_together_are_one_line():
    model = replace(models.find("0"), max_model_len=300)
    plan = check_run.RunPlan(model, model, check_run.plan_domains(model, "algebra", "1", None))
    with pytest.raises(UserError, match="algebra: 128 tokens of problem and 256 of answer do not"):
        check_run.check_context(plan)


@pytest.mark.parametrize("context, fits", [(383, False), (384, True), (None, True)])
def test_a_problem_and_its_answer_must_fit_the_reward_model_too(context, fits):
    model = models.find("0")
    plan = check_run.RunPlan(model, model, check_run.plan_domains(model, "algebra", "1", None))
    if fits:
        check_run.check_reward_context(plan, context)
        return
    with pytest.raises(UserError, match="128 tokens of problem and 256 of answer do not fit the"):
        check_run.check_reward_context(plan, context)


@pytest.mark.parametrize("reward_model", models.reward_models(), ids=lambda model: model.name)
def test_every_listed_reward_model_takes_what_its_models_write(reward_model):
    for policy in models.menu():
        if policy.procedural != (not reward_model.gpu):
            continue
        plan = check_run.RunPlan(
            policy, reward_model, check_run.plan_domains(policy, "", "1", None)
        )
        check_run.check_reward_context(plan, reward_model.max_model_len)


def test_the_cost_is_shown_with_its_arithmetic():
    model = replace(models.find("0"), tokens_s=1000)
    plan = check_run.RunPlan(model, model, check_run.plan_domains(model, "algebra", "100", None))
    assert check_run.estimate(plan) == (
        "100 problems x (1 problem + 1 + 7 answers) at half their token limits = 108,800 tokens"
        " / 1,000 tokens/s = 2m"
    )


def test_the_plan_is_one_line_a_domain_with_tabs_between(capsys):
    check_run.main(model="0", domain="algebra", count="20", quick=True)
    name, count, *sampling, policy, reward_model = capsys.readouterr().out.strip().split("\t")
    assert (name, count, sampling, policy) == (
        "algebra",
        "20",
        ["0.9", "128", "0.05", "256"],
        "tiny",
    )
    assert reward_model.endswith("data/models/tiny-rm")


def test_a_torn_config_is_one_line(tmp_path):
    (tmp_path / "config.json").write_text('{"hidden_size": 35')
    with pytest.raises(UserError, match="config.json: torn or not JSON"):
        memory.config_of(models.find(str(tmp_path)))


def test_a_hub_without_a_way_to_it_is_found_at_once(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "https://127.0.0.1:9")
    with pytest.raises(UserError, match="neither on this machine nor to be had from 127.0.0.1"):
        memory.config_of(models.Model("nobody/nothing-of-this-name"))
