"""Recordings: what lies about its type or its length, and how what is kept is fetched."""
# ctest: TIMEOUT=600

import select

import pytest

from harness import Wire, fetch, wait_until
from platform_api import NOBODY, is_problem
from voice import (KINDS, NOISE, SILENCE, audio_files, calls, coded, form, listen, recording,
                   speaking, voice_form, zip_of)

pytestmark = pytest.mark.sanitizer

SCRIPT = [{"route": "transcriptions", "text": "Some words."}, {"text": "An answer."}]
HTML = b"<!DOCTYPE html><html><body><script>alert(1)</script></body></html>\n" * 20
MIB = 1 << 20


@pytest.fixture(scope="module")
def api(shared_world):
    _, api = speaking(shared_world, SCRIPT)
    yield api
    assert api.server.running, "something ended the server"


def png():
    return coded("a.png", ("-f", "lavfi", "-i", "color=red:s=64x64"), ("-frames:v", "1"))


def is_refused(api, content, status, *words, **options):
    """Nothing of it is stored; the problem."""
    session = api.session()
    problem = is_problem(api.speak(session, content, **options), status, *words)
    assert "message_id" not in problem
    assert api.messages(session) == [] and api.server.history(session["id"]) == []
    return problem


# ---- What lies about its type ----


def test_a_picture_that_is_called_a_recording_is_415(api):
    is_refused(api, png(), 415, "image/png")


@pytest.mark.parametrize("content", [HTML, b"only words\n", b"\x00" * 5_000, b"%PDF-1.7\n",
                                     b"#!/bin/sh\necho\n"])
def test_what_is_no_audio_is_415(api, content):
    is_refused(api, content, 415)


def test_a_video_is_415(api):
    video = coded("a.mp4", ("-f", "lavfi", "-i", "testsrc=d=1:s=64x64", *NOISE),
                  ("-c:v", "mpeg4", "-c:a", "aac", "-shortest"))
    is_refused(api, video, 415, "video", name="a.m4a", kind="audio/mp4")


def test_audio_of_a_kind_that_is_not_taken_is_415(api):
    is_refused(api, coded("a.aiff", NOISE, ()), 415)


@pytest.mark.parametrize("name, kind", [("notes.txt", "text/plain"), ("a.html", "text/html"),
                                        ("../../etc/passwd", "image/png"), ("", ""),
                                        ("%22; x=", "audio/x; a=b"), ("صوت.wav", "a")])
def test_a_recording_is_one_whatever_it_is_called(api, name, kind):
    message, _ = api.exchange(api.session(), name=name, kind=kind)
    assert message["audio"]["type"] == "audio/wav"


@pytest.mark.parametrize("kind, other", [("wav", "a page behind it"), ("ogg", "a page behind it"),
                                         ("flac", "a page behind it"),
                                         ("mp3", "an archive behind it"), ("wav", "a title")])
def test_a_recording_with_something_else_in_it_is_served_as_audio(api, kind, other):
    if other == "a title":
        content = coded("t.wav", NOISE, ("-metadata", "title=<script>alert(1)</script>"))
        assert b"<script>" in content
    else:
        archive = "archive" in other
        content = recording(kind) + (zip_of("a.txt", "hidden" * 999) if archive else HTML)
    message, _ = api.exchange(api.session(), content, name="a.html", kind="text/html")
    answer = api.fetch(message["audio"]["href"])
    assert answer.status == 200 and answer.body == content
    assert answer.headers["content-type"] == message["audio"]["type"] == KINDS[kind][2]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_archive_with_a_recording_behind_it_is_415(api):
    is_refused(api, zip_of("a.txt", "hidden") + recording("mp3"), 415)


# ---- What is cut off, broken, or too long ----


