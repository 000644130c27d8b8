"""Losing the connection loses nothing: resuming by cursor, watching in mid-answer, sending twice."""

import asyncio

import pytest

from harness import FROM_START, Chat, Events, Wire, new_id, until

SLOW = {"tokens": 60, "token_ms": 15}


@pytest.fixture
def slow(world):
    """A server whose model takes about a second for an answer."""
    upstream = world.upstream("--tokens", SLOW["tokens"], "--token-ms", SLOW["token_ms"])
    return world.server(upstream=upstream), upstream


@pytest.fixture(scope="module")
def told(shared_world):
    """A server with a chat of three answered messages; yields it with all events of the chat."""
    upstream = shared_world.upstream("--tokens", 5)
    server = shared_world.server(upstream=upstream)

    async def talk():
        async with Chat(server, "told", after=FROM_START) as chat:
            for number in range(3):
                await chat.ask(f"question {number}", f"t{number}")
            return chat.transcript.events

    return server, asyncio.run(talk())


# ---- Resuming ----


@pytest.mark.parametrize("kind", [Chat, Events])
@pytest.mark.parametrize("at", range(9))
async def test_after_a_cursor_comes_exactly_what_was_missed(told, kind, at):
    server, events = told
    async with kind(server, "told", after=events[at]["cursor"]) as client:
        await client.wait(lambda: len(client.frames) == 1 + len(events) - at - 1, "what was missed")
        assert client.frames[1:] == events[at + 1:]


@pytest.mark.parametrize("kind", [Chat, Events])
async def test_the_first_frame_after_a_cursor_says_from_where_to_where(told, kind):
    server, events = told
    async with kind(server, "told", after=events[2]["cursor"]) as client:
        await client.wait(lambda: client.frames, "a first frame")
        assert client.frames[0] == {"type": "resumed", "from": events[2]["cursor"],
                                    "to": events[-1]["cursor"]}


async def test_resuming_without_acks_leaves_out_the_users_messages_alone(told):
    server, events = told
    async with Chat(server, "told", acks=False, after=events[0]["cursor"]) as client:
        await client.wait(lambda: len(client.frames) == 7, "what was missed")
        assert client.frames[1:] == [e for e in events[1:] if e["type"] != "client_message"]


async def test_resuming_from_the_beginning_replays_everything(told):
    server, events = told
    async with Chat(server, "told", after=FROM_START) as client:
        await client.wait(lambda: len(client.frames) == 1 + len(events), "the whole log")
        assert client.frames[1:] == events


async def test_the_last_event_id_of_an_event_stream_is_a_cursor(told):
    server, events = told
    async with Events(server, "told", headers={"Last-Event-ID": events[4]["cursor"]}) as client:
        await client.wait(lambda: len(client.frames) == len(events) - 4, "what was missed")
        assert client.frames[0]["type"] == "resumed" and client.frames[1:] == events[5:]


async def test_the_last_event_id_wins_over_the_address(told):
    server, events = told
    async with Events(server, "told", after=FROM_START,
                      headers={"Last-Event-ID": events[-1]["cursor"]}) as client:
        await client.wait(lambda: client.frames, "a first frame")
        assert client.frames[0]["from"] == events[-1]["cursor"]


async def test_after_the_last_cursor_live_events_follow(world):
    upstream = world.upstream("--tokens", 5)
    server = world.server(upstream=upstream)
    async with Chat(server, "live", after=FROM_START) as chat:
        await chat.ask("one")
        await chat.resume()
        end = await chat.ask("two")
        assert [f["type"] for f in chat.frames] == ["resumed", "client_message", "agent_step",
                                                    "message_end"]
        assert end["seq"] == 6


async def test_events_of_a_running_answer_follow_a_replay_without_a_gap(slow):
    server, _ = slow
    async with Chat(server, "seam", after=FROM_START) as sender:
        for number in range(4):
            await sender.send(f"question {number}", f"s{number}")
        readers = []
        for _ in range(12):
            reader = Chat(server, "seam", after=FROM_START)
            await reader.connect()
            readers.append(reader)
            count = len(sender.frames)
            await sender.wait(lambda: len(sender.frames) > count or "s3" in sender.transcript.ended,
                              "progress")
        await sender.end_of("s3")
        for reader in readers:
            await reader.end_of("s3")
            assert reader.transcript.events == sender.transcript.events
            await reader.close()


