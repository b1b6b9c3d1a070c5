"""The list as a desk: ticks stay, the focus stays, what is done is said, and few acts are needed."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from sgpshop.domain.payment_status import PaymentStatus
from tests.browser.conftest import NARROW, WIDE, Site, Visitor
from tests.seeds import LATER

TICKED = "#order-table input[name=order_no]:checked"


def has_focus(page: Page) -> str:
    """What has the focus: its id, else its words."""
    return page.evaluate("(document.activeElement.id || document.activeElement.textContent).trim()")


def test_ticks_stay_over_opening_an_order_back_paging_and_reload(
    site: Site, visitor: Visitor
) -> None:
    site.orders(25)
    page = visitor.open("/orders?status=authorized&size=20")
    bar = page.locator("#bar-count")
    page.locator("#order-table tbody input").nth(0).check()
    page.locator("#order-table tbody input").nth(1).check()
    expect(bar).to_contain_text("2件を選択 ¥6,000")
    page.locator("#order-table tbody a").first.click()
    page.wait_for_url(re.compile("/orders/P"))
    page.go_back()
    expect(page.locator(TICKED)).to_have_count(2)
    expect(bar).to_contain_text("2件を選択 ¥6,000")
    page.get_by_role("link", name="次の20件").click()
    expect(page.locator("#order-table tbody tr")).to_have_count(5)
    expect(bar).to_contain_text("2件を選択 ¥6,000")  # those of the other page
    page.locator("#order-table tbody input").nth(0).check()
    expect(bar).to_contain_text("3件を選択 ¥9,000")
    page.reload()
    expect(page.locator(TICKED)).to_have_count(1)
    expect(bar).to_contain_text("3件を選択 ¥9,000")
    page.get_by_role("button", name="処理を実行").click()
    page.locator("dialog [data-confirm-yes]").click()
    expect(page.locator("#bulk-bar")).to_contain_text("3件中 3件が決済完了")
    page.goto(f"{site.url}/orders?status=authorized&size=20")
    expect(page.locator("#order-table tbody tr")).to_have_count(20)
    page.get_by_role("button", name="一覧に戻る").or_(page.locator("#bar-count")).first.wait_for()
    expect(page.locator(TICKED)).to_have_count(0)  # what was done is not chosen again


def test_ticks_never_go_over_to_another_search_silently(site: Site, visitor: Visitor) -> None:
    site.orders(2)
    page = visitor.open("/orders?status=authorized")
    page.locator("#order-table tbody input").nth(0).check()
    expect(page.locator("#bar-count")).to_contain_text("1件を選択")
    page.locator("#status-tabs a").first.click()
    expect(page.locator("#said")).to_contain_text("前の条件で選択した注文は含まれていません")
    expect(page.locator("#bar-count")).not_to_contain_text("件を選択")
    page.locator('#status-tabs [data-tab="authorized"]').click()
    expect(page.locator("#bar-count")).to_contain_text("1件を選択")


class Keys:
    """A keyboard that counts."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.pressed = 0

    def press(self, *keys: str) -> None:
        for key in keys:
            self._page.keyboard.press(key)
            self.pressed += 1


@pytest.mark.parametrize(("number", "most"), [pytest.param(1, 8, marks=LATER), (3, 12)])
def test_keys_from_the_list_to_the_capture(
    site: Site, visitor: Visitor, number: int, most: int
) -> None:
    orders = site.orders(number)
    page = visitor.open("/orders")
    keys = Keys(page)
    for _ in orders:
        keys.press("ArrowDown", "x")
    expect(page.locator("#bar-count")).to_contain_text(f"{number}件を選択")
    keys.press("b")
    assert has_focus(page) == "choose-action"
    keys.press("Enter")
    expect(page.locator("#choose-sgp-capture")).to_be_focused()
    expect(page.locator(".htmx-added")).to_have_count(0)
    keys.press("Enter")
    expect(page.locator("#run-bulk")).to_be_focused()
    expect(page.locator(".htmx-added")).to_have_count(0)
    keys.press("Enter")
    expect(page.locator("dialog [data-confirm-no]")).to_be_focused()  # two Enters charge nobody
    keys.press("Shift+Tab")
    expect(page.locator("dialog [data-confirm-yes]")).to_be_focused()
    keys.press("Enter")
    expect(page.locator("#said")).to_contain_text(f"{number}件中 {number}件が決済完了")
    assert keys.pressed <= most
    assert [site.world.sales(order.order_no) for order in orders] == [1] * number


def test_keys_from_the_list_to_a_cancelled_order(site: Site, visitor: Visitor) -> None:
    [order] = site.orders(1)
    page = visitor.open("/orders")
    keys = Keys(page)
    keys.press("ArrowDown", "Enter")
    page.wait_for_url(f"**/orders/{order.order_no}")
    expect(page.locator(".acts")).to_be_visible()
    keys.press("c")
    expect(page.locator("[data-confirm-no]")).to_be_focused()  # two keys cancel nothing
    keys.press("Shift+Tab", "Enter")
    expect(page.locator("[data-version]")).to_have_attribute("data-payment-status", "cancelled")
    assert keys.pressed <= 8


