"""Whatever the model's provider does, a message has one end, and what is shown is true."""

import asyncio
import contextlib
import http.client
import http.server
import json
import ssl
import subprocess
import threading
import time

import pytest

from harness import FROM_START, PATIENCE, Chat, new_id, until

WORKERS = 8  # Chats of one server that take the places to cut among them.
ANSWER = "سلام! Six short words are here."
CALCULATE = {"name": "calculator", "arguments": {"expression": "6*7"}}
STREAMS = {
    "text": {"text": ANSWER},
    "tools": {"text": "Let me see.", "tool_calls": [CALCULATE], "fragment_bytes": 8},
}
PATIENT = {"breaker_failures": 1_000_000}


async def ask(server, text, chat_id="faults", **options):
    """One message in a new connection: its transcript and terminal event."""
    async with Chat(server, chat_id, tokens=True, **options) as chat:
        end = await chat.ask(text)
        await chat.settle()  # Nothing may follow.
        return chat.transcript, end


async def once(world, script, text="question", config=None, **provider):
    upstream = world.upstream(script=script)
    server = world.server(config, upstream, provider={**PATIENT, **provider})
    transcript, end = await ask(server, text)
    return transcript, end, upstream


def answer_of(transcript, end):
    kind, text = transcript.steps(end["message_id"])[-1]
    return text if kind == "FinalAnswerStep" else None


# ---- Cuts ----


async def length_of_stream(server, upstream, text):
    """Bytes of the upstream's answer to this server's request."""
    await ask(server, text)
    request = upstream.requests()[0]
    upstream.script([{**STREAMS[text]}])

    def record():
        connection = http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=20)
        connection.request("POST", "/v1/chat/completions", json.dumps(request).encode(),
                           {"Content-Type": "application/json"})
        recorded = connection.getresponse().read()
        connection.close()
        return recorded

    recorded = await asyncio.to_thread(record)
    assert recorded.rstrip().endswith(b"[DONE]")
    return len(recorded)


async def cut_everywhere(server, length, text, check):
    """Asks for `text` once for each place, in a few chats at a time."""
    places = list(range(length + 1))

    async def work():
        chat = Chat(server, new_id("cut"), tokens=True, after=FROM_START)
        async with chat:
            while places:
                place = places.pop()
                end = await chat.ask(f"{text} cut at {place:05d}", f"cut-{place}")
                check(place, chat.transcript, end)
            await chat.settle()
            ended = [e["message_id"] for e in chat.transcript.events
                     if e["type"] in ("message_end", "agent_error")]
            assert len(ended) == len(set(ended)) == len(chat.transcript.accepted())

    await asyncio.gather(*(work() for _ in range(WORKERS)))


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("how", ["closed", "reset"])
async def test_a_stream_cut_once_at_any_byte_is_begun_anew_and_answered_whole(world, stream, how):
    upstream = world.upstream(script=[{"when": stream, **STREAMS[stream]}, {"text": ANSWER}])
    server = world.server({"cores": 2}, upstream, provider=PATIENT)
    length = await length_of_stream(server, upstream, stream)
    upstream.script([
        *({"when": f"cut at {place:05d}", "cut_at_byte": place, "reset": how == "reset",
           "repeat": 1, **STREAMS[stream]} for place in range(length + 1)),
        {"when": stream, **STREAMS[stream]},
        {"text": ANSWER}])

    def check(place, transcript, end):
        assert end["type"] == "message_end" and end["status"] == "completed", (place, end)
        assert answer_of(transcript, end) == ANSWER, place
        # One who still catches up is shown the answer whole, and nothing of it before.
        assert transcript.shown[end["message_id"]] in (ANSWER, None), place
        if stream == "tools":
            assert [k for k, _ in transcript.steps(end["message_id"])] == [
                "PlanningStep", "ActionStep", "FinalAnswerStep"], place

    await cut_everywhere(server, length, stream, check)


async def test_a_stream_cut_again_and_again_at_any_byte_fails_or_is_answered_whole(world):
    upstream = world.upstream(script=[{"when": "text", **STREAMS["text"]}])
    server = world.server({"cores": 2, "agent": {"restarts_max": 1}}, upstream,
                          provider={**PATIENT, "tries_max": 2})
    length = await length_of_stream(server, upstream, "text")
    upstream.script([{"when": f"cut at {place:05d}", "cut_at_byte": place, **STREAMS["text"]}
                     for place in range(length + 1)])
    outcomes = []

    def check(place, transcript, end):
        name = end["message_id"]
        outcomes.append((place, end["type"]))
        if end["type"] == "message_end":
            assert end["status"] == "completed" and answer_of(transcript, end) == ANSWER, place
            return
        for kind, text in transcript.steps(name):
            assert kind == "PartialAnswerStep" and ANSWER.startswith(text), place
            assert text == transcript.shown[name], place

    await cut_everywhere(server, length, "text", check)
    # Whole from some place on, and never before it.
    kinds = [kind for _, kind in sorted(outcomes)]
    assert kinds == sorted(kinds) and kinds[0] == "agent_error" and kinds[-1] == "message_end"


