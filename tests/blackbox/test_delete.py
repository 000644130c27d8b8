"""Deleting a chat, or a client's session, leaves nothing of it: not in answers, not on the disk."""

import asyncio
import concurrent.futures

import pytest

from harness import (FROM_START, PATIENCE, Chat, Events, SyncFaults, fetch, new_id, until,
                     wait_until)
from kiss import TOWER, Rest, b64, bytes_on_disk, passages_of
from platform_api import Api

SECRET = "the words of a chat that is deleted: obsidian-41"


@pytest.fixture
def server(world):
    return world.server(upstream=world.upstream("--tokens", 5))


@pytest.fixture
def slow(world):
    """A server whose model takes about half a minute for an answer."""
    return world.server(upstream=world.upstream("--tokens", 2_000, "--token-ms", 15))


def delete(server, chat_id):
    return fetch(server.port, "DELETE", f"/chat/{chat_id}")


async def deleted(server, chat_id):
    """Beside what a client reads meanwhile."""
    return await asyncio.get_running_loop().run_in_executor(None, delete, server, chat_id)


def is_problem(answer, status, text):
    assert answer.status == status, answer
    assert text in answer.json["detail"], answer
    assert answer.headers["content-type"].startswith("application/problem+json")


async def test_a_deleted_chat_is_gone_for_ever(server):
    async with Chat(server, "gone") as chat:
        await chat.ask(SECRET, "m1")
    answer = delete(server, "gone")
    assert (answer.status, answer.body) == (204, b"")
    assert server.history("gone") == []
    wait_until(lambda: not bytes_on_disk(server, "obsidian-41"), "the bytes are gone")
    for again in (False, True):
        if again:
            server.restart()
        is_problem(delete(server, "gone"), 404, "deleted")
        for name in ("m1", new_id()):
            is_problem(server.post("/chat/gone/messages", {"message": SECRET, "message_id": name}),
                       404, "the session was deleted")
    assert server.history("gone") == []
    assert not bytes_on_disk(server, "obsidian-41")


async def test_what_a_delete_erases_is_erased_though_the_server_is_killed_at_once(server):
    async with Chat(server, "gone") as chat:
        await chat.ask(SECRET)
    server.restart()  # It is in table files now, not in the log alone.
    assert delete(server, "gone").status == 204
    server.restart()
    wait_until(lambda: not bytes_on_disk(server, "obsidian-41"), "no file holds it")
    assert server.history("gone") == []


@pytest.mark.sanitizer
async def test_an_answer_in_progress_and_those_that_wait_end_with_their_chat(slow):
    async with Chat(slow, "busy", tokens=True) as chat:
        first, second = await chat.send("one"), await chat.send("two")
        await chat.text_of(first, 20)
        assert (await deleted(slow, "busy")).status == 204
        await chat.frame("gap")
        ends = [await chat.end_of(name) for name in (first, second)]
        assert [end["status"] for end in ends] == ["cancelled", "cancelled"]
        assert chat.frames[-1] == {"type": "gap", "history": []}
    assert slow.history("busy") == []
    assert slow.metric("runs_active") == 0


async def test_a_chat_that_is_deleted_twice_at_once_is_gone_when_either_is_answered(slow):
    async with Chat(slow, "twice", tokens=True) as chat:
        await chat.text_of(await chat.send("one"), 20)
        for answer in asyncio.as_completed([deleted(slow, "twice") for _ in range(4)]):
            assert (await answer).status in (204, 404)
            assert slow.history("twice") == []


@pytest.mark.parametrize("kind", [Chat, Events])
async def test_who_holds_a_part_of_a_deleted_chat_is_told_so(server, kind):
    async with Chat(server, "held") as chat:
        await chat.ask("one")
        held = [chat.transcript.events[0]["cursor"], chat.transcript.cursor]
    async with kind(server, "held", after=held[0]) as watcher:
        await watcher.wait(lambda: len(watcher.frames) == 3, "the rest of it")
        assert (await deleted(server, "held")).status == 204
        await watcher.frame("gap", history=[])
    for cursor in held:
        async with kind(server, "held", after=cursor) as late:
            await late.wait(lambda: late.frames, "a first frame")
            assert late.frames == [{"type": "gap", "history": []}]
    # From the beginning there is nothing that could be missing.
    async with kind(server, "held", after=FROM_START) as fresh:
        await fresh.wait(lambda: fresh.frames, "a first frame")
        assert [frame["type"] for frame in fresh.frames] == ["resumed"]


