"""The KISS stack over REST: credentials, lifecycle, documents, queries, and every refusal."""

import concurrent.futures
import json
import time

import pytest

from harness import Wire, fetch, wait_until
from kiss import SECRET_KEY, Rest, b64, token

pytestmark = pytest.mark.sanitizer

MOON = "The moon is about 384400 kilometres away from the earth."
GUARDED = ["/sessions?action=init", "/queries", "/documents"]


@pytest.fixture(scope="module")
def server(shared_world):
    server = shared_world.server(
        {"limits": {"documents_bytes_max": "256KiB", "documents_bytes_total_max": "512KiB",
                    "body_bytes_max": "64KiB", "message_bytes_max": "16KiB"}},
        environment={"ACCESS_TOKEN_SECRET_KEY": SECRET_KEY})
    yield server
    assert server.running, "something ended the server"


@pytest.fixture
def rest(server):
    return Rest(server)


def is_problem(answer, status, *words):
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert problem["status"] == status and problem["detail"]
    assert problem["instance"] == answer.headers["x-request-id"]
    for word in words:
        assert word in problem["detail"], problem
    if status == 401:
        assert answer.headers["www-authenticate"] == "Bearer"
    if status in (429, 503):
        assert int(answer.headers["retry-after"]) >= 1
    return problem


# ---- What needs no session ----


@pytest.mark.parametrize("body", [{}, {"client_id": "a"}, {"client_secret": "b"},
                                  {"scope": None}, {"client_id": "", "client_secret": ""}])
def test_neither_scope_nor_both_credentials_is_401(server, body):
    is_problem(server.post("/auth", body), 401)


@pytest.mark.parametrize("body", [{"scope": "eternal"}, {"scope": 1}, {"scope": ["temporary"]},
                                  {"client_id": 1, "client_secret": "s"},
                                  {"client_id": "a", "client_secret": {}}])
def test_an_unknown_scope_or_a_wrong_type_is_422(server, body):
    is_problem(server.post("/auth", body), 422)


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b'{"scope":"temporary"', b"\xff"])
def test_an_auth_that_is_no_json_is_400(server, body):
    is_problem(fetch(server.port, "POST", "/auth", body), 400)


@pytest.mark.parametrize("path", GUARDED)
def test_without_a_token_is_401(server, path):
    is_problem(server.post(path, {}), 401, "access token")


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize("bad", [
    "x", "a.b.c", token(algorithm="none"), token(algorithm="HS512"), token(key="another" * 6),
    token(expires_in=-120), token()[:-2], "x" + token(), token(client_id="../etc"),
    token(client_id="")])
def test_a_bad_token_is_401_and_not_shown(server, path, bad):
    problem = is_problem(Rest(server).call(path, {}, token=bad), 401)
    assert bad not in json.dumps(problem)


def test_a_passage_needs_a_token(server):
    is_problem(server.get("/passages/1-0"), 401)


def test_another_scheme_of_authorization_is_401(server):
    is_problem(server.post("/queries", {"query": "q"}, {"Authorization": "Basic YTpi"}), 401)


@pytest.mark.parametrize("path", ["/sessions?action=destroy", "/sessions?action=INIT",
                                  "/sessions?action=", "/sessions"])
def test_an_unknown_action_is_named(server, path):
    action = path.partition("=")[2]
    problem = is_problem(Rest(server).call(path, {}, token=token()), 400)
    assert problem["detail"] == f"Invalid action: {action}"


def test_another_method_is_405(server):
    for path, allow in (("/auth", "POST"), ("/queries", "POST"), ("/passages/1-0", "GET, HEAD")):
        answer = fetch(server.port, "DELETE", path)
        is_problem(answer, 405)
        assert answer.headers["allow"] == allow


def test_a_body_of_another_type_is_415(server):
    answer = Rest(server).call("/documents", b"a,b", {"Content-Type": "text/csv"}, token())
    is_problem(answer, 415)


