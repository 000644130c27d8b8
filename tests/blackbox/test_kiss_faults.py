"""What the KISS stack's sessions and documents withstand: crashes, restarts, a Chroma that fails, a
crowd; and what stays of them afterwards."""

import asyncio
import json
import pathlib
import re
import threading

import pytest

from harness import Absent, fetch, wait_until
from kiss import ARABIC, TOWER, Rest, b64, bytes_on_disk, connect, passages_of


def chroma_config(chroma):
    return {"stack": {
        "tools": [{"name": "document_tool", "role": "answer from documents", "kind": "rag",
                   "ai_client": {"provider": "offline"}}],
        "vector_db": {"provider": "chroma", "kind": "remote", "host": "127.0.0.1",
                      "port": chroma.port}},
        "documents": {"connect_timeout": "1s", "request_timeout": "2s"}}


def must_store(rest, text, **more):
    answer = rest.store({"documents": [{"content": text, **more}]})
    assert answer.status == 200, answer
    return answer


def test_a_persistent_session_has_its_documents_after_a_crash_and_a_refresh(world):
    server = world.server()
    rest = Rest(server).open("persistent")
    must_store(rest, TOWER)
    must_store(rest, ARABIC, id="arabic")
    before = passages_of(rest, "How high is the Khufu lighthouse?")
    server.restart()
    again = Rest(server)
    again.auth(client_id=rest.session["client_id"], client_secret=rest.session["client_secret"])
    assert again.init().status == 200
    assert passages_of(again, "How high is the Khufu lighthouse?") == before
    assert any(found["document_id"] == "arabic"
               for found in passages_of(again, "كم ارتفاع برج القاهرة؟"))


def test_a_crash_while_storing_leaves_all_or_nothing(world):
    server = world.server()
    rest = Rest(server).open("persistent")
    kept, words = [], 4_000
    for round_ in range(6):
        name = f"book-{round_}"
        text = " ".join(f"word{round_}x{i}." for i in range(words * (round_ + 1)))

        def store(name=name, text=text):
            try:
                if rest.store({"documents": [{"id": name, "content": text}]}).status == 200:
                    kept.append(name)
            except (OSError, Absent):
                pass

        storing = threading.Thread(target=store)
        storing.start()
        wait_until(lambda text=text: bytes_on_disk(server, f"word{round_}x7.")
                   or not storing.is_alive(), "passages come to the disk")
        server.restart()
        rest.port = server.port
        storing.join(30)
        assert not storing.is_alive()
        found = passages_of(rest, f"What is word{round_}x7?")
        documents = {each["document_id"] for each in found}
        if name in kept:
            assert name in documents
        # An answer that was lost may stand for documents that are there; never for a part of them.
        again = rest.store({"documents": [{"id": name, "content": text}]})
        assert again.status == (422 if name in documents else 200), again
        assert name in {each["document_id"] for each in passages_of(rest, f"word{round_}x7?")}


def test_closing_a_temporary_session_leaves_no_byte_of_its_documents(world):
    server = world.server()
    rest = Rest(server).open()
    other = Rest(server).open()
    must_store(other, "The other session's words stay: marmalade-7.")
    rest.store({"files": [{"name": "tower.txt", "content": b64(TOWER)}]})
    assert passages_of(rest, "How high is the Khufu lighthouse?")
    assert bytes_on_disk(server, "red granite")
    assert rest.close().status == 200
    wait_until(lambda: not bytes_on_disk(server, "red granite"), "the bytes are gone")
    assert not bytes_on_disk(server, "Khufu")
    assert passages_of(other, "marmalade-7?")
    server.restart()
    rest.port = server.port
    assert rest.query("Anything left?").status == 401
    assert not bytes_on_disk(server, "red granite")


def test_what_a_close_erases_is_erased_though_the_server_is_killed_at_once(world):
    server = world.server()
    rest = Rest(server).open()
    must_store(rest, TOWER, id="the-clients-own-id")
    server.restart()  # What was stored is in table files now, not in the log alone.
    rest.port = server.port
    assert passages_of(rest, "How high is the Khufu lighthouse?")
    assert rest.close().status == 200
    server.restart()
    for text in ("red granite", "Khufu", "the-clients-own-id"):
        wait_until(lambda text=text: not bytes_on_disk(server, text), f"no file holds {text!r}")


