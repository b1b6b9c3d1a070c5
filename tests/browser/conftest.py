"""A real browser on the real app: server and worker in threads, the simulator as the gateway."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, Route, ViewportSize, expect, sync_playwright
from werkzeug.serving import make_server

from sgpshop.models import Order, Role
from sgpshop.services.payments import gateway_access
from tests.factories import authorized_order
from tests.gateway_world import World
from tests.signing_in import signed_in
from tests.waiting import working

#: Seconds until something is so, on a machine that has other things to do as well.
PATIENCE = 60
expect.set_options(timeout=PATIENCE * 1000)

NARROW: ViewportSize = {"width": 390, "height": 844}
WIDE: ViewportSize = {"width": 1280, "height": 900}


_HAS_FAILED = pytest.StashKey[bool]()
#: The last that Playwright says where Chromium has stopped drawing a window, as it does about once in
#: some thousand quick changes of a window's size on a busy machine; of an element that is hidden,
#: disabled or moving it goes on to say so.
_DRAWS_NOTHING = r"(visible, enabled and stable|performing click action)\s*\Z"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A window that is no longer drawn is replaced by another, once."""
    for item in items:
        if "visitor" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=[_DRAWS_NOTHING]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell the windows' fixture how the test went."""
    report = yield
    item.stash[_HAS_FAILED] = report.failed and call.when == "call"
    return report


def look_again_until(page: Page, is_so: Callable[[], object]) -> None:
    """Load the page anew until it is so: what a person does whose browser has no JavaScript."""
    until = time.monotonic() + PATIENCE
    pause = 100.0
    while not is_so():
        assert time.monotonic() < until, "still not so"
        page.wait_for_timeout(pause)
        page.reload()
        pause = min(500.0, pause * 1.5)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, quiet, without windows where it comes so; one for all tests of a process."""
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(
            executable_path=shutil.which("chromium-headless-shell") or shutil.which("chromium"),
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
            env={**os.environ, "LANGUAGE": "ja", "LANG": "ja_JP.UTF-8"},
        )


@dataclass
class Site:
    """A running shop: where it is, its gateway, and its app for building orders."""

    url: str
    app: Flask
    world: World
    cookie: dict[str, Any] = field(default_factory=dict)

    def orders(self, number: int, **more: Any) -> list[Order]:
        """So many orders in 仮売上 here and AUTH at the simulator."""
        with self.app.app_context():
            return [authorized_order(self.world, **more) for _ in range(number)]


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"RESOLVE_SCHEDULE": (0.0, 0.5, 1.0, 600.0), "QUIET_PERIOD": 0.4}


@pytest.fixture
def first_database(database_with_contract: Path) -> Path:
    return database_with_contract


@pytest.fixture
def site(app: Flask) -> Iterator[Site]:
    """The shop, with somebody signed in as an operator."""
    world = World()
    gateway_access.init_app(app, world.gateway)
    client = signed_in(app, Role.OPERATOR, "田中")
    client.get("/healthz")
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))  # notices its end so soon
    thread.start()
    cookie = client.get_cookie("sgpshop")
    assert cookie is not None
    url = f"http://127.0.0.1:{server.server_port}"
    with working(app):
        yield Site(url, app, world, {"name": "sgpshop", "value": cookie.value, "url": url})
    server.shutdown()
    thread.join()


def _empty(route: Route) -> None:
    """A page without anything; without its own icon Chromium would ask for one."""
    route.fulfill(content_type="text/html", body="<link rel=icon href='data:,'>")


class Windows:
    """Windows of the browser, used by one test after the other: to open one takes longer than to use it."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._free: dict[bool, list[Page]] = {True: [], False: []}

    def take(self, *, javascript: bool) -> Page:
        """An empty window without cookies."""
        if self._free[javascript]:
            return self._free[javascript].pop()
        context = self._browser.new_context(
            locale="ja-JP",
            timezone_id="Asia/Tokyo",
            java_script_enabled=javascript,
            reduced_motion="reduce",  # or each wait for an answer draws sixty pictures a second
        )
        context.set_default_timeout(PATIENCE * 1000)
        return context.new_page()

    def give_back(self, page: Page, host: str, *, javascript: bool, is_well: bool) -> None:
        """Leave nothing of the test in it, nor any window that it opened.

        It stays at an empty page of `host`, which no server is asked for: for about:blank Chromium would
        start a process, and another one for the next test.
        """
        if not is_well:
            page.context.close()
            return
        for other in page.context.pages:
            if other is not page:
                other.close()
        page.unroute_all()
        page.emulate_media(media="null")
        page.route(f"{host}/**", _empty)
        page.goto(f"{host}/empty")
        page.unroute_all()
        page.context.clear_cookies()
        self._free[javascript].append(page)


@pytest.fixture(scope="session")
def windows(browser: Browser) -> Windows:
    """The windows of a process of the tests."""
    return Windows(browser)


class Visitor:
    """Opens windows on the site and collects what the browser complains about."""

    def __init__(self, windows: Windows, site: Site) -> None:
        self._windows = windows
        self._site = site
        self._mine: list[tuple[Page, bool]] = []
        self.complaints: list[str] = []

    def open(
        self, path: str = "/orders", *, javascript: bool = True, viewport: ViewportSize = WIDE
    ) -> Page:
        """A window showing `path`, somebody being signed in."""
        page = self._windows.take(javascript=javascript)
        self._mine.append((page, javascript))
        page.set_viewport_size(viewport)
        page.context.add_cookies([self._site.cookie])  # type: ignore[list-item]
        page.on("console", self._heard)
        page.on("pageerror", self._failed)
        page.goto(self._site.url + path)
        return page

    def close(self, *, is_well: bool) -> None:
        """Give all windows back; those of a test that failed may be what it failed of."""
        for page, javascript in self._mine:
            page.remove_listener("console", self._heard)
            page.remove_listener("pageerror", self._failed)
            host = self._site.url
            self._windows.give_back(page, host, javascript=javascript, is_well=is_well)

    def _failed(self, error: object) -> None:
        self.complaints.append(str(error))

    def _heard(self, message: Any) -> None:
        # A refused or stale form answers 4xx, which Chromium reports as an error of the network and
        # htmx as one of the answer; htmx also reports a poll that leaving the page cut off.
        expected = (
            "status of 4",
            "Status Error Code 4",
            "htmx:afterRequest",
            "htmx:sendAbort",
            "htmx:sendError",
        )
        if message.type in ("error", "warning") and not any(e in message.text for e in expected):
            self.complaints.append(message.text)


@pytest.fixture
def visitor(windows: Windows, site: Site, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    """Windows on the site; the test fails if the browser complained (CSP violations included)."""
    visitor = Visitor(windows, site)
    yield visitor
    visitor.close(is_well=not request.node.stash.get(_HAS_FAILED, False))
    assert visitor.complaints == []
