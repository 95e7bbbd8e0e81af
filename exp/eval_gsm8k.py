"""Evaluate a model on GSM8K: 1,319 grade-school word problems, one greedy answer each.

in    test.json              from prep_gsm8k: id, question, answer
out   base_gsm8k.csv         one line a sample: what was asked, said, extracted, and why it counts or not
      base_gsm8k.json        `results` (accuracy strict and lenient, format, thinking, intervals) and `records`
      base_gsm8k_responses.json   the samples as they came, which a rerun grades anew without a model
      python exp/eval_gsm8k.py --model_path data/models/tiny --test_data_path data/gsm8k/test.json \\
          --save_path data/eval/base_gsm8k.csv

Cobbe et al. 2021, arXiv 2110.14168. --format names the layout that is asked for, in configs/formats.yaml.
"""

import csv
import io
from pathlib import Path

from lib import cli, rows
from lib.errors import UserError
from lib.evaluation import benchmark, results
from lib.evaluation.benchmark import Plan
from lib.grading import answers, exact, formats, latex
from lib.inference import generate
from lib.progress import say

COLUMNS = ("id", "sample", "question", "gold", "response", "extracted", "correct", "correct_strict", "how", "why",
           "has_thinking", "has_answer", "fits_format", "finish_reason", "tokens")  # fmt: skip


def laid_out(sample: dict, layout: formats.Format) -> dict:
    """A graded sample with the seed's three looks at its form: reasoning shown, an answer stated, exactly the asked layout."""
    text = sample["response"]
    looks = {
        "has_thinking": layout.shows_thinking(text),
        "has_answer": answers.extract(text, strict=True) is not None,
    }
    return sample | looks | {"fits_format": layout.fits(text)}


def table(samples: list[dict]) -> bytes:
    """The samples as CSV, UTF-8, a header first."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for s in samples:
        writer.writerow([(s | {"question": s["problem"], "gold": s["answer"]})[c] for c in COLUMNS])
    return out.getvalue().encode("utf-8", errors="backslashreplace")


def main(
    model_path: str,
    test_data_path: str,
    save_path: str,
    model_type: str = "",
    adapter_path: str = "",
    format: str = "boxed",
    temperature: float = 0.0,
    top_p: float = 1.0,
    max_tokens: int = 2048,
    n_sampling: int = 1,
    seed: int = 0,
    num_problems: int | None = None,
    max_model_len: int | None = None,
    engine: str = "vllm",
    base_url: str = "",
    batch_size: int | None = None,
    trust_remote_code: bool = False,
    overwrite: bool = False,
):
    path, layout = Path(save_path), formats.find(format)
    if path.suffix != ".csv":
        raise UserError(
            f"--save_path {save_path}: expected a .csv name; the figures go beside it into .json"
        )
    backend = generate.Backend(engine, base_url, batch_size, trust_remote_code)
    model = benchmark.prepared(model_path, adapter_path, max_model_len)
    model_type = benchmark.label(model_type or model.name)
    problems = []
    for row in benchmark.read(
        test_data_path,
        "question",
        num_problems,
        lambda gold: exact.number(latex.canonical(gold)) is not None,
    ):
        chat = (
            {"role": "system", "content": layout.system_prompt},
            {"role": "user", "content": row["question"]},
        )
        problems.append(benchmark.problem(row, row["question"], row["answer"], chat))
    plan = Plan(
        "eval_gsm8k",
        "gsm8k",
        model,
        model_type,
        temperature,
        top_p,
        max_tokens,
        n_sampling,
        seed,
        backend,
    )
    samples = benchmark.ask(path.with_suffix(".json"), plan, problems, (test_data_path,), overwrite)
    graded = [laid_out(s, layout) for s in answers.in_parallel(benchmark.grade, samples)]
    found = results.figures(plan, len(problems), benchmark.prompt_hash(problems), graded)
    looks = {
        "thinking_proportion": "has_thinking",
        "answer_proportion": "has_answer",
        "format_accuracy": "fits_format",
    }
    found |= {"format": format} | {
        k: results.percent(sum(s[look] for s in graded) / len(graded)) for k, look in looks.items()
    }
    rows.write_whole(path, table(graded))
    results.write(path.with_suffix(".json"), found, graded)
    say(f"wrote {path}: thinking {found['thinking_proportion']}%, answer {found['answer_proportion']}%, "
            f"format {found['format_accuracy']}%, {found['avg_output_tokens']:.0f} tokens a response")  # fmt: skip


if __name__ == "__main__":
    cli.run(main)
