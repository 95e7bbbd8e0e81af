"""Reads a row of any of our files as a conversation, and encodes it with the answers marked.

A row becomes messages, and then token ids with labels: only the assistant's words are learned.
"""

from dataclasses import dataclass
from typing import NamedTuple

from lib import chat
from lib.errors import UserError
from lib.grading import latex
from lib.grading.formats import Format
from lib.inference.requests import user_turn
from lib.models import Model

LONGEST = 200  # characters of a final answer: what is longer is prose
IGNORED = -100  # a label that has no part in the loss, by PyTorch's convention


class Encoded(NamedTuple):
    """A conversation as token ids; a label is the token to learn there, or IGNORED."""

    token_ids: list[int]
    labels: list[int]


@dataclass(frozen=True)
class Measured:
    """A row, what the trainer takes of it, and how many tokens that is."""

    row: dict
    example: dict
    tokens: int


class Reader:
    """Reads training rows for one model, with its tokenizer and chat template.

    `layout` is the format in which worked problems are laid out; other rows need none.
    """

    def __init__(self, model: Model, layout: Format | None = None):
        self.model, self.layout = model, layout
        self.tokenizer = chat.load_tokenizer(model.path)
        config = chat.generation_config(model.path)
        self.stop_ids = chat.stop_token_ids(self.tokenizer, config, user_turn=False)

    def encode(self, place: str, row: dict) -> Encoded:
        """A row as token ids with labels.

        UserError, with the row's place, for a row of another shape and for a chat template that
        does not end the answer.
        """
        messages = messages_of(place, row, self.layout)
        try:
            encoded = encode(self.tokenizer, messages)
        except ValueError as e:
            raise UserError(f"{place}: {e}") from None
        if not ends_its_turn(encoded.labels, self.stop_ids):
            what = "chat template does not end the answer with a token that the model stops on"
            raise UserError(f"{place}: {self.model.name}'s {what}")
        return encoded


def within_length(measured: list[Measured], max_length: int) -> tuple[list[dict], list[dict]]:
    """(examples of at most `max_length` tokens, the longest last; the other rows with `why`).

    Nothing is cut: a conversation without its end teaches not to end.
    """
    examples, dropped = [], []
    for entry in sorted(measured, key=lambda entry: entry.tokens):
        if entry.tokens <= max_length:
            examples.append(entry.example)
    for entry in measured:
        if entry.tokens > max_length:
            dropped.append({"why": f"too long: {entry.tokens} tokens", **entry.row})
    return examples, dropped


def messages_of(place: str, row: dict, layout: Format | None) -> list[dict]:
    """The messages of one row of any shape.

    It may hold messages, an instruction and its response, a worked problem, which is laid out in
    `layout`, or a judge's prompt with the score that people gave. UserError, with the row's place,
    for any other shape: silence would train on nothing.
    """
    if "messages" in row:
        if _is_conversation(row["messages"]):
            return row["messages"]
        what = "'messages' must be role and content texts that end with the assistant's"
        raise UserError(f"{place}: {what}")
    if "instruction" in row and "response" in row:
        return exchange(row["instruction"], row["response"])
    if "question" in row and "answer" in row and layout:
        answer = final_answer(place, row)
        return lay_out(layout, row["question"], row.get("solution") or "", answer)
    if "prompt" in row and "score" in row:
        return exchange(row["prompt"], str(row["score"]))
    what = "no messages, no instruction and response, no question and answer"
    raise UserError(f"{place}: {what} (has: {', '.join(row)})")


def exchange(question: str, answer: str) -> list[dict]:
    """The messages of one question and its answer."""
    return user_turn(question) + assistant_turn(answer)


def assistant_turn(text: str) -> list[dict]:
    """The turn in which the assistant says `text`."""
    return [{"role": "assistant", "content": text}]


def _is_conversation(messages) -> bool:
    """Whether it is a list of messages of text, of which the last is the assistant's."""
    if not isinstance(messages, list) or not messages:
        return False
    all_texts = all(_is_message(message) for message in messages)
    return all_texts and messages[-1].get("role") == "assistant"


def _is_message(message) -> bool:
    return isinstance(message, dict) and isinstance(message.get("content"), str)


def final_answer(place: str, row: dict) -> str:
    """The row's gold answer, such as 72.

    UserError if it is no final answer: empty, or GSM8K's whole solution with its ####.
    """
    answer = str(row["answer"]).strip()
    is_solution = "\n" in answer or "####" in answer or len(answer) > LONGEST
    if is_solution or not latex.canonical(answer):
        shown = answer if len(answer) < 60 else f"{answer[:57]}…"
        what = "is no final answer such as 72; rows of GSM8K must be prepared first"
        raise UserError(f"{place}: the answer {shown!r} {what}")
    return answer


def lay_out(layout: Format, question: str, solution: str, answer: str) -> list[dict]:
    """A worked problem as `layout` asks for it.

    The messages are the system prompt, the question, and the solution as thinking with the answer
    behind it. `boxed` has no thinking tags, and a solution that ends with the box already is the
    whole text.
    """
    opening, closing = layout.answer
    if layout.name != "boxed":
        think, thought = layout.thinking
        text = f"{think}\n{solution}\n{thought}\n{opening}{answer}{closing}"
    elif layout.fits(solution):
        text = solution
    else:
        text = f"{solution}\nThe answer is {opening}{answer}{closing}"
    system_turn = {"role": "system", "content": layout.system_prompt}
    return [system_turn, *exchange(question, text)]


def encode(tokenizer, messages: list[dict]) -> Encoded:
    """A conversation as the model's chat template writes it.

    The assistant's words, and what ends its turn, carry labels: all else is IGNORED, and so is the
    turn's header, which is given when the model is asked. ValueError if the template does not write
    a conversation as the continuation of its beginning.
    """
    text = chat.render(tokenizer, messages, answer=False)
    spans = _learned_spans(tokenizer, messages, text)
    tokens = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    token_ids = tokens["input_ids"]
    labels = []
    for token_id, (start, _) in zip(token_ids, tokens["offset_mapping"], strict=True):
        is_learned = any(first <= start < end for first, end in spans)
        labels.append(token_id if is_learned else IGNORED)
    return Encoded(token_ids, labels)


def _learned_spans(tokenizer, messages: list[dict], text: str) -> list[tuple[int, int]]:
    """(start, end) in a rendered conversation of each turn of the assistant."""
    spans = []
    for place, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        before = chat.render(tokenizer, messages[:place], answer=True)
        after = chat.render(tokenizer, messages[: place + 1], answer=False).rstrip()
        if not text.startswith(before) or not text.startswith(after):
            raise ValueError("the chat template does not write a conversation turn by turn")
        spans.append((len(before), len(after)))
    return spans


def ends_its_turn(labels: list[int], stop_ids: list[int]) -> bool:
    """Whether the last learned token is one that the model stops on: else it never learns to."""
    learned = [label for label in labels if label != IGNORED]
    return bool(learned) and learned[-1] in stop_ids
