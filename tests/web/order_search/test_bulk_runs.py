"""一括処理: tick, choose, confirm, watch, read the result — with HTMX and as plain forms (R39-R50)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import BulkRun, Order, OrderKind, Role, utc_now
from sgpshop.services import settings
from sgpshop.services.installation.health import due_work
from sgpshop.storage.database import writing
from sgpshop.worker.engine import Worker
from tests.factories import authorized_order, days_ago, fresh, make_order
from tests.forms import hidden_of, token_of
from tests.gateway_world import World
from tests.signing_in import signed_in
from tests.web.pages import flat

HTMX = {"HX-Request": "true"}
BOTH = pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain form", "htmx"])
ACTION = {"action": "sgp_capture"}


class Browser:
    """A signed-in person at the list."""

    def __init__(self, app: Flask, role: Role = Role.OPERATOR, name: str = "") -> None:
        self.client: FlaskClient = signed_in(app, role, name)
        self._token = token_of(self.client.get("/orders"))

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.client.get(path, **options)

    def post(self, path: str, headers: dict[str, str] | None = None, **data: Any) -> TestResponse:
        data = {"csrf_token": self._token, "conditions": "from=&to=", **data}
        return self.client.post(path, data=data, headers=headers)

    def begin(
        self, run_id: str, headers: dict[str, str] | None = None, **data: Any
    ) -> TestResponse:
        """Press the button of the confirmation, as it is now."""
        seen = hidden_of(self.get(f"/orders/bulk/{run_id}"))
        return self.post(f"/orders/bulk/{run_id}/start", headers, **seen | data)

    def prepare(self, *orders: Order, **data: Any) -> str:
        """Press 処理を実行; the id of the run that waits for confirmation."""
        chosen = {"order_no": [order.order_no for order in orders], **ACTION, **data}
        answer = self.post("/orders/bulk", **chosen)
        assert answer.status_code == 303, flat(answer)
        return answer.location.rsplit("/", 1)[1]


@pytest.fixture
def operator(app: Flask, world: World) -> Browser:
    return Browser(app)


@pytest.fixture
def orders(app: Flask, world: World) -> list[Order]:
    with app.app_context():
        return [authorized_order(world, total=1000 * n) for n in (1, 2, 3)]


def words(html: str) -> str:
    """The text of a page, spaces made one."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", html))


def bar(html: str) -> str:
    return html[html.index('id="bulk-bar"') :]


def run_button(html: str) -> str:
    found = re.search(r'<button[^>]*id="run-bulk"[^>]*>', html)
    assert found
    return found[0]


def work(app: Flask) -> None:
    """Let the worker do all that is due."""
    Worker(app).run(until_idle=True)


@BOTH
def test_choosing_the_action_before_or_after_ticking(
    operator: Browser, orders: list[Order], headers: dict[str, str]
) -> None:
    select = "/orders/bulk/selection"
    ticked = {"order_no": [order.order_no for order in orders[:2]]}
    page = flat(operator.post(select, headers, do="choose"))
    assert "一括処理選択" in page  # R39
    assert "SGPカード決済</button>" in page
    page = flat(operator.post(select, headers, do="sgp_capture"))
    assert "処理内容: SGPカード決済" in words(bar(page))
    assert "disabled" in run_button(page)  # R46: nothing is ticked
    page = flat(operator.post(select, headers, **ACTION, **ticked))
    assert "2件を選択 ¥3,000" in words(bar(page))
    assert "disabled" not in run_button(page)
    page = flat(operator.post(select, headers, **ticked))
    assert "disabled" in run_button(page)  # R46: no action is chosen
    page = flat(operator.post(select, headers, do="sgp_capture", **ticked))
    assert "disabled" not in run_button(page)


@BOTH
def test_the_keyboard_goes_on_at_the_run_button_once_an_action_is_chosen(
    operator: Browser, orders: list[Order], headers: dict[str, str]
) -> None:
    select, ticked = "/orders/bulk/selection", {"order_no": orders[0].order_no}
    page = flat(operator.post(select, headers, do="sgp_capture", **ticked))
    assert "autofocus" in run_button(page)
    page = flat(operator.post(select, headers, do="sgp_capture"))
    assert "autofocus" not in run_button(page)  # disabled: it cannot have the focus
    page = flat(operator.post(select, headers, **ACTION, **ticked))
    assert "autofocus" not in run_button(page)  # only ticking leaves the focus where it is


