"""Charges of a monthly file that our books have lost, answered together on 定期購入 (R141, P36)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import time_machine
from flask import Flask

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.gateway import MonthlyLine, monthly_file
from sgpshop.models import Order, Role
from sgpshop.services.payments import transaction_lookup, unknown_numbers
from sgpshop.services.subscriptions import billing
from tests.factories import fresh
from tests.faults.judging import work_off
from tests.forms import form_of
from tests.gateway_world import World
from tests.services.arriving import open_shop
from tests.services.subscribing import Travel, jst
from tests.services.subscriptions.test_billing_faults import delivered, explained
from tests.signing_in import signed_in
from tests.web.pages import flat

S = PaymentStatus


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"WTF_CSRF_ENABLED": False, "QUIET_PERIOD": 0.0, "CHECKOUT_WAIT": 10.0}


@pytest.fixture
def travel() -> Iterator[Travel]:
    with time_machine.travel(jst(2026, 11, 12, 12), tick=True) as traveller:
        yield traveller.move_to


@pytest.fixture
def lost(shop: World, travel: Travel) -> list[Order]:
    """Three orders of a file of the 10th that was sent before the books were put back; charged on the 18th."""
    open_shop()
    billing.resume()  # the first registration of a new installation is nobody's
    lost = [delivered(shop) for _ in range(3)]
    travel(jst(2026, 12, 10, 5))
    lines = []
    for order, yen in zip(lost, (2500, 2500, 2400), strict=True):
        card = fresh(order).transaction
        assert card is not None
        assert card.card_seq is not None
        number = f"{order.order_no}-1"
        lines.append(MonthlyLine(number, card.member_id, card.card_seq, yen, date(2026, 12, 10)))
    content = monthly_file.render("tshop00000001", "202612", lines)
    assert not shop.gateway.upload_monthly_file("202612", content).refused
    travel(jst(2026, 12, 18, 9))
    shop.gateway.fetch_monthly_result("202612")  # charges them
    for order in lost:
        transaction_lookup.look_soon(order.id)
        work_off(order.id)
    return lost


def test_all_that_are_alike_are_answered_at_once(
    app: Flask, shop: World, travel: Travel, lost: list[Order]
) -> None:
    *alike, other = lost
    with app.app_context():
        operator = signed_in(app, Role.OPERATOR)
        assert "記録にない請求が2件(¥5,000)あります" in flat(operator.get("/subscriptions"))
        page = operator.get("/subscriptions/charged")
        assert other.order_no not in page.text  # another amount: asked about by itself
        assert form_of(page, "/subscriptions/charged")
        asked = [str(unknown_numbers.open_of(order.id)[0].id) for order in lost]
        nothing = operator.post("/subscriptions/charged", data={"question": ["x", "9" * 30]})
        assert nothing.location == "/subscriptions/charged"
        form = {"question": asked}
        done = operator.post("/subscriptions/charged", data=form, follow_redirects=True)
        assert "2件をこの注文の決済としました" in flat(done)
        again = operator.post("/subscriptions/charged", data=form, follow_redirects=True)
        assert "まとめて答えられる注文はありませんでした" in flat(again)
    with app.app_context():  # who is signed in belongs to the context
        viewer = signed_in(app, Role.VIEWER)
        assert viewer.post("/subscriptions/charged", data=form).status_code == 403
    for order in lost:
        work_off(order.id)
    assert [fresh(order).payment_status for order in alike] == [S.BILLING_REPORTED] * 2
    assert fresh(other).payment_status is S.AWAITING_BILLING
    assert len(unknown_numbers.open_of(other.id)) == 1
    assert explained() == []
