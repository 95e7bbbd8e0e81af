"""What a running stage shows: a bar on a terminal, plain lines in a log, and figures in words."""

import sys
import time

from lib import cli


class Progress:
    """Rows done, rate, time left and drops on stderr: a bar on a terminal, else a plain line every 30 s."""

    def __init__(self, name: str, total: int, done: int):
        self.name, self.total, self.done, self.first, self.tokens = name, total, done, done, 0
        self.started = self.last = time.monotonic()
        self.bar = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=total, initial=done, desc=name, unit=" rows", dynamic_ncols=True)

    def advance(self, done: int, tokens: int, dropped: int) -> None:
        self.tokens += tokens
        if self.bar:
            self.bar.update(done - self.done)
            self.bar.set_postfix_str(f"{dropped} dropped")
        self.done, now = done, time.monotonic()
        if not self.bar and now - self.last >= 30:
            self.last, rate = now, (done - self.first) / (now - self.started)
            eta = f"eta {clock((self.total - done) / rate)}" if rate else "eta unknown"
            cli.say(f"{self.name} {done:,}/{self.total:,} rows  {rate:.1f}/s  {eta}  {dropped} dropped")

    def close(self) -> None:
        if self.bar:
            self.bar.close()


def clock(seconds: float) -> str:
    """`42s`, `7m`, `3h05m`."""
    if seconds < 90:
        return f"{seconds:.0f}s"
    return f"{seconds / 60:.0f}m" if seconds < 5400 else f"{int(seconds // 3600)}h{int(seconds % 3600 // 60):02d}m"


def reasons(counts: dict[str, int]) -> str:
    """`12 dropped (9 truncated, 3 empty)`, the most frequent first."""
    listed = ", ".join(f"{n:,} {why}" for why, n in sorted(counts.items(), key=lambda c: -c[1]))
    return f"{sum(counts.values()):,} dropped" + (f" ({listed})" if listed else "")
