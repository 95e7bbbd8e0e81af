"""Make the embedded model: train the policy from scratch, or with --policy_path its reward model.

in    nothing for the policy (lib/tiny/problems makes its texts); for the reward model the policy's folder
out   a model folder of under 5 MB: config.json, model.safetensors, tokenizer, chat template, README.md with measured figures
      python exp/make_tiny.py --save_path data/models/tiny

The reward model: --policy_path data/models/tiny --save_path data/models/tiny-rm. On one core an hour, and half of one.
Killed, the same command goes on from the last checkpoint in SAVE_PATH.part; another --tokens shortens or lengthens the rest.
"""

import json
import os
import random
import shutil
import time
from pathlib import Path

from lib import cli, models, rows
from lib.errors import UserError
from lib.progress import say
from lib.tiny import card, problems, recipe, templates
from lib.tiny import optimizer as training

BLOCK = 1500  # documents drawn, sorted by length and batched together: about 25 steps
SAVE_EVERY = 2_000_000  # tokens between checkpoints, some five minutes
# Share of drills, weight of the user's words. Arithmetic comes first; at .3 half of the invented problems were ill posed.
EARLY, LATE = (0.45, 0.3), (0.15, 0.6)
JUDGE_RATE = 0.2  # of the policy's learning rates


def train_policy(save_path: Path, settings: dict) -> None:
    """Train on `tokens` tokens; of the second half's checkpoints keep the one that works out most development problems."""
    import torch

    seed, tokens, dev_problems, fresh_problems = (
        settings[k] for k in ("seed", "tokens", "dev_problems", "fresh_problems")
    )
    part = Path(f"{save_path}.part")
    part.mkdir(parents=True, exist_ok=True)
    tokenizer = recipe.make_tokenizer(seed)
    model = recipe.make_model(tokenizer, seed)
    steppers = training.optimizers(model)
    state = restore(part / "state.pt", seed, model, steppers)
    dev = problems.development(dev_problems, seed)
    model.train()
    began, told, told_seen = time.monotonic() - state["seconds"], time.monotonic(), state["seen"]
    while state["seen"] < tokens:
        label = f"{seed} {state['block']}"
        made = recipe.documents(BLOCK, label, *(EARLY if state["seen"] < 0.45 * tokens else LATE))
        for ids, weights in training.batches(tokenizer, made, random.Random(label)):
            training.set_rate(steppers, state["step"], state["seen"] / tokens)
            loss = training.loss_of(model, ids, weights)
            training.advance(model, steppers, loss)
            state["seen"] += ids.numel()
            state["step"] += 1
            if state["seen"] >= tokens:
                break
        state["block"] += 1
        last, now = state["seen"] >= tokens, time.monotonic()
        state["seconds"] = now - began
        if now - told > 30 or last:
            speed = (state["seen"] - told_seen) / (now - told)
            eta = max(0, tokens - state["seen"]) / speed / 60
            say(
                f"{state['seen']:,}/{tokens:,} tokens  {speed:,.0f}/s  loss {loss.item():.3f}  eta {eta:.0f}m"
            )
            told, told_seen = now, state["seen"]
        # Ten looks in the second half; the last ones are made at a low rate and mostly win.
        if last or state["seen"] > 0.5 * tokens and state["seen"] - state["looked"] > 0.05 * tokens:
            state["looked"], right = state["seen"], card.working_out(model, tokenizer, dev)
            say(
                f"{state['seen']:,} tokens: {right:.3f} of {len(dev)} development problems right when worked out"
            )
            if right >= state["best"]:
                state |= {"best": right, "best_at": state["seen"]}
                store(part / "best.pt", model.state_dict())
        if last or state["seen"] - state["saved"] >= SAVE_EVERY:
            state["saved"] = state["seen"]
            kept = {
                "state": state,
                "model": model.state_dict(),
                "steppers": [s.state_dict() for s in steppers],
            }
            store(part / "state.pt", kept)
    model.load_state_dict(torch.load(part / "best.pt", weights_only=True))
    model.to(torch.bfloat16).float()  # measured as it is shipped
    facts = {k: state[k] for k in ("seed", "seen", "seconds", "best", "best_at")} | {
        "tokens": tokens,
        "dev_problems": dev_problems,
        "parameters": model.num_parameters(),
        "templates": len(templates.TEMPLATES),
        "threads": torch.get_num_threads(),
        "invented": fresh_problems // 3,
    }
    solved = card.solving(model, tokenizer, fresh_problems, seed)
    invented = {
        t: card.inventing(model, tokenizer, fresh_problems // 3, t, seed) for t in (1.0, 0.9)
    }
    finish(save_path, settings, model, tokenizer, card.policy_card(facts, solved, invented))


def restore(path: Path, seed: int, model: object, steppers: list) -> dict:
    """The counts of an earlier run, whose weights and moments go into `model` and `steppers`; zeros where there was none."""
    import torch

    if not path.exists():
        counts = dict.fromkeys(("seen", "step", "block", "best_at", "saved", "looked"), 0)
        return counts | {"seed": seed, "seconds": 0.0, "best": -1.0}
    stored = torch.load(path, weights_only=True)
    state = stored["state"]
    if state["seed"] != seed:
        raise UserError(
            f"{path} is of --seed {state['seed']}, now {seed}; use another --save_path or remove it"
        )
    model.load_state_dict(stored["model"])
    for stepper, kept in zip(steppers, stored["steppers"], strict=True):
        stepper.load_state_dict(kept)
    say(f"goes on at {state['seen']:,} tokens")
    return state


def judged_answers(
    policy: object, tokenizer: object, count: int, seed: int
) -> list[tuple[str, bool]]:
    """Whole chats with the policy's distinct answers to training problems, half of them hotter, and whether each is right."""
    asked, found = problems.training(count, f"reward {seed}"), []
    for temperature, some in ((0.8, asked[: count // 2]), (1.0, asked[count // 2 :])):
        prompts = [recipe.before_answer(p.question) for p in some]
        answers = card.complete(policy, tokenizer, prompts, temperature, seed, n=7)
        for i, (problem, texts) in enumerate(zip(some, answers, strict=True)):
            # A judge is mostly shown a chat without a system prompt; a quarter have it, so that both are known.
            domain = problem.domain if i % 4 == 0 else None
            for text in sorted({*texts} - {""}):
                found.append(
                    (
                        recipe.after_answer(problem.question, text, domain),
                        card.is_right(problem, text),
                    )
                )
    return found


def train_judge(policy_path: Path, save_path: Path, settings: dict) -> None:
    """Train the policy's weights, with one output on the last token, to tell right answers from wrong ones."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

    seed, sampled, epochs = (settings[k] for k in ("seed", "sampled_problems", "epochs"))
    fresh_problems = settings["fresh_problems"] // 2
    tokenizer = AutoTokenizer.from_pretrained(policy_path)
    policy = AutoModelForCausalLM.from_pretrained(policy_path, dtype=torch.float32)
    began = time.monotonic()
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(
        policy_path, num_labels=1, dtype=torch.float32
    )
    torch.nn.init.zeros_(model.score.weight)  # starts as no opinion
    examples = judged_answers(policy, tokenizer, sampled, seed)
    say(f"{len(examples):,} answers sampled, {time.monotonic() - began:.0f}s")
    steppers, told, step = training.optimizers(model), time.monotonic(), 0
    model.train()
    for epoch in range(epochs):
        rng = random.Random(f"{seed} {epoch}")
        groups = grouped(examples, rng)
        for k, group in enumerate(groups):
            training.set_rate(steppers, step, (epoch + k / len(groups)) / epochs, JUDGE_RATE)
            inputs = tokenizer(
                [text for text, _ in group],
                return_tensors="pt",
                padding=True,
                return_token_type_ids=False,
            )
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(**inputs).logits[:, 0].float()
            wanted = torch.tensor([float(right) for _, right in group])
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted)
            training.advance(model, steppers, loss)
            step += 1
            if time.monotonic() - told > 30:
                told = time.monotonic()
                say(f"epoch {epoch + 1}/{epochs}  {k}/{len(groups)} steps  loss {loss.item():.3f}")
    made = {
        "seed": seed,
        "epochs": epochs,
        "samples": len(examples),
        "problems": sampled,
        "right": sum(right for _, right in examples) / len(examples),
        "seconds": time.monotonic() - began,
        "threads": torch.get_num_threads(),
    }
    chosen = card.choosing(policy, model, tokenizer, fresh_problems, seed)
    say(f"of {fresh_problems} fresh problems right: {chosen}")
    finish(save_path, settings, model, tokenizer, card.judge_card(made, chosen))


def grouped(examples: list[tuple[str, bool]], rng: random.Random) -> list[list[tuple[str, bool]]]:
    """Groups of 48 of about the same length, in random order."""
    order = sorted(examples, key=lambda example: len(example[0]) + rng.random())
    groups = [order[at : at + 48] for at in range(0, len(order), 48)]
    rng.shuffle(groups)
    return groups


def store(path: Path, what: dict) -> None:
    """torch.save that a kill leaves whole or absent."""
    import torch

    torch.save(what, f"{path}.new")
    os.replace(f"{path}.new", path)


def finish(save_path: Path, settings: dict, model: object, tokenizer: object, card: str) -> None:
    """Write the folder aside, then give it its name: a finished name means a whole folder."""
    part = Path(f"{save_path}.part")
    shutil.rmtree(part / "whole", ignore_errors=True)
    recipe.save(model, tokenizer, part / "whole", card)
    for file in (part / "whole").iterdir():
        file.chmod(0o644)  # safetensors gives its own to the owner alone
    rows.write_json(part / "whole/settings.json", settings)
    if save_path.exists():  # with --overwrite: the old one stays until the new one is whole
        os.replace(save_path, part / "old")
    os.replace(part / "whole", save_path)
    shutil.rmtree(part)
    size = sum(f.stat().st_size for f in save_path.iterdir())
    say(f"wrote {save_path}: {size / 1e6:.1f} MB")


def main(
    save_path: str,
    policy_path: str = "",
    tokens: int = 21_000_000,
    seed: int = 0,
    dev_problems: int = 300,
    fresh_problems: int = 600,
    sampled_problems: int = 3000,
    epochs: int = 3,
    overwrite: bool = False,
):
    if policy_path and not Path(policy_path, "config.json").exists():
        raise UserError(f"{policy_path}: no model there (no config.json); make the policy first")
    settings = {"seed": seed, "fresh_problems": fresh_problems}
    if policy_path:
        settings |= {
            "policy": models.identity(models.Model(policy_path)),
            "sampled_problems": sampled_problems,
            "epochs": epochs,
        }
    else:
        settings |= {"tokens": tokens, "dev_problems": dev_problems}
    if Path(save_path).exists() and not overwrite:
        made_with = Path(save_path, "settings.json")
        old = json.loads(made_with.read_bytes()) if made_with.exists() else {}
        changed = "; ".join(
            f"{k} {old.get(k)}, now {v}" for k, v in settings.items() if old.get(k) != v
        )
        if changed:
            raise UserError(
                f"{save_path} was made with {changed}; use another --save_path or --overwrite"
            )
        say(f"{save_path} is there already; nothing to do")
        return
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if policy_path:
        train_judge(Path(policy_path), Path(save_path), settings)
    else:
        train_policy(Path(save_path), settings)


if __name__ == "__main__":
    cli.run(main)
