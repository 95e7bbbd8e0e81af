"""What a server's refusal means: for one row, for the pace of asking, or for the whole run.

Pure functions, from the words and codes of the makes that are named beside them. `ServerClient`
says what follows from each fault.
"""

import json
import math
import os
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from lib.inference.requests import TOO_LONG

CONTENT_FILTER = "content_filter"


class RowFault(Exception):
    """This row can never be answered; `reason` is why it is dropped.

    `context` is the server's context in tokens, where it names it for a prompt that is too long.
    """

    def __init__(self, reason: str, context: int | None = None):
        super().__init__(reason)
        self.reason = reason
        self.context = context


class Overloaded(Exception):
    """The server wants to be asked more slowly, and again after `wait_s` seconds if it says so."""

    def __init__(self, message: str, wait_s: float | None = None):
        super().__init__(message)
        self.wait_s = wait_s


class Failure(Exception):
    """A request failed, and it is open whose fault that is; `reason` is it in a few words.

    `tries` is how often such a request is sent in all; None leaves it to the engine.
    """

    def __init__(self, message: str, reason: str, tries: int | None = None):
        super().__init__(message)
        self.reason = reason
        self.tries = tries


class RunFault(Exception):
    """Nothing more can be asked of this server: its message ends the stage.

    `status` is the HTTP status with which the server said so, if it did.
    """

    def __init__(self, message: str, status: int | None = None):
        super().__init__(message)
        self.status = status


