"""The frames of the real server against asyncapi.json: each is what the document says of it, and
every kind of frame that the document has was seen."""

import pytest

from api_schemas import Document
from harness import FROM_START, Chat, new_id
from kiss import connect

CALL = {"tool_calls": [{"name": "calculator", "arguments": {"expression": "6*7"}}]}
VOID = {"text": "Something quite different and never ended.", "cut_at_byte": 900}
SLOW = {"text": "word " * 400, "token_ms": 20}

SEEN = set()


@pytest.fixture(scope="module")
def document(shared_world):
    server = shared_world.server()
    return Document(server.get("/api/v1/asyncapi.json").json)


def talk(world, *script):
    upstream = world.upstream(script=list(script))
    return world.server(upstream=upstream, provider={
        "tries_max": 2, "backoff_first": "10ms", "backoff_max": "10ms"})


def check_chat(document, frames):
    for frame in frames:
        document.check(frame["type"], frame)
        for entry in frame.get("history", []):
            document.check("HistoryEntry", entry)
        SEEN.add(frame["type"])


def check_stack(document, frame):
    """One of these, told apart by members that only it has."""
    name = next(name for member, name in (
        ("error", "stack_error"), ("type", "query_" + frame.get("type", "").partition("_")[2]),
        ("result", "flat_answer" if "extras" in frame else "nested_answer"),
        ("access_token", "flat_credentials")) if member in frame)
    document.check(name, frame)
    SEEN.add(name)


async def test_frames_of_a_run_with_a_tool_are_as_documented(world, document):
    server = talk(world, CALL, {"text": "It is 42."})
    async with Chat(server, "tool", tokens=True, after=FROM_START) as chat:
        end = await chat.ask("What is 6 * 7?")
        await chat.settle()
        await chat.say({"type": "get_history"})
        await chat.frame("history")
        check_chat(document, chat.frames)
        kinds = {kind for kind, _ in chat.transcript.steps(end["message_id"])}
    assert kinds == {"PlanningStep", "ActionStep", "FinalAnswerStep"}


async def test_the_frame_of_void_text_is_as_documented(world, document):
    server = talk(world, VOID, {"text": "Here it is."})
    async with Chat(server, "void", tokens=True) as chat:
        await chat.ask("question")
        check_chat(document, chat.frames)
        assert any(frame["type"] == "agent_reset" for frame in chat.frames)


async def test_frames_of_one_who_attaches_in_the_middle_are_as_documented(world, document):
    server = talk(world, SLOW)
    async with Chat(server, "middle", tokens=True) as first:
        name = await first.send("question")
        await first.text_of(name, 10)
        async with Chat(server, "middle", tokens=True) as second:
            await second.frame("agent_snapshot")
            await second.cancel(name)
            await second.end_of(name)
            check_chat(document, first.frames + second.frames)


async def test_frames_of_errors_are_as_documented(world, document):
    server = talk(world, {"status": 500})
    async with Chat(server, "errors") as chat:
        for bad in ("{", '{"type": "client"}', '{"type": "none"}', '{"type": "ping", "data": 7}'):
            await chat.say(bad)
        end = await chat.ask("question")
        await chat.settle()
        assert end["type"] == "agent_error"
        await chat.say({"type": "get_history"})
        await chat.frame("history")
        check_chat(document, chat.frames)


async def test_the_frame_of_a_gap_is_as_documented(world, document):
    server = talk(world, {"text": "مرحبا"})
    async with Chat(server, "gap") as chat:
        await chat.ask("سلام")
    async with Chat(server, "gap", after="1-99") as chat:
        await chat.frame("gap")
        check_chat(document, chat.frames)


@pytest.mark.parametrize("spell", [str.upper, str.lower])
async def test_frames_of_the_stack_are_as_documented(world, document, spell):
    server = talk(world, VOID, {"text": "The moon is far away."})
    async with connect(server) as socket:
        for event, data in (
                ("ON_AUTH", {"scope": "temporary"}), ("ON_INIT", {"query": "مرحبا"}),
                ("ON_INIT", {}), ("ON_STORE", {"documents": [{"content": "The moon is far."}]}),
                ("ON_STORE", {}),
                ("ON_QUERY", {"query": "How far?", "parameters": {"stream": True}}),
                ("ON_QUERY", {"query": "How far is the moon?"}),
                ("On_Query", {}), ("ON_CLOSE", {})):
            await socket.send(event if event == "On_Query" else spell(event), data)
            while True:
                frame = await socket.receive()
                check_stack(document, frame)
                if "type" not in frame:
                    break


async def test_the_documented_examples_of_what_clients_send_are_taken(world, document):
    server = talk(world, {"text": "Hello."})
    async with Chat(server, "examples") as chat:
        for name in ("client", "get_history", "ping"):
            for example in document.root["components"]["schemas"][name]["examples"]:
                fresh = {"message_id": new_id()} if "message_id" in example else {}
                await chat.say({**example, **fresh})
        await chat.wait(lambda: len(chat.transcript.ended) == 2, "two answers")
        await chat.settle()
        assert not [frame for frame in chat.frames if frame["type"] == "agent_error"]


def test_every_documented_frame_was_seen(document):
    if len(SEEN) == 0:
        pytest.skip("only after the others")
    sent = {name.rpartition("/")[2] for operation in document.root["operations"].values()
            if operation["action"] == "send"
            for name in (message["$ref"] for message in operation["messages"])}
    assert sent - SEEN == set()
