"""What is checked before anything loads."""

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import constants

import check_run
from conftest import TINY, stage_here
from lib import chat, models
from lib.errors import UserError
from lib.inference import backends, checks, context, gpus, memory, weights
from lib.inference.checks import Checks
from lib.inference.requests import Sampling

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
    assert weights.parameters_b(config) == pytest.approx(published, rel=0.02)


def test_a_config_that_is_no_decoders_says_what_to_do():
    with pytest.raises(UserError, match="no 'hidden_size': add the model"):
        weights.parameters_b({})


@pytest.mark.parametrize(
    "facts, devices, says",
    [
        pytest.param(
            {"parameters_b": 32.8, "dtype": "bfloat16"}, [], "needs a GPU for 66 GB", id="no GPU"
        ),
        pytest.param(
            {"parameters_b": 32.8, "dtype": "bfloat16"},
            [24.0],
            r"needs 72 GB of GPU memory \(66 of weights, .*\), 1 GPU gives 24: do something else",
            id="GPU too small",
        ),
        pytest.param(
            {"parameters_b": 72.7, "dtype": "bfloat16", "tensor_parallel_size": 4},
            [80.0],
            "is set to 4 GPUs .* this machine has 1",
            id="fewer GPUs than its facts name",
        ),
    ],
)
def test_too_little_is_one_line(facts, devices, says):
    with pytest.raises(UserError, match=says):
        memory.check_device(models.Model("a/b", **facts), devices, "do something else")


@pytest.mark.parametrize("devices", [[80.0], [24.0] * 4])
def test_enough_is_said_in_words(devices):
    model = models.Model("a/b", parameters_b=32.8, dtype="bfloat16")
    assert f"of {len(devices)} GPUs" in memory.check_device(model, devices, "")


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
        checks.check_reward_context(plan, context)
        return
    with pytest.raises(UserError, match="128 tokens of problem and 256 of answer do not fit the"):
        checks.check_reward_context(plan, context)


@pytest.mark.parametrize("reward_model", models.reward_models(), ids=lambda model: model.name)
def test_every_listed_reward_model_takes_what_its_models_write(reward_model):
    for policy in models.menu():
        if policy.procedural != (not reward_model.gpu):
            continue
        plan = check_run.RunPlan(
            policy, reward_model, check_run.plan_domains(policy, "", "1", None)
        )
        checks.check_reward_context(plan, reward_model.max_model_len)


def test_the_cost_is_shown_with_its_arithmetic():
    model = replace(models.find("0"), tokens_s=1000)
    plan = check_run.RunPlan(model, model, check_run.plan_domains(model, "algebra", "100", None))
    assert check_run.estimate(plan) == (
        "100 problems x (1 problem + 1 + 7 answers) at half their token limits = 108,800 tokens"
        " / 1,000 tokens/s = 2m"
    )


def test_the_plan_is_one_line_a_domain_with_tabs_between(capsys):
    check_run.main(model="0", domain="algebra", count="20", quick=True)
    name, count, *sampling, policy, reward_model, left = capsys.readouterr().out.strip().split("\t")
    assert (name, count, sampling, policy) == (
        "algebra",
        "20",
        ["0.9", "128", "0.05", "256"],
        "tiny",
    )
    assert reward_model.endswith("data/models/tiny-rm") and left == "generate,rank"


def test_a_torn_config_is_one_line(tmp_path):
    (tmp_path / "config.json").write_text('{"hidden_size": 35')
    with pytest.raises(UserError, match="config.json: torn or not JSON"):
        weights.config_of(models.find(str(tmp_path)))


def test_a_hub_without_a_way_to_it_is_found_at_once(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "https://127.0.0.1:9")
    with pytest.raises(UserError, match="neither on this machine nor to be had from 127.0.0.1"):
        weights.config_of(models.Model("nobody/nothing-of-this-name"))


