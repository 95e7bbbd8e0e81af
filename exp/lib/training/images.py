"""Training rows with pictures: messages, and the paths of the images that they begin with."""

from pathlib import Path

from lib.errors import UserError
from lib.models import Model
from lib.training.conversations import Measured, messages_of, within_length

KEYS = ("image", "images")


def has_images(row: dict) -> bool:
    return any(key in row for key in KEYS)


def read(
    placed: list[tuple[str, dict]], model: Model, max_length: int
) -> tuple[list[dict], list[dict]]:
    """(prompt, completion and images of each row, the longest last; rows that are too long).

    A row is `messages` (texts, the assistant's last) and `image` or `images`, which are paths as
    seen from its file's folder; they stand before the first turn's text. Rows of more than
    `max_length` tokens are dropped with `why`: a cut between an image's tokens breaks the model.
    UserError names a bad row.
    """
    processor = _load_processor(model)
    if not hasattr(processor, "image_processor"):
        raise UserError(f"{model.name} reads no images; {placed[0][0]} has one")
    measured = []
    for place, row in placed:
        messages = messages_of(place, row, None)
        paths = _image_paths(place, row)
        opened = [_open(place, path) for path in paths]
        text = processor.apply_chat_template(_as_parts(messages, len(paths)))
        tokens = len(processor(images=opened or None, text=[text])["input_ids"][0])
        example = {"prompt": messages[:-1], "completion": messages[-1:], "images": paths}
        measured.append(Measured(row, example, tokens))
    return within_length(measured, max_length)


def dataset(examples: list[dict]):
    """The examples for TRL, whose collator asks for one batch of opened images at a time."""
    from datasets import Dataset, Image, List

    return Dataset.from_list(examples).cast_column("images", List(Image()))


def _load_processor(model: Model):
    from transformers import AutoProcessor

    try:
        return AutoProcessor.from_pretrained(model.path)
    except (OSError, ValueError, TypeError, ImportError) as e:
        reason = str(e).strip().splitlines()[0]
        raise UserError(f"{model.path}: no processor for images ({reason})") from None


def _image_paths(place: str, row: dict) -> list[str]:
    names = [row["image"]] if "image" in row else row.get("images") or []
    folder = Path(place).parent
    return [str(folder / name) for name in names]


def _open(place: str, path: str):
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as e:
        raise UserError(f"{place}: {path}: no image ({type(e).__name__})") from None


def _as_parts(messages: list[dict], images: int) -> list[dict]:
    """The messages with their contents as lists of parts, the images first."""
    parted = []
    for message in messages:
        text_part = {"type": "text", "text": message["content"]}
        parted.append({**message, "content": [text_part]})
    image_parts = [{"type": "image"}] * images
    parted[0]["content"] = image_parts + parted[0]["content"]
    return parted
