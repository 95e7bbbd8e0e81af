"""Measure what the GRPO stage costs over plain trl.GRPOTrainer: its steps/s over the trainer's, same settings, one run.

in    nothing: questions come from lib/tiny/problems
out   stdout: a table of ratios, the stage by each backend; seconds on a shared machine mean little, ratios within one run do
      PYTHONPATH=exp python tests/bench/bench_training.py --model_path data/models/tiny --steps 20 --rounds 2

Every run is a process of its own and they take turns. All sample the same tokens: the same seed, and one loss.
"""

import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from lib import cli, models, rows
from lib.errors import UserError
from lib.progress import say
from lib.tiny import problems
from lib.training import train_log

SETTINGS = {
    "batch_size": 64,
    "gradient_accumulation": 1,
    "num_generations": 8,
    "max_completion_length": 96,
    "learning_rate": 1e-4,
}
QUIET = 2  # first steps that are not counted: they page in and compile


def plain(model_path: str, questions: list[dict], steps: int, folder: str) -> None:
    """As a reader of TRL's documentation would write it; leaves a log with each step's seconds."""
    from lib.grading import formats
    from lib.rewards import registry
    from lib.training import loop, policy, trl_on_cpu

    policy.begin("hf")
    trl_on_cpu.stand_in()
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback
    from trl import GRPOConfig, GRPOTrainer

    layout = formats.find("boxed")

    def pay(completions: list, answer: list[str], **columns: object) -> list[float]:
        texts = [c[0]["content"] for c in completions]
        return registry.answer(texts, golds=answer, layout=layout, truncated=[False] * len(texts))

    schedule = loop.Schedule(
        SETTINGS["learning_rate"], 1, SETTINGS["batch_size"], 1, steps, "none", 0
    )
    config = GRPOConfig(output_dir=f"{folder}/trl", num_generations=SETTINGS["num_generations"], beta=0.0, temperature=1.0,
                        max_completion_length=SETTINGS["max_completion_length"], use_vllm=False,
                        **schedule.arguments(SETTINGS["batch_size"], 1)
                        | {"max_steps": steps, "lr_scheduler_type": "constant_with_warmup"})  # fmt: skip
    asked = [
        {"prompt": [{"role": "user", "content": q["question"]}], "answer": q["answer"]}
        for q in questions
    ]
    trainer = GRPOTrainer(model=AutoModelForCausalLM.from_pretrained(model_path, dtype="float32"), reward_funcs=pay, args=config,
                          processing_class=AutoTokenizer.from_pretrained(model_path), train_dataset=Dataset.from_list(asked),
                          callbacks=[train_log.callback(Path(folder), shown=())])  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    trainer.train()


def stage(backend: str, model_path: str, data_path: str, steps: int, folder: str) -> None:
    """The stage by its command line, as a user runs it."""
    flags = {**SETTINGS, "model_path": model_path, "data_path": data_path, "save_path": f"{folder}/model", "backend": backend,
             "max_steps": steps, "lora_rank": 0, "rewards": "answer=1", "format": "boxed", "system_prompt": ""}  # fmt: skip
    command = [
        sys.executable,
        str(rows.ROOT / "exp/grpo.py"),
        *(f"--{k}={v}" for k, v in flags.items()),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"grpo --backend {backend}: {done.stderr.strip().splitlines()[-1]}")


def speed(folder: Path) -> tuple[float, list[float]]:
    """(steps/s, the rewards of the steps) of a run's log."""
    steps = train_log.read(folder)
    timed = [step["seconds"] for step in steps]
    return (len(timed) - QUIET) / (timed[-1] - timed[QUIET - 1]), [step["reward"] for step in steps]


def main(model_path: str, steps: int = 20, rounds: int = 2):
    model = models.find(model_path)
    if steps <= QUIET or rounds < 1:
        raise UserError(
            f"--steps {steps} --rounds {rounds}: more than {QUIET} steps, and at least one round"
        )
    say(
        f"{rounds} rounds of {steps} GRPO steps, plain TRL, unsloth and hf in turn, with {model.name}: some minutes"
    )
    questions = [
        {"question": p.question, "answer": str(p.answer)}
        for p in problems.training(8 * steps, "bench")
    ]
    speeds: dict[str, list[float]] = {"plain TRL": [], "hf": [], "unsloth": []}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "train.jsonl")
        data.write_text("".join(json.dumps(q) + "\n" for q in questions), encoding="utf-8")
        for turn in range(rounds):
            for name, found in speeds.items():
                out = Path(folder, f"{name}{turn}")
                out.mkdir()
                if name == "plain TRL":
                    process = multiprocessing.get_context("spawn").Process(
                        target=plain, args=(model.path, questions, steps, str(out))
                    )
                    process.start()
                    process.join()
                    if process.exitcode:
                        raise UserError("plain TRL failed; its message is above")
                else:
                    stage(name, model.path, str(data), steps, str(out))
                rate, paid = speed(out if name == "plain TRL" else out / "model")
                found.append(rate)
                say(
                    f"round {turn + 1}: {name} {rate:.2f} steps/s, mean reward {statistics.mean(paid):.3f}"
                )
    print("| GRPO | steps/s | over plain TRL |\n| --- | --: | --: |")
    for name, found in speeds.items():
        ratio = statistics.median(
            ours / bare for ours, bare in zip(found, speeds["plain TRL"], strict=True)
        )
        print(f"| {name} | {statistics.median(found):.2f} | {ratio:.2f} |")


if __name__ == "__main__":
    cli.run(main)
