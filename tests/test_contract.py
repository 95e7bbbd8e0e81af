"""The contract of a stage (data/README.md, every exp/*.py): what holds for all of them alike.

Most of it is held in this process: a stage is imported, and its `main` is called as its command line
would. Two things need a process of their own, which all stages share: what importing loads, and how
long `--help` takes.
"""

import ast
import importlib
import inspect
import re
import shlex
import subprocess
import sys
import time

import pytest

from conftest import ROOT, stage
from lib import cli
from lib.errors import UserError

STAGES = sorted(path.stem for path in (ROOT / "exp").glob("*.py"))
# A flag that names an input: the missing-input test gives it a name that nothing has.
INPUT_FLAGS = re.compile(r".*(_path|_paths|_name_or_path)|model|source")
OUTPUT_FLAGS = ("save_path", "save_dir")
# Stages whose inputs all have a default, or that draw their rows from nothing.
SPECIAL_INPUT = {"check_rewards": "format", "prep_tiny": "num_examples", "make_tiny": "policy_path"}
FILLERS = {"model_path": "tiny", "model_name_or_path": "tiny-rm", "domain": "algebra", "port": "1"}
FILLERS |= {"total_prompts": "1", "save_path": "x.json", "save_dir": "."}
SUFFIXES = {"eval_gsm8k": ".csv"}


def source(name: str) -> str:
    return (ROOT / f"exp/{name}.py").read_text(encoding="utf-8")


def flags(name: str) -> dict[str, cli.Flag]:
    return cli.flags_of(importlib.import_module(name).main)


def input_flag(name: str) -> str:
    """The flag whose missing file is tried: the required data, else the model, else the special one."""
    if name in SPECIAL_INPUT:
        return SPECIAL_INPUT[name]
    inputs = [
        flag for flag in flags(name) if INPUT_FLAGS.fullmatch(flag) and flag not in OUTPUT_FLAGS
    ]
    required = [flag for flag in inputs if flags(name)[flag].default is cli.REQUIRED]
    data = [flag for flag in required if not flag.startswith("model")]
    return (data or required or inputs)[0]


def missing_input(name: str) -> list[str]:
    """A command line of the stage whose one fault is an input that does not exist."""
    words = []
    for flag in flags(name).values():
        if flag.default is cli.REQUIRED and flag.name != input_flag(name):
            value = FILLERS.get(flag.name, "x")
            words += [f"--{flag.name}", value.replace(".json", SUFFIXES.get(name, ".json"))]
    return [*words, f"--{input_flag(name)}", "./does_not_exist"]


def test_importing_the_stages_loads_no_heavy_library():
    """One process imports them all: a stage that loads torch is named by what it loaded first."""
    code = (
        "import importlib, sys; sys.path.insert(0, 'exp')\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    loaded = [m for m in ('torch', 'vllm', 'transformers', 'pandas', 'fire') if m in sys.modules]\n"
        "    assert not loaded, (name, loaded)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *STAGES], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", STAGES)
def test_help_shows_every_flag(name, capsys):
    main = importlib.import_module(name).main
    with pytest.raises(SystemExit) as end:
        cli.parse(main, ["--help"])
    shown = capsys.readouterr().out
    assert end.value.code == 0
    assert [flag for flag in flags(name) if f"  --{flag} " not in shown] == []
    assert ast.get_docstring(ast.parse(source(name))).split("\n")[0] in shown


def test_help_answers_within_a_second():
    """Of the stage that imports most; the best of three, as the machine may be busy."""
    slowest = max(STAGES, key=lambda name: source(name).count("import "))
    times = []
    for _ in range(3):
        started = time.monotonic()
        result = stage(slowest, "--help")
        times.append(time.monotonic() - started)
        assert result.returncode == 0 and result.stderr == ""
        if times[-1] < 1:
            break
    assert min(times) < 1


@pytest.mark.parametrize("name", STAGES)
def test_the_docstring_says_what_goes_in_and_out_and_its_command_parses(name):
    doc = ast.get_docstring(ast.parse(source(name)))
    assert re.search(r"^in ", doc, re.M) and re.search(r"^out ", doc, re.M)
    assert doc.split("\n")[0].endswith(".")
    (command,) = re.findall(rf"^ *(python exp/{name}\.py (?:.*\\\n)*.*)", doc, re.M)
    words = shlex.split(command.replace("\\\n", " "))[2:]
    assert cli.parse(importlib.import_module(name).main, words)


@pytest.mark.parametrize("name", STAGES)
def test_every_flag_is_read(name):
    main = importlib.import_module(name).main
    body = inspect.getsource(main).split("):\n", 1)[1]
    assert [p for p in inspect.signature(main).parameters if not re.search(rf"\b{p}\b", body)] == []


@pytest.mark.parametrize("name", STAGES)
def test_a_missing_input_is_one_line_and_exit_2_and_nothing_is_written(
    name, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli.signal, "signal", lambda *handler: None)  # this process keeps its own
    monkeypatch.setattr(sys, "argv", [f"exp/{name}.py", *missing_input(name)])
    with pytest.raises(SystemExit) as end:
        cli.run(importlib.import_module(name).main)
    out, err = capsys.readouterr()
    assert end.value.code == 2, err
    assert out == "" and len(err.strip().splitlines()) == 1, err
    assert err.startswith(f"{name}: error: ") and "does_not_exist" in err
    assert list(tmp_path.iterdir()) == []


def test_a_stage_called_as_a_user_does_ends_with_one_line_and_exit_2(tmp_path):
    result = stage("gen_res", *missing_input("gen_res"), cwd=tmp_path)
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr == "gen_res: error: ./does_not_exist: No such file or directory\n"


@pytest.mark.parametrize("name", STAGES)
def test_an_unknown_flag_is_one_line_that_lists_near_names(name):
    near = next(iter(flags(name)))
    with pytest.raises(UserError, match=f"'{near}'") as e:
        cli.parse(importlib.import_module(name).main, [f"--{near}x", "1"])
    assert "\n" not in str(e.value)
