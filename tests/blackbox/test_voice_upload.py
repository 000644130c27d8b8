"""How a voice message is taken in: as it arrives, to a file without a name, within its limits."""

import concurrent.futures
import os
import pathlib
import random
import subprocess

import pytest

from harness import PATIENCE, SANITIZE, Wire, fetch, wait_until

pytestmark = pytest.mark.sanitizer

PATH = "/api/v1/message/voice"
NOBODY = "019a9a3e-7c1d-7b5e-9f00-3d2a4c5b6e70"
BOUND = "parlance-boundary"
TYPE = {"Content-Type": f"multipart/form-data; boundary={BOUND}"}
AUDIO_MAX = 2 << 20
FORM_MAX = 64 << 10
UPLOADS_MAX = 8


@pytest.fixture(scope="module")
def server(shared_world):
    server = shared_world.server({"cores": 1, "limits": {
        "audio_bytes_max": f"{AUDIO_MAX >> 20}MiB", "uploads_max": UPLOADS_MAX}})
    yield server
    assert server.running, "something ended the server"


def part(name, value, *lines):
    value = value.encode() if isinstance(value, str) else value
    head = "\r\n".join([f"--{BOUND}", f'Content-Disposition: form-data; name="{name}"', *lines])
    return head.encode() + b"\r\n\r\n" + value + b"\r\n"


def form(file=b"sound", session=NOBODY, *more):
    return b"".join([part("session_id", session),
                     part("file", file, "Content-Type: audio/wav"), *more,
                     f"--{BOUND}--\r\n".encode()])


def send(server, body, **headers):
    return fetch(server.port, "POST", PATH, body, {**TYPE, **headers})


def is_problem(answer, status, *words):
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert problem["status"] == status
    assert problem["instance"] == answer.headers["x-request-id"]
    for word in words:
        assert word in problem["detail"], problem
    if status == 503:
        assert int(answer.headers["retry-after"]) >= 1
    return problem


def head(*lines):
    return "\r\n".join([f"POST {PATH} HTTP/1.1", "Host: 127.0.0.1",
                        f"Content-Type: {TYPE['Content-Type']}", *lines]) + "\r\n\r\n"


def began(server, length=100_000, sent=b"x"):
    """A client that has sent only the beginning of its body."""
    wire = Wire(server.port)
    wire.send(head(f"Content-Length: {length}", "Expect: 100-continue"))
    status, _ = wire.head()
    assert status == 100, status
    return wire.send(sent)


def spools(server):
    """The sizes of the files without a name that the server has open."""
    out = []
    folder = pathlib.Path(f"/proc/{server.pid}/fd")
    for link in folder.iterdir():
        try:
            target = os.readlink(link)
            if "/audio/" in target and target.endswith("(deleted)"):
                out.append(os.stat(link).st_size)
        except FileNotFoundError:
            pass
    return out


def no_spools(server):
    wait_until(lambda: not spools(server), "the files to be given back")


