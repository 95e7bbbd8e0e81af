"""Rows in files: the line that is wrong is named, a torn end is dropped, changed settings are refused, nothing vanishes."""

import errno
import fcntl
import json
import os

import pytest

from lib import locks, rows
from lib.errors import UserError
from lib.output import Output
from lib.output_folder import OutputFolder


@pytest.mark.parametrize(
    "name, data, says",
    [
        pytest.param("a.json", b'[\n{"instruction": "x"},\n{"instr', r"a.json:3: torn", id="a torn array"),
        pytest.param("a.jsonl", b'{"instruction": "x"}\n{"instr', r"a.jsonl:2: torn", id="a torn line"),
        pytest.param("a.json", b'[\n{"instruction": "x"},\n{"id": 1}\n]\n', r"a.json:3: no key 'instruction' \(has: id\)", id="a row without the key"),
        pytest.param("a.json", b'[\n{"instruction": ""}\n]\n', r"a.json:2: 'instruction' is empty", id="an empty instruction"),
        pytest.param("a.json", b'[\n{"instruction": 3}\n]\n', r"a.json:2: 'instruction' is a int, not text", id="a number for text"),
        pytest.param("a.json", b"[\n1\n]\n", r"a.json:2: expected an object, found int", id="not an object"),
        pytest.param("a.json", b"[]\n", "no rows", id="an empty array"),
        pytest.param("a.json", b"", "no rows", id="an empty file"),
        pytest.param("a.jsonl", b'{"instruction": "\xff"}\n', r"a.jsonl:1: not UTF-8", id="bytes that are no UTF-8"),
        pytest.param("a.json", b'[\n{"instruction": "\xff"}\n]', r"a.json:2: not UTF-8", id="an array that is no UTF-8"),
        pytest.param("a.json", b'{"instruction": "x"', r"a.json:1: torn", id="an object for an array"),
        pytest.param("a.jsonl", b'{"instruction": "x"}\n{"instruction": "\\ud800 y"}\n', r"a.jsonl:2: half a character", id="a lone surrogate in a line"),
        pytest.param("a.json", b'[\n{"instruction": "x"},\n{"instruction": "y", "a": ["\\uDFFF"]}\n]\n', r"a.json:3: half a character", id="a lone surrogate in an array"),
        pytest.param("a.jsonl", b'{"instruction": "x\xed\xa0\x80"}\n', r"a.jsonl:1: not UTF-8", id="a lone surrogate as bytes"),
        pytest.param("a.jsonl", b'{"instruction": "x"}\n{"instruction": "y", "score": NaN}\n', r"a.jsonl:2: NaN is no number in JSON; make it again, or mend that line", id="NaN in a line"),
        pytest.param("a.jsonl", b'{"instruction": "y", "score": -Infinity}\n', r"a.jsonl:1: -Infinity is no number", id="an infinity in a line"),
        pytest.param("a.jsonl", b'{"instruction": "y", "score": 1e999}\n', r"a.jsonl:1: 1e999 is no number", id="a number too large for a float"),
        pytest.param("a.json", b'[\n{"instruction": "x"},\n{"instruction": "NaN", "scores": [1, NaN]},\n{"instruction": "z"}\n]\n', r"a.json:3: NaN is no number", id="NaN in an array"),
        pytest.param("a.json", b'[{"instruction": "x"}, {"instruction": "y"},\n  {\n    "instruction": "z",\n    "score": Infinity\n  }]', r"a.json:2: Infinity is no number", id="an infinity in an array of another layout: where its row begins"),
    ],
)  # fmt: skip
def test_a_bad_input_names_file_and_line(tmp_path, name, data, says):
    (tmp_path / name).write_bytes(data)
    for read in (rows.read, lambda *args, **keys: list(rows.stream(*args, **keys))):
        with pytest.raises(UserError, match=says) as e:
            read(str(tmp_path / name), need=("instruction",))
        assert "\n" not in str(e.value)


