"""A full disk and a failed sync: nothing is promised that cannot be kept, and reading goes on."""

import asyncio
import os
import subprocess

import pytest

from harness import FROM_START, Absent, Chat, Events, SyncFaults, new_id, until

DISK_BYTES = 48 << 20
STORE = {"storage": {"write_buffer_bytes": "1MiB", "block_cache_bytes": "1MiB"}}


class SmallDisk:
    """A file system of its own, which can be filled up."""

    def __init__(self, folder):
        self.folder = folder
        self.ballast = folder / "ballast"

    def fill(self):
        """Takes all the space that is left."""
        with open(self.ballast, "ab", buffering=0) as ballast:
            for size in (1 << 20, 4096):
                try:
                    while True:
                        ballast.write(bytes(size))
                except OSError:
                    pass

    def relieve(self):
        self.ballast.unlink()


@pytest.fixture
def disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("a small file system can only be mounted by root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "small", folder],
                             capture_output=True, text=True, timeout=20)
    if mounted.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    yield SmallDisk(folder)
    subprocess.run(["umount", "-l", folder], check=True, timeout=20)


class Trouble:
    """A server whose disk can be made to refuse writes, one way or another."""

    def __init__(self, server, begin, end, upstream):
        self.server = server
        self.begin = begin
        self.end = end
        self.upstream = upstream


@pytest.fixture(params=["full", "failing"])
def trouble(request, world):
    """`full`: a disk without space. `failing`: syncs that fail."""
    upstream = world.upstream(script=[
        {"when": "endless", "tokens": 100_000, "token_ms": 10}, {"text": "An answer."}])
    if request.param == "full":
        disk = request.getfixturevalue("disk")
        server = world.server(STORE, upstream, start=False)
        server.data = disk.folder / "data"
        begin, end = disk.fill, disk.relieve
    else:
        faults = SyncFaults(request.getfixturevalue("fault_library"), world.folder)
        server = world.server(STORE, upstream, start=False, environment=faults.environment)
        begin, end = faults.fail, faults.off
    server.start()
    yield Trouble(server, begin, end, upstream)
    # Before its disk goes.
    server.end()


BIG = "x" * 100_000


async def fill_until_refused(server, chat_id):
    """Posts until the server refuses; returns the refusal and the ids it accepted."""
    accepted = []

    async def refused():
        name = new_id()
        answer = await server.apost(f"/chat/{chat_id}/messages",
                                    {"message": BIG, "message_id": name})
        if answer.status == 202:
            accepted.append(name)
            return None
        return answer
    return await until(refused, "a refusal"), accepted


async def test_a_message_that_cannot_be_kept_is_refused_with_503(trouble):
    server = trouble.server
    async with Chat(server, "refused") as chat:
        await chat.ask("before")
    trouble.begin()
    answer, _ = await fill_until_refused(server, "refused-now")
    assert answer.status == 503 and int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_a_message_that_cannot_be_kept_is_refused_on_the_socket(trouble):
    server = trouble.server
    async with Chat(server, "socket") as chat:
        await chat.ask("before")
        trouble.begin()
        await fill_until_refused(server, "other")
        name = await chat.send("now")
        error = await chat.frame("agent_error", message_id=name)
        assert "seq" not in error and not chat.transcript.of(name)


async def test_a_server_that_refuses_writes_is_alive_but_not_ready(trouble):
    server = trouble.server
    trouble.begin()
    await fill_until_refused(server, "any")
    assert server.get("/readyz").status == 503
    assert server.get("/healthz").status == 200


async def test_reading_goes_on(trouble):
    server = trouble.server
    async with Chat(server, "reads", after=FROM_START) as chat:
        await chat.ask("before")
        history = server.history("reads")
        trouble.begin()
        await fill_until_refused(server, "other")
        assert server.history("reads") == history and len(history) == 2
        for kind in (Chat, Events):
            async with kind(server, "reads", after=FROM_START) as reader:
                await reader.wait(lambda r=reader: len(r.transcript.events) == 3, "the whole log")
                assert reader.transcript.events == chat.transcript.events


async def test_nothing_acknowledged_is_lost(trouble):
    server = trouble.server
    async with Chat(server, "kept", after=FROM_START) as chat:
        for number in range(5):
            await chat.ask("question", f"k{number}")
        trouble.begin()
        _, accepted = await fill_until_refused(server, "filled")
        trouble.end()
        server.restart()
        await chat.disconnected()
        await chat.resume()
        await chat.ask("after")
        assert chat.transcript.accepted()[:5] == [f"k{n}" for n in range(5)]
    kept = [e["message_id"] for e in server.history("filled") if e["role"] == "user"]
    assert kept[:len(accepted)] == accepted


