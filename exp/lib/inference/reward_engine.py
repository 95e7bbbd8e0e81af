"""How a reward model is run, and the engine of those whose head only their own code knows.

Such code is run by transformers, in this process or served on 127.0.0.1 behind the same `/classify`
as vLLM's.
"""

import logging
import threading
from collections import deque
from dataclasses import replace

from lib import chat
from lib.errors import UserError, one_line
from lib.inference import reward_heads, weights
from lib.inference.requests import TOO_LONG, Reply, Request, Score
from lib.models import Model


def with_runner(model: Model, trust_remote_code: bool = False) -> Model:
    """The reward model with the runner that its config.json calls for: `pooling` or `transformers`.

    UserError if it scores by code of its own and that is not allowed, or if it is no reward model.
    """
    config = weights.config_of(model)
    architecture = reward_heads.architecture_of(config)
    if not reward_heads.has_head(config):
        if "AutoModelForSequenceClassification" in config.get("auto_map", {}):
            _check_trust(model, trust_remote_code)
            return replace(model, runner="transformers")
        if not architecture.endswith("ForSequenceClassification"):
            problem = f"config.json names {architecture or 'no architecture'}, no reward model"
            known = f"known: …ForSequenceClassification, {', '.join(reward_heads.HEADS)}"
            raise UserError(f"{model.path}: {problem}; {known}, or code of its own (auto_map)")
    is_float32 = config.get("dtype", config.get("torch_dtype")) == "float32"
    if model.dtype == "auto" and is_float32:
        # Of float32 vLLM 0.31 makes float16 for a pooling model, which moved scores by 2e-4.
        model = replace(model, dtype="float32")
    return replace(model, runner="pooling")


def _check_trust(model: Model, trust_remote_code: bool) -> None:
    if not trust_remote_code:
        problem = f"{model.path} is scored by Python code of its own repository"
        allowed = "--trust_remote_code allows that (of a driver TRUST_REMOTE_CODE=1)"
        raise UserError(f"{problem}; {allowed}")


class TransformersScorer:
    """An engine for scores alone.

    `trust_remote_code` lets Python code of the model's repository run in this process.
    """

    most_in_flight = 8  # one chat at a time: such code takes no batch without a pad token

    def __init__(self, model: Model, trust_remote_code: bool = False):
        import torch

        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.tokenizer = chat.load_tokenizer(model.path, trust_remote_code)
        loaded = _load(model, self.device, trust_remote_code)
        self.model = loaded.to(self.device).eval()
        self.max_len = model.max_model_len or loaded.config.max_position_embeddings
        self.pending = 0
        self._queue: deque[Request] = deque()
        self._lock = threading.Lock()  # a server calls from several threads

    def score(self, messages: list[dict]) -> Score:
        """The model's `score` of one chat, or its single logit."""
        import torch

        text = chat.render(self.tokenizer, messages, answer=False)
        token_ids = chat.encode(self.tokenizer, text)
        if len(token_ids) > self.max_len:
            return Score(None, TOO_LONG)
        with self._lock, torch.inference_mode():
            output = self.model(torch.tensor([token_ids], device=self.device))
        score = getattr(output, "score", None)
        if score is None:
            score = output.logits
        return Score(float(score.float().reshape(-1)[0]))

    def submit(self, request: Request) -> None:
        self.pending += 1
        self._queue.append(request)

    def poll(self) -> list[Reply]:
        request = self._queue.popleft()
        self.pending -= 1
        return [Reply(request.key, scores=tuple(map(self.score, request.prompt)))]

    def close(self) -> None:
        pass


def _load(model: Model, device: str, trust_remote_code: bool):
    import torch
    from transformers import AutoModelForSequenceClassification
    from transformers.models.llama import modeling_llama

    # ArmoRM's code imports a docstring constant that transformers 5 no longer has; only its
    # presence matters.
    if not hasattr(modeling_llama, "LLAMA_INPUTS_DOCSTRING"):
        modeling_llama.LLAMA_INPUTS_DOCSTRING = ""
    dtype = model.dtype
    if dtype == "auto":
        dtype = "bfloat16" if device == "cuda" else "float32"
    try:
        return AutoModelForSequenceClassification.from_pretrained(
            model.path, dtype=getattr(torch, dtype), trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError, ImportError) as e:
        raise UserError(f"{model.path} cannot be loaded: {one_line(e)}") from None


def serve(model: Model, port: int, trust_remote_code: bool) -> None:
    """Answer vLLM's `/health`, `/v1/models` and `/classify` on 127.0.0.1 until stopped.

    `/classify` takes messages and returns one raw score.
    """
    import uvicorn
    from fastapi import FastAPI, HTTPException
    from pydantic import BaseModel

    class Conversation(BaseModel):
        messages: list[dict[str, str]]

    scorer = TransformersScorer(model, trust_remote_code)
    app = FastAPI()

    @app.get("/health")
    def health() -> None:
        pass

    @app.get("/v1/models")
    def list_models() -> dict:
        listed = {"id": model.path, "object": "model", "created": 0, "owned_by": "tiding"}
        return {"object": "list", "data": [listed]}

    @app.post("/classify")
    def classify(body: Conversation) -> dict:
        score = scorer.score(body.messages)
        if score.value is None:
            raise HTTPException(400, "the conversation is longer than the context length")
        return {"data": [{"index": 0, "probs": [score.value], "num_classes": 1}]}

    logging.getLogger("uvicorn.access").disabled = True
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