def test_without_javascript_the_ticks_survive_every_press(
    operator: Browser, orders: list[Order]
) -> None:
    page = flat(operator.post("/orders/bulk/selection", do="choose", order_no=orders[1].order_no))
    checked = re.findall(r'name="order_no" value="([^"]+)"[^>]* checked', page)
    assert checked == [orders[1].order_no]


def test_orders_that_cannot_be_captured_may_be_ticked_and_are_counted_out(
    app: Flask, operator: Browser, orders: list[Order]
) -> None:
    with app.app_context():
        others = [
            make_order(status=PaymentStatus.CAPTURED),
            make_order(status=PaymentStatus.CANCELLED),
            make_order(kind=OrderKind.SUBSCRIPTION, status=PaymentStatus.AWAITING_BILLING),
        ]
    chosen = [order.order_no for order in (orders[0], *others)]
    text = words(bar(flat(operator.post("/orders/bulk/selection", HTMX, order_no=chosen))))
    assert "4件を選択 ¥1,000 うち3件は対象外" in text
    for reason in ("決済完了済み 1件", "注文キャンセル済み 1件", "定期購入 1件"):
        assert reason in text  # R42


@BOTH
@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"order_no": "x", **ACTION}, "注文が選択されていません"),
        (ACTION, "注文が選択されていません"),
        ({"order_no": "x"}, "処理内容が選択されていません"),
        ({"order_no": "x", "action": "bill"}, "処理内容が選択されていません"),
    ],
)
def test_the_server_refuses_what_the_button_would_not_allow(
    app: Flask, operator: Browser, headers: dict[str, str], data: dict[str, str], sentence: str
) -> None:
    answer = operator.post("/orders/bulk", headers, **data)
    assert answer.status_code == 422  # R46
    assert sentence in flat(answer)
    with app.app_context():
        assert db.session.query(BulkRun).count() == 0


def test_too_many_orders_are_refused_with_the_count(
    app: Flask, operator: Browser, orders: list[Order]
) -> None:
    with app.app_context():
        settings.save("test", bulk_max=1)
    everything = {"all_hits": "1"}
    one_by_one = {"order_no": [order.order_no for order in orders]}
    for chosen in (everything, one_by_one):
        answer = operator.post("/orders/bulk", HTMX, **ACTION, **chosen)
        assert answer.status_code == 422
        assert "1件までです(3件が選択されています)" in flat(answer)  # R50
        page = words(bar(flat(operator.post("/orders/bulk/selection", HTMX, **chosen))))
        assert "3件を選択" in page  # R44: as many as there are, not where counting stopped
        assert "1件までです(3件が選択されています)" in page
    with app.app_context():
        assert db.session.query(BulkRun).count() == 0


def test_all_hits_of_the_search_can_be_chosen(operator: Browser, orders: list[Order]) -> None:
    page = flat(operator.post("/orders/bulk/selection", HTMX, order_no=orders[0].order_no))
    assert "検索結果の全3件を選択" in page  # R44
    page = flat(operator.post("/orders/bulk/selection", HTMX, do="all_hits"))
    assert "3件を選択 ¥6,000" in words(page)
    assert 'name="all_hits" value="1"' in page
    page = flat(operator.post("/orders/bulk/selection", HTMX, do="only_ticked", all_hits="1"))
    assert 'name="all_hits"' not in page


