"""Rewards: what is paid for which answer; and the lint, which lets sensible sets through and refuses those that pay cheats."""

import re
from dataclasses import replace

import pytest

import grpo
from conftest import stage_here
from lib.errors import UserError
from lib.grading import formats
from lib.rewards import correctness, lint, registry
from lib.rewards.batch import Batch
from lib.rewards.registry import WeightedReward

LAYOUTS = ("reasoning", "working_out", "boxed")
REASONING, BOXED = formats.find("reasoning"), formats.find("boxed")


def paid(
    name: str,
    text: str,
    gold: str = "5",
    layout: formats.Format = REASONING,
    truncated: bool = False,
) -> float:
    (reward,) = registry.REWARDS[name](Batch([text], [gold], layout, [truncated]))
    return reward


def tagged(answer: str, thinking: str = "2 + 3") -> str:
    return f"<reasoning>\n{thinking}\n</reasoning>\n<answer>{answer}</answer>"


# What is paid


@pytest.mark.parametrize(
    "text, exact, approximate",
    [
        pytest.param(tagged("5"), 1, 2, id="as asked"),
        pytest.param(tagged("6"), 1, 2, id="wrong, but as asked"),
        pytest.param("", -1, -2, id="empty"),
        pytest.param("<answer>5</answer>", -1, 0, id="no thinking"),
        pytest.param(tagged("5") + "<answer>5</answer>", -1, 0, id="answer tags twice"),
        pytest.param(tagged(""), -1, 2, id="nothing in the answer tags"),
        pytest.param("<reasoning>x</reasoning><answerr>5</answer>", -1, 1, id="a typo in one tag"),
        pytest.param(tagged("5") + "\nI hope this helps", -1, 2, id="words behind"),
    ],
)
def test_format_is_paid_as_a_whole_or_by_the_tag(text, exact, approximate):
    assert (paid("format_exact", text), paid("format_approximate", text)) == (exact, approximate)


@pytest.mark.parametrize(
    "text, approximate",
    [
        pytest.param("so \\boxed{\\frac{1}{2}}", 1, id="the braces within do not count"),
        pytest.param("so \\boxed{5", 0, id="never closed"),
        pytest.param("\\boxed{5} or \\boxed{6}", -1, id="two boxes"),
        pytest.param("5", -1, id="none"),
    ],
)
def test_of_a_box_its_opening_and_its_end_are_the_two_tags(text, approximate):
    assert paid("format_approximate", text, layout=BOXED) == approximate


