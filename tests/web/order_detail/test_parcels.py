"""お届け先・伝票番号 on 詳細注文情報: 配送完了, 返送処理, ステータスの変更, 返金しない (R22, R30, R31, R88-R90a)."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import CardTransaction, Delivery, Order, OrderKind, Role, utc_now
from sgpshop.services import settings
from sgpshop.storage.database import writing
from tests.factories import authorized_order, fresh, make_order
from tests.forms import form_of
from tests.gateway_world import World
from tests.signing_in import signed_in
from tests.web.pages import flat

HTMX = {"HX-Request": "true"}
S = PaymentStatus
D = DeliveryStatus


def today() -> date:
    """In Japan, where a day may begin while the tests run."""
    return jst_day(utc_now())


NOT_CANCELLED = "SMBC-GPの決済は取り消されません"
OPEN_RETURN = "返送済み・取消未対応"
OPEN_REFUND = "返送済み・返金未対応"

pytestmark = pytest.mark.usefixtures("world")


@pytest.fixture
def operator(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OPERATOR, "田中")


@pytest.fixture
def order(app: Flask, world: World) -> Order:
    with app.app_context():
        return authorized_order(world, total=3000)


def make(app: Flask, *statuses: D, **details: Any) -> Order:
    """An order with one delivery per status, numbered from 1; with its one when none is given."""
    with app.app_context():
        made = make_order(**details)
        if statuses:
            with writing() as session:
                session.execute(sa.delete(Delivery).where(Delivery.order_id == made.id))
                session.add_all(
                    Delivery(order_id=made.id, number=n, status=status, name=f"宛名{n}")
                    for n, status in enumerate(statuses, start=1)
                )
                made.processing_class = ProcessingClass.UNPROCESSED
        return made


def url(order: Order, act: str = "") -> str:
    return f"/orders/{order.order_no}" + (f"/{act}" if act else "")


def panel(page: str) -> str:
    """The panel お届け先・伝票番号."""
    start = page.index('id="deliveries"')
    return page[start : page.index("</section>", start)]


def fields(page: str, action: str) -> dict[str, Any]:
    """What the POST form with this action carries when nothing is changed in it."""
    return form_of(page, action).every


def press(
    client: FlaskClient,
    order: Order,
    act: str,
    headers: dict[str, str] | None = None,
    **typed: Any,
) -> TestResponse:
    """Open the confirmation, fill in `typed`, go ahead; the answer, redirects followed."""
    page = client.get(url(order, act), headers=headers).text
    data = fields(page, url(order, act)) | typed
    return client.post(url(order, act), data=data, headers=headers, follow_redirects=True)


def parcels(app: Flask, order: Order) -> list[D]:
    with app.app_context():
        return [parcel.status for parcel in fresh(order).deliveries]


def untouched(app: Flask, world: World, order: Order, version: int = 1) -> None:
    """Neither our order nor anything at SMBC-GP has changed."""
    with app.app_context():
        assert fresh(order).version == version
    for api in ("AlterTran", "ChangeTran", "SearchTrade"):
        assert world.requests(order.order_no, api) == []


class TestDeliver:
    @pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain form", "htmx"])
    def test_it_leaves_the_payment_alone(
        self,
        app: Flask,
        operator: FlaskClient,
        world: World,
        order: Order,
        headers: dict[str, str],
    ) -> None:
        page = press(operator, order, "deliver", headers).text
        assert "配送完了にしました。" in page
        assert 'data-delivery-status="delivered"' in page
        assert 'data-payment-status="authorized"' in page  # R30
        assert "田中さんが配送完了にしました" in page
        assert ("<!DOCTYPE html>" in page) is not bool(headers)
        untouched(app, world, order, version=2)

    def test_the_confirmation_opens_with_the_parcels_not_with_the_payment(
        self, operator: FlaskClient, order: Order
    ) -> None:
        page = operator.get(url(order, "deliver")).text
        assert "data-confirm-yes" in panel(page)
        assert len(re.findall(r"<button[^>]*data-confirm-yes", page)) == 1
        assert "SGPカード実売上処理</button>" in page

    def test_an_uncaptured_order_is_warned_of_with_one_click_to_capture(
        self, operator: FlaskClient, order: Order
    ) -> None:
        page = operator.get(url(order, "deliver")).text
        assert "未売上のまま配送完了になります" in page  # R30
        assert "実売上処理して配送完了</button>" in page
        sent = fields(page, url(order, "capture"))
        assert sent["then_deliver"] == ["1"]
        assert sent["amount"] == ["3000"]

    def test_that_click_does_both(
        self, app: Flask, operator: FlaskClient, world: World, order: Order
    ) -> None:
        page = operator.get(url(order, "deliver")).text
        sent = fields(page, url(order, "capture"))
        page = operator.post(url(order, "capture"), data=sent, follow_redirects=True).text
        assert 'data-payment-status="captured"' in page
        assert parcels(app, order) == [D.DELIVERED]
        assert world.sales(order.order_no) == 1

    def test_and_a_refused_capture_delivers_nothing(
        self, app: Flask, operator: FlaskClient, world: World, order: Order
    ) -> None:
        world.fault("error:42G030000")
        sent = fields(operator.get(url(order, "deliver")).text, url(order, "capture"))
        page = operator.post(url(order, "capture"), data=sent, follow_redirects=True).text
        assert 'data-payment-status="capture_failed"' in page
        assert parcels(app, order) == [D.UNPROCESSED]

    def test_without_a_possible_capture_it_says_why(
        self, app: Flask, operator: FlaskClient, world: World
    ) -> None:
        with app.app_context():
            order = authorized_order(world, gateway_amount=2500)
        page = panel(operator.get(url(order, "deliver")).text)
        assert "未売上のまま配送完了になります" in page
        assert "実売上処理して配送完了" not in page
        assert "金額の変更がSMBC-GPに送信されていません" in page

    def test_a_captured_order_needs_no_warning(self, app: Flask, operator: FlaskClient) -> None:
        page = operator.get(url(make(app, status=S.CAPTURED), "deliver")).text
        assert "未売上" not in panel(page)

    def test_a_subscription_tells_when_it_is_billed(
        self, app: Flask, operator: FlaskClient
    ) -> None:
        order = make(app, status=S.AWAITING_BILLING, kind=OrderKind.SUBSCRIPTION)
        page = panel(operator.get(url(order, "deliver")).text)
        assert f"{today().month}月分の課金対象" in page  # R22, R101
        assert f"{today().month % 12 + 1}月10日頃" in page
        answer = press(operator, order, "deliver").text
        assert 'data-payment-status="awaiting_billing"' in answer  # T17

    def test_several_parcels_are_ticked_one_by_one(self, app: Flask, operator: FlaskClient) -> None:
        order = make(app, D.UNPROCESSED, D.DELIVERED, D.PREPARING)
        page = operator.get(url(order, "deliver")).text
        sent = fields(page, url(order, "deliver"))
        assert sent["delivery_number"] == ["1", "3"]  # all that are open, by default
        press(operator, order, "deliver", delivery_number=["3"])
        assert parcels(app, order) == [D.UNPROCESSED, D.DELIVERED, D.DELIVERED]

    def test_none_ticked_is_asked_again(self, app: Flask, operator: FlaskClient) -> None:
        order = make(app, D.UNPROCESSED, D.UNPROCESSED)
        answer = press(operator, order, "deliver", delivery_number=[])
        assert answer.status_code == 422
        assert "お届け先を選んでください" in panel(answer.text)
        assert "data-confirm-yes" in panel(answer.text)

    @pytest.mark.parametrize("number", ["7", "-1", "x", "1e1", "٣", "99999", "", "1 or 1=1"])
    def test_a_foreign_parcel_changes_nothing(
        self, app: Flask, operator: FlaskClient, world: World, order: Order, number: str
    ) -> None:
        answer = press(operator, order, "deliver", delivery_number=[number])
        assert answer.status_code == 422
        assert "notice is-error" in answer.text
        untouched(app, world, order)


class TestReturn:
    def test_the_dialogue_and_the_screen_afterwards_say_that_the_payment_stays(
        self, app: Flask, operator: FlaskClient, world: World, order: Order
    ) -> None:
        page = panel(operator.get(url(order, "return")).text)
        assert NOT_CANCELLED in page  # R90
        assert f'href="{url(order, "cancel")}"' in page
        page = press(operator, order, "return", reason="受取拒否", restock="y").text
        assert 'data-delivery-status="returned"' in page
        assert 'data-payment-status="authorized"' in page
        assert "返送処理をしました。SMBC-GPの決済は取り消していません。" in page
        assert NOT_CANCELLED in panel(page)
        assert "注文キャンセルに進む" in panel(page)  # R95
        assert OPEN_RETURN in page  # R90a
        assert "在庫に戻す" in page[page.index('id="history-heading"') :]
        untouched(app, world, order, version=2)

    def test_the_day_is_today_unless_said_otherwise(
        self, app: Flask, operator: FlaskClient, order: Order
    ) -> None:
        page = operator.get(url(order, "return")).text
        assert fields(page, url(order, "return"))["returned_on"] == [today().isoformat()]
        full_width = (
            today()
            .strftime("%Y/%m/%d")
            .translate(str.maketrans("0123456789/", "０１２３４５６７８９／"))
        )
        press(operator, order, "return", returned_on=full_width)
        with app.app_context():
            assert fresh(order).deliveries[0].returned_on == today()

    @pytest.mark.parametrize(
        ("typed", "words"),
        [
            ({"returned_on": (today() + timedelta(days=2)).isoformat()}, "未来の日付"),
            ({"returned_on": "1999-01-01"}, "注文日以降"),
            ({"returned_on": "昨日"}, "2026-11-23 のように"),
            ({"returned_on": "2026-02-30"}, "2026-11-23 のように"),
            ({"returned_on": ""}, "返送日を入力"),
            ({"reason": "長" * 201}, "200文字以内"),
            ({"reason": "a\tb\x07"}, "使用できない文字"),
        ],
    )
    def test_a_mistake_is_explained_and_what_was_typed_is_kept(
        self,
        app: Flask,
        operator: FlaskClient,
        world: World,
        order: Order,
        typed: dict[str, str],
        words: str,
    ) -> None:
        answer = press(operator, order, "return", **({"reason": "のし違い"} | typed))
        assert answer.status_code == 422
        page = panel(answer.text)
        assert words in page
        assert "data-confirm-yes" in page
        if "reason" not in typed:
            assert 'value="のし違い"' in page
        untouched(app, world, order)

    def test_a_card_number_is_neither_kept_nor_repeated(
        self, app: Flask, operator: FlaskClient, world: World, order: Order
    ) -> None:
        answer = press(operator, order, "return", reason="4111 1111 1111 1111")
        assert answer.status_code == 400  # S11
        assert "4111 1111" not in answer.text
        untouched(app, world, order)

    def test_hostile_text_stays_text(self, operator: FlaskClient, order: Order) -> None:
        evil = "<img src=x onerror=alert(1)>{{ 7*7 }}"
        page = press(operator, order, "return", reason=evil).text
        assert "<img src=x" not in page  # S7
        assert "&lt;img src=x" in page

    def test_delivered_parcels_first_and_the_rest_later(
        self, app: Flask, operator: FlaskClient
    ) -> None:
        order = make(app, D.DELIVERED, D.DELIVERED, status=S.CAPTURED)
        press(operator, order, "return", delivery_number=["1"])
        page = operator.get(url(order)).text
        assert "返送処理</button>" in page  # no dead end
        press(operator, order, "return")
        assert parcels(app, order) == [D.RETURNED, D.RETURNED]

    def test_a_reported_subscription_has_its_guidance(
        self, app: Flask, operator: FlaskClient
    ) -> None:
        order = make(app, status=S.BILLING_REPORTED, kind=OrderKind.SUBSCRIPTION)
        page = panel(press(operator, order, "return").text)
        assert NOT_CANCELLED in page
        assert "要返金" in page  # R104
        assert "返金しない" in page


class TestStatuses:
    def test_a_delivery_is_undone(self, app: Flask, operator: FlaskClient, order: Order) -> None:
        press(operator, order, "deliver")
        page = press(operator, order, "statuses", delivery_status=["unprocessed"]).text
        assert "ステータスを変更しました。" in page
        assert 'data-delivery-status="unprocessed"' in page
        assert "配送完了 → 未処理" in page

    def test_the_choices_are_the_ones_that_can_be(self, app: Flask, operator: FlaskClient) -> None:
        order = make(app, D.UNPROCESSED, D.DELIVERED, D.CANCELLED)
        page = operator.get(url(order, "statuses")).text
        sent = fields(page, url(order, "statuses"))
        assert sent["delivery_number"] == ["1", "2", "3"]
        options = [
            re.findall(r'<option value="(\w+)"', select)
            for select in re.findall(r"<select.*?</select>", panel(page), re.S)
        ]
        assert options == [
            ["unprocessed", "instructed", "preparing"],
            ["delivered", "unprocessed", "instructed", "preparing"],
            ["cancelled", "unprocessed", "instructed", "preparing"],  # called off by a file (R143)
        ]

    @pytest.mark.parametrize(
        "typed",
        [
            {"delivery_status": ["delivered"]},
            {"delivery_status": ["returned"]},
            {"delivery_status": ["nonsense"]},
            {"delivery_status": ["preparing", "preparing"]},
            {"delivery_status": []},
            {"delivery_number": ["5"]},
            {"delivery_number": ["0", "0"], "delivery_status": ["preparing", "instructed"]},
            {},
        ],
    )
    def test_what_is_not_offered_changes_nothing(
        self, app: Flask, operator: FlaskClient, world: World, order: Order, typed: dict[str, Any]
    ) -> None:
        answer = press(operator, order, "statuses", **typed)
        assert answer.status_code == 422
        assert "field-error" in panel(answer.text)
        untouched(app, world, order)

    def test_where_it_cannot_be_it_says_why(self, app: Flask, operator: FlaskClient) -> None:
        cancelled = make(app, status=S.CANCELLED)
        reported = make(app, D.DELIVERED, status=S.BILLING_REPORTED, kind=OrderKind.SUBSCRIPTION)
        for order, words in ((cancelled, "注文キャンセル済み"), (reported, "売上報告が済んで")):
            page = panel(operator.get(url(order)).text)
            button = re.search(r"<button[^>]*>ステータスの変更</button>", page)
            assert button
            assert "disabled" in button[0]
            assert words in page  # R60
            assert "data-confirm-yes" not in operator.get(url(order, "statuses")).text


class TestWaive:
    @pytest.fixture
    def returned(self, app: Flask) -> Order:
        return make(app, D.RETURNED, status=S.CAPTURED, processing_class=ProcessingClass.RETURNED)

    @pytest.fixture(autouse=True)
    def _as_returned(self, app: Flask, returned: Order) -> None:
        with app.app_context(), writing() as session:
            session.execute(sa.update(Order).values(processing_class=ProcessingClass.RETURNED))

    @pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain form", "htmx"])
    def test_the_badge_goes_and_the_reason_stays_and_back(
        self, operator: FlaskClient, returned: Order, headers: dict[str, str]
    ) -> None:
        assert OPEN_REFUND in operator.get(url(returned)).text
        page = press(operator, returned, "waive-cancel", headers, reason="代品を送る").text
        assert OPEN_REFUND not in page  # R90a
        assert "代品を送る" in panel(page)
        undo = url(returned, "waive-cancel/undo")
        page = operator.post(
            undo, data=fields(page, undo), headers=headers, follow_redirects=True
        ).text
        assert OPEN_REFUND in page

    @pytest.mark.parametrize(
        ("reason", "words"), [("", "理由を入力"), ("  ", "理由を入力"), ("長" * 201, "200文字以内")]
    )
    def test_only_with_a_reason(
        self, operator: FlaskClient, returned: Order, reason: str, words: str
    ) -> None:
        answer = press(operator, returned, "waive-cancel", reason=reason)
        assert answer.status_code == 422
        assert words in panel(answer.text)

    def test_the_list_finds_and_marks_them(
        self, app: Flask, operator: FlaskClient, returned: Order
    ) -> None:
        other = make(app)
        page = flat(operator.get("/orders?returned_open=1"))
        assert returned.order_no in page  # R35
        assert other.order_no not in page
        assert 'name="returned_open"' in page  # the condition is shown
        row = page[page.index(f'id="row-{returned.order_no}"') :]
        assert OPEN_REFUND in row[: row.index("</tr>")]
        press(operator, returned, "waive-cancel", reason="代品を送る")
        assert returned.order_no not in flat(operator.get("/orders?returned_open=1"))

    def test_nothing_to_waive_opens_nothing(self, app: Flask, operator: FlaskClient) -> None:
        order = make(app)
        with app.app_context(), writing() as session:
            session.execute(
                sa.update(Order)
                .where(Order.id == order.id)
                .values(processing_class=ProcessingClass.UNPROCESSED)
            )
        assert "data-confirm-yes" not in operator.get(url(order, "waive-cancel")).text


TYPED: dict[str, dict[str, Any]] = {
    "deliver": {},
    "return": {},
    "statuses": {"delivery_status": ["preparing"]},
}


@pytest.mark.parametrize("act", TYPED)
class TestForms:
    def test_the_same_form_again_shows_the_first_result(
        self, app: Flask, operator: FlaskClient, world: World, order: Order, act: str
    ) -> None:
        form = fields(operator.get(url(order, act)).text, url(order, act)) | TYPED[act]
        answers = [
            operator.post(url(order, act), data=form, follow_redirects=True) for _ in range(2)
        ]
        assert [answer.status_code for answer in answers] == [200, 200]  # P19
        untouched(app, world, order, version=2)

    def test_a_stale_form_shows_the_fresh_screen(
        self, app: Flask, operator: FlaskClient, world: World, order: Order, act: str
    ) -> None:
        form = fields(operator.get(url(order, act)).text, url(order, act)) | TYPED[act]
        with app.app_context(), writing() as session:
            session.execute(sa.update(Order).values(version=2))
        answer = operator.post(url(order, act), data=form)
        assert answer.status_code == 409  # R61
        assert "開いている間に更新されました" in answer.text
        assert 'data-version="2"' in answer.text
        untouched(app, world, order, version=2)

    def test_an_altered_form_does_nothing(
        self, app: Flask, operator: FlaskClient, world: World, order: Order, act: str
    ) -> None:
        form = fields(operator.get(url(order, act)).text, url(order, act)) | TYPED[act]
        for bad in (
            {"version": "x"},
            {"version": ""},
            {"amount": "1e3"},
            {"amount": "3001"},
            {"request_token": "short"},
            {"request_token": ""},
        ):
            answer = operator.post(url(order, act), data=form | bad)
            assert answer.status_code in (409, 422), bad
            assert "notice is-error" in answer.text, bad
            untouched(app, world, order)

    def test_an_empty_form_does_nothing(
        self, app: Flask, operator: FlaskClient, world: World, order: Order, act: str
    ) -> None:
        csrf = fields(operator.get(url(order, act)).text, url(order, act))["csrf_token"]
        answer = operator.post(url(order, act), data={"csrf_token": csrf})
        assert answer.status_code == 422
        untouched(app, world, order)

    def test_viewers_see_no_button_and_change_nothing(
        self, app: Flask, world: World, order: Order, act: str
    ) -> None:
        viewer = signed_in(app, Role.VIEWER)
        page = panel(viewer.get(url(order)).text)
        assert "<button" not in page
        assert viewer.get(url(order, act)).status_code == 403  # S4
        assert viewer.post(url(order, act)).status_code == 403
        untouched(app, world, order)


COLUMNS = [
    # status, kind, parcel: 配送完了, 返送処理 — ○ enabled, △ disabled, – absent (§4.3)
    (S.AUTHORIZED, "normal", D.UNPROCESSED, "○○"),
    (S.AUTHORIZED, "preorder", D.UNPROCESSED, "○○"),
    (S.CAPTURE_FAILED, "normal", D.UNPROCESSED, "○○"),
    (S.CAPTURE_FAILED, "subscription", D.UNPROCESSED, "–○"),
    (S.CAPTURED, "normal", D.UNPROCESSED, "○○"),
    (S.CAPTURED, "normal", D.DELIVERED, "–○"),
    (S.NEEDS_REVIEW, "normal", D.UNPROCESSED, "△–"),
    (S.AWAITING_BILLING, "subscription", D.UNPROCESSED, "○○"),
    (S.AWAITING_BILLING, "subscription", D.DELIVERED, "–○"),
    (S.BILLING_REPORTED, "subscription", D.DELIVERED, "–○"),
    (S.CANCELLED, "normal", D.UNPROCESSED, "––"),
    (S.CAPTURED, "normal", D.RETURNED, "––"),
]


@pytest.mark.parametrize(("status", "kind", "parcel", "marks"), COLUMNS)
def test_the_buttons_are_there_exactly_as_the_table_says(
    app: Flask, operator: FlaskClient, status: S, kind: str, parcel: D, marks: str
) -> None:
    order = make(app, parcel, status=status, kind=OrderKind(kind))
    with app.app_context(), writing() as session:
        session.execute(
            sa.update(Order).values(
                processing_class={
                    D.DELIVERED: ProcessingClass.DELIVERED,
                    D.RETURNED: ProcessingClass.RETURNED,
                }.get(parcel, ProcessingClass.UNPROCESSED)
            )
        )
    page = panel(operator.get(url(order)).text)
    for words, mark in zip(("配送完了", "返送処理"), marks, strict=True):
        found = re.search(rf"<button[^>]*>{words}</button>", page)
        assert (found is None) is (mark == "–"), words
        if found:
            assert ("disabled" in found[0]) is (mark == "△"), words
            assert mark == "○" or f"{words}:" in page  # R60


def test_without_a_contract_parcels_can_still_be_sent(app: Flask, operator: FlaskClient) -> None:
    with app.app_context():
        settings.save("test", site_id="", shop_id="")
    order = make(app)
    page = operator.get(url(order, "deliver")).text
    assert "実売上処理して配送完了" not in page  # R2
    press(operator, order, "deliver")
    assert parcels(app, order) == [D.DELIVERED]


def test_an_open_confirmation_is_not_swept_away_by_the_polling(
    app: Flask, operator: FlaskClient
) -> None:
    order = make(app, status=S.NEEDS_REVIEW)
    with app.app_context(), writing() as session:
        session.execute(sa.update(CardTransaction).values(next_look_at=utc_now()))
    assert "load delay:4s" in operator.get(url(order)).text
    page = operator.get(url(order, "statuses")).text
    assert "data-confirm-yes" in page
    assert "load delay:4s" not in page