def fake_nvidia_smi(folder: Path, monkeypatch, lines: list[str], slices: str = "") -> None:
    """A fake nvidia-smi, first on PATH, that prints these lines, and these slices for -L."""
    script = folder / "nvidia-smi"
    answer = "\n".join(lines)
    script.write_text(
        f"#!/bin/sh\nif [ \"$1\" = -L ]; then cat <<'E'\n{slices}\nE\nelse cat <<'E'\n{answer}\nE\nfi\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


FOUR = [f"{index}, GPU-{index}{index}-x, {1024 * (index + 1)}" for index in range(4)]
SLICES = """GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-00-x)
  MIG 3g.40gb     Device  0: (UUID: MIG-11-y)
  MIG 1g.10gb     Device  1: (UUID: MIG-22-y)"""


@pytest.mark.parametrize(
    "names, expected",
    [
        pytest.param(None, [1, 2, 3, 4], id="all of them"),
        pytest.param("", [], id="an empty string hides all"),
        pytest.param("-1", [], id="an index that nothing has"),
        pytest.param("2", [3], id="an index"),
        pytest.param("3,0", [4, 1], id="in the order of the indices"),
        pytest.param("1,-1,2", [2], id="what stands behind an unknown name is hidden"),
        pytest.param("GPU-22", [3], id="the start of a UUID"),
        pytest.param("MIG-22-y", [10], id="a MIG slice"),
        pytest.param("MIG-99", [None], id="a MIG slice of unknown size"),
    ],
)
def test_cuda_visible_devices_counts(tmp_path, monkeypatch, names, expected):
    fake_nvidia_smi(tmp_path, monkeypatch, FOUR, SLICES)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if names is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", names)
    assert gpus.visible() == expected


def test_a_gpu_that_shares_the_machines_memory_counts_with_it_and_it_is_said(
    tmp_path, monkeypatch, capsys
):
    fake_nvidia_smi(tmp_path, monkeypatch, ["0, GPU-0, [N/A]"])
    (gib,) = gpus.visible()
    machine_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    assert gib == machine_gib
    assert f"the machine's {machine_gib:.0f} GiB are taken for it" in capsys.readouterr().err


def test_an_unknown_memory_is_a_warning(capsys):
    model = models.Model("a/b", parameters_b=32.8)
    assert memory.check_device(model, [None], "") == "1 of 1 GPUs of unknown memory"
    assert "warning: the memory of a GPU is unknown" in capsys.readouterr().err


SEVEN_B = CONFIGS[0].values[0]  # 7.62B parameters, 28 heads, 4 of keys and values
MB = 1_000_000
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128}


