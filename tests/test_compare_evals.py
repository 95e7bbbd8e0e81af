"""The stage compare_evals on small result files: what it says, what it saves, what it refuses."""

import json
import random

import pytest

from conftest import stage_here
from lib.evaluation import comparison, metrics

SETTINGS = {"prompt": "0123456789abcdef", "temperature": 0.3, "top_p": 0.95, "max_tokens": 32768}


def evaluation(model_type: str, right: list[int], samples: int = 8, **changed: object) -> dict:
    """A result file as eval_* stages write it: `right` of `samples` per problem, problems from two years by turns."""
    records = {
        str(i): {"id": f"{i:016x}", "source_dataset": f"test202{3 + i % 2}", "problem": f"Find {i}.", "ground_truth": str(i),
                 "n_correct": c, "n_total": samples}
        for i, c in enumerate(right)
    }  # fmt: skip
    counts = [(c, samples) for c in right]
    results = {
        "model_type": model_type, "model": "tiny@ab12", "dataset": "aime", "total_problems": len(right), "n_sampling": samples,
        **SETTINGS, "seed": 0, "accuracy": 100 * metrics.avg_at_n(counts), "pass_at_k": 100 * metrics.pass_at_k(counts, samples),
        "maj_at_n": 50.0, "interval": [100 * edge for edge in metrics.interval(counts)], "truncated": 12, "no_answer": 3,
        "wrong": samples * len(right) - sum(right), **changed,
    }  # fmt: skip
    return {"results": results, "records": records}


rng = random.Random(0)
CHANCES = [rng.betavariate(0.7, 0.7) for _ in range(60)]


def sampled(shift: float = 0.0, samples: int = 8, seed: int = 1) -> list[int]:
    """Right answers per problem of a model whose chance is `shift` above the base's."""
    r = random.Random(seed)
    return [sum(r.random() < chance + shift for _ in range(samples)) for chance in CHANCES]


BASE = sampled()


@pytest.fixture
def compare(tmp_path):
    """Write the evaluations as 0.json, 1.json, … and run the stage on them: (what it printed, what it saved)."""

    def run(*evaluations: dict, flags: tuple = (), code: int = 0):
        paths = [tmp_path / f"{n}.json" for n in range(len(evaluations))]
        for path, value in zip(paths, evaluations, strict=True):
            path.write_text(json.dumps(value))
        save = tmp_path / "out/comparison.json"
        names = ",".join(p.name for p in paths)
        result = stage_here(
            "compare_evals",
            "--results_paths",
            names,
            "--save_path",
            "out/comparison.json",
            *flags,
            cwd=tmp_path,
        )
        assert result.returncode == code, result.stderr
        if code:
            assert (
                result.stdout == ""
                and len(result.stderr.splitlines()) == 1
                and not save.parent.exists()
            )
            return result.stderr.strip()
        assert save.with_suffix(".png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        assert sorted(p.name for p in save.parent.iterdir()) == [
            "comparison.json",
            "comparison.png",
        ]
        return result, json.loads(save.read_text())

    return run


VERDICTS = [
    (BASE, sampled(seed=2), 8, "within noise", "paired bootstrap", "two runs of one model"),
    (BASE, sampled(0.2), 8, "gain", "paired bootstrap", "a planted gain"),
    (BASE, sampled(-0.2), 8, "loss", "paired bootstrap", "a planted loss"),
    (
        sampled(samples=1),
        sampled(0.6, samples=1),
        1,
        "gain",
        "McNemar exact",
        "one sample per problem",
    ),
    (
        [0] * 20,
        [1] * 5 + [0] * 15,
        1,
        "within noise",
        "McNemar exact",
        "five more of twenty, p = 0.06",
    ),
]


def test_of_a_chain_each_step_is_held_against_the_one_before_as_well(compare):
    better = sampled(0.2, seed=3)
    result, saved = compare(
        *(
            evaluation(name, right)
            for name, right in (("base", BASE), ("sft", better), ("grpo", better))
        )
    )
    assert [m["change"] and m["change"]["verdict"] for m in saved["models"]] == [
        None,
        "gain",
        "gain",
    ]
    assert [m["step"] and m["step"]["verdict"] for m in saved["models"]] == [
        None,
        "gain",
        "within noise",
    ]
    assert (
        "from the row above" in result.stdout and "+0.0 [+0.0, +0.0] within noise" in result.stdout
    )


