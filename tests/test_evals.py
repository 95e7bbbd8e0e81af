"""The evaluations on the real model: their files, killed and resumed, graded again, compared.

And, without a model: the figures of known samples, what an engine refuses, what a stage refuses.
"""

import csv
import json
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

import eval_aime
import eval_gsm8k
from conftest import ROOT, TINY, stage
from lib import models
from lib.errors import UserError
from lib.evaluation import benchmark, metrics, results
from lib.grading import formats
from lib.inference.backends import Where
from lib.inference.requests import Completion, Reply, Request, Sampling
from lib.tiny import problems as generator
from test_resume import CountingProxy, records


@pytest.fixture(scope="module")
def aime(tmp_path_factory):
    """Twelve short problems in the shape of prep_aime: AIME's own mostly do not fit into the embedded model's context."""
    path = tmp_path_factory.mktemp("aime") / "aime.jsonl"
    rows = [{"id": f"{k:016x}", "global_id": k, "source_dataset": f"test202{4 + k % 2}", "original_id": f"I-{k}",
             "problem": f"What is {k} + {k + 3}?", "answer": str(2 * k + 3), "solution": "", "url": ""} for k in range(12)]  # fmt: skip
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def aime_flags(aime, folder, *more):
    return [
        "--model_path",
        TINY,
        "--test_data_path",
        aime,
        "--save_dir",
        folder,
        "--engine",
        "openai",
        "--batch_size",
        4,
        *more,
    ]


def test_a_killed_aime_evaluation_asks_for_no_finished_sample_again_and_ends_in_the_same_bytes(
    aime, tmp_path, policy_url
):
    quiet, killed = CountingProxy(policy_url), CountingProxy(policy_url)
    whole = stage("eval_aime", *aime_flags(aime, tmp_path / "quiet", "--base_url", quiet.url))
    assert whole.returncode == 0, whole.stderr
    assert (
        quiet.asked.total() == 12 * 8
    )  # each sample is a request of its own, all problems in one queue
    name = "aime_eval_combined_tiny_t0.3_n8"
    part = tmp_path / f"killed/{name}_responses.json.part"
    command = [
        sys.executable,
        ROOT / "exp/eval_aime.py",
        *aime_flags(aime, tmp_path / "killed", "--base_url", killed.url),
    ]
    rng, kills = random.Random(0), 0
    for goal in (20, 45, 70):
        process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while records(part) < goal and process.poll() is None:
            time.sleep(0.002)
        time.sleep(rng.random() * 0.02)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills >= 2
    last = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert last.returncode == 0, last.stderr
    for file in (f"{name}_responses.json", f"{name}.json"):
        assert (tmp_path / "killed" / file).read_bytes() == (tmp_path / "quiet" / file).read_bytes()
    assert sum((killed.asked - quiet.asked).values()) <= 4 * kills, (
        "only what was in flight may be asked again"
    )

    found = json.loads((tmp_path / f"quiet/{name}.json").read_bytes())
    assert {"model_type", "dataset", "total_problems", "accuracy", "pass_at_k", "source_stats", "source_accuracies", "temperature",
            "n_sampling", "max_tokens", "top_p", "seed", "avg_input_tokens", "avg_output_tokens", "tier"} <= found["results"].keys()  # fmt: skip
    assert found["results"]["max_tokens"] == 256, (
        "the limit that was applied, not the 32,768 that was asked for"
    )
    assert len(found["records"]) == 12 and {r["n_total"] for r in found["records"].values()} == {8}
    assert {"global_id", "original_id", "source_dataset", "problem", "ground_truth", "responses", "extracted_answers", "is_correct",
            "n_correct", "n_total"} <= found["records"]["0"].keys()  # fmt: skip


def test_a_rerun_asks_nothing_and_other_settings_are_refused(aime, tmp_path, policy_url):
    flags = aime_flags(aime, tmp_path, "--n_sampling", 2, "--num_problems", 3)
    assert stage("eval_aime", *flags, "--base_url", policy_url).returncode == 0
    (result,) = [p for p in tmp_path.iterdir() if p.name.endswith("n2.json")]
    before = result.read_bytes()
    result.unlink()  # a scorer was mended, say: the samples are there
    again = stage("eval_aime", *flags, "--base_url", "http://127.0.0.1:9/v1")
    assert again.returncode == 0 and "graded again" in again.stderr, again.stderr
    assert result.read_bytes() == before
    other = stage("eval_aime", *flags, "--seed", 1, "--base_url", policy_url)
    assert other.returncode == 2 and "seed 0, now 1" in other.stderr