@pytest.mark.parametrize(
    "config, files, expected_gb",
    [
        pytest.param({}, {"model.safetensors": 3 * MB}, 0.003, id="a file counts as it is"),
        pytest.param(
            {"quantization_config": AWQ}, {"model.safetensors": 3 * MB}, 0.003, id="of 4 bits too"
        ),
        pytest.param(
            {},
            {"model-1-of-2.safetensors": 2 * MB, "model-2-of-2.safetensors": MB, "index": 9 * MB},
            0.003,
            id="shards are summed",
        ),
        pytest.param(
            {},
            {"model-1-of-2.safetensors": 2 * MB, "index": 9 * MB},
            0.009,
            id="of a half downloaded model the index counts",
        ),
        pytest.param(
            {},
            {"model.safetensors": 3 * MB, "consolidated.safetensors": 3 * MB},
            0.003,
            id="the same weights in another layout do not count twice",
        ),
        pytest.param(
            {},
            {"model.safetensors": 3 * MB, "pytorch_model.bin": 3 * MB},
            0.003,
            id="nor in another format",
        ),
        pytest.param({}, {"pytorch_model.bin": 3 * MB}, 0.003, id="a folder of .bin files"),
        pytest.param(
            {"torch_dtype": "float32"}, {"model.safetensors": 4 * MB}, 0.002, id="fp32 is halved"
        ),
        pytest.param(SEVEN_B, {}, 15.2, id="no weights: by the parameters"),
        pytest.param(SEVEN_B | {"quantization_config": AWQ}, {}, 5.6, id="AWQ by the parameters"),
        pytest.param(SEVEN_B | {"quantization_config": {"quant_method": "fp8"}}, {}, 9.0, id="fp8"),
        pytest.param(
            SEVEN_B | {"quantization_config": {"load_in_4bit": True}}, {}, 5.6, id="bitsandbytes"
        ),
    ],
)
@pytest.mark.parametrize("place", ["folder", "hub's cache"])
def test_weights_count_as_they_are(tmp_path, monkeypatch, config, files, expected_gb, place):
    name = str(tmp_path / "model")
    folder = Path(name)
    if place == "hub's cache":
        name, folder = "some/model", cached_folder(tmp_path, monkeypatch, "some/model")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    for file_name, size in files.items():
        if file_name == "index":
            weight_map = {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}
            index = {"metadata": {"total_size": size}, "weight_map": weight_map}
            (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        else:
            with open(folder / file_name, "wb") as file:
                file.truncate(size)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert weights.loaded_gb(models.find(name)) == pytest.approx(expected_gb, rel=0.02)


def cached_folder(folder: Path, monkeypatch, name: str) -> Path:
    """The snapshot of a model in an empty hub's cache."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    repository = folder / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text("0" * 40)
    return repository / "snapshots" / ("0" * 40)


@pytest.mark.parametrize(
    "gb, typed, devices, config, expected",
    [
        pytest.param(10, None, [80.0] * 4, {}, 1, id="one is enough"),
        pytest.param(145, None, [80.0] * 4, {}, 2, id="the fewest that hold it"),
        pytest.param(145, 4, [80.0] * 4, {}, 4, id="a typed value wins"),
        pytest.param(66, None, [24.0] * 4, {}, 4, id="four small ones"),
        pytest.param(66, None, [24.0] * 3, {}, 2, id="a power of two, though it is too few"),
        pytest.param(145, None, [80.0, 24.0, 24.0, 24.0], {}, 4, id="by the smallest of them"),
        pytest.param(10, None, [], {}, 1, id="no GPU"),
        pytest.param(100, None, [24.0] * 7, SEVEN_B, 4, id="28 heads and 4 of keys: not 5, 6, 7"),
    ],
)
def test_a_model_is_spread_over_the_fewest_gpus_that_hold_it(
    tmp_path, gb, typed, devices, config, expected
):
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = models.Model(str(tmp_path), parameters_b=gb / 2, tensor_parallel_size=typed)
    assert memory.tensor_parallel_size(model, devices) == expected


@pytest.mark.parametrize(
    "flags, expected",
    [
        ("--tensor-parallel-size 2", 2),
        ("--max-num-seqs 8 --tensor_parallel_size=4", 4),
        ("-tp 2 --data-parallel-size 2", 2),
        ("--data-parallel-size 4", None),
        ("", None),
    ],
)
def test_vllm_flags_may_name_the_gpus_of_one_model(flags, expected):
    assert memory.typed_tensor_parallel_size(flags) == expected


def test_a_text_config_of_null_is_none():
    config = {**SEVEN_B, "text_config": None}
    assert weights.attention_heads(config) == weights.attention_heads(SEVEN_B)


def test_a_quote_in_vllm_flags_that_nothing_closes_is_one_line():
    with pytest.raises(UserError, match="VLLM_FLAGS --x 'y: no closing quotation"):
        memory.typed_tensor_parallel_size("--x 'y")


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf")])
def test_a_scale_that_gives_no_number_of_problems_is_one_line(scale):
    with pytest.raises(UserError, match="expected a number above 0"):
        check_run.plan_domains(models.find("0"), "algebra", "", scale)


MENU = [model.name for model in models.menu()]
R1_32B, R1_7B, MATH_72B, QWEN_7B, LLAMA_3B = MENU[1:]
MACHINES = {
    "no GPU": [],
    "24 GB": ["0, GPU-0, 24564"],
    "80 GB": ["0, GPU-0, 81559"],
    "4 x 80 GB": [f"{index}, GPU-{index}, 81559" for index in range(4)],
    "unified": ["0, GPU-0, [N/A]"],
}
UNIFIED_GIB = 119.7  # of a machine with 128 GB
GENERATION = ("one domain", "all domains", "quick test", "custom count")
EVALUATION = ("eval-gsm8k", "eval-aime")
TRAINING = ("train-gsm8k", "train-limo")
NEEDS_GPU = "needs a GPU for"
TOO_SMALL = "GB of GPU memory"
TOO_SMALL_TO_TRAIN = "to train .* takes"
# What is refused, by machine and model: every other model passes there.
REFUSED = {
    "no GPU": dict.fromkeys(MENU[1:], dict.fromkeys(GENERATION + EVALUATION + TRAINING, NEEDS_GPU)),
    "24 GB": {
        R1_32B: dict.fromkeys(GENERATION + EVALUATION, TOO_SMALL) | dict.fromkeys(TRAINING, TOO_SMALL_TO_TRAIN),
        MATH_72B: dict.fromkeys(GENERATION + EVALUATION, TOO_SMALL) | dict.fromkeys(TRAINING, TOO_SMALL_TO_TRAIN),
    },
    "80 GB": {
        MATH_72B: dict.fromkeys(GENERATION + EVALUATION, TOO_SMALL) | dict.fromkeys(TRAINING, TOO_SMALL_TO_TRAIN),
    },
    "4 x 80 GB": {MATH_72B: dict.fromkeys(TRAINING, TOO_SMALL_TO_TRAIN)},
    "unified": {
        MATH_72B: dict.fromkeys(GENERATION + EVALUATION, TOO_SMALL) | dict.fromkeys(TRAINING, TOO_SMALL_TO_TRAIN),
    },
}  # fmt: skip
FLAGS = {
    "one domain": ["--domain", "algebra"],
    "all domains": ["--count", "default"],
    "quick test": ["--count", "5"],
    "custom count": ["--count", "50"],
    "eval-gsm8k": ["--job", "evaluate"],
    "eval-aime": ["--job", "evaluate"],
    "train-gsm8k": [
        "--job", "train", "--training_configs", "configs/sft/gsm8k.yaml,configs/grpo/gsm8k.yaml"
    ],
    "train-limo": [
        "--job", "train", "--training_configs", "configs/sft/limo.yaml,configs/grpo/limo.yaml"
    ],
}  # fmt: skip


@pytest.fixture
def no_hub(monkeypatch):
    """Every hub model's config and template are as if they were there; the disk is large."""
    monkeypatch.setattr(
        weights, "config_of", lambda model: {"architectures": ["FakeForSequenceClassification"]}
    )
    monkeypatch.setattr(check_run, "check_template", lambda *model: "<|im_start|>user\n")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Disk(free=2e12))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


