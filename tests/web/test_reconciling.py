"""照合 on the screens: one order, many, a file of the console, and what has to be acknowledged."""

from __future__ import annotations

import io
import re
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.gateway import Cancellation
from sgpshop.models import Alert, CardTransaction, Operation, Order, Role, utc_now
from sgpshop.services import settings
from sgpshop.services.order_detail import editing
from sgpshop.services.payments import transaction_lookup
from sgpshop.storage.database import writing
from tests import own_worker
from tests.factories import authorized_order, fresh, make_order
from tests.gateway_world import World
from tests.services.acting import TANAKA, press, seen
from tests.signing_in import signed_in
from tests.web.pages import flat

S = PaymentStatus
HTMX = {"HX-Request": "true"}


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"WTF_CSRF_ENABLED": False, "ANSWER_WAIT": 10.0}


@pytest.fixture
def operator(app: Flask, world: World) -> FlaskClient:
    return signed_in(app, Role.OPERATOR)


def by_hand(world: World, order: Order, what: str) -> None:
    """Somebody works on the transaction in the console."""
    trade = world.gateway.search_trade(order.order_no)
    assert trade is not None
    if what == "capture":
        world.gateway.capture(trade.access, trade.total)
    elif what == "cancel":
        world.gateway.cancel(trade.access, Cancellation.VOID)
    else:
        world.gateway.change_amount(trade.access, int(what), job="AUTH")


class TestOneOrder:
    """照合 on 詳細注文情報: what was compared and what came of it, in plain sentences (R120)."""

    def press(self, operator: FlaskClient, order: Order) -> str:
        answer = operator.post(f"/orders/{order.order_no}/reconcile", headers=HTMX)
        assert answer.status_code == 200
        page = flat(answer)
        found = re.search(r'<p class="notice is-success"[^>]*>(.*?)</p>', page)
        assert found, page
        return found[1]

    def test_on_agreement_it_says_so(self, app: Flask, world: World, operator: FlaskClient) -> None:
        with app.app_context():
            order = authorized_order(world)
        assert self.press(operator, order) == (
            "SMBC-GPと照合しました。状態(仮売上)と金額(3,000円)は一致しています。"
        )

    def test_a_difference_names_both_sides(
        self, app: Flask, world: World, operator: FlaskClient
    ) -> None:
        with app.app_context():
            order = authorized_order(world)
            by_hand(world, order, "capture")
        assert self.press(operator, order) == (
            "SMBC-GPと照合しました。SMBC-GPの取引は「実売上」だったため、"
            "「仮売上」から「決済完了」に合わせました。"
        )

    def test_another_amount_and_an_unsent_edit_are_told(
        self, app: Flask, world: World, operator: FlaskClient
    ) -> None:
        with app.app_context():
            order = authorized_order(world)
            editing.correct_total(order.id, 2500, seen(order), TANAKA)
            by_hand(world, order, "3600")
        told = self.press(operator, order)
        assert "SMBC-GP側金額は3,600円に変わっていました。" in told
        assert "合計金額2,500円への変更は、まだ送信されていません。" in told

    def test_an_amount_changed_there_alone_is_not_called_unsent(
        self, app: Flask, world: World, operator: FlaskClient
    ) -> None:  # B5
        with app.app_context():
            order = authorized_order(world)
            by_hand(world, order, "3600")
        told = self.press(operator, order)
        assert told.endswith("合計金額3,000円とどちらが正しいか、確かめてください。")
        assert "送信されていません" not in told

    def test_a_check_and_an_unfinished_purchase(
        self, app: Flask, world: World, operator: FlaskClient
    ) -> None:
        with app.app_context():
            order = make_order(
                status=S.NEEDS_REVIEW, access=world.enter("P1", 3000), gateway_state="UNPROCESSED"
            )
        assert "支払いはまだ完了していません(未決済)" in self.press(operator, order)

    def test_no_answer_is_no_agreement(
        self, app: Flask, world: World, operator: FlaskClient
    ) -> None:
        with app.app_context():
            order = authorized_order(world)
        world.fault("drop_before", "SearchTrade")
        told = self.press(operator, order)
        assert "照合できませんでした" in told
        assert "一致" not in told

    def test_an_operation_in_doubt_is_looked_up_as_such(
        self, app: Flask, world: World, operator: FlaskClient
    ) -> None:
        with app.app_context():
            order = authorized_order(world)
            world.fault("drop_after")
            press(order, Operation.CAPTURE)
        assert "実売上処理の結果をSMBC-GPに確認し、「決済完了」と分かりました。" in self.press(
            operator, order
        )


