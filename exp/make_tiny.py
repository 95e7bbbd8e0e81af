"""Make the embedded model: train the policy from scratch, or with --policy_path its reward model.

in    nothing for the policy (lib/problems makes its texts); for the reward model the policy's folder
out   a model folder of under 5 MB: config.json, model.safetensors, tokenizer, chat template, README.md with measured figures
      python exp/make_tiny.py --save_path data/models/tiny
      python exp/make_tiny.py --policy_path data/models/tiny --save_path data/models/tiny-rm

Killed, the same command goes on from the last checkpoint in SAVE_PATH.part; another --tokens shortens or lengthens the rest.
"""

import math
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from lib import cli, problems, tiny

BATCH = 4096  # tokens a step, padding included: 24M tokens are 5,900 steps
BLOCK = 1500  # documents drawn, sorted by length and batched together: about 25 steps
SAVE_EVERY = 2_000_000  # tokens between checkpoints, some five minutes
WARM_UP = 30  # steps


def batches(tokenizer: object, made: list[tiny.Document], rng: random.Random) -> list[tuple]:
    """The documents as (ids, weights) of at most BATCH tokens, alike in length, padded on the right, in random order."""
    import torch

    texts = ["".join(text for text, _ in document) for document in made]
    rows = []
    for document, encoding in zip(made, tokenizer(texts, return_offsets_mapping=True).encodings, strict=True):
        by_char = [weight for text, weight in document for _ in text]
        rows.append((encoding.ids, [by_char[start] for start, _ in encoding.offsets]))
    rows.sort(key=lambda row: len(row[0]))
    found, group = [], []
    for row in [*rows, None]:
        if group and (row is None or (len(group) + 1) * len(row[0]) > BATCH):
            ids = torch.full((len(group), len(group[-1][0])), tokenizer.pad_token_id)
            weights = torch.zeros(ids.shape)
            for k, (some, counts) in enumerate(group):
                ids[k, : len(some)], weights[k, : len(some)] = torch.tensor(some), torch.tensor(counts)
            found.append((ids, weights))
            group = []
        group.append(row)
    rng.shuffle(found)
    return found


def optimizers(model: object) -> list:
    """Muon for the matrices and AdamW for the embedding, norms and biases: a loss of .78 against .98 for AdamW alone."""
    import torch

    named = list(model.named_parameters())
    matrices = [p for name, p in named if p.ndim == 2 and "embed" not in name and "score" not in name]
    rest = [p for name, p in named if not (p.ndim == 2 and "embed" not in name and "score" not in name)]
    return [
        torch.optim.Muon(matrices, lr=0.02, weight_decay=0.01),
        torch.optim.AdamW(rest, lr=5e-3, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def set_rate(optimizers: list, step: int, done: float, scale: float = 1.0) -> None:
    """Warm up, hold, and fall linearly to 2% over the second half of the tokens."""
    factor = scale * min(1.0, (step + 1) / WARM_UP) * min(1.0, max(0.02, 2 * (1 - done)))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group.setdefault("full", group["lr"])
            group["lr"] = group["full"] * factor


def autocast():
    """bfloat16 where the machine multiplies it (the weights stay fp32)."""
    import torch

    return torch.autocast("cpu", torch.bfloat16, enabled=AUTOCAST)


AUTOCAST = True


def loss_of(model: object, ids: object, weights: object) -> object:
    """The weighted mean of the next-token losses."""
    import torch.nn.functional as F

    with autocast():
        logits = model(input_ids=ids, use_cache=False).logits
    losses = F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), ids[:, 1:].flatten(), reduction="none")
    counts = weights[:, 1:].flatten()
    return (losses * counts).sum() / counts.sum()


