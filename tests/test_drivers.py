"""The real drivers, in a copy of the project whose path has a space: run, rerun, interrupted, resumed, settings changed."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from conftest import ROOT

DOMAINS = ("algebra", "calculus", "geometry", "statistics", "number_theory", "discrete")


def make_copy(folder: Path) -> Path:
    """What git would clone, in a folder with a space in its name; beside it a Python that counts server starts."""
    target = folder / "a tiding"
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    for name in files.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    counting = folder / "counting python"
    counting.write_text(
        "#!/usr/bin/env bash\n"
        f'[[ $1 != */serve_model.py ]] || echo "$*" >>"{folder}/starts"\n'
        f'exec "{sys.executable}" "$@"\n'
    )
    counting.chmod(0o755)
    return target


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of the project in which nothing has run yet."""
    return make_copy(tmp_path_factory.mktemp("drivers"))


def run(copy: Path, *command: str, **settings: str) -> subprocess.CompletedProcess:
    env = {**os.environ, "PYTHON": str(copy.parent / "counting python"), **settings}
    return subprocess.run(
        [copy / command[0], *command[1:]],
        cwd=copy,
        env=env,
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )


class QuickRun:
    """One undisturbed quick test of every domain by the front door, 5 problems each, in a copy of its own."""

    def __init__(self, folder: Path):
        self.copy = make_copy(folder)
        self.folder = self.copy / "data/quick"
        finished = run(self.copy, "run_math_generation.sh", "0", "3", RUN="quick")
        self.returncode, self.stdout, self.stderr = (
            finished.returncode,
            finished.stdout,
            finished.stderr,
        )


@pytest.fixture(scope="module")
def quick(tmp_path_factory) -> QuickRun:
    return QuickRun(tmp_path_factory.mktemp("quick"))


def starts(copy: Path) -> list[str]:
    """The models whose servers were started since the last call."""
    log = copy.parent / "starts"
    found = (
        re.findall(r"--model_path (\S+|.*?tiny(?:-rm)?)(?: --|$)", log.read_text(), re.M)
        if log.exists()
        else []
    )
    log.unlink(missing_ok=True)
    return [Path(f).name for f in found]


@pytest.mark.parametrize(
    "arguments, says",
    [
        pytest.param(["99", "2"], "no model 99; known: 0 tiny, 1 DeepSeek", id="unknown number"),
        pytest.param(["tyny", "2"], "did you mean 'tiny'", id="misspelt model"),
        pytest.param(["0", "7"], "no MODE 7; known: 1 one domain", id="unknown mode"),
        pytest.param(["0", "1", "algebr", "5"], "did you mean 'algebra'", id="misspelt domain"),
        pytest.param(["0", "1"], "mode 1 makes one domain", id="mode 1 without a domain"),
        pytest.param(["0", "2", "algebra"], "that is mode 1", id="one domain in the mode for all"),
        pytest.param(["0", "1", "algebra", "0"], "COUNT '0'", id="count 0"),
        pytest.param(["0", "1", "algebra", "-1"], "COUNT '-1'", id="count -1"),
        pytest.param(["0", "1", "algebra", "abc"], "COUNT 'abc'", id="count abc"),
        pytest.param(["0", "4"], "mode 4 needs COUNT", id="mode 4 without a count"),
        pytest.param(["0", "1", "algebra", "5", "6"], "not 5 arguments", id="too many arguments"),
        pytest.param(
            [], "usage: ./run_math_generation.sh MODEL MODE", id="no arguments and no terminal"
        ),
    ],
)
def test_a_wrong_argument_is_one_line_and_exit_2_and_nothing_is_made(copy, arguments, says):
    before = sorted((copy / "data").iterdir())
    result = run(copy, "run_math_generation.sh", *arguments)
    assert result.returncode == 2 and len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert says in result.stderr
    assert sorted((copy / "data").iterdir()) == before and not starts(copy)


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine may have a GPU")
def test_a_model_too_large_for_this_machine_says_so_at_once_and_what_to_run_instead(copy):
    started = time.monotonic()
    result = run(copy, "run_math_generation.sh", "1", "2")
    assert result.returncode == 2 and len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert "needs a GPU" in result.stderr and "model 0" in result.stderr
    assert time.monotonic() - started < 10