@pytest.mark.parametrize(
    "base, tuned, samples, verdict, test", [v[:-1] for v in VERDICTS], ids=[v[-1] for v in VERDICTS]
)
def test_a_change_is_called_gain_loss_or_within_noise(compare, base, tuned, samples, verdict, test):
    result, saved = compare(evaluation("base", base, samples), evaluation("tuned", tuned, samples))
    assert result.stderr.splitlines() == [
        f"compare_evals: 2 results on aime ({len(base)} problems) -> out/comparison.json",
        "compare_evals: wrote out/comparison.json and out/comparison.png",
    ]
    (row,) = [line for line in result.stdout.splitlines() if line.startswith("| tuned")]
    change = saved["models"][1]["change"]
    assert (
        verdict in row
        and f"{change['difference']:+.1f} [" in row
        and ("p " in row) == (samples == 1)
    )
    assert (change["verdict"], change["test"], saved["test"]) == (verdict, test, test)
    expected = metrics.compare([(c, samples) for c in base], [(c, samples) for c in tuned])
    assert change["difference"] == pytest.approx(100 * expected.difference, abs=1e-3)
    assert saved["models"][0]["change"] is None and saved["base_model"] == "base"
    last = result.stdout.splitlines()[-1]
    if saved["best_model"] == "tuned":
        assert last.startswith("Best: tuned (") and "; against base: " in last and verdict in last
    else:
        assert (
            last.startswith("Best: base (")
            and "the base itself" in last
            and ("within noise" in last) == (verdict != "loss")
        )


def test_the_table_names_the_metrics_and_the_scores_by_source(compare):
    result, saved = compare(
        evaluation("base", [2, 4, 8, 0]), evaluation("tuned", [2, 4, 8, 8], maj_at_n=75.0)
    )
    head, _, base, tuned, _, sources, _, first, second, *_ = [
        [c.strip() for c in x.split("|")] for x in result.stdout.splitlines()
    ]
    assert head[1:-1] == [
        "model",
        "avg@8 [95%]",
        "pass@8",
        "maj@8",
        "truncated",
        "no answer",
        "wrong",
        "change, points [95%]",
    ]
    assert (
        base[2].startswith("43.8% [")
        and base[3:8] == ["75.0%", "50.0%", "37.5%", "9.4%", "56.2%"]
        and base[8] == "(base)"
    )
    assert tuned[3:5] == ["100.0%", "75.0%"] and tuned[8].startswith("+25.0 [")
    assert sources[1:-1] == ["avg@8 by source", "problems", "base", "tuned"]
    assert first[1:-1] == ["test2023", "2", "62.5%", "62.5%"] and second[1:-1] == [
        "test2024",
        "2",
        "25.0%",
        "75.0%",
    ]
    assert saved["sources"]["test2024"] == {
        "problems": 2,
        "accuracy": {"base": 25.0, "tuned": 75.0},
    }
    assert (
        saved["files"] == ["0.json", "1.json"]
        and saved["problems"] == 4
        and saved["dataset"] == "aime"
    )


def test_one_sample_per_problem_is_called_accuracy_without_pass_or_majority(compare):
    result, _ = compare(evaluation("base", [1, 0, 1], 1), evaluation("tuned", [1, 1, 1], 1))
    head = result.stdout.splitlines()[0]
    assert "accuracy [95%]" in head and "@" not in head


def test_worked_columns_need_every_file_to_have_them(compare):
    worked = {"worked_share": 40.0, "accuracy_worked": 90.0}
    both, _ = compare(evaluation("base", [1, 2], **worked), evaluation("tuned", [1, 2], **worked))
    one, _ = compare(evaluation("base", [1, 2], **worked), evaluation("tuned", [1, 2]))
    assert "40.0%" in both.stdout and "90.0%" in both.stdout and "accuracy worked" in both.stdout
    assert "worked" not in one.stdout


def test_one_file_is_a_comparison_too(compare):
    result, saved = compare(evaluation("base", BASE))
    assert "1 result on aime" in result.stderr and result.stdout.rstrip().endswith("the only model")
    assert saved["best_model"] == saved["base_model"] == "base" and saved["test"] is None


