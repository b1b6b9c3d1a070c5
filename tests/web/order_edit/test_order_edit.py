"""注文内容修正: 編集 → 確定 → 修正額 → 送信, and the content, with and without JavaScript (R62-R77c)."""

from __future__ import annotations

import html
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import (
    ActorKind,
    Attempt,
    AttemptState,
    Delivery,
    Operation,
    Order,
    OrderKind,
    OrderLine,
    Role,
)
from sgpshop.services.order_detail import editing
from sgpshop.services.orders import history
from sgpshop.services.orders.acting import Seen
from sgpshop.services.orders.history import Actor
from sgpshop.storage.database import writing
from tests.factories import authorized_order, fresh, make_order
from tests.forms import forms_of, token_of
from tests.gateway_world import World
from tests.signing_in import signed_in
from tests.web.pages import flat

HTMX = {"HX-Request": "true"}
BAD_TOTALS = [
    ("0", "0円にする場合は注文キャンセル"),
    ("-500", "0円にする場合は注文キャンセル"),
    ("−５００", "0円にする場合は注文キャンセル"),
    ("10000000", "9,999,999円"),
    ("99999999999999999999999", "9,999,999円"),
    ("9" * 5000, "数字だけ"),
    ("abc", "数字だけ"),
    ("9500.5", "小数"),
    ("9500.0", "小数"),
    ("1e3", "数字だけ"),
    ("0x10", "数字だけ"),
    ("9_500", "数字だけ"),
    ("1,00", "数字だけ"),
    ("①", "数字だけ"),
    ("٣٤", "数字だけ"),
    ("９５００💴", "数字だけ"),
    ("NaN", "数字だけ"),
    ("", "入力してください"),
    ("   ", "入力してください"),
    ("<b>1</b>", "数字だけ"),
]
BAD_CONTENT: list[tuple[dict[str, Any], str]] = [
    ({"quantity": ["10000", ""]}, "「数量」は0〜9,999の整数"),
    ({"quantity": ["1.5", ""]}, "「数量」は0〜9,999の整数"),
    ({"quantity": ["-1", ""]}, "「数量」は0〜9,999の整数"),
    ({"quantity": ["", ""]}, "「数量」を入力してください"),
    ({"unit_price": ["10000000", ""]}, "「単価」は0〜9,999,999の整数"),
    ({"unit_price": ["9" * 400, ""]}, "「単価」は0〜9,999,999の整数"),
    ({"name": ["", ""]}, "「商品名」を入力してください"),
    ({"name": ["煎茶", "名前だけ"]}, "「単価」を入力してください"),
    ({"name": ["長" * 401, ""]}, "「商品名」は400文字以内"),
    ({"tax_rate": ["9", "10"]}, "「税率」は"),
    ({"carriage": "1e3"}, "「送料」は0〜9,999,999の整数"),
    ({"carriage": "-1"}, "「送料」は0〜9,999,999の整数"),
    ({"buyer_name": "名\u202e前\x07"}, "「注文者」に使えない制御文字"),
    ({"buyer_postal_code": "1" * 11}, "「郵便番号」は10文字以内"),
    ({"wish_date": "2026-02-30"}, "「配送希望日」は"),
    ({"carrier_code": "005"}, "「配送会社」は"),
    ({"slip_no": "#12"}, "「伝票番号」は半角"),
    ({"note": "備" * 4001}, "「備考」は4000文字以内"),
    ({"unit_price": ["0", ""]}, "合計金額が0円"),
    ({"unit_price": ["9999999", ""], "quantity": ["9999", ""]}, "9,999,999円(7桁)"),
    ({"tax_8": "20000"}, "消費税8%は、8%対象の金額(10,000円)以下"),
]
BROKEN: list[dict[str, Any]] = [
    {"version": "x"},
    {"version": ""},
    {"version": "99999999999999999999"},
    {"amount": "1e3"},
    {"amount": "9999"},
    {"request_token": "short"},
    {"line_id": ["999999", ""]},
    {"line_id": ["x", ""]},
    {"line_id": ["1' OR 1=1", ""]},
    {"line_id": ["9" * 30, ""]},
    {"line_id": "1"},
    {"line_id": [""] * 2000},
    {"quantity": ["1", "2", "3"]},
    {"tax_rate": ["x", "y"]},
    {"delivery_number": ["7", "7"]},
    {"delivery_number": ["-1", "x"]},
    {"unit_price": ["😀", ""]},
    {f"field{n}": "x" for n in range(3000)} | {"version": "0"},
]
BOTH = pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain form", "htmx"])


@pytest.fixture
def operator(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OPERATOR, "田中")


@pytest.fixture
def order(app: Flask, world: World) -> Order:
    """仮売上 of ¥10,000, here and at SMBC-GP."""
    with app.app_context():
        return authorized_order(world, total=10_000)