# A prompt that is too long for the context. None of these may match a --max_tokens that is too
# large by itself, for which no row is to blame: "max_tokens=5000 cannot be greater than
# max_model_len=512" (vLLM), "max_tokens is too large: 5000" (OpenAI), "`max_tokens` must be less
# than or equal to `8192`, the maximum value for `max_tokens` is less than the `context_window`"
# (Groq).
_TOO_LONG = (
    # vLLM, DeepSeek, OpenRouter, older OpenAI: "This model's maximum context length is 512 tokens.
    # However, you requested 8 output tokens and your prompt contains at least 505 input tokens"
    r"maximum context length (?:is|of) \d",
    # vLLM, below its HTTP layer: "The decoder prompt (length 600) is longer than the maximum model
    # length of 512."
    r"longer than the maximum (?:model length|context length)",
    # llama.cpp: "request (13392 tokens) exceeds the available context size (8192 tokens)", and
    # while it generates, with 500: "Context size has been exceeded."
    r"exceed_context_size_error|exceeds? the available context size|context size has been exceeded",
    # SGLang: "The input (61709 tokens) is longer than the model's context length (40960 tokens).",
    # "Requested token count exceeds the model's maximum context length of 4096 tokens.", and where
    # the memory for keys and values is smaller than the context: "Input length (160062 tokens)
    # exceeds the maximum allowed length (59862 tokens)."
    r"longer than the model's context length",
    r"exceeds the model's maximum context length",
    r"input length \(\d+ tokens\) exceeds the maximum allowed length",
    # TGI: "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens and 200
    # `max_new_tokens`", "`inputs` must have less than 4095 tokens. Given: 5000"
    r"inputs`? tokens \+ `?max_new_tokens`? must be <=|inputs`? must have less than \d+ tokens",
    # LM Studio: "The number of tokens to keep from the initial prompt is greater than the context
    # length", "Trying to keep the first 4097 tokens when context the overflows. However, the model
    # is loaded with context length of only 4096 tokens"
    r"initial prompt is greater than the context length|loaded with context length of only",
    # OpenAI's code, and its newer text: "Your input exceeds the context window of this model."
    r"context_length_exceeded|exceeds the context window",
    # OpenAI and Groq, where one request is over the tokens of a whole minute: "Request too large
    # for model …: Limit 6000, Requested 7012"
    r"request too large for ",
    # Ollama's embeddings: "the input length exceeds the context length"
    r"input length exceeds (?:the )?(?:maximum )?context length",
    # Ollama's models in the cloud: "prompt too long; exceeded max context length by 40 tokens"
    r"prompt too long",
    # Mistral: "Prompt contains 40004 tokens and 0 draft tokens, too large for model with 32768
    # maximum context length"
    r"too large for model with \d+ maximum context length",
    # Groq: "Please reduce the length of the messages or completion."
    r"reduce the length of the (?:messages|input|prompt)",
    # xAI: "This model's maximum prompt length is 131072 but the request contains 537812 tokens"
    r"maximum prompt length is \d",
    # Gemini: "The input token count (1196265) exceeds the maximum number of tokens allowed", and
    # Vertex: "the input token count is 40000 but model only supports up to 32768"
    r"input token count.{0,20}exceeds the maximum|input token count is \d+ but",
    # Anthropic, Bedrock; "input length and `max_tokens` exceed context limit: 190000 + 20000 > …"
    r"prompt is too long|input is too long for requested model",
    r"input length and `?max_tokens`? exceed context limit",
    # MiniMax, Kimi, Alibaba, Zhipu
    r"context window exceeds limit|exceeded model token limit|range of input length should be",
    r"prompt exceeds max length",
    # Together, with 403: "Input token count + `max_tokens` parameter must be less than the context
    # length of the model being queried"
    r"input token count \+ `?max_tokens`?",
    # Cohere: "too many tokens: total number of tokens in the prompt cannot exceed 4081"
    r"number of tokens in the prompt cannot exceed",
    # LiteLLM: "ContextWindowExceededError: Context Window exceeded for given call."
    r"ContextWindowExceededError",
    # Cloudflare: "The estimated number of input and maximum output tokens (9000) exceeded this
    # model context window limit (8000)."
    r"exceeded this model context window limit",
    # llama-cpp-python: "Requested tokens (4200) exceed context window of 4096"
    r"requested tokens \(\d+\) exceed context window",
    # TensorRT-LLM: "Prompt length (5000) exceeds maximum input length (4096)", "The sum of prompt
    # length (5000.0) and query length (0) should not exceed max_num_tokens (4096)"
    r"prompt length \(\d+\) exceeds maximum input length|sum of prompt length \(",
    # TabbyAPI: "Prompt length 5000 is greater than max_seq_len 4096"
    r"prompt length \d+ is greater than max_seq_len",
    # Azure's other models: "Input length 5000 exceeds maximum allowed token size 4096"
    r"input length \d+ exceeds maximum allowed token size",
    # This project's own server of reward models
    r"conversation is longer than the context length",
)
# Azure and OpenAI, DeepSeek, Alibaba, OpenRouter, xAI
_FILTERED = (
    r"content_filter|content management policy|flagged as potentially violating",
    r"content exists risk",
    r"data_inspection_failed",
    r"input was flagged",
    r"violates usage guidelines",
)
# Ollama: "server busy, please try again.  maximum pending requests exceeded"; TGI: "Model is
# overloaded"; llama.cpp: "Loading model"; Hugging Face: "Model X is currently loading"; Fireworks,
# for minutes: "DEPLOYMENT_SCALING_UP"; SGLang: "The request queue is full."
_BUSY = (
    r"overloaded|\bbusy\b|pending requests exceeded|at capacity|loading model|currently loading",
    r"scaling[ _]up|queue is full",
)
# Several answers to one prompt are refused. vLLM at temperature 0: "n must be 1 when using greedy
# sampling, got 3."; llama.cpp, older: "Only one completion choice is allowed", and newer if n is
# above --parallel: "n_cmpl cannot be greater than the number of slots, please increase -np";
# DeepSeek: "Invalid n value (currently only n = 1 is supported)"; Groq: "'n' : number must be at
# most 1"; Gemini: "Multiple candidates is not enabled for this model"
_ONE_ONLY = (
    r"\bn must be 1\b|only one completion choice|n_cmpl cannot be greater|invalid n value",
    r"['\"`]n['\"`] ?:? .{0,20}(?:must be|at most|supported|allowed)|multiple candidates",
)
# Mistral takes no `seed`: {"type": "extra_forbidden", "loc": ["body", "seed"], …}
_NO_SEED = (
    r"extra_forbidden.{0,40}\bseed\b",
    r"\bseed\b.{0,60}not (?:permitted|supported|allowed)",
)

