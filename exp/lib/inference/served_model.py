"""What a server says of its model: the name, the make of the server, and the context."""

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from lib.errors import UserError
from lib.inference.prompts import Prompts
from lib.inference.server_faults import RunFault
from lib.models import Model
from lib.progress import say


@dataclass(frozen=True)
class ServedModel:
    """A model on a server: its name there, the server's make, and its context if that is known."""

    name: str
    make: str = ""  # owned_by in /v1/models: vllm, llamacpp, sglang, library (Ollama), …
    max_model_len: int | None = None

    @property
    def takes_token_ids(self) -> bool:
        """Whether it is sent token ids, to answer or to score."""
        return self.make == "vllm"


def find(listing: dict, model: Model) -> ServedModel:
    """The model in what /v1/models lists; RunFault that names what is served if it is not there.

    A name may be the path that was asked for, end in its last part, or stand for that path (vLLM's
    `root`).
    """
    listed_models = listing.get("data")
    if not isinstance(listed_models, list):
        listed_models = []
    listed_models = [listed for listed in listed_models if isinstance(listed, dict)]
    wanted_path = model.adapter or model.path
    for listed in listed_models:
        name = str(listed.get("id"))
        last_part = name.rstrip("/").split("/")[-1]
        if wanted_path in (name, listed.get("root")) or last_part == model.name:
            make = str(listed.get("owned_by") or "")
            return ServedModel(name, make, listed.get("max_model_len") or model.max_model_len)
    names = [str(listed.get("id")) for listed in listed_models]
    shown = ", ".join(names[:10]) or "nothing"
    if len(names) > 10:
        shown += f" and {len(names) - 10} more"
    raise RunFault(f"serves {shown}, not {model.name}")


def prompts_for(served: ServedModel, model: Model, trust_remote_code: bool) -> Prompts | None:
    """What renders the model's conversations; None if its tokenizer cannot be had here.

    A server of vLLM is sent what these render, so there UserError says why they cannot be had.
    Others render messages by themselves.
    """
    if served.takes_token_ids:
        return Prompts(model, trust_remote_code)
    try:
        if not _can_be_had(model):
            raise UserError(f"{model.path} is neither on this machine nor on a hub in reach")
        return Prompts(model, trust_remote_code)
    except UserError as e:
        say(f"no tokenizer to count prompts with ({e}); messages go to the server as they are")
        return None


def _can_be_had(model: Model) -> bool:
    """Whether the tokenizer is in a folder, in the hub's cache or on a hub that answers.

    Without this look the hub's client would try for 45 s.
    """
    if model.is_local:
        return True
    from huggingface_hub import constants, try_to_load_from_cache

    if isinstance(try_to_load_from_cache(model.path, "tokenizer_config.json"), str):
        return True
    hub = urlsplit(constants.ENDPOINT)
    try:
        socket.create_connection((hub.hostname, hub.port or 443), timeout=3).close()
    except OSError:
        return False
    return True
