"""Training on the real model: adapters and all weights, by unsloth and plain TRL, killed, resumed, exported and served."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import export_model
import grpo
import sft
from conftest import ROOT, TINY, stage
from lib import chat, cli, models, output_folder
from lib.errors import UserError
from lib.grading import formats
from lib.training import collapse, conversations, loop, policy, train_log

FLAGS = ["--model_path", TINY, "--learning_rate", "1e-3", "--lora_rank", 8, "--lora_alpha", 16, "--batch_size", 4,
         "--gradient_accumulation", 1, "--max_length", 512]  # fmt: skip


@pytest.fixture(scope="module")
def worked(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("sft") / "train.json"
    assert stage("prep_tiny", "--num_examples", 128, "--save_path", path).returncode == 0
    return path


@pytest.fixture(scope="module")
def quiet(worked, tmp_path_factory) -> Path:
    """The adapter of an undisturbed training by unsloth."""
    out = tmp_path_factory.mktemp("quiet") / "adapter"
    run = stage(
        "sft",
        *FLAGS,
        "--data_path",
        worked,
        "--format",
        "boxed",
        "--save_path",
        out,
        "--save_steps",
        4,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == "", "data and nothing else goes to stdout"
    return out


def here(module, *flags: object) -> None:
    """As `stage`, in this process: what plain TRL needs is imported once for all of these tests."""
    module.main(**cli.parse(module.main, list(map(str, flags))))


def flags_of(**values: object) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items()]


def losses(folder: Path) -> list[tuple[int, float]]:
    return [(step["step"], step["loss"]) for step in train_log.read(folder)]


def half_written(part: Path) -> list[Path]:
    return [c for c in part.glob("checkpoint-*") if not (c / output_folder.COMPLETE).exists()]


KILLS = int(os.environ.get("KILLS", 2))  # a restart takes 8 s: KILLS=20 is for an evening


def test_killed_while_training_and_while_saving_it_ends_with_the_losses_of_a_quiet_run(
    worked, quiet, tmp_path
):
    command = [sys.executable, ROOT / "exp/sft.py", *FLAGS, "--data_path", worked, "--format", "boxed", "--save_path", tmp_path / "adapter",
               "--save_steps", 4]  # fmt: skip
    command, rng = list(map(str, command)), random.Random(0)
    part, torn = tmp_path / "adapter.part", 0
    for number in range(
        KILLS
    ):  # by turns in the middle of a step, and while a checkpoint is being written
        goal = 5 + 24 * number // KILLS
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while process.poll() is None and max([s for s, _ in losses(part)] or [0]) < goal:
            time.sleep(0.005)
        if number % 2:
            while process.poll() is None and not half_written(part):
                time.sleep(0.001)
        else:
            time.sleep(rng.random() * 0.05)
        assert process.poll() is None, "it ended before it could be killed"
        process.send_signal(signal.SIGKILL)
        process.wait()
        torn += bool(half_written(part))
    print(f"{KILLS} kills, {torn} of them within a checkpoint")
    assert torn >= KILLS // 4
    last = subprocess.run(command, capture_output=True, text=True)
    assert last.returncode == 0 and "goes on from checkpoint-" in last.stderr, last.stderr
    assert losses(tmp_path / "adapter") == losses(quiet)
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0 and "nothing to do" in again.stderr
    other = subprocess.run([*command, "--seed", "1"], capture_output=True, text=True)
    assert other.returncode == 2 and "seed 0, now 1" in other.stderr


HALVED = """
import resource, sys
sys.path.insert(0, "exp")
from lib.training import policy
load = policy.load
def limited(loading):  # 110 MiB beside the model: 8 sequences fit, 16 do not
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    trained = load(loading)
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 110 * 2**20, resource.RLIM_INFINITY))
    return trained
