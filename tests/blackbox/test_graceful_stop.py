"""SIGTERM, and the sleep of sessions that nobody talks to."""

import asyncio
import re
import signal

import pytest

from harness import FROM_START, Chat, Events, Wire, new_id, until

LONG = {"when": "long", "tokens": 40, "token_ms": 25}
ENDLESS = {"when": "endless", "tokens": 100_000, "token_ms": 10}


@pytest.fixture
def model(world):
    return world.upstream(script=[LONG, ENDLESS, {"text": "An answer."}])


def serve(world, model, drain="20s"):
    return world.server({"drain_timeout": drain, "retry_after": "7s"}, model)


async def begin(chat, text):
    name = await chat.send(text)
    await chat.wait(lambda: chat.transcript.text.get(name), "the first text")
    return name


async def exit_code(server):
    return await asyncio.to_thread(server.wait_exit)


# ---- Draining ----


async def test_an_idle_server_ends_with_0(world, model):
    server = serve(world, model)
    assert await asyncio.to_thread(server.stop) == 0


async def test_an_interrupt_from_the_keyboard_stops_it_as_well(world, model):
    server = serve(world, model)
    server.signal(signal.SIGINT)
    assert await exit_code(server) == 0


async def test_a_running_answer_is_told_to_its_end(world, model):
    server = serve(world, model)
    async with Chat(server, "drains", tokens=True) as chat:
        name = await begin(chat, "long")
        server.signal(signal.SIGTERM)
        end = await chat.end_of(name)
        assert end["status"] == "completed"
        assert chat.transcript.shown[name] == chat.transcript.steps(name)[-1][1]
        assert await exit_code(server) == 0


