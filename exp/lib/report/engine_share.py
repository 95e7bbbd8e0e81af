"""How much of a run's time its models were at work."""

from lib.progress import clock


def seconds_asked(metas: list[dict], start: float, end: float) -> float:
    """The seconds between `start` and `end` in which at least one stage waited for its model.

    Stages run side by side, so the times in which each one asked (`asked_at` of a meta file, Unix
    seconds) are united and not added.
    """
    spans = []
    for meta in metas:
        spans += meta.get("asked_at", [])
    total = 0.0
    counted_until = start
    for first, last in sorted(spans):
        first = max(first, counted_until)
        last = min(last, end)
        if last > first:
            total += last - first
            counted_until = last
    return total


def in_words(metas: list[dict], elapsed_s: float, now: float) -> str:
    """`The models were asked during 62s of 110s (56%); …`; "" if they were not asked at all."""
    asked_s = seconds_asked(metas, now - elapsed_s, now)
    if not asked_s:
        return ""
    share = f"{100 * asked_s / elapsed_s:.0f}%"
    times = f"{clock(asked_s)} of {clock(elapsed_s)} ({share})"
    return f"The models were asked during {times}; the rest is loading them and starting stages."
