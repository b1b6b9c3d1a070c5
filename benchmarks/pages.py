"""Every page of a big shop, against an empty page, 40 rows from memory, and a shop of 10,000 orders."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from flask import Flask, render_template_string
from flask.testing import FlaskClient

from benchmarks import shop
from benchmarks.table import show
from sgpshop.cli.run import settle
from sgpshop.extensions import db
from sgpshop.models import Delivery, Order, Role
from sgpshop.services import settings
from sgpshop.services.demo.rows import number_of
from sgpshop.services.order_search import search
from sgpshop.services.order_search.criteria import SearchCriteria
from sgpshop.services.order_search.search import PageRequest
from sgpshop.services.orders import history
from sgpshop.storage.database import keep_statements, writing
from sgpshop.web.frame import formatters, menus, order_row
from tests.signing_in import signed_in

SMALL = 10_000
EMPTY, TABLE = "an empty page of Flask", "40 rows from memory"
FIRST, ALL = "the list, first page", "all orders, first page"
CHANGED = ", right after an order changed"
_ROUNDS, _WARM = 25, 3
_ALL = "/orders?date_field=ordered_at&from=&to="
_TABLE = """<!DOCTYPE html><html lang="ja"><head><title>bare</title></head><body><table>
{% from "macros/badges.html" import row_badges with context %}
{% for order in orders %}{{ order_row(order, true, row_badges) }}{% endfor %}</table></body></html>"""


@dataclass(frozen=True)
class Page:
    """One line of the table: what is loaded, and what it is measured against."""

    name: str
    path: str
    base: str = ""
    wanted: float | None = None
    is_changed: bool = False


def run() -> None:
    """Print the ratios on SQLite, whose shops are kept."""
    with shop.kept(SMALL) as small, shop.kept(shop.ORDERS) as big:
        _measure(f"SQLite, {shop.ORDERS:,} orders", big, small)


def run_on_postgresql() -> None:
    """The same on PostgreSQL, with shops of their own."""
    with shop.on_postgresql(SMALL) as small, shop.on_postgresql(shop.ORDERS) as big:
        _measure(f"PostgreSQL, {shop.ORDERS:,} orders", big, small)


def _measure(title: str, big: Flask, small: Flask) -> None:
    rows = {app: _pages(app) for app in (big, small)}
    for app in rows:
        app.config["SEARCHES_PER_PERSON"] = 1_000_000  # nobody loads so many
    clients = {app: signed_in(app, Role.OPERATOR, f"bench{time.time()}") for app in rows}
    with big.app_context():
        keep_statements()
        shown = search.search(SearchCriteria(), PageRequest()).rows
        db.session.remove()
    bare = _bare_app(big, shown).test_client()
    settle()  # as a web process does
    took: dict[tuple[str, Flask], list[float]] = {}
    queries: dict[str, int] = {}
    for number in range(_ROUNDS + _WARM):
        for pages in zip(*rows.values(), strict=True):  # in turn: a busy moment touches all
            for app, page in zip(rows, pages, strict=True):
                browser = clients[app] if page.path.startswith("/") else bare
                # Loaded once before: else the first of the two, and an empty page most of all, pays for the
                # processor's caches, which the page before has filled with something else.
                load(app, browser, page.path)
                if page.is_changed:
                    change_something(app)
                seconds, queries[page.name] = load(app, browser, page.path)
                if number >= _WARM:
                    took.setdefault((page.name, app), []).append(seconds)
    middle = {key: statistics.median(values) for key, values in took.items()}
    show(
        f"Pages: {title} (medians of {_ROUNDS})",
        ("page", "ratio", "to", "wanted", f"÷ {SMALL:,} orders", "ms", "queries"),
        [
            (
                page.name,
                f"{middle[page.name, big] / middle[page.base, big]:.2f}" if page.base else "",
                page.base,
                f"<= {page.wanted}" if page.wanted else "",
                f"{middle[page.name, big] / middle[page.name, small]:.2f}",
                f"{middle[page.name, big] * 1000:.1f}",
                queries[page.name],
            )
            for page in rows[big]
        ],
    )


def _pages(app: Flask) -> list[Page]:
    with app.app_context():
        count = db.session.scalar(sa.select(sa.func.count(Order.id))) or 0
        number = number_of(count // 2 + 321)
        tel = db.session.scalar(sa.select(Order.buyer_tel).where(Order.order_no == number)) or ""
        with_slip = sa.select(Delivery.slip_no).where(Delivery.slip_no != "")
        slip = db.session.scalar(with_slip.order_by(Delivery.id.desc()).limit(1)) or ""
        cursor = ""
        for _ in range(min(100, count // 250)):  # 500 pages of 40
            page = search.search_ids(SearchCriteria(), PageRequest(size=200, cursor=cursor))
            cursor = page.next_cursor
        db.session.remove()
    searched = {
        "name, few hits": "勅使河原",
        "name, none": "小鳥遊",
        "name, common": "佐藤",
        "phone, last 4": tel[-4:],
        "whole phone": tel,
        "slip number": slip,
        "end of an order number": number[-6:],
        "item": "玉露",
    }
    return [
        Page(EMPTY, "empty"),
        Page(TABLE, "table", EMPTY),
        Page(FIRST, "/orders", EMPTY, 6),
        Page(ALL, _ALL, EMPTY),
        Page("detail", f"/orders/{number}", EMPTY, 5),
        Page("filtered by status", "/orders?status=authorized", ALL, 1.2),
        Page("exact order number", f"/orders?order_no={number}", ALL, 1.2),
        Page("page 500", f"{_ALL}&cursor={cursor}", ALL, 1.2),
        Page("by deadline", f"{_ALL}&sort=deadline&dir=asc", ALL, 1.2),
        Page("by total", f"{_ALL}&sort=total", ALL, 1.2),
        *(Page(name, f"/orders?q={word}", ALL, 2) for name, word in searched.items()),
        Page(f"the list{CHANGED}", "/orders", FIRST, 1.5, True),
        Page(f"all orders{CHANGED}", _ALL, FIRST, 1.5, True),
        Page(f"filtered by status{CHANGED}", "/orders?status=authorized", FIRST, 1.5, True),
        Page("home", "/", FIRST, 2),
        Page(f"home{CHANGED}", "/", FIRST, 2, True),
        Page("売上集計", "/sales", FIRST),
        Page("定期購入", "/subscriptions", FIRST),
        Page("予約", "/preorders", FIRST),
    ]


def change_something(app: Flask) -> None:
    """Write an entry into the newest order's history, so that remembered sums are made anew."""
    with app.app_context(), writing() as session:
        order = session.scalars(sa.select(Order).order_by(Order.id.desc()).limit(1)).one()
        history.record_change(
            order, "imported", history.LOOK_UP, before=order.payment_status, line=1
        )


