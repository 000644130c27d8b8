"""Voice messages: heard, answered and spoken, by a provider and offline."""
# ctest: TIMEOUT=600

import concurrent.futures

import pytest

from api_schemas import Document
from harness import Chat, Wire, new_id
from platform_api import is_entity, is_problem
from voice import (KINDS, VoiceApi, calls, listen, made_by, recording, speaking, spoken,
                   voice_form)

HEARD = "How far are the pyramids from downtown Cairo?"
ANSWER = "About thirteen kilometres."
ARABIC_HEARD = "كم تبعد الأهرام عن وسط القاهرة؟"
ARABIC_ANSWER = "تبعد نحو ثلاثة عشر كيلومترا."
SCRIPT = [{"route": "transcriptions", "text": HEARD}, {"text": ANSWER}]
OFFLINE = {"speech": {"kind": "offline"}}
FLAC = ("flac", "--silent", "--force")
LAME = ("lame", "--quiet")


@pytest.fixture(scope="module")
def talk(shared_world):
    """A server whose provider hears and says always the same."""
    upstream, api = speaking(shared_world, SCRIPT)
    yield api
    assert api.server.running, "something ended the server"


@pytest.fixture(scope="module")
def openapi(talk):
    return Document(talk.get("/openapi.json").json)


@pytest.fixture(scope="module")
def alone(shared_world):
    """A server without any provider."""
    server = shared_world.server(OFFLINE)
    yield VoiceApi(server)
    assert server.running, "something ended the server"


# ---- What is sent in ----


def is_exchange(api, session, message, answer):
    is_entity(message)
    is_entity(answer)
    assert message["role"] == "user" and answer["role"] == "assistant"
    assert message["content_type"] == answer["content_type"] == "voice"
    assert answer["reply_to"] == message["id"] and message["reply_to"] is None
    assert message["status"] == answer["status"] == "completed"
    assert message["error"] is None and answer["error"] is None
    for one in (message, answer):
        assert one["session_id"] == session["id"]
        assert one["audio"]["href"] == (f"/api/v1/message/{one['id']}/audio"
                                        f"?session_id={session['id']}")
        assert len(api.heard(one)) == one["audio"]["bytes"]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_of_recording_is_heard_and_answered(talk, kind):
    session = talk.session()
    sent = recording(kind)
    message, answer = talk.exchange(session, sent, name="x", kind="application/octet-stream")
    is_exchange(talk, session, message, answer)
    assert message["content"] == HEARD and answer["content"] == ANSWER
    assert message["audio"]["type"] == KINDS[kind][2]
    assert 2_800 <= message["audio"]["duration_ms"] <= 3_200
    assert talk.heard(message) == sent


@pytest.mark.parametrize("coder, kind", [(LAME, "audio/mpeg"), (FLAC, "audio/flac")])
def test_what_other_coders_make_is_heard(talk, coder, kind):
    sent = made_by(*coder[:1], recording("wav"), *coder[1:])
    message, _ = talk.exchange(talk.session(), sent)
    assert message["audio"]["type"] == kind
    assert talk.heard(message) == sent


def test_the_provider_gets_the_recording_and_what_it_is(world):
    upstream, api = speaking(world, SCRIPT)
    sent = recording("ogg")
    api.exchange(api.session(), sent, name="lies.wav", language="ar")
    heard, = upstream.requests(route="transcriptions")
    assert len(sent) < heard["bytes"] < len(sent) + 2_000
    assert "audio/ogg" in heard["form"] and ".ogg" in heard["form"]
    assert "lies" not in heard["form"]
    assert 'name="language"\r\n\r\nar\r\n' in heard["form"]
    assert "whisper-1" in heard["form"]


def test_a_language_of_a_country_is_told_as_the_language(world):
    upstream, api = speaking(world, SCRIPT)
    api.exchange(api.session(), language="en-US")
    heard, = upstream.requests(route="transcriptions")
    assert 'name="language"\r\n\r\nen\r\n' in heard["form"]


@pytest.mark.parametrize("language", ["e", "x" * 36, "en us", "", "ar\r\n", "ع"])
def test_a_language_that_is_no_tag_is_422(talk, language):
    session = talk.session()
    problem = is_problem(talk.speak(session, language=language), 422)
    assert [error["pointer"] for error in problem["errors"]] == ["/language"]
    assert talk.messages(session) == []


