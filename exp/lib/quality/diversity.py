"""How much is new in texts as their number grows: near-duplicates, distinct n-grams, and where more texts stop helping."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lib.quality import duplicates

SPENT = 0.5  # where every second further problem repeats an earlier one, the cost of a new one has doubled
REACH = 10  # times the count to which a law fitted to these texts is trusted


@dataclass(frozen=True)
class Curve:
    """Of the first n texts, in the order in which they were made, for the n in `counts`; shares from 0 to 1."""

    counts: list[int]
    repeated: list[float]  # near-duplicates of an earlier text
    distinct: dict[
        int, list[float]
    ]  # by n: n-grams of words that are there once or more / all n-grams (Li et al. 2016)
    new_texts: float  # share in the last tenth that is no near-duplicate of any earlier text
    new_ngrams: dict[int, float]  # by n: share of the last tenth's n-grams that no earlier text has
    spent_at: (
        int | None
    )  # the count at which SPENT of further texts are near-duplicates; None: not within REACH


def curve(texts: Sequence[str], orders: tuple[int, ...] = (2, 3), points: int = 60) -> Curve:
    """The curve at `points` even counts; ValueError without texts."""
    if not texts:
        raise ValueError("no texts to count in")
    total = len(texts)
    counts = sorted({max(1, round(total * k / points)) for k in range(1, points + 1)})
    before, half = total - max(1, total // 10), max(1, total // 2)
    wanted = {*counts, before, half, total}
    ids: dict[str, int] = {}
    seen: dict[int, set[int]] = {n: set() for n in orders}
    grams, new = dict.fromkeys(orders, 0), 0
    at = {
        0: (0, dict.fromkeys(orders, 0), dict.fromkeys(orders, 0))
    }  # count -> new texts, distinct and all n-grams by n
    for number, (text, match) in enumerate(zip(texts, duplicates.matches(texts), strict=True), 1):
        new += match is None
        words = [ids.setdefault(word, len(ids)) for word in text.lower().split()]
        for (
            n
        ) in orders:  # an n-gram as one whole number: a quarter of the memory of a tuple of words
            found = [
                sum(word << 32 * k for k, word in enumerate(words[i : i + n]))
                for i in range(len(words) - n + 1)
            ]
            seen[n].update(found)
            grams[n] += len(found)
        if number in wanted:
            at[number] = (new, {n: len(seen[n]) for n in orders}, dict(grams))
    late = {n: (at[total][1][n] - at[before][1][n], grams[n] - at[before][2][n]) for n in orders}
    return Curve(
        counts=counts,
        repeated=[1 - at[count][0] / count for count in counts],
        distinct={
            n: [at[count][1][n] / max(at[count][2][n], 1) for count in counts] for n in orders
        },
        new_texts=(new - at[before][0]) / (total - before),
        new_ngrams={n: fresh / max(of, 1) for n, (fresh, of) in late.items()},
        spent_at=spent_at(total, half, new, at[half][0]),
    )


def spent_at(total: int, half: int, new: int, new_in_half: int) -> int | None:
    """The count at which a share of SPENT of further texts repeats, if what is new grows as K n^β (Heaps 1978).

    β is the slope through the counts at `half` and at `total`. None where that is beyond REACH times the total.
    """
    if total < 2 or not new_in_half:
        return None
    slope = math.log(new / new_in_half) / math.log(total / half)
    if slope == 0:
        return half
    if slope >= 1:
        return None
    further = math.log(slope * new / total / (1 - SPENT)) / (
        1 - slope
    )  # ln(n / total) where K β n^(β-1) is 1 - SPENT
    return round(total * math.exp(further)) if further <= math.log(REACH) else None