async def test_a_long_log_is_replayed_whole(world):
    upstream = world.upstream(script=[{"text": "x" * 20_000}])
    server = world.server({"limits": {"write_queue_bytes_max": "64KiB"}}, upstream)
    async with Chat(server, "long", after=FROM_START) as chat:
        for number in range(80):
            await chat.ask(f"question {number}")
        async with Chat(server, "long", after=FROM_START) as late:
            await late.wait(lambda: len(late.transcript.events) == 240, "the whole log")
            assert late.transcript.events == chat.transcript.events


async def test_a_cursor_outlives_a_restart(world):
    upstream = world.upstream("--tokens", 5)
    server = world.server(upstream=upstream)
    async with Chat(server, "restarted", after=FROM_START) as chat:
        first = await chat.ask("one")
        assert server.stop() == 0
        server.start()
        await chat.resume()
        assert (await chat.frame("resumed"))["from"] == first["cursor"]
        second = await chat.ask("two")
        assert second["seq"] == first["seq"] + 3


# ---- Cursors that cannot be served ----


@pytest.mark.parametrize("kind", [Chat, Events])
@pytest.mark.parametrize("wrong", ["another epoch", "beyond the end"])
async def test_a_cursor_that_cannot_be_served_is_answered_by_a_gap_with_the_history(told, kind,
                                                                                   wrong):
    server, events = told
    epoch, seq = map(int, events[-1]["cursor"].split("-"))
    after = f"{epoch + 1}-{seq}" if wrong == "another epoch" else f"{epoch}-{seq + 1}"
    async with kind(server, "told", after=after) as client:
        await client.wait(lambda: client.frames, "a first frame")
        assert client.frames[0] == {"type": "gap", "history": server.history("told")}


async def test_after_a_gap_live_events_follow(world):
    upstream = world.upstream("--tokens", 5)
    server = world.server(upstream=upstream)
    async with Chat(server, "gap", after="1-99") as chat:
        await chat.ask("one")
        assert [f["type"] for f in chat.frames] == ["gap", "client_message", "agent_step",
                                                    "message_end"]


@pytest.mark.parametrize("after", ["", "x", "1", "-", "1-", "-1", "1-x", "1-2-3", " 1-2", "1_2",
                                   "99999999999999999999999-1"])
def test_a_cursor_that_is_none_is_refused_or_answered_by_a_gap(told, after):
    """Never by silence, and never by a replay of something else."""
    server, _ = told
    with Wire(server.port) as wire:
        status, _ = wire.upgrade("/chat/told?after=" + after.replace(" ", "%20"))
        if status == 101 and after:
            assert b'"type":"gap"' in wire.frame()[1]
        else:
            assert status in (101, 400)


# ---- In the middle of an answer ----


@pytest.mark.parametrize("kind", [Chat, Events])
async def test_one_who_comes_in_mid_answer_gets_the_text_so_far_and_then_the_rest(slow, kind):
    server, _ = slow
    async with Chat(server, "middle", tokens=True) as sender:
        name = await sender.send("a long question")
        await sender.text_of(name, 60)
        async with kind(server, "middle", tokens=True) as late:
            end = await late.end_of(name)
            assert late.frames[0]["type"] == "agent_snapshot"
            assert late.frames[0].keys() == {"type", "message_id", "chat_id", "text"}
            assert late.transcript.shown[name] == late.transcript.steps(name)[-1][1]
            assert end["type"] == "message_end"