# ---- What comes back ----


def test_the_answer_is_speech_as_it_is_kept(talk, openapi):
    session = talk.session()
    answer = talk.speak(session)
    assert answer.status == 201, answer
    assert answer.headers["content-type"] == "audio/mpeg"
    assert answer.headers["transfer-encoding"] == "chunked"
    assert 1.9 < listen(answer.body).seconds < 2.2
    user, assistant = talk.messages(session)
    assert answer.headers["x-transcript-id"] == user["id"]
    assert answer.headers["x-message-id"] == assistant["id"]
    assert talk.heard(assistant) == answer.body
    assert assistant["audio"]["type"] == "audio/mpeg"
    assert assistant["audio"]["bytes"] == len(answer.body)
    assert assistant["audio"]["duration_ms"] is None  # The provider does not say.
    assert (user["audio"]["engine"], assistant["audio"]["engine"]) == ("whisper-1", "tts-1")
    openapi.check("Conversation", talk.conversation(session))


@pytest.mark.parametrize("accept", ["*/*", "audio/mpeg", "audio/*", "audio/mpeg, */*;q=0.1", None])
def test_speech_is_what_most_get(talk, accept):
    answer = talk.speak(talk.session(), **({"Accept": accept} if accept else {}))
    assert answer.status == 201 and answer.headers["content-type"] == "audio/mpeg"


@pytest.mark.parametrize("accept", ["application/json", "application/json; charset=utf-8",
                                    "Application/JSON, text/plain;q=0.5"])
def test_both_messages_are_what_others_ask_for(talk, openapi, accept):
    session = talk.session()
    answer = talk.speak(session, Accept=accept)
    assert answer.status == 201 and answer.headers["content-type"] == "application/json"
    openapi.check("VoiceMessageAnswer", answer.json)
    assert talk.messages(session) == [answer.json["message"], answer.json["answer"]]


def test_an_arabic_question_has_an_arabic_answer(world):
    upstream, api = speaking(world, [{"route": "transcriptions", "text": ARABIC_HEARD},
                                     {"text": ARABIC_ANSWER}])
    message, answer = api.exchange(api.session(), spoken(ARABIC_HEARD, "ar"))
    assert (message["content"], message["language"]) == (ARABIC_HEARD, "ar")
    assert (answer["content"], answer["language"]) == (ARABIC_ANSWER, "ar")
    asked, = upstream.requests()
    assert asked["messages"][-1]["content"] == ARABIC_HEARD
    to_speak, = upstream.requests(route="speech")
    assert to_speak["input"] == ARABIC_ANSWER


def test_what_was_heard_is_composed_as_what_is_written(world):
    _, api = speaking(world, [{"route": "transcriptions", "text": "\u0627\u0653ن cafe\u0301"},
                              {"text": ANSWER}])
    message, _ = api.exchange(api.session(), recording())
    assert message["content"] == "\u0622ن caf\u00e9"


@pytest.mark.parametrize("members, voice", [({}, "alloy"), ({"voice": "nova"}, "nova")])
def test_an_agent_speaks_with_its_voice(world, members, voice):
    upstream, api = speaking(world, SCRIPT)
    api.exchange(api.session(api.agent(**members)))
    assert upstream.requests(route="speech")[0]["voice"] == voice


def test_what_was_said_is_remembered_by_the_model(world):
    upstream, api = speaking(world, [{"route": "transcriptions", "text": "My name is Layla."},
                                     {"text": "Good morning."}])
    session = api.session()
    api.exchange(session)
    assert api.say(session, "What is my name?").status == 201
    said = [m["content"] for m in upstream.requests()[-1]["messages"] if m["role"] == "user"]
    assert said == ["My name is Layla.", "What is my name?"]


# ---- The steps ----


