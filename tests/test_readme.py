"""What the README and the pages of docs/ say is real: their commands run, their links and diffs hold."""

import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from conftest import ROOT
from lib import cli

DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", *DOCS, ROOT / "tests/README.md", ROOT / "data/README.md"]
PIPELINES = ["Generate", "Refine", "Evaluate", "Train", "Embedded model"]


def text_of(page) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text_of(page), re.DOTALL)


def commands() -> list[str]:
    """Every distinct command line of every page, continued lines joined, without its comment."""
    lines = []
    for page in PAGES:
        for block in blocks(page, "bash"):
            lines += block.replace("\\\n", " ").splitlines()
    without_comments = [" ".join(line.split(" #")[0].split()) for line in lines]
    return [line for line in dict.fromkeys(without_comments) if line and line[:7] != "source "]


def split_settings(line: str) -> tuple[dict[str, str], list[str]]:
    """The `NAME=value` words before a command, and the command's words."""
    words = shlex.split(line)
    settings = {}
    while re.match(r"[A-Z_]+=", words[0]):
        name, _, value = words.pop(0).partition("=")
        settings[name] = value
    return settings, words


@pytest.fixture(scope="module")
def targets() -> list[str]:
    """The targets of the Makefile that say what they do."""
    return re.findall(r"^([\w-]+):.*## ", text_of(ROOT / "Makefile"), re.MULTILINE)


def of_stage(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("python exp/")]


def test_there_are_commands_on_every_pipelines_page():
    for name in ("generation", "refining", "evaluation", "training"):
        assert len(blocks(ROOT / f"docs/{name}.md", "bash")) >= 2
    assert len(commands()) > 30


@pytest.mark.parametrize("line", of_stage(commands()))
def test_a_stages_flags_are_those_of_the_stage(line, monkeypatch):
    monkeypatch.chdir(ROOT)
    _, path, *flags = shlex.split(line)
    stage = re.fullmatch(r"exp/(\w+)\.py", path)[1]
    cli.parse(importlib.import_module(stage).main, flags)


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in commands() if line not in of_stage(commands())])
def test_a_command_works(line):
    """make targets exist (-n), drivers print their commands (DRY=1) or say that a GPU is missing."""
    settings, words = split_settings(line)
    if words[0] == "make":
        words.insert(1, "-n")
    env = {**os.environ, **settings, "DRY": "1", "PYTHON": sys.executable}
    result = subprocess.run(
        words, cwd=ROOT, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert result.returncode == 0 or "needs a GPU" in result.stderr, result.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_exists(page, targets):
    text = text_of(page)
    for path in re.findall(r"\]\((?!http|#)([^)#]+)\)", text):
        assert (page.parent / path).exists(), path
    for path in re.findall(
        r"`((?:configs|docs|exp|requirements|scripts|tests)/[a-z0-9_./-]+)`", text
    ):
        assert (ROOT / path).exists(), path
    for target in re.findall(r"`make ([a-z0-9-]+)", text):
        assert target in targets, f"make {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_prose_is_at_most_100_characters_wide(page):
    prose = re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL)
    wide = [line for line in prose.splitlines() if len(line) > 100 and not line.startswith("|")]
    assert wide == []


def test_the_readme_is_under_200_lines_and_leads_to_every_page():
    text = text_of(ROOT / "README.md")
    assert text.count("\n") < 200
    assert [page.name for page in DOCS if f"(docs/{page.name})" not in text] == []


def test_make_help_shows_every_target_and_every_stage_under_its_pipeline(targets):
    command = ["make", "--no-print-directory", "help", f"PYTHON3={sys.executable}"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "train-gsm8k" in targets
    assert [target for target in targets if f"\n  {target} " not in shown] == []
    headings = [line for line in shown.splitlines()[1:] if line and not line.startswith(" ")]
    stages = [f"Stages: {pipeline.lower()}" for pipeline in PIPELINES]  # and none under "other"
    usage = "Each stage: python exp/STAGE.py --help"
    assert headings == ["Set up and check", *PIPELINES, *stages, usage]


def test_the_stage_shown_to_contributors_is_the_one_that_is_tested():
    (shown,) = blocks(ROOT / "docs/contributing.md", "python")
    assert shown == text_of(ROOT / "tests/translate_ins.py")


def test_the_diffs_shown_to_contributors_apply_and_do_what_they_say(tmp_path):
    for folder in ("configs", "exp", "scripts"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignore)
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "tests/translate_ins.py", tmp_path / "exp")
    for diff in blocks(ROOT / "docs/contributing.md", "diff"):
        applied = subprocess.run(
            ["git", "apply"], cwd=tmp_path, input=diff, text=True, capture_output=True
        )
        assert applied.returncode == 0, applied.stderr
    code = """
import sys; sys.path.insert(0, "exp")
from lib import models
from lib.grading import formats
from lib.rewards import lint, registry
assert models.find("Qwen3-8B").number == 6
assert models.domain(models.find("1"), "topology").count == 4000
assert lint.findings(registry.parse("answer=1,ended=1"), formats.find("boxed")) == []
"""

    def output_of(*command: str) -> str:
        env = {**os.environ, "DRY": "1", "PYTHON": sys.executable, "SOURCE": "math500.jsonl"}
        run = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        return run.stdout

    output_of(sys.executable, "-c", code)
    assert "Stages: other" not in output_of(sys.executable, "scripts/stages.py")
    assert "five hundred" in output_of(sys.executable, "exp/eval_math500.py", "--help")
    driven = output_of("make", "eval-math500", "PLATFORM=cpu", "-o", "setup")
    assert "python exp/eval_math500.py --model_path 0 --test_data_path math500.jsonl" in driven
