"""The agent platform under /api/v1: agents, sessions and text messages, and every refusal."""

import asyncio
import concurrent.futures
import json
import threading
import unicodedata
import uuid

import aiohttp
import pytest

from harness import PATIENCE, Chat, Wire, fetch, new_id, wait_until
from platform_api import AGENT, NOBODY, ONCE, UUID7, Api, is_entity, is_problem
from texts import ARABIC_WITH_MARKS, DECOMPOSED, DELICATE, MIXED_DIRECTION

pytestmark = pytest.mark.sanitizer

ENDLESS = {"when": "endless", "tokens": 100_000, "token_ms": 10}


@pytest.fixture(scope="module")
def server(shared_world):
    server = shared_world.server()
    yield server
    assert server.running, "something ended the server"


@pytest.fixture
def api(server):
    return Api(server)


def walk(api, path, limit):
    """All entities of a list, page by page."""
    out, query = [], f"?limit={limit}"
    joint = "&" if "?" in path else "?"
    while True:
        answer = api.get(path + query.replace("?", joint))
        assert answer.status == 200, answer
        page = answer.json
        assert len(page["items"]) <= limit
        out += page["items"]
        if page["next_cursor"] is None:
            return out
        query = f"?limit={limit}&cursor={page['next_cursor']}"


# ---- Agents ----


def test_an_agent_is_made_read_changed_and_deleted(api):
    members = {"name": "n", "description": "d", "prompt": "p", "model": "m", "temperature": 0.3,
               "voice": "v", "tools": ["calculator"]}
    answer = api.post("/agent", members)
    assert answer.status == 201, answer
    agent = answer.json
    is_entity(agent)
    assert {name: agent[name] for name in members} == members
    assert answer.headers["location"] == f"/api/v1/agent/{agent['id']}"
    assert answer.headers["etag"]

    read = api.get(f"/agent/{agent['id']}")
    assert read.status == 200 and read.json == agent
    assert read.headers["etag"] == answer.headers["etag"]

    changed = api.put(f"/agent/{agent['id']}", {"name": "other", "prompt": "p"})
    assert changed.status == 200, changed
    assert changed.json["name"] == "other"
    assert changed.json["temperature"] is None and changed.json["tools"] == []
    assert changed.json["created_at"] == agent["created_at"]
    assert changed.json["updated_at"] >= agent["updated_at"]
    assert changed.headers["etag"] != answer.headers["etag"]

    gone = api.delete(f"/agent/{agent['id']}")
    assert gone.status == 204 and gone.body == b""
    assert "content-length" not in gone.headers and "content-type" not in gone.headers
    for method in ("GET", "DELETE"):
        is_problem(api.call(method, f"/agent/{agent['id']}"), 404)
    is_problem(api.put(f"/agent/{agent['id']}", AGENT), 404)


def test_what_an_agent_leaves_out_is_null(api):
    agent = api.agent()
    for name in ("description", "model", "temperature", "voice"):
        assert agent[name] is None
    assert agent["tools"] == []


def test_agents_are_listed_newest_first(api):
    made = [api.agent(name=f"a{n}")["id"] for n in range(5)]
    assert made == sorted(made)
    listed = [agent["id"] for agent in api.get("/agent?limit=200").json["items"]]
    assert [i for i in listed if i in made] == made[::-1]


@pytest.mark.parametrize("limit", [1, 2, 200])
def test_pages_of_agents_have_each_once(api, limit):
    made = {api.agent()["id"] for _ in range(3)}
    listed = [agent["id"] for agent in walk(api, "/agent", limit)]
    assert len(listed) == len(set(listed))
    assert made <= set(listed)
    assert listed == sorted(listed, reverse=True)


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "limit=", "limit=-1",
                                   "cursor=x", "cursor=", "cursor=1-2"])
@pytest.mark.parametrize("path", ["/agent", "/session"])
def test_a_bad_page_is_400(api, path, query):
    is_problem(api.get(f"{path}?{query}"), 400)


