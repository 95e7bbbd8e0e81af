"""One training: memory tried first, resumed from the newest complete checkpoint, a batch halved where memory ends."""

import importlib.util
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from lib.errors import UserError
from lib.output_folder import OutputFolder, mark_complete
from lib.progress import say

GIB = 1024**3
REPORTS = ("none", "trackio", "tensorboard", "wandb")  # each takes its key from the environment


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: `batch_size` sequences go through the model at once, times `gradient_accumulation` make a step."""

    learning_rate: float
    epochs: float
    batch_size: int
    gradient_accumulation: int
    save_steps: int
    report_to: str
    seed: int

    def __post_init__(self):
        for name in (
            "learning_rate",
            "epochs",
            "batch_size",
            "gradient_accumulation",
            "save_steps",
        ):
            if getattr(self, name) <= 0:
                raise UserError(f"--{name} must be positive")
        if self.report_to not in REPORTS:
            raise UserError(
                f"--report_to {self.report_to}: none, or one of {', '.join(REPORTS[1:])}"
            )
        if self.report_to != "none" and not importlib.util.find_spec(self.report_to):
            raise UserError(
                f"--report_to {self.report_to}: it is not installed; pip install {self.report_to}"
            )

    @property
    def settings(self) -> dict:
        """What of it changes the weights."""
        return {k: v for k, v in asdict(self).items() if k not in ("save_steps", "report_to")}

    def arguments(self, batch_size: int, gradient_accumulation: int) -> dict:
        """What every trainer here is given: linear decay after a short warm-up, each step logged, two checkpoints kept."""
        import torch

        gpu = torch.cuda.is_available()
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
            "bf16": gpu,
            "logging_steps": 1,
            "save_steps": self.save_steps,
            "save_total_limit": 2,
            "seed": self.seed,
            "data_seed": self.seed,
            "report_to": self.report_to,
            "disable_tqdm": True,
            "gradient_checkpointing": gpu,
        }


def run(
    folder: OutputFolder,
    schedule: Schedule,
    start: Callable[[int, int], tuple],
    largest: Callable[[object, int], dict],
) -> tuple:
    """Train to the end and return what `start` returned: (policy, trainer).

    `start(batch_size, gradient_accumulation)` loads both anew; `largest(trainer, batch_size)` is the largest batch of inputs that
    can come: it goes through the model before the first step, so that memory ends now or not at all. Where it ends, half the
    batch and twice the accumulation make the same steps. UserError: a batch that cannot be halved does not fit.
    """
    from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
    from transformers import PrinterCallback

    batch_size, gradient_accumulation = schedule.batch_size, schedule.gradient_accumulation
    while True:
        trained = trainer = None
        try:
            trained, trainer = start(batch_size, gradient_accumulation)
            trainer.remove_callback(
                PrinterCallback
            )  # it prints every log line to stdout; vital_signs says what there is to say
            trainer.add_callback(_marker())
            trainer.add_callback(_prober(trainer, batch_size, largest))
            checkpoint = folder.checkpoint()
            if checkpoint:
                trainer.add_callback(_restorer(checkpoint))
                say(f"goes on from {checkpoint.name}")
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            return trained, trainer
        except RuntimeError as e:
            if not should_reduce_batch_size(e):
                raise
        if batch_size % 2:
            raise UserError(f"out of memory with --batch_size {batch_size}, which cannot be halved; shorten --max_length, "
                                "lower --lora_rank or use --load_in_4bit")  # fmt: skip
        del trained, trainer
        clear_device_cache(garbage_collection=True)
        batch_size, gradient_accumulation = batch_size // 2, gradient_accumulation * 2
        say(
            f"out of memory: now --batch_size {batch_size} --gradient_accumulation {gradient_accumulation}, the same steps"
        )


def _marker() -> object:
    """A TrainerCallback that marks each checkpoint as complete once all of it is written."""
    from transformers import TrainerCallback

    class MarksComplete(TrainerCallback):
        def on_save(self, args, state, control, **kwargs):
            mark_complete(Path(args.output_dir, f"checkpoint-{state.global_step}"))

    return MarksComplete()


def _restorer(checkpoint: Path) -> object:
    """A TrainerCallback that loads the learned adapter of a checkpoint that also holds a reference: transformers 5.17 loads only
    the reference then, which lies in a folder of its own, and goes on from zero without a word."""
    from transformers import TrainerCallback

    class LoadsLearnedAdapter(TrainerCallback):
        def on_train_begin(self, args, state, control, model=None, **kwargs):
            if (checkpoint / "ref").is_dir():
                model.load_adapter(str(checkpoint), "default", is_trainable=True)
                model.set_adapter("default")

    return LoadsLearnedAdapter()


def _prober(trainer: object, batch_size: int, largest: Callable[[object, int], dict]) -> object:
    """A TrainerCallback that sends the largest batch forward and backward before the first step, and forgets it.

    The optimizer's two moments, which the first step will make, take their room meanwhile.
    """
    import torch
    from transformers import TrainerCallback

    class TriesMemory(TrainerCallback):
        def on_train_begin(self, args, state, control, model=None, optimizer=None, **kwargs):
            if args.distributed_state.distributed_type not in (
                "NO",
                "MULTI_GPU",
            ):  # a sharded backward is a step of its engine
                return
            learned = [p for p in model.parameters() if p.requires_grad]
            moments = (
                []
                if state.global_step
                else [torch.empty_like(p) for p in learned for _ in range(2)]
            )
            inputs = {
                k: v.to(args.device) if hasattr(v, "to") else v
                for k, v in largest(trainer, batch_size).items()
            }
            model.train()
            trainer.current_gradient_accumulation_steps = (
                args.gradient_accumulation_steps
            )  # as each step of the loop does
            with trainer.compute_loss_context_manager():
                loss = trainer.compute_loss(model, inputs)
            trainer.accelerator.backward(loss)
            model.zero_grad(set_to_none=True)
            trainer._metrics["train"].clear()  # its figures are of no step
            if torch.cuda.is_available():
                most, of = (
                    torch.cuda.max_memory_allocated() / GIB,
                    torch.cuda.get_device_properties(0).total_memory / GIB,
                )
                say(f"the largest batch takes {most:.1f} of {of:.0f} GiB")
            del moments

    return TriesMemory()