class Screen:
    """The edit screen of one order in somebody's browser."""

    def __init__(self, client: FlaskClient, order: Order, headers: dict[str, str] | None = None):
        self.client, self.headers = client, headers or {}
        self.url = f"/orders/{order.order_no}/edit"
        self.page = client.get(self.url).text

    def form(self, action: str) -> dict[str, Any]:
        """What the form that posts to `action` holds, as a browser would send it."""
        mark = f'action="{self.url}{action}"' if action else 'id="content-form"'
        start = self.page.index(mark)
        end = self.page.index("</form>", start)
        return fields_of(self.page[start:end])

    def post(self, action: str, form: dict[str, Any] | None = None, **typed: Any) -> TestResponse:
        """Send that form with `typed` on top; the page becomes the answer's."""
        sent = (form or self.form(action)) | typed
        answer = self.client.post(
            self.url + action, data=sent, headers=self.headers, follow_redirects=True
        )
        self.page = answer.text
        return answer

    def open_total(self) -> None:
        """Press 「編集」."""
        self.page = self.client.get(self.url + "/total").text

    def correct(self, total: str) -> TestResponse:
        """編集, type, 確定."""
        self.open_total()
        return self.post("/total", total=total)


def fields_of(html: str) -> dict[str, Any]:
    """Names and values of the inputs in a piece of page; names that repeat have lists."""
    [form] = forms_of(html)
    single = {"version", "amount", "request_token", "total", "note", "csrf_token", "then_capture"}
    return form.fields | {name: form.every[name][0] for name in single & form.every.keys()}


def button(page: str, words: str) -> str | None:
    """The start tag of the button with these words."""
    found = re.search(rf"<button[^>]*>\s*{words}\s*</button>", page)
    return found and found[0]


def stored(app: Flask, order: Order) -> Order:
    """The order as the database has it now, with its lines and parcels."""
    with app.app_context():
        found = fresh(order)
        assert found.lines is not None
        assert found.deliveries is not None
        return found


@contextmanager
def by_hand(app: Flask, order: Order) -> Iterator[Order]:
    """Change an order directly, the way an import or another program might have left it."""
    with app.app_context(), writing() as session:
        yield session.get_one(Order, order.id)


def somebody_corrects(app: Flask, order: Order, total: int) -> None:
    """佐々木 corrects the total meanwhile."""
    with app.app_context():
        now = fresh(order)
        seen = Seen(now.version, now.total, secrets.token_hex(16))
        editing.correct_total(order.id, total, seen, Actor.person("佐々木"))


