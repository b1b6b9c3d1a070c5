"""伝票番号一括ステータス変更: hand in, look, press 処理を実行, read the result — plain forms (R81)."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Delivery, Operation, Order, Role, SlipRow
from sgpshop.services import settings
from sgpshop.storage.database import writing
from sgpshop.worker.engine import Worker
from tests.factories import authorized_order, fresh
from tests.forms import hidden_of, token_of
from tests.gateway_world import World
from tests.services.acting import correct, press
from tests.services.slip_files import slip, slip_file
from tests.signing_in import signed_in
from tests.web.pages import flat

HTMX = {"HX-Request": "true"}
ON = {"capture_on_slip": "1", "on_capture_failure": "skip"}


class Browser:
    """A signed-in person at the slip screen."""

    def __init__(self, app: Flask, role: Role = Role.OPERATOR, name: str = "") -> None:
        self.client: FlaskClient = signed_in(app, role, name)
        self._token = token_of(self.client.get("/slips"))

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.client.get(path, **options)

    def post(self, path: str, **data: Any) -> TestResponse:
        return self.client.post(path, data={"csrf_token": self._token, **data})

    def hand_in(self, content: bytes | None = None, **data: Any) -> TestResponse:
        """Press 内容を確認する."""
        if content is not None:
            data["file"] = (io.BytesIO(content), "slips.csv")
        return self.post("/slips", **ON | data)

    def begin(self, run: str, **data: Any) -> TestResponse:
        """Press 処理を実行 on the preview, as it is now."""
        return self.post(f"{run}/start", **hidden_of(self.get(run)) | data)


@pytest.fixture
def operator(app: Flask, world: World) -> Browser:
    return Browser(app)


@pytest.fixture
def orders(app: Flask, world: World) -> list[Order]:
    with app.app_context():
        return [authorized_order(world, total=1000 * n) for n in (1, 2)]


def address(answer: TestResponse) -> str:
    assert answer.status_code == 303, flat(answer)
    assert re.fullmatch(r"/slips/[0-9a-f]{32}", answer.location)
    return answer.location


def test_from_file_to_result(app: Flask, operator: Browser, orders: list[Order]) -> None:
    content = slip_file(slip(orders[0]), slip(orders[1]), slip("P999"))
    run = address(operator.hand_in(content))
    page = flat(operator.get(run))
    assert 'data-to-do="2"' in page
    assert 'data-bad="1"' in page
    assert 'data-captures="2"' in page
    assert 'data-capture-yen="3000"' in page
    assert "該当注文なし" in page
    assert "クロネコヤマト" in page
    assert "処理を実行</button>" in page
    assert address(operator.begin(run)) == run
    page = flat(operator.get(run))
    assert 'data-run-state="running"' in page
    assert 'hx-trigger="load delay:1s"' in page
    Worker(app).run(until_idle=True)
    fragment = flat(operator.get(run, headers=HTMX))
    assert "<html" not in fragment
    assert 'data-run-state="finished"' in fragment
    assert 'data-total="3" data-succeeded="2" data-failed="1"' in fragment
    assert "hx-trigger" not in fragment
    # What was wrong in the file is no failure: nothing was tried.
    assert "3行中 2行を登録、1行は未処理(内容の誤り)" in fragment
    assert '<span class="result is-failed">未処理</span>' in fragment
    with app.app_context():
        assert {fresh(order).payment_status for order in orders} == {PaymentStatus.CAPTURED}


def test_double_click_reload_and_the_same_file_show_the_first_result(
    app: Flask, operator: Browser, orders: list[Order], world: World
) -> None:  # P19, R82a
    content = slip_file(slip(orders[0]))
    run = address(operator.hand_in(content))
    for _ in range(2):
        assert address(operator.begin(run)) == run
    Worker(app).run(until_idle=True)
    answer = operator.hand_in(content)
    assert address(answer) == run
    assert "すでに処理しています" in flat(operator.get(run))
    assert operator.get(f"{run}/start").location == run  # a reload of where a form was sent to
    assert world.sales(orders[0].order_no) == 1


def test_failed_rows_come_back_as_a_file_and_as_a_button(
    app: Flask, operator: Browser, orders: list[Order], world: World
) -> None:
    world.fault("error:42G020000")
    run = address(operator.hand_in(slip_file(slip(orders[0], "0123"))))
    operator.begin(run)
    Worker(app).run(until_idle=True)
    assert "1行中 1行が失敗" in flat(operator.get(run))
    errors = operator.get(f"{run}/errors.csv")
    assert errors.data.startswith(b"\xef\xbb\xbf")
    assert "エラー" in errors.text.splitlines()[0]
    assert "0123" in errors.text
    again = address(operator.post(f"{run}/retry"))
    assert again != run
    assert 'data-captures="1"' in flat(operator.get(again))
    operator.begin(again)
    Worker(app).run(until_idle=True)
    assert 'data-succeeded="1"' in flat(operator.get(again))
    assert address(operator.post(f"{again}/retry")) == again  # nothing failed
    assert "やり直す行はありません" in flat(operator.get(again))


def test_a_file_that_somebody_else_only_looks_at_is_nobody_elses(
    app: Flask, operator: Browser, orders: list[Order], world: World
) -> None:
    run = address(operator.hand_in(slip_file(slip(orders[0]), slip("P999"))))
    other = Browser(app, name="鈴木")
    for path in ("", "/errors.csv"):
        assert other.get(f"{run}{path}").status_code == 404, path
    for path in ("/retry", "/start", "/terms"):
        assert other.post(f"{run}{path}", **ON).status_code == 404, path
    assert "P999" in operator.get(run).text


def test_pasted_lines(operator: Browser, orders: list[Order]) -> None:
    lines = "\r\n".join(f"{order.order_no}\t\t2\t00{order.total}" for order in orders)
    page = flat(operator.get(address(operator.hand_in(pasted=lines))))
    assert 'data-to-do="2"' in page
    assert "001000" in page


def test_the_settings_are_shown_and_can_be_others_for_one_run(
    app: Flask, operator: Browser, orders: list[Order]
) -> None:  # R79
    with app.app_context():
        settings.save("test", capture_on_slip=True, on_capture_failure="keep")
    page = flat(operator.get("/slips/file"))
    assert re.search(r'name="capture_on_slip"[^>]* checked', page)
    assert re.search(r'value="keep"[^>]* checked', page)
    run = address(operator.hand_in(slip_file(slip(orders[0])), capture_on_slip=""))
    assert 'data-captures="0"' in flat(operator.get(run))
    assert address(operator.post(f"{run}/terms", **ON)) == run
    assert 'data-captures="1"' in flat(operator.get(run))
    answer = operator.post(f"{run}/terms", on_capture_failure="maybe")
    assert answer.status_code == 422


def test_the_usual_company_is_proposed_where_nobody_says_it_and_never_set_unasked(
    app: Flask, operator: Browser, orders: list[Order]
) -> None:
    nothing = slip_file(slip(orders[0], 配送会社コード=""))
    assert '<option value="">選んでください' in flat(
        operator.get(address(operator.hand_in(nothing)))
    )
    with app.app_context(), writing() as session:
        for parcel in session.query(Delivery).filter_by(order_id=orders[0].id):
            parcel.carrier_code = "003"
    content = "".join(f"{order.order_no},,{n:012d}\n" for n, order in enumerate(orders))
    run = address(operator.hand_in(f"注文番号,配送会社,伝票番号\n{content}".encode("cp932")))
    page = flat(operator.get(run))
    assert "配送会社の分からない荷物が1個あります" in page  # the other order says it itself
    assert '<option value="003" selected>佐川急便' in page
    assert operator.post(f"{run}/terms", **ON, carrier_code="005").status_code == 422
    assert carriers(app) == {""}

    assert address(operator.post(f"{run}/terms", **ON, carrier_code="002")) == run
    page = flat(operator.get(run))
    assert "配送会社の分からない荷物" not in page
    assert 'data-captures="2"' in page
    assert carriers(app) == {"", "002"}
    operator.begin(run)
    Worker(app).run(until_idle=True)
    with app.app_context():
        kept = [fresh(order).deliveries[0].carrier_code for order in orders]
    assert kept == ["003", "002"]


def carriers(app: Flask) -> set[str]:
    with app.app_context():
        return set(db.session.scalars(sa.select(SlipRow.carrier_code)))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "ファイルを選ぶか"),
        ({"pasted": "x", "file": (io.BytesIO(b"x"), "x.csv")}, "どちらか一方"),
        ({"file": (io.BytesIO(b"PK\x03\x04"), "x.csv")}, "Excelブックとして読み取れません"),
        ({"pasted": "P1,,,1", "on_capture_failure": ""}, "実売り失敗時の動作"),
    ],
)
def test_what_cannot_be_read_is_told_and_nothing_is_kept(
    app: Flask, operator: Browser, data: dict[str, Any], words: str
) -> None:
    answer = operator.hand_in(**data)
    if answer.status_code != 422 or words not in flat(answer):
        raise AssertionError(flat(answer))
    with app.app_context():
        assert db.session.query(SlipRow).count() == 0


def test_big_sums_are_confirmed_twice(app: Flask, operator: Browser, world: World) -> None:  # S21
    with app.app_context():
        order = authorized_order(world, total=1_000_001)
    run = address(operator.hand_in(slip_file(slip(order))))
    assert 'name="sum_confirmed"' in operator.get(run).text
    answer = operator.begin(run)
    assert answer.status_code == 422
    assert "確認欄にチェック" in flat(answer)
    assert address(operator.begin(run, sum_confirmed="1")) == run


def test_nothing_is_done_otherwise_than_it_was_seen(
    app: Flask, operator: Browser, orders: list[Order], world: World
) -> None:  # P20: another tab of it, or the way back
    run = address(operator.hand_in(slip_file(slip(orders[0])), capture_on_slip=""))
    seen = operator.get(run)
    assert "実売上処理は行いません" in flat(seen)
    assert address(operator.post(f"{run}/terms", **ON)) == run
    answer = operator.post(f"{run}/start", **hidden_of(seen))
    Worker(app).run(until_idle=True)
    assert world.sales(orders[0].order_no) == 0
    assert answer.status_code == 409
    assert "まだ何も行っていません" in flat(answer)
    assert 'data-captures="1"' in flat(answer)  # what it would do now
    assert address(operator.post(f"{run}/start", **hidden_of(answer))) == run
    Worker(app).run(until_idle=True)
    assert world.sales(orders[0].order_no) == 1


def test_nothing_is_captured_but_the_amount_that_was_seen(
    app: Flask, operator: Browser, orders: list[Order], world: World
) -> None:  # P20: looked at again under the same settings, the order is another by then
    run = address(operator.hand_in(slip_file(slip(orders[0]))))
    seen = operator.get(run)
    with app.app_context():
        press(correct(orders[0], 95_000), Operation.CHANGE_AMOUNT)
    assert address(operator.post(f"{run}/terms", **ON)) == run
    answer = operator.post(f"{run}/start", **hidden_of(seen))
    Worker(app).run(until_idle=True)
    assert world.sales(orders[0].order_no) == 0
    assert answer.status_code == 409
    assert 'data-capture-yen="95000"' in flat(answer)  # what it would do now
    assert address(operator.post(f"{run}/start", **hidden_of(answer))) == run


def test_only_operators_and_only_their_own_preview(
    app: Flask, operator: Browser, orders: list[Order]
) -> None:  # R150
    run = address(operator.hand_in(slip_file(slip(orders[0]))))
    other = Browser(app, name="鈴木")
    for answer in (other.get(run), other.post(f"{run}/start"), other.get(f"{run}/errors.csv")):
        assert answer.status_code == 404
    viewer = signed_in(app, Role.VIEWER)
    assert viewer.get("/slips").status_code == 403
    assert "/slips" not in viewer.get("/orders").text
    assert operator.get(f"/slips/{'0' * 32}").status_code == 404


def test_the_template_is_a_file_that_can_be_read(operator: Browser) -> None:
    answer = operator.get("/slips/template.csv")
    assert answer.data.decode("cp932").startswith("注文番号,配送先番号,配送会社コード,伝票番号")