class TestManyOrders:
    """照合 in the chooser 一括処理選択 (R51)."""

    def chosen(self, client: FlaskClient, *numbers: str, **more: str) -> TestResponse:
        body = urlencode(
            [("order_no", n) for n in numbers]
            + [("action", "reconcile"), ("conditions", "from=&to="), *more.items()]
        )
        headers = HTMX if "plain" not in more else {}
        return client.post(
            "/orders/bulk/reconcile",
            data=body,
            headers=headers,
            content_type="application/x-www-form-urlencoded",
        )

    def test_it_is_offered_and_needs_no_confirmation(
        self, app: Flask, world: World, operator: FlaskClient
    ) -> None:
        with app.app_context():
            order = authorized_order(world)
        chooser = flat(
            operator.post(
                "/orders/bulk/selection",
                data={"order_no": order.order_no, "do": "choose"},
                headers=HTMX,
            )
        )
        assert 'value="reconcile"' in chooser
        bar = flat(
            operator.post(
                "/orders/bulk/selection",
                data={"order_no": order.order_no, "do": "reconcile"},
                headers=HTMX,
            )
        )
        assert "処理内容: <b>照合</b>" in bar
        assert 'formaction="/orders/bulk/reconcile" hx-post="/orders/bulk/reconcile"' in bar
        assert "対象外" not in bar

    def test_the_look_ups_are_planned_now(
        self, app: Flask, world: World, operator: FlaskClient
    ) -> None:
        with app.app_context():
            orders = [authorized_order(world) for _ in range(3)]
            other = make_order(method="代金引換", status=None)
        answer = self.chosen(operator, *(o.order_no for o in [*orders, other]))
        assert "3件をSMBC-GPと照合します。" in answer.text
        assert "SGPカード決済ではない1件は対象外です。" in answer.text
        with app.app_context():
            planned = db.session.scalars(
                sa.select(CardTransaction.order_id).where(CardTransaction.next_look_at.is_not(None))
            ).all()
        assert sorted(planned) == [o.id for o in orders]

    def test_the_result_appears_by_itself(
        self, app: Flask, world: World, operator: FlaskClient
    ) -> None:
        with app.app_context():
            order = authorized_order(world)
            by_hand(world, order, "capture")
        bar = self.chosen(operator, order.order_no).text
        found = re.search(r'hx-get="(/orders/bulk/reconciled\?since=[^"]+)"', bar)
        assert found
        query = {"shown": str(order.id), "conditions": "from=&to=", "order_no": order.order_no}
        waiting = operator.get(f"{found[1]}&{urlencode(query)}", headers=HTMX).text
        assert "load delay:3s" in waiting
        assert f'id="row-{order.order_no}"' not in waiting
        with app.app_context():
            transaction = fresh(order).transaction
            assert transaction is not None
            transaction_lookup.look_up(transaction.id)
        shown = flat(operator.get(f"{found[1]}&{urlencode(query)}", headers=HTMX))
        assert "load delay:3s" not in shown  # the polling ends by itself
        assert f'id="row-{order.order_no}"' in shown
        assert 'data-payment-status="captured"' in shown
        assert 'autocomplete="off" checked' in shown  # the tick is kept

    def test_without_javascript_it_is_the_list_again(
        self, app: Flask, world: World, operator: FlaskClient
    ) -> None:
        with app.app_context():
            order = authorized_order(world)
        page = flat(self.chosen(operator, order.order_no, plain="1"))
        assert "<html" in page
        assert "1件をSMBC-GPと照合します。" in page
        assert "checked" in page
        assert operator.get("/orders/bulk/reconcile").status_code == 303  # a reload

    def test_not_more_than_the_shop_allows(
        self, app: Flask, world: World, operator: FlaskClient
    ) -> None:  # R50
        with app.app_context():
            settings.save("test", bulk_max=1)
            orders = [authorized_order(world) for _ in range(2)]
        answer = self.chosen(operator, *(o.order_no for o in orders))
        assert answer.status_code == 422
        assert "1件まで" in answer.text

    def test_nothing_chosen(self, operator: FlaskClient) -> None:  # R46
        answer = self.chosen(operator)
        assert answer.status_code == 422
        assert "注文が選択されていません" in answer.text

    def test_a_viewer_may_not(self, app: Flask, world: World) -> None:
        assert self.chosen(signed_in(app, Role.VIEWER), "P1").status_code == 403


