"""Processes and clients for the black-box tests: the real programs, driven from outside.

Every wait here is bounded and is for a condition; nothing hopes that some time is enough. What a
process prints is kept, and conftest.py attaches it to the report of a failed test.
"""

import asyncio
import http.client
import json
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import threading
import time
import uuid

import aiohttp
import websockets

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("PARLANCE_BIN_DIR", ROOT / "build" / "release" / "bin"))
SANITIZE = os.environ.get("PARLANCE_SANITIZE", "")

# How long a condition may take on a busy machine before the test says that it never came.
PATIENCE = 60.0 if SANITIZE else 20.0

# Where a replay of a chat's whole log starts.
FROM_START = "0-0"

TERMINALS = ("message_end", "agent_error")
SANITIZER_REPORT = re.compile(
    r"ERROR: (Address|Leak)Sanitizer|runtime error:|WARNING: ThreadSanitizer")


class Absent(AssertionError):
    """A condition that did not come about in time."""


def wait_until(condition, what, timeout=PATIENCE, every=0.01):
    """Returns the first true value of `condition()`; fails after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Absent(f"not within {timeout:g} s: {what}")
        time.sleep(every)


async def until(condition, what, timeout=PATIENCE, every=0.01):
    """Like wait_until; `condition` may be a coroutine function."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        if time.monotonic() > end:
            raise Absent(f"not within {timeout:g} s: {what}")
        await asyncio.sleep(every)


