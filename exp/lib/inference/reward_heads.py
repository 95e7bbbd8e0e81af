"""Reward models whose head this project computes itself, so that none of their code has to run.

vLLM runs the backbone and returns the hidden state of every token that ends a turn (its task
`token_embed` with STEP pooling). The head is small: it is read from the checkpoint and computed
here, in float32 and with numpy, so that a client of a server needs no torch.

A further family is a class like those below, its architecture in HEADS, and its backbone in
vllm_plugin/.
"""

import json
import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from lib import rows
from lib.errors import UserError, one_line
from lib.inference import weights
from lib.inference.prompts import Prompts
from lib.inference.requests import TOO_LONG, Score
from lib.models import Model

PLUGIN = Path(__file__).parent / "vllm_plugin"
LLAMA_3_END_OF_TURN = "<|eot_id|>"
# Of the states at a conversation's ends of turns: the prompt's, and the answer's.
PROMPT, ANSWER = -2, -1
NUMPY_TYPES = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}


class Head(Protocol):
    """A head, made of its tensors and config.json.

    `tensors` is what the names of its tensors begin with, `end_of_turn` the token whose states it
    reads.
    """

    tensors: tuple[str, ...]
    end_of_turn: str

    def __init__(self, weights: dict[str, np.ndarray], config: dict): ...

    def scores(self, answers: list[np.ndarray]) -> list[float]:
        """The scores of several answers to one problem.

        An answer is the states at its conversation's ends of turns: [turns, hidden], float32.
        """
        ...


class GatedObjectives:
    """ArmoRM: objectives of an answer, weighed by a gate that reads the prompt alone.

    Wang et al. 2024, arXiv 2406.12845, and the model's modeling_custom.py. The transform takes from
    every objective what it owes to mere length.
    """

    tensors = ("regression_layer.", "reward_transform_matrix", "gating.")
    end_of_turn = LLAMA_3_END_OF_TURN

    def __init__(self, weights: dict[str, np.ndarray], config: dict):
        self.regression = weights["regression_layer.weight"]
        self.transform = weights["reward_transform_matrix"]
        self.logit_scale = weights["gating.logit_scale"][0]
        self.temperature = config.get("gating_temperature", 10)
        self.layers = []
        for number in range(config.get("gating_n_hidden", 3) + 1):
            name = f"gating.layers.{number}"
            self.layers.append((weights[f"{name}.weight"], weights[f"{name}.bias"]))

    def objectives(self, answer_state: np.ndarray) -> np.ndarray:
        """The raw value of each objective: [objectives]."""
        return self.regression @ answer_state

    def coefficients(self, prompt_state: np.ndarray) -> np.ndarray:
        """What each objective counts for in answers to this prompt: [objectives]."""
        activations = prompt_state
        for weight, bias in self.layers[:-1]:
            activations = np.maximum(weight @ activations + bias, 0)
        weight, bias = self.layers[-1]
        logits = (weight @ activations + bias) / self.temperature
        exponentials = np.exp(logits - logits.max())
        gate = exponentials / exponentials.sum() * self.logit_scale
        return self.transform @ gate

    def scores(self, answers: list[np.ndarray]) -> list[float]:
        # The prompt is the same for all answers to a problem, and so is its state: every token sees
        # only those before it.
        coefficients = self.coefficients(answers[0][PROMPT])
        return [float(self.objectives(states[ANSWER]) @ coefficients) for states in answers]


class TwoLayers:
    """INF-ORM: two layers with a ReLU between them, on the answer's state."""

    tensors = ("score.",)
    end_of_turn = LLAMA_3_END_OF_TURN

    def __init__(self, weights: dict[str, np.ndarray], config: dict):
        self.first = (weights["score.0.weight"], weights["score.0.bias"])
        self.second = (weights["score.2.weight"], weights["score.2.bias"])

    def scores(self, answers: list[np.ndarray]) -> list[float]:
        return [self._score(states[ANSWER]) for states in answers]

    def _score(self, answer_state: np.ndarray) -> float:
        weight, bias = self.first
        activations = np.maximum(weight @ answer_state + bias, 0)
        weight, bias = self.second
        return float((weight @ activations + bias)[0])


HEADS: dict[str, type[Head]] = {  # by the architecture that config.json names
    "LlamaForRewardModelWithGating": GatedObjectives,
    "INFORMForSequenceClassification": TwoLayers,
}


def has_head(config: dict) -> bool:
    """Whether the head of the model with this config.json is one of HEADS."""
    return architecture_of(config) in HEADS


def architecture_of(config: dict) -> str:
    """The architecture that config.json names; "" where it names none."""
    return (config.get("architectures") or [""])[0]


