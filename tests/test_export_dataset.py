"""The published dataset: splits, files that load, a card that says what the records say, a licence that is nobody's constant."""

import json
from pathlib import Path

import pytest
import yaml

import export_dataset
from conftest import TINY, stage
from lib import models, provenance
from lib.errors import UserError


@pytest.fixture(scope="module")
def refined(tmp_path_factory) -> Path:
    """SFT rows and pairs of 80 made-up problems, by the real stages from ranked responses on."""
    folder = tmp_path_factory.mktemp("run") / "refined"
    folder.mkdir()
    rows = [{"instruction": f"What is {n} + 1?", "responses": [f"So \\boxed{{{n + 1}}}."] * 4 + ["It is \\boxed{0}."],
             "finish_reasons": ["stop"] * 5, "scores": [5.0, 4.0, 3.0, 2.0, 1.0]} for n in range(80)]  # fmt: skip
    rows.append(
        {
            "instruction": "Why?",
            "responses": ["Because."] * 5,
            "finish_reasons": ["stop"] * 5,
            "scores": [0.0] * 5,
        }
    )
    (folder / "ranked.json").write_text(json.dumps(rows))
    for flags in (("vote_res", "--ins_data_path", folder / "ranked.json", "--save_path", folder / "voted.json"),
                  ("prep_sft", "--voted_paths", folder / "voted.json", "--save_path", folder / "sft.jsonl"),
                  ("prep_pairs", "--voted_paths", folder / "voted.json", "--save_path", folder / "pairs.jsonl")):  # fmt: skip
        assert stage(*flags).returncode == 0
    return folder


def export(refined: Path, *more: object):
    return stage("export_dataset", "--data_paths", f"{refined / 'sft.jsonl'},{refined / 'pairs.jsonl'}", "--model_path", TINY,
                 "--test_share", 0.2, *more)  # fmt: skip


@pytest.mark.slow
def test_it_loads_with_datasets_and_no_part_trains_on_what_another_tests(
    refined, tmp_path, monkeypatch
):
    import datasets

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    result = export(refined, "--save_path", tmp_path / "dataset")
    assert result.returncode == 0 and "licence apache-2.0" in result.stderr, result.stderr
    parts = {
        name: datasets.load_dataset(
            str(tmp_path / "dataset"), name, cache_dir=str(tmp_path / "cache")
        )
        for name in ("sft", "pairs")
    }
    for part in parts.values():
        assert len(part["train"]) + len(part["test"]) == 80 and 4 <= len(part["test"]) <= 32
    assert set(parts["sft"]["test"]["question"]) == set(parts["pairs"]["test"]["question"])
    lines = (tmp_path / "dataset/jsonl/sft_train.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == parts["sft"]["train"]["id"]
    card = (tmp_path / "dataset/README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["license"] == "apache-2.0" and [c["config_name"] for c in front["configs"]] == [
        "sft",
        "pairs",
    ]
    assert "filtered and\nmajority-voted by Tiding" in card and "verified" not in card
    assert "| vote_res | " in card and "1 no answer" in card and "min_margin 0.01" in card
    again = export(refined, "--save_path", tmp_path / "dataset")
    assert again.returncode == 0 and "nothing to do" in again.stderr
    other = export(refined, "--save_path", tmp_path / "dataset", "--license", "mit")
    assert other.returncode == 2 and "license , now mit" in other.stderr


def test_an_unknown_licence_is_said_and_never_uploaded(refined, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    assert export_dataset.licence(models.find(str(folder))) == ""
    (tmp_path / "README.md").write_text("---\nlicense: unknown\n---\n")
    with pytest.raises(UserError, match="licence of the generating model is not known"):
        export_dataset.upload(tmp_path, "nobody/nothing")
    (folder / "README.md").write_text("---\nlicense: other\nlicense_name: llama3.2\n---\n")
    assert export_dataset.licence(models.find(str(folder))) == "llama3.2"


def test_the_trace_goes_back_to_the_first_file_also_where_a_run_was_moved(refined, tmp_path):
    moved = refined.rename(tmp_path / "moved")
    try:
        metas = provenance.trace(str(moved / "sft.jsonl"))
        assert [m["stage"] for m in metas] == ["vote_res", "prep_sft"]
        assert provenance.table(metas)["dropped"] == ["1 no answer", "–"]
        (moved / "voted.json").write_text("[]")  # another file of that name is no ancestor
        assert [m["stage"] for m in provenance.trace(str(moved / "sft.jsonl"))] == ["prep_sft"]
    finally:
        moved.rename(refined)


@pytest.mark.parametrize(
    "flags, message",
    [
        pytest.param(
            {"data_paths": "a/x.jsonl,b/x.jsonl"},
            "files of different names",
            id="two parts of one name",
        ),
        pytest.param(
            {"data_paths": "x.jsonl", "test_share": 1.0}, "--test_share 1.0", id="all is test"
        ),
        pytest.param({"data_paths": "nowhere.jsonl"}, "nowhere.jsonl: No such file", id="no data"),
    ],
)
def test_a_bad_setting_is_one_line(flags, message, tmp_path):
    with pytest.raises(UserError, match=message):
        export_dataset.main(**{"save_path": str(tmp_path / "d"), "model_path": str(TINY)} | flags)


def test_a_setting_with_many_values_is_one_short_cell_of_a_table():
    assert export_dataset._values_cell([0.8]) == "0.8"
    assert export_dataset._values_cell(["a|b\n c", None]) == "a\\|b c / None"
    assert export_dataset._values_cell(list(range(9))) == "0 / 1 / 2 / 3 / 4 / 5 / …"
