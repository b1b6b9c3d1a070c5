"""Real processes for tests: simulator, worker, web, each over sockets, to be killed at will."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
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


class Processes:
    """Starts `app.py` commands on one instance; whatever still runs is killed on exit."""

    def __init__(self, folder: Path, database_url: str = "", **settings: object) -> None:
        self.folder = folder
        self.simulator_port = free_port()
        self.simulator_url = f"http://127.0.0.1:{self.simulator_port}"
        self._children: list[subprocess.Popen[bytes]] = []
        # Dozens of children start: they compile our modules once, not each for itself.
        inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        self._environ = inherited | {
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
        for child in self._children:
            self.kill(child)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Run `app.py` with these arguments; its output goes to a file in the folder."""
        with (self.folder / f"{arguments[0]}.log").open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, str(ROOT / "app.py"), *arguments],
                env=self._environ,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._children.append(child)
        return child

    def start_simulator(self, latency_ms: int = 0) -> subprocess.Popen[bytes]:
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

    def start_web(self) -> tuple[subprocess.Popen[bytes], str]:
        """A web process, ready to answer, and its address."""
        port = free_port()
        child = self.start("web", "--port", str(port))
        url = f"http://127.0.0.1:{port}"
        self.wait_for(f"{url}/healthz", child)
        return child, url

    @staticmethod
    def kill(child: subprocess.Popen[bytes]) -> None:
        """`kill -9`: no chance to tidy up."""
        if child.poll() is None:
            os.kill(child.pid, signal.SIGKILL)
        child.wait()

    @staticmethod
    def wait_for(url: str, child: subprocess.Popen[bytes]) -> None:
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