@BOTH
def test_the_confirmation_says_what_will_happen_and_sends_nothing(
    app: Flask, world: World, operator: Browser, orders: list[Order], headers: dict[str, str]
) -> None:
    with app.app_context():
        captured = make_order(status=PaymentStatus.CAPTURED)
        unsent = authorized_order(world, total=5000, gateway_amount=4000)
        failed = authorized_order(world, total=100, status=PaymentStatus.CAPTURE_FAILED)
    chosen = [order.order_no for order in (*orders, captured, unsent, failed)]
    answer = operator.post("/orders/bulk", headers, order_no=chosen, **ACTION)
    page = flat(answer) if headers else flat(operator.get(answer.location))
    assert ("<dialog" in page) is bool(headers)
    text = words(page)
    assert "対象 4 件 合計 ¥6,100" in text  # R47
    assert "対象外 2 件" in text
    assert "決済完了済み 1件" in text
    assert f'<a href="/orders/{unsent.order_no}">' in page
    assert "うち 未処理(まだ発送していない) 4 件" in text
    assert "4件 ¥6,100 を購入者のカードに請求します" in text
    assert f"{unsent.buyer_name} 様 {unsent.order_no} 修正額が未送信" in text
    assert page.count(f">{unsent.order_no}<") == 1  # each order once
    assert "ご注意 以前失敗した注文を含みます(1件)" in text
    assert "data-confirm-yes" in page
    assert "data-confirm-no" in page
    assert world.sales(orders[0].order_no) == 0


@BOTH
def test_a_big_run_needs_a_second_confirmation(
    app: Flask, world: World, operator: Browser, headers: dict[str, str]
) -> None:
    with app.app_context():
        order = authorized_order(world, total=1_000_001)
    run_id = operator.prepare(order)
    answer = operator.begin(run_id, headers)
    assert answer.status_code == 422  # S21
    assert "チェックを入れてください" in flat(answer)
    assert 'name="sum_confirmed" value="1" required' in flat(answer)
    answer = operator.begin(run_id, headers, sum_confirmed="1")
    assert answer.status_code == (200 if headers else 303)


@BOTH
def test_nothing_more_is_begun_than_was_seen(
    app: Flask, world: World, operator: Browser, headers: dict[str, str]
) -> None:  # P20: the lock of a new order runs out while the confirmation is open
    with app.app_context():
        settings.save("test", cancel_lock_minutes=30)
        old = authorized_order(world, authorized_at=days_ago(1))
        new = authorized_order(world, authorized_at=days_ago(1))
        _ordered(new, utc_now())
    run_id = operator.prepare(old, new, action="cancel")
    seen = operator.get(f"/orders/bulk/{run_id}")
    assert "対象 1 件" in words(flat(seen))
    with app.app_context():
        _ordered(new, utc_now() - timedelta(minutes=31))
    pressed = hidden_of(seen) | {"sum_confirmed": "1"}
    answer = operator.post(f"/orders/bulk/{run_id}/start", headers, **pressed)
    assert answer.status_code == 409
    assert "まだ何も行っていません" in flat(answer)
    assert "対象 2 件" in words(flat(answer))  # what it would do now
    work(app)
    with app.app_context():
        assert fresh(old).payment_status is PaymentStatus.AUTHORIZED
    again = operator.post(
        f"/orders/bulk/{run_id}/start", headers, **hidden_of(answer), sum_confirmed="1"
    )
    assert again.status_code == (200 if headers else 303)
    work(app)
    with app.app_context():
        assert fresh(new).payment_status is PaymentStatus.CANCELLED


def _ordered(order: Order, at: datetime) -> None:
    with writing() as session:
        session.get_one(Order, order.id).ordered_at = at


def test_without_javascript_the_start_leads_to_the_run_page(
    app: Flask, world: World, operator: Browser, orders: list[Order]
) -> None:
    world.fault("error:42G020000", order_id=orders[1].order_no)
    with app.app_context():
        captured = make_order(status=PaymentStatus.CAPTURED)
    run_id = operator.prepare(*orders, captured)
    answer = operator.begin(run_id)
    assert (answer.status_code, answer.location) == (303, f"/orders/bulk/{run_id}")
    page = flat(operator.get(answer.location))
    assert 'data-run-state="running"' in page
    assert "load delay:1s" in page
    work(app)
    page = flat(operator.get(answer.location))
    for hook in (
        'data-run-state="finished"',
        'data-total="4"',
        'data-succeeded="2"',
        'data-failed="1"',
        'data-uncertain="0"',
        'data-skipped="1"',
        'data-unattempted="0"',
    ):
        assert hook in page  # interfaces.md §4
    assert "4件中 2件が決済完了、1件が売上失敗、1件は対象外" in page
    assert "完了しました" not in page
    assert "load delay:1s" not in page  # the polling ends by itself
    rows = re.findall(r'<tr data-order-no="([^"]+)" data-result="(\w+)"', page)
    assert [result for _, result in rows] == ["failed", "skipped", "succeeded", "succeeded"]
    assert "42G020000" in page
    assert "残高" in page  # R16: in words, with a next step