policy.load = limited
import sft
from lib import cli
cli.run(sft.main)
"""


def test_where_memory_ends_the_batch_is_halved_and_the_steps_are_the_same(worked, tmp_path):
    flags = ["--model_path", TINY, "--data_path", worked, "--format", "boxed", "--num_examples", 64, "--max_length", 512,
             "--learning_rate", "1e-3", "--lora_rank", 8, "--gradient_accumulation", 1, "--batch_size", 16, "--backend", "hf"]  # fmt: skip
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # each thread reserves memory of its own
    command = [
        sys.executable,
        "-c",
        HALVED,
        *map(str, flags),
        "--save_path",
        str(tmp_path / "small"),
    ]
    small = subprocess.run(command, cwd=ROOT, env=one_thread, capture_output=True, text=True)
    assert (
        small.returncode == 0 and "now --batch_size 8 --gradient_accumulation 2" in small.stderr
    ), small.stderr
    here(sft, *flags, "--save_path", tmp_path / "large")
    for (_, a), (_, b) in zip(losses(tmp_path / "small"), losses(tmp_path / "large"), strict=True):
        assert a == pytest.approx(b, rel=1e-3)


def test_a_batch_that_cannot_be_halved_is_a_sentence(tmp_path):
    def fake_start(batch_size: int, gradient_accumulation: int):
        tried.append((batch_size, gradient_accumulation))
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    tried = []
    schedule = loop.Schedule(learning_rate=1e-4, batch_size=12, gradient_accumulation=2)
    folder = output_folder.OutputFolder(str(tmp_path / "m"), "sft", {})
    with pytest.raises(UserError, match="--batch_size 3, which cannot be halved"):
        loop.run(folder, schedule, fake_start, dict)
    assert tried == [(12, 2), (6, 4), (3, 8)]


def test_a_half_written_checkpoint_is_removed_and_never_resumed_from(tmp_path):
    folder = output_folder.OutputFolder(str(tmp_path / "m"), "sft", {})
    for number, whole in ((4, True), (8, True), (12, False)):
        checkpoint = tmp_path / f"m.part/checkpoint-{number}"
        checkpoint.mkdir(parents=True)
        (checkpoint / "model.safetensors").write_bytes(b"x")
        if whole:
            output_folder.mark_complete(checkpoint)
    (tmp_path / "m.part/settings.json").write_text('{"stage": "sft"}')
    folder.open()
    assert (
        folder.checkpoint().name == "checkpoint-8"
        and not (tmp_path / "m.part/checkpoint-12").exists()
    )


def test_plain_trl_learns_what_unsloth_learns(worked, quiet, tmp_path):
    here(
        sft,
        *FLAGS,
        "--data_path",
        worked,
        "--format",
        "boxed",
        "--save_path",
        tmp_path / "hf",
        "--backend",
        "hf",
    )
    for (_, a), (_, b) in zip(losses(tmp_path / "hf"), losses(quiet), strict=True):
        assert a == pytest.approx(b, rel=1e-2)


def test_the_merge_says_what_the_adapter_says_and_vllm_serves_it(quiet, tmp_path):
    merged = tmp_path / "merged"
    run = stage(
        "export_model", "--model_path", TINY, "--adapter_path", quiet, "--save_path", merged
    )
    assert run.returncode == 0, run.stderr
    proof = json.loads((merged / "merge_proof.json").read_bytes())
    assert proof["token_agreement"] >= 0.99 and proof["tokens"] > 300
    assert "learning_rate | 0.001" in (merged / "README.md").read_text()
    served = stage(
        "eval_tiny",
        "--model_path",
        merged,
        "--save_path",
        tmp_path / "e.json",
        "--num_problems",
        12,
        "--max_tokens",
        64,
    )
    assert (
        served.returncode == 0
        and json.loads((tmp_path / "e.json").read_bytes())["results"]["total_responses"] == 12
    )


def test_a_zero_adapter_is_refused(quiet, tmp_path):
    from safetensors.torch import load_file, save_file

    zero = tmp_path / "zero"
    zero.mkdir()
    weights = load_file(quiet / "adapter_model.safetensors")
    save_file(
        {k: v * ("lora_B" not in k) for k, v in weights.items()}, zero / "adapter_model.safetensors"
    )
    (zero / "adapter_config.json").write_bytes((quiet / "adapter_config.json").read_bytes())
    with pytest.raises(UserError, match="every B matrix"):
        here(
            export_model,
            "--model_path",
            TINY,
            "--adapter_path",
            zero,
            "--save_path",
            tmp_path / "merged",
        )
    assert not (tmp_path / "merged").exists()


BAD = [
    pytest.param(
        '{"text": "?"}',
        {},
        "t.jsonl:1: no messages, no instruction and response",
        id="no conversation",
    ),
    pytest.param(
        '{"question": "?", "answer": "2 + 2 = 4\\n#### 4"}',
        {"format": "boxed"},
        "t.jsonl:1: the answer",
        id="a raw GSM8K row",
    ),
    pytest.param(
        '{"question": "?", "answer": ""}', {"format": "boxed"}, "no final answer", id="no answer"
    ),
    pytest.param(
        '{"messages": []}', {}, "t.jsonl:1: 'messages' must be", id="an empty conversation"
    ),
    pytest.param(
        '{"messages": [{"role": "user", "content": "?"}]}',
        {},
        "end with the assistant's",
        id="nobody answers",
    ),
    pytest.param(
        '{"instruction": "?", "response": "!"}',
        {"max_length": 8},
        "longer than --max_length 8",
        id="all too long",
    ),
    pytest.param(
        '{"instruction": "?", "response": "!"}',
        {"stage": "fool"},
        "did you mean 'full'",
        id="no such stage",
    ),
    pytest.param(
        '{"instruction": "?", "response": "!"}',
        {"report_to": "wandb"},
        "pip install wandb",
        id="no such logger here",
    ),
    pytest.param(
        '{"instruction": "?", "response": "!"}',
        {"report_to": "excel"},
        "none, or one of trackio",
        id="no such logger",
    ),
    pytest.param(
        '{"instruction": "?", "response": "!"}',
        {"format": "boxd"},
        "did you mean 'boxed'",
        id="no such format",
    ),
    pytest.param(
        '{"instruction": "?", "response": "!"}',
        {"backend": "hff"},
        "did you mean 'hf'",
        id="no such backend",
    ),
    pytest.param(
        '{"instruction": "?", "response": "!"}',
        {"learning_rate": 0},
        "--learning_rate must be positive",
        id="no rate",
    ),
]


@pytest.mark.parametrize("data, more, says", BAD)
def test_a_bad_input_is_one_line_before_a_model_loads(data, more, says, tmp_path, monkeypatch):
    (tmp_path / "t.jsonl").write_text(data + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(policy, "load", None)
    with pytest.raises(UserError, match=says):
        here(
            sft,
            *flags_of(
                model_path=TINY, data_path="t.jsonl", save_path="m", **{"backend": "hf", **more}
            ),
        )
    assert not (tmp_path / "m").exists()


def test_only_the_assistants_words_and_the_end_of_its_turn_are_learned():
    tokenizer = chat.load_tokenizer(str(TINY))
    talk = [{"role": "system", "content": "s"}, {"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "2."},
            {"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4."}]  # fmt: skip
    ids, labels = conversations.encode(tokenizer, talk)
    assert len(ids) == len(labels)
    assert (
        tokenizer.decode([label for label in labels if label != conversations.IGNORED])
        == "2.<|im_end|>4.<|im_end|>"
    )


@pytest.mark.parametrize("name", ["reasoning", "working_out", "boxed"])
def test_a_worked_problem_is_laid_out_as_its_format_asks(name):
    row = {"question": "1 + 1?", "solution": "1 + 1 = 2.", "answer": "2"}
    messages = conversations.messages_of("t:1", row, formats.find(name))
    assert formats.find(name).fits(messages[-1]["content"])


def test_a_lora_target_that_matches_nothing_is_named():
    lora = policy.Lora(lora_rank=8, lora_targets="k_proj,q_prj")
    loading = policy.Loading(models.find("tiny"), lora, max_length=512, backend="hf")
    with pytest.raises(UserError, match="'q_prj' matches no module; did you mean 'q_proj'"):
        policy.load(loading)


class FakeAdapter:
    """Saves its targets in the order in which peft's set happens to give them."""

    def __init__(self, targets: list[str]):
        self.targets = targets

    def save_pretrained(self, folder: Path, **options: object) -> None:
        config = {"r": 8, "target_modules": self.targets, "loftq_config": {}}
        (folder / "adapter_config.json").write_text(json.dumps(config))