def test_two_runs_of_one_model_are_within_noise_of_each_other(tmp_path, policy_url):
    for seed in (0, 1):
        run = stage("eval_tiny", "--model_path", TINY, "--save_path", tmp_path / f"{seed}.json", "--num_problems", 120, "--n_sampling", 2,
                    "--temperature", 0.8, "--seed", seed, "--engine", "openai", "--base_url", policy_url)  # fmt: skip
        assert run.returncode == 0, run.stderr
        assert (
            "| all " in run.stdout
            and "95% interval" in run.stdout
            and "show their work" in run.stderr
        )
    files = ",".join(str(tmp_path / f"{seed}.json") for seed in (0, 1))
    compared = stage("compare_evals", "--results_paths", files, "--save_path", tmp_path / "c.json")
    assert compared.returncode == 0 and "within noise" in compared.stdout, compared.stderr
    found = json.loads((tmp_path / "0.json").read_bytes())["results"]
    assert (
        found["total_responses"] == 240
        and found["worked_share"] > 0
        and found["accuracy_worked"] > found["accuracy_direct"]
    )
    # Regrading the saved samples says the same, from the file alone.
    graded = stage(
        "grade_res",
        "--responses_path",
        tmp_path / "0_responses.json",
        "--save_path",
        tmp_path / "g.json",
    )
    assert f"{found['correct_answers']:,} of 240 right" in graded.stdout, graded.stderr
    twice = stage(
        "grade_res",
        "--responses_path",
        tmp_path / "g.json",
        "--save_path",
        tmp_path / "g2.json",
        "--strict",
    )
    assert "0 verdicts differ" in twice.stdout


def test_gsm8k_leaves_a_line_a_sample_and_its_figures(tmp_path, policy_url, test_data):
    source = test_data / "gsm8k/test_first400.jsonl"
    prepared = stage(
        "prep_gsm8k", "--source", source, "--save_path", tmp_path / "test.json", "--num_examples", 8
    )
    assert prepared.returncode == 0, prepared.stderr
    run = stage("eval_gsm8k", "--model_path", TINY, "--test_data_path", tmp_path / "test.json", "--save_path", tmp_path / "base.csv",
                "--format", "working_out", "--engine", "openai", "--base_url", policy_url)  # fmt: skip
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "base.json").read_bytes())
    r = found["results"]
    lines = list(csv.DictReader((tmp_path / "base.csv").open(encoding="utf-8")))
    assert (
        tuple(lines[0]) == eval_gsm8k.COLUMNS
        and len(lines) == r["total_responses"] == 8 - r["not_asked"]
    )
    assert {"accuracy", "accuracy_strict", "interval", "thinking_proportion", "answer_proportion", "format_accuracy", "avg_output_tokens",
            "truncated", "no_answer", "wrong"} <= r.keys()  # fmt: skip
    assert (
        r["correct_answers"] + r["truncated"] + r["no_answer"] + r["wrong"] == r["total_responses"]
    )
    assert r["answer_proportion"] == results.in_percent(
        sum(x["has_answer"] == "True" for x in lines) / len(lines)
    )


@pytest.mark.slow
def test_an_adapter_is_evaluated_unmerged_and_says_what_its_merge_says(tmp_path):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32),
                           LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"], init_lora_weights=False))  # fmt: skip
    with torch.no_grad():  # strong enough to change what is said
        for name, p in model.named_parameters():
            if "lora_" in name:
                p.mul_(2.0)
    model.save_pretrained(tmp_path / "adapter")
    run = stage("eval_tiny", "--model_path", TINY, "--adapter_path", tmp_path / "adapter", "--save_path", tmp_path / "a.json",
                "--num_problems", 12, "--max_tokens", 24)  # fmt: skip
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "a.json").read_bytes())
    assert found["results"]["model_type"] == "adapter" and "+adapter@" in found["results"]["model"]
    said = [r["responses"][0] for r in found["records"].values()]
    merged, base = (
        model.merge_and_unload(),
        AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32),
    )
    chats = [[{"role": "system", "content": generator.system_prompt(r["source_dataset"])},
              {"role": "user", "content": r["problem"]}] for r in found["records"].values()]  # fmt: skip
    expected, unadapted = [], []
    for chat in chats:
        inputs = tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        inputs.pop("token_type_ids", None)
        for network, texts in ((merged, expected), (base, unadapted)):
            ids = network.generate(**inputs, do_sample=False, max_new_tokens=24)[
                0, inputs["input_ids"].shape[1] :
            ]
            texts.append(tokenizer.decode(ids, skip_special_tokens=True).strip())
    assert said == expected and said != unadapted


