"""The KISS stack on /ws: the handshake, both envelopes, order, streaming, and every refusal."""

import asyncio
import json

import pytest
import websockets

from harness import PATIENCE, Wire, ws_frame
from kiss import SECRET_KEY, Rest, connect, token

pytestmark = pytest.mark.sanitizer

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
UNAUTHORIZED = 4001
MOON = "The moon is about 384400 kilometres away from the earth."


@pytest.fixture(scope="module")
def server(shared_world):
    server = shared_world.server({"limits": {"documents_bytes_max": "2MiB"}},
                                 environment={"ACCESS_TOKEN_SECRET_KEY": SECRET_KEY})
    yield server
    assert server.running, "something ended the server"


def is_error(frame, status, event, *words):
    assert list(frame) == ["error", "event", "status_code", "detail"], frame
    assert frame["error"] is True and frame["event"] == event, frame
    assert frame["status_code"] == status and frame["detail"], frame
    for word in words:
        assert word in frame["detail"], frame


async def refused_status(server, **how):
    with pytest.raises(websockets.InvalidStatusCode) as refusal:
        async with connect(server, **how):
            pass
    return refusal.value.status_code


# ---- The handshake ----


@pytest.mark.parametrize("bad", ["x", token(algorithm="none"), token(key="another" * 6),
                                 token(expires_in=-120)])
async def test_a_wrong_token_is_401_at_the_handshake(server, bad):
    assert await refused_status(server, token=bad) == 401
    assert await refused_status(server, subprotocol=f"bearer.{bad}") == 401


async def test_a_token_of_no_client_is_401_at_the_handshake(server):
    assert await refused_status(server, token=token()) == 401


def test_a_request_without_upgrade_is_426(server):
    answer = server.get("/ws")
    assert answer.status == 426 and answer.headers["upgrade"] == "websocket"


def test_a_page_of_another_origin_is_403(server):
    with Wire(server.port) as wire:
        status, _ = wire.upgrade("/ws", "Origin: https://evil.example")
    assert status == 403


# ---- Without a token ----


async def test_any_event_but_auth_ends_a_socket_without_a_token(server):
    for event in ("ON_INIT", "on_query", "ON_STORE", "on_close"):
        async with connect(server) as socket:
            is_error(await socket.call(event, {"query": "q"}), 401, event)
            assert await socket.closed() == UNAUTHORIZED


async def test_a_socket_without_auth_is_closed_in_time(world):
    server = world.server({"limits": {"ws_auth_timeout": "1s"}})
    async with connect(server) as socket:
        assert await socket.closed() == UNAUTHORIZED


async def test_a_frame_that_cannot_be_read_leaves_the_socket_open(server):
    async with connect(server) as socket:
        for text in ("hello", "", "[]", "{", '{"event":1}', '{"data":{}}',
                     '{"event":"ON_AUTH","data":}'):
            await socket.socket.send(text)
            is_error(await socket.receive(), 400, None)
        await socket.socket.send(b"\x00")
        is_error(await socket.receive(), 400, None, "binary")
        for event in ("On_Auth", "AUTH", ""):
            is_error(await socket.call(event), 400, event, f"Invalid event: {event}")
        is_error(await socket.call("ON_AUTH", {"scope": "eternal"}), 422, "ON_AUTH")
        is_error(await socket.call("on_auth", [1]), 400, "on_auth")


async def test_auth_without_credentials_ends_the_socket(server):
    async with connect(server) as socket:
        is_error(await socket.call("on_auth", {}), 401, "on_auth")
        assert await socket.closed() == UNAUTHORIZED


def test_a_long_message_before_auth_is_too_big(server):
    with Wire(server.port) as wire:
        assert wire.upgrade("/ws")[0] == 101
        wire.send(ws_frame(TEXT, b"", length=65_537))
        assert wire.close_code()[0] == 1009


def test_pings_are_answered_and_a_close_is_returned(server):
    with Wire(server.port) as wire:
        assert wire.upgrade("/ws")[0] == 101
        wire.send(ws_frame(PING, "p"))
        assert wire.frame() == (PONG, b"p")
        wire.send(ws_frame(CLOSE, b"\x03\xe8bye"))
        assert wire.close_code() == (1000, "")


async def test_a_stop_tells_clients_to_come_back(world):
    server = world.server()
    async with connect(server) as socket:
        server.signal(15)
        assert await socket.closed() == 1012
    server.wait_exit()


# ---- With a session ----


async def test_the_life_of_a_session_in_upper_case_is_nested(server):
    async with connect(server) as socket:
        frame = await socket.call("ON_AUTH", {"scope": "temporary"})
        assert list(frame) == ["event", "result"] and frame["event"] == "ON_AUTH", frame
        client = frame["result"]["client_id"]
        assert frame["result"]["session_id"] == client
        frame = await socket.call("ON_INIT", {"query": "Hello!"})
        assert list(frame) == ["event", "result"], frame
        assert list(frame["result"]) == ["stack_id", "result", "extras"]
        assert frame["result"]["stack_id"] == client
        frame = await socket.call("ON_STORE", {"documents": [{"id": "m", "content": MOON}]})
        assert frame["result"]["result"] == "Files stored", frame
        frame = await socket.call("ON_QUERY", {"query": "How far away is the moon?"})
        assert frame["result"]["extras"]["supporting_documents"][0]["document_id"] == "m", frame
        frame = await socket.call("ON_CLOSE")
        assert frame["event"] == "ON_CLOSE" and frame["result"]["stack_id"] == client, frame
        is_error(await socket.call("ON_QUERY", {"query": "q"}), 401, "ON_QUERY")
        assert await socket.closed() == UNAUTHORIZED


