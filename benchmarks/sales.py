"""売上集計 of a month with 100,000 sales against the list of the same shop (R149)."""

from __future__ import annotations

import statistics
from datetime import timedelta

import sqlalchemy as sa

from benchmarks import shop
from benchmarks.pages import CHANGED, change_something, load
from benchmarks.table import show
from sgpshop.domain.billing_calendar import month_of
from sgpshop.domain.payment_calendar import start_of_day
from sgpshop.extensions import db
from sgpshop.models import CardTransaction, MoneyMovement, Order, Role, table_of, utc_now
from sgpshop.services.orders import money_days
from sgpshop.storage.database import writing
from tests.signing_in import signed_in

ORDERS, WANTED = 100_000, 2.0
_ROUNDS = 25
_LIST, _SALES, _BY_SALE = "the list", "売上集計", "the list by 売上日時"


def run() -> None:
    """Print the ratio of the month to the first page of the list, right after a change too."""
    with shop.for_once(ORDERS) as app:
        with app.app_context():
            _sell()
        client = signed_in(app, Role.OPERATOR)
        pages = {
            _LIST: "/orders?date_field=ordered_at&from=&to=",
            _SALES: "/sales",
            _BY_SALE: "/orders?date_field=ordered_at&from=&to=&sort=captured_at&dir=desc",
        }
        rows = []
        for words, is_changed in (("", False), (CHANGED, True)):
            times: dict[str, list[float]] = {name: [] for name in pages}
            queries: dict[str, int] = {}
            for number in range(_ROUNDS):
                for name, path in pages.items():
                    if is_changed:
                        change_something(app)
                    took, queries[name] = load(app, client, path)
                    if number >= 5:
                        times[name].append(took)
            base = statistics.median(times[_LIST])
            rows += [
                (
                    name + words,
                    f"{statistics.median(values) / base:.2f}",
                    f"<= {WANTED}" if name != _LIST else "",
                    f"{statistics.median(values) * 1000:.1f}",
                    queries[name],
                )
                for name, values in times.items()
            ]
        show(
            f"A month with {ORDERS:,} sales (median of {_ROUNDS - 5} loads)",
            ("page", "ratio to the list", "wanted", "ms", "queries"),
            rows,
        )


def _sell() -> None:
    """A sale for each order in the present month, one of twenty given back."""
    first, now = month_of(utc_now()), utc_now()
    with writing() as session:
        numbers = session.execute(
            sa.select(Order.id, CardTransaction.id, Order.total).join(
                CardTransaction, CardTransaction.order_id == Order.id
            )
        ).all()
        rows = []
        for order_id, transaction_id, total in numbers:
            day = first + timedelta(days=order_id * 7 % 28)
            moved = {
                "order_id": order_id,
                "transaction_id": transaction_id,
                "day": day,
                "booked_on": day,
                "learned_at": now - timedelta(hours=1),
                "is_by_hand": False,
                "is_subscription": order_id % 10 == 0,
                "tax_8": 0,
                "tax_10": 0,
            }
            rows.append(
                moved | {"kept_before": 0, "kept_after": total, "is_refund": False, "at_8": total}
            )
            if order_id % 20 == 0:
                rows.append(
                    moved
                    | {"kept_before": total, "kept_after": 0, "is_refund": True, "at_8": -total}
                )
        session.execute(sa.insert(MoneyMovement), rows)
        sold_at = [
            {"one": one, "at": start_of_day(first) + timedelta(seconds=one * 7 % 2_000_000)}
            for _, one, _ in numbers
        ]
        session.connection().execute(
            sa.update(table_of(CardTransaction))
            .where(CardTransaction.id == sa.bindparam("one"))
            .values(captured_at=sa.bindparam("at")),
            sold_at,
        )
    money_days.fold()
    with db.engine.connect() as connection:
        connection.execute(sa.text("ANALYZE"))
