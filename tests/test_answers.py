"""The one grader: what it finds in a text, what it calls equal, and that no text can stop it."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from conftest import ROOT
from lib import parallel, rows
from lib.grading import answers, exact, extraction, latex, symbolic

EXTRACTED = [  # text, strict, lenient
    pytest.param(r"so \boxed{\frac{1}{2}}.", r"\frac{1}{2}", r"\frac{1}{2}", id="nested braces"),
    pytest.param(r"\boxed{1} no, \boxed{2}", "2", "2", id="the last box"),
    pytest.param(
        r"the answer is 12 at first, but in fact \boxed{073}",
        "073",
        "073",
        id="a box over a phrase (unsloth reads 12)",
    ),
    pytest.param(
        r"$\boxed{1}$ and $\boxed{2}$", "1, 2", "1, 2", id="two boxes that are one answer"
    ),
    pytest.param(r"\boxed{5} is the first. So \boxed{5}", "5", "5", id="the same box twice"),
    pytest.param(r"x \boxed{\boxed{7}}", r"\boxed{7}", r"\boxed{7}", id="a box in a box"),
    pytest.param(r"so \boxed{12", None, "12", id="a box that is cut off"),
    pytest.param(r"the set \boxed{\{1, 2\}}", r"\{1, 2\}", r"\{1, 2\}", id="escaped braces"),
    pytest.param(r"\boxed{}", None, None, id="an empty box"),
    pytest.param("The answer is 1024.", "1024", "1024", id="a full stop (unsloth reads 102)"),
    pytest.param("The answer is: $18.50 per day", "$18.50", "$18.50", id="currency"),
    pytest.param(
        "The final answer is $x^2+1$. I hope it is correct.",
        "$x^2+1$",
        "$x^2+1$",
        id="minerva's form",
    ),
    pytest.param(
        "Final Answer: The volume of $ABC$ is 120. I hope it is correct.",
        "120",
        "120",
        id="a sentence behind the colon",
    ),
    pytest.param(
        "The answer is $18 a day, as 9 * $2 is $18.", "$18", "$18", id="prices are no formula"
    ),
    pytest.param("The answer is $ 9 $.", "$ 9 $", "$ 9 $", id="a formula with blanks"),
    pytest.param("so the chance is 1/3.", None, "1/3", id="a fraction before a full stop"),
    pytest.param(
        "so $x = 2$ or $x = 3$.",
        None,
        "$x = 2$ or $x = 3$",
        id="two last formulas that are one answer",
    ),
    pytest.param("#### 2\\pi", "2\\pi", "2\\pi", id="the whole of a GSM8K line"),
    pytest.param("#### 3 1/2", "3 1/2", "3 1/2", id="a mixed number"),
    pytest.param("The answer is 3 1/2.", "3 1/2", "3 1/2", id="a mixed number in a sentence"),
    pytest.param("The answer is:\n- 17", "17", "17", id="a list's dash is no sign"),
    pytest.param(
        "I see.\n\n**Problem:** Find x.\n\nSo \\boxed{5}",
        "5",
        "5",
        id="a model that restates the task",
    ),
    pytest.param("**Answer:** 42", "42", "42", id="markdown"),
    pytest.param("Answer: (B) because 3 > 2", "B", "B", id="a choice"),
    pytest.param("It's not A, therefore I think it's B", None, "B", id="a choice in passing"),
    pytest.param("so the answer is -5", "-5", "-5", id="negative"),
    pytest.param("The answer is not 5", None, "5", id="not the answer"),
    pytest.param("She has 3 eggs.\nA: 18", "18", "18", id="a line of GSM8K's example solutions"),
    pytest.param("9 * 2 = 18\n#### 18", "18", "18", id="GSM8K"),
    pytest.param("#### 18.", "18", "18", id="GSM8K with a full stop (verl: wrong)"),
    pytest.param("#### $18", "$18", "$18", id="GSM8K with a dollar (verl: no answer)"),
    pytest.param("#### 18 ... Step 2", "18", "18", id="words behind the answer (lm-eval reads 2)"),
    pytest.param("#### 2,125\n", "2,125", "2,125", id="a comma"),
    pytest.param("#### Step 1: add\n3 + 4 = 7", None, "7", id="a markdown heading is no answer"),
    pytest.param(
        "#### 1. Compute the sum\nit is 12", None, "12", id="a numbered heading is no answer"
    ),
    pytest.param("<reasoning>1+1</reasoning><answer>2</answer>", "2", "2", id="tags"),
    pytest.param("<SOLUTION>\n 1,200 \n</SOLUTION>", "1,200", "1,200", id="the other tags"),
    pytest.param("<answer>The answer is 7</answer>", "7", "7", id="a sentence in tags"),
    pytest.param(r"<answer>\boxed{8}</answer>", "8", "8", id="a box in tags"),
    pytest.param(
        r"\boxed{1} <answer>2</answer>", "2", "2", id="tags over an earlier box: the asked format"
    ),
    pytest.param("<answer></answer>", None, None, id="empty tags"),
    pytest.param("<answer>5", None, "5", id="tags that are cut off"),
    pytest.param(
        "so there are 12 eggs", None, "12", id="a last number, only where it is asked for"
    ),
    pytest.param("gave up at step 17", None, "17", id="lenient is lenient"),
    pytest.param(r"We find that $x \neq 3$.", None, r"$x \neq 3$", id="a last formula"),
    pytest.param("I do not know.", None, None, id="no answer"),
    pytest.param("", None, None, id="empty"),
    pytest.param(
        r"<think>\boxed{1}</think> \boxed{2}", "2", "2", id="text behind the thinking wins"
    ),
    pytest.param(
        r"\boxed{1}</think>The answer is 2.", "2", "2", id="the opening tag in the prompt"
    ),
    pytest.param(r"<think>so \boxed{1}</think> Done.", None, "1", id="said only while thinking"),
    pytest.param(r"<think>so \boxed{1}", None, None, id="thinking that never ended"),
    pytest.param(r"[THINK]\boxed{1}[/THINK] \boxed{2}", "2", "2", id="other tags of thinking"),
    pytest.param(r"[THINK]so \boxed{1}", None, None, id="cut off behind another opening tag"),
    pytest.param(
        "<|channel>thought\nIs it 7?<channel|>It is 8.", None, "8", id="tags that are no twins"
    ),
    pytest.param(
        "The answer is 4.\n\nQuestion: 2+3?\nThe answer is 5.",
        "4",
        "4",
        id="a base model that goes on with the next problem",
    ),
    pytest.param(
        "The answer is 4<|im_end|>\n<|im_start|>user\n9",
        "4",
        "4",
        id="a model that writes the next turn",
    ),
    pytest.param("数学作业比阅读作业多 **3页**。", None, "3", id="a number glued to Chinese"),
    pytest.param("答案是 13/28", "13/28", "13/28", id="Chinese for the answer is"),
    pytest.param("it is AZYUK2A", None, None, id="a digit in a word is no number"),
]


@pytest.mark.parametrize("text, strict, lenient", EXTRACTED)
def test_the_answer_is_found(text, strict, lenient):
    assert answers.extract(text, strict=True) == strict
    assert answers.extract(text) == lenient


EQUAL = [
    pytest.param("1200", "1,200", True, id="a comma in the gold answer (unsloth: wrong)"),
    pytest.param("1,200", "1200", True, id="a comma"),
    pytest.param("1{,}200", "1200", True, id="LaTeX's comma"),
    pytest.param(r"12,\!000", "12000", True, id="LaTeX's thin comma"),
    pytest.param("(2,102)", "(2, 102)", True, id="a comma in a pair is no thousands comma"),
    pytest.param("2,102", "(2,102)", False, id="a number is no pair"),
    pytest.param("18.00", "18", True, id="cents"),
    pytest.param("$18.", "18", True, id="currency and a full stop"),
    pytest.param("073", "73", True, id="leading zeros"),
    pytest.param("-5", "5", False, id="sign"),
    pytest.param("102", "1024", False, id="a prefix"),
    pytest.param("95", "100", False, id="near is not right (unsloth gives it 1.0)"),
    pytest.param("0.33", r"\frac13", False, id="two digits are not a third"),
    pytest.param("0.333333", r"\frac13", True, id="six digits are, as in math-verify"),
    pytest.param("0.0000002", "0.0000001", False, id="small numbers differ (math-verify: equal)"),
    pytest.param("3 1/2", "3.5", True, id="a mixed number"),
    pytest.param(r"0.\overline{3}", r"\frac13", True, id="a repeating decimal"),
    pytest.param(r"10\%", "10", True, id="percent"),
    pytest.param("0.1", r"10\%", True, id="percent as a share"),
    pytest.param("10 cm^2", "10", True, id="units"),
    pytest.param(r"10\text{ m}", "10", True, id="a unit of one letter in text"),
    pytest.param("5 x", "5", False, id="a variable is no unit"),
    pytest.param(r"90^\circ", "90", True, id="degrees"),
    pytest.param("x = 5", "5", True, id="a name"),
    pytest.param("x = 5", "y = 5", False, id="another name"),
    pytest.param("2x+1", "y = 2x + 1", True, id="a named expression"),
    pytest.param("3, 1, 2", r"1, 2 \text{ and } 3", True, id="a list has no order"),
    pytest.param("(2, 1)", "(1, 2)", False, id="a pair has"),
    pytest.param(r"\{2, 1\}", "1, 2", True, id="a set"),
    pytest.param("2", "2, 3", False, id="one of two solutions"),
    pytest.param("1, 2, 3, 4", "3", False, id="all numbers listed"),
    pytest.param("1 2 3 5", "1235", False, id="numbers with blanks between are not one"),
    pytest.param("1 2 3 0", "0", False, id="nor their product"),
    pytest.param(r"\sqrt{12}", r"2\sqrt3", True, id="simplified"),
    pytest.param("(x+1)^2", "x^2+2x+1", True, id="expanded"),
    pytest.param("1+2i", "i(2-i)", True, id="complex numbers (math-verify: wrong)"),
    pytest.param("|x|", "x", False, id="an absolute value"),
    pytest.param(r"(-\infty, 3)", "x < 3", True, id="an interval is its inequality"),
    pytest.param("[0,1)", "[0,1]", False, id="half open"),
    pytest.param(r"\text{(C)}", "C", True, id="a choice"),
    pytest.param(
        "nylevE", r"\text{Evelyn}", False, id="words are no products (math-verify: equal)"
    ),
    pytest.param("evelyn", r"\text{Evelyn}", True, id="words in any case"),
    pytest.param("2 1/2", "21/2", False, id="a mixed number is not its digits"),
    pytest.param("2^{100}-1", "2^{100}", False, id="large numbers are compared whole"),
    pytest.param("10^{26}+1", "10^{26}", False, id="to the last of 27 digits"),
    pytest.param("-1", "i^2", True, id="powers of i"),
    pytest.param("i", "i^2", False, id="powers of i are not dropped"),
    pytest.param("12", "12 million", False, id="million is no unit"),
    pytest.param("12", r"12\text{ million}", False, id="million in text is none either"),
    pytest.param("2", "2 squared", False, id="squared is no unit"),
    pytest.param(r"10\pi", r"10\pi \text{ cm}^2", True, id="a unit behind pi"),
    pytest.param("25", r"25^\circ C", True, id="degrees Celsius"),
    pytest.param(r"\frac12", r"\sin 30^\circ", True, id="the degrees of a sine count"),
    pytest.param("A", "(A) or (B)", False, id="two choices are none"),
    pytest.param("101_2", "101_3", False, id="another base"),
    pytest.param(r"\{1, 2\}", "(1, 2)", False, id="a set is no pair"),
    pytest.param("1200", r"\{1,200\}", False, id="a set of two is no thousand"),
    pytest.param("1/3", "10:30", False, id="a time is no ratio"),
    pytest.param("f(2)", "f'(2)", False, id="a derivative"),
    pytest.param("the answer is not 5", "5", False, id="a denial"),
    pytest.param("", "", False, id="nothing is never right"),
    pytest.param("$", "5", False, id="nothing but a delimiter"),
]


@pytest.mark.parametrize("answer, gold, equal", EQUAL)
def test_equal_means_mathematically_equal(answer, gold, equal):
    assert answers.is_equal(answer, gold) is equal


def test_no_answer_is_never_right():
    assert not answers.is_equal(None, "5")


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
def test_real_answer_pairs_are_judged_as_their_labels_say(test_data):
    """All 181. math-verify alone, given each side in its best form (bare text in $…$), has 172."""
    cases = read_lines(test_data / "answer_equivalence/cases.jsonl")

    def is_judged_right(case: dict) -> bool:
        answer = case["pred"] if case["pred_kind"] == "answer" else answers.extract(case["pred"])
        return answers.is_equal(answer, case["gold"]) == case["expected"]

    judged_right = parallel.in_threads(is_judged_right, cases)
    missed = [case["id"] for case, right in zip(cases, judged_right, strict=True) if not right]
    assert len(cases) == 181 and missed == []


MISSED_OUTPUTS = {
    "mo-s-0010": "the answer is a word: 'Three trucks will be needed to transport 80 flagstones'",
    "mo-s-0103": "the model goes on with another question, whose answer the label is about",
    "mo-s-0145": r"the right number in \fbox, which the labelling program did not read",
    "mo-s-0237": "cut off before its box; the last formula is right, and only lenient counts it",
    "mo-s-0365": "the right box, then another problem that is cut off",
}


def test_real_model_outputs_are_judged_as_their_labels_say(test_data):
    outputs = read_lines(test_data / "model_outputs/outputs.jsonl")
    labelled = [output for output in outputs if output["label_if_any"] is not None]

    def is_judged_right(output: dict) -> bool:
        return answers.grade(output["output"], output["gold"]).correct == output["label_if_any"]

    judged_right = parallel.in_threads(is_judged_right, labelled)
    missed = {
        output["id"] for output, right in zip(labelled, judged_right, strict=True) if not right
    }
    assert len(labelled) == 419 and missed == set(MISSED_OUTPUTS)
    assert 1 - len(missed) / len(labelled) >= 0.98


def test_real_gsm8k_solutions_are_judged_as_their_labels_say(test_data):
    count = 0
    for row in read_lines(test_data / "gsm8k/example_model_solutions_first300.jsonl"):
        gold = row["ground_truth"].split("A:")[-1]
        for solution in row.values():
            if isinstance(solution, dict):
                verdict = answers.grade(solution["solution"], gold).correct
                assert verdict == solution["is_correct"], solution
                count += 1
    assert count == 1200


def test_every_gsm8k_gold_is_right_in_any_dress_and_wrong_plus_one(test_data):
    rows = read_lines(test_data / "gsm8k/train.jsonl")
    golds = [row["answer"].split("####")[1].strip() for row in rows]
    assert len(golds) == 7473 and sum("," in gold for gold in golds) == 79
    for gold in golds:
        value = int(gold.replace(",", ""))
        spellings = [
            gold,
            f"${gold}",
            f"{gold}.00",
            f"{value:,}",
            f"{gold}.",
            f"\\boxed{{{gold}}}",
            str(value),
        ]
        for spelling in spellings:
            assert answers.is_equal(spelling, gold), (spelling, gold)
        assert answers.grade(f"So it is.\n#### {gold}", gold, strict=True).correct
        assert not answers.is_equal(str(value + 1), gold)
        assert not answers.is_equal(f"{value + 1:,}", gold)


TOWER = "9^{9^{9^9}}"
HOSTILE = [
    *(
        TOWER,
        "9**9**9**9",
        r"\pi^{\pi^{\pi^{\pi^{\pi}}}}",
        "x^{x^{x^{x^{x}}}}",
        "x + 7^{99999999999}",
        "999999999!",
        "((9!)!)!",
        r"\binom{999999999}{499999999}",
    ),
    *(
        "(" * 3000 + "1" + ")" * 3000,
        "{" * 3000 + "1" + "}" * 3000,
        r"\sqrt{" * 300 + "2" + "}" * 300,
        "1" * 5000,
        "1+" * 2000 + "1",
    ),
    *(
        r"\boxed{" * 3000,
        "$" * 5001,
        "<answer>" * 3000,
        r"\(" * 3000,
        r"\frac" * 3000,
        "the answer is " * 3000,
        "####\n" * 3000,
    ),
    *(
        "1," * 3000,
        "1 " * 4000,
        "and " * 2000,
        r"\text{" * 2000 + "}" * 2000,
        "\ud800",
        "x" + "\n" * 30_000 + "x",
        "$x$" + " " * 50_000 + "$y$",
        "a" * 50_000,
        "Answer:" * 9000,
        "^" + " " * 20_000,
        "\x00" * 100,
        "٣",
        "²",
    ),
    *(
        '__import__("os").system("touch {}")',
        r'\text{__import__("os").system("touch {}")}',
        r"\input{/etc/passwd}",
    ),
]
SLOW = [
    r"\int_0^1 e^{x^2\sin(x^x)} dx",
    r"\sum_{k=1}^{9999}\frac{1}{k+x}",
    "(a+b+c+d)^{99}-(a+b+d)^{98}",
]


@pytest.mark.slow
@pytest.mark.parametrize("threaded", [False, True], ids=["on the main thread", "on another thread"])
def test_a_hostile_answer_costs_at_most_its_limit_and_runs_nothing(threaded, tmp_path):
    answers.is_equal(r"\sqrt{8}", r"2\sqrt2")  # the worker is there, the clock is about the answers
    gold = r"x+\sqrt{7}"
    trap = tmp_path / "ran"
    texts = [text.replace("{}", str(trap)) if "import" in text else text for text in HOSTILE]
    texts += [f"{text}+{threaded:d}" for text in SLOW]
    seconds, verdicts = [], []

    def judge() -> None:
        for text in texts:
            started = time.monotonic()
            verdicts.append(answers.is_equal(text, gold) or answers.grade(text, gold).correct)
            seconds.append(time.monotonic() - started)

    if threaded:
        thread = threading.Thread(target=judge)
        thread.start()
        thread.join()
    else:
        judge()
    assert len(verdicts) == len(HOSTILE) + len(SLOW) and not any(verdicts)
    # Two looks at each text. The limit is CPU time: twice as much by the clock where another
    # process wants the core.
    assert max(seconds) < 2 * (2 * symbolic.LIMIT_S + 0.5)
    assert not trap.exists()


def test_a_pair_that_reaches_the_limit_says_so_and_the_next_one_is_judged_as_ever():
    assert answers.grade(r"\boxed{(a+b+c+d)^{99}-(a+b+d)^{98}}", "y+5").why == "time limit"
    assert answers.grade(rf"\boxed{{{TOWER}+y}}", "5y").why == "too costly"
    assert answers.grade(r"\boxed{\sqrt{18}}", r"3\sqrt{2}") == (
        True,
        r"\sqrt{18}",
        "box",
        "math-verify",
    )


def test_a_worker_that_is_gone_is_replaced():
    pool = symbolic.Pool(1)
    assert pool.compare("x+y", "y+x") is True
    (worker,) = pool._idle
    worker.process.kill()
    worker.process.wait()
    assert pool.compare("x+z", "z+x") is True
    worker.stop()


@pytest.mark.slow
def test_the_workers_are_gone_when_their_program_is_however_it_ended():
    code = (
        "import os, signal; from lib.grading import answers, symbolic; answers.is_equal('x+y', 'y+x');"
        "print(answers._pool()._idle[-1].process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "exp", capture_output=True, text=True
    )
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(int(run.stdout), 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    pytest.fail(f"worker {run.stdout} still runs")


def test_many_threads_get_the_verdicts_of_one():
    pairs = [(rf"\sqrt{{{4 * n}}}+x", rf"x+2\sqrt{{{n + n % 2}}}") for n in range(2, 30)]
    verdicts = parallel.in_threads(lambda pair: answers.is_equal(*pair), pairs)
    assert verdicts == [n % 2 == 0 for n in range(2, 30)]


@pytest.mark.parametrize(
    "text, items",
    [
        pytest.param("1, 2", ("", ["1", "2"]), id="bare"),
        pytest.param("(1,2),(3,4)", ("", ["(1,2)", "(3,4)"]), id="pairs"),
        pytest.param("(1,2)", ("(", ["1", "2"]), id="one pair"),
        pytest.param("(0;1]", None, id="half open"),
        pytest.param("5", None, id="a single thing"),
        pytest.param("land", None, id="no and in a word"),
    ],
)
def test_lists_are_split_outside_of_brackets(text, items):
    assert exact.split_list(text) == items


def current_version() -> str:
    return answers.version.__wrapped__()  # not the remembered one


def test_the_version_of_the_grader_is_known_at_once_and_without_a_worker(monkeypatch):
    monkeypatch.setattr(answers, "_pool", lambda: pytest.fail("a worker was asked"))
    assert re.fullmatch("[0-9a-f]{12}", current_version())
    seconds = []
    for _ in range(3):
        started = time.process_time()
        current_version()
        seconds.append(time.process_time() - started)
    assert min(seconds) < 0.1


def test_edited_comments_and_moved_imports_are_the_same_grader(tmp_path):
    shutil.copytree(
        ROOT / "exp/lib", tmp_path / "exp/lib", ignore=shutil.ignore_patterns("__pycache__")
    )
    for module in (tmp_path / "exp/lib/grading").glob("*.py"):
        module.write_text(
            module.read_text(encoding="utf-8") + "\nimport re  # moved\n", encoding="utf-8"
        )
    command = [sys.executable, "-c", "from lib.grading import answers; print(answers.version())"]
    run = subprocess.run(command, cwd=tmp_path / "exp", capture_output=True, text=True)
    assert run.stdout.strip() == current_version(), run.stderr


def expressions() -> list:
    """(module, name) of every regular expression that decides something."""
    named = []
    for module in (answers, exact, extraction, latex, symbolic):
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern):
                named.append(
                    pytest.param(module, name, id=f"{module.__name__.split('.')[-1]}.{name}")
                )
    # A shortcut: without it the same box is found by the longer way.
    return [param for param in named if param.id != "latex._PLAIN_BOX"]


@pytest.mark.parametrize("module, name", expressions())
def test_another_expression_is_another_grader(module, name, monkeypatch):
    before = current_version()
    monkeypatch.setattr(module, name, re.compile("(?!)()()()()"))  # matches nothing
    assert current_version() != before


OTHER_RULES = [
    pytest.param(exact, "same_number", lambda a, b: a.value == b.value, id="no rounding"),
    pytest.param(exact, "_compare_words", lambda ours, theirs: None, id="words are products"),
    pytest.param(latex, "too_costly", lambda text: len(text) > 2000, id="towers are worked out"),
    pytest.param(latex, "_with_braces", lambda text: text, id="no braces"),
    pytest.param(extraction, "_without_run_on", lambda response: response, id="run-ons count"),
    pytest.param(symbolic, "readable", lambda text: text, id="other texts for math-verify"),
    pytest.param(symbolic, "LIMIT_S", 2.0, id="another limit"),
    pytest.param(answers.metadata, "version", lambda package: "0.0.1", id="another math-verify"),
]


@pytest.mark.parametrize("module, name, value", OTHER_RULES)
def test_another_rule_is_another_grader(module, name, value, monkeypatch):
    before = current_version()
    monkeypatch.setattr(module, name, value)
    assert current_version() != before


def test_what_math_verify_decides_on_the_frozen_cases_is_recorded_with_them():
    """So whoever changes such a verdict must change the record, and with it the version."""

    def verdict(case: dict) -> bool | None:
        decision = answers._decide_case(case)
        if "math-verify" not in decision:
            return None
        return answers.is_equal(decision["extraction"].answer, decision["gold"])

    cases = rows.read(str(answers.FROZEN_CASES))
    verdicts = parallel.in_threads(verdict, cases)
    assert verdicts == [case.get("equal") for case in cases]
    assert sum(verdict is not None for verdict in verdicts) > 50
