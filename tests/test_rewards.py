"""A reward model whose head only its own code knows: run when the user allows its code, and only then; and how scores rank."""

import json
import urllib.request

import pytest

from conftest import ROOT, TINY, stage
from gen_po_rewards import finite, rank
from lib.inference.requests import Score

# The imports and the output of RLHFlow/ArmoRM-Llama3-8B-v0.1's modeling_custom.py under another name, with a head that counts tokens: the score is
# the share of tokens "9" among the answer's, so that the test knows the right order.
CODE = """
from dataclasses import dataclass
from typing import Optional
import torch
from torch import nn
from transformers import LlamaModel, LlamaPreTrainedModel
from transformers.models.llama.modeling_llama import LLAMA_INPUTS_DOCSTRING
from transformers.utils import ModelOutput, add_start_docstrings_to_model_forward

@dataclass
class CustomOutput(ModelOutput):
    rewards: Optional[torch.FloatTensor] = None
    score: Optional[torch.FloatTensor] = None
    logits: Optional[torch.FloatTensor] = None

class LlamaForJudging(LlamaPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.model = LlamaModel(config)
        self.regression_layer = nn.Linear(config.hidden_size, 19, bias=False)
        self.post_init()

    @add_start_docstrings_to_model_forward(LLAMA_INPUTS_DOCSTRING)
    def forward(self, input_ids=None, attention_mask=None, **kwargs):
        hidden = self.model(input_ids, attention_mask=attention_mask)[0]
        score = (input_ids == NINE).float().mean(1)
        return CustomOutput(rewards=self.regression_layer(hidden[:, -1]), score=score, logits=-score[:, None].repeat(1, 19))
"""


@pytest.fixture(scope="module")
def armo_shaped(tmp_path_factory):
    from transformers import AutoTokenizer, LlamaConfig, LlamaForSequenceClassification

    folder = tmp_path_factory.mktemp("models") / "armo-shaped"
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=512,
    )
    whole = LlamaForSequenceClassification(config)
    whole.save_pretrained(folder)
    facts = json.loads((folder / "config.json").read_text())
    facts["auto_map"] = {"AutoModelForSequenceClassification": "modeling_custom.LlamaForJudging"}
    (folder / "config.json").write_text(json.dumps(facts))
    nine = tokenizer.encode("9", add_special_tokens=False)[-1]
    (folder / "modeling_custom.py").write_text(CODE.replace("NINE", str(nine)))
    return folder


def test_its_code_is_not_run_unless_the_user_says_so_and_then_its_own_score_ranks(
    armo_shaped, tmp_path
):
    import gen_po_rewards
    from lib.errors import UserError
    from lib.inference.backends import Where

    rows = [
        {
            "instruction": "What is 3 * 3?",
            "responses": ["1 1 1", "9 9 9", "9 1 1"],
            "finish_reasons": ["stop", "length", "stop"],
        }
    ]
    (tmp_path / "in.json").write_text(json.dumps(rows))
    files = {"ins_data_path": str(tmp_path / "in.json"), "save_path": str(tmp_path / "out.json")}
    with pytest.raises(UserError, match="--trust_remote_code allows that"):
        gen_po_rewards.main(str(armo_shaped), **files)
    gen_po_rewards.main(str(armo_shaped), **files, where=Where(trust_remote_code=True))
    (row,) = json.loads((tmp_path / "out.json").read_text())
    assert row["responses"] == ["9 9 9", "9 1 1", "1 1 1"] and row["finish_reasons"] == [
        "length",
        "stop",
        "stop",
    ]


def test_it_answers_vllms_classify_protocol(armo_shaped):
    import socket
    import threading
    import time

    from lib import models
    from lib.inference import requests, reward_engine
    from lib.inference.backends import Where

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    shaped = models.Model(
        path=str(armo_shaped), runner="transformers", dtype="float32", max_model_len=64, gpu=False
    )
    threading.Thread(target=reward_engine.serve, args=(shaped, port, True), daemon=True).start()
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health")
            break
        except OSError:
            time.sleep(0.1)
    loaded = Where(engine="openai", base_url=f"http://127.0.0.1:{port}/v1").load(shaped)
    chat = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "9 9 9"}]
    far = [{"role": "user", "content": "x " * 200}, {"role": "assistant", "content": "9"}]
    loaded.submit(requests.Request(0, [chat]))
    loaded.submit(requests.Request(1, [far]))
    replies = {}
    while loaded.pending:
        replies |= {r.key: r for r in loaded.poll()}
    assert replies[0].scores[0].value > 0 and replies[1].scores == (Score(None, "too long"),)


def test_an_address_without_the_openai_engine_is_refused_before_anything_is_read(tmp_path):
    result = stage("gen_po_rewards", "--model_name_or_path", TINY, "--ins_data_path", ROOT / "README.md", "--save_path",
                   tmp_path / "o.json", "--base_url", "http://x/v1")  # fmt: skip
    assert result.returncode == 2 and "--base_url goes with --engine openai" in result.stderr


TOO_LONG = Score(None, "too long")


@pytest.mark.parametrize(
    "values, order, shown",
    [
        pytest.param((0.1, 0.3, 0.2), "bca", [0.3, 0.2, 0.1], id="best first"),
        pytest.param((1.0, 1.0, 1.0), "abc", [1.0] * 3, id="ties keep their order"),
        pytest.param((-3.0, -1.0, -2.0), "bca", [-1.0, -2.0, -3.0], id="negative scores"),
        pytest.param((None, -3.0, 0.0), "cba", [0.0, -3.0, None], id="without a score it is last"),
        pytest.param((None, 1.0, None), "bac", [1.0, None, None], id="in their order"),
        pytest.param((float("nan"), 1.0, 2.0), "cba", [2.0, 1.0, None], id="no number, no score"),
        pytest.param((1.0, float("inf"), 2.0), "cab", [2.0, 1.0, None], id="nor an infinite one"),
    ],
)
def test_responses_are_ranked_with_all_that_belongs_to_them(values, order, shown):
    row = {"responses": list("abc"), "finish_reasons": list("abc"), "n": 1}
    scores = [TOO_LONG if value is None else finite(Score(value)) for value in values]
    ranked_row, why = rank(row, scores)
    assert why is None and ranked_row["n"] == 1
    assert ranked_row["responses"] == ranked_row["finish_reasons"] == list(order)
    assert ranked_row["scores"] == shown
    reasons = {"abc".index(letter): scores["abc".index(letter)].reason for letter in order}
    missing = [reason for reason in reasons.values() if reason]
    assert ranked_row.get("unscored", []) == missing


def test_a_row_without_a_scored_response_is_dropped_with_the_reason():
    row = {"instruction": "?", "responses": ["a", "b"]}
    assert rank(row, [TOO_LONG, TOO_LONG]) == (row, "too long")
    assert rank(row, [finite(Score(float("nan")))] * 2) == (row, "score is not a number")


def test_no_scored_row_at_all_is_an_error(armo_shaped, tmp_path):
    import gen_po_rewards
    from lib.errors import UserError
    from lib.inference.backends import Where

    rows = [{"instruction": "?", "responses": ["far " * 600] * 2}] * 2
    (tmp_path / "in.json").write_text(json.dumps(rows))
    with pytest.raises(UserError, match="no row is left: 2 dropped .2 too long.; nothing is writ"):
        gen_po_rewards.main(
            str(armo_shaped),
            str(tmp_path / "in.json"),
            str(tmp_path / "out.json"),
            where=Where(trust_remote_code=True),
        )
    assert not (tmp_path / "out.json").exists()
