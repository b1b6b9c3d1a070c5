"""3-D Secure: the buyer is sent away, comes back or does not; only then the card is authorized."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.test import TestResponse

from sgpshop.domain.errors import ShopError
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import AttemptState, CardTransaction, Order
from sgpshop.services import intake, settings
from sgpshop.services.intake import ThreeDsNotSetUp
from sgpshop.services.intake.new_order import CardSource, NewOrder
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.payments import attempt_lookup, three_ds, transaction_lookup
from sgpshop.storage.database import writing
from tests import own_worker
from tests.factories import fresh
from tests.faults.judging import settle
from tests.forms import hidden_of
from tests.gateway_world import World
from tests.services.acting import TANAKA, cancel, last_attempt
from tests.services.arriving import SHOP_FRONT, attempts_of, new_order, open_shop, orders
from tests.waiting import wait_until

S = PaymentStatus
CHALLENGE, FRICTIONLESS, REFUSED = "4100000000005000", "4100000000000100", "4100000000300005"
THANKS = "https://shop.example/thanks?from=bank"
OURS = "http://127.0.0.1:5000"


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "PUBLIC_URL": OURS}


@pytest.fixture(autouse=True)
def _open(app: Flask, shop: World) -> Iterator[None]:
    open_shop()
    yield
    own_worker.finish(app)


def begun(shop: World, card: str = CHALLENGE, **more: Any) -> tuple[Order, str]:
    """An order whose buyer is to pass 3-D Secure, and where."""
    new = new_order(shop, card=card, return_url=THANKS, **more)
    placed = intake.place(new, SHOP_FRONT)
    assert placed.redirect_url is not None
    [order] = [order for order in orders() if order.order_no == new.order_no]
    return order, placed.redirect_url


def at_bank(shop: World, url: str, answer: str = "yes") -> str:
    """The buyer answers there; the AccessID that the browser brings back."""
    http = shop.simulator.test_client()
    page = http.get(url.replace("http://127.0.0.1", "", 1).replace("http://localhost", "", 1))
    if 'name="answer"' in page.text:
        given = {**hidden_of(page), "answer": answer}
        page = http.post("/three-ds/", data=given, follow_redirects=True)
    return hidden_of(page)["AccessID"]


def back(app: Flask, order: Order, access_id: str, number: str | None = None) -> TestResponse:
    """The buyer's browser posts what the bank gave it to our address."""
    address = three_ds.return_address(number or order.order_no).removeprefix(OURS)
    headers = {"Origin": "null", "Sec-Fetch-Site": "cross-site"}
    return app.test_client().post(address, data={"AccessID": access_id}, headers=headers)


def told(answer: TestResponse) -> str:
    """What the shop's own page is told."""
    assert answer.status_code == 303, answer.text
    where = urlsplit(answer.location)
    assert where.geturl().startswith(THANKS)
    return parse_qs(where.query)["result"][0]


def explained() -> list[str]:
    return [problem.what for problem in Verification().problems()]


@pytest.mark.postgresql
@pytest.mark.parametrize("card", [CHALLENGE, FRICTIONLESS])
def test_a_buyer_who_passes_leaves_an_authorized_order(app: Flask, shop: World, card: str) -> None:
    order, url = begun(shop, card)
    assert order.payment_status is S.NEEDS_REVIEW  # R18: 購入手続き未完了
    assert shop.trade(order.order_no)["status"] == "AUTHENTICATED"
    assert told(back(app, order, at_bank(shop, url))) == "paid"
    assert fresh(order).payment_status is S.AUTHORIZED
    assert shop.trade(order.order_no)["status"] == "AUTH"
    assert explained() == []


@pytest.mark.parametrize(("card", "answer"), [(CHALLENGE, "no"), (REFUSED, "yes")])
def test_one_who_does_not_pass_leaves_it_unfinished(
    app: Flask, shop: World, card: str, answer: str
) -> None:
    order, url = begun(shop, card)
    assert told(back(app, order, at_bank(shop, url, answer))) == "failed"
    order = fresh(order)
    assert order.payment_status is S.NEEDS_REVIEW
    assert attempts_of(order)[-1].error_codes.startswith("E21030")
    assert explained() == []


