"""A model's chat format, read off its own template: prompts, their ids, and what ends a turn.

`lib.chat_template` renders conversations in the shape that the template takes; here stands what is
made of the text.
"""

import json
import re
from pathlib import Path

from lib import thinking
from lib.chat_template import (
    ASSISTANT,
    SYSTEM,
    USER,
    Shape,
    dialogue,
    find_shape,
    name_of,
    position_of,
    render_in_shape,
    with_system_in_place,
)
from lib.errors import one_line

# The files that a folder has one of, if there is a tokenizer in it.
VOCABULARIES = (
    "tokenizer.json",
    "*.model",
    "*.tiktoken",
    "*vocab*.*",
    "tekken.json",
    "tokenization_*.py",
)


def pre_query(tokenizer, system_prompt: str) -> str:
    """Magpie's prompt: the system prompt and the user's header, for the model to go on from.

    It is cut where the user's words begin, so that the model writes them. A template without a
    system role gets the system prompt at the head of the user's turn, then a blank line. An empty
    prompt leaves the template its default. ValueError if the template cannot be cut.
    """
    shape = find_shape(tokenizer, with_system=bool(system_prompt.strip()))
    messages = dialogue(system_prompt, shape.with_answer)
    rendered = render_in_shape(tokenizer, shape, messages, shape.with_header)
    # The first place, should the template repeat the words: the text behind it was written for
    # words that do not exist yet.
    position = position_of(USER, rendered)
    if position is None:
        problem = "its chat template drops the user's words under this system prompt"
        raise ValueError(f"{name_of(tokenizer)}: {problem}")
    return rendered[:position]


def render(tokenizer, messages: list[dict], answer: bool = True) -> str:
    """The text of a conversation, which with `answer` ends in the header of the next answer.

    ValueError if the template refuses it.
    """
    messages = _without_empty_system(messages)
    shape = _shape_for(tokenizer, messages)
    return render_in_shape(tokenizer, shape, messages, with_header=answer)


def folded(tokenizer, messages: list[dict]) -> list[dict]:
    """The messages for a server that renders them by itself, with the model's own template.

    A system prompt stands where `render` puts it: in the first user's turn, if the template has no
    place for it. ValueError as `render`.
    """
    messages = _without_empty_system(messages)
    return with_system_in_place(_shape_for(tokenizer, messages), messages)


def thinking_opened(tokenizer) -> thinking.TagPair | None:
    """The tags of the thinking that the template opens before an answer; None if it opens none.

    Then an answer begins with its thinking and has no opening tag.
    """
    return thinking.pair_left_open(_text_after(tokenizer, USER, with_header=True))


def check_template(tokenizer) -> None:
    """ValueError if no conversation can be rendered: no template, or one that refuses them all."""
    try:
        find_shape(tokenizer, with_system=False)
    except ValueError as refusal:
        try:
            find_shape(tokenizer, with_system=True)
        except ValueError:
            raise refusal from None


def stop_token_ids(tokenizer, generation_config: dict | None, user_turn: bool = True) -> list[int]:
    """Sorted ids that end a turn: the EOS of tokenizer and generation config, the template's token.

    With `user_turn` the model writes a user's words. They end in the turn's closing token or, where
    there is none, in the first token of the assistant's header. Without it the model answers. The
    two differ: gpt-oss ends its thinking with the token that ends a user's turn.
    """
    ids = _id_set(tokenizer.eos_token_id)
    if generation_config:
        ids |= _id_set(generation_config.get("eos_token_id"))
    mark = _mark_after_user(tokenizer) if user_turn else _mark_after_answer(tokenizer)
    if mark:
        ids.add(tokenizer.convert_tokens_to_ids(mark[0]))
    return sorted(ids)


def stop_strings(tokenizer) -> list[str]:
    """What ends a user's turn as plain text, such as `ASSISTANT:` or `[/INST]`.

    It serves pre-query generation alone. It is empty if a token ends the turn, and rather empty
    than a newline or a word that a problem of several lines may hold.
    """
    ending = _text_after(tokenizer, USER, with_header=True)
    header = ending.lstrip()
    marks = _marks(tokenizer)
    if marks.match(header):
        return []
    first_line = header.split("\n")[0]
    before_marks = marks.split(first_line)[0]
    stop = thinking.ANY_TAG.split(before_marks)[0].strip()
    # Of a line that begins with a tag, such as `[/INST]`, the tag is enough.
    tag = re.match(r"<[^<>\s]+>|\[[^\[\]\s]+\]", stop)
    if tag:
        stop = tag[0]
    letters = re.findall(r"[^\W\d_]", stop)
    has_punctuation = re.search(r"[^\w\s]", stop)
    if not letters or not has_punctuation:
        return []
    if len(letters) >= 3:
        return [stop]
    # "A:" may also name a point in a problem; at the start of a line it hardly does.
    white_space = ending[: len(ending) - len(header)]
    return [f"\n{stop}"] if "\n" in white_space else []