def status_field(server, name):
    text = pathlib.Path(f"/proc/{server.pid}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(name + ":"))


# ---- Forms ----


def test_a_whole_form_is_taken(server):
    """Whatever becomes of it, it is not the form that is refused."""
    assert send(server, form()).status not in (400, 408, 413, 415, 422)
    no_spools(server)


def test_a_connection_is_kept_behind_a_form(server):
    with Wire(server.port) as wire:
        for _ in range(3):
            body = form(random.randbytes(300_000))
            wire.send(head(f"Content-Length: {len(body)}").encode() + body)
            assert wire.response().status not in (400, 408, 413, 415, 422)


def test_forms_are_taken_one_behind_the_other(server):
    body = form(b"x" * 100_000)
    with Wire(server.port) as wire:
        wire.send((head(f"Content-Length: {len(body)}").encode() + body) * 3)
        for _ in range(3):
            assert wire.response().status not in (400, 408, 413, 415, 422)


def test_a_form_in_chunks_is_taken(server):
    body = form(random.randbytes(500_000))
    with Wire(server.port) as wire:
        wire.send(head("Transfer-Encoding: chunked"))
        at = 0
        while at < len(body):
            piece = body[at:at + random.choice([1, 2, 77, 65_536, 99_999])]
            wire.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            at += len(piece)
        wire.send(b"0\r\n\r\n")
        assert wire.response().status not in (400, 408, 413, 415, 422)


def test_a_client_that_asks_is_told_to_go_on(server):
    body = form()
    with began(server, len(body), body) as wire:
        assert wire.response().status not in (400, 408, 413, 415, 422)


@pytest.mark.parametrize("more, pointers", [
    ([part("session_id", NOBODY)], ["/session_id"]), ([part("file", "x")], ["/file"]),
    ([part("model", "x")], ["/model"]), ([part("language", "x")], ["/language"]),
    ([part("language", "en")] * 2, ["/language"]),
    ([part("a", "x"), part("b", "x")], ["/a", "/b"])])
def test_parts_that_are_not_valid_are_422(server, more, pointers):
    problem = is_problem(send(server, form(b"sound", NOBODY, *more)), 422)
    assert [error["pointer"] for error in problem["errors"]] == pointers


def test_parts_that_are_missing_are_422(server):
    problem = is_problem(send(server, part("language", "en") + f"--{BOUND}--".encode()), 422)
    assert [error["pointer"] for error in problem["errors"]] == ["/session_id", "/file"]
    problem = is_problem(send(server, form(b"")), 422)
    assert [error["pointer"] for error in problem["errors"]] == ["/file"]


@pytest.mark.parametrize("body", [
    b"", b"x", b"{}", form()[:-6], form()[:100], b"--" + BOUND.encode(),
    form().replace(BOUND.encode(), b"other"), form().replace(b"Content-Disposition", b"Content-Position"),
    form().replace(b"form-data;", b"attachment;"), form().replace(b"\r\n\r\n", b"\r\n"),
    form().replace(b"Content-Type: audio/wav", b"X: " + b"y" * 10_000),
    random.Random(1).randbytes(100_000)], ids=lambda body: f"{len(body)} bytes")
def test_a_body_that_is_no_form_is_400(server, body):
    is_problem(send(server, body), 400, "form")


@pytest.mark.parametrize("type", [
    "multipart/form-data", "multipart/form-data; boundary=", 'multipart/form-data; boundary=""',
    "multipart/form-data; boundary=" + "b" * 71, "multipart/form-data; boundary=other"])
def test_a_form_without_a_usable_boundary_is_400(server, type):
    is_problem(send(server, form(), **{"Content-Type": type}), 400, "form")


@pytest.mark.parametrize("type", ["application/json", "audio/wav", "multipart/mixed; boundary=b",
                                  "multipart/form-datas; boundary=b", ""])
def test_another_type_is_415_before_the_body_is_sent(server, type):
    with Wire(server.port) as wire:
        wire.send(f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {type}\r\n"
                  "Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")
        is_problem(wire.response(), 415, "multipart/form-data")


def test_a_session_that_cannot_be_is_422(server):
    is_problem(send(server, form(session="x")), 422, "session_id")


def test_a_bad_idempotency_key_is_400(server):
    is_problem(send(server, form(), **{"Idempotency-Key": "a b"}), 400, "Idempotency-Key")


# ---- Limits ----


def test_a_form_that_is_too_long_is_refused_before_it_is_sent(server):
    for length in (AUDIO_MAX + FORM_MAX + 1, 10**15):
        with Wire(server.port) as wire:
            wire.send(head(f"Content-Length: {length}", "Expect: 100-continue"))
            is_problem(wire.response(), 413, "limits.audio_bytes_max", str(AUDIO_MAX))


def test_a_client_that_sends_all_the_same_reads_why_not(server):
    is_problem(send(server, form(bytes(AUDIO_MAX + FORM_MAX))), 413, "limits.audio_bytes_max")


def test_a_form_in_chunks_is_refused_when_it_gets_too_long(server):
    with Wire(server.port) as wire:
        wire.send(head("Transfer-Encoding: chunked"))
        for _ in range((AUDIO_MAX >> 16) + 2):
            wire.send(b"10000\r\n" + bytes(65_536) + b"\r\n")
        is_problem(wire.response(), 413, "limits.audio_bytes_max")
    no_spools(server)


def test_a_client_that_stops_sending_is_408(world):
    server = world.server({"limits": {"body_timeout": "100ms"}})
    with began(server, sent=form()[:200]) as wire:
        is_problem(wire.response(), 408)
        assert wire.until_closed() == b""
    no_spools(server)


def test_a_client_that_leaves_gives_all_back(server):
    no_spools(server)
    wires = [began(server, AUDIO_MAX, bytes(1 << 20)) for _ in range(UPLOADS_MAX)]
    wait_until(lambda: sum(spools(server)) > UPLOADS_MAX * (700 << 10), "most of it to be written")
    for wire in wires:
        wire.socket.close()
    no_spools(server)
    assert send(server, form()).status not in (400, 408, 413, 415, 422)


def test_too_many_at_once_are_503(server):
    no_spools(server)
    wires = [began(server) for _ in range(UPLOADS_MAX)]
    try:
        with Wire(server.port) as wire:
            wire.send(head("Content-Length: 100000", "Expect: 100-continue"))
            is_problem(wire.response(), 503, "limits.uploads_max")
    finally:
        for wire in wires:
            wire.socket.close()
    no_spools(server)


def test_hundreds_at_once_are_all_answered(server):
    body = form(random.randbytes(200_000))
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda _: send(server, body), range(400)))
    assert {answer.status for answer in answers} <= {201, 404, 503}
    no_spools(server)