class Disk:
    def __init__(self, free: float):
        self.free = free


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("number", range(len(MENU)), ids=MENU)
def test_every_model_of_the_menu_passes_every_driver_or_is_refused_in_one_line(
    tmp_path, monkeypatch, no_hub, machine, number
):
    fake_nvidia_smi(tmp_path, monkeypatch, MACHINES[machine])
    monkeypatch.setattr(gpus, "_gib", lambda memory: UNIFIED_GIB if "N" in memory else float(memory) / 1024)  # fmt: skip
    refused = REFUSED[machine].get(MENU[number], {})
    for job, flags in FLAGS.items():
        trust = [] if "--job" in flags else ["--trust_remote_code"]
        result = stage_here("check_run", "--model", number, *flags, *trust)
        if job not in refused:
            assert result.returncode == 0, (job, result.stderr)
            continue
        assert result.returncode == 2, job
        (line,) = result.stderr.strip().splitlines()
        assert line.startswith("check_run: error: ") and re.search(refused[job], line), (job, line)
        assert "(CHECK=warn goes on all the same)" in line


AIME = Sampling(temperature=0.3, top_p=0.95, max_tokens=32768)
GSM8K = Sampling(temperature=0.0, max_tokens=2048)


@pytest.mark.parametrize(
    "number, sampling, expected",
    [
        pytest.param(0, GSM8K, (512, 384), id="tiny: a quarter of the context is the prompt's"),
        pytest.param(1, AIME, (33792, 32768), id="R1 32B: all of AIME's 32,768 tokens"),
        pytest.param(2, AIME, (33792, 32768), id="R1 7B"),
        pytest.param(3, AIME, (4096, 3072), id="Math 72B: what its context has"),
        pytest.param(4, AIME, (32768, 31744), id="Qwen2.5 7B: what its context has"),
        pytest.param(5, AIME, (33792, 32768), id="Llama 3B"),
        pytest.param(1, GSM8K, (8192, 2048), id="GSM8K: generation's context is enough"),
        pytest.param(3, GSM8K, (4096, 2048), id="GSM8K with Math 72B"),
    ],
)
def test_an_evaluation_asks_for_the_context_that_it_needs(number, sampling, expected, capsys):
    model, lowered = context.for_evaluation(models.find(str(number)), sampling)
    assert (model.max_model_len, lowered.max_tokens) == expected
    is_lowered = lowered.max_tokens < sampling.max_tokens
    assert ("lowered max_tokens from" in capsys.readouterr().err) == is_lowered


