"""The monthly subscription file through the client: protocol.md §13.9, reliability P9 and P12."""

import json
import socket
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import date

import pytest
import responses

from sgpshop.gateway import (
    ErrorKind,
    FileReceipt,
    FileResult,
    GatewayOutcomeUnknown,
    GatewayRejected,
    GatewayUnreachable,
    Job,
    MonthlyLine,
    ResultLine,
    SmbcGpGateway,
    TradeState,
    explain,
)
from sgpshop.gateway.monthly_file import MAX_ANSWER_BYTES, render
from tests.gateway.facts import BASE_URL, CARD, CREDENTIALS
from tests.gateway.scripted_server import ScriptedServer, answering, http
from tests.simulator.live import LiveGateway

SHOP_ID = CREDENTIALS.shop_id
USED = date(2026, 10, 31)
UPLOAD = f"{BASE_URL}/_batch/{SHOP_ID}/202611"
RESULT = f"{UPLOAD}/result"
LINES = [MonthlyLine("S-2", "m", 0, 2000, USED, tax=10), MonthlyLine("S-1", "m", 1, 1000, USED)]
CONTENT = render(SHOP_ID, "202611", LINES)
RECEIPT = {"receipt_no": "R1", "accepted": 1, "refused": [{"order_id": "S-2", "code": "E01040010"}]}


@pytest.fixture
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    with LiveGateway(tmp_path_factory.mktemp("simulator") / "ledger.db") as live:
        live.control("POST", "clock", {"now": "2026-11-08T10:00:00+09:00"})
        yield live


@pytest.fixture
def shop(simulator: LiveGateway, connect: Callable[..., SmbcGpGateway]) -> SmbcGpGateway:
    """A client whose member `m` has a card."""
    gateway = connect(f"http://127.0.0.1:{simulator.port}")
    gateway.check_card("check-1", CARD)
    gateway.save_member("m")
    gateway.store_traded_card("check-1", "m")
    return gateway


def charge(order_id: str, member: str = "m", amount: int = 1000) -> MonthlyLine:
    return MonthlyLine(order_id, member, 0, amount, USED)


def test_a_file_is_the_same_bytes_whatever_the_order() -> None:
    assert CONTENT == (
        b"001,tshop00000001,202611,2\r\n"
        b"tshop00000001,m,1,S-1,1000,0,20261031\r\n"
        b"tshop00000001,m,0,S-2,2000,10,20261031\r\n"
    )
    assert render(SHOP_ID, "202611", reversed(LINES)) == CONTENT
    assert render(SHOP_ID, "202611", []) == b"001,tshop00000001,202611,0\r\n"
    with pytest.raises(ValueError, match="codec"):
        render(SHOP_ID, "202611", [charge("S-1", "😀")])


def test_from_the_upload_to_the_result(simulator: LiveGateway, shop: SmbcGpGateway) -> None:
    content = render(SHOP_ID, "202611", [charge("S-1"), charge("S-2", "nobody")])
    receipt = shop.upload_monthly_file("202611", content)
    assert receipt.refused == [("S-2", "E01390002")]
    assert shop.upload_monthly_file("202611", content) == receipt  # sent again: charged once
    assert shop.fetch_monthly_result("202611") is None
    trade = shop.search_trade("S-1")
    assert trade is not None
    assert (trade.state, trade.member_id) == (TradeState.UNPROCESSED, "m")
    simulator.control("POST", "clock", {"now": "2026-11-18T00:00:00+09:00"})
    assert shop.fetch_monthly_result("202611") == [ResultLine(charge("S-1"), FileResult.CHARGED)]
    trade = shop.search_trade("S-1")
    assert trade is not None
    assert (trade.state, trade.amount) == (TradeState.CAPTURE, 1000)
    with pytest.raises(GatewayRejected) as locked:
        shop.change_amount(trade.access, 900, job=Job.CAPTURE)
    assert locked.value.codes == ("E01410010",)


def test_a_file_outside_its_window_is_refused_whole(
    simulator: LiveGateway, shop: SmbcGpGateway
) -> None:
    simulator.control("POST", "clock", {"now": "2026-11-11T00:00:00+09:00"})
    with pytest.raises(GatewayRejected) as closed:
        shop.upload_monthly_file("202611", render(SHOP_ID, "202611", [charge("S-1")]))
    assert closed.value.codes == ("FILE_WINDOW_CLOSED",)
    assert "1日から10日" in str(closed.value)
    assert "取引は変わっていません" in str(closed.value)
    assert closed.value.kind is ErrorKind.RECURRING_FILE
    assert explain("FILE_WINDOW_CLOSED").next_step.endswith("。")
    assert shop.search_trade("S-1") is None


