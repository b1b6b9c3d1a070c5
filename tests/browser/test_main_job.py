"""The main job as the help page tells it, by hand in a browser: 仮売上, press, 決済完了."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from sgpshop.models import Order
from tests.browser.conftest import NARROW, WIDE, Site, Visitor, look_again_until
from tests.seeds import LATER
from tests.services.acting import correct

DONE = re.compile("決済完了")


def choose_capture(page: Page) -> None:
    """一括処理を選択 → 一括処理選択 → SGPカード決済 → 処理内容: (R39)."""
    page.get_by_role("button", name="一括処理を選択").click()
    expect(page.get_by_text("一括処理選択").first).to_be_visible()
    page.get_by_role("button", name="SGPカード決済").click()
    expect(page.locator("body")).to_contain_text(re.compile(r"処理内容:\s*SGPカード決済"))


def status_of(page: Page, order: Order) -> object:
    return page.locator(f'tr[data-order-no="{order.order_no}"] [data-status-text]')


@pytest.mark.parametrize(
    "viewport", [pytest.param(WIDE, marks=LATER), NARROW], ids=["1280", "390"]
)  # the wide one: test_acts, test_desk
def test_bulk_capture_updates_the_rows_in_place(
    site: Site, visitor: Visitor, viewport: dict[str, int]
) -> None:
    orders = site.orders(3)
    page = visitor.open("/", viewport=viewport)
    page.goto(f"{site.url}/orders")
    page.evaluate("window.neverReloaded = true")
    choose_capture(page)
    for order in orders:
        page.locator(f'input[name="order_no"][value="{order.order_no}"]').check()
    page.get_by_role("button", name="処理を実行").click()
    expect(page.locator("dialog[open]")).to_contain_text(re.compile(r"3\s*件"))  # R47
    page.locator("[data-confirm-yes]").click()
    for order in orders:
        expect(status_of(page, order)).to_have_text(DONE)  # type: ignore[arg-type]
    assert page.evaluate("window.neverReloaded") is True
    page.reload()  # Back and reload never repeat anything (P19)
    page.go_back()
    expect(page).to_have_url(f"{site.url}/")
    assert [site.world.sales(order.order_no) for order in orders] == [1, 1, 1]


def test_the_header_checkbox_takes_the_page(site: Site, visitor: Visitor) -> None:
    site.orders(4)
    page = visitor.open()
    page.locator("#select-page").check()
    expect(page.locator('input[name="order_no"]:checked')).to_have_count(4)  # R44
    page.locator("tr input[name=order_no]").first.uncheck()
    assert page.locator("#select-page").evaluate("box => box.indeterminate")
    execute = page.get_by_role("button", name="処理を実行")
    expect(execute).to_be_disabled()  # R46: no action chosen yet
    choose_capture(page)
    expect(execute).to_be_enabled()


def test_bulk_capture_without_javascript(site: Site, visitor: Visitor) -> None:
    orders = site.orders(2)
    page = visitor.open(javascript=False)
    for order in orders:
        page.locator(f'input[name="order_no"][value="{order.order_no}"]').check()
    choose_capture(page)
    page.get_by_role("button", name="処理を実行").click()
    page.locator("[data-confirm-yes]").click()
    run = page.locator("[data-run-state]")
    look_again_until(page, lambda: run.get_attribute("data-run-state") == "finished")
    expect(run).to_have_attribute("data-succeeded", "2")  # interfaces.md §4
    assert [site.world.sales(order.order_no) for order in orders] == [1, 1]


def changed_orders(site: Site) -> list[Order]:
    """One order that became dearer and one that became cheaper, neither of them sent."""
    orders = site.orders(2)
    with site.app.app_context():
        for order, total in zip(orders, (3500, 2500), strict=True):
            correct(order, total)
    return orders


def held(site: Site, orders: list[Order]) -> list[int]:
    return [site.world.trade(order.order_no)["amount"] for order in orders]


def test_amount_changes_of_many_orders_are_sent_by_keyboard(site: Site, visitor: Visitor) -> None:
    orders = changed_orders(site)
    page = visitor.open("/orders?unsent=1")
    page.locator("#select-page").press("Space")  # R44
    page.locator("#choose-action").press("Enter")
    page.locator("#choose-send-changes").press("Enter")  # R39
    run = page.locator("#run-bulk")
    expect(run).to_be_focused()
    # Until htmx knows the new bar, a press loads the confirmation as a page of its own.
    expect(page.locator(".htmx-added")).to_have_count(0)
    run.press("Enter")
    expect(page.locator("dialog[open]")).to_contain_text("増額 1 件(+¥500)")  # R47
    page.locator("[name=sum_confirmed]").press("Space")
    page.locator("[data-confirm-yes]").press("Enter")
    expect(page.locator("#bulk-bar")).to_contain_text("2件中 2件の金額変更を送信")
    assert held(site, orders) == [3500, 2500]  # R68


def test_amount_changes_of_many_orders_are_sent_without_javascript(
    site: Site, visitor: Visitor
) -> None:
    orders = changed_orders(site)
    page = visitor.open("/orders?unsent=1", javascript=False)
    for order in orders:
        page.locator(f'input[name="order_no"][value="{order.order_no}"]').check()
    page.get_by_role("button", name="一括処理を選択").click()
    page.get_by_role("button", name="変更内容をSMBC-GPに送信").click()
    page.get_by_role("button", name="処理を実行").click()
    page.locator("[name=sum_confirmed]").check()
    page.locator("[data-confirm-yes]").click()
    run = page.locator("[data-run-state]")
    look_again_until(page, lambda: run.get_attribute("data-run-state") == "finished")
    expect(run).to_have_attribute("data-succeeded", "2")
    assert held(site, orders) == [3500, 2500]


@pytest.mark.parametrize("javascript", [True, False], ids=["htmx", "plain forms"])
def test_single_capture(site: Site, visitor: Visitor, javascript: bool) -> None:
    [order] = site.orders(1, total=9500)
    page = visitor.open("/orders", javascript=javascript)
    page.get_by_role("link", name=order.order_no).click()  # R52
    page.get_by_role("button", name="SGPカード実売上処理").click()
    expect(page.locator("form.confirmation")).to_contain_text("¥9,500")  # R56
    page.locator("[data-confirm-yes]").click()
    root = page.locator("[data-version]")
    expect(root).to_have_attribute("data-payment-status", "captured")
    assert site.world.trade(order.order_no)["status"] == "SALES"


def test_a_double_click_captures_once(site: Site, visitor: Visitor) -> None:
    [order] = site.orders(1)
    page = visitor.open(f"/orders/{order.order_no}/capture")
    page.locator("[data-confirm-yes]").dblclick()
    expect(page.locator("[data-version]")).to_have_attribute("data-payment-status", "captured")
    assert len(site.world.requests(order.order_no)) == 1


class TestSlow:
    @pytest.fixture
    def overrides(self) -> dict[str, object]:
        return {"ANSWER_WAIT": 0.2}

    def test_a_slow_answer_shows_processing_and_then_arrives(
        self, site: Site, visitor: Visitor
    ) -> None:
        [order] = site.orders(1)
        site.world.fault("delay:2")
        page = visitor.open(f"/orders/{order.order_no}/capture")
        page.locator("[data-confirm-yes]").click()
        expect(page.locator("#payment-error")).to_contain_text("処理中")
        expect(page.locator("[data-version]")).to_have_attribute("data-payment-status", "captured")


def test_a_declined_capture_tells_why_and_a_retry_succeeds(site: Site, visitor: Visitor) -> None:
    [order] = site.orders(1)
    site.world.fault("error:42G030000")
    page = visitor.open(f"/orders/{order.order_no}/capture")
    page.locator("[data-confirm-yes]").click()
    error = page.locator("#payment-error")
    expect(error).to_contain_text("42G030000")  # R15
    page.get_by_role("button", name="SGPカード実売上処理").click()
    page.locator("[data-confirm-yes]").click()
    expect(page.locator("[data-version]")).to_have_attribute("data-payment-status", "captured")


@pytest.mark.parametrize(
    ("fault", "ends"),
    [
        ("drop_after", "captured"),
        pytest.param("drop_before", "capture_failed", marks=LATER),
    ],
)
def test_a_lost_answer_ends_as_the_gateway_says(
    site: Site, visitor: Visitor, fault: str, ends: str
) -> None:
    [order] = site.orders(1)
    site.world.fault(fault)
    page = visitor.open(f"/orders/{order.order_no}/capture")
    page.locator("[data-confirm-yes]").click()
    root = page.locator("[data-version]")
    expect(root).to_have_attribute("data-payment-status", ends)  # R140


def test_by_keyboard_alone(site: Site, visitor: Visitor) -> None:
    [order] = site.orders(1)
    page = visitor.open("/orders")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("x")
    expect(page.locator('input[name="order_no"]:checked')).to_have_count(1)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/orders/{order.order_no}")
    page.get_by_role("button", name="SGPカード実売上処理").focus()
    page.keyboard.press("Enter")
    expect(page.locator("[data-confirm-yes]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("[data-version]")).to_have_attribute("data-payment-status", "captured")
