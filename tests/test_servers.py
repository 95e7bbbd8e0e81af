"""Servers of every make: whose fault a fault is, and that no finished row is ever lost or asked again.

The servers here are scripted fakes, named after the makes that they imitate, with these makes' own
texts. The real one is vLLM's, at the end.
"""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import gen_ins
import gen_po_multi_res
import gen_res
from conftest import ROOT, TINY, TINY_RM
from lib import models, progress
from lib.errors import UserError
from lib.inference import (
    openai_engine,
    pacing,
    server_answers,
    server_client,
    server_faults,
)
from lib.inference.backends import Where
from lib.inference.prompts import Prompts
from lib.inference.requests import Reply, Request, Sampling, user_turn
from lib.inference.server_faults import Failure, Overloaded, RowFault, RunFault

ROWS, BAD = 60, 17
NEEDS_NO_TOKENIZER = "some/model"  # a hub name that is nowhere: messages go as they are
CLOSE = "close the connection"
KEY = "sk-a-secret-key"


class FakeServer(ThreadingHTTPServer):
    """Answers row k, "What is k + 1?", with k + 1; `behave` may return (status, body, headers) instead.

    `behave(row, body, count)` gets the row, or None for what is no row of ours, and how often the
    row was asked before. A body is an object or a text; CLOSE as the status answers nothing.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, make: str, behave=lambda row, body, count: None, model=NEEDS_NO_TOKENIZER):
        self.make, self.behave, self.model = make, behave, model
        self.asked: Counter = Counter()  # by row
        self.bodies: list[dict] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        listed = {"id": model, "object": "model", "owned_by": make}
        self.listing = {"object": "list", "data": [listed]}
        super().__init__(("127.0.0.1", 0), FakeHandler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request, client_address):
        """A client that goes away in the middle is part of the tests."""


class FakeHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.reply(200, self.server.listing, {})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        row = row_of(body)
        with self.server.lock:
            count = self.server.asked[row]
            self.server.asked[row] += 1
            self.server.bodies.append(body)
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        behaviour = self.server.behave(row, body, count) or (200, answer(row))
        with self.server.lock:
            self.server.at_once -= 1
        status, content, headers = (*behaviour, {})[:3]
        if status == CLOSE:
            self.close_connection = True
            return
        self.reply(status, content, headers)

    def reply(self, status, content, headers):
        data = content if isinstance(content, str) else json.dumps(content)
        data = data.encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def row_of(body: dict) -> int | None:
    found = re.search(r"What is (\d+) \+ 1", str(body.get("messages")))
    return int(found[1]) if found else None


def answer(row: int | None, text: str | None = "", ending: str | None = "stop", **more) -> dict:
    """An answer of one choice with the row's right sum, or with this text."""
    content = str((row or 0) + 1) if text == "" else text
    message = {"role": "assistant", "content": content, **more}
    choice = {"index": 0, "message": message, "finish_reason": ending}
    return {"object": "chat.completion", "choices": [choice]}


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch):
    monkeypatch.setattr(server_client, "FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(server_client, "LONGEST_WAIT_S", 0.01)
    monkeypatch.setattr(pacing, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(openai_engine, "POLL_S", 0.05)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def questions(tmp_path, monkeypatch):
    # Several runs in one process would find the file locked by those that were ended before them.
    monkeypatch.setattr(fcntl, "flock", lambda *lock: None)
    rows = [{"instruction": f"What is {k} + 1?"} for k in range(ROWS)]
    (tmp_path / "in.json").write_text(json.dumps(rows))
    return tmp_path


def gen_answers(folder, server: FakeServer, model_path=NEEDS_NO_TOKENIZER, max_tokens=64) -> None:
    """gen_res in this process, from in.json to out.json, with 8 requests in flight."""
    where = Where(engine="openai", base_url=server.url, max_in_flight=8)
    sampling = Sampling(temperature=0.5, max_tokens=max_tokens)
    files = {"ins_data_path": str(folder / "in.json"), "save_path": str(folder / "out.json")}
    gen_res.main(str(model_path), **files, sampling=sampling, where=where)


def kept_rows(folder) -> list[dict]:
    return json.loads((folder / "out.json").read_bytes())


def dropped_rows(folder) -> list[dict]:
    path = folder / "out.json.dropped.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def part_keys(folder) -> set[int]:
    lines = (folder / "out.json.part").read_text().splitlines()
    return {json.loads(line)["key"] for line in lines}


class Killed(BaseException):
    """Ends a stage as nothing else does."""


def kill_after(rows: int, monkeypatch) -> None:
    """The next stage that writes so many rows is ended there."""
    from lib.output import Output

    add = Output.add

    def add_or_die(self, *row):
        if len(self) == rows:
            monkeypatch.setattr(Output, "add", add)
            raise Killed
        add(self, *row)

    monkeypatch.setattr(Output, "add", add_or_die)


TOO_LONG = [  # make, status, body
    pytest.param("vllm", 400, {"error": {"message": "This model's maximum context length is 512 tokens. However, you requested 8 output tokens and your prompt contains at least 505 input tokens, for a total of at least 513 tokens. Please reduce the length of the input prompt or the number of requested output tokens.", "type": "BadRequestError", "param": "input_tokens", "code": 400}}, id="vLLM 0.31"),
    pytest.param("vllm", 400, {"object": "error", "message": "The decoder prompt (length 600) is longer than the maximum model length of 512. Make sure that `max_model_len` is no smaller than the number of text tokens.", "type": "BadRequestError", "code": 400}, id="vLLM below its HTTP layer"),
    pytest.param("llamacpp", 400, {"error": {"code": 400, "message": "request (13392 tokens) exceeds the available context size (8192 tokens), try increasing it", "type": "exceed_context_size_error", "n_prompt_tokens": 13392, "n_ctx": 8192}}, id="llama.cpp"),
    pytest.param("llamacpp", 400, {"error": {"code": 400, "message": "the request exceeds the available context size. try increasing the context size or enable context shift", "type": "invalid_request_error"}}, id="llama.cpp of 2025"),
    pytest.param("llamacpp", 500, {"error": {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}}, id="llama.cpp while it generates"),
    pytest.param("sglang", 400, {"object": "error", "message": "The input (61709 tokens) is longer than the model's context length (40960 tokens).", "type": "BadRequestError", "param": None, "code": 400}, id="SGLang, without the error wrapper"),
    pytest.param("sglang", 400, {"object": "error", "message": "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of 5000 tokens: 4936 tokens from the input messages and 64 tokens for the completion.", "code": 400}, id="SGLang, both together"),
    pytest.param("sglang", 400, {"object": "error", "message": "Input length (160062 tokens) exceeds the maximum allowed length (59862 tokens). Use a shorter input or enable --allow-auto-truncate.", "code": 400}, id="SGLang, memory for keys and values"),
    pytest.param("tgi", 422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4090 `inputs` tokens and 64 `max_new_tokens`", "error_type": "validation"}, id="TGI"),
    pytest.param("tgi", 422, {"error": "Input validation error: `inputs` must have less than 4095 tokens. Given: 5000", "error_type": "validation"}, id="TGI, the prompt alone"),
    pytest.param("organization_owner", 400, {"error": "The number of tokens to keep from the initial prompt is greater than the context length. Try to load the model with a larger context length, or provide a shorter input"}, id="LM Studio"),
    pytest.param("organization_owner", 400, {"error": "Trying to keep the first 4097 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough."}, id="LM Studio, newer"),
    pytest.param("openai", 400, {"error": {"message": "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.", "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}}, id="OpenAI"),
    pytest.param("openai", 400, {"error": {"message": "Your input exceeds the context window of this model. Please adjust your input and try again.", "type": "invalid_request_error", "code": None}}, id="OpenAI, newer"),
    pytest.param("openai", 429, {"error": {"message": "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 35000.", "type": "tokens", "code": "rate_limit_exceeded"}}, id="OpenAI, more than a minute's tokens"),
    pytest.param("openrouter", 400, {"error": {"message": "This endpoint's maximum context length is 8192 tokens. However, you requested about 9000 tokens (8936 of text input, 64 in the output). Please reduce the length of either one.", "code": 400}}, id="OpenRouter"),
    pytest.param("deepseek", 400, {"error": {"message": "This model's maximum context length is 131072 tokens. However, you requested 131134 tokens (131070 in the messages, 64 in the completion). Please reduce the length of the messages or completion.", "type": "invalid_request_error", "code": "invalid_request_error"}}, id="DeepSeek"),
    pytest.param("mistralai", 400, {"object": "error", "message": "Prompt contains 40004 tokens and 0 draft tokens, too large for model with 32768 maximum context length", "type": "invalid_request_error", "code": 3051}, id="Mistral"),
    pytest.param("groq", 400, {"error": {"message": "Please reduce the length of the messages or completion.", "type": "invalid_request_error", "param": "messages"}}, id="Groq"),
    pytest.param("groq", 413, {"error": {"message": "Request Entity Too Large", "type": "invalid_request_error", "code": "request_too_large"}}, id="Groq, 413"),
    pytest.param("xai", 400, {"code": "Client specified an invalid argument", "error": "This model's maximum prompt length is 131072 but the request contains 537812 tokens."}, id="xAI"),
    pytest.param("google", 400, {"error": {"code": 400, "message": "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).", "status": "INVALID_ARGUMENT"}}, id="Gemini"),
    pytest.param("anthropic", 400, {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 213462 tokens > 200000 maximum"}}, id="Anthropic"),
    pytest.param("moonshot", 400, {"error": {"message": "Invalid request: Your request exceeded model token limit: 8192", "type": "invalid_request_error"}}, id="Kimi"),
    pytest.param("ollama", 400, {"error": {"message": "the input length exceeds the context length", "type": "api_error"}}, id="Ollama's embeddings"),
    pytest.param("ollama", 400, {"error": {"message": "prompt too long; exceeded max context length by 40 tokens", "type": "api_error"}}, id="Ollama's cloud"),
    pytest.param("together", 403, {"error": {"message": "Input token count + `max_tokens` parameter must be less than the context length of the model being queried."}}, id="Together, 403"),
    pytest.param("fireworks", 400, {"error": {"object": "error", "type": "invalid_request_error", "message": "The prompt is too long: 140000, model maximum context length: 131071"}}, id="Fireworks"),
    pytest.param("litellm", 400, {"error": {"message": "litellm.ContextWindowExceededError: Context Window exceeded for given call. No models have context window large enough for this call.", "code": "400"}}, id="LiteLLM"),
    pytest.param("google", 400, {"error": {"code": 400, "message": "Unable to submit request because the input token count is 40000 but model only supports up to 32768. Reduce the input token count and try again."}}, id="Vertex"),
    pytest.param("anthropic", 400, {"error": {"message": "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again"}}, id="Anthropic, both together"),
    pytest.param("cohere", 400, {"message": "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292. Try using a shorter prompt."}, id="Cohere"),
    pytest.param("zhipu", 400, {"error": {"code": "1261", "message": "Prompt exceeds max length"}}, id="Zhipu"),
    pytest.param("cloudflare", 400, {"errors": [{"message": "The estimated number of input and maximum output tokens (9000) exceeded this model context window limit (8000)."}]}, id="Cloudflare"),
    pytest.param("llama_cpp_python", 500, {"error": {"message": "Requested tokens (4200) exceed context window of 4096"}}, id="llama-cpp-python"),
    pytest.param("tensorrt", 400, {"object": "error", "message": "Prompt length (5000) exceeds maximum input length (4096)."}, id="TensorRT-LLM"),
    pytest.param("tensorrt", 400, {"object": "error", "message": "The sum of prompt length (5000.0) and query length (0) should not exceed max_num_tokens (4096)"}, id="TensorRT-LLM, a batch"),
    pytest.param("tabby", 400, {"detail": "Prompt length 5000 is greater than max_seq_len 4096"}, id="TabbyAPI"),
    pytest.param("azure", 400, {"error": {"message": "Input length 5000 exceeds maximum allowed token size 4096"}}, id="Azure's other models"),
]  # fmt: skip


@pytest.mark.parametrize("make, status, body", TOO_LONG)
def test_a_prompt_that_is_too_long_is_a_rows_fault_in_the_words_of_every_make(make, status, body):
    fault = server_faults.fault_of(status, {}, json.dumps(body))
    assert isinstance(fault, RowFault) and fault.reason == "too long"
    assert not fault.context or fault.context > 64


# What no row is to blame for, and how it counts instead.
NOT_A_ROW = [  # status, body, kind of fault
    pytest.param(400, {"error": {"message": "max_tokens=5000 cannot be greater than max_model_len=512. Please request fewer output tokens.", "param": "max_tokens", "code": 400}}, Failure, id="vLLM, max_tokens alone"),
    pytest.param(400, {"error": {"message": "max_tokens is too large: 5000. This model supports at most 4096 completion tokens, whereas you provided 5000.", "code": "invalid_value"}}, Failure, id="OpenAI, max_tokens alone"),
    pytest.param(400, {"error": {"message": "`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens` is less than the `context_window` for this model"}}, Failure, id="Groq, max_tokens alone"),
    pytest.param(400, {"error": {"message": "max_tokens: 5000 > 4096, which is the maximum allowed number of output tokens"}}, Failure, id="Anthropic, max_tokens alone"),
    pytest.param(422, {"error": "Input validation error: `max_new_tokens` must be <= 4096. Given: 5000", "error_type": "validation"}, Failure, id="TGI, max_tokens alone"),
    pytest.param(401, {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}, RunFault, id="a wrong key"),
    pytest.param(403, {"detail": "Forbidden"}, RunFault, id="forbidden"),
    pytest.param(402, {"error": {"message": "Insufficient Balance"}}, RunFault, id="DeepSeek, no money"),
    pytest.param(404, {"error": {"message": "The model `X` does not exist.", "type": "NotFoundError"}}, RunFault, id="vLLM, another model"),
    pytest.param(404, {"error": {"message": "model \"x\" not found, try pulling it first"}}, RunFault, id="Ollama, no such model"),
    pytest.param(429, {"error": {"message": "Rate limit reached for requests"}}, Overloaded, id="OpenAI, rate"),
    pytest.param(429, {"error": "Model is overloaded", "error_type": "overloaded"}, Overloaded, id="TGI, overloaded"),
    pytest.param(503, {"error": {"message": "server busy, please try again.  maximum pending requests exceeded"}}, Overloaded, id="Ollama, busy"),
    pytest.param(503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}, Overloaded, id="llama.cpp, loading"),
    pytest.param(498, {"error": {"message": "Flex Tier Capacity Exceeded"}}, Overloaded, id="Groq, its own code"),
    pytest.param(503, {"error": "Model x/y is currently loading", "estimated_time": 20.0}, Overloaded, id="Hugging Face, loading"),
    pytest.param(503, {"error": {"code": "DEPLOYMENT_SCALING_UP", "message": "Deployment is scaling up"}}, Overloaded, id="Fireworks, starting"),
    pytest.param(503, {"object": "error", "message": "The request queue is full."}, Overloaded, id="SGLang, a full queue"),
    pytest.param(503, "no healthy upstream", Failure, id="a gateway without a server"),
    pytest.param(502, "<html><title>502 Bad Gateway</title></html>", Failure, id="nginx"),
    pytest.param(500, {"error": {"message": "EngineCore encountered an issue", "type": "Internal Server Error"}}, Failure, id="vLLM, a dead engine"),
    pytest.param(408, "", Failure, id="a time-out at the server"),
]  # fmt: skip


@pytest.mark.parametrize("status, body, kind", NOT_A_ROW)
def test_other_faults_are_no_rows_fault(status, body, kind):
    text = body if isinstance(body, str) else json.dumps(body)
    assert type(server_faults.fault_of(status, {}, text)) is kind


@pytest.mark.parametrize(
    "status, body",
    [
        pytest.param(400, {"error": {"code": "content_filter", "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."}}, id="Azure"),
        pytest.param(400, {"error": {"message": "Content Exists Risk", "code": "invalid_request_error"}}, id="DeepSeek"),
        pytest.param(400, {"code": "data_inspection_failed", "message": "Input data may contain inappropriate content."}, id="Alibaba"),
        pytest.param(403, {"error": {"message": "Your chosen model requires moderation and your input was flagged", "code": 403}}, id="OpenRouter"),
    ],
)  # fmt: skip
def test_a_prompt_that_is_filtered_is_a_rows_fault(status, body):
    fault = server_faults.fault_of(status, {}, json.dumps(body))
    assert isinstance(fault, RowFault) and fault.reason == "content_filter"


@pytest.mark.parametrize(
    "headers, text, seconds",
    [
        pytest.param({"Retry-After": "17"}, "", 17, id="seconds"),
        pytest.param({"Retry-After": "36000"}, "", 36000, id="a daily quota"),
        pytest.param({"retry-after-ms": "250", "retry-after": "1"}, "", 0.25, id="milliseconds"),
        pytest.param({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s", "x-ratelimit-reset-tokens": "12ms"}, "", 360, id="OpenAI, requests used up"),
        pytest.param({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1h2m3.5s"}, "", 3723.5, id="OpenAI, tokens used up"),
        pytest.param({}, "Please try again in 6m0s. Visit …", 360, id="in the message"),
        pytest.param({}, "Please retry in 58.9s.", 58.9, id="Gemini's words"),
        pytest.param({}, "Please retry after 7 seconds.", 7, id="Azure's words"),
        pytest.param({}, "Try again in 1m 30s", 90, id="two words"),
        pytest.param({"Retry-After": "-1"}, "", None, id="Azure's nonsense"),
        pytest.param({"Retry-After": "0"}, "", None, id="nothing to wait for"),
        pytest.param({"Retry-After": "nan"}, "", None, id="no number"),
        pytest.param({"Retry-After": "soon"}, "", None, id="a word"),
        pytest.param({}, "slow down", None, id="unsaid"),
    ],
)  # fmt: skip
def test_the_wait_is_what_the_server_asks_for(headers, text, seconds):
    assert server_faults.seconds_to_wait(headers, text) == seconds


def test_the_wait_may_be_a_date():
    date = formatdate(time.time() + 90, usegmt=True)
    assert 85 < server_faults.seconds_to_wait({"Retry-After": date}) < 91
    past = formatdate(time.time() - 90, usegmt=True)
    assert server_faults.seconds_to_wait({"Retry-After": past}) is None


@pytest.mark.parametrize("unit", [1, 1000], ids=["seconds", "milliseconds"])
@pytest.mark.parametrize("name", ["Retry-After", "x-ratelimit-reset-requests"])
def test_the_wait_may_be_a_time_since_1970(name, unit):
    stated = str(int((time.time() + 90) * unit))
    headers = {"x-ratelimit-remaining-requests": "0", name: stated}
    assert 85 < server_faults.seconds_to_wait(headers) < 91


def test_a_fault_of_an_upstream_is_tried_again():
    """TGI's, which a row is not dropped for at once."""
    body = json.dumps({"error": "Request failed during generation", "error_type": "generation"})
    assert server_faults.fault_of(424, {}, body).tries is None


ROW_FAULTS = [  # make, what the bad row gets each time, why it is dropped
    pytest.param("llamacpp", (500, {"error": {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}}), "too long", id="llama.cpp, context"),
    pytest.param("tgi", (422, {"error": "Input validation error: `inputs` must have less than 4095 tokens. Given: 5000"}), "too long", id="TGI, context"),
    pytest.param("llamacpp", (500, {"error": {"code": 500, "message": "failed to parse grammar"}}), "server error 500", id="llama.cpp, always 500"),
    pytest.param("sglang", (400, {"object": "error", "message": "surrogates not allowed"}), "server error 400", id="SGLang, refuses this text"),
    pytest.param("azure", (400, {"error": {"code": "content_filter", "message": "filtered"}}), "content_filter", id="Azure, filtered"),
    pytest.param("google", (200, {"object": "chat.completion", "choices": []}), "no choices", id="Gemini, no choices"),
    pytest.param("openrouter", (200, answer(0, text=None)), "no text", id="OpenRouter, null content"),
    pytest.param("openrouter", (200, {"error": {"code": 502, "message": "Provider returned error"}}), "server error 200", id="OpenRouter, an error with status 200"),
    pytest.param("gateway", (200, "<html><title>Sign in</title></html>", {"Content-Type": "text/html"}), "no JSON", id="a gateway's page"),
    pytest.param("llamacpp", (200, '{"choices": [{"mess'), "no JSON", id="torn JSON"),
    pytest.param("llamacpp", (CLOSE, ""), "connection broken", id="a closed connection"),
    pytest.param("vllm-like", (200, answer(0, "4", ending="abort")), "finish_reason abort", id="vLLM, abort"),
    pytest.param("ollama", (200, answer(0, "4", ending=None)), "finish_reason null", id="Ollama, null"),
    pytest.param("deepseek", (200, answer(0, "4", ending="insufficient_system_resource")), "finish_reason insufficient_system_resource", id="DeepSeek, out of machines"),
]  # fmt: skip


@pytest.mark.parametrize("make, behaviour, reason", ROW_FAULTS)
def test_a_bad_row_is_dropped_the_others_finish_and_a_killed_run_asks_nothing_again(
    make, behaviour, reason, questions, monkeypatch, capsys
):
    server = FakeServer(make, lambda row, body, count: behaviour if row == BAD else None)
    kill_after(ROWS // 2, monkeypatch)
    with pytest.raises(Killed):
        gen_answers(questions, server)
    finished, asked = part_keys(questions), dict(server.asked)
    gen_answers(questions, server)
    rows = kept_rows(questions)
    assert len(rows) == ROWS - 1 and all(row["finish_reason"] == "stop" for row in rows)
    assert {row["response"] for row in rows} == {str(k + 1) for k in range(ROWS) if k != BAD}
    (dropped,) = dropped_rows(questions)
    assert dropped["why"] == reason and dropped["instruction"] == f"What is {BAD} + 1?"
    assert {key: server.asked[key] for key in finished} == {key: asked[key] for key in finished}
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "last_row_alone", [False, True], ids=["among others", "as all that is left"]
)
def test_the_server_is_asked_something_trivial_where_only_the_bad_row_is_left(
    last_row_alone, questions, capsys
):
    if last_row_alone:
        (questions / "in.json").write_text(json.dumps([{"instruction": f"What is {BAD} + 1?"}]))
    server = FakeServer("llamacpp", lambda row, body, count: (500, "") if row == BAD else None)
    if last_row_alone:
        with pytest.raises(UserError, match="no row is left: 1 dropped .1 server error 500."):
            gen_answers(questions, server)
        assert server.asked[None] == 1 and server.bodies[-1]["max_tokens"] == 1
        assert server.bodies[-1]["messages"] == user_turn("Hi")
    else:
        gen_answers(questions, server)
    assert server.asked[BAD] == openai_engine.RETRIES + 1


@pytest.mark.parametrize(
    "behaviour, said",
    [
        pytest.param((500, {"error": {"message": "EngineCore died"}}), "answered 500: EngineCore died after 7 tries", id="500 for everything"),
        pytest.param((CLOSE, ""), "does not answer after 7 tries", id="no connection"),
        pytest.param((200, {"choices": []}), "without choices after 7 tries", id="no choices"),
        pytest.param((400, {"error": {"message": "max_tokens=5000 cannot be greater than max_model_len=512."}}), "max_tokens=5000 cannot be", id="max_tokens too large for all"),
        pytest.param((404, {"error": {"message": "The model `x` does not exist."}}), "answered 404", id="the model was unloaded"),
    ],
)  # fmt: skip
def test_a_server_that_fails_ends_the_stage_with_one_line_and_every_finished_row_is_kept(
    behaviour, said, questions
):
    broken = threading.Event()

    def behave(row, body, count):
        if sum(server.asked.values()) > ROWS // 2:
            broken.set()
        return behaviour if broken.is_set() else None

    server = FakeServer("vllm-like", behave)
    with pytest.raises(UserError, match=re.escape(said)) as e:
        gen_answers(questions, server)
    assert "\n" not in str(e.value)
    answered = part_keys(questions)
    assert (
        len(answered) >= ROWS // 2 - 8
        and b'"why"' not in (questions / "out.json.part").read_bytes()
    )
    healthy = FakeServer("vllm-like")
    gen_answers(questions, healthy)
    assert len(kept_rows(questions)) == ROWS and not answered & healthy.asked.keys()


def test_a_max_tokens_that_the_server_does_not_give_ends_the_stage_and_drops_no_row(questions):
    """As OpenAI says it: what the context is nobody knows beforehand."""
    refusal = {"error": {"message": "max_tokens is too large: 64. This model supports at most 32 completion tokens, whereas you provided 64.", "code": "invalid_value"}}  # fmt: skip
    server = FakeServer("openai", lambda row, body, count: (400, refusal) if body["max_tokens"] > 32 else None)  # fmt: skip
    with pytest.raises(UserError, match="max_tokens is too large: 64"):
        gen_answers(questions, server)
    assert not part_keys(questions)


def test_a_context_that_the_answer_fills_alone_ends_the_stage(questions):
    text = "This model's maximum context length is 64 tokens. However, you requested 80 tokens (16 in the messages, 64 in the completion)."
    server = FakeServer("deepseek", lambda row, body, count: (400, {"error": {"message": text}}))
    with pytest.raises(UserError, match="context of 64 tokens: --max_tokens 64 leaves no room"):
        gen_answers(questions, server)
    assert not part_keys(questions)


def test_rows_that_fail_one_after_the_other_are_the_servers_fault(questions):
    """It answers what is trivial, but no row."""
    server = FakeServer("llamacpp", lambda row, body, count: None if row is None else (500, ""))
    with pytest.raises(UserError, match="answered 500"):
        gen_answers(questions, server)
    assert len(part_keys(questions)) < server_client.FAILED_IN_A_ROW


def test_what_fails_now_and_then_is_asked_again_and_nothing_is_dropped(questions):
    faults = [(500, ""), (CLOSE, ""), (200, "{"), (200, answer(0, "4", ending="error")), (200, answer(0, text=None)), (200, {"choices": []})]  # fmt: skip

    def behave(row, body, count):
        return faults[(row + count) % len(faults)] if count < 2 else None

    server = FakeServer("gateway", behave)
    gen_answers(questions, server)
    assert len(kept_rows(questions)) == ROWS and dropped_rows(questions) == []
    assert set(server.asked.values()) == {3}


def test_a_prompt_that_the_server_cuts_silently_drops_its_row(tmp_path):
    """As Ollama does: the prompt's middle is left out, and usage counts what is left."""
    long_row = {"instruction": "What is 17 + 1? " + "Think of the tens and of the ones. " * 30}
    rows = [{"instruction": f"What is {k} + 1?"} for k in range(5)] + [long_row]
    (tmp_path / "in.json").write_text(json.dumps(rows))
    usage = {"prompt_tokens": 10, "completion_tokens": 2}  # far fewer than we count in the long one
    server = FakeServer("library", lambda row, body, count: (200, {**answer(row), "usage": usage}), "tiny")  # fmt: skip
    gen_answers(tmp_path, server, TINY)
    (dropped,) = dropped_rows(tmp_path)
    assert dropped["why"] == "prompt cut by the server" and len(kept_rows(tmp_path)) == 5


def test_a_rate_limit_slows_the_run_down_and_never_ends_it(questions, capsys):
    """At most two requests at a time, and each refusal wants 20 ms of rest."""
    under_way, refused = [], []

    def behave(row, body, count):
        under_way.append(row)
        try:
            if len(under_way) > 2:
                refused.append(row)
                return 429, {"error": {"message": f"slow down, {KEY}"}}, {"retry-after-ms": "20"}
            time.sleep(0.002)
            return None
        finally:
            under_way.remove(row)

    server = FakeServer("openai", behave)
    gen_answers(questions, server)
    assert len(kept_rows(questions)) == ROWS and dropped_rows(questions) == []
    assert 0 < len(refused) < ROWS, "the bound follows what the server takes"
    assert capsys.readouterr().err.count("wants to be asked more slowly (429: slow down") == 1


def test_a_quota_of_hours_is_waited_for_and_said(questions, capsys, monkeypatch):
    """The clock is a fake: it goes on when somebody sleeps."""
    now = [time.monotonic()]
    real_sleep = pacing.sleep

    async def sleep(seconds):
        now[0] += seconds
        await real_sleep(0)

    monkeypatch.setattr(pacing, "monotonic", lambda: now[0])
    monkeypatch.setattr(pacing, "sleep", sleep)
    refusal = (429, {"error": {"message": "Daily limit"}}, {"Retry-After": "36000"})
    server = FakeServer("openrouter", lambda row, body, count: refusal if row == 0 and count == 0 else None)  # fmt: skip
    gen_answers(questions, server)
    assert len(kept_rows(questions)) == ROWS
    assert "(429: Daily limit): waiting 10h00m" in capsys.readouterr().err


def test_a_wedged_request_stalls_nobody_is_reported_and_asked_again(questions, capsys, monkeypatch):
    monkeypatch.setattr(progress, "LOG_EVERY_S", 0.1)
    monkeypatch.setattr(server_client, "ANSWER_S", 1.5)
    release = threading.Event()

    def behave(row, body, count):
        if row == BAD and count == 0:
            release.wait(5)

    server = FakeServer("llamacpp", behave)
    gen_answers(questions, server)
    release.set()
    assert len(kept_rows(questions)) == ROWS and server.asked[BAD] == 2
    assert re.search(r"59/60 rows .* 1 in flight, the oldest for \d", capsys.readouterr().err)


SEVERAL = [  # make, what a request for several gets, n > 1 at most so often
    pytest.param("llamacpp", (500, {"error": {"code": 500, "message": "Only one completion choice is allowed", "type": "server_error"}}), id="llama.cpp, older"),
    pytest.param("llamacpp", (400, {"error": {"code": 400, "message": "n_cmpl cannot be greater than the number of slots, please increase -np", "type": "invalid_request_error"}}), id="llama.cpp, n above --parallel"),
    pytest.param("deepseek", (400, {"error": {"message": "Invalid n value (currently only n = 1 is supported)", "type": "invalid_request_error"}}), id="DeepSeek"),
    pytest.param("groq", (400, {"error": {"message": "'n' : number must be at most 1", "type": "invalid_request_error"}}), id="Groq"),
    pytest.param("google", (400, {"error": {"code": 400, "message": "Multiple candidates is not enabled for this model"}}), id="Gemini"),
    pytest.param("vendor", (400, {"error": {"message": "Invalid request."}}), id="a vendor that does not say why"),
    pytest.param("vendor", (500, {"error": {"message": "internal error"}}), id="a server that fails on it"),
    pytest.param("vendor", (501, "Not Implemented"), id="a server that has it not"),
    pytest.param("library", None, id="Ollama, which ignores it"),
]  # fmt: skip


@pytest.mark.parametrize("make, refusal", SEVERAL)
def test_a_server_that_gives_one_answer_at_a_time_is_asked_singly_which_is_learned_once(
    make, refusal, questions
):
    server = FakeServer(make, lambda row, body, count: refusal if body["n"] > 1 else None)
    where = Where(engine="openai", base_url=server.url, max_in_flight=16)
    files = {"ins_data_path": str(questions / "in.json"), "save_path": str(questions / "7.json")}
    gen_po_multi_res.main(NEEDS_NO_TOKENIZER, **files, num_responses=3, where=where)
    rows = json.loads((questions / "7.json").read_bytes())
    assert len(rows) == ROWS and {len(row["responses"]) for row in rows} == {3}
    several = sum(body["n"] > 1 for body in server.bodies)
    assert several == 1 or several == openai_engine.RETRIES + 1
    assert server.most_at_once <= 16
    answered = [body for body in server.bodies if body["n"] == 1 or not refusal]
    assert len(answered) == len({body["seed"] for body in answered}) == 3 * ROWS


def test_several_answers_at_temperature_0_are_asked_for_singly():
    """vLLM: "n must be 1 when using greedy sampling, got 3."."""
    server = FakeServer("sglang")
    reply = ask(server, Sampling(temperature=0, max_tokens=8), samples=3)
    assert len(reply.completions) == 3 and {body["n"] for body in server.bodies} == {1}
    assert server_faults.refuses_several(
        Failure("n must be 1 when using greedy sampling, got 3.", "")
    )


@pytest.mark.parametrize("temperature", [-1, float("nan"), float("inf")])
def test_what_is_no_temperature_is_one_line(temperature):
    with pytest.raises(UserError, match="--temperature .* is out of range"):
        Sampling(temperature=temperature)


def test_a_server_that_takes_no_seed_is_asked_without_one():
    """As Mistral, whose own name for it is another."""
    refusal = {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted", "input": 5}]}  # fmt: skip
    server = FakeServer("mistralai", lambda row, body, count: (422, refusal) if "seed" in body else None)  # fmt: skip
    assert ask(server).completions[0].text == "1" and len(server.bodies) == 2


def ask(server: FakeServer, sampling=Sampling(temperature=0.8, max_tokens=8), samples=1) -> Reply:
    engine = openai_engine.OpenAIEngine(models.Model(NEEDS_NO_TOKENIZER), server.url)
    try:
        engine.submit(Request(0, user_turn("What is 0 + 1?"), sampling, samples, seed=5))
        return first_reply(engine)
    finally:
        engine.close()


def first_reply(engine: openai_engine.OpenAIEngine) -> Reply:
    while True:
        for reply in engine.poll():
            return reply


@pytest.mark.parametrize(
    "message, text",
    [
        pytest.param({"reasoning_content": "2 + 2", "content": "4"}, "<think>\n2 + 2\n</think>\n\n4", id="DeepSeek, llama.cpp, SGLang, LM Studio"),
        pytest.param({"reasoning": "2 + 2", "content": "4"}, "<think>\n2 + 2\n</think>\n\n4", id="vLLM, Ollama, OpenRouter"),
        pytest.param({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "2 + 2"}]}, {"type": "text", "text": "4"}]}, "<think>\n2 + 2\n</think>\n\n4", id="Mistral's parts"),
        pytest.param({"reasoning_content": "2 +", "content": None}, "<think>\n2 +", id="cut off while thinking"),
        pytest.param({"reasoning_content": None, "content": "4"}, "4", id="none"),
    ],
)  # fmt: skip
def test_thinking_that_a_server_sends_apart_is_kept_with_the_answer(message, text):
    ending = "stop" if "4" in str(message) else "length"
    body = {"choices": [{"message": message, "finish_reason": ending}]}
    assert server_answers.read(body).completions[0].text == text


@pytest.mark.parametrize(
    "content",
    [
        pytest.param({"choices": [None]}, id="a choice that is null"),
        pytest.param({"choices": {"message": "4"}}, id="choices that are no list"),
        pytest.param({"choices": [{"message": "4", "finish_reason": "stop"}]}, id="a message that is text"),
        pytest.param(answer(3, text=4), id="a content that is a number"),
        pytest.param({**answer(3), "usage": ["4 tokens"]}, id="usage that is a list"),
        pytest.param("[" * 100_000, id="brackets without end"),
    ],
)  # fmt: skip
def test_an_answer_of_another_form_is_asked_for_again(content):
    server = FakeServer("gateway", lambda row, body, count: (200, content) if count == 0 else None)
    assert ask(server).completions[0].text == "1" and server.asked[0] == 2


@pytest.mark.parametrize("charset", ["base64", "utf-16", "nonsense"])
def test_an_answer_is_utf_8_whatever_its_header_says(charset):
    body = "\ufeff" + json.dumps(answer(0, text="π"), ensure_ascii=False)
    headers = {"Content-Type": f"application/json; charset={charset}"}
    server = FakeServer("gateway", lambda row, content, count: (200, body, headers))
    assert ask(server).completions[0].text == "π"


def test_tokens_that_are_counted_in_text_are_numbers():
    usage = {"prompt_tokens": "12", "completion_tokens": "3"}
    given = server_answers.read({**answer(0), "usage": usage})
    assert (given.prompt_tokens, given.tokens) == (12, 3)


def test_a_finish_reason_that_nobody_knows_travels_as_it_is(questions):
    filtered = (200, answer(BAD, "18", ending="content_filter"))
    cut = (200, answer(BAD, "18", ending="model_length"))
    server = FakeServer("azure", lambda row, body, count: {BAD: filtered, BAD + 1: cut}.get(row))
    gen_answers(questions, server)
    reasons = [row["finish_reason"] for row in kept_rows(questions)]
    assert reasons[BAD : BAD + 2] == ["content_filter", "length"] and reasons.count("stop") == 58


@pytest.mark.parametrize(
    "status, content, key, said",
    [
        pytest.param(401, {"error": {"message": "Unauthorized"}}, "", "answered 401: Unauthorized; it needs a key: set OPENAI_API_KEY", id="no key"),
        pytest.param(401, {"error": {"message": f"Incorrect API key provided: {KEY}."}}, KEY, "answered 401: Incorrect API key provided: [key].; it does not take the key in OPENAI_API_KEY", id="a wrong key"),
        pytest.param(403, "<html><title>Forbidden</title></html>", KEY, "answered 403: Forbidden; it does not take", id="forbidden"),
        pytest.param(404, {"detail": "Not Found"}, "", "answered 404: Not Found", id="no such path"),
    ],
)  # fmt: skip
def test_a_server_that_lets_nobody_ask_says_so_in_one_line_without_the_key(
    status, content, key, said, questions, monkeypatch, capsys
):
    if key:
        monkeypatch.setenv("OPENAI_API_KEY", key)
    server = FakeServer("openai", lambda row, body, count: (status, content))
    with pytest.raises(UserError, match=re.escape(said)) as e:
        gen_answers(questions, server)
    assert "\n" not in str(e.value) and server.asked.total() <= 8
    assert KEY not in str(e.value) + capsys.readouterr().err


def test_a_server_of_another_model_is_refused_and_what_it_serves_is_named(questions):
    server = FakeServer("library", model="llama3.2:3b")
    with pytest.raises(UserError, match=r"serves llama3.2:3b, not model") as e:
        gen_answers(questions, server)
    assert str(e.value).startswith(server.url) and not server.asked


@pytest.mark.parametrize(
    "url", ["http:///v1", "http://127.0.0.1:99999/v1", "http://[::1/v1", "127.0.0.1:8000/v1"]
)
def test_what_is_no_address_is_refused_before_anything_is_asked(url):
    with pytest.raises(UserError, match="needs --base_url, such as"):
        Where(engine="openai", base_url=url)


def test_a_key_with_the_end_of_its_line_is_sent_without_it(questions, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\r\n")
    gen_answers(questions, FakeServer("openai"))
    assert len(kept_rows(questions)) == ROWS


def test_a_key_of_several_lines_is_refused_in_one(questions, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\nX-Other: 1")
    with pytest.raises(UserError, match="there are several lines in it") as e:
        gen_answers(questions, FakeServer("openai"))
    assert KEY not in str(e.value)


@pytest.mark.parametrize(
    "listing, name",
    [
        pytest.param([{"id": "other"}, {"id": "some/model"}], "some/model", id="Together, a bare list"),
        pytest.param({"data": [None, "text", {"id": "models/model"}]}, "models/model", id="entries of other forms"),
        pytest.param({"data": None}, None, id="Ollama, no model yet"),
        pytest.param({"data": {"id": "some/model"}}, None, id="no list"),
    ],
)  # fmt: skip
def test_a_model_is_found_in_lists_of_other_forms(listing, name):
    server = FakeServer("together")
    server.listing = listing
    if name is None:
        with pytest.raises(UserError, match="serves nothing, not model"):
            ask(server)
    else:
        ask(server)
        assert server.bodies[0]["model"] == name


def test_a_server_that_has_moved_is_named_with_its_new_address():
    """A redirect by 301 or 302, as from http to https, makes a GET of a POST."""
    new = FakeServer("openai")
    moved = {"Location": f"{new.url}/chat/completions"}
    with pytest.raises(UserError, match=f"has moved: set --base_url {new.url}$"):
        ask(FakeServer("openai", lambda row, body, count: (301, "", moved)))


def test_an_address_with_a_password_is_shown_without_it(questions):
    server = FakeServer("library", model="other")
    secret = server.url.replace("127.0.0.1", "me:secret@127.0.0.1")
    with pytest.raises(UserError, match="serves other") as e:
        openai_engine.OpenAIEngine(models.Model(NEEDS_NO_TOKENIZER), secret)
    assert "secret" not in str(e.value)


def test_replies_that_come_with_a_fault_are_returned_before_it_is_raised():
    engine = openai_engine.OpenAIEngine(models.Model(NEEDS_NO_TOKENIZER), FakeServer("x").url)
    try:
        for result in (Reply(0), UserError("gone"), Reply(1)):
            engine._finished.put(result)
        engine.pending = 3
        assert [reply.key for reply in engine.poll()] == [0, 1]
        with pytest.raises(UserError, match="gone"):
            engine.poll()
    finally:
        engine.close()


def test_a_text_to_continue_goes_to_another_make_as_text_and_failed_attempts_are_replaced(
    tmp_path,
):
    def behave(row, body, count):
        if count == 3:
            return 400, {"error": {"message": "the prompt cannot be read today"}}
        text = f"What is {count} + {count}, if it is a number at all?"
        return 200, {"choices": [{"text": text, "finish_reason": "stop"}]}

    server = FakeServer("llamacpp", behave, model="tiny")
    where = Where(engine="openai", base_url=server.url, max_in_flight=2)
    save_path = tmp_path / "out.json"
    gen_ins.main(str(TINY), str(save_path), total_prompts=8, domain="algebra", where=where)
    assert len(kept_rows(tmp_path)) == 8
    assert [row["why"] for row in dropped_rows(tmp_path)] == ["server error 400"]
    assert all(body["prompt"].endswith("<|im_start|>user\n") for body in server.bodies[:3])
    assert not any("stop_token_ids" in body for body in server.bodies)


def test_a_run_that_is_killed_outright_asks_nothing_finished_again(questions):
    """A real process and a real SIGKILL, with a row that the server always fails on."""

    def behave(row, body, count):
        time.sleep(0.01)
        return (500, "") if row == BAD else None

    server = FakeServer("llamacpp", behave)
    code = "from lib.inference import server_client; server_client.LONGEST_WAIT_S = .01; import sys; sys.argv[0] = 'gen_res'; from lib import cli; import gen_res; cli.run(gen_res.main)"  # fmt: skip
    command = [sys.executable, "-c", code, "--model_path", NEEDS_NO_TOKENIZER, "--ins_data_path", questions / "in.json",
               "--save_path", questions / "out.json", "--engine", "openai", "--base_url", server.url, "--max_in_flight", 2]  # fmt: skip
    command = [str(word) for word in command]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "exp")}
    first = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
    part = questions / "out.json.part"
    while not part.exists() or part.read_bytes().count(b"\n") < 25:
        assert first.poll() is None
        time.sleep(0.005)
    first.send_signal(signal.SIGKILL)
    first.wait()
    finished = {json.loads(line)["key"] for line in part.read_text().splitlines() if line.endswith("}")}  # fmt: skip
    asked = dict(server.asked)
    last = subprocess.run(command, env=env, capture_output=True, text=True)
    assert last.returncode == 0 and "59 rows, 1 dropped (1 server error 500)" in last.stderr
    assert all(server.asked[key] == asked[key] for key in finished) and len(finished) >= 25


def post(url: str, body: dict) -> dict:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # fmt: skip
    with urllib.request.urlopen(request) as response:
        return json.loads(response.read())


CHAT = [{"role": "system", "content": "Answer briefly."}, *user_turn("Compute 17 + 25.")]


def test_vllm_is_sent_the_ids_that_its_own_template_makes_and_answers_as_to_messages(policy_url):
    """The ids are those of the engine in this process, which renders with the same `Prompts`."""
    model = models.find("tiny")
    token_ids = Prompts(model).to_answer(CHAT)
    root = policy_url.removesuffix("/v1")
    rendered = post(f"{root}/tokenize", {"model": "tiny", "messages": CHAT, "add_generation_prompt": True})  # fmt: skip
    assert rendered["tokens"] == token_ids
    asked = {"model": "tiny", "messages": CHAT, "seed": 3, "n": 2, "temperature": 0.8, "max_tokens": 48}  # fmt: skip
    as_messages = post(f"{policy_url}/chat/completions", asked)["choices"]
    engine = openai_engine.OpenAIEngine(model, policy_url)
    try:
        engine.submit(Request(0, CHAT, Sampling(temperature=0.8, max_tokens=48), 2, seed=3))
        reply = first_reply(engine)
    finally:
        engine.close()
    assert reply.prompt_tokens == len(token_ids)
    for completion, choice in zip(reply.completions, as_messages, strict=True):
        assert completion.text == choice["message"]["content"]
        assert completion.finish_reason == choice["finish_reason"]


def test_vllm_scores_the_ids_of_a_conversation_as_its_messages(reward_url):
    chat = [*user_turn("Compute 17 + 25."), {"role": "assistant", "content": "42"}]
    body = {"model": "tiny-rm", "messages": chat, "use_activation": False}
    score = post(f"{reward_url.removesuffix('/v1')}/classify", body)["data"][0]["probs"][0]
    engine = openai_engine.OpenAIEngine(models.find(str(TINY_RM)), reward_url)
    try:
        engine.submit(Request(0, [chat, chat]))
        reply = first_reply(engine)
    finally:
        engine.close()
    assert [given.value for given in reply.scores] == pytest.approx([score, score])


def test_a_limit_that_leaves_no_room_in_the_servers_context_is_one_line(policy_url):
    engine = openai_engine.OpenAIEngine(models.Model(str(TINY)), policy_url)
    try:
        with pytest.raises(UserError, match="has a context of 512 tokens: --max_tokens 600 leaves"):
            engine.submit(Request(0, CHAT, Sampling(temperature=0, max_tokens=600)))
    finally:
        engine.close()
