"""The one loop of every stage that asks a model: keep the engine's queue full, write each row."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import replace

from lib import provenance
from lib.errors import UserError
from lib.inference import endings
from lib.inference.backends import Where
from lib.inference.requests import Completion, Reply, Request, Sampling
from lib.models import Model
from lib.output import Output
from lib.progress import Progress, say

MakeRow = Callable[[int, Reply], tuple[dict, str | None]]
BROKEN_OFF, TRIES = "broken off", 3  # an answer that has no end is asked for so often in all


def ask_each(
    out: Output,
    keys: range,
    model: Model,
    where: Where,
    make_request: Callable[[int], Request],
    make_row: MakeRow,
) -> None:
    """Ask for every key that `out` does not have yet, and finish `out`.

    `make_row(key, reply)` returns the row and the reason why it is dropped, or None to keep it. If
    every row is dropped, nothing is written and UserError says why.
    """
    out.open(provenance.notes(where.engine), total=len(keys))

    def write_row(reply: Reply) -> tuple[Request, ...]:
        row, reason = make_row(reply.key, reply)
        out.add(reply.key, row, reason)
        return ()

    unfinished = (make_request(key) for key in keys if key not in out)
    run(out, model, where, unfinished, write_row, total=len(keys))
    out.finish_or_abandon(len(keys))


def run(
    out: Output,
    model: Model,
    where: Where,
    requests: Iterable[Request],
    accept: Callable[[Reply], Iterable[Request]],
    total: int,
) -> None:
    """Ask for every request and pass each reply to `accept`, which may return further requests.

    The engine is loaded only if there is something to ask, so a finished file costs no model.
    """
    queue = _Queue(requests)
    if queue.is_empty():
        return
    engine = where.load(model)
    most_in_flight = where.max_in_flight or engine.most_in_flight
    progress = Progress(out.path.name, total, out.kept)
    in_flight = _InFlight()
    started = time.monotonic()
    try:
        while True:
            while engine.pending < most_in_flight and not queue.is_empty():
                request = queue.next()
                in_flight.add(request)
                engine.submit(request)
            if not engine.pending:
                break
            for reply in engine.poll():
                request, tries = in_flight.pop(reply.key)
                reply = with_known_endings(reply)
                if reply.refused.startswith(BROKEN_OFF) and tries < TRIES:
                    queue.add([request])
                    continue
                queue.add(accept(reply))
                progress.advance(out.kept, reply.tokens, out.dropped.total())
            progress.wait(engine.pending, in_flight.oldest_s())
    finally:
        progress.close()
        seconds = time.monotonic() - started
        now = time.time()
        asked_at = out.meta.setdefault("asked_at", [])
        asked_at.append([round(now - seconds, 3), round(now, 3)])
        out.meta["tokens"] = out.meta.get("tokens", 0) + progress.tokens
        out.meta["asking_seconds"] = round(out.meta.get("asking_seconds", 0) + seconds, 3)
        out.pause()
        engine.close()


class _InFlight:
    """The requests that an engine works on, and since when."""

    def __init__(self):
        self._requests: dict[int, tuple[Request, float]] = {}  # in the order of their submission
        self._tries: Counter[int] = Counter()

    def add(self, request: Request) -> None:
        self._requests[request.key] = (request, time.monotonic())
        self._tries[request.key] += 1

    def pop(self, key: int) -> tuple[Request, int]:
        """The request of that key, which is no longer worked on, and how often it was submitted."""
        request, _ = self._requests.pop(key)
        return request, self._tries[key]

    def oldest_s(self) -> float:
        """The age of the oldest request in seconds; 0 without any."""
        for _, submitted in self._requests.values():
            return time.monotonic() - submitted
        return 0.0


class _Queue:
    """Requests to come: those that a reply asked for first, then the rest of the stage's own."""

    def __init__(self, requests: Iterable[Request]):
        self._rest = iter(requests)
        self._ahead: deque[Request] = deque()

    def add(self, requests: Iterable[Request]) -> None:
        self._ahead.extend(requests)

    def is_empty(self) -> bool:
        if not self._ahead:
            following = next(self._rest, None)
            if following is None:
                return True
            self._ahead.append(following)
        return False

    def next(self) -> Request:
        return self._ahead.popleft()


def lower_to_limits(model: Model, sampling: Sampling, kind: str = "res") -> Sampling:
    """`sampling` within the model's limits; what had to be lowered is reported."""
    limited_sampling = limited(model, sampling, kind)
    report_lowered(model, sampling, limited_sampling)
    return limited_sampling


def limited(model: Model, sampling: Sampling, kind: str = "res") -> Sampling:
    """`sampling` within the model's limits: what rows are made with, and so a stage's settings.

    `kind` says which limits: those of problems (`ins`) or of answers (`res`).
    """
    limits = {
        "temperature": model.max_temperature,
        "max_tokens": getattr(model, f"max_tokens_{kind}"),
    }
    for name, limit in limits.items():
        if limit is not None and getattr(sampling, name) > limit:
            sampling = replace(sampling, **{name: limit})
    return sampling


def report_lowered(model: Model, typed: Sampling, applied: Sampling) -> None:
    """Say what was typed and is not applied, because the model's limits are lower."""
    for name in ("temperature", "max_tokens"):
        typed_value, limit = getattr(typed, name), getattr(applied, name)
        if typed_value != limit:
            limited_by = f"the limit of {model.name} in configs/models.yaml"
            say(f"lowered {name} from {typed_value:g} to {limit:g}, {limited_by}")


def check_room(model: Model, sampling: Sampling) -> None:
    """UserError if an answer of full length leaves no room for a prompt in the context."""
    if model.max_model_len and sampling.max_tokens >= model.max_model_len:
        answer = f"--max_tokens {sampling.max_tokens} leaves no room for a prompt"
        context = f"in the context of {model.max_model_len} tokens of {model.name}"
        raise UserError(f"{answer} {context}; lower it, or raise the model's max_model_len")


def with_known_endings(reply: Reply) -> Reply:
    """The reply with its finish reasons as `endings` names them.

    It is refused if the engine broke one of its completions off.
    """
    completions = []
    for completion in reply.completions:
        finish_reason = endings.normalised(completion.finish_reason)
        if finish_reason is None:
            return Reply(reply.key, refused=f"{BROKEN_OFF} ({completion.finish_reason})")
        completions.append(replace(completion, finish_reason=finish_reason))
    return replace(reply, completions=tuple(completions))


def answers_of(reply: Reply) -> tuple[tuple[Completion, ...], str | None]:
    """The stripped completions of a reply with their thinking tags, and why the row is dropped.

    A row is dropped if its prompt did not fit or the server failed on it, or if all its answers are
    empty; a truncated answer is kept as such.
    """
    if reply.refused:
        return (), reply.refused
    whole = (with_opening_tag(completion, reply.thinking) for completion in reply.completions)
    completions = tuple(replace(c, text=c.text.strip()) for c in whole)
    is_empty = not any(completion.text for completion in completions)
    return completions, "empty" if is_empty else None


def with_opening_tag(completion: Completion, thinking: tuple[str, str] | None) -> Completion:
    """The completion, with `<think>` put back where the chat template had written it in the prompt.

    Such a completion has a closing tag without an opening one, or, if it was cut off while the
    model was thinking, no tag at all.
    """
    if not thinking or thinking[0] in completion.text:
        return completion
    opening, closing = thinking
    if closing in completion.text or completion.finish_reason == "length":
        return replace(completion, text=f"{opening}\n{completion.text}")
    return completion
