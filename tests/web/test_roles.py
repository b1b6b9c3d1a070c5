"""発送担当 and 経理担当: what they do, and that money is none of it but as the shop says (R150, S4)."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Order, Role
from sgpshop.services import settings
from sgpshop.worker.engine import Worker
from tests.factories import authorized_order, fresh
from tests.forms import forms_of, hidden_of
from tests.gateway_world import World
from tests.services.slip_files import slip, slip_file
from tests.signing_in import signed_in
from tests.web.pages import flat
from tests.web.test_slips import Browser, address


@pytest.fixture
def order(app: Flask, world: World) -> Order:
    with app.app_context():
        return authorized_order(world, total=3000)


@pytest.fixture
def shipper(app: Flask, world: World) -> Browser:
    return Browser(app, Role.SHIPPER)


@pytest.fixture
def accountant(app: Flask, world: World) -> FlaskClient:
    return signed_in(app, Role.ACCOUNTANT)


def captures_usually(app: Flask, is_so: bool) -> None:
    """実売り同時処理 of the settings."""
    with app.app_context():
        settings.save("店長", capture_on_slip=is_so)


def chooser(client: FlaskClient) -> set[str]:
    """What 一括処理選択 offers."""
    page = client.get("/orders")
    answer = client.post("/orders/bulk/selection", data=hidden_of(page) | {"do": "choose"})
    return set(re.findall(r'id="choose-(?!action)([a-z-]+)"', answer.text))


class TestShipping:
    def test_slip_numbers_are_registered_and_nothing_is_charged(
        self, app: Flask, shipper: Browser, order: Order, world: World
    ) -> None:
        page = shipper.get("/slips/file")
        assert 'name="capture_on_slip"' not in page.text
        run = address(shipper.hand_in(slip_file(slip(order)), capture_on_slip=""))
        address(shipper.begin(run))
        Worker(app).run(until_idle=True)
        with app.app_context():
            now = fresh(order)
            assert now.deliveries[0].status is DeliveryStatus.DELIVERED
            assert now.payment_status is PaymentStatus.AUTHORIZED
        assert world.sales(order.order_no) == 0

    def test_a_capture_is_refused_whatever_the_form_says(
        self, app: Flask, shipper: Browser, order: Order, world: World
    ) -> None:
        refused = shipper.hand_in(slip_file(slip(order)))
        assert (refused.status_code, "同時に行えません" in refused.text) == (422, True)
        run = address(shipper.hand_in(slip_file(slip(order)), capture_on_slip=""))
        changed = shipper.post(f"{run}/terms", capture_on_slip="1", on_capture_failure="skip")
        assert changed.status_code == 422
        typed = {"parcel": f"1 {order.order_no}", "carrier_code": "002", "slips": "1234"}
        terms = {"capture_on_slip": "1", "on_capture_failure": "skip"}
        assert shipper.post("/slips/grid/check", **typed, **terms).status_code == 422
        assert world.sales(order.order_no) == 0

    def test_where_the_shop_captures_with_slips_they_do_too(
        self, app: Flask, shipper: Browser, order: Order, world: World
    ) -> None:
        captures_usually(app, True)
        assert 'name="capture_on_slip"' in shipper.get("/slips/file").text
        run = address(shipper.hand_in(slip_file(slip(order))))
        address(shipper.begin(run))
        Worker(app).run(until_idle=True)
        assert world.sales(order.order_no) == 1

    def test_but_not_when_the_shop_ceased_to_before_the_start(
        self, app: Flask, shipper: Browser, order: Order, world: World
    ) -> None:
        captures_usually(app, True)
        run = address(shipper.hand_in(slip_file(slip(order))))
        captures_usually(app, False)
        assert shipper.post(f"{run}/start").status_code == 422
        Worker(app).run(until_idle=True)
        assert world.sales(order.order_no) == 0

    @pytest.mark.parametrize("is_usual", [False, True])
    def test_of_one_order_the_same_holds(
        self, app: Flask, shipper: Browser, order: Order, world: World, is_usual: bool
    ) -> None:
        captures_usually(app, is_usual)
        url = f"/orders/{order.order_no}"
        page = shipper.get(url)
        assert "発送担当は操作できません" in flat(page)
        assert ("登録して配送完了と実売上処理" in page.text) is is_usual
        [form] = [one for one in forms_of(page) if "slips" in one.fields]
        typed = form.fields | {"slips": "1234", "carrier_code": "002", "then": "capture"}
        answer = shipper.client.post(f"{url}/slips", data=typed | {"confirmed": "1"})
        assert answer.status_code == (303 if is_usual else 422)
        Worker(app).run(until_idle=True)
        assert world.sales(order.order_no) == int(is_usual)
        assert shipper.post(f"{url}/capture", **form.hidden).status_code == 403

    def test_parcels_and_notes_are_theirs_payments_are_not(
        self, shipper: Browser, order: Order
    ) -> None:
        url = f"/orders/{order.order_no}"
        for act in ("deliver", "return", "statuses"):
            page = shipper.get(f"{url}/{act}")
            assert (act, page.status_code) == (act, 200)
        assert "data-confirm-yes" in shipper.get(f"{url}/deliver").text
        for act in ("capture", "cancel", "waive-cancel", "refunded", "extend"):
            assert (act, shipper.get(f"{url}/{act}").status_code) == (act, 403)
        assert 'name="memo"' in shipper.get(url).text

    def test_many_orders_are_delivered_and_printed_but_not_captured(
        self, app: Flask, shipper: Browser, order: Order, world: World
    ) -> None:
        assert chooser(shipper.client) == {"deliver", "labels", "print", "picking"}
        chosen = hidden_of(shipper.get("/orders")) | {"order_no": order.order_no}
        assert shipper.post("/orders/bulk", **chosen | {"action": "sgp_capture"}).status_code == 422
        run = shipper.post("/orders/bulk", **chosen | {"action": "deliver"})
        assert run.status_code == 303
        assert shipper.begin(run.location).status_code == 303
        Worker(app).run(until_idle=True)
        with app.app_context():
            assert fresh(order).deliveries[0].status is DeliveryStatus.DELIVERED
        assert world.sales(order.order_no) == 0

    def test_a_run_prepared_with_more_rights_is_not_started_with_fewer(
        self, app: Flask, shipper: Browser, order: Order, world: World
    ) -> None:
        from sgpshop.services.bulk import runs

        with app.app_context():
            run_id = runs.prepare([order.id], "sgp_capture", person_id=1, actor="発送担当さん")
        assert shipper.post(f"/orders/bulk/{run_id}/start").status_code == 403
        Worker(app).run(until_idle=True)
        assert world.sales(order.order_no) == 0

    def test_the_menu_is_theirs(self, shipper: Browser) -> None:
        page = shipper.get("/").text
        assert 'href="/slips"' in page
        assert 'href="/settings/sgp"' not in page
        assert 'name="format"' not in shipper.get("/orders").text
        assert shipper.post("/journals", layout="freee").status_code == 403


class TestBooks:
    def test_files_are_theirs_orders_are_not(self, accountant: FlaskClient, order: Order) -> None:
        page = accountant.get("/orders")
        assert 'name="format"' in page.text
        token = hidden_of(page)["csrf_token"]
        exported = accountant.post("/orders/export", data={"csrf_token": token, "format": "csv"})
        assert order.order_no in exported.text
        assert chooser(accountant) == {"csv-download"}
        assert "会計ソフト用ファイル" in page.text
        assert "注文ファイルを取り込む" not in page.text
        for path in ("/journals", "/sales"):
            assert "<form" in accountant.get(path).text
        url = f"/orders/{order.order_no}"
        assert "経理担当は操作できません" in flat(accountant.get(url))
        assert 'name="slips"' not in accountant.get(url).text
        for path in ("capture", "slips", "notes", "deliver", "cancel"):
            answer = accountant.post(f"{url}/{path}", data={"csrf_token": token})
            assert (path, answer.status_code) == (path, 403)
        assert accountant.get("/slips").status_code == 403
