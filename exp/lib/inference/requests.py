"""What passes between a stage and an engine: requests, replies, and the protocol of an engine.

An engine takes requests one at a time and hands replies back as they finish, in any order.
`inference.generate` keeps its queue full, so a crash costs the requests in flight only, and the
throughput is the engine's own.
"""

import math
from dataclasses import dataclass
from typing import Protocol

from lib.errors import UserError

TOO_LONG = (
    "too long"  # why a request is refused, or a chat has no score: it does not fit the context
)


@dataclass(frozen=True)
class Sampling:
    """How to sample an answer, as flags of every stage that asks a model. Units: tokens."""

    temperature: float
    top_p: float = 1.0
    max_tokens: int = 4096

    def __post_init__(self):
        if not 0 <= self.temperature < math.inf:  # nor is NaN a temperature
            raise UserError(f"--temperature {self.temperature} is out of range")
        if not 0 < self.top_p <= 1:
            raise UserError(f"--top_p {self.top_p} is out of range")
        if self.max_tokens < 1:
            raise UserError(f"--max_tokens {self.max_tokens} is out of range")


@dataclass(frozen=True)
class Request:
    """What is asked for row `key`.

    `prompt` is a chat (messages) to answer `samples` times, or the token ids of a text to continue;
    `text` is that text without a leading BOS, for servers that take no ids. Without `sampling` it
    is a list of chats, each of which a reward model scores.
    """

    key: int
    prompt: list
    sampling: Sampling | None = None
    samples: int = 1
    seed: int = 0
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    text: str = ""


@dataclass(frozen=True)
class Completion:
    text: str
    finish_reason: str  # as lib.inference.endings names it: only `stop` is complete


@dataclass(frozen=True)
class Score:
    """What a reward model says of one chat: a raw number, or `reason`, why there is none."""

    value: float | None
    reason: str = ""


@dataclass(frozen=True)
class Reply:
    """What came back for row `key`: completions, or scores, or why the engine refused.

    `thinking` are the tags of the thinking that the prompt had opened, if it had: the completions
    begin inside it.
    """

    key: int
    completions: tuple[Completion, ...] = ()
    thinking: tuple[str, str] | None = None
    scores: tuple[Score, ...] = ()  # one for each chat of the request
    tokens: int = 0  # of all completions
    prompt_tokens: int = 0
    refused: str = ""


class Engine(Protocol):
    """Answers requests. `pending` are those submitted and not yet replied to."""

    pending: int
    most_in_flight: int  # more pending requests than this gain nothing

    def submit(self, request: Request) -> None: ...

    def poll(self) -> list[Reply]:
        """The replies that are ready, which may be none yet; only called while some are pending.

        It returns after a few seconds, or after one step of the model, so that its caller can
        report what is in flight. UserError if nothing more can be asked.
        """
        ...

    def close(self) -> None: ...


def is_chat(prompt: list) -> bool:
    """Whether a prompt is messages, and not token ids."""
    return isinstance(prompt[0], dict)


def user_turn(text: str, system_prompt: str = "") -> list[dict]:
    """The chat in which a user says `text`, behind the system prompt if there is one."""
    turn = {"role": "user", "content": text}
    if not system_prompt:
        return [turn]
    return [{"role": "system", "content": system_prompt}, turn]
