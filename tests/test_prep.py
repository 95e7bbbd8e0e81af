"""Public sets as rows: every real gold is read, what is torn or partial is refused with nothing written, a rerun changes nothing."""

import json
import sys
import threading
import types
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import prep_aime
import prep_gsm8k
import prep_limo
from conftest import stage
from lib import rows, sources
from lib.errors import UserError

KEYS = ["id", "question", "answer", "solution", "source_dataset", "original_id"]
AIME_KEYS = [
    "id",
    "global_id",
    "source_dataset",
    "original_id",
    "problem",
    "answer",
    "solution",
    "url",
]
AIME_FILES = ("test2024", "test2025-I", "test2025-II")
WORKED = "Janet sells 16 - 3 - 4 = <<16-3-4=9>>9 eggs.\nShe makes 9 * 2 = $<<9*2=18>>18.\n#### 18"


def jsonl(*made: dict) -> bytes:
    return b"".join(rows.dumps(row) + b"\n" for row in made)


# GSM8K


@pytest.mark.parametrize(
    "text, gold",
    [
        pytest.param("so\n#### 72", "72", id="as most are"),
        pytest.param("so\n#### 109,200,000", "109200000", id="thousands commas"),
        pytest.param("so\n#### -47", "-47", id="negative"),
        pytest.param("so\n#### \u22127", "-7", id="a minus sign that is no hyphen"),
        pytest.param("so\n#### $1,080.00", "1080", id="a price"),
        pytest.param("so\n#### -$5", "-5", id="sign before the currency"),
        pytest.param("so\n#### $-5", "-5", id="sign after the currency"),
        pytest.param("so\n#### 18.", "18", id="a trailing full stop"),
        pytest.param("so\n#### 2.50", "2.5", id="a trailing zero"),
        pytest.param("so\n#### 100", "100", id="zeros that count"),
        pytest.param("so\n#### 007", "7", id="leading zeros"),
        pytest.param("so\n#### -0.0", "0", id="no negative zero"),
        pytest.param("so\n####18\n\n", "18", id="no space, blank lines behind"),
        pytest.param("so\r\n#### 18\r\n", "18", id="line ends of Windows"),
        pytest.param("#### 18", "18", id="no worked text"),
        pytest.param("so\n#### 18\nmore", None, id="not the last line"),
        pytest.param("so 18", None, id="no mark"),
        pytest.param("so\n####", None, id="nothing behind the mark"),
        pytest.param("so\n#### eighteen", None, id="a word"),
        pytest.param("so\n#### 18 eggs", None, id="a unit"),
        pytest.param("so\n#### 1/2", None, id="a fraction"),
        pytest.param("so\n#### 18%", None, id="a percentage"),
        pytest.param("so\n#### 2,12", None, id="a comma that is no thousands comma"),
        pytest.param("so\n#### 1 000", None, id="a space inside"),
        pytest.param("so\n#### \u0661\u0668", None, id="digits that are not ASCII"),
        pytest.param("", None, id="empty"),
    ],
)
def test_a_gold_is_a_bare_number_or_none(text, gold):
    assert prep_gsm8k.gold_of(text) == gold


def test_a_solution_has_neither_the_gold_line_nor_calculator_marks():
    assert (
        prep_gsm8k.solution_of(WORKED) == "Janet sells 16 - 3 - 4 = 9 eggs.\nShe makes 9 * 2 = $18."
    )
    assert prep_gsm8k.solution_of("#### 18") == ""


