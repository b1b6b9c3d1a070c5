"""詳細注文情報: 仮売上, press, 決済完了 — with and without JavaScript (R52-R61)."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Attempt, CardTransaction, Delivery, Order, OrderKind, Role, utc_now
from sgpshop.services import settings
from sgpshop.storage.database import writing
from tests import own_worker
from tests.factories import authorized_order, days_ago, fresh, make_order
from tests.forms import form_of
from tests.gateway_world import World
from tests.services.acting import correct
from tests.signing_in import PASSWORD, signed_in
from tests.web.pages import flat

HTMX = {"HX-Request": "true"}


@pytest.fixture
def operator(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OPERATOR)


@pytest.fixture
def order(app: Flask, world: World) -> Order:
    with app.app_context():
        return authorized_order(world, total=3000)


def capture_form(page: str, order_no: str) -> dict[str, str]:
    """What the confirmation form carries."""
    return form_of(page, f"/orders/{order_no}/capture").hidden


def press(client: FlaskClient, order_no: str, headers: dict[str, str] | None = None) -> str:
    """Open the confirmation and go ahead; the page or fragment that comes back."""
    page = client.get(f"/orders/{order_no}/capture", headers=headers).text
    answer = client.post(
        f"/orders/{order_no}/capture",
        data=capture_form(page, order_no),
        headers=headers,
        follow_redirects=True,
    )
    return answer.text


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain form", "htmx"])
def test_capture_completes_the_payment(
    app: Flask, operator: FlaskClient, world: World, order: Order, headers: dict[str, str]
) -> None:
    page = press(operator, order.order_no, headers)
    assert 'data-payment-status="captured"' in page  # R55
    assert "決済完了" in page
    assert world.trade(order.order_no)["status"] == "SALES"
    assert ("<!DOCTYPE html>" in page) is not bool(headers)


def test_the_hooks_tell_the_state(operator: FlaskClient, order: Order) -> None:
    page = operator.get(f"/orders/{order.order_no}").text
    for hook in (
        f'data-order-no="{order.order_no}"',
        'data-payment-status="authorized"',
        'data-total="3000"',
        'data-gateway-amount="3000"',
        'data-version="1"',
    ):
        assert hook in page  # interfaces.md §4


def test_a_confirmation_shows_what_will_be_charged(operator: FlaskClient, order: Order) -> None:
    page = operator.get(f"/orders/{order.order_no}/capture").text
    assert "¥3,000 を実売上処理しますか" in page  # R56
    assert "data-confirm-yes" in page
    assert "data-confirm-no" in page


def test_sending_the_same_form_again_shows_the_first_result(
    operator: FlaskClient, world: World, order: Order
) -> None:
    url = f"/orders/{order.order_no}/capture"
    form = form_of(operator.get(url), url).hidden
    for _ in range(2):  # double click, reload, back (P19)
        page = operator.post(url, data=form, follow_redirects=True).text
        assert "決済完了" in page
    assert world.sales(order.order_no) == 1


def test_a_second_tab_is_told_that_the_order_changed(
    operator: FlaskClient, world: World, order: Order
) -> None:
    url = f"/orders/{order.order_no}/capture"
    first, second = (form_of(operator.get(url), url).hidden for _ in range(2))
    operator.post(url, data=first)
    answer = operator.post(url, data=second)
    assert answer.status_code == 409  # R61
    assert "開いている間に更新されました" in answer.text
    assert 'data-payment-status="captured"' in answer.text  # the fresh screen
    assert world.sales(order.order_no) == 1


def test_an_altered_form_does_nothing(operator: FlaskClient, world: World, order: Order) -> None:
    url = f"/orders/{order.order_no}/capture"
    form = form_of(operator.get(url), url).hidden
    for bad in (
        {"version": "x"},
        {"amount": "1e3"},
        {"amount": "99999999999999999999"},
        {"request_token": "short"},
        {"version": ""},
        {"amount": "3001"},
    ):
        answer = operator.post(url, data=form | bad)
        assert answer.status_code in (409, 422), bad
        assert "notice is-error" in answer.text, bad
        assert world.requests(order.order_no) == [], bad


def test_a_declined_capture_explains_itself_and_a_retry_succeeds(
    operator: FlaskClient, world: World, order: Order
) -> None:
    world.fault("error:42G030000")
    page = press(operator, order.order_no)
    assert 'data-payment-status="capture_failed"' in page
    error = page[page.index('id="payment-error"') :]
    assert "<h3>エラー内容</h3>" in error
    assert "42G030000" in error  # R15, R16: code, words, next step, time, operator
    assert "次にすること" in error
    assert "決済完了" in press(operator, order.order_no)  # R41


class TestSlowGateway:
    @pytest.fixture
    def overrides(self) -> dict[str, object]:
        return {"ANSWER_WAIT": 0.0}

    def test_a_slow_answer_shows_processing_and_polls(
        self, app: Flask, operator: FlaskClient, world: World, order: Order
    ) -> None:
        world.fault("delay:1")
        page = press(operator, order.order_no)
        assert "処理中" in page
        assert f'hx-get="/orders/{order.order_no}?waited=1"' in page
        assert 'hx-trigger="load delay:1s"' in page
        assert "disabled" in page[page.index("SGPカード実売上処理") - 200 :]
        own_worker.finish(app)
        page = operator.get(f"/orders/{order.order_no}", headers=HTMX).text
        assert 'data-payment-status="captured"' in page
        assert "hx-trigger" not in page  # the finished fragment stops polling by itself


def test_a_lost_answer_shows_what_is_uncertain_and_since_when(
    operator: FlaskClient, world: World, order: Order
) -> None:
    world.fault("drop_after")
    world.fault("http:503", "SearchTrade", times=50)
    page = press(operator, order.order_no)
    assert 'data-payment-status="needs_review"' in page  # R18
    error = page[page.index('id="payment-error"') :]
    assert "結果確認中(実売上処理)" in error
    assert "に送信した実売上処理(¥3,000)" in error
    assert "次の確認" in error


def test_an_outcome_unknown_for_a_moment_is_not_as_old_as_its_order(
    app: Flask, operator: FlaskClient, world: World
) -> None:
    with app.app_context():
        order = authorized_order(world, ordered_at=days_ago(6))
    world.fault("drop_after")
    world.fault("http:503", "SearchTrade", times=50)
    press(operator, order.order_no)
    listing = operator.get("/orders?status=needs_review&from=&to=").text
    assert order.order_no in listing
    assert "6日経過" not in listing
    assert order.order_no not in operator.get("/orders?waiting_hours=1&from=&to=").text


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (PaymentStatus.CAPTURED, OrderKind.NORMAL, None),
        (PaymentStatus.CANCELLED, OrderKind.NORMAL, None),
        (PaymentStatus.NEEDS_REVIEW, OrderKind.NORMAL, None),
        (PaymentStatus.AWAITING_BILLING, OrderKind.SUBSCRIPTION, None),
        (PaymentStatus.BILLING_REPORTED, OrderKind.SUBSCRIPTION, None),
        (PaymentStatus.CAPTURE_FAILED, OrderKind.SUBSCRIPTION, None),
        (PaymentStatus.AUTHORIZED, OrderKind.NORMAL, ""),
        (PaymentStatus.CAPTURE_FAILED, OrderKind.NORMAL, ""),
    ],
)
def test_the_button_is_there_exactly_when_the_table_says(
    app: Flask,
    operator: FlaskClient,
    world: World,
    status: PaymentStatus,
    kind: OrderKind,
    words: str | None,
) -> None:
    with app.app_context():
        is_checked = kind is OrderKind.SUBSCRIPTION  # nothing but its card was
        held = {"gateway_state": "CHECK"} if is_checked else {}
        order = authorized_order(world, status=status, kind=kind, **held)
    page = operator.get(f"/orders/{order.order_no}").text
    button = re.search(r"<button[^>]*>SGPカード実売上処理</button>", page)
    assert (button is None) is (words is None)  # §4.3, R23
    if button:
        assert ("disabled" in button[0]) is bool(words)
        assert words in page  # R60: the reason stands there in words


def test_an_unsent_amount_is_refused_with_the_reason(
    app: Flask, operator: FlaskClient, world: World
) -> None:
    with app.app_context():
        order = authorized_order(world, gateway_amount=2500)
    page = operator.get(f"/orders/{order.order_no}").text
    assert "金額の変更がSMBC-GPに送信されていません" in page  # R72a
    answer = operator.get(f"/orders/{order.order_no}/capture").text
    assert "data-confirm-yes" not in answer


def test_without_a_contract_there_is_no_button_but_a_notice(
    app: Flask, operator: FlaskClient
) -> None:
    with app.app_context():
        order = make_order()
    page = operator.get(f"/orders/{order.order_no}").text
    assert "契約情報が未登録" in page  # R2
    assert "SGPカード実売上処理</button>" not in page


def test_console_links_carry_the_contracts_ids(operator: FlaskClient, order: Order) -> None:
    page = operator.get(f"/orders/{order.order_no}").text
    assert "/mulpayconsole/site/tsite00000001/login/" in page  # R3
    assert "/mulpayconsole/shop/tshop00000001/login/" in page  # R4
    assert page.count('rel="noopener noreferrer"') >= 2  # R6


@pytest.mark.parametrize("address", ["http://127.0.0.1:8001", "https://p01.smbc-gp.co.jp"])
def test_the_practice_console_opens_at_the_order_that_is_meant(
    app: Flask, operator: FlaskClient, order: Order, address: str
) -> None:
    """SMBC-GP's own begins with a login: there the title says what to search for."""
    app.config["GATEWAY_URL"] = address
    page = operator.get(f"/orders/{order.order_no}").text
    is_practice = address.startswith("http:")
    assert (f'/login/?order_id={order.order_no}"' in page) is is_practice


