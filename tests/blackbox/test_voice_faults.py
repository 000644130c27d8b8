"""Voice when something fails: each of the three steps, the server itself, a session that is deleted.
What was said so far is kept, and a retry does only what is missing."""
# ctest: TIMEOUT=600

import asyncio
import concurrent.futures
import http.client

import pytest

from api_schemas import Document
from harness import SANITIZE, SyncFaults, new_id, wait_until
from platform_api import is_problem
from voice import audio_files, calls, listen, recording, speaking

pytestmark = pytest.mark.sanitizer

HEARD = "How far are the pyramids?"
ANSWER = "Thirteen kilometres."
ROUTES = ("transcriptions", "chat", "speech")
GOOD = {"transcriptions": {"text": HEARD}, "chat": {"text": ANSWER}, "speech": {}}
# What is there of the conversation when a step fails: the contents of its messages.
KEPT = {"transcriptions": [None], "chat": [HEARD], "speech": [HEARD, ANSWER]}


def script(failing=None, *faults):
    """Each fault is met once by the calls of one route; after them all is well."""
    return [{"route": route, **entry} for route in ROUTES
            for entry in (*(faults if route == failing else ()), GOOD[route])]


def counts(route, number):
    """The calls when the step of `route` was tried `number` times and what is before it once."""
    return tuple(number if each == route else int(ROUTES.index(each) < ROUTES.index(route))
                 for each in ROUTES)


def is_kept(api, session, route, message_id):
    """The conversation has what was said before the step of `route` failed, marked failed."""
    messages = api.messages(session)
    assert [m["content"] for m in messages] == KEPT[route]
    user = messages[0]
    assert user["id"] == message_id and user["content_type"] == "voice"
    assert user["status"] == "failed" and user["error"]
    assert api.heard(user) == recording()
    for answer in messages[1:]:
        assert answer["reply_to"] == message_id and answer["audio"] is None
    return messages


def is_complete(api, session, message_id):
    """The conversation is one exchange, answered and spoken."""
    user, answer = api.ended(session)
    assert (user["id"], user["content"], user["error"]) == (message_id, HEARD, None)
    assert (answer["content"], answer["reply_to"]) == (ANSWER, message_id)
    assert user["status"] == answer["status"] == "completed"
    assert user["content_type"] == answer["content_type"] == "voice"
    assert api.heard(user) == recording()
    assert 1.9 < listen(api.heard(answer)).seconds < 2.2
    assert len(audio_files(api.server)) == 2
    return answer


# ---- A step that fails ----


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("accept", ["audio/mpeg", "application/json"])
def test_a_step_that_fails_keeps_what_was_said_and_is_tried_again(world, route, accept):
    upstream, api = speaking(world, script(route, {"status": 500}))
    openapi = Document(api.get("/openapi.json").json)
    session = api.session()
    problem = is_problem(api.speak(session, Accept=accept), 503)
    openapi.check("Problem", problem)
    is_kept(api, session, route, problem["message_id"])
    openapi.check("Conversation", api.conversation(session))
    assert calls(upstream) == counts(route, 1)

    answer = api.retry(session, problem["message_id"])
    assert answer.status == 201, answer
    openapi.check("Message", answer.json)
    assert answer.json == is_complete(api, session, problem["message_id"])
    assert calls(upstream) == tuple(2 if each == route else 1 for each in ROUTES)
    is_problem(api.retry(session, problem["message_id"]), 409)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("fault, statuses", [
    ({"status": 400}, (422, 503)), ({"status": 401}, (503,)), ({"status": 404}, (503,)),
    ({"status": 429, "retry_after": 1}, (429, 503)), ({"status": 503}, (503,)),
    ({"garbage": "http"}, (503,)), ({"cut_at_byte": 0}, (503,)), ({"never_answer": True}, (503, 504))])
def test_every_refusal_of_a_provider_is_a_problem_with_the_message(world, route, fault, statuses):
    short = {"first_byte_timeout": "500ms"} if "never_answer" in fault else {}
    model = {"first_token_timeout": "500ms"} if "never_answer" in fault else {}
    _, api = speaking(world, script(route, fault), speech=short, provider=model)
    session = api.session()
    answer = api.speak(session)
    assert answer.status in statuses, answer
    problem = is_problem(answer, answer.status)
    is_kept(api, session, route, problem["message_id"])
    assert api.retry(session, problem["message_id"]).status == 201
    is_complete(api, session, problem["message_id"])


@pytest.mark.parametrize("route", ROUTES)
def test_a_retry_that_fails_can_be_tried_again(world, route):
    upstream, api = speaking(world, script(route, *[{"status": 500}] * 3))
    session = api.session()
    name = is_problem(api.speak(session), 503)["message_id"]
    for tried in (2, 3):
        assert is_problem(api.retry(session, name), 503)["message_id"] == name
        is_kept(api, session, route, name)
        assert calls(upstream) == counts(route, tried)
    assert api.retry(session, name).status == 201
    is_complete(api, session, name)