@pytest.mark.parametrize(
    "text, gold, right",
    [
        pytest.param(tagged("5"), "5", True, id="as asked"),
        pytest.param(tagged("1200"), "1,200", True, id="gold with a comma"),
        pytest.param(tagged("1,200"), "1200", True, id="answer with a comma"),
        pytest.param(tagged("-$7"), "-7", True, id="negative price"),
        pytest.param(tagged("7"), "-7", False, id="sign dropped"),
        pytest.param(tagged("\n5\n"), "5", True, id="on a line of its own"),
        pytest.param(tagged("The answer is 5."), "5", True, id="a sentence with one number"),
        pytest.param(tagged("x = 5"), "5", True, id="a name"),
        pytest.param(
            tagged("2 + 3 = 5"), "5", True, id="an equation of which both sides are right"
        ),
        pytest.param(tagged("6 = 5"), "5", False, id="an equation of two guesses"),
        pytest.param(tagged("6 \\equiv 5"), "5", False, id="two guesses as a congruence"),
        pytest.param(
            tagged("Answer 1, 2, 5"),
            "5",
            False,
            id="a list that the grader would read as a sentence",
        ),
        pytest.param(tagged("not 6 but 5 I think"), "5", False, id="two numbers in a sentence"),
        pytest.param(
            tagged("$3\\sqrt{2}$ meters"),
            "3\\sqrt{2}",
            True,
            id="two numbers in a formula with a unit",
        ),
        pytest.param(tagged("10 cm^2"), "10", True, id="a unit with an exponent"),
        pytest.param(tagged("1 and 2"), "1, 2", True, id="a list where the gold is one"),
        pytest.param(tagged("x = 1, y = 2"), "1, 2", True, id="a list of equations"),
        pytest.param(
            tagged("y = 2x + 1"), "y = 2x + 1", True, id="an equation where the gold is one"
        ),
        pytest.param(
            "<answer>5</answer>", "5", True, id="without thinking: the format reward's matter"
        ),
        pytest.param(
            "2 + 3</reasoning><answer>5</answer>", "5", True, id="thinking opened in the prompt"
        ),
        pytest.param(
            tagged("5", thinking="is it <answer>6</answer>?"),
            "5",
            True,
            id="another answer while thinking",
        ),
        pytest.param(
            tagged("6", thinking="<answer>5</answer>"), "5", False, id="right only while thinking"
        ),
        pytest.param(tagged("5") + tagged("6"), "5", False, id="answers twice, the first right"),
        pytest.param(tagged("6") + tagged("5"), "5", False, id="answers twice, the last right"),
        pytest.param(tagged("5") + "<answer>5.0</answer>", "5", True, id="the same answer twice"),
        pytest.param(
            tagged("5") + "<answer>5</answer>" * 2, "5", False, id="three times is a loop"
        ),
        pytest.param("\\boxed{6} " + tagged("5"), "5", False, id="another answer in a box before"),
        pytest.param("so \\boxed{5}", "5", False, id="a box where tags were asked for"),
        pytest.param("The answer is 5.", "5", False, id="no tags"),
        pytest.param("<SOLUTION>5</SOLUTION>", "5", False, id="the tags of another layout"),
        pytest.param("<answer>5", "5", False, id="never closed"),
        pytest.param("<answer><answer>5</answer></answer>", "5", False, id="nested"),
    ],
)
def test_the_right_answer_pays_five_where_it_stands_alone_between_the_tags(text, gold, right):
    assert paid("answer", text, gold) == 5 * right


@pytest.mark.parametrize(
    "text, right",
    [
        pytest.param("so \\boxed{5}.", True, id="as asked"),
        pytest.param(
            "<think>\\boxed{6}?</think> \\boxed{5}", True, id="another box while thinking"
        ),
        pytest.param(
            "[THINK]\\boxed{6}?[/THINK] \\boxed{5}", True, id="another family's tags of thinking"
        ),
        pytest.param("\\boxed{5}, that is: \\boxed{5}", True, id="in the working and at the end"),
        pytest.param("\\boxed{6} or \\boxed{5}", False, id="two boxes, the last right"),
        pytest.param("\\boxed{5} and \\boxed{6}", False, id="two boxes, the first right"),
        pytest.param("<think> \\boxed{5}", False, id="still thinking"),
        pytest.param(
            "\\boxed{5} <answer>6</answer>",
            False,
            id="tags say something else, and evaluation reads tags first",
        ),
        pytest.param("\\boxed{\\boxed{5}}", False, id="nested"),
        pytest.param("\\boxed{}", False, id="empty"),
    ],
)
def test_where_a_box_is_asked_for_the_answer_stands_in_one(text, right):
    assert paid("answer", text, layout=BOXED) == 5 * right


@pytest.mark.parametrize("name", ["answer", "answer_close", "number"])
def test_an_answer_that_was_cut_off_earns_nothing_even_if_it_looks_whole(name):
    assert paid(name, tagged("5")) > 0
    assert paid(name, tagged("5"), truncated=True) == 0


@pytest.mark.parametrize(
    "answer, gold, reward",
    [
        pytest.param("100", "100", 5, id="right"),
        pytest.param("95", "100", 1, id="within a tenth"),
        pytest.param("$1,300", "1,200", 1, id="within a tenth, with a comma"),
        pytest.param("110", "100", 1, id="a tenth exactly"),
        pytest.param("111", "100", 0, id="more than a tenth"),
        pytest.param("-6.5", "-7", 1, id="negative gold"),
        pytest.param("7", "-7", 0, id="the other sign"),
        pytest.param("0.01", "0", 0, id="nothing is close to zero"),
        pytest.param("95 or 100", "100", 0, id="two guesses"),
        pytest.param("many", "100", 0, id="no number"),
    ],
)
def test_closeness_pays_less_than_right_and_never_less_than_silence(answer, gold, reward):
    assert paid("answer_close", tagged(answer), gold) == reward