@pytest.mark.parametrize("body, pointer", [
    ({}, "/name"), ({"name": "n"}, "/prompt"), ({**AGENT, "name": ""}, "/name"),
    ({**AGENT, "name": "x" * 201}, "/name"), ({**AGENT, "prompt": "x" * 32_001}, "/prompt"),
    ({**AGENT, "temperature": 2.1}, "/temperature"), ({**AGENT, "temperature": "1"}, "/temperature"),
    ({**AGENT, "tools": ["no space"]}, "/tools/0"), ({**AGENT, "tools": ["a", "a"]}, "/tools"),
    ({**AGENT, "unknown": 1}, "/unknown"), ({**AGENT, "id": NOBODY}, "/id")])
def test_an_agent_that_is_not_valid_is_422_with_pointers(api, body, pointer):
    problem = is_problem(api.post("/agent", body), 422)
    assert pointer in [error["pointer"] for error in problem["errors"]], problem


def test_all_that_is_wrong_is_told_at_once(api):
    problem = is_problem(api.post("/agent", {"name": "", "temperature": 3}), 422)
    assert {error["pointer"] for error in problem["errors"]} == {"/name", "/prompt",
                                                                 "/temperature"}


def test_an_unknown_tool_is_422_and_named(api):
    is_problem(api.post("/agent", {**AGENT, "tools": ["teleport"]}), 422, "teleport")


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"\xff", b'{"name":', b'{"name":"\\ud800"}',
                                  b"[" * 100_000])
@pytest.mark.parametrize("path", ["/agent", "/session", "/message/text",
                                  f"/message/{NOBODY}/retry"])
def test_a_body_that_is_no_json_object_is_400(api, path, body):
    is_problem(fetch(api.server.port, "POST", "/api/v1" + path, body), 400)


def test_a_member_given_twice_is_422(api):
    body = b'{"name":"a","prompt":"p","name":"b"}'
    is_problem(fetch(api.server.port, "POST", "/api/v1/agent", body), 422)


@pytest.mark.parametrize("name", ["x", NOBODY, NOBODY.upper(), "..%2f", "%d8%b9", "a" * 2_000])
def test_an_unknown_or_malformed_id_is_404(api, name):
    for path in (f"/agent/{name}", f"/session/{name}"):
        is_problem(api.get(path), 404)
        is_problem(api.delete(path), 404)
    is_problem(api.put(f"/agent/{name}", AGENT), 404)
    is_problem(api.put(f"/session/{name}", {"agent_id": api.agent()["id"]}), 404)
    is_problem(api.get(f"/message/conversion/{name}"), 404)
    is_problem(api.retry(api.session(), name), 404)


def test_another_method_is_405_and_told_the_right_ones(api):
    for path, allow in (("/agent", "GET, HEAD, POST"), ("/session", "GET, HEAD, POST"),
                        (f"/agent/{NOBODY}", "GET, HEAD, PUT, DELETE"),
                        ("/message/text", "POST")):
        answer = api.call("PATCH", path)
        is_problem(answer, 405)
        assert answer.headers["allow"] == allow


def test_a_body_of_another_type_is_415(api):
    for method, path in (("POST", "/agent"), ("PUT", f"/agent/{NOBODY}")):
        is_problem(api.call(method, path, b"name=x", {"Content-Type": "text/plain"}), 415)


def test_a_page_of_another_origin_may_change_nothing(api):
    agent = api.agent()
    for method, path in (("POST", "/agent"), ("PUT", f"/agent/{agent['id']}"),
                         ("DELETE", f"/agent/{agent['id']}")):
        is_problem(api.call(method, path, AGENT, {"Origin": "https://evil.example"}), 403)
    assert api.get(f"/agent/{agent['id']}").json == agent


def test_head_is_like_get_without_the_body(api):
    agent = api.agent()
    answer = api.call("HEAD", f"/agent/{agent['id']}")
    assert answer.status == 200 and answer.body == b"" and answer.headers["etag"]


def test_with_api_keys_every_route_needs_one(world):
    api = Api(world.server({"api_keys": ["a-key-of-the-tests-1234"]}))
    for method, path in (("GET", "/agent"), ("POST", "/agent"), ("GET", f"/session/{NOBODY}"),
                         ("POST", "/message/text"), ("GET", f"/message/conversion/{NOBODY}")):
        is_problem(api.call(method, path), 401)
    allowed = api.get("/agent", Authorization="Bearer a-key-of-the-tests-1234")
    assert allowed.status == 200


