"""Every screen: usable by everybody, at 1280 and 360 px, under the strict policy (S8)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Page, ViewportSize, expect

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import BillingState, Operation, Role, Scope
from sgpshop.services.access import api_keys
from sgpshop.web.frame.security import right_of
from sgpshop.web.settings.file_settings import SCREENS as FILE_SCREENS
from tests.browser.conftest import NARROW, WIDE, Site, Visitor
from tests.factories import days_ago, order_number
from tests.notifying import tell
from tests.services.acting import press
from tests.services.order_search.test_preorders_list import ordered
from tests.services.subscribing import make_subscription
from tests.signing_in import signed_in

WORDS = {"moderate", "serious", "critical"}
#: The smallest telephone.  What fits there fits at 390 px, as what fits at 1280 px fits in each wider window:
#: between them no arrangement begins (static/app.css).
SMALLEST: ViewportSize = {"width": 360, "height": 844}
#: the least widths of the arrangements between
BETWEEN = (800, 1024)
#: beside all that has an address of its own
STATES = ["/orders?status=authorized&fields=all", "/orders?order_no=NOTHING0", "/no-such-page"]


def addresses(app: Flask, client: FlaskClient) -> Iterator[str]:
    """Every page that somebody who is signed in can open by its address alone."""
    for rule in app.url_map.iter_rules():
        if rule.arguments or not isinstance(right_of(app, rule.endpoint), Role):
            continue
        if "GET" in (rule.methods or ()):
            with client.get(rule.rule) as answer:
                if answer.status_code == 200 and answer.mimetype == "text/html":
                    yield rule.rule


#: half a million letters: they go to a page once, not each time something is asked of it
_LOAD = f"() => {{ {Axe().axe_script} {Path(__file__).with_name('looks.js').read_text('utf-8')} }}"
_JUDGE = "([isWhole, known]) => 'judge' in window ? judge(isWhole, known) : null"
#: the looks of text that axe found readable
_readable: set[str] = set()
#: what stands beside the window, and fields too narrow to read what is typed: four digits need as much
_WIDTH = """() => [
  document.documentElement.scrollWidth > innerWidth,
  [...document.querySelectorAll("input:not([type=checkbox], [type=radio]), select, textarea")]
    .filter((field) => field.checkVisibility() && field.offsetWidth < 64).map((field) => field.name)]"""


def findings(page: Page, *, is_whole: bool) -> list[str]:
    """What axe calls moderate or worse, with the elements concerned; else of the colours alone."""
    said = page.evaluate(_JUDGE, [is_whole, []])
    if said is None:
        page.evaluate(_LOAD)
        said = page.evaluate(_JUDGE, [is_whole, [*_readable]])
    violations, readable = said
    _readable.update(readable)
    return [f"{found['id']}: {found['nodes']}" for found in violations if found["impact"] in WORDS]


def check(page: Page) -> None:
    """The page as it stands is for everybody: in wide windows and narrow ones, light and dark."""
    size = page.viewport_size
    assert size is not None
    for viewport, schemes in ((WIDE, ("light", "dark")), (SMALLEST, ("dark", "light"))):
        width = viewport["width"]
        page.set_viewport_size(viewport)
        assert_it_fits(page, width)
        for scheme in schemes:
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            found = findings(page, is_whole=scheme == "light")
            assert (page.url, width, scheme, found) == (page.url, width, scheme, [])
    for width in BETWEEN:
        page.set_viewport_size({"width": width, "height": 844})
        assert_it_fits(page, width)
    page.set_viewport_size(size)


def assert_it_fits(page: Page, width: int) -> None:
    """Nothing of the page stands beside the window, and no field is squeezed."""
    assert (page.url, width, page.evaluate(_WIDTH)) == (page.url, width, [False, []])


_WRITE_PALE = """() => {
  const words = document.createElement("p");
  words.append("too pale");
  words.style.setProperty("color", "light-dark(#bbb, #444)");
  document.querySelector("main").append(words);
}"""


def test_what_cannot_be_read_is_found_light_and_dark(site: Site, visitor: Visitor) -> None:
    page = visitor.open("/help")
    for is_pale in (False, True):
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            assert bool(findings(page, is_whole=False)) is is_pale, scheme
        page.evaluate(_WRITE_PALE)


def owner(site: Site) -> FlaskClient:
    """The owner, signed in: windows are theirs from now on."""
    client = signed_in(site.app, Role.OWNER, "店長")
    client.get("/healthz")
    cookie = client.get_cookie("sgpshop")
    assert cookie is not None
    site.cookie["value"] = cookie.value
    return client


@pytest.mark.parametrize("part", range(3))
def test_screens(site: Site, visitor: Visitor, part: int) -> None:
    orders = site.orders(2)
    site.orders(1, status=PaymentStatus.CAPTURE_FAILED)
    site.orders(1, status=PaymentStatus.NEEDS_REVIEW)
    with site.app.app_context():
        press(orders[0], Operation.CAPTURE)
    screens = [*addresses(site.app, owner(site)), *STATES, f"/orders/{orders[1].order_no}/print"]
    assert {"/", "/help", "/orders", "/preorders", "/sales", "/settings/sgp", "/slips"} <= {
        *screens
    }
    assert len(screens) >= 20
    page = visitor.open("/help")
    for path in screens[part::3]:
        page.goto(site.url + path)
        check(page)


def test_lists_with_something_in_every_column(site: Site, visitor: Visitor) -> None:
    with site.app.app_context():
        for days in (2, -3):
            # A look-up knows it: a worker asks at its start about preorders of which nothing was said.
            known = site.world.authorize(order_number(), 1_234_567)
            ordered(days, access=known, gateway_state="CHECK", total=1_234_567, buyer="寿限無" * 5)
        make_subscription(total=1_234_567, slip_no="4000-0000-0001")
        make_subscription(
            total=33_000,
            status=PaymentStatus.CAPTURE_FAILED,
            delivered_at=days_ago(40),
            state=BillingState.NOT_PAID,
            result="1",
            codes="42G830000",
        )
        api_keys.create("倉庫の在庫管理", list(Scope), by="店長")
    owner(site)
    page = visitor.open("/preorders")
    for path in ("/preorders", "/subscriptions", "/subscriptions?tab=all", "/settings/api-keys"):
        page.goto(site.url + path)
        expect(page.locator("tbody tr").first).to_be_attached()
        check(page)


def test_the_detail_of_every_status(site: Site, visitor: Visitor) -> None:
    page = visitor.open("/orders")
    for status in PaymentStatus:
        [order] = site.orders(1, status=status, note="長い備考" * 60, buyer="寿限無" * 20)
        page.goto(f"{site.url}/orders/{order.order_no}")
        check(page)


def test_confirmations_and_results(site: Site, visitor: Visitor) -> None:
    orders = site.orders(3)
    site.world.fault("error:42G020000", order_id=orders[0].order_no)
    page = visitor.open(f"/orders/{orders[0].order_no}/capture", viewport=NARROW)
    check(page)
    page.goto(f"{site.url}/orders")
    page.locator("#select-page").check()
    page.get_by_role("button", name="一括処理を選択").click()
    page.get_by_role("button", name="SGPカード決済").wait_for()
    check(page)
    page.get_by_role("button", name="SGPカード決済").click()
    page.get_by_role("button", name="処理を実行").click()
    page.locator("[data-confirm-yes]").wait_for()
    check(page)
    page.locator("[data-confirm-yes]").click()
    page.locator(
        f'tr[data-order-no="{orders[1].order_no}"][data-payment-status="captured"]'
    ).wait_for()
    check(page)


def test_login_and_settings(site: Site, visitor: Visitor) -> None:
    owner(site)
    for which in FILE_SCREENS:
        check(visitor.open(f"/settings/files/{which}", viewport=NARROW))
    [order] = site.orders(1)
    with site.app.app_context():
        tell(order.order_no)
        tell("P999", ErrCode="42G", ErrInfo="42G020000|E01060010", Status="AUTH")
        tell("", ErrCode="E00", ErrInfo="E00000000")
    page = visitor.open("/settings/notifications", viewport=NARROW)
    page.locator("main summary").click()
    check(page)
    site.cookie["value"] = "nobody"
    check(visitor.open("/login", viewport=NARROW))
