"""納品明細書: one a delivery, amounts only where they belong, the numbers of the detail (R145)."""

from __future__ import annotations

import pytest

from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import CardTransaction, Delivery, Operation, Order, OrderLine
from sgpshop.services.deliveries import notes
from sgpshop.services.deliveries.notes import TooManyToPrint
from sgpshop.services.order_detail.detail import get_detail
from sgpshop.storage.database import writing
from tests.factories import authorized_order, days_ago, make_order
from tests.gateway_world import World
from tests.services.acting import press


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


def with_two_parcels() -> Order:
    order = make_order(total=4180, carriage=500, points_used=100)
    with writing() as session:
        order = session.get_one(Order, order.id)
        order.deliveries[0].number = 1
        order.lines[0].delivery_number = 1
        order.lines[0].unit_price = 1080
        order.deliveries.append(Delivery(number=2, name="鈴木 一郎"))
        order.lines.append(
            OrderLine(
                position=2, delivery_number=2, name="湯呑", unit_price=1350, quantity=2, tax_rate=10
            )
        )
    return order


def test_only_so_many_deliveries_are_printed_at_once(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = [with_two_parcels().id, make_order().id]
    monkeypatch.setattr(notes, "_MOST_DELIVERIES", 3)
    assert len(notes.of_orders(orders).sheets) == 4  # and the sheet of the whole
    monkeypatch.setattr(notes, "_MOST_DELIVERIES", 2)
    with pytest.raises(ShopError, match=r"2件分までです\(選択された注文には3件"):
        notes.of_orders(orders)


def test_one_delivery_is_one_sheet_with_amounts(shop: World) -> None:
    order = make_order(total=3240)
    prints = notes.of_order(order.order_no)
    [sheet] = prints.sheets
    assert sheet.parcel is not None
    assert sheet.breakdown is not None
    assert [(share.rate, share.amount, share.tax) for share in sheet.breakdown.shares] == [
        (8, 3240, 240)
    ]
    assert sheet.has_reduced_rate


def test_with_several_deliveries_only_the_buyers_sheet_has_amounts(shop: World) -> None:
    order = with_two_parcels()
    whole, first, second = notes.of_order(order.order_no).sheets
    assert (whole.parcel, len(whole.lines)) == (None, 2)
    assert whole.breakdown == get_detail(order.order_no).breakdown  # the same numbers
    for sheet, name in ((first, "煎茶"), (second, "湯呑")):
        assert sheet.breakdown is None
        assert [line.name for line in sheet.lines] == [name]
    assert (second.number, second.parcels) == (2, 2)


def test_many_orders_oldest_first_without_the_cancelled_ones(shop: World) -> None:
    newest, oldest = make_order(ordered_at=days_ago(1)), make_order(ordered_at=days_ago(3))
    cancelled = make_order(status=PaymentStatus.CANCELLED)
    prints = notes.of_orders([newest.id, oldest.id, cancelled.id])
    assert [sheet.order.id for sheet in prints.sheets] == [oldest.id, newest.id]
    assert (prints.orders, prints.cancelled) == (2, 1)
    [sheet] = notes.of_order(cancelled.order_no).sheets
    assert sheet.is_cancelled  # alone it can be printed, and says so


def test_what_cannot_be_printed_is_refused_in_words(shop: World) -> None:
    with pytest.raises(TooManyToPrint, match=r"200件までです\(201件"):
        notes.of_orders(list(range(201)))
    with pytest.raises(ShopError, match="印刷できる注文がありません"):
        notes.of_orders([make_order(status=PaymentStatus.CANCELLED).id])
    with pytest.raises(NotFound):
        notes.of_order("P0")


def test_after_a_part_was_given_back_the_amounts_are_of_what_is_left(shop: World) -> None:  # B5
    order = press(authorized_order(shop), Operation.CAPTURE)
    assert order.transaction is not None
    with writing() as session:
        there = session.get_one(CardTransaction, order.transaction.id)
        there.gateway_amount = there.captured_amount = order.total - 1000
    [sheet] = notes.of_order(order.order_no).sheets
    assert sheet.breakdown is not None
    assert sheet.given_back == 1000
    assert sheet.breakdown.total == order.total - 1000
    assert sheet.breakdown.adjustment == -1000
    assert sum(share.amount for share in sheet.breakdown.shares) == order.total - 1000
