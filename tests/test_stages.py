"""The four stages as a user calls them: the Magpie pipeline's command lines, a shortfall, servers of other makes."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from conftest import ROOT, TINY, TINY_RM, stage
from lib import models
from lib.errors import UserError
from lib.inference import generate, openai_engine
from lib.inference.requests import Completion, Reply, Request, Sampling, user_turn

# The command lines of the Magpie pipeline, each called from another folder; only the counts are small.
COMMANDS = {
    "gen_ins": (
        "exp",
        'python ../exp/gen_ins.py --model_path "$MODEL_PATH" --save_path "$OUTPUT_DIR/${DOMAIN}_ins.json" '
        '--total_prompts $PROBLEM_COUNT --temperature $INS_TEMP --control_tasks math --domain "$DOMAIN" '
        "--max_tokens $MAX_TOKENS_INS",
    ),
    "gen_res": (
        "scripts",
        'python ../exp/gen_res.py --model_path "$MODEL_PATH" --ins_data_path "$OUTPUT_DIR/${DOMAIN}_ins.json" '
        '--save_path "$OUTPUT_DIR/${DOMAIN}_ins_res.json" --temperature $RES_TEMP --max_tokens $MAX_TOKENS_RES '
        "--batch_size 4",
    ),
    "gen_po_multi_res": (
        "",
        'python exp/gen_po_multi_res.py --model_path "$MODEL_PATH" --ins_data_path "$OUTPUT_DIR/${DOMAIN}_ins.json" '
        '--save_path "$OUTPUT_DIR/${DOMAIN}_ins_7res.json" --temperature 0.8 --num_responses 7 --batch_size 2',
    ),
    "gen_po_rewards": (
        "configs",
        'python ../exp/gen_po_rewards.py --model_name_or_path "$REWARD_MODEL" '
        '--ins_data_path "$OUTPUT_DIR/${DOMAIN}_ins_7res.json" '
        '--save_path "$OUTPUT_DIR/${DOMAIN}_ins_7res_armorm.json"',
    ),
}
VALUES = {
    "MODEL_PATH": "data/models/tiny",
    "REWARD_MODEL": "data/models/tiny-rm",
    "DOMAIN": "algebra",
    "PROBLEM_COUNT": "6",
    "INS_TEMP": "1.3",
    "RES_TEMP": "0.05",
    "MAX_TOKENS_INS": "1024",
    "MAX_TOKENS_RES": "4096",
}


@pytest.mark.slow
def test_the_four_command_lines_work_from_any_folder_with_vllm_in_the_process(tmp_path):
    output = tmp_path / "a b"
    script = "set -e\n"
    for folder, command in COMMANDS.values():
        script += f'cd "{ROOT / folder}"\n{command}\n'
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    env = {**os.environ, **VALUES, "PATH": path, "OUTPUT_DIR": str(output)}
    result = subprocess.run(["bash", "-c", script], env=env, text=True, capture_output=True)
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stderr.count(": wrote ") == 4
    ranked = json.loads((output / "algebra_ins_7res_armorm.json").read_bytes())
    assert len(ranked) == 6
    assert all(
        len(r["responses"]) == len(r["scores"]) == len(r["finish_reasons"]) == 7 for r in ranked
    )
    single = json.loads((output / "algebra_ins_res.json").read_bytes())
    assert [r["id"] for r in single] == [r["id"] for r in ranked]


def test_too_few_distinct_problems_is_a_shortfall_with_its_counts_and_exit_3(tmp_path, policy_url):
    flags = ["--model_path", TINY, "--save_path", tmp_path / "ins.json", "--total_prompts", 5, "--domain", "algebra", "--max_tokens", 128,
             "--temperature", 0]  # fmt: skip
    first = stage("gen_ins", *flags, "--engine", "openai", "--base_url", policy_url)
    assert (
        first.returncode == 3
        and "only 1 of 5 problems after 20 attempts: 19 dropped (19 repeated)" in first.stderr
    ), first.stderr
    assert not (tmp_path / "ins.json").exists()
    again = stage("gen_ins", *flags, "--engine", "openai", "--base_url", "http://127.0.0.1:9/v1")
    assert again.returncode == 3 and "only 1 of 5" in again.stderr  # known without asking again


def test_a_server_of_another_model_is_refused(tmp_path, reward_url):
    (tmp_path / "in.json").write_text('[{"instruction": "What is 1 + 1?"}]')
    result = stage("gen_res", "--model_path", TINY, "--ins_data_path", tmp_path / "in.json", "--save_path", tmp_path / "o.json", "--engine",
                   "openai", "--base_url", reward_url)  # fmt: skip
    assert result.returncode == 2 and "not tiny" in result.stderr and "tiny-rm" in result.stderr


def test_a_row_that_does_not_fit_the_context_is_dropped_with_its_reason(
    tmp_path, policy_url, reward_url
):
    rows = [{"instruction": "What is 1 + 1?"}, {"instruction": "What is 1 + 1? " * 100}]
    (tmp_path / "in.json").write_text(json.dumps(rows))
    (tmp_path / "7.json").write_text(json.dumps([{**r, "responses": ["2", "3"]} for r in rows]))
    for name, flags in {
        "gen_res": [
            "--model_path",
            TINY,
            "--ins_data_path",
            tmp_path / "in.json",
            "--base_url",
            policy_url,
        ],
        "gen_po_rewards": [
            "--model_name_or_path",
            TINY_RM,
            "--ins_data_path",
            tmp_path / "7.json",
            "--base_url",
            reward_url,
        ],
    }.items():
        result = stage(name, *flags, "--save_path", tmp_path / f"{name}.json", "--engine", "openai")
        assert result.returncode == 0 and "1 rows, 1 dropped (1 too long)" in result.stderr, (
            result.stderr
        )
        dropped = json.loads((tmp_path / f"{name}.json.dropped.jsonl").read_text())
        assert dropped["why"] == "too long" and dropped["instruction"] == rows[1]["instruction"]


def test_when_no_row_is_left_nothing_is_written_and_it_says_why(tmp_path, policy_url):
    (tmp_path / "in.json").write_text(json.dumps([{"instruction": "What is 1 + 1? " * 100}]))
    flags = [
        "--model_path",
        TINY,
        "--ins_data_path",
        tmp_path / "in.json",
        "--save_path",
        tmp_path / "o.json",
    ]
    result = stage("gen_res", *flags, "--engine", "openai", "--base_url", policy_url)
    assert result.returncode == 2 and "no row is left: 1 dropped (1 too long)" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.json"]
    shorter = stage(
        "gen_res", *flags, "--max_tokens", 64, "--engine", "openai", "--base_url", policy_url
    )
    assert (
        "no row is left" in shorter.stderr
    )  # tried anew, and not refused for another --max_tokens


class FakeServer(ThreadingHTTPServer):
    """Answers as servers of other makes do: see `behave`, which gets the body and the number of the request."""

    daemon_threads = True

    def __init__(self, behave):
        self.bodies, server = [], self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_GET(self):
                self.reply(
                    200, {"object": "list", "data": [{"id": "some/model", "object": "model"}]}
                )

            def do_POST(self):
                server.bodies.append(
                    json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                )
                self.reply(*behave(server.bodies[-1], len(server.bodies)))

            def reply(self, status, body):
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def ask(self, samples: int = 1) -> Reply:
        url = f"http://127.0.0.1:{self.server_address[1]}/v1"
        engine = openai_engine.OpenAIEngine(models.Model("some/model"), url)
        sampling = Sampling(temperature=0.8, max_tokens=10)
        engine.submit(Request(0, user_turn("x"), sampling, samples, seed=5))
        try:
            return engine.poll()[0]
        finally:
            engine.close()


def choice(text: str, **more: object) -> dict:
    return {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": text, **more},
    }


def test_a_server_that_ignores_n_is_asked_for_the_other_samples_singly_with_seeds_of_their_own():
    server = FakeServer(lambda body, count: (200, {"choices": [choice(f"seed {body['seed']}")]}))
    assert [c.text for c in server.ask(3).completions] == ["seed 5", "seed 6", "seed 7"]
    assert [b["n"] for b in server.bodies] == [3, 1, 1]


def test_thinking_that_a_server_sends_apart_is_put_back_before_the_answer():
    server = FakeServer(
        lambda body, count: (200, {"choices": [choice("4", reasoning_content="2 + 2")]})
    )
    assert server.ask().completions[0].text == "<think>\n2 + 2\n</think>\n\n4"


def test_a_busy_server_is_asked_again():
    answers = {1: (429, {"error": "slow down"}), 2: (503, {})}
    server = FakeServer(lambda body, count: answers.get(count, (200, {"choices": [choice("4")]})))
    assert server.ask().completions[0].text == "4" and len(server.bodies) == 3


@pytest.mark.parametrize("status", [401, 404, 422])
def test_a_refusal_of_the_whole_run_is_one_line(status):
    server = FakeServer(lambda body, count: (status, {"error": {"message": "no\nsuch key"}}))
    with pytest.raises(UserError, match=rf"answered {status}: .*no") as e:
        server.ask()
    assert "\n" not in str(e.value)


THINK = ("<think>", "</think>")


@pytest.mark.parametrize(
    "text, finish_reason, expected",
    [
        pytest.param(
            "2 + 2</think>4",
            "stop",
            "<think>\n2 + 2</think>4",
            id="the template had opened the tag",
        ),
        pytest.param("2 + 2 is", "length", "<think>\n2 + 2 is", id="cut off while thinking"),
        pytest.param("<think>a</think>4", "stop", "<think>a</think>4", id="whole already"),
        pytest.param("4", "stop", "4", id="no thinking"),
    ],
)
def test_thinking_is_kept_whole(text, finish_reason, expected):
    assert generate.with_opening_tag(Completion(text, finish_reason), THINK).text == expected


@pytest.mark.skipif(
    not os.path.isdir("/proc/self"), reason="needs a file system that nobody may write"
)
def test_a_folder_that_cannot_be_written_is_one_line_before_the_model_is_asked(tmp_path):
    (tmp_path / "in.json").write_text('[{"instruction": "What is 1 + 1?"}]')
    result = stage(
        "gen_res",
        "--model_path",
        TINY,
        "--ins_data_path",
        tmp_path / "in.json",
        "--save_path",
        "/proc/nowhere/o.json",
    )
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "gen_res: error: /proc/nowhere" in result.stderr.splitlines()[-1]