def test_a_port_in_use_is_found_before_anything_is_loaded(copy):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = run(copy, "run_math_generation.sh", "0", "3", PORT=str(taken.getsockname()[1]))
    assert result.returncode == 2 and "is taken" in result.stderr and not starts(copy)


def test_a_dry_run_prints_every_command_and_starts_nothing(copy):
    result = run(copy, "run_math_generation.sh", "0", "2", DRY="1", RUN="dry")
    assert result.returncode == 0, result.stderr
    for domain in DOMAINS:
        for file in ("ins", "ins_res", "ins_7res", "ins_7res_armorm"):
            assert f"{domain}_{file}.json" in result.stdout
    assert result.stdout.count("serve_model.py") == 2 and "describe_run.py" in result.stdout
    assert "--total_prompts 100 " in result.stdout  # 10,000 x 0.01
    assert not starts(copy) and not (copy / "data/dry").exists()


def test_the_main_job_makes_every_file_and_loads_each_model_once(quick):
    out = quick.folder
    assert quick.returncode == 0, quick.stderr[-3000:]
    assert starts(quick.copy) == ["0", "tiny-rm"]
    for domain in DOMAINS:
        rows = {
            f: json.loads((out / domain / f"{domain}_{f}.json").read_bytes())
            for f in ("ins", "ins_res", "ins_7res_armorm")
        }
        assert [len(r) for r in rows.values()] == [5, 5, 5]
        assert all(
            len(row["responses"]) == len(row["scores"]) == 7 for row in rows["ins_7res_armorm"]
        )
        assert json.loads((out / domain / "dataset_info.json").read_bytes())["problems"] == 5
    combined = json.loads((out / "combined_dataset_info.json").read_bytes())
    assert combined["total_problems"] == 30 and list(combined["domains"]) == list(DOMAINS)
    assert combined["checked"]["exact_repeats"] == 0
    assert "30 math problems" in (out / "README.md").read_text()
    assert "| all " in quick.stdout and "The best-scored of 7 responses is right in" in quick.stdout
    assert "Dataset: data/quick " in quick.stdout


def test_every_line_of_a_domain_names_it_and_paths_are_as_the_user_would_type_them(quick):
    lines = quick.stderr.splitlines()
    of_stages = [line for line in lines if re.search(r"\bgen_\w+", line)]
    assert len(of_stages) > 6 * 4 * 3
    assert [
        line for line in of_stages if not any(f"{domain}  gen_" in line for domain in DOMAINS)
    ] == []
    assert [line for line in lines if str(quick.copy) in line] == []


def test_running_it_again_does_nothing_needs_no_server_and_on_a_terminal_shows_one_table(quick):
    copy = quick.copy
    starts(copy)
    files = sorted(quick.folder.glob("*/*.json"))
    before = {f: f.read_bytes() for f in files if f.name != "dataset_info.json"}
    ours, theirs = pty.openpty()
    terminal = TerminalReader(ours, theirs)
    env = {**os.environ, "PYTHON": str(copy.parent / "counting python"), "RUN": "quick"}
    again = subprocess.run([copy / "run_math_generation.sh", "0", "3"], cwd=copy, env=env, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=theirs)  # fmt: skip
    shown = terminal.result().decode()
    assert again.returncode == 0 and {f: f.read_bytes() for f in before} == before
    assert not starts(copy)
    table = shown[: shown.index("describe_run")]
    assert "| domain " in table and all(re.search(rf"\| {domain} +\|", table) for domain in DOMAINS)
    assert "gen_res:" not in table  # the lines of six domains are in their logs


class TerminalReader:
    """Reads a pseudo-terminal while something writes to it: one that nobody reads from is soon full."""

    def __init__(self, ours: int, theirs: int):
        self.theirs, self.data = theirs, b""
        self.thread = threading.Thread(target=self.read, args=(ours,), daemon=True)
        self.thread.start()

    def read(self, ours: int) -> None:
        try:
            while part := os.read(ours, 65536):
                self.data += part
        except OSError:  # how Linux reports that the other end is closed
            pass

    def result(self) -> bytes:
        os.close(self.theirs)
        self.thread.join(30)
        return self.data


