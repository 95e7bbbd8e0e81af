"""Improve a model by reinforcement learning (GRPO): it answers, the answers are paid for, and what paid becomes likelier.

in    train.json             question, answer (from prep_gsm8k, prep_limo or prep_tiny)
out   models/grpo/           the adapter or the model, its tokenizer, settings.json, train_log.jsonl
      python exp/grpo.py --config configs/grpo/tiny.yaml --model_path data/models/tiny --data_path data/tiny/train.json \\
          --save_path models/grpo

Shao et al. 2024, arXiv 2402.03300. --rewards names what is paid and how much, as in lib/rewards; a set that pays a
cheat more than an honest answer is refused by the reward lint, unless --unsafe_rewards. A collapse (answers too short, groups all
alike, an adapter that stays zero, KL too large) stops the run with a checkpoint and the reason.
"""

import time
from dataclasses import replace
from pathlib import Path

from lib import cli, models, progress, rows
from lib.errors import UserError
from lib.grading import formats
from lib.output_folder import OutputFolder
from lib.progress import say
from lib.rewards import lint
from lib.rewards import registry as known_rewards
from lib.training import conversations, loop, policy, train_log

GPU_SHARE = 0.8  # of the GPU's memory is vLLM's when it samples beside the training, as in the seed


def prompts(
    placed: list, tokenizer: object, layout: formats.Format, typed: str | None, room: int
) -> tuple[list[dict], int]:
    """(rows with prompt and answer for the trainer, how many were left out for being longer than `room` tokens).

    The system prompt is the typed one, else the row's own, else the format's.
    """
    from lib import chat

    kept = []
    for place, row in placed:
        said = row.get("system_prompt", layout.system_prompt) if typed is None else typed
        asked = [{"role": "system", "content": said}] if said else []
        asked.append({"role": "user", "content": row["question"]})
        if len(chat.encode(tokenizer, chat.render(tokenizer, asked))) <= room:
            kept.append({"prompt": asked, "answer": conversations.final_answer(place, row)})
    return kept, len(placed) - len(kept)


def full_batch(batch_size: int, prompt: int, completion: int) -> dict:
    """A batch for GRPO's loss in which every prompt and completion has its full length, in tokens, and is worth nothing."""
    import torch

    inputs = {
        "advantages": torch.zeros(batch_size),
        "num_items_in_batch": torch.tensor(batch_size * completion),
    }
    for name, length in (("prompt", prompt), ("completion", completion)):
        inputs |= {
            f"{name}_{what}": torch.ones(batch_size, length, dtype=torch.long)
            for what in ("ids", "mask")
        }
    per_token = ("old_per_token_logps", "ref_per_token_logps")
    return inputs | {name: torch.zeros(batch_size, completion) for name in per_token}


def sampler(vllm: str, how: policy.Loading) -> dict:
    """Who samples, in GRPOConfig's words: the trained model itself, vLLM beside it on the GPU, or the server at an address."""
    import torch

    if vllm == "auto":  # unsloth shares a LoRA policy's weights with vLLM, and no others
        shares = how.lora_rank or policy.chosen(how.backend) == "hf"
        vllm = "colocate" if torch.cuda.is_available() and shares else "none"
    if vllm == "none":
        return {"use_vllm": False}
    if vllm == "colocate":
        return {"use_vllm": True, "vllm_mode": "colocate", "vllm_gpu_memory_utilization": GPU_SHARE}
    return {"use_vllm": True, "vllm_mode": "server", "vllm_server_base_url": vllm}


def reward_functions(spec: list, layout: formats.Format, longest: int, marks: bool) -> list:
    """The rewards as TRL calls them: chats and columns in, a float a completion out."""

    def function(name: str, score) -> object:
        def pay(
            completions: list, answer: list[str], completion_ids: list, **columns: object
        ) -> list[float]:
            texts = [c[0]["content"] for c in completions]
            truncated = [len(ids) >= longest for ids in completion_ids]
            paid = score(texts, golds=answer, layout=layout, truncated=truncated)
            if marks and name == "answer":
                fits = [layout.fits(text) for text in texts]
                say(
                    "".join(
                        "✔" if p > 0 else "★" if f else "✗" for p, f in zip(paid, fits, strict=True)
                    )
                )
            return paid

        pay.__name__ = name  # the name of its column in the log
        return pay

    return [function(name, score) for name, _, score in spec]


