"""How fast a server is asked: as many requests at a time as it takes without complaint."""

from asyncio import Condition, sleep
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

from lib.inference.server_faults import Overloaded
from lib.progress import LOG_EVERY_S, clock, say

# Where the server does not say how long to wait: 1, 2, 4, … 60 s.
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0


class Pace:
    """Bounds the requests under way, and holds all of them back while the server wants a rest.

    An overloaded server halves the bound, once for all the requests that it refuses at a time. Each
    answer raises it by a part of one, so that it takes as many answers as the bound to raise it by
    one (as TCP does). Used in one event loop only.
    """

    def __init__(self, server: str, most: int):
        self._server = server
        self._most = most
        self._bound = float(most)
        self._under_way = 0
        self._resting_until = 0.0
        self._times_lowered = 0
        self._refusals_in_a_row = 0
        self._said_at = -LOG_EVERY_S
        self._room = Condition()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for one's turn, and hold it; an Overloaded that is raised in it slows the rest."""
        await self._enter()
        times_lowered = self._times_lowered
        try:
            yield
            self._refusals_in_a_row = 0
            self._bound = min(self._most, self._bound + 1 / self._bound)
        except Overloaded as overloaded:
            # A request that was sent before the bound was lowered says nothing of the new one.
            self._rest(overloaded, is_news=times_lowered == self._times_lowered)
            raise
        finally:
            self._under_way -= 1
            async with self._room:
                self._room.notify_all()

    async def _enter(self) -> None:
        while True:
            rest_s = self._resting_until - monotonic()
            if rest_s > 0:
                await sleep(rest_s)
            elif not self._has_room():
                async with self._room:
                    await self._room.wait_for(self._has_room)
            else:
                self._under_way += 1
                return

    def _has_room(self) -> bool:
        return self._under_way < int(self._bound)

    def _rest(self, overloaded: Overloaded, is_news: bool) -> None:
        if is_news:
            self._bound = max(1.0, min(self._bound, self._under_way) / 2)
            self._times_lowered += 1
            self._refusals_in_a_row += 1
        wait_s = overloaded.wait_s
        if wait_s is None:
            doublings = max(0, self._refusals_in_a_row - 1)
            wait_s = min(FIRST_WAIT_S * 2**doublings, LONGEST_WAIT_S)
        now = monotonic()
        self._resting_until = max(self._resting_until, now + wait_s)
        if now - self._said_at >= LOG_EVERY_S:
            self._said_at = now
            at_a_time = f"{int(self._bound)} requests at a time"
            said = f"{self._server} wants to be asked more slowly ({overloaded})"
            say(f"{said}: waiting {clock(wait_s)}, then {at_a_time}")