def test_one_who_never_returns_stays_unfinished_and_is_looked_up(shop: World) -> None:
    order, _url = begun(shop)
    assert order.transaction is not None
    assert order.transaction.next_look_at is not None
    transaction_lookup.look_soon(order.id)
    transaction_lookup.look_up(order.transaction.id)
    assert fresh(order).payment_status is S.NEEDS_REVIEW


def test_a_late_return_still_pays(app: Flask, shop: World) -> None:
    order, url = begun(shop)
    access_id = at_bank(shop, url)
    shop.advance(3 * 3600)
    assert told(back(app, order, access_id)) == "paid"
    assert fresh(order).payment_status is S.AUTHORIZED


def test_coming_back_twice_authorizes_once(app: Flask, shop: World) -> None:  # P1
    order, url = begun(shop)
    access_id = at_bank(shop, url)
    assert [told(back(app, order, access_id)) for _ in range(2)] == ["paid", "paid"]
    assert len(shop.requests(order.order_no, "SecureTran2")) == 1


def test_the_same_order_again_is_sent_to_the_same_place(shop: World) -> None:  # P27
    new = new_order(shop, card=CHALLENGE, return_url=THANKS)
    assert intake.place(new, SHOP_FRONT).redirect_url == intake.place(new, SHOP_FRONT).redirect_url
    assert len(shop.requests(new.order_no, "ExecTran")) == 1


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://shop.example/#/thanks", "https://shop.example/?{told}#/thanks"),
        ("https://shop.example/a?b=c#d?e", "https://shop.example/a?b=c&{told}#d?e"),
    ],
)
def test_the_result_is_told_before_a_fragment(
    app: Flask, shop: World, address: str, expected: str
) -> None:
    new = new_order(shop, card=CHALLENGE, return_url=address)
    url = intake.place(new, SHOP_FRONT).redirect_url
    assert url is not None
    [order] = orders()
    answer = back(app, order, at_bank(shop, url))
    told = "order_no=P…&result=paid&timestamp=1&signature=s"
    assert _shape(answer.location, order) == expected.format(told=told)


def _shape(location: str, order: Order) -> str:
    without = location.replace(order.order_no, "P…")
    return re.sub(r"timestamp=\d+&signature=[0-9a-f]{64}", "timestamp=1&signature=s", without)


def test_the_return_is_signed_with_the_key_of_its_order(app: Flask, shop: World) -> None:
    order, url = begun(shop)
    said = parse_qs(urlsplit(back(app, order, at_bank(shop, url)).location).query)
    signed = ".".join(said[name][0] for name in ("order_no", "result", "timestamp"))
    key = three_ds.return_key(order.order_no).encode()
    assert hmac.new(key, signed.encode(), "sha256").hexdigest() == said["signature"][0]
    assert said["from"] == ["bank"], "the shop's own parameters stay"


class TestWhetherItIsDone:
    """The request and the shop's setting say it; leaving out `return_url` does not skip it."""

    def place(self, shop: World, **more: Any) -> tuple[NewOrder, str | None]:
        new = new_order(shop, card=CHALLENGE, **more)
        return new, intake.place(new, SHOP_FRONT).redirect_url

    def test_required_without_a_page_of_the_shop(self, app: Flask, shop: World) -> None:
        new, url = self.place(shop, three_ds=True)
        assert url is not None
        [order] = orders()
        ended = back(app, order, at_bank(shop, url))
        assert ended.status_code == 200
        assert "お支払い手続きが完了しました" in ended.text
        assert fresh(order).payment_status is S.AUTHORIZED
        assert intake.place(new, SHOP_FRONT).redirect_url is None

    def test_none_with_a_page_that_nobody_needs(self, shop: World) -> None:
        _, url = self.place(shop, three_ds=False, return_url=THANKS)
        assert url is None
        assert orders()[0].payment_status is S.AUTHORIZED

    def test_where_the_shop_lets_nobody_leave_it_out(self, shop: World) -> None:
        new, _ = self.place(shop)
        settings.save("test", three_ds_optional=False)
        with pytest.raises(ShopError, match="省略できない"):
            self.place(shop)
        assert not intake.place(new, SHOP_FRONT).is_new, "what is here is told of"
        assert len(orders()) == 1

    def test_where_the_bank_could_send_nobody_back(self, app: Flask, shop: World) -> None:
        new, _ = self.place(shop, three_ds=True)
        with patch.dict(app.config, PUBLIC_URL=""):
            with pytest.raises(ThreeDsNotSetUp, match=r"SGPSHOP_PUBLIC_URL.+none を指定"):
                self.place(shop, three_ds=True)
            assert not intake.place(new, SHOP_FRONT).is_new
            self.place(shop, three_ds=False)
            settings.save("test", three_ds_optional=False)
            with pytest.raises(ThreeDsNotSetUp) as refusal:
                self.place(shop, three_ds=True)
            assert "none" not in refusal.value.message, "what the shop does not allow"
        assert len(orders()) == 2


