"""Stores that older versions left behind (tests/data, made by make_store.py): all that the old
program told is told again, byte for byte."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from harness import BIN, PATIENCE, ROOT, until
from kiss import SECRET_KEY, Rest

DATA = ROOT / "tests" / "data"
sys.path.insert(0, str(DATA))
from make_store import recorded_events  # noqa: E402

STORES = sorted(folder.name for folder in DATA.glob("store_*"))
NEWEST = 3
LAYOUTS = {"store_1": 1, "store_1_one_family": 1, "store_2": 2}


def test_every_kept_store_is_tested():
    assert STORES == sorted(LAYOUTS)


@pytest.fixture(params=STORES)
def old(request, world):
    """A server on a copy of an old store, not started, and what the old program told."""
    server = world.server(start=False, environment={"ACCESS_TOKEN_SECRET_KEY": SECRET_KEY})
    shutil.copytree(DATA / request.param, server.data)
    server.kept_as = request.param
    server.layout = LAYOUTS[request.param]
    server.told = json.loads((server.data / "told.json").read_text())
    return server


def migrate(server, *arguments):
    done = subprocess.run([BIN / "parlance", "migrate", "--data", server.data, *arguments],
                          capture_output=True, text=True, timeout=PATIENCE, check=False)
    return done.returncode, done.stdout + done.stderr


def files(folder):
    """Every file with its bytes and the time of its last change."""
    return {path: (path.read_bytes(), os.stat(path).st_mtime_ns)
            for path in folder.rglob("*") if path.is_file()}


def assert_all_is_told_again(server):
    for chat, text in server.told["history"].items():
        assert server.get(f"/history/{chat}").body.decode() == text
    for chat, frames in server.told["events"].items():
        assert recorded_events(server.port, chat) == frames


def test_an_old_store_is_told_byte_for_byte_after_a_start(old):
    old.start()
    assert_all_is_told_again(old)


def test_an_old_store_is_told_byte_for_byte_after_parlance_migrate(old):
    code, text = migrate(old)
    assert code == 0 and (f"made layout {NEWEST}" in text or old.layout == NEWEST), text
    code, text = migrate(old)
    assert code == 0 and f"has layout {NEWEST}: nothing to do" in text
    old.start()
    assert_all_is_told_again(old)


async def test_a_run_that_an_old_version_left_unfinished_goes_on(old):
    old.start()
    told = json.loads(old.told["unfinished"])
    history = await until(lambda: len(h := old.history("unfinished")) > len(told) and h, "an end")
    assert history[:len(told)] == told
    assert await until(lambda: old.metric("runs_active") == 0, "its end")


def test_a_message_that_an_old_version_took_is_not_run_twice(old):
    old.start()
    for body, key in (({"message": "Message 1", "message_id": "m1"}, None),
                      ({"message": "Message 1", "message_id": "m1"}, "key-1")):
        answer = old.post("/chat/plain/messages", body, {"Idempotency-Key": key} if key else None)
        assert answer.status == 202 and answer.json["seq"] == 4, answer
    assert old.get("/history/plain").body.decode() == old.told["history"]["plain"]


def test_a_dry_run_changes_nothing_and_tells_how_much(old):
    before = files(old.data)
    code, text = migrate(old, "--dry-run")
    assert code == 0, text
    if old.layout == NEWEST:
        assert "nothing to do" in text
    else:
        records = {"store_1_one_family": 9, "store_1": 0, "store_2": 2}[old.kept_as]
        assert f"would make layout {NEWEST}" in text and f"rewrite: {records})" in text, text
        assert "nothing was changed" in text
    assert files(old.data) == before


def test_a_store_that_a_server_has_open_is_not_migrated(old):
    old.start()
    for arguments in ((), ("--dry-run",)):
        code, text = migrate(old, *arguments)
        assert code == 1 and "is open in another process" in text, text


def test_where_there_is_no_store_migrate_says_so_and_makes_none(world):
    server = world.server(start=False)
    for arguments in ((), ("--dry-run",)):
        code, text = migrate(server, *arguments)
        assert code == 1 and "there is no store in" in text, text
    assert not server.data.exists()


def test_a_client_of_an_old_store_has_its_documents_after_a_refresh(world):
    server = world.server(start=False, environment={"ACCESS_TOKEN_SECRET_KEY": SECRET_KEY})
    shutil.copytree(DATA / "store_2", server.data)
    told = json.loads((server.data / "told.json").read_text())
    server.start()
    client = Rest(server)
    assert client.auth(**told["client"]).status == 200
    assert client.init().status == 200
    for passage, text in told["passages"].items():
        assert client.call(f"/passages/{passage}", method="GET").body.decode() == text
    answer = client.query("How far is the moon?").json
    assert answer["extras"]["tool"] == told["answer"]["tool"]
    found = {p["id"]: p["text"] for p in answer["extras"]["supporting_documents"]}
    assert found == {p["id"]: p["text"] for p in told["answer"]["supporting_documents"]}


def test_importing_clients_into_an_old_store_is_refused_with_what_to_do(world, tmp_path):
    server = world.server(start=False)
    shutil.copytree(DATA / "store_1", server.data)
    before = files(server.data)
    sessions = tmp_path / "sessions.db"
    subprocess.run([sys.executable, "-c", (
        "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('CREATE TABLE sessions "
        "(client_id, client_secret, scope, status, created_at)')"), sessions], check=True)
    done = subprocess.run([BIN / "parlance", "import-kiss", sessions, "--data", server.data],
                          capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1 and "`parlance migrate` brings it there" in done.stderr
    assert files(server.data) == before
