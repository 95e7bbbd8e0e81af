"""Evaluate a model on AIME 2024 and 2025: sixty problems, eight samples each.

in    aime.jsonl             from prep_aime: id, problem, answer, source_dataset, original_id
out   in --save_dir          aime_eval_combined_{model_type}_t{temperature}_n{n}.json: `results` and
                             `records`; …_responses.json: the samples
      stdout                 with --name_only the path of the result, and nothing is asked
      python exp/eval_aime.py --model_path data/models/tiny \\
          --test_data_path data/aime/aime.jsonl --save_dir data/eval

American Invitational Mathematics Examination, Mathematical Association of America: every answer is
an integer from 0 to 999. The settings are those of unsloth's AIME evaluation, but `accuracy` is the
mean over samples (avg@n). What unsloth calls accuracy, any of n right, is `any_correct`.
"""

import re
from fractions import Fraction
from pathlib import Path

from lib import cli, parallel
from lib.evaluation import benchmark, results
from lib.evaluation.benchmark import Plan, Problem
from lib.grading import exact, latex
from lib.inference.backends import Where
from lib.inference.endings import STOP, why_incomplete
from lib.inference.requests import Sampling
from lib.progress import say

SYSTEM = (
    "You are a mathematical problem solver. Solve the given problem step by step "
    "and put your final answer, an integer from 0 to 999, within \\boxed{}."
)
USER = "Problem: {problem}\n\nSolve this step by step and give your final answer in \\boxed{{}}."
# The words of unsloth's AIME evaluation for a score in percent; here the score is avg@n.
TIERS = (
    (50, "EXCEPTIONAL"),
    (30, "EXCELLENT"),
    (20, "VERY GOOD"),
    (10, "GOOD"),
    (5, "FAIR"),
    (0, "NEEDS IMPROVEMENT"),
)


def is_answer(gold: str) -> bool:
    """Whether a gold is an integer from 0 to 999, however it is written."""
    canonical_gold = latex.canonical(gold)
    return bool(re.fullmatch("[0-9]{1,3}", canonical_gold))


def make_problem(row: dict) -> Problem:
    problem_text = row["problem"]
    gold = latex.canonical(row["answer"])
    user_message = USER.format(problem=problem_text)
    return benchmark.make_problem(row, problem_text, gold, SYSTEM, user_message)


def tier(accuracy: float) -> str:
    """The word for a score in percent."""
    return next(word for lowest_score, word in TIERS if accuracy >= lowest_score)


def within_range(sample: dict) -> dict:
    """A graded sample; an extracted number that AIME does not have (1024, 7/2) counts as none.

    Whether the sample is right has no say in it, else the votes of maj@n would know. An answer that
    is no plain number keeps its vote.
    """
    if sample["extracted"] is None:
        return sample
    answer = latex.canonical(sample["extracted"])
    number = exact.number(exact.without_name(answer))
    if not number or _is_in_range(number.value):
        return sample
    why = why_incomplete(sample.get("finish_reason", STOP)) or "no answer"
    return sample | {"extracted": None, "why": why}


def _is_in_range(value: Fraction) -> bool:
    return value.denominator == 1 and 0 <= value <= 999


def result_file(save_dir: str, label: str, sampling: Sampling, n_sampling: int) -> Path:
    """Where the result goes; its name has unsloth's form."""
    file_name = f"aime_eval_combined_{label}_t{sampling.temperature:g}_n{n_sampling}.json"
    return Path(save_dir) / file_name


def main(
    model_path: str,
    test_data_path: str,
    save_dir: str,
    model_type: str = "",
    adapter_path: str = "",
    sampling: Sampling = Sampling(temperature=0.3, top_p=0.95, max_tokens=32768),
    n_sampling: int = 8,
    seed: int = 0,
    num_problems: int | None = None,
    max_model_len: int | None = None,
    where: Where = Where(),
    name_only: bool = False,
    overwrite: bool = False,
):
    if not model_type:
        model_type = benchmark.find_model(model_path, adapter_path).name
    label = benchmark.label(model_type)
    result_path = result_file(save_dir, label, sampling, n_sampling)
    if name_only:
        print(result_path)
        return
    model = benchmark.find_model(model_path, adapter_path, max_model_len)
    problem_rows = benchmark.read(test_data_path, "problem", num_problems, is_answer)
    problems = [make_problem(row) for row in problem_rows]
    plan = Plan.create("eval_aime", "aime", model, label, sampling, n_sampling, seed, where)
    samples = benchmark.ask(result_path, plan, problems, (test_data_path,), overwrite)
    graded = parallel.in_threads(benchmark.grade, samples)
    graded = [within_range(sample) for sample in graded]
    figures = results.compute(plan, problems, graded)
    figures["tier"] = tier(figures["accuracy"])
    results.write(result_path, figures, graded)
    say(f"tier of avg@{n_sampling}: {figures['tier']}")
    command = f"--results_paths BASE.json,{result_path} --save_path VS.json"
    say(f"against another: python exp/compare_evals.py {command}")


if __name__ == "__main__":
    cli.run(main)