@pytest.mark.parametrize(
    ("fault", "is_taken"),
    [("drop_before", False), ("http:503", False), ("drop_after", True), ("truncate", True)],
)
def test_a_lost_answer_is_in_doubt_and_the_file_may_be_sent_again(
    simulator: LiveGateway, shop: SmbcGpGateway, fault: str, is_taken: bool
) -> None:
    content = render(SHOP_ID, "202611", [charge("S-1")])
    rule = {"api": "Batch", "job_cd": "upload", "times": 1, "fault": fault}
    simulator.control("POST", "faults", rule)
    with pytest.raises(GatewayOutcomeUnknown):
        shop.upload_monthly_file("202611", content)
    assert (shop.search_trade("S-1") is not None) is is_taken
    assert shop.upload_monthly_file("202611", content).refused == []


def test_the_request_as_the_gateway_wants_it(
    wire: responses.RequestsMock, gateway: SmbcGpGateway
) -> None:
    wire.post(UPLOAD, json=RECEIPT)
    assert gateway.upload_monthly_file("202611", CONTENT) == FileReceipt(
        "R1", [("S-2", "E01040010")]
    )
    request = wire.calls[-1].request
    assert request.body == CONTENT
    pair = b64encode(f"{SHOP_ID}:{CREDENTIALS.shop_pass}".encode()).decode()
    assert request.headers["Authorization"] == f"Basic {pair}"
    assert request.headers["Content-Type"].startswith("text/csv")


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, "", "answer:not_json"),
        (200, "[]", "answer:not_an_object"),
        (200, "{}", "answer:missing:receipt_no"),
        (200, json.dumps({**RECEIPT, "receipt_no": ""}), "answer:missing:receipt_no"),
        (200, json.dumps({**RECEIPT, "accepted": True}), "answer:missing:accepted_or_refused"),
        (200, json.dumps({**RECEIPT, "refused": None}), "answer:missing:accepted_or_refused"),
        (200, json.dumps({**RECEIPT, "refused": ["S-2"]}), "answer:malformed:refused"),
        (200, json.dumps({**RECEIPT, "accepted": 2}), "answer:not_ours:lines"),
        (200, json.dumps(RECEIPT).replace("S-2", "S-3"), "answer:not_ours:lines"),
        (200, '{"code": "FILE_WINDOW_CLOSED"}', "answer:missing:receipt_no"),
        (409, "", "answer:not_json"),
        (409, "{}", "http_status:409"),
        (409, '{"code": "E91019999"}', "codes:E91019999"),
        (409, '{"code": "SOMETHING_NEW"}', "codes:SOMETHING_NEW"),
        (404, '{"code": "FILE_WINDOW_CLOSED"}', "http_status:404"),
        (500, '{"code": "FILE_WINDOW_CLOSED"}', "http_status:500"),
        (302, "", "http_status:302"),
    ],
)
def test_an_upload_whose_answer_proves_nothing_is_in_doubt(
    wire: responses.RequestsMock, gateway: SmbcGpGateway, status: int, body: str, reason: str
) -> None:
    wire.post(UPLOAD, status=status, body=body, headers={"Location": "https://evil.example/"})
    with pytest.raises(GatewayOutcomeUnknown) as doubt:
        gateway.upload_monthly_file("202611", CONTENT)
    assert doubt.value.reason == reason
    assert len(wire.calls) == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [(409, "FILE_WINDOW_CLOSED"), (401, "E01030002"), (400, "E01700001"), (400, "E01999998")],
)
def test_a_clear_no(
    wire: responses.RequestsMock, gateway: SmbcGpGateway, status: int, code: str
) -> None:
    wire.post(UPLOAD, status=status, json={"code": code, "detail": "…"})
    with pytest.raises(GatewayRejected) as refused:
        gateway.upload_monthly_file("202611", CONTENT)
    assert refused.value.codes == (code,)
    wire.get(RESULT, status=401, json={"code": "E01030002"})
    with pytest.raises(GatewayRejected):
        gateway.fetch_monthly_result("202611")


