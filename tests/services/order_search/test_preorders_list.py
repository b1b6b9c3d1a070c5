"""予約: the orders by the day they are to be shipped, and what is told of their charges."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from sgpshop.domain.errors import CursorInvalid
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Delivery, Operation, Order, OrderKind, utc_now
from sgpshop.services.order_detail.detail import get_detail
from sgpshop.services.order_search import preorders
from sgpshop.services.order_search.preorders import ListedPreorder, PreorderTab
from sgpshop.storage.database import writing
from sgpshop.storage.questions import answer
from tests.factories import make_order
from tests.gateway_world import World
from tests.services.acting import press
from tests.services.payments.test_preorders import declining, preorder

#: What it asks of the database, both answer differently or in another order.
pytestmark = pytest.mark.postgresql

S = PaymentStatus


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0}


def ordered(*days: int | None, **more: Any) -> Order:
    """A preorder with a parcel for each 配送希望日, in days from today."""
    order = make_order(kind=OrderKind.PREORDER, **more)
    today = jst_day(utc_now())
    with writing() as session:
        session.query(Delivery).filter_by(order_id=order.id).delete()
        session.add_all(
            Delivery(
                order_id=order.id,
                number=number,
                wish_date=None if day is None else today + timedelta(days=day),
            )
            for number, day in enumerate(days, 1)
        )
    return order


def listed(tab: PreorderTab = PreorderTab.ALL) -> list[ListedPreorder]:
    return preorders.search(tab).rows


def numbers(tab: PreorderTab) -> list[str]:
    return [row.order.order_no for row in listed(tab)]


def test_by_the_earliest_wish_date_without_a_date_last(shop: World) -> None:  # R113
    make_order()
    nobody_knows, later, soon = ordered(None), ordered(9, 3), ordered(None, 2)
    assert numbers(PreorderTab.ALL) == [order.order_no for order in (soon, later, nobody_knows)]
    assert [row.days_left for row in listed()] == [2, 3, None]


def test_tabs_and_what_is_overdue(shop: World) -> None:  # R113
    late = ordered(-1, total=10)
    today = ordered(0, total=200)
    failed = ordered(-5, total=3000, status=S.CAPTURE_FAILED)
    done = ordered(-9, total=40_000, status=S.CAPTURED)
    gone = ordered(-9, total=5, status=S.CANCELLED)
    stages = {
        PreorderTab.OPEN: [late, today],
        PreorderTab.FAILED: [failed],
        PreorderTab.OVERDUE: [failed, late],
        PreorderTab.CAPTURED: [done],
        PreorderTab.ALL: [done, gone, failed, late, today],
    }
    totals = preorders.tab_totals(answer(preorders.overdue()))
    for tab, expected in stages.items():
        assert numbers(tab) == [order.order_no for order in expected]
        assert totals[tab].count == len(expected)
        assert totals[tab].yen == sum(order.total for order in expected)
    assert answer(preorders.overdue()) == totals[PreorderTab.OVERDUE]
    assert [row.is_overdue for row in listed()] == [False, False, True, True, False]


def test_pages_by_key(shop: World) -> None:
    made = [ordered(day % 3 if day % 4 else None).order_no for day in range(50)]
    first = preorders.search(PreorderTab.OPEN)
    second = preorders.search(PreorderTab.OPEN, first.next_cursor)
    shown = [row.order.order_no for row in (*first.rows, *second.rows)]
    assert (len(first.rows), sorted(shown)) == (40, sorted(made))
    assert second.rows[-1].ships_on is None
    back = preorders.search(PreorderTab.OPEN, second.previous_cursor)
    assert back.rows == first.rows
    for broken in ("x", "WzEsMiwzXQ", "ü"):
        with pytest.raises(CursorInvalid):
            preorders.search(PreorderTab.OPEN, broken)


def test_the_card_and_the_item(shop: World) -> None:
    order = preorder(shop)
    [row] = listed()
    assert (row.order.order_no, row.item, row.more_items) == (order.order_no, "煎茶", 0)
    assert row.ships_on is None
    assert isinstance(row.card_last4, str)


def test_a_decline_suggests_another_card_or_way(shop: World) -> None:  # R112
    problem = get_detail(declining(shop).order_no).problem
    assert problem is not None
    assert "別のカードまたは別のお支払い方法" in problem.next_step
    assert problem.codes == ("42G550000",)


def test_all_its_numbers_at_the_gateway_are_told(shop: World) -> None:  # R112, R141
    order = press(declining(shop), Operation.CAPTURE)
    found = get_detail(order.order_no).transactions
    assert [(one.gateway_order_id, one.is_current) for one in found] == [
        (order.order_no, False),
        (f"{order.order_no}-1", False),
        (f"{order.order_no}-2", True),
    ]
    assert get_detail(make_order().order_no).transactions == []


def test_days_are_japanese(shop: World) -> None:  # P28
    ordered(0)
    [row] = listed()
    assert row.ships_on == date.fromisoformat(str(jst_day(utc_now())))