class TestAlerts:
    """What a look-up found stays until a person has acknowledged it (R121)."""

    @pytest.fixture
    def order(self, app: Flask, world: World, operator: FlaskClient) -> Order:
        """決済完了 here; a change in the console undid the sale, and 照合 found that."""
        with app.app_context():
            order = press(authorized_order(world), Operation.CAPTURE)
            by_hand(world, order, "3000")
        operator.post(f"/orders/{order.order_no}/reconcile")
        return order

    def address(self, app: Flask) -> str:
        with app.app_context():
            alert = db.session.query(Alert).one()
            return f"/orders/{alert.order.order_no}/alerts/{alert.id}/acknowledge"

    def look(self, transaction_id: int) -> None:
        transaction_lookup.look_soon_at([transaction_id])
        transaction_lookup.look_up(transaction_id)

    def read(self, operator: FlaskClient, order: Order) -> dict[str, str]:
        """What the form of the page says of the alert on it."""
        page = operator.get(f"/orders/{order.order_no}").text
        [mark] = re.findall(r'name="read" value="(\w+)"', page)
        return {"read": mark}

    def test_on_the_order(self, operator: FlaskClient, order: Order) -> None:
        page = flat(operator.get(f"/orders/{order.order_no}"))
        assert 'data-payment-status="authorized"' in page
        assert 'data-alert="uncollected"' in page
        assert "代金を受け取れていません" in page
        assert "確認済みにする" in page

    def test_on_the_first_page_with_its_tile(self, operator: FlaskClient, order: Order) -> None:
        page = flat(operator.get("/"))
        assert 'data-alert="uncollected"' in page
        assert f'<a href="/orders/{order.order_no}">' in page
        assert re.search(r"SMBC-GPとの食い違い</a> <span class=\"work-count\"><b>1</b>", page)
        hits = flat(operator.get("/orders?alert=1"))
        assert hits.count("<tr id=") == 1

    def test_until_somebody_acknowledges_it(
        self, app: Flask, operator: FlaskClient, order: Order
    ) -> None:
        address = self.address(app)
        note = {"reason": "返金ではなく金額変更でした"}
        answer = operator.post(address, data=self.read(operator, order) | note)
        assert answer.status_code == 303
        page = flat(operator.get(answer.location))
        assert "data-alert" not in page
        assert "さんが「未回収」を確認済みにしました(メモ:返金ではなく金額変更でした)" in page  # P5
        assert "data-alert" not in flat(operator.get("/"))
        again = operator.post(address, headers=HTMX)  # P19
        assert again.status_code == 200

    def test_not_what_was_found_while_the_page_was_open(
        self, app: Flask, world: World, operator: FlaskClient
    ) -> None:  # P20
        """A hold under another number, which will lapse; and then it is captured beside the order's own."""
        with app.app_context():
            order = press(authorized_order(world), Operation.CAPTURE)
            other = world.authorize(f"{order.order_no}-1", 3000)
            with writing() as session:
                kept = CardTransaction(
                    order_id=order.id,
                    gateway_order_id=f"{order.order_no}-1",
                    sequence=1,
                    is_current=False,
                    entry_sent_at=utc_now(),
                )
                session.add(kept)
            self.look(kept.id)
        assert "仮売上 3,000円" in operator.get(f"/orders/{order.order_no}").text
        sent = self.read(operator, order)
        with app.app_context():
            world.gateway.capture(other, 3000)
            self.look(kept.id)
        answer = operator.post(self.address(app), data=sent)
        assert answer.status_code == 409
        assert "実売上 3,000円" in answer.text
        assert "data-alert" in operator.get("/").text
        assert operator.post(self.address(app), data=self.read(operator, order)).status_code == 303

    def test_a_note_that_is_too_long_is_refused(
        self, app: Flask, operator: FlaskClient, order: Order
    ) -> None:
        for note in ("x" * 201, "a\x07b"):
            answer = operator.post(self.address(app), data={"reason": note}, headers=HTMX)
            assert answer.status_code == 422
            assert "200文字以内" in answer.text
            assert "data-alert" in answer.text

    def test_a_viewer_sees_but_may_not(self, app: Flask, order: Order) -> None:
        viewer = signed_in(app, Role.VIEWER)
        page = viewer.get(f"/orders/{order.order_no}").text
        assert "data-alert" in page
        assert "確認済みにする" not in page
        assert viewer.post(self.address(app)).status_code == 403

    def test_only_with_the_token_of_the_form(
        self, app: Flask, operator: FlaskClient, order: Order
    ) -> None:  # S6
        app.config["WTF_CSRF_ENABLED"] = True
        assert operator.post(self.address(app)).status_code in (400, 403)
        assert "data-alert" in operator.get("/").text

    def test_of_another_order_it_is_not_found(
        self, app: Flask, operator: FlaskClient, order: Order
    ) -> None:
        with app.app_context():
            other = make_order().order_no
        address = self.address(app).replace(order.order_no, other)
        assert operator.post(address).status_code == 404