def new_id(prefix="m"):
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def raise_open_files_limit():
    """As many open files as this process may have; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


# ---- Processes ----


class Process:
    """A program of the project. Ended by its own process id."""

    started = []    # Those of the test that runs; conftest.py forgets the others.
    shared = False  # Also used by other tests.
    end_signal = signal.SIGTERM  # What asks it to end in its own time.

    def __init__(self, name):
        self.name = name
        self.child = None
        self.lines = []
        self.exit_codes = []
        self.spawned_at = 0.0
        self._came = threading.Condition()
        Process.started.append(self)

    def spawn(self, command, environment, cwd=None):
        assert self.child is None, f"{self.name} runs already"
        with self._came:
            self.lines.append(f"---- {' '.join(map(str, command[1:]))}")
            self._from = len(self.lines)
            self._open = True
        self.asked_to_end = False
        self.spawned_at = time.monotonic()
        self.child = subprocess.Popen(
            [str(part) for part in command], env=environment, cwd=cwd, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._reader = threading.Thread(target=self._read, args=(self.child,), daemon=True)
        self._reader.start()

    def _read(self, child):
        for raw in child.stdout:
            with self._came:
                self.lines.append(raw.decode("utf-8", "replace").rstrip("\n"))
                self._came.notify_all()
        with self._came:
            self._open = False
            self._came.notify_all()

    def wait_line(self, pattern, timeout=PATIENCE):
        """The match of `pattern` in a line of this run, or None when the program ended."""
        end = time.monotonic() + timeout
        at = self._from
        with self._came:
            while True:
                while at < len(self.lines):
                    found = re.search(pattern, self.lines[at])
                    if found:
                        return found
                    at += 1
                if not self._open:
                    return None
                if not self._came.wait(end - time.monotonic()) and time.monotonic() >= end:
                    raise Absent(f"{self.name} did not print {pattern!r} in {timeout:g} s\n"
                                 + self.log())

    @property
    def running(self):
        return self.child is not None and self.child.poll() is None

    @property
    def pid(self):
        return self.child.pid

    def log(self):
        with self._came:
            return "\n".join(self.lines)

    def signal(self, number):
        self.asked_to_end = True
        self.child.send_signal(number)

    def wait_exit(self, timeout=PATIENCE):
        try:
            code = self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Absent(f"{self.name} did not end within {timeout:g} s\n" + self.log()) from None
        self._reader.join(PATIENCE)
        self.child.stdout.close()
        self.child = None
        self.exit_codes.append(code)
        return code

    def kill9(self):
        """Ends the process as a power cut would, as far as the process is concerned."""
        self.child.kill()
        return self.wait_exit()

    def end(self):
        """Whatever it takes, for the end of a test."""
        if self.child is None:
            return
        if self.running and not self.asked_to_end:
            self.signal(self.end_signal)
        try:
            self.wait_exit()
        except Absent:
            self.kill9()
            raise


def clean_environment(**extra):
    """The environment without anything that configures the server."""
    ours = ("OPENAI_", "PARLANCE_", "ACCESS_TOKEN_", "APP_VERSION", "LOG_LEVEL", "DATABASE_URL",
            "SESSION_DB_URL", "STACK_CONFIG", "LD_PRELOAD", "http_proxy", "https_proxy",
            "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    kept = {k: v for k, v in os.environ.items() if k != "ENV" and not k.startswith(ours)}
    return {**kept, **{k: str(v) for k, v in extra.items()}}


def merged(base, more):
    out = dict(base)
    for key, value in more.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = merged(out[key], value) if both else value
    return out


class Response:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # Case-insensitive.
        self.body = body

    @property
    def text(self):
        return self.body.decode("utf-8")

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {dict(self.headers)} {self.body[:500]!r}"


def fetch(port, method, path, body=None, headers=None, timeout=PATIENCE):
    """One request on its own connection. A `body` that is no bytes is sent as JSON."""
    headers = dict(headers or {})
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body, ensure_ascii=False).encode()
        headers.setdefault("Content-Type", "application/json")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        return Response(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


class Upstream(Process):
    """The simulated model provider."""

    def __init__(self, *arguments, script=None):
        super().__init__("parlance-upstream")
        self.spawn([BIN / "parlance-upstream", "--listen", "127.0.0.1:0",
                    *map(str, arguments)], clean_environment())
        self.port = int(self.wait_line(r"listening on .*:(\d+)")[1])
        if script is not None:
            self.script(script)

    @property
    def base_url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    def script(self, entries):
        answer = fetch(self.port, "PUT", "/script", entries)
        assert answer.status == 200, answer

    def stats(self):
        return fetch(self.port, "GET", "/stats").json

    def requests(self, headers=False, route="chat"):
        """Bodies of the last requests of a route: chat, embeddings, transcriptions or speech."""
        query = f"/requests?route={route}" + ("&headers=1" if headers else "")
        return fetch(self.port, "GET", query).json

    def wait_stats(self, condition, what):
        return wait_until(lambda: (s := self.stats()) and condition(s) and s, what)

    async def stats_until(self, condition, what):
        async def asked():
            stats = await asyncio.to_thread(self.stats)
            return condition(stats) and stats
        return await until(asked, what)

    def answer_to(self, text):
        """The whole text that this upstream gives as the answer to `text`."""
        body = {"model": "x", "messages": [{"role": "user", "content": text}]}
        answer = fetch(self.port, "POST", "/v1/chat/completions", body)
        return answer.json["choices"][0]["message"]["content"]

    def provider(self, **options):
        """This upstream as an entry of the configuration's `providers`."""
        return {"name": "main", "base_url": self.base_url, "api_key": "sk-test",
                "model": "simulated", "backoff_first": "5ms", "backoff_max": "20ms", **options}

    def speech(self, **options):
        """This upstream as the configuration's `speech`."""
        return {"base_url": self.base_url, "api_key": "sk-test", "backoff_first": "5ms",
                "backoff_max": "20ms", **options}


