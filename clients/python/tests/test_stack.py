"""The KISS stack's calls over REST and over a WebSocket, against the real server."""

import asyncio
import json
import os
import subprocess
import sys

import pytest

from conftest import CLIENT, host
from harness import PATIENCE, clean_environment, new_id
from kiss import SECRET_KEY, token
from parlance_client import Event, ParlanceError, RestEvent, WebSocketEvent

MOON = "The moon is about 384400 kilometres away from the earth."
BOTH = pytest.mark.parametrize("kind", [RestEvent, WebSocketEvent])


@pytest.fixture(scope="module")
def server(shared_world):
    return shared_world.server(environment={"ACCESS_TOKEN_SECRET_KEY": SECRET_KEY})


@pytest.fixture
def moon(tmp_path):
    path = tmp_path / "moon.txt"
    path.write_text(MOON)
    return path


async def opened(kind, server, scope="temporary", **options):
    client = kind(host(server), False, **options)
    await client.authorize_stack(scope=scope)
    await client.bootstrap_stack()
    return client


@BOTH
async def test_the_calls_of_the_old_client_work_as_they_were_written(server, moon, kind):
    client = kind(hostname=host(server), secure_protocol=False)
    session = await client.authorize_stack(scope="temporary")
    assert session.access_token and session.client_id and session.client_secret

    response = await client.bootstrap_stack(data="Hello, Stack!")
    assert response.stack_id == session.client_id and response.result
    response = await client.generate_answer(data="What is the weather today?")
    assert response.result

    response = await client.store_data(files=[str(moon)], metadata={"category": "example"})
    assert response.result == "Files stored" and sum(response.extras.values(), [])
    response = await client.generate_answer(data="How far away is the moon?")
    assert response.extras["supporting_documents"][0]["name"] == "moon.txt"
    assert response.extras["metadata"][0] == {"category": "example"}

    response = await client.destroy_stack(data="Goodbye!")
    assert response.stack_id == session.client_id
    assert client.session() is None


@BOTH
async def test_an_answer_is_a_mapping_too(server, kind):
    async with await opened(kind, server) as client:
        answer = await client.generate_answer("Hello?")
        assert answer["result"] == answer.result and set(answer) == {"stack_id", "result", "extras"}
        assert json.loads(answer.model_dump_json()) == answer.model_dump() == answer


async def test_a_session_does_not_show_its_secrets(server):
    async with RestEvent(host(server), False) as client:
        session = await client.authorize_stack(scope="temporary")
        assert session.client_id in repr(session)
        assert session.access_token not in repr(session)
        assert session.client_secret not in str(session)


@BOTH
async def test_a_persistent_session_is_there_again_after_a_restart(world, moon, kind):
    server = world.server()
    client = await opened(kind, server, "persistent")
    first = client.session()
    await client.store_data(files=[moon])
    await client.close()
    server.restart()
    async with kind(host(server), False) as again:
        session = await again.authorize_stack(client_id=first.client_id,
                                              client_secret=first.client_secret)
        assert session.client_id == first.client_id
        answer = await again.generate_answer("How far away is the moon?")
        assert answer.extras["supporting_documents"][0]["name"] == "moon.txt"


def expire(client):
    session = client.session()
    session["access_token"] = token(session.client_id, scope=session.scope, expires_in=-120)
    return session.access_token


@BOTH
async def test_a_persistent_session_renews_its_token(server, kind):
    async with await opened(kind, server, "persistent") as client:
        old = expire(client)
        assert (await client.generate_answer("Hello?")).result
        assert client.session().access_token != old


@BOTH
async def test_calls_at_once_with_an_expired_token_are_all_answered(server, kind):
    async with await opened(kind, server, "persistent") as client:
        expire(client)
        answers = await asyncio.gather(*[client.generate_answer(f"Question {n}?")
                                         for n in range(8)])
        assert [a.extras["query"] for a in answers] == [f"Question {n}?" for n in range(8)]


async def test_a_token_that_expires_on_an_open_socket_is_renewed(server):
    async with await opened(WebSocketEvent, server, "persistent") as client:
        session = client.session()
        await client.close()
        # Good for the handshake, and not for long.
        session["access_token"] = token(session.client_id, scope="persistent", expires_in=2)
        end = asyncio.get_running_loop().time() + PATIENCE
        old = session.access_token
        while client.session().access_token == old:
            assert asyncio.get_running_loop().time() < end, "the token was never renewed"
            answers = await asyncio.gather(*[client.generate_answer("Hello?") for _ in range(4)])
            assert all(answer.result for answer in answers)


async def test_a_token_is_renewed_before_it_expires(world):
    server = world.server(environment={"ACCESS_TOKEN_EXPIRE_MINUTES": "1"})
    async with RestEvent(host(server), False) as client:
        session = await client.authorize_stack(scope="persistent")
        assert session.expires_in == 60
        await client.bootstrap_stack()
        client._authorization._renew_at = 0.0
        await client.generate_answer("Hello?")
        assert client.session().access_token != session.access_token or (
            client._authorization._renew_at > 0)


@BOTH
async def test_a_temporary_session_cannot_be_renewed(server, kind):
    async with await opened(kind, server) as client:
        expire(client)
        with pytest.raises(ParlanceError) as refusal:
            await client.generate_answer("Hello?")
        assert refusal.value.status == 401


