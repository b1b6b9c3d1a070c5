"""Rule 32: the faults, over real sockets where the connection matters."""

import http.client

import pytest

from sgpshop.simulator.server import ConnectionDropped

from .live import LiveGateway
from .shop import Shop

CARRIED_OUT, NOT_CARRIED_OUT = "SALES", "AUTH"


def set_fault(live: LiveGateway, fault: str, **more: object) -> None:
    live.control("POST", "faults", {"api": "AlterTran", "times": 1, "fault": fault, **more})


def sale(access: dict[str, str]) -> dict[str, str]:
    return {**access, "JobCd": "SALES", "Amount": "1000"}


@pytest.mark.parametrize(
    ("fault", "status"), [("drop_before", NOT_CARRIED_OUT), ("drop_after", CARRIED_OUT)]
)
def test_the_connection_is_closed_without_a_byte(
    live: LiveGateway, fault: str, status: str
) -> None:
    access = live.authorized("A-1")
    set_fault(live, fault)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        live.post("AlterTran", **sale(access))
    assert live.status("A-1") == status
    entry = live.control("GET", "requests?order_id=A-1")[0]
    assert (entry["fault"], entry["answer"]) == (fault, None)
    # the gateway is well again, and a second sale finds what the first one left
    again = live.call("AlterTran", **sale(access))
    assert again.get("ErrInfo") == ("E11010003" if status == CARRIED_OUT else None)


def test_half_an_answer_in_well_formed_http(live: LiveGateway) -> None:
    access = live.authorized("A-1")
    set_fault(live, "truncate")
    with live.post("AlterTran", **sale(access)) as answer:
        body = answer.read()
    assert answer.status == 200
    assert int(answer.headers["Content-Length"]) == len(body)
    assert f"AccessID={access['AccessID']}".encode().startswith(body[:20])
    assert b"TranDate" not in body
    assert live.status("A-1") == CARRIED_OUT


def test_garbage_is_no_text(live: LiveGateway) -> None:
    access = live.authorized("A-1")
    set_fault(live, "garbage")
    with live.post("AlterTran", **sale(access)) as answer:
        body = answer.read()
    assert b"=" not in body
    with pytest.raises(UnicodeDecodeError):
        body.decode("cp932")
    assert live.status("A-1") == CARRIED_OUT


@pytest.mark.parametrize("status", [302, 500, 503])
def test_an_html_page_in_place_of_the_operation(live: LiveGateway, status: int) -> None:
    access = live.authorized("A-1")
    set_fault(live, f"http:{status}")
    with live.post("AlterTran", **sale(access)) as answer:
        assert answer.read().startswith(b"<!DOCTYPE html>")
    assert answer.status == status
    assert answer.headers["Content-Type"].startswith("text/html")
    assert live.status("A-1") == NOT_CARRIED_OUT


@pytest.mark.parametrize(
    ("fault", "status"),
    [("error:E91019999", NOT_CARRIED_OUT), ("error_after:E91019999", CARRIED_OUT)],
)
def test_an_error_before_or_after_the_operation(live: LiveGateway, fault: str, status: str) -> None:
    access = live.authorized("A-1")
    set_fault(live, fault)
    answer = live.call("AlterTran", **sale(access))
    assert answer == {"ErrCode": "E91", "ErrInfo": "E91019999"}
    assert live.status("A-1") == status


def test_several_codes_in_one_error(live: LiveGateway) -> None:
    access = live.authorized("A-1")
    set_fault(live, "error:E91019999|42G020000")
    answer = live.call("AlterTran", **sale(access))
    assert answer == {"ErrCode": "E91|G02", "ErrInfo": "E91019999|42G020000"}


def test_a_late_answer_belongs_to_an_operation_already_carried_out(live: LiveGateway) -> None:
    access = live.authorized("A-1")
    set_fault(live, "delay:600")
    with pytest.raises(TimeoutError):
        live.post("AlterTran", timeout=0.5, **sale(access))
    assert live.status("A-1") == CARRIED_OUT


def test_a_slow_drip_comes_byte_by_byte_and_whole(live: LiveGateway) -> None:
    access = live.authorized("A-1")
    set_fault(live, "slow_drip:0.001")
    with live.post("AlterTran", **sale(access)) as answer:
        first = answer.read1(65536)
        assert 0 < len(first) < int(answer.headers["Content-Length"])
        whole = first + answer.read()
    assert whole.startswith(b"AccessID=")
    assert len(whole) == int(answer.headers["Content-Length"])
    assert live.status("A-1") == CARRIED_OUT


def test_a_fault_finds_its_order_through_the_access_id(shop: Shop) -> None:
    one, other = shop.executed("A-1"), shop.executed("A-2")
    wish = {"api": "AlterTran", "job_cd": "SALES", "order_id": "A-2", "times": 1}
    shop.control("faults", {**wish, "fault": "error:E92000001"})
    assert "ErrInfo" not in shop.alter(one, "SALES", 1000)  # another order
    assert "ErrInfo" not in shop.change(other, "AUTH", 900)  # another call
    assert shop.alter(other, "SALES", 900)["ErrInfo"] == "E92000001"
    assert "ErrInfo" not in shop.alter(other, "SALES", 900)  # used up


def test_a_fault_for_another_job_does_not_fire(shop: Shop) -> None:
    access = shop.executed()
    wish = {"api": "AlterTran", "job_cd": "SALES", "times": 1, "fault": "error:E91019999"}
    shop.control("faults", wish)
    assert "ErrInfo" not in shop.alter(access, "VOID")


def test_times_count_down_and_delete_clears(shop: Shop) -> None:
    shop.control("faults", {"api": "SearchTrade", "times": 3, "fault": "error:E91019999"})
    shop.entered()
    assert shop.codes("SearchTrade", OrderID="A-1") == ["E91019999"]
    assert shop.http.get("/_control/faults").json["faults"][0]["times"] == 2
    assert shop.http.delete("/_control/faults").json == {"faults": []}
    assert shop.status() == "UNPROCESSED"


def test_a_probability_fires_now_and_then_and_counts_only_hits(shop: Shop) -> None:
    wish = {"api": "SearchTrade", "times": 5, "fault": "error:E91019999", "probability": 0.5}
    shop.control("faults", wish)
    shop.entered()
    hits = [shop.look().get("ErrInfo") == "E91019999" for _ in range(60)]
    assert sum(hits) == 5
    assert not all(hits[:5])


def test_a_test_client_meets_a_dropped_connection_as_an_exception(shop: Shop) -> None:
    access = shop.executed()
    shop.control("faults", {"api": "AlterTran", "times": 1, "fault": "drop_after"})
    with pytest.raises(ConnectionDropped):
        shop.alter(access, "SALES", 1000)
    assert shop.status() == "SALES"
