"""The database is locked and sign-ins pour in: whoever watches us and who reads is answered (P23)."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import requests

from tests.faults.calling import PATIENCE
from tests.processes import Processes

SIGN_INS = 180
#: Seconds, many times what is promised: behind that many who wait for each other it was 12.
AT_ONCE = 6


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A web process over sockets."""
    with Processes(tmp_path) as processes:
        assert processes.start("migrate").wait() == 0
        yield processes.start_web()[1]


def test_a_flood_of_sign_ins_at_a_locked_database_keeps_nobody_waiting(
    url: str, tmp_path: Path
) -> None:
    page = requests.get(f"{url}/login", timeout=PATIENCE)
    form = {"name": "nobody", "password": "a wrong password"}
    form["csrf_token"] = re.findall('name="csrf_token"[^>]*value="([^"]+)"', page.text)[0]

    def sign_in(_: int) -> int:
        address = f"{url}/login"
        answer = requests.post(address, data=form, cookies=page.cookies, timeout=PATIENCE)
        return answer.status_code

    with (
        closing(sqlite3.connect(tmp_path / "sgpshop.db", isolation_level=None)) as other,
        ThreadPoolExecutor(SIGN_INS) as pool,
    ):
        other.execute("BEGIN IMMEDIATE")
        answers = [pool.submit(sign_in, number) for number in range(SIGN_INS)]
        for path in ("/healthz", "/login") * 3:
            answer = requests.get(url + path, timeout=PATIENCE)
            assert answer.status_code == 200
            assert answer.elapsed.total_seconds() < AT_ONCE
        told = {answer.result() for answer in answers}
        other.execute("ROLLBACK")
    assert told == {429, 503}  # come again
