"""The test cards, tokens and the counters: rules 12-14 and 31."""

from datetime import timedelta

import pytest
from flask import Flask

from sgpshop.simulator.cards import SLOW_SECONDS

from .shop import SettableClock, Shop, jst


@pytest.mark.parametrize(
    "number",
    ["4111111111111111", "5555555555554444", "378282246310005", "36006666333344", "1234567890"],
)
def test_other_well_formed_numbers_are_approved(shop: Shop, number: str) -> None:  # rule 12
    assert shop.execute(shop.entered(), CardNo=number)["ACS"] == "0"
    assert shop.look()["CardNo"] == "*" * 12 + number[-4:]  # rule 27


@pytest.mark.parametrize("job", ["AUTH", "CAPTURE", "CHECK"])
@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("4999000000000002", "42G020000"),
        ("4999000000000010", "42G550000"),
        ("4999000000000028", "42G120000"),
    ],
)
def test_declining_cards_leave_the_transaction_untouched(
    shop: Shop, job: str, number: str, code: str
) -> None:  # rules 10 and 14
    answer = shop.execute(shop.entered(job=job), CardNo=number)
    assert answer == {"ErrCode": code[2:5], "ErrInfo": code}
    assert shop.status() == "UNPROCESSED"
    assert [line["error"] for line in shop.history()] == ["", code]


def test_one_card_answers_an_error_and_is_authorized_all_the_same(shop: Shop) -> None:  # rule 14
    answer = shop.execute(shop.entered(), CardNo="4999000000000036")
    assert answer == {"ErrCode": "C01", "ErrInfo": "42C010000"}
    assert shop.status() == "AUTH"


def test_one_card_is_answered_late(
    app: Flask, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:  # rule 14
    waited: list[float] = []
    monkeypatch.setattr(app.extensions["endpoint"], "wait", waited.append)
    access = shop.executed(CardNo="4999000000000051")
    assert shop.status() == "AUTH"
    assert max(waited) == SLOW_SECONDS
    waited.clear()
    shop.change(access, "AUTH", 900)
    assert max(waited) == 0.0


def test_one_card_refuses_only_increases(shop: Shop) -> None:  # rule 14
    access = shop.executed(CardNo="4999000000000044")
    assert "ErrInfo" not in shop.change(access, "AUTH", 1000)
    assert "ErrInfo" not in shop.change(access, "AUTH", 900)
    assert shop.change(access, "AUTH", 901)["ErrInfo"] == "42G550000"
    assert shop.look()["Amount"] == "900"


def test_a_card_is_good_until_the_end_of_its_month(shop: Shop, clock: SettableClock) -> None:
    clock.time = jst(2026, 11, 30, 23, 59)  # rule 12
    assert shop.execute(shop.entered("A-1"), "A-1", Expire="2611")["ACS"] == "0"
    clock.time += timedelta(minutes=1)
    assert shop.execute(shop.entered("A-2"), "A-2", Expire="2611")["ErrInfo"] == "42G830000"


def test_the_counters_move_with_everything_the_card_company_sees(shop: Shop) -> None:  # rule 13
    first = shop.execute(shop.entered("A-1"), "A-1")
    shop.execute(shop.entered("A-2"), "A-2", CardNo="4999000000000002")
    third = shop.execute(shop.entered("A-3"), "A-3")
    assert int(third["Approve"]) == int(first["Approve"]) + 2
    assert first["TranID"] == "2611231000" + "1" * 12 + f"{int(first['Approve']) % 10**6:06d}"
    assert len(first["Approve"]) == 7


def token(shop: Shop, **card: str) -> str:
    wish = {"card_no": "4111111111111111", "expire": "3012", **card}
    return str(shop.control("tokens", wish)["token"])


def test_a_token_pays_once(shop: Shop) -> None:  # rule 31
    one = token(shop)
    with_token = {"Token": one, "CardNo": "", "Expire": ""}
    access = shop.entered("A-1")
    assert shop.execute(access, "A-1", **with_token)["ACS"] == "0"
    # sent again after a lost answer it hears that the transaction is done
    assert shop.execute(access, "A-1", **with_token)["ErrInfo"] == "E11010001"
    used = shop.execute(shop.entered("A-2"), "A-2", **with_token)
    assert used == {"ErrCode": "EX1", "ErrInfo": "EX1000302"}


def test_a_token_is_used_up_by_a_decline(shop: Shop) -> None:
    one = token(shop, card_no="4999000000000002")
    access = shop.entered()
    assert shop.execute(access, Token=one)["ErrInfo"] == "42G020000"
    assert shop.execute(access, Token=one)["ErrInfo"] == "EX1000302"


def test_tokens_that_are_none(shop: Shop, clock: SettableClock) -> None:  # rule 31
    access, late = shop.entered(), token(shop)
    assert shop.execute(access, Token="tok_" + "0" * 32)["ErrInfo"] == "EX1000301"
    assert shop.execute(access, Token="nobody-issued-this")["ErrInfo"] == "EX1000301"
    for no_token in ("4111111111111111", "トークン", "a b"):
        assert shop.execute(access, Token=no_token)["ErrInfo"] == "EX1000304"
    clock.time += timedelta(minutes=15, seconds=1)
    assert shop.execute(access, Token=late)["ErrInfo"] == "EX1000303"


def test_a_token_stores_a_card(shop: Shop) -> None:
    shop.site_call("SaveMember", MemberID="m")
    stored = shop.site_call("SaveCard", MemberID="m", Token=token(shop))
    assert stored == {"CardSeq": "0", "CardNo": "*" * 13 + "111", "Forward": "2a99662"}
