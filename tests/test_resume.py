"""SIGKILL at any point, the same command again: no finished row is asked for again, and the file is the one of a quiet run.

The model is the real one, behind a real vLLM server; in between stands a proxy that counts what is asked.
"""

import json
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from conftest import ROOT, TINY, TINY_RM, stage

KILLS = 5  # of each of the four stages: 20 in all


class CountingProxy(ThreadingHTTPServer):
    """Passes every request on to the real server and keeps what was answered: the body without what may differ."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, target: str):
        self.target, self.asked, self.dead = target.removesuffix("/v1"), Counter(), False
        proxy, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_GET(self):
                self.forward(None)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    proxy.asked[body] += 1
                self.forward(body)

            def forward(self, body):
                if proxy.dead:
                    self.close_connection = True
                    return
                headers = {"Content-Type": "application/json"}
                request = urllib.request.Request(
                    proxy.target + self.path, body, headers, method=self.command
                )
                try:
                    with urllib.request.urlopen(request) as answer:
                        status, data = answer.status, answer.read()
                except urllib.error.HTTPError as e:
                    status, data = e.code, e.read()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """A killed stage leaves its connections broken: that is the test, and no fault."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


@pytest.fixture(scope="module")
def quiet(tmp_path_factory, policy_url, reward_url):
    """The folder with the four files of an undisturbed run."""
    folder = tmp_path_factory.mktemp("quiet")
    for name in FLAGS:
        proxy = CountingProxy({"policy": policy_url, "reward": reward_url}[FLAGS[name][0]])
        run = stage(name, *flags(name, folder), "--base_url", proxy.url)
        assert run.returncode == 0, run.stderr
        ASKED[name] = proxy.asked
    return folder


ASKED: dict[
    str, Counter
] = {}  # of the undisturbed run: two equal answers of a row are scored by two equal requests


FLAGS = {
    "gen_ins": (
        "policy",
        "ins.json",
        ["--model_path", TINY, "--total_prompts", 60, "--domain", "algebra"],
    ),
    "gen_res": (
        "policy",
        "res.json",
        ["--model_path", TINY, "--ins_data_path", "ins.json", "--temperature", 0.8],
    ),
    "gen_po_multi_res": (
        "policy",
        "7res.json",
        ["--model_path", TINY, "--ins_data_path", "ins.json"],
    ),
    "gen_po_rewards": (
        "reward",
        "ranked.json",
        ["--model_name_or_path", TINY_RM, "--ins_data_path", "7res.json"],
    ),
}


def flags(name: str, inputs, outputs=None) -> list[str]:
    _, out, given = FLAGS[name]
    given = [str(inputs / f) if str(f).endswith(".json") else str(f) for f in given]
    return [
        *given,
        "--save_path",
        str((outputs or inputs) / out),
        "--engine",
        "openai",
        "--batch_size",
        "4",
    ]


def records(part) -> int:
    return part.read_bytes().count(b"\n") if part.exists() else 0


@pytest.mark.parametrize("name", FLAGS)
def test_killed_again_and_again_a_stage_asks_for_nothing_twice_and_ends_in_the_same_bytes(
    name, quiet, tmp_path, request
):
    proxy = CountingProxy(request.getfixturevalue(f"{FLAGS[name][0]}_url"))
    out = tmp_path / FLAGS[name][1]
    part, rng = tmp_path / f"{out.name}.part", random.Random(name)
    command = [
        sys.executable,
        str(ROOT / f"exp/{name}.py"),
        *flags(name, quiet, tmp_path),
        "--base_url",
        proxy.url,
    ]
    total, in_flight = 60, 4 * (7 if name == "gen_po_rewards" else 1)
    kills = 0
    for k in range(KILLS):
        goal = (k + 1) * total // (KILLS + 1)
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        # Some kills at once after a row, some a moment later, in the middle of whatever it does then.
        while records(part) < goal and process.poll() is None:
            time.sleep(0.002)
        time.sleep(rng.random() * 0.05)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills >= KILLS - 1
    last = subprocess.run(command, capture_output=True, text=True)
    assert last.returncode == 0, last.stderr
    assert out.read_bytes() == (quiet / out.name).read_bytes()
    # What a kill may cost is what was in flight, never a finished row.
    repeated = sum((proxy.asked - ASKED[name]).values())
    assert not ASKED[name] - proxy.asked
    assert repeated <= kills * in_flight, f"{repeated} requests were repeated after {kills} kills"
    again = stage(name, *flags(name, quiet, tmp_path), "--base_url", "http://127.0.0.1:9/v1")
    assert again.returncode == 0 and "nothing to do" in again.stderr, again.stderr