async def test_a_refused_message_may_be_sent_again_after_the_disk_is_mended(trouble):
    server = trouble.server
    trouble.begin()
    await fill_until_refused(server, "filled")
    await server.apost("/chat/again/messages", {"message": "text", "message_id": "again"})
    trouble.end()
    server.restart()
    async with Chat(server, "again", after=FROM_START) as chat:
        chat.transcript.repeats_expected = True
        end = await chat.ask("text", "again")
        assert end["status"] == "completed"


async def test_a_run_that_cannot_be_recorded_says_so_and_goes_on_after_a_restart(trouble):
    server = trouble.server
    async with Chat(server, "stalls", tokens=True, after=FROM_START) as chat:
        name = await chat.send("endless, please")
        await chat.text_of(name, 20)
        trouble.begin()
        await fill_until_refused(server, "other")
        stalled = await chat.frame("agent_error", message_id=name)
        assert "seq" not in stalled and name not in chat.transcript.ended
        trouble.end()
        trouble.upstream.script([{"text": "An answer."}])
        server.restart()
        await chat.disconnected()
        await chat.resume()
        end = await chat.end_of(name)
        assert end["status"] == "completed"


async def test_a_run_that_cannot_be_recorded_closes_its_call_to_the_model(trouble):
    server = trouble.server
    async with Chat(server, "closes", tokens=True) as chat:
        name = await chat.send("endless, please")
        await chat.text_of(name, 20)
        trouble.begin()
        await fill_until_refused(server, "other")
        await chat.frame("agent_error", message_id=name)
        await trouble.upstream.stats_until(lambda s: s["active"] == 0, "the call to be closed")


async def test_a_server_that_refuses_writes_stops_in_order(trouble):
    server = trouble.server
    trouble.begin()
    await fill_until_refused(server, "any")
    assert await asyncio.to_thread(server.stop) == 0


def test_a_start_on_a_full_disk_is_refused_with_a_sentence(world, disk):
    disk.fill()
    server = world.server(STORE, start=False)
    server.data = disk.folder / "data"
    with pytest.raises(Absent, match="before it was ready"):
        server.start()
    assert server.exit_codes == [1]
    assert "parlance: " in server.log() and "space" in server.log().lower()


async def test_what_was_durable_is_there_after_a_start_on_a_full_disk_was_refused(world, disk):
    server = world.server(STORE, start=False)
    server.data = disk.folder / "data"
    server.start()
    async with Chat(server, "full-start") as chat:
        await chat.ask("Hello")
    server.kill9()
    disk.fill()
    server.launch()
    if not server.wait_line("^ready"):
        server.wait_exit()
        disk.relieve()
        server.start()
    assert len(server.history("full-start")) == 2
    server.end()


# ---- Syncs that take long ----


@pytest.fixture
def slow_disk(world, fault_library):
    """A server whose syncs end when the test says so."""
    faults = SyncFaults(fault_library, world.folder)
    upstream = world.upstream(script=[
        {"when": "endless", "tokens": 100_000, "token_ms": 10}, {"text": "An answer."}])
    server = world.server(STORE, upstream, environment=faults.environment)
    return Trouble(server, faults.hold, faults.off, upstream), faults


async def test_the_model_is_called_while_the_message_becomes_durable(slow_disk):
    trouble, faults = slow_disk
    async with Chat(trouble.server, "early", tokens=True) as chat:
        await chat.settle()
        faults.hold()
        name = await chat.send("a question")
        # The whole answer is there before the message is on the disk...
        await trouble.upstream.stats_until(lambda s: s["completed"] == 1, "the model's answer")
        await chat.settle()
        # ...and nobody has been told anything.
        assert not chat.transcript.of(name) and name not in chat.transcript.text
        faults.off()
        await chat.end_of(name)
        assert [e["type"] for e in chat.transcript.of(name)] == [
            "client_message", "agent_step", "message_end"]
        assert trouble.upstream.stats()["requests"] == 1


