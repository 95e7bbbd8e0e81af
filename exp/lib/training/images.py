"""Training rows with pictures: messages, and the paths of the images that the first turn is about."""

from pathlib import Path

from lib import models
from lib.errors import UserError

KEYS = ("image", "images")


def has_images(row: dict) -> bool:
    return any(key in row for key in KEYS)


def read(
    placed: list[tuple[str, dict]], model: models.Model, max_length: int
) -> tuple[list[dict], list[dict]]:
    """(prompt, completion and images of each row, the longest last; rows dropped as longer than `max_length` tokens, with `why`).

    A row is `messages` (texts, the assistant's last) and `image` or `images`, paths as seen from its file's folder; they stand
    before the first turn's text. Nothing is cut: a cut between an image's tokens breaks the model. UserError names a bad row.
    """
    from PIL import Image
    from transformers import AutoProcessor

    from lib.training import conversations

    try:
        processor = AutoProcessor.from_pretrained(model.path)
    except (OSError, ValueError, TypeError, ImportError) as e:
        raise UserError(
            f"{model.path}: no processor for images ({str(e).strip().splitlines()[0]})"
        ) from None
    if not hasattr(processor, "image_processor"):
        raise UserError(f"{model.name} reads no images; {placed[0][0]} has one")
    kept, dropped = [], []
    for place, row in placed:
        named = [row["image"]] if "image" in row else row.get("images") or []
        messages = conversations.messages_of(place, row, None)
        images = [str(Path(place).parent / name) for name in named]
        opened = []
        for path in images:
            try:
                with Image.open(path) as image:
                    opened.append(image.convert("RGB"))
            except (OSError, ValueError, Image.DecompressionBombError) as e:
                raise UserError(f"{place}: {path}: no image ({type(e).__name__})") from None
        shown = [{"type": "image"}] * len(images) + [
            {"type": "text", "text": messages[0]["content"]}
        ]
        text = processor.apply_chat_template(
            [{**messages[0], "content": shown}, *_parts(messages[1:])]
        )
        tokens = len(processor(images=opened or None, text=[text])["input_ids"][0])
        if tokens > max_length:
            dropped.append({"why": f"too long: {tokens} tokens", **row})
        else:
            kept.append(
                (tokens, {"prompt": messages[:-1], "completion": messages[-1:], "images": images})
            )
    return [example for _, example in sorted(kept, key=lambda pair: pair[0])], dropped


def dataset(examples: list[dict]) -> object:
    """The examples for TRL, whose collator asks for one batch of opened images at a time."""
    from datasets import Dataset, Image, List

    return Dataset.from_list(examples).cast_column("images", List(Image()))


def _parts(messages: list[dict]) -> list[dict]:
    return [{**m, "content": [{"type": "text", "text": m["content"]}]} for m in messages]
