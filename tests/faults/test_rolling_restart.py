"""SIGTERM under requests, and another web process on the same port: nobody stays unanswered (P33)."""

from __future__ import annotations

import signal
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask

from sgpshop.extensions import db
from sgpshop.models import Attempt, Order
from tests.faults.calling import PATIENCE, capture_by_api, capture_by_form, sign_in
from tests.faults.test_kill import judge_all, orders, processes, still_open
from tests.processes import Processes
from tests.waiting import wait_until
from tests.web.api_calls import make_key

__all__ = ["orders", "processes"]


@pytest.mark.alike
@pytest.mark.parametrize("orders", [13], indirect=True)
def test_captures_under_way_are_answered_and_the_next_process_takes_over_the_port(
    app: Flask,
    processes: Processes,
    orders: list[Order],
) -> None:
    by_api, by_form, later = orders[:5], orders[5:9], orders[9:]
    key = make_key(app)
    with app.app_context(), ThreadPoolExecutor(len(orders)) as pool:
        cookie = sign_in(app, "鈴木")
        first, url = processes.start_web()
        port = int(url.rpartition(":")[2])
        slow = {"api": "AlterTran", "times": 9, "fault": "delay:2"}
        processes.post_control("faults", slow)
        under_way = [
            *(pool.submit(capture_by_api, url, key, order) for order in by_api),
            *(pool.submit(capture_by_form, url, cookie, order) for order in by_form),
        ]
        wait_until(lambda: db.session.query(Attempt).count() == len(under_way))
        first.send_signal(signal.SIGTERM)
        wait_until(lambda: not listens(port))
        second = processes.start("web", "--port", str(port))
        processes.wait_for(f"{url}/healthz", second)
        taken_over = [
            *(pool.submit(capture_by_api, url, key, order) for order in later[:2]),
            *(pool.submit(capture_by_form, url, cookie, order) for order in later[2:]),
        ]
        answers = [answer.result(PATIENCE) for answer in under_way + taken_over]
        assert set(answers) <= {200, 202, 303}
        assert first.wait(PATIENCE) == 0
        processes.start("worker")
        wait_until(lambda: still_open() == 0, seconds=PATIENCE)
        judge_all(processes, orders)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    except ConnectionRefusedError:
        return False
    return True