class Chroma(Process):
    """A real Chroma server. May be started again after it ended: on the same port and data."""

    PROGRAM = ROOT / "build" / "chroma" / "node_modules" / "chromadb" / "dist" / "cli.mjs"
    DATABASE = "/api/v2/tenants/default_tenant/databases/default_database"
    PORTS_TRIED = 5
    end_signal = signal.SIGINT  # On SIGTERM it dies like any program that does not know it.

    def __init__(self, folder):
        assert self.PROGRAM.exists(), "Chroma is not installed: run scripts/setup_npm chroma"
        super().__init__("chroma")
        self.data = pathlib.Path(folder) / "chroma"
        self.port = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        """Returns when it answers."""
        if self.port is not None:
            assert self._launch(), f"chroma did not start again on port {self.port}\n" + self.log()
            return self
        # It cannot choose a port itself, and one that is free may be taken before it has it.
        for _ in range(self.PORTS_TRIED):
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
            if self._launch():
                return self
        raise Absent("chroma did not start\n" + self.log())

    def _launch(self):
        self.spawn(["node", self.PROGRAM, "run", "--path", self.data, "--host", "127.0.0.1",
                    "--port", self.port], clean_environment(), cwd=self.data.parent)
        wait_until(lambda: not self.running or self._answers(), "chroma answers or ends")
        if self.running:
            return True
        self.wait_exit()
        return False

    def _answers(self):
        try:
            return fetch(self.port, "GET", "/api/v2/heartbeat", timeout=1).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def stop(self):
        """Asks it to end; returns the exit code."""
        self.signal(self.end_signal)
        return self.wait_exit()

    def hold(self):
        """From now on it takes connections and answers nothing, until `let_go`."""
        self.child.send_signal(signal.SIGSTOP)

    def let_go(self):
        self.child.send_signal(signal.SIGCONT)

    def end(self):
        if self.running:
            self.let_go()  # Else it would not hear the signal that ends it.
        super().end()

    def collections(self):
        """The names of all collections, sorted."""
        answer = fetch(self.port, "GET", self.DATABASE + "/collections")
        assert answer.status == 200, answer
        return sorted(collection["name"] for collection in answer.json)


class Server(Process):
    """`parlance serve`. May be started again after it ended, on the same data. With `config=False`
    without a configuration, as at the very first start."""

    # A test waits for nothing longer than it must; what it does not set is short here.
    DEFAULTS = {"log_level": "debug", "drain_timeout": "500ms"}

    def __init__(self, folder, config=None, *, environment=None, arguments=(), listen=None):
        super().__init__("parlance")
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "data"
        self.config = config is not False and merged(self.DEFAULTS, config or {})
        self.environment = environment or {}
        self.arguments = list(arguments)
        self.listen = listen or ["127.0.0.1:0"]
        self.ports = []

    def command(self):
        out = [BIN / "parlance", "serve", "--data", self.data]
        if self.config is not False:
            path = self.folder / "parlance.yaml"
            path.write_text(json.dumps(self.config))  # JSON is YAML, too.
            out += ["--config", path]
        for address in self.listen:
            out += ["--listen", address]
        return out + self.arguments

    def launch(self):
        """Starts it without waiting for anything."""
        self.spawn(self.command(), clean_environment(**self.environment), cwd=self.folder)

    def start(self):
        self.launch()
        if not self.wait_line(r"^ready"):
            code = self.wait_exit()
            raise Absent(f"parlance ended with {code} before it was ready\n" + self.log())
        with self._came:
            found = [re.search(r"^listening on \S*:(\d+)", line)
                     for line in self.lines[self._from:]]
        self.ports = [int(match[1]) for match in found if match]
        assert self.ports, "no `listening on` line\n" + self.log()
        return self

    def restart(self):
        self.kill9()
        return self.start()

    def stop(self):
        """SIGTERM; returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait_exit()

    @property
    def port(self):
        return self.ports[0]

    def url(self, path, scheme="http"):
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    def get(self, path, **headers):
        return fetch(self.port, "GET", path,
                     headers={k.replace("_", "-"): v for k, v in headers.items()})

    def post(self, path, body=None, headers=None):
        return fetch(self.port, "POST", path, {} if body is None else body, headers)

    async def aget(self, path):
        return await asyncio.to_thread(self.get, path)

    async def apost(self, path, body=None, headers=None):
        return await asyncio.to_thread(self.post, path, body, headers)

    def history(self, chat_id, query=""):
        answer = self.get(f"/history/{chat_id}{query}")
        assert answer.status == 200, answer
        return answer.json

    def metrics(self):
        out = {}
        for line in self.get("/metrics").text.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                out[name] = float(value)
        return out

    def metric(self, name):
        return self.metrics()["parlance_" + name]

    async def metric_until(self, name, condition, what=None):
        async def asked():
            return condition(await asyncio.to_thread(self.metric, name))
        await until(asked, what or f"the metric parlance_{name}")

    def memory_bytes(self):
        """Resident memory."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024


