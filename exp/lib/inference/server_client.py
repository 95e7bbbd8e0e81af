"""Asks a server for JSON over HTTP, again and again where that helps, and says whose a fault is."""

import asyncio
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from lib.inference import server_faults
from lib.inference.pacing import Pace
from lib.inference.server_faults import Failure, Overloaded, RowFault, RunFault
from lib.progress import clock, say

# 0.5, 1, 2, 4, 8, 8 s between tries.
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 8.0
# An answer may take long (32,768 tokens at 20/s take 27 minutes); a connection may not. A request
# that was not answered in that time is sent once more.
ANSWER_S, CONNECT_S = 3600, 10
BESIDE_V1 = ("/classify", "/pooling")  # vLLM's own paths
# So many rows that fail one after the other, with none answered between them, are the server's.
FAILED_IN_A_ROW = 10


Value = TypeVar("Value")


class OnlyOne(Exception):
    """The server refuses a request for several answers; it may give one."""


@dataclass(frozen=True)
class Question:
    """What is posted to a path; a question without a body is got.

    `trivial` is a body of the same kind with the smallest prompt. `prompt_tokens` is our count of
    the body's prompt; None where the model's tokenizer is not on this machine.
    """

    path: str
    body: dict | None = None
    trivial: dict | None = None
    prompt_tokens: int | None = None