@pytest.mark.parametrize("kind", ["wav", "ogg", "mp3", "webm", "flac"])
def test_a_recording_that_is_cut_off_is_heard_as_far_as_it_goes(api, kind):
    whole = recording(kind)
    message, _ = api.exchange(api.session(), whole[:len(whole) // 2])
    assert 900 < message["audio"]["duration_ms"] < 2_000


@pytest.mark.parametrize("what", ["an M4A without its end", "a WAV without sound",
                                  "an MP3 of noise", "a FLAC that is overwritten"])
def test_what_does_not_play_is_422(api, what):
    m4a, wav, flac = recording("m4a"), recording("wav"), recording("flac")
    noise = bytes(n * 7919 >> 5 & 0xFF for n in range(100_000))
    content = {"an M4A without its end": m4a[:len(m4a) // 2],
               "a WAV without sound": wav[:44],
               "an MP3 of noise": b"\xff\xfb\x90\x64" + noise,
               "a FLAC that is overwritten": flac[:9_000] + noise[:len(flac) - 9_000]}[what]
    is_refused(api, content, 422)


def test_an_empty_file_is_422_and_pointed_at(api):
    problem = is_refused(api, b"", 422)
    assert [error["pointer"] for error in problem["errors"]] == ["/file"]


@pytest.mark.parametrize("name, coding", [
    ("long.mp3", ("-b:a", "8k", "-ar", "8000")), ("long.flac", ("-ar", "8000")),
    ("long.ogg", ("-ar", "8000", "-c:a", "libopus", "-b:a", "6k", "-compression_level", "0",
                  "-frame_duration", "60", "-application", "lowdelay"))])
def test_two_hours_are_413_and_the_limit_is_named(api, name, coding):
    content = coded(name, (*SILENCE, "-t", "7200"), coding)
    assert len(content) < 25 * MIB
    is_refused(api, content, 413, "limits.audio_seconds_max", "600")


def test_the_longest_recording_is_a_setting(world):
    _, api = speaking(world, SCRIPT, config={"limits": {"audio_seconds_max": 4}})
    is_refused(api, coded("long.wav", (*SILENCE, "-t", "5"), ()), 413, "limits.audio_seconds_max",
               "4")
    api.exchange(api.session(), recording())


def test_an_answer_may_be_longer_than_a_recording_may(world):
    _, api = speaking(world, SCRIPT + [{"route": "speech", "speech_ms": 10_000}],
                      config={"limits": {"audio_seconds_max": 4}})
    _, answer = api.exchange(api.session(), recording())
    assert answer["status"] == "completed" and answer["audio"]["bytes"] > 0


def test_a_recording_of_too_many_bytes_is_413(world):
    _, api = speaking(world, SCRIPT, config={"limits": {"audio_bytes_max": "1MiB"}})
    big = coded("big.wav", (*SILENCE, "-t", "60"), ())
    assert len(big) > MIB
    is_refused(api, big, 413, "limits.audio_bytes_max")
    assert audio_files(api.server) == []


@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_an_upload_without_end_is_413(world, framing):
    _, api = speaking(world, SCRIPT, config={"limits": {"audio_bytes_max": "1MiB"}})
    session = api.session()
    body, form_type = voice_form(session, recording())
    with Wire(api.server.port) as wire:
        wire.send("POST /api/v1/message/voice HTTP/1.1\r\nHost: localhost\r\n"
                  f"Content-Type: {form_type}\r\n")
        if framing == "length":
            wire.send(f"Content-Length: {1 << 40}\r\n\r\n")
        else:
            wire.send("Transfer-Encoding: chunked\r\n\r\n")
            begun = body[:2_000]
            wire.send(b"%x\r\n%b\r\n" % (len(begun), begun))
            chunk = b"10000\r\n" + bytes(1 << 16) + b"\r\n"
            for _ in range(10_000):
                wire.send(chunk)
                if select.select([wire.socket], [], [], 0)[0]:
                    break
        answer = wire.response()
    assert answer is not None and answer.status == 413
    assert "limits.audio_bytes_max" in answer.json["detail"]
    assert api.messages(session) == [] and audio_files(api.server) == []


def test_one_who_leaves_in_the_middle_of_an_upload_leaves_nothing(world):
    _, api = speaking(world, SCRIPT)
    session = api.session()
    body, form_type = voice_form(session, recording())
    for sent in (0, 100, 1_000, len(body) // 2, len(body) - 1):
        with Wire(api.server.port) as wire:
            wire.send("POST /api/v1/message/voice HTTP/1.1\r\nHost: localhost\r\n"
                      f"Content-Type: {form_type}\r\nContent-Length: {len(body)}\r\n\r\n")
            wire.send(body[:sent])
    api.exchange(session)
    assert len(api.messages(session)) == 2 and len(audio_files(api.server)) == 2


def test_a_form_that_is_none_is_refused(api):
    session = api.session()
    path = "/api/v1/message/voice"
    body, form_type = voice_form(session, recording())
    is_problem(fetch(api.server.port, "POST", path, {"session_id": session["id"]}), 415)
    is_problem(fetch(api.server.port, "POST", path, body, {"Content-Type": "audio/wav"}), 415)
    is_problem(fetch(api.server.port, "POST", path, body,
                     {"Content-Type": "multipart/form-data"}), 400)
    is_problem(fetch(api.server.port, "POST", path, body[:-30], {"Content-Type": form_type}), 400)
    assert api.messages(session) == []


@pytest.mark.parametrize("parts, pointer", [
    (["file"], "/session_id"), (["session_id"], "/file"),
    (["session_id", "file", "file"], "/file"),
    (["session_id", "session_id", "file"], "/session_id"),
    (["session_id", "file", "extra"], "/extra"),
    (["session_id", "file", "language", "language"], "/language")])
def test_a_part_that_is_missing_or_one_too_many_is_422(api, parts, pointer):
    session = api.session()
    made = {"session_id": ("session_id", None, None, session["id"]),
            "file": ("file", "a.wav", "audio/wav", recording()),
            "language": ("language", None, None, "en"), "extra": ("extra", None, None, "x")}
    body, form_type = form([made[name] for name in parts])
    problem = is_problem(fetch(api.server.port, "POST", "/api/v1/message/voice", body,
                               {"Content-Type": form_type}), 422)
    assert pointer in [error["pointer"] for error in problem["errors"]], problem
    assert api.messages(session) == []


def test_the_order_of_the_parts_does_not_matter(api):
    session = api.session()
    body, form_type = form([("language", None, None, "en"), ("file", "a", None, recording()),
                            ("session_id", None, None, session["id"])])
    assert fetch(api.server.port, "POST", "/api/v1/message/voice", body,
                 {"Content-Type": form_type}).status == 201


def test_an_unknown_session_is_refused_before_its_recording_is_looked_at(api):
    is_problem(api.speak({"id": NOBODY}, b"no recording"), 404)
    assert api.server.history(NOBODY) == []


@pytest.mark.parametrize("name", ["x", "../..", "", NOBODY.upper(), "a" * 100])
def test_what_is_no_session_id_is_422(api, name):
    is_problem(api.speak({"id": name}), 422)


def test_a_refused_recording_costs_the_provider_nothing(world):
    upstream, api = speaking(world, SCRIPT)
    is_refused(api, png(), 415)
    assert calls(upstream) == (0, 0, 0) and audio_files(api.server) == []


# ---- Fetching ----


@pytest.fixture(scope="module")
def kept(api):
    """A recording that is kept: its href and its bytes."""
    sent = recording("mp3")
    message, answer = api.exchange(api.session(), sent)
    return message["audio"]["href"], sent


def test_a_recording_is_fetched_whole(api, kept):
    href, content = kept
    answer = api.fetch(href)
    assert answer.status == 200 and answer.body == content
    assert answer.headers["content-type"] == "audio/mpeg"
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers["accept-ranges"] == "bytes" and answer.headers["etag"]


def test_head_tells_of_a_recording(api, kept):
    href, content = kept
    answer = api.fetch(href, "HEAD")
    assert answer.status == 200 and answer.body == b""
    whole = api.fetch(href)
    for name in ("content-type", "content-length", "accept-ranges", "etag"):
        assert answer.headers[name] == whole.headers[name]


@pytest.mark.parametrize("asked, first, last", [
    ("0-0", 0, 0), ("0-99", 0, 99), ("100-", 100, None), ("-1", -1, None), ("-100", -100, None),
    ("10-999999999", 10, None), ("-999999999", 0, None)])
def test_one_range_is_206(api, kept, asked, first, last):
    href, content = kept
    first = first if first >= 0 else len(content) + first
    last = len(content) - 1 if last is None else last
    answer = api.fetch(href, Range=f"bytes={asked}")
    assert answer.status == 206, answer
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(content)}"
    assert answer.body == content[first:last + 1]
    assert answer.headers["content-length"] == str(len(answer.body))


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=x-y", "bytes=5-3", "lines=1-2", "bytes",
                                   "bytes=", "bytes=-", "bytes=--1", "bytes=1-2-3"])
def test_what_is_no_single_range_gets_the_whole(api, kept, asked):
    href, content = kept
    answer = api.fetch(href, Range=asked)
    assert answer.status == 200 and answer.body == content


@pytest.mark.parametrize("asked", ["999999999-", "-0"])
def test_a_range_that_is_not_there_is_416(api, kept, asked):
    href, content = kept
    answer = api.fetch(href, Range=f"bytes={asked}")
    is_problem(answer, 416)
    assert answer.headers["content-range"] == f"bytes */{len(content)}"


def test_a_range_just_behind_the_end_is_416(api, kept):
    href, content = kept
    is_problem(api.fetch(href, Range=f"bytes={len(content)}-"), 416)
    assert api.fetch(href, Range=f"bytes={len(content) - 1}-").status == 206


def test_if_range_gets_the_part_of_what_one_has(api, kept):
    href, content = kept
    tag = api.fetch(href).headers["etag"]
    same = api.fetch(href, Range="bytes=5-9", If_Range=tag)
    assert same.status == 206 and same.body == content[5:10]
    for other in ('"other"', f"W/{tag}", "Sat, 21 Nov 2026 09:00:00 GMT"):
        whole = api.fetch(href, Range="bytes=5-9", If_Range=other)
        assert whole.status == 200 and whole.body == content


def test_a_recording_is_not_sent_again_to_who_has_it(api, kept):
    href, _ = kept
    again = api.fetch(href, If_None_Match=api.fetch(href).headers["etag"])
    assert again.status == 304 and again.body == b""
    assert api.fetch(href, If_None_Match='"other"').status == 200


def test_a_recording_in_pieces_is_the_whole(api, kept):
    href, content = kept
    pieces = b""
    while len(pieces) < len(content):
        answer = api.fetch(href, Range=f"bytes={len(pieces)}-{len(pieces) + 6_999}")
        assert answer.status == 206
        pieces += answer.body
    assert pieces == content and listen(pieces).seconds > 2.8


def test_a_recording_is_of_its_session_alone(api, kept):
    href, _ = kept
    path = href.partition("?")[0]
    is_problem(api.fetch(f"{path}?session_id={api.session()['id']}"), 404)
    is_problem(api.fetch(f"{path}?session_id={NOBODY}"), 404)
    is_problem(api.fetch(path), 400)
    is_problem(api.fetch(href.replace(path.split("/")[4], NOBODY)), 404)
    is_problem(api.fetch(href, "DELETE"), 405)


def test_a_text_has_no_recording(api):
    session = api.session()
    answer = api.say(session, "hello").json
    assert answer["audio"] is None
    for name in (answer["id"], answer["reply_to"]):
        is_problem(api.get(f"/message/{name}/audio?session_id={session['id']}"), 404)


def test_recordings_are_there_after_a_restart(world):
    _, api = speaking(world, SCRIPT)
    session = api.session()
    message, answer = api.exchange(session)
    before = [api.fetch(m["audio"]["href"]) for m in (message, answer)]
    api.server.restart()
    assert api.messages(session) == [message, answer]
    for one, m in zip(before, (message, answer)):
        after = api.fetch(m["audio"]["href"])
        assert after.body == one.body and after.headers["etag"] == one.headers["etag"]


def test_recordings_go_when_their_time_is_over(world):
    _, api = speaking(world, SCRIPT, config={"limits": {"audio_age_max": "1ms"}})
    session = api.session()
    message, answer = api.exchange(session)
    api.server.restart()  # It looks for old ones then, and from time to time.
    wait_until(lambda: audio_files(api.server) == [], "the recordings are gone")
    for one in (message, answer):
        is_problem(api.fetch(one["audio"]["href"]), 404)
    assert [m["content"] for m in api.messages(session)] == [message["content"],
                                                             answer["content"]]
