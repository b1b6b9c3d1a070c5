"""A monthly file that cannot be sent for hours: what is paid past us meanwhile is not charged again (P1)."""

# ruff: noqa: F401, F811 - fixtures of the other files are used by their names
from __future__ import annotations

from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.domain.shop_terms import BillingDriver
from sgpshop.extensions import db
from sgpshop.gateway import GatewayOutcomeUnknown, GatewayUnreachable, SmbcGpGateway
from sgpshop.models import Attempt, AttemptState, BillingFile, BillingState, FileState, Order
from sgpshop.services.orders import parcels
from sgpshop.services.payments import outcomes, stored_cards
from sgpshop.services.subscriptions import billing
from tests.factories import fresh
from tests.gateway_world import World
from tests.notifying import tell
from tests.services.acting import TANAKA, last_attempt, seen
from tests.services.answering import say_ours
from tests.services.arriving import open_shop
from tests.services.importing import take_in
from tests.services.order_csv import row
from tests.services.subscribing import Travel, jst
from tests.services.subscriptions.test_billing_faults import delivered, explained, the_billing
from tests.services.subscriptions.test_charged_all_the_same import booked, pay, told
from tests.services.subscriptions.test_lines_of_lost_books import (
    nights,
    overrides,
    sold,
    travel,
)

pytestmark = pytest.mark.long

S = PaymentStatus


@pytest.fixture
def order(shop: World, travel: Travel, monkeypatch: pytest.MonkeyPatch) -> Order:
    """決済待ち, delivered; its line is in a file that did not reach SMBC-GP at 06:01 on the 10th."""
    open_shop(billing_driver=BillingDriver.FILE.value)
    order = delivered(shop)
    make_unsent(travel, monkeypatch, (6, 1), (6, 1))
    return order


def make_unsent(
    travel: Travel, monkeypatch: pytest.MonkeyPatch, asked: tuple[int, int], made: tuple[int, int]
) -> None:
    """Lines are asked about on the 10th from `asked` on, until `made`; their file does not get there."""
    real = stored_cards.for_later

    def slowly(gateway: SmbcGpGateway, order_id: int) -> Any:
        if made != asked:
            travel(jst(2026, 12, 10, *made))
        return real(gateway, order_id)

    with monkeypatch.context() as away:
        away.setattr(stored_cards, "for_later", slowly)
        away.setattr(SmbcGpGateway, "upload_monthly_file", not_reached)
        travel(jst(2026, 12, 10, *asked))
        billing.resume()
    assert the_file().tries == 1
    assert not the_file().is_doubtful


def not_reached(*_: object) -> None:
    raise GatewayUnreachable("connect:refused")


def the_file() -> BillingFile:
    db.session.rollback()
    return db.session.scalars(sa.select(BillingFile)).one()


@pytest.mark.postgresql
def test_hours_later_each_line_is_asked_about_again(
    shop: World, travel: Travel, order: Order
) -> None:
    travel(jst(2026, 12, 10, 7))
    pay(shop, f"{order.order_no}-2")
    for hour in (10, 11):
        travel(jst(2026, 12, 10, hour))
        billing.resume()
    assert the_billing(order).state is BillingState.POSTPONED
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]
    say_ours()
    nights(travel, order, *((2026, 12, day) for day in (11, 18, 19, 20)))
    assert sold(shop, order) == [(f"{order.order_no}-2", 2500)]
    assert booked() == 2500
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert explained() == []


@pytest.mark.postgresql
def test_nothing_was_paid_and_it_is_sent_in_the_next_file(
    shop: World, travel: Travel, order: Order
) -> None:
    first = the_file().created_at
    travel(jst(2026, 12, 10, 10))
    billing.resume()
    assert last_attempt(order).state is AttemptState.QUEUED  # nothing was sent for it
    assert last_attempt(order).sent_at is None
    billing.resume()
    assert the_file().created_at > first
    assert fresh(order).payment_status is S.BILLING_REPORTED
    nights(travel, order, (2026, 12, 18), (2026, 12, 19))
    assert sold(shop, order) == [(f"{order.order_no}-1", 2500)]
    assert explained() == []


