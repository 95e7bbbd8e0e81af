"""What tests share: real test data where it is present, one real vLLM server for the whole run."""

import contextlib
import importlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from unittest import mock

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Real public data that tests read, and that the project does not copy: tests/README.md lists it.
TEST_DATA = Path(os.environ.get("TIDING_TEST_DATA") or ROOT.parent / "shared/data")
TINY, TINY_RM = ROOT / "data/models/tiny", ROOT / "data/models/tiny-rm"


def stage(
    name: str, *flags: object, cwd: Path = ROOT, env: dict | None = None, **options
) -> subprocess.CompletedProcess:
    """Run `python exp/NAME.py FLAGS…` to its end; stdout and stderr as text."""
    command = [sys.executable, str(ROOT / f"exp/{name}.py"), *map(str, flags)]
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        text=True,
        capture_output=True,
        **options,
    )


def stage_here(name: str, *flags: object, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    """As `stage`, in this process: for stages that load no model, which start a hundred times here."""
    from lib import cli

    command = [f"exp/{name}.py", *map(str, flags)]
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", command),
        mock.patch.object(cli.signal, "signal"),  # this process keeps its own handlers
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        cli.run(importlib.import_module(name).main)
    return subprocess.CompletedProcess(command, end.value.code, out.getvalue(), err.getvalue())


class DataFolder(type(Path())):
    """The test data: who asks for a set that is not there is skipped."""

    def __truediv__(self, name: str) -> Path:
        path = Path(self, name)
        if not path.exists():
            pytest.skip(f"needs the test data: no {path}")
        return path


@pytest.fixture(scope="session")
def test_data() -> Path:
    return DataFolder(TEST_DATA)


# What a test waits for if it asks for one of these: a server, a driver's run, a trained model.
SLOW_FIXTURES = {"policy_url", "reward_url", "quick", "quiet", "trained"}
SLOW_FILES = {
    "test_drivers",
    "test_make_tiny",
    "test_training",
    "test_dry_runs",
    "test_vision",
}


def pytest_collection_modifyitems(items) -> None:
    """Mark as slow what `make quick` leaves out; the drivers come last, as their run takes longest."""
    items.sort(key=lambda item: item.path.stem == "test_drivers")
    for item in items:
        if SLOW_FIXTURES & set(item.fixturenames) or item.path.stem in SLOW_FILES:
            item.add_marker(pytest.mark.slow)


def pytest_terminal_summary(terminalreporter) -> None:
    """One line that says what was skipped for want of data or of a GPU, and how to have it run."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = [str(report.longrepr[-1]) for report in skipped]
    without_data = sum("needs the test data" in reason for reason in reasons)
    without_gpu = sum("needs an NVIDIA GPU" in reason for reason in reasons)
    if without_data:
        what = f"{without_data} tests were skipped for want of test data in {TEST_DATA}"
        terminalreporter.write_line(f"{what}; tests/README.md says how to get it")
    if without_gpu:
        terminalreporter.write_line(
            f"{without_gpu} tests were skipped for want of a GPU; make test-gpu runs them"
        )


class Server:
    """A real server started as the drivers start it, through serve.sh; it lives until it is stopped."""

    def __init__(self, model: Path, **settings: str):
        self.model, self.settings = model, settings
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="tiding-server-"))
        self.log = folder / "server.log"
        env = {**os.environ, "LOG": str(self.log), "PYTHON": sys.executable, **self.settings}
        waiter = [
            "bash",
            "-c",
            'echo "$BASE_URL"; exec cat',
        ]  # lives until its standard input is closed
        command = ["nice", ROOT / "scripts/serve.sh", str(self.model), "--", *waiter]
        self.process = subprocess.Popen(
            command,
            env=env,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def url(self) -> str:
        url = self.process.stdout.readline().strip()
        assert url, self.log.read_text()[-3000:]
        return url

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(30)
            shutil.rmtree(self.log.parent)
            self.process = None


class BackgroundRun:
    """A command of minutes that runs while other tests do, before its own test asks how it ended."""

    def __init__(self):
        self.is_over = threading.Event()
        self.process: subprocess.Popen | None = None

    def start(self) -> subprocess.Popen:
        raise NotImplementedError

    def run(self) -> None:
        try:
            self.process = self.start()
            self.process.wait()
        finally:  # else the test that waits for it would wait for ever
            self.is_over.set()

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()


POLICY, REWARD_MODEL = Server(TINY), Server(TINY_RM, POOLING="1")
# What takes long is started as soon as it is known that a test asks for its fixture: the servers at
# once, the runs one after the other. A test file adds its own, by the name of its fixture.
SERVERS = {"policy_url": POLICY, "reward_url": REWARD_MODEL}
BACKGROUND_RUNS: dict[str, BackgroundRun] = {}


def pytest_collection_finish(session) -> None:
    if session.config.option.collectonly:
        return
    asked_for = set()
    for item in session.items:
        asked_for.update(item.fixturenames)
    for fixture, server in SERVERS.items():
        if fixture in asked_for:
            server.start()
    runs = [run for fixture, run in BACKGROUND_RUNS.items() if fixture in asked_for]

    def run_in_turn() -> None:
        for run in runs:
            run.run()

    threading.Thread(target=run_in_turn, daemon=True).start()


def pytest_unconfigure(config) -> None:
    for background in (POLICY, REWARD_MODEL, *BACKGROUND_RUNS.values()):
        background.stop()


@pytest.fixture(scope="session")
def policy_url() -> str:
    """The address of one vLLM server of `tiny` for the whole test run."""
    return POLICY.url()


@pytest.fixture(scope="session")
def reward_url() -> str:
    """The address of one vLLM server of `tiny-rm` for the whole test run."""
    return REWARD_MODEL.url()
