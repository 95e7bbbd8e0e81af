"""Improve a model by reinforcement learning (GRPO): answers that pay more become likelier.

in    train.json             question, answer (from prep_gsm8k, prep_limo or prep_tiny)
out   models/grpo/           the adapter or the model, its tokenizer, settings.json, train_log.jsonl
      python exp/grpo.py --config configs/grpo/tiny.yaml --model_path data/models/tiny \\
          --data_path data/tiny/train.json --save_path models/grpo

Shao et al. 2024, arXiv 2402.03300. --rewards names what is paid and how much, as in lib/rewards. A
set that pays a cheat more than an honest answer is refused by the reward lint, unless
--unsafe_rewards. A collapse (answers too short, groups all alike, an adapter that stays zero, KL
too large) stops the run with a checkpoint and the reason.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lib import chat, cli, models, rows
from lib.errors import UserError
from lib.grading import formats
from lib.inference.requests import user_turn
from lib.output_folder import OutputFolder
from lib.progress import clock, say, shown_path
from lib.rewards import lint, registry
from lib.rewards.batch import Batch
from lib.rewards.registry import WeightedReward
from lib.training import conversations, loop, policy, train_log
from lib.training.collapse import Bounds
from lib.training.loop import Schedule
from lib.training.policy import Loading, Lora

VLLM = ("auto", "none", "colocate")  # or a server's address


@dataclass(frozen=True)
class Groups:
    """How each question is answered while training: a group of samples; lengths in tokens."""

    num_generations: int = 4
    max_prompt_length: int = 512
    max_completion_length: int = 1024
    temperature: float = 1.0

    def __post_init__(self):
        if self.num_generations < 2:
            problem = "a group of one has nothing to be compared with"
            raise UserError(f"--num_generations {self.num_generations}: {problem}")


def check_rewards(
    rewards: str, weighted: list[WeightedReward], layout: formats.Format, unsafe_rewards: bool
) -> None:
    """UserError if the lint finds a cheat that pays; with `unsafe_rewards` only a line."""
    findings = lint.findings(weighted, layout)
    if not findings:
        return
    if not unsafe_rewards:
        advice = f"exp/check_rewards.py shows all {len(findings)}"
        override = "--unsafe_rewards trains with it all the same"
        raise UserError(f"--rewards {rewards}: {findings[0]}; {advice}; {override}")
    say(f"the reward lint has {len(findings)} findings, the first: {findings[0]}")


def check_sampling(vllm: str, groups: Groups, schedule: Schedule) -> None:
    """UserError for an unknown sampler, and for steps that do not hold whole groups."""
    if vllm not in VLLM and not vllm.startswith("http"):
        choices = "auto, none, colocate, or the address of a server that `trl vllm-serve` started"
        raise UserError(f"--vllm {vllm}: {choices}")
    samples_a_step = schedule.batch_size * schedule.gradient_accumulation
    if samples_a_step % groups.num_generations:
        batch_size = f"--batch_size {schedule.batch_size}"
        accumulation = f"--gradient_accumulation {schedule.gradient_accumulation}"
        multiple = f"a multiple of --num_generations {groups.num_generations}"
        raise UserError(f"{batch_size} times {accumulation} is not {multiple}")


def make_prompts(
    placed_rows: list[tuple[str, dict]],
    tokenizer,
    layout: formats.Format,
    system_prompt: str | None,
    max_prompt_length: int,
) -> list[dict]:
    """The rows for the trainer, prompt and answer; prompts that are too long are left out.

    The system prompt is the typed one, else the row's own, else the format's.
    """
    prompts = []
    for row_place, row in placed_rows:
        row_system_prompt = system_prompt
        if system_prompt is None:
            row_system_prompt = row.get("system_prompt", layout.system_prompt)
        messages = []
        if row_system_prompt:
            messages.append({"role": "system", "content": row_system_prompt})
        messages += user_turn(row["question"])
        token_ids = chat.encode(tokenizer, chat.render(tokenizer, messages))
        if len(token_ids) <= max_prompt_length:
            answer = conversations.final_answer(row_place, row)
            prompts.append({"prompt": messages, "answer": answer})
    return prompts


def full_batch(batch_size: int, prompt_length: int, completion_length: int) -> dict:
    """A batch for GRPO's loss, worth nothing, of prompts and completions of so many tokens."""
    import torch

    inputs = {
        "advantages": torch.zeros(batch_size),
        "num_items_in_batch": torch.tensor(batch_size * completion_length),
    }
    for part, length in (("prompt", prompt_length), ("completion", completion_length)):
        inputs[f"{part}_ids"] = torch.ones(batch_size, length, dtype=torch.long)
        inputs[f"{part}_mask"] = torch.ones(batch_size, length, dtype=torch.long)
    for log_probs in ("old_per_token_logps", "ref_per_token_logps"):
        inputs[log_probs] = torch.zeros(batch_size, completion_length)
    return inputs


