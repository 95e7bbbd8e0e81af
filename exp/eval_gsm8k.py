"""Evaluate a model on GSM8K: 1,319 grade-school word problems, one greedy answer each.

in    test.json              from prep_gsm8k: id, question, answer
out   base_gsm8k.csv         one line a sample: question, response, extracted answer, and why it
                             counts or not
      base_gsm8k.json        `results` (accuracy strict and lenient, format, thinking, intervals)
                             and `records`
      base_gsm8k_responses.json   the samples, which a rerun grades anew without a model
      python exp/eval_gsm8k.py --model_path data/models/tiny \\
          --test_data_path data/gsm8k/test.json --save_path data/eval/base_gsm8k.csv

Cobbe et al. 2021, arXiv 2110.14168. --format names the layout that is asked for, in
configs/formats.yaml.
"""

from pathlib import Path

from lib import cli, parallel, rows, tables
from lib.errors import UserError
from lib.evaluation import benchmark, results
from lib.evaluation.benchmark import Plan, Problem
from lib.grading import answers, exact, formats, latex
from lib.inference.backends import Where
from lib.inference.requests import Sampling
from lib.progress import say

COLUMNS = (
    "id",
    "sample",
    "question",
    "gold",
    "response",
    "extracted",
    "correct",
    "correct_strict",
    "how",
    "why",
    "has_thinking",
    "has_answer",
    "fits_format",
    "finish_reason",
    "tokens",
)


# The figure of each of these keys is the percentage of samples whose flag is set.
FLAG_OF = {
    "thinking_proportion": "has_thinking",
    "answer_proportion": "has_answer",
    "format_accuracy": "fits_format",
}


def is_number(gold: str) -> bool:
    return exact.number(latex.canonical(gold)) is not None


def make_problem(row: dict, layout: formats.Format) -> Problem:
    question = row["question"]
    return benchmark.make_problem(row, question, row["answer"], layout.system_prompt, question)


def with_layout(sample: dict, layout: formats.Format) -> dict:
    """A graded sample that also says whether it thinks, states an answer, and fits the layout."""
    response = sample["response"]
    has_answer = answers.extract(response, strict=True) is not None
    return sample | {
        "has_thinking": layout.shows_thinking(response),
        "has_answer": has_answer,
        "fits_format": layout.fits(response),
    }


def layout_figures(samples: list[dict]) -> dict:
    """The percentages of samples that think, state an answer, and fit the layout."""
    figures = {}
    for figure, flag in FLAG_OF.items():
        count = sum(sample[flag] for sample in samples)
        figures[figure] = results.in_percent(count / len(samples))
    return figures


def table(samples: list[dict]) -> bytes:
    """The samples as CSV, with GSM8K's names for the problem and its answer."""
    table_rows = []
    for sample in samples:
        renamed = sample | {"question": sample["problem"], "gold": sample["answer"]}
        table_rows.append({column: renamed[column] for column in COLUMNS})
    return tables.csv(table_rows, COLUMNS)


def main(
    model_path: str,
    test_data_path: str,
    save_path: str,
    model_type: str = "",
    adapter_path: str = "",
    format: str = "boxed",
    sampling: Sampling = Sampling(temperature=0.0, max_tokens=2048),
    n_sampling: int = 1,
    seed: int = 0,
    num_problems: int | None = None,
    max_model_len: int | None = None,
    where: Where = Where(),
    overwrite: bool = False,
):
    csv_path = Path(save_path)
    layout = formats.find(format)
    if csv_path.suffix != ".csv":
        expected = "expected a .csv name; the figures go beside it into .json"
        raise UserError(f"--save_path {save_path}: {expected}")
    result_path = csv_path.with_suffix(".json")
    model = benchmark.find_model(model_path, adapter_path, max_model_len)
    label = benchmark.label(model_type or model.name)
    problem_rows = benchmark.read(test_data_path, "question", num_problems, is_number)
    problems = [make_problem(row, layout) for row in problem_rows]
    plan = Plan.create("eval_gsm8k", "gsm8k", model, label, sampling, n_sampling, seed, where)
    samples = benchmark.ask(result_path, plan, problems, (test_data_path,), overwrite)
    graded = parallel.in_threads(benchmark.grade, samples)
    graded = [with_layout(sample, layout) for sample in graded]
    figures = results.compute(plan, problems, graded)
    figures |= {"format": format, **layout_figures(graded)}
    rows.write_whole(csv_path, table(graded))
    results.write(result_path, figures, graded)
    shares = [
        f"thinking {figures['thinking_proportion']}%",
        f"answer {figures['answer_proportion']}%",
        f"format {figures['format_accuracy']}%",
    ]
    tokens = figures["avg_output_tokens"]
    say(f"wrote {csv_path}: {', '.join(shares)}, {tokens:.0f} tokens a response")
    command = f"--results_paths BASE.json,{result_path} --save_path VS.json"
    say(f"against another: python exp/compare_evals.py {command}")


if __name__ == "__main__":
    cli.run(main)
