"""Reward models whose head only their own code knows (ArmoRM): run by transformers.

Either in this process, or served on 127.0.0.1 behind the same `/classify` as vLLM's.
"""

import logging
import threading
from collections import deque

from lib import chat
from lib.errors import UserError, one_line
from lib.inference.requests import Reply, Request
from lib.models import Model


class TransformersScorer:
    """An engine for scores alone.

    `trust_remote_code` lets Python code of the model's repository run in this process.
    """

    most_in_flight = 8  # one chat at a time: ArmoRM's code takes no batch without a pad token

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

    def score(self, messages: list[dict]) -> float | None:
        """The model's `score` of one chat, or its single logit; None if the chat does not fit."""
        import torch

        text = chat.render(self.tokenizer, messages, answer=False)
        token_ids = chat.encode(self.tokenizer, text)
        if len(token_ids) > self.max_len:
            return None
        with self._lock, torch.inference_mode():
            output = self.model(torch.tensor([token_ids], device=self.device))
        score = getattr(output, "score", None)
        if score is None:
            score = output.logits
        return float(score.float().reshape(-1)[0])

    def submit(self, request: Request) -> None:
        self.pending += 1
        self._queue.append(request)

    def poll(self) -> list[Reply]:
        request = self._queue.popleft()
        self.pending -= 1
        scores = tuple(self.score(messages) for messages in request.prompt)
        if None in scores:
            return [Reply(request.key, refused="too long")]
        return [Reply(request.key, scores=scores)]

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
        if score is None:
            raise HTTPException(400, "the conversation is longer than the context length")
        return {"data": [{"index": 0, "probs": [score], "num_classes": 1}]}

    logging.getLogger("uvicorn.access").disabled = True
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
