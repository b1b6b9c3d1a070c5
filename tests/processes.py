"""Real processes for tests: simulator, worker, web, each over sockets, to be killed at will."""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

import requests

from sgpshop.environment import ROOT
from tests.conftest import KEYS


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@cache
def _warm() -> subprocess.Popen[str]:
    """The process that becomes all others (tests/warm.py): one for this process of the tests."""
    # It compiles our modules once, if nobody did, and leaves that for the next run.
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    warm = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "warm.py")],
        env=inherited | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(warm.communicate)  # nobody asks any more: it ends
    return warm


_asking = threading.Lock()


def _ask(**what: object) -> Any:
    with _asking:
        warm = _warm()
        assert warm.stdin is not None
        assert warm.stdout is not None
        print(json.dumps(what), file=warm.stdin, flush=True)
        return json.loads(warm.stdout.readline())


class Child:
    """A process of ours: what subprocess.Popen would tell of it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._ended: int | None = None

    def poll(self) -> int | None:
        """The exit code (a signal is negative); None while it runs."""
        if self._ended is None:
            self._ended = _ask(pid=self.pid)
        return self._ended

    def wait(self, seconds: float = 60.0) -> int:
        """The exit code, as soon as it ended; fails when it does not."""
        until = time.monotonic() + seconds
        while (ended := self.poll()) is None:
            assert time.monotonic() < until, "it does not end"
            time.sleep(0.01)
        return ended

    def send_signal(self, number: int) -> None:
        """As `kill` does."""
        os.kill(self.pid, number)


class _Own(Child):
    """One that was started as an administrator starts it, with no more in its memory than it needs."""

    def __init__(self, arguments: tuple[str, ...], environ: dict[str, str], log: str) -> None:
        with open(log, "ab") as said:
            self._process = subprocess.Popen(
                [sys.executable, str(ROOT / "app.py"), *arguments],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        super().__init__(self._process.pid)

    def poll(self) -> int | None:
        return self._process.poll()


class Processes:
    """Starts `app.py` commands on one instance; whatever still runs is killed on exit."""

    #: Started as an administrator starts them, which takes a second longer: for whom their memory is
    #: measured.
    are_own = False

    def __init__(self, folder: Path, database_url: str = "", **settings: object) -> None:
        self.folder = folder
        self.simulator_port = free_port()
        self.simulator_url = f"http://127.0.0.1:{self.simulator_port}"
        self.children: list[Child] = []
        self._environ = {
            **os.environ,
            "SGPSHOP_INSTANCE_PATH": str(folder),
            "SGPSHOP_DATABASE_URL": database_url,
            "SGPSHOP_TEST_MODE": "1",
            "SGPSHOP_GATEWAY_URL": self.simulator_url,
            "SGPSHOP_NIGHTLY_COMPARE_HOUR": "off",
            "SGPSHOP_DAILY_DIGEST_HOUR": "off",
            **{f"SGPSHOP_{name}": str(value) for name, value in (KEYS | settings).items()},
        }

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for child in self.children:
            self.kill(child)

    def start(self, *arguments: str) -> Child:
        """Run `app.py` with these arguments; its output goes to a file in the folder."""
        log = str(self.folder / f"{arguments[0]}.log")
        if self.are_own:
            self.children.append(_Own(arguments, self._environ, log))
        else:
            self.children.append(Child(_ask(arguments=arguments, environ=self._environ, log=log)))
        return self.children[-1]

    def start_simulator(self, latency_ms: int = 0) -> Child:
        """The gateway simulator, ready to answer."""
        child = self.start(
            "simulator",
            "--port",
            str(self.simulator_port),
            "--db",
            str(self.folder / "simulator.db"),
            "--latency-ms",
            str(latency_ms),
        )
        self.wait_for(f"{self.simulator_url}/_control/ledger?order_id=none", child)
        return child

    def start_web(self) -> tuple[Child, str]:
        """A web process, ready to answer, and its address."""
        port = free_port()
        child = self.start("web", "--port", str(port))
        url = f"http://127.0.0.1:{port}"
        self.wait_for(f"{url}/healthz", child)
        return child, url

    @staticmethod
    def kill(child: Child) -> None:
        """`kill -9`: no chance to tidy up."""
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
        child.wait()

    @staticmethod
    def wait_for(url: str, child: Child) -> None:
        """Until `url` answers; fails if the process ends first."""
        until = time.monotonic() + 30
        while True:
            try:
                requests.get(url, timeout=5)
            except requests.ConnectionError:
                assert child.poll() is None, "the process ended"
                assert time.monotonic() < until, "no answer"
                time.sleep(0.05)
            else:
                return

    def control(self, path: str) -> Any:
        """What the simulator's control interface answers."""
        return requests.get(f"{self.simulator_url}/_control/{path}", timeout=30).json()

    def post_control(self, path: str, body: object) -> Any:
        """Tell the simulator something."""
        answer = requests.post(f"{self.simulator_url}/_control/{path}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json()
