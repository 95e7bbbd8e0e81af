"""Reads a row of any of our files as a conversation, and encodes it with the answers marked.

A row becomes messages, and then token ids with labels: only the assistant's words are learned.
"""

from dataclasses import dataclass
from typing import NamedTuple

from lib import chat
from lib.errors import UserError
from lib.grading import latex
from lib.grading.formats import Format
from lib.inference.endings import STOP, why_incomplete
from lib.inference.requests import user_turn
from lib.models import Model

LONGEST_ANSWER = 200  # characters of a final answer: what is longer is prose
LONGEST_SHOWN = 60  # characters: a message cuts an answer that has as many
IGNORED = -100  # a label that has no part in the loss, by PyTorch's convention

Span = tuple[int, int]  # where a piece of text begins and ends, in characters


class EncodedConversation(NamedTuple):
    """A conversation as token ids; a label is the token to learn there, or IGNORED."""

    token_ids: list[int]
    labels: list[int]


@dataclass(frozen=True)
class MeasuredRow:
    """A row, what the trainer takes of it, and how many tokens that is."""

    row: dict
    example: dict
    tokens: int


class Reader:
    """Reads training rows for one model, with its tokenizer and chat template.

    `layout` is the format in which worked problems are laid out; other rows need none.
    """

    def __init__(self, model: Model, layout: Format | None = None):
        self.model = model
        self.layout = layout
        self.tokenizer = chat.load_tokenizer(model.path)
        config = chat.generation_config(model.path)
        self.stop_ids = chat.stop_token_ids(self.tokenizer, config, user_turn=False)

    def encode(self, row_place: str, row: dict) -> EncodedConversation:
        """A row as token ids with labels.

        UserError, with the row's place, for a row of another shape and for a chat template that
        does not end the answer.
        """
        messages = messages_of(row_place, row, self.layout)
        try:
            conversation = encode(self.tokenizer, messages)
        except ValueError as e:
            raise UserError(f"{row_place}: {e}") from None
        if not ends_its_turn(conversation.labels, self.stop_ids):
            template = f"{self.model.name}'s chat template"
            problem = "does not end the answer with a token that the model stops on"
            raise UserError(f"{row_place}: {template} {problem}")
        return conversation


def within_length(
    measured_rows: list[MeasuredRow], max_length: int
) -> tuple[list[dict], list[dict]]:
    """(examples of at most `max_length` tokens, the longest last; the other rows with `why`).

    Nothing is cut, and a response that is not complete is left out: a conversation without its end
    teaches not to end.
    """
    fitting_rows = []
    dropped_rows = []
    for measured in measured_rows:
        reason = why_incomplete(measured.row.get("finish_reason", STOP))
        if measured.tokens > max_length:
            reason = f"too long: {measured.tokens} tokens"
        if reason:
            dropped_rows.append({"why": reason, **measured.row})
        else:
            fitting_rows.append(measured)
    fitting_rows.sort(key=lambda measured: measured.tokens)
    examples = [measured.example for measured in fitting_rows]
    return examples, dropped_rows


def drop_reasons(dropped_rows: list[dict]) -> str:
    """Why rows were dropped: `too long, truncated`; `too long` where none was."""
    reasons = {row["why"].split(":")[0] for row in dropped_rows}
    return ", ".join(sorted(reasons)) or "too long"


def messages_of(row_place: str, row: dict, layout: Format | None) -> list[dict]:
    """The messages of one row of any shape.

    It may hold messages, an instruction and its response, a worked problem, which is laid out in
    `layout`, or a judge's prompt with the score that people gave. UserError, with the row's place,
    for any other shape: silence would train on nothing.
    """
    if "messages" in row:
        messages = row["messages"]
        if _is_conversation(messages):
            return messages
        shape = "role and content texts that end with the assistant's"
        raise UserError(f"{row_place}: 'messages' must be {shape}")
    if "instruction" in row and "response" in row:
        return exchange(row["instruction"], row["response"])
    if "question" in row and "answer" in row and layout:
        answer = final_answer(row_place, row)
        solution = row.get("solution") or ""
        return lay_out(layout, row["question"], solution, answer)
    if "prompt" in row and "score" in row:
        score = str(row["score"])
        return exchange(row["prompt"], score)
    missing = "no messages, no instruction and response, no question and answer"
    keys = ", ".join(row)
    raise UserError(f"{row_place}: {missing} (has: {keys})")


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
    if not all(_is_message(message) for message in messages):
        return False
    last_message = messages[-1]
    return last_message.get("role") == "assistant"


