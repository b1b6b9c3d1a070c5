"""A row with a word that this program does not know takes no page down (an upgrade is under way)."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.words import read
from sgpshop.extensions import db
from sgpshop.models import (
    Base,
    BulkItem,
    BulkRun,
    ItemResult,
    Operation,
    Order,
    OrderKind,
    Role,
    utc_now,
)
from sgpshop.services import settings
from tests.factories import authorized_order, fresh, make_order
from tests.gateway_world import World
from tests.services.acting import press
from tests.signing_in import make_person, signed_in

pytestmark = pytest.mark.long

#: Every column of a word, by table and name.
COLUMNS = [
    (table.name, column.name)
    for table in Base.metadata.sorted_tables
    for column in table.columns
    if isinstance(column.type, sa.Enum)
] + [("bulk_runs", "action")]
WORD = "of_a_later_version"
RUN = "0" * 32


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture
def order(app: Flask, shop: World) -> Order:
    """An order with a history, an attempt, an alert, and its line in a bulk run."""
    settings.save(
        "test", site_id="tsite00000001", shop_id="tshop00000001", subscription_enabled=True
    )
    order = press(authorized_order(shop, told=True), Operation.CAPTURE)
    make_order(kind=OrderKind.SUBSCRIPTION, status=PaymentStatus.AWAITING_BILLING)
    make_order(kind=OrderKind.PREORDER)
    run = BulkRun(
        id=RUN,
        action="sgp_capture",
        person_id=make_person("田中").id,
        actor="田中",
        started_at=utc_now(),
    )
    db.session.add(run)
    db.session.flush()
    db.session.add(
        BulkItem(
            run_id=RUN,
            order_id=order.id,
            position=1,
            amount=3000,
            version=1,
            result=ItemResult.SKIPPED,
            reason="preorder",
        )
    )
    db.session.commit()
    return order


def addresses(order: Order) -> list[str]:
    number = order.order_no
    return [
        "/",
        "/orders?from=&to=",
        f"/orders/{number}",
        f"/orders/{number}/edit",
        f"/orders/{number}/capture",
        f"/orders/{number}/cancel",
        f"/orders/{number}/deliver",
        f"/orders/{number}/statuses",
        f"/orders/bulk/{RUN}",
        f"/orders/bulk/{RUN}/result.csv",
        "/orders/export?from=&to=&format=csv",
        "/orders/imports",
        "/slips",
        "/slips/history",
        "/subscriptions",
        "/preorders",
        "/settings/people",
        "/settings/notifications",
        "/readyz",
    ]


def write(table: str, column: str, value: str) -> None:
    with db.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA ignore_check_constraints=ON")
        connection.execute(sa.text("DROP TRIGGER IF EXISTS history_no_update"))
        connection.execute(sa.text(f"UPDATE {table} SET {column} = :value"), {"value": value})
        connection.commit()
        connection.exec_driver_sql("PRAGMA ignore_check_constraints=OFF")
        connection.commit()


@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=lambda name: name)
def test_every_page_is_shown(app: Flask, order: Order, table: str, column: str) -> None:
    client = signed_in(app, Role.OWNER)
    seen = addresses(order)
    db.session.remove()
    write(table, column, WORD)
    for address in seen:
        db.session.remove()
        assert client.get(address).status_code not in (500, 501), address


def test_a_reason_that_no_longer_exists_has_its_words(app: Flask, order: Order) -> None:
    client = signed_in(app, Role.OPERATOR)
    db.session.remove()
    assert "対象外:予約商品" in client.get(f"/orders/bulk/{RUN}").text
    assert "対象外:予約商品" in client.get(f"/orders/bulk/{RUN}/result.csv").get_data(True)
    db.session.remove()
    write("bulk_items", "reason", "never_heard_of")
    assert "対象外:理由不明" in client.get(f"/orders/bulk/{RUN}").text


def test_nothing_is_done_to_a_payment_of_a_status_nobody_knows(app: Flask, order: Order) -> None:
    client = signed_in(app, Role.OPERATOR)
    number = order.order_no
    db.session.remove()
    write("orders", "payment_status", WORD)
    page = client.get(f"/orders/{number}").text
    assert f"不明({WORD})" in page
    assert "新しい版に更新してから操作してください" in page


def test_an_order_that_has_no_payment_status_has_none(shop: World) -> None:
    order = fresh(make_order(method="銀行振込"))
    assert order.payment_status is None


def test_such_a_word_is_compared_as_data_whatever_it_is(order: Order) -> None:
    strange = read(PaymentStatus, "x' OR '1'='1")
    of_that_status = sa.select(Order.id).where(Order.payment_status == strange)
    assert db.session.scalars(of_that_status).all() == []
