"""A throw-away PostgreSQL server for tests, from Debian's programs (or TEST_DATABASE_URL)."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

import psycopg
import pytest

from tests.memory import in_memory

HINT = (
    "PostgreSQL's server programs are missing: apt-get install postgresql, or set TEST_DATABASE_URL"
)


def _programs() -> Path | None:
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    if versions:
        return versions[-1]
    found = shutil.which("initdb")
    return Path(found).parent if found else None


class PostgresqlServer:
    """Starts on enter (unless TEST_DATABASE_URL names one), stops on exit; makes databases."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._folder: Path | None = None
        self._bin: Path | None = None
        self._connection: psycopg.Connection | None = None
        self.url = os.environ.get("TEST_DATABASE_URL", "")

    def __enter__(self) -> PostgresqlServer:
        if not self.url:
            self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._folder is not None:
            self.kill()
            shutil.rmtree(self._folder, ignore_errors=True)

    def new_database(self, template: str = "template0") -> str:
        """The URL of a new database: empty, or a copy of `template`."""
        name = f"sgpshop_{os.getpid()}_{next(self._numbers)}"
        connection = self._connected()
        # Version 15 would else write every page of the copy to its log: three times the work.
        is_logged = connection.info.server_version >= 150000
        how = "STRATEGY FILE_COPY" if is_logged else ""
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} {how}")  # type: ignore[arg-type]
        return f"{self.url}/{name}"

    def drop(self, url: str) -> None:
        """Forget a database made here: hundreds of them would fill the memory they live in."""
        name = url.rpartition("/")[2]
        self._connected().execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]

    def _connected(self) -> psycopg.Connection:
        """The connection that makes and drops databases: one for hundreds of them."""
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self._plain("postgres"), autocommit=True)
        return self._connection

    def _plain(self, name: str) -> str:
        return f"{self.url.replace('+psycopg', '')}/{name}"

    def _start(self) -> None:
        self._bin = _programs()
        if self._bin is None:
            pytest.fail(HINT)
        self._folder = Path(tempfile.mkdtemp(prefix="sgpshop-postgresql-", dir=in_memory()))
        if os.geteuid() == 0:
            shutil.chown(self._folder, "postgres")
        data = self._folder / "data"
        self._run("initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8",
                  "--locale=C.UTF-8", "--no-sync")  # fmt: skip
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        # What only a power cut asks for is off; a server that is killed keeps what was committed.
        settings = {
            "fsync": "off",
            "full_page_writes": "off",
            "wal_level": "minimal",
            "max_wal_senders": 0,
            "autovacuum": "off",
            "jit": "off",
            "max_connections": 200,
            "listen_addresses": "127.0.0.1",
        }
        self._options = f"-p {port} -k {self._folder}"
        self._options += "".join(f" -c {name}={value}" for name, value in settings.items())
        self.start_again()
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{port}"

    def kill(self) -> None:
        """It stops at once, as after a power cut."""
        assert self._folder is not None, "a server of somebody else's stays as it is"
        if self._connection is not None:
            self._connection.close()
        self._run("pg_ctl", "-D", self._folder / "data", "-m", "immediate", "stop")

    def start_again(self) -> None:
        """On what it had."""
        assert self._folder is not None
        data, log = self._folder / "data", self._folder / "log"
        self._run("pg_ctl", "-w", "-D", data, "-l", log, "-o", self._options, "start")

    def _run(self, program: str, *arguments: object) -> None:
        assert self._bin is not None
        # PostgreSQL refuses to run as root.
        prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        subprocess.run(
            [*prefix, str(self._bin / program), *map(str, arguments)],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
        )