# ---- Changing what may have changed ----


def test_of_two_editors_the_second_is_told(api):
    answer = api.post("/agent", AGENT)
    path, tag = f"/agent/{answer.json['id']}", answer.headers["etag"]
    first = api.put(path, {**AGENT, "name": "first"}, If_Match=tag)
    assert first.status == 200, first
    is_problem(api.put(path, {**AGENT, "name": "second"}, If_Match=tag), 412)
    assert api.get(path).json["name"] == "first"
    again = api.put(path, {**AGENT, "name": "second"}, If_Match=first.headers["etag"])
    assert again.status == 200 and again.json["name"] == "second"


def test_of_many_editors_at_once_one_wins(api):
    answer = api.post("/agent", AGENT)
    path, tag = f"/agent/{answer.json['id']}", answer.headers["etag"]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(
            lambda n: api.put(path, {**AGENT, "name": f"e{n}"}, If_Match=tag), range(8)))
    assert sorted(a.status for a in answers) == [200] + [412] * 7
    winner = next(a for a in answers if a.status == 200)
    assert api.get(path).json == winner.json


def test_if_match_may_be_a_list_or_a_star(api):
    answer = api.post("/session", {"agent_id": api.agent()["id"]})
    path, tag = f"/session/{answer.json['id']}", answer.headers["etag"]
    body = {"agent_id": answer.json["agent_id"], "title": "t"}
    for good in (f'"99", {tag}', "*"):
        changed = api.put(path, body, If_Match=good)
        assert changed.status == 200, changed
        tag = changed.headers["etag"]
    for bad in ('"99"', '"98", "99"', f"W/{tag}", '"abc"'):
        is_problem(api.put(path, body, If_Match=bad), 412)
    is_problem(api.put(path, body, If_Match="3"), 400)
    is_problem(api.delete(path, If_Match='"99"'), 412)
    assert api.delete(path, If_Match=tag).status == 204


# ---- Sessions ----


def test_a_session_is_made_read_changed_and_deleted(api):
    agent = api.agent()
    metadata = {"a": [1, 0.1, {"b": None}], "مدينة": "القاهرة"}
    answer = api.post("/session", {"agent_id": agent["id"], "title": "t", "metadata": metadata})
    assert answer.status == 201, answer
    session = answer.json
    is_entity(session)
    assert session["agent_id"] == agent["id"]
    assert session["title"] == "t" and session["metadata"] == metadata
    path = f"/session/{session['id']}"
    assert answer.headers["location"] == "/api/v1" + path
    assert api.get(path).json == session

    changed = api.put(path, {"agent_id": agent["id"]})
    assert changed.status == 200, changed
    assert changed.json["title"] is None and changed.json["metadata"] == {}
    assert api.delete(path).status == 204
    is_problem(api.get(path), 404)
    is_problem(api.get(f"/message/conversion/{session['id']}"), 404)


def test_a_session_of_an_unknown_agent_is_422(api):
    is_problem(api.post("/session", {"agent_id": NOBODY}), 422)
    session = api.session()
    is_problem(api.put(f"/session/{session['id']}", {"agent_id": NOBODY}), 422)


def deep(levels):
    out = []
    for _ in range(levels - 2):
        out = [out]
    return {"a": out}


@pytest.mark.parametrize("metadata", [[], "x", 1, {"a": "x" * (16 << 10)}, deep(17),
                                      {f"m{n}": 1 for n in range(65)}])
def test_metadata_over_its_limits_is_422(api, metadata):
    body = {"agent_id": api.agent()["id"], "metadata": metadata}
    problem = is_problem(api.post("/session", body), 422)
    assert problem["errors"][0]["pointer"].startswith("/metadata")


def test_metadata_at_its_limits_is_kept(api):
    for metadata in (deep(16), {"a": "x" * ((16 << 10) - 8)}, {f"m{n}": n for n in range(64)}):
        session = api.session(metadata=metadata)
        assert api.get(f"/session/{session['id']}").json["metadata"] == metadata


