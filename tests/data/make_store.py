#!/usr/bin/env python3
"""Makes a store to keep: talks with a server, ends it with SIGKILL, and writes down what it told.

    make_store.py BIN_DIR OUT [--plain]

BIN_DIR has `parlance` of the version whose layout is to be kept. OUT becomes a data directory and,
beside it, `told.json` with what the server answered, to be told again byte for byte by all later
versions. `--plain` for versions without clients and documents.
"""

import http.client
import json
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

SECRET_KEY = "a-key-of-the-tests-of-at-least-32-bytes"
PATIENCE = 20.0


def recorded_events(port, chat):
    """The recorded frames of a chat, as they were sent."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", f"/chat/{chat}/events?after=0-0&acks=1")
    stream = connection.getresponse()
    frames, last = [], None
    while last is None or len(frames) < last:
        line = stream.readline().decode()
        if not line.startswith("data: "):
            continue
        frame = json.loads(line[6:])
        if frame["type"] == "resumed":
            last = int(frame["to"].split("-")[1])
        elif "seq" in frame:
            frames.append(line[6:].rstrip("\n"))
    connection.close()
    return frames


class Server:
    """One run of the program in the working directory `folder`, with its store in `data`."""

    def __init__(self, program, folder, provider=None):
        config = {"listen": ["127.0.0.1:0"]}
        if provider:
            config["providers"] = [{"name": "silent", "model": "none", "base_url": provider}]
        (folder / "parlance.yaml").write_text(json.dumps(config))
        self.process = subprocess.Popen(
            [program, "serve", "--config", "parlance.yaml", "--data", "data"], cwd=folder,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={"ACCESS_TOKEN_SECRET_KEY": SECRET_KEY, "PATH": "/usr/bin:/bin"})
        for line in self.process.stdout:
            if line.startswith("listening on "):
                self.port = int(line.rsplit(":", 1)[1])
            if line.strip() == "ready":
                break

    def call(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data,
                           {"Content-Type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status < 300, (path, answer.status, text)
        return text

    def history_until(self, chat, entries):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            text = self.call("GET", f"/history/{chat}")
            if len(json.loads(text)) >= entries:
                return text
            time.sleep(0.05)
        raise TimeoutError(f"{chat} has no {entries} entries")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def chat(server, told):
    for number in range(3):
        server.call("POST", "/chat/plain/messages",
                    {"message": f"Message {number}", "message_id": f"m{number}"},
                    {"Idempotency-Key": f"key-{number}"})
    server.call("POST", "/chat/tools/messages",
                {"message": "what is 12 * (3 + 4)?", "message_id": "sum"})
    server.call("POST", "/chat/arabic/messages",
                {"message": "مرحبا، كيف الحال؟ and English", "message_id": "ar"})
    for name, entries in (("plain", 6), ("tools", 4), ("arabic", 2)):
        told["history"][name] = server.history_until(name, entries)
        told["events"][name] = recorded_events(server.port, name)


def keep_documents(server, told):
    client = json.loads(server.call("POST", "/auth", {"scope": "persistent"}))
    token = {"Authorization": f"Bearer {client['access_token']}"}
    server.call("POST", "/sessions?action=init", {}, token)
    server.call("POST", "/documents", {"documents": [
        {"id": "moon", "content": "The moon is 384,400 km away from the earth."},
        {"id": "qamar", "content": "القمر يبعد عن الأرض مسافة كبيرة."}]}, token)
    answer = json.loads(server.call("POST", "/queries", {"query": "How far is the moon?"}, token))
    passages = [found["id"] for found in answer["extras"]["supporting_documents"]]
    told["client"] = {"client_id": client["client_id"], "client_secret": client["client_secret"]}
    told["passages"] = {p: server.call("GET", f"/passages/{p}", None, token) for p in passages}
    told["answer"] = {"result": answer["result"], "tool": answer["extras"]["tool"],
                      "supporting_documents": answer["extras"]["supporting_documents"]}


def main():
    program = str(pathlib.Path(sys.argv[1]).resolve() / "parlance")
    out = pathlib.Path(sys.argv[2]).resolve()
    told = {"history": {}, "events": {}}
    with tempfile.TemporaryDirectory() as name, socket.socket() as silent:
        folder = pathlib.Path(name)
        server = Server(program, folder)
        chat(server, told)
        if "--plain" not in sys.argv:
            keep_documents(server, told)
        server.kill()
        # A run that no model ever answers, so that the crash leaves it unfinished.
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        server = Server(program, folder, f"http://127.0.0.1:{silent.getsockname()[1]}/v1")
        server.call("POST", "/chat/unfinished/messages", {"message": "Hello", "message_id": "u"})
        told["unfinished"] = server.call("GET", "/history/unfinished")
        server.kill()
        shutil.copytree(folder / "data", out, ignore=shutil.ignore_patterns("access_token.key"))
    (out / "told.json").write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