def test_who_may_yet_pass_has_not_failed(app: Flask, shop: World) -> None:
    """The result is not known: a person has to look, or the buyer is still at the bank."""
    order, url = begun(shop)
    access_id = at_bank(shop, url)
    shop.fault("drop_after", "SecureTran2")
    assert told(back(app, order, access_id)) == "pending"
    assert told(back(app, order, access_id)) == "pending"


def test_the_api_document_says_that_only_the_order_decides(app: Flask) -> None:
    document = app.test_client().get("/api/v1/openapi.json").get_json()
    assert "GET /orders/{order_no}" in document["info"]["description"]
    address = document["components"]["schemas"]["NewOrderBody"]["properties"]["return_url"]
    assert "prove nothing" in str(address)


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "error_after:E91019999"])
def test_a_lost_answer_is_found_out(app: Flask, shop: World, fault: str) -> None:  # P14
    order, url = begun(shop)
    access_id = at_bank(shop, url)
    shop.fault(fault, "SecureTran2")
    assert told(back(app, order, access_id)) == "pending"
    settle(order.id)
    assert fresh(order).payment_status is S.AUTHORIZED
    assert explained() == []


@pytest.mark.postgresql
def test_a_lost_answer_is_found_out_beside_money_that_came_to_light(
    app: Flask, shop: World
) -> None:  # P14
    """Nothing is paid beside it, and the doubt ends all the same."""
    order, url = begun(shop)
    access_id = at_bank(shop, url)
    shop.fault("drop_before", "SecureTran2")
    assert told(back(app, order, access_id)) == "pending"
    with writing() as session:
        number = f"{order.order_no}-1"
        paid = {"sequence": 1, "is_current": False, "gateway_state": "AUTH", "gateway_amount": 2500}
        session.add(CardTransaction(order_id=order.id, gateway_order_id=number, **paid))
    settle(order.id)
    last = attempts_of(order)[-1]
    assert (last.is_open, last.reason) == (False, "not_carried_out")
    assert shop.trade(order.order_no)["status"] == "AUTHENTICATED"


def test_another_card_pays_under_the_next_number(app: Flask, shop: World) -> None:  # R106
    new = new_order(shop, card=CHALLENGE, return_url=THANKS)
    first = intake.place(new, SHOP_FRONT)
    [order] = orders()
    assert first.redirect_url is not None
    old_access = at_bank(shop, first.redirect_url)
    again = replace(new, payment=CardSource(token=shop.token(FRICTIONLESS)))
    second = intake.place(again, SHOP_FRONT)
    assert second.redirect_url is not None
    number = f"{order.order_no}-1"
    assert told(back(app, order, at_bank(shop, second.redirect_url), number)) == "paid"
    assert told(back(app, order, old_access)) == "paid"  # the first window: nothing more happens
    assert shop.trade(order.order_no)["status"] == "AUTHENTICATED"
    assert shop.trade(number)["status"] == "AUTH"


def test_another_amount_than_the_buyer_agreed_to_is_not_paid(app: Flask, shop: World) -> None:
    order, url = begun(shop)
    access_id = at_bank(shop, url)
    with writing() as session:  # by whatever way: every entrance refuses it
        session.execute(sa.update(Order).where(Order.id == order.id).values(total=9500))
    assert told(back(app, order, access_id)) == "failed"
    order = fresh(order)
    assert order.payment_status is S.NEEDS_REVIEW
    assert attempts_of(order)[-1].reason == "amount_differs"
    assert shop.requests(order.order_no, "SecureTran2") == []
    assert shop.trade(order.order_no)["status"] == "AUTHENTICATED"


def test_a_cancelled_order_is_not_paid_any_more(app: Flask, shop: World) -> None:
    order, url = begun(shop)
    access_id = at_bank(shop, url)
    shift_back(order)
    assert cancel(order).payment_status is S.CANCELLED  # R97
    assert told(back(app, order, access_id)) == "failed"
    assert shop.requests(order.order_no, "SecureTran2") == []