def test_several_deliveries_are_listed_each_with_its_items(
    app: Flask, operator: FlaskClient, world: World
) -> None:
    with app.app_context():
        order = authorized_order(world)
        with writing() as session:
            session.add(Delivery(order_id=order.id, number=2, name="鈴木 一郎"))
    page = operator.get(f"/orders/{order.order_no}").text
    assert "お届け先が2件" in page  # R59
    assert "鈴木 一郎" in page


@pytest.mark.parametrize(
    ("parcel", "differs"),
    [
        ({"name": "", "address": ""}, False),
        ({"name": "佐藤 花子", "address": "千代田区1-1"}, False),
        ({"name": "鈴木 一郎", "address": ""}, True),
        ({"name": "佐藤 花子", "address": "港区2-2"}, True),
    ],
)
@pytest.mark.parametrize("number", [0, 2], ids=["only parcel", "second parcel"])
def test_a_recipient_other_than_the_buyer_is_noticed(
    app: Flask,
    operator: FlaskClient,
    world: World,
    number: int,
    parcel: dict[str, str],
    differs: bool,
) -> None:
    with app.app_context():
        order = authorized_order(world, buyer_address="千代田区1-1")
        with writing() as session:
            if number == 0:
                session.execute(sa.update(Delivery).values(**parcel))
            else:
                session.add(Delivery(order_id=order.id, number=number, **parcel))
    page = operator.get(f"/orders/{order.order_no}").text
    assert ("ギフト" in page) is differs  # R59
    assert ("お届け先が2件" in page) is bool(number)