def test_sessions_are_listed_by_agent(api):
    agent, other = api.agent(), api.agent()
    mine = [api.session(agent)["id"] for _ in range(3)]
    api.session(other)
    listed = [s["id"] for s in walk(api, f"/session?agent_id={agent['id']}", 2)]
    assert listed == mine[::-1]
    assert api.get(f"/session?agent_id={NOBODY}").json == {"items": [], "next_cursor": None}
    is_problem(api.get("/session?agent_id=x"), 400)


def test_an_agent_with_sessions_stays_unless_they_may_go(api):
    agent = api.agent()
    session = api.session(agent)
    assert api.say(session, "hello").status == 201
    path = f"/agent/{agent['id']}"
    is_problem(api.delete(path), 409)
    is_problem(api.delete(path + "?cascade=false"), 409)
    is_problem(api.delete(path + "?cascade=1"), 400)
    assert api.get(path).status == 200 and len(api.messages(session)) == 2
    assert api.delete(path + "?cascade=true").status == 204
    is_problem(api.get(path), 404)
    is_problem(api.get(f"/session/{session['id']}"), 404)
    assert api.server.history(session["id"]) == []


# ---- The same request twice ----


def test_a_repeated_creation_is_the_same_entity(api):
    for path, body in (("/agent", AGENT), ("/session", {"agent_id": api.agent()["id"]})):
        key = new_id("key")
        first = api.post(path, body, Idempotency_Key=key)
        second = api.post(path, body, Idempotency_Key=key)
        assert first.status == second.status == 201
        assert first.json == second.json
        assert "idempotent-replayed" not in first.headers
        assert second.headers["idempotent-replayed"] == "true"
        assert second.headers["location"] == first.headers["location"]
        assert api.post(path, body, Idempotency_Key=new_id("key")).json["id"] != first.json["id"]


def test_a_key_with_another_body_is_422(api):
    key = new_id("key")
    assert api.post("/agent", AGENT, Idempotency_Key=key).status == 201
    is_problem(api.post("/agent", {**AGENT, "name": "x"}, Idempotency_Key=key), 422)
    is_problem(api.post("/agent", AGENT, Idempotency_Key="x" * 124), 400)


def test_a_repeated_message_is_answered_once(api):
    session, key = api.session(), new_id("key")
    first = api.say(session, "hello", Idempotency_Key=key)
    second = api.say(session, "hello", Idempotency_Key=key)
    assert first.status == second.status == 201
    assert first.json == second.json
    assert second.headers["idempotent-replayed"] == "true"
    assert len(api.messages(session)) == 2
    is_problem(api.say(session, "other", Idempotency_Key=key), 422)


def test_a_message_repeated_at_once_is_answered_once(api):
    session, key = api.session(), new_id("key")
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: api.say(session, "hi there", Idempotency_Key=key),
                                range(6)))
    assert {a.status for a in answers} == {201}
    assert len({a.json["id"] for a in answers}) == 1
    assert len(api.messages(session)) == 2


# ---- Text messages ----


def test_a_message_is_answered(api):
    session = api.session()
    answer = api.say(session, "What is the capital of Egypt?")
    assert answer.status == 201, answer
    message = answer.json
    is_entity(message)
    assert message["session_id"] == session["id"] and message["role"] == "assistant"
    assert message["content"] and message["content_type"] == "text"
    assert message["status"] == "completed" and message["error"] is None
    user, assistant = api.messages(session)
    assert assistant == message
    assert user["id"] == message["reply_to"] and user["reply_to"] is None
    is_entity(user)
    assert user["role"] == "user" and user["content"] == "What is the capital of Egypt?"
    assert user["status"] == "completed" and user["language"] == "en"


def test_a_message_is_also_in_chat_and_history(api):
    session = api.session()
    answer = api.say(session, "hello there").json
    history = api.server.history(session["id"])
    assert [(e["role"], e["content"]) for e in history if e["step_type"] in (None,
                                                                             "FinalAnswerStep")] \
        == [("user", "hello there"), ("agent", answer["content"])]
    assert history[0]["message_id"] == answer["reply_to"]


