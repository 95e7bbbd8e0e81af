"""Evaluate a model on 600 fresh procedural problems in six domains, of which the embedded model was trained on none.

in    nothing                the problems are drawn by lib/tiny/problems.py: --problems_seed names the set, 0 is the model card's
out   base.json              `results` with worked share and accuracy, and `records`; `base_responses.json`: the samples
      python exp/eval_tiny.py --model_path data/models/tiny --save_path data/eval/base.json

"Worked" is a response that shows its steps before the answer. Beside the headline it tells whether a training taught arithmetic
or only to show the work, which alone can take the embedded model from half right to nine in ten. --format asks for a layout of
configs/formats.yaml instead of the embedded model's own.
"""

from pathlib import Path

from lib import cli, rows
from lib.errors import UserError
from lib.evaluation import benchmark, results
from lib.evaluation.benchmark import Plan, Problem
from lib.grading import answers, formats
from lib.inference import generate
from lib.progress import say
from lib.tiny import problems

SYSTEM = "You are a math tutor for {domain}."


def shows_work(response: str) -> bool:
    """Whether something stands before the words that the embedded model's direct answers begin with."""
    return bool(response) and not response.startswith("The answer")


def worked(graded: list[dict]) -> dict:
    """Percent of the samples that show their work, and the accuracy of those and of the others (None of none)."""
    showing, direct = [], []
    for sample in graded:
        (showing if shows_work(sample["response"]) else direct).append(sample["correct"])
    shares = {
        "worked_share": (len(showing), len(graded)),
        "accuracy_worked": (sum(showing), len(showing)),
    }
    shares |= {"accuracy_direct": (sum(direct), len(direct))}
    return {
        k: results.percent(part / whole) if whole else None for k, (part, whole) in shares.items()
    }


def main(
    model_path: str,
    save_path: str,
    model_type: str = "",
    adapter_path: str = "",
    format: str = "",
    num_problems: int = 600,
    problems_seed: int = 0,
    temperature: float = 0.0,
    top_p: float = 1.0,
    max_tokens: int = 256,
    n_sampling: int = 1,
    seed: int = 0,
    engine: str = "vllm",
    base_url: str = "",
    batch_size: int | None = None,
    overwrite: bool = False,
):
    if num_problems < 1:
        raise UserError(f"--num_problems {num_problems}: at least 1 problem")
    path = Path(save_path)
    backend = generate.Backend(engine, base_url, batch_size)
    model = benchmark.prepared(model_path, adapter_path)
    model_type = benchmark.label(model_type or model.name)
    plan = Plan(
        "eval_tiny",
        "fresh",
        model,
        model_type,
        temperature,
        top_p,
        max_tokens,
        n_sampling,
        seed,
        backend,
    )
    layout, asked = formats.find(format) if format else None, []
    for number, p in enumerate(problems.fresh(num_problems, problems_seed)):
        system = (
            layout.system_prompt if layout else SYSTEM.format(domain=p.domain.replace("_", " "))
        )
        chat = ({"role": "system", "content": system}, {"role": "user", "content": p.question})
        asked.append(
            Problem(rows.row_id(p.question), p.domain, str(number), p.question, str(p.answer), chat)
        )
    samples = benchmark.ask(path, plan, asked, (), overwrite)
    graded = answers.in_parallel(benchmark.grade, samples)
    found = results.figures(plan, len(asked), benchmark.prompt_hash(asked), graded)
    w = worked(graded)
    if layout:
        w |= {
            "format": format,
            "format_accuracy": results.percent(
                sum(layout.fits(s["response"]) for s in graded) / len(graded)
            ),
        }
        say(f"{w['format_accuracy']}% of the samples are laid out exactly as {format}")
    results.write(path, found | w, graded)
    say(f"{w['worked_share']}% of the samples show their work: {w['accuracy_worked']}% of those right, "
            f"{w['accuracy_direct']}% of the others")  # fmt: skip


if __name__ == "__main__":
    cli.run(main)
