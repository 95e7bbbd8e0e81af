"""Reward models whose head this project computes: against an independent computation, and what they refuse."""

import base64
import json
import re
import shutil

import numpy as np
import pytest

import shaped_models
from conftest import TINY_RM, stage
from lib import chat, models
from lib.errors import UserError
from lib.inference import reward_engine, reward_heads, served_scores
from lib.inference.prompts import Prompts
from lib.inference.requests import Score, user_turn
from lib.inference.served_model import ServedModel
from lib.inference.server_dialects import TokenIds
from lib.inference.server_faults import RowFault
from lib.inference.vllm_plugin import tiding_reward_models

HEADER = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
PROBLEMS = {
    "What is 3 + 4?": ["7", "It is 7.", "So 3 + 4 = \\boxed{7}.\n\nThat is all.", "я не знаю"],
    "Find x.": [f"x = 1{HEADER}x = 2", "<|eot_id|>", "x <|begin_of_text|> = <|end_header_id|>"],
    f"Say {HEADER} twice. " * 3: ["No.", "1 2 3 4 5 6 7 8 9 " * 40, HEADER],
}


@pytest.fixture(scope="module")
def armorm(tmp_path_factory, test_data):
    return shaped_models.armorm(tmp_path_factory.mktemp("models") / "armorm", test_data)


class Reference:
    """ArmoRM straight from the arithmetic of its modeling_custom.py, by transformers and torch."""

    def __init__(self, folder):
        from safetensors.torch import load_file
        from transformers import AutoTokenizer, LlamaConfig, LlamaModel

        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.tensors = load_file(folder / "model.safetensors")
        facts = json.loads((folder / "config.json").read_text())
        self.llama = LlamaModel(LlamaConfig.from_dict(facts)).eval()
        backbone = {
            name.removeprefix("model."): tensor
            for name, tensor in self.tensors.items()
            if name.startswith("model.")
        }
        self.llama.load_state_dict(backbone)

    def token_ids(self, problem: str, answer: str) -> list[int]:
        """The prompt as the template renders it, the answer, the end of the turn.

        What reads like a special token in the problem or the answer is cut behind its first
        character, so that it is mere text.
        """
        special_tokens = "|".join(map(re.escape, self.tokenizer.all_special_tokens))

        def with_cuts(text: str) -> str:
            return re.sub(special_tokens, lambda token: f"<\0{token[0][1:]}", text)

        prompt = self.tokenizer.apply_chat_template(
            user_turn(with_cuts(problem)),
            add_generation_prompt=True,
            tokenize=False,
            date_string="26 Jul 2024",
        )
        ids = []
        for piece in f"{prompt}{with_cuts(answer.strip())}".split("\0"):
            ids += self.tokenizer.encode(piece, add_special_tokens=False)
        return [*ids, self.tokenizer.convert_tokens_to_ids("<|eot_id|>")]

    def score(self, problem: str, answer: str) -> float:
        import torch
        from torch.nn import functional

        ids = self.token_ids(problem, answer)
        with torch.inference_mode():
            states = self.llama(torch.tensor([ids])).last_hidden_state[0]
        pattern = self.tokenizer.encode(HEADER, add_special_tokens=False)
        gate_position = max(
            position
            for position in range(len(ids))
            if ids[position : position + len(pattern)] == pattern
        )
        rewards = self.tensors["regression_layer.weight"] @ states[-1]
        x = states[gate_position]
        for number in range(4):
            weight = self.tensors[f"gating.layers.{number}.weight"]
            x = functional.linear(x, weight, self.tensors[f"gating.layers.{number}.bias"])
            x = functional.relu(x) if number < 3 else x
        gating_output = functional.softmax(x / 10, dim=0) * self.tensors["gating.logit_scale"][0]
        adjusted = rewards @ self.tensors["reward_transform_matrix"]
        return float((gating_output * adjusted).sum())


