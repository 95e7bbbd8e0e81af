"""Measure what the GRPO stage costs over plain trl.GRPOTrainer: its steps/s over the trainer's.

in    nothing: questions come from the embedded model's generator
out   stdout: a table of ratios, the stage by each backend
      PYTHONPATH=exp python tests/bench/bench_training.py --model_path data/models/tiny \\
          --steps 20 --rounds 2

Every run is a process of its own, and they take turns. All sample the same tokens: the same seed,
the same settings, one loss. Seconds on a shared machine mean little; ratios within one run do.
"""

import multiprocessing
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lib import cli, models, rows
from lib.errors import UserError
from lib.grading import formats
from lib.progress import say
from lib.rewards import correctness
from lib.rewards.batch import Batch
from lib.tiny import truth
from lib.training import train_log
from lib.training.loop import Schedule

NAMES = ("plain TRL", "hf", "unsloth")
QUIET = 2  # first steps that are not counted: they page in and compile
QUESTIONS_A_STEP = 8
GENERATIONS = 8
ANSWER_TOKENS = 96
SCHEDULE = Schedule(
    learning_rate=1e-4, batch_size=QUESTIONS_A_STEP * GENERATIONS, gradient_accumulation=1
)


@dataclass(frozen=True)
class Speed:
    """What a run's log says: steps a second, and the mean reward."""

    rate: float
    reward: float


def train_by_plain_trl(model_path: str, questions: list[dict], steps: int, folder: str) -> None:
    """As a reader of TRL's documentation would write it; leaves a log with each step's seconds."""
    from lib.training import policy, trl_on_cpu

    policy.begin("hf")
    trl_on_cpu.stand_in()
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback
    from trl import GRPOConfig, GRPOTrainer

    layout = formats.find("boxed")

    def pay(completions: list, answer: list[str], completion_ids: list, **columns) -> list[float]:
        tokens = [len(token_ids) for token_ids in completion_ids]
        batch = Batch(
            texts=[completion[0]["content"] for completion in completions],
            golds=answer,
            layout=layout,
            truncated=[False] * len(completions),
            tokens=tokens,
            groups=[place // GENERATIONS for place in range(len(tokens))],
        )
        return correctness.answer(batch)

    arguments = SCHEDULE.arguments(SCHEDULE.batch_size, SCHEDULE.gradient_accumulation)
    arguments |= {
        "max_steps": steps,
        "save_steps": steps,
        "lr_scheduler_type": "constant_with_warmup",
    }
    config = GRPOConfig(
        output_dir=f"{folder}/trl",
        num_generations=GENERATIONS,
        beta=0.0,
        temperature=1.0,
        max_completion_length=ANSWER_TOKENS,
        use_vllm=False,
        **arguments,
    )
    examples = []
    for row in questions:
        prompt = [{"role": "user", "content": row["question"]}]
        examples.append({"prompt": prompt, "answer": row["answer"]})
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(model_path, dtype="float32"),
        reward_funcs=pay,
        args=config,
        processing_class=AutoTokenizer.from_pretrained(model_path),
        train_dataset=Dataset.from_list(examples),
        callbacks=[train_log.callback(Path(folder), shown=())],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()


def run_plain_trl(model_path: str, questions: list[dict], steps: int, folder: Path) -> Speed:
    """Train by plain TRL, in a process of its own."""
    folder.mkdir()
    arguments = (model_path, questions, steps, str(folder))
    process = multiprocessing.get_context("spawn").Process(
        target=train_by_plain_trl, args=arguments
    )
    process.start()
    process.join()
    if process.exitcode:
        raise UserError("plain TRL failed; its message is above")
    return speed_of(folder)


def run_stage(backend: str, model_path: str, data: Path, steps: int, folder: Path) -> Speed:
    """The stage by its command line, as a user runs it."""
    flags = {
        "model_path": model_path,
        "data_path": data,
        "save_path": folder,
        "backend": backend,
        "max_steps": steps,
        "batch_size": SCHEDULE.batch_size,
        "gradient_accumulation": SCHEDULE.gradient_accumulation,
        "num_generations": GENERATIONS,
        "max_completion_length": ANSWER_TOKENS,
        "learning_rate": SCHEDULE.learning_rate,
        "lora_rank": 0,
        "rewards": "answer=1",
        "format": "boxed",
        "system_prompt": "",
    }
    command = [sys.executable, str(rows.ROOT / "exp/grpo.py")]
    command += [f"--{name}={value}" for name, value in flags.items()]
    finished = subprocess.run(command, capture_output=True, text=True)
    if finished.returncode:
        raise UserError(f"grpo --backend {backend}: {finished.stderr.strip().splitlines()[-1]}")
    return speed_of(folder)


def speed_of(folder: Path) -> Speed:
    seconds = train_log.read_figure(folder, "seconds")
    rate = (len(seconds) - QUIET) / (seconds[-1] - seconds[QUIET - 1])
    return Speed(rate, statistics.mean(train_log.read_figure(folder, "reward")))


def main(model_path: str, steps: int = 20, rounds: int = 2):
    model = models.find(model_path)
    if steps <= QUIET or rounds < 1:
        what = f"more than {QUIET} steps, and at least one round"
        raise UserError(f"--steps {steps} --rounds {rounds}: {what}")
    what = f"{rounds} rounds of {steps} GRPO steps, {', '.join(NAMES)} in turn"
    say(f"{what}, with {model.name}: some minutes")
    questions = []
    for question in truth.fresh_questions(QUESTIONS_A_STEP * steps):
        questions.append({"question": question, "answer": str(truth.answer_of(question))})
    rates: dict[str, list[float]] = {name: [] for name in NAMES}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "train.jsonl")
        rows.write_lines(data, questions)
        for turn in range(1, rounds + 1):
            for name in NAMES:
                out = Path(folder, f"{name}{turn}")
                if name == "plain TRL":
                    speed = run_plain_trl(model.path, questions, steps, out)
                else:
                    speed = run_stage(name, model.path, data, steps, out)
                rates[name].append(speed.rate)
                say(
                    f"round {turn}: {name} {speed.rate:.2f} steps/s, mean reward {speed.reward:.3f}"
                )
    print("| GRPO | steps/s | over plain TRL |\n| --- | --: | --: |")
    for name, of_rounds in rates.items():
        ratios = [ours / plain for ours, plain in zip(of_rounds, rates["plain TRL"], strict=True)]
        print(f"| {name} | {statistics.median(of_rounds):.2f} | {statistics.median(ratios):.2f} |")


if __name__ == "__main__":
    cli.run(main)
