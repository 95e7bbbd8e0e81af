"""What is posted for a request: token ids to a server of vLLM, messages and text to any other."""

from lib.inference.prompts import Prompts
from lib.inference.requests import Request, user_turn
from lib.inference.server_client import Question

# Asked where a row fails, to see whether the server answers at all.
TRIVIAL = user_turn("Hi")
TRIVIAL_ANSWERED = [*TRIVIAL, {"role": "assistant", "content": "Hi"}]


class TokenIds:
    """As the engine in this process is asked: what a model reads is rendered here."""

    # How many completions it gives to one request, if that is known: as many as it is asked for.
    gives_several = True

    def __init__(self, model_name: str, prompts: Prompts):
        self._model_name = model_name
        self._prompts = prompts
        self._trivial_ids = prompts.to_answer(TRIVIAL)

    def to_answer(self, request: Request) -> Question:
        """A conversation to answer."""
        more = {}
        if self._prompts.shows_special_tokens:
            more["skip_special_tokens"] = False
        return self._completions(request, self._prompts.to_answer(request.prompt), more)

    def to_continue(self, request: Request) -> Question:
        """A text to go on with, until a stop token."""
        more = {"stop_token_ids": list(request.stop_token_ids)}
        return self._completions(request, request.prompt, more)

    def to_score(self, messages: list[dict]) -> Question:
        """A conversation to be scored by vLLM's `/classify`: one raw score."""
        token_ids = self._prompts.to_score(messages)
        options = {"model": self._model_name, "use_activation": False}
        trivial = {**options, "input": self._prompts.to_score(TRIVIAL_ANSWERED)}
        return Question("/classify", {**options, "input": token_ids}, trivial, len(token_ids))

    def _completions(self, request: Request, token_ids: list[int], more: dict) -> Question:
        options = {**_options(self._model_name, request), **more}
        trivial = {**options, "prompt": self._trivial_ids}
        return Question("/completions", {**options, "prompt": token_ids}, trivial, len(token_ids))


class Messages:
    """As vendors are asked: the server renders messages by itself.

    With `prompts` a system prompt is folded into the user's turn where the template wants that, and
    the tokens are counted, by which a prompt that the server cuts is found.
    """

    gives_several = None  # not known before the first answer

    def __init__(self, model_name: str, prompts: Prompts | None):
        self._model_name = model_name
        self._prompts = prompts

    def to_answer(self, request: Request) -> Question:
        """A conversation to answer."""
        messages, prompt_tokens = request.prompt, None
        if self._prompts:
            messages = self._prompts.folded(messages)
            prompt_tokens = len(self._prompts.to_answer(request.prompt))
        options = _options(self._model_name, request)
        trivial = {**options, "messages": TRIVIAL}
        body = {**options, "messages": messages}
        return Question("/chat/completions", body, trivial, prompt_tokens)

    def to_continue(self, request: Request) -> Question:
        """A text to go on with, without the BOS, which such a server writes before it."""
        options = _options(self._model_name, request)
        trivial = {**options, "prompt": "Hi"}
        body = {**options, "prompt": request.text}
        return Question("/completions", body, trivial, len(request.prompt))

    def to_score(self, messages: list[dict]) -> Question:
        """A conversation to be scored by this project's own server, which renders it as we do."""
        options = {"model": self._model_name, "add_generation_prompt": False}
        options["use_activation"] = False
        trivial = {**options, "messages": TRIVIAL_ANSWERED}
        return Question("/classify", {**options, "messages": messages}, trivial)


def _options(model_name: str, request: Request) -> dict:
    """What every body for a completion holds but the prompt, the seed and the number of samples."""
    options = {
        "model": model_name,
        "temperature": request.sampling.temperature,
        "top_p": request.sampling.top_p,
        "max_tokens": request.sampling.max_tokens,
    }
    if request.stop:
        options["stop"] = list(request.stop)
    return options
