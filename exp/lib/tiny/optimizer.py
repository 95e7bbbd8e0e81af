"""What both trainings of the embedded models share: batches, optimizers, learning rates, steps."""

import random

from lib.tiny.recipe import Document, text_of

BATCH_TOKENS = 4096  # of one step, padding included: 21M tokens are 5,200 steps
WARM_UP_STEPS = 30
CONSTANT_SHARE = 0.4  # of the training, before the learning rates fall
LOWEST_RATE = 0.02  # of the full learning rates, at the end

Row = tuple[list[int], list[float]]  # the token ids of a document, and the weights of their losses


def batches(tokenizer, documents: list[Document], rng: random.Random) -> list[tuple]:
    """The documents as batches (ids, weights) of at most BATCH_TOKENS tokens, in random order.

    Both are tensors [documents, longest document]; a batch's documents are alike in length and are
    padded on the right with weight 0.
    """
    rows = _rows(tokenizer, documents)
    rows.sort(key=lambda row: len(row[0]))
    groups: list[list[Row]] = []
    group: list[Row] = []
    for row in rows:  # each is the longest so far
        padded_tokens = (len(group) + 1) * len(row[0])
        if not group or padded_tokens > BATCH_TOKENS:
            group = []
            groups.append(group)
        group.append(row)
    padded = [_pad(group, tokenizer.pad_token_id) for group in groups]
    rng.shuffle(padded)
    return padded


def _rows(tokenizer, documents: list[Document]) -> list[Row]:
    """Each document's token ids, with the weights of the pieces in which the tokens begin."""
    texts = [text_of(document) for document in documents]
    encodings = tokenizer(texts, return_offsets_mapping=True).encodings
    rows = []
    for document, encoding in zip(documents, encodings, strict=True):
        character_weights: list[float] = []
        for text, weight in document:
            character_weights += [weight] * len(text)
        weights = [character_weights[start] for start, _ in encoding.offsets]
        rows.append((encoding.ids, weights))
    return rows


def _pad(group: list[Row], pad_token_id: int) -> tuple:
    """One batch of documents of which the last one is the longest."""
    import torch

    longest = len(group[-1][0])
    ids = torch.full((len(group), longest), pad_token_id)
    weights = torch.zeros(ids.shape)
    for row, (row_ids, row_weights) in enumerate(group):
        ids[row, : len(row_ids)] = torch.tensor(row_ids)
        weights[row, : len(row_ids)] = torch.tensor(row_weights)
    return ids, weights


def make_optimizers(model) -> list:
    """Muon for the matrices, and AdamW for the embedding, the norms, the biases and the score.

    With AdamW alone the loss was .98 where these two reach .78.
    """
    import torch

    matrices = []
    others = []
    for name, parameter in model.named_parameters():
        is_table = "embed" in name or "score" in name
        if parameter.ndim == 2 and not is_table:
            matrices.append(parameter)
        else:
            others.append(parameter)
    return [
        torch.optim.Muon(matrices, lr=0.02, weight_decay=0.01),
        torch.optim.AdamW(others, lr=5e-3, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def set_learning_rates(optimizers: list, step: int, progress: float, scale: float = 1.0) -> None:
    """Warm up, hold, and after 40% of the training fall linearly to 2%.

    `progress` is the share of the training that is done; `scale` multiplies every learning rate.
    """
    warm_up = min(1.0, (step + 1) / WARM_UP_STEPS)
    decay = min(1.0, max(LOWEST_RATE, (1 - progress) / (1 - CONSTANT_SHARE)))
    factor = scale * warm_up * decay
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group.setdefault("full_lr", group["lr"])
            group["lr"] = group["full_lr"] * factor


def weighted_loss(model, ids, weights):
    """The weighted mean of the next-token losses, for one batch.

    Products are in bfloat16: 5,900 tokens/s against 5,200 on one core with AVX-512.
    """
    import torch
    import torch.nn.functional as F

    with torch.autocast("cpu", torch.bfloat16):
        logits = model(input_ids=ids, use_cache=False).logits
    predictions = logits[:, :-1].flatten(0, 1).float()
    losses = F.cross_entropy(predictions, ids[:, 1:].flatten(), reduction="none")
    loss_weights = weights[:, 1:].flatten()
    return (losses * loss_weights).sum() / loss_weights.sum()


def take_step(model, optimizers: list, loss) -> None:
    """One step of every optimizer, with the norm of the gradients clipped to 1."""
    import torch

    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
