"""Votes: the majority's answer and marks, and the conversation of the best right response."""

import json

import pytest

import prep_sft
import vote_res
from conftest import stage
from lib.errors import UserError
from lib.grading import formats
from lib.tiny import truth


def responses_with(*answers: str) -> list[str]:
    """One response for each answer; "" is one that gives none."""
    responses = []
    for answer in answers:
        responses.append(f"So it is \\boxed{{{answer}}}." if answer else "I do not know.")
    return responses


VOTES = [
    pytest.param(["1/2", "0.5", r"\frac{1}{2}", "2"], None, "1/2", ["right"] * 3 + ["wrong"], None, id="equal values vote as one"),
    pytest.param(["4", "5", "", "5"], None, "5", ["wrong", "right", "no answer", "right"], None, id="no answer is no vote"),
    pytest.param(["4", "4", "5"], ["length", "stop", "stop"], None, None, "tied votes", id="nor is a truncated one"),
    pytest.param(["4", "5", "5"], ["length"] * 3, None, None, "no answer", id="all cut off"),
    pytest.param(["7", "7", "8", "8"], None, None, None, "tied votes", id="a tie"),
    pytest.param(["1,000", "1000", "$1000$"], None, "1,000", ["right"] * 3, None, id="one number, three spellings"),
]  # fmt: skip


@pytest.mark.parametrize("answers, finish_reasons, gold, marks, why", VOTES)
def test_the_majority_by_mathematical_equality_is_the_pseudo_gold(
    answers, finish_reasons, gold, marks, why
):
    row = {
        "instruction": "?",
        "responses": responses_with(*answers),
        "finish_reasons": finish_reasons or ["stop"] * len(answers),
    }
    voted_row, dropped_because = vote_res.count_votes(row)
    assert dropped_because == why
    if not why:
        share = round(marks.count("right") / len(marks), 4)
        assert (voted_row["answer"], voted_row["marks"]) == (gold, marks)
        assert voted_row["difficulty"] == voted_row["agreement"] == share


def test_what_votes_are_worth_is_measured_where_the_true_answer_is_known():
    first, second = truth.fresh_questions(2)
    answer = truth.answer_of(first)
    all_agree = {"marks": ["right"] * 7}
    voted_rows = [
        {"instruction": first, "answer": str(answer), **all_agree},
        {"instruction": second, "answer": str(truth.answer_of(second) + 1), **all_agree},
        {"instruction": first, "answer": f"{answer}.0", "marks": ["right"] * 6 + ["wrong"]},
        {"instruction": "Why?", "answer": "1", **all_agree},
    ]
    assert truth.vote_precision(voted_rows) == {(7, 7): (1, 2), (6, 7): (1, 1)}
    _, _, *lines = vote_res.precision_table(voted_rows)
    cells = [line.strip("| ").split() for line in lines]
    assert [" ".join(row) for row in cells] == ["7 of 7 | 2 | 50.0%", "6 of 7 | 1 | 100.0%"]
    assert vote_res.precision_table(voted_rows[3:]) == []


BAD = [
    pytest.param(
        {"responses": responses_with("1", "1", "1")},
        ":2: 3 responses, and 2 responses in the first row",
        id="another count",
    ),
    pytest.param(
        {"responses": responses_with("1", "1"), "scores": [1.0]},
        ":2: 1 scores, and 2 responses",
        id="a score is missing",
    ),
    pytest.param({"responses": []}, ":2: 'responses' is empty", id="no responses"),
]


@pytest.mark.parametrize("second, says", BAD)
def test_a_row_that_is_not_like_the_others_is_named(second, says, tmp_path):
    rows = [
        {"instruction": "?", "responses": responses_with("1", "1")},
        {"instruction": "!", **second},
    ]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = stage("vote_res", "--ins_data_path", "r.jsonl", "--save_path", "v.json", cwd=tmp_path)
    assert run.returncode == 2 and says in run.stderr and "Traceback" not in run.stderr, run.stderr
    assert not (tmp_path / "v.json").exists()


@pytest.mark.parametrize("name", ["", "reasoning", "working_out", "boxed"])
def test_the_first_right_response_is_the_conversation_laid_out_as_asked(name, tmp_path):
    voted_row = {
        "instruction": "1 + 1?",
        "responses": responses_with("3", "2", "2"),
        "marks": ["wrong", "right", "right"],
        "answer": "2",
        "agreement": 0.67,
    }
    (tmp_path / "v.jsonl").write_text(json.dumps(voted_row) + "\n")
    prep_sft.main(str(tmp_path / "v.jsonl"), str(tmp_path / "s.jsonl"), format=name)
    (line,) = (tmp_path / "s.jsonl").read_text().splitlines()
    *prompt, response = json.loads(line)["messages"]
    assert response["role"] == "assistant" and voted_row["responses"][1] in response["content"]
    assert [message["role"] for message in prompt] == (["system", "user"] if name else ["user"])
    assert not name or formats.find(name).fits(response["content"])


@pytest.mark.parametrize(
    "scores, taken",
    [
        pytest.param(None, "2", id="not ranked: the first right one"),
        pytest.param([9.0, None, 5.0], "2.0", id="one without a score is passed over"),
        pytest.param([9.0, None, None], None, id="no right one has a score"),
    ],
)
def test_a_response_that_could_not_be_scored_is_not_trained_on(scores, taken):
    voted_row = {"responses": ["3", "2", "2.0"], "marks": ["wrong", "right", "right"]}
    if scores:
        voted_row["scores"] = scores
    assert prep_sft.first_right(voted_row) == taken


def test_nothing_that_enough_agree_on_is_said_with_its_reason(tmp_path):
    voted_row = {
        "instruction": "?",
        "responses": responses_with("1"),
        "marks": ["right"],
        "answer": "1",
        "agreement": 0.3,
    }
    (tmp_path / "v.jsonl").write_text(json.dumps(voted_row) + "\n")
    with pytest.raises(UserError, match="no row is left: 1 dropped .1 little agreement.; nothing"):
        prep_sft.main(str(tmp_path / "v.jsonl"), str(tmp_path / "s.jsonl"))