ROW = {"id": "a", "sample": 0, "source_dataset": "s", "original_id": "1", "problem": "?", "answer": "5", "finish_reason": "stop",
       "tokens": 10, "prompt_tokens": 4}  # fmt: skip
RESPONSES = [  # response, finish_reason, counted as
    pytest.param(r"\boxed{5}", "stop", "right", id="right"),
    pytest.param(r"\boxed{6}", "stop", "wrong", id="wrong"),
    pytest.param("I do not know.", "stop", "no_answer", id="no answer"),
    pytest.param("", "stop", "no_answer", id="nothing said is no crash and no wrong answer"),
    pytest.param(
        "2 + 3 = 5, and then",
        "length",
        "truncated",
        id="a step of a text that is cut off is no answer, even if it fits",
    ),
    pytest.param(r"\boxed{5} and then", "length", "right", id="stated before it was cut off"),
    pytest.param("so it is 5", "stop", "right", id="lenient"),
    pytest.param(r"<think>\boxed{5}", "length", "truncated", id="cut off while thinking"),
]


def plan(n: int = 1, max_tokens: int = 100) -> benchmark.Plan:
    sampling = Sampling(temperature=0.5 if n > 1 else 0.0, max_tokens=max_tokens)
    model = models.find("tiny")
    return benchmark.Plan.create("eval", "d", model, "m", sampling, n, seed=0, where=Where())


def problems(*ids: str) -> list[benchmark.Problem]:
    return [
        benchmark.make_problem({"id": id}, f"Problem {id}", "5", "Solve.", f"Problem {id}")
        for id in ids
    ]


@pytest.mark.parametrize("response, finish_reason, kind", RESPONSES)
def test_every_sample_is_right_wrong_unanswered_or_truncated(response, finish_reason, kind):
    graded = [benchmark.grade(ROW | {"response": response, "finish_reason": finish_reason})]
    found = results.compute(plan(), problems("a"), graded)
    assert {k: found[k] for k in ("wrong", "no_answer", "truncated")} == {
        k: int(k == kind) for k in ("wrong", "no_answer", "truncated")
    }
    assert found["correct_answers"] == (kind == "right") and found["accuracy"] == 100 * (
        kind == "right"
    )


def test_the_figures_of_known_samples_are_those_of_their_definitions():
    """Two problems of four samples, 3 and 1 right: avg@4 .5, any right 1.0 (what unsloth's evaluation calls accuracy)."""
    said = [
        ("a", "5"),
        ("a", "5.0"),
        ("a", "5"),
        ("a", "6"),
        ("b", "5"),
        ("b", "7"),
        ("b", r"\frac{14}{2}"),
        ("b", "8"),
    ]
    graded = [
        benchmark.grade(ROW | {"id": i, "sample": k % 4, "response": rf"\boxed{{{x}}}"})
        for k, (i, x) in enumerate(said)
    ]
    found = results.compute(plan(4), problems("a", "b", "c"), graded)
    assert found["accuracy"] == 50 and found["any_correct"] == found["pass_at_k"] == 100
    assert found["pass_at"] == {"1": 50.0, "2": 75.0, "4": 100.0}
    assert found["maj_at_n"] == 50, "7 and 14/2 are one vote's class, and outvote the right 5"
    assert found["not_asked"] == 1 and found["source_stats"] == {
        "s": {"total": 2, "correct": 4, "samples": 8}
    }


@pytest.mark.parametrize("accuracy, tier", [(50, "EXCEPTIONAL"), (49.9, "EXCELLENT"), (20, "VERY GOOD"), (10, "GOOD"), (5, "FAIR"), (0, "NEEDS IMPROVEMENT")])  # fmt: skip
def test_a_score_has_the_word_of_its_tier(accuracy, tier):
    assert eval_aime.tier(accuracy) == tier


