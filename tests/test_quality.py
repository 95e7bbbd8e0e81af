"""What counts as a usable problem statement."""

import pytest

from lib import rows
from lib.quality import rules
from lib.quality.wording import normalised
from lib.tiny import problems
from problem_texts import PROBLEMS, TALK

GOOD = [
    pytest.param("What is 3 + 4?", id="a short question"),
    pytest.param("Let $G$ be a finite group of order $p^n$.\n\nProve that the center of $G$ is nontrivial.", id="several lines"),
    pytest.param("Compute\n\\[\n\\int_0^1 x^2 \\, dx\n\\]", id="a display on lines of its own"),
    pytest.param("An assistant sorts 7 books. In how many orders can the assistant place them?", id="the word assistant"),
    pytest.param("Hilbert spaces: show that every closed convex set has an element of least norm.", id="begins like hi"),
    pytest.param("I have 3 apples and buy 4 more. How many do I have?", id="first person"),
    pytest.param("Determine all $n$ such that $\\underbrace{11\\dots1}_{n}$ is prime, or show none exists above $n = 2$.", id="imperative"),
    pytest.param("Find the determinant of\n" + "1 & 0 & 0 & 0 \\\\\n0 & 1 & 0 & 0 \\\\\n0 & 0 & 1 & 0 \\\\\n0 & 0 & 0 & 1", id="a matrix of zeros"),
    pytest.param("设 $x > 0$，求 $x + 1/x$ 的最小值是多少 ？ 请 给出 证明", id="another script"),
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_a_problem_is_kept(text):
    assert rules.reason_to_drop(text, "stop") is None


@pytest.mark.parametrize(
    "text, finish_reason, why",
    [
        pytest.param(
            "Find all integers $n$ such that", "length", "truncated", id="cut off by the limit"
        ),
        pytest.param("", "stop", "empty", id="nothing"),
        pytest.param(" \n\t ", "stop", "empty", id="white space"),
        pytest.param("?!", "stop", "empty", id="marks alone"),
        pytest.param(
            "I'm sorry, but I can't help with that. What is it?", "stop", "refusal", id="a refusal"
        ),
        pytest.param(
            "As an AI language model I have no questions?", "stop", "refusal", id="as an AI"
        ),
        pytest.param(
            "Sure! Here is a hard problem: find x.",
            "stop",
            "not a question",
            id="the assistant speaks",
        ),
        pytest.param(
            "The sky is blue and the grass is green.", "stop", "not a question", id="a statement"
        ),
        pytest.param("why?", "stop", "not a question", id="too short to be a problem"),
        pytest.param(
            "Find x.<|im_end|>\n<|im_start|>assistant The answer is 3",
            "stop",
            "not a question",
            id="a leaked turn",
        ),
        pytest.param(
            "Find x. " + "We consider the next case. " * 12,
            "stop",
            "repeated loop",
            id="a sentence over and over",
        ),
        pytest.param(
            "Find " + "ab " * 400, "length", "repeated loop", id="a loop cut off by the limit"
        ),
    ],
)
def test_what_is_no_problem_is_dropped_with_its_reason(text, finish_reason, why):
    assert rules.reason_to_drop(text, finish_reason) == why


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in PROBLEMS])
def test_a_good_problem_is_kept_however_it_is_put(text):
    assert rules.reason_to_drop(text, "stop") is None
    assert not rules.refusal(text, rules.Limits())


@pytest.mark.parametrize(
    "text, why", [pytest.param(text, why, id=name) for name, text, why in TALK]
)
def test_talk_that_states_no_problem_is_dropped(text, why):
    assert rules.reason_to_drop(text, "stop") == why


def judged_problems(path) -> list[str]:
    """The problems among the prompts for a judge: those that stand under `### Problem`."""
    problems = []
    for row in rows.read(str(path)):
        _, heading, rest = row["prompt"].partition("### Problem\n")
        if heading:
            problems.append(rest.partition("\n### Solution")[0])
    return problems


def texts_of(path, key: str) -> list[str]:
    return [row[key] for row in rows.read(str(path))]


def test_of_real_problems_at_most_two_in_a_thousand_are_dropped(test_data):
    """The share of the whole, and of each set; what is dropped is shown, to be looked at."""
    aime = []
    for path in sorted((test_data / "aime").glob("*.jsonl")):
        aime += texts_of(path, "problem")
    sets = {
        "GSM8K train": texts_of(test_data / "gsm8k/train.jsonl", "question"),
        "GSM8K test": texts_of(test_data / "gsm8k/test_first400.jsonl", "question"),
        "AIME": aime,
        "MATH and GSM8K": texts_of(test_data / "model_outputs/outputs.jsonl", "question"),
        "judged": judged_problems(test_data / "judge/judge.jsonl"),
    }
    shares = {}
    for name, texts in sets.items():
        problems = set(texts)
        dropped = {}
        for text in problems:
            reason = rules.reason_to_drop(text.strip(), "stop")
            if reason:
                dropped[text] = reason
        for text, reason in dropped.items():
            print(f"{name}: {reason}: {text}")
        shares[name] = len(dropped) / len(problems)
    assert min(len(set(texts)) for texts in sets.values()) >= 50
    # Measured: none of 7,473 + 400 + 60 + 210 + 136.
    assert max(shares.values()) <= 0.002, shares


def test_the_embedded_models_own_problems_are_kept():
    for problem in problems.training(2000, "quality"):
        assert rules.reason_to_drop(problem.question, "stop") is None, problem.question


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "Sum: " + "x + 1, and x + 2, and then " * 5 + "what is it?", id="before the end"
        ),
        pytest.param("What is the next number here? " + "12, 34, 56, 78, 910, " * 5, id="at it"),
    ],
)
def test_a_short_text_that_loops_is_found_wherever_it_does(text):
    assert rules.is_looping(text)
    assert rules.repeated_loop(text, rules.Limits())


REFUSALS = [
    "I'm sorry, but I can't help with that. What is it?",
    "I’m sorry, what is it that you want to find?",
    "I am unable to generate such a problem. How many are there?",
    "I'm afraid I can't solve this. Find another one?",
    "Sorry, I can't. What is x?",
    "I cannot provide that. What is it?",
    "I can’t assist with this request, find another one.",
    "I won't do that. What is it?",
    "I don't have enough information to determine what x is.",
    "I do not understand. What is the question?",
    "As an AI language model I have no questions?",
    "As a large language model I find no problem here.",
    "Unfortunately, I find nothing to compute here.",
    "I apologize, but what is the question?",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_is_one_for_a_fresh_problem_and_in_a_file(text):
    assert rules.reason_to_drop(text, "stop") == "refusal"
    assert rules.first_broken_rule(text, rules.Limits()) == "refusal"


@pytest.mark.parametrize(
    "text",
    [
        "I can't find my 3 pens. Each box has 4. How many boxes do I need?",
        "I cannot carry more than 20 kg. How many bags of 3 kg can I carry?",
        "I am 12 years old and my sister is twice as old. How old is she?",
        "I do not eat 3 of my 10 apples. How many do I eat?",
    ],
)
def test_a_problem_that_somebody_tells_is_no_refusal(text):
    assert rules.reason_to_drop(text, "stop") is None
    assert rules.first_broken_rule(text, rules.Limits()) is None


def test_repeats_are_found_over_white_space_and_unicode_forms():
    assert normalised("caf\u00e9  x\n") == normalised("cafe\u0301 x")
