"""A hundred crashes in the middle of streams: nothing acknowledged is lost, nothing is told twice,
the order stays, and every message has exactly one end."""

# ctest: TIMEOUT=900 PROCESSORS=2

import asyncio
import collections
import http.client
import random
import time

import pytest
import websockets

from harness import FROM_START, PATIENCE, Absent, Chat, Events, new_id, until

ROUNDS = 100
CHATS = 6
UNFINISHED = 3  # Messages that each chat has under way at any time.
SEED = 20240

# How soon after its start a server must go on with what a crash left unfinished.
RECOVERY_SECONDS = 2.0


class Talk:
    """One chat with one who sends and one who only watches. Keeps a few messages unfinished."""

    def __init__(self, server, number):
        self.server = server
        self.name = f"chat-{number}"
        self.posts = number % 3 == 2  # By HTTP instead of over the socket.
        self.sent = []                # (message_id, text) in order.
        self.acknowledged = set()     # Ids that the server said it has.
        self.sender = Chat(server, self.name, tokens=True, after=FROM_START)
        watcher = Events if number % 2 else Chat
        self.watcher = watcher(server, self.name, tokens=number % 3 == 0, after=FROM_START)
        self.checked_texts = 0

    def clients(self):
        return (self.sender, self.watcher)

    async def connect(self, on_frame):
        for client in self.clients():
            client.on_frame = on_frame
            await client.resume()

    def unfinished(self):
        return [m for m, _ in self.sent if m not in self.sender.transcript.ended]

    async def catch_up(self):
        """Reads what was missed, and sends again what the server does not have."""
        resumed = await self.sender.frame("resumed")
        through = int(resumed["to"].split("-")[1])
        await self.sender.wait(lambda: self.sender.transcript.seq >= through, "the replay")
        known = set(self.sender.transcript.accepted()) | self.acknowledged
        for message_id, text in self.sent:
            if message_id not in known:
                await self.submit(message_id, text)

    async def go_on(self):
        """Talks until the connection breaks."""
        await self.catch_up()
        while True:
            while len(self.unfinished()) < UNFINISHED:
                message_id = new_id()
                self.sent.append((message_id, f"{self.name} says {len(self.sent)}"))
                await self.submit(*self.sent[-1])
            await self.sender.wait(lambda: len(self.unfinished()) < UNFINISHED, "an end")

    async def submit(self, message_id, text):
        if not self.posts:
            await self.sender.send(text, message_id)
            return
        answer = await self.server.apost(f"/chat/{self.name}/messages",
                                         {"message": text, "message_id": message_id})
        assert answer.status == 202, answer
        self.acknowledged.add(message_id)

    async def lose(self):
        for client in self.clients():
            await client.disconnected()
            await client.close()
            if client.failure:
                raise client.failure
        self.acknowledged |= set(self.sender.transcript.accepted())

    def check(self, answers):
        whole = self.sender.transcript
        ids = [m for m, _ in self.sent]
        assert whole.accepted() == ids, "accepted in another order than sent, or not at all"
        ends = [e for e in whole.events if e["message_id"] in whole.ended and e["type"] in (
            "message_end", "agent_error")]
        assert [e["message_id"] for e in ends] == ids, "not exactly one end each, in order"
        assert all(e["type"] == "message_end" and e["status"] == "completed" for e in ends)
        assert self.watcher.transcript.events == whole.events, "the watcher saw something else"
        for message_id, text in self.sent:
            assert whole.steps(message_id) == [("FinalAnswerStep", answers[text])]
        for client in self.clients():
            for message_id, shown in client.transcript.shown.items():
                if shown:
                    assert shown == answers[dict(self.sent)[message_id]], "text shown in part"
                    self.checked_texts += 1
        entries = self.server.history(self.name, "?limit=10000")
        assert [e["message_id"] for e in entries if e["role"] == "user"] == ids


