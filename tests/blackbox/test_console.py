"""The pages and the operator's console, as a browser and as a script would ask for them."""

import gzip
import http.client
import json
import re
import socket
import subprocess
import urllib.parse

import pytest

from harness import PATIENCE, ROOT, SANITIZE, Absent, fetch, wait_until
from platform_api import Api

KEY = "a-key-of-the-console"
CLIENT_KEY = "a-key-of-a-client"
BEARER = {"Authorization": f"Bearer {KEY}"}
HTML = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}
API = ("/console/api/state", "/console/api/events", "/console/api/history",
       "/console/api/sessions/a/log")
SLOW = [{"tokens": 3000, "token_ms": 20}]


@pytest.fixture(scope="module")
def server(shared_world):
    return shared_world.server({"console": {"key": KEY}})


def console(server, path, method="GET", body=None, headers=None):
    return fetch(server.port, method, path, body, {**BEARER, **(headers or {})})


def state(server):
    answer = console(server, "/console/api/state")
    assert answer.status == 200, answer
    return answer.json


def say(server, chat, text="hello", message_id="m1"):
    answer = fetch(server.port, "POST", f"/chat/{chat}/messages",
                   {"message": text, "message_id": message_id})
    assert answer.status == 202, answer


def log_types(server, chat):
    answer = console(server, f"/console/api/sessions/{chat}/log")
    return [event["type"] for event in answer.json["events"]] if answer.status == 200 else []


def wait_ended(server, chat):
    wait_until(lambda: "run_ended" in log_types(server, chat), f"{chat} is answered")


class Events:
    """The console's event stream, read on a plain socket."""

    def __init__(self, server, headers=BEARER):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.socket.sendall(f"GET /console/api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}\r\n"
                            .encode())
        self.file = self.socket.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        while self.file.readline() not in (b"\r\n", b""):
            pass

    def next(self):
        """The next state; None when the stream has ended."""
        for line in self.file:
            if line.startswith(b"data: "):
                return json.loads(line[6:])
        return None

    def close(self):
        self.file.close()
        self.socket.close()


class Download:
    """A whole log on a plain socket of small buffers, so that a server stops where its reader does."""

    def __init__(self, server, session):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", server.port))
        self.socket.sendall(f"GET /console/api/sessions/{session}/log?format=jsonl HTTP/1.1\r\n"
                            f"Host: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode())
        self.answer = http.client.HTTPResponse(self.socket)
        self.answer.begin()

    def close(self):
        self.answer.close()
        self.socket.close()


@pytest.fixture(name="long_log")
def fixture_long_log(world):
    """A server, and a session of it whose log no socket holds."""
    server = world.server({"console": {"key": KEY}, "limits": {
        "message_bytes_max": "4MiB", "body_bytes_max": "8MiB", "history_bytes_total_max": "8MiB"}},
        world.upstream())
    api = Api(server)
    session = api.session()
    for i in range(4):
        answer = fetch(server.port, "POST", f"/chat/{session['id']}/messages",
                       {"message": f"{i} " + "x" * 3_500_000, "message_id": f"m{i}"})
        assert answer.status == 202, answer
        wait_until(lambda: not state(server)["runs"]["total"], "it is answered")
    return server, session["id"]


# ---- The pages ----


@pytest.mark.parametrize("path", ["/", "/console", "/console/"])
def test_a_page_is_html_under_a_strict_policy(server, path):
    answer = fetch(server.port, "GET", path, headers=HTML)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = dict(part.strip().split(" ", 1)
                  for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy == {
        "default-src": "'none'", "script-src": "'self'", "style-src": "'self'",
        "img-src": "'self' data: blob:", "media-src": "'self' blob:", "connect-src": "'self'",
        "font-src": "'self'", "base-uri": "'none'", "form-action": "'none'",
        "frame-ancestors": "'none'"}
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_who_is_no_browser_is_told_about_the_server(server):
    for headers in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}):
        answer = fetch(server.port, "GET", "/", headers=headers)
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert "Accept" in answer.headers["Vary"]


@pytest.mark.parametrize("path", ["/", "/console"])
def test_everything_that_a_page_names_is_there_and_stays(server, path):
    page = fetch(server.port, "GET", path, headers=HTML).text
    assets = re.findall(r'(?:src|href)="(/[^"]+)"', page)
    assert len(assets) >= 3
    for asset in assets:
        answer = fetch(server.port, "GET", asset, headers={"Accept-Encoding": "gzip"})
        assert answer.status == 200, asset
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        if answer.headers.get("Content-Encoding") == "gzip":
            assert gzip.decompress(answer.body)