async def test_the_life_of_a_session_in_lower_case_is_flat(server):
    async with connect(server) as socket:
        frame = await socket.call("on_auth", {"scope": "persistent"})
        assert frame["event"] == "on_auth" and frame["scope"] == "persistent", frame
        is_error(await socket.call("on_query", {"query": "q"}), 409, "on_query")
        frame = await socket.call("on_init", {})
        assert list(frame) == ["event", "stack_id", "result", "extras"], frame
        frame = await socket.call("on_query", {"query": "Hello?"})
        assert list(frame) == ["event", "stack_id", "result", "extras"], frame
        is_error(await socket.call("on_query", {"query": ""}), 422, "on_query")
        is_error(await socket.call("on_store", {"files": [{"name": "x", "content": "*"}]}), 400,
                 "on_store", "x")
        assert (await socket.call("on_close", {}))["event"] == "on_close"


async def test_a_token_of_rest_opens_a_socket(server):
    rest = Rest(server).open()
    async with connect(server, token=rest.token) as socket:
        frame = await socket.call("on_query", {"query": "Hello?"})
        assert frame["stack_id"] == rest.session["client_id"], frame
    protocol = f"bearer.{rest.token}"
    async with connect(server, subprotocol=protocol) as socket:
        assert socket.socket.subprotocol == protocol
        assert (await socket.call("on_query", {"query": "Hello?"}))["result"]
    rest.close()
    assert await refused_status(server, token=rest.token) == 401


async def test_requests_are_answered_in_order(server):
    async with connect(server, token=Rest(server).open().token) as socket:
        for i in range(10):
            await socket.send("on_query", {"query": f"Question {i}?"})
        await socket.send("nonsense")
        for i in range(10):
            assert (await socket.receive())["extras"]["query"] == f"Question {i}?"
        is_error(await socket.receive(), 400, "nonsense")


async def test_a_long_store_is_taken_and_one_too_long_closes(server):
    async with connect(server, token=Rest(server).open().token) as socket:
        text = (MOON + " ") * 20_000
        frame = await socket.call("ON_STORE", {"documents": [{"content": text}]})
        assert frame["result"]["result"] == "Files stored", frame
        is_error(await socket.call("ON_QUERY", {"query": text}), 413, "ON_QUERY")
        await socket.send("ON_STORE", {"documents": [{"content": text + text}]})
        assert await socket.closed() == 1009


async def test_an_expired_token_ends_the_socket_at_the_next_event(server):
    rest = Rest(server).open()
    short = token(rest.session["client_id"], expires_in=2)
    async with connect(server, token=short) as socket:
        async def refused():
            frame = await socket.call("on_query", {"query": "q"})
            return frame if "error" in frame else None
        end = asyncio.get_running_loop().time() + PATIENCE
        frame = None
        while frame is None and asyncio.get_running_loop().time() < end:
            frame = await refused()
        is_error(frame, 401, "on_query", "expired")
        assert await socket.closed() == UNAUTHORIZED


async def test_auth_makes_an_open_socket_speak_for_another_client(server):
    first = Rest(server).open()
    async with connect(server, token=first.token) as socket:
        other = (await socket.call("on_auth", {"scope": "temporary"}))["client_id"]
        assert other != first.session["client_id"]
        assert (await socket.call("on_init"))["stack_id"] == other


async def test_a_streamed_query_shows_steps_and_deltas_before_its_answer(world):
    upstream = world.upstream("--tokens", "20")
    server = world.server(upstream=upstream)
    async with connect(server, token=Rest(server).open().token) as socket:
        await socket.send("ON_QUERY", {"query": "Hello?", "parameters": {"stream": True}})
        frames = [await socket.receive()]
        while "result" not in frames[-1] and "error" not in frames[-1]:
            frames.append(await socket.receive())
        answer = frames.pop()["result"]
        assert all(list(frame)[0] == "event" for frame in frames)
        assert {frame["event"] for frame in frames} == {"ON_QUERY"}
        steps = [frame for frame in frames if frame["type"] == "agent_step"]
        assert steps[-1]["step_type"] == "FinalAnswerStep"
        assert steps[-1]["message"] == answer["result"]
        assert [step["seq"] for step in steps] == sorted({step["seq"] for step in steps})
        text = "".join(frame["delta"] for frame in frames if frame["type"] == "agent_delta")
        assert text == answer["result"]
        assert {frame["type"] for frame in frames} <= {"agent_step", "agent_delta", "agent_reset"}
        assert {frame["message_id"] for frame in frames} == {answer["extras"]["message_id"]}


async def test_a_slow_reader_of_a_stream_gets_every_step_and_the_answer(world):
    server = world.server({"limits": {"write_queue_bytes_max": "4KiB"}})
    rest = Rest(server).open()
    rest.store({"documents": [{"content": (MOON + " ") * 500}]})
    with Wire(server.port, receive_buffer=4096) as wire:
        assert wire.upgrade("/ws", f"Authorization: Bearer {rest.token}")[0] == 101
        for i in range(20):
            wire.send(ws_frame(TEXT, json.dumps(
                {"event": "on_query",
                 "data": {"query": f"How far away is the moon? {i}",
                          "parameters": {"stream": True}}})))
        for i in range(20):
            kinds = []
            while True:
                opcode, payload = await asyncio.to_thread(wire.frame)
                if opcode == PING:
                    continue
                frame = json.loads(payload)
                assert "error" not in frame, frame
                if "result" in frame:
                    break
                if frame["type"] == "agent_step":
                    kinds.append(frame["step_type"])
            assert frame["extras"]["query"].endswith(f" {i}")
            assert kinds[-1] == "FinalAnswerStep" and "ActionStep" in kinds, kinds
