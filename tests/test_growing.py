"""A finished file grows and shrinks with what is asked for, and is then the file of a run that asked so at once.

The stages are real; the engine is a fake that counts what it is asked and answers by the seed alone.
"""

import json
import random
from collections import deque
from pathlib import Path

import pytest

from conftest import TINY, TINY_RM, release_locks, stage_here
from lib.errors import UserError
from lib.inference.backends import Where
from lib.inference.requests import Completion, Reply, Request, Score, is_chat
from lib.output import Output
from lib.output_folder import OutputFolder
from lib.part_file import PartFile
from lib.report import run_folder


class FakeEngine:
    """Answers in any order; some problems are empty or repeated. Dies after `lives` replies."""

    most_in_flight = 8

    def __init__(self, lives: int | None = None, distinct: int = 40):
        self.lives, self.distinct = lives, distinct
        self.asked = 0
        self.waiting: deque[Request] = deque()

    @property
    def pending(self) -> int:
        return len(self.waiting)

    def submit(self, request: Request) -> None:
        self.asked += 1
        self.waiting.append(request)

    def poll(self, *_: object) -> list[Reply]:
        if self.lives == 0:
            raise KeyboardInterrupt
        if self.lives is not None:
            self.lives -= 1
        self.waiting.rotate(random.randrange(8))
        request = self.waiting.popleft()
        if request.sampling is None:
            scores = tuple(Score(random.Random(str(chat)).random()) for chat in request.prompt)
            return [Reply(request.key, scores=scores)]
        make_text = self.answer if is_chat(request.prompt) else self.problem
        texts = [make_text(request.seed + sample) for sample in range(request.samples)]
        completions = tuple(Completion(text, "stop") for text in texts)
        return [Reply(request.key, completions, tokens=9)]

    def problem(self, seed: int) -> str:
        return "" if seed % 6 == 0 else f"What is {seed % self.distinct} plus 1?"

    def answer(self, seed: int) -> str:
        return f"The answer is \\boxed{{{seed % 2}}}."

    def close(self) -> None:
        pass


@pytest.fixture
def engine(monkeypatch):
    """Installs an engine in place of every model; a stage that must not load one gets None."""

    def install(engine: FakeEngine | None) -> FakeEngine | None:
        monkeypatch.setattr(Where, "load", lambda self, *model: engine)
        return engine

    return install


def make_problems(folder: Path, count: int, *flags: object):
    path = folder / "algebra_ins.json"
    common = ["--model_path", TINY, "--domain", "algebra", "--save_path", path]
    return stage_here("gen_ins", *common, "--total_prompts", count, *flags)


DOWNSTREAM = {
    "gen_res": ("algebra_ins.json", "algebra_ins_res.json", ["--model_path", TINY]),
    "gen_po_multi_res": ("algebra_ins.json", "algebra_ins_7res.json", ["--model_path", TINY]),
    "gen_po_rewards": (
        "algebra_ins_7res.json",
        "algebra_ins_7res_armorm.json",
        ["--model_name_or_path", TINY_RM],
    ),
}


def make_downstream(folder: Path, name: str):
    source, target, flags = DOWNSTREAM[name]
    paths = ["--ins_data_path", folder / source, "--save_path", folder / target]
    return stage_here(name, *flags, *paths)


def make_all(folder: Path, count: int, engine) -> dict[str, int]:
    """Every stage of a domain; how many requests each made."""
    asked = {}
    counting = engine(FakeEngine())
    result = make_problems(folder, count)
    assert result.returncode == 0, result.stderr
    asked["gen_ins"] = counting.asked
    for name in DOWNSTREAM:
        counting = engine(FakeEngine())
        result = make_downstream(folder, name)
        assert result.returncode == 0, result.stderr
        asked[name] = counting.asked
    return asked


