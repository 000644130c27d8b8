"""Messages that come while one runs, and taking them back."""

import asyncio

import pytest

from harness import FROM_START, Chat, fetch

# An answer that only ends when somebody ends it.
ENDLESS = {"when": "endless", "tokens": 100_000, "token_ms": 10}
QUICK = {"text": "quick answer"}


@pytest.fixture
def model(world):
    return world.upstream(script=[ENDLESS, QUICK])


@pytest.fixture
def server(world, model):
    return world.server({"limits": {"queue_max": 3}}, model)


async def begin_endless(chat):
    """Sends a message whose answer does not end; returns its id once the model writes."""
    name = await chat.send("endless, please", "endless")
    await chat.wait(lambda: chat.transcript.text.get(name), "the first text")
    return name


def terminals(chat, name):
    return [e for e in chat.transcript.of(name) if e["type"] in ("message_end", "agent_error")]


# ---- The queue ----


async def test_messages_sent_at_once_are_answered_in_order(server, model):
    async with Chat(server, "order") as chat:
        names = [await chat.send(f"question {n}", f"o{n}") for n in range(4)]
        for name in names:
            await chat.end_of(name)
        ends = [e["message_id"] for e in chat.transcript.events if e["type"] == "message_end"]
        assert ends == names
    assert [r["messages"][-1]["content"] for r in model.requests()] == [
        f"question {n}" for n in range(4)]


async def test_a_queued_message_is_acknowledged_before_it_runs(server):
    async with Chat(server, "acked", tokens=True) as chat:
        await begin_endless(chat)
        name = await chat.send("later")
        ack = await chat.frame("client_message", message_id=name)
        assert ack["message"] == "later"
        assert name not in chat.transcript.ended


async def test_past_the_bound_of_the_queue_a_message_is_refused(server):
    async with Chat(server, "full", tokens=True) as chat:
        await begin_endless(chat)
        for number in range(3):
            await chat.send("waiting", f"w{number}")
        await chat.send("one too many", "refused")
        error = await chat.frame("agent_error", message_id="refused")
        assert "seq" not in error and "limit" in error["error"]
        await chat.settle()
        assert not chat.transcript.of("refused")


async def test_steered_messages_count_against_the_bound_of_the_queue(server):
    async with Chat(server, "steers", tokens=True) as chat:
        await begin_endless(chat)
        answers = [await server.apost("/chat/steers/messages", {"message": "this too", "message_id": f"s{i}",
                                                         "on_busy": "steer"}) for i in range(5)]
        assert [answer.status for answer in answers] == [202, 202, 202, 429, 429]


async def test_past_the_bound_of_the_queue_a_post_is_refused_with_retry_after(server):
    async with Chat(server, "full-post", tokens=True) as chat:
        await begin_endless(chat)
        for number in range(3):
            await chat.send("waiting", f"w{number}")
        await chat.settle()
        answer = await server.apost("/chat/full-post/messages", {"message": "one too many"})
        assert answer.status == 429 and int(answer.headers["Retry-After"]) > 0


async def test_a_refused_message_may_be_sent_again_later(server):
    async with Chat(server, "again", tokens=True) as chat:
        await begin_endless(chat)
        await chat.send("rejected", "r", on_busy="reject")
        await chat.frame("agent_error", message_id="r")
        await chat.cancel()
        await chat.end_of("endless")
        end = await chat.ask("rejected", "r")
        assert end["status"] == "completed"


# ---- on_busy ----


async def test_reject_refuses_while_a_run_is_in_progress(server):
    async with Chat(server, "reject", tokens=True) as chat:
        await begin_endless(chat)
        await chat.send("question", "r", on_busy="reject")
        error = await chat.frame("agent_error", message_id="r")
        assert "seq" not in error
        await chat.settle()
        assert not chat.transcript.of("r")


async def test_reject_of_a_posted_message_is_a_conflict(server):
    async with Chat(server, "reject-post", tokens=True) as chat:
        await begin_endless(chat)
        answer = await server.apost("/chat/reject-post/messages",
                                    {"message": "question", "on_busy": "reject"})
        assert answer.status == 409


