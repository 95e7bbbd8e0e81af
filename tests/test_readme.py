"""The README's commands are real: every line of its shell blocks is parsed or run."""

import os
import re
import shlex
import subprocess
import sys

import pytest

from conftest import ROOT

BLOCKS = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
LINES = [line.split(" #")[0].strip() for block in BLOCKS for line in block.splitlines()]
LINES = [line for line in LINES if line and not line.startswith(("source ", "cd ", "git clone"))]


def test_there_are_commands_to_try():
    assert len(LINES) >= 8


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_readme_works(line):
    """make targets exist, stages' flags parse, drivers print their commands (DRY=1) or say that a GPU is missing."""
    words = shlex.split(line)
    settings = dict(w.split("=", 1) for w in words if re.match(r"^[A-Z_]+=", w))
    words = [w for w in words if not re.match(r"^[A-Z_]+=", w)]
    if words[0] == "make":
        command = ["make", "-n", *words[1:]]
    elif words[0] == "python":
        name = re.fullmatch(r"exp/(\w+)\.py", words[1])[1]
        code = "import sys; sys.path.insert(0, 'exp'); from lib import cli; import {0}; cli.parse({0}.main, sys.argv[1:])"
        command = [sys.executable, "-c", code.format(name), *words[2:]]
    else:
        command = words
    env = {**os.environ, **settings, "DRY": "1", "PYTHON": sys.executable}
    result = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert result.returncode == 0 or "needs a GPU" in result.stderr, result.stderr


def test_the_readme_is_under_200_lines_and_its_files_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("\n") < 200
    for path in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (ROOT / path).exists(), path


def test_make_help_shows_every_target_that_says_what_it_does():
    targets = re.findall(r"^([\w-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    shown = subprocess.run(
        ["make", "help", f"PYTHON3={sys.executable}"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    assert "train-gsm8k" in targets and [t for t in targets if f"\n  {t} " not in shown] == []