def data_of(folder: Path) -> dict[str, bytes]:
    """The data files and what was dropped from them, without the meta files that hold seconds."""
    files = {}
    for path in folder.iterdir():
        if not path.name.endswith(".meta.json"):
            files[path.name] = path.read_bytes()
    return files


@pytest.mark.parametrize(
    "first, then",
    [
        pytest.param(10, 16, id="more problems are asked for"),
        pytest.param(16, 10, id="fewer problems are asked for"),
        pytest.param(10, 11, id="one more"),
        pytest.param(10, 1, id="only the first is left"),
    ],
)
def test_another_count_ends_in_the_files_of_a_run_that_asked_for_it_at_once(
    tmp_path, engine, first, then
):
    grown, at_once = tmp_path / "grown", tmp_path / "at_once"
    grown.mkdir()
    at_once.mkdir()
    asked_first = make_all(grown, first, engine)
    asked_then = make_all(grown, then, engine)
    asked_at_once = make_all(at_once, then, engine)
    assert data_of(grown) == data_of(at_once)
    for name, count in asked_at_once.items():  # no finished row was asked for again
        assert asked_then[name] == max(0, count - asked_first[name])
    meta = json.loads((grown / "algebra_ins.json.meta.json").read_bytes())
    assert (meta["asked"], meta["made"], meta["settings"]["total_prompts"]) == (then, then, then)
    assert meta["rows_in"] == meta["rows_out"] + sum(meta["dropped"].values())


@pytest.mark.parametrize("then", [16, 6], ids=["grown", "cut"])
def test_killed_while_it_grows_or_before_it_is_cut_it_ends_in_the_same_bytes(
    tmp_path, engine, then
):
    at_once = tmp_path / "at_once"
    at_once.mkdir()
    engine(FakeEngine())
    assert make_problems(at_once, then).returncode == 0
    engine(FakeEngine(lives=9))
    assert make_problems(tmp_path, 12).returncode == 130
    for _ in range(4):
        release_locks(tmp_path)
        engine(FakeEngine(lives=2))
        make_problems(tmp_path, then)
    release_locks(tmp_path)
    engine(FakeEngine())
    assert make_problems(tmp_path, then).returncode == 0
    made = (tmp_path / "algebra_ins.json").read_bytes()
    assert made == (at_once / "algebra_ins.json").read_bytes()


@pytest.mark.parametrize(
    "kind, dies_in",
    [
        pytest.param(Output, "_take_over", id="before it is renamed"),
        pytest.param(PartFile, "read", id="before the rows are read"),
    ],
)
@pytest.mark.parametrize("then", [12, 15], ids=["back to the old count", "with the new count"])
def test_killed_while_a_finished_file_is_opened_again_nothing_is_lost(
    tmp_path, engine, monkeypatch, kind, dies_in, then
):
    make_all(tmp_path, 12, engine)
    with monkeypatch.context() as patched:
        patched.setattr(kind, dies_in, FakeEngine(lives=0).poll)
        assert make_problems(tmp_path, 15).returncode == 130
    release_locks(tmp_path)
    counting = engine(FakeEngine())
    assert make_problems(tmp_path, then).returncode == 0
    at_once = tmp_path / "at_once"
    at_once.mkdir()
    make_all(at_once, 12, engine)
    assert counting.asked == make_all(at_once, then, engine)["gen_ins"]
    for name in ("algebra_ins.json", "algebra_ins.json.dropped.jsonl"):
        assert (tmp_path / name).read_bytes() == (at_once / name).read_bytes()


def test_an_answer_file_killed_while_it_grows_loses_no_finished_answer(tmp_path, engine):
    make_all(tmp_path, 8, engine)
    engine(FakeEngine())
    make_problems(tmp_path, 14)
    engine(FakeEngine(lives=3))
    assert make_downstream(tmp_path, "gen_res").returncode == 130
    assert not (tmp_path / "algebra_ins_res.json").exists()  # a finished name means a whole file
    release_locks(tmp_path)
    rest = engine(FakeEngine())
    assert make_downstream(tmp_path, "gen_res").returncode == 0
    assert rest.asked == 14 - 8 - 3
    rows = json.loads((tmp_path / "algebra_ins_res.json").read_bytes())
    assert len(rows) == 14