@pytest.mark.parametrize("what", ["mark", "access", "order"])
def test_a_stranger_finds_nothing(app: Flask, shop: World, what: str) -> None:
    order, url = begun(shop)
    access_id = at_bank(shop, url)
    address = three_ds.return_address(order.order_no).removeprefix(OURS)
    if what == "mark":
        address = address[:-1] + ("0" if address[-1] != "0" else "1")
    if what == "order":
        address = address.replace(order.order_no, "P999999999999999999")
    sent = "f" * 32 if what == "access" else access_id
    assert app.test_client().post(address, data={"AccessID": sent}).status_code == 404
    assert fresh(order).payment_status is S.NEEDS_REVIEW
    assert shop.requests(order.order_no, "SecureTran2") == []


def shift_back(order: Order) -> None:
    """As if it had been ordered long ago: the lock of R96 is over."""
    db.session.execute(
        sa.update(Order)
        .where(Order.id == order.id)
        .values(ordered_at=order.ordered_at.replace(year=2025))
    )
    db.session.execute(
        sa.update(CardTransaction)
        .where(CardTransaction.order_id == order.id)
        .values(next_look_at=None)
    )
    db.session.commit()


class TestAChallengeThatIsLost:
    """ExecTran sent the buyer to 3-D Secure, and its answer with the address was lost (P9, P14)."""

    @pytest.fixture
    def overrides(self, overrides: dict[str, Any]) -> dict[str, Any]:
        return overrides | {"CHECKOUT_WAIT": 0.0}

    def lost(self, shop: World) -> tuple[NewOrder, Order]:
        new = new_order(shop, card=CHALLENGE, return_url=THANKS)
        shop.fault("drop_after", "ExecTran")
        assert intake.place(new, SHOP_FRONT).redirect_url is None
        [order] = orders()
        wait_until(lambda: last_attempt(order).state is AttemptState.UNKNOWN)
        assert shop.trade(order.order_no)["status"] == "AUTHENTICATED"
        assert fresh(order).payment_status is S.NEEDS_REVIEW
        return new, order

    def pays(self, app: Flask, shop: World, new: NewOrder, order: Order) -> None:
        """The buyer tries once more, with 3-D Secure, and passes it."""
        again = replace(new, payment=CardSource(token=shop.token(CHALLENGE)))
        intake.place(again, SHOP_FRONT)
        settle(order.id)  # the worker goes on under the next number
        url = intake.place(again, SHOP_FRONT).redirect_url
        assert url is not None
        number = f"{order.order_no}-1"
        back(app, order, at_bank(shop, url), number)
        wait_until(lambda: fresh(order).payment_status is S.AUTHORIZED)
        assert shop.trade(order.order_no)["status"] == "AUTHENTICATED"
        assert shop.trade(number)["status"] == "AUTH"
        assert explained() == []

    def test_nothing_was_paid_and_the_buyer_can_pay(self, app: Flask, shop: World) -> None:
        new, order = self.lost(shop)
        attempt_lookup.look_up(last_attempt(order).id)
        ended = last_attempt(order)
        assert (ended.state, ended.reason) == (AttemptState.REJECTED, "three_ds_lost")
        assert fresh(order).payment_status is S.NEEDS_REVIEW
        self.pays(app, shop, new, order)

    def test_ended_by_hand_the_buyer_can_pay_as_well(
        self, app: Flask, shop: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        new, order = self.lost(shop)
        monkeypatch.setattr(attempt_lookup, "BY_HAND_AFTER", timedelta(0))
        attempt_lookup.close_by_hand(last_attempt(order).id, "管理画面で確認", TANAKA)
        self.pays(app, shop, new, order)

    def test_a_killed_worker_is_the_same(self, app: Flask, shop: World) -> None:
        new = new_order(shop, card=CHALLENGE, return_url=THANKS)
        shop.wire.die_at("ExecTran")
        intake.place(new, SHOP_FRONT)
        [order] = orders()
        wait_until(lambda: [e["status"] for e in shop.ledger()] == ["AUTHENTICATED"])
        settle(order.id)
        assert last_attempt(order).reason == "three_ds_lost"
        self.pays(app, shop, new, order)
