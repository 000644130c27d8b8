"""The variables of the environment as an operator sees them, and `parlance health`."""

import subprocess

from harness import BIN, PATIENCE, clean_environment


def run(*arguments, **environment):
    done = subprocess.run([BIN / "parlance", *map(str, arguments)], capture_output=True, text=True,
                          env=clean_environment(**environment), timeout=PATIENCE, check=False)
    return done.returncode, done.stdout, done.stderr


def test_version_and_environment_are_told_by_healthz_and_in_the_log(world):
    server = world.server(environment={"APP_VERSION": "4.5.6-test", "ENV": "TEST"})
    assert server.get("/healthz").json == {
        "status": "ok", "version": "4.5.6-test", "environment": "TEST"}
    assert "started version=4.5.6-test environment=TEST" in server.log()


def test_without_variables_healthz_tells_the_version_of_the_program(world):
    _, printed, _ = run("--version")
    told = world.server().get("/healthz").json
    assert told == {"status": "ok", "version": printed.split()[1], "environment": "DEV"}


def test_an_unknown_environment_is_refused_at_start_with_the_allowed_ones(tmp_path):
    code, _, told = run("serve", "--data", tmp_path / "data", ENV="STAGING")
    assert (code, told) == (2, "parlance: ENV must be one of: DEV, TEST, PRODUCTION\n")
    assert not (tmp_path / "data").exists()


def test_a_database_url_of_another_kind_is_refused_at_start_without_its_secret(tmp_path):
    code, _, told = run("serve", DATABASE_URL="postgresql://user:hidden@host/db")
    assert code == 2 and "rocksdb:///path/of/a/directory" in told and "hidden" not in told


def test_a_database_url_is_where_the_store_is(world, tmp_path):
    server = world.server(start=False)
    server.data = "unused"
    folder = tmp_path / "elsewhere"
    command = server.command()
    at = command.index("--data")
    del command[at:at + 2]
    server.command = lambda: command
    server.environment = {"DATABASE_URL": f"rocksdb://{folder}"}
    server.start()
    assert (folder / "rocksdb").is_dir()


def test_health_asks_the_server_that_listens_there(world):
    server = world.server({"api_keys": ["a-key"]})
    code, printed, _ = run("health", "--listen", f"127.0.0.1:{server.port}")
    assert code == 0 and '"status":"ok"' in printed


def test_health_of_a_listener_on_all_addresses_asks_on_loopback(world):
    server = world.server({"api_keys": ["a-key"]}, listen=["0.0.0.0:0"])
    code, printed, told = run("health", "--listen", f"0.0.0.0:{server.port}",
                              PARLANCE_API_KEYS="a-key")
    assert code == 0 and '"status":"ok"' in printed, told


def test_health_of_no_server_is_1_and_says_why(world):
    server = world.server()
    assert server.stop() == 0
    code, _, told = run("health", "--listen", f"127.0.0.1:{server.port}")
    assert code == 1 and "no answer from 127.0.0.1" in told