def _bare_app(app: Flask, shown: Sequence[object]) -> Flask:
    """Pages with nothing behind them: no sign-in, no database, the rows as they are in memory."""
    bare = Flask("bare", template_folder=app.template_folder, static_folder=app.static_folder)
    bare.config.update(TEST_MODE=True, GATEWAY_URL="")
    bare.url_build_error_handlers.append(lambda *_: "/somewhere")
    formatters.init_app(bare)
    menus.init_app(bare)
    order_row.init_app(bare)

    @bare.get("/empty")
    def empty() -> str:
        return render_template_string("<!DOCTYPE html><title>bare</title>")

    @bare.get("/table")
    def table() -> str:
        return render_template_string(
            _TABLE, orders=shown, shop=settings.ShopSettings(), console_url=""
        )

    return bare


def load(app: Flask, browser: FlaskClient, path: str) -> tuple[float, int]:
    """Seconds and queries of one answer: of the processor, where all is done by this process."""
    count = 0

    def counted(*_: object) -> None:
        nonlocal count
        count += 1

    with app.app_context():
        engine = db.engine
    is_alone = engine.dialect.name == "sqlite"
    clock = time.process_time if is_alone else time.perf_counter
    sa.event.listen(engine, "before_cursor_execute", counted)
    started = clock()
    answer = browser.get(path)
    took = clock() - started
    sa.event.remove(engine, "before_cursor_execute", counted)
    assert answer.status_code in (200, 302), path
    return took, count
