"""Make the embedded model: train the policy from scratch, or with --policy_path its reward model.

in    nothing for the policy: lib/tiny/problems makes its texts
      for the reward model the policy's folder
out   data/models/tiny/      a model of under 5 MB: config.json, model.safetensors, tokenizer, chat
                             template, settings.json, README.md with measured figures
      python exp/make_tiny.py --save_path data/models/tiny

The reward model: --policy_path data/models/tiny --save_path data/models/tiny-rm. On one core the
policy takes an hour, and the reward model half of one. A killed training of the policy goes on from
its last checkpoint in SAVE_PATH.part, with the same command; --overwrite begins again.
"""

import os
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from lib import cli, models
from lib.errors import UserError
from lib.grading import answers
from lib.output_folder import OutputFolder
from lib.progress import LOG_EVERY_S, say
from lib.tiny import card, optimizer, problems, recipe
from lib.tiny.problem_templates import TEMPLATES
from lib.tiny.problems import Problem

BLOCK = 1500  # documents drawn, sorted by length and batched together: about 25 steps
SAVE_EVERY = 2_000_000  # tokens between checkpoints, some five minutes
# The share of drills and the weight of the user's words. Arithmetic comes first; with .3 to the end
# half of the invented problems were ill posed.
EARLY_SHARE = 0.45  # of the tokens
EARLY_DRILL_SHARE, EARLY_QUESTION_WEIGHT = 0.45, 0.3
LATE_DRILL_SHARE, LATE_QUESTION_WEIGHT = 0.15, 0.6
# Ten evaluations in the second half; the last ones come at a low learning rate and mostly win.
FIRST_EVALUATION, EVALUATE_EVERY = 0.5, 0.05  # of the tokens

REWARD_MODEL_RATE = 0.2  # of the policy's learning rates
REWARD_MODEL_BATCH = 48  # chats
# Of the answers that the reward model learns from, for either half of the problems. Those that its
# card measures are sampled at the lower one.
SAMPLING_TEMPERATURES = (0.8, 1.0)
SYSTEM_PROMPT_EVERY = 4  # problems; the chats of the others have no system prompt

GradedChat = tuple[str, bool]  # a whole chat, and whether its answer is right


@dataclass(frozen=True)
class Plan:
    """How much is trained and measured: `tokens` and `dev_problems` for the policy only."""

    tokens: int = 21_000_000
    seed: int = 0
    dev_problems: int = 300
    fresh_problems: int = 600
    sampled_problems: int = 3000  # this and `epochs` for the reward model only
    epochs: int = 3


@dataclass
class TrainingState:
    """How far the policy's training is; with weights and moments it is all that a resume needs."""

    tokens: int = 0
    steps: int = 0
    blocks: int = 0
    seconds: float = 0.0
    saved_at: int = 0  # tokens at the last checkpoint
    evaluated_at: int = 0  # tokens at the last evaluation
    best_at: int = 0  # tokens at the best evaluation
    best_accuracy: float = -1.0


# The policy: from random weights, on documents that the generator never runs out of.


def train_policy(folder: OutputFolder, plan: Plan) -> None:
    """Train from scratch, then keep the weights that worked out most development problems."""
    import torch

    tokenizer = recipe.make_tokenizer(plan.seed)
    model = recipe.make_model(tokenizer, plan.seed)
    optimizers = optimizer.make_optimizers(model)
    folder.open()
    checkpoint_path = folder.part / "state.pt"
    best_path = folder.part / "best.pt"
    state = restore(checkpoint_path, model, optimizers)
    development = problems.development(plan.dev_problems, plan.seed)
    model.train()
    started = time.monotonic() - state.seconds
    logged_at = time.monotonic()
    logged_tokens = state.tokens
    while state.tokens < plan.tokens:
        loss = train_block(model, tokenizer, optimizers, state, plan)
        now = time.monotonic()
        state.seconds = now - started
        is_last = state.tokens >= plan.tokens
        if is_last or now - logged_at > LOG_EVERY_S:
            tokens_a_second = (state.tokens - logged_tokens) / (now - logged_at)
            say(progress_line(state.tokens, plan.tokens, tokens_a_second, loss))
            logged_at = now
            logged_tokens = state.tokens
        if is_last or evaluation_is_due(state, plan.tokens):
            accuracy = card.worked_accuracy(model, tokenizer, development)
            measure = f"of {len(development)} development problems right when worked out"
            say(f"{state.tokens:,} tokens: {accuracy:.3f} {measure}")
            keep_if_best(best_path, model, state, accuracy)
        if is_last or state.tokens - state.saved_at >= SAVE_EVERY:
            state.saved_at = state.tokens
            save_checkpoint(checkpoint_path, state, model, optimizers)
    best_weights = torch.load(best_path, weights_only=True)
    model.load_state_dict(best_weights)
    model.to(torch.bfloat16).float()  # measured as it is shipped
    readme = policy_readme(model, tokenizer, state, plan)
    finish(folder, model, tokenizer, readme)


