"""The first minutes: what a new user does without a key, and what every frame looks like."""

import json
import re

import pytest

from harness import FROM_START, Chat, Events, Transcript, Wire, fetch
from texts import DELICATE

STEP = {"type", "step_type", "message", "message_id", "chat_id", "seq", "cursor", "timestamp"}
END = {"type", "message_id", "chat_id", "seq", "cursor", "status"}
FAILED = {"type", "error", "chat_id", "message_id", "seq", "cursor"}
DELTA = {"type", "message_id", "chat_id", "delta"}
ACK = {"type", "message", "message_id", "chat_id", "seq", "cursor", "timestamp"}
HISTORY = {"role", "content", "step_type", "timestamp", "message_id", "seq"}
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
HISTORY_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


@pytest.fixture(scope="module")
def offline(shared_world):
    """A server as the very first start makes it: without a configuration, a key or a model."""
    return shared_world.server(config=False)


# ---- The offline provider ----


async def test_the_first_message_is_answered_without_any_configuration(offline):
    async with Chat(offline, "first", after=FROM_START) as chat:
        end = await chat.ask("Hello, who are you?")
        assert end["type"] == "message_end" and end["status"] == "completed"


async def test_the_offline_provider_says_that_no_model_is_connected(offline):
    async with Chat(offline, "says-offline") as chat:
        end = await chat.ask("Hello")
        (kind, answer), = chat.transcript.steps(end["message_id"])
        assert kind == "FinalAnswerStep" and "offline" in answer and "OPENAI_API_KEY" in answer


async def test_the_offline_provider_answers_an_arabic_question_in_arabic(offline):
    async with Chat(offline, "says-offline-ar") as chat:
        end = await chat.ask("مرحبًا، مَن أنت؟")
        assert "دون اتصال" in chat.transcript.steps(end["message_id"])[-1][1]


async def test_the_offline_provider_answers_from_what_was_said_before(offline):
    async with Chat(offline, "recalls") as chat:
        await chat.ask("My sister Maryam lives in Aleppo.")
        end = await chat.ask("Where does Maryam live?")
        assert "Aleppo" in chat.transcript.steps(end["message_id"])[-1][1]


# ---- Frames ----


async def test_a_step_has_exactly_the_members_of_the_contract(offline):
    async with Chat(offline, "step-members") as chat:
        end = await chat.ask("Hello")
        step = await chat.frame("agent_step")
        assert step.keys() == STEP
        assert step["message_id"] == end["message_id"] and step["chat_id"] == "step-members"
        assert RFC3339.fullmatch(step["timestamp"]) and isinstance(step["seq"], int)


async def test_the_end_has_exactly_the_members_of_the_contract(offline):
    async with Chat(offline, "end-members") as chat:
        end = await chat.ask("Hello")
        assert end.keys() == END | {"usage"}
        usage = end["usage"]
        assert usage.keys() == {"prompt_tokens", "completion_tokens", "total_tokens"}
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0


async def test_a_failed_run_ends_with_an_error_that_has_a_place_in_the_log(world):
    upstream = world.upstream(script=[{"status": 401}])
    async with Chat(world.server(upstream=upstream), "failed-members") as chat:
        failed = await chat.ask("Hello")
        assert failed["type"] == "agent_error" and failed.keys() == FAILED
        assert "API key" in failed["error"]


async def test_a_delta_has_exactly_the_members_of_the_contract_and_no_place_in_the_log(offline):
    async with Chat(offline, "delta-members", tokens=True) as chat:
        await chat.ask("Hello")
        assert {frozenset(f) for f in chat.frames if f["type"] == "agent_delta"} == {
            frozenset(DELTA)}


async def test_an_acknowledged_message_has_exactly_its_members(offline):
    async with Chat(offline, "ack-members") as chat:
        await chat.ask("Hello")
        ack = await chat.frame("client_message")
        assert ack.keys() == ACK and ack["message"] == "Hello" and ack["seq"] == 1


async def test_without_acks_the_users_own_messages_are_not_sent_back(offline):
    async with Chat(offline, "no-acks", acks=False) as chat:
        await chat.ask("Hello")
        assert {f["type"] for f in chat.frames} == {"agent_step", "message_end"}


async def test_without_tokens_no_delta_is_sent(offline):
    async with Chat(offline, "no-tokens") as chat:
        await chat.ask("Hello")
        assert not [f for f in chat.frames if f["type"].startswith("agent_delta")]


async def test_the_deltas_of_an_answer_join_to_its_final_step(offline):
    async with Chat(offline, "deltas-join", tokens=True) as chat:
        end = await chat.ask("Hello")
        name = end["message_id"]
        assert chat.transcript.shown[name] == chat.transcript.steps(name)[-1][1]


async def test_a_ping_is_answered_with_its_data(offline):
    async with Chat(offline, "ping") as chat:
        await chat.say({"type": "ping", "data": "سلام"})
        pong = await chat.frame("pong")
        assert pong == {"type": "pong", "chat_id": "ping", "data": "سلام"}


