"""What an order file says of a payment of which SMBC-GP shows a mere card check (R143, P3)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import time_machine

from sgpshop.domain.errors import NotPossible, ShopError
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.domain.shop_terms import BillingDriver
from sgpshop.gateway import Job, MonthlyLine, monthly_file
from sgpshop.models import CardTransaction, Operation, Order, utc_now
from sgpshop.services.bulk import runs
from sgpshop.services.orders import alerts
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.payments import transaction_lookup
from sgpshop.services.subscriptions import billing
from sgpshop.storage.database import writing
from tests.factories import fresh
from tests.faults.judging import settle
from tests.gateway_world import GOOD_CARD, World
from tests.seeds import each_once
from tests.services.acting import TANAKA, press
from tests.services.arriving import open_shop, orders
from tests.services.importing import counts, take_in
from tests.services.order_csv import number, row
from tests.services.slip_files import tanaka
from tests.services.subscribing import Travel, jst

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("says_ours")]

S = PaymentStatus
KINDS = {"予約": {"予約フラグ": "1"}, "定期": {"定期購入ID": "T-9", "定期回数": "1"}}
DELIVERED = {"配送ステータス": "配送完了"}


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0}


@pytest.fixture
def travel() -> Iterator[Travel]:
    with time_machine.travel(jst(2026, 11, 12, 12), tick=True) as traveller:
        yield traveller.move_to


def cells(kind: str, said: str, **more: str) -> dict[str, str]:
    """The row of an order of that kind, 決済方法ステータス as the file says it."""
    return row(注文番号=number(1), **{"決済方法ステータス": said, **KINDS[kind], **more})


def brought(shop: World, file: dict[str, str]) -> Order:
    """An order that this file brings, whose card was checked at SMBC-GP and no more; looked up."""
    shop.gateway.check_card(number(1), GOOD_CARD)
    return again(file)


def again(file: dict[str, str]) -> Order:
    """The same order after this file was taken in and looked up."""
    take_in(file)
    [order] = orders()
    settle(order.id)
    assert order.transaction is not None
    transaction_lookup.look_up(order.transaction.id)
    return fresh(order)


def looked_up_anew(order: Order) -> PaymentStatus | None:
    assert order.transaction is not None
    transaction_lookup.look_soon(order.id)
    transaction_lookup.look_up(order.transaction.id)
    return fresh(order).payment_status


def told(order: Order) -> list[AlertKind]:
    return [alert.kind for alert in alerts.open_of(order.id)]


def charged(shop: World) -> list[str]:
    return [one["order_id"] for one in shop.ledger() if one["status"] in ("CAPTURE", "SALES")]


def register_until_january(travel: Travel, order: Order) -> None:
    for month, day in ((12, 10), (12, 18), (12, 26)):
        travel(jst(2026, month, day, 7))
        billing.resume()
        settle(order.id)


class TestCancelledInTheFile:
    """Nothing is reserved, and nothing is charged any more."""

    @pytest.mark.parametrize("kind", list(KINDS))
    @pytest.mark.parametrize(
        "said",
        [
            {"said": "注文キャンセル"},
            {"said": "", "注文状態": "0"},
            {"said": "", "配送ステータス": "注文キャンセル"},
        ],
        ids=["決済方法ステータス", "注文状態", "配送ステータス"],
    )
    def test_stays_cancelled(self, shop: World, kind: str, said: dict[str, str]) -> None:
        order = brought(shop, cells(kind, **said))
        assert order.payment_status is S.CANCELLED
        assert list(Verification().problems()) == []

    @pytest.mark.parametrize("is_charged", [True, False])
    def test_not_while_a_monthly_file_of_others_may_charge_it(
        self, shop: World, travel: Travel, is_charged: bool
    ) -> None:
        travel(jst(2026, 12, 9, 9))
        shop.gateway.check_card(number(1), GOOD_CARD)
        shop.gateway.save_member("m1")
        card = shop.gateway.store_traded_card(number(1), "m1")
        day = date(2026, 12, 9)
        line = MonthlyLine(f"{number(1)}-1", "m1", card.seq, 2500, day)
        content = monthly_file.render("tshop00000001", "202612", [line])
        shop.gateway.upload_monthly_file("202612", content)
        if not is_charged:  # the card company will refuse it
            context = shop.simulator.extensions["endpoint"].context
            with context.ledger.transaction() as ledger:
                ledger.execute("UPDATE monthly_lines SET card_seq = '9'")
        order = again(cells("定期", "注文キャンセル"))
        assert order.payment_status is S.NEEDS_REVIEW
        travel(jst(2026, 12, 21, 9))  # two days after its results, which nobody has read yet
        expected = S.BILLING_REPORTED if is_charged else S.NEEDS_REVIEW
        assert looked_up_anew(order) is expected
        billing.resume()  # they are read
        expected = S.BILLING_REPORTED if is_charged else S.CANCELLED
        assert looked_up_anew(order) is expected
        assert told(order) == ([AlertKind.CANCELLED_IN_FILE] if is_charged else [])

    def test_is_charged_by_nobody_who_presses(self, shop: World) -> None:
        order = brought(shop, cells("予約", "注文キャンセル"))
        with pytest.raises(NotPossible):
            press(order, Operation.CAPTURE)
        person = tanaka()
        run = runs.prepare([order.id], "sgp_capture", person_id=person.id, actor=person.name)
        with contextlib.suppress(ShopError):  # nothing is left to be captured
            runs.start(run, person_id=person.id, sum_confirmed=True)
        settle(order.id)
        assert charged(shop) == []

    def test_the_same_file_again_changes_nothing(self, shop: World) -> None:
        file = cells("定期", "注文キャンセル")
        brought(shop, file)
        assert counts(take_in(file)) == {"unchanged": 1}

    def test_what_was_delivered_is_for_a_person(self, shop: World) -> None:
        order = brought(shop, cells("定期", "注文キャンセル", **DELIVERED))
        assert (order.payment_status, told(order)) == (S.NEEDS_REVIEW, [AlertKind.CLAIM_UNPROVED])


class TestTheSecondCardOfTheBuyer:
    """The first was declined; the one that was checked under the next number is what is charged."""

    @pytest.fixture
    def order(self, shop: World, kind: str) -> Order:
        """Looked up after a restore, or by a new installation."""
        shop.gateway.enter(number(1), Job.CHECK, None)
        shop.gateway.check_card(f"{number(1)}-1", GOOD_CARD)
        first = {"予約": "仮売上", "定期": "決済待ち"}[kind]
        return again(cells(kind, first, **DELIVERED))

    @pytest.mark.parametrize("kind", ["予約"])
    def test_pays_the_preorder(self, shop: World, order: Order) -> None:
        press(order, Operation.CAPTURE)
        settle(order.id)
        assert fresh(order).payment_status is S.CAPTURED
        assert charged(shop) == [f"{order.order_no}-2"]

    @pytest.mark.parametrize("driver", list(BillingDriver))
    @pytest.mark.parametrize("kind", ["定期"])
    def test_pays_the_subscription(
        self, shop: World, travel: Travel, order: Order, driver: BillingDriver
    ) -> None:
        open_shop(billing_driver=driver)
        register_until_january(travel, order)
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert charged(shop) == [f"{order.order_no}-2"]

    @pytest.mark.parametrize("kind", ["予約"])
    def test_also_where_an_earlier_version_took_it_for_the_charge(
        self, shop: World, order: Order
    ) -> None:
        assert order.transaction is not None
        with writing() as session:
            session.get_one(CardTransaction, order.transaction.id).is_charge = True
        press(order, Operation.CAPTURE)
        settle(order.id)
        assert charged(shop) == [f"{order.order_no}-2"]


@pytest.mark.parametrize("kind", list(KINDS))
def test_cards_that_were_all_declined_check_nothing(shop: World, kind: str) -> None:
    for one in (number(1), f"{number(1)}-1"):
        shop.gateway.enter(one, Job.CHECK, None)
    order = again(row(注文番号=number(1), **KINDS[kind]))
    assert order.payment_status is S.NEEDS_REVIEW
    shop.gateway.check_card(f"{number(1)}-2", GOOD_CARD)
    assert order.transaction is not None
    with writing() as session:  # it is due by and by: the buyer may still finish
        session.get_one(CardTransaction, order.transaction.id).next_look_at = utc_now()
    transaction_lookup.look_up(order.transaction.id)
    first = {"予約": S.AUTHORIZED, "定期": S.AWAITING_BILLING}[kind]
    assert fresh(order).payment_status is first


@pytest.mark.parametrize(
    ("said", "driver"),
    each_once(["決済完了", "売上失敗", "注文キャンセル", "売上報告済"], list(BillingDriver)),
)
def test_what_was_settled_elsewhere_is_never_registered(
    shop: World, travel: Travel, said: str, driver: BillingDriver
) -> None:
    open_shop(billing_driver=driver)
    billing.resume()
    order = brought(shop, cells("定期", said, **DELIVERED))
    register_until_january(travel, order)
    assert charged(shop) == []
    [order] = orders()
    is_for_a_person = said in ("決済完了", "注文キャンセル")
    assert order.payment_status is (
        S.NEEDS_REVIEW if is_for_a_person else S(order.payment_status or "")
    )
    assert told(order) == ([AlertKind.CLAIM_UNPROVED] if is_for_a_person else [])


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_failed_sale_stays_failed(shop: World, kind: str) -> None:
    assert brought(shop, cells(kind, "売上失敗")).payment_status is S.CAPTURE_FAILED


class TestPaidInTheFile:
    """A person says how it stands, by the next file; nothing is charged before."""

    @pytest.mark.parametrize("kind", list(KINDS))
    def test_waits_for_a_person_who_is_told_once(self, shop: World, kind: str) -> None:
        order = brought(shop, cells(kind, "決済完了"))
        assert (order.payment_status, told(order)) == (S.NEEDS_REVIEW, [AlertKind.CLAIM_UNPROVED])
        [alert] = alerts.open_of(order.id)
        assert "「決済完了」ですが" in alert.facts
        alerts.acknowledge(order.order_no, alert.id, TANAKA, "見ました")
        transaction_lookup.look_soon(order.id)
        order = again(cells(kind, "決済完了"))
        assert (order.payment_status, told(order)) == (S.NEEDS_REVIEW, [])

    @pytest.mark.parametrize(
        ("kind", "said", "becomes"),
        [
            ("予約", "仮売上", S.AUTHORIZED),
            ("定期", "決済待ち", S.AWAITING_BILLING),
            ("定期", "売上報告済", S.BILLING_REPORTED),
            ("定期", "売上失敗", S.CAPTURE_FAILED),
            ("予約", "注文キャンセル", S.CANCELLED),
        ],
    )
    def test_ends_by_the_next_file(self, shop: World, kind: str, said: str, becomes: S) -> None:
        brought(shop, cells(kind, "決済完了"))
        order = again(cells(kind, said))
        assert (order.payment_status, told(order)) == (becomes, [])
        assert list(Verification().problems()) == []


@pytest.mark.postgresql
@pytest.mark.parametrize("was_here", [False, True])
def test_a_mere_hold_beside_what_a_file_calls_billed_is_told(shop: World, was_here: bool) -> None:
    """売上報告済 is believed, but that hold says that nobody charged it yet."""
    shop.gateway.authorize(number(1), 2500, GOOD_CARD)
    if was_here:
        take_in(cells("定期", "決済待ち"))
    order = again(cells("定期", "売上報告済"))
    assert order.payment_status is S.BILLING_REPORTED
    assert told(order) == [AlertKind.UNCOLLECTED]
    assert charged(shop) == []


def test_nothing_beside_it_is_no_news(shop: World) -> None:
    order = again(cells("定期", "売上報告済"))
    assert (order.payment_status, told(order)) == (S.BILLING_REPORTED, [])
    assert order.transaction is not None
    assert (order.transaction.next_look_at, order.transaction.look_problem) == (None, "")