class TestTotal:
    """Manual: to the right of 合計金額 press 「編集」, type the amount, press 「確定」."""

    def test_the_button_turns_the_total_into_an_input(
        self, operator: FlaskClient, order: Order
    ) -> None:
        screen = Screen(operator, order)
        assert button(screen.page, "編集")  # R62
        assert 'name="total"' not in screen.page
        screen.open_total()
        assert '<label for="total">合計金額</label>' in screen.page  # R63
        assert button(screen.page, "確定")
        assert button(screen.page, "取消")
        assert button(screen.page, "編集") is None

    def test_names_of_buttons_are_unique(self, operator: FlaskClient, order: Order) -> None:
        screen = Screen(operator, order)
        words = re.findall(r">\s*([^<>]*\S)\s*</(?:button|a)>", screen.page)
        assert [one for one in words if "編集" in one] == ["編集"]
        screen.open_total()
        words = re.findall(r">\s*([^<>]*\S)\s*</(?:button|a)>", screen.page)
        assert [one for one in words if "確定" in one] == ["確定"]

    def test_htmx_fetches_the_panel_alone(self, operator: FlaskClient, order: Order) -> None:
        headers = HTMX | {"HX-Target": "total-panel"}
        for path, words in (("/edit/total", "確定"), ("/edit", "編集")):  # 編集 and 取消
            answer = operator.get(f"/orders/{order.order_no}{path}", headers=headers)
            assert answer.text.lstrip().startswith('<div id="total-panel"')
            assert button(answer.text, words)

    @BOTH
    def test_the_confirmed_total_shows_the_correction_in_red(
        self, app: Flask, operator: FlaskClient, order: Order, headers: dict[str, str]
    ) -> None:
        screen = Screen(operator, order, headers)
        answer = screen.correct("9500")
        assert answer.status_code == 200
        page = flat(answer)
        assert 'data-total="9500"' in page
        assert '<span class="is-correction">修正額 9,500円（−500円）</span>' in page  # R64
        assert "10,000円</s>" in page  # the original stays visible
        assert "SMBC-GP側金額" in page
        assert "¥10,000" in page
        assert ("<!DOCTYPE html>" in page) is not bool(headers)
        assert stored(app, order).total == 9_500

    def test_the_detail_shows_it_too(self, operator: FlaskClient, order: Order) -> None:
        Screen(operator, order).correct("12,000")
        page = flat(operator.get(f"/orders/{order.order_no}"))
        assert "修正額 12,000円（+2,000円）" in page
        assert "田中さんが合計金額を修正しました" in page
        assert "金額調整" in page  # R77c: the lines add up

    def test_the_red_line_goes_when_the_total_is_back(
        self, operator: FlaskClient, order: Order
    ) -> None:
        screen = Screen(operator, order)
        screen.correct("9500")
        screen.correct("10000")
        assert 'is-correction">修正額' not in screen.page

    def test_what_people_type_is_understood(
        self, app: Flask, operator: FlaskClient, order: Order
    ) -> None:
        for n, typed in enumerate(
            ["９５０{}", "9,50{}", " ￥９，５０{} ", "950{}円", "\\9,50{}", "00950{}", "　950{}　"]
        ):
            Screen(operator, order).correct(typed.format(n))
            assert stored(app, order).total == 9_500 + n, typed  # R65

    @BOTH
    def test_what_cannot_be_is_explained_and_kept(
        self,
        app: Flask,
        operator: FlaskClient,
        world: World,
        order: Order,
        headers: dict[str, str],
    ) -> None:
        screen = Screen(operator, order, headers)
        for typed, words in BAD_TOTALS:
            answer = screen.correct(typed)
            assert answer.status_code == 422, typed  # R65
            assert words in answer.text, typed
            assert f'value="{html.escape(typed)}"' in answer.text  # what was typed is still there
        after = stored(app, order)
        assert (after.total, after.version) == (10_000, 1)
        assert world.requests(order.order_no, "ChangeTran") == []

    @BOTH
    def test_the_same_amount_is_told_and_not_recorded(
        self, app: Flask, operator: FlaskClient, order: Order, headers: dict[str, str]
    ) -> None:
        screen = Screen(operator, order, headers)
        answer = screen.correct("10,000")
        assert answer.status_code == 200
        assert "変更はありませんでした" in answer.text
        assert button(answer.text, "変更内容をSMBC-GPに送信") is None  # R67: no edit
        assert stored(app, order).version == 1

    def test_it_is_echoed_before_it_is_saved(
        self, app: Flask, operator: FlaskClient, order: Order
    ) -> None:
        url = f"/orders/{order.order_no}/edit/total/echo"
        for typed, words in [
            ("９，５００円", "9,500円</strong>(現在の 10,000円から −500円)"),
            ("12000", "12,000円</strong>(現在の 10,000円から +2,000円)"),
            ("10000", "現在の金額と同じです"),
            ("1e3", "数字だけ"),
        ]:
            answer = operator.get(url, query_string={"total": typed}, headers=HTMX)
            assert answer.status_code == 200
            assert words in answer.text  # R65
        assert stored(app, order).total == 10_000
        assert operator.get(url).status_code == 303  # opened directly: the screen (S9)

    def test_back_to_the_calculation(self, app: Flask, operator: FlaskClient, order: Order) -> None:
        screen = Screen(operator, order)
        assert button(screen.page, "自動計算に戻す") is None
        screen.correct("9500")
        assert "自動計算は ¥10,000" in screen.page
        screen.post("/total/reset")
        assert "合計金額を自動計算に戻しました" in screen.page  # R76b
        assert stored(app, order).total == 10_000

    def test_typed_content_survives_a_corrected_total(
        self, operator: FlaskClient, order: Order
    ) -> None:
        screen = Screen(operator, order, HTMX)
        content = screen.form("") | {"carriage": "777"}  # typed, not saved; htmx sends it along
        del content["version"], content["amount"], content["request_token"]
        screen.open_total()
        answer = screen.post("/total", screen.form("/total") | content, total="9500")
        assert 'data-total="9500"' in answer.text
        assert screen.form("")["carriage"] == "777"

    def test_a_tax_that_went_back_to_automatic_is_not_typed_again(
        self, app: Flask, operator: FlaskClient, order: Order
    ) -> None:
        with by_hand(app, order) as now:
            now.tax_8, now.tax_10 = 700, 0
        screen = Screen(operator, order, HTMX)
        content = screen.form("")
        del content["version"], content["amount"], content["request_token"]
        screen.open_total()
        screen.post("/total", screen.form("/total") | content, total="9500")
        assert (screen.form("")["tax_8"], screen.form("")["tax_10"]) == ("700", "")


