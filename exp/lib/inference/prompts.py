"""What a model is sent for a conversation: the same token ids, whichever engine asks.

All of it is read off the model's own chat template, before an engine is chosen.
"""

import re

from lib import chat, light_tokenizer, thinking
from lib.errors import UserError
from lib.models import Model

# A noncharacter, which Unicode keeps for a program's own use: no text has it, no template strips
# it, and no normalizer sees it, since the text is cut there before it is encoded.
CUT = "\ufdd0"


class Prompts:
    """Renders conversations by a model's chat template.

    `thinking` is the pair of tags around the model's reasoning if the template itself writes the
    opening one behind the user's words, so that an answer begins inside its thinking; else None.
    `shows_special_tokens` says that an answer must be decoded with its special tokens, since the
    tags of the model's thinking are such tokens and would be missing from it.

    UserError, before a model is loaded: no tokenizer, or one without a usable chat template.
    """

    def __init__(self, model: Model, trust_remote_code: bool = False):
        try:
            self.tokenizer = light_tokenizer.load(model.path, trust_remote_code)
            chat.check_template(self.tokenizer)
            self.thinking = chat.thinking_opened(self.tokenizer)
        except ValueError as e:
            raise UserError(str(e)) from None
        special_tokens = _special_tokens(self.tokenizer)
        self.shows_special_tokens = any(map(_begins_thinking, special_tokens))
        self._words_to_cut = _any_of(special_tokens)

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
        try:
            return chat.folded(self.tokenizer, messages)
        except ValueError as e:
            raise UserError(str(e)) from None

    def _encode(self, messages: list[dict], answer: bool) -> list[int]:
        """The ids, in which what reads like a special token inside a message stays plain text.

        So no answer and no document can end its turn and begin another one.
        """
        cut_messages = []
        for message in messages:
            cut_messages.append({**message, "content": self._with_cuts(message["content"])})
        try:
            text = chat.render(self.tokenizer, cut_messages, answer)
        except ValueError as e:
            raise UserError(str(e)) from None
        first_piece, *pieces = text.split(CUT)
        token_ids = chat.encode(self.tokenizer, first_piece)
        for piece in pieces:
            token_ids += self.tokenizer.encode(piece, add_special_tokens=False)
        return token_ids

    def _with_cuts(self, content: str) -> str:
        """The content with a cut behind the first character of each special token's name."""

        def cut(name: re.Match) -> str:
            return name[0][0] + CUT + name[0][1:]

        return self._words_to_cut.sub(cut, content.replace(CUT, ""))


def _special_tokens(tokenizer) -> list[str]:
    """The tokens that decoding leaves out. (A vocabulary may add words too, which it keeps.)"""
    added_tokens = tokenizer.added_tokens_decoder.values()
    return [token.content for token in added_tokens if token.special]


def _begins_thinking(special_token: str) -> bool:
    """Whether a known opening tag begins with this token: `<|channel>` does, of Gemma 4."""
    return any(opening.startswith(special_token) for opening, _ in thinking.TAG_PAIRS)


def _any_of(special_tokens: list[str]) -> re.Pattern:
    """Matches each of the tokens but those about thinking.

    A template may look for those in an earlier answer, to leave its thinking out.
    """
    names = []
    for token in special_tokens:
        if len(token) > 1 and not thinking.ANY_TAG.search(token):
            names.append(re.escape(token))
    # The longest come first, so that `<|end|>` is not found as `<|end`.
    names.sort(key=len, reverse=True)
    return re.compile("|".join(names) or r"(?!)")  # without names it matches nothing