def train_block(model, tokenizer, optimizers: list, state: TrainingState, plan: Plan) -> float:
    """Train on the next block of documents, or on as much of it as is left; the last loss."""
    block_seed = f"{plan.seed} {state.blocks}"
    if state.tokens < EARLY_SHARE * plan.tokens:
        drill_share, question_weight = EARLY_DRILL_SHARE, EARLY_QUESTION_WEIGHT
    else:
        drill_share, question_weight = LATE_DRILL_SHARE, LATE_QUESTION_WEIGHT
    documents = recipe.documents(BLOCK, block_seed, drill_share, question_weight)
    for ids, weights in optimizer.batches(tokenizer, documents, random.Random(block_seed)):
        progress = state.tokens / plan.tokens
        optimizer.set_learning_rates(optimizers, state.steps, progress)
        loss = optimizer.weighted_loss(model, ids, weights)
        optimizer.take_step(model, optimizers, loss)
        state.tokens += ids.numel()
        state.steps += 1
        if state.tokens >= plan.tokens:
            break
    state.blocks += 1
    return loss.item()


def evaluation_is_due(state: TrainingState, planned_tokens: int) -> bool:
    if state.tokens <= FIRST_EVALUATION * planned_tokens:
        return False
    tokens_since = state.tokens - state.evaluated_at
    return tokens_since > EVALUATE_EVERY * planned_tokens


def keep_if_best(best_path: Path, model, state: TrainingState, accuracy: float) -> None:
    """Note an evaluation, and store the weights if none before them did better."""
    state.evaluated_at = state.tokens
    if accuracy >= state.best_accuracy:
        state.best_accuracy = accuracy
        state.best_at = state.tokens
        store(best_path, model.state_dict())


def progress_line(tokens: int, planned_tokens: int, tokens_a_second: float, loss: float) -> str:
    tokens_left = max(0, planned_tokens - tokens)
    minutes_left = tokens_left / tokens_a_second / 60
    progress = f"{tokens:,}/{planned_tokens:,} tokens  {tokens_a_second:,.0f}/s"
    return f"{progress}  loss {loss:.3f}  eta {minutes_left:.0f}m"


def policy_readme(model, tokenizer, state: TrainingState, plan: Plan) -> str:
    """The policy's model card, with figures that are measured now."""
    import torch

    invented = plan.fresh_problems // 3
    flags = f"--save_path data/models/tiny --tokens {plan.tokens} --seed {plan.seed}"
    facts = {
        "command": f"python exp/make_tiny.py {flags}",
        "million_parameters": model.num_parameters() / 1e6,
        "seed": plan.seed,
        "trained_tokens": state.tokens,
        "minutes": state.seconds / 60,
        "threads": torch.get_num_threads(),
        "best_at": state.best_at,
        "best_accuracy": state.best_accuracy,
        "dev_problems": plan.dev_problems,
        "invented": invented,
        "templates": len(TEMPLATES),
    }
    solving = card.measure_solving(model, tokenizer, plan.fresh_problems, plan.seed)
    inventing = {}
    for temperature in (1.0, 0.9):
        shares = card.measure_inventing(model, tokenizer, invented, temperature, plan.seed)
        inventing[temperature] = shares
    return card.policy_card(facts, solving, inventing)


