#!/usr/bin/python3
"""Voice messages as a client sends them, and what is in them called by hand: for benchmarks/run.

    voice_load.py voice --url http://HOST:PORT --clip FILE --concurrency 8 --requests 400 --json REPORT
    voice_load.py direct --url http://HOST:PORT/v1 ...        the upstream's three calls, one after the other
    voice_load.py memory --url http://HOST:PORT --server-pid PID --uploads 32 --json REPORT
    voice_load.py clip --clip FILE --seconds 30               writes noise to send

Latencies are from the first byte sent to the last byte received, each client on one connection that
stays open. `memory` holds uploads open at their half. The report is one of parlance-load's.
"""

import argparse
import array
import contextlib
import fcntl
import http.client
import io
import json
import multiprocessing
import pathlib
import random
import re
import socket
import sys
import termios
import threading
import time
import urllib.parse
import wave

WARMUP = 4  # requests of each client that are not counted
TIMEOUT_S = 60
BOUNDARY = "voice-load-boundary"
QUESTION = json.dumps({
    "model": "simulated", "stream": True, "stream_options": {"include_usage": True},
    "messages": [{"role": "user", "content": "How far are the pyramids from downtown Cairo?"}],
})
TEXT_TO_SPEAK = json.dumps({"model": "tts-1", "voice": "alloy", "response_format": "mp3", "input": "Thirteen kilometres."})


class Failed(Exception):
    """Something that is measured did not do what it must."""


def multipart(fields, content):
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}' for name, value in fields]
    parts.append('Content-Disposition: form-data; name="file"; filename="voice"\r\nContent-Type: application/octet-stream\r\n\r\n')
    head = "".join(f"--{BOUNDARY}\r\n{part}\r\n" for part in parts)[: -len("\r\n")]
    return head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


class Caller:
    """One connection to one base URL."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.prefix = parts.path
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_S)

    def post(self, path, body, kind="application/json", expected=(200, 201)):
        self.connection.request("POST", self.prefix + path, body, {"Content-Type": kind})
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status not in expected:
            raise Failed(f"{path}: {answer.status} {content[:300]!r}")
        return content


def open_session(caller):
    agent = json.loads(caller.post("/api/v1/agent", json.dumps({"name": "bench", "prompt": "Be brief."})))
    return json.loads(caller.post("/api/v1/session", json.dumps({"agent_id": agent["id"]})))["id"]


def voice_call(url, clip):
    """What one client does again and again: a voice message in a session of its own."""
    caller = Caller(url)
    body = multipart([("session_id", open_session(caller))], clip)

    def call():
        if not caller.post("/api/v1/message/voice", body, FORM_TYPE):
            raise Failed("an answer without speech")

    return call


def direct_call(url, clip):
    caller = Caller(url)
    body = multipart([("model", "whisper-1"), ("response_format", "json")], clip)

    def call():
        caller.post("/audio/transcriptions", body, FORM_TYPE)
        caller.post("/chat/completions", QUESTION)
        caller.post("/audio/speech", TEXT_TO_SPEAK)

    return call


def client(make_call, arguments, clip, ready, results):
    """A process of its own, so that clients wait for the measured program and not for each other."""
    try:
        call = make_call(arguments.url, clip)
        for _ in range(WARMUP):
            call()
        ready.wait(TIMEOUT_S * 2)
        own, seconds = time.process_time(), []
        for _ in range(arguments.requests // arguments.concurrency):
            begin = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - begin)
        results.put((seconds, time.process_time() - own, None))
    except (Failed, OSError, http.client.HTTPException, threading.BrokenBarrierError) as error:
        ready.abort()
        results.put(([], 0, f"{type(error).__name__}: {error}"))


def measure_latency(make_call, arguments):
    clip = pathlib.Path(arguments.clip).read_bytes()
    ready, results = multiprocessing.Barrier(arguments.concurrency), multiprocessing.Queue()
    clients = [
        multiprocessing.Process(target=client, args=(make_call, arguments, clip, ready, results), daemon=True)
        for _ in range(arguments.concurrency)
    ]
    for one in clients:
        one.start()
    told = [results.get(timeout=900) for _ in clients]
    for one in clients:
        one.join()
    failures = [failure for _, _, failure in told if failure]
    if failures:
        raise Failed(failures[0])
    seconds = [value for found, _, _ in told for value in found]
    spent = sum(own for _, own, _ in told) / len(seconds)
    return {"latencies_us": {"whole": percentiles(seconds)}, "numbers": {"client_cpu_us_per_request": spent * 1e6}}


def percentiles(seconds):
    ordered = sorted(value * 1e6 for value in seconds)

    def at(share):
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]

    return {"count": len(ordered), "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": ordered[-1]}


# ---- Memory ----


def resident_bytes(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024


def settled_bytes(pid):
    """Resident memory once it does not grow any more."""
    before = resident_bytes(pid)
    for _ in range(60):
        time.sleep(0.5)
        now = resident_bytes(pid)
        if now <= before + 64 * 1024:
            return now
        before = now
    raise Failed("the server's memory grows on")


def unsent(connection):
    """Bytes that the other side's system has not taken yet."""
    out = array.array("i", [0])
    fcntl.ioctl(connection, termios.TIOCOUTQ, out)
    return out[0]


