"""Evaluate a model on 600 fresh procedural problems that the embedded model never trained on.

in    nothing                the problems, in six domains, are drawn by lib/tiny/problems.py;
                             --problems_seed names the set, and 0 is the model card's
out   base.json              `results` with worked share and accuracy, and `records`
      base_responses.json    the samples
      python exp/eval_tiny.py --model_path data/models/tiny --save_path data/eval/base.json

A "worked" response shows its steps before the answer. Beside the accuracy that share tells whether
a training taught arithmetic or only to show the work, which alone can take the embedded model from
half right to nine in ten. --format asks for a layout of configs/formats.yaml instead of the
embedded model's own.
"""

from pathlib import Path

from lib import cli, parallel
from lib.errors import UserError
from lib.evaluation import benchmark, results
from lib.evaluation.benchmark import Plan, Problem
from lib.grading import formats
from lib.inference.backends import Where
from lib.inference.requests import Sampling
from lib.progress import say
from lib.tiny import problems as generator
from lib.tiny.truth import shows_work


def make_problem(number: int, drawn: generator.Problem, layout: formats.Format | None) -> Problem:
    """The problem drawn as `number`, asked in `layout` or else as the model was trained."""
    system_prompt = layout.system_prompt if layout else generator.system_prompt(drawn.domain)
    row = {"source_dataset": drawn.domain, "original_id": number}
    question, gold = drawn.question, str(drawn.answer)
    return benchmark.make_problem(row, question, gold, system_prompt, question)


def worked_figures(graded: list[dict]) -> dict:
    """Percent of the samples that show their work, and the accuracy of those and of the others.

    An accuracy is None if there are no such samples.
    """
    worked_verdicts = []
    direct_verdicts = []
    for sample in graded:
        if shows_work(sample["response"]):
            worked_verdicts.append(sample["correct"])
        else:
            direct_verdicts.append(sample["correct"])
    return {
        "worked_share": _percent_of(len(worked_verdicts), len(graded)),
        "accuracy_worked": _percent_of(sum(worked_verdicts), len(worked_verdicts)),
        "accuracy_direct": _percent_of(sum(direct_verdicts), len(direct_verdicts)),
    }


def _percent_of(part: int, whole: int) -> float | None:
    return results.in_percent(part / whole) if whole else None


def main(
    model_path: str,
    save_path: str,
    model_type: str = "",
    adapter_path: str = "",
    format: str = "",
    num_problems: int = 600,
    problems_seed: int = 0,
    sampling: Sampling = Sampling(temperature=0.0, max_tokens=256),
    n_sampling: int = 1,
    seed: int = 0,
    where: Where = Where(),
    overwrite: bool = False,
):
    if num_problems < 1:
        raise UserError(f"--num_problems {num_problems}: at least 1 problem")
    result_path = Path(save_path)
    model = benchmark.find_model(model_path, adapter_path)
    label = benchmark.label(model_type or model.name)
    plan = Plan.create("eval_tiny", "fresh", model, label, sampling, n_sampling, seed, where)
    layout = formats.find(format) if format else None
    problems = []
    for number, drawn in enumerate(generator.fresh(num_problems, problems_seed)):
        problems.append(make_problem(number, drawn, layout))
    samples = benchmark.ask(result_path, plan, problems, (), overwrite)
    graded = parallel.in_threads(benchmark.grade, samples)
    figures = results.compute(plan, problems, graded) | worked_figures(graded)
    if layout:
        fitting = sum(layout.fits(sample["response"]) for sample in graded)
        format_accuracy = _percent_of(fitting, len(graded))
        figures |= {"format": format, "format_accuracy": format_accuracy}
        say(f"{format_accuracy}% of the samples are laid out exactly as {format}")
    results.write(result_path, figures, graded)
    worked, direct = figures["accuracy_worked"], figures["accuracy_direct"]
    accuracies = f"{worked}% of those right, {direct}% of the others"
    say(f"{figures['worked_share']}% of the samples show their work: {accuracies}")
    command = f"--results_paths BASE.json,{result_path} --save_path VS.json"
    say(f"against another: python exp/compare_evals.py {command}")


if __name__ == "__main__":
    cli.run(main)
