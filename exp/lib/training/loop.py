"""One training: try the memory first, resume from a checkpoint, halve the batch if memory ends."""

import importlib.util
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from lib.errors import UserError
from lib.output_folder import OutputFolder, mark_complete
from lib.progress import say
from lib.training import policy, train_log

GIB = 1024**3
DROPPED = "dropped.jsonl"
REPORTS = ("none", "trackio", "tensorboard", "wandb")  # each takes its key from the environment


@dataclass(frozen=True)
class Schedule:
    """Flags of every trainer: how long it trains and how fast.

    `batch_size` sequences go through the model at once; `gradient_accumulation` times that make a
    step. `save_steps` and `report_to` change no weight.
    """

    learning_rate: float
    epochs: float = 1.0
    batch_size: int = 4
    gradient_accumulation: int = 4
    save_steps: int = 50
    report_to: str = "none"
    seed: int = 0

    def __post_init__(self):
        positive = ("learning_rate", "epochs", "batch_size", "gradient_accumulation", "save_steps")
        for flag in positive:
            if getattr(self, flag) <= 0:
                raise UserError(f"--{flag} must be positive")
        if self.report_to not in REPORTS:
            loggers = ", ".join(REPORTS[1:])
            raise UserError(f"--report_to {self.report_to}: none, or one of {loggers}")
        if self.report_to != "none" and not importlib.util.find_spec(self.report_to):
            advice = f"it is not installed; pip install {self.report_to}"
            raise UserError(f"--report_to {self.report_to}: {advice}")

    @property
    def settings(self) -> dict:
        """What of it changes the weights."""
        settings = asdict(self)
        del settings["save_steps"], settings["report_to"]
        return settings

    def arguments(self, batch_size: int, gradient_accumulation: int) -> dict:
        """The arguments that every trainer here is given.

        They are linear decay after a short warm-up, a log line for each step, and two checkpoints
        kept.
        """
        import torch

        has_gpu = torch.cuda.is_available()
        return {
            "learning_rate": self.learning_rate,
            "num_train_epochs": self.epochs,
            "per_device_train_batch_size": batch_size,
            "gradient_accumulation_steps": gradient_accumulation,
            "lr_scheduler_type": "linear",
            "warmup_steps": 0.03,  # a share of all steps
            "optim": "adamw_torch",
            "weight_decay": 0.0,
            "max_grad_norm": 1.0,
            "bf16": has_gpu,
            "logging_steps": 1,
            "save_steps": self.save_steps,
            "save_total_limit": 2,
            "seed": self.seed,
            "data_seed": self.seed,
            "report_to": self.report_to,
            "disable_tqdm": True,
            "gradient_checkpointing": has_gpu,
        }


def run(
    folder: OutputFolder,
    schedule: Schedule,
    start: Callable[[int, int], tuple],
    largest_batch: Callable[..., dict],
) -> tuple:
    """Train to the end and return what `start` returned: (policy, trainer).

    `start(batch_size, gradient_accumulation)` loads both anew. `largest_batch(trainer, batch_size)`
    is the largest batch of inputs that can come; it goes through the model before the first step,
    so that memory ends now or not at all. If it ends, half the batch and twice the accumulation
    make the same steps. UserError if a batch that cannot be halved does not fit.
    """
    from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

    batch_size = schedule.batch_size
    gradient_accumulation = schedule.gradient_accumulation
    while True:
        trained = trainer = None
        try:
            trained, trainer = start(batch_size, gradient_accumulation)
            _train(folder, trainer, batch_size, largest_batch)
            return trained, trainer
        except RuntimeError as e:
            if not should_reduce_batch_size(e):
                raise
        if batch_size % 2:
            problem = f"out of memory with --batch_size {batch_size}, which cannot be halved"
            advice = "shorten --max_length, lower --lora_rank or use --load_in_4bit"
            raise UserError(f"{problem}; {advice}")
        del trained, trainer
        clear_device_cache(garbage_collection=True)
        batch_size //= 2
        gradient_accumulation *= 2
        flags = f"--batch_size {batch_size} --gradient_accumulation {gradient_accumulation}"
        say(f"out of memory: now {flags}, the same steps")


