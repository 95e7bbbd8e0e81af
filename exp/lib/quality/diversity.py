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
    counts = _even_counts(total, points)
    before_last_tenth = total - max(1, total // 10)
    half = max(1, total // 2)

    # Each of these lists has at its index n what was counted in the first n texts.
    new_texts = _count_new_texts(texts)
    distinct: dict[int, list[float]] = {}
    new_ngrams: dict[int, float] = {}
    for order in orders:
        distinct_ngrams, all_ngrams = _count_ngrams(texts, order)
        distinct[order] = [_share(distinct_ngrams[count], all_ngrams[count]) for count in counts]
        distinct_late = _growth(distinct_ngrams, before_last_tenth)
        all_late = _growth(all_ngrams, before_last_tenth)
        new_ngrams[order] = _share(distinct_late, all_late)
    new_late = _growth(new_texts, before_last_tenth)
    late_count = total - before_last_tenth
    return Curve(
        counts=counts,
        repeated=[1 - new_texts[count] / count for count in counts],
        distinct=distinct,
        new_texts=new_late / late_count,
        new_ngrams=new_ngrams,
        spent_at=spent_at(total, half, new_texts[total], new_texts[half]),
    )


def spent_at(total: int, half: int, new: int, new_in_half: int) -> int | None:
    """The count at which a share of SPENT of further texts repeats.

    `new` of the `total` texts repeat no earlier one, and so do `new_in_half` of the first `half`.
    What is new is taken to grow as K n^β (Heaps 1978), where β is the slope through both counts.
    None where the count is beyond REACH times the total.
    """
    if total < 2 or not new_in_half:
        return None
    slope = math.log(new / new_in_half) / math.log(total / half)
    if slope == 0:  # nothing was new in the second half
        return half
    if slope >= 1:  # as much was as in the first half
        return None
    # The next text is new with probability K β n^(β-1), which is β new/total at n = total. This is
    # ln(n / total) for the n at which that has fallen to 1 - SPENT.
    new_share_now = slope * new / total
    log_growth = math.log(new_share_now / (1 - SPENT)) / (1 - slope)
    if log_growth > math.log(REACH):
        return None
    return round(total * math.exp(log_growth))


def _even_counts(total: int, points: int) -> list[int]:
    """Up to `points` counts from 1 to the total at even distances; fewer where texts are few."""
    counts: set[int] = set()
    for point in range(1, points + 1):
        count = round(total * point / points)
        counts.add(max(1, count))
    return sorted(counts)


def _share(part: int, whole: int) -> float:
    """0 where there is nothing to have a share in."""
    return part / max(whole, 1)


def _growth(running_counts: list[int], since: int) -> int:
    """By how much a running count has grown at its end."""
    return running_counts[-1] - running_counts[since]


def _count_new_texts(texts: Sequence[str]) -> list[int]:
    """How many of the first n texts are no near-duplicates of earlier ones, at index n."""
    new_so_far = 0
    new_counts = [new_so_far]
    for match in duplicates.matches(texts):
        if match is None:
            new_so_far += 1
        new_counts.append(new_so_far)
    return new_counts


def _count_ngrams(texts: Sequence[str], order: int) -> tuple[list[int], list[int]]:
    """Distinct and all n-grams of words in the first n texts, at index n of two lists."""
    word_ids: dict[str, int] = {}
    distinct_ngrams: set[int] = set()
    all_so_far = 0
    distinct_counts, all_counts = [0], [0]
    for text in texts:
        ids: list[int] = []
        for word in text.lower().split():
            next_id = len(word_ids)
            ids.append(word_ids.setdefault(word, next_id))
        for start in range(len(ids) - order + 1):
            ngram = ids[start : start + order]
            distinct_ngrams.add(_as_number(ngram))
            all_so_far += 1
        distinct_counts.append(len(distinct_ngrams))
        all_counts.append(all_so_far)
    return distinct_counts, all_counts


def _as_number(ids: list[int]) -> int:
    """An n-gram as one whole number, which takes a quarter of the memory of a tuple of words."""
    number = 0
    for word_id in reversed(ids):
        number = (number << 32) + word_id
    return number