def save_checkpoint(path: Path, state: TrainingState, model, optimizers: list) -> None:
    checkpoint = {
        "state": asdict(state),
        "model": model.state_dict(),
        "optimizers": [one_optimizer.state_dict() for one_optimizer in optimizers],
    }
    store(path, checkpoint)


def restore(path: Path, model, optimizers: list) -> TrainingState:
    """The state of an earlier session, a new one if there was none.

    The weights and moments go into `model` and `optimizers`.
    """
    import torch

    if not path.exists():
        return TrainingState()
    checkpoint = torch.load(path, weights_only=True)
    model.load_state_dict(checkpoint["model"])
    for one_optimizer, moments in zip(optimizers, checkpoint["optimizers"], strict=True):
        one_optimizer.load_state_dict(moments)
    state = TrainingState(**checkpoint["state"])
    say(f"goes on at {state.tokens:,} tokens")
    return state


def store(path: Path, tensors: dict) -> None:
    """As torch.save, but a kill leaves the file that was there before."""
    import torch

    new_path = f"{path}.new"
    torch.save(tensors, new_path)
    os.replace(new_path, path)


# The reward model: from the policy's weights, on answers that the policy gave.


def train_reward_model(folder: OutputFolder, policy_path: str, plan: Plan) -> None:
    """Train the policy's weights, with one output on the last token, to tell right from wrong."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(policy_path)
    policy = AutoModelForCausalLM.from_pretrained(policy_path, dtype=torch.float32)
    folder.open()
    started = time.monotonic()
    torch.manual_seed(plan.seed)
    reward_model = AutoModelForSequenceClassification.from_pretrained(
        policy_path, num_labels=1, dtype=torch.float32
    )
    torch.nn.init.zeros_(reward_model.score.weight)  # starts without an opinion
    chats = sample_graded_chats(policy, tokenizer, plan.sampled_problems, plan.seed)
    sampling_seconds = time.monotonic() - started
    say(f"{len(chats):,} answers sampled, {sampling_seconds:.0f}s")
    learn_from_chats(reward_model, tokenizer, chats, plan)
    right_count = sum(is_right for _, is_right in chats)
    seconds = time.monotonic() - started
    flags = f"--policy_path data/models/tiny --save_path data/models/tiny-rm --seed {plan.seed}"
    facts = {
        "command": f"python exp/make_tiny.py {flags}",
        "epochs": plan.epochs,
        "samples": len(chats),
        "sampled_problems": plan.sampled_problems,
        "right_share": right_count / len(chats),
        "minutes": seconds / 60,
        "threads": torch.get_num_threads(),
    }
    fresh_problems = plan.fresh_problems // 2
    ranking = card.measure_ranking(policy, reward_model, tokenizer, fresh_problems, plan.seed)
    say(f"of {fresh_problems} fresh problems right: {ranking}")
    readme = card.reward_model_card(facts, ranking)
    finish(folder, reward_model, tokenizer, readme)


def learn_from_chats(reward_model, tokenizer, chats: list[GradedChat], plan: Plan) -> None:
    """Train the reward model on all chats, as often as the plan says."""
    optimizers = optimizer.make_optimizers(reward_model)
    reward_model.train()
    steps = 0
    logged_at = time.monotonic()
    for epoch in range(plan.epochs):
        batches = batches_by_length(chats, random.Random(f"{plan.seed} {epoch}"))
        for number, batch in enumerate(batches):
            progress = (epoch + number / len(batches)) / plan.epochs
            optimizer.set_learning_rates(optimizers, steps, progress, REWARD_MODEL_RATE)
            loss = right_or_wrong_loss(reward_model, tokenizer, batch)
            optimizer.take_step(reward_model, optimizers, loss)
            steps += 1
            now = time.monotonic()
            if now - logged_at > LOG_EVERY_S:
                logged_at = now
                epochs = f"epoch {epoch + 1}/{plan.epochs}"
                say(f"{epochs}  {number}/{len(batches)} steps  loss {loss.item():.3f}")


def sample_graded_chats(policy, tokenizer, count: int, seed: int) -> list[GradedChat]:
    """Whole chats with the policy's answers to training problems, and whether each is right.

    The second half of the problems is answered at a higher temperature.
    """
    asked_problems = problems.training(count, f"reward {seed}")
    middle = count // 2
    halves = (asked_problems[:middle], asked_problems[middle:])
    chats = []
    for half, temperature in zip(halves, SAMPLING_TEMPERATURES, strict=True):
        chats += grade_samples(policy, tokenizer, half, temperature, seed)
    return chats


def grade_samples(
    policy, tokenizer, asked_problems: list[Problem], temperature: float, seed: int
) -> list[GradedChat]:
    """As `sample_graded_chats`: the distinct ones of seven answers to each problem."""
    prompts = [recipe.before_answer(problem.question) for problem in asked_problems]
    samples = card.complete(policy, tokenizer, prompts, temperature, seed, card.CANDIDATES)
    chats = []
    for number, problem in enumerate(asked_problems):
        # A reward model is mostly shown a chat without a system prompt; a quarter of the problems
        # have it, so that both are known.
        has_system_prompt = number % SYSTEM_PROMPT_EVERY == 0
        domain = problem.domain if has_system_prompt else None
        true_answer = str(problem.answer)
        finished_responses = set(samples[number]) - {""}
        for response in sorted(finished_responses):
            chat = recipe.after_answer(problem.question, response, domain)
            grade = answers.grade(response, true_answer, strict=True)
            chats.append((chat, grade.correct))
    return chats


def batches_by_length(chats: list[GradedChat], rng: random.Random) -> list[list[GradedChat]]:
    """Batches of chats of about the same length, in random order."""

    def length(graded_chat: GradedChat) -> float:
        text, _ = graded_chat
        return len(text) + rng.random()  # so that equal lengths change their order

    by_length = sorted(chats, key=length)
    batches = []
    for start in range(0, len(by_length), REWARD_MODEL_BATCH):
        end = start + REWARD_MODEL_BATCH
        batches.append(by_length[start:end])
    rng.shuffle(batches)
    return batches


def right_or_wrong_loss(reward_model, tokenizer, batch: list[GradedChat]):
    """Binary cross-entropy of the reward model's logits for one batch of graded chats."""
    import torch

    texts, targets = [], []
    for text, is_right in batch:
        texts.append(text)
        targets.append(float(is_right))
    inputs = tokenizer(texts, return_tensors="pt", padding=True, return_token_type_ids=False)
    with torch.autocast("cpu", torch.bfloat16):
        logits = reward_model(**inputs).logits[:, 0].float()
    labels = torch.tensor(targets)
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)