@pytest.mark.parametrize("look_problem", ["", "not_found"])
@pytest.mark.parametrize(
    ("hours", "words", "is_overdue"),
    [(0.2, None, False), (5, "5時間経過", False), (25, "1日経過", True)],
)
def test_an_order_in_review_shows_its_age_and_where_to_look(
    app: Flask,
    operator: FlaskClient,
    world: World,
    look_problem: str,
    hours: float,
    words: str | None,
    is_overdue: bool,
) -> None:
    with app.app_context():
        order = make_order(status=PaymentStatus.NEEDS_REVIEW, ordered_at=days_ago(hours / 24))
        with writing() as session:
            session.execute(sa.update(CardTransaction).values(look_problem=look_problem))
    page = operator.get(f"/orders/{order.order_no}").text
    start = page.index('id="payment-error"')
    notice = page[start : page.index("</div>", start)]
    assert ("経過" in notice) is (words is not None)
    assert words is None or words in notice  # R19
    assert ("管理画面で確認" in notice) is is_overdue
    is_alarming = "is-warning" in notice or "is-error" in notice
    assert is_alarming is (words is not None)  # R20: none at all under 30 minutes


def test_a_hostile_order_runs_nothing(app: Flask, operator: FlaskClient, world: World) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    with app.app_context():
        order = authorized_order(world, buyer=evil, note=evil)
    page = operator.get(f"/orders/{order.order_no}").text
    assert "<script>alert" not in page  # S7
    assert "<img src=x" not in page