class ServerClient:
    """Asks one server. Of each fault it decides whose it is.

    - A row's that can never be answered (its prompt is too long, its content is filtered) is raised
      as RowFault at once.
    - An overloaded server (429, 503) is asked more slowly, for as long as it takes.
    - Anything else that fails (500, a broken connection, no JSON, no choices) is tried `retries`
      times more. If nothing helps, it is the row's fault if the server has answered a request that
      was sent after the last failure but one, or answers a trivial one now: RowFault. (An answer to
      an earlier request says nothing: a server that is being stopped still sends such ones.)
    - If the server answers nothing, or FAILED_IN_A_ROW rows fail and none is answered between them,
      or the server says that nobody may ask (401, 404), RunFault ends the stage.

    The key is read from OPENAI_API_KEY and goes nowhere but into the requests' header. `open` comes
    first, and all of it runs in one event loop.
    """

    def __init__(self, base_url: str, most_in_flight: int, retries: int):
        self.base_url = base_url.rstrip("/")
        self.shown_url = _without_secrets(self.base_url)
        self._tries = 1 + retries
        self._pace = Pace(self.shown_url, most_in_flight)
        self._answered_since = -math.inf  # when the latest request was sent that was answered
        self._failed_in_a_row = 0
        self._takes_seed = True

    async def open(self) -> None:
        """Make the HTTP client; it has as many connections as there are requests under way.

        RunFault if the key can be in no header.
        """
        import aiohttp

        key = server_faults.api_key()
        if not key.isprintable():
            raise RunFault(
                "cannot be sent the key in OPENAI_API_KEY: there are several lines in it"
            )
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
            trust_env=True,  # proxies
        )

    async def close(self) -> None:
        await self._session.close()

    async def ask(self, question: Question, read: Callable[[dict], Value], **more: object) -> Value:
        """What `read` makes of the server's answer; `more` goes into the body.

        RowFault or RunFault if there is none after all tries; OnlyOne if it refuses its `n`.
        """
        failures = 0
        failed_at = failed_before = time.monotonic()
        while True:
            if not self._takes_seed:
                more.pop("seed", None)
            body = None if question.body is None else {**question.body, **more}
            try:
                async with self._pace.turn():
                    sent_at = time.monotonic()
                    value = read(await self._send(question.path, body))
            except Overloaded:
                continue
            except RowFault as fault:
                _check_room(fault, body)
                raise
            except Failure as failure:
                if self._is_about_seed(failure, more):
                    continue
                is_refused = failure.tries == 1 or server_faults.refuses_several(failure)
                if more.get("n", 1) > 1 and is_refused:
                    raise OnlyOne from failure
                failures += 1
                failed_before, failed_at = failed_at, time.monotonic()
                if failures >= (failure.tries or self._tries):
                    if more.get("n", 1) > 1 and failure.reason.startswith("server error"):
                        raise OnlyOne from failure
                    raise await self._verdict(failure, failures, failed_before, question) from None
            else:
                self._answered_since = max(self._answered_since, sent_at)
                self._failed_in_a_row = 0
                return value
            await asyncio.sleep(min(FIRST_WAIT_S * 2 ** (failures - 1), LONGEST_WAIT_S))

    def _is_about_seed(self, failure: Failure, more: dict) -> bool:
        """Whether the request fails for its seed, which no later request has then."""
        if "seed" not in more or not server_faults.refuses_seed(failure):
            return False
        if self._takes_seed:
            say(f"{self.shown_url} takes no seed: another run would give other answers")
        self._takes_seed = False
        return True

    async def _verdict(
        self, failure: Failure, tries: int, failed_before: float, question: Question
    ) -> RowFault | RunFault:
        """Whose fault it is that a request failed each time: the row's or the server's."""
        has_answered = tries > 1 and self._answered_since > failed_before
        # What is refused may be --max_tokens, and not the row: then it is asked for as well.
        most_tokens = None if failure.tries == 1 else 1
        if has_answered or await self._answers_trivial(question, most_tokens):
            self._failed_in_a_row += 1
            if self._failed_in_a_row < FAILED_IN_A_ROW:
                say(f"{self.shown_url} {failure}; that row is dropped after {tries} tries")
                return RowFault(failure.reason)
        kept = "finished rows are kept"
        if tries == 1:
            return RunFault(f"{failure}; {kept}")
        cause = f" ({type(failure.__cause__).__name__})" if failure.__cause__ else ""
        advice = f"{kept}: start the server again and run the same command"
        return RunFault(f"{failure} after {tries} tries{cause}; {advice}")

    async def _answers_trivial(self, question: Question, most_tokens: int | None) -> bool:
        """Whether the server answers the trivial request, in one of two tries."""
        if question.trivial is None:
            return False
        body = dict(question.trivial)
        if most_tokens and "max_tokens" in body:
            body["max_tokens"] = most_tokens
        for wait_s in (FIRST_WAIT_S, 0):
            try:
                content = await self._send(question.path, body)
                return bool(content.get("choices") or content.get("data"))
            except Overloaded:
                return True
            except (Failure, RowFault, RunFault):
                await asyncio.sleep(wait_s)
        return False

    async def _send(self, path: str, body: dict | None) -> dict:
        """The JSON object that comes back; raises what it is instead."""
        import aiohttp

        root = self.base_url
        if path in BESIDE_V1:
            root = root.removesuffix("/v1")
        method = "GET" if body is None else "POST"
        try:
            async with asyncio.timeout(ANSWER_S):
                request = self._session.request(method, f"{root}{path}", json=body)
                async with request as response:
                    # JSON is UTF-8, whatever a header says.
                    text = (await response.read()).decode("utf-8-sig", errors="replace")
                    if response.method != method:  # an older redirect makes a GET of a POST
                        moved_to = _without_secrets(str(response.url)).removesuffix(path)
                        raise RunFault(f"has moved: set --base_url {moved_to}")
        except (aiohttp.ClientError, ConnectionError) as e:
            raise Failure("does not answer", "connection broken") from e
        except TimeoutError:
            reason = f"no answer in {clock(ANSWER_S)}"
            raise Failure(f"gave {reason}", reason, tries=2) from None
        if response.status >= 300:
            raise server_faults.fault_of(response.status, response.headers, text)
        if path == "/models" and text.lstrip().startswith("["):
            text = f'{{"data": {text}}}'  # Together lists them without an object around
        return _json_object(text)


def _check_room(fault: RowFault, body: dict) -> None:
    """RunFault if no prompt at all fits into the context beside an answer of full length."""
    answer_tokens = body.get("max_tokens", 0)
    if fault.context and answer_tokens >= fault.context:
        context = f"has a context of {fault.context} tokens"
        raise RunFault(f"{context}: --max_tokens {answer_tokens} leaves no room for a prompt")


def _json_object(text: str) -> dict:
    """A body as JSON; Failure if it is none, and what an error in it is."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise Failure(f"sent no JSON: {server_faults.message_of(text, 100)}", "no JSON")
    fault = server_faults.fault_in_body(content)
    if fault:
        raise fault
    return content


def _without_secrets(url: str) -> str:
    """The address without a user, a password and a query, as it may be shown."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"