async def test_a_ping_without_data_is_answered_without_data(offline):
    async with Chat(offline, "ping-bare") as chat:
        await chat.say({"type": "ping"})
        assert await chat.frame("pong") == {"type": "pong", "chat_id": "ping-bare"}


async def test_server_sent_events_carry_the_same_frames(offline):
    async with Chat(offline, "sse") as socket, Events(offline, "sse", after=FROM_START) as events:
        end = await socket.ask("Hello")
        await events.end_of(end["message_id"])
        assert events.transcript.events == socket.transcript.events


async def test_a_message_can_be_posted(offline):
    async with Events(offline, "posted", after=FROM_START) as events:
        answer = await offline.apost("/chat/posted/messages",
                                     {"message": "Hello", "message_id": "p1"})
        assert answer.status == 202 and answer.json.keys() == {
            "message_id", "chat_id", "seq", "cursor", "status"}
        assert answer.json["status"] == "accepted" and answer.json["message_id"] == "p1"
        await events.end_of("p1")


async def test_a_posted_message_without_an_id_gets_one(offline):
    async with Events(offline, "posted-bare", after=FROM_START) as events:
        answer = await offline.apost("/chat/posted-bare/messages", {"message": "Hello"})
        await events.end_of(answer.json["message_id"])


async def test_a_chat_id_may_use_every_allowed_character(offline):
    name = "AZaz09._~-"
    async with Chat(offline, name) as chat:
        end = await chat.ask("Hello")
        assert end["chat_id"] == name


# ---- History ----


async def test_the_history_has_exactly_the_members_of_the_contract(offline):
    async with Chat(offline, "history") as chat:
        await chat.ask("Hello", "h1")
    user, agent = offline.history("history")
    assert user.keys() == agent.keys() == HISTORY
    assert (user["role"], user["content"], user["step_type"]) == ("user", "Hello", None)
    assert (agent["role"], agent["step_type"]) == ("agent", "FinalAnswerStep")
    assert user["message_id"] == agent["message_id"] == "h1" and user["seq"] < agent["seq"]
    assert HISTORY_TIME.fullmatch(user["timestamp"])


async def test_the_history_can_be_paged_backwards(offline):
    async with Chat(offline, "pages") as chat:
        for number in range(4):
            await chat.ask(f"message {number}")
    whole = offline.history("pages")
    pages, before = [], ""
    while page := offline.history("pages", f"?limit=3{before}"):
        assert len(page) <= 3
        pages = page + pages
        before = f"&before={page[0]['seq']}"
    assert pages == whole and len(whole) == 8


def test_the_history_of_an_unknown_chat_is_empty(offline):
    assert offline.history("nobody-was-here") == []


async def test_the_history_can_be_asked_for_on_the_socket(offline):
    async with Chat(offline, "history-frame") as chat:
        await chat.ask("Hello")
        await chat.say({"type": "get_history"})
        frame = await chat.frame("history")
        assert frame == {"type": "history", "chat_id": "history-frame",
                         "history": offline.history("history-frame")}


# ---- A run without a chat ----


def test_a_run_without_a_chat_answers_with_its_steps(offline):
    steps = offline.post("/agent/run", {"task": "Hello", "chat_id": "x"}).json
    assert [step.keys() for step in steps] == [{"step_type", "content"}]
    assert steps[0]["step_type"] == "FinalAnswerStep" and "offline" in steps[0]["content"]


def test_a_run_without_a_chat_uses_tools(offline):
    steps = offline.post("/agent/run", {"task": "what is 12 * (3 + 4)?"}).json
    assert [s["step_type"] for s in steps] == ["PlanningStep", "ActionStep", "FinalAnswerStep"]
    assert "84" in steps[1]["content"] and "84" in steps[2]["content"]


def test_a_run_without_a_chat_stores_nothing(offline):
    offline.post("/agent/run", {"task": "Hello", "chat_id": "not-stored"})
    assert offline.history("not-stored") == []


# ---- Around it ----


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_started_server_is_alive_and_ready(offline, path):
    assert offline.get(path).status == 200


def test_metrics_are_in_the_format_of_prometheus(offline):
    answer = offline.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert re.search(r"(?m)^# TYPE parlance_connections_open gauge\nparlance_connections_open \d",
                     answer.text)


async def test_metrics_count_what_happened(offline):
    before = offline.metrics()
    async with Chat(offline, "counted") as chat:
        await chat.ask("Hello")
    after = offline.metrics()
    for name in ("parlance_messages_accepted_total", "parlance_runs_completed_total",
                 "parlance_model_calls_total"):
        assert after[name] == before[name] + 1, name


def test_every_answer_has_its_own_request_id(offline):
    ids = {offline.get(path).headers["X-Request-Id"]
           for path in ("/healthz", "/healthz", "/metrics", "/history/x", "/no/such/path")}
    assert len(ids) == 5 and None not in ids


