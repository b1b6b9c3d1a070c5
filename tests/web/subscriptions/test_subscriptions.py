"""The screen 定期購入 (`/subscriptions`), and what it leaves on the first page and on the order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import BillingFile, BillingState, CardTransaction, FiledNumber, Order, Role
from sgpshop.services import settings
from sgpshop.services.subscriptions import billing
from sgpshop.web.frame import limits
from tests.forms import form_of
from tests.gateway_world import World
from tests.services.arriving import open_shop
from tests.services.subscribing import Travel, jst, make_subscription
from tests.services.subscriptions.test_subscriptions_list import placed
from tests.signing_in import signed_in
from tests.web.pages import flat
from tests.web.test_once_a_page import asked

S, B = PaymentStatus, BillingState


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"WTF_CSRF_ENABLED": False, "QUIET_PERIOD": 0.0}


@pytest.fixture
def travel() -> Iterator[Travel]:
    with time_machine.travel(jst(2026, 11, 12, 12), tick=True) as traveller:
        yield traveller.move_to


@pytest.fixture(autouse=True)
def _open(app: Flask, travel: Travel, world: World) -> None:
    with app.app_context():
        open_shop()


@pytest.fixture
def viewer(app: Flask) -> FlaskClient:
    return signed_in(app, Role.VIEWER)


@pytest.fixture
def operator(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OPERATOR)


@pytest.fixture
def orders(app: Flask) -> list[Order]:
    """One on each tab: waiting with a slip number, delivered, reported, failed."""
    with app.app_context():
        return [
            make_subscription(total=1000, slip_no="1234"),
            make_subscription(total=200, delivered_at=jst(2026, 11, 3)),
            make_subscription(
                total=30, status=S.BILLING_REPORTED, delivered_at=jst(2026, 10, 3), state=B.PAID
            ),
            make_subscription(
                total=4,
                status=S.CAPTURE_FAILED,
                delivered_at=jst(2026, 10, 3),
                state=B.NOT_PAID,
                result="1",
                codes="42G830000",
            ),
        ]


def shown(page: str) -> list[str]:
    return re.findall(r'<tr id="row-[^"]+" data-order-no="([^"]+)"', page)


def test_the_tabs_with_count_and_yen(viewer: FlaskClient, orders: list[Order]) -> None:  # R108
    page = flat(viewer.get("/subscriptions"))
    for words, total in (
        ("決済待ち(未配送)", "<b>1件</b> ¥1,000"),
        ("当月配送完了(翌月登録予定)", "<b>1件</b> ¥200"),
        ("売上報告済", "<b>1件</b> ¥30"),
        ("失敗", "<b>1件</b> ¥4"),
        ("すべて", "<b>4件</b> ¥1,234"),
    ):
        assert f'{words}</span> <span class="tab-total">{total}' in page
    for tab, order in zip(("awaiting", "delivered", "reported", "failed"), orders, strict=True):
        page = flat(viewer.get(f"/subscriptions?tab={tab}"))
        assert shown(page) == [order.order_no]
        assert f'data-payment-status="{order.payment_status}" data-amount="{order.total}"' in page
        assert f'href="/orders/{order.order_no}"' in page


def test_what_comes_next_and_what_is_missing(viewer: FlaskClient, orders: list[Order]) -> None:
    page = flat(viewer.get("/subscriptions"))
    assert "登録予定日まであと28日" in page  # R108
    assert "12/10(木)</time>に登録する分</span> <b>1件</b> <span>¥200</span>" in page
    assert "11月30日(あと18日)までに配送完了にした注文が" in page
    assert 'data-reminder="1"' in page
    assert shown(flat(viewer.get("/subscriptions?tab=awaiting&reminder=1"))) == [orders[0].order_no]
    assert "まとめて配送完了にする" not in page  # that is not a viewer's
    assert "一括払いだけ" in page  # R107
    assert "デビットカード" in page


def test_the_reminder_leads_to_bulk_delivery(
    operator: FlaskClient, orders: list[Order]
) -> None:  # R51, R108
    page = flat(operator.get("/subscriptions"))
    found = re.search(r'<a href="(/orders\?[^"]+)">まとめて配送完了にする', page)
    assert found
    hits = flat(operator.get(found[1].replace("&amp;", "&")))
    assert shown(hits) == [orders[0].order_no]


def test_results_have_words(viewer: FlaskClient, orders: list[Order]) -> None:  # R105
    page = flat(viewer.get("/subscriptions?tab=failed"))
    assert "有効性NG(カードが使えません)" in page
    assert "42G830000" in page
    assert "別の方法での請求が必要" in page
    assert ">OK</span>" in flat(viewer.get("/subscriptions?tab=reported"))


def test_a_search_lives_in_the_address(viewer: FlaskClient, orders: list[Order]) -> None:  # R109
    order = orders[3]
    query = f"tab=all&result=ng&order_no={order.order_no}&going=on"
    page = flat(viewer.get(f"/subscriptions?{query}"))
    assert shown(page) == [order.order_no]
    assert f'name="order_no" value="{order.order_no}"' in page
    assert f"tab=reported&amp;result=ng&amp;order_no={order.order_no}" in page
    assert "条件に合う注文はありません" in flat(viewer.get("/subscriptions?subscription_id=zzz"))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("from=2026-13-01", "2026-11-23 のように"),
        ("from=2026-11-02&to=2026-11-01", "終了日は開始日以降"),
        ("order_no=%3Cscript%3E", "半角英数字"),
        ("email=" + "x" * 101, "100文字以内"),
        ("result=maybe", "選択肢にない値"),
        ("tab=nonsense", "選択肢にない値"),
        ("subscription_id=a%07", "使用できない文字"),
        ("cursor=zzz", "ページの指定が正しくない"),
    ],
)
def test_what_cannot_be_read_is_explained(
    viewer: FlaskClient, orders: list[Order], query: str, words: str
) -> None:
    answer = viewer.get(f"/subscriptions?{query}")
    assert answer.status_code == 422
    assert words in answer.text
    assert "<script>" not in answer.text


def test_no_query_per_row(app: Flask, viewer: FlaskClient, orders: list[Order]) -> None:
    def queries() -> int:
        with asked(app) as statements:
            viewer.get("/subscriptions?tab=all")
        return len(statements)

    viewer.get("/subscriptions?tab=all")
    few = queries()
    with app.app_context():
        for _ in range(20):
            make_subscription(delivered_at=jst(2026, 11, 3))
    assert queries() == few


def test_the_csv(operator: FlaskClient, viewer: FlaskClient, orders: list[Order]) -> None:  # S18
    answer = operator.post("/subscriptions/export", data={"tab": "reported"})
    assert answer.status_code == 200
    assert answer.data.startswith("\ufeff注文番号,".encode())
    assert re.findall(r"^(P\d+),", answer.data.decode(), re.MULTILINE) == [orders[2].order_no]
    assert "attachment" in answer.headers["Content-Disposition"]
    assert "/subscriptions/export" in operator.get("/subscriptions").text
    assert viewer.post("/subscriptions/export").status_code == 403
    assert "/subscriptions/export" not in viewer.get("/subscriptions").text
    assert operator.get("/subscriptions/export").status_code == 303  # a reload


def test_only_so_many_csv_files_are_written_at_once(
    operator: FlaskClient, orders: list[Order]
) -> None:  # S23
    with ExitStack() as writers:
        for _ in range(limits._AT_ONCE):
            writers.callback(limits._writers.release)
            assert limits._writers.acquire(blocking=False)
        refused = operator.post("/subscriptions/export", data={"tab": "reported"})
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "30")
    for _ in range(limits._AT_ONCE + 1):  # each gives its place back
        with operator.post("/subscriptions/export", data={"tab": "reported"}) as answer:
            assert orders[2].order_no in answer.text


def test_where_it_is_off_it_says_where_to_switch_it_on(app: Flask, viewer: FlaskClient) -> None:
    assert 'href="/subscriptions"' in viewer.get("/help").text
    with app.app_context():
        settings.save("test", subscription_enabled=False)
    page = viewer.get("/subscriptions").text
    assert "定期購入は利用しない設定になっています" in page  # R26
    assert "オーナーに依頼してください" in page
    owner = signed_in(app, Role.OWNER)
    assert 'href="/settings/sgp">設定画面を開く' in owner.get("/subscriptions").text
    for path in ("/", "/help", "/orders"):
        page = viewer.get(path).text
        assert 'href="/subscriptions"' not in page
        assert "定期:今月末締め" not in page
    assert owner.post("/subscriptions/export").status_code == 404


def test_the_tile_of_the_months_end(viewer: FlaskClient, orders: list[Order]) -> None:  # R155
    page = flat(viewer.get("/"))
    assert 'href="/subscriptions?tab=awaiting"' in page
    assert "定期:月末締め(あと18日)" in page
    assert "間に合わないと翌月まわし" in page


def test_a_refused_file_stays_until_it_is_acknowledged(
    app: Flask, world: World, travel: Travel
) -> None:  # R105
    with app.app_context():
        billing.resume()
        order = placed(world)
    travel(jst(2026, 12, 11, 9))
    with app.app_context():
        billing.resume()
        file_id = db.session.scalar(sa.select(BillingFile.id))
    operator, viewer = signed_in(app, Role.OPERATOR), signed_in(app, Role.VIEWER)
    address = f"/subscriptions/files/{file_id}/acknowledge"
    page = flat(viewer.get("/subscriptions"))
    assert "受け付けられませんでした" in page
    assert "決済待ちのまま" in page
    assert f'<a href="/orders/{order.order_no}">' in page
    assert "確認済みにする</button>" not in page
    assert f'data-file="{file_id}"' in flat(viewer.get("/"))
    assert viewer.post(address).status_code == 403
    assert operator.get(address).status_code == 303
    app.config["WTF_CSRF_ENABLED"] = True
    assert operator.post(address).status_code == 400  # S6
    app.config["WTF_CSRF_ENABLED"] = False
    assert operator.post(address).status_code == 303
    page = flat(operator.get("/subscriptions"))
    assert "確認済みにしました" in page
    assert "確認済みにする</button>" not in page
    assert "operatorさん</bdi>さんが確認済み" in page
    assert "data-file" not in flat(operator.get("/"))
    assert operator.post("/subscriptions/files/999/acknowledge").status_code == 404


def test_on_the_order_the_registration_and_its_result(
    viewer: FlaskClient, orders: list[Order]
) -> None:  # R105
    order = orders[3]
    page = flat(viewer.get(f"/orders/{order.order_no}"))
    assert 'data-billing-state="not_paid"' in page
    assert "2026年10月" in page
    assert f"{order.order_no}-1" in page
    error = page[page.index('id="payment-error"') :]
    assert "売上報告の結果がNGでした" in error
    assert "別の方法で請求が必要" in error
    assert "売上失敗ではなくなります" in error  # how it leaves the list
    assert "42G830000" in error
    assert "data-billing-state" not in viewer.get(f"/orders/{orders[0].order_no}").text


def test_the_buyer_of_a_registration_that_failed_is_written_to(
    operator: FlaskClient, orders: list[Order]
) -> None:
    page = operator.get(f"/orders/{orders[3].order_no}").text
    assert "文面をコピー" in page
    assert "お手続きを完了できませんでした" in page


def test_it_is_explained(viewer: FlaskClient) -> None:
    page = viewer.get("/help").text
    assert 'id="subscriptions"' in page
    assert 'id="preorders"' in page


def test_failed_ones_of_a_month_are_ticked_and_taken_again(
    app: Flask, operator: FlaskClient, orders: list[Order]
) -> None:  # R105
    failed = orders[3].order_no
    page = flat(operator.get("/subscriptions?tab=failed"))
    assert "2026年10月分の1件(¥4)をもう一度登録する" in page
    question = operator.get("/subscriptions/again?month=2026-10")
    asked = flat(question)
    assert "別の方法で代金を受け取った注文は、チェックを外してください" in asked
    token = form_of(question, "/subscriptions/again").hidden["request_token"]
    form = {"month": "2026-10", "order_no": failed, "request_token": token}
    done = operator.post("/subscriptions/again", data=form, follow_redirects=True)
    assert "1件をもう一度登録します" in flat(done)
    with app.app_context():
        order = db.session.query(Order).filter_by(order_no=failed).one()
        assert order.payment_status is S.AWAITING_BILLING


def test_nothing_ticked_or_a_month_that_is_none_is_said_so(
    operator: FlaskClient, orders: list[Order]
) -> None:
    form = {"month": "2026-10", "request_token": "a" * 32}
    answer = operator.post("/subscriptions/again", data=form, follow_redirects=True)
    assert "もう一度登録する注文を選んでください" in flat(answer)
    assert operator.get("/subscriptions/again?month=9999-99").status_code == 404


def test_a_refund_is_recorded_on_the_order(app: Flask, operator: FlaskClient) -> None:  # R104
    with app.app_context():
        order = make_subscription(
            status=S.BILLING_REPORTED, processing_class=ProcessingClass.RETURNED
        )
        with db.session.begin_nested():
            order.deliveries[0].status = DeliveryStatus.RETURNED
            order.transaction.gateway_state, order.transaction.captured_amount = "CAPTURE", 2000
        db.session.commit()
    path = f"/orders/{order.order_no}"
    assert "返金済みにする" in flat(operator.get(path))
    page = operator.get(f"{path}/refunded")
    assert 'value="2000"' in page.text
    form = form_of(page, f"{path}/refunded").hidden | {
        "refunded_on": "2026-11-12",
        "refunded_yen": "2001",
        "reason": "銀行振込",
    }
    page = operator.post(f"{path}/refunded", data=form)
    assert "1円から2,000円まで" in flat(page)
    assert 'value="2001"' in page.text
    form |= {"refunded_yen": "500"}
    done = operator.post(f"{path}/refunded", data=form, follow_redirects=True)
    assert "返金済みと記録しました" in flat(done)
    assert "要返金" not in flat(operator.get("/subscriptions?tab=attention")).split("<table")[-1]


def test_what_a_file_took_too_much_may_stay(app: Flask, operator: FlaskClient) -> None:  # R104
    with app.app_context():
        order = make_subscription(
            status=S.BILLING_REPORTED, processing_class=ProcessingClass.DELIVERED, total=2000
        )
        sold = {"gateway_state": "CAPTURE", "captured_amount": 2500, "gateway_amount": 2500}
        db.session.execute(sa.update(CardTransaction).values(**sold))
        file = BillingFile(window=date(2026, 11, 1), content="", lines=1, yen=2500)
        db.session.add(file)
        db.session.flush()
        db.session.add(FiledNumber(gateway_order_id=order.order_no, file_id=file.id))
        db.session.commit()
    path = f"/orders/{order.order_no}"
    shown = flat(operator.get(path))
    assert "多く売上になりました。差額を、購入者に返金する必要があります" in shown
    page = operator.get(f"{path}/waive-cancel")
    assert "多く売上になった ¥500 はそのまま" in flat(page)
    form = form_of(page, f"{path}/waive-cancel").hidden | {"reason": "次回の注文に充てる"}
    done = operator.post(f"{path}/waive-cancel", data=form, follow_redirects=True)
    assert "合計金額より多く売上になりましたが、このままにした注文です" in flat(done)
    undo = form_of(done, f"{path}/waive-cancel/undo").hidden
    done = operator.post(f"{path}/waive-cancel/undo", data=undo, follow_redirects=True)
    assert "差額を、購入者に返金する必要があります" in flat(done)
