"""The monthly subscription file: rules 35 and 36, interfaces.md §6."""

import csv
import io
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from sgpshop.simulator import ConnectionDropped, create_app

from .shop import SettableClock, Shop, jst

BASIC = {"Authorization": "Basic " + b64encode(b"tshop00000001:shoppass01").decode()}
FILES = "/mulpayconsole/shop/tshop00000001/files/"


@pytest.fixture
def shop(shop: Shop, clock: SettableClock) -> Shop:
    """A shop on the 8th, whose members hold one card each."""
    clock.time = jst(2026, 11, 8, 10)
    for member, number in MEMBERS.items():
        shop.site_call("SaveMember", MemberID=member)
        access = shop.entered(f"check-{member}", "AUTH")
        if number not in DECLINING:
            shop.execute(access, f"check-{member}", CardNo=number)
            site = {"SiteID": "tsite00000001", "SitePass": "sitepass01"}
            shop.call("TradedCard", **site, OrderID=f"check-{member}", MemberID=member)
    return shop


MEMBERS = {"good": "4111111111111111", "lost": "4999000000000036", "none": "4999000000000002"}
DECLINING = {"4999000000000002"}


def line(order_id: str, member: str = "good", amount: str = "1000", **more: str) -> list[str]:
    row = {
        "ShopID": "tshop00000001",
        "MemberID": member,
        "CardSeq": "0",
        "OrderID": order_id,
        "Amount": amount,
        "Tax": "0",
        "UseDate": "20261031",
        **more,
    }
    return list(row.values())


def content(*rows: list[str], month: str = "202611", head: list[str] | None = None) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(head or ["001", "tshop00000001", month, str(len(rows))])
    writer.writerows(rows)
    return out.getvalue().encode("cp932")


def upload(shop: Shop, body: bytes, month: str = "202611", headers: Any = BASIC) -> TestResponse:
    return shop.http.post(f"/_batch/tshop00000001/{month}", data=body, headers=headers)


def result(shop: Shop, month: str = "202611") -> dict[str, tuple[str, str]] | None:
    """Result and ErrInfo by OrderID, None while there is none."""
    answer = shop.http.get(f"/_batch/tshop00000001/{month}/result", headers=BASIC)
    if answer.status_code == 404:
        assert answer.json["code"] == "NO_RESULT_YET"
        return None
    head, *rows = list(csv.reader(io.StringIO(answer.data.decode("cp932"), newline="")))
    assert head == ["001", "tshop00000001", month, str(len(rows))]
    return {row[3]: (row[7], row[8]) for row in rows}


def test_a_charge_from_the_upload_to_the_result(shop: Shop, clock: SettableClock) -> None:
    receipt = upload(shop, content(line("S-1")))
    assert receipt.status_code == 200
    assert receipt.json["accepted"] == 1
    assert receipt.json["refused"] == []
    trade = shop.look("S-1")  # rule 36
    assert (trade["Status"], trade["MemberID"], trade["CardNo"]) == ("UNPROCESSED", "good", "")
    clock.time = jst(2026, 11, 17, 23, 59)
    assert result(shop) is None
    assert shop.status("S-1") == "UNPROCESSED"
    clock.time = jst(2026, 11, 18, 0)
    trade = shop.look("S-1")  # before anybody asked for the result
    assert (trade["Status"], trade["JobCd"], trade["Amount"]) == ("CAPTURE", "CAPTURE", "1000")
    assert trade["ProcessDate"] == "20261118000000"
    assert trade["CardNo"] == "*" * 12 + "1111"
    assert result(shop) == {"S-1": ("0", "")}


def test_the_same_content_again_is_the_same_receipt_and_charges_once(
    shop: Shop, clock: SettableClock
) -> None:
    first = upload(shop, content(line("S-1"))).json
    assert upload(shop, content(line("S-1"))).json == first
    other = upload(shop, content(line("S-1"), line("S-2"))).json
    assert other["receipt_no"] != first["receipt_no"]
    assert other["refused"] == [{"line": 1, "order_id": "S-1", "code": "E01040010"}]
    assert other["accepted"] == 1
    clock.time = jst(2026, 11, 20)
    assert result(shop) == {"S-1": ("0", ""), "S-2": ("0", "")}
    # who asks again after a lost answer hears it even when the window has closed
    assert upload(shop, content(line("S-1"))).json == first
    charges = [each for each in shop.history("S-1") if each["api"] == "Batch"]
    assert [(each["status"], each["error"]) for each in charges] == [("CAPTURE", "")]