@pytest.mark.parametrize(
    "extracted, kept",
    [
        pytest.param("073", True, id="leading zero"),
        pytest.param("1024", False, id="over 999"),
        pytest.param(r"\frac{7}{2}", False, id="no integer"),
        pytest.param("-5", False, id="negative"),
    ],
)
def test_an_answer_that_aime_does_not_have_is_none(extracted, kept):
    sample = {"correct": False, "extracted": extracted, "why": "other number"}
    assert (eval_aime.within_range(sample)["why"] == "other number") == kept


LAYOUTS = [  # text, fits reasoning, shows thinking
    pytest.param(
        "<reasoning>\n1+1\n</reasoning>\n<answer>\n2\n</answer>", True, True, id="as asked"
    ),
    pytest.param("<reasoning></reasoning><answer>2</answer>", False, False, id="empty reasoning"),
    pytest.param("<reasoning>a</reasoning><answer></answer>", False, True, id="empty answer"),
    pytest.param(
        "<answer>2</answer><reasoning>a</reasoning>", False, True, id="the other way round"
    ),
    pytest.param(
        "<reasoning>a</reasoning><answer>2</answer><answer>3</answer>",
        False,
        True,
        id="two answers",
    ),
    pytest.param(
        "<reasoning>a</reasoning><answer>2</answer> so there", False, True, id="words behind"
    ),
    pytest.param(
        "a</reasoning><answer>2</answer>", False, True, id="the opening tag in the prompt"
    ),
    pytest.param("2", False, False, id="no tags"),
]


@pytest.mark.parametrize(
    "text, fits",
    [
        pytest.param(r"1 + 1 = 2. \boxed{2}", True, id="one box"),
        pytest.param(r"\boxed{}", False, id="empty"),
        pytest.param(r"\boxed{2", False, id="unclosed"),
        pytest.param(r"\boxed{2} \boxed{3}", False, id="two"),
    ],
)
def test_the_boxed_format_is_one_box_with_something_in_it(text, fits):
    assert formats.find("boxed").fits(text) == fits


@pytest.mark.parametrize("text, fits, thinks", LAYOUTS)
def test_a_format_is_seen_exactly(text, fits, thinks):
    layout = formats.find("reasoning")
    assert (layout.fits(text), layout.shows_thinking(text)) == (fits, thinks)


@pytest.mark.parametrize(
    "text, thinks",
    [
        pytest.param("<think>a</think>\\boxed{2}", True, id="the usual tags"),
        pytest.param("[THINK]a[/THINK]\\boxed{2}", True, id="another family's tags"),
        pytest.param("[THINK][/THINK]\\boxed{2}", False, id="an empty block"),
        pytest.param("\\boxed{2}", False, id="no tags"),
    ],
)
def test_where_no_tags_are_asked_for_a_models_own_ones_show_its_thinking(text, thinks):
    assert formats.find("boxed").shows_thinking(text) == thinks


BAD = [
    pytest.param("eval_aime", '{"problem": "?"}\n', [], "a.jsonl:1: no key 'answer'", id="no gold"),
    pytest.param(
        "eval_aime",
        '{"problem": "?", "answer": "1000"}\n',
        [],
        "a.jsonl:1: unparsable gold '1000'",
        id="an impossible gold",
    ),
    pytest.param(
        "eval_gsm8k",
        '{"question": "?", "answer": "five"}\n',
        [],
        "a.jsonl:1: unparsable gold 'five'",
        id="a gold in words",
    ),
    pytest.param("eval_gsm8k", "", [], "no rows", id="an empty file"),
    pytest.param(
        "eval_gsm8k",
        '{"question": "?", "answer": "5"}\n' * 2,
        [],
        "1 problems are there twice",
        id="a problem twice",
    ),
    pytest.param(
        "eval_gsm8k",
        '{"question": "?", "answer": "5"}\n',
        ["--format", "boxd"],
        "did you mean 'boxed'",
        id="no such format",
    ),
    pytest.param(
        "eval_gsm8k",
        '{"question": "?", "answer": "5"}\n',
        ["--n_sampling", "4"],
        "4 times the same sample",
        id="greedy, 4 times",
    ),
    pytest.param(
        "eval_gsm8k",
        '{"question": "?", "answer": "5"}\n',
        ["--n_sampling", "0"],
        "at least 1 sample",
        id="no sample",
    ),
    pytest.param(
        "eval_gsm8k",
        '{"question": "?", "answer": "5"}\n',
        ["--adapter_path", "no"],
        "no LoRA adapter there",
        id="no adapter",
    ),
    pytest.param(
        "eval_gsm8k",
        '{"question": "?", "answer": "5"}\n',
        ["--model_type", "a/b"],
        "part of a file's name",
        id="a slash",
    ),
    pytest.param(
        "eval_gsm8k",
        '{"question": "?", "answer": "5"}\n',
        ["--num_problems", "0"],
        "at least 1 problem",
        id="no problem",
    ),
    pytest.param(
        "grade_res",
        '{"answer": "5"}\n',
        [],
        "a.jsonl:1: no text in 'response'",
        id="a row without text",
    ),
    pytest.param(
        "grade_res",
        '{"response": "5"}\n',
        [],
        "a.jsonl:1: no key 'answer'",
        id="a row without gold",
    ),
    pytest.param(
        "grade_res",
        '{"response": "5", "answer": "$"}\n',
        [],
        "a.jsonl:1: unparsable gold '$'",
        id="a gold of no meaning",
    ),
]