async def test_watchers_see_what_was_heard_said_and_spoken(world):
    _, api = speaking(world, SCRIPT)
    session = api.session()
    message, _ = api.exchange(session)
    async with Chat(api.server, session["id"], acks=True, after="0-0") as chat:
        name = (await chat.wait(lambda: next(iter(chat.transcript.ended), None), "its end"))
        asked, = chat.transcript.accepted()
        assert asked == name
        first, *steps, end = chat.transcript.of(name)
    assert first["type"] == "client_message" and first["message"] == ""
    assert [(s["step_type"], s["message"]) for s in steps[:-1]] == [
        ("TranscriptStep", HEARD), ("FinalAnswerStep", ANSWER)]
    assert steps[-1]["step_type"] == "AudioStep" and "audio/mpeg" in steps[-1]["message"]
    assert end["type"] == "message_end" and end["status"] == "completed"
    history = api.server.history(session["id"])
    assert [entry["step_type"] for entry in history] == [
        None, "TranscriptStep", "FinalAnswerStep", "AudioStep"]
    assert history[0]["content"] == "" and message["content"] == HEARD


# ---- While it is spoken ----


def test_speech_is_heard_while_it_is_made(world):
    # The second piece of it does not come within this test.
    upstream, api = speaking(world, SCRIPT + [
        {"route": "speech", "speech_ms": 20_000, "split_bytes": 50_000, "split_ms": 3_600_000}])
    session = api.session()
    body, form_type = voice_form(session, recording())
    with Wire(api.server.port) as wire:
        wire.send("POST /api/v1/message/voice HTTP/1.1\r\nHost: localhost\r\n"
                  f"Content-Type: {form_type}\r\nContent-Length: {len(body)}\r\n\r\n")
        wire.send(body)
        status, headers = wire.head()
        assert status == 201 and headers["content-type"] == "audio/mpeg"
        wire._take(40_000)
        assert upstream.stats()["active"] == 1, "the provider speaks no more"
        assert upstream.stats()["completed"] == 2
    assert [m["status"] for m in api.messages(session)][0] == "pending"


def test_one_who_leaves_ends_nothing(world):
    _, api = speaking(world, SCRIPT + [
        {"route": "speech", "speech_ms": 4_000, "split_bytes": 4_000, "split_ms": 20}])
    session = api.session()
    body, form_type = voice_form(session, recording())
    with Wire(api.server.port) as wire:
        wire.send("POST /api/v1/message/voice HTTP/1.1\r\nHost: localhost\r\n"
                  f"Content-Type: {form_type}\r\nContent-Length: {len(body)}\r\n\r\n")
        wire.send(body)
        assert wire.head()[0] == 201
    message, answer = api.ended(session)
    assert message["status"] == answer["status"] == "completed"
    assert 3.9 < listen(api.heard(answer)).seconds < 4.2


def test_one_who_reads_slowly_gets_all_of_it(world):
    _, api = speaking(world, SCRIPT + [{"route": "speech", "speech_ms": 300_000}],
                      config={"limits": {"write_queue_bytes_max": "64KiB"}})
    session = api.session()
    body, form_type = voice_form(session, recording())
    with Wire(api.server.port, receive_buffer=4_096) as wire:
        wire.send("POST /api/v1/message/voice HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                  f"Content-Type: {form_type}\r\nContent-Length: {len(body)}\r\n\r\n")
        wire.send(body)
        api.ended(session)
        answer = wire.response()
    assert answer.body == api.heard(api.messages(session)[1])


# ---- Several at once ----


def test_two_recordings_at_once_are_two_exchanges(world):
    _, api = speaking(world, SCRIPT)
    session = api.session()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        pairs = list(pool.map(lambda kind: api.exchange(session, recording(kind)), ["wav", "ogg"]))
    messages = api.messages(session)
    assert len(messages) == 4
    for message, answer in pairs:
        assert messages.index(message) < messages.index(answer)
        assert answer["reply_to"] == message["id"]
    assert {message["audio"]["type"] for message, _ in pairs} == {"audio/wav", "audio/ogg"}


def test_text_and_voice_take_turns_in_one_session(world):
    _, api = speaking(world, SCRIPT)
    session = api.session()
    assert api.say(session, "hello").status == 201
    api.exchange(session)
    assert api.say(session, "and again").status == 201
    assert [m["content_type"] for m in api.messages(session)] == ["text"] * 2 + ["voice"] * 2 \
        + ["text"] * 2


# ---- The same request twice ----


def test_a_repeated_recording_is_answered_once(world):
    upstream, api = speaking(world, SCRIPT)
    session, key = api.session(), new_id("key")
    first = api.speak(session, Idempotency_Key=key)
    again = api.speak(session, name="other.wav", Idempotency_Key=key)
    assert first.status == again.status == 201
    assert again.body == first.body
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    for name in ("x-message-id", "x-transcript-id"):
        assert again.headers[name] == first.headers[name]
    as_json = api.speak(session, Accept="application/json", Idempotency_Key=key)
    assert as_json.json["answer"]["id"] == first.headers["x-message-id"]
    assert calls(upstream) == (1, 1, 1) and len(api.messages(session)) == 2


def test_another_recording_with_the_same_key_is_refused(world):
    _, api = speaking(world, SCRIPT)
    session, key = api.session(), new_id("key")
    assert api.speak(session, Idempotency_Key=key).status == 201
    is_problem(api.speak(session, recording("ogg"), Idempotency_Key=key), 422)
    is_problem(api.say(session, "hello", Idempotency_Key=key), 422)
    assert len(api.messages(session)) == 2


def test_a_recording_repeated_at_once_is_answered_once(world):
    upstream, api = speaking(world, SCRIPT)
    session, key = api.session(), new_id("key")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: api.speak(session, Idempotency_Key=key), range(4)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.headers["x-message-id"] for answer in answers}) == 1
    assert len({answer.body for answer in answers}) == 1
    assert calls(upstream) == (1, 1, 1) and len(api.messages(session)) == 2