# ---- What clients see ----


class Transcript:
    """What one client has seen of one chat, over all its connections. Checks as it grows:
    no recorded event twice, none missing (with `acks`, where all of them are told), the order of
    the log, exactly one terminal event for a message, and nothing of a message after that."""

    def __init__(self, chat_id, acks=True, from_start=False):
        self.chat_id = chat_id
        self.acks = acks
        self.events = []      # Recorded frames, each once.
        self.by_seq = {}
        self.seq = 0 if from_start else None
        self.cursor = FROM_START if from_start else None
        self.ended = {}       # message_id -> its terminal frame
        self.repeated = []    # Recorded frames told again because a message id was sent again.
        self.repeats_expected = False
        self.text = {}        # message_id -> text shown so far by snapshots and deltas
        self.shown = {}       # message_id -> that text when the step came that replaced it
        self.resets = {}      # message_id -> how many

    def connected(self):
        """Text in progress starts anew: a snapshot tells what there is of it."""
        self.text = {}

    def add(self, frame):
        kind = frame["type"]
        if kind == "agent_snapshot":
            self.text[frame["message_id"]] = frame["text"]
        elif kind == "agent_delta":
            name = frame["message_id"]
            self.text[name] = self.text.get(name, "") + frame["delta"]
        elif kind == "agent_reset":
            name = frame["message_id"]
            self.text[name] = ""
            self.resets[name] = self.resets.get(name, 0) + 1
        elif kind == "gap":
            self.seq = None
        elif "cursor" in frame:
            self._record(frame)

    def _record(self, frame):
        seq = frame["seq"]
        assert frame["chat_id"] == self.chat_id, frame
        assert re.fullmatch(rf"\d+-{seq}", frame["cursor"]), frame
        if seq in self.by_seq:
            assert self.repeats_expected, f"told twice: {frame}"
            assert frame == self.by_seq[seq], "told differently the second time"
            self.repeated.append(frame)
            return
        if self.repeats_expected and self.seq is not None and seq < self.seq:
            self.repeated.append(frame)  # From before this client began to watch.
            return
        if self.seq is not None:
            assert seq > self.seq, f"out of order after {self.seq}: {frame}"
            if self.acks:
                assert seq == self.seq + 1, f"a gap after {self.seq}: {frame}"
        self.seq = seq
        self.cursor = frame["cursor"]
        self.by_seq[seq] = frame
        self.events.append(frame)
        name = frame["message_id"]
        assert name not in self.ended, f"after its end: {frame}"
        if frame["type"] in TERMINALS:
            self.ended[name] = frame
        # What the tools answered is no text of the model, so it replaces none.
        if frame["type"] == "agent_step" and frame["step_type"] != "ActionStep":
            self.shown[name] = self.text.pop(name, None)

    def of(self, message_id):
        return [e for e in self.events if e["message_id"] == message_id]

    def steps(self, message_id):
        return [(e["step_type"], e["message"]) for e in self.of(message_id)
                if e["type"] == "agent_step"]

    def accepted(self):
        """Ids of the users' messages, in the order of the log."""
        return [e["message_id"] for e in self.events if e["type"] == "client_message"]


