"""A model's chat format, read off its own template: where a user's words begin and end, and what an answer follows.

Nothing here knows a model's name: the template is rendered with marked words, and what stands around them counts.
All is rendered for one fixed day, so that the same run gives the same prompts tomorrow.
"""

import json
import re
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import NamedTuple

DAY = datetime(2024, 7, 26)  # the day that Llama 3's own template falls back to
# Letters alone survive a template that trims, splits or escapes, and they are looked up in any case.
_SYSTEM, _USER, _ASSISTANT = "zqsystemzq", "zquserzq", "zqassistantzq"
_PRINTED_PARTS = re.compile(
    r"""['"]type['"]: ['"]text['"]"""
)  # a list of parts that the template printed as it is
_VOCABULARIES = (
    "tokenizer.json",
    "*.model",
    "*.tiktoken",
    "*vocab*.*",
    "tekken.json",
    "tokenization_*.py",
)


class _Shape(NamedTuple):
    system: str  # in its "own" place; "folded" into the user's turn; "both": so that the template's default stays away
    parts: tuple[bool, bool]  # contents as lists of text parts: the system's, everybody else's
    ending: tuple[bool, int]  # with a generation prompt; after how many turns of a dialogue


def pre_query(tokenizer: object, system_prompt: str) -> str:
    """Magpie's prompt: system prompt and user header, cut where the user's words begin, so that the model writes them.

    A template without a system role gets the system prompt at the head of the user's turn, then a blank line. An empty
    prompt leaves the template its default. ValueError when the template cannot be cut.
    """
    shape = _probe(tokenizer, bool(system_prompt.strip()))
    text = _render(tokenizer, shape, _dialogue(system_prompt, shape.ending[1]), shape.ending[0])
    # The first place, should the template repeat the words: text behind it was written for words that do not exist yet.
    if not (user := re.search(_USER, text, re.IGNORECASE)):
        raise ValueError(
            f"{_name(tokenizer)}: its chat template drops the user's words under this system prompt"
        )
    return text[: user.start()]


def render(tokenizer: object, messages: list[dict], answer: bool = True) -> str:
    """The text of a conversation, which with `answer` ends in the next answer's header. ValueError: not renderable."""
    with_system = messages[0]["role"] == "system"
    if (
        with_system and not messages[0]["content"].strip()
    ):  # as good as none, and some templates refuse it
        with_system, messages = False, messages[1:]
    return _render(tokenizer, _probe(tokenizer, with_system), messages, answer)


def stop_token_ids(
    tokenizer: object, generation_config: dict | None, user_turn: bool = True
) -> list[int]:
    """Sorted ids that end a turn: those of the tokenizer and its generation config, and the one in the template.

    `user_turn`: the model writes a user's words, which end in the turn's closing token or, where there is none, in the
    first token of the assistant's header. Without it the model answers. The two differ: gpt-oss ends its thinking with
    the token that ends a user's turn.
    """
    ids, marks = set(), _marks(tokenizer)
    for value in (tokenizer.eos_token_id, (generation_config or {}).get("eos_token_id")):
        ids.update(value if isinstance(value, (list, tuple)) else [] if value is None else [value])
    if user_turn:
        mark = marks.search(_after(tokenizer, _USER, False)) or marks.match(
            _after(tokenizer, _USER, True).lstrip()
        )
    else:
        mark = marks.match(_after(tokenizer, _ASSISTANT, False).lstrip())
    return sorted(ids | {tokenizer.convert_tokens_to_ids(mark[0])} if mark else ids)


def stop_strings(tokenizer: object) -> list[str]:
    """What ends a user's turn as plain text, such as `ASSISTANT:` or `[/INST]`; for pre-query generation alone.

    Empty when a token ends it, and rather empty than a newline or a word that a problem of several lines may hold.
    """
    tail = _after(tokenizer, _USER, True)
    start, marks = tail.lstrip(), _marks(tokenizer)
    if marks.match(start):
        return []
    line = re.split("<think", marks.split(start.split("\n")[0])[0])[0].strip()
    if tag := re.match(r"<[^<>\s]+>|\[[^\[\]\s]+\]", line):
        line = tag[0]
    letters = len(re.findall(r"[^\W\d_]", line))
    if not letters or not re.search(r"[^\w\s]", line):
        return []
    if (
        letters < 3
    ):  # "A:" may also name a point in a problem; at the start of a line it hardly does
        return [f"\n{line}"] if "\n" in tail[: len(tail) - len(start)] else []
    return [line]