def main(
    model_path: str,
    data_path: str,
    save_path: str,
    rewards: str = "format_exact=1,answer=1",
    format: str = "reasoning",
    system_prompt: str | None = None,
    num_examples: int | None = None,
    adapter_path: str = "",
    learning_rate: float = 5e-6,
    epochs: float = 1.0,
    max_steps: int = -1,
    batch_size: int = 4,
    gradient_accumulation: int = 8,
    num_generations: int = 4,
    max_prompt_length: int = 512,
    max_completion_length: int = 1024,
    temperature: float = 1.0,
    beta: float = 0.0,
    lora_rank: int = 64,
    lora_alpha: int = 128,
    lora_targets: str = policy.ALL_LINEAR,
    load_in_4bit: bool = False,
    backend: str = "auto",
    min_length: int = 4,
    max_zero_variance: float = 0.98,
    max_kl: float = 10.0,
    vllm: str = "auto",
    show_marks: bool = False,
    unsafe_rewards: bool = False,
    save_steps: int = 50,
    report_to: str = "none",
    seed: int = 0,
    overwrite: bool = False,
):
    spec, layout = known_rewards.find(rewards), formats.find(format)
    if findings := lint.lint(spec, layout):
        if not unsafe_rewards:
            raise UserError(f"--rewards {rewards}: {findings[0]}; exp/check_rewards.py shows all {len(findings)}; "
                                "--unsafe_rewards trains with it all the same")  # fmt: skip
        say(f"the reward lint has {len(findings)} findings, the first: {findings[0]}")
    if vllm not in ("auto", "none", "colocate") and not vllm.startswith("http"):
        raise UserError(
            f"--vllm {vllm}: auto, none, colocate, or the address of a server that `trl vllm-serve` started"
        )
    if num_generations < 2:
        raise UserError(
            f"--num_generations {num_generations}: a group of one has nothing to be compared with"
        )
    if batch_size * gradient_accumulation % num_generations:
        raise UserError(f"--batch_size {batch_size} times --gradient_accumulation {gradient_accumulation} is not a multiple "
                            f"of --num_generations {num_generations}")  # fmt: skip
    model = models.find(model_path, adapter_path)
    length = max_prompt_length + max_completion_length
    how = policy.Loading(model, backend, lora_rank, lora_alpha, lora_targets, max_length=length, load_in_4bit=load_in_4bit,
                         seed=seed)  # fmt: skip
    schedule = loop.Schedule(
        learning_rate, epochs, batch_size, gradient_accumulation, save_steps, report_to, seed
    )
    settings = {"data": rows.sha256(data_path), "num_examples": num_examples, "format": format, "rewards": rewards,
                "system_prompt": system_prompt, "max_steps": max_steps, "beta": beta, "num_generations": num_generations,
                "max_prompt_length": max_prompt_length, "max_completion_length": max_completion_length,
                "temperature": temperature, **how.settings, **schedule.settings}  # fmt: skip
    folder, began = OutputFolder(save_path, "grpo", settings, overwrite), time.monotonic()
    if folder.finished:
        say(f"{save_path} is finished; nothing to do")
        return
    say(
        f"{num_generations} answers to each question of {data_path} by {model.name}, paid {rewards} -> {save_path}"
    )
    placed = rows.read_placed(data_path, need=("question", "answer"))[:num_examples]
    policy.begin(backend)
    from lib import chat

    asked, long = prompts(
        placed, chat.load_tokenizer(model.path), layout, system_prompt, max_prompt_length
    )
    if not asked:
        raise UserError(
            f"{data_path}: every question is longer than --max_prompt_length {max_prompt_length} tokens"
        )
    if long:
        say(f"{long:,} questions longer than {max_prompt_length} tokens are left out")
    folder.open()
    shown = ("reward", *(f"rewards/{name}/mean" for name, _, _ in spec), *train_log.GRPO)
    signs = train_log.callback(
        folder.part, shown, train_log.Bounds(min_length, max_zero_variance, max_kl)
    )
    more = {"num_generations": num_generations, "max_completion_length": max_completion_length, "temperature": temperature,
            "beta": beta, "max_steps": max_steps, "lr_scheduler_type": "constant_with_warmup",
            "reward_weights": [w for _, w, _ in spec]}  # fmt: skip
    pay = reward_functions(spec, layout, max_completion_length, show_marks)

    def start(batch_size: int, gradient_accumulation: int) -> tuple:
        sampled = sampler(vllm, how)
        trained = policy.load(replace(how, fast_inference=sampled.get("vllm_mode") == "colocate"))
        from datasets import Dataset
        from trl import GRPOConfig, GRPOTrainer

        config = GRPOConfig(
            output_dir=str(folder.part),
            **schedule.arguments(batch_size, gradient_accumulation) | more | sampled,
        )
        return trained, GRPOTrainer(model=trained.model, processing_class=trained.tokenizer, args=config, reward_funcs=pay,
                                    train_dataset=Dataset.from_list(asked), callbacks=[signs])  # fmt: skip

    def largest(trainer: object, batch_size: int) -> dict:
        return full_batch(batch_size, max_prompt_length, max_completion_length)

    trained, trainer = loop.run(folder, schedule, start, largest)
    if signs.why:
        raise UserError(
            f"stopped at step {trainer.state.global_step}: {signs.why}; its checkpoint is in {folder.part}"
        )
    folder.finish(lambda whole: policy.save(trained, whole), keep=(train_log.LOG,))
    paid = [step["reward"] for step in train_log.read(Path(save_path)) if "reward" in step]
    ends = [sum(part) / len(part) for part in (paid[:10], paid[-10:])]
    say(f"wrote {save_path}: {len(paid):,} steps, reward {ends[0]:.3f} to {ends[1]:.3f} (first and last ten), "
            f"{progress.clock(time.monotonic() - began)}")  # fmt: skip


if __name__ == "__main__":
    cli.run(main)
