"""Improve a model by preference pairs (DPO): what was chosen becomes likelier than what was rejected.

in    pairs.jsonl            prompt, chosen, rejected: messages each (from prep_pairs)
out   models/dpo/            the adapter or the model, its tokenizer, settings.json, train_log.jsonl, dropped.jsonl
      python exp/dpo.py --config configs/dpo/tiny.yaml --model_path data/models/tiny --data_path data/demo/refined/pairs.jsonl \\
          --save_path data/models/dpo

Rafailov et al. 2023, arXiv 2305.18290; --beta holds it near the model that it started from. A pair with a side of more than
--max_length tokens is dropped and counted, never cut.
"""

import time
from pathlib import Path

from lib import cli, models, progress, rows
from lib.errors import UserError
from lib.output_folder import OutputFolder
from lib.progress import say
from lib.training import conversations, loop, policy, train_log

SHOWN = (
    "loss",
    "rewards/accuracies",
    "rewards/margins",
    "logps/chosen",
    "logps/rejected",
    "grad_norm",
    *train_log.PACE,
)
SIDES = ("chosen", "rejected")


def fitting(
    placed: list[tuple[str, dict]], model: models.Model, max_length: int
) -> tuple[list[dict], list[dict]]:
    """(pairs, the longest last; dropped rows with `why`); UserError for a row of another shape."""
    reader, pairs, dropped = conversations.Reader(model), [], []
    for place, row in placed:
        if row["chosen"] == row["rejected"]:
            raise UserError(f"{place}: chosen and rejected are the same")
        asked = (
            row["prompt"]
            if isinstance(row["prompt"], list)
            else [{"role": "user", "content": row["prompt"]}]
        )
        talk = {"prompt": asked}
        for side in SIDES:
            talk[side] = (
                row[side]
                if isinstance(row[side], list)
                else [{"role": "assistant", "content": row[side]}]
            )
        tokens = max(
            len(reader.encode(place, {"messages": asked + talk[side]})[0]) for side in SIDES
        )
        if tokens > max_length:
            dropped.append({"why": f"too long: {tokens} tokens", **row})
        else:
            pairs.append((tokens, talk))
    return [talk for _, talk in sorted(pairs, key=lambda pair: pair[0])], dropped


def main(
    model_path: str,
    data_path: str,
    save_path: str,
    num_examples: int | None = None,
    adapter_path: str = "",
    beta: float = 0.1,
    learning_rate: float = 5e-6,
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
    if beta <= 0:
        raise UserError(
            f"--beta {beta}: over 0, as 0 would leave nothing of the model it started from"
        )
    model = models.find(model_path, adapter_path)
    how = policy.Loading(model, backend, lora_rank, lora_alpha, lora_targets, max_length=max_length, load_in_4bit=load_in_4bit,
                         seed=seed)  # fmt: skip
    schedule = loop.Schedule(
        learning_rate, epochs, batch_size, gradient_accumulation, save_steps, report_to, seed
    )
    settings = {
        "data": rows.sha256(data_path),
        "num_examples": num_examples,
        "beta": beta,
        **how.settings,
        **schedule.settings,
    }
    folder, began = OutputFolder(save_path, "dpo", settings, overwrite), time.monotonic()
    if folder.finished:
        say(f"{save_path} is finished; nothing to do")
        return
    say(
        f"what is chosen in the pairs of {data_path} over what is rejected, for {model.name} -> {save_path}"
    )
    policy.begin(backend)
    pairs, dropped = fitting(
        rows.read_placed(data_path, need=("prompt", *SIDES))[:num_examples], model, max_length
    )
    if not pairs:
        raise UserError(f"{data_path}: every pair is longer than --max_length {max_length} tokens")
    folder.open()
    rows.write_whole(
        folder.part / "dropped.jsonl", b"".join(rows.dumps(row) + b"\n" for row in dropped)
    )
    signs = train_log.callback(folder.part, SHOWN)

    def start(batch_size: int, gradient_accumulation: int) -> tuple:
        trained = policy.load(how)
        from datasets import Dataset, disable_progress_bars
        from trl import DPOConfig, DPOTrainer

        disable_progress_bars()
        # The start's log-probabilities are computed once, so that no second model stands in memory beside the one that learns.
        config = DPOConfig(output_dir=str(folder.part), beta=beta, max_length=None, precompute_ref_log_probs=True,
                           **schedule.arguments(batch_size, gradient_accumulation))  # fmt: skip
        return trained, DPOTrainer(model=trained.model, processing_class=trained.tokenizer, args=config, callbacks=[signs],
                                   train_dataset=Dataset.from_list(pairs))  # fmt: skip

    def largest(trainer: object, batch_size: int) -> dict:
        return trainer.data_collator(
            [trainer.train_dataset[k] for k in range(len(pairs))[-batch_size:]]
        )

    trained, _ = loop.run(folder, schedule, start, largest)
    folder.finish(lambda whole: policy.save(trained, whole), keep=(train_log.LOG, "dropped.jsonl"))
    margins = [
        step["rewards/margins"]
        for step in train_log.read(Path(save_path))
        if "rewards/margins" in step
    ]
    say(f"wrote {save_path}: {len(pairs):,} pairs, {len(dropped):,} dropped (too long), reward margin {margins[0]:.3f} to "
            f"{margins[-1]:.3f}, {progress.clock(time.monotonic() - began)}")  # fmt: skip


if __name__ == "__main__":
    cli.run(main)
