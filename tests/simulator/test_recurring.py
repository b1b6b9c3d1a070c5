"""自動売上 at the practice gateway: what each call takes and answers (protocol.md §10.2, rule 38)."""

from __future__ import annotations

from typing import Any

import pytest

from .shop import SITE, SettableClock, Shop, jst

MEMBER = {"RegistType": "1", **SITE, "MemberID": "m"}


@pytest.fixture(autouse=True)
def _member(shop: Shop, clock: SettableClock) -> None:
    clock.time = jst(2026, 11, 23)
    shop.site_call("SaveMember", MemberID="m")


def register(shop: Shop, **more: str) -> dict[str, Any]:
    wanted = {"RecurringID": "R-1", "Amount": "500", "ChargeDay": "15", **MEMBER, **more}
    return shop.call("RegisterRecurringCredit", **wanted)


@pytest.mark.parametrize(
    ("more", "day"),
    [
        ({}, "20261215"),
        ({"ChargeDay": "31"}, "20261130"),
        ({"ChargeDay": "24"}, "20261124"),  # it begins tomorrow
        ({"ChargeDay": "23"}, "20261223"),
        ({"ChargeDay": "29", "ChargeMonth": "02"}, "20270228"),
        ({"ChargeMonth": "01|07", "ChargeStartDate": "20270116"}, "20270715"),
        ({"ChargeStopDate": "20261214"}, ""),
    ],
)
def test_the_next_day_of_charge(shop: Shop, more: dict[str, str], day: str) -> None:
    assert register(shop, **more)["NextChargeDate"] == day


def test_by_a_card_and_by_the_card_of_an_order(shop: Shop) -> None:
    by_card = register(shop, RegistType="2", CardNo="4111111111111111", Expire="3012")
    assert (by_card["CardNo"], by_card["Expire"]) == ("*" * 12 + "1111", "3012")
    assert (by_card["SiteID"], by_card["MemberID"]) == ("", "")
    shop.executed("A-1")
    by_order = register(shop, RecurringID="R-2", RegistType="3", SrcOrderID="A-1")
    assert by_order["CardNo"] == by_card["CardNo"]


@pytest.mark.parametrize(
    ("more", "codes"),
    [
        ({"RecurringID": ""}, "E01040001"),
        ({"RecurringID": "R" * 16}, "E01040003"),
        ({"RecurringID": "R_1", "Amount": ""}, "E01040013|E01060001"),
        ({"ChargeDay": "32"}, "E01750008"),
        ({"ChargeMonth": "13"}, "E01750008"),
        ({"ChargeStartDate": "20261301"}, "E01750008"),
        ({"RegistType": "4"}, "E01840010"),
        ({"MemberID": "nobody"}, "E01390002"),
        ({"SitePass": "wrong"}, "E01210002"),
        ({"RegistType": "2", "CardNo": "x", "Expire": "3012"}, "E01170011|E01170006"),
        ({"RegistType": "3", "SrcOrderID": "A-9"}, "E01110002"),
    ],
)
def test_what_is_refused(shop: Shop, more: dict[str, str], codes: str) -> None:
    assert register(shop, **more)["ErrInfo"] == codes


def test_a_reset_forgets_them(shop: Shop) -> None:
    register(shop)
    shop.control("reset", None)
    shop.site_call("SaveMember", MemberID="m")
    assert "ErrInfo" not in register(shop)