async def test_a_message_of_the_chat_is_in_the_conversation(server):
    api = Api(server)
    session = api.session()
    async with Chat(server, session["id"]) as chat:
        await chat.ask("hello from the socket", "m1")
    user, assistant = api.messages(session)
    assert user["content"] == "hello from the socket"
    assert UUID7.fullmatch(user["id"]) and assistant["reply_to"] == user["id"]
    assert api.messages(session)[0]["id"] == user["id"], "an id is always the same"


def test_an_unknown_session_is_404_and_nothing_is_stored(api):
    is_problem(api.say({"id": NOBODY}, "hello"), 404)
    assert api.server.history(NOBODY) == []


@pytest.mark.parametrize("content", ["", None, 1, "x" * 32_001, ["x"]])
def test_a_content_that_is_not_valid_is_422(api, content):
    is_problem(api.say(api.session(), content), 422)


def test_a_content_of_the_longest_length_is_taken(api):
    session = api.session()
    assert api.say(session, "ع" * 32_000).status == 201
    assert len(api.messages(session)[0]["content"]) == 32_000


@pytest.mark.parametrize("name", sorted(DELICATE))
def test_delicate_text_comes_back_composed(api, name):
    session = api.session(title=DELICATE[name][:200])
    assert session["title"] == unicodedata.normalize("NFC", DELICATE[name][:200])
    assert api.say(session, DELICATE[name]).status == 201
    assert api.messages(session)[0]["content"] == unicodedata.normalize("NFC", DELICATE[name])


def test_languages_are_told(api):
    session = api.session()
    for text in (ARABIC_WITH_MARKS, MIXED_DIRECTION, "Where does the train leave from?", "1 + 1"):
        assert api.say(session, text).status == 201
    told = [m["language"] for m in api.messages(session) if m["role"] == "user"]
    assert told == ["ar", "ar", "en", None]


def test_composed_and_decomposed_are_the_same_request(api):
    session, key = api.session(), new_id("key")
    first = api.say(session, DECOMPOSED, Idempotency_Key=key)
    second = api.say(session, unicodedata.normalize("NFC", DECOMPOSED), Idempotency_Key=key)
    assert first.json["id"] == second.json["id"]


@pytest.mark.parametrize("limit", [1, 3, 4, 1_000])
def test_pages_of_a_conversation_are_all_of_it_in_order(api, limit):
    session = api.session()
    for n in range(3):
        assert api.say(session, f"message {n}").status == 201
    whole = api.messages(session)
    assert len(whole) == 6
    assert [m["content"] for m in whole[::2]] == [f"message {n}" for n in range(3)]
    pages, cursor = [], ""
    while True:
        page = api.conversation(session, f"?limit={limit}" + cursor)
        pages += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert pages == whole


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "cursor=x", "cursor=5-2"])
def test_a_bad_page_of_a_conversation_is_400(api, query):
    is_problem(api.get(f"/message/conversion/{api.session()['id']}?{query}"), 400)


# ---- Streams ----


class Sse:
    """The events of one answer."""

    def __init__(self, answer):
        self.answer = answer
        self.events = []
        for block in answer.text.split("\n\n") if answer.status == 200 else []:
            lines = [line for line in block.split("\n") if line and not line.startswith(":")]
            if lines:
                fields = dict(line.split(": ", 1) for line in lines)
                self.events.append((fields["event"], json.loads(fields["data"])))

    def of(self, name):
        return [data for event, data in self.events if event == name]

    @property
    def names(self):
        return [name for name, _ in self.events]

    @property
    def text(self):
        """What a client shows when the answer's step comes."""
        text = ""
        for name, data in self.events:
            if name == "delta":
                text += data["text"]
            elif name == "reset":
                text = ""
            elif name == "step" and data["step_type"] in ("FinalAnswerStep", "PartialAnswerStep"):
                return text
        return text


def stream(api, session, text, **headers):
    answer = api.say(session, text, Accept="text/event-stream", **headers)
    if answer.status == 200:
        assert answer.headers["content-type"].startswith("text/event-stream")
    return Sse(answer)


