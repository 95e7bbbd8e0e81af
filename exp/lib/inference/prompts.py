"""What a model is sent for a conversation: the same token ids, whichever engine asks.

All of it is read off the model's own chat template, before an engine is chosen.
"""

from lib import chat
from lib.errors import UserError
from lib.models import Model


class Prompts:
    """Renders conversations by a model's chat template.

    `thinking` is the pair of tags around the model's reasoning if the template itself writes the
    opening one behind the user's words, so that an answer begins inside its thinking; else None.
    """

    def __init__(self, model: Model, trust_remote_code: bool = False):
        try:
            self.tokenizer = chat.load_tokenizer(model.path, trust_remote_code)
        except ValueError as e:
            raise UserError(str(e)) from None
        self.thinking = model.think
        self.shows_special_tokens = False

    def to_answer(self, messages: list[dict]) -> list[int]:
        """The token ids of a conversation up to where the next answer begins."""
        return self._encode(messages, answer=True)

    def to_score(self, messages: list[dict]) -> list[int]:
        """The token ids of a whole conversation, which ends in an answer."""
        return self._encode(messages, answer=False)

    def folded(self, messages: list[dict]) -> list[dict]:
        """The messages as a server may render them by itself.

        A system prompt moves into the first user's turn if the template has no place for it.
        """
        return messages

    def _encode(self, messages: list[dict], answer: bool) -> list[int]:
        try:
            return chat.encode(self.tokenizer, chat.render(self.tokenizer, messages, answer))
        except ValueError as e:
            raise UserError(str(e)) from None
