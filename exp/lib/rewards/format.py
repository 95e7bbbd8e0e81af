"""Rewards for the layout of a completion: are the tags there that the prompt asks for?"""

from lib.grading import latex
from lib.grading.formats import Format
from lib.rewards.batch import Batch

TAG = 0.5
BOX = "\\boxed{"


def asks_for_box(layout: Format) -> bool:
    """Whether the layout's answer stands in a LaTeX box, and not between a pair of tags."""
    return layout.answer[0] == BOX


def format_exact(batch: Batch) -> list[float]:
    """+1 for a text that is laid out exactly as asked, else -1.

    The GSM8K pipeline's match_format_exactly.
    """
    scores = []
    for text in batch.texts:
        fits = batch.layout.fits(text)
        scores.append(1.0 if fits else -1.0)
    return scores


def format_approximate(batch: Batch) -> list[float]:
    """+0.5 for each tag that is there exactly once, else -0.5.

    The layout's four tags: -2 to 2 in all. `boxed` asks for no thinking tags, so there the two
    are the opening and a box that is closed. After match_format_approximately of unsloth's first
    GRPO notebook.
    """
    return [_paid_by_tag(text, batch.layout) for text in batch.texts]


def _paid_by_tag(text: str, layout: Format) -> float:
    """The sum over the layout's tags of +0.5 for one that is there exactly once, else -0.5."""
    if asks_for_box(layout):
        # Closing braces are no sign of a closed box: they also close a \frac{1}{2}.
        openings = text.count(BOX)
        closed_boxes = len(latex.boxes(text))
        tag_counts = [openings, closed_boxes]
    else:
        tags = (*layout.thinking, *layout.answer)
        tag_counts = [text.count(tag) for tag in tags]
    score = 0.0
    for tag_count in tag_counts:
        score += TAG if tag_count == 1 else -TAG
    return score