def _train(
    folder: OutputFolder, trainer, batch_size: int, largest_batch: Callable[..., dict]
) -> None:
    """Train from the newest complete checkpoint, or from the beginning."""
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)  # it prints every log line, which train_log does
    trainer.add_callback(_checkpoint_marker())
    trainer.add_callback(_memory_trial(trainer, batch_size, largest_batch))
    checkpoint = folder.checkpoint()
    if checkpoint is None:
        trainer.train()
        return
    trainer.add_callback(_adapter_restorer(checkpoint))
    say(f"goes on from {checkpoint.name}")
    trainer.train(resume_from_checkpoint=str(checkpoint))


def longest_examples(trainer, batch_size: int) -> dict:
    """The largest batch of a data set whose longest examples come last."""
    examples = trainer.train_dataset
    first_of_batch = max(0, len(examples) - batch_size)
    longest = [examples[number] for number in range(first_of_batch, len(examples))]
    return trainer.data_collator(longest)


def finish(folder: OutputFolder, trained: policy.Policy, keep: tuple[str, ...] = ()) -> None:
    """Make the finished folder of the trained weights, the log, and the files in `keep`."""
    folder.finish(lambda whole: policy.save(trained, whole), keep=(train_log.LOG, *keep))


def _checkpoint_marker():
    """A TrainerCallback that marks each checkpoint as complete once all of it is written."""
    from transformers import TrainerCallback

    class CheckpointMarker(TrainerCallback):
        def on_save(self, args, state, control, **kwargs):
            mark_complete(Path(args.output_dir, f"checkpoint-{state.global_step}"))

    return CheckpointMarker()


def _adapter_restorer(checkpoint: Path):
    """A TrainerCallback that loads the learned adapter of a checkpoint that also holds a reference.

    The reference lies in a folder of its own. transformers 5.17 loads only that one, and goes on
    from a learned adapter of zero without a word.
    """
    from transformers import TrainerCallback

    class AdapterRestorer(TrainerCallback):
        def on_train_begin(self, args, state, control, model=None, **kwargs):
            if (checkpoint / "ref").is_dir():
                model.load_adapter(str(checkpoint), "default", is_trainable=True)
                model.set_adapter("default")

    return AdapterRestorer()


def _memory_trial(trainer, batch_size: int, largest_batch: Callable[..., dict]):
    """A TrainerCallback that sends the largest batch forward and backward, and forgets it.

    It runs before the first step. The optimizer's two moments, which the first step will make, take
    their room meanwhile.
    """
    import torch
    from transformers import TrainerCallback

    class MemoryTrial(TrainerCallback):
        def on_train_begin(self, args, state, control, model=None, optimizer=None, **kwargs):
            # Where weights are sharded, a backward pass is a step of the engine that shards them.
            if args.distributed_state.distributed_type not in ("NO", "MULTI_GPU"):
                return
            moments = []
            if state.global_step == 0:
                for weights in model.parameters():
                    if weights.requires_grad:
                        moments += [torch.empty_like(weights), torch.empty_like(weights)]
            inputs = _to_device(largest_batch(trainer, batch_size), args.device)
            model.train()
            # As each step of the training does:
            trainer.current_gradient_accumulation_steps = args.gradient_accumulation_steps
            with trainer.compute_loss_context_manager():
                loss = trainer.compute_loss(model, inputs)
            trainer.accelerator.backward(loss)
            model.zero_grad(set_to_none=True)
            trainer._metrics["train"].clear()  # they are figures of no step
            if torch.cuda.is_available():
                used_gib = torch.cuda.max_memory_allocated() / GIB
                total_gib = torch.cuda.get_device_properties(0).total_memory / GIB
                say(f"the largest batch takes {used_gib:.1f} of {total_gib:.0f} GiB")
            del moments

    return MemoryTrial()


def _to_device(inputs: dict, device) -> dict:
    """The inputs with their tensors on the device; a batch also holds plain numbers and texts."""
    moved_inputs = {}
    for input_name, value in inputs.items():
        is_tensor = hasattr(value, "to")
        moved_inputs[input_name] = value.to(device) if is_tensor else value
    return moved_inputs
