"""A server that speaks the OpenAI protocol: vLLM, llama.cpp, Ollama, a vendor."""

import asyncio
import os
import queue
import threading
from collections.abc import Coroutine
from typing import Any

from lib.errors import UserError, one_line
from lib.inference.requests import Completion, Reply, Request, is_chat
from lib.models import Model

# Measured with tiny on 2 cores: 256 requests in flight give .85 of an offline call, 1,200 only .65.
IN_FLIGHT = 256
# 0.5, 1, 2, 4, 8, 8 s between tries: about 24 s before a server counts as gone.
RETRIES = 6
# An answer may take long (32,768 tokens at 20/s take 27 minutes); a connection may not.
ANSWER_S, CONNECT_S = 3600, 10
TOO_LONG = ("context length", "max_model_len", "context_length", "too long")


class OpenAIEngine:
    """Asks a server; a reward model is asked by vLLM's `/classify`.

    The client retries refused connections, 429 and 5xx with exponential back-off and then raises.
    The key is read from OPENAI_API_KEY and goes nowhere but into the request's header.
    """

    most_in_flight = IN_FLIGHT

    def __init__(self, model: Model, base_url: str):
        from openai import AsyncOpenAI, Timeout

        self.base_url = base_url.rstrip("/")
        self.pending = 0
        self._finished: queue.Queue[Reply | Exception] = queue.Queue()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._client = AsyncOpenAI(
            base_url=self.base_url,
            api_key=os.environ.get("OPENAI_API_KEY") or "none",  # the client wants one in any case
            max_retries=RETRIES,
            timeout=Timeout(ANSWER_S, connect=CONNECT_S),
        )
        self._served_name = self._wait_for(self._find_served_name(model))
        if model.runner != "generate":
            from lib.inference.served_scores import ServedScores

            self._scores = ServedScores(model, self._post)

    def _wait_for(self, coroutine: Coroutine) -> Any:
        """The coroutine's result, computed in the loop's own thread."""
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
        except Exception as e:
            raise self._explain(e) from None

    async def _find_served_name(self, model: Model) -> str:
        served = [listed.id async for listed in self._client.models.list()]
        wanted = model.adapter or model.path
        for name in served:
            if name == wanted or name.rstrip("/").split("/")[-1] == model.name:
                return name
        listed = ", ".join(served) or "nothing"
        raise UserError(f"{self.base_url} serves {listed}, not {model.name}")

    def _explain(self, error: Exception) -> Exception:
        """The error in words that tell the user what to do, where it is one of the server's."""
        import openai

        if isinstance(error, openai.APIConnectionError):
            tries = f"after {RETRIES + 1} tries ({type(error).__name__})"
            advice = "finished rows are kept: start the server again and run the same command"
            return UserError(f"{self.base_url} does not answer {tries}; {advice}")
        if isinstance(error, openai.APIStatusError):
            answer = one_line(Exception(error.response.text or "nothing"))
            return UserError(f"{self.base_url} answered {error.status_code}: {answer}")
        return error

    def submit(self, request: Request) -> None:
        self.pending += 1
        asyncio.run_coroutine_threadsafe(self._answer(request), self._loop)

    async def _answer(self, request: Request) -> None:
        """Put the reply into the queue, or the error, which `poll` raises for the caller."""
        import openai

        try:
            if request.sampling:
                result = await self._generate(request)
            else:
                result = await self._score(request)
        except openai.BadRequestError as e:
            # A prompt that does not fit is a fault of its row; every other 4xx is the run's.
            does_not_fit = any(words in e.response.text for words in TOO_LONG)
            result = Reply(request.key, refused="too long") if does_not_fit else e
        except asyncio.CancelledError:
            raise
        except Exception as e:
            result = e
        self._finished.put(result)

    async def _generate(self, request: Request) -> Reply:
        """All samples of a request; a server that ignores `n` is asked for the rest one by one."""
        completions: list[Completion] = []
        tokens = prompt_tokens = 0
        while len(completions) < request.samples:
            missing = 1 if completions else request.samples
            seed = request.seed + len(completions)
            answer = await self._ask(request, missing, seed)
            completions += _completions_of(answer, self.base_url)
            if answer.usage:
                tokens += answer.usage.completion_tokens
                prompt_tokens = answer.usage.prompt_tokens
        wanted = tuple(completions[: request.samples])
        return Reply(request.key, wanted, tokens=tokens, prompt_tokens=prompt_tokens)

    async def _ask(self, request: Request, samples: int, seed: int):
        sampling = request.sampling
        options = {
            "model": self._served_name,
            "n": samples,
            "seed": seed,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "stop": list(request.stop) or None,
        }
        if is_chat(request.prompt):
            return await self._client.chat.completions.create(messages=request.prompt, **options)
        if request.stop_token_ids:
            options["extra_body"] = {"stop_token_ids": list(request.stop_token_ids)}
        return await self._client.completions.create(prompt=request.prompt, **options)

    async def _score(self, request: Request) -> Reply:
        return Reply(request.key, scores=await self._scores.of(request.prompt))

    async def _post(self, path: str, body: dict) -> dict | None:
        """The server's answer to a body; None if what is in it does not fit the context."""
        import openai

        url = f"{self.base_url.removesuffix('/v1')}{path}"
        body = {"model": self._served_name, **body}
        try:
            return await self._client.post(url, body=body, cast_to=object)
        except openai.BadRequestError as e:
            if any(words in e.response.text for words in TOO_LONG):
                return None
            raise

    def poll(self) -> list[Reply]:
        """Wait for a reply and return all that are there; raises what went wrong with a request."""
        results = [self._finished.get()]
        while not self._finished.empty():
            results.append(self._finished.get())
        for result in results:
            if isinstance(result, Exception):
                raise self._explain(result)
        self.pending -= len(results)
        return results

    def close(self) -> None:
        async def cancel_requests() -> None:
            requests = asyncio.all_tasks() - {asyncio.current_task()}
            for request in requests:
                request.cancel()
            await asyncio.gather(*requests, return_exceptions=True)
            await self._client.close()

        asyncio.run_coroutine_threadsafe(cancel_requests(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)


def _completions_of(answer, base_url: str) -> list[Completion]:
    """The completions of a server's answer to a chat or to a prompt."""
    if not answer.choices:
        raise UserError(f"{base_url} sent a reply without choices")
    completions = []
    for choice in answer.choices:
        message = getattr(choice, "message", None)
        text = choice.text if message is None else _with_reasoning(message)
        completions.append(Completion(text, choice.finish_reason or "stop"))
    return completions


def _with_reasoning(message) -> str:
    """The answer with its thinking, which a server with a reasoning parser sends apart."""
    answer = message.content or ""
    thinking = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    if not thinking:
        return answer
    return f"<think>\n{thinking}\n</think>\n\n{answer}"