@pytest.mark.parametrize(
    ("now", "month", "status"),
    [
        (jst(2026, 11, 1, 0), "202611", 200),
        (jst(2026, 11, 10, 23, 59), "202611", 200),
        (jst(2026, 11, 11, 0), "202611", 409),
        (jst(2026, 10, 31, 23, 59), "202611", 409),
        (jst(2026, 11, 8), "202610", 409),
        (jst(2026, 11, 8), "202612", 409),
    ],
)
def test_files_are_taken_from_the_1st_to_the_10th(
    shop: Shop, clock: SettableClock, now: Any, month: str, status: int
) -> None:
    clock.time = now
    answer = upload(shop, content(line("S-1"), month=month), month)
    assert answer.status_code == status
    if status == 409:
        assert answer.json["code"] == "FILE_WINDOW_CLOSED"
        assert shop.look("S-1")["ErrInfo"] == "E01110002"  # refused whole


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (line("check-good"), "E01040010"),
        (line("S-9", "nobody"), "E01390002"),
        (line("S-9", "none"), "E01240002"),
        (line("S-9", CardSeq="1"), "E01240002"),
        (line("S-9", CardSeq="x"), "E01230006"),
        (line("S 9"), "E01040013"),
        (line("S-9", amount="1,000"), "E01060006"),
        (line("S-9", amount=""), "E01060001"),
        (line("S-9", Tax="-1"), "E01070006"),
        (line("S-9", UseDate=""), "E01750001"),
        (line("S-9", UseDate="20261131"), "E01750008"),
        (line("S-9", ShopID="tshop00000002"), "E01010010"),
        (line("S-9")[:-1], "E01700001"),
        ([*line("S-9"), ""], "E01700001"),
    ],
)
def test_a_bad_line_is_refused_and_the_others_are_taken(
    shop: Shop, row: list[str], code: str
) -> None:
    answer = upload(shop, content(line("S-1"), row, line("S-2"))).json
    assert [(each["line"], each["code"]) for each in answer["refused"]] == [(2, code)]
    assert answer["accepted"] == 2
    assert shop.status("S-2") == "UNPROCESSED"


def test_an_order_twice_in_one_file_is_charged_once(shop: Shop) -> None:
    answer = upload(shop, content(line("S-1"), line("S-1", amount="2000"))).json
    assert answer["refused"] == [{"line": 2, "order_id": "S-1", "code": "E01040010"}]
    assert shop.look("S-1")["Amount"] == "1000"


def test_a_member_twice_is_allowed(shop: Shop) -> None:  # rule 35
    assert upload(shop, content(line("S-1"), line("S-2"))).json["refused"] == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "E01999998"),
        (b"\x81", "E00000010"),
        (b'"open', "E00000010"),
        (content(head=["002", "tshop00000001", "202611", "0"]), "E01999998"),
        (content(head=["001", "tshop00000002", "202611", "0"]), "E01010010"),
        (content(head=["001", "tshop00000001", "202610", "0"]), "E01840010"),
        (content(line("S-1"), head=["001", "tshop00000001", "202611", "2"]), "E01700001"),
        (content(line("S-1"))[:-1], "E01700001"),
    ],
)
def test_a_file_that_is_none_is_refused_whole(shop: Shop, body: bytes, code: str) -> None:
    answer = upload(shop, body)
    assert (answer.status_code, answer.json["code"]) == (400, code)
    assert shop.look("S-1")["ErrInfo"] == "E01110002"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic " + b64encode(b"tshop00000001:wrong").decode()},
        {"Authorization": "Basic " + b64encode(b"tshop00000002:shoppass01").decode()},
    ],
)
def test_only_the_shop_itself_may(shop: Shop, headers: dict[str, str]) -> None:
    answer = upload(shop, content(line("S-1")), headers=headers)
    assert (answer.status_code, answer.json["code"]) == (401, "E01030002")
    assert shop.http.get("/_batch/tshop00000001/202611/result").status_code == 401
    assert shop.http.get("/_batch/tshop00000001/999999/result").status_code == 404


def test_what_a_charge_can_come_to(shop: Shop, clock: SettableClock) -> None:
    """A card is stored while it is good and may be anything on the result day."""
    endpoint = shop.http.application.extensions["endpoint"]
    behaviours = {
        "poor": "short-of-funds",
        "limit": "over-limit",
        "unusable": "unusable",
        "lost": "loses-answers",
    }
    rows = []
    for name, behaviour in behaviours.items():
        site = {"SiteID": "tsite00000001", "SitePass": "sitepass01"}
        shop.site_call("SaveMember", MemberID=name)
        shop.call("TradedCard", **site, OrderID="check-good", MemberID=name)
        with endpoint.context.ledger.transaction() as db:
            values = (behaviour, name)
            db.execute("UPDATE cards SET card_behaviour = ? WHERE member_id = ?", values)
        rows.append(line(f"S-{name}", name))
    rows += [line("S-good"), line("S-zero", amount="0")]
    assert upload(shop, content(*rows)).json["refused"] == []
    clock.time = jst(2026, 11, 18)
    assert result(shop) == {
        "S-poor": ("1", "42G020000"),
        "S-limit": ("1", "42G550000"),
        "S-unusable": ("2", "42G120000"),
        "S-lost": ("0", ""),
        "S-good": ("0", ""),
        "S-zero": ("1", "42G680000"),
    }
    assert shop.status("S-poor") == "UNPROCESSED"
    assert shop.status("S-lost") == "CAPTURE"


