"""Improve a model by preference pairs (DPO): the chosen answer becomes likelier than the rejected.

in    pairs.jsonl            prompt, chosen, rejected: messages each (from prep_pairs)
out   models/dpo/            the adapter or the model, its tokenizer, settings.json,
                             train_log.jsonl, dropped.jsonl
      python exp/dpo.py --config configs/dpo/tiny.yaml --model_path data/models/tiny \\
          --data_path data/demo/refined/pairs.jsonl --save_path data/models/dpo

Rafailov et al. 2023, arXiv 2305.18290; --beta holds the model near the one that it started from. A
pair with a side of more than --max_length tokens is dropped and counted, never cut.
"""

import time
from pathlib import Path

from lib import cli, models, rows
from lib.errors import UserError
from lib.inference.requests import user_turn
from lib.output_folder import OutputFolder
from lib.progress import clock, shown_path
from lib.training import conversations, loop, policy, train_log
from lib.training.conversations import MeasuredRow
from lib.training.loop import Schedule
from lib.training.policy import Loading, Lora

SIDES = ("chosen", "rejected")
SHOWN = (
    "loss",
    "rewards/accuracies",
    "rewards/margins",
    "logps/chosen",
    "logps/rejected",
    "grad_norm",
    *train_log.PACE,
)


def messages_of(row_place: str, row: dict) -> dict:
    """The prompt, chosen and rejected of a row as messages; UserError if the sides are the same."""
    if row["chosen"] == row["rejected"]:
        raise UserError(f"{row_place}: chosen and rejected are the same")
    pair = {key: row[key] for key in ("prompt", *SIDES)}
    if not isinstance(pair["prompt"], list):
        pair["prompt"] = user_turn(pair["prompt"])
    for side in SIDES:
        if not isinstance(pair[side], list):
            pair[side] = conversations.assistant_turn(pair[side])
    return pair


def read_pairs(
    placed_rows: list[tuple[str, dict]], model: models.Model, max_length: int
) -> tuple[list[dict], list[dict]]:
    """(pairs, the longest last; rows that are too long).

    UserError for a row of another shape.
    """
    reader = conversations.Reader(model)
    measured_rows = []
    for row_place, row in placed_rows:
        pair = messages_of(row_place, row)
        longer_side = 0
        for side in SIDES:
            conversation = {"messages": pair["prompt"] + pair[side]}
            token_ids, _ = reader.encode(row_place, conversation)
            longer_side = max(longer_side, len(token_ids))
        measured_rows.append(MeasuredRow(row, pair, tokens=longer_side))
    return conversations.within_length(measured_rows, max_length)


def train(
    loading: Loading, schedule: Schedule, beta: float, folder: OutputFolder, pairs: list[dict]
) -> None:
    """Train on the pairs, and finish the folder."""
    log = train_log.callback(folder.part, SHOWN)

    def start(batch_size: int, gradient_accumulation: int) -> tuple:
        trained = policy.load(loading)
        from datasets import Dataset, disable_progress_bars
        from trl import DPOConfig, DPOTrainer

        disable_progress_bars()
        config = DPOConfig(
            output_dir=str(folder.part),
            beta=beta,
            max_length=None,
            # The start's log-probabilities are computed once, so that no second model stands in
            # memory beside the one that learns.
            precompute_ref_log_probs=True,
            **schedule.arguments(batch_size, gradient_accumulation),
        )
        trainer = DPOTrainer(
            model=trained.model,
            processing_class=trained.tokenizer,
            args=config,
            callbacks=[log],
            train_dataset=Dataset.from_list(pairs),
        )
        return trained, trainer

    trained, _ = loop.run(folder, schedule, start, loop.longest_examples)
    loop.finish(folder, trained, keep=(loop.DROPPED,))


def main(
    model_path: str,
    data_path: str,
    save_path: str,
    num_examples: int | None = None,
    adapter_path: str = "",
    beta: float = 0.1,
    max_length: int = 2048,
    lora: Lora = Lora(),
    backend: str = "auto",
    schedule: Schedule = Schedule(learning_rate=5e-6),
    overwrite: bool = False,
):
    started = time.monotonic()
    if beta <= 0:
        condition = "over 0, as 0 would leave nothing of the model it started from"
        raise UserError(f"--beta {beta}: {condition}")
    model = models.find(model_path, adapter_path)
    loading = Loading(model, lora, max_length, backend, schedule.seed)
    settings = {
        "data": rows.sha256(data_path),
        "num_examples": num_examples,
        "beta": beta,
        **loading.settings,
        **schedule.settings,
    }
    folder = OutputFolder(save_path, "dpo", settings, overwrite)
    sides = f"what is chosen in the pairs of {shown_path(data_path)} over what is rejected"
    if folder.announce(f"{sides}, for {model.name}"):
        return
    policy.begin(backend)
    placed_rows = rows.read_placed(data_path, need=("prompt", *SIDES))[:num_examples]
    pairs, dropped = read_pairs(placed_rows, model, max_length)
    if not pairs:
        raise UserError(f"{data_path}: every pair is longer than --max_length {max_length} tokens")
    folder.open()
    rows.write_lines(folder.part / loop.DROPPED, dropped)
    train(loading, schedule, beta, folder, pairs)
    margins = train_log.read_figure(Path(save_path), "rewards/margins")
    counts = f"{len(pairs):,} pairs, {len(dropped):,} dropped (too long)"
    first_margin, last_margin = margins[0], margins[-1]
    elapsed = clock(time.monotonic() - started)
    folder.done(f"{counts}, reward margin {first_margin:.3f} to {last_margin:.3f}, {elapsed}")


if __name__ == "__main__":
    cli.run(main)
