"""Where a model is asked: vLLM in this process, or any server that speaks the OpenAI protocol."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from lib.errors import UserError, near
from lib.inference.requests import Engine
from lib.models import Model

ENGINES = ("vllm", "openai")


@dataclass(frozen=True)
class Where:
    """Flags of every stage that asks a model. None of them changes a row, so none is a setting.

    `max_in_flight` bounds the requests in flight; None leaves it to the engine.
    """

    engine: str = "vllm"
    base_url: str = ""
    max_in_flight: int | None = field(default=None, metadata={"alias": "batch_size"})
    trust_remote_code: bool = False

    def __post_init__(self):
        if self.engine not in ENGINES:
            raise UserError(f"no engine {self.engine!r}; {near(self.engine, ENGINES)}")
        if self.engine == "openai" and not _is_address(self.base_url):
            raise UserError("--engine openai needs --base_url, such as http://127.0.0.1:8000/v1")
        if self.engine == "vllm" and self.base_url:
            raise UserError("--base_url goes with --engine openai")
        if self.max_in_flight is not None and self.max_in_flight < 1:
            what = f"--max_in_flight {self.max_in_flight}"
            raise UserError(f"{what}: at least 1 request must be in flight")

    def load(self, model: Model) -> Engine:
        """The engine, ready to take requests: vLLM loads tiny in 20 s, a 32B model in minutes.

        A reward model's runner says whether vLLM can run it; with `transformers` its own code does.
        """
        if self.engine == "openai":
            from lib.inference.openai_engine import IN_FLIGHT, OpenAIEngine

            most_in_flight = self.max_in_flight or IN_FLIGHT
            return OpenAIEngine(model, self.base_url, self.trust_remote_code, most_in_flight)
        if model.runner == "transformers":
            from lib.inference.reward_engine import TransformersScorer

            return TransformersScorer(model, self.trust_remote_code)
        if model.runner == "pooling":
            from lib.inference.vllm_scorer import VllmScorer

            return VllmScorer(model, self.trust_remote_code)
        from lib.inference.vllm_engine import VllmEngine

        return VllmEngine(model, self.trust_remote_code)


def _is_address(url: str) -> bool:
    """Whether it is the URL of a server, with a host and, if any, a port that there is."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # such as port 99999
        return False
