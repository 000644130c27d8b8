"""A chat's stream through crashes, restarts, gaps and repeats, against the real server."""

import asyncio

import pytest

from conftest import host
from harness import PATIENCE, new_id
from parlance_client import FROM_START, ChatStream, ParlanceError

SLOW = ("--tokens", 60, "--token-ms", 10)


@pytest.fixture
def slow(world):
    """A server whose model takes more than half a second for an answer."""
    return world.server(upstream=world.upstream(*SLOW))


@pytest.fixture(scope="module")
def quick(shared_world):
    return shared_world.server(upstream=shared_world.upstream("--tokens", 5))


def chat_at(server, chat_id=None, **options):
    return ChatStream(host(server), chat_id or new_id("chat"), False, **options)


async def read_to_end(chat, message_id, on_event=None):
    """All events up to the end of this message."""
    events = []

    async def read():
        async for event in chat.events():
            events.append(event)
            if on_event:
                await on_event(event)
            if event.message_id == message_id and event.terminal:
                return
    await asyncio.wait_for(read(), PATIENCE)
    return events


def seqs(events):
    return [event.seq for event in events if event.seq is not None]


async def test_a_message_is_answered_step_by_step(quick):
    async with chat_at(quick) as chat:
        message_id = await chat.send("Hello?")
        events = await read_to_end(chat, message_id)
        assert [event.type for event in events] == ["client_message", "agent_step", "message_end"]
        assert {event.message_id for event in events} == {message_id}
        assert events[1].step_type == "FinalAnswerStep" and events[1].message
        assert events[2].status == "completed" and chat.cursor == events[2].cursor


@pytest.mark.parametrize("how", ["kill9", "stop"])
async def test_a_restart_in_mid_answer_leaves_no_gap_and_no_duplicate(slow, how):
    async with chat_at(slow, tokens=True) as chat:
        restarts = 0

        async def restart(event):
            nonlocal restarts
            if event.type == "agent_delta" and restarts < 3:
                restarts += 1
                await asyncio.to_thread(getattr(slow, how))
                await asyncio.to_thread(slow.start)
        ids = [await chat.send(f"Question {n}?") for n in range(4)]
        events = await read_to_end(chat, ids[-1], restart)
        assert restarts == 3
        assert seqs(events) == list(range(1, len(seqs(events)) + 1))
        assert [event.message_id for event in events if event.terminal] == ids


async def test_a_stream_goes_on_after_a_kept_cursor(quick):
    async with chat_at(quick, "kept") as chat:
        first = await read_to_end(chat, await chat.send("One?"))
    async with chat_at(quick, "kept", after=first[1].cursor) as later:
        message_id = await later.send("Two?")
        events = await read_to_end(later, message_id)
        assert events[0] == first[2] and seqs(events) == list(range(3, 7))


async def test_a_place_that_cannot_be_served_is_told_as_a_gap(quick):
    async with chat_at(quick, "gap") as chat:
        await read_to_end(chat, await chat.send("One?"))
    async with chat_at(quick, "gap", after="1-2") as chat:
        events = await read_to_end(chat, await chat.send("Two?"))
        assert events[0].type == "gap"
        assert events[0].history[0]["content"] == "One?"
        assert seqs(events) == sorted(set(seqs(events)))
        assert not {e["seq"] for e in events[0].history} & set(seqs(events))


async def test_a_connection_lost_right_after_a_gap_repeats_nothing(quick):
    async with chat_at(quick, "gap2") as chat:
        await read_to_end(chat, await chat.send("One?"))
    async with chat_at(quick, "gap2", after="1-2") as chat:
        message_id = None

        async def lose(event):
            nonlocal message_id
            if event.type == "gap":
                await chat._socket.close()
                message_id = await chat.send("Two?", message_id="gap2-two")
        events = await read_to_end(chat, "gap2-two", lose)
        told = {entry["seq"] for entry in events[0].history}
        assert not told & set(seqs(events)) and seqs(events) == sorted(set(seqs(events)))
        assert message_id in {event.message_id for event in events}