def test_an_order_that_is_not_there(operator: FlaskClient) -> None:
    for path in ("/orders/P000", "/orders/%00", "/orders/" + "9" * 500, "/orders/P1/capture"):
        answer = operator.get(path)
        assert answer.status_code in (400, 404)


def test_viewers_see_but_do_not_capture(app: Flask, world: World, order: Order) -> None:
    viewer = signed_in(app, Role.VIEWER)
    page = viewer.get(f"/orders/{order.order_no}").text
    assert "閲覧者は操作できません" in page
    assert "閲覧者は注文内容を修正できません" in page
    shipper = signed_in(app, Role.SHIPPER, name="発送の人").get(f"/orders/{order.order_no}").text
    assert "発送担当は注文内容を修正できません" in shipper
    assert viewer.get(f"/orders/{order.order_no}/capture").status_code == 403
    assert viewer.post(f"/orders/{order.order_no}/capture").status_code in (400, 403)
    assert world.requests(order.order_no) == []
    with app.app_context():
        assert fresh(order).payment_status is PaymentStatus.AUTHORIZED


def go_ahead(
    client: FlaskClient,
    order_no: str,
    act: str,
    headers: dict[str, str] | None = None,
    **typed: str,
) -> TestResponse:
    """Open the confirmation of an act and go ahead; what comes back in the end."""
    url = f"/orders/{order_no}/{act}"
    form = form_of(client.get(url, headers=headers).text, url).hidden
    return client.post(url, data=form | typed, headers=headers, follow_redirects=True)


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain form", "htmx"])
class TestCancel:
    def test_the_confirmation_says_that_the_hold_is_released(
        self, operator: FlaskClient, order: Order, world: World, headers: dict[str, str]
    ) -> None:
        page = operator.get(f"/orders/{order.order_no}/cancel", headers=headers).text
        assert "カードの利用枠" in page  # R99
        assert "refund_confirmed" not in page
        page = go_ahead(operator, order.order_no, "cancel", headers, restock="1").text
        assert 'data-payment-status="cancelled"' in page  # R91
        assert "は解放済みです" in page
        assert "(在庫戻し)" in page  # R93: told in the history
        assert world.trade(order.order_no)["status"] == "VOID"

    def test_a_refund_is_confirmed_twice(
        self, operator: FlaskClient, order: Order, world: World, headers: dict[str, str]
    ) -> None:
        press(operator, order.order_no)
        page = operator.get(f"/orders/{order.order_no}/cancel", headers=headers).text
        assert "売上済みの決済を取り消します(返金)" in page  # R99
        refused = go_ahead(operator, order.order_no, "cancel", headers)
        assert refused.status_code == 422  # S21
        assert "確認欄にチェック" in refused.text
        assert "data-confirm-yes" in refused.text  # the confirmation is still open
        assert world.trade(order.order_no)["status"] == "SALES"
        page = go_ahead(operator, order.order_no, "cancel", headers, refund_confirmed="1").text
        assert 'data-payment-status="cancelled"' in page
        assert "は返金済みです" in page
        assert "(返金)" in page
        assert world.trade(order.order_no)["status"] == "VOID"

    def test_the_gateways_refusal_is_shown_and_changes_nothing(
        self, operator: FlaskClient, order: Order, world: World, headers: dict[str, str]
    ) -> None:
        world.fault("error:E11010010")
        page = go_ahead(operator, order.order_no, "cancel", headers).text
        assert 'data-payment-status="authorized"' in page  # R98
        error = page[page.index('id="payment-error"') :]
        assert "SMBC-GPに断られました(注文キャンセル)" in error
        assert "E11010010" in error

    def test_a_lost_answer_is_named_with_its_operation(
        self, operator: FlaskClient, order: Order, world: World, headers: dict[str, str]
    ) -> None:
        world.fault("drop_after")
        page = go_ahead(operator, order.order_no, "cancel", headers).text
        assert 'data-payment-status="needs_review"' in page
        assert "結果確認中(注文キャンセル)" in page  # R140, P3

    def test_sending_the_form_again_shows_the_first_result(
        self, operator: FlaskClient, order: Order, world: World, headers: dict[str, str]
    ) -> None:
        url = f"/orders/{order.order_no}/cancel"
        form = form_of(operator.get(url, headers=headers).text, url).hidden
        for _ in range(2):  # P19
            page = operator.post(url, data=form, headers=headers, follow_redirects=True).text
            assert 'data-payment-status="cancelled"' in page
        assert len(world.requests(order.order_no)) == 1