@pytest.mark.parametrize(
    "answer, reward",
    [
        pytest.param("6", 0.5, id="wrong, but a number"),
        pytest.param("$1,200.50", 0.5, id="a price"),
        pytest.param("\\frac{1}{2}", 0.5, id="a fraction"),
        pytest.param("many", 0, id="a word"),
        pytest.param("5, 6", 0, id="a list"),
        pytest.param("", 0, id="nothing"),
    ],
)
def test_a_number_is_paid_for_being_one(answer, reward):
    assert paid("number", tagged(answer)) == reward


def test_a_hundred_thousand_tags_are_judged_in_a_moment():
    for text in (
        "<answer>" * 100_000,
        "<reasoning>" * 100_000,
        tagged("5") * 20_000,
        "\\boxed{" * 100_000,
    ):
        for name in registry.REWARDS:
            assert paid(name, text) <= 0


def test_rewards_are_named_with_weights_and_summed():
    rewards = registry.parse(" format_exact = 0.5, answer")
    assert [(reward.name, reward.weight) for reward in rewards] == [
        ("format_exact", 0.5),
        ("answer", 1.0),
    ]
    batch = Batch([tagged("5"), tagged("6"), ""], ["5"] * 3, REASONING, [False] * 3)
    paid = registry.parts(rewards, batch)
    assert paid == {"format_exact": [1, 1, -1], "answer": [5, 0, 0]}
    assert registry.total(rewards, paid) == [5.5, 0.5, -0.5]


@pytest.mark.parametrize("column", ["golds", "truncated", "tokens", "groups", "gold_tokens"])
def test_a_batch_has_one_entry_a_completion_in_every_list(column):
    columns = {
        "golds": ["5", "5"],
        "truncated": [False] * 2,
        "tokens": [3, 4],
        "groups": [0, 0],
        "gold_tokens": [2, 2],
    }
    assert len(Batch(["5", "6"], layout=REASONING, **columns).texts) == 2
    with pytest.raises(ValueError, match=f"1 {column} for 2 texts"):
        Batch(["5", "6"], layout=REASONING, **columns | {column: columns[column][:1]})


def test_grpo_fills_the_batch_of_a_reward_from_what_trl_passes(capsys):
    def pay(batch: Batch) -> list[float]:
        batches.append(batch)
        return [5.0 if text == tagged("5") else 0.0 for text in batch.texts]

    batches = []
    groups = grpo.Groups(num_generations=2, max_completion_length=4)
    reward = grpo.trl_reward(WeightedReward("answer", 1.0, pay), REASONING, groups, show_marks=True)
    texts = [tagged("5"), tagged("6"), "no", ""]
    completions = [[{"role": "assistant", "content": text}] for text in texts]
    paid = reward(
        completions=completions,
        answer=["5", "5", "7", "7"],
        completion_ids=[[1], [1, 2], [1, 2, 3, 4], []],
        prompts=[],
    )
    assert reward.__name__ == "answer" and paid == [5, 0, 0, 0]
    assert batches == [Batch(texts, ["5", "5", "7", "7"], REASONING, [False, False, True, False],
                             tokens=[1, 2, 4, 0], groups=[0, 0, 1, 1])]  # fmt: skip
    assert capsys.readouterr().err.endswith(": ✔★✗✗\n")


@pytest.mark.parametrize(
    "spec, said",
    [
        pytest.param("answr=1", "did you mean 'answer'", id="unknown, with near names"),
        pytest.param("answer=much", "'much', not a number", id="weight in words"),
        pytest.param("answer=inf", "'inf', not a number", id="endless weight"),
        pytest.param("answer=", "'', not a number", id="no weight behind the sign"),
        pytest.param("answer=1,answer=2", "answer is there twice", id="twice"),
        pytest.param(" , ", "no reward in it", id="none"),
    ],
)
def test_a_set_that_cannot_be_read_is_refused(spec, said):
    with pytest.raises(UserError, match=re.escape(said)):
        registry.parse(spec)


