"""Preference pairs and DPO: what may be chosen and rejected, and the real trainer stopped, resumed and compared between backends."""

import json
from pathlib import Path

import pytest

import dpo
import prep_pairs
from conftest import ROOT, TINY, release_locks, stage
from lib import cli
from lib.errors import UserError
from lib.training import train_log

LIMITS = prep_pairs.Limits(min_margin=0.5)


def row(*responses: tuple[str, str, float], agreement: float = 0.6, scored: bool = True) -> dict:
    """A majority-voted row of (text, mark, score) responses."""
    texts, marks, scores = (list(column) for column in zip(*responses, strict=True))
    made = {
        "instruction": "1 + 1?",
        "responses": texts,
        "marks": marks,
        "answer": "2",
        "agreement": agreement,
    }
    return made | ({"scores": scores} if scored else {})


GOOD, OTHER, BAD, LONG = "It is 2.", "So it is 2.", "It is 3.", "It is 3. " * 20
PAIRS = [
    pytest.param(row((BAD, "wrong", 9.0), (GOOD, "right", 5.0)), None, "small margin", id="never wrong over right, though it scores more"),
    pytest.param(row((GOOD, "right", 5.0), (BAD, "wrong", 1.0)), (GOOD, BAD), None, id="right over wrong"),
    pytest.param(row((GOOD, "right", 1.0), (OTHER, "right", 5.0), (BAD, "wrong", 0.0)), (OTHER, BAD), None, id="the best right one"),
    pytest.param(row((GOOD, "right", 5.0), (BAD, "wrong", 1.0), ("No.", "wrong", 2.0)), (GOOD, BAD), None, id="over the worst"),
    pytest.param(row((GOOD, "right", 5.0), ("?", "no answer", 1.0), agreement=0.5), None, "lengths apart", id="lengths apart"),
    pytest.param(row((GOOD, "right", 5.0), (LONG, "wrong", 1.0)), None, "lengths apart", id="a loop is not what to tell apart"),
    pytest.param(row((GOOD, "right", 5.0), (LONG, "truncated", 1.0)), None, "nothing to reject", id="truncated is not rejected"),
    pytest.param(row((LONG, "truncated", 9.0), (GOOD, "right", 5.0), (BAD, "wrong", 1.0)), (GOOD, BAD), None, id="nor ever chosen"),
    pytest.param(row((GOOD, "right", 5.0), (OTHER, "right", 1.0)), (GOOD, OTHER), None, id="where all are right the score speaks"),
    pytest.param(row((GOOD, "right", 5.0), (f" {GOOD}\n", "right", 1.0)), None, "nothing to reject", id="never identical"),
    pytest.param(row((GOOD, "right", 5.0), (OTHER, "right", 4.8)), None, "small margin", id="too close to call"),
    pytest.param(row((GOOD, "right", 5.0), (BAD, "wrong", 1.0), agreement=0.4), None, "little agreement", id="who knows the answer"),
    pytest.param(row((GOOD, "right", 5.0), (BAD, "wrong", float("nan"))), None, "score is not a number", id="no score at all"),
    pytest.param(row((GOOD, "right", 5.0), (BAD, "wrong", None)), None, "nothing to reject", id="too long to be scored is not rejected"),
    pytest.param(row((BAD, "wrong", 1.0), (OTHER, "right", 5.0), (GOOD, "right", None)), (OTHER, BAD), None, id="nor chosen"),
    pytest.param(row((BAD, "wrong", 1.0), (GOOD, "right", None)), None, "no right response", id="even if it alone is right"),
    pytest.param(row((GOOD, "right", 0), (BAD, "wrong", 0), scored=False), (GOOD, BAD), None, id="without scores right over wrong"),
    pytest.param(row((GOOD, "right", 0), (OTHER, "right", 0), scored=False), None, "nothing to reject", id="and nothing else"),
]  # fmt: skip


