"""One chat of the step stream."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from typing import Any, AsyncIterator, Literal
from urllib.parse import urlencode

import websockets

from .answers import Event
from .backoff import Backoff
from .connection import connect
from .errors import ParlanceError, seconds
from .http import JsonClient

# The cursor of the beginning of a chat.
FROM_START = "0-0"

RETRY_AFTER = re.compile(r"retry_after=(\d+)")


class ChatStream:
    """Reads and writes one chat, also while the server is restarted and the network comes and goes.

    hostname: without a protocol, such as `example.com` or `localhost:8080`.
    chat_id: 1 to 128 of `A-Z a-z 0-9 . _ ~ -`; a chat begins with its first message.
    secure_protocol: wss and https, or else ws and http.
    api_key: where the server asks for one.
    tokens: also the text of answers while it is written (agent_delta, agent_snapshot, agent_reset).
    after: a `cursor` kept from an earlier stream, to go on from there; else the whole chat is told.
    reconnect_for: seconds without a connection after which a call gives up.
    timeout: seconds without a byte after which a request of `send` or `cancel` is tried again.

    All calls raise ParlanceError. Also an async context manager, which calls close().
    """

    def __init__(self, hostname: str, chat_id: str, secure_protocol: bool = True, *,
                 api_key: str | None = None, tokens: bool = False, after: str | None = None,
                 reconnect_for: float = 60.0, timeout: float = 30.0) -> None:
        secure = "s" if secure_protocol else ""
        # Anything else might be another path.
        if not re.fullmatch(r"[A-Za-z0-9._~-]{1,128}", chat_id) or chat_id in (".", ".."):
            raise ValueError("chat_id must be 1 to 128 of A-Z a-z 0-9 . _ ~ -")
        self._url = f"ws{secure}://{hostname}/chat/{chat_id}"
        self._path = f"/chat/{chat_id}"
        self._http = JsonClient(f"http{secure}://{hostname}", timeout)
        self._api_key = api_key
        self._tokens = tokens
        self._cursor = after or FROM_START
        self._seq = 0  # Of the last event told.
        self._reconnect_for = reconnect_for
        self._socket: Any = None
        self._closed = False
        self._reading = False

    async def __aenter__(self) -> ChatStream:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def cursor(self) -> str:
        """Where the events told so far end. Keep it, and a later stream goes on after it."""
        return self._cursor

    async def events(self) -> AsyncIterator[Event]:
        """All events after `cursor`, in order, each recorded one once, until close() or the end of
        the loop. A connection that is lost is opened again, and what was missed comes first.

        Two kinds need more than to be shown: `gap` says that the place cannot be served, because
        the server's data are others; what is shown is to be replaced by its `history`. And
        `agent_snapshot` (with `tokens`) is all of an unfinished answer so far, also what was told.
        One reader at a time.
        """
        if self._reading:
            raise ParlanceError("this chat's events are being read already")
        self._reading = True
        backoff = Backoff(self._reconnect_for)
        try:
            while not self._closed:
                try:
                    self._socket = await connect(self._address(), self._api_key)
                except ParlanceError as error:
                    if not error.passing:
                        raise
                    await backoff.failed(error, error.retry_after)
                    continue
                while (event := await self._next()) is not None:
                    backoff.succeeded()
                    if self._is_new(event):
                        yield event
                    if event.type == "gap":
                        break
                if event is not None:
                    await self._disconnect()
                elif not self._closed:
                    await backoff.failed(*self._ended())
        finally:
            self._reading = False
            await self._disconnect()

    async def send(self, message: str, *, message_id: str | None = None,
                   on_busy: Literal["queue", "reject", "interrupt", "steer"] | None = None) -> str:
        """Returns the message's id once the server has it for good. Tried again while the server is
        away or busy; it runs once, since the id is the same. To repeat a send that was cut off,
        give the same `message_id`. `on_busy`: what to do while another message runs."""
        message_id = message_id or uuid.uuid4().hex
        body = {"message": message, "message_id": message_id}
        if on_busy is not None:
            body["on_busy"] = on_busy
        await self._post("/messages", body)
        return message_id

    async def cancel(self, message_id: str | None = None) -> None:
        """Cancels a message, or the one that runs. Its events end with message_end as ever."""
        await self._post("/cancel", {} if message_id is None else {"message_id": message_id})

    async def close(self) -> None:
        """Ends events() and closes the connections. The chat stays as it is."""
        self._closed = True
        await self._disconnect()
        await self._http.close()

    def _address(self) -> str:
        query = {"after": self._cursor, "acks": "1", **({"tokens": "1"} if self._tokens else {})}
        return f"{self._url}?{urlencode(query)}"

    async def _next(self) -> Event | None:
        """The next frame; None at the end of the connection."""
        socket = self._socket
        if socket is None or self._closed:
            return None
        try:
            frame = json.loads(await socket.recv())
        except websockets.ConnectionClosed:
            return None
        except ValueError as error:
            raise ParlanceError("the server sent a frame that is no JSON") from error
        if not isinstance(frame, dict) or "type" not in frame:
            raise ParlanceError("the server sent a frame without a type")
        return Event(frame)

    def _is_new(self, event: Event) -> bool:
        """Whether this is to be told; moves the place if so."""
        if event.type == "resumed":
            return False
        if event.type == "gap":
            # The history has no ends of messages, and no cursor to go on from. So the chat is asked
            # for anew, from its beginning, and what the history has is dropped.
            self._cursor = FROM_START
            self._seq = max((entry["seq"] for entry in event.history or []), default=0)
        elif event.seq is not None and event.cursor is not None:
            # Told again, because somebody sent its message's id again.
            if event.seq <= self._seq:
                return False
            self._seq, self._cursor = event.seq, event.cursor
        return True

    def _ended(self) -> tuple[ParlanceError, float | None]:
        code, reason = self._socket.close_code, self._socket.close_reason or ""
        told = RETRY_AFTER.search(reason)
        retry_after = seconds(told[1]) if told else None
        error = ParlanceError(f"the connection was lost: {code} {reason}".rstrip(),
                              retry_after=retry_after)
        return error, retry_after

    async def _post(self, path: str, body: dict[str, str]) -> None:
        headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
        backoff = Backoff(self._reconnect_for)
        while True:
            try:
                await self._http.post(self._path + path, body, headers)
                return
            except ParlanceError as error:
                if not error.passing:
                    raise
                await backoff.failed(error, error.retry_after)

    async def _disconnect(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()
