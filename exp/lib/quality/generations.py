"""Rules that tell a usable problem statement from what else a model writes when it is given only a chat's first words."""

import re
import unicodedata
import zlib

# A question mark is enough; without one a problem must ask for something in the imperative, or end in what it wants to know.
_ASKS = re.compile(
    r"\?|？|\b(find|compute|calculate|determine|evaluate|solve|prove|show|derive|simplify|factor|estimate|verify|express|"
    r"describe|classify|construct|establish|deduce|state|give|list|minimi[sz]e|maximi[sz]e|integrate|differentiate|"
    r"what is|what are|how many|how much|explain|characteri[sz]e|define|expand|sketch|convert|count|identify|conclude)\b",
    re.IGNORECASE,
)
_REFUSES = re.compile(
    r"^\W*(i('m| am) (sorry|unable|not able)|sorry,|i (cannot|can't|can not|won't)|as an ai\b|unfortunately, i\b)",
    re.IGNORECASE,
)
# The model took the assistant's part: greetings and announcements are no problem statement.
_ASSISTS = re.compile(
    r"^\W*(sure|certainly|of course|absolutely|hello|hi|hey|great|okay|ok|thank you|thanks|welcome|"
    r"here('s| is| are)|i('d| would) be happy|how can i (help|assist))\b",
    re.IGNORECASE,
)
_TURN_MARKS = re.compile(
    r"<\|?(im_start|im_end|start_header_id|eot_id|user|assistant|system|think)\b|</?think>",
    re.IGNORECASE,
)


def normalised(text: str) -> str:
    """The text by which exact repeats are found: Unicode NFC, white space runs as one blank."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def is_looping(text: str, least: int = 200) -> bool:
    """Whether a text repeats itself: the same 20 characters five times on end, or it deflates to under a tenth.

    English problem statements deflate to .35-.6 of their length, tables of numbers to .25; loops to under .1.
    """
    if re.search(r"(.{20,200}?)\1{4,}", text, re.DOTALL):
        return True
    data = text.encode("utf-8", errors="replace")
    return len(data) >= least and len(zlib.compress(data)) < len(data) / 10


def why_unusable(text: str, finish_reason: str) -> str | None:
    """The reason why a generated problem is dropped, or None: truncated, empty, refusal, not a question, repeated loop."""
    if finish_reason == "length":
        return "repeated loop" if is_looping(text) else "truncated"
    words = text.split()
    if not words or not any(c.isalnum() for c in text):
        return "empty"
    if _REFUSES.search(text):
        return "refusal"
    if is_looping(text):
        return "repeated loop"
    if (
        len(words) < 4
        or _ASSISTS.search(text)
        or _TURN_MARKS.search(text)
        or not _ASKS.search(text)
    ):
        return "not a question"
    return None
