"""The one way to a model for inference: vLLM in this process, any OpenAI-compatible server, or transformers for an odd head.

An engine takes requests one at a time and hands replies back as they finish, in any order. Its queue is kept full by the
caller (`lib.inference.generate`), so a crash costs the requests in flight and the throughput is the engine's own.
"""

from dataclasses import dataclass

from lib.models import Model


@dataclass(frozen=True)
class Sampling:
    """How to sample; `n` answers a request. Units: tokens."""

    temperature: float
    max_tokens: int
    top_p: float = 1.0
    n: int = 1
    stop_token_ids: tuple[int, ...] = ()
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """Row `key`: a chat (messages) or the token ids of a prompt to continue; with `sampling` None, chats to be scored."""

    key: int
    prompt: list
    sampling: Sampling | None = None
    seed: int = 0


@dataclass(frozen=True)
class Completion:
    text: str
    finish_reason: str  # stop or length


@dataclass(frozen=True)
class Reply:
    """What came back for row `key`: completions, or scores, or the reason why the engine would not take the request."""

    key: int
    completions: tuple[Completion, ...] = ()
    scores: tuple[float, ...] = ()
    tokens: int = 0  # of all completions
    prompt_tokens: int = 0
    refused: str = ""


def is_chat(prompt: list) -> bool:
    """Whether a prompt is messages, and not token ids."""
    return isinstance(prompt[0], dict)


ENGINES = ("vllm", "openai")


def load(engine: str, model: Model, base_url: str = "", trust_remote_code: bool = False) -> object:
    """The engine named `vllm` or `openai`, ready to take requests; loading vLLM takes 20 s for tiny, minutes for 32B.

    A model with runner `transformers` cannot run in vLLM: its own code scores, through `lib.inference.reward_engine`.
    """
    if engine == "openai":
        from lib.inference.openai_engine import OpenAIEngine

        return OpenAIEngine(model, base_url)
    if model.runner == "transformers":
        from lib.inference.reward_engine import TransformersScorer

        return TransformersScorer(model, trust_remote_code)
    from lib.inference.vllm_engine import VllmEngine

    return VllmEngine(model, trust_remote_code)