@pytest.mark.skipif(bool(SANITIZE), reason="a sanitizer keeps memory that was freed")
def test_a_long_recording_is_never_in_memory(world):
    server = world.server()
    body = form(bytes(25 << 20))
    send(server, form())
    before = status_field(server, "VmHWM")
    assert send(server, body).status not in (400, 408, 413, 415, 422)
    assert status_field(server, "VmHWM") - before < 4 << 10, "KiB"


# ---- The disk ----


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one MiB."""
    if os.geteuid() != 0:
        pytest.skip("a small file system can only be mounted by root")
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "small", folder],
                             capture_output=True, text=True, timeout=PATIENCE)
    if mounted.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True, timeout=PATIENCE)


def on_disk(world, folder):
    """A server whose recordings go to `folder`."""
    server = world.server(start=False)
    server.data.mkdir(parents=True)
    (server.data / "audio").symlink_to(folder)
    return server.start()


def test_a_full_disk_is_503_and_the_server_lives(world, small_disk):
    server = on_disk(world, small_disk)
    try:
        assert send(server, form(bytes(200_000))).status not in (400, 408, 413, 415, 422)
        for _ in range(3):
            is_problem(send(server, form(bytes(5 << 20))), 503, "disk")
        # The form is there, and no room for the recording out of it.
        is_problem(send(server, form(bytes(700_000))), 503, "cannot be kept")
        assert "a voice message cannot be kept" in server.log()
        assert send(server, form(bytes(200_000))).status not in (400, 408, 413, 415, 422)
        assert server.get("/readyz").status == 200
    finally:
        server.end()  # Before its disk goes.


def test_a_directory_that_is_gone_is_503_and_the_server_lives(world):
    folder = world.folder / "gone"
    folder.mkdir()
    server = on_disk(world, folder)
    folder.rmdir()
    is_problem(send(server, form(bytes(1 << 20))), 503, "cannot keep")
    folder.mkdir()
    assert send(server, form()).status not in (400, 408, 413, 415, 422)


def test_recordings_are_for_nobody_else_to_read(world):
    server = world.server()
    assert (server.data / "audio").stat().st_mode & 0o777 == 0o700