@dataclass(frozen=True)
class ScoringHead:
    """Turns conversations into token ids for vLLM, and the states that come back into scores.

    `hidden_size` is the width of a state.
    """

    head: Head
    prompts: Prompts
    end_of_turn_id: int
    hidden_size: int

    def token_ids(self, messages: list[dict]) -> list[int]:
        """The token ids of a conversation that ends in an answer.

        An answer that quotes `<|eot_id|>` has no further end of turn: `Prompts` takes it as mere
        text. Else the gate would read the answer instead of the prompt.
        """
        return self.prompts.to_score(messages)

    def scores(self, answers: list[np.ndarray | None]) -> tuple[Score, ...]:
        """The scores of several answers to one problem, of the states that vLLM returned.

        None stands for an answer that does not fit the context.
        """
        fitting = [place for place, states in enumerate(answers) if states is not None]
        scores = [Score(None, TOO_LONG)] * len(answers)
        if fitting:
            values = self.head.scores([answers[place] for place in fitting])
            for place, value in zip(fitting, values, strict=True):
                scores[place] = Score(value)
        return tuple(scores)

    def pooler_config(self) -> dict:
        """vLLM's PoolerConfig for the states at the ends of turns."""
        return {
            "task": "token_embed",
            "tok_pooling_type": "STEP",
            "step_tag_id": self.end_of_turn_id,
            "use_activation": False,
        }


def load(model: Model, trust_remote_code: bool = False) -> ScoringHead | None:
    """The head of a reward model, ready to score; None if it is none of HEADS.

    UserError if the checkpoint lacks a tensor of the head, or the tokenizer the end of a turn.
    """
    config = weights.config_of(model)
    if not has_head(config):
        return None
    family = HEADS[architecture_of(config)]
    prompts = Prompts(model, trust_remote_code)
    end_of_turn_id = prompts.tokenizer.get_added_vocab().get(family.end_of_turn)
    if end_of_turn_id is None:
        problem = f"its tokenizer has no {family.end_of_turn}, which its head reads"
        raise UserError(f"{model.path}: {problem}")
    try:
        head = family(_read_head(model, family.tensors), config)
    except KeyError as e:
        problem = f"its safetensors lack {one_line(e)} of the head"
        raise UserError(f"{model.path}: {problem}; download it again") from None
    scoring_head = ScoringHead(head, prompts, end_of_turn_id, config["hidden_size"])
    _check_template(model, scoring_head)
    return scoring_head


def add_plugin() -> None:
    """Let vLLM find the backbones, in this process and in those that it will start."""
    if str(PLUGIN) in sys.path:
        return
    sys.path.append(str(PLUGIN))
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{PLUGIN}{os.pathsep}{inherited}" if inherited else str(PLUGIN)


def _check_template(model: Model, scoring_head: ScoringHead) -> None:
    """UserError unless the template ends the prompt and the answer in the end of a turn."""
    question = {"role": "user", "content": "1 + 1?"}
    answer = {"role": "assistant", "content": "2"}
    token_ids = scoring_head.token_ids([question, answer])
    end_id = scoring_head.end_of_turn_id
    if token_ids[-1] != end_id or token_ids.count(end_id) < 2:
        token = scoring_head.head.end_of_turn
        problem = f"its chat template does not end each turn in {token}, which its head reads"
        raise UserError(f"{model.path}: {problem}")


def _read_head(model: Model, prefixes: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The tensors of a model's safetensors whose names begin so, in float32."""
    weights = {}
    for file_path in _files_with(model, prefixes):
        weights |= _read_tensors(file_path, prefixes)
    return weights


def _files_with(model: Model, prefixes: tuple[str, ...]) -> list[Path]:
    """The files that hold such tensors: by the index, or the only one where there is none."""
    index_path = _file_of(model, "model.safetensors.index.json")
    if index_path is None:
        file_names = {"model.safetensors"}
    else:
        placed = rows.read_object(index_path)["weight_map"]
        file_names = {file for name, file in placed.items() if name.startswith(prefixes)}
    files = []
    for file_name in sorted(file_names):
        file_path = _file_of(model, file_name)
        if file_path is None:
            raise UserError(f"{model.path}: no {file_name}, from which its head is read")
        files.append(file_path)
    return files


def _file_of(model: Model, name: str) -> Path | None:
    """A file of the model's folder or of the hub's; None where there is none of that name."""
    if model.is_local:
        file_path = Path(model.path) / name
        return file_path if file_path.exists() else None
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

    try:
        return Path(hf_hub_download(model.path, name))
    except EntryNotFoundError:
        return None
    except (HfHubHTTPError, OSError, ValueError) as e:
        raise UserError(f"{model.path}: {name} cannot be had: {one_line(e, longest=150)}") from None


def _read_tensors(file_path: Path, prefixes: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Such tensors of one file. safetensors' own numpy reader has no bfloat16."""
    tensors = {}
    try:
        with open(file_path, "rb") as file:
            (header_size,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(header_size))
            for name, place in header.items():
                if not name.startswith(prefixes):
                    continue
                start, end = place["data_offsets"]
                file.seek(8 + header_size + start)
                raw = np.frombuffer(file.read(end - start), NUMPY_TYPES[place["dtype"]])
                tensors[name] = _as_float32(raw).reshape(place["shape"])
    except (struct.error, ValueError, KeyError) as e:
        problem = f"torn, or in a number format that is not known ({one_line(e)})"
        raise UserError(f"{file_path}: {problem}") from None
    return tensors


def _as_float32(values: np.ndarray) -> np.ndarray:
    """Numbers in float32; unsigned ones are bfloat16, the upper half of a float32."""
    if values.dtype == NUMPY_TYPES["BF16"]:
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32)