def test_an_input_with_not_a_row_of_the_old_one_is_refused_and_nothing_is_lost(tmp_path, engine):
    make_all(tmp_path, 8, engine)
    before = (tmp_path / "algebra_ins_res.json").read_bytes()
    engine(FakeEngine())
    make_problems(tmp_path, 8, "--seed", 1, "--overwrite")
    counting = engine(FakeEngine())
    result = make_downstream(tmp_path, "gen_res")
    assert result.returncode == 2 and "was made with other contents of" in result.stderr
    assert counting.asked == 0
    assert (tmp_path / "algebra_ins_res.json").read_bytes() == before


def test_another_setting_is_refused_as_ever_when_the_count_differs_too(tmp_path, engine):
    make_all(tmp_path, 8, engine)
    result = make_problems(tmp_path, 9, "--temperature", 0.5)
    assert result.returncode == 2 and "temperature 1.0, now 0.5" in result.stderr
    assert "total_prompts" not in result.stderr


def test_dropped_rows_of_an_older_format_say_that_they_cannot_be_added_to(tmp_path, engine):
    make_all(tmp_path, 12, engine)
    dropped_path = tmp_path / "algebra_ins.json.dropped.jsonl"
    old_lines = []
    for line in dropped_path.read_text().splitlines():
        row = json.loads(line)
        del row["row_number"]
        old_lines.append(json.dumps(row) + "\n")
    dropped_path.write_text("".join(old_lines))
    result = make_problems(tmp_path, 13)
    assert result.returncode == 2 and "no key 'row_number'" in result.stderr
    assert (tmp_path / "algebra_ins.json").exists()


@pytest.mark.parametrize(
    "distinct, min_rows, exit_code, says",
    [
        pytest.param(7, None, 0, "short: only ", id="at least half: short, with what there is"),
        pytest.param(2, None, 3, "only ", id="under half: a shortfall"),
        pytest.param(2, 1, 0, "short: only ", id="--min_rows allows fewer"),
        pytest.param(7, 10, 3, "lower --min_rows", id="--min_rows asks for more than half"),
        pytest.param(7, 11, 2, "from 1 to --total_prompts 10", id="more than are asked for"),
    ],
)
def test_too_few_problems_are_a_short_file_or_a_shortfall(
    tmp_path, engine, distinct, min_rows, exit_code, says
):
    engine(FakeEngine(distinct=distinct))
    flags = [] if min_rows is None else ["--min_rows", min_rows]
    result = make_problems(tmp_path, 10, *flags)
    assert result.returncode == exit_code, result.stderr
    assert says in result.stderr.splitlines()[-1]
    path = tmp_path / "algebra_ins.json"
    assert path.exists() == (exit_code == 0)
    if exit_code == 0:
        meta = json.loads(Path(f"{path}.meta.json").read_bytes())
        rows = json.loads(path.read_bytes())
        assert meta["asked"] == 10 and meta["made"] == len(rows) < 10
        engine(None)  # a rerun asks for nothing
        assert "nothing to do" in make_problems(tmp_path, 10, *flags).stderr


def test_a_short_file_goes_on_when_more_are_asked_for(tmp_path, engine):
    engine(FakeEngine(distinct=7))
    assert make_problems(tmp_path, 10).returncode == 0
    short = json.loads((tmp_path / "algebra_ins.json").read_bytes())
    engine(FakeEngine())  # as if the model had more to say at last
    assert make_problems(tmp_path, 20).returncode == 0
    rows = json.loads((tmp_path / "algebra_ins.json").read_bytes())
    assert len(rows) == 20 and rows[: len(short)] == short