class TestConsoleFile:
    """取引一覧と突き合わせ (R122)."""

    def upload(self, client: FlaskClient, content: bytes) -> TestResponse:
        return client.post(
            "/orders/reconcile", data={"file": (io.BytesIO(content), "../transactions.csv")}
        )

    def console_csv(self, world: World) -> bytes:
        path = "/mulpayconsole/shop/tshop00000001/transactions.csv"
        return world.simulator.test_client().get(path).get_data()

    def test_the_list_of_the_console(self, app: Flask, world: World, operator: FlaskClient) -> None:
        with app.app_context():
            good, bad = authorized_order(world), authorized_order(world)
            by_hand(world, bad, "cancel")
            world.authorize("STRANGER", 500)
        answer = self.upload(operator, self.console_csv(world))
        page = flat(answer)
        assert answer.status_code == 200
        assert "3件中 1件が一致、1件が異なります、1件はこの管理画面にない取引" in page
        assert f'data-order-no="{bad.order_no}"' in page
        assert "状態が異なります。SMBC-GPに確認します。" in page
        assert "仮売上取消 ¥3,000" in page
        assert 'data-order-id="STRANGER"' in page
        assert good.order_no not in page
        with app.app_context():
            assert fresh(bad).payment_status is S.AUTHORIZED  # by the look-up, not by the file

    def test_equal_books_are_told_so(self, app: Flask, world: World, operator: FlaskClient) -> None:
        with app.app_context():
            authorized_order(world)
        assert "1件すべて一致しています" in self.upload(operator, self.console_csv(world)).text

    def test_unknown_words_are_told_by_line(self, operator: FlaskClient) -> None:
        page = self.upload(operator, "オーダーID,状態,金額\nP1,<b>謎</b>,1\n".encode("cp932"))
        assert 'data-line="2"' in page.text
        assert "知らない言葉です" in page.text
        assert "<b>謎" not in page.text  # S7

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"a,b\n1,2\n", b"\0\0"])
    def test_another_file_is_refused_beside_its_field(
        self, operator: FlaskClient, content: bytes
    ) -> None:
        answer = self.upload(operator, content)
        assert answer.status_code == 422
        assert 'aria-invalid="true"' in answer.text

    def test_no_file(self, operator: FlaskClient) -> None:
        answer = operator.post("/orders/reconcile", data={})
        assert answer.status_code == 422
        assert "照合するファイルを選んでください" in answer.text

    def test_it_is_linked_and_explained(self, operator: FlaskClient) -> None:
        assert 'href="/orders/reconcile"' in operator.get("/orders").text
        page = operator.get("/help").text
        assert "取引一覧と突き合わせ" in page
        assert "返金されていません" in page

    def test_a_viewer_reads_who_may(self, app: Flask, world: World) -> None:
        viewer = signed_in(app, Role.VIEWER)
        assert 'name="file"' not in viewer.get("/orders/reconcile").text
        assert self.upload(viewer, b"x").status_code == 403


@pytest.fixture(autouse=True)
def _background_ends(app: Flask) -> Any:
    yield
    own_worker.finish(app)
