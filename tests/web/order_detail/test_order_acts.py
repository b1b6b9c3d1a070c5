"""Every button of rules.md §4.3 in every column, on the screen and on the server.

The expectation is written out here; screens and services share the table of domain/order_acts.py.
"""

from __future__ import annotations

import re
import secrets
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.order_acts import Act, button
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Operation, Order, OrderKind, Role, utc_now
from sgpshop.services import settings
from sgpshop.services.installation.health import due_work
from sgpshop.services.payments import acts
from sgpshop.services.payments.acts import OperationRequest
from sgpshop.storage.database import writing
from tests.factories import authorized_order, days_ago, fresh, make_order
from tests.forms import form_of, token_of
from tests.gateway_world import World
from tests.services.acting import TANAKA, correct, seen
from tests.signing_in import signed_in

S, K = PaymentStatus, OrderKind
SHIPPED = "配送完了"

#: how an order of each column comes about: status, kind, shipped
COLUMNS: dict[str, tuple[S, K, bool]] = {
    "仮売上": (S.AUTHORIZED, K.NORMAL, False),
    "仮売上(予約)": (S.AUTHORIZED, K.PREORDER, False),
    "売上失敗": (S.CAPTURE_FAILED, K.NORMAL, False),
    "売上失敗(定期)": (S.CAPTURE_FAILED, K.SUBSCRIPTION, False),
    "決済完了": (S.CAPTURED, K.NORMAL, False),
    "決済完了+ship": (S.CAPTURED, K.NORMAL, True),
    "要確認": (S.NEEDS_REVIEW, K.NORMAL, False),
    "決済待ち": (S.AWAITING_BILLING, K.SUBSCRIPTION, False),
    "決済待ち+ship": (S.AWAITING_BILLING, K.SUBSCRIPTION, True),
    "売上報告済": (S.BILLING_REPORTED, K.SUBSCRIPTION, False),
    "注文キャンセル": (S.CANCELLED, K.NORMAL, False),
}
#: §4.3, line by line.  ○ enabled, △ disabled with a reason, – absent.  The send button is
#: asserted apart, case by case.
EXPECTED = {
    "SGPカード実売上処理": "○ ○ ○ – – – – – – – –",
    "注文キャンセル": "○ ○ ○ – ○ – ○ ○ – △ –",
    "注文内容修正": "○ ○ ○ △ △ △ △ ○ △ △ △",
    "配送完了": "○ ○ ○ – ○ – △ ○ – – –",
    "返送処理": "○ ○ ○ ○ ○ ○ – ○ ○ ○ –",
    "オーソリ期間延長": "○ – ○ – – – – – – – –",
    "差額を返金": "– – – – – – – – – – –",  # only where more was taken than the total
    "照合": "○ ○ ○ ○ ○ ○ ○ ○ ○ ○ ○",
}


def marks_of(column: str) -> dict[str, str]:
    """One column of the table: words of the button -> mark."""
    at = list(COLUMNS).index(column)
    return {words: marks.split()[at] for words, marks in EXPECTED.items()}


_ACTS = {act.label: act for act in Act}
_BUSY = "処理中です"


@pytest.fixture
def operator(app: Flask, world: World) -> FlaskClient:
    with app.app_context():
        settings.save("test", extend_auth_enabled=True)
    return signed_in(app, Role.OPERATOR)


def order_in(world: World, column: str, **more: Any) -> Order:
    """An order that stands in that column; needs an app context."""
    status, kind, is_shipped = COLUMNS[column]
    # Of a 予約 and a 定期購入 only the card was checked: what stands there decides about the acts.
    state = "AUTH" if kind is OrderKind.NORMAL else "CHECK"
    more = {"status": status, "kind": kind, "gateway_state": state} | more
    order = authorized_order(world, ordered_at=days_ago(1), **more)
    if is_shipped or status is S.CANCELLED:
        shipped = is_shipped
        with writing() as session:
            row = session.get_one(Order, order.id, populate_existing=True)
            row.processing_class = (
                ProcessingClass.DELIVERED if shipped else ProcessingClass.CANCELLED
            )
            for parcel in row.deliveries:
                parcel.status = DeliveryStatus.DELIVERED if shipped else DeliveryStatus.CANCELLED
    return fresh(order)