class Client:
    """One client of one chat: connects, sends, reads all the time, and may connect again from where
    it was. `frames` holds what came on the present connection."""

    def __init__(self, server, chat_id, *, tokens=False, acks=True, after=None, transcript=None):
        self.server = server
        self.chat_id = chat_id
        self.tokens = tokens
        self.transcript = transcript or Transcript(chat_id, acks, after == FROM_START)
        self.acks = acks
        self.after = after
        self.frames = []
        self.failure = None
        self.closed = None  # How the connection ended, once it has.
        self.on_frame = None
        self._task = None
        self._news = asyncio.Event()

    def path(self, suffix=""):
        query = [f"after={self.after}"] if self.after else []
        query += ["tokens=1"] if self.tokens else []
        query += ["acks=1"] if self.acks else []
        return f"/chat/{self.chat_id}{suffix}" + ("?" + "&".join(query) if query else "")

    async def __aenter__(self):
        await self.connect()
        return self

    async def __aexit__(self, *_):
        await self.close()
        if self.failure:
            raise self.failure

    async def connect(self):
        self.frames = []
        self.closed = None
        self.transcript.connected()
        await asyncio.wait_for(self._open(), PATIENCE)
        self._task = asyncio.create_task(self._run())

    async def resume(self):
        """Connects again from the last cursor seen."""
        await self.close()
        self.after = self.transcript.cursor or FROM_START
        await self.connect()

    async def close(self):
        if self._task is None:
            return
        await self._shut()
        await asyncio.wait_for(asyncio.gather(self._task, return_exceptions=True), PATIENCE)
        self._task = None

    async def _run(self):
        try:
            await self._read()
        except AssertionError as failure:
            self.failure = failure
        finally:
            self._news.set()

    def _take(self, frame):
        self.frames.append(frame)
        self.transcript.add(frame)
        if self.on_frame:
            self.on_frame(frame)
        self._news.set()

    async def wait(self, condition, what, timeout=PATIENCE):
        """Waits for a true value of `condition()`, looked at after each frame."""
        end = asyncio.get_running_loop().time() + timeout
        while True:
            if self.failure:
                raise self.failure
            value = condition()
            if value:
                return value
            if self.closed is not None:
                raise Absent(f"the connection ended ({self.closed}) before: {what}\n{self.tail()}")
            self._news.clear()
            left = end - asyncio.get_running_loop().time()
            try:
                await asyncio.wait_for(self._news.wait(), max(left, 0))
            except asyncio.TimeoutError:
                raise Absent(f"not within {timeout:g} s: {what}\n{self.tail()}") from None

    def tail(self):
        return "\n".join(json.dumps(f, ensure_ascii=False)[:300] for f in self.frames[-12:])

    async def frame(self, kind, timeout=PATIENCE, **members):
        """The first frame of this type, and with these members, on this connection."""
        def found():
            return next((f for f in self.frames if f["type"] == kind
                         and all(f.get(k) == v for k, v in members.items())), None)
        return await self.wait(found, f"a frame {kind} {members or ''}", timeout)

    async def end_of(self, message_id, timeout=PATIENCE):
        """The terminal event of a message."""
        return await self.wait(lambda: self.transcript.ended.get(message_id),
                               f"the end of {message_id}", timeout)

    async def text_of(self, message_id, least):
        """Waits until at least so many characters of an answer are shown."""
        return await self.wait(
            lambda: len(self.transcript.text.get(message_id) or "") >= least
            and self.transcript.text[message_id], f"{least} characters of {message_id}")

    async def disconnected(self, timeout=PATIENCE):
        def ended():
            return self.closed is not None
        try:
            await self.wait(ended, "the end of the connection", timeout)
        except Absent:
            if self.closed is None:
                raise
        return self.closed


