"""Whatever comes in from outside, the answer is a clear refusal, and the server goes on."""

# ctest: TIMEOUT=400

import asyncio
import json
import os
import re
import socket
import subprocess
import tempfile
import time
import zlib

import pytest
import websockets

from harness import (BIN, FROM_START, PATIENCE, Absent, Chat, Events, Wire, clean_environment,
                     fetch, new_id, until, wait_until, ws_frame)

pytestmark = pytest.mark.sanitizer

KEY = "key-of-the-tests-0123456789"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


@pytest.fixture(scope="module")
def server(shared_world):
    server = shared_world.server({"limits": {
        "frame_bytes_max": "64KiB", "body_bytes_max": "64KiB", "header_bytes_max": "8KiB",
        "message_bytes_max": "16KiB"}})
    yield server
    assert server.running, "something ended the server"


@pytest.fixture(scope="module")
def impatient(shared_world):
    """A server that waits for nothing longer than a second."""
    return shared_world.server({"limits": {
        "header_timeout": "1s", "body_timeout": "1s", "read_timeout": "1s",
        "keep_alive_timeout": "1s", "ping_interval": "1s"}})


@pytest.fixture(scope="module")
def guarded(shared_world):
    """A server that asks for a key and lists one origin."""
    return shared_world.server({"allowed_origins": ["https://chat.example.org"]},
                               environment={"PARLANCE_API_KEYS": f"other-key,{KEY}"})


def say(server, text, port=None):
    """Sends these bytes; the answer, or None when the server only closes."""
    with Wire(port or server.port) as wire:
        wire.send(text)
        return wire.response()


