"""What stands in a server's answer: the completions, with their thinking, and the tokens."""

from dataclasses import dataclass

from lib.inference import endings
from lib.inference.requests import Completion
from lib.inference.server_faults import Failure, RowFault

THINK_TAGS = ("<think>", "</think>")
# A server that cuts prompts silently (Ollama) reports the tokens that are left. Its template may
# differ from ours by a default system prompt or a date, which are 50 tokens at most.
PROMPT_CUT = "prompt cut by the server"
SHARE_LEFT, TOKENS_OF_TEMPLATE = 0.9, 50


@dataclass(frozen=True)
class Answer:
    """The completions of one answer; tokens are of all of them, prompt_tokens of the prompt."""

    completions: tuple[Completion, ...]
    tokens: int = 0
    prompt_tokens: int = 0


def read(body: dict, think_tags: tuple[str, str] = THINK_TAGS) -> Answer:
    """The answer in a body; Failure if there is none to keep."""
    try:
        return _answer(body, think_tags)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise Failure("sent an answer of another form", "unreadable answer") from None


def _answer(body: dict, think_tags: tuple[str, str]) -> Answer:
    choices = body.get("choices")
    if not choices:
        raise Failure("sent an answer without choices", "no choices")
    usage = body.get("usage") or {}
    return Answer(
        tuple(_completion(choice, think_tags) for choice in choices),
        tokens=int(usage.get("completion_tokens") or 0),
        prompt_tokens=int(usage.get("prompt_tokens") or 0),
    )


def read_score(body: dict) -> float:
    """The single number in an answer of `/classify`; Failure if there is none."""
    try:
        return float(body["data"][0]["probs"][0])
    except (KeyError, IndexError, TypeError, ValueError):
        raise Failure("sent an answer without a score", "no score") from None


def check_prompt(answer: Answer, our_count: int) -> None:
    """RowFault if the server read clearly fewer tokens of the prompt than we count in it."""
    if not answer.prompt_tokens:
        return
    if answer.prompt_tokens < SHARE_LEFT * our_count - TOKENS_OF_TEMPLATE:
        raise RowFault(PROMPT_CUT)


def _completion(choice: dict, think_tags: tuple[str, str]) -> Completion:
    finish_reason = endings.normalised(choice.get("finish_reason"))
    if finish_reason is None:
        ending = f"finish_reason {choice.get('finish_reason') or 'null'}"
        raise Failure(f"broke an answer off ({ending})", ending)
    message = choice.get("message")
    text = choice.get("text") if message is None else _text_of(message, think_tags)
    if text is None and finish_reason == endings.STOP:
        raise Failure("sent an answer without text", "no text")
    if text is not None and not isinstance(text, str):
        raise TypeError(f"a text is a {type(text).__name__}")
    return Completion(text or "", finish_reason)


def _text_of(message: dict, think_tags: tuple[str, str]) -> str | None:
    """The answer with its thinking, which a server with a reasoning parser sends apart.

    It stands in `reasoning` (vLLM, Ollama, OpenRouter), in `reasoning_content` (llama.cpp, SGLang,
    DeepSeek, LM Studio), or among the typed parts of the content (Mistral). Thinking that no answer
    follows is left open. None without any text.
    """
    content = message.get("content")
    thinking = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(content, list):
        thinking = thinking or _joined(content, "thinking")
        content = _joined(content, "text")
    if not thinking:
        return content
    opening, closing = think_tags
    if not content:
        return f"{opening}\n{thinking}"
    return f"{opening}\n{thinking}\n{closing}\n\n{content}"


def _joined(parts: list, kind: str) -> str:
    """The text of all content parts of a kind; a part of thinking holds parts of text itself."""
    texts = []
    for part in parts:
        if not isinstance(part, dict) or part.get("type") != kind:
            continue
        inner = part.get(kind)
        texts.append(_joined(inner, "text") if isinstance(inner, list) else str(inner or ""))
    return "".join(texts)