def test_a_retry_goes_on_through_all_steps_that_fail(world):
    upstream, api = speaking(world, [
        {"route": route, **entry} for route in ROUTES for entry in ({"status": 500}, GOOD[route])])
    session = api.session()
    name = is_problem(api.speak(session), 503)["message_id"]
    for route in ROUTES[1:]:
        is_problem(api.retry(session, name), 503)
        is_kept(api, session, route, name)
    assert api.retry(session, name).status == 201
    is_complete(api, session, name)
    assert calls(upstream) == (2, 2, 2)


@pytest.mark.parametrize("route", ROUTES)
def test_what_failed_is_there_after_a_restart_and_is_tried_again(world, route):
    upstream, api = speaking(world, script(route, {"status": 500}))
    session = api.session()
    name = is_problem(api.speak(session), 503)["message_id"]
    before = is_kept(api, session, route, name)
    api.server.restart()
    assert api.messages(session) == before
    assert api.retry(session, name).status == 201
    is_complete(api, session, name)
    assert calls(upstream) == tuple(2 if each == route else 1 for each in ROUTES)


def test_a_repeated_retry_is_one_run(world):
    upstream, api = speaking(world, script("speech", {"status": 500}))
    session = api.session()
    name = is_problem(api.speak(session), 503)["message_id"]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: api.retry(session, name, Idempotency_Key="k"), range(4)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.json["id"] for answer in answers}) == 1
    is_complete(api, session, name)
    assert calls(upstream) == (1, 1, 2)


def test_a_conversation_goes_on_after_a_failure(world):
    _, api = speaking(world, script("chat", {"status": 500}))
    session = api.session()
    is_problem(api.speak(session), 503)
    api.exchange(session)
    assert api.say(session, "hello").status == 201
    assert [m["status"] for m in api.messages(session)] == ["failed"] + ["completed"] * 4


def test_a_recording_without_words_is_422_and_kept(world):
    upstream, api = speaking(world, script("transcriptions", {"text": ""}, {"text": " \n"}))
    session = api.session()
    problem = is_problem(api.speak(session), 422)
    is_kept(api, session, "transcriptions", problem["message_id"])
    assert calls(upstream) == (1, 0, 0)
    is_problem(api.retry(session, problem["message_id"]), 422)
    assert api.retry(session, problem["message_id"]).status == 201
    is_complete(api, session, problem["message_id"])


# ---- Speech that breaks off ----


def broken_off(world):
    upstream, api = speaking(world, script(
        "speech", {"cut_at_byte": 12_000, "split_bytes": 4_000, "split_ms": 20}))
    return upstream, api, api.session()


def test_speech_that_breaks_off_has_no_last_chunk(world):
    _, api, session = broken_off(world)
    with pytest.raises(http.client.IncompleteRead) as read:
        api.speak(session)
    assert 0 < len(read.value.partial) <= 12_000
    name = api.messages(session)[0]["id"]
    wait_until(lambda: api.messages(session)[0]["status"] == "failed", "it is marked failed")
    is_kept(api, session, "speech", name)


def test_speech_that_broke_off_is_spoken_again(world):
    upstream, api, session = broken_off(world)
    problem = is_problem(api.speak(session, Accept="application/json"), 503)
    is_kept(api, session, "speech", problem["message_id"])
    assert len(audio_files(api.server)) == 1, "half of an answer is no recording"
    assert api.retry(session, problem["message_id"]).status == 201
    is_complete(api, session, problem["message_id"])
    assert calls(upstream) == (1, 1, 2)


def test_speech_that_stalls_is_given_up(world):
    _, api = speaking(world, script(
        "speech", {"split_bytes": 8_000, "split_ms": 3_600_000}),
        speech={"stream_idle_timeout": "500ms"})
    session = api.session()
    with pytest.raises(http.client.IncompleteRead):
        api.speak(session)
    wait_until(lambda: api.messages(session)[0]["status"] == "failed", "it is marked failed")
    name = api.messages(session)[0]["id"]
    assert api.retry(session, name).status == 201
    is_complete(api, session, name)


# ---- Crashes ----


HELD = {"transcriptions": {"never_answer": True}, "chat": {"never_answer": True},
        "speech": {"split_bytes": 8_000, "split_ms": 3_600_000}}


def hold(upstream, route):
    """Waits until the step of `route` is under way, and will be for as long as it takes."""
    upstream.wait_stats(lambda s: s["requests"] == ROUTES.index(route) + 1 and s["active"] == 1,
                        f"the call of {route}")


@pytest.mark.parametrize("route", ROUTES)
def test_after_a_crash_in_any_step_the_run_goes_on(world, route):
    upstream, api = speaking(world, script(route, HELD[route]))
    session, key = api.session(), new_id("key")
    sender = api.begin(session, Idempotency_Key=key)
    hold(upstream, route)
    name = api.messages(session)[0]["id"]
    api.server.restart()
    sender.join(20)
    answer = is_complete(api, session, name)
    again = api.speak(session, Idempotency_Key=key)
    assert again.status == 201 and again.body == api.heard(answer)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["x-message-id"] == answer["id"]
    assert calls(upstream) == tuple(2 if each == route else 1 for each in ROUTES)