async def test_a_message_sent_while_the_server_is_away_runs_once(slow):
    async with chat_at(slow) as chat:
        await read_to_end(chat, await chat.send("One?"))
        slow.kill9()
        sent = [asyncio.create_task(chat.send("Two?", message_id="two")) for _ in range(3)]
        await asyncio.to_thread(slow.start)
        assert await asyncio.wait_for(asyncio.gather(*sent), PATIENCE) == ["two"] * 3
        events = await read_to_end(chat, "two")
        assert [e.type for e in events].count("client_message") == 1
    history = await asyncio.to_thread(slow.history, chat._path.rpartition("/")[2])
    assert [entry["content"] for entry in history if entry["role"] == "user"] == ["One?", "Two?"]


async def test_a_message_id_sent_again_is_told_once(quick):
    async with chat_at(quick) as chat:
        for _ in range(3):
            await chat.send("Hello?", message_id="same")
        events = await read_to_end(chat, await chat.send("And?"))
        assert seqs(events) == list(range(1, 7))


async def test_a_message_id_with_another_text_is_refused(quick):
    async with chat_at(quick) as chat:
        await chat.send("Hello?", message_id="same")
        with pytest.raises(ParlanceError) as refusal:
            await chat.send("Goodbye?", message_id="same")
        assert refusal.value.status in (409, 422) and refusal.value.request_id


async def test_a_busy_chat_may_reject(slow):
    async with chat_at(slow) as chat:
        await chat.send("One?")
        with pytest.raises(ParlanceError) as refusal:
            await chat.send("Two?", on_busy="reject")
        assert refusal.value.status == 409


async def test_a_cancelled_message_ends(slow):
    async with chat_at(slow, tokens=True) as chat:
        message_id = await chat.send("One?")

        async def cancel(event):
            if event.type == "agent_delta" and not cancelled:
                cancelled.append(True)
                await chat.cancel(message_id)
        cancelled = []
        events = await read_to_end(chat, message_id, cancel)
        assert events[-1].type == "message_end" and events[-1].status == "cancelled"


async def test_text_in_both_languages_is_kept(quick):
    async with chat_at(quick) as chat:
        text = "مَرْحَبًا hello كيف are you?"
        events = await read_to_end(chat, await chat.send(text))
        assert events[0].message == text


async def test_close_ends_the_events(quick):
    chat = chat_at(quick)
    message_id = await chat.send("Hello?")

    async def close(event):
        if event.message_id == message_id and event.terminal:
            await chat.close()

    async def read():
        async for event in chat.events():
            await close(event)
    await asyncio.wait_for(read(), PATIENCE)


async def test_a_second_reader_is_refused(quick):
    async with chat_at(quick) as chat:
        await chat.send("Hello?")
        async for _ in chat.events():
            with pytest.raises(ParlanceError, match="being read already"):
                await chat.events().__anext__()
            break


async def test_a_server_that_stays_away_is_given_up(world):
    server = world.server()
    chat = chat_at(server, reconnect_for=0.3)
    assert server.stop() == 0
    with pytest.raises(ParlanceError) as failure:
        await asyncio.wait_for(read_to_end(chat, "none"), PATIENCE)
    assert failure.value.status is None
    with pytest.raises(ParlanceError):
        await asyncio.wait_for(chat.send("Hello?"), PATIENCE)


async def test_a_key_is_sent_and_a_wrong_one_refused(world):
    key = "key-of-the-tests-0123456789"
    server = world.server(upstream=world.upstream("--tokens", 5),
                          environment={"PARLANCE_API_KEYS": key})
    async with chat_at(server, api_key=key) as chat:
        assert await read_to_end(chat, await chat.send("Hello?"))
    async with chat_at(server, api_key="wrong") as chat:
        for call in (chat.send("Hello?"), chat.events().__anext__()):
            with pytest.raises(ParlanceError) as refusal:
                await call
            assert refusal.value.status == 401


@pytest.mark.parametrize("chat_id", ["", "..", "a/b", "a?b", "x" * 129, "سلام"])
def test_a_chat_id_that_is_no_name_is_refused_here(chat_id):
    with pytest.raises(ValueError, match="chat_id"):
        ChatStream("localhost", chat_id)


def test_a_stream_starts_at_the_beginning():
    assert ChatStream("localhost", "c").cursor == FROM_START