def request(server, method, path, body=b"", *headers, host="Host: 127.0.0.1"):
    lines = [f"{method} {path} HTTP/1.1", *([host] if host else []), *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return say(server, "\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def is_problem(answer, status):
    assert answer is not None, "closed without an answer"
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert problem["status"] == status and problem["title"] and problem["detail"]
    assert problem["instance"] == answer.headers["x-request-id"]
    return problem


# ---- Frames of a chat: refused, and the socket stays open ----


BAD_FRAMES = {
    "nothing at all": "",
    "no JSON": "hello",
    "JSON that is cut off": "{\"type\": \"client\"",
    "two objects": "{}{}",
    "a zero byte behind the object": '{"type":"ping"}\0',
    "bytes behind a zero byte": '{"type":"ping"}\0{}',
    "an array": "[]",
    "a number": "7",
    "null": "null",
    "no type": "{}",
    "a type that is no string": "{\"type\": 7}",
    "an unknown type": "{\"type\": \"teleport\"}",
    "a message that is missing": {"type": "client", "message_id": "x"},
    "a message that is no string": {"type": "client", "message": 7, "message_id": "x"},
    "a message that is null": {"type": "client", "message": None, "message_id": "x"},
    "a message that is an object": {"type": "client", "message": {}, "message_id": "x"},
    "an empty message": {"type": "client", "message": "", "message_id": "x"},
    "a message that is too long": {"type": "client", "message": "x" * 20_000, "message_id": "x"},
    "a message id that is missing": {"type": "client", "message": "x"},
    "a message id that is no string": {"type": "client", "message": "x", "message_id": 7},
    "an empty message id": {"type": "client", "message": "x", "message_id": ""},
    "a message id that is too long": {"type": "client", "message": "x", "message_id": "x" * 129},
    "a message id with a control character": {"type": "client", "message": "x",
                                              "message_id": "a\u0000b"},
    "an unknown on_busy": {"type": "client", "message": "x", "message_id": "x", "on_busy": "wait"},
    "an on_busy that is no string": {"type": "client", "message": "x", "message_id": "x",
                                     "on_busy": 1},
    "a cancel with a number": {"type": "cancel", "message_id": 7},
    "a ping with a number": {"type": "ping", "data": 7},
    "a ping with too much data": {"type": "ping", "data": "x" * 2000},
    "half a surrogate": "{\"type\":\"client\",\"message\":\"\\ud800\",\"message_id\":\"x\"}",
    "a bad escape": "{\"type\":\"client\",\"message\":\"\\x41\",\"message_id\":\"x\"}",
    "a raw control character": "{\"type\":\"client\",\"message\":\"a\nb\",\"message_id\":\"x\"}",
    "deep nesting": "{\"a\":" + "[" * 20_000 + "]" * 20_000 + "}",
    "deep nesting without an end": "[" * 30_000,
    "a huge number": "{\"type\":" + "9" * 10_000 + "}",
    "a number out of range": "{\"type\":1e999999}",
}


@pytest.mark.parametrize("frame", BAD_FRAMES.values(), ids=BAD_FRAMES)
async def test_a_bad_frame_is_answered_by_an_error_that_ends_nothing(server, frame):
    async with Chat(server, new_id("bad")) as chat:
        await chat.say(frame)
        error = await chat.frame("agent_error")
        assert error["error"] and "seq" not in error and "cursor" not in error
        assert set(error) <= {"type", "error", "chat_id", "message_id"}
        await chat.settle()  # Open as before.
        assert len(chat.frames) == 2


async def test_a_bad_frame_in_the_middle_of_an_answer_ends_nothing(world):
    upstream = world.upstream("--tokens", 30, "--token-ms", 10)
    async with Chat(world.server(upstream=upstream), "middle") as chat:
        name = await chat.send("question")
        await chat.frame("client_message")
        for frame in ("nonsense", {"type": "client"}, {"type": "cancel", "message_id": "other"}):
            await chat.say(frame)
        assert (await chat.end_of(name))["status"] == "completed"


async def test_a_bad_frame_names_the_message_that_it_refuses(server):
    async with Chat(server, "names") as chat:
        await chat.say({"type": "client", "message": 7, "message_id": "the-one"})
        assert (await chat.frame("agent_error"))["message_id"] == "the-one"


async def test_a_binary_frame_is_refused(server):
    async with Chat(server, "binary") as chat:
        await chat.say(b"\x00\x01")
        assert "binary" in (await chat.frame("agent_error"))["error"]
        await chat.settle()


async def test_members_that_nobody_knows_are_ignored(server):
    async with Chat(server, "unknown-members") as chat:
        assert (await chat.ask("Hello", extra={"deep": [1, 2]}))["status"] == "completed"


async def test_hundreds_of_bad_frames_at_once_are_all_answered(server):
    async with Chat(server, "hundreds") as chat:
        for _ in range(500):
            await chat.say("nonsense")
        await chat.settle()
        assert sum(f["type"] == "agent_error" for f in chat.frames) == 500


# ---- WebSocket framing: closed with a code ----


def after_frames(server, *frames):
    """The close code that these bytes on a new WebSocket lead to."""
    with Wire(server.port) as wire:
        assert wire.upgrade("/chat/framing")[0] == 101
        for frame in frames:
            wire.send(frame)
        closed = wire.close_code()
        return closed and closed[0]


HELLO = ws_frame(TEXT, '{"type":"ping"}')


FRAMINGS = {
    "invalid UTF-8": (1007, [ws_frame(TEXT, b'{"type":"\xc3\x28"}')]),
    "an overlong encoding": (1007, [ws_frame(TEXT, b"\xc0\xaf")]),
    "an encoded surrogate": (1007, [ws_frame(TEXT, b"\xed\xa0\x80")]),
    "beyond the last code point": (1007, [ws_frame(TEXT, b"\xf4\x90\x80\x80")]),
    "half a character at the end": (1007, [ws_frame(TEXT, b"abc\xd8")]),
    "half a character over two fragments, never completed": (
        1007, [ws_frame(TEXT, b"abc\xd8", fin=False), ws_frame(0, b"x")]),
    "too long": (1009, [ws_frame(TEXT, b"x" * (64 << 10 | 1))]),
    "a length that only claims to be too long": (1009, [ws_frame(TEXT, b"", length=1 << 40)]),
    "the longest length": (1009, [ws_frame(TEXT, b"", length=(1 << 63) - 1)]),
    "too long in fragments": (1009, [ws_frame(TEXT, b"x" * 60_000, fin=False),
                                     ws_frame(0, b"x" * 60_000)]),
    "not masked": (1002, [ws_frame(TEXT, b"{}", masked=False)]),
    "an opcode that is reserved": (1002, [ws_frame(3, b"{}")]),
    "a control opcode that is reserved": (1002, [ws_frame(11, b"")]),
    "the first reserved bit": (1002, [ws_frame(TEXT, b"{}", rsv=4)]),
    "the other reserved bits": (1002, [ws_frame(TEXT, b"{}", rsv=3)]),
    "a ping in fragments": (1002, [ws_frame(PING, b"", fin=False)]),
    "a close in fragments": (1002, [ws_frame(CLOSE, b"", fin=False)]),
    "a ping that is too long": (1002, [ws_frame(PING, b"x" * 126)]),
    "a continuation of nothing": (1002, [ws_frame(0, b"x")]),
    "a message inside a message": (1002, [ws_frame(TEXT, b"{", fin=False), HELLO]),
    "a close of one byte": (1002, [ws_frame(CLOSE, b"\x03")]),
    "a close code below the range": (1002, [ws_frame(CLOSE, (999).to_bytes(2, "big"))]),
    "a close code that is never sent": (1002, [ws_frame(CLOSE, (1005).to_bytes(2, "big"))]),
    "a close code that nobody has": (1002, [ws_frame(CLOSE, (1016).to_bytes(2, "big"))]),
    "a close code above the range": (1002, [ws_frame(CLOSE, (5000).to_bytes(2, "big"))]),
    "a close reason that is no UTF-8": (1007, [ws_frame(CLOSE, b"\x03\xe8\xc3\x28")]),
    "a length with its highest bit": (1002, [b"\x81\xff" + b"\xff" * 8 + b"mask"]),
    "a flood of pings": (1008, [ws_frame(PING, b"x") * 20_000]),
    "a flood of pongs": (1008, [ws_frame(PONG, b"x") * 20_000]),
}


@pytest.mark.parametrize("code, frames", FRAMINGS.values(), ids=FRAMINGS)
def test_bad_framing_is_closed_with_its_code(server, code, frames):
    assert after_frames(server, *frames) == code


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
def test_a_close_is_answered_with_its_code(server, code):
    assert after_frames(server, ws_frame(CLOSE, code.to_bytes(2, "big") + b"bye")) == code


def test_a_close_without_a_code_is_answered(server):
    with Wire(server.port) as wire:
        wire.upgrade("/chat/framing")
        wire.send(ws_frame(CLOSE))
        assert wire.frame()[0] == CLOSE


def test_frames_after_a_close_are_not_looked_at(server):
    with Wire(server.port) as wire:
        wire.upgrade("/chat/after-close")
        wire.send(ws_frame(CLOSE, b"\x03\xe8") + ws_frame(
            TEXT, '{"type":"client","message":"late","message_id":"late"}'))
        wire.close_code()
    assert server.history("after-close") == []


def test_a_good_frame_before_a_bad_one_counts(server):
    name = new_id("before")
    with Wire(server.port) as wire:
        wire.upgrade(f"/chat/{name}")
        wire.send(ws_frame(TEXT, '{"type":"client","message":"in","message_id":"in"}')
                  + ws_frame(3, b""))
        assert wire.close_code()[0] == 1002
    wait_until(lambda: len(server.history(name)) == 2, "the message and its answer")


def test_a_message_in_many_fragments_is_one_message(server):
    with Wire(server.port) as wire:
        wire.upgrade("/chat/fragments")
        text = '{"type":"ping","data":"سلام"}'.encode()
        wire.send(ws_frame(TEXT, b"", fin=False))
        for byte in text:
            wire.send(ws_frame(0, bytes([byte]), fin=False))
        wire.send(ws_frame(PING, b"between"))
        wire.send(ws_frame(0, b""))
        assert wire.frame() == (PONG, b"between")
        assert json.loads(wire.frame()[1])["data"] == "سلام"


def test_a_frame_that_comes_byte_by_byte_is_one_frame(server):
    with Wire(server.port) as wire:
        wire.upgrade("/chat/bytes")
        for byte in ws_frame(TEXT, '{"type":"ping"}'):
            wire.send(bytes([byte]))
        assert json.loads(wire.frame()[1])["type"] == "pong"


def test_frames_sent_together_with_the_handshake_are_read(server):
    with Wire(server.port) as wire:
        wire.send("GET /chat/ahead HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                  "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        wire.send(HELLO)
        assert wire.head()[0] == 101 and b"pong" in wire.frame()[1]


# ---- Handshakes ----


def handshake(server, path="/chat/x", *, drop=(), **change):
    headers = {"Host": "127.0.0.1", "Upgrade": "websocket", "Connection": "Upgrade",
               "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}
    headers.update({k.replace("_", "-"): v for k, v in change.items()})
    text = "".join(f"{k}: {v}\r\n" for k, v in headers.items() if k not in drop)
    with Wire(server.port) as wire:
        wire.send(f"GET {path} HTTP/1.1\r\n{text}\r\n")
        return wire.response()


def test_a_handshake_is_answered_with_the_right_hash(server):
    assert handshake(server).headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_a_plain_request_to_a_socket_is_told_to_upgrade(server):
    answer = handshake(server, drop=("Upgrade", "Connection"))
    is_problem(answer, 426)
    assert answer.headers["upgrade"].lower() == "websocket"


def test_another_version_of_the_protocol_is_refused_with_the_one_spoken(server):
    answer = handshake(server, Sec_WebSocket_Version="8")
    is_problem(answer, 426)
    assert answer.headers["sec-websocket-version"] == "13"


@pytest.mark.parametrize("key", ["", "short", "x" * 24, "dGhlIHNhbXBsZSBub25jZQ==" * 2])
def test_a_handshake_with_a_bad_key_is_refused(server, key):
    is_problem(handshake(server, Sec_WebSocket_Key=key), 400)


BAD_CHAT_IDS = ["", "%20", "a%20b", "a/b/c", "%2e%2f", "x" * 129, "%D8%B3", "a%00b", "%", "%zz",
                "a:b", "a@b", "..%2f..%2fetc", ".", "..", "%2e", "%2E."]


@pytest.mark.parametrize("chat_id", BAD_CHAT_IDS)
def test_a_bad_chat_id_is_refused_at_the_handshake(server, chat_id):
    answer = handshake(server, f"/chat/{chat_id}")
    assert answer.status in ((404,) if "/" in chat_id else (400,))


@pytest.mark.parametrize("path", ["/history/{}", "/chat/{}/events"])
@pytest.mark.parametrize("chat_id", ["a%20b", "x" * 129, "%D8%B3", "%zz", ".", ".."])
def test_a_bad_chat_id_is_refused_elsewhere(server, path, chat_id):
    is_problem(request(server, "GET", path.format(chat_id)), 400)


def test_a_chat_id_of_128_characters_is_taken(server):
    assert handshake(server, "/chat/" + "x" * 128).status == 101


def test_a_chat_id_may_come_percent_encoded(server):
    assert request(server, "GET", "/history/%61%2Db").status == 200


# ---- Compression ----


async def test_compression_is_not_agreed_to_by_default(server):
    async with Chat(server, "not-compressed", compression="deflate") as chat:
        assert "Sec-WebSocket-Extensions" not in chat.socket.response_headers
        await chat.settle()


@pytest.fixture(scope="module")
def compressing(shared_world):
    return shared_world.server({"permessage_deflate": True,
                                "limits": {"frame_bytes_max": "64KiB"}})


def deflated(text):
    """As permessage-deflate sends it."""
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


async def test_compressed_messages_are_understood_where_that_is_configured(compressing):
    async with Chat(compressing, "compressed", compression="deflate", tokens=True) as chat:
        assert "permessage-deflate" in chat.socket.response_headers["Sec-WebSocket-Extensions"]
        for number in range(3):
            end = await chat.ask("سلام " * 500, f"m{number}")
            assert end["status"] == "completed"
        assert (await chat.frame("client_message"))["message"] == "سلام " * 500


@pytest.mark.parametrize("code, payload", [
    (1009, deflated(b"x" * (20 << 20))), (1007, b"\xff\xff\xff\xff no deflate"),
    (1007, deflated(b"\xc3\x28"))], ids=["a bomb", "nonsense", "invalid UTF-8"])
def test_a_bad_compressed_message_is_closed_with_its_code(compressing, code, payload):
    with Wire(compressing.port) as wire:
        status, headers = wire.upgrade("/chat/bomb", "Sec-WebSocket-Extensions: permessage-deflate")
        assert status == 101 and "permessage-deflate" in headers["sec-websocket-extensions"]
        wire.send(ws_frame(TEXT, payload, rsv=4))
        assert wire.close_code()[0] == code


# ---- HTTP ----


def test_an_unknown_path_is_not_found(server):
    for path in ("/nothing", "/chat", "/chat/x/y", "/history", "/healthz/", "//", "/Healthz"):
        is_problem(request(server, "GET", path), 404)


@pytest.mark.parametrize("method, path, allow", [
    ("POST", "/healthz", "GET, HEAD"), ("DELETE", "/history/x", "GET, HEAD"),
    ("GET", "/agent/run", "POST"), ("PUT", "/chat/x/messages", "POST"),
    ("POST", "/chat/x", "GET, DELETE"), ("BREW", "/metrics", "GET, HEAD")])
def test_a_wrong_method_is_refused_with_the_right_ones(server, method, path, allow):
    answer = request(server, method, path)
    is_problem(answer, 405)
    assert answer.headers["allow"] == allow


# Well-formed as messages, so that the next one is known to begin behind them.
UNACCEPTABLE_REQUESTS = {
    "a target that is no path": b"GET healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target with a NUL": b"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target with a broken escape": b"GET /%4 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target that is no UTF-8": b"GET /history/%ff HTTP/1.1\r\nHost: x\r\n\r\n",
    "no Host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "the same Host twice": b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
}

# Where the next message begins is not known.
MALFORMED_REQUESTS = {
    "no HTTP": b"hello\r\n\r\n",
    "bytes": bytes(range(256)) + b"\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\nHost: x\r\n\r\n",
    "line ends without CR": b"GET /healthz HTTP/1.1\nHost: x\n\n",
    "a line end without CR": b"GET /healthz HTTP/1.1\nHost: x\r\n\r\n",
    "another version and a line end without CR": b"GET /healthz HTTP/2.0\nHost: x\r\n\r\n",
    "a space in the target": b"GET /history/a b HTTP/1.1\r\nHost: x\r\n\r\n",
    "a space in the target, and another version": b"GET /a b HTTP/2.0\r\nHost: x\r\n\r\n",
    "two spaces": b"GET /healthz  HTTP/1.1\r\nHost: x\r\n\r\n",
    "a space behind the version": b"GET /healthz HTTP/1.1 \r\nHost: x\r\n\r\n",
    "two versions": b"GET /healthz HTTP/2.0 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a version of another protocol": b"GET /healthz ICY/1.1\r\nHost: x\r\n\r\n",
    "a version in lower case": b"GET /healthz http/1.1\r\nHost: x\r\n\r\n",
    "a version without its second digit": b"GET /healthz HTTP/2\r\nHost: x\r\n\r\n",
    "a version with three digits": b"GET /healthz HTTP/1.10\r\nHost: x\r\n\r\n",
    "a header without a colon": b"GET /healthz HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n",
    "a header with a space before its colon": b"GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n",
    "a folded header": b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\r\n\x01c\r\n\r\n",
    "a control character in a value": b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n",
    "a length and chunks": (b"POST /agent/run HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
                            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "chunks and a length": (b"POST /agent/run HTTP/1.1\r\nHost: x\r\n"
                            b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"),
    "two lengths": (b"POST /agent/run HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                    b"Content-Length: 4\r\n\r\n{}{}"),
    "a list of lengths": b"POST /agent/run HTTP/1.1\r\nHost: x\r\nContent-Length: 2, 4\r\n\r\n{}",
    "a negative length": b"POST /agent/run HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "a length with a sign": b"POST /agent/run HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\n{}",
    "a length in hex": b"POST /agent/run HTTP/1.1\r\nHost: x\r\nContent-Length: 0x2\r\n\r\n{}",
    "a coding that is not chunked": (b"POST /agent/run HTTP/1.1\r\nHost: x\r\n"
                                     b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    "chunked before another coding": (b"POST /agent/run HTTP/1.1\r\nHost: x\r\n"
                                      b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    "chunked twice": (b"POST /agent/run HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                      b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "a chunk size that is none": (b"POST /agent/run HTTP/1.1\r\nHost: localhost\r\n"
                                  b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
    "a chunk without its end": (b"POST /agent/run HTTP/1.1\r\nHost: localhost\r\n"
                                b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n"),
    "a chunk size beyond all bounds": (b"POST /agent/run HTTP/1.1\r\nHost: localhost\r\n"
                                       b"Transfer-Encoding: chunked\r\n\r\n"
                                       b"ffffffffffffffffff\r\n{}\r\n"),
}


@pytest.mark.parametrize("text", UNACCEPTABLE_REQUESTS.values(), ids=UNACCEPTABLE_REQUESTS)
def test_an_unacceptable_request_is_refused(server, text):
    is_problem(say(server, text), 400)


@pytest.mark.parametrize("text", MALFORMED_REQUESTS.values(), ids=MALFORMED_REQUESTS)
def test_a_malformed_request_is_refused_and_its_connection_closed(server, text):
    """What follows on the connection may be a part of it, and must not be taken for a request."""
    with Wire(server.port) as wire:
        wire.send(text + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = wire.response()
        assert answer is not None and answer.status in (400, 413)
        is_problem(answer, answer.status)
        assert wire.until_closed() == b"", "a second answer on a connection that lost its place"


@pytest.mark.parametrize("version, status", [("HTTP/2.0", 505), ("HTTP/0.9", 505),
                                             ("HTTP/9.9", 505), ("HTTP/1.2", 505)])
def test_another_version_of_http_is_refused(server, version, status):
    is_problem(say(server, f"GET /healthz {version}\r\nHost: x\r\n\r\n"), status)


def test_a_request_of_http_1_0_is_answered_and_closed(server):
    with Wire(server.port) as wire:
        wire.send("GET /healthz HTTP/1.0\r\n\r\n")
        assert b" 200 " in wire.until_closed()


def test_a_header_that_is_too_big_is_refused(server):
    is_problem(request(server, "GET", "/healthz", b"", "X-Big: " + "x" * 20_000), 431)


def test_too_many_headers_are_refused(server):
    many = [f"X-{n}: y" for n in range(5000)]
    is_problem(request(server, "GET", "/healthz", b"", *many), 431)


def test_a_target_that_is_too_long_is_refused(server):
    answer = request(server, "GET", "/history/x?" + "y" * 20_000)
    assert answer.status in (414, 431)


def test_a_body_that_is_too_big_is_refused(server):
    is_problem(request(server, "POST", "/agent/run", b"x" * 100_000,
                       "Content-Type: application/json"), 413)


def test_a_body_that_claims_to_be_too_big_is_refused_before_it_comes(server):
    is_problem(say(server, "POST /agent/run HTTP/1.1\r\nHost: localhost\r\n"
                           "Content-Type: application/json\r\n"
                           "Content-Length: 99999999999\r\n\r\n"), 413)


def test_a_body_in_chunks_that_is_too_big_is_refused(server):
    chunks = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    is_problem(say(server, b"POST /agent/run HTTP/1.1\r\nHost: localhost\r\n"
                           b"Transfer-Encoding: chunked\r\n"
                           b"Content-Type: application/json\r\n\r\n" + chunks * 8), 413)


def test_a_body_in_chunks_is_read(server):
    answer = say(server, b"POST /agent/run HTTP/1.1\r\nHost: localhost\r\n"
                         b"Transfer-Encoding: chunked\r\n"
                         b"Content-Type: application/json\r\n\r\n"
                         b"8\r\n{\"task\":\r\n9;a=b\r\n \"Hello\"}\r\n0\r\nX-Trailer: y\r\n\r\n")
    assert answer.status == 200


def test_one_who_asks_before_sending_the_body_is_told_to_go_on(server):
    with Wire(server.port) as wire:
        wire.send("POST /agent/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16\r\n"
                  "Content-Type: application/json\r\nExpect: 100-continue\r\n\r\n")
        assert wire.head()[0] == 100
        wire.send('{"task":"Hello"}')
        assert wire.response().status == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded",
                                  "multipart/form-data; boundary=x", "application/jsonp"])
@pytest.mark.parametrize("path", ["/agent/run", "/chat/x/messages", "/chat/x/cancel"])
def test_a_body_of_another_type_is_refused(server, kind, path):
    is_problem(request(server, "POST", path, b"{}", f"Content-Type: {kind}"), 415)


def post(server, path, body, **headers):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return request(server, "POST", path, body, "Content-Type: application/json",
                   *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items()))


@pytest.mark.parametrize("body", [b"x", b"{", b"[]", b"7", b"null", b"\xff\xfe{\x00",
                                  b'{"task":"\xc3\x28","message":"\xc3\x28"}', b"{}{}",
                                  b"[" * 5000, b'{"task":"x","message":"x"}\x00',
                                  b'{"task":"x","message":"x"}\x00{}',
                                  b'{"task":"x","message":"x"} \x00\x00trailing'])
@pytest.mark.parametrize("path", ["/agent/run", "/chat/malformed/messages"])
def test_a_malformed_body_is_refused(server, path, body):
    is_problem(post(server, path, body), 400)


@pytest.mark.parametrize("path", ["/agent/run", "/chat/empty/messages"])
def test_an_empty_body_is_refused(server, path):
    is_problem(say(server, f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"
                           "Content-Type: application/json\r\n\r\n"), 400)


@pytest.mark.parametrize("path, body, pointers", [
    ("/chat/invalid/messages", {}, ["/message"]),
    ("/chat/invalid/messages", {"message": 7}, ["/message"]),
    ("/chat/invalid/messages", {"message": ""}, ["/message"]),
    ("/chat/invalid/messages", {"message": "x" * 20_000}, ["/message"]),
    ("/chat/invalid/messages", {"message": "x", "message_id": 7}, ["/message_id"]),
    ("/chat/invalid/messages", {"message": "x", "message_id": ""}, ["/message_id"]),
    ("/chat/invalid/messages", {"message": "x", "on_busy": "wait"}, ["/on_busy"]),
    ("/chat/invalid/messages", {"message": 7, "message_id": 7, "on_busy": 7},
     ["/message", "/message_id", "/on_busy"]),
    ("/chat/invalid/cancel", {"message_id": 7}, ["/message_id"]),
    ("/agent/run", {}, ["/task"]),
    ("/agent/run", {"task": None}, ["/task"]),
    ("/agent/run", {"task": "x", "chat_id": 7}, ["/chat_id"]),
    ("/agent/run", {"task": "x", "chat_id": "a b"}, ["/chat_id"]),
    ("/agent/run", {"task": "x", "chat_id": ".."}, ["/chat_id"]),
])
def test_an_invalid_body_is_refused_with_every_member_that_is_wrong(server, path, body, pointers):
    problem = is_problem(post(server, path, body), 422)
    assert [e["pointer"] for e in problem["errors"]] == pointers
    assert all(e["message"] for e in problem["errors"])


def test_a_run_too_many_is_refused_with_the_key_of_its_limit(world):
    upstream = world.upstream("--tokens", 5, "--first-token-ms", 60_000)
    server = world.server({"cores": 1, "limits": {"run_once_max": 1}}, upstream)
    with Wire(server.port) as first:
        first.send("POST /agent/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16\r\n"
                   'Content-Type: application/json\r\n\r\n{"task":"Hello"}')
        upstream.wait_stats(lambda stats: stats["requests"] > 0, "the call of the first run")
        problem = is_problem(post(server, "/agent/run", {"task": "Hello"}), 429)
        assert "run_once_max" in problem["detail"]


def test_nothing_of_a_refused_message_is_stored(server):
    post(server, "/chat/not-stored/messages", {"message": "x", "on_busy": "wait"})
    post(server, "/chat/not-stored/messages", b"{")
    assert server.history("not-stored") == []


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=x", "limit=1.5", "limit=",
                                   "before=x", "before=-1", "limit=99999999999999999999"])
def test_a_bad_page_of_the_history_is_refused(server, query):
    is_problem(request(server, "GET", f"/history/x?{query}"), 400)


@pytest.mark.parametrize("key", ["", "x" * 200, "a\tb", "سلام"])
def test_a_bad_idempotency_key_is_refused_or_ignored(server, key):
    answer = say(server, (
        f"POST /chat/key/messages HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: {key}\r\n"
        'Content-Type: application/json\r\nContent-Length: 15\r\n\r\n{"message":"x"}').encode())
    assert answer.status in ((202,) if not key else (400, 422))


@pytest.mark.parametrize("name", ["Idempotency-Key", "Authorization", "Last-Event-ID"])
@pytest.mark.parametrize("second", ["", "other", "first"])
@pytest.mark.parametrize("method, path", [("POST", "/chat/twice/messages"),
                                          ("GET", "/chat/twice/events")])
def test_a_header_that_means_one_thing_is_taken_once(server, name, second, method, path):
    body = b'{"message":"x"}' if method == "POST" else b""
    answer = request(server, method, path, body, f"{name}: first", f"{name.lower()}: {second}")
    assert name in is_problem(answer, 400)["detail"]
    assert server.history("twice") == []


def test_a_key_beside_another_one_is_not_taken(guarded):
    for values in ((KEY, "wrong"), ("wrong", KEY)):
        headers = [f"Authorization: Bearer {value}" for value in values]
        is_problem(request(guarded, "GET", "/history/x", b"", *headers), 400)


def test_a_request_id_of_the_client_is_kept(server):
    answer = request(server, "GET", "/nothing", b"", "X-Request-Id: abc-123")
    assert is_problem(answer, 404)["instance"] == "abc-123"


@pytest.mark.parametrize("name", ["x" * 200, "a b", "<script>", "a\x7fb"])
def test_a_request_id_that_is_not_safe_is_replaced(server, name):
    answer = request(server, "GET", "/nothing", b"", f"X-Request-Id: {name}")
    if answer.status == 404:
        assert answer.headers["x-request-id"] != name
    else:
        assert answer.status == 400


# ---- Slow and half-open ----


def test_a_header_that_never_ends_is_given_up(impatient):
    with Wire(impatient.port) as wire:
        wire.send("GET /healthz HTTP/1.1\r\nHost: x\r\n")
        answer = wire.response()
        assert answer is None or is_problem(answer, 408)
        assert wire.until_closed() == b""


def test_a_header_that_drips_is_given_up(impatient):
    """The time counts from its first byte: each further one gains nothing."""
    with Wire(impatient.port) as wire:
        end = time.monotonic() + PATIENCE
        wire.socket.settimeout(0.1)
        for byte in b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: " + b"y" * 10_000:
            wire.send(bytes([byte]))
            try:
                data = wire.socket.recv(4096)
            except TimeoutError:
                assert time.monotonic() < end, "still open"
                continue
            except ConnectionError:
                break
            assert not data or b" 408 " in data
            break


def test_a_body_that_never_comes_is_given_up(impatient):
    with Wire(impatient.port) as wire:
        wire.send("POST /agent/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
                  "Content-Type: application/json\r\n\r\n{")
        is_problem(wire.response(), 408)
        assert wire.until_closed() == b""


def test_a_connection_that_says_nothing_is_closed(impatient):
    with Wire(impatient.port) as wire:
        assert wire.until_closed() == b""


async def test_no_connection_is_given_up_before_its_time(impatient):
    """Wherever between two looks of the server at its clock it begins."""
    async def closed_after(phase):
        began = time.monotonic()
        await until(lambda: time.monotonic() >= began + phase, "its phase", every=0.01)
        opened = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", impatient.port)
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        writer.close()
        return time.monotonic() - opened

    assert min(await asyncio.gather(*(closed_after(i / 16) for i in range(16)))) >= 1


def test_a_connection_that_says_nothing_more_is_closed(impatient):
    with Wire(impatient.port) as wire:
        wire.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert wire.response().status == 200 and wire.until_closed() == b""


def test_a_frame_that_never_ends_is_given_up(impatient):
    with Wire(impatient.port) as wire:
        wire.upgrade("/chat/slow")
        wire.send(ws_frame(TEXT, b"{", length=100))
        assert wire.close_code()[0] == 1008


def test_a_message_whose_fragments_never_end_is_given_up(impatient):
    with Wire(impatient.port) as wire:
        wire.upgrade("/chat/slow")
        wire.send(ws_frame(TEXT, b"{", fin=False))
        assert wire.close_code()[0] == 1008


def test_a_message_of_endless_empty_fragments_is_given_up(impatient):
    with Wire(impatient.port) as wire:
        wire.upgrade("/chat/slow")
        wire.send(ws_frame(TEXT, b"", fin=False) + ws_frame(0, b"", fin=False) * 20_000)
        assert wire.close_code()[0] == 1008


@pytest.mark.parametrize("frames", [
    ws_frame(TEXT, b"x" * 50_000, fin=False),
    (ws_frame(TEXT, '{"type":"get_history"}') + HELLO * 500) * 20], ids=["incomplete", "unread"])
def test_more_kept_input_than_a_core_may_have_is_closed(shared_world, frames):
    server = shared_world.server({"limits": {"partial_bytes_max": "2KiB"}})
    before = server.metric("connections_open")
    with Wire(server.port) as wire:
        wire.upgrade("/chat/kept")
        wire.send(frames)
        code, reason = wire.close_code()
        assert code == 1013 and "unread" in reason
    wait_until(lambda: server.metric("connections_open") <= before, "it to be gone")
    with Wire(server.port) as wire:  # What was kept of it counts no longer.
        wire.upgrade("/chat/kept")
        wire.send(ws_frame(TEXT, '{"type":"ping"}' + " " * 1000, fin=False) + ws_frame(0))
        assert b"pong" in wire.frame()[1]


def test_one_message_sent_very_many_times_at_once_harms_nobody(shared_world):
    """Repeats wait for the first to become durable; answering them must not nest."""
    server = shared_world.server({})
    again = ws_frame(TEXT, b'{"type":"client","message":"a","message_id":"r"}') * 100
    wires = [Wire(server.port) for _ in range(400)]
    for wire in wires:
        wire.upgrade("/chat/repeats")
    for wire in wires:
        wire.send(again)
    assert server.get("/healthz").status == 200
    for wire in wires:
        wire.socket.close()
    assert server.get("/healthz").status == 200


def test_a_socket_whose_peer_is_gone_is_closed(impatient):
    """Nobody answers the pings of the server."""
    with Wire(impatient.port) as wire:
        wire.upgrade("/chat/gone")
        assert wire.frame()[0] == PING
        while (frame := wire.frame()) is not None:
            assert frame[0] in (PING, CLOSE)


async def test_a_socket_whose_peer_answers_pings_stays(impatient):
    async with Chat(impatient, "stays") as chat:
        deadline = time.monotonic() + 4  # Longer than it takes to close one that does not answer.
        await until(lambda: time.monotonic() > deadline, "four seconds", every=0.1)
        assert chat.closed is None
        await chat.settle()


def test_one_who_closes_its_half_still_gets_its_answer(server):
    with Wire(server.port) as wire:
        wire.send("POST /chat/half/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 19\r\n"
                  'Content-Type: application/json\r\n\r\n{"message":"Hello"}')
        wire.send("POST /agent/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16\r\n"
                  'Content-Type: application/json\r\n\r\n{"task":"Hello"}')
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.response().status == 202


def test_connections_that_end_anywhere_leave_nothing_behind(server):
    before = server.metric("connections_open")
    handshake_text = (b"GET /chat/ends HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                      b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                      b"dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    whole = handshake_text + HELLO
    for cut in range(0, len(whole), 3):
        for abort in (False, True):
            wire = Wire(server.port)
            if abort:  # A reset instead of an end.
                wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       (1).to_bytes(4, "little") + (0).to_bytes(4, "little"))
            wire.send(whole[:cut])
            wire.socket.close()
    wait_until(lambda: server.metric("connections_open") <= before, "all of them to be gone")


# ---- Origins ----


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example",
                                    "https://chat.example.org", "http://evil.example/127.0.0.1",
                                    "127.0.0.1", "http://x@127.0.0.1"])
def test_a_socket_from_a_page_of_another_origin_is_refused(server, origin):
    is_problem(handshake(server, Origin=origin), 403)


@pytest.mark.parametrize("path", ["/chat/x/messages", "/chat/x/cancel", "/agent/run"])
def test_a_change_from_a_page_of_another_origin_is_refused(server, path):
    is_problem(post(server, path, {"message": "x", "task": "x"}, Origin="https://evil.example"),
               403)


@pytest.mark.parametrize("origin, host", [
    ("http://127.0.0.1:8080", "127.0.0.1:8080"), ("http://127.0.0.1", "127.0.0.1"),
    ("http://127.0.0.1", "127.0.0.1:80"), ("https://127.0.0.1", "127.0.0.1")])
def test_a_socket_from_a_page_of_the_same_host_and_port_is_taken(server, origin, host):
    assert handshake(server, Origin=origin, Host=host).status == 101


@pytest.mark.parametrize("origin", ["http://127.0.0.1:9999", "http://127.0.0.1",
                                    "https://127.0.0.1"])
def test_a_socket_from_a_page_of_another_port_is_refused(server, origin):
    is_problem(handshake(server, Origin=origin, Host="127.0.0.1:8080"), 403)


@pytest.mark.parametrize("origin", ["https://chat.example.org", "HTTPS://Chat.Example.org"])
def test_a_socket_from_a_page_of_a_listed_origin_is_taken(guarded, origin):
    assert handshake(guarded, Origin=origin, Authorization=f"Bearer {KEY}").status == 101


def test_a_listed_origin_does_not_stand_for_another_port(guarded):
    answer = handshake(guarded, Origin="https://chat.example.org:444",
                       Authorization=f"Bearer {KEY}")
    is_problem(answer, 403)


# ---- Hosts ----


OTHER_HOSTS = ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "192.168.0.1",
               "localhost.evil.example:8080", "127.0.0.1@evil.example", ""]
SERVED = [("GET", "/"), ("GET", "/metrics"), ("GET", "/history/x"), ("GET", "/chat/x"),
          ("GET", "/chat/x/events"), ("POST", "/agent/run"), ("POST", "/chat/x/messages"),
          ("POST", "/chat/x/cancel")]


@pytest.mark.parametrize("method, path", SERVED)
@pytest.mark.parametrize("host", OTHER_HOSTS)
def test_without_keys_another_host_is_refused(server, method, path, host):
    """A page whose name was pointed at 127.0.0.1 sends that name."""
    answer = request(server, method, path, host=f"Host: {host}")
    assert "allowed_origins" in is_problem(answer, 403)["detail"]


def test_a_page_of_another_host_is_refused_although_it_is_of_that_origin(server):
    name = f"evil.example:{server.port}"
    is_problem(handshake(server, Host=name, Origin=f"http://{name}"), 403)
    is_problem(say(server, f"POST /chat/x/messages HTTP/1.1\r\nHost: {name}\r\n"
                           f"Origin: http://{name}\r\nContent-Type: application/json\r\n"
                           'Content-Length: 15\r\n\r\n{"message":"x"}'), 403)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("host", OTHER_HOSTS)
def test_health_is_told_whatever_the_host(server, path, host):
    assert request(server, "GET", path, host=f"Host: {host}").status == 200


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:1", "127.1.2.3", "[::1]",
                                  "[::1]:8080"])
def test_without_keys_the_names_of_loopback_are_served(server, host):
    assert request(server, "GET", "/history/x", host=f"Host: {host}").status == 200


def test_without_keys_the_host_of_a_listed_origin_is_served(world):
    server = world.server({"allowed_origins": ["https://chat.example.org"]})
    for host, status in (("chat.example.org", 200), ("Chat.Example.org:8443", 200),
                         ("127.0.0.1", 200), ("example.org", 403)):
        assert request(server, "GET", "/history/x", host=f"Host: {host}").status == status


def test_with_keys_every_host_is_served(guarded):
    answer = request(guarded, "GET", "/history/x", b"", f"Authorization: Bearer {KEY}",
                     host="Host: evil.example")
    assert answer.status == 200


# ---- Keys ----


@pytest.mark.parametrize("method, path", SERVED)
def test_every_route_needs_a_key(guarded, method, path):
    answer = request(guarded, method, path)
    is_problem(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_needs_no_key(guarded, path):
    assert request(guarded, "GET", path).status == 200


@pytest.mark.parametrize("value", [
    "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {KEY}", KEY, f"Bearer {KEY}x",
    f"Bearer {KEY[:-1]}", f"Bearer {KEY}, other-key", f"Bearer other-key,{KEY}"])
def test_a_wrong_key_is_refused(guarded, value):
    is_problem(request(guarded, "GET", "/history/x", b"", f"Authorization: {value}"), 401)


@pytest.mark.parametrize("key", [KEY, "other-key"])
def test_every_configured_key_is_taken(guarded, key):
    assert request(guarded, "GET", "/history/x", b"", f"Authorization: Bearer {key}").status == 200


@pytest.mark.parametrize("path", [f"/history/x?key={KEY}", f"/history/x?api_key={KEY}",
                                  f"/history/x?token={KEY}", f"/history/x?authorization={KEY}"])
def test_a_key_in_the_address_is_not_taken(guarded, path):
    is_problem(request(guarded, "GET", path), 401)


def test_a_key_in_a_cookie_is_not_taken(guarded):
    is_problem(request(guarded, "GET", "/history/x", b"", f"Cookie: authorization={KEY}"), 401)


def test_a_key_as_subprotocol_is_not_taken_outside_a_handshake(guarded):
    is_problem(request(guarded, "GET", "/history/x", b"", f"Sec-WebSocket-Protocol: bearer.{KEY}"),
               401)


async def test_a_browsers_socket_carries_its_key_as_subprotocol(guarded):
    async with Chat(guarded, "browser", subprotocols=["chat", f"bearer.{KEY}"]) as chat:
        assert chat.socket.subprotocol == f"bearer.{KEY}"
        await chat.settle()


async def test_a_socket_may_carry_its_key_in_the_header(guarded):
    async with Chat(guarded, "header", headers={"Authorization": f"Bearer {KEY}"}) as chat:
        await chat.settle()


async def test_a_wrong_key_as_subprotocol_is_refused(guarded):
    with pytest.raises(websockets.InvalidStatusCode) as refused:
        await Chat(guarded, "wrong", subprotocols=["bearer.wrong"]).connect()
    assert refused.value.status_code == 401


async def test_an_event_stream_takes_the_key_in_the_header(guarded):
    headers = {"Authorization": f"Bearer {KEY}"}
    async with Events(guarded, "events", headers=headers, after=FROM_START) as events:
        await events.frame("resumed")


def test_keys_are_never_logged(shared_world):
    server = shared_world.server({"log_level": "trace"}, environment={"PARLANCE_API_KEYS": KEY})
    for header in (f"Authorization: Bearer {KEY}", f"Authorization: Bearer wrong-{KEY}",
                   f"Sec-WebSocket-Protocol: bearer.{KEY}", f"Cookie: key={KEY}"):
        request(server, "GET", "/history/x", b"", header)
    handshake(server, Authorization=f"Bearer {KEY}")
    assert server.stop() == 0
    assert KEY not in server.log()


def test_a_models_key_is_never_logged(shared_world):
    upstream = shared_world.upstream(script=[{"status": 401, "error_message": "sk-model-secret?"}])
    server = shared_world.server({"log_level": "trace"}, upstream,
                                 provider={"api_key": "sk-model-secret"})
    post(server, "/agent/run", {"task": "x"})
    assert server.stop() == 0
    assert "sk-model-secret" not in server.log()


# ---- Starting ----


def fails_to_start(server):
    with pytest.raises(Absent, match="before it was ready"):
        server.start()
    assert server.exit_codes[-1] not in (0, None) and server.exit_codes[-1] > 0
    return server.log()


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", ":0"])
def test_listening_to_others_without_keys_is_refused_with_a_sentence(world, address):
    log = fails_to_start(world.server(start=False, listen=["127.0.0.1:0", address]))
    assert "api_keys" in log and "auth: none" in log and address in log


def test_listening_to_others_with_keys_is_fine(world):
    server = world.server({"api_keys": [KEY]}, listen=["0.0.0.0:0"])
    assert request(server, "GET", "/history/x").status == 401


def test_listening_to_others_without_keys_on_purpose_is_fine(world):
    server = world.server({"auth": "none"}, listen=["0.0.0.0:0"])
    assert request(server, "GET", "/history/x", host="Host: chat.lan").status == 200


def test_a_busy_port_is_refused_with_its_number_and_the_option(world):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        log = fails_to_start(world.server(start=False, listen=[f"127.0.0.1:{port}"]))
    assert str(port) in log and "--listen" in log


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000",
                                     "no.such.host:1", "127.0.0.1:-1"])
def test_an_address_that_is_none_is_refused_with_the_option(world, address):
    log = fails_to_start(world.server(start=False, listen=[address]))
    assert address in log and "--listen" in log


def test_a_store_that_another_process_has_open_is_refused(world):
    first = world.server()
    second = world.server(start=False)
    second.data = first.data
    log = fails_to_start(second)
    assert "parlance: " in log and str(first.data) in log


def test_a_data_directory_that_cannot_be_made_is_refused(world):
    server = world.server(start=False)
    server.data = server.folder / "no" / "such" / "parent"
    assert "no/such/parent" in fails_to_start(server)


def test_a_configuration_file_that_is_not_there_is_refused(world):
    server = world.server(start=False)
    server.command = lambda: [BIN / "parlance", "serve", "--config", "/no/such/file.yaml"]
    assert "/no/such/file.yaml" in fails_to_start(server)


# ---- The configuration ----


def check_config(text, **environment):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "test.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        done = subprocess.run([BIN / "parlance", "check-config", "--config", path],
                              capture_output=True, text=True, timeout=PATIENCE, cwd=folder,
                              env=clean_environment(**environment))
    lines = re.findall(r"(?m)^.*test\.yaml:(\d+): (.*)$", done.stdout + done.stderr)
    return done.returncode, [(int(number), what) for number, what in lines], done