def test_pairs_of_surrogates_and_words_that_look_like_numbers_are_text(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(
        b'{"t": "\\ud83d\\ude00 NaN \\\\udine Infinity", "n": 1e300}\n'
    )
    expected = [{"t": "\U0001f600 NaN \\udine Infinity", "n": 1e300}]
    assert rows.read(str(tmp_path / "a.jsonl")) == expected
    assert [row for _, row in rows.stream(str(tmp_path / "a.jsonl"))] == expected


def test_a_missing_input_that_is_still_growing_says_so(tmp_path):
    (tmp_path / "a.json.part").touch()
    with pytest.raises(UserError, match="still growing"):
        rows.read(str(tmp_path / "a.json"))


@pytest.mark.parametrize("text", ["a\nb", "\u2028\u2029\x85", '"\\frac{1}{2}"', "🐦", "\x00"])
def test_any_text_comes_back_as_it_was_and_stays_on_its_line(tmp_path, text):
    out = make(tmp_path)
    out.add(0, {"instruction": text})
    out.finish(1)
    assert rows.read(str(out.path)) == [{"instruction": text}]
    assert out.path.read_bytes().count(b"\n") == 3


@pytest.mark.parametrize(
    "text, written",
    [
        pytest.param("4 \ud800", "4 \ufffd", id="cut off inside a character"),
        pytest.param("\udc00 4", "\ufffd 4", id="the second half alone"),
        pytest.param(
            "\ud83d\ude00 4 \ud83d", "\U0001f600 4 \ufffd", id="two halves are a character"
        ),
    ],
)
def test_half_a_character_of_a_servers_answer_is_written_as_vllm_writes_it(tmp_path, text, written):
    out = make(tmp_path)
    out.add(0, {"response": text})
    out.add(1, {"response": text}, "empty")
    out.finish(2)
    assert rows.read(str(out.path)) == [{"response": written}]
    assert rows.read(str(out.dropped_path)) == [{"why": "empty", "response": written}]


def test_a_figure_that_is_no_number_is_one_line_and_the_file_stays(tmp_path):
    rows.write_json(tmp_path / "f.json", {"accuracy": 1.0})
    with pytest.raises(UserError, match="f.json: a figure is NaN or infinite; nothing is written"):
        rows.write_json(tmp_path / "f.json", {"accuracy": float("nan")})
    assert rows.read_object(tmp_path / "f.json") == {"accuracy": 1.0}


def make(tmp_path, **settings) -> Output:
    out = Output(str(tmp_path / "o.json"), "stage", {"temperature": 0.05} | settings)
    if not out.finished:
        out.open({})
    return out


def test_the_file_appears_whole_in_key_order_with_dropped_rows_beside_it(tmp_path):
    out = make(tmp_path)
    for key in (2, 0, 1):
        out.add(key, {"n": key}, "odd" if key == 1 else None)
    assert not out.path.exists()
    out.finish(3)
    assert out.path.read_text() == '[\n{"n": 0},\n{"n": 2}\n]\n'
    assert (tmp_path / "o.json.dropped.jsonl").read_text() == '{"why": "odd", "n": 1}\n'
    meta = json.loads((tmp_path / "o.json.meta.json").read_text())
    assert (meta["rows_in"], meta["rows_out"], meta["dropped"]) == (3, 2, {"odd": 1})
    assert not out.part.exists()


def test_rows_that_are_not_accounted_for_stop_the_stage(tmp_path):
    out = make(tmp_path)
    out.add(0, {})
    with pytest.raises(AssertionError, match="2 rows in, 1 accounted for"):
        out.finish(2)
    assert not out.path.exists()


def test_cut_at_any_byte_the_part_file_keeps_every_whole_line(tmp_path):
    out = make(tmp_path)
    for key in range(3):
        out.add(key, {"text": "é" * (key + 1)})
    whole = out.part.read_bytes()
    out._finished_rows.release()
    for cut in range(len(whole) + 1):
        out.part.write_bytes(whole[:cut])
        again = make(tmp_path)
        assert len(again) == whole[:cut].count(b"\n")
        for key in range(3):
            if key not in again:
                again.add(key, {"text": "é" * (key + 1)})
        assert again.part.read_bytes() == whole
        again._finished_rows.release()


def test_a_session_that_failed_before_its_first_row_binds_no_later_one(tmp_path):
    make(tmp_path)._finished_rows.release()
    make(tmp_path, temperature=0.8)


@pytest.mark.parametrize("finished", [False, True], ids=["while it grows", "when it is finished"])
def test_other_settings_are_refused_and_named(tmp_path, finished):
    out = make(tmp_path)
    out.add(0, {})
    if finished:
        out.finish(1)
    with pytest.raises(
        UserError,
        match=r"o.json was made with temperature 0.05, now 0.8; use another --save_path or --overwrite",
    ):
        make(tmp_path, temperature=0.8)


def test_overwrite_starts_again(tmp_path):
    out = make(tmp_path)
    out.add(0, {})
    out.finish(1)
    again = Output(str(out.path), "stage", {"temperature": 0.8}, overwrite=True)
    assert not again.finished and out.path.exists()  # it stays until there is something to write
    again.open({})
    assert not out.path.exists() and not out.dropped_path.exists() and len(again) == 0
    again.add(0, {"n": 2})
    again.finish(1)
    assert rows.read(str(out.path)) == [{"n": 2}]
    assert json.loads(out.meta_path.read_bytes())["settings"] == {"temperature": 0.8}


def test_an_input_with_other_contents_is_refused_but_may_move(tmp_path):
    (tmp_path / "in.json").write_text("1")
    (tmp_path / "moved.json").write_text("1")
    (tmp_path / "other.json").write_text("2")

    def output(name: str) -> Output:
        return Output(str(tmp_path / "o.json"), "stage", {}, (str(tmp_path / name),))

    first = output("in.json")
    first.open({})
    first.add(0, {"n": 0})
    output("moved.json")
    with pytest.raises(UserError, match="other contents of .*other.json"):
        output("other.json")


def test_a_file_that_no_stage_made_is_not_overwritten(tmp_path):
    (tmp_path / "o.json").write_text("precious")
    with pytest.raises(UserError, match="meta.json cannot be read; use another --save_path"):
        make(tmp_path)
    assert (tmp_path / "o.json").read_text() == "precious"


def test_two_processes_cannot_write_the_same_file(tmp_path):
    make(tmp_path)
    with pytest.raises(UserError, match="being written by another process"):
        make(tmp_path)


def test_a_full_disk_leaves_no_torn_line(tmp_path, monkeypatch):
    out = make(tmp_path)
    out.add(0, {"n": 0})
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:5]))  # what a full disk does
    with pytest.raises(OSError, match="No space left"):
        out.add(1, {"n": 1})
    assert out.part.read_bytes().count(b"\n") == 1 and out.part.read_bytes().endswith(b"\n")


