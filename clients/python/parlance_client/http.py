"""JSON over HTTP, with every failure as a ParlanceError."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Mapping

import httpx

from .errors import ParlanceError, refusal

CONNECT_SECONDS = 10.0


class JsonClient:
    """Posts JSON to one server over connections that it keeps."""

    def __init__(self, base_url: str, timeout: float) -> None:
        self._base_url = base_url
        self._timeout = httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS))
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def _connections(self) -> httpx.AsyncClient:
        # Kept connections belong to the loop they were made in, and a program may have several,
        # one asyncio.run() after the other.
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._client = httpx.AsyncClient(base_url=self._base_url, timeout=self._timeout)
            self._loop = loop
        return self._client

    async def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Any:
        """The decoded answer of a success; raises ParlanceError for anything else."""
        try:
            response = await self._connections().post(
                path, content=json.dumps(body, ensure_ascii=False).encode(),
                headers={"Content-Type": "application/json", **(headers or {})})
        except httpx.HTTPError as error:
            what = str(error) or type(error).__name__
            raise ParlanceError(f"no answer from {self._base_url}: {what}") from error
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not response.is_success:
            raise refusal(response.status_code, response.headers, answer)
        if answer is None:
            raise ParlanceError("the answer is no JSON", status=response.status_code,
                                request_id=response.headers.get("X-Request-Id"))
        return answer

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.aclose()