BAD_CONFIG = """\
log_level: loud
drain_timeout: soon
listen: {}
limits:
  connections_max: -1
  header_bytes_max: 3 MB
  no_such_limit: 1
agent:
  steps_max: 0
  tools: perhaps
providers:
  - base_url: ftp://example.org
    kind: magic
    in_flight_max: many
no_such_key: 1
"""


def test_every_problem_of_a_configuration_is_told_with_its_line():
    code, problems, done = check_config(BAD_CONFIG)
    assert code != 0
    told = {number for number, _ in problems}
    assert {1, 2, 3, 5, 6, 7, 9, 10, 12, 13, 14, 15} <= told, done


def test_problems_are_told_in_the_order_of_the_file():
    _, problems, _ = check_config(BAD_CONFIG)
    assert [n for n, _ in problems] == sorted(n for n, _ in problems)


def test_a_problem_names_its_key():
    _, problems, _ = check_config("limits:\n  connections_max: -1\n")
    (line, what), = problems
    assert line == 2 and "connections_max" in what


def test_an_unknown_key_is_told_with_the_known_ones():
    _, problems, _ = check_config("agent:\n  stepps_max: 1\n")
    assert "stepps_max" in problems[0][1] and "steps_max" in problems[0][1]


def test_a_file_that_is_no_yaml_is_told_with_the_line():
    code, problems, _ = check_config("log_level: info\nlisten: [\n")
    assert code != 0 and problems and problems[0][0] >= 2


