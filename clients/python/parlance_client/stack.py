"""What both clients of the KISS stack share: the authorization, and the files of a request."""

from __future__ import annotations

import asyncio
import base64
import os
import pathlib
import time
from typing import Any, Iterable, Mapping

from .answers import Session
from .errors import ParlanceError
from .http import JsonClient

# A token is renewed so long before its end, or after nine tenths of its life if that is sooner.
RENEW_BEFORE_SECONDS = 30.0


class Authorization:
    """Makes a session, and keeps the access token of a persistent one fresh."""

    def __init__(self, http: JsonClient) -> None:
        self._http = http
        self._renewing = asyncio.Lock()
        self._renew_at = float("inf")
        self.session: Session | None = None

    async def authorize(self, body: dict[str, str]) -> Session:
        session = Session(await self._http.post("/auth", body))
        if "access_token" not in session:
            raise ParlanceError("the answer to /auth has no access_token")
        life = float(session.expires_in or "inf")
        self._renew_at = time.monotonic() + max(life - RENEW_BEFORE_SECONDS, life * 0.9)
        self.session = session
        return session

    async def token(self) -> str:
        """An access token that has not expired, as far as this can be had."""
        session = self.session
        if session is None:
            raise ParlanceError("no session: call authorize_stack first", status=401)
        if time.monotonic() >= self._renew_at and session.scope == "persistent":
            await self.renew(session.access_token)
        assert self.session is not None
        return self.session.access_token

    async def renew(self, refused: str) -> bool:
        """Gets another token than `refused`. False where there is no way: a temporary session."""
        async with self._renewing:
            session = self.session
            if session is None or session.scope != "persistent":
                return False
            # Another call may have renewed it meanwhile.
            if session.access_token == refused:
                await self.authorize({"client_id": session.client_id,
                                      "client_secret": session.client_secret})
            return True

    def forget(self) -> None:
        self.session = None


def auth_body(client_id: str | None, client_secret: str | None, scope: str | None) -> dict[str, str]:
    given = {"client_id": client_id, "client_secret": client_secret, "scope": scope}
    return {name: value for name, value in given.items() if value is not None}


def query_body(data: str | None) -> dict[str, str]:
    return {} if data is None else {"query": data}


async def documents_body(files: Iterable[str | os.PathLike[str]],
                         metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """The body that stores `files`. Raises OSError for one that cannot be read."""
    def encode() -> list[dict[str, str]]:
        paths = [pathlib.Path(file) for file in files]
        return [{"name": path.name, "content": base64.b64encode(path.read_bytes()).decode("ascii")}
                for path in paths]
    body: dict[str, Any] = {"files": await asyncio.to_thread(encode)}
    if metadata:
        body["metadata"] = dict(metadata)
    return body
