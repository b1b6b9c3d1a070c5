"""A round of a subscription is one order: handed in again under another number it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_migrate import Migrate, upgrade

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.extensions import db
from sgpshop.models import Alert, ImportIssue, Order
from sgpshop.services import installation, intake
from sgpshop.services.orders.subscription_rounds import RoundTaken
from sgpshop.services.payments import transaction_lookup
from sgpshop.services.subscriptions.billing.selecting import to_register
from sgpshop.storage import schema
from sgpshop.storage.database import writing
from tests.conftest import make_app
from tests.factories import fresh
from tests.gateway_world import World
from tests.services.acting import cancel
from tests.services.arriving import SHOP_FRONT, open_shop, orders, subscription
from tests.services.importing import take_in
from tests.services.order_csv import number, row
from tests.services.subscribing import jst, make_subscription

#: What it asks of the database, both answer differently or in another order.
pytestmark = pytest.mark.postgresql

ROUND = {"定期購入ID": "T-9", "定期回数": "3", "決済方法ステータス": "決済待ち"}
S = PaymentStatus


@pytest.fixture(autouse=True)
def _open(shop: World) -> None:
    open_shop()


def problems() -> list[str]:
    db.session.rollback()
    return list(db.session.scalars(sa.select(ImportIssue.message).order_by(ImportIssue.id)))


class TestByApi:
    def test_the_same_round_under_another_number_is_refused(self, shop: World) -> None:
        first = intake.place(subscription(shop, subscription_round=3), SHOP_FRONT)
        with pytest.raises(RoundTaken, match=first.order_no):
            intake.place(subscription(shop, subscription_round=3), SHOP_FRONT)
        assert [order.order_no for order in orders()] == [first.order_no]

    @pytest.mark.alike
    def test_the_same_order_again_is_the_first(self, shop: World) -> None:  # P27
        new = subscription(shop, subscription_round=3)
        assert intake.place(new, SHOP_FRONT).is_new
        assert not intake.place(new, SHOP_FRONT).is_new

    def test_a_cancelled_order_frees_its_round(self, shop: World) -> None:
        intake.place(subscription(shop, subscription_round=3), SHOP_FRONT)
        [first] = orders()
        assert cancel(first).payment_status is S.CANCELLED
        intake.place(subscription(shop, subscription_round=3), SHOP_FRONT)
        assert [order.payment_status for order in orders()] == [S.CANCELLED, S.AWAITING_BILLING]


class TestByFile:
    def test_the_same_round_under_another_number_is_left_out(self) -> None:
        take_in(row(注文番号=number(1), **ROUND))
        take_in(row(注文番号=number(2), **ROUND))
        assert [order.order_no for order in orders()] == [number(1)]
        [told] = problems()
        assert number(1) in told
        assert "二重に請求しない" in told

    @pytest.mark.alike
    def test_twice_in_one_file_the_first_is_taken(self) -> None:
        take_in(
            row(注文番号=number(1), **ROUND),
            row(注文番号=number(2), **ROUND),
            row(注文番号=number(3), **ROUND | {"定期回数": "4"}),
        )
        assert [order.order_no for order in orders()] == [number(1), number(3)]

    @pytest.mark.alike
    def test_an_order_that_becomes_the_same_round_stays_as_it_was(self) -> None:
        take_in(row(注文番号=number(1), **ROUND))
        take_in(row(注文番号=number(2), **ROUND | {"定期回数": "4"}))
        take_in(row(注文番号=number(2), **ROUND))
        assert [order.subscription_round for order in orders()] == [3, 4]
        assert len(problems()) == 1

    @pytest.mark.alike
    def test_the_same_file_again_is_no_duplicate(self) -> None:  # R143
        for _ in range(2):
            take_in(row(注文番号=number(1), **ROUND))
        assert problems() == []


def test_the_database_itself_refuses_a_second_order_of_a_round() -> None:
    make_subscription(subscription_round=3)
    with pytest.raises(sa.exc.IntegrityError):
        make_subscription(subscription_round=3)
    make_subscription(subscription_round=3, status=S.CANCELLED)


def test_a_cancelled_order_found_standing_is_told_although_its_round_was_given_again(
    shop: World,
) -> None:
    access = shop.authorize("P2611231015000001", 2500)
    gone = make_subscription(subscription_round=3, status=S.CANCELLED, access=access)
    make_subscription(subscription_round=3)
    assert gone.transaction is not None
    transaction_lookup.look_soon(gone.id)
    transaction_lookup.look_up(gone.transaction.id)
    assert fresh(gone).payment_status is S.AUTHORIZED
    assert fresh(gone).is_round_shared
    kinds = db.session.scalars(sa.select(Alert.kind).where(Alert.order_id == gone.id)).all()
    assert kinds == [AlertKind.NOT_CANCELLED]


def test_what_was_handed_in_twice_before_waits_for_a_person(app: Flask) -> None:
    left = jst(2026, 11, 12)
    first = make_subscription(subscription_round=3, delivered_at=left)
    second = make_subscription(subscription_round=3, delivered_at=left, is_round_shared=True)
    with writing() as session:
        for order in (first, second):
            session.add(Alert(order_id=order.id, kind=AlertKind.DUPLICATE_ROUND, facts=""))
    wanted = sa.select(Order.id).where(to_register(left.date().replace(day=1)))
    assert db.session.scalars(wanted).all() == []
    with writing() as session:
        session.execute(
            sa.update(Alert).where(Alert.order_id == first.id).values(acknowledged_at=left)
        )
    assert db.session.scalars(wanted).all() == [first.id]


@pytest.mark.long
def test_the_migration_keeps_duplicates_of_before_and_tells_of_them(
    tmp_path: Path, database_kind: str, request: pytest.FixtureRequest
) -> None:
    url = ""
    if database_kind == "postgresql":
        url = request.getfixturevalue("postgresql").new_database()
    app = make_app(tmp_path / "old", DATABASE_URL=url)
    with app.app_context():
        Migrate(app, db, directory=str(schema.MIGRATIONS))
        upgrade(revision="0005")
        with db.engine.begin() as connection:
            for serial, status in enumerate(("awaiting_billing", "awaiting_billing", "cancelled")):
                connection.execute(
                    sa.text(
                        "INSERT INTO orders (order_no, ordered_at, kind, method, payment_status,"
                        " processing_class, version, history_state, buyer_name, buyer_kana,"
                        " buyer_company, buyer_department, buyer_postal_code, buyer_prefecture,"
                        " buyer_address, buyer_tel, buyer_email, buyer_search, tel_search, carriage,"
                        " commission, bulk_discount, coupon, points_used, discount, total,"
                        " is_total_set, subscription_id, subscription_round, note, created_at,"
                        " updated_at) VALUES (:no, :at, 'subscription', 'SGP', :status,"
                        " 'unprocessed', 1, '', '', '', '', '', '', '', '', '', '', '', '', 0, 0,"
                        " 0, 0, 0, 0, 2500, false, 'T-9', 3, '', :at, :at)"
                    ),
                    {"no": f"P{serial}", "at": "2026-11-12 00:00:00+00:00", "status": status},
                )
        installation.migrate()
        shared = db.session.scalars(sa.select(Order.is_round_shared).order_by(Order.id)).all()
        told = db.session.scalars(sa.select(Alert.facts).order_by(Alert.order_id)).all()
        assert shared == [False, True, False]
        assert [("P1" in one, "P0" in one) for one in told] == [(True, False), (False, True)]
        db.session.remove()
        db.engine.dispose()