async def test_reject_accepts_while_nothing_runs(server):
    async with Chat(server, "reject-idle") as chat:
        end = await chat.ask("question", on_busy="reject")
        assert end["status"] == "completed"


async def test_interrupt_cancels_the_run_in_progress_and_runs_next(server):
    async with Chat(server, "interrupt", tokens=True) as chat:
        running = await begin_endless(chat)
        await chat.send("waiting", "w")
        await chat.send("now!", "i", on_busy="interrupt")
        for name in (running, "i", "w"):
            await chat.end_of(name)
        ended = {name: frame["status"] for name, frame in chat.transcript.ended.items()}
        assert list(ended) == [running, "i", "w"]
        assert ended == {running: "cancelled", "i": "completed", "w": "completed"}


async def test_steer_is_heard_at_the_next_call_of_the_same_run(world):
    call = {"name": "calculator", "arguments": {"expression": "1+1"}}
    model = world.upstream(script=[
        {"text": "thinking about it for a while", "token_ms": 100, "tool_calls": [call]},
        {"text": "steered answer"}])
    server = world.server(upstream=model)
    async with Chat(server, "steer", tokens=True) as chat:
        name = await chat.send("question", "q")
        await chat.text_of(name, 1)
        await chat.send("in French, please", "s", on_busy="steer")
        await chat.end_of("q")
        await chat.end_of("s")
        assert [s for s, _ in chat.transcript.steps("q")] == [
            "PlanningStep", "ActionStep", "FinalAnswerStep"]
        assert [len(terminals(chat, n)) for n in ("q", "s")] == [1, 1]
    said = [m["content"] for m in model.requests()[-1]["messages"] if m["role"] == "user"]
    assert said == ["question", "in French, please"]


async def test_steer_that_came_too_late_gets_an_answer_of_its_own(server):
    async with Chat(server, "late-steer", tokens=True) as chat:
        await begin_endless(chat)
        await chat.send("too late", "s", on_busy="steer")
        await chat.frame("client_message", message_id="s")
        await chat.cancel("endless")
        await chat.end_of("endless")
        end = await chat.end_of("s")
        assert end["status"] == "completed" and chat.transcript.steps("s")[-1][1] == "quick answer"


# ---- Cancel ----


async def test_a_cancel_from_another_connection_ends_the_run(server):
    async with Chat(server, "cancel", tokens=True) as chat, Chat(server, "cancel") as other:
        name = await begin_endless(chat)
        await other.cancel(name)
        for client in (chat, other):
            end = await client.end_of(name)
            assert (end["type"], end["status"]) == ("message_end", "cancelled")


async def test_a_cancel_closes_the_call_to_the_model(server, model):
    async with Chat(server, "closes", tokens=True) as chat:
        name = await begin_endless(chat)
        assert model.stats()["active"] == 1
        await chat.cancel(name)
        await chat.end_of(name)
        await model.stats_until(lambda s: s["cancelled"] == 1 and s["active"] == 0,
                                "the upstream call to be closed")


async def test_a_cancel_before_the_first_token_closes_the_call_to_the_model(world):
    model = world.upstream(script=[{"never_answer": True}])
    server = world.server(upstream=model)
    async with Chat(server, "silent") as chat:
        name = await chat.send("question")
        await model.stats_until(lambda s: s["active"] == 1, "the call")
        await chat.cancel(name)
        assert (await chat.end_of(name))["status"] == "cancelled"
        await model.stats_until(lambda s: s["cancelled"] == 1, "the upstream call to be closed")


async def test_the_text_of_a_cancelled_answer_is_kept(server):
    async with Chat(server, "kept", tokens=True) as chat:
        name = await begin_endless(chat)
        await chat.text_of(name, 40)
        await chat.cancel(name)
        await chat.end_of(name)
        (kind, text), = chat.transcript.steps(name)
        assert kind == "PartialAnswerStep" and text == chat.transcript.shown[name]
    assert server.history("kept")[-1]["step_type"] == "PartialAnswerStep"