def test_an_error_of_a_domain_stands_on_the_terminal_when_the_live_table_is_gone(copy, tmp_path):
    failing = tmp_path / "failing python"  # every gen_ins fails; all else is as ever
    failing.write_text(
        "#!/usr/bin/env bash\n"
        "[[ $1 != */gen_ins.py ]] || { echo 'gen_ins: error: boom' >&2; exit 2; }\n"
        f'exec "{sys.executable}" "$@"\n'
    )
    failing.chmod(0o755)
    env = {
        **os.environ,
        "PYTHON": str(failing),
        "RUN": "failing",
        "POLICY_URL": "http://127.0.0.1:9/v1",
    }
    ours, theirs = pty.openpty()
    terminal = TerminalReader(ours, theirs)
    driver = subprocess.run([copy / "run_math_generation.sh", "0", "3"], cwd=copy, env=env, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=theirs)  # fmt: skip
    after = terminal.result().decode().rpartition("| domain ")[2]
    assert driver.returncode != 0
    for domain in DOMAINS:
        assert re.search(
            rf"{domain}  gen_ins: error: boom  \(log data/failing/{domain}/logs/gen_ins.log\)",
            after,
        )
    (resume,) = re.findall(r"^  RUN=.*", after, re.M)
    assert "PLAN=" not in resume and "COUNT='5'" in resume


def test_another_setting_for_the_same_run_is_refused(quick):
    result = run(quick.copy, "scripts/generate_domain_dataset.sh", "0", "algebra", "5", RUN="quick", PHASE="generate",
                 SEED="1", BASE_URL="http://127.0.0.1:9/v1")  # fmt: skip
    assert result.returncode == 2
    assert "was made with seed 0, now 1; use another --save_path or --overwrite" in result.stderr


def keep_first_domains(copy: Path, count: int) -> None:
    """Some of the six are as good in a test, in less time."""
    domains = copy / "configs/domains_tiny.yaml"
    first = re.match(rf"(?:#.*\n)*(?:\w+:\n(?: .*\n)+){{{count}}}", domains.read_text())
    domains.write_text(first.group())


def test_a_domain_that_fails_stops_no_other_and_the_resumed_run_may_ask_for_more(
    quick, policy_url, reward_url, tmp_path
):
    copy = make_copy(tmp_path)
    keep_first_domains(copy, 2)
    failing = (
        tmp_path / "failing python"
    )  # no problems of calculus can be made; all else is as ever
    failing.write_text(
        "#!/usr/bin/env bash\n"
        "[[ $1 != */gen_ins.py || $* != *calculus* ]] || { echo 'gen_ins: error: boom' >&2; exit 3; }\n"
        f'exec "{sys.executable}" "$@"\n'
    )
    failing.chmod(0o755)
    settings = {
        "POLICY_URL": policy_url,
        "REWARD_URL": reward_url,
        "RUN": "failing",
        "COUNT": "3",
        "REFINE": "0",
    }
    command = ("scripts/generate_all_math_domains.sh", "0")
    first = run(copy, *command, **{**settings, "PYTHON": str(failing)})
    out = copy / "data/failing"
    assert first.returncode == 3, first.stderr
    assert "Not finished: calculus: gen_ins: error: boom" in first.stdout
    assert "Not finished: calculus" in (out / "README.md").read_text()
    ranked = out / "algebra/algebra_ins_7res_armorm.json"
    assert (
        len(json.loads(ranked.read_bytes())) == 3 and (ranked.parent / "dataset_info.json").exists()
    )
    resume = re.search(r"not finished; to go on where it stopped:\n  (.*)", first.stderr)[1]
    more = resume.replace("COUNT='3'", "COUNT='5'").replace(str(failing), sys.executable)
    again = subprocess.run(["bash", "-c", more], cwd=copy, text=True, capture_output=True)
    assert again.returncode == 0, again.stderr
    assert "Not finished" not in again.stdout
    for domain in ("algebra", "calculus"):
        for file in ("ins", "ins_res", "ins_7res", "ins_7res_armorm"):
            name = f"{domain}/{domain}_{file}.json"
            assert (out / name).read_bytes() == (quick.folder / name).read_bytes()