def train_policy(save_path: Path, tokens: int, seed: int, dev_problems: int) -> None:
    """Train on `tokens` tokens; of the second half's checkpoints keep the one that works out most development problems."""
    import torch

    part = Path(f"{save_path}.part")
    part.mkdir(parents=True, exist_ok=True)
    tokenizer = tiny.make_tokenizer(seed)
    model = tiny.make_model(tokenizer, seed)
    steppers = optimizers(model)
    state = {"seed": seed, "seen": 0, "step": 0, "block": 0, "seconds": 0.0, "best": -1.0, "best_at": 0, "saved": 0, "looked": 0}
    if (part / "state.pt").exists():
        stored = torch.load(part / "state.pt", weights_only=True)
        if stored["state"]["seed"] != seed:
            raise cli.UserError(f"{part} was begun with seed {stored['state']['seed']}; remove it or give --seed so")
        state = stored["state"]
        model.load_state_dict(stored["model"])
        for stepper, kept in zip(steppers, stored["steppers"], strict=True):
            stepper.load_state_dict(kept)
        cli.say(f"goes on at {state['seen']:,} tokens")
    dev = problems.development(dev_problems, seed)
    prompts = [tiny.before_answer(p.question, p.domain) for p in dev]
    model.train()
    began, told, told_seen = time.monotonic() - state["seconds"], time.monotonic(), state["seen"]
    while state["seen"] < tokens:
        drill_share = 0.45 if state["seen"] < 0.45 * tokens else 0.15
        label = f"{seed} {state['block']}"
        for ids, weights in batches(tokenizer, tiny.documents(BLOCK, label, drill_share), random.Random(label)):
            set_rate(steppers, state["step"], state["seen"] / tokens)
            loss = loss_of(model, ids, weights)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for stepper in steppers:
                stepper.step()
                stepper.zero_grad()
            state["seen"] += ids.numel()
            state["step"] += 1
        state["block"] += 1
        now = time.monotonic()
        state["seconds"] = now - began
        last = state["seen"] >= tokens
        if now - told > 30 or last:
            speed = (state["seen"] - told_seen) / (now - told)
            eta = max(0, tokens - state["seen"]) / speed / 60
            cli.say(f"{state['seen']:,}/{tokens:,} tokens  {speed:,.0f}/s  loss {loss.item():.3f}  eta {eta:.0f}m")
            told, told_seen = now, state["seen"]
        # Ten looks in the second half; the last ones are made at a low rate and mostly win.
        if last or state["seen"] > 0.5 * tokens and state["seen"] - state["looked"] > 0.05 * tokens:
            answers = tiny.complete(model, tokenizer, prompts, 0.0, must_work=True)
            right = sum(tiny.is_right(p, a[0]) for p, a in zip(dev, answers, strict=True)) / max(1, len(dev))
            state["looked"] = state["seen"]
            cli.say(f"{state['seen']:,} tokens: {right:.3f} of {len(dev)} development problems right when worked out")
            if right >= state["best"]:
                state |= {"best": right, "best_at": state["seen"]}
                store(part / "best.pt", model.state_dict())
        if state["seen"] - state["saved"] >= SAVE_EVERY or last:
            state["saved"] = state["seen"]
            kept = {"state": state, "model": model.state_dict(), "steppers": [s.state_dict() for s in steppers]}
            store(part / "state.pt", kept)
    model.load_state_dict(torch.load(part / "best.pt", weights_only=True))
    finish(save_path, lambda folder: tiny.save(model, tokenizer, folder, policy_card(model, tokenizer, state, dev_problems)))


def store(path: Path, what: dict) -> None:
    """torch.save that a kill leaves whole or absent."""
    import torch

    torch.save(what, f"{path}.new")
    os.replace(f"{path}.new", path)


def finish(save_path: Path, write: Callable[[Path], None]) -> None:
    """Write the folder aside, then give it its name: a finished name means a whole folder."""
    part = Path(f"{save_path}.part")
    shutil.rmtree(part / "whole", ignore_errors=True)
    write(part / "whole")
    os.replace(part / "whole", save_path)
    shutil.rmtree(part)
    size = sum(f.stat().st_size for f in save_path.iterdir())
    cli.say(f"wrote {save_path}: {size / 1e6:.1f} MB")
