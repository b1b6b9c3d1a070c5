"""The list with 100,000 orders against a bare page that renders the same rows from memory."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from flask import Flask, render_template_string
from flask.testing import FlaskClient

from benchmarks.table import show
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.text import search_key
from sgpshop.extensions import db
from sgpshop.models import CardTransaction, Delivery, Order, OrderLine, Role, utc_now
from sgpshop.services import installation, settings
from sgpshop.services.order_search import search
from sgpshop.services.order_search.criteria import SearchCriteria
from sgpshop.services.order_search.search import PageRequest
from sgpshop.services.orders import history
from sgpshop.storage.database import writing
from sgpshop.web.frame import formatters
from tests.conftest import make_app
from tests.signing_in import signed_in

ORDERS = 100_000
WANTED = 3.0
BARE = "bare page, the same 40 rows from memory"
#: the sums over the list are made anew then; no target of its own
CHANGED = ", right after an order changed"
_ROUNDS = 60
_STATUSES = (
    *[PaymentStatus.CAPTURED] * 85,
    *[PaymentStatus.AUTHORIZED] * 8,
    *[PaymentStatus.CANCELLED] * 4,
    *[PaymentStatus.CAPTURE_FAILED] * 2,
    PaymentStatus.NEEDS_REVIEW,
)
_BARE = """<!DOCTYPE html><html lang="ja"><head><title>bare</title></head><body><table>
{% from "macros/order_row.html" import row with context %}
{% for order in orders %}{{ row(order, true) }}{% endfor %}</table></body></html>"""


def run() -> None:
    """Print the ratio and the number of queries of each page."""
    with tempfile.TemporaryDirectory() as folder:
        app = make_app(Path(folder))
        with app.app_context():
            installation.migrate()
            settings.save("bench", site_id="tsite00000001", shop_id="tshop00000001")
            _fill()
        _measure(app)
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


def _measure(app: Flask) -> None:
    with app.app_context():
        shown = search.search(SearchCriteria(), PageRequest()).rows
    bare = _bare_app(app, shown).test_client()
    client = signed_in(app, Role.OPERATOR)
    pages = {
        BARE: (bare, "/"),
        "first page (last 7 days)": (client, "/orders"),
        "filtered by status, no period": (client, "/orders?status=authorized"),
        "all orders, no period": (client, "/orders?date_field=ordered_at&from=&to="),
        "exact order number": (client, f"/orders?order_no={shown[3].order_no}"),
    }
    changed = {
        f"first page{CHANGED}": (client, "/orders"),
        f"all orders{CHANGED}": (client, "/orders?date_field=ordered_at&from=&to="),
    }
    times: dict[str, list[float]] = {name: [] for name in (*pages, *changed)}
    queries: dict[str, int] = {}
    for some in (pages, changed):
        for round_number in range(_ROUNDS):
            for name, (browser, path) in some.items():  # in turn: a busy moment touches all
                if some is changed:
                    _change_something(app)
                took, queries[name] = load(app, browser, path)
                if round_number >= 5:
                    times[name].append(took)
    base = statistics.median(times[BARE])
    show(
        f"The list with {ORDERS:,} orders (median of {_ROUNDS - 5} loads)",
        ("page", "ratio to the bare page", "wanted", "ms", "queries"),
        [
            (
                name,
                f"{statistics.median(values) / base:.2f}",
                "" if name == BARE or name in changed else f"<= {WANTED}",
                f"{statistics.median(values) * 1000:.1f}",
                queries[name],
            )
            for name, values in times.items()
        ],
    )


def _change_something(app: Flask) -> None:
    with app.app_context(), writing():
        history.record(
            1,
            "imported",
            history.LOOK_UP,
            before=None,
            after=PaymentStatus.CAPTURED,
            total=1000,
            version=2,
        )


def _bare_app(app: Flask, shown: Sequence[object]) -> Flask:
    """A page with nothing behind it: no sign-in, no database, the rows as they are in memory."""
    bare = Flask("bare", template_folder=app.template_folder, static_folder=app.static_folder)
    bare.config.update(TEST_MODE=True, GATEWAY_URL="")
    formatters.init_app(bare)

    @bare.get("/")
    def page() -> str:
        return render_template_string(
            _BARE, orders=shown, shop=settings.ShopSettings(), console_url=""
        )

    return bare


def load(app: Flask, browser: FlaskClient, path: str) -> tuple[float, int]:
    """Seconds and queries of one answer."""
    count = 0

    def counted(*_: object) -> None:
        nonlocal count
        count += 1

    with app.app_context():
        engine = db.engine
    sa.event.listen(engine, "before_cursor_execute", counted)
    started = time.perf_counter()
    answer = browser.get(path)
    took = time.perf_counter() - started
    sa.event.remove(engine, "before_cursor_execute", counted)
    assert answer.status_code in (200, 302)
    return took, count


def _fill() -> None:
    """Orders over the last year, one each 5 minutes, with one line, delivery and transaction."""
    now = utc_now()
    step = timedelta(days=365) / ORDERS
    for start in range(0, ORDERS, 5000):
        numbers = range(start, start + 5000)
        with writing() as session:
            session.execute(
                sa.insert(Order),
                [
                    {
                        "id": n + 1,
                        "order_no": f"P{n:018d}",
                        "ordered_at": now - step * n,
                        "method": "SGP",
                        "payment_status": _STATUSES[n * 37 % len(_STATUSES)],
                        "buyer_name": "佐藤 花子",
                        "buyer_search": search_key("佐藤 花子", "サトウ ハナコ"),
                        "total": 1000 + n % 9000,
                    }
                    for n in numbers
                ],
            )
            session.execute(
                sa.insert(OrderLine),
                [
                    {
                        "order_id": n + 1,
                        "position": 1,
                        "name": "煎茶",
                        "unit_price": 1000 + n % 9000,
                        "quantity": 1,
                        "item_search": "煎茶",
                    }
                    for n in numbers
                ],
            )
            session.execute(
                sa.insert(Delivery),
                [
                    {"order_id": n + 1, "name": "佐藤 花子", "name_search": "佐藤花子"}
                    for n in numbers
                ],
            )
            session.execute(
                sa.insert(CardTransaction),
                [
                    {
                        "order_id": n + 1,
                        "gateway_order_id": f"P{n:018d}",
                        "access_id": f"{n:032x}",
                        "access_pass_sealed": "-",
                        "gateway_state": "AUTH",
                        "gateway_amount": 1000 + n % 9000,
                        "authorized_at": now - step * n,
                        "auth_expires_at": now - step * n + timedelta(days=60),
                    }
                    for n in numbers
                ],
            )
