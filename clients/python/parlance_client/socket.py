"""The KISS stack over a WebSocket."""

from __future__ import annotations

import asyncio
import collections
import json
import os
from typing import Any, AsyncIterator, Awaitable, Generator, Iterable, Literal, Mapping, overload

import websockets

from .answers import Answer, Event, Session
from .connection import connect
from .errors import ParlanceError
from .http import JsonClient
from .stack import Authorization, auth_body, documents_body, query_body


class Call:
    """A request on its way, and what has come of it that nobody has looked at yet."""

    def __init__(self) -> None:
        self.frames: asyncio.Queue[Event | Answer | ParlanceError] = asyncio.Queue()


class Connection:
    """An open socket with the calls on it. The server answers them one after the other."""

    def __init__(self, socket: Any, token: str) -> None:
        self.token = token
        self._socket = socket
        self._calls: collections.deque[Call] = collections.deque()
        self._retired = False
        self._reader = asyncio.create_task(self._read())

    @property
    def open(self) -> bool:
        return bool(self._socket.open) and not self._reader.done()

    async def send(self, event: str, body: dict[str, Any]) -> Call:
        call = Call()
        self._calls.append(call)
        try:
            await self._socket.send(json.dumps({"event": event, "data": body}, ensure_ascii=False))
        except websockets.ConnectionClosed:
            pass  # The reader tells it to all calls.
        return call

    async def close(self) -> None:
        await self._socket.close()
        await self._reader

    async def retire(self) -> None:
        """Closes it as soon as the calls that are on it have been answered."""
        self._retired = True
        if not self._calls:
            await self.close()

    async def _read(self) -> None:
        lost = ParlanceError("the connection was lost before the answer")
        try:
            async for text in self._socket:
                frame = json.loads(text)
                if not isinstance(frame, dict) or not self._calls:
                    break
                self._take(frame)
                if self._retired and not self._calls:
                    break
        except websockets.ConnectionClosed as error:
            lost = ParlanceError(f"the connection was lost before the answer: {error}")
        except ValueError:
            lost = ParlanceError("the server sent a frame that is no JSON")
        await self._socket.close()
        self._fail_all(lost)

    def _take(self, frame: dict[str, Any]) -> None:
        frame.pop("event", None)
        if frame.get("error") is True:
            error = ParlanceError(str(frame.get("detail")), status=frame.get("status_code"))
            self._calls.popleft().frames.put_nowait(error)
            # After this one the server looks at no other: none of them was done.
            if error.status == 401:
                self._fail_all(error)
        elif "type" in frame:
            self._calls[0].frames.put_nowait(Event(frame))
        else:
            self._calls.popleft().frames.put_nowait(Answer(frame))

    def _fail_all(self, error: ParlanceError) -> None:
        while self._calls:
            self._calls.popleft().frames.put_nowait(error)