def test_seeds_differ_by_row_and_stay_in_a_servers_range():
    seeds = {rows.derive_seed(0, k) for k in range(10_000)}
    assert len(seeds) > 9_990 and all(0 <= s < 2**31 - 64 for s in seeds)


def test_what_came_to_nothing_leaves_nothing_and_other_settings_may_try(tmp_path):
    out = make(tmp_path)
    out.add(0, {}, "too long")
    with pytest.raises(
        UserError, match=r"no row is left: 1 dropped \(1 too long\); nothing is written"
    ):
        out.finish_or_abandon(1)
    assert list(tmp_path.iterdir()) == []
    assert not make(tmp_path, temperature=0.8).finished


def test_rows_written_in_one_go_have_each_id_once(tmp_path):
    out = Output(str(tmp_path / "o.jsonl"), "stage", {})
    out.write_rows(
        [({"id": "a", "n": 1}, None), ({"id": "a", "n": 2}, None), ({"id": "b"}, "empty")], {}
    )
    assert rows.read(str(out.path)) == [{"id": "a", "n": 1}]
    assert out.meta["dropped"] == {"empty": 1, "repeat": 1}


def test_overwrite_does_not_touch_what_another_process_is_writing(tmp_path):
    out = make(tmp_path)
    out.add(0, {"n": 0})
    again = Output(str(out.path), "stage", {"temperature": 0.8}, overwrite=True)
    with pytest.raises(UserError, match="being written by another process; wait for it or stop it"):
        again.open({})
    out.add(1, {"n": 1})
    out.finish(2)
    assert rows.read(str(out.path)) == [{"n": 0}, {"n": 1}]
    assert json.loads(out.meta_path.read_bytes())["settings"] == {"temperature": 0.05}


def test_a_finished_file_that_is_being_made_anew_keeps_its_part(tmp_path):
    finished = make(tmp_path)
    finished.add(0, {"n": 0})
    finished.finish(1)
    growing = locks.hold(finished.part)  # of a process with --overwrite, just begun
    assert make(tmp_path).finished and finished.part.exists()
    os.close(growing)
    assert make(tmp_path).finished and not finished.part.exists()