class Chat(Client):
    """Over WebSocket. `closed` is (code, reason)."""

    def __init__(self, *arguments, headers=None, subprotocols=None, compression=None, **options):
        super().__init__(*arguments, **options)
        self.headers = headers
        self.subprotocols = subprotocols
        self.compression = compression
        self.socket = None

    async def _open(self):
        self.socket = await websockets.connect(
            self.server.url(self.path(), "ws"), max_size=None, max_queue=None, ping_interval=None,
            close_timeout=5, compression=self.compression, extra_headers=self.headers,
            subprotocols=self.subprotocols)

    async def _read(self):
        try:
            async for text in self.socket:
                self._take(json.loads(text))
        except websockets.ConnectionClosed:
            pass
        finally:
            self.closed = (self.socket.close_code, self.socket.close_reason)

    async def _shut(self):
        await self.socket.close()

    async def say(self, frame):
        await self.socket.send(frame if isinstance(frame, (str, bytes))
                               else json.dumps(frame, ensure_ascii=False))

    async def send(self, text, message_id=None, **more):
        message_id = message_id or new_id()
        await self.say({"type": "client", "message": text, "message_id": message_id, **more})
        return message_id

    async def ask(self, text, message_id=None, **more):
        """Sends and waits for the end; returns the terminal event."""
        return await self.end_of(await self.send(text, message_id, **more))

    async def cancel(self, message_id=None):
        await self.say({"type": "cancel", **({"message_id": message_id} if message_id else {})})

    async def settle(self):
        """Waits until all that was said before has been looked at."""
        data = new_id("ping")
        await self.say({"type": "ping", "data": data})
        await self.frame("pong", data=data)


class Events(Client):
    """Over server-sent events. `closed` is a sentence."""

    def __init__(self, *arguments, headers=None, **options):
        super().__init__(*arguments, **options)
        self.headers = headers or {}
        self.ids = []      # Of the events, None where there was none.
        self.retry = []    # Values of `retry:` on this connection.
        self.comments = 0

    async def _open(self):
        self.retry = []
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=PATIENCE), read_bufsize=1 << 20)
        try:
            self.response = await self._session.get(self.server.url(self.path("/events")),
                                                    headers=self.headers)
            assert self.response.status == 200, await self.response.text()
        except BaseException:
            await self._session.close()
            raise
        assert self.response.content_type == "text/event-stream"

    async def _read(self):
        fields = {}
        rest = b""
        try:
            async for chunk in self.response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._line(line.rstrip(b"\r").decode("utf-8"), fields)
            self.closed = "ended"
        except (aiohttp.ClientError, ConnectionError) as error:
            self.closed = f"broken: {error}"
        finally:
            self.closed = self.closed or "closed here"
            await self._session.close()

    def _line(self, line, fields):
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not name:
                self.comments += 1
            elif name == "retry":
                self.retry.append(int(value))
            elif name == "data" and "data" in fields:
                fields["data"] += "\n" + value
            else:
                fields[name] = value
            return
        if "data" in fields:
            frame = json.loads(fields["data"])
            if "cursor" in frame:
                assert fields.get("id") == frame["cursor"], (fields, frame)
            self.ids.append(fields.get("id"))
            self._take(frame)
        fields.clear()

    async def _shut(self):
        self.response.close()
        await self._session.close()


# ---- Bytes on a socket ----