async def test_one_who_comes_at_any_moment_ends_with_the_same_text(slow):
    server, _ = slow
    async with Chat(server, "any-moment", tokens=True) as sender:
        name = await sender.send("a long question")
        late = []
        for least in range(20, 260, 12):
            if name in sender.transcript.ended:
                break
            await sender.wait(lambda: name in sender.transcript.ended or
                              len(sender.transcript.text.get(name) or "") >= least, "more text")
            late.append(Chat(server, "any-moment", tokens=True, after=FROM_START))
            await late[-1].connect()
        answer = (await sender.end_of(name)) and sender.transcript.steps(name)[-1][1]
        assert len(late) > 5
        for client in late:
            await client.end_of(name)
            assert client.transcript.shown[name] in (answer, None)
            assert client.transcript.steps(name)[-1][1] == answer
            await client.close()
        assert sum(c.transcript.shown[name] == answer for c in late) >= len(late) - 2


async def test_with_a_cursor_the_resumed_frame_comes_before_the_snapshot(slow):
    server, _ = slow
    async with Chat(server, "resumed-first", tokens=True) as sender:
        name = await sender.send("a long question")
        await sender.text_of(name, 40)
        async with Chat(server, "resumed-first", tokens=True, after=FROM_START) as late:
            await late.end_of(name)
            kinds = [f["type"] for f in late.frames]
            assert kinds[:3] == ["resumed", "client_message", "agent_snapshot"]


async def test_between_two_answers_there_is_no_snapshot(told):
    server, _ = told
    async with Chat(server, "told", tokens=True) as client:
        await client.settle()
        assert [f["type"] for f in client.frames] == ["pong"]


# ---- Many watchers ----


async def test_all_watchers_see_the_same_events_in_the_same_order(slow):
    server, _ = slow
    kinds = [Chat, Events] * 8
    watchers = [kind(server, "many", tokens=True, after=FROM_START) for kind in kinds]
    for watcher in watchers:
        await watcher.connect()
        await watcher.frame("resumed")
    async with Chat(server, "many") as sender:
        await asyncio.gather(*(sender.send(f"question {n}", f"w{n}") for n in range(3)))
        for number in range(3):
            await sender.end_of(f"w{number}")
    for watcher in watchers:
        await watcher.end_of("w2")
        assert watcher.transcript.events == watchers[0].transcript.events
        assert watcher.transcript.shown == watchers[0].transcript.shown
        await watcher.close()


async def test_a_watcher_of_one_chat_sees_nothing_of_another(slow):
    server, _ = slow
    async with Chat(server, "mine", tokens=True) as mine, Chat(server, "yours") as yours:
        await mine.settle()
        await yours.ask("question")
        await mine.settle()
        assert {f["type"] for f in mine.frames} == {"pong"}


async def test_losing_every_connection_does_not_end_a_run(slow):
    server, upstream = slow
    async with Chat(server, "alone") as chat:
        name = await chat.send("question")
        await chat.frame("client_message")
    async with Chat(server, "alone", after=FROM_START) as chat:
        end = await chat.end_of(name)
        assert end["status"] == "completed" and upstream.stats()["requests"] == 1


# ---- The same message again ----


async def test_a_message_id_that_was_seen_is_not_run_again(slow):
    server, upstream = slow
    async with Chat(server, "again") as chat:
        chat.transcript.repeats_expected = True
        end = await chat.ask("question", "again-1")
        await chat.send("question", "again-1")
        await chat.wait(lambda: end in chat.transcript.repeated, "the events told again")
        await chat.settle()
    assert upstream.stats()["requests"] == 1
    assert len(server.history("again")) == 2


async def test_all_events_of_the_first_run_are_told_to_one_who_missed_them(slow):
    server, _ = slow
    async with Chat(server, "missed") as first:
        await first.ask("question", "missed-1")
        async with Chat(server, "missed") as second:
            await second.ask("question", "missed-1")
            await second.settle()
            assert second.transcript.events == first.transcript.events


async def test_a_repeated_message_tells_nothing_to_the_other_watchers(slow):
    server, _ = slow
    async with Chat(server, "quiet") as first:
        await first.ask("question", "quiet-1")
        count = len(first.frames)
        async with Chat(server, "quiet") as second:
            await second.ask("question", "quiet-1")
        await first.settle()
        assert [f["type"] for f in first.frames[count:]] == ["pong"]


