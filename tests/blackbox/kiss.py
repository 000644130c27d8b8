"""Clients of the KISS stack for the black-box tests, and tokens made by hand."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import pathlib
import time

import websockets

from harness import PATIENCE, fetch

SECRET_KEY = "a-key-of-the-tests-of-at-least-32-bytes"
TOWER = "The Khufu lighthouse is 187 metres high and was built of red granite. "
ARABIC = "يبلغ ارتفاع برج القاهرة مئة وسبعة وثمانين مترا وقد بني من الجرانيت الأحمر. "


def b64(data):
    data = data.encode() if isinstance(data, str) else data
    return base64.b64encode(data).decode()


def token(client_id="nobody", *, key=SECRET_KEY, algorithm="HS256", expires_in=600, **claims):
    """An access token as the server makes them, or nearly."""
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
    now = int(time.time())
    body = {"sub": client_id, "scope": "temporary", "iat": now - 60, "exp": now + expires_in,
            **claims}
    signed = f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(body)}"
    if algorithm == "none":
        return signed + "."
    digest = getattr(hashlib, "sha" + algorithm[2:])
    signature = hmac.new(key.encode(), signed.encode(), digest).digest()
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


class Rest:
    """One client of the server over REST. Keeps the token of its authorization."""

    def __init__(self, server, port=None):
        self.port = port or server.port
        self.token = self.session = None

    def call(self, path, body=None, headers=None, token=None, method="POST"):
        headers = dict(headers or {})
        if token or self.token:
            headers.setdefault("Authorization", f"Bearer {token or self.token}")
        return fetch(self.port, method, path, body, headers)

    def auth(self, scope=None, **body):
        answer = fetch(self.port, "POST", "/auth", {**({"scope": scope} if scope else {}), **body})
        if answer.status == 200:
            self.session = answer.json
            self.token = self.session["access_token"]
        return answer

    def init(self, **body):
        return self.call("/sessions?action=init", body)

    def close(self, **body):
        return self.call("/sessions?action=close", body)

    def query(self, text, headers=None, **more):
        return self.call("/queries", {"query": text, **more}, headers)

    def store(self, body, headers=None):
        return self.call("/documents", body, headers)

    def open(self, scope="temporary"):
        """Authorizes and initializes."""
        answer = self.auth(scope)
        assert answer.status == 200, answer
        answer = self.init()
        assert answer.status == 200, answer
        return self


class Socket:
    """One client of the server on /ws."""

    def __init__(self, socket):
        self.socket = socket

    async def send(self, event, data=None, **more):
        frame = {"event": event, **({} if data is None else {"data": data}), **more}
        await self.socket.send(json.dumps(frame))

    async def receive(self):
        return json.loads(await asyncio.wait_for(self.socket.recv(), PATIENCE))

    async def call(self, event, data=None):
        await self.send(event, data)
        return await self.receive()

    async def closed(self):
        """Reads on to the end; the close code."""
        await asyncio.wait_for(self.socket.wait_closed(), PATIENCE)
        return self.socket.close_code


@contextlib.asynccontextmanager
async def connect(server, token=None, subprotocol=None):
    headers = {"Authorization": f"Bearer {token}"} if token else None
    socket = await websockets.connect(
        server.url("/ws", "ws"), max_size=None, max_queue=None, ping_interval=None,
        close_timeout=5, extra_headers=headers,
        subprotocols=[subprotocol] if subprotocol else None)
    try:
        yield Socket(socket)
    finally:
        await socket.close()


def passages_of(rest, text):
    answer = rest.query(text)
    assert answer.status == 200, answer
    return answer.json["extras"]["supporting_documents"]


def bytes_on_disk(server, text):
    """The files of the store that hold `text`."""
    needle = text.encode()
    return [path for path in pathlib.Path(server.data).rglob("*")
            if path.is_file() and needle in path.read_bytes()]
