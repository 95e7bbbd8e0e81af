"""Improve a model by reinforcement learning (GRPO): it answers, the answers are paid for, and what paid becomes likelier.

in    train.json             question, answer (from prep_gsm8k, prep_limo or prep_tiny)
out   models/grpo/           the adapter or the model, its tokenizer, settings.json, train_log.jsonl
      python exp/grpo.py --config configs/grpo/tiny.yaml --model_path data/models/tiny --data_path data/tiny/train.json \\
          --save_path models/grpo

Shao et al. 2024, arXiv 2402.03300. --rewards names what is paid and how much, as in lib/rewards.py; a set that pays a
cheat more than an honest answer is refused by the reward lint, unless --unsafe_rewards. A collapse (answers too short, groups all
alike, an adapter that stays zero, KL too large) stops the run with a checkpoint and the reason.
"""

import time
from pathlib import Path

from lib import cli, formats, models, policy, progress, reward_lint, rows, vital_signs
from lib import rewards as known_rewards
from lib.model_folder import ModelFolder


def prompts(placed: list[tuple[str, dict]], tokenizer: object, system: str, room: int) -> tuple[list[dict], int]:
    """(rows with prompt and answer for the trainer, how many were left out for being longer than `room` tokens)."""
    from lib import chat

    kept = []
    for _, row in placed:
        said = row.get("system_prompt", system)
        asked = [{"role": "system", "content": said}] if said else []
        asked.append({"role": "user", "content": row["question"]})
        if len(chat.encode(tokenizer, chat.render(tokenizer, asked))) <= room:
            kept.append({"prompt": asked, "answer": str(row["answer"])})
    return kept, len(placed) - len(kept)


def reward_functions(spec: list, layout: formats.Format, longest: int, marks: bool) -> list:
    """The rewards as TRL calls them: chats and columns in, a float a completion out."""

    def function(name: str, score) -> object:
        def pay(completions: list, answer: list[str], completion_ids: list, **columns: object) -> list[float]:
            texts = [c[0]["content"] for c in completions]
            truncated = [len(ids) >= longest for ids in completion_ids]
            paid = score(texts, golds=answer, layout=layout, truncated=truncated)
            if marks and name == "answer":
                fits = [layout.fits(text) for text in texts]
                cli.say("".join("✔" if p > 0 else "★" if f else "✗" for p, f in zip(paid, fits, strict=True)))
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
    load_in_4bit: bool = False,
    backend: str = "auto",
    min_length: int = 4,
    max_zero_variance: float = 0.98,
    max_kl: float = 10.0,
    show_marks: bool = False,
    unsafe_rewards: bool = False,
    save_steps: int = 50,
    report_to: str = "none",
    seed: int = 0,
    overwrite: bool = False,
):
    spec, layout = known_rewards.find(rewards), formats.find(format)
    if findings := reward_lint.lint(spec, layout):
        if not unsafe_rewards:
            raise cli.UserError(f"--rewards {rewards}: {findings[0]}; exp/check_rewards.py shows all {len(findings)}; "
                                "--unsafe_rewards trains with it all the same")  # fmt: skip
        cli.say(f"the reward lint has {len(findings)} findings, the first: {findings[0]}")
    if num_generations < 2:
        raise cli.UserError(f"--num_generations {num_generations}: a group of one has nothing to be compared with")
    if batch_size * gradient_accumulation % num_generations:
        raise cli.UserError(f"--batch_size {batch_size} times --gradient_accumulation {gradient_accumulation} is not a multiple "
                            f"of --num_generations {num_generations}")  # fmt: skip
    model = models.find(model_path, adapter_path)
    length = max_prompt_length + max_completion_length
    how = policy.Loading(model, backend, lora_rank, lora_alpha, max_length=length, load_in_4bit=load_in_4bit, seed=seed)
    said = layout.system_prompt if system_prompt is None else system_prompt
    settings = {"model": models.identity(model), "data": rows.sha256(data_path), "num_examples": num_examples, "format": format,
                "rewards": rewards, "system_prompt": said, "learning_rate": learning_rate, "epochs": epochs,
                "max_steps": max_steps, "batch_size": batch_size, "gradient_accumulation": gradient_accumulation, "beta": beta,
                "num_generations": num_generations, "max_prompt_length": max_prompt_length, "temperature": temperature,
                "max_completion_length": max_completion_length, "lora_rank": lora_rank, "lora_alpha": lora_alpha,
                "load_in_4bit": load_in_4bit, "backend": policy.chosen(backend), "seed": seed}  # fmt: skip
    folder, began = ModelFolder(save_path, "grpo", settings, overwrite), time.monotonic()
    if folder.finished:
        cli.say(f"{save_path} is finished; nothing to do")
        return
    cli.say(f"{num_generations} answers to each question of {data_path} by {model.name}, paid {rewards} -> {save_path}")
    placed = rows.read_placed(data_path, need=("question", "answer"))[:num_examples]
    trained = policy.load(how)
    asked, long = prompts(placed, trained.tokenizer, said, max_prompt_length)
    if not asked:
        raise cli.UserError(f"{data_path}: every question is longer than --max_prompt_length {max_prompt_length} tokens")
    if long:
        cli.say(f"{long:,} questions longer than {max_prompt_length} tokens are left out")
    folder.open()
    bounds = vital_signs.Bounds(min_length, max_zero_variance, max_kl)
    shown = ("reward", *(f"rewards/{name}/mean" for name, _, _ in spec), *vital_signs.GRPO)
    signs = vital_signs.callback(folder.part, shown, bounds)
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    arguments = policy.training_arguments(learning_rate, epochs, batch_size, gradient_accumulation, save_steps, report_to, seed)
    arguments |= {"lr_scheduler_type": "constant_with_warmup", "max_steps": max_steps}
    config = GRPOConfig(output_dir=str(folder.part), num_generations=num_generations, max_completion_length=max_completion_length,
                        temperature=temperature, beta=beta, reward_weights=[w for _, w, _ in spec], use_vllm=False,
                        mask_truncated_completions=False, **arguments)  # fmt: skip
    pay = reward_functions(spec, layout, max_completion_length, show_marks)
    trainer = GRPOTrainer(model=trained.model, processing_class=trained.tokenizer, train_dataset=Dataset.from_list(asked),
                          args=config, reward_funcs=pay, callbacks=[signs, policy.marker()])  # fmt: skip
    policy.unprinted(trainer)
    checkpoint = folder.checkpoint()
    if checkpoint:
        cli.say(f"goes on from {checkpoint.name}")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if signs.why:
        raise cli.UserError(f"stopped at step {trainer.state.global_step}: {signs.why}; its checkpoint is in {folder.part}")
    folder.finish(lambda whole: policy.save(trained, whole), keep=(vital_signs.LOG,))
    paid = [step["reward"] for step in vital_signs.read(Path(save_path)) if "reward" in step]
    ends = [sum(part) / len(part) for part in (paid[:10], paid[-10:])]
    cli.say(f"wrote {save_path}: {len(paid):,} steps, reward {ends[0]:.3f} to {ends[1]:.3f} (first and last ten), "
            f"{progress.clock(time.monotonic() - began)}")  # fmt: skip


if __name__ == "__main__":
    cli.run(main)
