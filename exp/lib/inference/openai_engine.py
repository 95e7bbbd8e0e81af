"""A server that speaks the OpenAI protocol."""

import asyncio
import os
import queue
import threading

from lib.cli import UserError
from lib.inference.requests import Completion, Reply, Request, is_chat
from lib.models import Model

# Measured with tiny on 2 cores: 256 requests in flight give .85 of one offline call, 1,200 only .65.
IN_FLIGHT = 256
# 0.5, 1, 2, 4, 8, 8 s between tries: about 24 s before a server counts as gone.
RETRIES = 6


class OpenAIEngine:
    """A server that speaks the OpenAI protocol (vLLM, llama.cpp, Ollama, a vendor); scores by vLLM's `/classify`.

    The client retries refused connections, 429 and 5xx with exponential back-off and then raises. The key is read from
    OPENAI_API_KEY and goes nowhere but into the request's header.
    """

    def __init__(self, model: Model, base_url: str):
        from openai import AsyncOpenAI, Timeout

        self.base_url, self.limit, self.pending = base_url.rstrip("/"), IN_FLIGHT, 0
        self._done: queue.Queue[Reply | Exception] = queue.Queue()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        key = os.environ.get("OPENAI_API_KEY") or "none"  # a local server asks for none, the client does
        # An answer may take long (32,768 tokens at 20/s is 27 minutes); a connection may not.
        self._client = AsyncOpenAI(base_url=self.base_url, api_key=key, max_retries=RETRIES,
                                   timeout=Timeout(3600, connect=10))  # fmt: skip
        self._served = self._call(self._pick_served(model))

    def _call(self, coroutine: object) -> object:
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
        except Exception as e:
            raise self._explain(e) from None

    async def _pick_served(self, model: Model) -> str:
        served = [m.id async for m in self._client.models.list()]
        for name in served:
            if name == (model.adapter or model.path) or name.rstrip("/").split("/")[-1] == model.name:
                return name
        raise UserError(f"{self.base_url} serves {', '.join(served) or 'nothing'}, not {model.name}")

    def _explain(self, error: Exception) -> Exception:
        import openai

        if isinstance(error, openai.APIConnectionError):
            return UserError(f"{self.base_url} does not answer after {RETRIES + 1} tries ({type(error).__name__}); "
                             "finished rows are kept: start the server again and run the same command")  # fmt: skip
        if isinstance(error, openai.APIStatusError):
            return UserError(f"{self.base_url} answered {error.status_code}: {' '.join(error.response.text.split())[:300]}")
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
            long = any(words in e.response.text for words in ("context length", "max_model_len", "context_length", "too long"))
            reply = Reply(request.key, refused="too long") if long else e
        except asyncio.CancelledError:
            raise
        except Exception as e:  # handed to the caller's thread, raised by poll()
            reply = e
        self._done.put(reply)

    async def _generate(self, request: Request) -> Reply:
        completions, tokens, prompt_tokens = [], 0, 0
        while len(completions) < request.sampling.n:  # some servers ignore n and send one: ask for the others singly
            missing = request.sampling.n - len(completions) if not completions else 1
            got, used = await self._ask(request, missing, request.seed + len(completions))
            completions, tokens, prompt_tokens = completions + got, tokens + used[0], used[1]
        return Reply(request.key, tuple(completions[: request.sampling.n]), tokens=tokens, prompt_tokens=prompt_tokens)

    async def _ask(self, request: Request, n: int, seed: int) -> tuple[list[Completion], tuple[int, int]]:
        """The completions, and the tokens of all of them and of the prompt."""
        s = request.sampling
        common = {"model": self._served, "n": n, "seed": seed, "temperature": s.temperature, "top_p": s.top_p,
                  "max_tokens": s.max_tokens, "stop": list(s.stop) or None}  # fmt: skip
        if is_chat(request.prompt):
            answer = await self._client.chat.completions.create(messages=request.prompt, **common)
            texts = [_with_reasoning(c.message) for c in answer.choices]
        else:
            extra = {"stop_token_ids": list(s.stop_token_ids)} if s.stop_token_ids else None
            answer = await self._client.completions.create(prompt=request.prompt, extra_body=extra, **common)
            texts = [c.text for c in answer.choices]
        if not answer.choices:
            raise UserError(f"{self.base_url} sent a reply without choices")
        reasons = [c.finish_reason or "stop" for c in answer.choices]
        used = (answer.usage.completion_tokens, answer.usage.prompt_tokens) if answer.usage else (0, 0)
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
        async def cancel() -> None:
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)
            await self._client.close()

        asyncio.run_coroutine_threadsafe(cancel(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)


def _with_reasoning(message: object) -> str:
    """The answer with its thinking: a server with a reasoning parser sends that apart from the content."""
    thought = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    return f"<think>\n{thought}\n</think>\n\n{message.content or ''}" if thought else message.content or ""
