"""The server as a process and under load: rules 3, 4 and 28, kill -9, an orderly end."""

import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from sgpshop.simulator.contract import Contract
from sgpshop.simulator.server import create_app

from .live import LiveGateway
from .shop import FORM, SHOP, Shop, fields, form

SERVE = "import sys; from sgpshop.simulator import serve; serve(0, sys.argv[1], latency_ms=5)"
ROOT = Path(__file__).parents[2]


class GatewayProcess(LiveGateway):
    """A gateway in a process of its own, known by its port alone."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(path)], stdout=subprocess.PIPE, cwd=ROOT, text=True
        )
        assert self.process.stdout is not None
        self.announcement = self.process.stdout.readline()
        self.port = int(self.announcement.split(":")[3].split("/")[0])
        self._connections = ExitStack()

    def __enter__(self) -> "GatewayProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._connections.close()
        self.process.kill()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


def sell(gateway: LiveGateway, access: dict[str, str]) -> dict[str, str]:
    return gateway.call("AlterTran", **access, JobCd="SALES", Amount="1000")


def test_what_was_answered_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    answered: list[str] = []
    with GatewayProcess(path) as gateway:
        accesses = {f"A-{n}": gateway.authorized(f"A-{n}") for n in range(60)}

        def sell_one(order_id: str) -> None:
            if "TranID" in sell(gateway, accesses[order_id]):
                answered.append(order_id)
            if len(answered) == 20:
                gateway.process.kill()

        with ThreadPoolExecutor(8) as pool:
            for future in [pool.submit(sell_one, order_id) for order_id in accesses]:
                future.exception()  # those after the kill fail, as they should

    assert 20 <= len(answered) < 60
    with GatewayProcess(path) as gateway:
        ledger = {trade["order_id"]: trade for trade in gateway.control("GET", "ledger")}
    assert len(ledger) == 60
    assert all(ledger[order_id]["status"] == "SALES" for order_id in answered)
    for trade in ledger.values():  # status and history never part
        sales = [line for line in trade["history"] if line["job"] == "SALES"]
        assert len(sales) == (trade["status"] == "SALES")


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_even_while_a_request_waits(
    tmp_path: Path, name: signal.Signals
) -> None:
    with GatewayProcess(tmp_path / "gateway.db") as gateway:
        assert "/mulpayconsole/shop/tshop00000001/login/" in gateway.announcement
        access = gateway.authorized("A-1")
        gateway.control("POST", "faults", {"api": "AlterTran", "times": 1, "fault": "delay:600"})
        with ThreadPoolExecutor(1) as pool:
            pool.submit(sell, gateway, access)
            while gateway.status("A-1") != "SALES":
                pass
            gateway.process.send_signal(name)
            assert gateway.process.wait(10) == 0


def test_a_second_start_finds_the_ledger(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    with GatewayProcess(path) as gateway:
        gateway.authorized("A-1")
        gateway.process.terminate()
        gateway.process.wait(5)
    with GatewayProcess(path) as gateway:
        assert gateway.status("A-1") == "AUTH"


@contextmanager
def held(live: LiveGateway, count: int) -> Iterator[list[dict[str, str]]]:
    """`count` sales that were carried out and wait for their answer until the block ends."""
    accesses = [live.authorized(f"H-{n}") for n in range(count)]
    live.control("POST", "faults", {"api": "AlterTran", "times": count, "fault": "delay:600"})
    with ThreadPoolExecutor(count) as pool:
        for access in accesses:
            pool.submit(sell, live, access)
        while any(live.endpoint.faults.described()) or not all(
            trade["status"] == "SALES" for trade in live.control("GET", "ledger")
        ):
            pass
        try:
            yield accesses
        finally:
            live.endpoint.stopping.set()


def test_one_request_at_a_time_for_each_transaction(live: LiveGateway) -> None:  # rules 3, 28
    with held(live, 1) as [access]:
        answer = sell(live, access)
        assert answer == {"ErrCode": "E90", "ErrInfo": "E90010001"}
        assert live.status("H-0") == "SALES"  # a look-up is answered meanwhile
        assert "TranID" in sell(live, live.authorized("A-2"))  # and so is another order
        stranger = {**access, "AccessPass": "0" * 32}
        assert sell(live, stranger)["ErrInfo"] == "E01110002"


def test_a_lookup_meanwhile_shows_the_state_before(tmp_path: Path) -> None:  # rule 28
    with LiveGateway(tmp_path / "slow.db", latency_ms=600) as live:
        access = live.authorized("A-1")
        with ThreadPoolExecutor(2) as pool:
            selling = pool.submit(sell, live, access)
            while not live.control("GET", "requests?order_id=A-1"):
                pass
            assert Shop(live.app).http.get("/_control/ledger").json[0]["status"] == "AUTH"
            assert sell(live, access)["ErrInfo"] == "E90010001"
            assert "TranID" in selling.result(10)


def test_the_65th_request_in_flight_is_refused(live: LiveGateway) -> None:  # rule 4
    with held(live, Contract().max_in_flight):
        answer = live.call("SearchTrade", OrderID="H-0")
        assert answer == {"ErrCode": "E92", "ErrInfo": "E92000002"}
        assert live.control("GET", "faults") == {"faults": []}  # control is always reached


def test_a_connection_is_kept_for_many_requests(live: LiveGateway) -> None:
    live.authorized("A-1")
    connection = live.connect()
    sockets: set[socket.socket | None] = set()
    for _ in range(5):
        body = form({**SHOP, "OrderID": "A-1"})
        connection.request("POST", "/payment/SearchTrade.idPass", body, {"Content-Type": FORM})
        with connection.getresponse() as answer:
            assert fields(answer.read())["Status"] == "AUTH"
        sockets.add(connection.sock)
    assert len(sockets) == 1
    assert None not in sockets
    connection.close()


def test_of_many_sales_at_once_exactly_one_is_carried_out(live: LiveGateway) -> None:
    access = live.authorized("A-1")
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: sell(live, access), range(48)))
    assert sum("TranID" in answer for answer in answers) == 1
    assert {answer.get("ErrInfo") for answer in answers} <= {None, "E90010001", "E11010003"}
    history = live.control("GET", "ledger")[0]["history"]
    assert [line["status"] for line in history if not line["error"]].count("SALES") == 1


def test_nobody_else_reads_its_ledger(tmp_path: Path) -> None:
    """Also one that an earlier version made for everybody to read."""
    for name in ("new.db", "old.db"):
        (tmp_path / "old.db").touch(mode=0o644)
        create_app(tmp_path / name).extensions["endpoint"].context.ledger.close()
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
