"""A tokenizer for stages that only render and encode text, loaded without transformers.

Importing transformers takes 4 s of CPU, torch among it, and a run starts 24 such stages, six at a
time. So what transformers builds from a folder's files is saved once, whole, in `data/cache`; who
comes next reads that with the two libraries that transformers itself encodes and renders with,
tokenizers and jinja2 (0.2 s). Nothing is built or guessed here: hub names, remote code and
tokenizers that are not of the `tokenizers` library always go through transformers.
"""

import contextlib
import functools
import hashlib
import json
from importlib import metadata
from pathlib import Path

from jinja2 import nodes
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

from lib import chat, locks, rows

CACHE = rows.ROOT / "data/cache/tokenizers"
# Bytes: what is larger are weights, known by their name and size. Gemma's tokenizer.json has 33 MB.
LARGEST_READ = 100_000_000
# What is used here. A class that replaces one of them is not what is saved.
METHODS = (
    "encode",
    "_encode_plus",
    "apply_chat_template",
    "get_chat_template",
    "convert_tokens_to_ids",
    "get_added_vocab",
)


class LightTokenizer:
    """As the tokenizer of transformers that it was saved from, of which it has these parts."""

    def __init__(self, saved: dict, name_or_path: str):
        from tokenizers import Tokenizer

        self._backend = Tokenizer.from_str(saved["backend"])
        self._backend.no_truncation()
        self._backend.no_padding()
        self._special_tokens_map = saved["special_tokens_map"]
        self.name_or_path = name_or_path
        self.chat_template = saved["chat_template"]
        self.all_special_tokens = saved["all_special_tokens"]
        self.bos_token_id = saved["bos_token_id"]
        self.eos_token_id = saved["eos_token_id"]

    @property
    def added_tokens_decoder(self) -> dict:
        return self._backend.get_added_tokens_decoder()

    def get_added_vocab(self) -> dict[str, int]:
        return {token.content: number for number, token in self.added_tokens_decoder.items()}

    def convert_tokens_to_ids(self, token: str) -> int | None:
        return self._backend.token_to_id(token)

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        return self._backend.encode(text, add_special_tokens=add_special_tokens).ids

    def apply_chat_template(
        self,
        messages: list[dict],
        tokenize: bool = False,
        chat_template: str | None = None,
        tools: list | None = None,
        **variables,
    ) -> str:
        """The rendered text; `chat_template` is needed where the tokenizer has several."""
        template = _compiled(chat_template or self.chat_template)
        variables = {**self._special_tokens_map, **variables}
        return template.render(messages=messages, tools=tools, documents=None, **variables)


def load(model_path: str, trust_remote_code: bool = False):
    """The tokenizer of a folder or hub name, light where it was saved before.

    ValueError as `chat.load_tokenizer`.
    """
    folder = Path(model_path)
    if trust_remote_code or not (folder / "tokenizer.json").is_file():
        return chat.load_tokenizer(model_path, trust_remote_code)
    saved_path = CACHE / f"{_fingerprint(folder)}.json"
    if not saved_path.is_file():
        # Six domains start side by side: one of them imports transformers, the others wait for it.
        with locks.waited_for(saved_path.with_suffix(".lock")):
            if not saved_path.is_file():
                return _load_and_save(model_path, saved_path)
    saved = json.loads(saved_path.read_bytes())
    return LightTokenizer(saved, model_path) if saved else chat.load_tokenizer(model_path)


def _fingerprint(folder: Path) -> str:
    """A hash of all that transformers could read: its version, the folder's name and its files."""
    digest = hashlib.sha256()
    for package in ("transformers", "tokenizers"):
        digest.update(f"{package}:{metadata.version(package)}\n".encode())
    digest.update(f"{folder}\n".encode())
    for path in sorted([*folder.glob("*"), *folder.glob("additional_chat_templates/*")]):
        if path.is_file():
            size = path.stat().st_size
            digest.update(f"{path.name}:{size}\n".encode())
            if size <= LARGEST_READ:
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _can_be_saved(tokenizer) -> bool:
    """Whether it works as every tokenizer of the `tokenizers` library does."""
    from transformers import PreTrainedTokenizerFast

    kind = type(tokenizer)
    if not issubclass(kind, PreTrainedTokenizerFast) or tokenizer.split_special_tokens:
        return False
    for method in METHODS:
        if getattr(kind, method) is not getattr(PreTrainedTokenizerFast, method):
            return False
    return True


def _load_and_save(model_path: str, saved_path: Path):
    """The tokenizer by transformers, kept for later stages; null is kept if it cannot be saved.

    Where nothing may be written, every stage imports transformers.
    """
    tokenizer = chat.load_tokenizer(model_path)
    saved = None
    if _can_be_saved(tokenizer):
        saved = {
            "backend": tokenizer.backend_tokenizer.to_str(),
            "special_tokens_map": tokenizer.special_tokens_map,
            "all_special_tokens": tokenizer.all_special_tokens,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "chat_template": tokenizer.chat_template,
        }
    with contextlib.suppress(OSError):
        rows.write_whole(saved_path, json.dumps(saved).encode())
    return tokenizer


class _GenerationBlock(Extension):
    """`{% generation %}` marks an answer, for training; its text is rendered as it stands."""

    tags = {"generation"}

    def parse(self, parser):
        line_number = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        block = nodes.CallBlock(self.call_method("_text"), [], [], body)
        return block.set_lineno(line_number)

    def _text(self, caller):
        return caller()


def _raise_exception(message):
    raise TemplateError(message)


def _to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


@functools.cache
def _compiled(template: str):
    """The template in the environment of transformers (utils/chat_template_utils.py, 5.17)."""
    extensions = [_GenerationBlock, "jinja2.ext.loopcontrols"]
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=extensions
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    return environment.from_string(template)
