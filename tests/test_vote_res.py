"""Votes: which answer counts as right, what is marked how, and that a conversation is made of the best right response."""

import json

import pytest

import prep_sft
import vote_res
from conftest import stage
from lib.errors import UserError
from lib.grading import formats
from lib.tiny import truth


def said(*answers: str) -> list[str]:
    return [f"So it is \\boxed{{{a}}}." if a else "I do not know." for a in answers]


VOTES = [
    pytest.param(["1/2", "0.5", r"\frac{1}{2}", "2"], None, "1/2", ["right"] * 3 + ["wrong"], None, id="equal values vote as one"),
    pytest.param(["4", "5", "", "5"], None, "5", ["wrong", "right", "no answer", "right"], None, id="no answer is no vote"),
    pytest.param(["4", "4", "5"], ["length", "stop", "stop"], None, None, "tied votes", id="nor is a truncated one"),
    pytest.param(["4", "5", "5"], ["length"] * 3, None, None, "no answer", id="all cut off"),
    pytest.param(["7", "7", "8", "8"], None, None, None, "tied votes", id="a tie"),
    pytest.param(["1,000", "1000", "$1000$"], None, "1,000", ["right"] * 3, None, id="one number, three spellings"),
]  # fmt: skip


@pytest.mark.parametrize("answers, ends, gold, marks, why", VOTES)
def test_the_majority_by_mathematical_equality_is_the_pseudo_gold(answers, ends, gold, marks, why):
    row = {
        "instruction": "?",
        "responses": said(*answers),
        "finish_reasons": ends or ["stop"] * len(answers),
    }
    made, dropped = vote_res.marked(row)
    assert dropped == why
    if not why:
        assert (made["answer"], made["marks"]) == (gold, marks)
        assert (
            made["difficulty"] == made["agreement"] == round(marks.count("right") / len(marks), 4)
        )


def test_what_votes_are_worth_is_measured_where_the_true_answer_is_known():
    sevens = {"marks": ["right"] * 7}
    rows = [
        {"instruction": "What is 3 + 4?", "answer": "7", **sevens},
        {"instruction": "Solve 2x + 3 = 9 for x.", "answer": "4", **sevens},
        {"instruction": "Why?", "answer": "1", **sevens},
    ]
    known = [r for r in rows if truth.problems.parse(r["instruction"])]
    found = truth.precision(rows)
    assert sum(n for _, n in found.values()) == len(known) and all(
        right <= n for right, n in found.values()
    )


BAD = [
    pytest.param(
        {"responses": said("1", "1", "1")},
        ":2: 3 responses, and 2 responses in the first row",
        id="another count",
    ),
    pytest.param(
        {"responses": said("1", "1"), "scores": [1.0]},
        ":2: 1 scores, and 2 responses",
        id="a score is missing",
    ),
    pytest.param({"responses": []}, ":2: 'responses' is empty", id="no responses"),
]


@pytest.mark.parametrize("second, says", BAD)
def test_a_row_that_is_not_like_the_others_is_named(second, says, tmp_path):
    rows = [{"instruction": "?", "responses": said("1", "1")}, {"instruction": "!", **second}]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    run = stage("vote_res", "--ins_data_path", "r.jsonl", "--save_path", "v.json", cwd=tmp_path)
    assert run.returncode == 2 and says in run.stderr and "Traceback" not in run.stderr, run.stderr
    assert not (tmp_path / "v.json").exists()


@pytest.mark.parametrize("name", ["", "reasoning", "working_out", "boxed"])
def test_the_first_right_response_is_the_conversation_laid_out_as_asked(name, tmp_path):
    verified = {"instruction": "1 + 1?", "responses": said("3", "2", "2"), "marks": ["wrong", "right", "right"], "answer": "2",
                "agreement": 0.67}  # fmt: skip
    (tmp_path / "v.jsonl").write_text(json.dumps(verified) + "\n")
    prep_sft.main(str(tmp_path / "v.jsonl"), str(tmp_path / "s.jsonl"), format=name)
    (made,) = map(json.loads, (tmp_path / "s.jsonl").read_text().splitlines())
    *asked, answered = made["messages"]
    assert answered["role"] == "assistant" and verified["responses"][1] in answered["content"]
    assert [m["role"] for m in asked] == (["system", "user"] if name else ["user"])
    assert not name or formats.find(name).fits(answered["content"])


def test_nothing_that_enough_agree_on_is_said_with_its_reason(tmp_path):
    verified = {
        "instruction": "?",
        "responses": said("1"),
        "marks": ["right"],
        "answer": "1",
        "agreement": 0.3,
    }
    (tmp_path / "v.jsonl").write_text(json.dumps(verified) + "\n")
    with pytest.raises(UserError, match="no row is left: 1 dropped .1 little agreement.; nothing"):
        prep_sft.main(str(tmp_path / "v.jsonl"), str(tmp_path / "s.jsonl"))