def test_a_page_of_another_origin_is_403(server):
    for path in ["/auth", *GUARDED]:
        answer = Rest(server).call(path, {}, {"Origin": "https://evil.example"}, token())
        is_problem(answer, 403)


@pytest.mark.parametrize("body", [{}, {"query": ""}, {"query": 1}, {"query": None},
                                  {"query": "q", "parameters": []}, {"query": "x" * 20_000}])
def test_a_query_that_is_not_valid_is_422(server, body):
    is_problem(Rest(server).call("/queries", body, token=token()), 422)


@pytest.mark.parametrize("body", [
    {}, {"files": []}, {"documents": []}, {"files": [{}]}, {"files": [{"name": "a"}]},
    {"documents": [{"content": ""}]}, {"documents": [{"content": "c", "metadata": 1}]},
    {"documents": [{"content": "c"}], "files": [{"name": "a", "content": "Zg"}]},
    {"documents": [{"id": "x", "content": "c"}, {"id": "x", "content": "d"}]},
    {"documents": [{"content": "c"}] * 1001}])
def test_documents_that_are_not_valid_are_422(server, body):
    is_problem(Rest(server).call("/documents", body, token=token()), 422)


@pytest.mark.parametrize("content", ["Zm9*", "Zm9v\n", "Zg=", "data:text/plain;base64,Zg=="])
def test_bad_base64_is_400_and_names_the_file(server, content):
    body = {"files": [{"name": "good.txt", "content": "Zg=="},
                      {"name": "bad.pdf", "content": content}]}
    is_problem(Rest(server).call("/documents", body, token=token()), 400, "bad.pdf")


def test_a_bad_idempotency_key_is_400(server):
    for path, body in (("/queries", {"query": "q"}), ("/documents", {"documents": []})):
        is_problem(Rest(server).call(path, body, {"Idempotency-Key": "a b"}, token()), 400)


