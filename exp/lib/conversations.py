"""Training conversations: what a row of any of our files says as messages, and as token ids with the answers marked."""

from lib import chat
from lib.cli import UserError
from lib.formats import Format

IGNORED = -100  # a label that has no part in the loss, by PyTorch's convention


def messages_of(place: str, row: dict, layout: Format | None) -> list[dict]:
    """The messages of one row: as they stand, of a Magpie row, or of a worked problem laid out in `layout`.

    UserError, with the place, for a row of another shape: silence would train on nothing.
    """
    if "messages" in row:
        messages = row["messages"]
        fine = isinstance(messages, list) and all(isinstance(m, dict) and isinstance(m.get("content"), str) for m in messages)
        if not fine or not messages or messages[-1].get("role") != "assistant":
            raise UserError(f"{place}: 'messages' must be role and content texts that end with the assistant's")
        return messages
    if "instruction" in row and "response" in row:
        return [{"role": "user", "content": row["instruction"]}, {"role": "assistant", "content": row["response"]}]
    if "question" in row and "answer" in row and layout:
        opened, closed = layout.answer
        thinking = f"{layout.thinking[0]}\n{row.get('solution') or ''}\n{layout.thinking[1]}\n"
        if layout.name == "boxed":
            thinking, opened = f"{row.get('solution') or ''}\n", f"The answer is {opened}"
        answer = f"{thinking}{opened}{row['answer']}{closed}"
        return [{"role": "system", "content": layout.system_prompt}, {"role": "user", "content": row["question"]},
                {"role": "assistant", "content": answer}]  # fmt: skip
    raise UserError(f"{place}: no messages, no instruction and response, no question and answer (has: {', '.join(row)})")


def encode(tokenizer: object, messages: list[dict]) -> tuple[list[int], list[int]]:
    """(input ids, labels) of a conversation as the model's template writes it; only the assistant's words are learned.

    The words, and what ends their turn, carry labels; a turn's header is given when the model is asked. ValueError where the
    template does not write a conversation as the continuation of its beginning.
    """
    text, spans = chat.render(tokenizer, messages, answer=False), []
    for place, message in enumerate(messages):
        if message["role"] == "assistant":
            asked = chat.render(tokenizer, messages[:place], answer=True)
            said = chat.render(tokenizer, messages[: place + 1], answer=False)
            if not text.startswith(asked) or not text.startswith(said.rstrip()):
                raise ValueError("the chat template does not write a conversation turn by turn")
            spans.append((len(asked), len(said.rstrip())))
    encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    labels = [i if any(start <= at < end for start, end in spans) else IGNORED
              for i, (at, _) in zip(encoding["input_ids"], encoding["offset_mapping"], strict=True)]  # fmt: skip
    return encoding["input_ids"], labels


def ends_its_turns(tokenizer: object, labels: list[int], stops: list[int]) -> bool:
    """Whether the last learned token is one that the model stops on: else it learns to go on for ever."""
    learned = [label for label in labels if label != IGNORED]
    return bool(learned) and learned[-1] in stops