class Buttons(HTMLParser):
    """Every button or link styled as one: its words, whether it can be pressed, its reason's id."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, tuple[bool, str]] = {}
        self._open: dict[str, str | None] | None = None
        self._words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        about = dict(attrs)
        if tag == "button" or (tag == "a" and "button" in (about.get("class") or "").split()):
            self._open, self._words = about, ""

    def handle_data(self, data: str) -> None:
        self._words += data

    def handle_endtag(self, tag: str) -> None:
        if self._open is not None and tag in ("button", "a"):
            is_enabled = "disabled" not in self._open and self._open.get("aria-disabled") != "true"
            reason = self._open.get("aria-describedby") or ""
            self.found[self._words.strip()] = (is_enabled, reason)
            self._open = None


def mark_on(page: str, words: str) -> str:
    """How the button stands on a page; △ only with a visible reason (R60)."""
    found = Buttons(page).found.get(words)
    if found is None:
        return "–"
    is_enabled, reason = found
    if is_enabled:
        return "○"
    assert re.search(rf'id="{reason}"[^>]*>\s*[^<\s]', page), f"no reason beside {words}"
    return "△"


@pytest.mark.parametrize("column", COLUMNS)
def test_the_screen_shows_the_table(
    app: Flask, operator: FlaskClient, world: World, column: str
) -> None:
    with app.app_context():
        order = order_in(world, column)
        shared = {
            words: button(_ACTS[words], order, settings.load(), utc_now()) for words in EXPECTED
        }
    page = operator.get(f"/orders/{order.order_no}").text
    assert {words: mark_on(page, words) for words in EXPECTED} == marks_of(column)
    for words, mark in marks_of(column).items():
        assert (shared[words].is_shown, shared[words].is_enabled) == (mark != "–", mark == "○")


@pytest.mark.parametrize("column", COLUMNS)
def test_the_server_refuses_what_the_screen_does_not_offer(
    app: Flask, operator: FlaskClient, world: World, column: str
) -> None:
    """Forged forms: refused with words, nothing changed, no call that moves money."""
    with app.app_context():
        order = order_in(world, column)
    token = token_of(operator.get("/"))
    for words, mark in marks_of(column).items():
        if mark == "○" or words in ("注文内容修正", "照合"):
            continue
        form = {
            "csrf_token": token,
            "version": order.version,
            "amount": order.total,
            "request_token": secrets.token_hex(16),
            "refund_confirmed": "1",
            "delivery_number": "0",
            "day": "2026-11-25",
        }
        answer = operator.post(f"/orders/{order.order_no}/{_ACTS[words]}", data=form)
        assert answer.status_code == 422, words
        assert "notice is-error" in answer.text, words
    with app.app_context():
        now = fresh(order)
        assert (now.version, now.payment_status) == (order.version, order.payment_status)
        assert now.processing_class is order.processing_class
    moved = [world.requests(order.order_no, api) for api in ("AlterTran", "ChangeTran")]
    assert moved == [[], []]


class TestSendButton:
    """「変更内容をSMBC-GPに送信」 in all the cases of R66, R67, R69."""

    WORDS = "変更内容をSMBC-GPに送信"

    def mark(self, operator: FlaskClient, order: Order) -> str:
        return mark_on(operator.get(f"/orders/{order.order_no}").text, self.WORDS)

    @pytest.mark.parametrize("column", ["仮売上", "売上失敗"])
    def test_hidden_without_enabled_with_and_disabled_after_a_change(
        self, app: Flask, operator: FlaskClient, world: World, column: str
    ) -> None:
        with app.app_context():
            order = order_in(world, column)
        assert self.mark(operator, order) == "–"
        with app.app_context():
            correct(order, 2_500)
        assert self.mark(operator, order) == "○"
        page = operator.get(f"/orders/{order.order_no}").text
        assert mark_on(page, "SGPカード実売上処理") == "△"  # R56, R72a
        assert "送信して実売上処理" in Buttons(page).found
        url = f"/orders/{order.order_no}/send-changes"
        operator.post(url, data=form_of(page, url).fields)
        page = operator.get(f"/orders/{order.order_no}").text
        assert self.mark(operator, order) == "△"
        assert "送信済み(" in page  # R67
        assert mark_on(page, "SGPカード実売上処理") == "○"
        with app.app_context():
            correct(order, 2_000)
        assert self.mark(operator, order) == "○"  # enabled again

    def test_a_change_back_to_what_is_held_needs_no_sending(
        self, app: Flask, operator: FlaskClient, world: World
    ) -> None:
        with app.app_context():
            order = order_in(world, "仮売上")
            correct(correct(order, 2_500), 3_000)
        page = operator.get(f"/orders/{order.order_no}").text
        assert self.mark(operator, order) == "△"
        assert "金額に変更がないため送信は不要です" in page

    def test_amounts_that_differ_without_an_edit_show_it(
        self, app: Flask, operator: FlaskClient, world: World
    ) -> None:
        with app.app_context():
            order = order_in(world, "仮売上", gateway_amount=2_900)
        assert self.mark(operator, order) == "○"  # gateway_amount known ∧ total ≠ gateway_amount

    @pytest.mark.parametrize("column", [c for c in COLUMNS if c not in ("仮売上", "売上失敗")])
    def test_absent_in_every_other_column(
        self, app: Flask, operator: FlaskClient, world: World, column: str
    ) -> None:
        with app.app_context():
            order = order_in(world, column, gateway_amount=2_500, edited_at=utc_now())
        assert self.mark(operator, order) == "–"  # R69: also for 予約 with a corrected amount


@pytest.mark.parametrize("operation", [Operation.CAPTURE, Operation.CANCEL])
def test_while_an_operation_is_open_every_payment_button_waits(
    app: Flask, operator: FlaskClient, world: World, operation: Operation
) -> None:
    with app.app_context():
        order = order_in(world, "仮売上")
        acts.open_attempt(order.id, OperationRequest(operation), seen(order), TANAKA)
    page = operator.get(f"/orders/{order.order_no}").text
    for words in ("SGPカード実売上処理", "注文キャンセル", "オーソリ期間延長", "注文内容修正"):
        assert mark_on(page, words) == "△", words
    assert _BUSY in page


def test_an_act_that_no_worker_works_on_says_so(
    app: Flask, operator: FlaskClient, world: World
) -> None:
    with app.app_context():
        order = order_in(world, "仮売上")
        acts.open_attempt(order.id, OperationRequest(Operation.CAPTURE), seen(order), TANAKA)
    page = operator.get(f"/orders/{order.order_no}").text
    assert "自動処理が止まっているため、進んでいません" in page
    assert "SMBC-GPの応答を待っています" not in page
    with app.app_context():
        due_work.beat("w-1")
    app.extensions.pop("sgpshop.warnings")  # a few seconds later
    page = operator.get(f"/orders/{order.order_no}").text
    assert "自動処理が止まって" not in page
    assert "SMBC-GPの応答を待っています" in page


class TestParcel:
    """R94, R75a, R95 hold in every column."""

    @pytest.mark.parametrize("column", ["仮売上", "売上失敗"])
    def test_after_delivery_only_the_capture_stays(
        self, app: Flask, operator: FlaskClient, world: World, column: str
    ) -> None:
        with app.app_context():
            order = order_in(world, column)
            self.put(order, DeliveryStatus.DELIVERED, ProcessingClass.DELIVERED)
        page = operator.get(f"/orders/{order.order_no}").text
        assert mark_on(page, "SGPカード実売上処理") == "○"
        assert mark_on(page, "注文キャンセル") == "–"  # R94
        assert mark_on(page, "注文内容修正") == "△"  # R75a
        assert mark_on(page, "配送完了") == "–"

    @pytest.mark.parametrize("column", ["仮売上", "決済完了", "決済待ち"])
    def test_after_a_return_the_cancel_is_there_again(
        self, app: Flask, operator: FlaskClient, world: World, column: str
    ) -> None:
        with app.app_context():
            order = order_in(world, column)
            self.put(order, DeliveryStatus.RETURNED, ProcessingClass.RETURNED)
        page = operator.get(f"/orders/{order.order_no}").text
        assert mark_on(page, "注文キャンセル") == "○"  # R95
        open_words = "返金未対応" if column == "決済完了" else "取消未対応"
        assert f"返送済み・{open_words}" in page  # R90a

    def put(self, order: Order, parcel: DeliveryStatus, of: ProcessingClass) -> None:
        with writing() as session:
            row = session.get_one(Order, order.id, populate_existing=True)
            row.processing_class = of
            for delivery in row.deliveries:
                delivery.status = parcel


def test_the_lock_says_how_long_it_runs(app: Flask, operator: FlaskClient, world: World) -> None:
    with app.app_context():
        order = make_order(status=S.NEEDS_REVIEW, ordered_at=utc_now() - timedelta(minutes=10))
    page = operator.get(f"/orders/{order.order_no}").text
    assert mark_on(page, "注文キャンセル") == "△"  # R96
    assert "あと約20分" in page


def test_an_order_not_paid_by_sgp_has_no_payment_buttons(
    app: Flask, operator: FlaskClient, world: World
) -> None:
    with app.app_context():
        order = make_order(method="代金引換")
    page = operator.get(f"/orders/{order.order_no}").text
    for words in ("SGPカード実売上処理", "注文キャンセル", "オーソリ期間延長", "照合"):
        assert mark_on(page, words) == "–"
    assert mark_on(page, "配送完了") == "○"


def test_without_a_contract_every_sgp_button_is_absent(app: Flask, world: World) -> None:
    client = signed_in(app, Role.OPERATOR)
    with app.app_context():
        settings.save("test", site_id="", shop_id="")
        order = make_order()
    page = client.get(f"/orders/{order.order_no}").text
    for words in ("SGPカード実売上処理", "注文キャンセル", "変更内容をSMBC-GPに送信"):
        assert mark_on(page, words) == "–"  # R2
    assert "SGPの契約情報が未登録です" in page