@pytest.fixture
def corrected(app: Flask, world: World) -> Order:
    """仮売上 ¥3,000, corrected to ¥2,500 and not sent."""
    with app.app_context():
        return correct(authorized_order(world, total=3000), 2500)


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain form", "htmx"])
class TestSend:
    def test_one_press_sends_and_the_capture_is_next(
        self, operator: FlaskClient, corrected: Order, world: World, headers: dict[str, str]
    ) -> None:
        number = corrected.order_no
        url = f"/orders/{number}/send-changes"
        form = form_of(operator.get(f"/orders/{number}").text, url).hidden
        page = operator.post(url, data=form, headers=headers, follow_redirects=True).text
        assert 'data-gateway-amount="2500"' in page  # R68
        assert "送信済み(" in page
        assert world.trade(number)["amount"] == 2500
        assert 'data-payment-status="captured"' in press(operator, number, headers)  # R73

    def test_a_declined_change_explains_itself(
        self, operator: FlaskClient, corrected: Order, world: World, headers: dict[str, str]
    ) -> None:
        world.fault("error:42G550000", "ChangeTran")
        number = corrected.order_no
        url = f"/orders/{number}/send-changes"
        form = form_of(operator.get(f"/orders/{number}").text, url).hidden
        page = operator.post(url, data=form, headers=headers, follow_redirects=True).text
        error = page[page.index('id="payment-error"') :]
        assert "カード会社に断られました(金額変更の送信)" in error  # R71
        assert 'data-gateway-amount="3000"' in page

    def test_both_steps_with_one_confirmation(
        self, operator: FlaskClient, corrected: Order, world: World, headers: dict[str, str]
    ) -> None:
        page = go_ahead(operator, corrected.order_no, "send-and-capture", headers).text
        assert 'data-payment-status="captured"' in page
        assert world.trade(corrected.order_no)["status"] == "SALES"
        assert world.trade(corrected.order_no)["amount"] == 2500

    def test_a_direct_capture_is_refused_before_any_call(
        self, operator: FlaskClient, corrected: Order, world: World, headers: dict[str, str]
    ) -> None:
        page = operator.get(f"/orders/{corrected.order_no}").text
        form = form_of(page, f"/orders/{corrected.order_no}/send-changes").hidden
        answer = operator.post(f"/orders/{corrected.order_no}/capture", data=form, headers=headers)
        assert answer.status_code == 422  # R72a
        assert "金額の変更がSMBC-GPに送信されていません" in answer.text
        assert world.requests(corrected.order_no) == []