@pytest.mark.parametrize("text", ["hello there", ARABIC_WITH_MARKS, MIXED_DIRECTION])
def test_a_message_is_streamed(api, text):
    session = api.session()
    events = stream(api, session, text)
    assert events.names[0] == "message" and events.names[-2:] == ["message", "done"]
    user, assistant = events.of("message")
    assert user["role"] == "user" and user["status"] == "pending"
    assert assistant["role"] == "assistant" and assistant["reply_to"] == user["id"]
    assert [s["step_type"] for s in events.of("step")][-1] == "FinalAnswerStep"
    assert events.text == assistant["content"] or events.text == ""
    stored = api.messages(session)
    assert stored[1] == assistant
    assert {**stored[0], "status": "pending", "updated_at": user["updated_at"]} == user


def test_deltas_of_a_model_are_the_answer(world):
    upstream = world.upstream(script=[{"text": "نعم، six short words are here.", "token_ms": 20}])
    api = Api(world.server(upstream=upstream))
    events = stream(api, api.session(), "hello")
    assert len(events.of("delta")) > 1
    assert events.text == "نعم، six short words are here." == events.of("message")[1]["content"]


def test_a_refused_stream_is_an_ordinary_answer(api):
    is_problem(stream(api, {"id": NOBODY}, "hello").answer, 404)
    is_problem(stream(api, api.session(), "").answer, 422)
    session, key = api.session(), new_id("key")
    assert api.say(session, "one", Idempotency_Key=key).status == 201
    is_problem(stream(api, session, "two", Idempotency_Key=key).answer, 422)


def test_a_repeated_stream_tells_the_first_answer(api):
    session, key = api.session(), new_id("key")
    first = api.say(session, "hello", Idempotency_Key=key)
    events = stream(api, session, "hello", Idempotency_Key=key)
    assert events.answer.headers["idempotent-replayed"] == "true"
    assert events.of("message")[1] == first.json
    assert events.names[-1] == "done" and events.of("step")


def test_a_failing_model_ends_a_stream_with_an_error(world):
    upstream = world.upstream(script=[{"status": 500}, {"text": "Fine."}])
    api = Api(world.server(upstream=upstream, provider=ONCE))
    session = api.session()
    events = stream(api, session, "hello")
    assert events.names[0] == "message" and events.names[-1] == "error"
    problem = events.of("error")[0]
    assert problem["status"] == 503
    assert problem["message_id"] == events.of("message")[0]["id"]
    answer = api.retry(session, problem["message_id"], Accept="text/event-stream")
    again = Sse(answer)
    assert [m["id"] for m in again.of("message")][0] == problem["message_id"]
    assert again.of("message")[1]["content"] == "Fine."


async def test_one_who_leaves_a_stream_ends_nothing(world):
    upstream = world.upstream(script=[{"text": "an answer " * 30, "token_ms": 30}])
    server = world.server(upstream=upstream)
    api = Api(server)
    session = await asyncio.to_thread(api.session)
    async with aiohttp.ClientSession() as client:
        async with client.post(server.url("/api/v1/message/text"),
                               json={"session_id": session["id"], "content": "hello"},
                               headers={"Accept": "text/event-stream"}) as answer:
            await asyncio.wait_for(answer.content.readuntil(b"event: delta"), PATIENCE)
    await asyncio.to_thread(
        wait_until, lambda: api.messages(session)[0]["status"] == "completed", "the end")
    assert len(api.messages(session)) == 2


def test_a_slow_reader_of_a_stream_gets_all_steps(world):
    text = "word " * 40_000
    upstream = world.upstream(script=[{"text": text, "token_ms": 0}])
    server = world.server({"limits": {"write_queue_bytes_max": "64KiB", "write_timeout": "5m"}},
                          upstream)
    api = Api(server)
    session = api.session()
    body = json.dumps({"session_id": session["id"], "content": "hello"})
    with Wire(server.port, receive_buffer=4096) as wire:
        wire.send("POST /api/v1/message/text HTTP/1.1\r\nHost: localhost\r\n"
                  "Accept: text/event-stream\r\nContent-Type: application/json\r\n"
                  f"Content-Length: {len(body)}\r\n\r\n{body}")
        wait_until(lambda: len(api.messages(session)) == 2
                   and api.messages(session)[0]["status"] == "completed", "the answer")
        received = b""
        while chunk := wire.socket.recv(65536):
            received += chunk
    assert b"event: done" in received
    message = received.split(b"event: message\ndata: ")[2].split(b"\n")[0]
    assert json.loads(message)["content"].strip() == text.strip()