def test_interrupted_the_run_leaves_no_process_and_prints_the_command_that_finishes_it(
    quick, policy_url, reward_url, tmp_path
):
    copy = make_copy(tmp_path)
    keep_first_domains(copy, 2)
    env = {
        **os.environ,
        "PYTHON": str(copy.parent / "counting python"),
        "RUN": "broken",
        "COUNT": "5",
        "REFINE": "0",
    }
    driver = subprocess.Popen([copy / "scripts/generate_all_math_domains.sh", "0"], env=env, text=True, stderr=subprocess.PIPE,
                              stdout=subprocess.PIPE, start_new_session=True)  # fmt: skip
    while driver.poll() is None and not any((copy / "data/broken").glob("*/*_ins_res.json")):
        time.sleep(0.05)
    driver.send_signal(signal.SIGINT)
    _, stderr = driver.communicate(timeout=60)
    assert driver.returncode == 130, stderr
    left = subprocess.run(
        ["pgrep", "-s", str(driver.pid), "-r", "D,R,S,T", "-a"], capture_output=True, text=True
    ).stdout
    assert left == ""
    resume = re.search(r"not finished; to go on where it stopped:\n  (.*)", stderr)[1]
    kept = {p: p.read_bytes() for p in (copy / "data/broken").glob("*/*_ins_res.json")}
    starts(copy)
    again = {k: v for k, v in env.items() if k not in ("RUN", "COUNT", "REFINE")} | {
        "POLICY_URL": policy_url,
        "REWARD_URL": reward_url,
    }
    finished = subprocess.run(["bash", "-c", resume], env=again, text=True, capture_output=True)
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert all(p.read_bytes() == data for p, data in kept.items())
    made = sorted((copy / "data/broken").glob("*/*_ins*.json"))
    assert len(made) == 2 * 4 * 2  # of two domains four files and their meta files
    for file in made:
        if not file.name.endswith(".meta.json"):  # that holds seconds and dates
            assert (
                file.read_bytes()
                == (quick.folder / file.relative_to(copy / "data/broken")).read_bytes()
            ), file


def test_a_server_that_dies_at_start_shows_its_last_words(copy, tmp_path):
    broken = tmp_path / "broken model"
    shutil.copytree(copy / "data/models/tiny", broken)
    (broken / "model.safetensors").write_bytes(b"torn")
    result = run(copy, "scripts/serve.sh", str(broken), "--", "true")
    assert result.returncode == 2 and "died while it started" in result.stderr
    of_the_server = [line for line in result.stderr.splitlines() if not line.startswith("serve.sh")]
    assert any("rror: " in line for line in of_the_server), result.stderr


def test_a_server_that_is_there_already_is_used_and_the_commands_exit_code_comes_back(copy):
    starts(copy)
    url = "http://127.0.0.1:1/v1"
    result = run(
        copy, "scripts/serve.sh", "0", "--", "bash", "-c", 'echo "$BASE_URL"; exit 7', BASE_URL=url
    )
    assert (result.returncode, result.stdout.strip()) == (7, url) and not starts(copy)


def test_models_are_evaluated_compared_and_not_asked_again(copy, policy_url):
    served = f"--num_problems 12 --engine openai --base_url {policy_url}"
    command = ("scripts/evaluate.sh", "tiny", "0", "data/models/tiny")
    first = run(copy, *command, RUN="two", EVAL_FLAGS=served)
    assert first.returncode == 0, first.stderr
    assert first.stdout.count("95% interval") == 2 and "within noise" in first.stdout
    made = copy / "data/eval/two"
    assert (made / "comparison.json").exists() and (made / "comparison.png").read_bytes()[
        :4
    ] == b"\x89PNG"
    again = run(
        copy, *command, RUN="two", EVAL_FLAGS=served.replace(policy_url, "http://127.0.0.1:9/v1")
    )
    assert again.returncode == 0 and again.stderr.count("graded again") == 2, again.stderr
    wrong = run(copy, "scripts/evaluate.sh", "math", "0")
    assert wrong.returncode == 2 and "no benchmark math; known: tiny, gsm8k, aime" in wrong.stderr
