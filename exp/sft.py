"""Fine-tune a model on conversations (SFT): a LoRA adapter or all weights, killed and resumed at will.

in    train.json, …          messages, perhaps with image or images; or instruction, response; or prompt, score (a judge's);
                             or question, answer, solution with --format
out   models/sft/            the adapter or the model, its tokenizer, settings.json, train_log.jsonl, dropped.jsonl
      python exp/sft.py --config configs/sft/tiny.yaml --model_path data/models/tiny --data_path data/sft/train.json \\
          --save_path data/models/sft

Only the assistant's words are learned. A conversation that is longer than --max_length is dropped and counted, never cut. --stage
full takes the first 1,024 examples, rl_prep 256, as preparation for reinforcement learning; --num_examples any other number.
"""

import time
from pathlib import Path

from lib import cli, models, progress, rows
from lib.errors import UserError, near
from lib.grading import formats
from lib.output_folder import OutputFolder
from lib.progress import say
from lib.training import conversations, images, loop, policy, train_log

STAGES = {"full": 1024, "rl_prep": 256}


def encoded(
    placed: list[tuple[str, dict]],
    model: models.Model,
    layout: formats.Format | None,
    max_length: int,
):
    """(examples with input_ids and labels, the longest last; dropped rows with `why`)."""
    reader, examples, dropped = conversations.Reader(model, layout), [], []
    for place, row in placed:
        ids, labels = reader.encode(place, row)
        if len(ids) > max_length:
            dropped.append({"why": f"too long: {len(ids)} tokens", **row})
        else:
            examples.append({"input_ids": ids, "labels": labels})
    return sorted(examples, key=lambda e: len(e["input_ids"])), dropped


def train(
    how: policy.Loading, folder: OutputFolder, examples: list[dict], schedule: loop.Schedule
) -> None:
    """Train on the examples from the newest complete checkpoint on, and finish the folder."""
    signs = train_log.callback(folder.part)

    def start(batch_size: int, gradient_accumulation: int) -> tuple:
        trained = policy.load(how)
        from datasets import Dataset
        from trl import SFTConfig, SFTTrainer

        config = SFTConfig(output_dir=str(folder.part), max_length=None, dataset_kwargs={"skip_prepare_dataset": not how.vision},
                           **schedule.arguments(batch_size, gradient_accumulation))  # fmt: skip
        data = images.dataset(examples) if how.vision else Dataset.from_list(examples)
        return trained, SFTTrainer(model=trained.model, processing_class=trained.tokenizer, train_dataset=data, args=config,
                                   callbacks=[signs])  # fmt: skip

    def largest(trainer: object, batch_size: int) -> dict:
        return trainer.data_collator(
            [trainer.train_dataset[k] for k in range(len(examples))[-batch_size:]]
        )

    trained, _ = loop.run(folder, schedule, start, largest)
    folder.finish(lambda whole: policy.save(trained, whole), keep=(train_log.LOG, "dropped.jsonl"))


def main(
    model_path: str,
    data_path: str,
    save_path: str,
    stage: str = "full",
    num_examples: int | None = None,
    format: str = "",
    learning_rate: float = 2e-4,
    epochs: float = 1.0,
    batch_size: int = 4,
    gradient_accumulation: int = 4,
    lora_rank: int = 64,
    lora_alpha: int = 128,
    lora_targets: str = policy.ALL_LINEAR,
    max_length: int = 2048,
    load_in_4bit: bool = False,
    backend: str = "auto",
    save_steps: int = 50,
    report_to: str = "none",
    seed: int = 0,
    overwrite: bool = False,
):
    if stage not in STAGES:
        raise UserError(f"no stage {stage!r}; {near(stage, STAGES)}")
    model, layout = models.find(model_path), formats.find(format) if format else None
    count = STAGES[stage] if num_examples is None else num_examples
    paths = [p.strip() for p in data_path.split(",") if p.strip()]
    placed = [row for path in paths for row in rows.read_placed(path)][:count]
    if not placed:
        raise UserError(f"--data_path {data_path!r} with {count} examples: nothing to learn from")
    how = policy.Loading(model, backend, lora_rank, lora_alpha, lora_targets, max_length=max_length, load_in_4bit=load_in_4bit,
                         seed=seed, vision=images.has_images(placed[0][1]))  # fmt: skip
    schedule = loop.Schedule(
        learning_rate, epochs, batch_size, gradient_accumulation, save_steps, report_to, seed
    )
    settings = {"data": [rows.sha256(path) for path in paths], "num_examples": count, "format": format,
                **how.settings, **schedule.settings}  # fmt: skip
    folder, began = OutputFolder(save_path, "sft", settings, overwrite), time.monotonic()
    if folder.finished:
        say(f"{save_path} is finished; nothing to do")
        return
    manner = f"a LoRA adapter of rank {lora_rank}" if lora_rank else "all weights"
    say(f"{manner} of {model.name} on up to {count:,} conversations of {data_path} -> {save_path}")
    policy.begin(backend, how.vision)
    if how.vision:
        examples, dropped = images.read(placed, model, max_length)
    else:
        examples, dropped = encoded(placed, model, layout, max_length)
    if not examples:
        raise UserError(
            f"{data_path}: every conversation is longer than --max_length {max_length} tokens"
        )
    folder.open()
    rows.write_whole(
        folder.part / "dropped.jsonl", b"".join(rows.dumps(row) + b"\n" for row in dropped)
    )
    train(how, folder, examples, schedule)
    losses = [step["loss"] for step in train_log.read(Path(save_path)) if "loss" in step]
    say(f"wrote {save_path}: {len(examples):,} conversations, {len(dropped):,} dropped (too long), loss {losses[0]:.3f} to "
            f"{losses[-1]:.3f}, {progress.clock(time.monotonic() - began)}")  # fmt: skip
    given = f"--model_path {model_path} --adapter_path" if lora_rank else "--model_path"
    say(f"next: python exp/eval_tiny.py {given} {save_path} --save_path …, or exp/eval_gsm8k.py")


if __name__ == "__main__":
    cli.run(main)