async def test_text_that_became_void_is_declared_so(world):
    transcript, end, _ = await once(world, [
        {"text": "Something quite different and never ended.", "cut_at_byte": 900},
        {"text": ANSWER}])
    name = end["message_id"]
    assert transcript.resets[name] == 1 and transcript.shown[name] == ANSWER


async def test_a_call_that_failed_before_its_first_token_voids_nothing(world):
    transcript, end, _ = await once(world, [{"status": 503}, {"text": ANSWER}])
    assert not transcript.resets and answer_of(transcript, end) == ANSWER


# ---- Silence ----


async def test_a_stall_in_mid_answer_is_begun_anew(world):
    transcript, end, upstream = await once(
        world, [{"text": ANSWER, "stall_after_tokens": 3}, {"text": ANSWER}],
        stream_idle_timeout="300ms")
    assert answer_of(transcript, end) == ANSWER and transcript.resets[end["message_id"]] == 1
    assert upstream.stats()["requests"] == 2


async def test_a_stall_that_never_ends_fails_the_run_and_keeps_its_text(world):
    transcript, end, _ = await once(
        world, [{"text": ANSWER, "stall_after_tokens": 3}],
        config={"agent": {"restarts_max": 1}}, stream_idle_timeout="200ms")
    assert end["type"] == "agent_error" and "200 ms" in end["error"]
    (kind, text), = transcript.steps(end["message_id"])
    assert kind == "PartialAnswerStep" and text and ANSWER.startswith(text)


async def test_a_provider_that_never_answers_is_tried_again_and_then_given_up(world):
    _, end, upstream = await once(world, [{"never_answer": True}],
                                  first_token_timeout="200ms", tries_max=2)
    assert end["type"] == "agent_error" and "200 ms" in end["error"]
    assert upstream.stats()["requests"] == 2
    await upstream.stats_until(lambda s: s["active"] == 0, "both calls to be closed")


async def test_a_provider_that_answers_at_the_second_try_is_heard(world):
    transcript, end, _ = await once(world, [{"never_answer": True}, {"text": ANSWER}],
                                    first_token_timeout="200ms")
    assert answer_of(transcript, end) == ANSWER


async def test_a_provider_that_is_not_there_fails_the_run(world):
    server = world.server({"providers": [
        {"name": "gone", "base_url": "http://127.0.0.1:9/v1", "backoff_first": "5ms"}]})
    _, end = await ask(server, "question")
    assert end["type"] == "agent_error" and "gone" in end["error"]


async def test_a_provider_that_ends_in_mid_answer_fails_the_run(world):
    upstream = world.upstream("--tokens", 1000, "--token-ms", 10)
    server = world.server(upstream=upstream, provider=PATIENT)
    async with Chat(server, "ends", tokens=True) as chat:
        name = await chat.send("question")
        await chat.text_of(name, 20)
        upstream.kill9()
        assert (await chat.end_of(name))["type"] == "agent_error"


# ---- Refusals ----


async def test_too_many_requests_are_tried_again_no_earlier_than_asked(world):
    upstream = world.upstream(script=[{"status": 429, "retry_after": 1}, {"text": ANSWER}])
    server = world.server(upstream=upstream, provider={"backoff_max": "5s"})
    began = time.monotonic()
    transcript, end = await ask(server, "question")
    assert answer_of(transcript, end) == ANSWER and upstream.stats()["requests"] == 2
    assert time.monotonic() - began >= 1


async def test_a_longer_wait_than_allowed_is_not_waited_for(world):
    _, end, upstream = await once(world, [{"status": 429, "retry_after": 3600}])
    assert end["type"] == "agent_error" and "429" in end["error"]
    assert upstream.stats()["requests"] == 1


@pytest.mark.parametrize("status", [500, 502, 503, 529])
async def test_a_passing_failure_is_tried_again(world, status):
    transcript, end, upstream = await once(world, [{"status": status}, {"text": ANSWER}])
    assert answer_of(transcript, end) == ANSWER and upstream.stats()["requests"] == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_a_lasting_failure_is_not_tried_again(world, status):
    _, end, upstream = await once(world, [{"status": status, "error_message": "no way"}])
    assert end["type"] == "agent_error" and str(status) in end["error"]
    assert upstream.stats()["requests"] == 1


async def test_what_the_provider_said_is_told(world):
    _, end, _ = await once(world, [{"status": 400, "error_message": "context too long"}])
    assert "context too long" in end["error"]