# The lint


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "spec",
    [
        "format_exact=1,answer=1",
        "format_approximate=1,answer=1",
        "answer=1",
        "answer_close=1",
        "format_exact=1,answer_close=1,number=1",
        "format_exact=1,format_approximate=0.5,answer=2,number=1",
    ],
)
def test_sensible_sets_pass_in_every_layout(spec, layout):
    assert lint.findings(registry.parse(spec), formats.find(layout)) == []


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "spec, rule",
    [
        pytest.param(
            "format_exact=1", "right > wrong", id="format alone cannot tell right from wrong"
        ),
        pytest.param(
            "format_approximate=1,number=1", "right > wrong", id="nor can the look of a number"
        ),
        pytest.param(
            "answer=0,format_exact=1", "right > wrong", id="an answer that weighs nothing"
        ),
        pytest.param("answer=-1", "right > wrong", id="the sign of a weight is wrong"),
        pytest.param(
            "answer=1,format_exact=-1", "wrong >= empty", id="silence pays more than the layout"
        ),
    ],
)
def test_sets_that_cannot_teach_are_refused_in_every_layout(spec, rule, layout):
    assert rule in {f.rule for f in lint.findings(registry.parse(spec), formats.find(layout))}


def test_the_suite_has_every_kind_and_names_each_case_once():
    for layout in map(formats.find, LAYOUTS):
        for gold in lint.GOLDS:
            suite = lint.cases(layout, gold, lint.QUESTION.format(gold))
            assert {c.kind for c in suite} == {"right", "wrong", "empty", "cheat"}
            assert len({c.name for c in suite}) == len(suite)
            assert all(layout.fits(c.completion) for c in suite if c.kind in ("right", "wrong")), (
                "laid out as asked"
            )
            assert gold in lint.QUESTION.format(gold)


# Rewards as they stand in unsloth's GRPO test (tests/saving/language_models/test_save_merged_grpo_model.py), or with faults that
# issue trackers tell of: each in the manner of lib/rewards, and each refused.


def inside(text: str) -> str:
    found = re.search(r"<answer>(.*?)</answer>", text, re.DOTALL)
    return re.sub(r"[%$,]", "", found[1]).strip() if found else ""


def one_term_with_a_typo(batch: Batch) -> list[float]:
    return [0.5 if text.count("<answerr>") == 1 else -1.0 for text in batch.texts]


def four_terms_with_a_typo(batch: Batch) -> list[float]:
    tags = ("<reasoning>", "</reasoning>", "<answerr>", "</answer>")
    return [sum(0.5 if text.count(tag) == 1 else -1.0 for tag in tags) for text in batch.texts]


def gold_as_text(batch: Batch) -> list[float]:
    return [
        5.0 * (inside(text) == gold) for text, gold in zip(batch.texts, batch.golds, strict=True)
    ]


def worse_than_silence(batch: Batch) -> list[float]:
    right = correctness.answer(batch)
    return [
        score or (-1.5 if inside(text) else 0.0)
        for score, text in zip(right, batch.texts, strict=True)
    ]


def wrong_number_costs(batch: Batch) -> list[float]:
    right = correctness.answer(batch)
    return [
        1.5 if score else -0.5 * bool(re.search(r"\d", inside(text)))
        for score, text in zip(right, batch.texts, strict=True)
    ]


def close_is_nearly_right(batch: Batch) -> list[float]:
    paid = correctness.answer_close(batch)
    return [min(score, 1.0) for score in paid]


def gold_somewhere_inside(batch: Batch) -> list[float]:
    return [
        5.0 * (gold.replace(",", "") in re.split(r"[^\d.-]+", inside(t)))
        for t, gold in zip(batch.texts, batch.golds, strict=True)
    ]


def gold_anywhere(batch: Batch) -> list[float]:
    return [5.0 * (gold in text) for text, gold in zip(batch.texts, batch.golds, strict=True)]


def last_number(batch: Batch) -> list[float]:
    last = [(re.findall(r"-?[\d.]*\d", text.replace(",", "")) or [""])[-1] for text in batch.texts]
    return [
        5.0 * (n == re.sub("[, a-z]", "", gold)) for n, gold in zip(last, batch.golds, strict=True)
    ]


