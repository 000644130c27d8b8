"""How long to wait between tries."""

from __future__ import annotations

import asyncio
import random
import time

FIRST_SECONDS = 0.1
MAX_SECONDS = 10.0


class Backoff:
    """Waits longer after each failure that follows soon upon another, and gives up once nothing has
    succeeded for `limit` seconds since the first."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._failures = 0
        self._failing_since: float | None = None
        self._last_failure = 0.0

    def succeeded(self) -> None:
        self._failing_since = None

    async def failed(self, error: Exception, retry_after: float | None) -> None:
        """Waits, at least `retry_after` seconds; raises `error` where that is too long."""
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
        # A server that takes a connection and drops it at once is no better than one that is away.
        if now - self._last_failure > 2 * MAX_SECONDS:
            self._failures = 0
        wait = min(MAX_SECONDS, FIRST_SECONDS * 2 ** min(self._failures, 16))
        # Clients that lost the same server must not come back in the same moment.
        wait = wait * random.uniform(0.5, 1.0) + (retry_after or 0.0)
        if now + wait > self._failing_since + self._limit:
            raise error
        self._failures += 1
        self._last_failure = now
        await asyncio.sleep(wait)
