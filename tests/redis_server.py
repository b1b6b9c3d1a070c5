"""A throw-away Redis server for tests, from Debian's program."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.processes import free_port

HINT = "Redis is missing: apt-get install redis-server"


class RedisServer:
    """Starts on enter, is killed on exit or when asked to; what it held is gone then."""

    def __init__(self) -> None:
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Empty, on the same port."""
        program = shutil.which("redis-server")
        if program is None:
            pytest.fail(HINT)
        quiet = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--loglevel", "warning"]
        self._process = subprocess.Popen(
            [program, "--port", str(self._port), *quiet], stdout=subprocess.DEVNULL
        )

    def kill(self) -> None:
        """As `kill -9` does."""
        self._process.kill()
        self._process.wait()