# What ends both trainings.


def finish(folder: OutputFolder, model, tokenizer, readme: str) -> None:
    """Save the model under its name, and say how large it is."""
    folder.finish(lambda new_folder: recipe.save(model, tokenizer, new_folder, readme))
    size = sum(file.stat().st_size for file in folder.path.iterdir())
    megabytes = size / 1e6
    folder.done(f"{megabytes:.1f} MB")


def main(save_path: str, policy_path: str = "", plan: Plan = Plan(), overwrite: bool = False):
    if policy_path and not Path(policy_path, "config.json").exists():
        raise UserError(f"{policy_path}: no model there (no config.json); make the policy first")
    settings = {"seed": plan.seed, "fresh_problems": plan.fresh_problems}
    if policy_path:
        settings["policy"] = models.identity(models.Model(policy_path))
        settings["sampled_problems"] = plan.sampled_problems
        settings["epochs"] = plan.epochs
        announcement = f"the reward model of {policy_path} from {plan.sampled_problems:,} problems"
    else:
        settings["tokens"] = plan.tokens
        settings["dev_problems"] = plan.dev_problems
        announcement = f"the embedded model from {plan.tokens:,} tokens"
    folder = OutputFolder(save_path, "make_tiny", settings, overwrite)
    if folder.announce(announcement):
        return
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if policy_path:
        train_reward_model(folder, policy_path, plan)
    else:
        train_policy(folder, plan)


if __name__ == "__main__":
    cli.run(main)
