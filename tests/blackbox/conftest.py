"""What every black-box test gets: processes that are ended with it, their logs when it fails, and
coroutines as tests."""

import asyncio
import inspect

import pytest

import harness
from harness import SANITIZER_REPORT, Chroma, Process, Server, Upstream

LOG_LINES_SHOWN = 120


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Runs a test that is a coroutine function."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    asyncio.run(pyfuncitem.obj(**arguments))
    return True


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if not report.failed:
        return
    for process in Process.started:
        lines = process.log().splitlines()
        title = f"{process.name}, exit codes {process.exit_codes}"
        if len(lines) > LOG_LINES_SHOWN:
            title += f", the last {LOG_LINES_SHOWN} lines"
        report.sections.append((title, "\n".join(lines[-LOG_LINES_SHOWN:])))


def end_all(processes):
    """Ends what still runs, and fails on what only a log tells: a crash, a sanitizer's report."""
    failures = []
    for process in processes:
        expected = process.child is None  # The test waited for its end itself.
        try:
            process.end()
        except harness.Absent as late:
            failures.append(str(late))
        if not expected and process.exit_codes[-1] != 0:
            failures.append(f"{process.name} ended with {process.exit_codes[-1]}")
        report = SANITIZER_REPORT.search(process.log())
        if report:
            failures.append(f"{process.name}: {process.log()[report.start():][:8000]}")
    assert not failures, "\n".join(failures)


class World:
    """Starts processes in the test's own folder."""

    def __init__(self, folder, shared=False):
        self.folder = folder
        self.shared = shared
        self.processes = []

    def add(self, process):
        process.shared = self.shared
        self.processes.append(process)
        return process

    def upstream(self, *arguments, script=None):
        return self.add(Upstream(*arguments, script=script))

    def chroma(self):
        """A real Chroma server, running and empty."""
        folder = self.folder / f"chroma-{len(self.processes)}"
        folder.mkdir(parents=True)
        return self.add(Chroma(folder)).start()

    def server(self, config=None, upstream=None, *, provider=None, start=True, **options):
        """A server; with `upstream`, one that uses it, with the options in `provider`."""
        if upstream is not None:
            config = {**(config or {}), "providers": [upstream.provider(**(provider or {}))]}
        folder = self.folder / f"server-{len(self.processes)}"
        folder.mkdir(parents=True)
        server = self.add(Server(folder, config, **options))
        return server.start() if start else server


@pytest.fixture
def world(tmp_path):
    Process.started[:] = [process for process in Process.started if process.shared]
    world = World(tmp_path)
    yield world
    end_all(world.processes)


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory):
    """For tests that do not mind what others did to their server."""
    Process.started.clear()
    world = World(tmp_path_factory.mktemp("shared"), shared=True)
    yield world
    end_all(world.processes)


@pytest.fixture(scope="session", autouse=True)
def open_files():
    return harness.raise_open_files_limit()


@pytest.fixture(scope="session")
def fault_library(tmp_path_factory):
    """The library that makes syncs fail or end the process; see tests/support/sync_faults.c."""
    return harness.build_fault_library(tmp_path_factory.mktemp("faults"))