class TestContent:
    @BOTH
    def test_everything_the_manual_lists_can_be_changed(
        self, app: Flask, operator: FlaskClient, order: Order, headers: dict[str, str]
    ) -> None:
        screen = Screen(operator, order, headers)
        answer = screen.post(
            "",
            name=["深蒸し煎茶", ""],
            unit_price=["４，０００", ""],
            quantity=["2", ""],
            carriage="500",
            discount="100",
            buyer_name="鈴木 一郎",
            delivery_address="港区1-1",
            wish_date="2026-12-01",
            carrier_code="002",
            slip_no="1234-5678",
            note="置き配不可\r\n午前中",
        )
        assert answer.status_code == 200
        assert "注文内容の変更を保存しました" in answer.text
        after = stored(app, order)
        assert (after.total, after.carriage, after.discount) == (8_400, 500, 100)  # R76, R77a
        assert (after.lines[0].name, after.lines[0].quantity) == ("深蒸し煎茶", 2)
        assert after.buyer_name == "鈴木 一郎"
        assert after.note == "置き配不可\n午前中"
        parcel = after.deliveries[0]
        assert (parcel.address, parcel.carrier_code) == ("港区1-1", "002")
        assert (str(parcel.wish_date), parcel.slip_no) == ("2026-12-01", "1234-5678")
        assert "修正額 8,400円（−1,600円）" in answer.text

    def test_number_date_method_and_member_are_not_changed(
        self, app: Flask, operator: FlaskClient, order: Order
    ) -> None:
        before = stored(app, order)
        Screen(operator, order).post(
            "",
            order_no="P9",
            ordered_at="2020-01-01",
            method="銀行振込",
            member_id="x",
            payment_status="captured",
            kind="preorder",
            note="変更",
        )
        after = stored(app, order)
        assert after.note == "変更"
        for name in ("order_no", "ordered_at", "method", "member_id", "payment_status", "kind"):
            assert getattr(after, name) == getattr(before, name)  # R76, S4
        assert after.total == 10_000

    def test_a_total_still_open_is_saved_with_it_or_refused_with_it(
        self, app: Flask, operator: FlaskClient, order: Order
    ) -> None:
        screen = Screen(operator, order, HTMX)
        answer = screen.post("", note="急ぎ", total="3千円")
        assert answer.status_code == 422
        assert "数字だけ" in answer.text
        assert (stored(app, order).total, stored(app, order).note) == (10_000, "")
        screen.post("", screen.form("") | {"note": "急ぎ"}, total="3,000")
        assert (stored(app, order).total, stored(app, order).note) == (3_000, "急ぎ")

    def test_a_form_as_it_was_shown_changes_nothing(
        self, app: Flask, operator: FlaskClient, order: Order
    ) -> None:
        with by_hand(app, order) as now:
            now.note = " 前後に空白\r\n改行 "
            now.lines[0].name = "煎茶  100g　<特選>&\"'"
        screen = Screen(operator, order)
        form = {
            name: [html.unescape(one) for one in value]
            if isinstance(value, list)
            else html.unescape(value)
            for name, value in screen.form("").items()
        }
        answer = screen.post("", form)
        assert "変更はありませんでした" in answer.text
        assert stored(app, order).version == 1

    @BOTH
    def test_an_item_is_added(
        self, app: Flask, operator: FlaskClient, order: Order, headers: dict[str, str]
    ) -> None:
        screen = Screen(operator, order, headers)
        form = screen.form("")
        assert form["line_id"][1] == ""  # an empty row is there from the start
        screen.post(
            "", form, name=["煎茶", "ノート"], unit_price=["10000", "300"], quantity=["1", "2"]
        )
        after = stored(app, order)
        assert [(line.name, line.quantity) for line in after.lines] == [("煎茶", 1), ("ノート", 2)]
        assert after.total == 10_600

    def test_more_rows_are_given_and_nothing_typed_is_lost(
        self, app: Flask, operator: FlaskClient, order: Order
    ) -> None:
        screen = Screen(operator, order)
        form = screen.form("") | {"name": ["新しい名前", "ノート"], "buyer_name": "鈴木 一郎"}
        answer = screen.post("/preview", form, add="1")
        assert answer.status_code == 200
        form = screen.form("")
        assert form["line_id"] == [form["line_id"][0], "", ""]
        assert form["name"] == ["新しい名前", "ノート", ""]
        assert form["buyer_name"] == "鈴木 一郎"
        assert stored(app, order).version == 1  # nothing was saved

    @pytest.mark.parametrize("how", [{"quantity": ["0", "1", ""]}, {"delete": ["0"]}])
    def test_an_item_is_deleted(
        self, app: Flask, operator: FlaskClient, order: Order, how: dict[str, Any]
    ) -> None:
        with by_hand(app, order) as now:
            now.lines.append(OrderLine(position=2, name="ノート", unit_price=300, quantity=1))
            now.total = 10_300
        Screen(operator, order).post("", **how)
        after = stored(app, order)
        assert [line.name for line in after.lines] == ["ノート"]  # R76c
        assert after.total == 300

    def test_the_last_item_cannot_be_deleted(
        self, app: Flask, operator: FlaskClient, order: Order
    ) -> None:
        answer = Screen(operator, order).post("", delete=["0"])
        assert answer.status_code == 422
        assert "最後の商品は削除できません" in answer.text
        assert "注文キャンセル" in answer.text
        assert len(stored(app, order).lines) == 1

    def test_what_cannot_be_is_explained_beside_the_field(
        self, app: Flask, operator: FlaskClient, order: Order
    ) -> None:
        for typed, words in BAD_CONTENT:
            answer = Screen(operator, order).post("", **typed | {"buyer_kana": "スズキ"})
            assert answer.status_code == 422, typed
            assert words in answer.text, typed
            assert 'value="スズキ"' in answer.text  # everything typed is still there
        after = stored(app, order)
        assert (after.version, after.total) == (1, 10_000)

    def test_the_calculation_is_shown_before_saving(
        self, app: Flask, operator: FlaskClient, order: Order
    ) -> None:
        screen = Screen(operator, order)
        answer = screen.post("/preview", carriage="500")  # 再計算
        assert "変更後の注文金額" in answer.text  # R76a
        assert "¥10,500" in answer.text
        assert stored(app, order).version == 1
        headers = HTMX | {"HX-Target": "recalculated"}
        answer = operator.post(
            screen.url + "/preview", data=screen.form("") | {"carriage": "700"}, headers=headers
        )
        assert answer.text.lstrip().startswith('<section id="recalculated"')
        assert 'id="edit-summary"' in answer.text
        assert "¥10,700" in answer.text

    def test_a_typed_total_is_asked_about(
        self, app: Flask, operator: FlaskClient, order: Order
    ) -> None:
        screen = Screen(operator, order)
        screen.correct("9500")
        answer = screen.post("", carriage="500")
        assert answer.status_code == 422  # R76b
        assert "9,500円のままにする" in answer.text
        assert "計算した 10,500円にする" in answer.text
        screen.post("", total_choice="calculate")
        assert stored(app, order).total == 10_500

    def test_a_typed_total_can_stay(self, app: Flask, operator: FlaskClient, order: Order) -> None:
        screen = Screen(operator, order)
        screen.correct("9500")
        screen.post("", carriage="500", total_choice="keep")
        after = stored(app, order)
        assert (after.total, after.carriage) == (9_500, 500)

    def test_items_of_several_parcels_can_be_moved(
        self, app: Flask, operator: FlaskClient, order: Order
    ) -> None:
        with by_hand(app, order) as now:
            now.deliveries[0].number = now.lines[0].delivery_number = 1
            now.deliveries.append(Delivery(number=2, name="鈴木"))
        screen = Screen(operator, order)
        answer = screen.post("", delivery_number=["2", "1"])
        assert answer.status_code == 200, answer.text
        assert stored(app, order).lines[0].delivery_number == 2

    def test_the_history_lists_what_changed(self, operator: FlaskClient, order: Order) -> None:
        Screen(operator, order).post("", carriage="500", buyer_name="<b>鈴木</b>")
        page = flat(operator.get(f"/orders/{order.order_no}"))
        assert "田中さんが注文内容を修正しました" in page
        assert "<bdi>送料</bdi></span> <bdi>0円</bdi> → <bdi>500円</bdi>" in page
        assert "<b>鈴木" not in page  # S7

    def test_a_hostile_order_runs_nothing(self, app: Flask, operator: FlaskClient) -> None:
        evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)></textarea>"
        with app.app_context():
            order = make_order(buyer=evil, note=evil, buyer_address=evil)
        with by_hand(app, order) as now:
            now.lines[0].name = evil
        page = operator.get(f"/orders/{order.order_no}/edit").text
        assert "<script>alert" not in page  # S7
        assert "<img src=x" not in page