def test_a_variable_that_is_not_set_is_told():
    code, problems, _ = check_config('api_keys: ["${NO_SUCH_VARIABLE}"]\n')
    assert code != 0 and "NO_SUCH_VARIABLE" in problems[0][1]


def test_a_good_configuration_has_no_problems():
    code, problems, _ = check_config('api_keys: ["${A_KEY}"]\nlisten: 127.0.0.1:0\n', A_KEY="x")
    assert code == 0 and not problems


def test_an_empty_configuration_has_no_problems():
    assert check_config("")[0] == 0


def check_environment(**environment):
    """`check-config` without a file."""
    return subprocess.run([BIN / "parlance", "check-config"], capture_output=True, text=True,
                          timeout=PATIENCE, env=clean_environment(**environment))


def test_what_was_checked_is_told():
    assert check_environment().stdout == "defaults and environment: no problems\n"
    assert check_config("")[2].stdout.endswith("test.yaml and environment: no problems\n")


def test_a_problem_of_the_environment_is_told_by_its_variable():
    done = check_environment(LOG_LEVEL="loud")
    assert done.returncode == 2 and done.stderr.startswith("parlance: LOG_LEVEL: ")


@pytest.mark.parametrize("keys", [",,", f"{KEY},", f"{KEY} {KEY}"])
def test_keys_of_the_environment_that_cannot_be_presented_are_told_but_not_shown(keys):
    done = check_environment(PARLANCE_API_KEYS=keys)
    assert done.returncode == 2 and "PARLANCE_API_KEYS" in done.stderr
    assert KEY not in done.stdout + done.stderr