def test_a_kill_at_the_very_end_leaves_a_whole_file_or_none(quiet, tmp_path, policy_url):
    """The moment between the renames: a finished file with its .part still there counts as finished, and is cleaned up."""
    done = stage("gen_res", *flags("gen_res", quiet, tmp_path), "--base_url", policy_url)
    assert done.returncode == 0
    (tmp_path / "res.json.part").write_bytes(b'{"key": 0, "row": {}}\n')
    again = stage(
        "gen_res", *flags("gen_res", quiet, tmp_path), "--base_url", "http://127.0.0.1:9/v1"
    )
    assert "nothing to do" in again.stderr and not (tmp_path / "res.json.part").exists()
    assert (tmp_path / "res.json").read_bytes() == (quiet / "res.json").read_bytes()


def test_the_kept_problems_are_the_first_good_ones_whatever_finishes_first(
    quiet, tmp_path, policy_url
):
    one_at_a_time = [*flags("gen_ins", quiet, tmp_path)[:-1], "1"]
    run = stage("gen_ins", *one_at_a_time, "--base_url", policy_url)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "ins.json").read_bytes() == (quiet / "ins.json").read_bytes()


def test_the_answers_of_a_row_are_samples_of_their_own_and_the_same_in_every_run(quiet):
    rows = json.loads((quiet / "7res.json").read_bytes())
    assert all(len(r["responses"]) == 7 for r in rows)
    # Identical pairs happen by chance at temperature .8 (a short right answer); copies would make all rows alike.
    assert sum(len(set(r["responses"])) > 1 for r in rows) > len(rows) / 2


def test_nothing_vanishes_and_the_ranking_falls(quiet):
    for name in ("ins", "res", "7res", "ranked"):
        meta = json.loads((quiet / f"{name}.json.meta.json").read_bytes())
        assert meta["rows_in"] == meta["rows_out"] + sum(meta["dropped"].values())
        dropped = quiet / f"{name}.json.dropped.jsonl"
        assert sum(meta["dropped"].values()) == (
            dropped.read_bytes().count(b"\n") if dropped.exists() else 0
        )
    for row in json.loads((quiet / "ranked.json").read_bytes()):
        assert (
            row["scores"] == sorted(row["scores"], reverse=True)
            and len(row["scores"]) == len(row["responses"]) == 7
        )


def test_a_dead_server_is_tried_again_with_back_off_and_then_fails_clearly(
    quiet, tmp_path, policy_url
):
    proxy = CountingProxy(policy_url)
    fewer = "import sys; sys.argv[0] = 'gen_res'; from lib import cli; from lib.inference import openai_engine; openai_engine.RETRIES = 2; import gen_res; cli.run(gen_res.main)"
    command = [
        sys.executable,
        "-c",
        fewer,
        *flags("gen_res", quiet, tmp_path),
        "--base_url",
        proxy.url,
    ]
    process = subprocess.Popen(command, cwd=ROOT / "exp", stderr=subprocess.PIPE, text=True)
    while records(tmp_path / "res.json.part") < 5:
        time.sleep(0.005)
    proxy.dead = True
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "does not answer after 3 tries" in stderr and "Traceback" not in stderr
    kept = records(tmp_path / "res.json.part")
    assert kept >= 5
    resumed = stage("gen_res", *flags("gen_res", quiet, tmp_path), "--base_url", policy_url)
    assert resumed.returncode == 0
    assert (tmp_path / "res.json").read_bytes() == (quiet / "res.json").read_bytes()