# ---- A model that fails, and running a message again ----


def test_a_failed_message_stays_and_is_run_again(world):
    upstream = world.upstream(script=[{"status": 500}, {"text": "Here you are."}])
    api = Api(world.server(upstream=upstream, provider=ONCE))
    session = api.session()
    problem = is_problem(api.say(session, "hello"), 503)
    user, = api.messages(session)
    assert user["id"] == problem["message_id"]
    assert user["status"] == "failed" and user["error"]

    answer = api.retry(session, user["id"])
    assert answer.status == 201, answer
    assert answer.json["content"] == "Here you are." and answer.json["reply_to"] == user["id"]
    again, assistant = api.messages(session)
    assert again["id"] == user["id"] and again["status"] == "completed"
    assert again["error"] is None and assistant == answer.json
    is_problem(api.retry(session, user["id"]), 409)
    is_problem(api.retry(session, assistant["id"]), 409)
    # The model hears what was said once, not once for each try.
    said = [m["content"] for m in upstream.requests()[-1]["messages"] if m["role"] == "user"]
    assert said == ["hello"]


def test_what_the_models_provider_refuses_is_no_mistake_of_the_client(world):
    upstream = world.upstream(script=[{"status": 400}])
    api = Api(world.server(upstream=upstream, provider=ONCE))
    is_problem(api.say(api.session(), "hello"), 503)


def test_what_does_not_exist_is_told_with_its_place_in_the_body(world):
    api = Api(world.server())
    problem = is_problem(api.post("/agent", {**AGENT, "tools": ["teleport"]}), 422)
    assert problem["errors"][0]["pointer"] == "/tools"
    problem = is_problem(api.post("/session", {"agent_id": api.session()["id"]}), 422)
    assert problem["errors"][0]["pointer"] == "/agent_id"


def test_a_retry_that_fails_can_be_tried_again(world):
    upstream = world.upstream(script=[{"status": 500, "repeat": 2}, {"text": "At last."}])
    api = Api(world.server(upstream=upstream, provider=ONCE))
    session = api.session()
    name = is_problem(api.say(session, "hello"), 503)["message_id"]
    assert is_problem(api.retry(session, name), 503)["message_id"] == name
    assert api.messages(session)[0]["status"] == "failed"
    assert api.retry(session, name).json["content"] == "At last."
    assert [m["role"] for m in api.messages(session)] == ["user", "assistant"]


def test_a_repeated_retry_is_one_run(world):
    upstream = world.upstream(script=[{"status": 500}, {"text": "Once."}])
    api = Api(world.server(upstream=upstream, provider=ONCE))
    session = api.session()
    name = is_problem(api.say(session, "hello"), 503)["message_id"]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: api.retry(session, name, Idempotency_Key="k"),
                                range(4)))
    assert {a.status for a in answers} == {201}
    assert len({a.json["id"] for a in answers}) == 1
    later = api.retry(session, name, Idempotency_Key="k")
    assert later.json == answers[0].json
    assert later.headers["idempotent-replayed"] == "true"
    assert len(api.messages(session)) == 2
    is_problem(api.say(session, "hello", Idempotency_Key="k"), 422)


def test_a_message_is_run_again_once_at_a_time(world):
    upstream = world.upstream(script=[{"status": 500}, {"text": "Once.", "first_token_ms": 500}])
    api = Api(world.server(upstream=upstream, provider=ONCE))
    session = api.session()
    name = is_problem(api.say(session, "hello"), 503)["message_id"]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda key: api.retry(session, name, Idempotency_Key=key), "abcd"))
    assert sorted(a.status for a in answers) == [201, 409, 409, 409]
    assert len(api.messages(session)) == 2


def test_a_message_of_another_session_is_not_run_again(world):
    upstream = world.upstream(script=[{"status": 500}])
    api = Api(world.server(upstream=upstream, provider=ONCE))
    session, other = api.session(), api.session()
    name = is_problem(api.say(session, "hello"), 503)["message_id"]
    is_problem(api.retry(other, name), 404)
    is_problem(api.retry(session, str(uuid.uuid4())), 404)
    is_problem(api.retry({"id": NOBODY}, name), 404)
    is_problem(api.post(f"/message/{name}/retry", {}), 422)