def test_all_real_gsm8k_rows_are_kept_and_a_rerun_changes_nothing(test_data, tmp_path):
    source, path = test_data / "gsm8k/train.jsonl", tmp_path / "train.json"
    flags = ("--source", source, "--split", "train", "--save_path", path)
    first = stage("prep_gsm8k", *flags)
    assert first.returncode == 0 and first.stdout == ""
    announced, wrote, following = first.stderr.splitlines()
    assert announced == f"prep_gsm8k: all rows of {source} as gsm8k_train -> {path}"
    assert wrote.startswith(f"prep_gsm8k: wrote {path}: 7,473 rows, 0 dropped, ")
    assert (
        following.startswith("prep_gsm8k: next: python exp/eval_gsm8k.py ")
        and f"--test_data_path {path} " in following
    )
    given, made = rows.read(str(source)), rows.read(str(path))
    assert len(made) == 7473 and {tuple(row) for row in made} == {tuple(KEYS)}
    golds = [row["answer"].rpartition("#### ")[2] for row in given]
    assert [row["answer"] for row in made] == [gold.replace(",", "") for gold in golds]
    assert (sum("," in gold for gold in golds), sum(gold.startswith("-") for gold in golds)) == (
        79,
        3,
    )
    assert [row["question"] for row in made] == [row["question"] for row in given]
    assert [row["original_id"] for row in made] == [str(n) for n in range(7473)]
    assert not any("<<" in row["solution"] or "####" in row["solution"] for row in made)
    assert (
        made[0]["id"] == rows.row_id(made[0]["question"])
        and made[0]["source_dataset"] == "gsm8k_train"
    )
    before, again = path.read_bytes(), stage("prep_gsm8k", *flags)
    assert (
        again.returncode == 0
        and again.stderr.endswith("nothing to do\n")
        and path.read_bytes() == before
    )
    other = stage("prep_gsm8k", *flags, "--num_examples", 5)
    assert (
        other.returncode == 2
        and "was made with num_examples None, now 5" in other.stderr
        and path.read_bytes() == before
    )
    fresh = stage("prep_gsm8k", *flags, "--overwrite")
    assert fresh.returncode == 0 and path.read_bytes() == before


def gsm8k(tmp_path, name: str, data: bytes, **flags) -> list[dict]:
    (tmp_path / name).write_bytes(data)
    prep_gsm8k.main(str(tmp_path / "out.json"), str(tmp_path / name), **flags)
    return rows.read(str(tmp_path / "out.json"))


def test_what_cannot_be_used_is_dropped_with_its_reason_and_the_first_place_is_said(
    tmp_path, capsys
):
    bad = [{"question": "b", "answer": "so\n#### many"}, {"question": "c", "answer": None}]
    good = [{"question": "a", "answer": "so\n#### 1"}, {"question": "c", "answer": "so\n#### 3"}]
    again, empty = (
        {"question": "a", "answer": "so\n#### 2"},
        {"question": " ", "answer": "so\n#### 1"},
    )
    kept = gsm8k(tmp_path, "a.jsonl", b"\n" + jsonl(good[0], *bad, again, empty, good[1]))
    assert [(row["question"], row["answer"], row["original_id"]) for row in kept] == [
        ("a", "1", "0"),
        ("c", "3", "5"),
    ]
    dropped = rows.read(str(tmp_path / "out.json.dropped.jsonl"))
    assert Counter(row["why"] for row in dropped) == {"unparsable gold": 2, "repeat": 1, "empty": 1}
    meta = json.loads((tmp_path / "out.json.meta.json").read_bytes())
    assert (meta["rows_in"], meta["rows_out"]) == (6, 2)
    said = capsys.readouterr().err
    assert f"{tmp_path}/a.jsonl:3: unparsable gold '#### many'; 2 such rows are dropped\n" in said
    assert "2 rows, 4 dropped (2 unparsable gold, 1 empty, 1 repeat), " in said


ROW = {"question": "q", "answer": WORKED}


