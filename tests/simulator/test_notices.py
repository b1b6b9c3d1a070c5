"""Result notifications of the practice gateway: protocol.md §6 and rule 33."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from sgpshop.simulator import create_app
from sgpshop.simulator.notices import Notices, post_form

from .live import LiveGateway
from .shop import FORM, SettableClock, Shop, fields

URL = "http://127.0.0.1:9/notify/x"


class Receiver:
    """Takes what is posted and answers in turn; the last answer is repeated."""

    def __init__(self, *answers: str | None) -> None:
        self.answers = list(answers or ("0",))
        self.got: list[dict[str, str]] = []

    def __call__(self, url: str, body: bytes) -> str | None:
        self.got.append(fields(body))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def notices(app: Flask) -> Notices:
    made: Notices = app.extensions["endpoint"].context.notices
    made.start = lambda stopping: None  # type: ignore[method-assign]  # sent by hand here
    return made


def listen(shop: Shop, notices: Notices, *answers: str | None, **sending: Any) -> Receiver:
    shop.control("notifications", {"url": URL, "delay_seconds": 0} | sending)
    receiver = Receiver(*answers)
    notices.post = receiver
    return receiver


def test_without_an_address_nothing_is_sent(shop: Shop, notices: Notices) -> None:
    shop.executed()
    assert notices.deliver_due() == 0
    assert shop.http.get("/_control/notifications").json["notifications"] == []


def test_every_processing_is_told_with_the_fields_of_the_protocol(
    shop: Shop, notices: Notices, clock: SettableClock
) -> None:
    receiver = listen(shop, notices)
    access = shop.executed("A-1")
    shop.change(access, "AUTH", 900)
    shop.alter(access, "SALES", 900)
    clock.time += timedelta(minutes=5)
    shop.alter(access, "SALES", 900)  # refused: told as well
    shop.alter(access, "VOID")
    assert notices.deliver_due() == 5
    told = [(n["JobCd"], n["Status"], n["Amount"], n["ErrInfo"]) for n in receiver.got]
    assert told == [
        ("AUTH", "AUTH", "1000", ""),
        ("AUTH", "AUTH", "900", ""),
        ("SALES", "SALES", "900", ""),
        ("SALES", "SALES", "900", "E11010003"),
        ("VOID", "VOID", "900", ""),
    ]
    sale, error = receiver.got[2], receiver.got[3]
    assert sale == {
        "ShopID": "tshop00000001",
        "ShopPass": "%2A" * 10,
        "AccessID": access["AccessID"],
        "AccessPass": "%2A" * 32,
        "OrderID": "A-1",
        "Status": "SALES",
        "JobCd": "SALES",
        "Amount": "900",
        "Tax": "0",
        "Currency": "JPN",
        "Forward": "2a99662",
        "Method": "1",
        "PayTimes": "",
        "TranID": sale["TranID"],
        "Approve": sale["Approve"],
        "TranDate": "20261123100000",
        "ErrCode": "",
        "ErrInfo": "",
        "PayType": "0",
    }
    assert len(sale["TranID"]) == 28
    assert (error["ErrCode"], error["TranID"], error["TranDate"]) == ("E11", "", "20261123100500")


def test_a_fault_of_the_card_company_is_told_and_a_bad_request_is_not(
    shop: Shop, notices: Notices
) -> None:
    receiver = listen(shop, notices)
    access = shop.executed("A-1")
    shop.control("faults", {"api": "AlterTran", "times": 1, "fault": "error:42G020000"})
    shop.alter(access, "SALES", 1000)
    shop.alter(access, "NOTHING", 1000)
    notices.deliver_due()
    assert [n["ErrInfo"] for n in receiver.got] == ["", "42G020000"]
    assert receiver.got[1]["Status"] == "AUTH"


def test_what_is_made_by_the_control_interface_is_not_told(shop: Shop, notices: Notices) -> None:
    receiver = listen(shop, notices)
    shop.control("transactions", [{"order_id": "B-1", "amount": 1, "job_cd": "AUTH"}])
    notices.deliver_due()
    assert receiver.got == []


def test_it_is_sent_again_each_hour_until_the_answer_is_0(
    shop: Shop, notices: Notices, clock: SettableClock
) -> None:
    receiver = listen(shop, notices, "1", None, "<html>", " 0\r\n")
    shop.executed()
    for _ in range(8):
        notices.deliver_due()
        clock.time += timedelta(minutes=59)
        assert notices.deliver_due() == 0
        clock.time += timedelta(minutes=1)
    assert len(receiver.got) == 4
    [one] = notices.described("A-1")
    assert (one["state"], one["tries"], one["answer"]) == ("received", 4, " 0\r\n")


def test_after_five_repetitions_it_gives_up(
    shop: Shop, notices: Notices, clock: SettableClock
) -> None:
    receiver = listen(shop, notices, "1")
    shop.executed()
    for _ in range(9):
        notices.deliver_due()
        clock.time += timedelta(hours=1)
    assert len(receiver.got) == 6
    assert notices.described(None)[0]["state"] == "given_up"


def test_the_delay_follows_the_gateways_clock(
    shop: Shop, notices: Notices, clock: SettableClock
) -> None:
    receiver = listen(shop, notices, delay_seconds=30)
    shop.executed()
    clock.time += timedelta(seconds=29)
    assert notices.deliver_due() == 0
    shop.control("clock", {"advance_seconds": 1})
    assert notices.deliver_due() == 1
    assert len(receiver.got) == 1


def test_duplicates_reverse_order_and_losses(shop: Shop, notices: Notices) -> None:
    receiver = listen(shop, notices, duplicate=True, order="reverse")
    access = shop.executed("A-1")
    shop.alter(access, "SALES", 1000)
    notices.deliver_due()
    assert [n["JobCd"] for n in receiver.got] == ["SALES", "SALES", "AUTH", "AUTH"]
    receiver = listen(shop, notices, lose=True)
    shop.executed("A-2")
    assert notices.deliver_due() == 0
    assert notices.described("A-2")[0]["state"] == "lost"
    receiver = listen(shop, notices, lose=0.5)
    for number in range(40):
        shop.executed(f"B-{number}")
    notices.deliver_due()
    assert 5 < len(receiver.got) < 35


def test_in_reverse_order_the_first_waits_for_the_next(
    shop: Shop, notices: Notices, clock: SettableClock
) -> None:
    receiver = listen(shop, notices, order="reverse", delay_seconds=2)
    access = shop.executed("A-1")
    clock.time += timedelta(seconds=1)
    shop.alter(access, "SALES", 1000)
    clock.time += timedelta(seconds=1)
    assert notices.deliver_due() == 0
    clock.time += timedelta(seconds=1)
    notices.deliver_due()
    assert [n["JobCd"] for n in receiver.got] == ["SALES", "AUTH"]


def test_before_the_answer(shop: Shop, notices: Notices) -> None:
    seen: list[str] = []
    listen(shop, notices, before_answer=True, delay_seconds=60)

    def post(_url: str, body: bytes) -> str:
        entries = shop.http.get("/_control/requests").json
        seen.append(f"{fields(body)['JobCd']} {entries[-1]['answer']}")
        return "0"

    notices.post = post
    shop.executed()
    assert seen == ["AUTH None"]  # not answered yet


def test_a_forged_one(shop: Shop, notices: Notices) -> None:
    assert shop.http.post("/_control/notifications/forge", json={}).status_code == 400
    receiver = listen(shop, notices)
    said = {"OrderID": "A-1", "Status": "SALES"}
    assert shop.control("notifications/forge", said) == {"answer": "0"}
    assert receiver.got == [{"ShopID": "tshop00000001", "PayType": "0"} | said]


def test_a_restarted_gateway_goes_on_sending(tmp_path: Path, clock: SettableClock) -> None:
    first = create_app(tmp_path / "gateway.db", clock=clock)
    shop = Shop(first)
    notices: Notices = first.extensions["endpoint"].context.notices
    notices.start = lambda stopping: None  # type: ignore[method-assign]
    listen(shop, notices)
    shop.executed("A-1")
    first.extensions["endpoint"].context.ledger.close()

    again = create_app(tmp_path / "gateway.db", clock=clock)
    again.extensions["endpoint"].stopping.set()  # the test sends, not the thread
    receiver = Receiver()
    restarted: Notices = again.extensions["endpoint"].context.notices
    restarted.post = receiver
    assert restarted.sending.url == URL
    restarted.deliver_due()
    assert [n["OrderID"] for n in receiver.got] == ["A-1"]


def test_reset_forgets_them_and_behaves_but_keeps_the_address(shop: Shop, notices: Notices) -> None:
    listen(shop, notices, lose=True, duplicate=True)
    shop.executed()
    shop.control("reset", {})
    assert notices.described(None) == []
    assert (notices.sending.url, notices.sending.lose, notices.sending.duplicate) == (URL, 0, 0)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"url": "ftp://x/"}, "http"),
        ({"url": "nonsense"}, "http"),
        ({"url": 5}, "http"),
        ({"url": "http://h:99999/"}, "http"),
        ({"url": URL, "delay_seconds": -1}, "delay"),
        ({"url": URL, "delay_seconds": True}, "delay"),
        ({"url": URL, "order": "random"}, "order"),
        ({"url": URL, "duplicate": 2}, "duplicate"),
        ({"url": URL, "lose": "yes"}, "lose"),
        ({"url": URL, "before_answer": 1}, "before_answer"),
        ({"url": URL, "colour": 1}, "colour"),
        ([], "object"),
    ],
)
def test_a_body_that_is_not_understood_is_a_clear_400(
    shop: Shop, notices: Notices, body: Any, word: str
) -> None:
    answer = shop.http.post("/_control/notifications", json=body)
    assert answer.status_code == 400
    assert word in answer.json["detail"]
    assert notices.sending.url == ""


class Listening(http.server.BaseHTTPRequestHandler):
    got: list[tuple[str, str | None, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((self.path, self.headers["Content-Type"], body))
        status = 302 if self.path == "/moved" else 200
        self.send_response(status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(b"0")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[tuple[str, list[tuple[str, str | None, bytes]]]]:
    """A shop's server: its address and what it got."""
    handler = type("Handler", (Listening,), {"got": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler.got  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
    thread.join()


def test_over_the_wire(live: LiveGateway, listener: tuple[str, list[Any]]) -> None:
    url, got = listener
    live.control("POST", "notifications", {"url": f"{url}/notify/x?a=1", "delay_seconds": 0})
    access = live.authorized("A-1")
    live.call("AlterTran", **access, JobCd="SALES", Amount="1000")
    arrived = threading.Event()
    for _ in range(200):
        if got and live.control("GET", "notifications")["notifications"][0]["state"] == "received":
            break
        arrived.wait(0.05)
    [(path, kind, body)] = got
    assert (path, kind) == ("/notify/x?a=1", FORM)
    assert fields(body)["Status"] == "SALES"


def test_no_answer_a_redirect_and_a_closed_port_are_no_0(
    listener: tuple[str, list[Any]],
) -> None:
    url, got = listener
    assert post_form(f"{url}/notify", b"a=b") == "0"
    assert post_form(f"{url}/moved", b"a=b") is None
    assert [path for path, *_ in got] == ["/notify", "/moved"]
    assert post_form("http://127.0.0.1:9/", b"a=b") is None