def test_tokens_and_secrets_are_in_no_log_and_no_metric(world):
    server = world.server({"log_level": "trace"})
    rest = Rest(server).open("persistent")
    must_store(rest, TOWER)
    rest.query("How high is it?")
    secret, token = rest.session["client_secret"], rest.session["access_token"]
    answers = [rest.auth(client_id=rest.session["client_id"], client_secret="wrong" + secret),
               rest.call("/queries", {"query": 1}), rest.call("/sessions?action=" + secret, {}),
               fetch(server.port, "GET", "/metrics")]
    rest.close()
    told = server.log() + "".join(str(answer.body) for answer in answers[1:2] + answers[3:])
    for word in (secret, token, token.split(".")[2], "red granite"):
        assert word not in told
    assert b"argon2" not in b"".join(path.read_bytes() for path in
                                     pathlib.Path(server.data).glob("*.key"))


def test_a_full_stack_of_sessions_stores_and_queries_at_once(world):
    server = world.server({"limits": {"connections_max": 4000}})
    count = 300

    async def one(index):
        async with connect(server) as socket:
            frame = await socket.call("on_auth", {"scope": "temporary"})
            assert "access_token" in json.dumps(frame), frame
            await socket.call("on_init", {})
            mine = f"The code word of client {index} is quartz{index}."
            frame = await socket.call("on_store", {"documents": [{"content": mine}]})
            assert frame.get("result") == "Files stored", frame
            frame = await socket.call("on_query", {"query": f"What is quartz{index}?"})
            found = frame["extras"]["supporting_documents"]
            assert [each["text"] for each in found] == [mine], frame

    async def all_of_them():
        await asyncio.wait_for(asyncio.gather(*(one(i) for i in range(count))), 120)

    asyncio.run(all_of_them())


def test_a_document_of_a_hundred_mebibytes_is_refused_by_its_length(world):
    server = world.server()
    rest = Rest(server).open()
    answer = fetch(server.port, "POST", "/documents", None, {
        "Authorization": f"Bearer {rest.token}", "Content-Type": "application/json",
        "Content-Length": str(140 << 20)})
    assert answer.status == 413
    assert "documents_bytes_max" in answer.json["detail"]


def test_a_hostile_file_costs_only_its_request(world):
    server = world.server()
    rest = Rest(server).open()
    good = {"name": "good.txt", "content": b64(TOWER)}
    bad = {"name": "bad.pdf", "content": b64(b"%PDF-1.7\nnot at all a document")}
    answer = rest.store({"files": [good, bad]})
    assert answer.status == 422 and "bad.pdf" in answer.json["detail"], answer
    strange = {"name": "x.txt", "content": b64(bytes(range(256)) * 20)}
    answer = rest.store({"files": [strange]})
    assert answer.status in (415, 422) and "x.txt" in answer.json["detail"], answer
    assert passages_of(rest, "How high is the Khufu lighthouse?") == []
    assert rest.store({"files": [good]}).status == 200
    assert passages_of(rest, "How high is the Khufu lighthouse?")


# ---- With a real Chroma ----

@pytest.mark.timeout(180)
def test_documents_in_chroma_are_found_and_go_with_their_session(world):
    chroma = world.chroma()
    server = world.server(chroma_config(chroma))
    rest = Rest(server).open()
    other = Rest(server).open()
    must_store(rest, TOWER)
    must_store(other, "The other session's words stay: marmalade-7.")
    found = passages_of(rest, "How high is the Khufu lighthouse?")
    assert [each["text"] for each in found] == [TOWER.strip()]
    assert len(chroma.collections()) == 2
    assert rest.close().status == 200
    wait_until(lambda: len(chroma.collections()) == 1, "the session's collection is gone")
    assert passages_of(other, "marmalade-7?")


@pytest.mark.timeout(180)
def test_a_chroma_that_is_down_is_503_and_recovers_by_itself(world):
    chroma = world.chroma()
    server = world.server(chroma_config(chroma))
    rest = Rest(server).open()
    must_store(rest, TOWER, id="before")
    chroma.kill9()
    assert rest.store({"documents": [{"id": "during", "content": "lost words"}]}).status == 503
    assert rest.query("How high is the Khufu lighthouse?").status == 503
    chroma.start()
    found = passages_of(rest, "How high is the Khufu lighthouse?")
    assert {each["document_id"] for each in found} == {"before"}
    must_store(rest, "lost words are found again", id="during")
    found = passages_of(rest, "Which words are found again?")
    assert "during" in {each["document_id"] for each in found}


@pytest.mark.timeout(180)
def test_a_session_that_was_closed_while_chroma_was_down_leaves_nothing_there(world):
    chroma = world.chroma()
    server = world.server(chroma_config(chroma))
    rest = Rest(server).open()
    must_store(rest, TOWER)
    chroma.kill9()
    assert rest.close().status == 200
    server.restart()
    chroma.start()
    wait_until(lambda: chroma.collections() == [], "the collection is gone")