def test_the_hold_is_extended(
    app: Flask, operator: FlaskClient, world: World, order: Order
) -> None:
    with app.app_context():
        settings.save("test", extend_auth_enabled=True)
    page = go_ahead(operator, order.order_no, "extend").text
    assert "オーソリ期間延長が完了しました" in page  # R83
    assert [r["params"]["Amount"] for r in world.requests(order.order_no, "ChangeTran")] == ["3000"]


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain form", "htmx"])
def test_reconciling_follows_the_gateway(
    operator: FlaskClient, world: World, order: Order, headers: dict[str, str]
) -> None:
    trade = world.gateway.search_trade(order.order_no)
    assert trade is not None
    world.gateway.capture(trade.access, 3000)  # by hand, in the console
    url = f"/orders/{order.order_no}/reconcile"
    form = form_of(operator.get(f"/orders/{order.order_no}").text, url).hidden
    page = operator.post(url, data=form, headers=headers, follow_redirects=True).text
    assert 'data-payment-status="captured"' in page  # R120, P18
    assert "SMBC-GPの取引は「実売上」だったため" in page


def test_a_reload_of_what_only_forms_are_sent_to_shows_the_screen(
    operator: FlaskClient, order: Order
) -> None:
    for act in ("send-changes", "reconcile"):
        answer = operator.get(f"/orders/{order.order_no}/{act}")
        assert answer.headers["Location"] == f"/orders/{order.order_no}"


def test_the_same_cancel_form_again_shows_how_it_stands(
    operator: FlaskClient, world: World, order: Order
) -> None:
    """P19, also while nobody knows the outcome."""
    url = f"/orders/{order.order_no}/cancel"
    form = form_of(operator.get(url).text, url).hidden
    world.fault("drop_after")
    for _ in range(2):
        page = operator.post(url, data=form, follow_redirects=True)
        assert page.status_code == 200
        assert (
            "結果確認中(注文キャンセル)" in page.text
            or 'data-payment-status="cancelled"' in page.text
        )
    assert len(world.requests(order.order_no)) == 1


def test_the_same_cancel_form_of_an_unbilled_order_again(
    app: Flask, operator: FlaskClient, world: World
) -> None:
    with app.app_context():
        order = make_order(status=PaymentStatus.AWAITING_BILLING, kind=OrderKind.SUBSCRIPTION)
    url = f"/orders/{order.order_no}/cancel"
    form = form_of(operator.get(url).text, url).hidden
    for _ in range(2):  # P19
        page = operator.post(url, data=form, follow_redirects=True)
        assert page.status_code == 200
        assert 'data-payment-status="cancelled"' in page.text


def test_a_doubt_is_ended_by_hand_with_reason_and_password(
    app: Flask, operator: FlaskClient, world: World, order: Order
) -> None:
    """P15, S5: not without the password, not another operation than was shown."""
    world.fault("drop_after")
    world.fault("http:503", "SearchTrade", times=50)
    press(operator, order.order_no)
    with app.app_context():
        long_ago = {"uncertain_since": utc_now() - timedelta(hours=2)}
        with writing() as session:
            session.execute(sa.update(Attempt).values(long_ago))
    url = f"/orders/{order.order_no}/close-uncertain"
    form = form_of(operator.get(url).text, url).hidden | {
        "why": "管理画面で確認",
        "password": PASSWORD,
    }
    for wrong in ({"password": "wrong"}, {"why": ""}, {"attempt_id": "9999"}, {"attempt_id": "x"}):
        refused = operator.post(url, data=form | wrong)
        assert refused.status_code in (409, 422), wrong
        assert 'data-payment-status="needs_review"' in refused.text
    page = operator.post(url, data=form, follow_redirects=True).text
    assert "自動確認をやめました" in page
    assert 'data-payment-status="needs_review"' in page  # P3: only a look-up will tell


def test_after_a_cancel_the_screen_says_that_the_hold_is_gone(
    operator: FlaskClient, order: Order
) -> None:
    url = f"/orders/{order.order_no}/cancel"
    asked = operator.get(url).text
    assert "クーポンの使用回数" not in asked  # none was used
    done = operator.post(url, data=form_of(asked, url).hidden, follow_redirects=True)
    assert re.search(r"¥0 <span[^>]*>\(¥[\d,]+ は解放済み\)", flat(done))
