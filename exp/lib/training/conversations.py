"""Training conversations: what a row of any of our files says as messages, and as token ids with the answers marked."""

from lib import chat, models
from lib.errors import UserError
from lib.grading import latex
from lib.grading.formats import Format

LONGEST = 200  # characters of a final answer: what is longer is prose
IGNORED = -100  # a label that has no part in the loss, by PyTorch's convention


class Reader:
    """Reads training rows for one model: its tokenizer and template, and a format for rows that are worked problems."""

    def __init__(self, model: models.Model, layout: Format | None = None):
        self.model, self.layout, self.tokenizer = model, layout, chat.load_tokenizer(model.path)
        self.stops = chat.stop_token_ids(
            self.tokenizer, chat.generation_config(model.path), user_turn=False
        )

    def encode(self, place: str, row: dict) -> tuple[list[int], list[int]]:
        """(input ids, labels) of a row; UserError, with its place, for another shape, or a template that never stops."""
        messages = messages_of(place, row, self.layout)
        try:
            ids, labels = encode(self.tokenizer, messages)
        except ValueError as e:
            raise UserError(f"{place}: {e}") from None
        if not ends_its_turns(self.tokenizer, labels, self.stops):
            raise UserError(
                f"{place}: {self.model.name}'s chat template does not end the answer with a token that the model stops on"
            )
        return ids, labels


def messages_of(place: str, row: dict, layout: Format | None) -> list[dict]:
    """The messages of one row: as they stand, of a Magpie row, or of a worked problem laid out in `layout`.

    UserError, with the place, for a row of another shape: silence would train on nothing.
    """
    if "messages" in row:
        messages = row["messages"]
        fine = isinstance(messages, list) and all(
            isinstance(m, dict) and isinstance(m.get("content"), str) for m in messages
        )
        if not fine or not messages or messages[-1].get("role") != "assistant":
            raise UserError(
                f"{place}: 'messages' must be role and content texts that end with the assistant's"
            )
        return messages
    if "instruction" in row and "response" in row:
        return [
            {"role": "user", "content": row["instruction"]},
            {"role": "assistant", "content": row["response"]},
        ]
    if "question" in row and "answer" in row and layout:
        return laid_out(
            layout, row["question"], row.get("solution") or "", final_answer(place, row)
        )
    if (
        "prompt" in row and "score" in row
    ):  # a judge's: what is asked, and the score that people gave
        return [
            {"role": "user", "content": row["prompt"]},
            {"role": "assistant", "content": str(row["score"])},
        ]
    raise UserError(
        f"{place}: no messages, no instruction and response, no question and answer (has: {', '.join(row)})"
    )


def final_answer(place: str, row: dict) -> str:
    """The row's gold answer; UserError where it is no final answer: empty, or GSM8K's whole solution with its ####."""
    answer = str(row["answer"]).strip()
    if not latex.canonical(answer) or "\n" in answer or "####" in answer or len(answer) > LONGEST:
        shown = answer if len(answer) < 60 else f"{answer[:57]}…"
        raise UserError(
            f"{place}: the answer {shown!r} is no final answer such as 72 (exp/prep_gsm8k.py makes such rows)"
        )
    return answer


def laid_out(layout: Format, question: str, solution: str, answer: str) -> list[dict]:
    """A worked problem as `layout` asks for it: its system prompt, the question, the solution as thinking and then the answer.

    `boxed` has no thinking tags, and a solution that ends with the box already is the whole text.
    """
    if layout.name == "boxed":
        text = (
            solution
            if layout.fits(solution)
            else f"{solution}\nThe answer is {layout.answer[0]}{answer}{layout.answer[1]}"
        )
    else:
        (think, thought), (opened, closed) = layout.thinking, layout.answer
        text = f"{think}\n{solution}\n{thought}\n{opened}{answer}{closed}"
    asked = [
        {"role": "system", "content": layout.system_prompt},
        {"role": "user", "content": question},
    ]
    return [*asked, {"role": "assistant", "content": text}]


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