def test_a_card_that_is_gone_or_expired_by_the_result_day(shop: Shop, clock: SettableClock) -> None:
    shop.executed("old", CardNo="4111111111111111", Expire="2611")
    site = {"SiteID": "tsite00000001", "SitePass": "sitepass01"}
    shop.site_call("SaveMember", MemberID="old")
    shop.call("TradedCard", **site, OrderID="old", MemberID="old")
    clock.time = jst(2026, 12, 5)
    rows = [line("S-old", "old"), line("S-gone"), line("S-card", "lost")]
    assert upload(shop, content(*rows, month="202612"), "202612").json["refused"] == []
    shop.site_call("DeleteMember", MemberID="good")
    shop.site_call("DeleteCard", MemberID="lost", CardSeq="0")
    clock.time = jst(2026, 12, 18)
    assert result(shop, "202612") == {
        "S-old": ("1", "42G830000"),
        "S-gone": ("3", "E01390002"),
        "S-card": ("3", "E01240002"),
    }


@pytest.mark.parametrize("now", [jst(2026, 11, 9), jst(2026, 11, 19)])
def test_a_file_charge_is_locked_against_everything_else(
    shop: Shop, clock: SettableClock, now: Any
) -> None:  # rule 36
    upload(shop, content(line("S-1")))
    clock.time = now
    found = shop.look("S-1")
    access = {"AccessID": found["AccessID"], "AccessPass": found["AccessPass"]}
    assert shop.alter(access, "VOID")["ErrInfo"] == "E01410010"
    assert shop.change(access, "CAPTURE", 900)["ErrInfo"] == "E01410010"
    assert shop.execute(access, "S-1")["ErrInfo"] == "E01410010"
    page = shop.http.get("/mulpayconsole/shop/tshop00000001/transactions/S-1").text
    assert "手動では処理できません" in page


def test_the_result_day_of_the_other_contract(shop: Shop, clock: SettableClock) -> None:
    assert shop.control("batch", {"result_day": 11}) == {"result_day": 11}
    upload(shop, content(line("S-1")))
    clock.time = jst(2026, 11, 11, 0)
    assert result(shop) == {"S-1": ("0", "")}
    for body in ({"result_day": 10}, {"result_day": "18"}, {}, {"result_day": 18, "x": 1}):
        assert shop.http.post("/_control/batch", json=body).status_code == 400


@pytest.mark.parametrize(
    ("fault", "is_taken"),
    [
        ("drop_before", False),
        ("http:503", False),
        ("error:E91019999", False),
        ("drop_after", True),
        ("truncate", True),
        ("garbage", True),
        ("error_after:E91019999", True),
        ("delay:0.001", True),
    ],
)
def test_faults_of_an_upload(shop: Shop, fault: str, is_taken: bool) -> None:  # rule 32
    rule = {"api": "Batch", "job_cd": "upload", "times": 1, "fault": fault}
    shop.control("faults", rule)
    try:
        upload(shop, content(line("S-1")))
    except ConnectionDropped:
        assert fault.startswith("drop")
    assert ("ErrInfo" not in shop.look("S-1")) is is_taken
    assert upload(shop, content(line("S-1"))).json["accepted"] == 1  # sent again: once


def test_faults_of_a_result(shop: Shop, clock: SettableClock) -> None:
    upload(shop, content(line("S-1")))
    clock.time = jst(2026, 11, 18)
    shop.control("faults", {"api": "Batch", "job_cd": "result", "times": 1, "fault": "http:503"})
    path = "/_batch/tshop00000001/202611/result"
    assert shop.http.get(path, headers=BASIC).status_code == 503
    assert result(shop) == {"S-1": ("0", "")}


def test_what_was_answered_survives_a_restart(shop: Shop, tmp_path: Path) -> None:
    first = upload(shop, content(line("S-1"))).json
    shop.http.application.extensions["endpoint"].context.ledger.close()  # killed
    again = create_app(tmp_path / "gateway.db", seed=7, clock=lambda: jst(2026, 11, 18))
    restarted = Shop(again)
    assert upload(restarted, content(line("S-1"))).json == first
    assert result(restarted) == {"S-1": ("0", "")}
    again.extensions["endpoint"].context.ledger.close()


def test_the_console_shows_files_and_lines(shop: Shop, clock: SettableClock) -> None:
    assert "まだファイルがありません" in shop.http.get(FILES).text
    rows = [line("S-1", amount="12345"), line("S-2", "nobody")]
    receipt_no = upload(shop, content(*rows)).json["receipt_no"]
    listed = shop.http.get(FILES).text
    assert receipt_no in listed
    assert "結果待ち" in listed
    page = shop.http.get(FILES + receipt_no).text
    assert "¥12,345" in page
    assert "受付時に拒否 E01390002" in page
    clock.time = jst(2026, 11, 18)
    assert "課金済" in shop.http.get(FILES + receipt_no).text
    trade = shop.http.get("/mulpayconsole/shop/tshop00000001/transactions/S-1").text
    assert receipt_no in trade
    assert "即時売上" in trade
    assert shop.http.get(FILES + "R0").status_code == 404
    assert shop.http.get(FILES.replace("tshop00000001", "other")).status_code == 404
    ledger = {each["order_id"]: each for each in shop.http.get("/_control/ledger").json}
    assert ledger["S-1"]["status"] == "CAPTURE"