def blind_to_truncation(batch: Batch) -> list[float]:
    return correctness.answer(replace(batch, truncated=[False] * len(batch.texts)))


def longer_is_better(batch: Batch) -> list[float]:
    return [len(text) / 1000 for text in batch.texts]


@pytest.mark.parametrize(
    "faulty, beside, rule, gold, named",
    [
        pytest.param(one_term_with_a_typo, "answer", "no reward is constant", "any", "one_term_with_a_typo of every case", id="<answerr> alone is constant"),
        pytest.param(four_terms_with_a_typo, "answer", "both tags of a pair count", "5", "with <answer> twice", id="<answerr> among four tags"),
        pytest.param(gold_as_text, "", "right > wrong", "1,200", "right as asked earns 0", id="gold 1,200 compared as text"),
        pytest.param(worse_than_silence, "", "wrong >= empty", "5", "nothing earns 0", id="wrong -1.5, empty 0"),
        pytest.param(wrong_number_costs, "format_exact,answer", "wrong >= cheat", "5", "tags around dots earns 1", id="wrong number -0.5, none 0"),
        pytest.param(close_is_nearly_right, "", "right > wrong", "1,200", "near miss earns 1", id="95 for 100 pays as 100 does"),
        pytest.param(gold_somewhere_inside, "", "right > cheat", "5", "numbers listed by commas earns 5", id="one of the numbers listed"),
        pytest.param(gold_anywhere, "", "right > cheat", "5", "question repeated earns 5", id="the gold echoed from the prompt"),
        pytest.param(gold_anywhere, "", "right > wrong", "5", "digits behind earns 5", id="the gold within a longer number"),
        pytest.param(last_number, "", "right > cheat", "5", "two tags: wrong, right earns 5", id="the last of two guesses"),
        pytest.param(blind_to_truncation, "format_exact", "right > cheat", "5", "cut off earns 6", id="a completion that was cut off"),
        pytest.param(longer_is_better, "answer", "right > cheat", "5", "over-long earns 5", id="length pays"),
    ],
)  # fmt: skip
def test_a_faulty_reward_is_refused_with_the_case_that_shows_it(faulty, beside, rule, gold, named):
    rewards = [
        WeightedReward(faulty.__name__, 1.0, faulty),
        *(registry.parse(beside) if beside else []),
    ]
    found = [f for f in lint.findings(rewards, REASONING) if f.rule == rule]
    assert any(named in str(f) for f in found), [str(f) for f in found]
    assert gold in {f.gold for f in found}


# The stage


def test_the_stage_shows_each_layout_and_passes_what_grpo_pays_by_default():
    result = stage_here("check_rewards")
    assert (result.returncode, result.stderr) == (0, "")
    table = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in result.stdout.splitlines()
    ]
    assert table[0] == [
        "layout",
        "right, least",
        "wrong, best",
        "wrong, least",
        "empty, best",
        "cheat, best",
        "verdict",
    ]
    assert table[2:] == [[name, "6", "1", "1", "-1", "1", "ok"] for name in LAYOUTS]


def test_the_stage_refuses_with_the_findings_and_one_line_and_shows_every_case_if_asked():
    result = stage_here(
        "check_rewards", "--rewards", "format_exact=1", "--format", "working_out", "--verbose"
    )
    assert result.returncode == 2
    assert (
        result.stderr.startswith("check_rewards: error: --rewards format_exact=1: ")
        and result.stderr.count("\n") == 1
    )
    findings = [line for line in result.stdout.splitlines() if line.startswith("- ")]
    assert (
        findings[0]
        == "- working_out, gold 5: right as asked earns 1 and wrong as asked earns 1; the rule is right > wrong"
    )
    assert result.stderr.startswith(
        f"check_rewards: error: --rewards format_exact=1: {len(findings)} findings, "
    )
    assert re.search(
        r"^\| near miss +\| wrong \| +100 \| +1 \| +1 \| +95 for 100 \|$", result.stdout, re.M
    )
