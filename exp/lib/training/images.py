"""Training rows with pictures: messages, and the paths of the images that they begin with."""

from pathlib import Path

from lib.errors import UserError
from lib.models import Model
from lib.training import conversations
from lib.training.conversations import MeasuredRow

KEYS = ("image", "images")


def has_images(row: dict) -> bool:
    return any(key in row for key in KEYS)


def read(
    placed_rows: list[tuple[str, dict]], model: Model, max_length: int
) -> tuple[list[dict], list[dict]]:
    """(prompt, completion and images of each row, the longest last; rows that are too long).

    A row is `messages` (texts, the assistant's last) and `image` or `images`, which are paths as
    seen from its file's folder; they stand before the first turn's text. Rows of more than
    `max_length` tokens are dropped with `why`: a cut between an image's tokens breaks the model.
    UserError names a bad row.
    """
    processor = _load_processor(model)
    if not hasattr(processor, "image_processor"):
        first_place, _ = placed_rows[0]
        raise UserError(f"{model.name} reads no images; {first_place} has one")
    measured_rows = []
    for row_place, row in placed_rows:
        messages = conversations.messages_of(row_place, row, layout=None)
        image_paths = _image_paths(row_place, row)
        opened_images = []
        for image_path in image_paths:
            opened_images.append(_open(row_place, image_path))
        example = {
            "prompt": messages[:-1],
            "completion": messages[-1:],
            "images": image_paths,
        }
        tokens = _count_tokens(processor, messages, opened_images)
        measured_rows.append(MeasuredRow(row, example, tokens))
    return conversations.within_length(measured_rows, max_length)


def dataset(examples: list[dict]):
    """The examples for TRL, whose collator asks for one batch of opened images at a time."""
    from datasets import Dataset, Image, List

    with_paths = Dataset.from_list(examples)
    return with_paths.cast_column("images", List(Image()))


def _load_processor(model: Model):
    from transformers import AutoProcessor

    try:
        return AutoProcessor.from_pretrained(model.path)
    except (OSError, ValueError, TypeError, ImportError) as e:
        reason, *_ = str(e).strip().splitlines()
        raise UserError(f"{model.path}: no processor for images ({reason})") from None


def _image_paths(row_place: str, row: dict) -> list[str]:
    """The paths of a row's images as seen from here; `row_place` begins with its file's path."""
    file_names = row.get("images") or []
    if "image" in row:
        file_names = [row["image"]]
    folder = Path(row_place).parent
    return [str(folder / file_name) for file_name in file_names]


def _open(row_place: str, image_path: str):
    from PIL import Image

    try:
        with Image.open(image_path) as image:
            return image.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as e:
        error_name = type(e).__name__
        raise UserError(f"{row_place}: {image_path}: no image ({error_name})") from None


def _count_tokens(processor, messages: list[dict], opened_images: list) -> int:
    """The length of the conversation, with every token that the processor makes of an image."""
    parted_messages = _as_parts(messages, len(opened_images))
    text = processor.apply_chat_template(parted_messages)
    inputs = processor(images=opened_images or None, text=[text])
    return len(inputs["input_ids"][0])


def _as_parts(messages: list[dict], image_count: int) -> list[dict]:
    """The messages with their contents as lists of parts, the images first."""
    parted_messages = []
    for message in messages:
        text_part = {"type": "text", "text": message["content"]}
        parted_messages.append({**message, "content": [text_part]})
    first_message = parted_messages[0]
    image_parts = [{"type": "image"}] * image_count
    first_message["content"] = image_parts + first_message["content"]
    return parted_messages
