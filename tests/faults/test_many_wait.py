"""Thirteen buyers return from a slow 3-D Secure, and people and programs go on working (P23)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from flask import Flask

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Order
from sgpshop.services.payments import three_ds
from sgpshop.storage import waiting
from sgpshop.web.server import make_server
from tests import own_worker
from tests.factories import authorized_order, fresh
from tests.faults.calling import PATIENCE, capture_by_api, capture_by_form, sign_in
from tests.gateway_world import World
from tests.services.arriving import open_shop
from tests.services.payments.test_three_ds import OURS, at_bank, begun
from tests.waiting import wait_until
from tests.web.api_calls import make_key

S = PaymentStatus
BUYERS = 13


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "PUBLIC_URL": OURS, "CHECKOUT_WAIT": 600.0}


@pytest.fixture
def url(app: Flask, shop: World) -> Iterator[str]:
    """The app behind its own HTTP server."""
    server = make_server(app, "127.0.0.1", 0, 100_000)
    thread = threading.Thread(target=server.run)
    thread.start()
    yield f"http://127.0.0.1:{server.effective_port}"
    answer_at_once(shop)
    server.leave()
    thread.join()


def answer_at_once(shop: World) -> None:
    """SMBC-GP lets nobody wait any longer."""
    shop.simulator.extensions["endpoint"].stopping.set()


@contextmanager
def all_answered(shop: World) -> Iterator[None]:
    """At its end SMBC-GP lets nobody wait; a test that failed would wait for those first."""
    try:
        yield
    finally:
        answer_at_once(shop)


def let_in(ask: Callable[[str, str, Order], int], url: str, who: str, order: Order) -> int:
    """What is answered at last: where a busy machine's database lets nobody in, one comes again (P23)."""
    while (status := ask(url, who, order)) == 503:
        time.sleep(0.1)
    return status


def address_of(url: str, order: Order) -> str:
    """Where that buyer's browser comes back to."""
    return url + three_ds.return_address(order.order_no).removeprefix(OURS)


def come_back(address: str, access_id: str) -> str:
    """The buyer's browser posts what the bank gave it; where it is sent on to."""
    answer = requests.post(
        address,
        data={"AccessID": access_id},
        headers={"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        timeout=600,
        allow_redirects=False,
    )
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


def test_buyers_who_wait_keep_nobody_else_waiting(app: Flask, shop: World, url: str) -> None:
    open_shop()
    begun_ones = [begun(shop) for _ in range(BUYERS)]
    brought = [(address_of(url, order), at_bank(shop, bank)) for order, bank in begun_ones]
    by_api, by_form = [[authorized_order(shop) for _ in range(6)] for _ in range(2)]
    key, cookie = make_key(app), sign_in(app, "鈴木")
    for api in ("SecureTran2", "AlterTran"):
        shop.fault("delay:600", api, times=100)
    with ThreadPoolExecutor(BUYERS + 12) as pool, all_answered(shop):
        returns = [pool.submit(come_back, *one) for one in brought]
        # At most so many wait, whatever for; the others are told that it goes on.
        told = BUYERS - waiting.MOST_FOR_ANSWERS
        wait_until(lambda: sum(one.done() for one in returns) >= told)
        acts = [
            *(pool.submit(let_in, capture_by_api, url, key, order) for order in by_api),
            *(pool.submit(let_in, capture_by_form, url, cookie, order) for order in by_form),
        ]
        assert {act.result(PATIENCE) for act in acts} <= {200, 202, 303}
        for path in ("/healthz", "/login"):
            assert requests.get(url + path, timeout=PATIENCE).status_code == 200
        assert not all(one.done() for one in returns)  # the others wait all the while
    assert all("result=" in one.result() for one in returns)
    # The work went on by itself, whoever waited for it.
    wait_until(lambda: all(fresh(one).payment_status is S.AUTHORIZED for one, _ in begun_ones))
    captured = by_api + by_form
    wait_until(lambda: all(fresh(one).payment_status is S.CAPTURED for one in captured))
    assert {shop.sales(order.order_no) for order in captured} == {1}
    own_worker.finish(app)