class TestBrokenForms:
    """Nobody's browser sends these; none of them is a 500, none changes anything."""

    def test_altered_fields(self, app: Flask, operator: FlaskClient, order: Order) -> None:
        for bad in BROKEN:
            screen = Screen(operator, order)
            answer = screen.post("", screen.form("") | {"carriage": "5"} | bad)
            assert answer.status_code in (409, 422), next(iter(bad.items()))
            assert "notice is-error" in answer.text
            assert stored(app, order).version == 1

    def test_foreign_parcels_and_unknown_choices_are_not_taken(
        self, app: Flask, operator: FlaskClient, order: Order
    ) -> None:
        with app.app_context():
            other = make_order(buyer="他人")
            foreign = fresh(other).deliveries[0].id
        Screen(operator, order).post(
            "", delivery_id=str(foreign), delivery_name="盗人", delete=["7", "x"], total_choice="?"
        )
        assert stored(app, other).deliveries[0].name == "他人"
        assert stored(app, order).version == 1

    def test_empty_forms(self, app: Flask, operator: FlaskClient, order: Order) -> None:
        token = Screen(operator, order).form("")["csrf_token"]
        for action in ("", "/total", "/total/reset", "/send", "/preview"):
            url = f"/orders/{order.order_no}/edit{action}"
            assert operator.post(url, data={"csrf_token": token}).status_code in (200, 422)
        assert stored(app, order).version == 1

    def test_half_a_character(self, app: Flask, operator: FlaskClient, order: Order) -> None:
        token = Screen(operator, order).form("")["csrf_token"]
        for body in (b"total=%ED%A0%80", b"total=%FF", b"\xff\xfe=\xed\xa0\x80", b"note=%00"):
            answer = operator.post(
                f"/orders/{order.order_no}/edit/total",
                data=body + b"&csrf_token=" + token.encode(),
                content_type="application/x-www-form-urlencoded",
            )
            assert answer.status_code in (400, 422)
        assert stored(app, order).version == 1

    def test_a_card_number_is_neither_kept_nor_repeated(
        self, app: Flask, operator: FlaskClient, order: Order
    ) -> None:
        answer = Screen(operator, order).post("", note="カード 4111 1111 1111 1111")
        assert answer.status_code == 400  # S11
        assert "4111" not in answer.text
        assert stored(app, order).note == ""

    def test_an_order_that_is_not_there(self, operator: FlaskClient, order: Order) -> None:
        token = Screen(operator, order).form("")["csrf_token"]
        for action in ("", "/total", "/total/reset", "/send", "/preview"):
            assert (
                operator.post(f"/orders/P0/edit{action}", data={"csrf_token": token}).status_code
                == 404
            )
            assert operator.get(f"/orders/P0/edit{action}").status_code == 404