def _is_message(message) -> bool:
    if not isinstance(message, dict):
        return False
    return isinstance(message.get("content"), str)


def final_answer(row_place: str, row: dict) -> str:
    """The row's gold answer, such as 72.

    UserError if it is no final answer: empty, or GSM8K's whole solution with its ####.
    """
    answer = str(row["answer"]).strip()
    is_solution = "\n" in answer or "####" in answer
    is_prose = len(answer) > LONGEST_ANSWER
    if is_solution or is_prose or not latex.canonical(answer):
        shown = answer
        if len(answer) >= LONGEST_SHOWN:
            beginning = answer[: LONGEST_SHOWN - 3]
            shown = f"{beginning}…"
        problem = "is no final answer such as 72; rows of GSM8K must be prepared first"
        raise UserError(f"{row_place}: the answer {shown!r} {problem}")
    return answer


def lay_out(layout: Format, question: str, solution: str, answer: str) -> list[dict]:
    """A worked problem as `layout` asks for it.

    The messages are the system prompt, the question, and the solution as thinking with the answer
    behind it. `boxed` has no thinking tags, and a solution that ends with the box already is the
    whole text.
    """
    answer_tag, answer_end_tag = layout.answer
    tagged_answer = f"{answer_tag}{answer}{answer_end_tag}"
    if layout.name != "boxed":
        think_tag, think_end_tag = layout.thinking
        response = f"{think_tag}\n{solution}\n{think_end_tag}\n{tagged_answer}"
    elif layout.fits(solution):
        response = solution
    else:
        response = f"{solution}\nThe answer is {tagged_answer}"
    system_turn = {"role": "system", "content": layout.system_prompt}
    return [system_turn, *exchange(question, response)]


def encode(tokenizer, messages: list[dict]) -> EncodedConversation:
    """A conversation as the model's chat template writes it.

    The assistant's words, and what ends its turn, carry labels: all else is IGNORED, and so is the
    turn's header, which is given when the model is asked. ValueError if the template does not write
    a conversation as the continuation of its beginning.
    """
    text = chat.render(tokenizer, messages, answer=False)
    learned_spans = _learned_spans(tokenizer, messages, text)
    encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    token_ids = encoding["input_ids"]
    token_spans = encoding["offset_mapping"]
    labels = []
    for token_id, token_span in zip(token_ids, token_spans, strict=True):
        token_start, _ = token_span
        if _is_within(token_start, learned_spans):
            labels.append(token_id)
        else:
            labels.append(IGNORED)
    return EncodedConversation(token_ids, labels)


def _learned_spans(tokenizer, messages: list[dict], text: str) -> list[Span]:
    """Where each turn of the assistant lies in the rendered conversation `text`."""
    spans = []
    for turn, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        earlier_turns = messages[:turn]
        up_to_answer = chat.render(tokenizer, earlier_turns, answer=True)
        with_answer = chat.render(tokenizer, [*earlier_turns, message], answer=False)
        with_answer = with_answer.rstrip()  # what stands behind the turn's end is not learned
        if not text.startswith(up_to_answer) or not text.startswith(with_answer):
            raise ValueError("the chat template does not write a conversation turn by turn")
        span = (len(up_to_answer), len(with_answer))
        spans.append(span)
    return spans


def _is_within(character: int, spans: list[Span]) -> bool:
    return any(start <= character < end for start, end in spans)


def ends_its_turn(labels: list[int], stop_ids: list[int]) -> bool:
    """Whether the last learned token is one that the model stops on: else it never learns to."""
    for label in reversed(labels):
        if label != IGNORED:
            return label in stop_ids
    return False