def encode(tokenizer: object, text: str) -> list[int]:
    """Token ids of rendered text: with one BOS if the tokenizer would set one by itself, never with two."""
    ids, bos = tokenizer.encode(text, add_special_tokens=False), tokenizer.bos_token_id
    missing = bos is not None and ids[:1] != [bos] and tokenizer.encode("a")[:1] == [bos]
    return [bos, *ids] if missing else ids


def split_think(text: str, open: str = "<think>", close: str = "</think>") -> tuple[str, str]:
    """(thinking, answer) of a response, without the tags. Text without a tag is all answer, as it stands.

    The opening tag may be missing (the template wrote it in the prompt). A response cut off while thinking has the
    answer "". Where both happen no tag is left: put `open` before the text first.
    """
    thought, closed, answer = text.rpartition(close)
    if not closed:
        return (text.replace(open, "", 1).strip(), "") if open in text else ("", text)
    answer, _, unfinished = answer.partition(open)
    return (thought.replace(open, "").replace(close, "") + unfinished).strip(), answer.strip()


def load_tokenizer(model_path: str, trust_remote_code: bool = False) -> object:
    """The tokenizer of a folder or hub name. ValueError: no folder, no tokenizer in it, or an unreachable hub."""
    folder = Path(model_path)
    if not folder.is_dir() and not re.fullmatch(r"\w[\w.-]*/[\w.-]+", model_path):
        raise ValueError(f"{model_path}: no such folder, and not a hub name 'owner/model'")
    # A folder with a config alone would load as a tokenizer with an empty vocabulary.
    if folder.is_dir() and not any(next(folder.glob(pattern), None) for pattern in _VOCABULARIES):
        raise ValueError(
            f"{model_path}: no tokenizer files (tokenizer.json or a vocabulary) in this folder"
        )
    from transformers import AutoTokenizer

    try:
        # mistral-common renders without a template, so that neither the day nor the system's place could be set.
        return AutoTokenizer.from_pretrained(
            model_path, trust_remote_code=trust_remote_code, mistral_format=False
        )
    except (
        Exception
    ) as e:  # tokenizers raises plain Exception for a torn file, the hub's client its own kinds
        what = (
            "its tokenizer cannot be loaded"
            if folder.is_dir()
            else "no such folder, and on the hub"
        )
        raise ValueError(f"{model_path}: {what}: {_one_line(e)}") from e


def generation_config(model_path: str) -> dict | None:
    """`generation_config.json` of a folder or hub name; None where there is none. ValueError when it is not JSON."""
    path = Path(model_path) / "generation_config.json"
    if not Path(model_path).is_dir():
        from transformers.utils import cached_file

        quiet = ("_raise_exceptions_for_missing_entries", "_raise_exceptions_for_connection_errors")
        path = Path(cached_file(model_path, path.name, **dict.fromkeys(quiet, False)) or path)
    try:
        return json.loads(path.read_bytes()) if path.is_file() else None
    except ValueError as e:
        raise ValueError(f"{path}: not JSON: {_one_line(e)}") from None


def _name(tokenizer: object) -> str:
    return getattr(tokenizer, "name_or_path", "") or "this tokenizer"


def _one_line(error: Exception) -> str:
    return " ".join(f"{error}".split())[:300] or type(error).__name__


def _dialogue(system_prompt: str, turns: int) -> list[dict]:
    head = [{"role": "system", "content": system_prompt}] if system_prompt.strip() else []
    return (
        head
        + [{"role": "user", "content": _USER}, {"role": "assistant", "content": _ASSISTANT}][:turns]
    )


