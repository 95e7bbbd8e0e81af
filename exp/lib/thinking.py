"""The tags around a model's reasoning: in the text of a prompt, and in an answer.

Families of models write different tags. Which ones a model uses is never told by its name: two
copies of one model may differ, so the tags are looked for in the text at hand.
"""

import re

TagPair = tuple[str, str]  # opening, closing

# As vLLM 0.31 reads them (vllm/reasoning, vllm/parser), or as a chat template writes them. Families
# that announce their reasoning in plain words (Granite 3.2, Apriel) are left out: other models
# write the same words in an ordinary answer.
TAG_PAIRS: tuple[TagPair, ...] = (
    # DeepSeek, Qwen, GLM, Kimi-K2, MiniMax-M2, Nemotron, Step, Olmo, Granite 3.3, Ernie, Hunyuan
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),  # Magistral, Ministral-Reasoning
    ("<seed:think>", "</seed:think>"),  # Seed-OSS
    ("<mm:think>", "</mm:think>"),  # MiniMax-M3
    ("<thought>", "</thought>"),  # EXAONE Deep
    ("<ifm|think>", "</ifm|think>"),  # K2-Horizon, and its two shorter efforts
    ("<ifm|think_fast>", "</ifm|think_fast>"),
    ("<ifm|think_faster>", "</ifm|think_faster>"),
    ("<|open|>think<|sep|>", "<|close|>think<|sep|>"),  # Kimi-K3
    ("<|START_THINKING|>", "<|END_THINKING|>"),  # Command-A, Command-R7B
    ("<|channel>thought", "<channel|>"),  # Gemma 4
    # gpt-oss: behind the analysis a message of its own begins in the final channel.
    (
        "<|channel|>analysis<|message|>",
        "<|end|><|start|>assistant<|channel|>final<|message|>",
    ),
)


def _any_tag() -> re.Pattern:
    tags = [tag for pair in TAG_PAIRS for tag in pair]
    return re.compile("|".join(map(re.escape, tags)))


ANY_TAG = _any_tag()


def pair_left_open(text: str) -> TagPair | None:
    """The tags of the thinking in which a text ends; None if it ends outside of any.

    The last tag in the text decides: a template may write an empty block, which is closed again.
    """
    tags = ANY_TAG.findall(text)
    if not tags:
        return None
    pair = _pair_of(tags[-1])
    return pair if tags[-1] == pair[0] else None


def pair_in(text: str) -> TagPair | None:
    """The tags that a text uses, by the first one in it; None without any."""
    first_tag = ANY_TAG.search(text)
    return _pair_of(first_tag[0]) if first_tag else None


def split(text: str) -> tuple[str, str]:
    """(thinking, answer) of a response, without the tags.

    Text without a tag is all answer, as it stands. The opening tag may be missing, if the template
    wrote it in the prompt. A response cut off while thinking has the answer "". If both happen,
    there is no tag at all: put the opening one before the text first.
    """
    pair = pair_in(text)
    if pair is None:
        return "", text
    opening, closing = pair
    thinking, closing_tag, answer = text.rpartition(closing)
    if closing_tag:
        answer, _, unfinished = answer.partition(opening)
        thinking = thinking.replace(opening, "").replace(closing, "") + unfinished
        return thinking.strip(), answer.strip()
    return text.replace(opening, "", 1).strip(), ""


def has_ended(text: str) -> bool:
    """Whether a response closes its thinking."""
    pair = pair_in(text)
    return pair is not None and pair[1] in text


def _pair_of(tag: str) -> TagPair:
    for pair in TAG_PAIRS:
        if tag in pair:
            return pair
    raise ValueError(f"{tag!r} is no tag of thinking")