async def crash_after(server, talks, frames):
    """One round: connects, talks, and ends the server after so many frames have come."""
    seen = 0
    enough = asyncio.Event()

    def count(_):
        nonlocal seen
        seen += 1
        if seen >= frames:
            enough.set()

    for talk in talks:
        await talk.connect(count)
    tasks = [asyncio.create_task(talk.go_on()) for talk in talks]
    try:
        await asyncio.wait_for(enough.wait(), PATIENCE)
    finally:
        server.kill9()
        done, running = await asyncio.wait(tasks, timeout=PATIENCE)
    assert not running
    for talk in talks:
        await talk.lose()
    # What was being sent in the moment of the crash is sent again in the next round.
    broken = (ConnectionError, OSError, Absent, websockets.ConnectionClosed,
              http.client.HTTPException)
    for task in done:
        if not isinstance(task.exception(), broken):
            task.result()


async def recovery_seconds(server, least):
    """How long after its start the server has begun all runs that a crash left unfinished."""
    await server.metric_until("runs_recovered_total", lambda count: count >= least,
                              f"{least} recovered runs")
    return time.monotonic() - server.spawned_at


@pytest.mark.timeout(850)
async def test_a_hundred_crashes_lose_nothing_and_repeat_nothing(world):
    upstream = world.upstream("--tokens", 40, "--token-ms", 4, "--jitter", 0.5)
    server = world.server({"storage": {"partial_interval": "20ms"}, "cores": 2}, upstream)
    chance = random.Random(SEED)
    talks = [Talk(server, number) for number in range(CHATS)]
    late = collections.Counter()
    for round_number in range(ROUNDS):
        await crash_after(server, talks, chance.randint(1, 900))
        # Only what was acknowledged and has no end that a client saw is surely unfinished, but it
        # may have ended in the log without anybody having been told.
        server.start()
        surely = [t for t in talks if len(t.acknowledged - set(t.sender.transcript.ended)) > 1]
        if surely:
            seconds = await recovery_seconds(server, 1)
            late[seconds > RECOVERY_SECONDS] += 1
            assert seconds <= RECOVERY_SECONDS, f"round {round_number}: {seconds:.2f} s"
    assert late[False] > ROUNDS / 2, "hardly any crash came in the middle of a run"

    upstream.script([{"token_ms": 0}])
    for talk in talks:
        await talk.connect(None)
        await talk.catch_up()
    for talk in talks:
        for client in talk.clients():
            await client.wait(lambda c=client, t=talk: all(
                m in c.transcript.ended for m, _ in t.sent), "the end of every message")
    texts = {text for talk in talks for _, text in talk.sent}
    answers = {text: upstream.answer_to(text) for text in texts}
    for talk in talks:
        talk.check(answers)
        for client in talk.clients():
            await client.close()
    assert sum(talk.checked_texts for talk in talks) > CHATS, "no text was ever shown whole"


async def test_unfinished_runs_go_on_without_anybody_connected(world):
    upstream = world.upstream("--tokens", 100, "--token-ms", 20)
    server = world.server(upstream=upstream)
    for number in range(10):
        answer = await server.apost(f"/chat/alone-{number}/messages",
                                    {"message": "question", "message_id": "q"})
        assert answer.status == 202
    server.kill9()
    upstream.script([{"token_ms": 0}])
    server.start()
    assert await recovery_seconds(server, 10) <= RECOVERY_SECONDS
    for number in range(10):
        name = f"alone-{number}"
        await until(lambda n=name: len(server.history(n)) == 2, f"the answer in {name}")


async def test_a_crash_in_mid_answer_voids_the_text_shown(world):
    """The one who watched gets the whole answer once, from a model call that began anew."""
    upstream = world.upstream("--tokens", 100, "--token-ms", 20)
    server = world.server({"storage": {"partial_interval": "10ms"}}, upstream)
    async with Chat(server, "mid-answer", tokens=True, after=FROM_START) as chat:
        name = await chat.send("question")
        await chat.text_of(name, 50)
        server.kill9()
        await chat.disconnected()
        upstream.script([{"token_ms": 5}])
        server.start()
        await chat.resume()
        await chat.end_of(name)
        assert chat.transcript.steps(name) == [("FinalAnswerStep", upstream.answer_to("question"))]
        assert chat.transcript.shown[name] == upstream.answer_to("question")