# The context in messages of makes that count the prompt and the wanted answer together.
_CONTEXT = re.compile(
    r"maximum context length (?:is|of) (\d[\d,]*)|max_new_tokens`? must be <= (\d+)", re.IGNORECASE
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
# OpenAI: "Please try again in 6m0s."; Gemini: "Please retry in 58.9s."; Azure: "Please retry after
# 7 seconds."
_TRY_AGAIN_IN = re.compile(
    r"(?:try again|retry) (?:in|after) ((?:\d+(?:\.\d+)? ?(?:ms|s|m(?!illi)|h|d) ?)+)",
    re.IGNORECASE,
)
LONGEST_SPAN_S = 10 * 365 * 86400  # above it a number of seconds is a time since 1970


def api_key() -> str:
    """The key in OPENAI_API_KEY, without the line's end that a file may have left on it."""
    return os.environ.get("OPENAI_API_KEY", "").strip()


def fault_of(status: int, headers: Mapping[str, str], text: str) -> Exception:
    """What an answer with this status, 200 with an error in its body included, is raised as.

    RowFault, Overloaded, Failure or RunFault.
    """
    message = message_of(text)
    if _matches(_FILTERED, text):
        return RowFault(CONTENT_FILTER)
    if status == 413 or (status != 401 and _matches(_TOO_LONG, text)):
        return RowFault(TOO_LONG, _context_in(text))
    if status in (401, 402, 403, 404, 405):
        return RunFault(f"answered {status}: {message}{_advice(status)}", status)
    wait_s = seconds_to_wait(headers, text)
    is_busy = status in (503, 529) and (wait_s is not None or _matches(_BUSY, text))
    if status in (429, 498, 529) or is_busy:  # 498 is Groq's: "Flex Tier Capacity Exceeded"
        return Overloaded(f"{status}: {message}", wait_s)
    # Of other codes under 500 a second try would bring the same again.
    # TGI's 424 is "Request failed during generation".
    may_pass = status in (200, 408, 409, 424, 425) or status >= 500
    tries = None if may_pass else 1
    return Failure(f"answered {status}: {message}", f"server error {status}", tries)


def fault_in_body(body: dict) -> Exception | None:
    """What an `error` in the body of an answer with status 200 is raised as; None without one.

    OpenRouter reports so what fails after it has begun to answer.
    """
    error = body.get("error")
    if not error:
        return None
    code = error.get("code") if isinstance(error, dict) else None
    return fault_of(code if code in (429, 503) else 200, {}, json.dumps(body))


def refuses_several(error: Exception) -> bool:
    """Whether the server says that it gives one answer at a time."""
    return _matches(_ONE_ONLY, str(error))


def refuses_seed(error: Exception) -> bool:
    """Whether the server says that it takes no seed."""
    return _matches(_NO_SEED, str(error))


def _context_in(text: str) -> int | None:
    """The context in tokens that a message about a long prompt names, where answers count in it."""
    named = _CONTEXT.search(text)
    if not named:
        return None
    digits = named[1] or named[2]
    return int(digits.replace(",", ""))


def seconds_to_wait(headers: Mapping[str, str], text: str = "") -> float | None:
    """The seconds after which to ask again, by the headers or else by the message; None if unsaid.

    `retry-after-ms`, `retry-after` in seconds or as a date, and `x-ratelimit-reset-…` of the limit
    that is used up, such as `6m0s`. Some makes write the time since 1970 there, in seconds or in
    milliseconds. Azure sends 0 and -1, which say nothing.
    """
    lowered = {name.lower(): value.strip() for name, value in headers.items()}
    stated = [
        _seconds(lowered.get("retry-after-ms", ""), unit=0.001),
        _seconds(lowered.get("retry-after", "")),
        _seconds_to_date(lowered.get("retry-after", "")),
    ]
    for limit in ("requests", "tokens"):
        if lowered.get(f"x-ratelimit-remaining-{limit}") == "0":
            stated.append(_duration(lowered.get(f"x-ratelimit-reset-{limit}", "")))
    in_words = _TRY_AGAIN_IN.search(text)
    if in_words:
        stated.append(_duration(in_words[1]))
    for seconds in stated:
        seconds = _from_now(seconds or 0)
        if seconds > 0:
            return seconds
    return None


def _from_now(seconds: float) -> float:
    """The seconds, or what is left of them until a time that is given since 1970."""
    if seconds > LONGEST_SPAN_S * 1000:
        seconds /= 1000
    return seconds - time.time() if seconds > LONGEST_SPAN_S else seconds


def message_of(text: str, longest: int = 300) -> str:
    """What a body says, on one line and without the key: its error's message, or a page's title."""
    message = text
    try:
        message = _message_in(json.loads(text)) or text
    except (ValueError, RecursionError):
        title = re.search(r"<title>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        if title:
            message = title[1]
    key = api_key()
    if key:
        message = message.replace(key, "[key]")
    return " ".join(message.split())[:longest] or "nothing"


def _message_in(body) -> str:
    """The message in a body of JSON: at the top (SGLang), in `error`, or in `detail` (FastAPI)."""
    if not isinstance(body, dict):
        return ""
    for name in ("error", "message", "detail"):
        value = body.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, dict) and isinstance(value.get("message"), str):
            return value["message"]
    return ""


def _advice(status: int) -> str:
    """What to do about a refusal of the whole run."""
    if status not in (401, 403):
        return ""
    if api_key():
        return "; it does not take the key in OPENAI_API_KEY"
    return "; it needs a key: set OPENAI_API_KEY"


def _matches(patterns: tuple[str, ...], text: str) -> bool:
    return any(re.search(pattern, text, re.IGNORECASE | re.DOTALL) for pattern in patterns)


def _seconds(number: str, unit: float = 1) -> float | None:
    try:
        seconds = float(number) * unit
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None


def _seconds_to_date(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except (ValueError, TypeError):
        return None


def _duration(text: str) -> float | None:
    """`6m0s` or `12ms` in seconds; None if it is neither these nor a number."""
    parts = _DURATION.findall(text)
    if not parts:
        return _seconds(text)
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