@pytest.mark.parametrize("name, data, more, says", BAD)
def test_a_bad_input_is_said_with_its_place_before_any_model_loads(
    name, data, more, says, tmp_path
):
    (tmp_path / "a.jsonl").write_text(data)
    flags = {
        "eval_aime": ["--model_path", "tiny", "--test_data_path", "a.jsonl", "--save_dir", "."],
        "eval_gsm8k": [
            "--model_path",
            "tiny",
            "--test_data_path",
            "a.jsonl",
            "--save_path",
            "o.csv",
        ],
        "grade_res": ["--responses_path", "a.jsonl", "--save_path", "o.json"],
    }[name]
    started = time.monotonic()
    result = stage(name, *flags, *more, cwd=tmp_path)
    assert result.returncode == 2 and says in result.stderr and "Traceback" not in result.stderr, (
        result.stderr
    )
    assert time.monotonic() - started < 5
    assert not [p for p in tmp_path.iterdir() if p.suffix in (".csv", ".json")]


def test_a_gold_that_cannot_be_read_is_counted_and_never_scored(tmp_path):
    rows = [
        {"response": r"\boxed{5}", "answer": "5"},
        {"response": "5", "answer": ""},
        {"response": r"\boxed{1,200}", "answer": "x #### 1200"},
    ]
    rows[1]["answer"] = " . "
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    run = stage("grade_res", "--responses_path", "r.jsonl", "--save_path", "g.json", cwd=tmp_path)
    assert (
        "2 of 2 right" in run.stdout
        and "r.jsonl:2: unparsable gold" in run.stderr
        and "1 dropped (1 unparsable gold)" in run.stderr
    )
    again = stage("grade_res", "--responses_path", "r.jsonl", "--save_path", "g.json", cwd=tmp_path)
    assert "nothing to do" in again.stderr
    strict = stage(
        "grade_res",
        "--responses_path",
        "r.jsonl",
        "--save_path",
        "g.json",
        "--strict",
        cwd=tmp_path,
    )
    assert strict.returncode == 2 and "strict False, now True" in strict.stderr


def test_another_adapter_or_none_is_another_model(tmp_path):
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora/adapter_config.json").write_text('{"r": 12}')
    with pytest.raises(UserError, match="no adapter_model.safetensors"):
        models.find("tiny", str(tmp_path / "lora"))
    shutil.copy(TINY / "model.safetensors", tmp_path / "lora/adapter_model.safetensors")
    adapted = models.find("tiny", str(tmp_path / "lora"))
    assert adapted.lora_rank == 16 and adapted.name == "lora"
    assert models.identity(adapted).startswith(models.identity(models.find("tiny")) + "+lora@")


def test_the_votes_of_aime_do_not_know_which_answer_is_right():
    """An odd spelling is kept or not by its value: else maj@n would count the right ones alone."""
    for extracted, correct in (
        ("x = 5", True),
        ("x = 7", False),
        (r"\sqrt{25}", True),
        (r"\sqrt{49}", False),
    ):
        sample = {"correct": correct, "extracted": extracted, "why": "text"}
        assert eval_aime.within_range(sample)["extracted"] == extracted


def test_other_problems_are_other_settings_even_if_as_many():
    def hashed(ids: str) -> str:
        return benchmark.problem_hash(problems(*ids))

    assert hashed("ab") == hashed("ab") != hashed("ac")


