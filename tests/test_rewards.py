"""A reward model whose head only its own code knows, shaped as ArmoRM is: run when the user allows its code, and only then."""

import json
import urllib.request

import pytest

from conftest import ROOT, TINY, stage
from gen_po_rewards import rank

# The imports and the output of RLHFlow/ArmoRM-Llama3-8B-v0.1's modeling_custom.py, with a head that counts tokens: the score is
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

class LlamaForRewardModelWithGating(LlamaPreTrainedModel):
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
    )
    whole = LlamaForSequenceClassification(config)
    whole.save_pretrained(folder)
    facts = json.loads((folder / "config.json").read_text())
    facts["auto_map"] = {
        "AutoModelForSequenceClassification": "modeling_custom.LlamaForRewardModelWithGating"
    }
    (folder / "config.json").write_text(json.dumps(facts))
    nine = tokenizer.encode("9", add_special_tokens=False)[-1]
    (folder / "modeling_custom.py").write_text(CODE.replace("NINE", str(nine)))
    return folder


def test_its_code_is_not_run_unless_the_user_says_so_and_then_its_own_score_ranks(
    armo_shaped, tmp_path, monkeypatch, capsys
):
    import gen_po_rewards
    from lib import models
    from lib.errors import UserError
    from lib.inference.backends import Where

    known = models.find
    shaped = models.Model(
        path=str(armo_shaped), runner="transformers", dtype="float32", max_model_len=512, gpu=False
    )
    monkeypatch.setattr(models, "find", lambda name: shaped if name == "armo" else known(name))
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
        gen_po_rewards.main("armo", **files)
    gen_po_rewards.main("armo", **files, where=Where(trust_remote_code=True))
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
    assert replies[0].scores[0] > 0 and replies[1].refused == "too long"


def test_an_address_without_the_openai_engine_is_refused_before_anything_is_read(tmp_path):
    result = stage("gen_po_rewards", "--model_name_or_path", TINY, "--ins_data_path", ROOT / "README.md", "--save_path",
                   tmp_path / "o.json", "--base_url", "http://x/v1")  # fmt: skip
    assert result.returncode == 2 and "--base_url goes with --engine openai" in result.stderr


@pytest.mark.parametrize(
    "scores, order",
    [
        pytest.param((0.1, 0.3, 0.2), ["b", "c", "a"], id="best first"),
        pytest.param((1.0, 1.0, 1.0), ["a", "b", "c"], id="ties keep their order"),
        pytest.param((-3.0, -1.0, -2.0), ["b", "c", "a"], id="negative scores"),
    ],
)
def test_responses_are_ranked_with_all_that_belongs_to_them(scores, order):
    row = rank({"responses": ["a", "b", "c"], "finish_reasons": ["a", "b", "c"], "n": 1}, scores)
    assert row["responses"] == row["finish_reasons"] == order and row["scores"] == sorted(
        scores, reverse=True
    )