@pytest.mark.slow
def test_the_command_as_typed_ranks_by_armorms_own_arithmetic_without_its_code(armorm, tmp_path):
    rows = [
        {"instruction": problem, "responses": answers, "finish_reasons": ["stop"] * len(answers)}
        for problem, answers in PROBLEMS.items()
    ]
    far = "far " * 1100  # of a context of 1,024
    rows[0]["responses"].insert(1, far)
    rows[0]["finish_reasons"].insert(1, "length")
    rows.append({"instruction": "Why?", "responses": [far, far], "finish_reasons": ["stop"] * 2})
    (tmp_path / "in.json").write_text(json.dumps(rows))
    run = stage("gen_po_rewards", "--model_name_or_path", armorm, "--ins_data_path", "in.json",
                "--save_path", "out.json", cwd=tmp_path)  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    assert "3 rows, 1 dropped (1 too long)" in run.stderr
    reference = Reference(armorm)
    ranked = json.loads((tmp_path / "out.json").read_text())
    for row in ranked:
        scored = [score for score in row["scores"] if score is not None]
        assert scored == sorted(scored, reverse=True) and len(set(scored)) == len(scored)
        for answer, score in zip(row["responses"], scored, strict=False):
            assert score == pytest.approx(reference.score(row["instruction"], answer), abs=1e-4)
    first, *others = ranked
    assert first["responses"][-1] == far and first["scores"][-1] is None
    assert first["unscored"] == ["too long"] and first["finish_reasons"][-1] == "length"
    assert not any("unscored" in row for row in others)


@pytest.fixture(scope="module")
def head(armorm) -> reward_heads.ScoringHead:
    return reward_heads.load(models.find(str(armorm)))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("It is 7.", id="ordinary"),
        pytest.param("  It is 7.\n", id="white space that the template trims"),
        pytest.param(f"7{HEADER}8", id="the pattern that marks the gate"),
        pytest.param("<|eot_id|>", id="nothing but the end of a turn"),
        pytest.param("zqassistantzq <|eot_id|>", id="the word that stands in for an answer"),
    ],
)
def test_an_answer_is_mere_text_whatever_it_holds(answer, armorm, head):
    tokenizer = chat.load_tokenizer(str(armorm))
    chat_ids = head.token_ids([*user_turn("3 + 4?"), {"role": "assistant", "content": answer}])
    prompt = chat.render(tokenizer, user_turn("3 + 4?"))
    prompt_ids = tokenizer.encode(prompt, add_special_tokens=False)
    assert chat_ids[: len(prompt_ids)] == prompt_ids and chat_ids[-1] == head.end_of_turn_id
    answer_ids = chat_ids[len(prompt_ids) : -1]
    assert tokenizer.decode(answer_ids) == answer.strip()
    assert not set(answer_ids) & set(tokenizer.added_tokens_decoder)


def test_the_gate_is_computed_once_a_problem(head, monkeypatch):
    gates = []
    real = head.head.coefficients

    def counted(prompt_state):
        gates.append(prompt_state)
        return real(prompt_state)

    monkeypatch.setattr(head.head, "coefficients", counted)
    states = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)
    scores = head.scores([None, *[states] * 6])
    assert len(gates) == 1 and scores[0] == Score(None, "too long")
    assert len({score.value for score in scores[1:]}) == 1


def test_two_layers_on_the_answers_state_are_a_family_too():
    rng = np.random.default_rng(0)
    weights = {
        "score.0.weight": rng.normal(size=(4, 4)),
        "score.0.bias": rng.normal(size=4),
        "score.2.weight": rng.normal(size=(1, 4)),
        "score.2.bias": rng.normal(size=1),
    }
    states = rng.normal(size=(2, 4))
    hidden = weights["score.0.weight"] @ states[-1] + weights["score.0.bias"]
    expected = weights["score.2.weight"][0] @ np.where(hidden > 0, hidden, 0)
    expected += weights["score.2.bias"][0]
    (score,) = reward_heads.TwoLayers(weights, {}).scores([states])
    assert score == pytest.approx(expected)


def test_every_head_has_its_backbone_in_vllm_and_the_other_way_round():
    assert reward_heads.HEADS.keys() == tiding_reward_models.BACKBONES.keys()


@pytest.mark.parametrize("dtype, error", [("float32", 0), ("float16", 1e-3), ("bfloat16", 1e-2)])
def test_a_head_is_read_from_shards_in_any_number_format(dtype, error, armorm, head, tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    whole = load_file(armorm / "model.safetensors")
    tensors = {
        name: tensor.to(getattr(torch, dtype))
        for name, tensor in whole.items()
        if "model." not in name
    }
    placed = {}
    for number, name in enumerate(sorted(tensors)):
        placed[name] = f"model-{number % 2}.safetensors"
    for file_name in set(placed.values()):
        part = {name: tensors[name] for name, place in placed.items() if place == file_name}
        save_file(part, tmp_path / file_name)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": placed}))
    for file_path in armorm.glob("*.j*"):
        shutil.copy(file_path, tmp_path)
    sharded = reward_heads.load(models.find(str(tmp_path)))
    state = np.ones(64, np.float32)
    difference = sharded.head.coefficients(state) - head.head.coefficients(state)
    assert np.abs(difference).max() <= error


def without_end_of_turn(folder):
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(text.replace("<|eot_id|>", "<|gone|>"))
    facts = (folder / "tokenizer_config.json").read_text()
    (folder / "tokenizer_config.json").write_text(facts.replace("<|eot_id|>", "<|gone|>"))


def with_another_template(folder):
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.content }}{% endfor %}"
    )


