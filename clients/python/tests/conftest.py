"""The client is tested against the real programs: the processes are those of tests/blackbox."""

import importlib.util
import pathlib
import sys

import pytest

CLIENT = pathlib.Path(__file__).resolve().parents[1]
BLACKBOX = CLIENT.parents[1] / "tests" / "blackbox"
sys.path[:0] = [str(BLACKBOX), str(CLIENT)]

_spec = importlib.util.spec_from_file_location("blackbox_conftest", BLACKBOX / "conftest.py")
blackbox = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(blackbox)

pytest_pyfunc_call = blackbox.pytest_pyfunc_call
pytest_runtest_makereport = blackbox.pytest_runtest_makereport
world = blackbox.world
shared_world = blackbox.shared_world


def host(server):
    """The server as a client is told of it; at the same port when it is started again."""
    server.listen = [f"127.0.0.1:{server.port}"]
    return server.listen[0]


@pytest.fixture
def host_of():
    return host