def test_a_run_that_no_worker_works_on_says_so(
    app: Flask, operator: Browser, orders: list[Order]
) -> None:
    run_id = operator.prepare(*orders)
    bar = flat(operator.begin(run_id, HTMX))
    page = flat(operator.get(f"/orders/bulk/{run_id}"))
    assert "画面を閉じても処理は続きます" in page
    for waiting in (bar, page):
        assert "自動処理が止まっているため、進んでいません" in waiting
    with app.app_context():
        due_work.beat("w-1")
    app.extensions.pop("sgpshop.warnings")  # a few seconds later
    assert "自動処理が止まって" not in flat(operator.get(f"/orders/bulk/{run_id}"))


def test_with_htmx_bar_rows_and_tabs_change_in_place(
    app: Flask, world: World, operator: Browser, orders: list[Order]
) -> None:
    shown = ",".join(str(order.id) for order in orders[:2])  # the third is on another page
    world.fault("error:42G020000", order_id=orders[1].order_no)
    run_id = operator.prepare(*orders)
    started = flat(operator.begin(run_id, HTMX, shown=shown))
    assert "0 / 3" in words(bar(started))
    assert started.count("<template>") == 2
    assert started.count("処理中") == 2
    poll = re.search(r'hx-get="([^"]+)"\s+hx-trigger="load delay:1s"', started)
    assert poll
    work(app)
    context = urlencode({"shown": shown, "conditions": "from=&to="})
    finished = flat(operator.get(f"{poll[1]}&{context}", headers=HTMX))
    assert "3件中 2件が決済完了、1件が売上失敗" in words(finished)
    for order, status in zip(orders[:2], ("captured", "capture_failed"), strict=True):
        assert re.search(
            rf'<tr id="row-{order.order_no}"[^>]*data-payment-status="{status}"[^>]*hx-swap-oob',
            finished,
        )
    assert finished.count('<span class="muted">残高不足</span>') == 1  # as when loaded anew
    # The rows on the page stay, whether the conditions still hold of them or not.
    assert "条件に合う注文は、いま<span>3件" in finished
    assert f"row-{orders[2].order_no}" not in finished
    assert re.search(r'id="status-tabs"[^>]*hx-swap-oob', finished)
    assert "load delay" not in finished


def test_a_second_start_repeats_nothing(
    app: Flask, world: World, operator: Browser, orders: list[Order]
) -> None:
    run_id = operator.prepare(*orders)
    for headers in (None, HTMX, None):
        assert operator.begin(run_id, headers).status_code in (200, 303)
    work(app)
    operator.begin(run_id)  # P19: Back and pressed again
    work(app)
    assert [world.sales(order.order_no) for order in orders] == [1, 1, 1]


def test_after_a_reload_the_running_bar_is_there_again(
    operator: Browser, orders: list[Order]
) -> None:
    run_id = operator.prepare(*orders)
    operator.begin(run_id)
    assert f'data-run-id="{run_id}"' in flat(operator.get("/orders"))


def test_failed_orders_can_be_chosen_again_and_then_succeed(
    app: Flask, world: World, operator: Browser, orders: list[Order]
) -> None:
    world.fault("error:42G020000", order_id=orders[0].order_no)
    run_id = operator.prepare(*orders)
    operator.begin(run_id)
    work(app)
    page = flat(operator.get(f"/orders/bulk/{run_id}"))
    assert "失敗した" in page  # R49
    again = flat(operator.get(f"/orders?failed_of={run_id}"))
    assert re.findall(r'<tr id="row-([^"]+)"', again) == [orders[0].order_no]
    assert re.search(rf'value="{orders[0].order_no}"[^>]* checked', again)
    assert "処理内容: SGPカード決済" in words(bar(again))
    assert "disabled" not in run_button(again)
    second = operator.prepare(orders[0])
    operator.begin(second)
    work(app)
    with app.app_context():
        assert fresh(orders[0]).payment_status is PaymentStatus.CAPTURED  # R41


