"""What tests share: the shared data where it is present, one real vLLM server for the whole run, a way to call a stage."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
TINY, TINY_RM = ROOT / "data/models/tiny", ROOT / "data/models/tiny-rm"


def stage(
    name: str, *flags: object, cwd: Path = ROOT, env: dict | None = None, **options: object
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


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"needs the shared data folder beside the project ({SHARED})")
    return SHARED


def _served(tmp_path_factory: pytest.TempPathFactory, model: Path, *flags: str):
    """A real server started as the drivers start it, through serve.sh; ends with the test run."""
    log = tmp_path_factory.mktemp("server") / "server.log"
    waiter = [
        "bash",
        "-c",
        'echo "$BASE_URL"; exec cat',
    ]  # lives until its standard input is closed
    env = {
        **os.environ,
        "LOG": str(log),
        "PYTHON": sys.executable,
        **dict(f.split("=") for f in flags),
    }
    process = subprocess.Popen([ROOT / "scripts/serve.sh", str(model), "--", *waiter], env=env, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    url = process.stdout.readline().strip()
    assert url, log.read_text()[-3000:]
    yield url
    process.terminate()
    process.wait(30)


@pytest.fixture(scope="session")
def policy_url(tmp_path_factory):
    """The address of one vLLM server of `tiny` for the whole test run."""
    yield from _served(tmp_path_factory, TINY)


@pytest.fixture(scope="session")
def reward_url(tmp_path_factory):
    """The address of one vLLM server of `tiny-rm` for the whole test run."""
    yield from _served(tmp_path_factory, TINY_RM, "POOLING=1")
