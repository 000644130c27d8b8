"""The KISS stack over REST."""

from __future__ import annotations

import os
import uuid
from typing import Any, Iterable, Mapping

from .answers import Answer, Session
from .backoff import Backoff
from .errors import ParlanceError
from .http import JsonClient
from .stack import Authorization, auth_body, documents_body, query_body


class RestEvent:
    """One session of the stack; every call is an HTTP request.

    hostname: without a protocol, such as `example.com` or `localhost:8080`.
    secure_protocol: https, or else http.
    timeout: seconds without a byte after which a call fails.
    retry_for: seconds for which a query or a store is tried again while the server is away or
        busy. It is safe: a repeated one is answered as the first time and runs once.

    All calls raise ParlanceError. Also an async context manager, which closes the connections.
    """

    def __init__(self, hostname: str, secure_protocol: bool = True, *, timeout: float = 300.0,
                 retry_for: float = 30.0) -> None:
        scheme = "https" if secure_protocol else "http"
        self._http = JsonClient(f"{scheme}://{hostname}", timeout)
        self._authorization = Authorization(self._http)
        self._retry_for = retry_for

    async def __aenter__(self) -> RestEvent:
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
        return await self._authorization.authorize(auth_body(client_id, client_secret, scope))

    async def bootstrap_stack(self, data: str | None = None) -> Answer:
        """Starts the session, which must come before queries and documents. `data` is a greeting."""
        return await self._call("/sessions?action=init", query_body(data))

    async def generate_answer(self, data: str) -> Answer:
        """The answer to a question, as `result`."""
        return await self._call_once("/queries", query_body(data))

    async def store_data(self, files: Iterable[str | os.PathLike[str]],
                         metadata: Mapping[str, Any] | None = None) -> Answer:
        """Stores the files at these paths, all or none. `metadata` is kept with each of them.
        Raises OSError for a file that cannot be read."""
        return await self._call_once("/documents", await documents_body(files, metadata))

    async def destroy_stack(self, data: str | None = None) -> Answer:
        """Ends the session; what a temporary one stored is deleted. `data` is a farewell."""
        if self.session() is None:
            return Answer(stack_id=None, result="No active session", extras={})
        answer = await self._call("/sessions?action=close", query_body(data))
        self._authorization.forget()
        await self.close()
        return answer

    async def close(self) -> None:
        """Closes the connections and leaves the session as it is. The next call opens new ones."""
        await self._http.close()

    async def _call_once(self, path: str, body: dict[str, Any]) -> Answer:
        key = {"Idempotency-Key": uuid.uuid4().hex}
        backoff = Backoff(self._retry_for)
        while True:
            try:
                return await self._call(path, body, key)
            except ParlanceError as error:
                if not error.passing:
                    raise
                await backoff.failed(error, error.retry_after)

    async def _call(self, path: str, body: dict[str, Any],
                    headers: Mapping[str, str] | None = None) -> Answer:
        token = await self._authorization.token()
        try:
            return await self._post(path, body, headers, token)
        except ParlanceError as error:
            if error.status != 401 or not await self._authorization.renew(token):
                raise
        return await self._post(path, body, headers, await self._authorization.token())

    async def _post(self, path: str, body: dict[str, Any], headers: Mapping[str, str] | None,
                    token: str) -> Answer:
        return Answer(await self._http.post(
            path, body, {**(headers or {}), "Authorization": f"Bearer {token}"}))