def test_refined_files_are_made_anew_when_the_run_has_grown(tmp_path, engine):
    refined = {}
    for folder, counts in ((tmp_path / "grown", (9, 12)), (tmp_path / "at_once", (12,))):
        folder.mkdir()
        for count in counts:
            make_all(folder, count, engine)
            refine(folder)
        refined[folder.name] = {name: (folder / name).read_bytes() for name in REFINED}
    assert refined["grown"] == refined["at_once"]


REFINED = ("clean.json", "voted.json", "sft.jsonl")


def refine(folder: Path) -> None:
    clean, voted = folder / "clean.json", folder / "voted.json"
    ranked = folder / "algebra_ins_7res_armorm.json"
    for name, *flags in (
        ("clean_ins", "--ins_data_path", ranked, "--save_path", clean),
        ("vote_res", "--ins_data_path", clean, "--save_path", voted),
        ("prep_sft", "--voted_paths", voted, "--save_path", folder / "sft.jsonl"),
    ):
        result = stage_here(name, *flags)
        assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "change, problems, expected",
    [
        pytest.param(lambda folder: None, 6, set(), id="finished"),
        pytest.param(lambda folder: None, 7, {"generate", "rank"}, id="more are wanted"),
        pytest.param(
            lambda folder: (folder / "algebra_ins_res.json").unlink(),
            6,
            {"generate", "rank"},
            id="a file is missing",
        ),
        pytest.param(
            lambda folder: (folder / "algebra_ins_7res_armorm.json").unlink(),
            6,
            {"rank"},
            id="only the ranking is missing",
        ),
        pytest.param(
            lambda folder: make_problems(folder, 7), 7, {"generate", "rank"}, id="problems grew"
        ),
    ],
)
def test_the_halves_of_the_work_that_are_left(tmp_path, engine, change, problems, expected):
    folder = tmp_path / "algebra"
    folder.mkdir()
    make_all(folder, 6, engine)
    engine(FakeEngine())
    change(folder)
    assert run_folder.halves_left(folder, problems) == expected


def test_a_short_domain_is_described_as_such_and_an_unfinished_one_is_named(tmp_path, engine):
    short = tmp_path / "algebra"
    short.mkdir()
    engine(FakeEngine(distinct=7))
    assert make_problems(short, 10).returncode == 0
    for name in DOWNSTREAM:
        engine(FakeEngine())
        make_downstream(short, name)
    logs = tmp_path / "discrete/logs"
    logs.mkdir(parents=True)
    (logs / "gen_ins.log").write_text("gen_ins: error: boom\n\n")
    described = stage_here("describe_run", "--run_path", tmp_path, "--model_path", TINY)
    assert described.returncode == 3 and "not finished: discrete" in described.stderr
    problems = len(json.loads((short / "algebra_ins.json").read_bytes()))
    card = (tmp_path / "README.md").read_text()
    for remark in (
        f"Short: algebra, {problems} of 10 problems.",
        "Not finished: discrete: gen_ins: error: boom",
    ):
        assert remark in described.stdout and remark in card


def test_an_exported_folder_is_made_anew_for_other_data_and_refused_for_another_setting(tmp_path):
    def open_folder(data: str, share: float) -> OutputFolder:
        settings = {"data": [data], "test_share": share}
        return OutputFolder(str(tmp_path / "x"), "export_dataset", settings, remade_for="data")

    def make(folder: OutputFolder, text: str) -> None:
        folder.open()
        folder.finish(lambda whole: (whole / "rows").write_text(text))

    make(open_folder("a", 0.1), "old")
    assert open_folder("a", 0.1).finished
    grown = open_folder("b", 0.1)
    assert not grown.finished and (tmp_path / "x/rows").read_text() == "old"
    make(grown, "new")
    assert (tmp_path / "x/rows").read_text() == "new" and open_folder("b", 0.1).finished
    with pytest.raises(UserError, match="was made with data .*; test_share 0.1, now 0.2"):
        open_folder("c", 0.2)
