"""Only `stop` is complete: what every stage makes of an answer that ended otherwise."""

import json

import pytest

import gen_res
import prep_pairs
import prep_sft
import vote_res
from lib.evaluation import benchmark, results
from lib.inference import endings
from lib.inference.backends import Where
from lib.inference.requests import Completion, Reply, Sampling
from lib.quality import rules
from lib.training import conversations
from lib.training.conversations import MeasuredRow

INCOMPLETE = {
    "length": "truncated",
    "model_length": "truncated",  # of a file that another project made
    "content_filter": "content_filter",
    "repetition": "repetition",
    "tool_calls": "tool_calls",
    "gave_up": "gave_up",
    "abort": "abort",
}
PROBLEM = "Find the value of 2x + 3 when x is equal to 1."


@pytest.mark.parametrize(
    "raw, known, incomplete",
    [
        pytest.param("stop", "stop", None, id="everybody"),
        pytest.param("eos", "stop", None, id="eos"),
        pytest.param("eos_token", "stop", None, id="TGI"),
        pytest.param("stop_sequence", "stop", None, id="TGI, a stop string"),
        pytest.param("STOP", "stop", None, id="Gemini"),
        pytest.param("end_turn", "stop", None, id="Anthropic, Bedrock"),
        pytest.param("COMPLETE", "stop", None, id="Cohere"),
        pytest.param("length", "length", "truncated", id="a limit"),
        pytest.param("model_context_window_exceeded", "length", "truncated", id="Anthropic, the context's end"),
        pytest.param("model_length", "length", "truncated", id="Mistral, the context's end"),
        pytest.param("max_tokens", "length", "truncated", id="Anthropic's word"),
        pytest.param("abort", None, "abort", id="vLLM, asked again"),
        pytest.param("error", None, "error", id="OpenRouter, asked again"),
        pytest.param("insufficient_system_resource", None, "insufficient_system_resource", id="DeepSeek, asked again"),
        pytest.param(None, None, "no finish reason", id="null, asked again"),
        pytest.param("", None, "no finish reason", id="empty, asked again"),
        pytest.param("null", None, "null", id="null as a word"),
        pytest.param({"type": "cut"}, "{'type': 'cut'}", "{'type': 'cut'}", id="no text at all"),
        pytest.param("content_filter", "content_filter", "content_filter", id="filtered"),
        pytest.param("repetition", "repetition", "repetition", id="vLLM, a loop"),
        pytest.param("tool_calls", "tool_calls", "tool_calls", id="a tool"),
        pytest.param("function_call", "function_call", "function_call", id="a function"),
        pytest.param("gave_up", "gave_up", "gave_up", id="unknown"),
    ],
)  # fmt: skip
def test_only_stop_is_complete(raw, known, incomplete):
    assert endings.normalised(raw) == known and endings.why_incomplete(raw) == incomplete


@pytest.fixture(params=INCOMPLETE, ids=str)
def ending(request) -> str:
    return request.param


def test_a_problem_that_is_not_complete_is_never_kept(ending):
    assert rules.reason_to_drop(PROBLEM, "stop") is None
    assert rules.reason_to_drop(PROBLEM, ending) == INCOMPLETE[ending]


def test_a_response_that_is_not_complete_neither_votes_nor_is_trained_on(ending):
    """Three incomplete ones say 7, two complete ones 5 and one 6."""
    said = ["7", "7", "7", "5", "5", "6"]
    row = {
        "id": "a",
        "instruction": PROBLEM,
        "responses": [rf"\boxed{{{answer}}}, attempt {k}" for k, answer in enumerate(said)],
        "finish_reasons": [ending] * 3 + ["stop"] * 3,
        "scores": [9.0, 8.0, -9.0, 2.0, 1.0, 0.0],
    }
    voted, why = vote_res.count_votes(row)
    assert why is None and voted["answer"] == "5"
    assert voted["marks"] == [INCOMPLETE[ending]] * 3 + ["right", "right", "wrong"]
    messages = prep_sft.training_row(voted, prep_sft.first_right(voted), None)["messages"]
    assert messages[-1]["content"] == row["responses"][3]
    pair, why = prep_pairs.make_pair(voted, prep_pairs.Limits(min_agreement=0))
    assert why is None and pair["chosen"][0]["content"] == row["responses"][3]
    assert pair["rejected"][0]["content"] == row["responses"][5]