@pytest.mark.parametrize(
    "name, data, says",
    [
        pytest.param(
            "a.jsonl",
            jsonl(ROW, {"question": "q", "solution": "x"}),
            r"a.jsonl:2: no key 'answer' \(has: question, solution\)$",
            id="no such column",
        ),
        pytest.param(
            "a.json",
            b"[\n" + jsonl({}) + b"]\n",
            r"a.json:2: no key 'question' \(has: nothing\)$",
            id="an empty row of an array",
        ),
        pytest.param(
            "a.json",
            json.dumps([ROW, {}]).encode(),
            r"a.json:row 2: no key 'question'",
            id="an array on one line",
        ),
        pytest.param(
            "a.json",
            json.dumps([ROW, {"a": 1}], indent=2).encode(),
            r"a.json:6: no key 'question'",
            id="an indented array",
        ),
        pytest.param(
            "a.jsonl",
            jsonl({"question": ["q"], "answer": "x"}),
            r"a.jsonl:1: 'question' is a list, not text$",
            id="a list for text",
        ),
        pytest.param("a.jsonl", jsonl(ROW)[:-9], r"a.jsonl:1: torn or not JSON", id="a torn line"),
        pytest.param("a.jsonl", b"", r"a.jsonl: no rows$", id="an empty file"),
        pytest.param(
            "a.parquet", b"PAR1torn", r"a.parquet: torn or not parquet \(", id="a torn parquet file"
        ),
        pytest.param(
            "a.csv",
            b"question,answer\n",
            r"a.csv: expected a .json, .jsonl, .parquet file, or OWNER/NAME of a dataset on the hub$",
            id="another format",
        ),
        pytest.param(
            "a.jsonl",
            jsonl({"question": "q", "answer": "18"}),
            r"out.json: no row is left: 1 dropped \(1 unparsable gold\); nothing is written$",
            id="no gold at all",
        ),
    ],
)
def test_a_bad_source_is_one_line_with_its_place_and_nothing_is_written(tmp_path, name, data, says):
    with pytest.raises(UserError, match=says):
        gsm8k(tmp_path, name, data)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_the_first_so_many_rows_are_taken_and_more_than_there_are_is_refused(tmp_path):
    data = jsonl(*({"question": str(n), "answer": f"so\n#### {n}"} for n in range(5)))
    assert [row["answer"] for row in gsm8k(tmp_path, "a.jsonl", data, num_examples=2)] == ["0", "1"]
    for number in (0, -1, 6):
        with pytest.raises(
            UserError, match=rf"--num_examples {number} of .*a.jsonl, which has 5 rows$"
        ):
            gsm8k(tmp_path, "a.jsonl", data, num_examples=number, overwrite=True)


def test_parquet_gives_the_same_bytes_as_lines(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist([ROW]), tmp_path / "a.parquet")
    prep_gsm8k.main(str(tmp_path / "b.json"), str(tmp_path / "a.parquet"))
    gsm8k(tmp_path, "a.jsonl", jsonl(ROW))
    assert (tmp_path / "b.json").read_bytes() == (tmp_path / "out.json").read_bytes()


# LIMO

LIMO = {"question": "q", "solution": "so \\boxed{\\frac{1}{2}}", "answer": "\\frac{1}{2}"}


def test_limo_rows_have_the_same_keys_and_empty_or_repeated_ones_are_dropped(tmp_path, capsys):
    empty = [
        LIMO | {"question": f"no {key}"} | {key: value}
        for key, value in (("solution", ""), ("answer", None), ("question", " "))
    ]
    (tmp_path / "a.jsonl").write_bytes(
        jsonl(LIMO, LIMO | {"answer": "0.5"}, *empty, LIMO | {"question": "r", "answer": 5})
    )
    prep_limo.main(str(tmp_path / "out.json"), str(tmp_path / "a.jsonl"))
    first, last = rows.read(str(tmp_path / "out.json"))
    assert list(first) == KEYS and first == {
        "id": rows.row_id("q"),
        **LIMO,
        "source_dataset": "limo_train",
        "original_id": "0",
    }
    assert (last["answer"], last["original_id"]) == ("5", "5")
    assert "2 rows, 4 dropped (3 empty, 1 repeat), " in capsys.readouterr().err


# The hub


