"""SearchTrade and SearchTradeMulti: rules 26-28."""

from datetime import timedelta

import pytest

from .shop import SettableClock, Shop


def test_before_the_execution_the_card_fields_are_blank(shop: Shop) -> None:  # §2.5
    access = shop.entered()
    found = shop.look()
    assert found["Status"] == "UNPROCESSED"
    assert found["ProcessDate"] == "20261123100000"
    # a lost EntryTran answer can be recovered
    assert {key: found[key] for key in access} == access
    for key in ("CardNo", "Expire", "Method", "PayTimes", "Forward", "TranID", "Approve"):
        assert found[key] == ""


def test_the_last_successful_processing_is_shown(shop: Shop, clock: SettableClock) -> None:
    # rule 26: an error in between changes nothing
    access = shop.executed()
    clock.time += timedelta(hours=1)
    shop.alter(access, "SALES", 1000)
    clock.time += timedelta(hours=1)
    shop.alter(access, "SALES", 1000)
    found = shop.look()
    assert (found["Status"], found["JobCd"]) == ("SALES", "SALES")
    assert found["ProcessDate"] == "20261123110000"
    assert (found["CardNo"], found["Expire"]) == ("*" * 12 + "1111", "3012")
    assert (found["SiteID"], found["MemberID"]) == ("", "")


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"OrderID": "none"}, ["E01110002"]),
        ({"OrderID": "a_b"}, ["E01040013", "E01110002"]),
        ({}, ["E01040001", "E01110002"]),
    ],
)
def test_an_unknown_order(shop: Shop, params: dict[str, str], expected: list[str]) -> None:
    assert shop.codes("SearchTrade", **params) == expected


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"PayType": "0", "OrderID": "none"}, ["M01004002"]),
        ({"PayType": "3", "OrderID": "A-1"}, ["M01004002"]),
        ({"PayType": "", "OrderID": ""}, ["M01051001", "M01004001", "M01004002"]),
        ({"PayType": "x", "OrderID": "A-1"}, ["M01051011"]),
        ({"PayType": "0", "OrderID": "x" * 28}, ["M01004012", "M01004002"]),
    ],
)
def test_the_lookup_with_a_payment_type(
    shop: Shop, params: dict[str, str], expected: list[str]
) -> None:  # §2.6
    shop.executed("A-1")
    assert shop.codes("SearchTradeMulti", **params) == expected


def test_both_lookups_tell_the_same(shop: Shop) -> None:
    shop.executed(job="SALES")
    plain = shop.look()
    multi = shop.call("SearchTradeMulti", OrderID="A-1", PayType="0")
    assert "OrderID" not in multi
    assert {key: multi[key] for key in plain if key != "OrderID"} == {
        key: value for key, value in plain.items() if key != "OrderID"
    }
