"""One word in a big shop against its own first page, on both databases (R35b)."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask

from benchmarks.pages import load
from benchmarks.table import show
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.text import search_key
from sgpshop.extensions import db
from sgpshop.models import CardTransaction, Delivery, Order, OrderLine, Role, utc_now
from sgpshop.services import installation, settings
from sgpshop.services.order_search import texts
from sgpshop.storage.database import writing
from tests.conftest import make_app
from tests.postgresql import PostgresqlServer
from tests.signing_in import signed_in

ORDERS = int(os.environ.get("BENCH_ORDERS", "100000"))
WANTED = 2.0
_ROUNDS = 25
_FAMILIES = (
    *("佐藤", "鈴木", "高橋", "田中", "伊藤", "渡辺", "山本", "中村"),
    *("小林", "加藤", "吉田", "山田", "佐々木", "山口", "松本", "井上"),
)
_GIVEN = (
    "花子",
    "一郎",
    "美咲",
    "健",
    "さくら",
    "隆",
    "由美",
    "翔太",
    "恵",
    "大輔",
    "陽子",
    "誠",
    "直樹",
)
_GOODS = ("煎茶 100g", "湯呑", "急須", "栗羊羹", "ほうじ茶", "玉露", "茶筅")
_RARE = 777
FIRST = "first page"
_PAGES = {
    FIRST: "/orders",
    "name, few hits": "/orders?q=勅使河原",
    "name, none": "/orders?q=小鳥遊",
    "name, common": "/orders?q=佐藤",
    "phone, last 4": f"/orders?q={_RARE:04d}",
    "whole phone": f"/orders?q=090-{_RARE * 7919 % 10_000:04d}-{_RARE:04d}",
    "slip number": f"/orders?q=44{_RARE:010d}",
    "end of an order number": f"/orders?q={_RARE:07d}",
    "item": "/orders?q=玉露",
    "キーワード, few hits": "/orders?kw_field[]=buyer&kw[]=勅使河原",
    "three conditions": "/orders?q=example&item=玉露&kw_field[]=email&kw[]=buyer",
    "the box, opens one": "/find?q=勅使河原",
}


def run() -> None:
    """Print the ratio of each search to the first page of the same shop."""
    for name, place in (("SQLite", _sqlite), ("PostgreSQL", _postgresql)):
        with place() as app:
            with app.app_context():
                installation.migrate()
                settings.save("bench", site_id="tsite00000001", shop_id="tshop00000001")
                _fill()
                started = time.perf_counter()
                while texts.renew():
                    pass
                rate = ORDERS / (time.perf_counter() - started)
                if name == "PostgreSQL":  # what autovacuum does by itself
                    with db.engine.connect() as connection:
                        connection.execution_options(isolation_level="AUTOCOMMIT")
                        connection.execute(sa.text("ANALYZE"))
            _measure(app, f"{name}, {ORDERS:,} orders; {rate:,.0f} texts a second")
            with app.app_context():
                db.session.remove()
                db.engine.dispose()


@contextmanager
def _sqlite() -> Iterator[Flask]:
    with tempfile.TemporaryDirectory() as folder:
        yield make_app(Path(folder))


@contextmanager
def _postgresql() -> Iterator[Flask]:
    with tempfile.TemporaryDirectory() as folder, PostgresqlServer() as server:
        yield make_app(Path(folder), DATABASE_URL=server.new_database())


def _measure(app: Flask, title: str) -> None:
    client = signed_in(app, Role.OPERATOR)
    times: dict[str, list[float]] = {name: [] for name in _PAGES}
    queries: dict[str, int] = {}
    for round_number in range(_ROUNDS + 3):
        for name, path in _PAGES.items():  # in turn: a busy moment touches all
            took, queries[name] = load(app, client, path)
            if round_number >= 3:
                times[name].append(took)
    base = statistics.median(times[FIRST])
    show(
        f"Searching: {title}",
        ("search", "ratio to the first page", "wanted", "ms", "queries"),
        [
            (
                name,
                f"{statistics.median(values) / base:.2f}",
                "" if name == FIRST else f"<= {WANTED}",
                f"{statistics.median(values) * 1000:.1f}",
                queries[name],
            )
            for name, values in times.items()
        ],
    )


def _fill() -> None:
    """Orders over three years; one in sixteen is 佐藤, one alone 勅使河原, every tenth is unfinished."""
    now, step = utc_now(), timedelta(days=1095) / ORDERS
    for start in range(0, ORDERS, 5000):
        rows = [_row(n, now - step * n) for n in range(start, min(start + 5000, ORDERS))]
        with writing() as session:
            for model in (Order, OrderLine, Delivery, CardTransaction):
                session.execute(sa.insert(model), [row[model] for row in rows])


def _row(n: int, ordered_at: Any) -> dict[type, dict[str, Any]]:
    family = "勅使河原" if n == _RARE else _FAMILIES[n * 31 % len(_FAMILIES)]
    name = f"{family} {_GIVEN[n * 17 % len(_GIVEN)]}"
    tel = f"090-{n * 7919 % 10_000:04d}-{n % 10_000:04d}"
    good, total, number = _GOODS[n * 13 % len(_GOODS)], 1000 + n % 9000, f"P{n:018d}"
    is_open = n % 10 == 0
    own = {"order_id": n + 1}
    return {
        Order: {
            "id": n + 1,
            "order_no": number,
            "ordered_at": ordered_at,
            "method": "SGP",
            "payment_status": PaymentStatus.AUTHORIZED if is_open else PaymentStatus.CAPTURED,
            "processing_class": "unprocessed" if is_open else "delivered",
            "buyer_name": name,
            "buyer_search": search_key(name),
            "buyer_tel": tel,
            "tel_search": tel.replace("-", ""),
            "buyer_email": f"buyer{n}@example.jp",
            "total": total,
        },
        OrderLine: own
        | {"position": 1, "name": good, "unit_price": total, "quantity": 1}
        | {"item_search": search_key(good)},
        Delivery: own | {"name": name, "name_search": search_key(name), "slip_no": f"44{n:010d}"},
        CardTransaction: own
        | {"gateway_order_id": number, "access_id": f"{n:032x}", "access_pass_sealed": "-"}
        | {"gateway_state": "AUTH", "gateway_amount": total, "authorized_at": ordered_at}
        | {"auth_expires_at": ordered_at + timedelta(days=60)},
    }