class TestWhoMayEdit:
    @pytest.mark.parametrize(
        ("status", "words"),
        [
            (PaymentStatus.CAPTURED, "決済完了(入金処理済み)の注文は修正できません"),
            (PaymentStatus.CANCELLED, "注文キャンセル済みの注文は修正できません"),
            (PaymentStatus.NEEDS_REVIEW, "要確認の注文は"),
        ],
    )
    @BOTH
    def test_paid_uncertain_and_cancelled_orders_are_read_only(
        self,
        app: Flask,
        operator: FlaskClient,
        world: World,
        status: PaymentStatus,
        words: str,
        headers: dict[str, str],
    ) -> None:
        with app.app_context():
            order = authorized_order(world, total=10_000, status=status)
        screen = Screen(operator, order, headers)
        assert words in screen.page  # R75a
        assert button(screen.page, "変更内容を保存") is None
        assert button(screen.page, "編集") is None
        forged = {
            "csrf_token": token_of(screen.page),
            "version": "1",
            "amount": "10000",
            "total": "1",
        }
        for action in ("", "/total", "/total/reset"):
            answer = screen.post(action, forged | {"request_token": secrets.token_hex(16)})
            assert answer.status_code == 403
            assert words in answer.text
            if headers:
                assert answer.headers["HX-Retarget"] == "#order-edit"
                assert answer.headers["HX-Reswap"] == "outerHTML"
        assert stored(app, order).version == 1

    def test_the_detail_leads_there_or_says_why_not(
        self, app: Flask, operator: FlaskClient, world: World, order: Order
    ) -> None:
        page = operator.get(f"/orders/{order.order_no}").text
        assert f'<a class="button" href="/orders/{order.order_no}/edit">注文内容修正</a>' in page
        head = page.partition('<header class="order-head')[2]
        assert head.index("注文内容修正</a>") < head.index("注文番号")  # R54: upper left
        with app.app_context():
            paid = authorized_order(world, status=PaymentStatus.CAPTURED)
        page = operator.get(f"/orders/{paid.order_no}").text
        assert "disabled" in (button(page, "注文内容修正") or "")
        assert "修正できません" in page  # R60

    def test_an_order_captured_meanwhile_says_so_and_by_whom(
        self, app: Flask, operator: FlaskClient, world: World, order: Order
    ) -> None:
        screen = Screen(operator, order, HTMX)
        screen.open_total()
        with by_hand(app, order) as now:
            now.payment_status, now.version = PaymentStatus.CAPTURED, 2
            history.record(
                order.id,
                "capture_done",
                Actor.person("佐々木"),
                before=PaymentStatus.AUTHORIZED,
                after=PaymentStatus.CAPTURED,
                total=10_000,
                version=2,
            )
        answer = screen.post("/total", total="9500")
        assert answer.status_code == 403
        assert "佐々木さんの実売上処理が完了しました" in answer.text
        assert "決済完了(入金処理済み)の注文は修正できません" in answer.text
        assert stored(app, order).total == 10_000

    def test_an_order_in_process_waits_and_polls(
        self, app: Flask, operator: FlaskClient, order: Order
    ) -> None:
        with by_hand(app, order) as now:
            assert now.transaction
            db.session.add(
                Attempt(
                    order_id=now.id,
                    transaction_id=now.transaction.id,
                    operation=Operation.CHANGE_AMOUNT,
                    state=AttemptState.SENDING,
                    amount=10_000,
                    gateway_order_id=now.order_no,
                    actor_kind=ActorKind.PERSON,
                    actor="田中",
                )
            )
        page = flat(operator.get(f"/orders/{order.order_no}/edit"))
        assert 'hx-trigger="load delay:1s"' in page
        assert 'id="payment-error"' in page
        assert "処理中です" in page
        assert button(page, "編集") is None

    def test_viewers_read(self, app: Flask, order: Order) -> None:
        viewer = signed_in(app, Role.VIEWER)
        page = viewer.get(f"/orders/{order.order_no}/edit").text
        assert "閲覧者は注文内容を修正できません" in page  # R150
        shipper = signed_in(app, Role.SHIPPER, name="発送の人").get(
            f"/orders/{order.order_no}/edit"
        )
        assert "発送担当は操作できません" in shipper.text
        assert "閲覧者" not in shipper.text
        assert button(page, "編集") is None
        for action in ("", "/total", "/total/reset", "/send", "/preview"):
            assert viewer.post(f"/orders/{order.order_no}/edit{action}").status_code == 403