def test_a_row_of_gen_res_that_is_not_complete_is_left_out_of_training(ending):
    rows = [{"finish_reason": "stop"}, {"finish_reason": ending}, {"no": "reason known"}]
    measured = [MeasuredRow(row, {"number": k}, tokens=5) for k, row in enumerate(rows)]
    examples, dropped = conversations.within_length(measured, max_length=10)
    assert [example["number"] for example in examples] == [0, 2]
    assert conversations.drop_reasons(dropped) == INCOMPLETE[ending]


@pytest.mark.parametrize(
    "response, correct",
    [
        pytest.param("2 + 3 = 5", False, id="the last number is a step"),
        pytest.param(r"So it is \boxed{5}.", True, id="a stated answer counts"),
    ],
)
def test_a_sample_that_is_not_complete_is_read_strictly(response, correct, ending):
    sample = {"id": "a", "response": response, "answer": "5"}
    assert benchmark.verdict({**sample, "finish_reason": "stop"})["correct"]
    graded = benchmark.grade({**sample, "finish_reason": ending})
    assert graded["correct"] == correct
    assert correct or graded["why"] == INCOMPLETE[ending]
    counted = {kind for kind, count in results._failures([graded]).items() if count}
    kind = "truncated" if INCOMPLETE[ending] == "truncated" else "no_answer"
    assert counted == (set() if correct else {kind})


def test_a_problem_with_a_dropped_sample_is_in_no_figure():
    samples = [{"id": "a"}, {"id": "a"}, {"id": "b"}]
    assert benchmark.of_whole_problems(samples, 2) == samples[:2]


class FakeEngine:
    """Answers as vLLM in this process does when it loses a request: `broken` times, then well."""

    most_in_flight = 4

    def __init__(self, broken: int):
        self.broken, self.pending, self.keys, self.submitted = broken, 0, [], []

    def submit(self, request) -> None:
        self.pending += 1
        self.keys.append(request.key)
        self.submitted.append(request.key)

    def poll(self) -> list[Reply]:
        self.pending -= 1
        key = self.keys.pop(0)
        is_broken = key == 1 and self.submitted.count(1) <= self.broken
        return [Reply(key, (Completion("4", "abort" if is_broken else "stop"),))]

    def close(self) -> None:
        pass


@pytest.mark.parametrize("broken, dropped", [(2, []), (99, ["broken off (abort)"])])
def test_what_an_engine_breaks_off_is_asked_for_again_and_is_never_data(
    broken, dropped, tmp_path, monkeypatch
):
    engine = FakeEngine(broken)
    monkeypatch.setattr(Where, "load", lambda self, model: engine)
    (tmp_path / "in.json").write_text(json.dumps([{"instruction": str(k)} for k in range(3)]))
    files = {"ins_data_path": str(tmp_path / "in.json"), "save_path": str(tmp_path / "out.json")}
    gen_res.main("tiny", **files, sampling=Sampling(temperature=0, max_tokens=9))
    assert engine.submitted.count(1) == 3
    kept = json.loads((tmp_path / "out.json").read_bytes())
    assert len(kept) == 3 - len(dropped) and {row["finish_reason"] for row in kept} == {"stop"}
    aside = tmp_path / "out.json.dropped.jsonl"
    lines = aside.read_text().splitlines() if aside.exists() else []
    assert [json.loads(line)["why"] for line in lines] == dropped
