"""Reward models in vLLM in this process, driven step by step so that rows come back at once."""

import numpy as np

from lib.inference import reward_heads, vllm_engine
from lib.inference.prompts import Prompts
from lib.inference.requests import TOO_LONG, Reply, Request, Score
from lib.inference.vllm_plugin import tiding_reward_models
from lib.models import Model


class VllmScorer:
    """An engine for scores alone: a classifier's raw logit, or a head that is computed here."""

    most_in_flight = 1024

    def __init__(self, model: Model, trust_remote_code: bool = False):
        self.head = reward_heads.load(model, trust_remote_code)
        if self.head:
            self.task, self.token_ids = "token_embed", self.head.token_ids
            self.llm = _load_backbone(model, trust_remote_code, self.head)
        else:
            self.task = "classify"
            self.token_ids = Prompts(model, trust_remote_code).to_score
            self.llm = vllm_engine.load(model, trust_remote_code, runner="pooling")
        self.core = self.llm.llm_engine
        self.max_len = self.llm.model_config.max_model_len
        self.pending = 0
        # Of the requests in flight: key -> place of the chat -> what vLLM returned, None if the
        # chat does not fit; and how many chats there are.
        self._outputs: dict[int, dict[int, np.ndarray | None]] = {}
        self._chats: dict[int, int] = {}
        self._finished: list[Reply] = []

    def submit(self, request: Request) -> None:
        from vllm import PoolingParams

        self.pending += 1
        self._outputs[request.key] = {}
        self._chats[request.key] = len(request.prompt)
        parameters = PoolingParams(task=self.task, use_activation=False)
        for place, messages in enumerate(request.prompt):
            token_ids = self.token_ids(messages)
            if len(token_ids) > self.max_len:
                self._add_output(request.key, place, None)
                continue
            prompt = {"prompt_token_ids": token_ids}
            self.core.add_request(f"{request.key}:{place}", prompt, parameters)

    def poll(self) -> list[Reply]:
        """Work one step and return what finished in it, which may be nothing yet."""
        outputs = self.core.step() if self.core.has_unfinished_requests() else []
        for output in outputs:
            if output.finished:
                key, place = map(int, output.request_id.split(":"))
                self._add_output(key, place, output.outputs.data.float().numpy())
        replies, self._finished = self._finished, []
        self.pending -= len(replies)
        return replies

    def close(self) -> None:
        self.core.engine_core.shutdown()

    def _add_output(self, key: int, place: int, output: np.ndarray | None) -> None:
        """Remember what came of one chat; the last one of a request makes its reply."""
        outputs = self._outputs[key]
        outputs[place] = output
        if len(outputs) < self._chats[key]:
            return
        in_order = [outputs[place] for place in range(len(outputs))]
        scores = self.head.scores(in_order) if self.head else tuple(map(_logit, in_order))
        self._finished.append(Reply(key, scores=scores))
        del self._outputs[key], self._chats[key]


def _load_backbone(model: Model, trust_remote_code: bool, head: reward_heads.ScoringHead):
    """The `LLM` that returns the states which a head reads."""
    from vllm.config import PoolerConfig

    reward_heads.add_plugin()
    # vLLM looks for plugins once a process, which may have been before.
    tiding_reward_models.register()
    pooler_config = PoolerConfig(**head.pooler_config())
    options = {"runner": "pooling", "convert": "embed", "pooler_config": pooler_config}
    return vllm_engine.load(model, trust_remote_code, **options)


def _logit(output: np.ndarray | None) -> Score:
    """A classifier's score of one chat."""
    return Score(None, TOO_LONG) if output is None else Score(float(output.reshape(-1)[0]))