def test_a_repeat_while_it_is_answered_joins_it(world):
    upstream, api = speaking(world, SCRIPT + [
        {"route": "speech", "speech_ms": 4_000, "split_bytes": 8_000, "split_ms": 50}])
    session, key = api.session(), new_id("key")
    api.begin(session, Idempotency_Key=key)
    upstream.wait_stats(lambda s: s["requests"] == 3, "it is being spoken")
    joined = api.speak(session, Idempotency_Key=key)
    assert joined.status == 201
    assert joined.body == api.heard(api.ended(session)[1])
    assert calls(upstream) == (1, 1, 1)


# ---- Without any provider ----


def test_offline_a_question_is_heard_and_its_answer_spoken(alone):
    session = alone.session()
    message, answer = alone.exchange(session, spoken("what is the weather today"))
    is_exchange(alone, session, message, answer)
    assert set(message["content"].split()) & {"what", "is", "the", "weather", "today"}
    assert message["language"] == "en"
    assert message["audio"]["engine"] == "PocketSphinx (offline)"
    assert answer["audio"]["engine"] == "espeak-ng and LAME (offline)"
    sound = listen(alone.heard(answer))
    assert sound.seconds > 1 and sound.loudest > 1_000
    steps = {e["step_type"]: e["content"] for e in alone.server.history(session["id"])}
    assert steps["TranscriptStep"] == message["content"]
    assert "offline" in steps["AudioStep"] and "espeak-ng" in steps["AudioStep"]


def test_offline_a_spoken_answer_can_be_sent_in_again(alone):
    answer = alone.speak(alone.session(), spoken("what is the weather today"))
    assert answer.status == 201
    message, _ = alone.exchange(alone.session(), answer.body)
    assert message["audio"]["type"] == "audio/mpeg" and message["content"]


def test_offline_arabic_is_spoken(world):
    upstream = world.upstream(script=[{"text": ARABIC_ANSWER}])
    api = VoiceApi(world.server(OFFLINE, upstream))
    _, answer = api.exchange(api.session(), spoken("what is the weather today"))
    assert (answer["content"], answer["language"]) == (ARABIC_ANSWER, "ar")
    sound = listen(api.heard(answer))
    assert sound.seconds > 1 and sound.loudest > 1_000


def test_offline_another_language_than_english_is_not_heard(alone):
    session = alone.session()
    problem = is_problem(alone.speak(session, spoken(ARABIC_HEARD, "ar"), language="ar"), 422,
                         "English", "offline", "configure")
    for message in alone.messages(session):
        assert message["id"] == problem["message_id"] and message["status"] == "failed"


def test_with_an_api_key_voice_needs_it(world):
    api = VoiceApi(world.server({**OFFLINE, "api_keys": ["a-key-of-the-tests-1234"]}))
    session = {"id": "019a9a3e-7c1d-7b5e-9f00-3d2a4c5b6e70"}
    is_problem(api.speak(session), 401)
    is_problem(api.get(f"/message/{session['id']}/audio?session_id={session['id']}"), 401)
    is_problem(api.speak(session, Authorization="Bearer a-key-of-the-tests-1234"), 404)