def test_a_problem_names_its_request_id(offline):
    answer = offline.get("/no/such/path")
    problem = answer.json
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem.keys() == {"type", "title", "status", "detail", "instance"}
    assert problem["status"] == 404 and problem["instance"] == answer.headers["X-Request-Id"]


def test_a_connection_serves_many_requests(offline):
    with Wire(offline.port) as wire:
        for _ in range(3):
            wire.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert wire.response().status == 200


def test_requests_sent_ahead_are_answered_in_order(offline):
    with Wire(offline.port) as wire:
        wire.send("GET /history/ahead HTTP/1.1\r\nHost: localhost\r\n\r\n"
                  "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
                  "GET /history/ahead HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert [wire.response().status for _ in range(3)] == [200, 404, 200]


def test_head_is_answered_like_get_without_a_body(offline):
    with Wire(offline.port) as wire:
        wire.send("HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert wire.head()[0] == 200
        wire.send("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert wire.until_closed().startswith(b"HTTP/1.1 200")


async def test_every_listener_serves_every_route(world):
    server = world.server(listen=["127.0.0.1:0", "127.0.0.1:0"])
    assert len(server.ports) == 2
    answer = fetch(server.ports[0], "POST", "/chat/both/messages",
                   {"message": "Hello", "message_id": "b1"})
    assert answer.status == 202
    server.ports.reverse()
    async with Chat(server, "both", after=FROM_START) as chat:
        await chat.end_of("b1")


# ---- A model, by the environment alone ----


async def test_the_environment_alone_is_enough_to_use_a_model(world):
    upstream = world.upstream(script=[{"text": "A model speaks."}])
    server = world.server(environment={
        "OPENAI_API_KEY": "sk-environment", "OPENAI_BASE_URL": upstream.base_url,
        "OPENAI_MODEL": "some-model"})
    async with Chat(server, "by-environment") as chat:
        end = await chat.ask("Hello")
        assert chat.transcript.steps(end["message_id"]) == [("FinalAnswerStep", "A model speaks.")]
    request, = upstream.requests(headers=True)
    assert request["body"]["model"] == "some-model"
    assert "authorization: bearer sk-environment" in request["headers"].lower()


# ---- Text ----


@pytest.mark.parametrize("name", DELICATE)
async def test_delicate_text_comes_back_intact_on_every_way_and_after_a_restart(world, name):
    text = DELICATE[name]
    upstream = world.upstream(script=[{"text": text, "split_bytes": 3}])
    server = world.server(upstream=upstream)
    async with Chat(server, "delicate", tokens=True) as socket, \
            Events(server, "delicate", tokens=True, after=FROM_START) as events:
        await socket.settle()
        end = await socket.ask(text, name)
        await events.end_of(name)
        for client in (socket, events):
            asked, answered, _ = client.transcript.of(name)
            assert asked["message"] == text
            assert answered["message"] == text
        # The events may still be catching up with the log, and have the answer without its deltas.
        assert socket.transcript.shown[name] == text
        assert events.transcript.shown[name] in (None, text)
        assert end["type"] == "message_end"
    assert upstream.requests()[0]["messages"][-1]["content"] == text
    assert [entry["content"] for entry in server.history("delicate")] == [text, text]
    server.restart()
    assert [entry["content"] for entry in server.history("delicate")] == [text, text]
    async with Chat(server, "delicate", after=FROM_START) as chat:
        await chat.end_of(name)
        assert [e["message"] for e in chat.transcript.events[:2]] == [text, text]


async def test_a_posted_body_in_arabic_is_taken_as_bytes_and_as_escapes(offline):
    text = DELICATE["arabic_with_marks"]
    for number, ascii_only in enumerate((False, True)):
        body = json.dumps({"message": text}, ensure_ascii=ascii_only).encode()
        answer = await offline.apost(f"/chat/arabic-body-{number}/messages", body,
                                     {"Content-Type": "application/json; charset=utf-8"})
        assert answer.status == 202
        assert offline.history(f"arabic-body-{number}")[0]["content"] == text


# ---- The checker itself: a test that could not fail proves nothing. ----


def seen(*frames):
    transcript = Transcript("x", from_start=True)
    for kind, message_id, seq in frames:
        transcript.add({"type": kind, "message_id": message_id, "chat_id": "x", "seq": seq,
                        "cursor": f"7-{seq}"})


@pytest.mark.parametrize("what, frames", [
    ("a gap after 1", [("client_message", "a", 1), ("message_end", "a", 3)]),
    ("told twice", [("client_message", "a", 1), ("client_message", "a", 1)]),
    ("after its end", [("client_message", "a", 1), ("message_end", "a", 2),
                       ("agent_error", "a", 3)]),
])
def test_the_checker_notices(what, frames):
    with pytest.raises(AssertionError, match=what):
        seen(*frames)