class Wire:
    """A TCP connection that says exactly what it is told to."""

    def __init__(self, port, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            # A buffer without room for a whole segment, which are long on the loopback, is told to
            # be empty again only when the sender asks, ever less often.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", port))
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """Sends; a peer that has closed is not an error: what it answered tells."""
        data = data.encode() if isinstance(data, str) else data
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self

    def _more(self):
        try:
            chunk = self.socket.recv(65536)
        except ConnectionResetError:
            chunk = b""
        except TimeoutError:
            raise Absent(f"nothing came in {PATIENCE:g} s after {self.buffer!r}") from None
        self.buffer += chunk
        return bool(chunk)

    def until_closed(self):
        """All bytes until the peer closes."""
        while self._more():
            pass
        out, self.buffer = self.buffer, b""
        return out

    def head(self):
        """The next response's status and headers (lower case); None when the peer closed first."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                return None
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return int(lines[0].split()[1]), headers

    def response(self):
        """The next response with its body; None when the peer closed first."""
        head = self.head()
        if head is None:
            return None
        status, headers = head
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while chunk := self._line_of_hex():
                body += self._take(chunk + 2)[:-2]
            self._take(2)
        else:
            body = self._take(int(headers.get("content-length", 0)))
        return Response(status, headers, body)

    def _line_of_hex(self):
        while b"\r\n" not in self.buffer:
            assert self._more(), "closed inside a chunk"
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return int(line, 16)

    def _take(self, count):
        while len(self.buffer) < count:
            assert self._more(), f"closed {count - len(self.buffer)} bytes too early"
        out, self.buffer = self.buffer[:count], self.buffer[count:]
        return out

    # WebSocket.

    def upgrade(self, path, *extra):
        """Opens a WebSocket; returns the head of the answer."""
        lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket",
                 "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                 "Sec-WebSocket-Version: 13", *extra]
        self.send("\r\n".join(lines) + "\r\n\r\n")
        return self.head()

    def frame(self):
        """The next WebSocket frame as (opcode, payload); None when the peer closed first."""
        try:
            first, length = self._take(2)
            if length == 126:
                length = int.from_bytes(self._take(2), "big")
            elif length == 127:
                length = int.from_bytes(self._take(8), "big")
            return first & 0x0F, self._take(length)
        except AssertionError:
            return None

    def close_code(self):
        """Reads on to the close frame; returns (code, reason), or None without one."""
        while (frame := self.frame()) is not None:
            if frame[0] == 8:
                payload = frame[1]
                return int.from_bytes(payload[:2], "big"), payload[2:].decode("utf-8")
        return None


def ws_frame(opcode, payload=b"", *, fin=True, rsv=0, masked=True, mask=b"\x11\x22\x33\x44",
             length=None):
    """A client's WebSocket frame, also a wrong one. `length` lies about the payload's."""
    payload = payload.encode() if isinstance(payload, str) else payload
    claimed = len(payload) if length is None else length
    out = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0x80 if masked else 0
    if claimed < 126:
        out += bytes([bit | claimed])
    elif claimed < 1 << 16:
        out += bytes([bit | 126]) + claimed.to_bytes(2, "big")
    else:
        out += bytes([bit | 127]) + claimed.to_bytes(8, "big")
    if not masked:
        return out + payload
    return out + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


# ---- Faults of the disk ----


def build_fault_library(folder):
    """Builds tests/support/sync_faults.c; returns the path for LD_PRELOAD."""
    out = pathlib.Path(folder) / "libsync_faults.so"
    source = ROOT / "tests" / "support" / "sync_faults.c"
    subprocess.run(["gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", out,
                    source, "-ldl"], check=True, timeout=PATIENCE)
    return out


class SyncFaults:
    """Switches the faults of one server on and off while it runs."""

    def __init__(self, library, folder):
        self.file = pathlib.Path(folder) / "sync-faults"
        self.environment = {"LD_PRELOAD": library, "SYNC_FAULTS_FILE": self.file}

    def _write(self, text):
        fresh = self.file.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(self.file)

    def fail(self):
        """From now on every sync fails."""
        self._write("fail")

    def kill(self, when, number):
        """The process ends `before` or `after` the sync of this number, counted from now."""
        self._write(f"{when} {number}")

    def hold(self):
        """From now on a sync waits until something else is said."""
        self._write("hold")

    def delay(self, milliseconds):
        """From now on every sync takes at least so long."""
        self._write(f"delay {milliseconds}")

    def off(self):
        self.file.unlink(missing_ok=True)
