"""The line is cut in the middle: it is said, nothing is claimed that nobody knows, and polls go on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Site, Visitor
from tests.browser.test_main_job import choose_capture


@pytest.fixture(autouse=True)
def only_what_was_cut(visitor: Visitor) -> Iterator[None]:
    """Chromium complains about every request that is cut off here on purpose."""
    yield
    visitor.complaints = [words for words in visitor.complaints if "net::ERR_" not in words]


def cut(page: Page, part: str) -> None:
    """No request whose address holds `part` gets an answer any more."""
    page.route(f"**/*{part}*", lambda route: route.abort("internetdisconnected"))


def test_a_capture_whose_answer_is_lost_is_never_called_unsent(
    site: Site, visitor: Visitor
) -> None:
    [order] = site.orders(1)
    page = visitor.open(f"/orders/{order.order_no}/capture")

    def answer_is_lost(route: Route) -> None:
        route.fetch()  # it arrives, and is carried out
        route.abort("connectionreset")

    page.route("**/capture", answer_is_lost)
    page.locator("[data-confirm-yes]").click()
    told = page.locator("#messages .is-error")
    expect(told).to_contain_text("この画面を開き直すと表示されます")
    expect(told).not_to_contain_text("送信していません")
    page.unroute("**/capture")
    page.goto(f"{site.url}/orders/{order.order_no}")
    expect(page.locator("[data-version]")).to_have_attribute("data-payment-status", "captured")
    assert site.world.sales(order.order_no) == 1


def test_a_search_while_offline_says_so(site: Site, visitor: Visitor) -> None:
    site.orders(1)
    page = visitor.open("/orders")
    cut(page, "/orders?")
    page.locator("#status-tabs a").nth(1).click()
    expect(page.locator("#messages .is-error")).to_contain_text("通信できませんでした")


def test_the_progress_of_a_run_goes_on_after_the_line_was_cut(site: Site, visitor: Visitor) -> None:
    numbers = [order.order_no for order in site.orders(2)]
    page = visitor.open("/orders")
    for number in numbers:
        page.get_by_label(f"{number} を選択").check()
    choose_capture(page)
    page.get_by_role("button", name="処理を実行").click()
    polls: list[str] = []

    def first_is_lost(route: Route) -> None:
        polls.append(route.request.url)
        if len(polls) == 1:
            route.abort("internetdisconnected")
        else:
            route.continue_()

    page.route("**/progress*", first_is_lost)
    page.locator("dialog [data-confirm-yes]").click()
    expect(page.locator("#bulk-bar")).to_contain_text("結果を見る")
    assert len(polls) > 1