BAD_ACCESS = """\
listen:
  - 127.0.0.1:8080
  - example.org:8080
  - 0.0.0.0:8080
allowed_origins:
  - https://chat.example.org
  - https://chat.example.org/
  - "https://*.example.org"
limits:
  queue_max: 1
  queue_max: 2
"""


def test_what_would_only_fail_later_or_never_is_told_with_its_line():
    code, problems, done = check_config(BAD_ACCESS)
    assert code == 2 and [number for number, _ in problems] == [3, 4, 7, 8, 11], done


@pytest.mark.parametrize("address", ["0.0.0.0:0", "127.0.0.1:70000", "no.such.host:1"])
def test_the_check_and_the_start_refuse_an_address_alike(world, address):
    code, ((line, what),), _ = check_config(f"listen: '{address}'\n")
    log = fails_to_start(world.server(start=False, listen=[address]))
    assert (code, line) == (2, 1) and what.removeprefix("listen") in log


def test_the_server_does_not_start_with_a_bad_configuration(world):
    server = world.server({"limits": {"no_such_limit": 1}}, start=False)
    assert "no_such_limit" in fails_to_start(server)


def test_the_version_is_told():
    done = subprocess.run([BIN / "parlance", "--version"], capture_output=True, text=True,
                          timeout=PATIENCE)
    assert done.returncode == 0 and re.search(r"\d+\.\d+\.\d+", done.stdout)


# ---- At the end ----


async def test_after_all_this_the_server_answers_as_ever(server):
    assert fetch(server.port, "GET", "/readyz").status == 200
    async with Chat(server, "as-ever") as chat:
        assert (await chat.ask("Hello"))["status"] == "completed"