GOOD = (
    "001,tshop00000001,202611,3\r\n"
    "tshop00000001,m,0,S-1,1000,0,20261031,0,\r\n"
    "tshop00000001,m,0,S-2,2000,0,20261031,1,42G020000\r\n"
    "tshop00000001,m,0,S-3,3000,0,20261031,3,E01240002|E01390002\r\n"
)


def test_the_results_of_all_lines(wire: responses.RequestsMock, gateway: SmbcGpGateway) -> None:
    wire.get(RESULT, body=GOOD.encode("cp932"))
    assert gateway.fetch_monthly_result("202611") == [
        ResultLine(charge("S-1"), FileResult.CHARGED),
        ResultLine(charge("S-2", amount=2000), FileResult.CARD_REFUSED, ("42G020000",)),
        ResultLine(charge("S-3", amount=3000), FileResult.INPUT_ERROR, ("E01240002", "E01390002")),
    ]


@pytest.mark.parametrize(
    "body",
    [
        *(GOOD[:length].encode() for length in range(0, len(GOOD), 7)),
        GOOD.removesuffix("\r\n").encode(),
        GOOD.replace(",3\r\n", ",2\r\n", 1).encode(),
        GOOD.replace("001", "002", 1).encode(),
        GOOD.replace("202611", "202610").encode(),
        GOOD.replace("tshop00000001", "tshop00000002").encode(),
        GOOD.replace("S-2", "S-1").encode(),  # one order, two ends
        GOOD.replace(",0,\r\n", ",0,42G020000\r\n").encode(),  # charged, and an error
        GOOD.replace(",42G020000", ",").encode(),  # refused, and no reason
        GOOD.replace(",1,42G", ",4,42G").encode(),
        GOOD.replace("20261031", "20261131").encode(),
        GOOD.replace("1000", "-100").encode(),
        GOOD.replace("42G020000", "<b>").encode(),
        GOOD.replace(",m,", ",").encode(),
        b"<html><body>Service Unavailable</body></html>",
        b"\x81",
    ],
)
def test_a_result_that_is_cut_or_wrong_is_not_read_at_all(
    wire: responses.RequestsMock, gateway: SmbcGpGateway, body: bytes
) -> None:
    wire.get(RESULT, body=body)
    with pytest.raises(GatewayOutcomeUnknown):
        gateway.fetch_monthly_result("202611")


def test_a_large_result_is_read_up_to_its_own_limit(
    serve: Callable[..., ScriptedServer], connect: Callable[..., SmbcGpGateway]
) -> None:
    rows = [f"tshop00000001,m,0,S-{n},1000,0,20261031,0," for n in range(20_000)]
    body = "\r\n".join(["001,tshop00000001,202611,20000", *rows, ""]).encode()
    assert len(body) > 65536
    closing = "Connection: close\r\n"  # each request has a connection of its own
    too_large = b"x" * (MAX_ANSWER_BYTES + 1)
    answers = [http(body, headers=closing), http(too_large, headers=closing)]

    def script(connection: socket.socket, _server: ScriptedServer) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            part = connection.recv(65536)
            if not part:
                return
            received += part
        assert received.startswith(b"GET /_batch/")
        connection.sendall(answers.pop(0))

    gateway = connect(serve(script))
    found = gateway.fetch_monthly_result("202611")
    assert found is not None
    assert len(found) == 20_000
    with pytest.raises(GatewayOutcomeUnknown) as doubt:
        gateway.fetch_monthly_result("202611")
    assert doubt.value.reason == "answer_too_large"


def test_nothing_was_sent_where_nobody_listens(connect: Callable[..., SmbcGpGateway]) -> None:
    gateway = connect("http://127.0.0.1:9")
    with pytest.raises(GatewayUnreachable):
        gateway.upload_monthly_file("202611", CONTENT)
    with pytest.raises(GatewayUnreachable):
        gateway.fetch_monthly_result("202611")


def test_no_password_in_what_is_said(
    serve: Callable[..., ScriptedServer], connect: Callable[..., SmbcGpGateway]
) -> None:
    gateway = connect(serve(answering(http(b"ShopPass=shoppass01", status="500 No"))))
    with pytest.raises(GatewayOutcomeUnknown) as doubt:
        gateway.upload_monthly_file("202611", CONTENT)
    assert "shoppass01" not in f"{doubt.value!r} {doubt.value.reason} {doubt.value.__context__!r}"
