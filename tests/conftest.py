"""What tests share: real test data where it is present, one real vLLM server for the whole run."""

import contextlib
import importlib
import io
import os
import subprocess
import sys
import time
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


def release_locks(folder: Path) -> None:
    """What the end of a killed process does: its files are closed, and so unlocked."""
    for descriptor in Path("/proc/self/fd").iterdir():
        if descriptor.exists() and descriptor.resolve().is_relative_to(folder):
            os.close(int(descriptor.name))


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
SLOW_FIXTURES = {"policy_url", "reward_url", "quick", "quiet", "trained", "armorm"}
# Whole files that train or run drivers, and that `make quick` leaves out.
SLOW_FILES = {
    "test_drivers",
    "test_make_tiny",
    "test_shaped_drivers",
    "test_training",
    "test_dry_runs",
    "test_vision",
}
# `make test` gives whole files to two workers, in this order: those of minutes first, so that both
# end at about the same time, and those that need no server while the servers load.
LONG_FILES = [
    "test_drivers",
    "test_training",
    "test_shaped_drivers",
    "test_stages",
    "test_resume",
    "test_evals",
    "test_dry_runs",
    "test_make_tiny",
    "test_reward_heads",
]


def pytest_collection_modifyitems(items) -> None:
    """Sort the files by what they take, and mark as slow what `make quick` leaves out."""

    def place(item) -> int:
        file = item.path.stem
        return LONG_FILES.index(file) if file in LONG_FILES else len(LONG_FILES)

    items.sort(key=place)
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
    """A real server started as the drivers start it, through serve.sh, for the whole test run.

    All workers of a run ask the same one: the first worker starts it, the others find its address
    in a file. It ends with the run's main process, however that ends.
    """

    def __init__(self, folder: Path, main_process: int):
        self.folder, self.main_process = folder, main_process

    def start(self, model: Path, settings: dict[str, str]) -> None:
        self.folder.mkdir()
        log = self.folder / "server.log"
        env = {**os.environ, "LOG": str(log), "PYTHON": sys.executable, **settings}
        live = 'echo "$BASE_URL" >url.tmp && mv url.tmp url; tail --pid="$1" -f /dev/null'
        command = ["nice", ROOT / "scripts/serve.sh", model, "--", "bash", "-c", live, "live"]
        with open(log, "w") as output:
            subprocess.Popen(
                [*command, str(self.main_process)],
                cwd=self.folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def url(self) -> str:
        """Its address, as soon as it is healthy."""
        address = self.folder / "url"
        for _ in range(3000):
            if address.exists():
                return address.read_text().strip()
            time.sleep(0.1)  # until another process has loaded the model
        pytest.fail(
            f"no server after 5 minutes: {(self.folder / 'server.log').read_text()[-3000:]}"
        )


@pytest.fixture(scope="session")
def servers(request, tmp_path_factory) -> dict[str, Server]:
    """The servers of a run by the fixture that asks for them; started where a test of the run will."""
    is_worker = hasattr(request.config, "workerinput")
    folder = tmp_path_factory.getbasetemp()
    main_process = os.getpid()
    if is_worker:
        folder, main_process = folder.parent, os.getppid()
    policy = Server(folder / "policy_server", main_process)
    reward_model = Server(folder / "reward_server", main_process)
    asked_for = set()
    for item in request.session.items:
        asked_for.update(item.fixturenames)
    if not is_worker or request.config.workerinput["workerid"] == "gw0":
        if "policy_url" in asked_for:
            policy.start(TINY, {})
        if "reward_url" in asked_for:
            reward_model.start(TINY_RM, {"POOLING": "1"})
    return {"policy": policy, "reward model": reward_model}


@pytest.fixture(scope="session", autouse=True)
def start_servers_first(servers) -> None:
    """They load while the first tests run."""


@pytest.fixture(scope="session")
def policy_url(servers) -> str:
    """The address of one vLLM server of `tiny` for the whole test run."""
    return servers["policy"].url()


@pytest.fixture(scope="session")
def reward_url(servers) -> str:
    """The address of one vLLM server of `tiny-rm` for the whole test run."""
    return servers["reward model"].url()