def test_who_waited_for_a_file_that_is_finished_now_is_told_so(tmp_path, monkeypatch):
    real_lock = fcntl.flock

    def lock_late(descriptor: int, operation: int) -> None:
        (tmp_path / "o.json.part").unlink()  # what the other process does at its end
        real_lock(descriptor, operation)

    monkeypatch.setattr(locks.fcntl, "flock", lock_late)
    with pytest.raises(UserError, match="was finished by another process just now; run the same"):
        make(tmp_path)


@pytest.mark.parametrize("fault", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_said_once_and_survived(
    tmp_path, monkeypatch, capsys, fault
):
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(fault, os.strerror(fault))

    monkeypatch.setattr(locks.fcntl, "flock", no_locks)
    out = make(tmp_path)
    out.add(0, {"n": 0})
    out.finish(1)
    folder = OutputFolder(str(tmp_path / "m"), "stage", {})
    folder.open()
    folder.finish(lambda whole: None)
    said = capsys.readouterr().err
    assert said.count("has no locks") == 2 and said.count("o.json.part has no locks") == 1
    assert make(tmp_path).finished and (tmp_path / "m").is_dir()


@pytest.mark.parametrize(
    "meta",
    [
        pytest.param(None, id="missing"),
        pytest.param(b"", id="empty"),
        pytest.param(b'{"stage": "st', id="torn"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{}", id="without a key"),
        pytest.param(b'{"stage": "stage", "settings": [], "inputs": {}, "seconds": 0}', id="settings that are a list"),
        pytest.param(b"\xff", id="not UTF-8"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("finished", [False, True], ids=["while it grows", "when it is finished"])
def test_a_meta_file_that_a_kill_or_an_editor_spoilt_is_one_line(tmp_path, meta, finished):
    out = make(tmp_path)
    out.add(0, {"n": 0})
    if finished:
        out.finish(1)
    out.meta_path.unlink()
    if meta is not None:
        out.meta_path.write_bytes(meta)
    with pytest.raises(UserError, match="exists but its o.json.meta.json cannot be read; use ano"):
        make(tmp_path)


def test_a_kill_between_the_first_two_files_leaves_nothing_to_be_asked_about(tmp_path):
    (tmp_path / "o.json.part").touch()
    out = make(tmp_path)
    out.add(0, {"n": 0})
    out.finish(1)
    assert out.path.exists()


@pytest.mark.parametrize("line", [b"{}", b"1", b'{"row": {}}', b"[]"])
def test_a_line_of_a_part_that_is_no_row_is_named(tmp_path, line):
    out = make(tmp_path)
    out.add(0, {"n": 0})
    out._finished_rows.release()
    with open(out.part, "ab") as part_file:
        part_file.write(line + b"\n")
    with pytest.raises(UserError, match="o.json.part:2: no row; mend that line or use --overwrite"):
        make(tmp_path)


def folder_of(tmp_path, learning_rate: float, overwrite: bool = False) -> OutputFolder:
    return OutputFolder(str(tmp_path / "m"), "sft", {"learning_rate": learning_rate}, overwrite)


def test_two_processes_cannot_make_the_same_folder_and_overwrite_waits_for_the_lock(tmp_path):
    folder = folder_of(tmp_path, 0.1)
    folder.open()
    (folder.part / "train_log.jsonl").write_text("{}")
    with pytest.raises(UserError, match="m.part/lock is being written by another process"):
        folder_of(tmp_path, 0.1).open()
    with pytest.raises(UserError, match="being written by another process"):
        folder_of(tmp_path, 0.2, overwrite=True).open()
    assert (folder.part / "train_log.jsonl").exists()
    os.close(folder._lock)
    with pytest.raises(UserError, match="was made with learning_rate 0.1, now 0.2"):
        folder_of(tmp_path, 0.2)
    folder_of(tmp_path, 0.2, overwrite=True).open()
    assert sorted(file.name for file in folder.part.iterdir()) == ["lock", "settings.json"]


def test_of_the_processes_of_torchrun_the_first_holds_the_folder(tmp_path, monkeypatch):
    folder_of(tmp_path, 0.1).open()
    monkeypatch.setenv("RANK", "1")
    folder_of(tmp_path, 0.1).open()