async def test_a_draining_server_is_not_ready(world, model):
    server = serve(world, model)
    async with Chat(server, "not-ready", tokens=True) as chat:
        with Wire(server.port) as wire:
            await begin(chat, "long")
            server.signal(signal.SIGTERM)

            def status():
                wire.send("GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
                answer = wire.response()
                return answer and answer.status
            await until(lambda: status() == 503, "readyz to say so")


async def test_a_draining_server_is_not_ready_for_new_connections_either(world, model):
    """A balancer asks over a new connection each time."""
    server = serve(world, model)
    async with Chat(server, "not-ready-new", tokens=True) as chat:
        name = await begin(chat, "long")
        server.signal(signal.SIGTERM)
        answer = None
        while name not in chat.transcript.ended and (answer is None or answer.status == 200):
            answer = await server.aget("/readyz")
        assert answer.status == 503 and int(answer.headers["Retry-After"]) > 0


async def test_a_draining_server_takes_no_new_message(world, model):
    server = serve(world, model)
    async with Chat(server, "refuses", tokens=True) as chat, Chat(server, "refuses-2") as other:
        await begin(chat, "long")
        server.signal(signal.SIGTERM)

        async def refused():
            name = await other.send("one more", new_id())
            await other.wait(lambda: name in other.transcript.ended or any(
                f["type"] == "agent_error" and f["message_id"] == name for f in other.frames),
                "an answer")
            return name not in other.transcript.ended
        await until(refused, "a refusal")


async def test_sockets_are_closed_with_1012_and_when_to_come_back(world, model):
    server = serve(world, model)
    async with Chat(server, "closes") as chat:
        server.signal(signal.SIGTERM)
        code, reason = await chat.disconnected()
        assert code == 1012 and re.search(r"retry_after\W*7\b", reason)


async def test_event_streams_end_with_when_to_come_back(world, model):
    server = serve(world, model)
    async with Events(server, "ends") as events:
        await events.wait(lambda: True, "")
        server.signal(signal.SIGTERM)
        assert await events.disconnected() == "ended"
        assert events.retry and events.retry[-1] == 7000


async def test_idle_http_connections_do_not_hold_a_stop_up(world, model):
    server = serve(world, model)
    with Wire(server.port) as idle, Wire(server.port) as half:
        idle.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.response().status == 200
        half.send("POST /agent/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        assert await asyncio.to_thread(server.stop) == 0


async def test_one_who_never_reads_does_not_hold_a_stop_up(world):
    model = world.upstream("--tokens", 40_000, "--batch", 500)
    server = serve(world, model)
    with Wire(server.port, receive_buffer=4096) as wire:
        assert wire.upgrade("/chat/deaf?tokens=1")[0] == 101
        async with Chat(server, "deaf") as chat:
            for _ in range(5):
                await chat.ask("question")
        assert await asyncio.to_thread(server.stop) == 0


async def test_what_is_queued_is_answered_in_the_drain_or_after_the_restart(world, model):
    server = serve(world, model)
    async with Chat(server, "queued", tokens=True, after=FROM_START) as chat:
        first = await begin(chat, "long")
        await chat.send("next", "next")
        await chat.frame("client_message", message_id="next")
        server.signal(signal.SIGTERM)
        await chat.disconnected()
        assert await exit_code(server) == 0
        server.start()
        await chat.resume()
        for name in (first, "next"):
            assert (await chat.end_of(name))["status"] == "completed"


async def test_a_run_longer_than_the_drain_goes_on_after_the_restart(world, model):
    server = serve(world, model, drain="300ms")
    async with Chat(server, "longer", tokens=True, after=FROM_START) as chat:
        name = await begin(chat, "endless")
        server.signal(signal.SIGTERM)
        await chat.disconnected()
        assert await exit_code(server) == 0 and name not in chat.transcript.ended
        model.script([{"text": "An answer."}])
        server.start()
        await chat.resume()
        end = await chat.end_of(name)
        assert end["status"] == "completed"
        assert chat.transcript.steps(name) == [("FinalAnswerStep", "An answer.")]


async def test_a_run_longer_than_the_drain_closes_its_call_to_the_model(world, model):
    server = serve(world, model, drain="100ms")
    async with Chat(server, "hangs-up", tokens=True) as chat:
        await begin(chat, "endless")
        assert await asyncio.to_thread(server.stop) == 0
    await model.stats_until(lambda s: s["active"] == 0, "the call to be closed")


async def test_a_second_signal_ends_it_at_once(world, model):
    server = serve(world, model, drain="1m")
    async with Chat(server, "at-once", tokens=True) as chat:
        await begin(chat, "endless")
        server.signal(signal.SIGTERM)
        assert await asyncio.to_thread(server.wait_line, "stopping")
        server.signal(signal.SIGTERM)
        assert await exit_code(server) == -signal.SIGTERM


# ---- Sleep and wake ----


@pytest.fixture
def sleepy(world, model):
    return world.server({"limits": {"idle_timeout": "200ms"}}, model)


async def asleep(server):
    await server.metric_until("sessions_awake", lambda n: n == 0, "all sessions to sleep")


async def test_idle_sessions_are_put_away(sleepy):
    chats = [Chat(sleepy, f"idle-{n}") for n in range(20)]
    for chat in chats:
        await chat.connect()
        await chat.ask("Hello")
    await asleep(sleepy)
    assert sleepy.metric("session_sleeps_total") >= 20
    for chat in chats:
        assert chat.closed is None  # Their sockets stay.
        await chat.close()


async def test_a_sleeping_session_wakes_with_what_was_said_before(sleepy, model):
    async with Chat(sleepy, "wakes", after=FROM_START) as chat:
        await chat.ask("My name is Maryam.")
        await asleep(sleepy)
        end = await chat.ask("What is my name?")
        assert end["status"] == "completed"
    said = [(m["role"], m["content"]) for m in model.requests()[-1]["messages"][1:]]
    assert said == [("user", "My name is Maryam."), ("assistant", "An answer."),
                    ("user", "What is my name?")]


async def test_a_session_with_a_running_answer_does_not_sleep(sleepy):
    async with Chat(sleepy, "runs", tokens=True) as chat, Chat(sleepy, "beside") as other:
        name = await begin(chat, "long")
        await other.ask("Hello")
        await sleepy.metric_until("sessions_awake", lambda n: n == 1)
        assert (await chat.end_of(name))["status"] == "completed"


async def test_reading_wakes_nobody(sleepy):
    async with Chat(sleepy, "reads") as chat:
        await chat.ask("Hello")
    await asleep(sleepy)
    wakes = sleepy.metric("session_wakes_total")
    sleepy.history("reads")
    async with Chat(sleepy, "reads", tokens=True, after=FROM_START) as chat:
        await chat.wait(lambda: len(chat.transcript.events) == 3, "the whole log")
    assert sleepy.metric("session_wakes_total") == wakes


async def test_many_rounds_of_sleep_and_wake_keep_the_log_in_order(sleepy):
    async with Chat(sleepy, "rounds", after=FROM_START) as chat:
        for number in range(5):
            await chat.ask(f"question {number}")
            await asleep(sleepy)
        assert [e["seq"] for e in chat.transcript.events] == list(range(1, 16))


async def test_the_bound_of_awake_sessions_refuses_with_a_sentence(world, model):
    server = world.server({"limits": {"sessions_awake_max": 4}}, model)
    chats = [Chat(server, f"awake-{n}", tokens=True) for n in range(4)]
    for chat in chats:
        await chat.connect()
        await begin(chat, "endless")
    async with Chat(server, "too-many") as chat:
        name = await chat.send("Hello")
        error = await chat.frame("agent_error", message_id=name)
        assert "seq" not in error
    for chat in chats:
        await chat.close()