async def test_a_key_that_the_provider_repeats_is_not_told(world):
    _, end, _ = await once(world, [{"status": 401, "error_message": "bad key sk-very-secret"}],
                           api_key="sk-very-secret")
    assert "sk-very-secret" not in end["error"]


async def test_tries_end_at_their_limit(world):
    _, end, upstream = await once(world, [{"status": 500}], tries_max=3)
    assert end["type"] == "agent_error" and upstream.stats()["requests"] == 3


# ---- Nonsense ----


NONSENSE = {
    "bytes that are no events": {"garbage": True},
    "bytes that are no HTTP": {"garbage": "http"},
    "an error in the stream": {"text": ANSWER, "error_in_stream": True},
    "an error before any text": {"text": ANSWER, "error_in_stream": True, "error_after_tokens": 0},
    "a chunk that is no JSON": {"text": ANSWER, "malformed_json_at": 2},
    "a first chunk that is no JSON": {"text": ANSWER, "malformed_json_at": 0},
    "an empty answer": {"tokens": 0},
}


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE)
async def test_nonsense_is_never_shown_as_an_answer(world, nonsense):
    transcript, end, _ = await once(world, [nonsense], config={"agent": {"restarts_max": 1}})
    assert end["type"] == "agent_error"
    assert "FinalAnswerStep" not in [kind for kind, _ in transcript.steps(end["message_id"])]


@pytest.mark.parametrize("nonsense", [v for k, v in NONSENSE.items() if k != "an empty answer"],
                         ids=[k for k in NONSENSE if k != "an empty answer"])
async def test_after_nonsense_the_call_is_made_again(world, nonsense):
    transcript, end, _ = await once(world, [nonsense, {"text": ANSWER}])
    assert answer_of(transcript, end) == ANSWER
    assert transcript.shown[end["message_id"]] == ANSWER


async def test_half_a_character_never_reaches_a_client(world):
    """Each frame is decoded as UTF-8 on its way here."""
    _, end, _ = await once(world, [{"text": ANSWER, "truncated_utf8_at": 2}, {"text": ANSWER}])
    assert end["type"] in ("message_end", "agent_error")


async def test_a_line_without_an_end_is_given_up(world):
    _, end, _ = await once(world, [{"text": ANSWER, "huge_line_bytes": 3 << 20}])
    assert end["type"] == "agent_error" and "bytes" in end["error"]


async def test_an_answer_that_is_too_big_is_given_up(world):
    _, end, upstream = await once(world, [{"tokens": 100_000, "batch": 50}],
                                  answer_bytes_max="64KiB")
    assert end["type"] == "agent_error"
    await upstream.stats_until(lambda s: s["active"] == 0, "the call to be closed")


