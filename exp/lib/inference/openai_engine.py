"""A server that speaks the OpenAI protocol: vLLM, llama.cpp, Ollama, a vendor."""

import asyncio
import queue
import threading
from collections.abc import Coroutine
from typing import Any

from lib.errors import UserError
from lib.inference import served_model, served_scores, server_answers
from lib.inference.requests import TOO_LONG, Reply, Request, is_chat
from lib.inference.served_model import ServedModel
from lib.inference.server_answers import Answer
from lib.inference.server_client import OnlyOne, Question, ServerClient
from lib.inference.server_dialects import Messages, TokenIds
from lib.inference.server_faults import RowFault, RunFault
from lib.models import Model
from lib.progress import say

# Measured with tiny on 2 cores: 256 requests in flight give .85 of an offline call, 1,200 only .65.
IN_FLIGHT = 256
# After 0.5, 1, 2, 4, 8, 8 s: about 24 s before a server counts as gone.
RETRIES = 6
POLL_S = 5.0


class OpenAIEngine:
    """Asks a server; a reward model is asked as `served_scores` says.

    A server of vLLM is sent token ids, as the engine in this process is; others get messages, which
    they render by themselves. `ServerClient` says which fault drops a row, and which one is raised
    by `poll` as UserError. `most_in_flight` bounds the rows that are asked for and, as a row may
    take several, the requests as well.
    """

    def __init__(
        self,
        model: Model,
        base_url: str,
        trust_remote_code: bool = False,
        most_in_flight: int = IN_FLIGHT,
    ):
        self.most_in_flight = most_in_flight
        self.pending = 0
        self._finished: queue.Queue[Reply | Exception] = queue.Queue()
        self._fault: Exception | None = None
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._client = ServerClient(base_url, most_in_flight, RETRIES)
        self._result_of(self._client.open())
        try:
            self._served = self._result_of(self._find(model))
            self._prompts = served_model.prompts_for(self._served, model, trust_remote_code)
        except BaseException:
            self.close()
            raise
        dialect = TokenIds if self._served.takes_token_ids else Messages
        self._dialect = dialect(self._served.name, self._prompts)
        self._scores = None
        if model.runner != "generate":
            self._scores = served_scores.of(model, self._served, self._dialect)
        self._gives_several = self._dialect.gives_several
        self._first_several = asyncio.Lock()

    def _result_of(self, coroutine: Coroutine) -> Any:
        """The coroutine's result, computed in the loop's own thread."""
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
        except RunFault as e:
            raise self._user_error(e) from None

    def _user_error(self, fault: RunFault) -> UserError:
        return UserError(f"{self._client.shown_url} {fault}")

    async def _find(self, model: Model) -> ServedModel:
        """The model on the server, by what it lists; under its own name where nothing is listed."""
        try:
            listing = await self._client.ask(Question("/models"), read=dict)
        except RunFault as e:
            if e.status not in (404, 405):
                raise
            if not self._client.base_url.endswith("/v1"):
                raise RunFault(f"{e}; does --base_url have to end in /v1?") from None
            return ServedModel(model.adapter or model.path, max_model_len=model.max_model_len)
        return served_model.find(listing, model)

    def submit(self, request: Request) -> None:
        self.pending += 1
        if request.sampling is None:
            questions = [self._scores.question(messages) for messages in request.prompt]
            self._begin(request, self._score(request, questions))
            return
        ask = self._dialect.to_answer if is_chat(request.prompt) else self._dialect.to_continue
        question = ask(request)
        if self._fits(question, request.sampling.max_tokens):
            self._begin(request, self._generate(request, question))
        else:
            self._finished.put(Reply(request.key, refused=TOO_LONG))

    def _begin(self, request: Request, reply: Coroutine[Any, Any, Reply]) -> None:
        """Let the loop's thread work on a reply."""
        asyncio.run_coroutine_threadsafe(self._finish(request, reply), self._loop)

    def _fits(self, question: Question, answer_tokens: int = 0) -> bool:
        """Whether a prompt fits the context beside an answer, as far as both are known.

        UserError if no prompt does.
        """
        context = self._served.max_model_len
        if not context:
            return True
        if answer_tokens >= context:
            has = f"{self._client.shown_url} has a context of {context} tokens"
            raise UserError(f"{has}: --max_tokens {answer_tokens} leaves no room for a prompt")
        return (question.prompt_tokens or 0) + answer_tokens <= context

    async def _finish(self, request: Request, reply: Coroutine[Any, Any, Reply]) -> None:
        """Put the reply into the queue, or the error, which `poll` raises for the caller."""
        try:
            result = await reply
        except RowFault as e:
            result = Reply(request.key, refused=e.reason)
        except RunFault as e:
            result = self._user_error(e)
        except Exception as e:
            result = e
        self._finished.put(result)

    async def _score(self, request: Request, questions: list[Question]) -> Reply:
        """The scores of all chats of a request; one without a score costs itself alone."""
        outputs = await asyncio.gather(*map(self._output, questions))
        return Reply(request.key, scores=self._scores.scores(outputs))

    async def _output(self, question: Question) -> Any:
        """What the server returns for one chat, or the RowFault that says why there is nothing."""
        if not self._fits(question):
            return RowFault(TOO_LONG)
        try:
            return await self._client.ask(question, self._scores.read)
        except RowFault as fault:
            return fault

    async def _generate(self, request: Request, question: Question) -> Reply:
        """All samples of a request; those that one answer does not hold are asked for singly."""
        answers = []
        completions = []
        # At temperature 0 vLLM refuses to give several, which would be the same.
        if request.samples > 1 and request.sampling.temperature > 0:
            several = await self._several(request, question)
            if several:
                answers.append(several)
                completions += several.completions[: request.samples]
        missing_places = range(len(completions), request.samples)
        singles = [self._ask(question, request.seed + place) for place in missing_places]
        for single in await asyncio.gather(*singles):
            answers.append(single)
            completions.append(single.completions[0])
        is_answer = is_chat(request.prompt) and self._prompts
        return Reply(
            request.key,
            tuple(completions),
            thinking=self._prompts.thinking if is_answer else None,
            tokens=sum(answer.tokens for answer in answers),
            prompt_tokens=answers[0].prompt_tokens or question.prompt_tokens or 0,
        )

    async def _several(self, request: Request, question: Question) -> Answer | None:
        """The samples of one request; None if the server gives one at a time.

        The first request finds that out for the run, and the others wait for it.
        """
        if self._gives_several is None:
            async with self._first_several:
                if self._gives_several is None:
                    return await self._try_several(request, question)
        if not self._gives_several:
            return None
        return await self._try_several(request, question)

    async def _try_several(self, request: Request, question: Question) -> Answer | None:
        try:
            answer = await self._ask(question, request.seed, request.samples)
        except OnlyOne:
            answer = None
        if self._gives_several is None:
            self._gives_several = bool(answer) and len(answer.completions) == request.samples
            if not self._gives_several:
                url = self._client.shown_url
                say(f"{url} gives one answer at a time: each sample is asked for by itself")
        return answer

    async def _ask(self, question: Question, seed: int, samples: int = 1) -> Answer:
        """One answer of the server."""

        def read(content: dict) -> Answer:
            answer = server_answers.read(content, self._think_tags())
            if question.prompt_tokens and not self._served.takes_token_ids:
                server_answers.check_prompt(answer, question.prompt_tokens)
            return answer

        return await self._client.ask(question, read, n=samples, seed=seed)

    def _think_tags(self) -> tuple[str, str]:
        """The tags around thinking that the server sends apart."""
        opened = self._prompts.thinking if self._prompts else None
        return opened or server_answers.THINK_TAGS

    def poll(self) -> list[Reply]:
        """Wait for replies, at most POLL_S, and return all that are there.

        An error of a request is raised once the replies that came with it have been returned.
        """
        if self._fault:
            raise self._fault
        try:
            results = [self._finished.get(timeout=POLL_S)]
        except queue.Empty:
            return []
        while not self._finished.empty():
            results.append(self._finished.get())
        replies = []
        for result in results:
            if isinstance(result, Reply):
                replies.append(result)
            else:
                self._fault = self._fault or result
        self.pending -= len(replies)
        if self._fault and not replies:
            raise self._fault
        return replies

    def close(self) -> None:
        async def cancel_requests() -> None:
            requests = asyncio.all_tasks() - {asyncio.current_task()}
            for request in requests:
                request.cancel()
            await asyncio.gather(*requests, return_exceptions=True)
            await self._client.close()

        asyncio.run_coroutine_threadsafe(cancel_requests(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