@BOTH
async def test_a_refusal_tells_its_status_and_why(server, kind):
    async with kind(host(server), False) as client:
        await client.authorize_stack(scope="temporary")
        with pytest.raises(ParlanceError) as refusal:
            await client.generate_answer("Too early?")
        assert refusal.value.status == 409 and refusal.value.detail
        assert refusal.value.detail in str(refusal.value)


async def test_a_refusal_over_rest_names_its_request(server):
    async with RestEvent(host(server), False) as client:
        with pytest.raises(ParlanceError) as refusal:
            await client.authorize_stack(client_id="nobody", client_secret="wrong")
        assert refusal.value.status == 401 and refusal.value.request_id


@BOTH
async def test_a_call_before_authorize_is_refused_here(server, kind):
    client = kind(host(server), False)
    with pytest.raises(ParlanceError, match="authorize_stack first"):
        await client.bootstrap_stack()


@BOTH
async def test_a_second_destroy_is_harmless(server, kind):
    client = await opened(kind, server)
    await client.destroy_stack()
    assert (await client.destroy_stack()).result == "No active session"


@BOTH
async def test_a_file_that_is_missing_fails_the_whole_store(server, moon, kind):
    async with await opened(kind, server) as client:
        with pytest.raises(FileNotFoundError):
            await client.store_data(files=[moon, moon.with_name("missing.txt")])
        answer = await client.generate_answer("How far away is the moon?")
        assert not answer.extras["supporting_documents"]


@BOTH
async def test_a_server_that_is_away_is_an_error_without_a_status(world, kind):
    server = world.server()
    client = kind(host(server), False)
    assert server.stop() == 0
    with pytest.raises(ParlanceError) as failure:
        await client.authorize_stack(scope="temporary")
    assert failure.value.status is None and failure.value.passing


def test_a_client_may_be_used_by_one_event_loop_after_the_other(server):
    client = RestEvent(host(server), False)
    asyncio.run(client.authorize_stack(scope="temporary"))
    asyncio.run(client.bootstrap_stack())
    assert asyncio.run(client.generate_answer("Hello?")).result
    asyncio.run(client.destroy_stack())


async def test_a_query_over_rest_outlives_a_crash_of_the_server(world):
    upstream = world.upstream("--tokens", 40, "--token-ms", 20)
    server = world.server(upstream=upstream)
    async with await opened(RestEvent, server, "persistent") as client:
        asked = asyncio.create_task(client.generate_answer("Are you still there?"))
        await upstream.stats_until(lambda stats: stats["requests"] >= 1, "the model to be asked")
        server.kill9()
        await asyncio.to_thread(server.start)
        try:
            answer = await asyncio.wait_for(asked, PATIENCE)
            assert answer.extras["query"] == "Are you still there?"
        except ParlanceError as failure:
            # The run was ended by the crash, and that is what every repeat is told.
            assert failure.status is not None, failure


# ---- Over a WebSocket alone ----


@pytest.fixture
def slow(world):
    upstream = world.upstream("--tokens", 40, "--token-ms", 10)
    return world.server(upstream=upstream)


async def test_a_streamed_answer_tells_steps_and_deltas(slow):
    async with await opened(WebSocketEvent, slow) as client:
        stream = client.generate_answer(data="Hello?", stream=True)
        events = [event async for event in stream]
        assert all(isinstance(event, Event) for event in events)
        text = "".join(event.delta for event in events if event.type == "agent_delta")
        steps = [event for event in events if event.type == "agent_step"]
        assert text == steps[-1].message == stream.answer.result
        assert steps[-1].step_type == "FinalAnswerStep"


async def test_a_streamed_answer_may_be_awaited(slow):
    async with await opened(WebSocketEvent, slow) as client:
        assert (await client.generate_answer("Hello?", stream=True)).extras["query"] == "Hello?"


async def test_leaving_a_streamed_answer_leaves_the_next_call_alone(slow):
    async with await opened(WebSocketEvent, slow) as client:
        left = client.generate_answer("One?", stream=True)
        async for _ in left:
            break
        assert (await client.generate_answer("Two?")).extras["query"] == "Two?"
        assert left.answer is None


async def test_calls_at_once_get_each_its_own_answer(slow):
    async with await opened(WebSocketEvent, slow) as client:
        answers = await asyncio.gather(*[client.generate_answer(f"Question {n}?")
                                         for n in range(4)])
        assert [a.extras["query"] for a in answers] == [f"Question {n}?" for n in range(4)]


async def test_a_socket_lost_in_a_call_fails_it_and_the_next_one_opens_another(slow):
    async with await opened(WebSocketEvent, slow, "persistent") as client:
        with pytest.raises(ParlanceError, match="lost before the answer") as failure:
            async for _ in client.generate_answer("One?", stream=True):
                if slow.running:
                    slow.kill9()
        assert failure.value.status is None
        await asyncio.to_thread(slow.start)
        assert (await client.generate_answer("Two?")).extras["query"] == "Two?"


# ---- The examples ----


@pytest.mark.parametrize("name", ["stack.py", "chat.py"])
def test_an_example_runs(server, name):
    done = subprocess.run(
        [sys.executable, CLIENT / "examples" / name, host(server), new_id("example")],
        env=clean_environment(PYTHONPATH=CLIENT), capture_output=True, text=True,
        timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() and not done.stderr