class FakeDatasets(types.ModuleType):
    """Stands for the `datasets` library: a hub with one dataset, whose card promises `promised` rows of each split."""

    def __init__(
        self, found: list[dict], promised: int | None = None, error: Exception | None = None
    ):
        super().__init__("datasets")
        self.found, self.promised, self.error, self.asked = found, promised, error, []

    def disable_progress_bars(self):
        pass

    def load_dataset_builder(self, path, name=None):
        size = types.SimpleNamespace(num_examples=self.promised)
        info = types.SimpleNamespace(
            splits=None if self.promised is None else {"train": size, "test": size}
        )
        return types.SimpleNamespace(info=info, hash="0f1e")

    def load_dataset(self, path, name=None, *, split):
        self.asked.append((path, name, split))
        if self.error:
            raise self.error
        return self.found


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Puts a FakeDatasets in the place of the library."""
    monkeypatch.chdir(tmp_path)

    def put(*args, **options) -> FakeDatasets:
        fake = FakeDatasets(*args, **options)
        monkeypatch.setitem(sys.modules, "datasets", fake)
        return fake

    return put


@pytest.mark.parametrize(
    "promised", [None, 0, 2], ids=["size unknown", "size not stated", "as many as promised"]
)
def test_the_hub_is_asked_for_one_split_of_the_main_config(hub, promised, capsys):
    fake = hub([ROW, ROW | {"question": "r"}], promised)
    prep_gsm8k.main("test.json")
    assert fake.asked == [("openai/gsm8k", "main", "test")]
    assert {row["source_dataset"] for row in rows.read("test.json")} == {"gsm8k_test"}
    assert json.loads(open("test.json.meta.json").read())["notes"] == {"revision": "0f1e"}
    prep_gsm8k.main("test.json")
    assert len(fake.asked) == 1 and capsys.readouterr().err.endswith("nothing to do\n")


def test_limo_is_asked_for_without_a_config_and_named_after_its_repository(hub):
    fake = hub([LIMO], 1)
    prep_limo.main("train.json", "GAIR/LIMO-v2")
    assert fake.asked == [("GAIR/LIMO-v2", None, "train")]
    assert rows.read("train.json")[0]["source_dataset"] == "limo-v2_train"


@pytest.mark.parametrize(
    "fake, says",
    [
        pytest.param(
            {"found": [ROW], "promised": 1319},
            "only 1 of 1,319 rows came; remove its folder from the cache and run this again",
            id="a partial download",
        ),
        pytest.param(
            {"found": [], "error": ValueError('Unknown split "tset".\nmore')},
            'Unknown split "tset"',
            id="an unknown split",
        ),
        pytest.param(
            {"found": [], "error": ConnectionError("Couldn't reach it")},
            "Couldn't reach it",
            id="no network",
        ),
        pytest.param(
            {"found": [], "error": TimeoutError()}, "TimeoutError", id="an error without words"
        ),
    ],
)
def test_a_failing_hub_is_one_line_with_the_repository_split_and_reason(hub, tmp_path, fake, says):
    hub(**fake)
    with pytest.raises(UserError) as caught:
        prep_gsm8k.main("test.json")
    assert str(caught.value) == f"openai/gsm8k on the hub, split test: {says}"
    assert list(tmp_path.iterdir()) == []


def test_a_row_of_the_hub_is_named_by_its_number(hub):
    hub([ROW, {"question": "q"}])
    with pytest.raises(
        UserError, match=r"^openai/gsm8k test row 2: no key 'answer' \(has: question\)$"
    ):
        prep_gsm8k.main("test.json")


@pytest.mark.parametrize("promised, fine", [(2, True), (3, False)], ids=["whole", "partial"])
def test_the_real_library_reads_a_repository_and_refuses_a_partial_one(
    tmp_path, monkeypatch, promised, fine
):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "owner/set"
    folder.mkdir(parents=True)
    splits = f"splits:\n  - name: test\n    num_bytes: 1\n    num_examples: {promised}\n"
    card = f"---\ndataset_info:\n  config_name: main\n  {splits}configs:\n- config_name: main\n  data_files: [{{split: test, path: a.jsonl}}]\n---\n"
    (folder / "README.md").write_text(card)
    (folder / "a.jsonl").write_bytes(jsonl(ROW, ROW))
    if fine:
        found, places, notes = sources._from_hub("owner/set", "test", "main")
        assert (found, places[-1], bool(notes["revision"])) == (
            [ROW, ROW],
            "owner/set test row 2",
            True,
        )
    else:
        with pytest.raises(
            UserError, match=r"^owner/set on the hub, split test: .*num_examples=3.*num_examples=2"
        ):
            sources._from_hub("owner/set", "test", "main")


def test_a_hub_out_of_reach_is_one_line_of_the_real_library(tmp_path):
    result = stage(
        "prep_limo",
        "--save_path",
        "x.json",
        cwd=tmp_path,
        env={"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")},
    )
    announced, error = result.stderr.splitlines()
    assert (
        result.returncode == 2
        and announced == "prep_limo: all rows of GAIR/LIMO as limo_train -> x.json"
    )
    assert error.startswith(
        "prep_limo: error: GAIR/LIMO on the hub, split train: Couldn't reach 'GAIR/LIMO' on the Hub"
    )
    assert not (tmp_path / "x.json.part").exists() and not (tmp_path / "x.json").exists()


# AIME


def test_aime_is_60_real_problems_in_one_file_one_a_line(test_data, tmp_path):
    path = tmp_path / "aime.jsonl"
    first = stage("prep_aime", "--source", test_data / "aime", "--save_path", path)
    assert first.returncode == 0, first.stderr
    announced, wrote, following = first.stderr.splitlines()
    assert announced == f"prep_aime: 60 problems of {test_data / 'aime'} -> {path}"
    assert (
        wrote.startswith(f"prep_aime: wrote {path}: 60 rows, 0 dropped, ")
        and f"--test_data_path {path} " in following
    )
    lines = path.read_bytes().split(b"\n")
    made = [json.loads(line) for line in lines[:-1]]
    assert (
        len(made) == 60 and lines[-1] == b"" and {tuple(row) for row in made} == {tuple(AIME_KEYS)}
    )
    assert [row["global_id"] for row in made] == list(range(60))
    assert Counter(row["source_dataset"] for row in made) == {
        "test2024": 30,
        "test2025-I": 15,
        "test2025-II": 15,
    }
    assert [made[n]["original_id"] for n in (0, 30, 45)] == ["60", "I-1", "II-1"]
    assert [made[n]["answer"] for n in (0, 30, 45)] == ["204", "70", "468"]
    assert all(
        row["answer"] == str(int(row["answer"])) and 0 <= int(row["answer"]) <= 999 for row in made
    )
    assert (
        all(row["id"] == rows.row_id(row["problem"]) for row in made)
        and len({row["id"] for row in made}) == 60
    )
    assert (
        made[0]["solution"]
        and made[0]["url"].startswith("https://")
        and made[59]["solution"] == made[59]["url"] == ""
    )
    before, again = (
        path.read_bytes(),
        stage("prep_aime", "--source", test_data / "aime", "--save_path", path),
    )
    assert again.stderr.endswith("nothing to do\n") and path.read_bytes() == before


def contest(name: str, count: int) -> list[dict]:
    return [{"id": n, "problem": f"{name} {n}", "answer": f"{n:03d}"} for n in range(count)]


def files(**changed: list[dict]) -> dict[str, bytes]:
    """The three files of a made-up contest, some of them replaced: name to bytes."""
    whole = {
        name: contest(name, count) for name, count in zip(AIME_FILES, (30, 15, 15), strict=True)
    }
    return {
        name: jsonl(*(changed.get(name.replace("-", "_")) or made)) for name, made in whole.items()
    }


LAST = contest("test2025-II", 15)


@pytest.mark.parametrize(
    "data, says",
    [
        pytest.param(files(test2025_II=LAST[:14]), "test2025-II.jsonl: 14 problems, expected 15", id="a row too few"),
        pytest.param(files(test2025_I=contest("x", 16)), "test2025-I.jsonl: 16 problems, expected 15", id="a row too many"),
        pytest.param(files() | {"test2024": b""}, "test2024.jsonl: 0 problems, expected 30", id="an empty file"),
        pytest.param(files() | {"test2024": files()["test2024"][:-9]}, "test2024.jsonl:30: torn or not JSON (", id="a torn last line"),
        pytest.param(files() | {"test2024": b"<html>429: Too Many Requests</html>"}, "test2024.jsonl:1: torn or not JSON (", id="a web page"),
        pytest.param(files() | {"test2024": b"\xff"}, "test2024.jsonl:1: torn or not JSON (", id="no UTF-8"),
        pytest.param(files() | {"test2024": b"[]"}, "test2024.jsonl:1: expected an object, found list", id="an array"),
        pytest.param(files(test2025_II=[{"id": 1, "problem": "p"}]), "test2025-II.jsonl:1: no 'answer' (has: id, problem)", id="no answer"),
        pytest.param(files(test2025_II=[{"id": 1, "problem": "p", "answer": ""}]), "test2025-II.jsonl:1: no 'answer' (has: id, problem, answer)", id="an empty answer"),
        pytest.param(files(test2025_II=[{"id": 1, "problem": 5, "answer": "1"}]), "test2025-II.jsonl:1: 'problem' is a int, not text", id="a number for text"),
        *(
            pytest.param(files(test2025_II=[*LAST[:14], LAST[14] | {"answer": answer}]), f"test2025-II.jsonl:15: answer {str(answer)!r} is no integer from 0 to 999", id=f"answer {answer}")
            for answer in ("1000", "-1", "1.5", 204.0, "x", True, "\u0661")
        ),
        pytest.param(files(test2025_II=contest("test2025-I", 15)), "test2025-II.jsonl: 0 is the same problem as 0 of test2025-I", id="the same file twice"),
    ],
)  # fmt: skip
def test_a_bad_aime_file_is_refused_and_nothing_is_written(tmp_path, data, says):
    for name, content in data.items():
        (tmp_path / f"{name}.jsonl").write_bytes(content)
    with pytest.raises(UserError) as caught:
        prep_aime.main(str(tmp_path / "out/aime.jsonl"), str(tmp_path))
    assert str(caught.value).startswith(f"{tmp_path}/{says}") and str(caught.value).endswith(
        "; nothing is written"
    )
    assert not (tmp_path / "out").exists()


def test_answers_lose_their_leading_zeros(tmp_path):
    for name, content in files(test2025_II=[*LAST[:14], LAST[14] | {"answer": 999}]).items():
        (tmp_path / f"{name}.jsonl").write_bytes(content)
    prep_aime.main(str(tmp_path / "aime.jsonl"), str(tmp_path))
    made = rows.read(str(tmp_path / "aime.jsonl"))
    assert [made[n]["answer"] for n in (0, 7, 29, 59)] == ["0", "7", "29", "999"]


@pytest.fixture
def server():
    """A web server on this machine: `server.files` maps a path to (status, body, headers); it counts what was asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            status, body, headers = self.server.files.get(self.path, (404, b"", {}))
            if status is None:  # silence until the test ends
                self.server.over.wait(10)
                return
            self.send_response(status)
            for key, value in ({"Content-Length": len(body)} | headers).items():
                self.send_header(key, str(value))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.asked, web.files, web.over = [], {}, threading.Event()
    web.url = f"http://127.0.0.1:{web.server_port}/aime"
    threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield web
    web.over.set()
    web.shutdown()
    web.server_close()


