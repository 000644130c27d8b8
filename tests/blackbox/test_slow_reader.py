"""One who does not read is dropped at the limit; nobody else notices; nothing is lost by it."""

import asyncio
import time

import pytest

from harness import FROM_START, Chat, Events, Wire, new_id, wait_until, ws_frame

# Some MB together: more than the kernel holds for a socket that nobody reads. Each message alone
# is well below the limit, so that one who reads never reaches it.
MESSAGES = 60
TOKENS = 4_000
LIMIT = "256KiB"


@pytest.fixture
def server(world):
    upstream = world.upstream("--tokens", TOKENS, "--batch", 100)
    return world.server({"limits": {"write_queue_bytes_max": LIMIT}}, upstream)


def attach_without_reading(server, path):
    """A connection that asks for everything and takes in as little as the kernel lets it."""
    wire = Wire(server.port, receive_buffer=4096)
    if path.endswith("/events?tokens=1"):
        wire.send(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert wire.head()[0] == 200
    else:
        assert wire.upgrade(path)[0] == 101
    return wire


async def dropped(server):
    await server.metric_until("slow_readers_dropped_total", lambda n: n == 1,
                              "the slow reader to be dropped")


@pytest.mark.parametrize("path", ["/chat/slow?tokens=1", "/chat/slow/events?tokens=1"])
async def test_one_who_does_not_read_is_dropped_while_others_see_everything(server, path):
    with attach_without_reading(server, path):
        async with Chat(server, "slow", tokens=True, after=FROM_START) as chat, \
                Events(server, "slow", tokens=True, after=FROM_START) as events:
            for number in range(MESSAGES):
                await chat.ask("question", f"m{number}")
            await dropped(server)
            await events.end_of(f"m{MESSAGES - 1}")
            for client in (chat, events):
                assert client.closed is None
                for name, shown in client.transcript.shown.items():
                    assert shown == client.transcript.steps(name)[-1][1]


async def test_one_who_was_dropped_is_told_from_where_to_resume(server):
    with attach_without_reading(server, "/chat/told?tokens=1") as wire:
        async with Chat(server, "told") as chat:
            for _ in range(MESSAGES):
                await chat.ask("question")
            await dropped(server)
            code, reason = await asyncio.to_thread(wire.close_code)
            assert code == 1013 and "resume" in reason


async def test_one_who_was_dropped_can_catch_up_by_cursor(server):
    reader = Chat(server, "catches-up", tokens=True, after=FROM_START)
    await reader.connect()
    await reader.frame("resumed")
    # Stops reading here: what comes stays in the kernel, and then in the server.
    reader.socket.transport.pause_reading()
    async with Chat(server, "catches-up", after=FROM_START) as chat:
        for number in range(MESSAGES):
            await chat.ask("question", f"c{number}")
        await dropped(server)
        reader.socket.transport.resume_reading()
        code, _ = await reader.disconnected()
        assert code == 1013
        await reader.resume()
        await reader.end_of(f"c{MESSAGES - 1}")
        assert reader.transcript.events == chat.transcript.events
        await reader.close()


async def test_one_who_does_not_read_costs_no_more_memory_than_its_limit(server):
    async with Chat(server, "memory", after=FROM_START) as chat:
        await chat.ask("question")  # What a first answer needs once is there now.
        before = server.memory_bytes()
        wires = [attach_without_reading(server, f"/chat/memory-{n}?tokens=1") for n in range(20)]
        chats = [Chat(server, f"memory-{n}") for n in range(20)]
        for other in chats:
            await other.connect()
            for number in range(16):
                await other.send("question", f"m{number}")
        for other in chats:
            await other.wait(lambda c=other: len(c.transcript.ended) == 16, "all ends")
            await other.close()
        assert server.memory_bytes() - before < 64 << 20
        for wire in wires:
            wire.socket.close()


async def test_one_who_catches_up_without_reading_holds_one_page_at_most(world):
    upstream = world.upstream(script=[{"text": "x" * 50_000}])
    server = world.server(upstream=upstream)
    async with Chat(server, "pages", after=FROM_START) as chat:
        for _ in range(200):  # About 10 MB of log.
            await chat.ask("question")
        before = server.memory_bytes()
        wires = [attach_without_reading(server, f"/chat/pages?after={FROM_START}")
                 for _ in range(40)]
        await server.metric_until("resumes_total", lambda n: n >= 41)
        await chat.ask("question", new_id())
        assert server.memory_bytes() - before < 64 << 20  # Not 40 times the log.
        for wire in wires:
            wire.socket.close()


async def test_an_event_above_the_limit_drops_nobody_who_reads(world):
    """One answer may be longer than what may wait; it can only be sent in parts."""
    upstream = world.upstream(script=[{"text": "x" * 300_000}])
    server = world.server({"limits": {"write_queue_bytes_max": "64KiB"}}, upstream)
    async with Chat(server, "above", after=FROM_START) as chat:
        for _ in range(10):
            await chat.ask("question")
    assert server.metric("slow_readers_dropped_total") == 0


async def test_one_who_sends_without_reading_is_not_read_either(server):
    """Answers that nobody takes must not pile up: the server stops reading the questions."""
    wire = attach_without_reading(server, "/chat/floods")
    ping = ws_frame(1, b'{"type":"get_history"}')
    wire.socket.settimeout(2)
    before = server.memory_bytes()
    sent = 0
    try:
        while sent < 50 << 20:
            wire.socket.sendall(ping * 1000)
            sent += len(ping) * 1000
    except (TimeoutError, ConnectionError):
        pass
    assert sent < 50 << 20
    assert server.memory_bytes() - before < 32 << 20
    async with Chat(server, "others") as chat:
        await chat.settle()
    wire.socket.close()


def fill_history(server, chat_id, entries):
    """A chat with `entries` messages of 200,000 bytes."""
    for number in range(entries):
        answer = server.post(f"/chat/{chat_id}/messages",
                             {"message": "x" * 200_000, "message_id": f"h{number}",
                              "on_busy": "steer"})
        assert answer.status == 202, answer


def test_histories_that_nobody_takes_in_are_bounded_together(world):
    server = world.server({
        "cores": 1, "limits": {"message_bytes_max": "256KiB", "body_bytes_max": "512KiB",
                               "queue_max": 1000, "history_bytes_max": "4MiB",
                               "history_bytes_total_max": "8MiB"}})
    fill_history(server, "long", 24)
    readers = []
    try:
        def refused():
            wire = Wire(server.port, receive_buffer=4096)
            readers.append(wire)
            wire.send("GET /history/long HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            status, headers = wire.head()
            assert status in (200, 503) and len(readers) < 50
            return status == 503 and headers["retry-after"]
        wait_until(refused, "a refusal")
        assert len(readers) > 2
    finally:
        for wire in readers:
            wire.socket.close()
    wait_until(lambda: server.get("/history/long").status == 200, "room again")
    assert len(server.get("/history/long?limit=5").json) == 5


def test_a_slow_reader_of_a_history_gets_all_of_it(world):
    """It takes longer than write_timeout, but it never stops."""
    server = world.server({"limits": {"message_bytes_max": "256KiB", "body_bytes_max": "512KiB",
                                      "queue_max": 1000, "write_timeout": "2s"}})
    fill_history(server, "slow", 20)
    with Wire(server.port, receive_buffer=4096) as wire:
        wire.send("GET /history/slow HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        began = time.monotonic()
        status, headers = wire.head()
        size = int(headers["content-length"])
        assert status == 200 and size > 3_000_000
        got = len(wire.buffer)
        while got < size:
            due = began + 5 * got / size  # Five seconds for all of it.
            wait_until(lambda: time.monotonic() >= due, "the next part")
            chunk = wire.socket.recv(16_384)
            assert chunk, f"cut after {got} of {size} bytes"
            got += len(chunk)