def encode(tokenizer, text: str) -> list[int]:
    """Token ids of rendered text: with one BOS if the tokenizer sets one by itself, never two."""
    ids = tokenizer.encode(text, add_special_tokens=False)
    bos = tokenizer.bos_token_id
    if bos is None or ids[:1] == [bos]:
        return ids
    sets_bos_by_itself = tokenizer.encode("a")[:1] == [bos]
    return [bos, *ids] if sets_bos_by_itself else ids


def load_tokenizer(model_path: str, trust_remote_code: bool = False):
    """The tokenizer of a folder or hub name.

    ValueError: no such folder, no tokenizer in it, or a hub that cannot be reached.
    """
    folder = Path(model_path)
    is_folder = folder.is_dir()
    looks_like_hub_name = re.fullmatch(r"\w[\w.-]*/[\w.-]+", model_path)
    if not is_folder and not looks_like_hub_name:
        raise ValueError(f"{model_path}: no such folder, and not a hub name 'owner/model'")
    # A folder with a config alone would load as a tokenizer with an empty vocabulary.
    if is_folder and not _has_vocabulary(folder):
        missing = "no tokenizer files (tokenizer.json or a vocabulary) in this folder"
        raise ValueError(f"{model_path}: {missing}")
    from transformers import AutoTokenizer

    # mistral-common renders without a template, so that neither the day nor the system prompt's
    # place could be set.
    options = {"trust_remote_code": trust_remote_code, "mistral_format": False}
    try:
        return AutoTokenizer.from_pretrained(model_path, **options)
    except Exception as e:  # of a torn file a plain Exception, of the hub's client its own kinds
        problem = "no such folder, and on the hub"
        if is_folder:
            problem = "its tokenizer cannot be loaded"
        raise ValueError(f"{model_path}: {problem}: {one_line(e)}") from e


def generation_config(model_path: str) -> dict | None:
    """`generation_config.json` of a folder or hub name; None where there is none.

    ValueError if it is not JSON.
    """
    config_path = Path(model_path) / "generation_config.json"
    if not Path(model_path).is_dir():
        from transformers.utils import cached_file

        cached = cached_file(
            model_path,
            config_path.name,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        config_path = Path(cached or config_path)
    if not config_path.is_file():
        return None
    try:
        return json.loads(config_path.read_bytes())
    except ValueError as e:
        raise ValueError(f"{config_path}: not JSON: {one_line(e)}") from None


def _without_empty_system(messages: list[dict]) -> list[dict]:
    """An empty system prompt is as good as none, and some templates refuse it."""
    first = messages[0]
    is_empty_system = first["role"] == "system" and not first["content"].strip()
    return messages[1:] if is_empty_system else messages


def _shape_for(tokenizer, messages: list[dict]) -> Shape:
    return find_shape(tokenizer, with_system=messages[0]["role"] == "system")


def _id_set(ids: int | list[int] | tuple[int, ...] | None) -> set[int]:
    """The ids of a field that holds one id, several, or none."""
    if ids is None:
        return set()
    if isinstance(ids, (list, tuple)):
        return set(ids)
    return {ids}


def _mark_after_user(tokenizer) -> re.Match | None:
    """The token that closes a user's turn, or else the one that opens the assistant's header."""
    marks = _marks(tokenizer)
    without_header = _text_after(tokenizer, USER, with_header=False)
    closing_mark = marks.search(without_header)
    if closing_mark:
        return closing_mark
    header = _text_after(tokenizer, USER, with_header=True)
    return marks.match(header.lstrip())


def _mark_after_answer(tokenizer) -> re.Match | None:
    """The token that closes an answer, if one stands directly behind it."""
    ending = _text_after(tokenizer, ASSISTANT, with_header=False)
    return _marks(tokenizer).match(ending.lstrip())


def _text_after(tokenizer, word: str, with_header: bool) -> str:
    """What the template writes behind the user's or the assistant's words.

    It is "" where the template does not render them.
    """
    for system_prompt in ("", SYSTEM):
        messages = dialogue(system_prompt, with_answer=word == ASSISTANT)
        try:
            shape = find_shape(tokenizer, with_system=bool(system_prompt))
            rendered = render_in_shape(tokenizer, shape, messages, with_header)
        except ValueError:
            continue
        pieces = re.split(word, rendered, flags=re.IGNORECASE)
        return pieces[-1] if len(pieces) > 1 else ""
    return ""


def _marks(tokenizer) -> re.Pattern:
    """Matches the added tokens that can mark a turn.

    None of them is white space or a word, and none is about thinking.
    """
    marks = []
    for token in {*tokenizer.get_added_vocab(), *tokenizer.all_special_tokens}:
        has_punctuation = re.search(r"[^\w\s]", token)
        is_about_thinking = re.search("think", token, re.IGNORECASE)
        if len(token) > 2 and has_punctuation and not is_about_thinking:
            marks.append(token)
    if not marks:
        return re.compile(r"(?!)")  # matches nothing, where an empty pattern matches everywhere
    # The longest come first, so that `<|end|>` is not found as `<|end`.
    marks.sort(key=len, reverse=True)
    return re.compile("|".join(map(re.escape, marks)))


def _has_vocabulary(folder: Path) -> bool:
    return any(any(folder.glob(pattern)) for pattern in VOCABULARIES)