def serve(server, data: dict[str, bytes], **changed: tuple) -> str:
    server.files = {f"/aime/{name}.jsonl": (200, content, {}) for name, content in data.items()}
    server.files |= {
        f"/aime/{name.replace('_', '-')}.jsonl": answer for name, answer in changed.items()
    }
    return server.url


def test_aime_is_downloaded_once_with_the_same_rows_as_from_a_folder(server, test_data, tmp_path):
    url = serve(
        server, {name: (test_data / f"aime/{name}.jsonl").read_bytes() for name in AIME_FILES}
    )
    flags = ("--source", f"{url}/", "--save_path", tmp_path / "aime.jsonl")
    first = stage("prep_aime", *flags, env={"no_proxy": "127.0.0.1"})
    assert first.returncode == 0, first.stderr
    assert stage("prep_aime", *flags).stderr.endswith("nothing to do\n") and len(server.asked) == 3
    prep_aime.main(str(tmp_path / "local.jsonl"), str(test_data / "aime"))
    assert (tmp_path / "aime.jsonl").read_bytes() == (tmp_path / "local.jsonl").read_bytes()
    meta = json.loads((tmp_path / "aime.jsonl.meta.json").read_bytes())
    assert meta["settings"] == {"source": url} and set(meta["notes"]["sha256"]) == set(AIME_FILES)
    other = stage(
        "prep_aime", "--source", test_data / "aime", "--save_path", tmp_path / "aime.jsonl"
    )
    assert other.returncode == 2 and f"was made with source {url}, now a folder" in other.stderr


