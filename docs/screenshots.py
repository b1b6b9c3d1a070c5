"""Pictures of five screens for README and docs: python docs/screenshots.py (make screenshots).

Starts the demo as `make run` does, in a folder of its own, looks at it with Chromium and ends it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import requests
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
PATIENCE = 400
SETTLING = 45
#: of date fields
JAPANESE = {"LANGUAGE": "ja", "LANG": "ja_JP.UTF-8"}
BROWSER = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def free_port() -> str:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def started(folder: Path) -> tuple[subprocess.Popen[str], str, str]:
    """The demo, its address and its password, once it says them."""
    environment = {
        **os.environ,
        "SGPSHOP_INSTANCE_PATH": str(folder),
        "PORT": free_port(),
        "SGPSHOP_SIMULATOR_PORT": free_port(),
    }
    demo = subprocess.Popen(
        [sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert demo.stdout is not None
    said, until = "", time.monotonic() + PATIENCE
    while "demo login:" not in said and time.monotonic() < until:
        said += demo.stdout.readline()
    found = re.search(r"(http://\S+?)/\s.*demo login: demo / (\S+)", said, re.DOTALL)
    assert found, said
    return demo, found[1], found[2]


def wait_until_calm(address: str) -> None:
    """Until the worker has looked at every order of the sample: no deadline is missing then."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            said = requests.get(f"{address}/readyz", timeout=5).json()
            if said["worker_beat_age"] is not None and not said["queued"]:
                time.sleep(SETTLING)
                return
        time.sleep(1)


def take(page: Page, name: str) -> None:
    """The window as it is, under that name."""
    page.wait_for_load_state("networkidle")
    page.screenshot(path=PICTURES / f"{name}.png")


def main() -> None:
    """Take all pictures anew."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        demo, address, password = started(Path(folder))
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-headless-shell"),
            args=BROWSER,
            env={**os.environ, **JAPANESE},
        )
        try:
            wait_until_calm(address)
            context = browser.new_context(viewport=WIDE, locale="ja-JP")
            page = context.new_page()
            page.goto(f"{address}/login")
            page.fill("input[name=name]", "demo")
            page.fill("input[name=password]", password)
            page.click("main button[type=submit]")
            take(page, "home")
            page.goto(f"{address}/orders?status=authorized")
            for box in page.locator("#order-table tbody input").all()[:3]:
                box.check()
            page.get_by_role("button", name="一括処理を選択").click()
            page.get_by_role("button", name="SGPカード決済").click()
            page.locator("#run-bulk:focus").wait_for()
            take(page, "orders")
            page.goto(f"{address}/orders?status=capture_failed&from=&to=")
            page.locator("#order-table tbody a").first.click()
            page.locator("#payment-error").wait_for()
            take(page, "failed-order")
            page.goto(f"{address}/slips")
            take(page, "slips")
            page.set_viewport_size(PHONE)
            page.goto(f"{address}/orders?status=authorized")
            take(page, "phone")
        finally:
            browser.close()
            demo.send_signal(signal.SIGINT)
            demo.wait(PATIENCE)


if __name__ == "__main__":
    main()
