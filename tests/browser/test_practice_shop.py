"""From the practice shop to the end: an order of each kind is bought, arrives by itself, and is paid.

Both clocks go over 31 December on the way, while the server lives in another time zone.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import time_machine
from playwright.sync_api import Page, expect
from werkzeug.serving import make_server

from sgpshop.domain.payment_calendar import JST
from sgpshop.gateway import ShopCredentials, SmbcGpGateway
from sgpshop.models import Scope
from sgpshop.services import settings
from sgpshop.services.access import api_keys
from sgpshop.services.payments import gateway_access
from sgpshop.worker import house
from tests.browser.conftest import Site, Visitor, look_again_until

NOW = datetime(2026, 12, 31, 23, 40, tzinfo=JST)
#: goods of the practice shop, by kind
GOODS = {"normal": "煎茶", "preorder": "新茶", "subscription": "お茶の定期便"}


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {
        "RESOLVE_SCHEDULE": (0.0, 0.5, 1.0, 600.0),
        "QUIET_PERIOD": 0.4,
        "SESSION_IDLE": 10.0**8,
        "SESSION_MAX": 10.0**8,
        "TRUSTED_HOSTS": ["127.0.0.1", "localhost"],
    }


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[time_machine.Coordinates]:
    """The clock of shop, worker and simulator."""
    monkeypatch.setattr(house, "_BILLING_EVERY", 0.5)  # as soon as the clock was set on
    monkeypatch.setenv("TZ", "America/Los_Angeles")
    time.tzset()
    with time_machine.travel(NOW, tick=True) as travelled:
        yield travelled
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def shop_front(clock: time_machine.Coordinates, site: Site) -> Iterator[str]:
    """Where the practice shop is; it hands orders in at our API."""
    with site.app.app_context():
        settings.save("test", enabled=True, subscription_enabled=True, shop_name="お茶の見本堂")
        key = api_keys.create("練習ショップ", [Scope.INTAKE, Scope.READ], by="test")
    site.app.config["PUBLIC_URL"] = site.url
    server = make_server("127.0.0.1", 0, site.world.simulator, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    gateway_access.init_app(
        site.app, connected_to(address)
    )  # so that its own pages have an address
    control = site.world.simulator.test_client()
    opened = control.post("/_control/practice-shop", json={"api_url": site.url, "api_key": key})
    assert opened.status_code == 200, opened.text
    yield f"{address}/practice-shop/"
    server.shutdown()
    thread.join()


def connected_to(address: str) -> SmbcGpGateway:
    """A client for the simulator at that address."""
    credentials = ShopCredentials("tshop00000001", "shoppass01", "tsite00000001", "sitepass01")
    return SmbcGpGateway(address, credentials, allow_loopback_http=True)


def buy(page: Page, shop_front: str, goods: str, card: str = "通常(承認される)") -> str:
    """Buy as a person would; the order number."""
    page.goto(shop_front)
    page.get_by_role("radio", name=re.compile(goods)).check()
    page.get_by_role("radio", name=card, exact=True).check()
    page.get_by_role("checkbox", name=re.compile("本人認証")).set_checked("チャレンジ" in card)
    page.get_by_role("button", name="購入する").click()
    expect(page.locator("main")).to_contain_text(re.compile(r"P\d{18}"))
    found = re.search(r"P\d{18}", page.content())
    assert found
    return found[0]


def listed(page: Page, site: Site, order_no: str) -> Any:
    """The row of the order in 注文検索, as a person who just looks finds it."""
    page.goto(f"{site.url}/orders")
    return page.locator(f'tr[data-order-no="{order_no}"] [data-status-text]')


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()
    page.locator("[data-confirm-yes]").first.click()


def wait_for_status(page: Page, words: str) -> None:
    """Look again until the order says so."""
    look_again_until(page, lambda: words in page.locator("[data-status-text]").first.inner_text())


def test_an_order_of_each_kind_goes_its_whole_life(
    clock: time_machine.Coordinates, site: Site, visitor: Visitor, shop_front: str
) -> None:
    def travel(to: datetime) -> None:
        """What was heard of SMBC-GP's clock before counts no more: no real clock jumps so."""
        clock.move_to(to)
        gateway_access.init_app(site.app, connected_to(shop_front.removesuffix("/practice-shop/")))

    buyer, page = visitor.open(), visitor.open()
    numbers = {kind: buy(buyer, shop_front, goods) for kind, goods in GOODS.items()}
    expect(listed(page, site, numbers["normal"])).to_have_text(re.compile("仮売上"))  # T1
    expect(listed(page, site, numbers["preorder"])).to_have_text(re.compile("仮売上"))  # T3
    expect(listed(page, site, numbers["subscription"])).to_have_text(re.compile("決済待ち"))  # T4
    for kind in ("normal", "preorder"):
        page.goto(f"{site.url}/orders/{numbers[kind]}")
        press(page, "SGPカード実売上処理")
        wait_for_status(page, "決済完了")
    page.goto(f"{site.url}/orders/{numbers['subscription']}")
    press(page, "配送完了")  # T17: still in December
    delivered = page.locator('[data-delivery-status="delivered"]')
    expect(delivered).to_have_count(1)
    travel(datetime(2027, 1, 10, 6, 1, tzinfo=JST))
    wait_for_status(page, "売上報告済")  # T18
    travel(datetime(2027, 1, 18, 6, 1, tzinfo=JST))
    page.goto(f"{site.url}/subscriptions?tab=reported")
    row = page.locator(f'tr[data-order-no="{numbers["subscription"]}"]')
    look_again_until(page, lambda: "OK" in row.inner_text())
    kept = {
        kind: site.world.trade(no if kind == "normal" else f"{no}-1")["status"]
        for kind, no in numbers.items()
    }
    assert kept == {"normal": "SALES", "preorder": "CAPTURE", "subscription": "CAPTURE"}


def test_three_d_secure_and_a_decline(
    clock: time_machine.Coordinates, site: Site, visitor: Visitor, shop_front: str
) -> None:
    buyer, page = visitor.open(), visitor.open()
    buy(buyer, shop_front, GOODS["normal"], "3-Dセキュア チャレンジ(認証画面が出る)")
    buyer.get_by_role("button", name="認証する").click()
    expect(buyer).to_have_url(re.compile("/practice-shop/thanks/"))
    found = re.search(r"P\d{18}", buyer.url)
    assert found
    expect(listed(page, site, found[0])).to_have_text(re.compile("仮売上"))
    refused = buy(buyer, shop_front, GOODS["normal"], "残高不足")
    expect(buyer.locator("main")).to_contain_text("承認されませんでした")
    expect(listed(page, site, refused)).to_have_count(0)  # nothing is kept