class TestTwoPeople:
    @BOTH
    def test_a_stale_total_shows_what_changed_and_is_kept(
        self, app: Flask, operator: FlaskClient, world: World, order: Order, headers: dict[str, str]
    ) -> None:
        screen = Screen(operator, order, headers)
        screen.open_total()
        form = screen.form("/total")
        somebody_corrects(app, order, 9_000)
        answer = screen.post("/total", form, total="9,500")
        assert answer.status_code == 409  # R61, P20
        page = flat(answer)
        assert "佐々木さんが合計金額を修正しました" in page
        assert "<bdi>10,000円</bdi> → <bdi>9,000円</bdi>" in page
        assert 'value="9,500"' in page
        assert stored(app, order).total == 9_000
        assert world.requests(order.order_no, "ChangeTran") == []
        assert screen.post("/total").status_code == 200  # deliberately, once more
        assert stored(app, order).total == 9_500

    @BOTH
    def test_stale_content_shows_what_changed_and_is_kept(
        self, app: Flask, operator: FlaskClient, order: Order, headers: dict[str, str]
    ) -> None:
        mine, theirs = Screen(operator, order, headers), Screen(operator, order)
        theirs.post("", carriage="300", buyer_tel="03-1111-2222")
        form = mine.form("") | {"carriage": "500", "note": "私の備考"}
        answer = mine.post("", form)
        assert answer.status_code == 409
        page = flat(answer)
        assert "田中さんが注文内容を修正しました" in page
        assert "<bdi>03-1111-2222</bdi>" in page
        assert "現在の登録:<bdi>300</bdi>" in page
        assert mine.form("")["carriage"] == "500"
        assert mine.form("")["note"] == "私の備考"
        assert mine.form("")["buyer_tel"] == "03-1111-2222"  # not typed here: follows
        assert stored(app, order).carriage == 300
        assert mine.post("").status_code == 200
        after = stored(app, order)
        assert (after.carriage, after.note, after.buyer_tel) == (500, "私の備考", "03-1111-2222")

    def test_an_item_deleted_meanwhile_is_not_lost_from_the_form(
        self, app: Flask, operator: FlaskClient, order: Order
    ) -> None:
        Screen(operator, order).post(
            "", name=["煎茶", "ノート"], unit_price=["10000", "300"], quantity=["1", "2"]
        )
        mine, theirs = Screen(operator, order), Screen(operator, order)
        theirs.post(
            "",
            delete=["1"],
            name=["煎茶", "ノート", "新商品"],
            unit_price=["10000", "300", "50"],
            quantity=["1", "2", "1"],
        )
        form = mine.form("")
        answer = mine.post("", form, quantity=["1", "5", ""])
        assert answer.status_code == 409
        assert "この商品は削除されています" in answer.text
        names = mine.form("")["name"]
        assert names[:2] == ["煎茶", "ノート"]
        assert "新商品" in names  # what the other added is there too
        mine.post("")
        assert sorted(line.name for line in stored(app, order).lines) == sorted(
            ["煎茶", "ノート", "新商品"]
        )

    def test_an_item_deleted_meanwhile_and_untouched_here_stays_deleted(
        self, app: Flask, operator: FlaskClient, order: Order
    ) -> None:
        Screen(operator, order).post(
            "", name=["煎茶", "ノート"], unit_price=["10000", "300"], quantity=["1", "2"]
        )
        mine, theirs = Screen(operator, order), Screen(operator, order)
        theirs.post("", delete=["1"])
        assert mine.post("", note="急ぎ").status_code == 409
        mine.post("")
        after = stored(app, order)
        assert ([line.name for line in after.lines], after.note) == (["煎茶"], "急ぎ")

    def test_mistakes_in_a_stale_form_do_not_make_it_fresh(
        self, app: Flask, operator: FlaskClient, order: Order
    ) -> None:
        screen = Screen(operator, order)
        form = screen.form("")
        somebody_corrects(app, order, 9_000)
        answer = screen.post("", form, carriage="abc")
        assert answer.status_code == 409
        assert "佐々木さんが合計金額を修正しました" in answer.text
        assert "「送料」は" in answer.text

    @BOTH
    def test_the_same_form_again_shows_the_first_result(
        self, app: Flask, operator: FlaskClient, order: Order, headers: dict[str, str]
    ) -> None:
        screen = Screen(operator, order, headers)
        screen.open_total()
        form = screen.form("/total")
        for _ in range(2):  # double click, reload, back (P19)
            answer = screen.post("/total", form, total="9500")
            assert answer.status_code == 200
            assert 'data-total="9500"' in answer.text
        assert stored(app, order).version == 2

    def test_each_form_of_a_page_has_a_token_of_its_own(
        self, app: Flask, operator: FlaskClient, order: Order
    ) -> None:
        screen = Screen(operator, order)
        screen.open_total()
        content = screen.form("")
        screen.post("/total", total="9500")
        content["csrf_token"] = screen.form("")["csrf_token"]
        answer = screen.post("", content | {"note": "戻るボタンの後"})
        assert answer.status_code == 409  # not taken for what was done already
        assert stored(app, order).note == ""


class TestSteps:
    def present(self, page: str) -> str:
        found = re.search(r'<li aria-current="step">\s*(\S+)', page)
        return found[1] if found else ""

    def test_the_present_step_is_marked(self, operator: FlaskClient, order: Order) -> None:
        screen = Screen(operator, order)
        assert self.present(screen.page) == "①修正を確定"  # R74
        screen.correct("9500")
        assert self.present(screen.page) == "②SMBC-GPに送信"

    def test_a_change_without_another_amount_needs_no_sending(
        self, operator: FlaskClient, order: Order
    ) -> None:
        screen = Screen(operator, order)
        screen.post("", note="急ぎ")
        assert self.present(screen.page) == "③実売上処理"
        assert "disabled" in (button(screen.page, "変更内容をSMBC-GPに送信") or "")  # R67
        assert "金額に変更がないため送信は不要です" in screen.page

    @pytest.mark.parametrize(
        ("kind", "status", "words"),
        [
            (OrderKind.PREORDER, PaymentStatus.AUTHORIZED, "有効性チェックのみ"),
            (OrderKind.SUBSCRIPTION, PaymentStatus.AWAITING_BILLING, "定期購入の注文です"),
        ],
    )
    def test_preorders_and_subscriptions_say_that_nothing_is_sent(
        self,
        app: Flask,
        operator: FlaskClient,
        world: World,
        kind: OrderKind,
        status: PaymentStatus,
        words: str,
    ) -> None:
        with app.app_context():
            order = make_order(kind=kind, status=status, total=10_000)
        screen = Screen(operator, order)
        screen.correct("9500")
        assert words in screen.page
        assert self.present(screen.page) == ""
        assert button(screen.page, "変更内容をSMBC-GPに送信") is None  # R69

    def test_an_order_of_another_method(self, app: Flask, operator: FlaskClient) -> None:
        with app.app_context():
            order = make_order(method="銀行振込", total=10_000)
        screen = Screen(operator, order)
        assert "SGPカード決済の注文ではない" in screen.page
        screen.correct("9500")
        assert 'data-total="9500"' in screen.page