async def test_a_message_that_is_cancelled_before_it_is_durable_ends_its_call(slow_disk):
    trouble, faults = slow_disk
    async with Chat(trouble.server, "early-cancel", tokens=True) as chat:
        await chat.settle()
        faults.hold()
        name = await chat.send("endless, please")
        await trouble.upstream.stats_until(lambda s: s["active"] == 1, "the call")
        await chat.cancel(name)
        await chat.settle()
        faults.off()
        end = await chat.end_of(name)
        assert (end["type"], end["status"]) == ("message_end", "cancelled")
        await trouble.upstream.stats_until(lambda s: s["cancelled"] == 1, "the end of the call")


async def test_a_message_that_cannot_be_kept_ends_its_call(slow_disk):
    trouble, faults = slow_disk
    async with Chat(trouble.server, "early-lost", tokens=True) as chat:
        await chat.settle()
        faults.fail()
        name = await chat.send("endless, please")
        error = await chat.frame("agent_error", message_id=name)
        assert "seq" not in error and name not in chat.transcript.text
    await trouble.upstream.stats_until(lambda s: s["active"] == 0, "the end of the call")


async def test_a_repeat_is_told_again_and_costs_no_model_call(slow_disk):
    trouble, _ = slow_disk
    async with Chat(trouble.server, "early-repeat") as chat:
        await chat.ask("a question", "once")
    trouble.server.restart()
    async with Chat(trouble.server, "early-repeat", after=FROM_START) as chat:
        chat.transcript.repeats_expected = True
        await chat.send("a question", "once")
        await chat.wait(lambda: chat.transcript.repeated, "the first answer, told again")
    assert trouble.upstream.stats()["requests"] == 1


async def test_a_key_that_is_being_written_starts_no_run_of_another_message(slow_disk):
    trouble, faults = slow_disk
    server = trouble.server
    async with Chat(server, "key", tokens=True) as chat:
        await chat.ask("a question", "x")
        running = await chat.send("endless, please")
        await chat.text_of(running, 1)
        faults.delay(500)
        await chat.cancel(running)
        # The repeat waits behind the end of the run; its key is written by the next append...
        repeat = asyncio.create_task(server.apost(
            "/chat/key/messages", {"message": "a question", "message_id": "x", "on_busy": "reject"},
            {"Idempotency-Key": "k"}))
        await chat.end_of(running)
        # ...during which another message comes with that key.
        other = await server.apost("/chat/key/messages", {"message": "other", "message_id": "y"},
                                   {"Idempotency-Key": "k"})
        faults.off()
        assert other.status == 422
        assert (await repeat).status == 202
        end = await chat.ask("go on", "z")
        assert end["type"] == "message_end"
    await server.metric_until("runs_active", lambda n: n == 0)


async def test_a_key_that_comes_with_a_repeat_in_flight_is_remembered(slow_disk):
    trouble, faults = slow_disk
    server = trouble.server
    async with Chat(server, "both") as chat:
        await chat.settle()
        faults.hold()
        name = await chat.send("a question")
        await trouble.upstream.stats_until(lambda s: s["requests"] == 1, "the call")
        repeat = asyncio.create_task(server.apost(
            "/chat/both/messages", {"message": "a question", "message_id": name},
            {"Idempotency-Key": "k"}))
        # Taken in once the session has answered what came behind it.
        await until(lambda: server.metric("http_requests_total") > 0, "the request")
        await chat.settle()
        faults.off()
        assert (await repeat).status == 202
        again = await server.apost("/chat/both/messages", {"message": "a question"},
                                   {"Idempotency-Key": "k"})
        assert again.status == 422
        await chat.end_of(name)


async def test_an_interrupting_message_is_next_after_a_crash_too(world):
    upstream = world.upstream(script=[
        {"when": "endless", "tokens": 100_000, "token_ms": 10}, {"text": "An answer."}])
    server = world.server({"storage": {"partial_interval": "20ms"}}, upstream)
    async with Chat(server, "crash", tokens=True, after=FROM_START) as chat:
        running = await chat.send("endless, please", "a")
        await chat.text_of(running, 20)
        await chat.send("waits", "q")
        await chat.frame("client_message", message_id="q")
        await server.apost("/chat/crash/messages",
                           {"message": "now", "message_id": "b", "on_busy": "interrupt"})
        server.restart()
        await chat.resume()
        for name in ("a", "b", "q"):
            await chat.end_of(name)
        ends = [(e["message_id"], e.get("status")) for e in chat.transcript.events
                if e["type"] in ("message_end", "agent_error")]
        assert ends == [("a", "cancelled"), ("b", "completed"), ("q", "completed")]