class FakeTokenizer:
    def save_pretrained(self, folder: Path) -> None:
        pass


def test_an_adapter_has_the_same_identity_in_whatever_order_peft_saves_its_targets(tmp_path):
    identities = set()
    for number, targets in enumerate((["q_proj", "k_proj"], ["k_proj", "q_proj"])):
        folder = tmp_path / str(number) / "adapter"
        folder.mkdir(parents=True)
        trained = policy.Policy(FakeAdapter(targets), FakeTokenizer(), is_lora=True)
        policy.save(trained, folder)
        config = json.loads((folder / "adapter_config.json").read_bytes())
        assert config == {"r": 8, "target_modules": ["k_proj", "q_proj"], "loftq_config": {}}
        identities.add(models.identity(models.Model("owner/base", adapter=str(folder))))
    assert len(identities) == 1


def steps(**figures: float) -> list[dict]:
    return [figures] * collapse.WINDOW


COLLAPSES = [
    pytest.param({collapse.MEAN_LENGTH: 2.0}, "it has learned to say nothing", id="short answers"),
    pytest.param(
        {collapse.ZERO_VARIANCE: 1.0}, "nothing is left to learn from", id="groups all alike"
    ),
    pytest.param({"kl": 50.0}, "lower the learning rate", id="KL explosion"),
    pytest.param(
        {collapse.MEAN_LENGTH: 20.0, collapse.ZERO_VARIANCE: 0.5, "kl": 0.1},
        "",
        id="a healthy run",
    ),
]