def _render(tokenizer: object, shape: _Shape, messages: list[dict], answer: bool) -> str:
    """One rendering for the fixed day; ValueError when the template refuses, caused by what it raised."""
    from jinja2 import TemplateError

    template, kwargs = (
        getattr(tokenizer, "chat_template", None),
        {"tokenize": False, "add_generation_prompt": answer},
    )
    if isinstance(template, dict):  # several, by name
        template = template.get("default") or (
            next(iter(template.values())) if len(template) == 1 else None
        )
        kwargs["chat_template"] = template
    if not template:
        raise ValueError(
            f"{_name(tokenizer)}: its tokenizer has no chat template (a base model?); use a chat model"
        )
    if "strftime_now" in template:  # a variable shadows the environment's global of that name
        kwargs["strftime_now"] = DAY.strftime
    if "date_string" in template and not re.search(
        r"\bset\s+date_string\b", template
    ):  # else it has its own default
        kwargs["date_string"] = DAY.strftime("%d %b %Y")
    messages, refused = _laid_out(messages, shape), None
    # Some templates loop over the tools that nobody gave; to others even an empty list means tools, so it comes second.
    for tools in ({}, {"tools": []}) if "tools" in template else ({},):
        try:
            return tokenizer.apply_chat_template(messages, **kwargs, **tools)
        except (
            TemplateError,
            TypeError,
            ValueError,
            LookupError,
            AttributeError,
            RuntimeError,
            AssertionError,
        ) as e:
            refused = refused or e
    raise ValueError(
        f"{_name(tokenizer)}: its chat template refuses: {_one_line(refused)}"
    ) from refused


def _laid_out(messages: list[dict], shape: _Shape) -> list[dict]:
    """The messages as the template takes them; the originals stay as they are."""
    if messages[0]["role"] == "system" and shape.system != "own":
        head, *rest = messages
        place = next((i for i, m in enumerate(rest) if m["role"] == "user"), None)
        if place is not None:
            rest[place] = {
                **rest[place],
                "content": f"{head['content'].strip()}\n\n{rest[place]['content']}",
            }
        messages = [head, *rest] if shape.system == "both" else rest
    return [{**m, "content": [{"type": "text", "text": m["content"]}]} if shape.parts[m["role"] != "system"] else m
            for m in messages]  # fmt: skip


def _probe(tokenizer: object, with_system: bool) -> _Shape:
    """The first shape in which the user's words show, behind the system's where there are any."""
    works, fails = {}, {}
    ways = (("own", "folded", "both") if with_system else ("own",), ((False, False), (True, True), (False, True)),
            ((True, 1), (False, 1), (False, 2)))  # fmt: skip
    for shape in map(_Shape._make, product(*ways)):
        if "own" in works or shape.system in works:
            continue
        try:
            words = _dialogue(_SYSTEM if with_system else "", shape.ending[1])
            text = _render(tokenizer, shape, words, shape.ending[0])
        except ValueError as e:
            if not e.__cause__:  # no template at all
                raise
            fails.setdefault(shape.system, _one_line(e.__cause__))
            continue
        user, system = (
            re.search(_USER, text, re.IGNORECASE),
            re.search(_SYSTEM, text, re.IGNORECASE),
        )
        if not user or _PRINTED_PARTS.search(text):
            fails.setdefault(shape.system, "the user's words are not in the text")
        elif with_system and not (system and system.start() < user.start()):
            fails.setdefault(shape.system, "the system prompt is not before the user's words")
        else:
            works[shape.system] = (user.start(), shape)
    if works:  # a message that is dropped may still keep the template's default away: the shorter text has no default
        return min(works.values(), key=lambda w: w[0])[1]
    names = {
        "own": "a system message" if with_system else "a user's turn",
        "folded": "the system prompt in that turn",
    }
    tried = "; ".join(
        f"{what} ({fails[system]})" for system, what in names.items() if system in fails
    )
    raise ValueError(
        f"{_name(tokenizer)}: its chat template cannot be cut before the user's words; tried {tried}"
    )


def _after(tokenizer: object, word: str, answer: bool) -> str:
    """What the template writes behind the user's or the assistant's words; "" where it does not render that."""
    for system in ("", _SYSTEM):
        try:
            text = _render(
                tokenizer,
                _probe(tokenizer, bool(system)),
                _dialogue(system, 1 + (word != _USER)),
                answer,
            )
        except ValueError:
            continue
        return (
            re.split(word, text, flags=re.IGNORECASE)[-1]
            if re.search(word, text, re.IGNORECASE)
            else ""
        )
    return ""


def _marks(tokenizer: object) -> re.Pattern:
    """Matches the added tokens that can mark a turn: none that is white space or a word, none about thinking."""
    tokens = {*tokenizer.get_added_vocab(), *tokenizer.all_special_tokens}
    marks = [
        t
        for t in tokens
        if len(t) > 2 and re.search(r"[^\w\s]", t) and not re.search("think", t, re.IGNORECASE)
    ]
    # Longest first; without marks it must match nothing, where an empty pattern would match everything.
    return re.compile("|".join(map(re.escape, sorted(marks, key=len, reverse=True))) or r"(?!)")