def test_the_remembered_settings_are_those_that_are_applied():
    settings = benchmark.settings(plan(4, max_tokens=100_000), problems("a"))
    names = [
        "model",
        "temperature",
        "top_p",
        "max_tokens",
        "n_sampling",
        "seed",
        "prompt",
        "problems",
    ]
    assert list(settings) == names and settings["max_tokens"] == 256, "the limit of tiny"


class FakeEngine:
    """Answers `texts` by the problem in the prompt; a problem without a text does not fit."""

    most_in_flight = 2

    def __init__(self, texts: dict[str, str]):
        self.texts = texts
        self.requests: list[Request] = []

    @property
    def pending(self) -> int:
        return len(self.requests)

    def submit(self, request: Request) -> None:
        self.requests.append(request)

    def poll(self) -> list[Reply]:
        request = self.requests.pop()
        problem = request.prompt[-1]["content"].removeprefix("Problem ")
        if problem not in self.texts:
            return [Reply(request.key, refused="too long")]
        completion = Completion(self.texts[problem], "stop")
        return [Reply(request.key, (completion,), tokens=3, prompt_tokens=7)]

    def close(self) -> None:
        pass


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Ask a FakeEngine for samples of the problems a, b and c: the saved samples."""

    def run(texts: dict[str, str], max_tokens: int = 100) -> list[dict]:
        monkeypatch.setattr(Where, "load", lambda self, model: FakeEngine(texts))
        path = tmp_path / "result.json"
        return benchmark.ask(path, plan(2, max_tokens), problems(*"abc"), (), overwrite=False)

    return run


def test_if_every_sample_is_dropped_nothing_stays_and_other_settings_may_try(ask, tmp_path):
    why = r"result_responses.json: no row is left: 6 dropped \(6 too long\); nothing is written$"
    with pytest.raises(UserError, match=why):
        ask({})
    assert list(tmp_path.iterdir()) == []
    assert len(ask({"b": r"\boxed{5}"}, max_tokens=50)) == 2


def test_a_prompt_that_does_not_fit_is_dropped_and_an_empty_answer_is_graded(ask, tmp_path):
    samples = ask({"a": "  5 ", "c": ""})
    assert [(s["id"], s["sample"], s["response"]) for s in samples] == [
        ("a", 0, "5"),
        ("a", 1, "5"),
        ("c", 0, ""),
        ("c", 1, ""),
    ]
    keys = [
        "id",
        "sample",
        "source_dataset",
        "original_id",
        "problem",
        "answer",
        "response",
        "finish_reason",
        "tokens",
        "prompt_tokens",
    ]
    assert list(samples[0]) == keys
    found = results.compute(plan(2), problems(*"abc"), [benchmark.grade(s) for s in samples])
    assert (found["not_asked"], found["correct_answers"], found["no_answer"]) == (1, 2, 2)


def test_the_csv_writes_an_absent_answer_empty_and_a_lone_surrogate_as_its_escape():
    sample = ROW | {
        "response": 'a, "b"\n\ud800',
        "extracted": None,
        "correct": False,
        "correct_strict": True,
        "how": "",
        "why": "no answer",
    }
    sample |= {"has_thinking": False, "has_answer": True, "fits_format": False}
    header, rest = eval_gsm8k.table([sample]).decode().split("\n", 1)
    assert header == ",".join(eval_gsm8k.COLUMNS)
    assert rest == 'a,0,?,5,"a, ""b""\n\\ud800",,False,True,,no answer,False,True,False,stop,10\n'


def test_next_to_no_data_is_no_gain_and_no_certainty():
    assert metrics.compare([(1, 8)] * 3, [(2, 8)] * 3).verdict == "within noise"
    low, high = metrics.interval([(4, 8)] * 5)
    assert low < 0.4 and high > 0.6


def test_the_samples_of_one_problem_are_not_counted_as_many(tmp_path):
    """Two problems of eight equal samples each, one right: an interval over sixteen samples would be far too short."""
    rows = [
        {"id": str(k // 8), "response": rf"\boxed{{{k // 8}}}", "answer": "1"} for k in range(16)
    ]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    run = stage("grade_res", "--responses_path", "r.jsonl", "--save_path", "g.json", cwd=tmp_path)
    assert "8 of 16 right: 50.0% [0.0%, 100.0%]" in run.stdout, run.stdout + run.stderr
