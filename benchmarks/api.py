"""The API: one order against an empty page, what changed far into many orders, 200 slips in one call."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from benchmarks.table import show
from sgpshop.extensions import db
from sgpshop.models import Order
from sgpshop.services import installation
from sgpshop.storage.database import writing
from tests.conftest import make_app
from tests.factories import make_order
from tests.web.api_calls import ORDERS, Program

MANY = int(os.environ.get("API_ORDERS", "1000000"))
SLIPS, TIMES = 200, 30
_UNLIMITED = dict.fromkeys(
    ("API_REQUESTS_PER_KEY", "API_REQUESTS_PER_ADDRESS", "API_SEARCHES_PER_KEY"), 10**6
)


def run() -> None:
    """Print one table."""
    with tempfile.TemporaryDirectory() as folder:
        app = make_app(Path(folder), **_UNLIMITED)
        with app.app_context():
            installation.migrate()
            first = make_order(told=True).order_no
            copies([make_order(told=True).id for _ in range(SLIPS)])
        app.test_client_class = (
            FlaskClient  # that of the tests looks every answer up in the document
        )
        program = Program(app)
        program.get("/api/v1/events")  # what happened gets its places
        now = cursor(app, "position")
        nothing = median(lambda: program.get(f"/api/v1/events?after={now}").status_code)
        empty = median(lambda: program.get(f"{ORDERS}?order_no=P404").status_code)
        order = median(lambda: program.get(f"{ORDERS}/{first}").status_code)
        page = f"{ORDERS}?size=100&changed_since="
        first_page = median(lambda: program.get(page).status_code)
        far = cursor(app, "(SELECT max(position) FROM order_changes) - 100")
        assert len(program.get(f"{page}{far}").get_json()["orders"]) == 100
        last_page = median(lambda: program.get(f"{page}{far}").status_code)
        show(
            f"The API, {MANY:,} orders",
            ("what", "ms", "ratio", "wanted"),
            [
                ("an empty page: no events", f"{nothing:.1f}", "1", ""),
                ("a search that finds nothing", f"{empty:.1f}", f"{empty / nothing:.2f}", ""),
                ("GET order", f"{order:.1f}", f"{order / nothing:.2f}", "≤ 3"),
                ("changed_since, the first page of 100", f"{first_page:.1f}", "1", ""),
                (
                    "changed_since, behind all but 100",
                    f"{last_page:.1f}",
                    f"{last_page / first_page:.2f}",
                    "≤ 2",
                ),
                (f"{SLIPS} slips in one call", f"{slips(app, program):.0f}", "", "≤ 1,000"),
            ],
        )


def copies(ids: list[int]) -> None:
    """As many orders as are wanted, all alike."""
    columns = [c.name for c in sa.inspect(Order).columns if c.name not in ("id", "order_no")]
    listed = ", ".join(columns)
    with writing() as session:
        session.execute(
            sa.text(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :many)"
                f" INSERT INTO orders (order_no, {listed})"
                f" SELECT 'C' || i, {listed} FROM n, orders WHERE orders.id = :one"
            ),
            {"many": MANY, "one": ids[0]},
        )
        session.execute(
            sa.text(
                "UPDATE order_changes SET position = order_id, placed_at = '2026-01-01 00:00:00'"
            )
        )
        session.execute(sa.text("UPDATE feeds SET position = (SELECT max(id) FROM orders)"))


def cursor(app: Flask, place: str) -> str:
    """A cursor at that place, in SQL."""
    with app.app_context():
        return db.session.execute(
            sa.text(f"SELECT generation || '-' || ({place}) FROM feeds")
        ).scalar_one()


def slips(app: Flask, program: Program) -> float:
    """Milliseconds of one call with as many orders as it takes."""
    with app.app_context():
        numbers = db.session.scalars(
            sa.select(Order.order_no).order_by(Order.id).limit(SLIPS)
        ).all()
    parcel = {"status": "delivered", "carrier_code": "002", "slip_numbers": ["1234"]}
    body = {"orders": [{"order_no": number, "parcels": [parcel]} for number in numbers]}
    began = time.process_time()  # the server's own: other processes of the machine do not count
    answer = program.post("/api/v1/fulfilments", body)
    took = time.process_time() - began
    assert answer.get_json()["failed"] == 0, answer.text[:500]
    return took * 1000


def median(call: Callable[[], int]) -> float:
    """Milliseconds of processor time of one of many calls: other processes do not count."""
    call()
    found = []
    for _ in range(TIMES):
        began = time.process_time()
        assert call() == 200
        found.append(time.process_time() - began)
    return sorted(found)[TIMES // 2] * 1000
