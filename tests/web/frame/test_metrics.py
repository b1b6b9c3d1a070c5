"""/metrics: to nobody without its token, and with it what every process of the machine counted."""

from __future__ import annotations

import errno
import gc
import logging
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client import values
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from sgpshop import error_sink, logs, metrics
from sgpshop.environment import ROOT
from sgpshop.extensions import db
from sgpshop.models import Operation
from sgpshop.services.installation import backups
from sgpshop.services.payments import gateway_access
from tests.conftest import make_app
from tests.factories import authorized_order
from tests.gateway_world import World
from tests.services.acting import press

TOKEN = "a token of twenty and more characters"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"METRICS_TOKEN": TOKEN}


# A process keeps the files of its counts for as long as it lives: those of a test stay open until the
# collector comes, which here may be within another one.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True)
def _count_no_more() -> Iterator[None]:
    yield
    metrics._meters = None
    values.ValueClass = values.MutexValue


@pytest.fixture(autouse=True, scope="module")
def _leave_no_files() -> Iterator[None]:
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def figures(client: FlaskClient) -> dict[str, float]:
    answer = client.get("/metrics", headers=BEARER)
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain")
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_methods_that_somebody_invents_count_as_one(client: FlaskClient) -> None:
    for n in range(3):
        client.open("/login", method=f"INVENTED{n}")
    named = [name for name in figures(client) if name.startswith("sgpshop_requests_total{")]
    assert 'sgpshop_requests_total{method="other",status="405"}' in named
    assert not [name for name in named if "INVENTED" in name]


def test_counts_have_their_place_on_the_disk_before_they_are_counted(
    app: Flask, tmp_path: Path
) -> None:
    """On a full one the first count without a place would end the process by a signal."""
    files = [path.stat() for path in (tmp_path / "metrics").glob("*.db")]
    assert len(files) == 2
    assert all(file.st_blocks * 512 >= file.st_size >= metrics._ROOM for file in files)


def test_where_there_is_no_place_nothing_is_counted_and_all_else_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(metrics, "_make_room", full)
    client = make_app(tmp_path, METRICS_TOKEN=TOKEN).test_client()
    assert client.get("/healthz").status_code == 200
    assert client.get("/metrics", headers=BEARER).status_code == 200


class TestWithoutAToken:
    @pytest.fixture
    def overrides(self) -> dict[str, Any]:
        return {}

    def test_there_is_no_such_page(self, client: FlaskClient, tmp_path: Path) -> None:
        assert client.get("/metrics", headers=BEARER).status_code == 404
        assert not (tmp_path / "metrics").exists()


@pytest.mark.parametrize("given", ["", "Bearer ", f"Bearer {TOKEN}x", f"Basic {TOKEN}"])
def test_another_token_is_none(client: FlaskClient, given: str) -> None:
    answer = client.get("/metrics", headers={"Authorization": given} if given else {})
    assert answer.status_code == 401
    assert "sgpshop" not in answer.text


def test_it_tells_what_happened(app: Flask, client: FlaskClient) -> None:
    world = World()
    gateway_access.init_app(app, world.gateway)
    with app.app_context():
        before = figures(client)
        assert before["sgpshop_database_writable"] == 1
        assert "sgpshop_backup_bytes" not in before
        press(authorized_order(world), Operation.CAPTURE)
        world.fault("drop_after")
        press(authorized_order(world), Operation.CAPTURE)
        backups.take(Path(app.instance_path) / "x.backup")
        db.session.remove()
        now = figures(client)
    assert now['sgpshop_money_operations_total{operation="capture",outcome="done"}'] == 1
    assert now['sgpshop_money_operations_total{operation="capture",outcome="unknown"}'] == 1
    call = 'sgpshop_gateway_seconds_count{answer="%s",api="AlterTran"}'
    assert now[call % "answered"] == 1
    assert now[call % "GatewayOutcomeUnknown"] == 1
    assert now["sgpshop_uncertain"] == 1
    assert now["sgpshop_backup_bytes"] > 1000
    assert now['sgpshop_requests_total{method="GET",status="200"}'] == 1


def test_all_processes_are_added_up_and_a_new_one_goes_on(client: FlaskClient, app: Flask) -> None:
    folder = Path(app.instance_path) / "metrics"
    count = (
        "import sys, pathlib; from sgpshop import metrics;"
        "metrics.init(pathlib.Path(sys.argv[1])); metrics.count_operation('capture', 'done')"
    )
    for _ in range(3):  # one after the other: under the same number each
        subprocess.run([sys.executable, "-c", count, str(folder)], check=True, cwd=ROOT)
    metrics.count_operation("capture", "done")
    found = figures(client)
    assert found['sgpshop_money_operations_total{operation="capture",outcome="done"}'] == 4
    assert sorted(file.name for file in folder.glob("*.lock")) == ["0.lock", "1.lock"]


def test_nothing_personal_is_in_it(app: Flask, client: FlaskClient) -> None:
    world = World()
    gateway_access.init_app(app, world.gateway)
    with app.app_context():
        order = authorized_order(world)
        press(order, Operation.CAPTURE)
        number = order.order_no
        db.session.remove()
    client.get(f"/orders/{number}?buyer=sato")
    text = client.get("/metrics", headers=BEARER).text
    assert not re.search(rf"{number}|sato|佐藤", text)


class TestTheLogAtRest:
    def test_machines_that_ask_how_we_are_leave_no_line(
        self, client: FlaskClient, capsys: pytest.CaptureFixture[str]
    ) -> None:
        client.get("/healthz")
        client.get("/metrics", headers=BEARER)
        assert '"request"' not in capsys.readouterr().out
        client.get("/login")
        client.get("/metrics")  # refused: that is told
        assert capsys.readouterr().out.count('"event": "request"') == 2

    def test_the_level_is_a_setting(self, app: Flask, capsys: pytest.CaptureFixture[str]) -> None:
        app.config["LOG_LEVEL"] = "warning"
        logs.set_level(app)
        try:
            logs.event("of no account")
            logs.event("worth a look", level=logging.WARNING)
        finally:
            app.config["LOG_LEVEL"] = "info"
            logs.set_level(app)
        out = capsys.readouterr().out
        assert "of no account" not in out
        assert "worth a look" in out


def test_an_error_is_sent_without_what_it_was_about() -> None:
    sent: list[Any] = []

    class Kept(Transport):
        def capture_envelope(self, envelope: Envelope) -> None:
            sent.append(envelope.get_event())

    error_sink.init("https://key@sink.example/1", "0", "test", transport=Kept())
    try:
        buyer, card = "佐藤 花子", "4111111111111111"
        try:
            raise ValueError(f"{buyer} {card}")
        except ValueError:
            logging.getLogger("sgpshop").exception("breaks off for %s", buyer)
        text = repr(sent)
    finally:
        error_sink.close()
    assert "ValueError" in text
    assert "test_an_error_is_sent" in text  # where
    assert "breaks off for %s" in text
    for secret in (buyer, card, "花子"):
        assert secret not in text
