"""How a server is asked for scores: for a classifier's, or for the states that a head reads."""

import asyncio
import base64
from collections.abc import Awaitable, Callable

import numpy as np

from lib.errors import UserError
from lib.inference import memory, reward_heads
from lib.inference.requests import Score
from lib.models import Model

# Posts a body, to which it adds the model's name, to a path of the server. Returns the JSON that
# comes back, or None if the chat does not fit the context.
Post = Callable[[str, dict], Awaitable[dict | None]]


class ServedScores:
    """Asks a server of one reward model. The head, if it is one of ours, is computed here."""

    def __init__(self, model: Model, post: Post):
        self._post = post
        self._head = _head_of(model)

    async def of(self, chats: list[list[dict]]) -> tuple[Score, ...]:
        """The scores of several answers to one problem."""
        if self._head is None:
            return tuple(await asyncio.gather(*map(self._classify, chats)))
        return self._head.scores(await asyncio.gather(*map(self._states, chats)))

    async def _classify(self, messages: list[dict]) -> Score:
        """A classifier's raw logit of one chat."""
        body = {"messages": messages, "add_generation_prompt": False, "use_activation": False}
        answer = await self._post("/classify", body)
        if answer is None:
            return Score(None, "too long")
        return Score(float(answer["data"][0]["probs"][0]))

    async def _states(self, messages: list[dict]) -> np.ndarray | None:
        """The states at a chat's ends of turns, [turns, hidden]; None if it does not fit.

        Two states of 4,096 numbers are 44 kB as base64, and 100 kB as decimals.
        """
        body = {
            "input": self._head.token_ids(messages),
            "encoding_format": "base64",
            "embed_dtype": "float32",
            "endianness": "little",
        }
        answer = await self._post("/pooling", body)
        if answer is None:
            return None
        numbers = np.frombuffer(base64.b64decode(answer["data"][0]["data"]), "<f4")
        return numbers.reshape(-1, self._head.hidden_size)


def _head_of(model: Model) -> reward_heads.ScoringHead | None:
    """The head to compute; None for a classifier.

    A model whose config.json cannot be had here, but by its server, is taken for a classifier.
    """
    try:
        memory.config_of(model)
    except UserError:
        if model.is_local:
            raise
        return None
    return reward_heads.load(model)