async def test_a_message_sent_again_while_it_runs_joins_the_run(slow):
    server, upstream = slow
    async with Chat(server, "join") as first:
        await first.send("question", "join-1")
        await first.frame("client_message")
        async with Chat(server, "join") as second:
            await second.ask("question", "join-1")
            await first.end_of("join-1")
            assert second.transcript.events == first.transcript.events
    assert upstream.stats()["requests"] == 1


async def test_a_message_sent_twice_at_once_runs_once(slow):
    server, upstream = slow
    async with Chat(server, "twice") as first, Chat(server, "twice") as second:
        for chat in (first, second):
            chat.transcript.repeats_expected = True
        await asyncio.gather(*(c.send("question", "twice-1") for c in [first, second] * 5))
        for chat in (first, second):
            await chat.end_of("twice-1")
            await chat.settle()
    assert upstream.stats()["requests"] == 1
    assert [entry["role"] for entry in server.history("twice")] == ["user", "agent"]


async def test_a_message_id_with_another_text_is_refused_on_the_socket(slow):
    server, upstream = slow
    async with Chat(server, "other-text") as chat:
        await chat.ask("question", "ot-1")
        await chat.send("another question", "ot-1")
        refused = await chat.frame("agent_error")
        assert refused["message_id"] == "ot-1" and "seq" not in refused
    assert upstream.stats()["requests"] == 1


def test_a_message_id_with_another_text_is_refused_when_posted(told):
    server, _ = told
    answer = server.post("/chat/told/messages", {"message": "other", "message_id": "t0"})
    assert answer.status == 422


def test_a_message_id_posted_again_is_a_duplicate(told):
    server, events = told
    answer = server.post("/chat/told/messages", {"message": "question 0", "message_id": "t0"})
    assert answer.status == 202 and answer.json["status"] == "duplicate"
    assert answer.json["cursor"] == events[0]["cursor"]


async def test_a_message_id_is_known_after_a_restart(world):
    upstream = world.upstream("--tokens", 5)
    server = world.server(upstream=upstream)
    async with Chat(server, "known") as chat:
        await chat.ask("question", "known-1")
    server.restart()
    answer = await server.apost("/chat/known/messages",
                                {"message": "question", "message_id": "known-1"})
    assert answer.json["status"] == "duplicate" and upstream.stats()["requests"] == 1


async def test_the_same_message_id_may_be_used_in_another_chat(slow):
    server, upstream = slow
    for name in ("one", "two"):
        async with Chat(server, name) as chat:
            await chat.ask("question", "shared")
    assert upstream.stats()["requests"] == 2


# ---- Idempotency-Key ----


def keyed(server, key, body):
    return server.post("/chat/keyed/messages", body, {"Idempotency-Key": key})


def test_a_post_with_the_same_key_and_body_gets_the_first_answer(told):
    server, _ = told
    key = new_id("key")
    first = keyed(server, key, {"message": "question"})
    second = keyed(server, key, {"message": "question"})
    assert first.status == second.status == 202
    for name in ("message_id", "seq", "cursor"):
        assert first.json[name] == second.json[name]


def test_a_post_with_the_same_key_and_another_body_is_refused(told):
    server, _ = told
    key = new_id("key")
    assert keyed(server, key, {"message": "question"}).status == 202
    assert keyed(server, key, {"message": "another"}).status == 422


async def test_a_post_with_a_key_runs_once_even_over_a_restart(world):
    upstream = world.upstream("--tokens", 5)
    server = world.server(upstream=upstream)
    first = await server.apost("/chat/k/messages", {"message": "q"}, {"Idempotency-Key": "k1"})
    async with Chat(server, "k", after=FROM_START) as chat:
        await chat.end_of(first.json["message_id"])
    server.restart()
    second = await server.apost("/chat/k/messages", {"message": "q"}, {"Idempotency-Key": "k1"})
    assert second.json["message_id"] == first.json["message_id"]
    await until(lambda: len(server.history("k")) == 2, "both entries")
    assert upstream.stats()["requests"] == 1
