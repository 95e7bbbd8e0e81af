"""Reward models whose head only their own code knows (ArmoRM): run by transformers, in this process or behind `/classify`."""

import logging
import threading

from lib import chat
from lib.cli import UserError
from lib.inference.requests import Reply, Request
from lib.models import Model


class TransformersScorer:
    """An engine for scores alone. `trust_remote_code` lets Python code of the model's repository run in this process."""

    limit = 8  # one conversation is scored at a time: ArmoRM's code takes no padded batch without a pad token

    def __init__(self, model: Model, trust_remote_code: bool = False):
        import torch
        from transformers import AutoModelForSequenceClassification
        from transformers.models.llama import modeling_llama

        # ArmoRM's code imports a docstring constant that transformers 5 no longer has; only its presence matters.
        if not hasattr(modeling_llama, "LLAMA_INPUTS_DOCSTRING"):
            modeling_llama.LLAMA_INPUTS_DOCSTRING = ""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        kind = model.dtype if model.dtype != "auto" else ("bfloat16" if device == "cuda" else "float32")
        self.tokenizer = chat.load_tokenizer(model.path, trust_remote_code)
        try:
            loaded = AutoModelForSequenceClassification.from_pretrained(
                model.path, dtype=getattr(torch, kind), trust_remote_code=trust_remote_code
            )
        except (OSError, ValueError, ImportError) as e:
            raise UserError(f"{model.path} cannot be loaded: {' '.join(str(e).split())[:300]}") from None
        self.model, self.device = loaded.to(device).eval(), device
        self.max_len = model.max_model_len or loaded.config.max_position_embeddings
        self.pending, self._queue = 0, []
        self._lock = threading.Lock()  # a server calls from several threads

    def score(self, messages: list[dict]) -> float | None:
        """The model's `score` for one conversation (or its single logit); None when it does not fit the context."""
        import torch

        ids = chat.encode(self.tokenizer, chat.render(self.tokenizer, messages, answer=False))
        if len(ids) > self.max_len:
            return None
        with self._lock, torch.inference_mode():
            output = self.model(torch.tensor([ids], device=self.device))
        value = getattr(output, "score", None)
        return float((output.logits if value is None else value).float().reshape(-1)[0])

    def submit(self, request: Request) -> None:
        self.pending += 1
        self._queue.append(request)

    def poll(self) -> list[Reply]:
        request = self._queue.pop(0)
        self.pending -= 1
        scores = tuple(map(self.score, request.prompt))
        return [Reply(request.key, refused="too long") if None in scores else Reply(request.key, scores=scores)]

    def close(self) -> None:
        pass


def serve(model: Model, port: int, trust_remote_code: bool) -> None:
    """Answer vLLM's `/health`, `/v1/models` and `/classify` (messages in, one raw score out) on 127.0.0.1 until stopped."""
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
    def served() -> dict:
        return {"object": "list", "data": [{"id": model.path, "object": "model", "created": 0, "owned_by": "tiding"}]}

    @app.post("/classify")
    def classify(body: Conversation) -> dict:
        value = scorer.score(body.messages)
        if value is None:
            raise HTTPException(400, "the conversation is longer than the context length")
        return {"data": [{"index": 0, "probs": [value], "num_classes": 1}]}

    logging.getLogger("uvicorn.access").disabled = True
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
