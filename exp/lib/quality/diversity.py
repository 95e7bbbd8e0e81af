"""How much is new in texts as their number grows, and where more texts stop helping.

Repeats are near-duplicates of an earlier text (`lib.quality.duplicates`); variety is the share of
distinct n-grams of words.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lib.quality import duplicates

# Where every second further problem repeats an earlier one, the cost of a new one has doubled.
SPENT = 0.5
REACH = 10  # times the count to which a law fitted to these texts is trusted


@dataclass(frozen=True)
class Curve:
    """What holds of the first n texts in the order in which they were made, for n in `counts`.

    Shares are from 0 to 1. `distinct` and `new_ngrams` are by the n-grams' order, 2 for pairs.
    """

    counts: list[int]
    repeated: list[float]  # near-duplicates of an earlier text
    distinct: dict[int, list[float]]  # distinct n-grams of words / all n-grams (Li et al. 2016)
    new_texts: float  # share in the last tenth that is no near-duplicate of any earlier text
    new_ngrams: dict[int, float]  # share of the last tenth's n-grams that no earlier text has
    # The count at which SPENT of further texts are near-duplicates; None: not within REACH.
    spent_at: int | None


def curve(texts: Sequence[str], orders: tuple[int, ...] = (2, 3), points: int = 60) -> Curve:
    """The curve at `points` even counts; ValueError without texts."""
    if not texts:
        raise ValueError("no texts to count in")
    total = len(texts)
    counts = sorted({max(1, round(total * point / points)) for point in range(1, points + 1)})
    before_last_tenth = total - max(1, total // 10)
    half = max(1, total // 2)

    # Each list has what was counted in the first n texts at its index n.
    new_texts = [0]
    for match in duplicates.matches(texts):
        new_texts.append(new_texts[-1] + (match is None))
    distinct, new_ngrams = {}, {}
    for order in orders:
        distinct_ngrams, all_ngrams = _count_ngrams(texts, order)
        distinct[order] = [distinct_ngrams[n] / max(all_ngrams[n], 1) for n in counts]
        distinct_late = distinct_ngrams[total] - distinct_ngrams[before_last_tenth]
        all_late = all_ngrams[total] - all_ngrams[before_last_tenth]
        new_ngrams[order] = distinct_late / max(all_late, 1)
    new_late = new_texts[total] - new_texts[before_last_tenth]
    return Curve(
        counts=counts,
        repeated=[1 - new_texts[count] / count for count in counts],
        distinct=distinct,
        new_texts=new_late / (total - before_last_tenth),
        new_ngrams=new_ngrams,
        spent_at=spent_at(total, half, new_texts[total], new_texts[half]),
    )


def spent_at(total: int, half: int, new: int, new_in_half: int) -> int | None:
    """The count at which a share of SPENT of further texts repeats.

    What is new is taken to grow as K n^β (Heaps 1978), where β is the slope through the counts at
    `half` and at `total`. None where the count is beyond REACH times the total.
    """
    if total < 2 or not new_in_half:
        return None
    slope = math.log(new / new_in_half) / math.log(total / half)
    if slope == 0:
        return half
    if slope >= 1:
        return None
    # ln(n / total) where the growth K β n^(β-1) is 1 - SPENT.
    log_growth = math.log(slope * new / total / (1 - SPENT)) / (1 - slope)
    if log_growth > math.log(REACH):
        return None
    return round(total * math.exp(log_growth))


def _count_ngrams(texts: Sequence[str], order: int) -> tuple[list[int], list[int]]:
    """Distinct and all n-grams of words in the first n texts, at index n of two lists."""
    word_ids: dict[str, int] = {}
    seen: set[int] = set()
    distinct_counts, all_counts = [0], [0]
    for text in texts:
        ids = [word_ids.setdefault(word, len(word_ids)) for word in text.lower().split()]
        ngrams = [_as_number(ids[i : i + order]) for i in range(len(ids) - order + 1)]
        seen.update(ngrams)
        distinct_counts.append(len(seen))
        all_counts.append(all_counts[-1] + len(ngrams))
    return distinct_counts, all_counts


def _as_number(ids: list[int]) -> int:
    """An n-gram as one whole number, which takes a quarter of the memory of a tuple of words."""
    number = 0
    for word_id in reversed(ids):
        number = (number << 32) + word_id
    return number