class TestSending:
    """Manual: press 「変更内容をSMBC-GPに送信」, then 「SGPカード実売上処理」."""

    @BOTH
    def test_edit_send_capture(
        self, app: Flask, operator: FlaskClient, world: World, order: Order, headers: dict[str, str]
    ) -> None:
        screen = Screen(operator, order, headers)
        assert button(screen.page, "変更内容をSMBC-GPに送信") is None  # R67: no edit yet
        screen.correct("9500")
        assert "disabled" not in (button(screen.page, "変更内容をSMBC-GPに送信") or "disabled")
        assert "disabled" in (button(screen.page, "SGPカード実売上処理") or "")  # R72a
        answer = screen.post("/send")
        assert answer.status_code == 200
        assert 'data-gateway-amount="9500"' in answer.text  # R68
        assert world.trade(order.order_no)["amount"] == 9_500
        assert "disabled" in (button(answer.text, "変更内容をSMBC-GPに送信") or "")
        assert "送信済み" in answer.text
        assert TestSteps().present(answer.text) == "③実売上処理"
        assert "disabled" not in (button(answer.text, "SGPカード実売上処理") or "disabled")

    def test_a_further_change_enables_it_again(
        self, operator: FlaskClient, world: World, order: Order
    ) -> None:
        screen = Screen(operator, order)
        screen.correct("9500")
        screen.post("/send")
        screen.correct("9000")
        assert "disabled" not in (button(screen.page, "変更内容をSMBC-GPに送信") or "disabled")
        screen.post("/send")
        assert world.trade(order.order_no)["amount"] == 9_000

    @BOTH
    def test_send_and_capture_asks_first(
        self, app: Flask, operator: FlaskClient, world: World, order: Order, headers: dict[str, str]
    ) -> None:
        screen = Screen(operator, order, headers)
        screen.correct("9500")
        screen.page = operator.get(screen.url + "/send").text
        assert "data-confirm-yes" in screen.page
        assert "data-confirm-no" in screen.page
        asked = screen.page[screen.page.index('class="confirmation') :]
        assert "¥9,500" in asked
        assert order.order_no in asked
        answer = screen.post("/send")
        assert 'data-payment-status="captured"' in answer.text
        assert "¥9,500 に変更しました。続けて、実売上 ¥9,500 が完了しました。" in answer.text
        assert world.trade(order.order_no)["status"] == "SALES"
        assert world.trade(order.order_no)["amount"] == 9_500

    def test_a_declined_increase_says_so_and_stays_unsent(
        self, app: Flask, operator: FlaskClient, world: World, order: Order
    ) -> None:
        screen = Screen(operator, order)
        screen.correct("12000")
        world.fault("error:42G030000", "ChangeTran")
        answer = screen.post("/send", sum_confirmed="1")
        assert 'id="payment-error"' in answer.text  # R71
        assert "42G030000" in answer.text
        assert "disabled" not in (button(answer.text, "変更内容をSMBC-GPに送信") or "disabled")
        assert world.trade(order.order_no)["amount"] == 10_000

    def test_a_stale_send_calls_nothing(
        self, app: Flask, operator: FlaskClient, world: World, order: Order
    ) -> None:
        screen = Screen(operator, order)
        screen.correct("9500")
        somebody_corrects(app, order, 9_000)
        answer = screen.post("/send")
        assert answer.status_code == 409
        assert "佐々木さんが合計金額を修正しました" in answer.text
        assert world.requests(order.order_no, "ChangeTran") == []

    def test_the_same_form_again_sends_once(
        self, operator: FlaskClient, world: World, order: Order
    ) -> None:
        screen = Screen(operator, order)
        screen.correct("9500")
        form = screen.form("/send")
        for _ in range(2):
            assert 'data-gateway-amount="9500"' in screen.post("/send", form).text
        assert len(world.requests(order.order_no, "ChangeTran")) == 1

    def test_a_forged_send_of_nothing_is_refused(
        self, operator: FlaskClient, world: World, order: Order
    ) -> None:
        screen = Screen(operator, order)
        form = screen.form("")  # version, amount and token are those of the order
        answer = screen.post("/send", form)
        assert answer.status_code == 422
        assert "notice is-error" in answer.text
        assert world.requests(order.order_no, "ChangeTran") == []


def test_reloading_addresses_of_forms_leads_back(operator: FlaskClient, order: Order) -> None:
    for action in ("/preview", "/total/reset"):
        answer = operator.get(f"/orders/{order.order_no}/edit{action}")
        assert answer.status_code == 303
        assert answer.location.endswith(f"/orders/{order.order_no}/edit")


def test_the_hooks_tell_the_state(operator: FlaskClient, order: Order) -> None:
    page = Screen(operator, order).page
    for hook in (
        f'data-order-no="{order.order_no}"',
        'data-payment-status="authorized"',
        'data-total="10000"',
        'data-gateway-amount="10000"',
        'data-version="1"',
    ):
        assert hook in page  # interfaces.md §4
    for name in ("quantity", "unit_price", "carriage", "commission", "discount", "note"):
        assert f'name="{name}"' in page