@pytest.mark.parametrize("stage", ["eval_gsm8k", "eval_aime", "gen_res", "gen_po_multi_res"])
@pytest.mark.parametrize("number", range(len(MENU)), ids=MENU)
def test_every_model_of_the_menu_gets_to_the_load_with_room_for_prompt_and_answer(
    tmp_path, monkeypatch, number, stage
):
    def load(where, model, *more):
        raise UserError(f"context {model.max_model_len}")

    load_tokenizer = chat.load_tokenizer
    monkeypatch.setattr(chat, "load_tokenizer", lambda *model: load_tokenizer(str(TINY)))
    monkeypatch.setattr(backends.Where, "load", load)
    problem = {"question": "1 + 1?", "problem": "1 + 1?", "instruction": "1 + 1?", "answer": "2"}
    (tmp_path / "in.json").write_text(json.dumps([problem]))
    flags = {
        "eval_gsm8k": ["--test_data_path", "in.json", "--save_path", "out.csv"],
        "eval_aime": ["--test_data_path", "in.json", "--save_dir", "out"],
        "gen_res": ["--ins_data_path", "in.json", "--save_path", "out.json"],
        "gen_po_multi_res": ["--ins_data_path", "in.json", "--save_path", "out.json"],
    }
    result = stage_here(stage, "--model_path", number, *flags[stage], cwd=tmp_path)
    context_tokens = int(re.search(r"error: context (\d+)", result.stderr)[1])
    (meta_path,) = tmp_path.rglob("*.meta.json")
    settings = json.loads(meta_path.read_bytes())["settings"]
    answer_tokens = settings["max_tokens"]
    lowered = re.search(r"lowered max_tokens from \d+ to (\d+)", result.stderr)
    if lowered:
        answer_tokens = int(lowered[1])
    assert context_tokens - answer_tokens >= min(1024, context_tokens // 4)


def test_the_context_of_a_folder_is_its_configs(tmp_path):
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 2048}')
    model, lowered = context.for_evaluation(models.find(str(tmp_path)), AIME)
    assert (model.max_model_len, lowered.max_tokens) == (2048, 1536)


def test_a_check_that_is_overruled_is_a_warning_and_is_said_once(capsys):
    checks = Checks("warn")

    def fail():
        raise UserError("too small")

    assert checks.run(fail) is None and checks.run(fail) is None
    assert capsys.readouterr().err.count("warning: too small") == 1
    with pytest.raises(UserError, match="too small .CHECK=warn goes on"):
        Checks("refuse").run(fail)
    with pytest.raises(UserError, match="CHECK=warm: did you mean 'warn'"):
        Checks("warm")


def test_with_check_warn_a_run_that_cannot_work_here_gets_its_plan_all_the_same(
    tmp_path, monkeypatch, no_hub
):
    fake_nvidia_smi(tmp_path, monkeypatch, MACHINES["24 GB"])
    result = stage_here("check_run", "--model", 1, "--domain", "algebra", "--check", "warn")
    assert result.returncode == 0 and result.stdout.startswith("algebra\t10000\t")
    assert "warning: DeepSeek-R1-Distill-Qwen-32B needs 72 GB of GPU memory" in result.stderr


@pytest.mark.parametrize(
    "free, says",
    [
        pytest.param(5e9, "up to 88.8 GB will be written there", id="neither fits"),
        pytest.param(85e9, "up to 88.8 GB will be written there", id="only the rows would fit"),
        pytest.param(95e9, "", id="rows and download fit"),
    ],
)
def test_the_disk_must_hold_the_rows_of_all_files_and_the_download(
    tmp_path, monkeypatch, no_hub, free, says
):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Disk(free))
    monkeypatch.setattr(weights, "cache_folder", lambda: check_run.Path(TINY))
    fake_nvidia_smi(tmp_path, monkeypatch, MACHINES["80 GB"])
    flags = ["--domain", "algebra", "--trust_remote_code"]
    result = stage_here("check_run", "--model", 1, *flags)
    assert result.returncode == (2 if says else 0) and says in result.stderr
    if not says:
        assert "to download first: DeepSeek-R1-Distill-Qwen-32B 66 GB" in result.stderr


@pytest.mark.parametrize(
    "scale, count, expected",
    [("0.001", "default", 10), ("0.001", "", 10), ("0.001", "7", 7), (None, "default", 100)],
)
def test_scale_works_for_one_domain(scale, count, expected, capsys):
    check_run.main(
        model="0",
        domain="algebra",
        count=count,
        scale=float(scale) if scale else None,
        quick=True,
    )
    assert capsys.readouterr().out.split("\t")[1] == str(expected)