def test_models_of_one_type_get_their_file_names_and_base_can_be_chosen(compare):
    files = [
        evaluation("tuned", BASE),
        evaluation("tuned", sampled(seed=2)),
        evaluation("base", sampled(-0.1)),
    ]
    _, saved = compare(*files, flags=("--base", "base"))
    assert [m["model_type"] for m in saved["models"]] == ["tuned:0", "tuned:1", "base"] and saved[
        "base_model"
    ] == "base"
    _, saved = compare(*files, flags=("--base", "tuned:1"))
    assert saved["base_model"] == "tuned:1"


def test_of_equally_good_models_the_base_is_the_best(compare):
    _, saved = compare(
        evaluation("tuned", BASE), evaluation("base", BASE), flags=("--base", "base")
    )
    assert saved["best_model"] == "base"


def test_the_same_results_give_the_same_bytes_even_with_markup_in_a_name(compare, tmp_path):
    outputs = []
    for _ in range(2):
        result, _ = compare(
            evaluation("base", BASE),
            evaluation("a_long_name/of|a $\\frac$_with_markup" * 3, sampled(0.1)),
        )
        assert r"| a_long_name/of\|a $\frac$_with" in result.stdout
        outputs.append([p.read_bytes() for p in sorted((tmp_path / "out").iterdir())])
    assert outputs[0] == outputs[1]


def with_record(number: int, **changed: object) -> dict:
    value = evaluation("tuned", [1, 2, 3])
    value["records"][str(number)] |= changed
    return value


def without(part: str, key: str) -> dict:
    value = evaluation("tuned", [1, 2, 3])
    del (value if part == "" else value["results"] if part == "results" else value["records"]["1"])[
        key
    ]
    return value


DIFFERENT = "; --allow_different compares them on the problems they share"
REFUSED = [
    (
        with_record(2, id="other"),
        "0.json and 1.json differ in 2 ids, such as 0000000000000002 (only in 0.json)" + DIFFERENT,
        "ids",
    ),
    (
        evaluation("tuned", [1, 2, 3, 4]),
        "differ in 1 ids, such as 0000000000000003 (only in 1.json)" + DIFFERENT,
        "a problem more",
    ),
    (
        with_record(1, ground_truth="7"),
        "differ in ground_truth of 1 ids, such as 0000000000000001 ('1', '7')" + DIFFERENT,
        "golds",
    ),
    (
        evaluation("tuned", [1, 2, 3], dataset="math"),
        "differ in dataset (aime, math)" + DIFFERENT,
        "dataset",
    ),
    (
        evaluation("tuned", [1, 2, 3], prompt="f" * 16),
        f"differ in prompt (0123456789abcdef, {'f' * 16})" + DIFFERENT,
        "prompt",
    ),
    (
        evaluation("tuned", [1, 2, 3], temperature=1, top_p=1),
        "differ in temperature (0.3, 1); top_p (0.95, 1)" + DIFFERENT,
        "sampling",
    ),
    (
        evaluation("tuned", [1, 1, 1], samples=4),
        "differ in n_sampling (8, 4)" + DIFFERENT,
        "samples",
    ),
    (
        without("", "results"),
        "1.json: no 'results' in it; expected the file of an eval_* stage",
        "no results",
    ),
    (
        without("", "records"),
        "1.json: no 'records' in it; expected the file of an eval_* stage",
        "no records",
    ),
    ({"results": {"a": 1}, "records": {}}, "1.json: no 'records' in it", "empty records"),
    ([1], "1.json: no 'results' in it", "a list"),
    (
        without("results", "interval"),
        "1.json: results: no key 'interval' (has: model_type, model,",
        "results lack a key",
    ),
    (
        without("records", "n_total"),
        "1.json: record 1: no key 'n_total' (has: id, source_dataset,",
        "a record lacks a key",
    ),
    (
        with_record(1, n_total=0, n_correct=0),
        "1.json: record 1: 0 right of 0 samples",
        "no samples",
    ),
    (
        with_record(1, n_correct=9),
        "1.json: record 1: 9 right of 8 samples",
        "more right than samples",
    ),
    (
        with_record(2, id=f"{0:016x}"),
        "1.json: record 2: id 0000000000000000 is there twice",
        "a problem twice",
    ),
]


@pytest.mark.parametrize("second, message", [r[:-1] for r in REFUSED], ids=[r[-1] for r in REFUSED])
def test_what_cannot_be_compared_is_one_line(compare, second, message):
    error = compare(evaluation("base", [1, 2, 3]), second, code=2)
    assert error.startswith("compare_evals: error: ") and message in error


