"""What a running stage shows on stderr: a bar on a terminal, plain lines in a log."""

import sys
import time
from pathlib import Path

LOG_EVERY_S = 30
BAR_EVERY_S = 0.5


def stage_name() -> str:
    """The name of the stage that runs: `gen_res`."""
    return Path(sys.argv[0]).stem


def say(message: str) -> None:
    """One line on stderr under the stage's name. Data never goes there."""
    print(f"{stage_name()}: {message}", file=sys.stderr, flush=True)


def shown_path(path: str | Path) -> str:
    """A path as the user would type it: relative if it lies below the current folder."""
    path = Path(path)
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def clock(seconds: float) -> str:
    """`42s`, `7m`, `3h05m`."""
    if seconds < 90:
        return f"{seconds:.0f}s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f}m"
    minutes = int(seconds) // 60
    hours = minutes // 60
    return f"{hours}h{minutes % 60:02d}m"


def reasons(counts: dict[str, int]) -> str:
    """`12 dropped (9 truncated, 3 empty)`, the most frequent reason first."""
    total = sum(counts.values())
    if not total:
        return "0 dropped"
    by_frequency = sorted(counts.items(), key=lambda item: -item[1])
    listed_reasons = [f"{count:,} {reason}" for reason, count in by_frequency]
    return f"{total:,} dropped ({', '.join(listed_reasons)})"


class Progress:
    """Rows done, rate, time left, drops, and what is in flight.

    A bar on a terminal, else a line every 30 seconds.
    """

    def __init__(self, file_name: str, total: int, done: int):
        self.file_name = file_name
        self.total = total
        self.done = done
        self.done_before = done  # rows of an earlier session say nothing of the rate
        self.dropped = 0
        self.tokens = 0
        self.waiting = ""
        self.started = time.monotonic()
        self.last_line = self.started
        self.bar = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(
                desc=file_name, total=total, initial=done, unit=" rows", dynamic_ncols=True
            )

    def advance(self, done: int, tokens: int = 0, dropped: int = 0) -> None:
        """Report that `done` rows are finished in all, `dropped` of them dropped."""
        self.tokens += tokens
        self.dropped = dropped
        if self.bar:
            self.bar.update(done - self.done)
        self.done = done
        self._show()

    def wait(self, in_flight: int, oldest_s: float) -> None:
        """Report what is waited for: requests in flight, and the age of the oldest in seconds."""
        self.waiting = f"  {in_flight:,} in flight, the oldest for {clock(oldest_s)}"
        self._show()

    def _show(self) -> None:
        state = f"{self.dropped} dropped{self.waiting}"
        now = time.monotonic()
        shown_for_s = now - self.last_line
        if self.bar and shown_for_s >= BAR_EVERY_S:
            self.last_line = now
            self.bar.set_postfix_str(state)
        elif not self.bar and shown_for_s >= LOG_EVERY_S:
            self.last_line = now
            say(f"{self._line(now - self.started)}  {state}")

    def _line(self, seconds: float) -> str:
        rows_per_second = (self.done - self.done_before) / seconds
        time_left = "unknown"
        if rows_per_second:
            time_left = clock((self.total - self.done) / rows_per_second)
        rows_done = f"{self.done:,}/{self.total:,} rows"
        pace = f"{rows_per_second:.1f}/s  eta {time_left}"
        return f"{self.file_name} {rows_done}  {pace}"

    def close(self) -> None:
        if self.bar:
            self.bar.close()
