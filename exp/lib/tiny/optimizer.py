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
    rows.sort(key=_length)
    padded_batches = []
    for batch_rows in _split_into_batches(rows):
        padded_batches.append(_pad(batch_rows, tokenizer.pad_token_id))
    rng.shuffle(padded_batches)
    return padded_batches


def _rows(tokenizer, documents: list[Document]) -> list[Row]:
    """Each document's token ids, with the weights of the pieces in which the tokens begin."""
    texts = [text_of(document) for document in documents]
    encodings = tokenizer(texts, return_offsets_mapping=True).encodings
    rows = []
    for document, encoding in zip(documents, encodings, strict=True):
        character_weights = []
        for text, weight in document:
            character_weights += [weight] * len(text)
        token_weights = [character_weights[start] for start, _ in encoding.offsets]
        rows.append((encoding.ids, token_weights))
    return rows


def _length(row: Row) -> int:
    token_ids, _ = row
    return len(token_ids)


def _split_into_batches(rows: list[Row]) -> list[list[Row]]:
    """Rows that come the shortest first, in batches as large as BATCH_TOKENS allows."""
    all_batches = []
    batch_rows: list[Row] = []
    for row in rows:
        # The row is the longest so far, so that all others would be padded to its length.
        padded_tokens = (len(batch_rows) + 1) * _length(row)
        if not batch_rows or padded_tokens > BATCH_TOKENS:
            batch_rows = []
            all_batches.append(batch_rows)
        batch_rows.append(row)
    return all_batches


def _pad(batch_rows: list[Row], pad_token_id: int) -> tuple:
    """One batch of documents of which the last one is the longest."""
    import torch

    longest = _length(batch_rows[-1])
    shape = (len(batch_rows), longest)
    ids = torch.full(shape, pad_token_id)
    weights = torch.zeros(shape)
    for number, (token_ids, token_weights) in enumerate(batch_rows):
        length = len(token_ids)
        ids[number, :length] = torch.tensor(token_ids)
        weights[number, :length] = torch.tensor(token_weights)
    return ids, weights


def make_optimizers(model) -> list:
    """Muon for the matrices, and AdamW for the embedding, the norms, the biases and the score.

    With AdamW alone the loss was .98 where these two reach .78.
    """
    import torch

    matrices = []
    other_parameters = []
    for parameter_name, parameter in model.named_parameters():
        is_table = "embed" in parameter_name or "score" in parameter_name
        if parameter.ndim == 2 and not is_table:
            matrices.append(parameter)
        else:
            other_parameters.append(parameter)
    muon = torch.optim.Muon(matrices, lr=0.02, weight_decay=0.01)
    adamw = torch.optim.AdamW(other_parameters, lr=5e-3, betas=(0.9, 0.95), weight_decay=0.0)
    return [muon, adamw]


def set_learning_rates(optimizers: list, step: int, progress: float, scale: float = 1.0) -> None:
    """Warm up, hold, and after 40% of the training fall linearly to 2%.

    `progress` is the share of the training that is done; `scale` multiplies every learning rate.
    """
    steps = step + 1  # so that the first one has a learning rate above 0
    warm_up = min(1.0, steps / WARM_UP_STEPS)
    falling = (1 - progress) / (1 - CONSTANT_SHARE)  # over 1 in the constant part
    at_least = max(LOWEST_RATE, falling)
    decay = min(1.0, at_least)
    factor = scale * warm_up * decay
    for optimizer in optimizers:
        for parameter_group in optimizer.param_groups:
            full_rate = parameter_group.setdefault("full_lr", parameter_group["lr"])
            parameter_group["lr"] = full_rate * factor


def weighted_loss(model, ids, weights):
    """The weighted mean of the next-token losses, for one batch.

    Products are in bfloat16: 5,900 tokens/s against 5,200 on one core with AVX-512.
    """
    import torch
    from torch.nn import functional

    with torch.autocast("cpu", torch.bfloat16):
        logits = model(input_ids=ids, use_cache=False).logits
    # The logits at a token are for its successor.
    predictions = logits[:, :-1].flatten(0, 1).float()
    next_tokens = ids[:, 1:].flatten()
    loss_weights = weights[:, 1:].flatten()
    losses = functional.cross_entropy(predictions, next_tokens, reduction="none")
    weighted_sum = (losses * loss_weights).sum()
    return weighted_sum / loss_weights.sum()


def take_step(model, optimizers: list, loss) -> None:
    """One step of every optimizer, with the norm of the gradients clipped to 1."""
    import torch

    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