WHOLE = files()["test2025-II"]


@pytest.mark.parametrize(
    "answer, says",
    [
        pytest.param((404, b"404: Not Found", {}), ": 404 Not Found; nothing is written", id="not there"),
        pytest.param((503, b"", {}), ": 503 Service Unavailable; nothing is written", id="a server that is down"),
        pytest.param((200, WHOLE[:300], {"Content-Length": len(WHOLE)}), f": torn, 300 of {len(WHOLE)} bytes came; nothing is written, run it again", id="cut off on the way"),
        pytest.param((200, b"5\r\n{\"id\"", {"Content-Length": "", "Transfer-Encoding": "chunked"}), ": IncompleteRead(5 bytes read); nothing is written", id="cut off between chunks"),
        pytest.param((200, b"".join(WHOLE.splitlines(True)[:4]), {}), ": 4 problems, expected 15; nothing is written", id="whole lines, but few"),
        pytest.param((200, b"<html>sign in</html>", {}), ":1: torn or not JSON (Expecting value); nothing is written", id="a sign-in page"),
        pytest.param((302, b"", {"Location": "http://mirror.invalid/a"}), ": led to http://mirror.invalid/a, and only https is downloaded; nothing is written", id="a redirect away from https"),
        pytest.param((302, b"", {"Location": "file:///etc/hostname"}), ": 302 Found - Redirection to url 'file:///etc/hostname' is not allowed; nothing is written", id="a redirect to a local file"),
    ],
)  # fmt: skip
def test_a_failed_or_partial_download_names_the_file_and_leaves_nothing_behind(
    server, tmp_path, answer, says, monkeypatch
):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    url = serve(server, files(), test2025_II=answer)
    with pytest.raises(UserError) as caught:
        prep_aime.main(str(tmp_path / "aime.jsonl"), url)
    assert str(caught.value) == f"{url}/test2025-II.jsonl{says}"
    assert list(tmp_path.iterdir()) == []
    serve(server, files())
    prep_aime.main(str(tmp_path / "aime.jsonl"), url)  # nothing partial was remembered
    assert len(rows.read(str(tmp_path / "aime.jsonl"))) == 60


def test_a_silent_server_and_an_endless_file_are_given_up(server, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(prep_aime, "TIMEOUT_S", 0.2)
    monkeypatch.setattr(prep_aime, "LARGEST", 100)
    url = serve(server, files(), test2024=(None, b"", {}))
    with pytest.raises(UserError, match="test2024.jsonl: timed out; nothing is written$"):
        prep_aime.download(f"{url}/test2024.jsonl")
    with pytest.raises(
        UserError, match="test2025-I.jsonl: larger than 100 bytes; nothing is written$"
    ):
        prep_aime.download(f"{url}/test2025-I.jsonl")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/aime",
        "ftp://127.0.0.1/aime",
        "file:///tmp",
        "http://127.0.0.1.example.org/a",
    ],
)
def test_only_https_is_asked_outside_this_machine(tmp_path, url):
    with pytest.raises(UserError, match="only https is downloaded"):
        prep_aime.main(str(tmp_path / "aime.jsonl"), url)
    assert list(tmp_path.iterdir()) == []


def test_the_default_is_https():
    assert prep_aime.URL.startswith("https://") and prep_aime.is_safe(prep_aime.URL)
