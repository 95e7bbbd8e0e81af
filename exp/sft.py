"""Fine-tune a model on conversations (SFT): a LoRA adapter or all weights, resumed after any kill.

in    train.json, …          messages, perhaps with image or images; or instruction, response; or
                             prompt, score (a judge's); or question, answer, solution with --format
out   models/sft/            the adapter or the model, its tokenizer, settings.json,
                             train_log.jsonl, dropped.jsonl
      python exp/sft.py --config configs/sft/tiny.yaml --model_path data/models/tiny \\
          --data_path data/sft/train.json --save_path data/models/sft

Only the assistant's words are learned. A conversation that is longer than --max_length is dropped
and counted, never cut; so is a response whose finish_reason is not stop. --stage full takes the
first 1,024 examples, rl_prep 256, as preparation for reinforcement learning; --num_examples any
other number.
"""

import time
from pathlib import Path

from lib import cli, models, rows
from lib.errors import UserError, near
from lib.grading import formats
from lib.output_folder import OutputFolder
from lib.progress import clock, say, shown_path
from lib.training import conversations, images, loop, policy, train_log
from lib.training.conversations import MeasuredRow
from lib.training.loop import Schedule
from lib.training.policy import Loading, Lora

STAGES = {"full": 1024, "rl_prep": 256}


def encode_all(
    placed_rows: list[tuple[str, dict]],
    model: models.Model,
    layout: formats.Format | None,
    max_length: int,
) -> tuple[list[dict], list[dict]]:
    """(examples with input_ids and labels, the longest last; rows that are too long)."""
    reader = conversations.Reader(model, layout)
    measured_rows = []
    for row_place, row in placed_rows:
        token_ids, labels = reader.encode(row_place, row)
        example = {"input_ids": token_ids, "labels": labels}
        measured_rows.append(MeasuredRow(row, example, tokens=len(token_ids)))
    return conversations.within_length(measured_rows, max_length)


def train(loading: Loading, schedule: Schedule, folder: OutputFolder, examples: list[dict]) -> None:
    """Train on the examples, and finish the folder."""
    log = train_log.callback(folder.part)

    def start(batch_size: int, gradient_accumulation: int) -> tuple:
        trained = policy.load(loading)
        from datasets import Dataset
        from trl import SFTConfig, SFTTrainer

        config = SFTConfig(
            output_dir=str(folder.part),
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": not loading.vision},
            **schedule.arguments(batch_size, gradient_accumulation),
        )
        dataset = images.dataset(examples) if loading.vision else Dataset.from_list(examples)
        trainer = SFTTrainer(
            model=trained.model,
            processing_class=trained.tokenizer,
            train_dataset=dataset,
            args=config,
            callbacks=[log],
        )
        return trained, trainer

    trained, _ = loop.run(folder, schedule, start, loop.longest_examples)
    loop.finish(folder, trained, keep=(loop.DROPPED,))


def main(
    model_path: str,
    data_path: str,
    save_path: str,
    stage: str = "full",
    num_examples: int | None = None,
    format: str = "",
    max_length: int = 2048,
    lora: Lora = Lora(),
    backend: str = "auto",
    schedule: Schedule = Schedule(learning_rate=2e-4),
    overwrite: bool = False,
):
    started = time.monotonic()
    if stage not in STAGES:
        raise UserError(f"no stage {stage!r}; {near(stage, STAGES)}")
    model = models.find(model_path)
    layout = formats.find(format) if format else None
    count = STAGES[stage] if num_examples is None else num_examples
    data_paths = cli.comma_list(data_path)
    placed_rows = []
    for path in data_paths:
        placed_rows += rows.read_placed(path)
    placed_rows = placed_rows[:count]
    if not placed_rows:
        raise UserError(f"--data_path {data_path!r} with {count} examples: nothing to learn from")
    _, first_row = placed_rows[0]
    vision = images.has_images(first_row)
    loading = Loading(model, lora, max_length, backend, schedule.seed, vision)
    settings = {
        "data": [rows.sha256(path) for path in data_paths],
        "num_examples": count,
        "format": format,
        **loading.settings,
        **schedule.settings,
    }
    folder = OutputFolder(save_path, "sft", settings, overwrite)
    weights = f"a LoRA adapter of rank {lora.lora_rank}" if lora.lora_rank else "all weights"
    source = f"up to {count:,} conversations of {shown_path(data_path)}"
    if folder.announce(f"{weights} of {model.name} on {source}"):
        return
    policy.begin(backend, vision)
    if vision:
        examples, dropped = images.read(placed_rows, model, max_length)
    else:
        examples, dropped = encode_all(placed_rows, model, layout, max_length)
    if not examples:
        problem = f"every conversation is longer than --max_length {max_length}, or not complete"
        raise UserError(f"{data_path}: {problem}")
    folder.open()
    rows.write_lines(folder.part / loop.DROPPED, dropped)
    train(loading, schedule, folder, examples)
    losses = train_log.read_figure(Path(save_path), "loss")
    reasons = conversations.drop_reasons(dropped)
    counts = f"{len(examples):,} conversations, {len(dropped):,} dropped ({reasons})"
    first_loss, last_loss = losses[0], losses[-1]
    elapsed = clock(time.monotonic() - started)
    folder.done(f"{counts}, loss {first_loss:.3f} to {last_loss:.3f}, {elapsed}")
    trained_model = f"--model_path {save_path}"
    if lora.lora_rank:
        trained_model = f"--model_path {model_path} --adapter_path {save_path}"
    say(f"next: python exp/eval_tiny.py {trained_model} --save_path …, or exp/eval_gsm8k.py")


if __name__ == "__main__":
    cli.run(main)
