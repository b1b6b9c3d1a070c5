"""`pytest --jobs 3`: tests side by side, in processes that fork once everything is collected.

Loading the program and collecting thousands of tests takes longer than hundreds of them: it is done once.
Who is free takes the next few tests, those that take long first, so that all end at about the same time.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import struct
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import pytest

#: Tests of one module that a process takes at once; few enough that all end at about the same time.
_AT_ONCE = 12
#: Folders of tests that take seconds each and wait for processes and pages half of the time.
_LONG = ("faults", "browser", "worker")
_TOKEN = struct.Struct("II")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--jobs", type=int, default=1, help="processes that run the tests")


class Runner:
    """Takes the place of pytest's own loop, which runs one test after the other."""

    def pytest_runtestloop(self, session: pytest.Session) -> object:
        options = session.config.option
        is_broken = session.testsfailed and not options.continue_on_collection_errors
        if options.collectonly or is_broken:
            return None  # which pytest itself knows how to say
        _run(session, options.jobs)
        return True


def pytest_configure(config: pytest.Config) -> None:
    if config.option.jobs > 1:
        config.pluginmanager.register(Runner(), "side by side")


def _in_turn(items: list[pytest.Item]) -> list[tuple[int, int]]:
    """From where to where in `items`: what takes long first, each by itself, then all in their order."""
    is_long = [
        item.get_closest_marker("long") is not None or item.path.parent.name in _LONG
        for item in items
    ]
    alone = [(n, n + 1) for n in _mixed([n for n in range(len(items)) if is_long[n]], items)]
    together = []
    for _, same in itertools.groupby(range(len(items)), lambda n: (items[n].path, is_long[n])):
        numbers = list(same)
        if not is_long[numbers[0]]:
            for first in range(numbers[0], numbers[-1] + 1, _AT_ONCE):
                together.append((first, min(first + _AT_ONCE, numbers[-1] + 1)))
    return alone + together


def _mixed(numbers: list[int], items: list[pytest.Item]) -> list[int]:
    """Each folder evenly spread: not all that start many processes and threads at the same time."""
    size = Counter(items[n].path.parent for n in numbers)
    before: Counter[Path] = Counter()
    place = {}
    for n in numbers:
        folder = items[n].path.parent
        place[n] = before[folder] / size[folder]
        before[folder] += 1
    return sorted(numbers, key=place.__getitem__)


def _run(session: pytest.Session, jobs: int) -> None:
    config = session.config
    # Each would else begin a folder of its own, and none would take it away.
    config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    tokens = _Tokens(_in_turn(session.items))
    context = multiprocessing.get_context("fork")
    running: dict[Connection, ForkProcess] = {}
    for _ in range(jobs):
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(session, tokens, there))
        process.start()
        there.close()
        running[here] = process
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:
        terminal.showfspath = False  # several files are under way at a time
    at_work: dict[Connection, int] = {}
    not_run = set(range(len(session.items)))
    try:
        while running and not (session.shouldfail or session.shouldstop):
            for connection in wait(list(running)):
                assert isinstance(connection, Connection)
                try:
                    what, number, data = connection.recv()
                except EOFError:
                    running.pop(connection).join()
                    continue
                not_run.discard(number)
                if what == "finish":
                    del at_work[connection]
                else:
                    at_work[connection] = number
                _tell(config, session.items[number], what, data)
    finally:
        for process in running.values():
            process.terminate()
            process.join()
    if not (session.shouldfail or session.shouldstop):
        for number in at_work.values():
            _fail(config, session.items[number], "its process ended during this test")
        for number in sorted(not_run):
            _fail(config, session.items[number], "the process that was to run it ended before")


def _tell(config: pytest.Config, item: pytest.Item, what: str, data: Any) -> None:
    """What pytest would have heard if it had run the test itself."""
    hook = config.hook
    if what == "start":
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    elif what == "finish":
        hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    else:
        report = hook.pytest_report_from_serializable(config=config, data=data)
        hook.pytest_runtest_logreport(report=report)


def _fail(config: pytest.Config, item: pytest.Item, why: str) -> None:
    report = pytest.TestReport(item.nodeid, item.location, {}, "failed", why, "call")
    config.hook.pytest_runtest_logreport(report=report)


class _Tokens:
    """What is still to be run; each token goes to the process that reads it first."""

    def __init__(self, turns: list[tuple[int, int]]) -> None:
        self._reading, writing = os.pipe()
        for first, end in turns:  # some thousand at most, which a pipe holds
            os.write(writing, _TOKEN.pack(first, end))
        os.close(writing)

    def numbers(self) -> Iterator[int]:
        """The tests this process is to run."""
        while token := os.read(self._reading, _TOKEN.size):
            yield from range(*_TOKEN.unpack(token))


class _Teller:
    """Tells the process that began it all what became of each test."""

    def __init__(self, config: pytest.Config, to: Connection) -> None:
        self._config, self._to = config, to
        self.number = 0

    def pytest_runtest_logstart(self) -> None:
        self._to.send(("start", self.number, None))

    def pytest_runtest_logfinish(self) -> None:
        self._to.send(("finish", self.number, None))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._to.send(("report", self.number, data))


def _work(session: pytest.Session, tokens: _Tokens, to: Connection) -> None:
    """In a process of its own: run what nobody else has taken."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what it has opened it gives back
    config = session.config
    capture = config.pluginmanager.get_plugin("capturemanager")
    assert capture is not None
    capture.stop_global_capturing()  # its file is everybody's
    capture.start_global_capturing()
    config.pluginmanager.unregister(name="terminalreporter")
    teller = _Teller(config, to)
    config.pluginmanager.register(teller)
    numbers = tokens.numbers()
    number = next(numbers, None)
    try:
        while number is not None and not (session.shouldfail or session.shouldstop):
            teller.number = number
            following = next(numbers, None)
            nextitem = None if following is None else session.items[following]
            config.hook.pytest_runtest_protocol(item=session.items[number], nextitem=nextitem)
            number = following
    finally:
        session._setupstate.teardown_exact(None)