async def test_a_cancelled_message_is_409_and_can_be_run_again(world):
    upstream = world.upstream(script=[ENDLESS, {"text": "Well."}])
    server = world.server(upstream=upstream)
    api = Api(server)
    session = await asyncio.to_thread(api.session)
    waiting = asyncio.create_task(asyncio.to_thread(api.say, session, "endless, please"))
    async with Chat(server, session["id"], tokens=True, after="0-0") as chat:
        await chat.wait(lambda: chat.transcript.text, "the first text")
        await chat.cancel()
        problem = is_problem(await waiting, 409, "cancelled")
    user, partial = api.messages(session)
    assert user["id"] == problem["message_id"] and user["status"] == "cancelled"
    assert partial["status"] == "cancelled" and partial["content"]
    assert partial["reply_to"] == user["id"]


# ---- Deleting ----


async def test_deleting_a_session_ends_what_waits_for_its_answer(world):
    upstream = world.upstream(script=[ENDLESS])
    server = world.server(upstream=upstream)
    api = Api(server)
    session = await asyncio.to_thread(api.session)
    waiting = [asyncio.create_task(asyncio.to_thread(api.say, session, "endless, please")),
               asyncio.create_task(asyncio.to_thread(api.say, session, "endless, too",
                                                     Accept="text/event-stream"))]
    await asyncio.to_thread(wait_until, lambda: len(api.messages(session)) >= 2, "both are there")
    gone = await asyncio.to_thread(api.delete, f"/session/{session['id']}")
    assert gone.status == 204, gone
    is_problem(await waiting[0], 409, "the session was deleted")
    assert Sse(await waiting[1]).of("error")[0]["detail"] == "the session was deleted"
    is_problem(api.get(f"/session/{session['id']}"), 404)
    assert server.history(session["id"]) == []
    is_problem(api.say(session, "hello"), 404)


# ---- Crashes ----


def test_what_was_acknowledged_is_there_after_a_crash(world):
    server = world.server()
    api = Api(server)
    agent = api.agent(name="مكتب السفر")
    session = api.session(agent, title="t", metadata={"a": 1})
    assert api.say(session, "hello").status == 201
    other = api.session(agent)
    assert api.delete(f"/session/{other['id']}").status == 204
    changed = api.put(f"/agent/{agent['id']}", {**AGENT, "name": "new"})
    before = api.messages(session)
    server.restart()
    read = api.get(f"/agent/{agent['id']}")
    assert read.json == changed.json and read.headers["etag"] == changed.headers["etag"]
    assert api.get(f"/session/{session['id']}").json == session
    is_problem(api.get(f"/session/{other['id']}"), 404)
    assert api.messages(session) == before


def test_a_creation_repeated_after_a_crash_is_the_same(world):
    server = world.server()
    api = Api(server)
    first = api.post("/agent", AGENT, Idempotency_Key="k")
    server.restart()
    second = api.post("/agent", AGENT, Idempotency_Key="k")
    assert second.json == first.json and second.headers["idempotent-replayed"] == "true"
    assert len(api.get("/agent").json["items"]) == 1


def test_a_message_under_way_has_its_end_after_a_crash(world):
    upstream = world.upstream(script=[ENDLESS, {"text": "Later."}])
    server = world.server(upstream=upstream)
    api = Api(server)
    session = api.session()

    def say():
        try:
            api.say(session, "endless, please", Idempotency_Key="k")
        except OSError:
            pass  # The server went away.
        except Exception:  # What http.client makes of a connection that ends early.
            pass

    sender = threading.Thread(target=say)
    sender.start()
    wait_until(lambda: api.messages(session), "the message is there")
    upstream.script([{"text": "Later.", "repeat": 100}])
    server.restart()
    sender.join(PATIENCE)
    wait_until(lambda: api.messages(session)[0]["status"] != "pending", "its end")
    assert len([m for m in api.messages(session) if m["role"] == "user"]) == 1