def without_the_gate(folder):
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["gating.layers.2.bias"]
    save_file(tensors, folder / "model.safetensors")


def with_torn_weights(folder):
    (folder / "model.safetensors").write_bytes(b"torn")


def without_weights(folder):
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize(
    "spoil, says",
    [
        pytest.param(without_end_of_turn, "its tokenizer has no <.eot_id.>, which", id="no token"),
        pytest.param(with_another_template, "does not end each turn in <.eot_id.>", id="template"),
        pytest.param(without_the_gate, "lack 'gating.layers.2.bias' of the head", id="a tensor"),
        pytest.param(with_torn_weights, "model.safetensors: torn, or", id="torn"),
        pytest.param(without_weights, "no model.safetensors, from which", id="no weights"),
    ],
)
def test_what_a_head_cannot_be_read_from_is_one_line(spoil, says, armorm, tmp_path):
    folder = tmp_path / "spoilt"
    shutil.copytree(armorm, folder)
    spoil(folder)
    with pytest.raises(UserError, match=says):
        reward_heads.load(models.find(str(folder)))


OWN_CODE = {"AutoModelForSequenceClassification": "modeling_custom.Judge"}


@pytest.mark.parametrize(
    "config, runner",
    [
        pytest.param(
            {"architectures": ["Qwen3ForSequenceClassification"]}, "pooling", id="classifier"
        ),
        pytest.param(
            {"architectures": ["LlamaForRewardModelWithGating"], "auto_map": OWN_CODE},
            "pooling",
            id="a head of ours, though it brings code of its own",
        ),
        pytest.param(
            {"architectures": ["Judge"], "auto_map": OWN_CODE}, "transformers", id="own code"
        ),
        pytest.param(
            {"architectures": ["Qwen3ForCausalLM"]}, "names Qwen3ForCausalLM, no", id="a writer"
        ),
        pytest.param({}, "names no architecture, no reward model", id="nothing"),
    ],
)
def test_how_a_reward_model_runs_is_read_from_its_config(config, runner, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = models.find(str(tmp_path))
    if " " in runner:
        with pytest.raises(UserError, match=runner):
            reward_engine.with_runner(model, trust_remote_code=True)
        return
    assert reward_engine.with_runner(model, trust_remote_code=True).runner == runner
    if runner == "transformers":
        with pytest.raises(UserError, match="--trust_remote_code allows that"):
            reward_engine.with_runner(model)


def test_scores_are_as_exact_as_the_weights_are_stored(tmp_path):
    for stored, runs_in in (("float32", "float32"), ("bfloat16", "auto")):
        config = {"architectures": ["Qwen3ForSequenceClassification"], "dtype": stored}
        (tmp_path / "config.json").write_text(json.dumps(config))
        assert reward_engine.with_runner(models.find(str(tmp_path))).dtype == runs_in


def chats_with(*answers: str) -> list[list[dict]]:
    return [[*user_turn("3 + 4?"), {"role": "assistant", "content": answer}] for answer in answers]


def test_a_server_is_asked_for_states_and_the_one_answer_that_does_not_fit_costs_itself(
    armorm, head
):
    model = models.find(str(armorm))
    served = ServedModel("armorm", make="vllm")
    scoring = served_scores.of(model, served, TokenIds("armorm", head.prompts))
    (chat_,) = chats_with("It is 7.")
    question = scoring.question(chat_)
    assert question.path == "/pooling" and question.body["input"] == head.token_ids(chat_)
    states = np.random.default_rng(0).normal(size=(3, 64)).astype("<f4")
    sent = {"data": [{"data": base64.b64encode(states.tobytes()).decode()}]}
    read = scoring.read(sent)
    (expected,) = head.scores([states])
    scores = scoring.scores([read, RowFault("too long"), read])
    assert scores == (expected, Score(None, "too long"), expected)


def test_a_server_of_a_classifier_is_asked_for_raw_logits():
    model = models.find(str(TINY_RM))
    served = ServedModel("tiny-rm", make="vllm")
    scoring = served_scores.of(model, served, TokenIds("tiny-rm", Prompts(model)))
    (chat_,) = chats_with("7")
    question = scoring.question(chat_)
    assert question.path == "/classify" and question.body["use_activation"] is False
    read = scoring.read({"data": [{"probs": [-1.5]}]})
    assert scoring.scores([read, RowFault("too long")]) == (Score(-1.5), Score(None, "too long"))
