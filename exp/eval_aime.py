"""Evaluate a model on AIME 2024 and 2025: sixty problems, integer answers from 0 to 999, eight samples each.

in    aime.jsonl             from prep_aime: id, problem, answer, source_dataset, original_id
out   aime_eval_combined_{model_type}_t{temperature}_n{n}.json in --save_dir: `results` and `records`; `…_responses.json`: samples
      python exp/eval_aime.py --model_path data/models/tiny --test_data_path data/aime/aime.jsonl --save_dir data/eval

American Invitational Mathematics Examination, Mathematical Association of America. Settings as in unsloth's AIME evaluation (the
seed), but `accuracy` is the mean over samples (avg@n): what it called accuracy, any of n right, is `any_correct`.
"""

import re
from pathlib import Path

from lib import cli
from lib.evaluation import benchmark, results
from lib.evaluation.benchmark import Plan
from lib.grading import answers, exact, latex
from lib.inference import generate
from lib.progress import say

SYSTEM = (
    "You are a mathematical problem solver. Solve the given problem step by step and put your final answer, an integer from 0 to "
    "999, within \\boxed{}."
)
USER = "Problem: {problem}\n\nSolve this step by step and give your final answer in \\boxed{{}}."
# The seed's words for a score in percent; here of avg@n.
TIERS = (
    (50, "EXCEPTIONAL"),
    (30, "EXCELLENT"),
    (20, "VERY GOOD"),
    (10, "GOOD"),
    (5, "FAIR"),
    (0, "NEEDS IMPROVEMENT"),
)


def is_answer(text: str) -> bool:
    """Whether it is an integer from 0 to 999, however it is written."""
    return bool(re.fullmatch("[0-9]{1,3}", latex.canonical(text)))


def tier(accuracy: float) -> str:
    return next(name for least, name in TIERS if accuracy >= least)


def within_range(sample: dict) -> dict:
    """A graded sample; an extracted number that AIME does not have, such as 1024 or 7/2, counts as none.

    Whether it is right has no say in it: else the votes of maj@n would know. What is no plain number keeps its vote.
    """
    if sample["extracted"] is None:
        return sample
    value = exact.number(exact.without_name(latex.canonical(sample["extracted"])))
    if not value or value.value.denominator == 1 and 0 <= value.value <= 999:
        return sample
    return sample | {
        "extracted": None,
        "why": "truncated" if sample["why"] == "truncated" else "no answer",
    }


def main(
    model_path: str,
    test_data_path: str,
    save_dir: str,
    model_type: str = "",
    adapter_path: str = "",
    temperature: float = 0.3,
    top_p: float = 0.95,
    max_tokens: int = 32768,
    n_sampling: int = 8,
    seed: int = 0,
    num_problems: int | None = None,
    max_model_len: int | None = None,
    engine: str = "vllm",
    base_url: str = "",
    batch_size: int | None = None,
    trust_remote_code: bool = False,
    overwrite: bool = False,
):
    backend = generate.Backend(engine, base_url, batch_size, trust_remote_code)
    model = benchmark.prepared(model_path, adapter_path, max_model_len)
    model_type = benchmark.label(model_type or model.name)
    path = Path(save_dir) / f"aime_eval_combined_{model_type}_t{temperature:g}_n{n_sampling}.json"
    problems = []
    for row in benchmark.read(test_data_path, "problem", num_problems, is_answer):
        chat = (
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": USER.format(problem=row["problem"])},
        )
        problems.append(
            benchmark.problem(row, row["problem"], latex.canonical(row["answer"]), chat)
        )
    plan = Plan(
        "eval_aime",
        "aime",
        model,
        model_type,
        temperature,
        top_p,
        max_tokens,
        n_sampling,
        seed,
        backend,
    )
    samples = benchmark.ask(path, plan, problems, (test_data_path,), overwrite)
    graded = [within_range(s) for s in answers.in_parallel(benchmark.grade, samples)]
    found = results.figures(plan, len(problems), benchmark.prompt_hash(problems), graded)
    results.write(path, found | {"tier": tier(found["accuracy"])}, graded)
    say(f"tier of avg@{n_sampling}: {tier(found['accuracy'])}")


if __name__ == "__main__":
    cli.run(main)
