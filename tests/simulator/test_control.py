"""The control interface of interfaces.md §6."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from sgpshop.simulator import create_app

from .shop import SettableClock, Shop, jst

FAULT = {"api": "AlterTran", "times": 1, "fault": "drop_after"}


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("faults", {**FAULT, "fault": "explode"}, "explode"),
        ("faults", {**FAULT, "fault": "drop_after:3"}, "no argument"),
        ("faults", {**FAULT, "fault": "delay"}, "seconds"),
        ("faults", {**FAULT, "fault": "delay:-1"}, "seconds"),
        ("faults", {**FAULT, "fault": "delay:601"}, "seconds"),
        ("faults", {**FAULT, "fault": "http:99"}, "status"),
        ("faults", {**FAULT, "fault": "error:nonsense"}, "ErrInfo"),
        ("faults", {**FAULT, "fault": 3}, "string"),
        ("faults", {**FAULT, "api": "AlterTrans"}, "AlterTran"),
        ("faults", {**FAULT, "times": 0}, "times"),
        ("faults", {**FAULT, "times": True}, "times"),
        ("faults", {"api": "AlterTran", "fault": "drop_after"}, "times"),
        ("faults", {**FAULT, "probability": 0}, "probability"),
        ("faults", {**FAULT, "probability": 1.5}, "probability"),
        ("faults", {**FAULT, "order_id": 5}, "order_id"),
        ("faults", {**FAULT, "jobcd": "SALES"}, "jobcd"),
        ("faults", [FAULT], "object"),
        ("clock", {}, "advance_seconds"),
        ("clock", {"advance_seconds": "60"}, "number"),
        ("clock", {"advance_seconds": 10**400}, "hundred years"),
        ("clock", {"now": "tomorrow"}, "ISO 8601"),
        ("clock", {"now": "2026-11-23T10:15:00"}, "offset"),
        ("clock", {"now": "0001-01-01T00:00:00+09:00"}, "hundred years"),
        ("tokens", {"card_no": "4111", "expire": "3012"}, "E01170011"),
        ("tokens", {}, "E01170001"),
        ("transactions", {}, "list"),
        ("transactions", ["A-1"], "object"),
        ("transactions", [{"order_id": "a_b", "amount": 1, "job_cd": "AUTH"}], "E01040013"),
        ("transactions", [{"order_id": "A", "amount": 1, "job_cd": "SALES"}], "E01050004"),
    ],
)
def test_a_body_that_is_not_understood_is_a_clear_400(
    shop: Shop, path: str, body: Any, word: str
) -> None:
    answer = shop.http.post(f"/_control/{path}", json=body)
    assert answer.status_code == 400
    assert answer.mimetype == "application/problem+json"
    assert word in answer.json["detail"]


@pytest.mark.parametrize(
    "fault",
    [
        *("drop_before", "drop_after", "delay:3", "delay:0.5", "http:500", "truncate", "garbage"),
        *("error:E91019999", "error_after:42C010000", "slow_drip", "slow_drip:1"),
    ],
)
def test_every_fault_of_rule_32_can_be_set(shop: Shop, fault: str) -> None:
    rule = {**FAULT, "fault": fault, "job_cd": "SALES", "order_id": "A-1", "probability": 0.5}
    assert shop.control("faults", rule) == {"faults": [rule]}


@pytest.mark.parametrize("path", ["faults", "clock", "tokens", "transactions"])
@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b'{"a": NaN}', b"\xff"])
def test_a_body_that_is_no_json_is_a_400(shop: Shop, path: str, body: bytes) -> None:
    answer = shop.http.post(f"/_control/{path}", data=body)
    assert (answer.status_code, answer.json["title"]) == (400, "Bad request")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_steers_nothing(shop: Shop, site: str) -> None:
    shop.executed("A-1")
    answer = shop.http.post("/_control/reset", headers={"Sec-Fetch-Site": site})
    assert (answer.status_code, answer.json["title"]) == (403, "Forbidden")
    assert shop.status() == "AUTH"


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "nothing"), ("GET", "nothing"), ("GET", "reset"), ("DELETE", "clock")],
)
def test_what_is_not_there_is_a_404_in_json(shop: Shop, method: str, path: str) -> None:
    answer = shop.http.open(f"/_control/{path}", method=method)
    assert (answer.status_code, answer.json["title"]) == (404, "Not found")


def test_the_ledger_tells_every_step_of_every_transaction(shop: Shop, clock: SettableClock) -> None:
    access = shop.executed("A-1")
    shop.executed("A-2", "CAPTURE", 500)
    clock.time += timedelta(seconds=30)
    shop.alter(access, "SALES", 999)
    shop.alter(access, "SALES", 1000)

    ledger = shop.http.get("/_control/ledger").json

    assert [(t["order_id"], t["status"], t["amount"]) for t in ledger] == [
        ("A-1", "SALES", 1000),
        ("A-2", "CAPTURE", 500),
    ]
    told = [(h["api"], h["job"], h["status"], h["error"]) for h in ledger[0]["history"]]
    assert told == [
        ("EntryTran", "AUTH", "UNPROCESSED", ""),
        ("ExecTran", "AUTH", "AUTH", ""),
        ("AlterTran", "SALES", "AUTH", "E01060010"),
        ("AlterTran", "SALES", "SALES", ""),
    ]
    assert ledger[0]["history"][-1]["time"] == "2026-11-23T10:00:30+09:00"
    assert {h["by"] for h in ledger[0]["history"]} == {"api"}
    assert len(shop.http.get("/_control/ledger?order_id=A-2").json) == 1
    assert shop.http.get("/_control/ledger?order_id=A-9").json == []


def test_the_request_log_knows_the_order_and_no_secret(shop: Shop) -> None:
    access = shop.executed("A-1", SecurityCode="987")
    shop.alter(access, "SALES", 1000)
    shop.look("A-2")

    log = shop.http.get("/_control/requests").json
    of_order = shop.http.get("/_control/requests?order_id=A-1").json

    assert [entry["api"] for entry in log] == ["EntryTran", "ExecTran", "AlterTran", "SearchTrade"]
    assert [entry["api"] for entry in of_order] == ["EntryTran", "ExecTran", "AlterTran"]
    assert of_order[2]["params"]["JobCd"] == "SALES"
    assert of_order[2]["answer"].startswith(f"AccessID={access['AccessID']}&AccessPass=*")
    assert log[3]["answer"] == "ErrCode=E01&ErrInfo=E01110002"
    for secret in ("shoppass01", access["AccessPass"], "4111111111111111", "987"):
        assert secret not in str(log)


def test_the_request_log_is_bounded(shop: Shop) -> None:
    log = shop.http.application.extensions["endpoint"].log
    for number in range(20_010):
        log.arrived(jst(2026, 11, 23), f"Api{number}")
    entries = log.described(None)
    assert len(entries) == 20_000
    assert entries[0]["api"] == "Api10"


def test_the_clock_is_set_and_moved_and_survives(tmp_path: Path, clock: SettableClock) -> None:
    # rule 2
    first = create_app(tmp_path / "gateway.db", clock=clock)
    shop = Shop(first)
    answer = shop.control("clock", {"now": "2027-03-31T14:59:00+00:00"})
    assert answer == {"now": "2027-03-31T23:59:00+09:00"}
    assert shop.control("clock", {"advance_seconds": 60.0})["now"] == "2027-04-01T00:00:00+09:00"
    assert shop.http.get("/_control/clock").json == {"now": "2027-04-01T00:00:00+09:00"}
    shop.entered("A-1")
    assert shop.look("A-1")["ProcessDate"] == "20270401000000"
    first.extensions["endpoint"].context.ledger.close()

    again = Shop(create_app(tmp_path / "gateway.db", clock=clock))
    again.entered("A-2")
    assert again.look("A-2")["ProcessDate"] == "20270401000000"


def test_reset_forgets_everything(shop: Shop) -> None:
    shop.site_call("SaveMember", MemberID="m")
    shop.executed("A-1")
    shop.control("clock", {"advance_seconds": 86400})
    shop.control("faults", {**FAULT, "times": 5})

    assert shop.control("reset", {}) == {"reset": True}

    assert shop.http.get("/_control/ledger").json == []
    assert shop.http.get("/_control/requests").json == []
    assert shop.http.get("/_control/faults").json == {"faults": []}
    assert shop.site_codes("SearchMember", MemberID="m") == ["E01390002"]
    assert "ErrInfo" not in shop.executed("A-1")
    assert shop.look("A-1")["ProcessDate"] == "20261123100000"


def test_a_seed_makes_the_ids_repeatable(tmp_path: Path, clock: SettableClock) -> None:  # rule 2
    shops = [
        Shop(create_app(tmp_path / f"{number}.db", seed=seed, clock=clock))
        for number, seed in enumerate((5, 5, 6, None, None))
    ]
    ids = [shop.entered()["AccessID"] for shop in shops]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4


def test_a_seeded_gateway_does_not_repeat_itself_after_a_restart(
    tmp_path: Path, clock: SettableClock
) -> None:
    ids = [
        Shop(create_app(tmp_path / "gateway.db", seed=5, clock=clock)).entered(f"A-{n}")["AccessID"]
        for n in range(3)
    ]
    assert len(set(ids)) == 3


def test_many_transactions_in_one_call(shop: Shop) -> None:
    wishes: list[dict[str, Any]] = [
        {"order_id": f"B-{n}", "amount": 100 + n, "job_cd": job}
        for n, job in enumerate(("AUTH", "CAPTURE", "SAUTH", "CHECK"))
    ]
    wishes[0] |= {"access_id": "a" * 32, "access_pass": "b" * 32, "card_no": "4999000000000044"}

    made = shop.control("transactions", wishes)

    assert [set(answer) for answer in made] == [
        {"order_id", "access_id", "access_pass", "tran_id", "tran_date"}
    ] * 4
    assert (made[0]["access_id"], made[0]["access_pass"]) == ("a" * 32, "b" * 32)
    assert [shop.status(f"B-{n}") for n in range(4)] == ["AUTH", "CAPTURE", "SAUTH", "CHECK"]
    assert shop.look("B-1")["TranID"] == made[1]["tran_id"]
    access = {"AccessID": "a" * 32, "AccessPass": "b" * 32}
    assert shop.change(access, "AUTH", 101)["ErrInfo"] == "42G550000"
    assert "ErrInfo" not in shop.alter(access, "SALES", 100)


@pytest.mark.parametrize(
    ("second", "word"),
    [
        ({"order_id": "B-1", "amount": 1, "job_cd": "AUTH"}, "taken"),
        ({"order_id": "B-2", "amount": 1, "job_cd": "AUTH", "card_no": "4999000000000002"}, "42G"),
        ({"order_id": "B-2", "amount": 1, "job_cd": "AUTH", "colour": "red"}, "object"),
    ],
)
def test_of_many_transactions_all_are_made_or_none(
    shop: Shop, second: dict[str, Any], word: str
) -> None:
    wishes = [{"order_id": "B-1", "amount": 1, "job_cd": "AUTH"}, second]
    answer = shop.http.post("/_control/transactions", json=wishes)
    assert answer.status_code == 400
    assert word in answer.json["detail"]
    assert shop.http.get("/_control/ledger").json == []


def test_the_endpoint_is_reached_through_the_app(app: Flask) -> None:
    assert app.extensions["endpoint"].context.contract.shop_id == "tshop00000001"