@pytest.mark.parametrize("figures, says", COLLAPSES)
def test_a_collapse_is_seen_and_said(figures, says):
    bounds = collapse.Bounds()
    reason = bounds.collapse(steps(**figures))
    assert (says in reason) if says else reason == ""
    assert not bounds.collapse(steps(**figures)[1:]), "ten steps must agree"


GRPO = ["--model_path", TINY, "--config", ROOT / "configs/grpo/tiny.yaml", "--max_steps", 2, "--batch_size", 16,
        "--num_examples", 16, "--max_prompt_length", 96, "--max_completion_length", 64]  # fmt: skip


def test_grpo_by_unsloth_and_by_plain_trl_pays_the_same_and_leaves_a_model(worked, tmp_path):
    flags = (*GRPO, "--data_path", worked, "--show_marks")
    run = stage("grpo", *flags, "--save_path", tmp_path / "unsloth", "--backend", "unsloth")
    assert run.returncode == 0 and "reward" in run.stderr and set("✔★✗") & set(run.stderr), (
        run.stderr
    )
    here(grpo, *flags, "--save_path", tmp_path / "hf", "--backend", "hf")
    paid = [
        [step["reward"] for step in train_log.read(tmp_path / backend)]
        for backend in ("unsloth", "hf")
    ]
    assert len(paid[0]) == 2 and paid[0] == pytest.approx(paid[1], abs=1.0)
    assert {
        "completions/mean_length",
        "frac_reward_zero_std",
        "entropy",
        "grad_norm",
    } <= train_log.read(tmp_path / "hf")[0].keys()
    assert (tmp_path / "unsloth/model.safetensors").exists()


@pytest.mark.parametrize(
    "more, says",
    [
        pytest.param(
            {"rewards": "answer=-1"},
            "the rule is right > wrong",
            id="a set that pays the wrong answer",
        ),
        pytest.param({"rewards": "anwser"}, "did you mean 'answer'", id="no such reward"),
        pytest.param({"num_generations": 3}, "not a multiple", id="half a group"),
        pytest.param({"num_generations": 1}, "nothing to be compared with", id="a group of one"),
        pytest.param({"data_path": "nowhere.json"}, "nowhere.json", id="no data"),
        pytest.param({"vllm": "colocated"}, "auto, none, colocate", id="no such sampler"),
        pytest.param({"max_prompt_length": 3}, "every question is longer", id="all too long"),
    ],
)
def test_grpo_refuses_what_cannot_work_before_a_model_loads(
    more, says, worked, tmp_path, monkeypatch
):
    monkeypatch.setattr(policy, "load", None)
    flags = {
        "model_path": TINY,
        "data_path": worked,
        "save_path": tmp_path / "m",
        "backend": "hf",
        "rewards": "answer=1",
    }
    with pytest.raises(UserError, match=says):
        here(grpo, *flags_of(**flags | more))
    assert not list(tmp_path.iterdir())
