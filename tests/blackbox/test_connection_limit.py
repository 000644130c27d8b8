"""At the limit of connections: a clear refusal, and nothing else changes."""

# ctest: TIMEOUT=400

import socket

import pytest

from harness import (FROM_START, SANITIZE, Chat, Wire, raise_open_files_limit, until, wait_until,
                     ws_frame)

pytestmark = pytest.mark.sanitizer

FILES_NEEDED_BESIDE = 600
CONNECTIONS = min(2_000 if SANITIZE else 10_000, raise_open_files_limit() - FILES_NEEDED_BESIDE)
# An idle attached session costs a few KB; a sanitizer's shadow and quarantine much more.
BYTES_PER_CONNECTION = 64 << 10 if SANITIZE else 12 << 10
HANDSHAKE = ("GET /chat/crowd-{} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
             "Sec-WebSocket-Version: 13\r\n\r\n")


def connect_many(port, count, first=0):
    """Opens WebSockets, a batch at a time; all are attached when it returns."""
    out = []
    for start in range(0, count, 200):
        batch = [Wire(port) for _ in range(min(200, count - start))]
        for number, wire in enumerate(batch):
            wire.send(HANDSHAKE.format(first + start + number))
        for wire in batch:
            head = wire.head()
            assert head is not None and head[0] == 101, head
        out += batch
    return out


def close_all(wires):
    for wire in wires:
        wire.socket.close()


@pytest.fixture(scope="module")
def crowd(shared_world):
    """A server with as many WebSockets open as it takes, but for the ones of the test itself."""
    server = shared_world.server({"limits": {"connections_max": CONNECTIONS + 2,
                                             "keep_alive_timeout": "1h", "ping_interval": "1h"}})
    server.memory_before = server.memory_bytes()
    server.crowd = connect_many(server.port, CONNECTIONS)
    server.guards = [Wire(server.port), Wire(server.port)]
    for wire in server.guards:  # They take the last two places, and ask for things.
        wire.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert wire.response().status == 200
    yield server
    close_all(server.crowd + server.guards)


def ask(wire, path):
    wire.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return wire.response()


def metric(server, name):
    """Over a connection that is open already."""
    for line in ask(server.guards[0], "/metrics").text.splitlines():
        if line.startswith(f"parlance_{name} "):
            return float(line.split()[1])
    raise AssertionError(name)


def test_one_more_connection_is_told_so(crowd):
    with Wire(crowd.port) as wire:
        wire.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = wire.response()
        assert answer.status == 503 and int(answer.headers["retry-after"]) > 0
        assert answer.json["detail"] and answer.json["status"] == 503


def test_a_refused_connection_is_told_so_before_it_says_anything(crowd):
    with Wire(crowd.port) as wire:
        assert wire.response().status == 503


def test_a_refused_connection_is_closed(crowd):
    with Wire(crowd.port) as wire:
        wire.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert wire.until_closed().startswith(b"HTTP/1.1 503")


def test_thousands_of_attempts_are_refused_one_by_one(crowd):
    for _ in range(CONNECTIONS // 25):
        batch = [Wire(crowd.port) for _ in range(25)]
        for wire in batch:
            assert wire.response().status == 503
        close_all(batch)


def test_attempts_that_do_not_take_their_answer_are_forgotten(crowd):
    """More of them at once than are told: the rest is closed, and none stays."""
    silent = [socket.create_connection(("127.0.0.1", crowd.port)) for _ in range(300)]
    wait_until(lambda: metric(crowd, "connections_open") == CONNECTIONS + 2, "no more than that")
    for one in silent:
        one.close()

    def told():
        with Wire(crowd.port) as wire:
            answer = wire.response()
            return answer is not None and answer.status == 503
    wait_until(told, "an answer again")


def test_open_connections_are_counted_exactly(crowd):
    assert metric(crowd, "connections_open") == CONNECTIONS + 2


def test_those_who_are_in_are_served_as_ever(crowd):
    assert ask(crowd.guards[1], "/readyz").status == 200
    one = crowd.crowd[CONNECTIONS // 2]
    one.send(ws_frame(1, '{"type":"client","message":"Hello","message_id":"m"}'))
    assert b'"agent_step"' in one.frame()[1] and b'"message_end"' in one.frame()[1]


def test_memory_grows_with_the_connections_and_no_more(crowd):
    grown = crowd.memory_bytes() - crowd.memory_before
    assert grown < CONNECTIONS * BYTES_PER_CONNECTION, f"{grown / CONNECTIONS:.0f} bytes each"


async def test_places_that_become_free_are_taken_again(crowd):
    leaving, crowd.crowd = crowd.crowd[:500], crowd.crowd[500:]
    close_all(leaving)
    await until(lambda: metric(crowd, "connections_open") <= CONNECTIONS - 498, "the places back")
    async with Chat(crowd, "newcomer", after=FROM_START) as chat:
        assert (await chat.ask("Hello"))["status"] == "completed"
    await until(lambda: metric(crowd, "connections_open") <= CONNECTIONS - 498, "its place back")
    crowd.crowd += connect_many(crowd.port, 500, first=CONNECTIONS)
    with Wire(crowd.port) as wire:
        assert wire.response().status == 503


async def test_one_address_can_be_limited(world):
    server = world.server({"limits": {"connections_per_address_max": 3}})
    held = connect_many(server.port, 3)
    with Wire(server.port) as wire:
        answer = wire.response()
        assert answer.status == 503 and "retry-after" in answer.headers
    close_all(held)

    async def welcome():
        with Wire(server.port) as wire:
            wire.send("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return wire.response().status == 200
    await until(welcome, "a place")