@pytest.mark.skipif(bool(SANITIZE), reason="a sanitizer wants to be the first library that is loaded")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, 12))
def test_a_crash_at_any_sync_leaves_all_or_nothing(world, fault_library, tmp_path, when, number):
    faults = SyncFaults(fault_library, tmp_path)
    upstream, api = speaking(world, script(), environment=faults.environment)
    session = api.session()
    faults.kill(when, number)
    sender = api.begin(session)
    # Few syncs are enough for an exchange: it may be over before the one that would end the server.
    wait_until(lambda: not api.server.running or len(ended(api, session)) == 2, "the crash")
    faults.off()
    if api.server.running:
        api.server.kill9()
    else:
        api.server.wait_exit()
    api.server.start()
    sender.join(20)
    wait_until(lambda: all(m["status"] != "pending" for m in api.messages(session)), "its end")
    messages = api.messages(session)
    assert [m["content"] for m in messages] in ([], [HEARD, ANSWER])
    if messages:
        is_complete(api, session, messages[0]["id"])
    # A recording is durable before its message: without one it stays until it is too old.
    assert len(audio_files(api.server)) - len(messages) in ((0, 1) if messages == [] else (0,))


def ended(api, session):
    """The messages that have ended; none where the server does not answer any more."""
    try:
        return [m for m in api.messages(session) if m["status"] != "pending"]
    except (OSError, http.client.HTTPException):
        return []


def test_after_a_stop_in_any_step_the_run_goes_on(world):
    upstream, api = speaking(world, script("speech", HELD["speech"]))
    session = api.session()
    api.begin(session)
    hold(upstream, "speech")
    name = api.messages(session)[0]["id"]
    assert api.server.stop() == 0
    api.server.start()
    is_complete(api, session, name)


# ---- Deleting ----


@pytest.mark.parametrize("route", ROUTES)
async def test_deleting_a_session_while_it_answers_removes_its_recordings(world, route):
    upstream, api = speaking(world, script(route, HELD[route]))
    session, other = api.session(), api.session()
    waiting = asyncio.create_task(asyncio.to_thread(api.speak, session, Accept="application/json"))
    await asyncio.to_thread(hold, upstream, route)
    assert len(audio_files(api.server)) >= 1
    gone = await asyncio.to_thread(api.delete, f"/session/{session['id']}")
    assert gone.status == 204, gone
    is_problem(await waiting, 409, "the session was deleted")
    await asyncio.to_thread(wait_until, lambda: audio_files(api.server) == [], "no recordings")
    upstream.wait_stats(lambda s: s["active"] == 0, "the provider's call is ended")
    is_problem(api.get(f"/message/conversion/{session['id']}"), 404)
    upstream.script(script())
    api.exchange(other)


async def test_deleting_a_session_while_it_speaks_ends_the_speech(world):
    upstream, api = speaking(world, script("speech", HELD["speech"]))
    session = api.session()
    waiting = asyncio.create_task(asyncio.to_thread(api.speak, session))
    await asyncio.to_thread(hold, upstream, "speech")
    assert (await asyncio.to_thread(api.delete, f"/session/{session['id']}")).status == 204
    with pytest.raises(http.client.IncompleteRead):
        await waiting
    await asyncio.to_thread(wait_until, lambda: audio_files(api.server) == [], "no recordings")


def test_deleting_a_session_removes_its_recordings_and_no_others(world):
    _, api = speaking(world, script())
    session, other = api.session(), api.session()
    message, answer = api.exchange(session)
    kept = api.exchange(other)
    assert api.delete(f"/session/{session['id']}").status == 204
    for one in (message, answer):
        is_problem(api.fetch(one["audio"]["href"]), 404)
    wait_until(lambda: len(audio_files(api.server)) == 2, "its recordings are gone")
    assert [len(api.heard(one)) for one in kept] == [one["audio"]["bytes"] for one in kept]


def test_deleting_an_agent_with_its_sessions_removes_their_recordings(world):
    _, api = speaking(world, script())
    agent = api.agent()
    for _ in range(3):
        api.exchange(api.session(agent))
    assert len(audio_files(api.server)) == 6
    assert api.delete(f"/agent/{agent['id']}?cascade=true").status == 204
    wait_until(lambda: audio_files(api.server) == [], "their recordings are gone")


def test_a_session_deleted_before_a_crash_has_no_recordings_after_it(world):
    _, api = speaking(world, script())
    session = api.session()
    api.exchange(session)
    assert api.delete(f"/session/{session['id']}").status == 204
    api.server.restart()
    wait_until(lambda: audio_files(api.server) == [], "its recordings are gone")