def test_the_result_file_opens_in_a_spreadsheet_without_running_anything(
    app: Flask, world: World, operator: Browser, orders: list[Order]
) -> None:
    world.fault("error:42G020000", order_id=orders[0].order_no)
    run_id = operator.prepare(*orders)
    operator.begin(run_id)
    work(app)
    answer = operator.get(f"/orders/bulk/{run_id}/result.csv")
    assert answer.data.startswith(b"\xef\xbb\xbf")
    lines = answer.data.decode("utf-8-sig").split("\r\n")
    assert lines[0] == "注文番号,金額,結果,エラーコード,内容,次の操作"
    assert lines[1].startswith(f"{orders[0].order_no},1000,失敗,42G020000,")
    assert len(lines) == 5
    assert "attachment" in answer.headers["Content-Disposition"]


@pytest.mark.parametrize("path", ["", "/start", "/progress", "/result.csv"])
def test_an_unknown_run_is_not_found(operator: Browser, path: str) -> None:
    url = f"/orders/bulk/{'0' * 32}{path}"
    answer = operator.post(url) if path == "/start" else operator.get(url, headers=HTMX)
    assert answer.status_code == 404


def test_nobody_starts_somebody_elses_run(
    app: Flask, world: World, operator: Browser, orders: list[Order]
) -> None:
    run_id = operator.prepare(*orders)
    other = Browser(app, Role.OWNER)
    assert operator.get(f"/orders/bulk/{run_id}").status_code == 200
    assert other.get(f"/orders/bulk/{run_id}").status_code == 404
    assert other.begin(run_id).status_code == 404  # P19
    work(app)
    assert world.sales(orders[0].order_no) == 0


def test_a_fragment_opened_directly_leads_to_a_page(operator: Browser, orders: list[Order]) -> None:
    run_id = operator.prepare(*orders)
    operator.begin(run_id)
    assert operator.get(f"/orders/bulk/{run_id}/progress").location == f"/orders/bulk/{run_id}"
    assert operator.get("/orders/bulk/selection").location == "/orders"  # S9


@pytest.mark.parametrize(
    "odd",
    [
        "/progress?shown=x,1,-1,99999999999",
        "/progress?since=tomorrow",
        "/progress?since=2026-01-01",
        "/progress?since=0001-01-01T00:00:00%2B14:00",
        "/progress?since=9999-12-31T23:59:59-14:00",
        "?after=-1",
        f"?after={'9' * 25}",
    ],
)
def test_odd_values_in_the_address_do_no_harm(
    operator: Browser, orders: list[Order], odd: str
) -> None:
    run_id = operator.prepare(*orders)
    operator.begin(run_id)
    answer = operator.get(f"/orders/bulk/{run_id}{odd}", headers=HTMX)
    assert answer.status_code == 200  # S22


def test_chosen_orders_are_downloaded_as_a_file(operator: Browser, orders: list[Order]) -> None:
    numbers = [order.order_no for order in orders]
    shown = flat(operator.post("/orders/bulk/selection", do="csv_download", order_no=numbers))
    assert "処理内容: <b>CSVダウンロード</b>" in shown  # R39, R51
    assert 'formaction="/orders/bulk/export"' in shown
    answer = operator.post("/orders/bulk/export", order_no=numbers, action="csv_download")
    assert answer.mimetype == "text/csv"
    text = answer.data.decode("utf-8-sig")
    assert all(number in text for number in numbers)
    assert operator.post("/orders/bulk/export", action="csv_download").status_code == 422


def test_a_download_is_no_run(operator: Browser, orders: list[Order]) -> None:
    answer = operator.post("/orders/bulk", action="csv_download", order_no=[orders[0].order_no])
    assert answer.status_code == 422  # nothing is prepared for what is not a capture