def test_a_page_that_did_not_change_is_not_sent_again(server):
    first = fetch(server.port, "GET", "/console")
    again = fetch(server.port, "GET", "/console", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")


def test_an_asset_that_is_not_there_is_not_kept(server):
    answer = fetch(server.port, "GET", "/assets/index-none.js")
    assert answer.status == 404
    assert answer.headers["Cache-Control"] == "no-store"


def test_pages_need_no_key_what_they_ask_for_does(world):
    server = world.server({"api_keys": [CLIENT_KEY], "console": {"key": KEY}})
    for path in ("/", "/console"):
        assert fetch(server.port, "GET", path, headers=HTML).status == 200
    assert fetch(server.port, "GET", "/").status == 401
    assert fetch(server.port, "GET", "/api/v1/session").status == 401


# ---- The key ----


@pytest.mark.parametrize("path", API)
def test_without_a_configured_key_the_console_says_what_to_configure(world, path):
    server = world.server()
    answer = fetch(server.port, "GET", path, headers=BEARER)
    assert answer.status == 403
    for name in ("console.key", "console.key_file", "PARLANCE_CONSOLE_KEY"):
        assert name in answer.json["detail"]


@pytest.mark.parametrize("path", API)
def test_the_console_wants_its_own_key(world, path):
    server = world.server({"api_keys": [CLIENT_KEY], "console": {"key": KEY}})
    for headers in ({}, {"Authorization": f"Bearer {CLIENT_KEY}"},
                    {"Authorization": f"Bearer {KEY}x"}, {"Authorization": f"Basic {KEY}"}):
        answer = fetch(server.port, "GET", path, headers=headers)
        assert answer.status == 401
        assert KEY not in answer.text
    assert fetch(server.port, "GET", "/history/a", headers=BEARER).status == 401
    assert KEY not in server.log()


def test_the_key_may_come_from_a_file_or_the_environment(world):
    path = world.folder / "console.key"
    path.write_text(KEY + "\n")
    assert state(world.server({"console": {"key_file": str(path)}}))["runs"]
    assert state(world.server(environment={"PARLANCE_CONSOLE_KEY": KEY}))["runs"]


def test_a_short_key_keeps_the_server_from_starting(world):
    server = world.server({"console": {"key": "short"}}, start=False)
    server.launch()
    assert server.wait_exit() == 2
    assert "console.key" in server.log() and "16 characters" in server.log()


# ---- The state ----


def test_a_run_appears_with_its_session_and_stops(world):
    upstream = world.upstream(script=SLOW)
    server = world.server({"console": {"key": KEY}}, upstream)
    say(server, "a")
    run = wait_until(lambda: next((run for run in state(server)["runs"]["oldest"]
                                   if run["activity"] == "writing"), None), "the run writes")
    assert (run["session"], run["message_id"]) == ("a", "m1")
    now = state(server)
    assert now["runs"]["total"] == 1
    assert now["sessions"]["last_used"][0]["activity"] == "running"
    provider = now["providers"][0]
    assert (provider["name"], provider["in_flight"], provider["breaker"]) == ("main", 1, "closed")
    assert provider["cost"] is None

    stopped = console(server, "/console/api/sessions/a/stop", "POST", {"message_id": "m1"})
    assert (stopped.status, stopped.json) == (200, {"status": "cancelled"})
    wait_until(lambda: state(server)["runs"]["total"] == 0, "the run is gone")
    assert log_types(server, "a")[-1] == "run_ended"
    provider = state(server)["providers"][0]
    assert (provider["answered"], provider["failed"], provider["cancelled"]) == (0, 0, 1)
    again = console(server, "/console/api/sessions/a/stop", "POST", {"message_id": "m1"})
    assert again.status == 404


def test_a_provider_with_prices_tells_what_its_tokens_cost(world):
    prices = {"currency": "EUR", "input": 10, "output": 1000}
    server = world.server({"console": {"key": KEY}}, world.upstream(), provider={"prices": prices})
    say(server, "a")
    wait_ended(server, "a")
    provider = state(server)["providers"][0]
    assert provider["tokens_out"] > 0
    cost = (10 * provider["tokens_in"] + 1000 * provider["tokens_out"]) / 1e6
    assert provider["cost"] == {"amount": pytest.approx(cost, rel=1e-4), "currency": "EUR"}


def test_stopping_needs_the_key_too(server):
    assert fetch(server.port, "POST", "/console/api/sessions/a/stop", {}).status == 401


def test_a_body_that_is_no_command_stops_nothing(server):
    answer = console(server, "/console/api/sessions/a/stop", "POST", b"{")
    assert answer.status == 400


def test_a_page_of_another_origin_cannot_stop_a_run(server):
    answer = console(server, "/console/api/sessions/a/stop", "POST", {},
                     {"Origin": "https://elsewhere.example"})
    assert answer.status == 403


def test_the_state_says_what_the_node_is_and_stands_on(server):
    now = wait_until(lambda: (s := state(server)) and "storage" in s and s, "storage is read")
    node = now["nodes"][0]
    assert node["ready"] and node["cores"] >= 1
    assert node["version"] == fetch(server.port, "GET", "/healthz").json["version"]
    assert now["storage"]["disk_free_bytes"] > 0
    assert not now["storage"]["refuses_writes"]
    assert now["connections"]["http"] >= 1


def test_watchers_are_counted_with_their_session(server):
    say(server, "watched")
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as watcher:
        watcher.sendall(b"GET /chat/watched/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert b"200" in watcher.recv(4096)

        def seen():
            now = state(server)
            rows = {row["session"]: row for row in now["sessions"]["last_used"]}
            return rows.get("watched", {}).get("watchers") == 1 and \
                now["connections"]["chat_streams"] == 1
        wait_until(seen, "the watcher is counted")
    wait_until(lambda: state(server)["connections"]["chat_streams"] == 0, "it is gone")


def test_many_sessions_are_counted_and_the_last_used_are_listed(server):
    for i in range(120):
        say(server, f"many-{i}")
    now = wait_until(lambda: (s := state(server))["sessions"]["awake"] >= 120 and s, "all are awake")
    rows = [row["session"] for row in now["sessions"]["last_used"]]
    assert len(rows) == 100
    assert len(set(rows)) == 100


# ---- The stream and the hour ----


def test_states_follow_one_another(server):
    events = Events(server)
    assert events.status == 200
    first, second = events.next(), events.next()
    assert second["at_ms"] > first["at_ms"]
    assert second["connections"]["consoles"] >= 1
    events.close()
    wait_until(lambda: state(server)["connections"]["consoles"] == 0, "the console is gone")


def test_consoles_are_limited(world):
    server = world.server({"console": {"key": KEY}})
    open_ones = [Events(server) for _ in range(16)]
    assert [events.status for events in open_ones] == [200] * 16
    refused = console(server, "/console/api/events")
    assert refused.status == 503
    assert "16 consoles" in refused.json["detail"] and refused.headers["Retry-After"]
    open_ones[0].close()
    wait_until(lambda: Events(server).status == 200, "there is room again")


def test_a_stop_of_the_server_ends_the_stream(world):
    server = world.server({"console": {"key": KEY}})
    events = Events(server)
    assert events.next()
    assert server.stop() == 0
    while events.next():
        pass


def test_the_hour_grows_with_nobody_watching(server):
    hour = wait_until(lambda: (h := console(server, "/console/api/history").json)["at_ms"] and h,
                      "a first step", timeout=PATIENCE + 15)
    assert hour["step_ms"] == 5000
    assert all(len(values) == len(hour["at_ms"]) for values in hour["series"].values())
    assert hour["series"]["memory_bytes"][-1] > 1_000_000


# ---- A session's log ----


def test_a_log_is_read_in_pages(server):
    say(server, "paged", "calculate 6 * 7")
    wait_ended(server, "paged")
    whole = console(server, "/console/api/sessions/paged/log").json
    kinds = [event["type"] for event in whole["events"]]
    assert kinds[0] == "message_accepted" and kinds[-1] == "run_ended"
    assert whole["last"] == len(kinds)
    assert [event["seq"] for event in whole["events"]] == list(range(1, len(kinds) + 1))
    newest = console(server, "/console/api/sessions/paged/log?limit=2").json["events"]
    assert newest == whole["events"][-2:]
    before = console(server, f"/console/api/sessions/paged/log?limit=1&before={len(kinds)}").json
    assert before["events"] == whole["events"][-2:-1]
    after = console(server, "/console/api/sessions/paged/log?after=1&limit=1").json
    assert after["events"] == whole["events"][1:2]


def test_a_log_comes_as_json_lines(server):
    for i in range(30):
        say(server, "long", f"message {i} " + "x" * 20_000, f"m{i}")
        wait_until(lambda: fetch(server.port, "GET", "/history/long").json, "some history")
    wait_until(lambda: log_types(server, "long")[-1:] == ["run_ended"]
               and not state(server)["runs"]["total"], "all are answered")
    answer = console(server, "/console/api/sessions/long/log?format=jsonl")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/jsonl; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="long.jsonl"'
    events = [json.loads(line) for line in answer.text.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert len(answer.body) > 500_000


def test_downloads_are_limited_and_take_nothing_from_clients(long_log):
    server, session = long_log
    reading = [Download(server, session) for _ in range(4)]
    assert [one.answer.status for one in reading] == [200] * 4
    refused = console(server, f"/console/api/sessions/{session}/log?format=jsonl")
    assert refused.status == 503
    assert "4 whole logs" in refused.json["detail"] and refused.headers["Retry-After"]
    # More than clients' budget is on its way to consoles; a page of the log is read all the same.
    assert fetch(server.port, "GET", "/history/other").status == 200
    assert console(server, f"/console/api/sessions/{session}/log?limit=1").status == 200
    reading[0].close()

    def there_is_room():
        one = Download(server, session)
        one.close()
        return one.answer.status == 200
    wait_until(there_is_room, "a place is free again")
    for one in reading[1:]:
        one.close()


def test_a_download_of_a_log_that_is_erased_breaks_off(long_log):
    server, session = long_log
    download = Download(server, session)
    assert download.answer.status == 200
    assert Api(server).delete(f"/session/{session}").status == 204
    with pytest.raises(http.client.IncompleteRead):
        download.answer.read()
    download.close()


def test_what_the_key_did_is_in_the_log_without_texts(world):
    server = world.server({"console": {"key": KEY}}, world.upstream(script=SLOW))
    say(server, "a", "a secret question")
    wait_until(lambda: state(server)["runs"]["total"] == 1, "it runs")
    console(server, "/console/api/sessions/a/stop", "POST", {"message_id": "m1"})
    console(server, "/console/api/sessions/a/log")
    console(server, "/console/api/sessions/a/log?format=jsonl")
    for line in ("console stopped a run session=a",
                 "console reads a log session=a whole=false",
                 "console reads a log session=a whole=true"):
        wait_until(lambda line=line: line in server.log(), line)
    assert "a secret question" not in server.log()


def test_wrong_keys_are_counted(world):
    server = world.server({"console": {"key": KEY}})
    fetch(server.port, "GET", "/console/api/state", headers={"Authorization": f"Bearer {KEY}x"})
    fetch(server.port, "GET", "/console/api/state")
    assert console(server, "/console/api/state").status == 200
    assert server.metric("console_refused_total") == 1


@pytest.mark.parametrize("query, told", [
    ("limit=0", "`limit`"), ("limit=x", "`limit`"), ("before=0", "`before`"),
    ("after=-1", "`after`"), ("before=2&after=1", "not both"), ("format=xml", "`format`")])
def test_a_bad_question_about_a_log_is_refused(server, query, told):
    answer = console(server, f"/console/api/sessions/a/log?{query}")
    assert answer.status == 400
    assert told in answer.json["detail"]


def test_a_session_without_a_log_is_not_found(server):
    assert console(server, "/console/api/sessions/nobody/log").status == 404
    assert console(server, "/console/api/sessions/nobody/log?format=jsonl").status == 404
    assert console(server, f"/console/api/sessions/{urllib.parse.quote('a b')}/log").status == 400


# ---- In a browser ----


@pytest.mark.skipif(bool(SANITIZE), reason="the page is the same")
def test_the_console_page_shows_a_run_and_stops_it(world):
    upstream = world.upstream(script=SLOW)
    server = world.server({"console": {"key": KEY}}, upstream)
    seen = subprocess.run(
        ["node", ROOT / "tests" / "web" / "console_page.mjs", server.url(""), KEY],
        capture_output=True, text=True, timeout=180, check=False)
    assert seen.returncode == 0, seen.stdout + seen.stderr
