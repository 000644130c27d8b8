"""Opens WebSockets, with every failure as a ParlanceError."""

from __future__ import annotations

from typing import Any

import websockets

from .errors import ParlanceError, refusal

# Of one message; the longest is an answer with all its passages.
MESSAGE_BYTES_MAX = 64 << 20
OPEN_SECONDS = 10.0
CLOSE_SECONDS = 2.0


async def connect(url: str, token: str | None) -> Any:
    """An open socket, which ends by itself when the server stops answering its pings."""
    headers = {"Authorization": f"Bearer {token}"} if token else None
    try:
        return await websockets.connect(
            url, extra_headers=headers, max_size=MESSAGE_BYTES_MAX, open_timeout=OPEN_SECONDS,
            close_timeout=CLOSE_SECONDS)
    except websockets.InvalidStatusCode as error:
        raise refusal(error.status_code, error.headers) from error
    except (OSError, TimeoutError, websockets.WebSocketException) as error:
        what = str(error) or type(error).__name__
        raise ParlanceError(f"no connection to {url}: {what}") from error