class WebSocketEvent:
    """One session of the stack; its calls go over one WebSocket and are answered in order.

    hostname: without a protocol, such as `example.com` or `localhost:8080`.
    secure_protocol: wss and https, or else ws and http.
    timeout: seconds without a frame after which a call fails.

    All calls raise ParlanceError. A connection that was lost between calls is opened again by the
    next one; one that is lost in a call fails it, since it may or may not have been done. Also an
    async context manager, which closes the connection.
    """

    def __init__(self, hostname: str, secure_protocol: bool = True, *,
                 timeout: float = 300.0) -> None:
        secure = "s" if secure_protocol else ""
        self._url = f"ws{secure}://{hostname}/ws"
        self._http = JsonClient(f"http{secure}://{hostname}", timeout)
        self._authorization = Authorization(self._http)
        self._timeout = timeout
        self._connection: Connection | None = None
        self._sending = asyncio.Lock()

    async def __aenter__(self) -> WebSocketEvent:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def session(self) -> Session | None:
        """The present authorization; None before authorize_stack and after destroy_stack."""
        return self._authorization.session

    async def authorize_stack(self, client_id: str | None = None, client_secret: str | None = None,
                              scope: str | None = None) -> Session:
        """A new session of `scope` ("temporary" or "persistent"), or, with the id and secret of a
        persistent one, a new access token for it. Persistent sessions renew theirs by themselves.
        """
        session = await self._authorization.authorize(auth_body(client_id, client_secret, scope))
        async with self._sending:
            await self._connected()
        return session

    async def bootstrap_stack(self, data: str | None = None) -> Answer:
        """Starts the session, which must come before queries and documents. `data` is a greeting."""
        return await self._call("on_init", query_body(data))

    @overload
    def generate_answer(self, data: str, stream: Literal[False] = False) -> Awaitable[Answer]: ...

    @overload
    def generate_answer(self, data: str, stream: Literal[True]) -> AnswerStream: ...

    def generate_answer(self, data: str, stream: bool = False) -> Awaitable[Answer] | AnswerStream:
        """The answer to a question, to be awaited. With `stream`, its steps and deltas on the way:

            answer = client.generate_answer(data="Why?", stream=True)
            async for event in answer:
                print(event.delta or "", end="")
            print(answer.answer.result)
        """
        if stream:
            body = {**query_body(data), "parameters": {"stream": True}}
            return AnswerStream(self._frames("on_query", body))
        return self._call("on_query", query_body(data))

    async def store_data(self, files: Iterable[str | os.PathLike[str]],
                         metadata: Mapping[str, Any] | None = None) -> Answer:
        """Stores the files at these paths, all or none. `metadata` is kept with each of them.
        Raises OSError for a file that cannot be read."""
        return await self._call("on_store", await documents_body(files, metadata))

    async def destroy_stack(self, data: str | None = None) -> Answer:
        """Ends the session; what a temporary one stored is deleted. `data` is a farewell."""
        if self.session() is None:
            return Answer(stack_id=None, result="No active session", extras={})
        answer = await self._call("on_close", query_body(data))
        self._authorization.forget()
        await self.close()
        return answer

    async def close(self) -> None:
        """Closes the connection and leaves the session as it is. The next call opens a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
        await self._http.close()

    async def _connected(self) -> Connection:
        token = await self._authorization.token()
        if self._connection is not None:
            if self._connection.open and self._connection.token == token:
                return self._connection
            await self._connection.retire()
        try:
            socket = await connect(self._url, token)
        except ParlanceError as error:
            if error.status != 401 or not await self._authorization.renew(token):
                raise
            token = await self._authorization.token()
            socket = await connect(self._url, token)
        self._connection = Connection(socket, token)
        return self._connection

    async def _call(self, event: str, body: dict[str, Any]) -> Answer:
        return await AnswerStream(self._frames(event, body))

    async def _frames(self, event: str, body: dict[str, Any]) -> AsyncIterator[Event | Answer]:
        """Sends one request; all frames about it, the answer as the last."""
        renewed = False
        call, token = await self._send(event, body)
        while True:
            try:
                frame = await asyncio.wait_for(call.frames.get(), self._timeout)
            except asyncio.TimeoutError as error:
                raise ParlanceError(f"no answer came for {self._timeout:g} s") from error
            if not isinstance(frame, ParlanceError):
                yield frame
                if isinstance(frame, Answer):
                    return
                continue
            # The token expired since it was looked at.
            if frame.status != 401 or renewed or not await self._authorization.renew(token):
                raise frame
            renewed = True
            call, token = await self._send(event, body)

    async def _send(self, event: str, body: dict[str, Any]) -> tuple[Call, str]:
        async with self._sending:
            connection = await self._connected()
            return await connection.send(event, body), connection.token


class AnswerStream:
    """A query under way. Iterate over it for its events: agent_step, agent_delta (more text of the
    answer) and agent_reset (the text so far is void). After the last one `answer` is there. It may
    also be awaited, for the answer alone. Leaving the loop early ends nothing in the server."""

    def __init__(self, frames: AsyncIterator[Event | Answer]) -> None:
        self._frames = frames
        self.answer: Answer | None = None

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        if self.answer is not None:
            raise StopAsyncIteration
        frame = await self._frames.__anext__()
        if isinstance(frame, Answer):
            self.answer = frame
            raise StopAsyncIteration
        return frame

    def __await__(self) -> Generator[Any, None, Answer]:
        return self._whole().__await__()

    async def _whole(self) -> Answer:
        async for _ in self:
            pass
        assert self.answer is not None
        return self.answer
