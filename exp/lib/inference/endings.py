"""How an answer ended: the finish reasons of engines and vendors in one vocabulary.

Only `stop` is a complete answer. `length` is one that a token limit cut off. Other reasons, such as
content_filter, repetition or tool_calls, keep their names. An answer that the server itself broke
off is none at all, and is asked for again.
"""

STOP, LENGTH = "stop", "length"

# Compared in lower case, as Gemini writes STOP and MAX_TOKENS.
# TGI says eos_token and stop_sequence, Anthropic and Bedrock end_turn, Cohere COMPLETE.
_COMPLETE = ("stop", "eos", "eos_token", "stop_sequence", "end_turn", "complete")
# model_length is Mistral's, the last one Anthropic's.
_TRUNCATED = ("length", "model_length", "max_tokens", "model_context_window_exceeded")
# vLLM and SGLang abort requests, OpenRouter and Mistral say error, DeepSeek runs out of machines,
# and Ollama sends null.
_BROKEN_OFF = ("", "null", "none", "abort", "error", "insufficient_system_resource")


def normalised(finish_reason: str | None) -> str | None:
    """`stop`, `length` or the reason as it is; None if the answer has to be asked for again."""
    lowered = str(finish_reason or "").strip().lower()
    if lowered in _BROKEN_OFF:
        return None
    if lowered in _COMPLETE:
        return STOP
    if lowered in _TRUNCATED:
        return LENGTH
    return str(finish_reason)


def why_incomplete(finish_reason: str | None) -> str | None:
    """Why a response is not complete: `truncated`, or the reason itself; None if it is complete.

    A row of a file may also hold a reason that no engine of ours returns.
    """
    reason = normalised(finish_reason)
    if reason == STOP:
        return None
    if reason == LENGTH:
        return "truncated"
    return reason or finish_reason or "no finish reason"