async def test_a_cancelled_run_has_exactly_one_end(server):
    async with Chat(server, "once", tokens=True, after=FROM_START) as chat:
        name = await begin_endless(chat)
        await asyncio.gather(*(chat.cancel(name) for _ in range(5)))
        await chat.end_of(name)
        await chat.settle()
        assert len(terminals(chat, name)) == 1
        await chat.resume()
        await chat.settle()
        assert len(terminals(chat, name)) == 1


async def test_a_cancel_without_an_id_ends_the_run_in_progress(server):
    async with Chat(server, "bare", tokens=True) as chat:
        name = await begin_endless(chat)
        await chat.send("next", "n")
        await chat.cancel()
        assert (await chat.end_of(name))["status"] == "cancelled"
        assert (await chat.end_of("n"))["status"] == "completed"


async def test_a_queued_message_can_be_cancelled(server, model):
    async with Chat(server, "queued", tokens=True) as chat:
        name = await begin_endless(chat)
        await chat.send("waiting", "w")
        await chat.cancel("w")
        end = await chat.end_of("w")
        assert end["status"] == "cancelled" and not chat.transcript.steps("w")
        assert name not in chat.transcript.ended
    assert model.stats()["requests"] == 1


async def test_a_message_cancelled_in_the_same_breath_never_runs_or_ends_cancelled(server):
    async with Chat(server, "breath") as chat:
        names = [f"b{n}" for n in range(20)]
        for name in names:
            await chat.send("endless, please", name)
            await chat.cancel(name)
            end = await chat.end_of(name)
            assert end["status"] == "cancelled"
        assert list(chat.transcript.ended) == names


async def test_a_cancel_of_an_unknown_message_is_refused(server):
    async with Chat(server, "unknown") as chat:
        await chat.cancel("nobody")
        error = await chat.frame("agent_error")
        assert "seq" not in error and error.get("message_id") == "nobody"


async def test_a_cancel_of_an_ended_message_is_refused(server):
    async with Chat(server, "ended") as chat:
        await chat.ask("question", "e")
        await chat.cancel("e")
        error = await chat.frame("agent_error")
        assert "seq" not in error


async def test_a_cancel_can_be_posted(server):
    async with Chat(server, "posted", tokens=True) as chat:
        name = await begin_endless(chat)
        answer = await server.apost("/chat/posted/cancel", {"message_id": name})
        assert 200 <= answer.status < 300
        assert (await chat.end_of(name))["status"] == "cancelled"


async def test_a_cancel_with_an_empty_body_ends_the_run_in_progress(server):
    async with Chat(server, "posted-bare", tokens=True) as chat:
        name = await begin_endless(chat)
        answer = await asyncio.to_thread(fetch, server.port, "POST", "/chat/posted-bare/cancel")
        assert 200 <= answer.status < 300
        assert (await chat.end_of(name))["status"] == "cancelled"


def test_a_posted_cancel_of_nothing_is_not_found(server):
    assert server.post("/chat/nothing/cancel", {"message_id": "x"}).status == 404


async def test_the_model_is_told_what_a_cancelled_answer_said(server, model):
    """The conversation goes on from what the user saw."""
    async with Chat(server, "goes-on", tokens=True) as chat:
        name = await begin_endless(chat)
        await chat.text_of(name, 40)
        await chat.cancel(name)
        await chat.end_of(name)
        await chat.ask("and now?")
    first, *_ = model.requests()[-1]["messages"][1:]
    assert first == {"role": "user", "content": "endless, please"}


async def test_a_cancelled_run_stays_cancelled_after_a_crash(server):
    async with Chat(server, "stays", tokens=True, after=FROM_START) as chat:
        name = await begin_endless(chat)
        await chat.cancel(name)
        await chat.end_of(name)
        server.restart()
        await chat.resume()
        await chat.settle()
        assert len(terminals(chat, name)) == 1
    assert server.metric("runs_recovered_total") == 0