@pytest.mark.sanitizer
async def test_a_delete_while_messages_come_loses_none_of_them_silently(server):
    for round_ in range(20):
        name = f"race-{round_}"
        assert server.post(f"/chat/{name}/messages", {"message": "one"}).status == 202
        sent = asyncio.gather(*(asyncio.get_running_loop().run_in_executor(
            None, server.post, f"/chat/{name}/messages", {"message": f"m{i}"}) for i in range(4)))
        assert (await deleted(server, name)).status == 204
        for answer in await sent:
            assert answer.status in (202, 404, 429), answer
        assert server.history(name) == []
    await until(lambda: server.metric("runs_active") == 0, "the end of all runs")


def test_what_is_no_chat_is_not_deleted_as_one(server):
    is_problem(delete(server, "nobody-was-here"), 404, "there is no such chat")
    is_problem(delete(server, "b@d"), 400, "chat_id")
    session = Api(server).session()["id"]
    is_problem(delete(server, session), 409, "DELETE /api/v1/session/{id}")
    client = Rest(server).open("persistent")
    is_problem(delete(server, client.session["client_id"]), 409, "DELETE /sessions")
    assert client.query("Still there?").status == 200
    assert Api(server).get(f"/session/{session}").status == 200


def test_an_api_key_is_needed_to_delete_a_chat(world):
    key = "key-of-the-tests-0123456789"
    server = world.server({"api_keys": [key]}, upstream=world.upstream("--tokens", 5))
    headers = {"Authorization": f"Bearer {key}"}
    assert server.post("/chat/kept/messages", {"message": "one"}, headers).status == 202
    assert delete(server, "kept").status == 401
    foreign = {**headers, "Origin": "http://elsewhere.example"}
    assert fetch(server.port, "DELETE", "/chat/kept", None, foreign).status == 403
    assert fetch(server.port, "GET", "/history/kept", None, headers).json != []
    assert fetch(server.port, "DELETE", "/chat/kept", None, headers).status == 204


@pytest.mark.parametrize("scope", ["temporary", "persistent"])
@pytest.mark.parametrize("state", ["authorized", "initialized", "closed"])
def test_a_client_deletes_its_session_wherever_that_is_in_its_life(world, scope, state):
    server = world.server()
    rest = Rest(server)
    rest.auth(scope)
    if state != "authorized":
        rest.init()
        stored = rest.store({"files": [{"name": "tower.txt", "content": b64(TOWER)}]})
        assert stored.status == 200, stored
        assert passages_of(rest, "How high is the Khufu lighthouse?")
    if state == "closed":
        rest.close()
    answer = rest.call("/sessions", method="DELETE")
    if (scope, state) == ("temporary", "closed"):
        return is_problem(answer, 401, "deactivated")  # Its close was the end of it.
    assert (answer.status, answer.body) == (204, b"")
    wait_until(lambda: not bytes_on_disk(server, "red granite"), "the bytes are gone")
    for _ in range(2):
        is_problem(rest.call("/sessions", method="DELETE"), 401, "deactivated")
        is_problem(rest.query("Anything left?"), 401, "deactivated")
        known = {key: rest.session[key] for key in ("client_id", "client_secret")}
        assert Rest(server).auth(**known).status == 401
        server.restart()
        rest.port = server.port
    assert server.history(rest.session["client_id"]) == []
    assert not bytes_on_disk(server, "red granite")


def test_a_delete_that_comes_while_a_close_is_written_erases(world, fault_library):
    faults = SyncFaults(fault_library, world.folder)
    server = world.server(environment=faults.environment)
    rest = Rest(server).open("persistent")
    stored = rest.store({"files": [{"name": "tower.txt", "content": b64(TOWER)}]})
    assert stored.status == 200, stored
    faults.hold()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        closing = pool.submit(rest.close)
        wait_until(lambda: rest.query("Still open?").status == 409, "the close to be written")
        deleting = pool.submit(rest.call, "/sessions", method="DELETE")
        wait_until(lambda: rest.query("Still there?").status == 401, "the delete to have come")
        faults.off()
        assert closing.result(PATIENCE).status == 200
        assert deleting.result(PATIENCE).status == 204
    wait_until(lambda: not bytes_on_disk(server, "red granite"), "the bytes are gone")
    server.restart()
    known = {key: rest.session[key] for key in ("client_id", "client_secret")}
    assert Rest(server).auth(**known).status == 401


def test_a_token_is_needed_to_delete_a_session(server):
    assert fetch(server.port, "DELETE", "/sessions").status == 401