def announce(server, path, length, *headers):
    """Says how long a body will be, and sends none of it."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {token()}",
             *headers]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    with Wire(server.port) as wire:
        wire.send("\r\n".join(lines) + "\r\n\r\n")
        return wire.response()


def test_a_body_that_is_too_long_is_refused_before_it_is_sent(server):
    is_problem(announce(server, "/documents", 262_145), 413, "262144", "documents_bytes_max")
    is_problem(announce(server, "/documents", 10**12), 413, "documents_bytes_max")
    is_problem(announce(server, "/queries", 65_537), 413, "65536", "body_bytes_max")


def test_a_body_in_chunks_is_refused_when_it_gets_too_long(server):
    with Wire(server.port) as wire:
        wire.send(f"POST /documents HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token()}"
                  "\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(5):
            wire.send(b"10000\r\n" + b" " * 65_536 + b"\r\n")
        is_problem(wire.response(), 413, "documents_bytes_max")


def test_what_all_documents_hold_is_bounded(server):
    open_ones = [Wire(server.port) for _ in range(8)]
    try:
        for wire in open_ones:
            wire.send(f"POST /documents HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer "
                      f"{token()}\r\nContent-Length: 262144\r\n\r\n{{")
        # There are two cores at most here, and each holds two of these.
        wait_until(lambda: announce(server, "/documents", 262_144, "Expect: 100-continue").status
                   == 503, "a refusal")
        is_problem(announce(server, "/documents", 262_144, "Expect: 100-continue"), 503)
    finally:
        for wire in open_ones:
            wire.socket.close()
    body = b'{"documents":[' + b" " * 200_000 + b"]}"
    wait_until(lambda: fetch(server.port, "POST", "/documents", body,
                             {"Authorization": f"Bearer {token()}"}).status != 503,
               "the memory to be given back")


def test_api_keys_do_not_guard_auth_and_are_no_access_tokens(shared_world):
    key = "key-of-the-tests-0123456789"
    server = shared_world.server(environment={"PARLANCE_API_KEYS": key,
                                              "ACCESS_TOKEN_SECRET_KEY": SECRET_KEY})
    is_problem(server.post("/auth", {"scope": "eternal"}), 422)
    is_problem(Rest(server).call("/queries", {"query": "q"}, token=key), 401)
    is_problem(Rest(server).call("/sessions?action=x", {}, token=token()), 400)
    is_problem(server.get("/history/c"), 401)
    is_problem(fetch(server.port, "GET", "/history/c", headers={
        "Authorization": f"Bearer {token()}"}), 401)


# ---- Lifecycle ----


@pytest.mark.parametrize("scope", ["temporary", "persistent"])
def test_authorization_tells_a_token_and_the_credentials(rest, scope):
    answer = rest.auth(scope)
    assert answer.status == 200, answer
    told = answer.json
    assert list(told) == ["session_id", "access_token", "token_type", "expires_in", "client_id",
                          "client_secret", "scope"]
    assert told["session_id"] == told["client_id"]
    assert told["token_type"] == "bearer" and told["expires_in"] == 1800
    assert told["scope"] == scope and told["client_secret"]


def test_an_unknown_client_is_401(server):
    body = {"client_id": "nobody-at-all", "client_secret": "s"}
    is_problem(server.post("/auth", body), 401)


def test_a_token_of_no_client_is_401(server):
    for path, body in (("/sessions?action=init", {}), ("/queries", {"query": "q"}),
                       ("/documents", {"documents": [{"content": "c"}]})):
        is_problem(Rest(server).call(path, body, token=token()), 401)


def test_before_init_is_409(rest):
    rest.auth("temporary")
    is_problem(rest.query("q"), 409)
    is_problem(rest.store({"documents": [{"content": "c"}]}), 409)
    is_problem(rest.close(), 409)


def test_init_greets_and_close_says_goodbye(rest):
    rest.auth("temporary")
    answer = rest.init(query="Hello, Stack!")
    assert answer.status == 200, answer
    stack_id = rest.session["client_id"]
    assert list(answer.json) == ["stack_id", "result", "extras"]
    assert answer.json["stack_id"] == stack_id and "Hello" in answer.json["result"]
    assert answer.json["extras"]["query"] == "Hello, Stack!"
    is_problem(rest.init(), 409)
    answer = rest.close(session_id=stack_id)
    assert answer.status == 200 and answer.json["stack_id"] == stack_id, answer
    assert "Goodbye" in answer.json["result"]


def test_another_session_in_the_body_is_403(rest):
    rest.auth("temporary")
    is_problem(rest.init(session_id="another"), 403)


def test_a_closed_temporary_client_is_401_from_then_on(rest):
    rest.open("temporary")
    assert rest.close().status == 200
    for answer in (rest.init(), rest.query("q"), rest.close(),
                   rest.store({"documents": [{"content": "c"}]}),
                   rest.call("/passages/1-0", method="GET")):
        is_problem(answer, 401)
    is_problem(rest.auth(client_id=rest.session["client_id"],
                         client_secret=rest.session["client_secret"]), 401)


def test_a_temporary_client_cannot_be_refreshed(rest):
    rest.open("temporary")
    is_problem(rest.auth(client_id=rest.session["client_id"],
                         client_secret=rest.session["client_secret"]), 401)


def test_a_persistent_client_comes_back_with_its_secret(rest):
    rest.open("persistent")
    first = rest.session
    is_problem(rest.auth(client_id=first["client_id"], client_secret="wrong"), 401)
    assert rest.close().status == 200
    is_problem(rest.query("q"), 409)
    answer = rest.auth(client_id=first["client_id"], client_secret=first["client_secret"])
    assert answer.status == 200, answer
    assert answer.json["client_id"] == first["client_id"]
    assert answer.json["client_secret"] == first["client_secret"]
    assert rest.init().status == 200


# ---- Documents and queries ----


def test_a_stored_text_answers_a_query(rest):
    rest.open()
    answer = rest.store({"documents": [{"id": "moon", "content": MOON, "metadata": {"k": 1}}]})
    assert answer.status == 200, answer
    assert answer.json["result"] == "Files stored"
    assert answer.json["stack_id"] == rest.session["client_id"]
    (ids,) = answer.json["extras"].values()
    assert ids == ["moon"]

    answer = rest.query("How far away is the moon?")
    assert answer.status == 200, answer
    extras = answer.json["extras"]
    assert {"query", "tool", "metadata", "distances", "supporting_documents",
            "usage"} <= set(extras)
    assert extras["query"] == "How far away is the moon?"
    found = extras["supporting_documents"][0]
    assert found["document_id"] == "moon" and found["text"] == MOON
    assert found["span"] == [0, len(MOON)] and found["distance"] == extras["distances"][0]
    assert extras["metadata"][0] == {"k": 1}

    passage = rest.call(f"/passages/{found['id']}", method="GET")
    assert passage.status == 200 and passage.json["text"] == MOON, passage
    is_problem(rest.call("/passages/999-0", method="GET"), 404)
    is_problem(rest.call("/passages/x", method="GET"), 404)


def test_a_file_in_base64_is_stored_under_a_drawn_id(rest):
    rest.open()
    answer = rest.store({"files": [{"name": "moon.txt", "content": b64(MOON).rstrip("=")}],
                         "metadata": {"category": "example"}})
    assert answer.status == 200, answer
    ((drawn,),) = answer.json["extras"].values()
    assert drawn
    extras = rest.query("How far away is the moon?").json["extras"]
    assert extras["supporting_documents"][0]["name"] == "moon.txt"
    assert extras["metadata"][0] == {"category": "example"}


def test_a_request_to_store_is_observed_once_in_each_stage(rest, server):
    rest.open()
    before = server.metrics()
    files = [{"name": f"{i}.txt", "content": b64(MOON)} for i in range(3)]
    assert rest.store({"files": files}).status == 200
    after = server.metrics()
    for stage in ("parse", "extract", "cut", "terms", "embed", "write"):
        name = f'parlance_document_stage_seconds_count{{stage="{stage}"}}'
        assert after[name] == before[name] + 1, stage


def test_an_id_that_is_in_use_is_422(rest):
    rest.open()
    body = {"documents": [{"id": "x", "content": MOON}]}
    assert rest.store(body).status == 200
    is_problem(rest.store(body), 422)


def test_one_clients_passages_are_not_anothers(server):
    one, other = Rest(server).open(), Rest(server).open()
    one.store({"documents": [{"content": MOON}]})
    found = one.query("How far away is the moon?").json["extras"]["supporting_documents"][0]
    is_problem(other.call(f"/passages/{found['id']}", method="GET"), 404)
    answer = other.query("How far away is the moon?")
    assert not answer.json["extras"]["supporting_documents"], answer


def test_a_repeated_key_is_answered_as_the_first_time(rest):
    rest.open()
    key = {"Idempotency-Key": "store-1"}
    body = {"documents": [{"content": MOON}]}
    first = rest.store(body, key)
    again = rest.store(body, key)
    assert (first.status, again.status) == (200, 200), again
    assert first.json == again.json
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    is_problem(rest.store({"documents": [{"content": "else"}]}, key), 422)

    key = {"Idempotency-Key": "query-1"}
    first, again = rest.query("Hello?", key), rest.query("Hello?", key)
    assert (first.status, again.status) == (200, 200), again
    assert first.json == again.json
    assert again.headers["idempotent-replayed"] == "true"
    is_problem(rest.query("Else?", key), 422)


def test_stream_has_no_effect_over_rest(rest):
    rest.open()
    answer = rest.query("Hello?", parameters={"stream": True})
    assert answer.status == 200 and answer.json["result"], answer


def test_queries_of_one_session_at_once_are_all_answered(rest):
    rest.open()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda i: rest.query(f"Question {i}?"), range(4)))
    assert [answer.status for answer in answers] == [200] * 4, answers
    assert [answer.json["extras"]["query"] for answer in answers] == [
        f"Question {i}?" for i in range(4)]


def test_an_expired_token_is_401(rest):
    rest.open()
    late = token(rest.session["client_id"], expires_in=-1, iat=int(time.time()) - 100)
    is_problem(rest.call("/queries", {"query": "q"}, token=late), 401)