@pytest.mark.parametrize("given, chosen_rejected, why", PAIRS)
def test_a_pair_is_right_over_wrong_apart_in_score_and_alike_in_length(given, chosen_rejected, why):
    made, dropped = prep_pairs.make_pair(given, LIMITS)
    assert dropped == why
    if chosen_rejected:
        assert (made["chosen"][0]["content"], made["rejected"][0]["content"]) == chosen_rejected


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    """Pairs made by the real stage of worked and made-up answers to procedural problems."""
    folder = tmp_path_factory.mktemp("pairs")
    assert (
        stage("prep_tiny", "--num_examples", 24, "--save_path", folder / "t.json").returncode == 0
    )
    voted = [
        row(
            (f"{r['solution']} The answer is \\boxed{{{r['answer']}}}.", "right", 3.0),
            ("The answer is \\boxed{0}.", "wrong", 1.0),
        )
        | {"instruction": r["question"]}
        for r in json.loads((folder / "t.json").read_bytes())
    ]
    (folder / "v.jsonl").write_text("".join(json.dumps(r) + "\n" for r in voted))
    made = stage(
        "prep_pairs",
        "--voted_paths",
        folder / "v.jsonl",
        "--max_length_ratio",
        20,
        "--save_path",
        folder / "p.jsonl",
    )
    assert made.returncode == 0 and "right over wrong" in made.stdout, made.stderr
    return folder / "p.jsonl"


FLAGS = ["--model_path", TINY, "--learning_rate", "1e-3", "--batch_size", 4, "--gradient_accumulation", 1, "--max_length", 512,
         "--lora_rank", 8, "--lora_alpha", 16]  # fmt: skip


def here(*flags: object) -> None:
    """As `stage("dpo", …)`, in this process: what plain TRL needs is imported once."""
    dpo.main(**cli.parse(dpo.main, [str(flag) for flag in (*FLAGS, *flags)]))


@pytest.mark.slow
def test_dpo_beside_a_reference_adapter_resumes_as_if_it_had_never_stopped(
    pairs, tmp_path, monkeypatch
):
    def train(name: str) -> None:
        here(
            "--data_path",
            pairs,
            "--save_path",
            tmp_path / name,
            "--backend",
            "hf",
            "--save_steps",
            2,
        )

    def losses(name: str) -> list[tuple[int, float]]:
        return [(step["step"], step["loss"]) for step in train_log.read(tmp_path / name)]

    train("quiet")
    real = train_log.callback

    def fake_kill(*arguments):
        callback = real(*arguments)
        real_on_log = callback.on_log

        def on_log(args, state, control, **more):
            real_on_log(args, state, control, **more)
            if state.global_step == 3:
                raise KeyboardInterrupt

        callback.on_log = on_log
        return callback

    monkeypatch.setattr(train_log, "callback", fake_kill)
    with pytest.raises(KeyboardInterrupt):
        train("stopped")
    release_locks(tmp_path)
    monkeypatch.setattr(train_log, "callback", real)
    assert (tmp_path / "stopped.part/checkpoint-2/ref").is_dir(), "the case of two adapters"
    train("stopped")
    assert losses("stopped") == losses("quiet") and len(losses("quiet")) == 6
    assert (
        not (tmp_path / "quiet/ref").exists()
        and (tmp_path / "quiet/adapter_model.safetensors").exists()
    )
    by_unsloth = stage(
        "dpo",
        *FLAGS,
        "--data_path",
        pairs,
        "--save_path",
        tmp_path / "unsloth",
        "--backend",
        "unsloth",
    )
    assert by_unsloth.returncode == 0, by_unsloth.stderr
    for (_, a), (_, b) in zip(losses("unsloth"), losses("quiet"), strict=True):
        assert a == pytest.approx(b, rel=1e-2)
    assert losses("quiet")[-1][1] < losses("quiet")[0][1]


@pytest.mark.parametrize(
    "line, says",
    [
        pytest.param(
            '{"prompt": "?", "chosen": "a"}', "p.jsonl:1: no key 'rejected'", id="half a pair"
        ),
        pytest.param(
            '{"prompt": "?", "chosen": "a", "rejected": "a"}',
            "p.jsonl:1: chosen and rejected are the same",
            id="no pair",
        ),
        pytest.param(
            '{"prompt": "?", "chosen": [{"role": "user", "content": "a"}], "rejected": "b"}',
            "p.jsonl:1",
            id="who says it",
        ),
        pytest.param(
            '{"prompt": "?", "chosen": "' + "a " * 600 + '", "rejected": "b"}',
            "every pair is longer",
            id="too long",
        ),
    ],
)
def test_a_bad_pair_is_one_line_before_a_model_loads(line, says, tmp_path, monkeypatch):
    (tmp_path / "p.jsonl").write_text(line + "\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=says):
        here("--data_path", "p.jsonl", "--save_path", "m", "--backend", "hf")
    assert not (tmp_path / "m.part").exists()


def test_the_shipped_configs_are_for_the_stage():
    for config in (ROOT / "configs/dpo").glob("*.yaml"):
        cli.parse(
            dpo.main,
            ["--config", str(config), "--model_path", "m", "--data_path", "d", "--save_path", "s"],
        )
