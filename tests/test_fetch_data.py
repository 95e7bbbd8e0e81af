"""`make test-data`: every file is checked, what is there is not fetched again, a fault is one line."""

import hashlib

import pytest

import fetch_data
from conftest import ROOT, TEST_DATA
from fetch_data import Source


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def host(tmp_path):
    """A folder that takes the part of the server: one repository with one file of three lines."""
    folder = tmp_path / "host/owner/repository/commit"
    folder.mkdir(parents=True)
    (folder / "rows.jsonl").write_bytes(b'{"a": 1}\n{"a": 2}\n{"a": 3}\n')
    return (tmp_path / "host").as_uri()


WHOLE = Source("owner/repository/commit/rows.jsonl")
CUT = Source("owner/repository/commit/rows.jsonl", first_lines=2)


def test_a_file_is_fetched_once_whole_or_cut(host, tmp_path):
    whole, cut = tmp_path / "data/set/whole.jsonl", tmp_path / "data/set/cut.jsonl"
    whole_sha = sha256(b'{"a": 1}\n{"a": 2}\n{"a": 3}\n')
    cut_sha = sha256(b'{"a": 1}\n{"a": 2}\n')
    assert fetch_data.fetch(WHOLE, whole, whole_sha, host) == "fetched"
    assert fetch_data.fetch(CUT, cut, cut_sha, host) == "fetched"
    assert fetch_data.fetch(WHOLE, whole, whole_sha, "file:///nowhere") == "is there"
    assert cut.read_bytes() == b'{"a": 1}\n{"a": 2}\n'
    assert sorted(path.name for path in whole.parent.iterdir()) == ["cut.jsonl", "whole.jsonl"]


def test_another_file_than_the_expected_one_is_refused_and_leaves_nothing(host, tmp_path):
    path = tmp_path / "data/rows.jsonl"
    with pytest.raises(ValueError, match="has another SHA-256"):
        fetch_data.fetch(WHOLE, path, "0" * 64, host)
    assert not path.parent.exists()


def test_a_file_that_is_there_but_another_one_is_replaced(host, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("half of it")
    assert fetch_data.fetch(CUT, path, sha256(b'{"a": 1}\n{"a": 2}\n'), host) == "fetched"


def test_all_that_fails_is_named_and_the_exit_code_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TIDING_TEST_DATA", str(tmp_path / "data"))
    assert fetch_data.main("file:///nowhere") == 2
    out, err = capsys.readouterr()
    assert len(err.splitlines()) == len(fetch_data.SOURCES)
    assert err.startswith("fetch_data: error: gsm8k/train.jsonl: ")
    assert "answer_equivalence, judge, model_outputs, ocr" in out


def test_the_readme_has_the_checksum_and_the_commit_of_every_file_that_is_fetched():
    text = (ROOT / "tests/README.md").read_text(encoding="utf-8")
    assert fetch_data.SOURCES.keys() <= fetch_data.checksums().keys()
    for source in fetch_data.SOURCES.values():
        owner, repository, commit, _ = source.address.split("/", 3)
        assert f"{owner}/{repository}" in text and commit in text


def test_the_readmes_checksums_are_those_of_the_data_that_is_here():
    present = {
        name: sha for name, sha in fetch_data.checksums().items() if (TEST_DATA / name).exists()
    }
    assert {name: sha256((TEST_DATA / name).read_bytes()) for name in present} == present