@pytest.mark.postgresql
def test_told_of_a_payment_meanwhile_it_is_asked_at_once(
    shop: World, travel: Travel, order: Order
) -> None:
    travel(jst(2026, 12, 10, 6, 2))
    pay(shop, f"{order.order_no}-2")
    tell(f"{order.order_no}-2", Status="CAPTURE", JobCd="CAPTURE")
    travel(jst(2026, 12, 10, 6, 3))
    for _ in range(2):
        billing.resume()
    assert the_billing(order).state is BillingState.POSTPONED
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]


def test_a_minute_later_the_same_file_goes_out(shop: World, travel: Travel, order: Order) -> None:
    first = the_file().id
    travel(jst(2026, 12, 10, 6, 3))
    billing.resume()
    assert (the_file().id, the_file().tries) == (first, 2)
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert the_file().state is FileState.CLOSED


@pytest.mark.parametrize(
    ("asked", "made", "again"),
    [
        pytest.param((6, 1), (7, 1), (7, 10), id="to ask took an hour"),
        pytest.param((12, 0), (16, 0), (20, 30), id="to ask again may outlast the window"),
        pytest.param((23, 40), (23, 40), (23, 48), id="the window closes"),
    ],
)
def test_it_goes_out_as_it_is_where_asking_again_would_miss_the_month(
    shop: World,
    travel: Travel,
    monkeypatch: pytest.MonkeyPatch,
    asked: tuple[int, int],
    made: tuple[int, int],
    again: tuple[int, int],
) -> None:
    open_shop(billing_driver=BillingDriver.FILE.value)
    order = delivered(shop)
    make_unsent(travel, monkeypatch, asked, made)
    first = the_file().id
    travel(jst(2026, 12, 10, *again))
    billing.resume()
    assert (the_file().id, the_file().tries) == (first, 2)
    assert fresh(order).payment_status is S.BILLING_REPORTED