ODD = {
    "lines that end with CR LF": {"crlf": True},
    "comments between the events": {"comments": True},
    "no end marker": {"missing_done": True},
    "one byte at a time": {"split_bytes": 1},
    "seven bytes at a time": {"split_bytes": 7},
    "many tokens in one event": {"batch": 4},
    "a closed connection after it": {"close": True},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_an_odd_but_valid_stream_is_understood(world, odd):
    transcript, end, upstream = await once(world, [{"text": ANSWER, **odd}])
    assert answer_of(transcript, end) == ANSWER == transcript.shown[end["message_id"]]
    assert upstream.stats()["requests"] == 1


# ---- More than one provider ----


async def with_two(world, first, second, **options):
    main, spare = world.upstream(script=first), world.upstream(script=second)
    server = world.server({"providers": [
        main.provider(**options), spare.provider(name="spare", model="spare-model")]})
    return main, spare, server


async def test_a_provider_that_fails_is_replaced_by_the_next(world):
    main, spare, server = await with_two(world, [{"status": 500}], [{"text": ANSWER}])
    transcript, end = await ask(server, "question")
    assert answer_of(transcript, end) == ANSWER
    assert main.stats()["requests"] == 3 and spare.requests()[0]["model"] == "spare-model"


async def test_a_fallback_is_counted(world):
    _, _, server = await with_two(world, [{"status": 500}], [{"text": ANSWER}])
    await ask(server, "question")
    assert server.metric("model_fallbacks_total") == 1


async def test_the_offline_provider_can_be_the_last_resort(world):
    main = world.upstream(script=[{"status": 500}])
    server = world.server({"providers": [main.provider(tries_max=1), {"kind": "offline"}]})
    transcript, end = await ask(server, "question")
    assert "offline" in answer_of(transcript, end)


async def test_when_all_providers_fail_the_run_fails_once(world):
    _, _, server = await with_two(world, [{"status": 500}], [{"status": 500}])
    _, end = await ask(server, "question")
    assert end["type"] == "agent_error"


# ---- The circuit breaker and the bounds ----


async def test_a_provider_that_keeps_failing_is_left_alone_and_then_tried_again(world):
    upstream = world.upstream(script=[{"status": 500}])
    server = world.server(upstream=upstream, provider={
        "tries_max": 1, "breaker_failures": 3, "breaker_open": "1s"})
    async with Chat(server, "breaker") as chat:
        for _ in range(4):
            end = await chat.ask("question")
            assert end["type"] == "agent_error"
        assert "left alone" in end["error"] and upstream.stats()["requests"] == 3
        assert server.metric("model_breaker_opened_total") == 1
        upstream.script([{"text": ANSWER}])

        async def answered():
            return (await chat.ask("question"))["type"] == "message_end"
        await until(answered, "an answer after the provider is back", every=0.1)


async def test_no_more_calls_are_in_flight_than_allowed_and_all_get_their_turn(world):
    upstream = world.upstream("--tokens", 10, "--token-ms", 10)
    server = world.server({"cores": 2}, upstream, provider={"in_flight_max": 2})
    seen = []

    async def watch():
        while True:
            seen.append((await asyncio.to_thread(upstream.stats))["active"])

    watching = asyncio.create_task(watch())
    ends = await asyncio.gather(*(ask(server, "question", f"bound-{n}") for n in range(12)))
    watching.cancel()
    assert all(end["status"] == "completed" for _, end in ends)
    assert max(seen) <= 2


async def test_past_the_bound_of_waiting_calls_a_run_fails_with_a_sentence(world):
    upstream = world.upstream(script=[{"never_answer": True}])
    server = world.server({"cores": 2}, upstream, provider={"in_flight_max": 1, "queue_max": 1})
    for number in range(2):
        await server.apost(f"/chat/held-{number}/messages", {"message": "question"})
    await server.metric_until("model_calls_queued", lambda n: n == 1)
    _, end = await ask(server, "question", "one-too-many")
    assert end["type"] == "agent_error" and "waiting" in end["error"]


async def test_a_call_that_waits_too_long_for_its_turn_fails(world):
    upstream = world.upstream(script=[{"never_answer": True}])
    server = world.server(upstream=upstream, provider={"in_flight_max": 1,
                                                       "queue_timeout": "200ms"})
    await server.apost("/chat/held/messages", {"message": "question"})
    await upstream.stats_until(lambda s: s["active"] == 1, "the first call")
    _, end = await ask(server, "question", "waits")
    assert end["type"] == "agent_error" and "200 ms" in end["error"]


# ---- TLS ----


class AnswersInTls(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        chunks = [{"choices": [{"index": 0, "delta": {"content": ANSWER}}]},
                  {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
        body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


def self_signed(folder, name):
    """A certificate for 127.0.0.1 that vouches for itself, and its key: two paths."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True, timeout=PATIENCE)
    return certificate, key


@contextlib.contextmanager
def tls_upstream(certificate, key):
    """A model behind TLS; yields its base_url."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), AnswersInTls) as upstream:
        upstream.daemon_threads = True
        upstream.handle_error = lambda *_: None  # A client that hangs up is what is tested.
        upstream.socket = context.wrap_socket(upstream.socket, server_side=True,
                                              do_handshake_on_connect=False)
        serving = threading.Thread(target=upstream.serve_forever, kwargs={"poll_interval": 0.02})
        serving.start()
        try:
            yield f"https://127.0.0.1:{upstream.server_port}/v1"
        finally:
            upstream.shutdown()
            serving.join(PATIENCE)


async def test_a_certificate_is_checked_with_the_ca_file_of_its_provider(world, tmp_path):
    certificate, key = self_signed(tmp_path, "ours")
    other, _ = self_signed(tmp_path, "other")

    def server(**provider):
        return world.server({"providers": [{"base_url": base_url, "name": "tls", **provider}]})

    with tls_upstream(certificate, key) as base_url:
        for trusted in ({}, {"ca_file": str(other)}):
            _, end = await ask(server(**trusted), "question")
            assert end["type"] == "agent_error", end
            assert "certificate" in end["error"] and "ca_file" in end["error"], end

        good = server(ca_file=str(certificate))
        for _ in range(2):  # The second on the connection of the first.
            transcript, end = await ask(good, "question", new_id("tls"))
            assert answer_of(transcript, end) == ANSWER, end


async def test_providers_are_checked_each_with_its_own_ca_file(world, tmp_path):
    """In turn on one server: what one trusts must not stick to the next."""
    certificate, key = self_signed(tmp_path, "ours")
    with tls_upstream(certificate, key) as base_url:
        trusting = {"base_url": base_url, "name": "trusting", "ca_file": str(certificate)}
        plain = {"base_url": base_url, "name": "plain"}
        server = world.server({"cores": 1, "providers": [plain, trusting]})
        for _ in range(3):
            transcript, end = await ask(server, "question", new_id("tls"))
            assert answer_of(transcript, end) == ANSWER, end
        assert server.metric("model_fallbacks_total") == 3