def wait_until_taken(connections):
    deadline = time.monotonic() + TIMEOUT_S
    while any(map(unsent, connections)):
        if time.monotonic() > deadline:
            raise Failed("the server does not read the uploads")
        time.sleep(0.01)


def half_upload(address, body):
    connection = socket.create_connection(address, TIMEOUT_S)
    head = f"POST /api/v1/message/voice HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body[: len(body) // 2])
    return connection


def noise(seconds):
    """A WAV of 16 kHz, one channel, always the same."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(random.Random(1).randbytes(32_000 * seconds))
    return out.getvalue()


def measure_memory(arguments):
    parts = urllib.parse.urlsplit(arguments.url)
    address = (parts.hostname, parts.port)
    caller = Caller(arguments.url)
    body = multipart([("session_id", open_session(caller))], noise(arguments.bytes // 32_000))
    caller.post("/api/v1/message/voice", body, FORM_TYPE)
    with contextlib.ExitStack() as stack:
        idle = settled_bytes(arguments.server_pid)
        held = [stack.enter_context(half_upload(address, body)) for _ in range(arguments.uploads)]
        wait_until_taken(held)
        grown = settled_bytes(arguments.server_pid) - idle
        # They are uploads, and not refusals: one is ended and answered.
        held[0].sendall(body[len(body) // 2 :])
        answer = held[0].recv(4_096)
        if not answer.startswith(b"HTTP/1.1 201"):
            raise Failed(f"an upload that was held got {answer[:200]!r}")
    return {
        "latencies_us": {},
        "numbers": {"bytes_per_upload": grown / arguments.uploads, "idle_bytes": idle, "upload_bytes": len(body)},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=["voice", "direct", "memory", "clip"])
    parser.add_argument("--url")
    parser.add_argument("--clip", help="the recording (voice, direct)")
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--requests", type=int, default=100, help="in all, after the warm-up")
    parser.add_argument("--server-pid", type=int)
    parser.add_argument("--uploads", type=int, default=32)
    parser.add_argument("--bytes", type=int, default=5 << 20, help="of an upload (memory)")
    parser.add_argument("--seconds", type=int, default=30, help="of noise (clip)")
    parser.add_argument("--json", help="the report")
    arguments = parser.parse_args()
    if arguments.mode == "clip":
        pathlib.Path(arguments.clip).write_bytes(noise(arguments.seconds))
        return 0
    try:
        if arguments.mode == "memory":
            report = measure_memory(arguments)
        else:
            report = measure_latency(voice_call if arguments.mode == "voice" else direct_call, arguments)
    except (Failed, OSError, http.client.HTTPException) as error:
        print(f"voice_load: {error}", file=sys.stderr)
        return 1
    pathlib.Path(arguments.json).write_text(json.dumps({"valid": True, "invalid": [], **report}), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
