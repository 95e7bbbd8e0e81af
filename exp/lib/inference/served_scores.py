"""What a server of a reward model is asked for each chat, and the scores that follow from it.

A classifier of vLLM's returns one number. Where the head is one of ours, vLLM returns the states
that it reads, and it is computed here.
"""

import base64
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from lib.errors import UserError
from lib.inference import reward_heads, server_answers, weights
from lib.inference.requests import Score
from lib.inference.served_model import ServedModel
from lib.inference.server_client import Question
from lib.inference.server_dialects import TRIVIAL_ANSWERED, Messages, TokenIds
from lib.inference.server_faults import Failure, RowFault
from lib.models import Model


class Scoring(Protocol):
    """How one reward model is asked."""

    def question(self, messages: list[dict]) -> Question:
        """What is posted for one chat, which ends in an answer."""
        ...

    def read(self, content: dict):
        """What the server's answer to a question holds; Failure if there is nothing in it."""
        ...

    def scores(self, outputs: Sequence) -> tuple[Score, ...]:
        """The scores of several answers to one problem: of what was read, or of a RowFault."""
        ...


class ByClassifier:
    """A classifier: one raw number for each chat."""

    def __init__(self, dialect: TokenIds | Messages):
        self.question = dialect.to_score

    def read(self, content: dict) -> float:
        return server_answers.read_score(content)

    def scores(self, outputs: Sequence[float | RowFault]) -> tuple[Score, ...]:
        scores = []
        for output in outputs:
            is_number = isinstance(output, float)
            scores.append(Score(output) if is_number else Score(None, output.reason))
        return tuple(scores)


class ByStates:
    """A head of ours: the states at the ends of a chat's turns, [turns, hidden] in float32."""

    def __init__(self, head: reward_heads.ScoringHead, model_name: str):
        self._head = head
        # Two states of 4,096 numbers are 44 kB as base64, and 100 kB as decimals.
        self._options = {
            "model": model_name,
            "encoding_format": "base64",
            "embed_dtype": "float32",
            "endianness": "little",
        }
        self._trivial = {**self._options, "input": head.token_ids(TRIVIAL_ANSWERED)}

    def question(self, messages: list[dict]) -> Question:
        token_ids = self._head.token_ids(messages)
        body = {**self._options, "input": token_ids}
        return Question("/pooling", body, self._trivial, len(token_ids))

    def read(self, content: dict) -> np.ndarray:
        try:
            raw = base64.b64decode(content["data"][0]["data"])
            return np.frombuffer(raw, "<f4").reshape(-1, self._head.hidden_size)
        except (KeyError, IndexError, TypeError, ValueError):
            raise Failure("sent an answer without states", "no states") from None

    def scores(self, outputs: Sequence[np.ndarray | RowFault]) -> tuple[Score, ...]:
        states = [None if isinstance(output, RowFault) else output for output in outputs]
        scores = list(self._head.scores(states))
        for place, output in enumerate(outputs):
            if isinstance(output, RowFault):
                scores[place] = Score(None, output.reason)
        return tuple(scores)


def of(model: Model, served: ServedModel, dialect: TokenIds | Messages) -> Scoring:
    """How this model on that server is asked."""
    head = _head_of(model)
    return ByStates(head, served.name) if head else ByClassifier(dialect)


def _head_of(model: Model) -> reward_heads.ScoringHead | None:
    """The head to compute; None for a classifier.

    A model whose config.json cannot be had here, but by its server, is taken for a classifier.
    """
    try:
        weights.config_of(model)
    except UserError:
        if model.is_local:
            raise
        return None
    return reward_heads.load(model)
