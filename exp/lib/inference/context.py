"""How much context a model has, and what a stage asks of it."""

from dataclasses import replace

from lib.inference import weights
from lib.inference.requests import Sampling
from lib.models import Model
from lib.progress import say

# Tokens that an evaluation leaves for its prompt: AIME's longest problem has under 800.
PROMPT_TOKENS = 1024


def longest(model: Model) -> int | None:
    """The most tokens of prompt and answer that the model was made for.

    By its facts, else by its config.json if that is on this machine; None if neither says.
    """
    if model.longest_context:
        return model.longest_context
    config = weights.config_at_hand(model)
    decoder = config.get("text_config") or config
    return decoder.get("max_position_embeddings")


def for_evaluation(model: Model, sampling: Sampling) -> tuple[Model, Sampling]:
    """The model with room for answers of `max_tokens`, and the sampling lowered to what it has.

    A model's `max_model_len` is what generation needs; an evaluation may ask for longer answers, up
    to the model's longest context. What had to be lowered is reported.
    """
    longest_context = longest(model)
    if longest_context is None:
        return model, sampling
    prompt_tokens = min(PROMPT_TOKENS, longest_context // 4)
    longest_answer = longest_context - prompt_tokens
    if sampling.max_tokens > longest_answer:
        context = f"the context of {longest_context} tokens of {model.name} has room for"
        say(f"lowered max_tokens from {sampling.max_tokens} to {longest_answer}: {context}")
        sampling = replace(sampling, max_tokens=longest_answer)
    needed = max(sampling.max_tokens + PROMPT_TOKENS, model.max_model_len or 0)
    return replace(model, max_model_len=min(needed, longest_context)), sampling