def sampler_arguments(vllm: str, loading: Loading) -> dict:
    """Who samples, as arguments of GRPOConfig.

    It is the trained model itself, vLLM beside it on the GPU, or the server at an address.
    """
    import torch

    if vllm == "auto":
        # Beside unsloth vLLM can share the weights of a LoRA policy, and no others.
        is_hf = policy.choose_backend(loading.backend) == "hf"
        can_share = loading.lora.lora_rank or is_hf
        vllm = "colocate" if torch.cuda.is_available() and can_share else "none"
    if vllm == "none":
        return {"use_vllm": False}
    if vllm == "colocate":
        share = policy.VLLM_MEMORY_SHARE
        return {"use_vllm": True, "vllm_mode": "colocate", "vllm_gpu_memory_utilization": share}
    return {"use_vllm": True, "vllm_mode": "server", "vllm_server_base_url": vllm}


def trl_reward(
    reward: WeightedReward, layout: formats.Format, groups: Groups, show_marks: bool
) -> Callable[..., list[float]]:
    """A reward as TRL calls it: chats and columns in, a float a completion out.

    TRL passes the completions of a prompt one after the other, and whole groups to each process:
    --batch_size times --gradient_accumulation is a multiple of --num_generations.
    """

    def pay(completions: list, answer: list[str], completion_ids: list, **columns) -> list[float]:
        texts, tokens, truncated, group_numbers = [], [], [], []
        samples = zip(completions, completion_ids, strict=True)
        for number, (completion, token_ids) in enumerate(samples):
            texts.append(completion[0]["content"])
            tokens.append(len(token_ids))
            truncated.append(len(token_ids) >= groups.max_completion_length)
            group_numbers.append(number // groups.num_generations)
        batch = Batch(
            texts=texts,
            golds=answer,
            layout=layout,
            truncated=truncated,
            tokens=tokens,
            groups=group_numbers,
        )
        paid = reward.pay(batch)
        if show_marks and reward.name == "answer":
            say(marks_of(batch, paid))
        return paid

    pay.__name__ = reward.name  # the name of its column in the log
    return pay


def marks_of(batch: Batch, paid: list[float]) -> str:
    """A mark for each completion: ✔ right, ★ wrong but laid out as asked, ✗ neither."""
    marks = ""
    for completion_text, payment in zip(batch.texts, paid, strict=True):
        if payment > 0:
            marks += "✔"
        elif batch.layout.fits(completion_text):
            marks += "★"
        else:
            marks += "✗"
    return marks


def main(
    model_path: str,
    data_path: str,
    save_path: str,
    rewards: str = "format_exact=1,answer=1",
    format: str = "reasoning",
    system_prompt: str | None = None,
    num_examples: int | None = None,
    adapter_path: str = "",
    max_steps: int = -1,
    beta: float = 0.0,
    groups: Groups = Groups(),
    lora: Lora = Lora(),
    backend: str = "auto",
    schedule: Schedule = Schedule(learning_rate=5e-6, gradient_accumulation=8),
    bounds: Bounds = Bounds(),
    vllm: str = "auto",
    show_marks: bool = False,
    unsafe_rewards: bool = False,
    overwrite: bool = False,
):
    started = time.monotonic()
    weighted_rewards = registry.parse(rewards)
    layout = formats.find(format)
    check_rewards(rewards, weighted_rewards, layout, unsafe_rewards)
    check_sampling(vllm, groups, schedule)
    model = models.find(model_path, adapter_path)
    max_length = groups.max_prompt_length + groups.max_completion_length
    loading = Loading(model, lora, max_length, backend, schedule.seed)
    settings = {
        "data": rows.sha256(data_path),
        "num_examples": num_examples,
        "format": format,
        "rewards": rewards,
        "system_prompt": system_prompt,
        "max_steps": max_steps,
        "beta": beta,
        **asdict(groups),
        **loading.settings,
        **schedule.settings,
    }
    folder = OutputFolder(save_path, "grpo", settings, overwrite)
    questions = f"each question of {shown_path(data_path)}"
    samples = f"{groups.num_generations} answers to {questions} by {model.name}"
    if folder.announce(f"{samples}, paid {rewards}"):
        return
    placed_rows = rows.read_placed(data_path, need=("question", "answer"))[:num_examples]
    policy.begin(backend)
    tokenizer = chat.load_tokenizer(model.path)
    prompts = make_prompts(placed_rows, tokenizer, layout, system_prompt, groups.max_prompt_length)
    if not prompts:
        limit = f"--max_prompt_length {groups.max_prompt_length} tokens"
        raise UserError(f"{data_path}: every question is longer than {limit}")
    too_long = len(placed_rows) - len(prompts)
    if too_long:
        limit = f"longer than {groups.max_prompt_length} tokens"
        say(f"{too_long:,} questions {limit} are left out")
    folder.open()
    reward_functions, weights, reward_means = [], [], []
    for reward in weighted_rewards:
        reward_functions.append(trl_reward(reward, layout, groups, show_marks))
        weights.append(reward.weight)
        reward_means.append(f"rewards/{reward.name}/mean")
    shown_figures = ("reward", *reward_means, *train_log.SHOWN_BY_GRPO)
    log = train_log.callback(folder.part, shown_figures, bounds)

    def start(batch_size: int, gradient_accumulation: int) -> tuple:
        sampler = sampler_arguments(vllm, loading)
        beside_vllm = sampler.get("vllm_mode") == "colocate"
        trained = policy.load(replace(loading, fast_inference=beside_vllm))
        from datasets import Dataset
        from trl import GRPOConfig, GRPOTrainer

        arguments = schedule.arguments(batch_size, gradient_accumulation)
        arguments["lr_scheduler_type"] = "constant_with_warmup"
        config = GRPOConfig(
            output_dir=str(folder.part),
            num_generations=groups.num_generations,
            max_completion_length=groups.max_completion_length,
            temperature=groups.temperature,
            beta=beta,
            max_steps=max_steps,
            reward_weights=weights,
            **arguments,
            **sampler,
        )
        trainer = GRPOTrainer(
            model=trained.model,
            processing_class=trained.tokenizer,
            args=config,
            reward_funcs=reward_functions,
            train_dataset=Dataset.from_list(prompts),
            callbacks=[log],
        )
        return trained, trainer

    def largest_batch(trainer, batch_size: int) -> dict:
        return full_batch(batch_size, groups.max_prompt_length, groups.max_completion_length)

    trained, trainer = loop.run(folder, schedule, start, largest_batch)
    if log.collapse:
        stop = f"stopped at step {trainer.state.global_step}: {log.collapse}"
        raise UserError(f"{stop}; its checkpoint is in {folder.part}")
    loop.finish(folder, trained)
    mean_rewards = train_log.read_figure(Path(save_path), "reward")
    first_reward = statistics.mean(mean_rewards[:10])
    last_reward = statistics.mean(mean_rewards[-10:])
    change = f"reward {first_reward:.3f} to {last_reward:.3f} (first and last ten)"
    elapsed = clock(time.monotonic() - started)
    folder.done(f"{len(mean_rewards):,} steps, {change}, {elapsed}")


if __name__ == "__main__":
    cli.run(main)