def test_what_took_an_hour_to_ask_is_asked_again_after_two(
    shop: World, travel: Travel, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_shop(billing_driver=BillingDriver.FILE.value)
    order = delivered(shop)
    make_unsent(travel, monkeypatch, (6, 1), (7, 1))
    travel(jst(2026, 12, 10, 8, 20))  # time goes on meanwhile, on a busy machine by much
    pay(shop, f"{order.order_no}-2")
    for _ in range(2):
        billing.resume()
    assert the_billing(order).state is BillingState.POSTPONED


def test_while_the_window_closes_only_what_was_told_of_is_taken_out(
    shop: World, travel: Travel, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_shop(billing_driver=BillingDriver.FILE.value)
    paid, other = delivered(shop), delivered(shop)
    make_unsent(travel, monkeypatch, (23, 40), (23, 40))
    travel(jst(2026, 12, 10, 23, 45))
    pay(shop, f"{paid.order_no}-2")
    tell(f"{paid.order_no}-2", Status="CAPTURE", JobCd="CAPTURE")
    before = shop.requests(f"{other.order_no}-1", "SearchTrade")
    assert before
    travel(jst(2026, 12, 10, 23, 48))
    for _ in range(2):
        billing.resume()
    assert the_billing(paid).state is BillingState.POSTPONED
    assert fresh(other).payment_status is S.BILLING_REPORTED
    assert shop.requests(f"{other.order_no}-1", "SearchTrade") == before


@pytest.mark.postgresql
def test_a_file_of_the_cart_that_says_it_failed_takes_it_out(
    shop: World, travel: Travel, order: Order
) -> None:
    travel(jst(2026, 12, 10, 6, 2))
    take_in(row(注文番号=order.order_no, 決済方法ステータス="売上失敗", 定期購入ID="T-1"))
    pay(shop, f"{order.order_no}-2")
    travel(jst(2026, 12, 10, 6, 3))
    for _ in range(2):
        billing.resume()
    assert the_billing(order).state is BillingState.POSTPONED
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]


def test_one_line_is_asked_about_again_until_the_last_minutes(
    shop: World, travel: Travel, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_shop(billing_driver=BillingDriver.FILE.value)
    order = delivered(shop)
    make_unsent(travel, monkeypatch, (21, 58), (21, 58))
    travel(jst(2026, 12, 10, 22, 30))
    pay(shop, f"{order.order_no}-2")
    travel(jst(2026, 12, 10, 23, 40))
    for _ in range(2):
        billing.resume()
    assert the_billing(order).state is BillingState.POSTPONED


def test_goods_that_come_back_meanwhile_are_not_billed(
    shop: World, travel: Travel, order: Order
) -> None:
    travel(jst(2026, 12, 10, 8))
    back = parcels.ParcelReturn([0], date(2026, 12, 10), "返品")
    parcels.take_back(order.id, seen(fresh(order)), TANAKA, back)
    for hour in (9, 10, 11):
        travel(jst(2026, 12, 10, hour))
        billing.resume()
    assert the_billing(order).state is BillingState.POSTPONED
    assert last_attempt(order).reason == outcomes.NOT_THROUGH
    assert fresh(order).payment_status is S.AWAITING_BILLING
    nights(travel, order, (2026, 12, 18), (2026, 12, 19))
    assert sold(shop, order) == []
    parcels.waive_cancel(order.id, seen(fresh(order)), TANAKA, "代品を送る")
    nights(travel, order, (2027, 1, 10), (2027, 1, 18), (2027, 1, 19))
    assert [yen for _, yen in sold(shop, order)] == [2500]


@pytest.mark.postgresql
@pytest.mark.parametrize("is_there", [True, False])
def test_a_file_in_doubt_is_asked_for_before_it_goes_out_hours_later(
    shop: World, travel: Travel, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    open_shop(billing_driver=BillingDriver.FILE.value)
    order = delivered(shop)
    real = SmbcGpGateway.upload_monthly_file

    def lost(gateway: SmbcGpGateway, month: str, content: bytes) -> None:
        if is_there:
            real(gateway, month, content)
        raise GatewayOutcomeUnknown("timeout:read")

    with monkeypatch.context() as away:
        away.setattr(SmbcGpGateway, "upload_monthly_file", lost)
        travel(jst(2026, 12, 10, 6, 1))
        billing.resume()
    assert the_file().is_doubtful
    travel(jst(2026, 12, 10, 7))
    pay(shop, f"{order.order_no}-2")
    for hour in (10, 11):
        travel(jst(2026, 12, 10, hour))
        billing.resume()
    nights(travel, order, (2026, 12, 11), (2026, 12, 18), (2026, 12, 19))
    both = [f"{order.order_no}-1", f"{order.order_no}-2"]
    assert [number for number, _ in sold(shop, order)] == (both if is_there else both[1:])
    assert AlertKind.UNKNOWN_NUMBER in told(order)


@pytest.mark.parametrize("hour", [10, 23])
def test_what_the_cart_put_under_its_number_does_not_say_that_the_file_is_there(
    shop: World, travel: Travel, monkeypatch: pytest.MonkeyPatch, hour: int
) -> None:
    open_shop(billing_driver=BillingDriver.FILE.value)
    order, other = delivered(shop), delivered(shop)
    with monkeypatch.context() as away:
        away.setattr(SmbcGpGateway, "upload_monthly_file", unanswered)
        travel(jst(2026, 12, 10, 6, 1))
        billing.resume()
    assert the_file().is_doubtful
    travel(jst(2026, 12, 10, 7))
    pay(shop, f"{order.order_no}-1")
    pay(shop, f"{other.order_no}-2")
    travel(jst(2026, 12, 10, hour, 40))
    for _ in range(2):
        billing.resume()
    nights(travel, other, (2026, 12, 11), (2026, 12, 18), (2026, 12, 19))
    assert sold(shop, other) == [(f"{other.order_no}-2", 2500)]
    assert sold(shop, order) == [(f"{order.order_no}-1", 2500)]


def unanswered(*_: object) -> None:
    raise GatewayOutcomeUnknown("timeout:read")