BAD_FLAGS = [
    (
        ["--results_paths", "0.json,gone.json"],
        "gone.json: No such file or directory",
        "a missing file",
    ),
    (["--results_paths", "0.json,torn.json"], "torn.json: torn or not JSON (", "a torn file"),
    (["--results_paths", "empty.json"], "empty.json: torn or not JSON (", "an empty file"),
    (["--results_paths", " , "], "expected one or more different files", "no file"),
    (["--results_paths", "0.json,0.json"], "expected one or more different files", "a file twice"),
    (
        ["--save_path", "x.png"],
        "--save_path x.png: expected a .json file",
        "a picture as save_path",
    ),
    (
        ["--save_path", "0.json"],
        "--save_path 0.json: expected a .json file that is none of the results",
        "an input as save_path",
    ),
    (["--base", "bsae"], "no result of --base 'bsae'; did you mean 'base'?", "an unknown base"),
    (
        ["--base", "base", "--results_paths", "0.json,1.json"],
        "--base 'base' is 2 files; give one of: base:0, base:1",
        "two bases",
    ),
]


@pytest.mark.parametrize(
    "flags, message", [b[:-1] for b in BAD_FLAGS], ids=[b[-1] for b in BAD_FLAGS]
)
def test_a_bad_flag_or_file_is_one_line_and_nothing_is_written(tmp_path, flags, message):
    whole = json.dumps(evaluation("base", [1, 2, 3]))
    files = {"0.json": whole, "1.json": whole, "torn.json": whole[:300], "empty.json": ""}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    defaults = {"--results_paths": "0.json", "--save_path": "out/x.json"} | dict(
        zip(flags[::2], flags[1::2], strict=True)
    )
    result = stage_here(
        "compare_evals", *[word for pair in defaults.items() for word in pair], cwd=tmp_path
    )
    assert result.returncode == 2 and result.stdout == "" and len(result.stderr.splitlines()) == 1
    assert message in result.stderr
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == files


def test_allow_different_compares_the_problems_in_common_and_says_what_differs(compare):
    second = evaluation("tuned", [*BASE[:40], *[8] * 10], temperature=1.0)
    second["records"]["0"]["ground_truth"] = "another"
    for number in range(40, 50):
        second["records"][str(number)]["id"] = f"new{number}"
    result, saved = compare(evaluation("base", BASE), second, flags=("--allow_different",))
    first, said, _ = result.stderr.splitlines()
    assert first == "compare_evals: 2 results on aime (39 problems) -> out/comparison.json"
    assert (
        said.endswith("temperature (0.3, 1.0); compared on the 39 problems in common")
        and "30 ids" in said
    )
    assert said.split(": ", 1)[1].startswith(saved["differences"][0]) and saved["problems"] == 39
    assert [m["accuracy"] for m in saved["models"]] == pytest.approx(
        [100 * sum(BASE[1:40]) / 39 / 8] * 2, abs=1e-3
    )
    assert saved["models"][1]["change"]["verdict"] == "within noise"
    assert [m["wrong"] for m in saved["models"]] == [
        None,
        None,
    ]  # known for all of a file's problems only


def test_allow_different_takes_unlike_numbers_of_samples(compare):
    few = [min(c, 4) for c in BASE]
    result, saved = compare(
        evaluation("base", BASE), evaluation("tuned", few, samples=4), flags=("--allow_different",)
    )
    assert "avg@n" in result.stdout and "pass@4" in result.stdout and saved["k"] == 4


def test_nothing_in_common_is_refused_even_then(compare):
    second = evaluation("tuned", [1, 2])
    for record in second["records"].values():
        record["id"] += "x"
    error = compare(evaluation("base", [1, 2]), second, flags=("--allow_different",), code=2)
    assert error.endswith("no problem with the same gold answer is in all of 0.json, 1.json")


def test_models_of_one_type_whose_files_share_a_name_are_named_by_their_paths(tmp_path):
    paths = [tmp_path / name for name in ("a/run.json", "b/run.json", "b/other.json")]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(evaluation("tuned", BASE)))
    named = comparison.read_all([str(path) for path in paths])
    assert [e.name for e in named] == [f"tuned:{paths[0]}", f"tuned:{paths[1]}", "tuned:other"]
