"""A day's shipping in a browser: the cart's orders in, labels out, the carrier's file back, all captured."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from sgpshop.extensions import db
from sgpshop.models import Order
from sgpshop.services import settings
from tests.browser.conftest import Site, Visitor, look_again_until
from tests.browser.test_every_screen import check
from tests.browser.test_order_files import upload
from tests.browser.test_slips import hand_in
from tests.seeds import LATER
from tests.services.deliveries.test_labels import SENDER

MAKESHOP = Path(__file__).parent.parent / "data" / "layouts" / "a01-makeshop-order-list.csv"
#: the two orders of it that are paid by SGP card
YEN = {"P176430120000000001": 5020, "P176430120000000002": 1500}

Rows = list[list[str]]


def b2cloud(made: Rows) -> Rows:
    return [made[0], *([*row[:3], f"49071495700{n}", *row[4:]] for n, row in enumerate(made[1:]))]


def ehiden3(made: Rows) -> Rows:
    return [made[0], *([*row[:61], f"40000000100{n}", *row[62:]] for n, row in enumerate(made[1:]))]


def yupri_r(made: Rows) -> Rows:
    heading = ["お客様側管理番号", "お問い合わせ番号", "仮引受確定作業年月日"]
    return [heading, *([row[0], f"19371530100{n}", row[1]] for n, row in enumerate(made))]


@pytest.mark.parametrize(
    ("layout", "carrier"),
    [
        pytest.param("b2cloud", b2cloud, id="b2cloud"),
        # What each carrier reads and writes is asked without a browser (tests/services/deliveries/test_labels.py).
        pytest.param("ehiden3", ehiden3, id="ehiden3", marks=LATER),
        pytest.param("yupri-r", yupri_r, id="yupri-r", marks=LATER),
    ],
)
def test_from_the_carts_file_to_captured_and_delivered(
    site: Site, visitor: Visitor, tmp_path: Path, layout: str, carrier: Callable[[Rows], Rows]
) -> None:
    with site.app.app_context():
        settings.save("山田", **SENDER)
    for number, yen in YEN.items():
        site.world.authorize(number, yen)

    page = visitor.open("/orders/imports")
    upload(page, MAKESHOP)
    expect(page.locator("[data-run-state]")).to_have_attribute("data-run-state", "finished")
    page.goto(f"{site.url}/orders?from=&to=&status=authorized")
    held = page.locator("tr[data-order-no]")
    look_again_until(page, lambda: held.count() == len(YEN))  # once SMBC-GP was asked

    page.locator("#select-page").check()
    page.locator("#choose-action").click()
    page.locator("#choose-labels").click()
    page.get_by_label("送り状のソフト").select_option(layout)
    page.locator("#run-bulk").click()
    expect(page.locator("[data-labels]")).to_have_attribute("data-labels", str(len(YEN)))
    check(page)
    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile("のファイルを保存")).click()
    made = list(csv.reader(io.StringIO(download.value.path().read_bytes().decode("cp932"))))

    out = io.StringIO()
    csv.writer(out).writerows(carrier(made))
    file = tmp_path / "carrier.csv"
    file.write_bytes(out.getvalue().encode("cp932"))
    page.goto(f"{site.url}/slips/file")
    hand_in(page, file)
    expect(page.locator("#preview")).to_have_attribute("data-captures", str(len(YEN)))
    check(page)
    page.get_by_role("button", name="処理を実行").click()
    result = page.locator("#result")
    expect(result).to_have_attribute("data-run-state", "finished")
    expect(result).to_have_attribute("data-succeeded", str(len(YEN)))
    assert {number: site.world.trade(number)["amount"] for number in YEN} == YEN
    assert [site.world.sales(number) for number in YEN] == [1, 1]
    with site.app.app_context():
        orders = db.session.query(Order).filter(Order.order_no.in_(YEN)).all()
        assert {order.payment_status for order in orders} == {"captured"}
        assert {order.processing_class for order in orders} == {"delivered"}


def test_the_files_for_the_books(site: Site, visitor: Visitor) -> None:
    page = visitor.open("/journals?from=2026-01-01&to=2026-12-31")
    check(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="freee会計のファイル").click()
    assert download.value.suggested_filename == "journal-freee-20260101-20261231.csv"