def test_the_focus_stays_and_one_region_speaks(site: Site, visitor: Visitor) -> None:
    site.orders(2)
    page = visitor.open("/orders")
    assert page.locator("[role=status], [aria-live]").count() == 1
    for link in ("tab-authorized", "sort-total", "sort-total", "size-20"):
        page.locator(f"#{link}").press("Enter")
        expect(page.locator(".htmx-request")).to_have_count(0)
        assert has_focus(page) == link
    assert page.title().startswith("仮売上 2件")
    page.locator("#choose-action").press("Enter")
    expect(page.locator("#choose-sgp-capture")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#chooser")).to_have_count(0)
    expect(page.locator("#choose-action")).to_be_focused()
    page.locator("#select-page").press("Space")
    expect(page.locator("#said")).to_have_text("2件を選択 ¥6,000")
    expect(page.locator("#select-page")).to_be_focused()
    page.locator("#run-bulk").press("Enter")
    expect(page.locator("dialog [data-confirm-no]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#run-bulk")).to_be_focused()
    page.goto(f"{site.url}/orders")
    page.locator(".condition-chips a").press("Enter")
    expect(page.locator(".condition-chips a")).to_have_count(0)
    assert has_focus(page) == "chips"


def test_a_capture_of_one_order_is_said(site: Site, visitor: Visitor) -> None:
    [order] = site.orders(1, total=9612)
    page = visitor.open(f"/orders/{order.order_no}/capture")
    page.locator("[data-confirm-yes]").press("Enter")
    expect(page.locator("#said")).to_contain_text(f"{order.order_no} 決済完了 ¥9,612")
    assert page.evaluate("document.activeElement !== document.body")


def test_the_focus_follows_every_act_on_an_order(site: Site, visitor: Visitor) -> None:  # B9
    [order] = site.orders(1)
    page = visitor.open(f"/orders/{order.order_no}")
    page.locator("#memo").fill("明日かけ直す")
    for words, told in (
        ("記録する", "記録しました。"),
        ("登録", "伝票番号を登録しました。"),
        ("照合", "SMBC-GPと照合しました。"),
    ):
        page.get_by_label("伝票番号", exact=True).fill("4000-0000-0001")
        page.get_by_role("button", name=words, exact=True).press("Enter")
        expect(page.locator("#messages")).to_contain_text(told)
        expect(page.locator(".htmx-request")).to_have_count(0)
        assert page.evaluate("document.activeElement !== document.body"), words
        expect(page.locator("#said")).to_contain_text(told)
    for opener in ("SGPカード実売上処理", "返送処理", "注文キャンセル"):
        page.get_by_role("button", name=opener, exact=True).press("Enter")
        expect(page.locator("[data-confirm-no]")).to_be_visible()
        assert page.evaluate("document.activeElement.closest('.confirmation') !== null"), opener
        page.locator("[data-confirm-no]").press("Enter")
        expect(page.locator("[data-confirm-no]")).to_have_count(0)
        assert page.evaluate("document.activeElement !== document.body"), opener
    page.goto(f"{site.url}/orders/{order.order_no}/edit")
    page.get_by_role("button", name="編集", exact=True).press("Enter")
    expect(page.locator("#total")).to_be_focused()
    page.locator("#total").fill("12x")
    page.get_by_role("button", name="確定").press("Enter")
    expect(page.locator("#total-error")).to_be_visible()
    expect(page.locator("#total")).to_be_focused()
    page.get_by_role("button", name="取消").press("Enter")
    expect(page.locator("#total")).to_have_count(0)
    assert page.evaluate("document.activeElement !== document.body")


def test_the_first_order_is_seen_at_once(site: Site, visitor: Visitor) -> None:
    site.orders(1)
    site.orders(1, status=PaymentStatus.CAPTURE_FAILED)
    page = visitor.open("/orders")
    for viewport, most in ((WIDE, 230), (NARROW, 330)):
        page.set_viewport_size(viewport)
        box = page.locator("#order-table tbody tr").first.bounding_box()
        assert box is not None
        assert box["y"] <= most, viewport


def test_the_list_stays_where_it_is_while_an_action_is_chosen(site: Site, visitor: Visitor) -> None:
    site.orders(25)
    page = visitor.open("/orders")
    for viewport in (WIDE, NARROW):
        page.set_viewport_size(viewport)
        page.goto(f"{site.url}/orders")
        page.locator("#order-table tbody input").first.check()
        page.locator("#choose-action").click()
        expect(page.locator("#choose-sgp-capture")).to_be_focused()
        page.locator("#choose-sgp-capture").click()
        expect(page.locator("#run-bulk")).to_be_focused()
        assert page.evaluate("scrollY") == 0, viewport
        page.locator("#order-table tbody input").first.uncheck()


#: what lies over the middle of what has the focus, if anything
COVERS = """() => {
  const one = document.activeElement, place = one.getBoundingClientRect();
  if (one === document.body || place.width < 2) return "";
  const x = place.x + place.width / 2, y = place.y + Math.min(place.height / 2, 10);
  const top = document.elementFromPoint(Math.min(Math.max(x, 1), innerWidth - 2), y);
  return !top || one.contains(top) || top.contains(one) ? "" : `${one.outerHTML} under ${top.outerHTML}`;
}"""


def test_nothing_sticky_covers_the_focus(site: Site, visitor: Visitor) -> None:
    orders = site.orders(8)
    edit = f"/orders/{orders[0].order_no}/edit"
    page = visitor.open(edit)
    for width, height in ((640, 512), (320, 256)):  # 200 % and 400 %
        page.set_viewport_size({"width": width, "height": height})
        for path in (edit, "/orders", f"/orders/{orders[0].order_no}", "/slips"):
            page.goto(site.url + path)
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
            for _ in range(45):
                page.keyboard.press("Tab")
                assert page.evaluate(COVERS) == "", (path, width)


def test_the_columns_stay_where_they_are(site: Site, visitor: Visitor) -> None:
    site.orders(1)
    site.orders(1, total=999_999, status=PaymentStatus.CAPTURE_FAILED, buyer="寿限無寿限無五劫の")
    heads = "[...document.querySelectorAll('#order-table th[scope=col]')]"
    columns = f"() => {heads}.map((one) => one.getBoundingClientRect().x)"
    page = visitor.open("/orders?status=authorized")

    def places() -> dict[int, Any]:
        found = {}
        for width in (800, 1000, 1199, 1280):
            page.set_viewport_size({"width": width, "height": 900})
            found[width] = page.evaluate(columns)
        return found

    before = places()
    page.goto(f"{site.url}/orders?status=capture_failed")
    assert places() == before


def test_the_chosen_tab_is_seen_on_a_telephone(site: Site, visitor: Visitor) -> None:
    site.orders(1)
    page = visitor.open("/orders?status=needs_review", viewport=NARROW)
    for tab in ("needs_review", "authorized", "cancelled"):
        chosen = page.locator(f"#tab-{tab}")
        if tab != "needs_review":
            chosen.press("Enter")
        expect(chosen).to_have_attribute("aria-current", "page")
        expect(chosen).to_be_in_viewport(ratio=1)


def test_the_pressed_button_says_that_it_is_sending(site: Site, visitor: Visitor) -> None:
    [order] = site.orders(1)
    page = visitor.open(f"/orders/{order.order_no}")
    held: list[Route] = []
    page.route("**/reconcile", lambda route: held.append(route))
    button = page.get_by_role("button", name="照合", exact=True)
    button.click()
    expect(button).to_be_disabled()  # and is called as before
    assert "送信中…" in button.evaluate("(one) => getComputedStyle(one, '::after').content")
    held[0].continue_()
    expect(page.locator("#messages")).to_contain_text("SMBC-GPと照合しました。")
    expect(button).to_be_enabled()
    assert button.evaluate("(one) => getComputedStyle(one, '::after').content") == "none"


#: what can be pressed and is lower than a thumb is broad: neither itself nor what lies around its middle
TOO_LOW = """() => [...document.querySelectorAll("main, .top-bar, .phone-tabs")]
  .flatMap((part) => [...part.querySelectorAll("a[href], button, summary, select, input:not([type=hidden])")])
  .filter((one) => one.checkVisibility({visibilityProperty: true}))
  .filter((one) => !one.closest("svg, .visually-hidden, [aria-hidden]"))
  .filter((one) => {
    const place = (one.closest("label, .tick, tbody tr:has(.tick)") ?? one).getBoundingClientRect();
    if (place.height > 43 || place.width < 2) return false;
    one.scrollIntoView({block: "center", inline: "center"});
    const now = one.getBoundingClientRect(), x = now.x + now.width / 2, y = now.y + now.height / 2;
    return [-20, 20].some((by) => !(one.closest("label, .tick") ?? one).contains(document.elementFromPoint(x, y + by)));
  }).map((one) => one.outerHTML.slice(0, 120))"""


def test_what_is_pressed_on_a_telephone_is_as_large_as_a_thumb(
    site: Site, visitor: Visitor
) -> None:
    [order] = site.orders(1)
    site.orders(1, status=PaymentStatus.NEEDS_REVIEW)
    page = visitor.open("/", viewport=NARROW)
    here = f"/orders/{order.order_no}"
    for path in (
        "/",
        "/orders",
        here,
        f"{here}/edit",
        f"{here}/cancel",
        "/slips",
        "/sales",
        "/help",
    ):
        page.goto(site.url + path)
        assert (path, page.evaluate(TOO_LOW)) == (path, [])


def test_a_thumb_beside_the_box_ticks_it(site: Site, visitor: Visitor) -> None:
    site.orders(1)
    page = visitor.open("/orders", viewport=NARROW)
    page.locator("#order-table tbody .tick").click(position={"x": 3, "y": 3})
    expect(page.locator(TICKED)).to_have_count(1)
    expect(page.locator("#bar-count")).to_contain_text("1件を選択")
    assert page.url.endswith("/orders")
