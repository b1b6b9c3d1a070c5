"""Paying with stored cards and tokens, as intake does it: protocol.md §2.8, §3.6, rules 29-31."""

from contextlib import suppress

import pytest

from .shop import SITE, Shop

BY_MEMBER = {**SITE, "MemberID": "m", "SeqMode": "0", "CardSeq": "0", "CardNo": "", "Expire": ""}


def token(shop: Shop, number: str = "4111111111111111") -> dict[str, str]:
    """A token in place of a card number."""
    issued = shop.control("tokens", {"card_no": number, "expire": "3012"})["token"]
    return {"Token": issued, "CardNo": "", "Expire": ""}


@pytest.fixture
def member(shop: Shop) -> Shop:
    """The card of a checked order, stored under a member (§3.6)."""
    shop.executed("check-1", "CHECK", **token(shop))
    shop.site_call("SaveMember", MemberID="m")
    stored = shop.call("TradedCard", **SITE, OrderID="check-1", MemberID="m")
    assert stored["CardSeq"] == "0"
    return shop


@pytest.mark.parametrize("job", ["AUTH", "CAPTURE", "CHECK"])
def test_a_stored_card_pays_a_new_order(member: Shop, job: str) -> None:
    member.executed("check-1-1", job, **BY_MEMBER)
    trade = member.look("check-1-1")
    assert (trade["Status"], trade["SiteID"], trade["MemberID"]) == (job, SITE["SiteID"], "m")


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"MemberID": "nobody"}, "E01390002"),
        ({"CardSeq": "1"}, "E01240002"),
        ({"SitePass": "other"}, "E01210002"),
        ({"CardSeq": ""}, "E01230001"),
    ],
)
def test_a_stored_card_that_is_not_there(member: Shop, wrong: dict[str, str], code: str) -> None:
    access = member.entered("A-1")
    assert member.execute(access, **{**BY_MEMBER, **wrong})["ErrInfo"] == code
    assert member.status() == "UNPROCESSED"


def test_a_stored_card_may_be_declined_like_any(shop: Shop) -> None:
    card = {"CardNo": "4999000000000044", "Expire": "2612"}
    shop.executed("A-1", **card)
    shop.site_call("SaveMember", MemberID="m")
    shop.call("TradedCard", **SITE, OrderID="A-1", MemberID="m")
    shop.control("clock", {"now": "2027-01-01T00:00:00+09:00"})  # expired since
    assert shop.execute(shop.entered("A-2"), "A-2", **BY_MEMBER)["ErrInfo"] == "42G830000"


@pytest.mark.parametrize("fault", ["drop_before", "http:503", "error:E91019999"])
def test_a_token_whose_call_was_not_carried_out_is_not_used_up(shop: Shop, fault: str) -> None:
    access, one = shop.entered(), token(shop)
    shop.control("faults", {"api": "ExecTran", "times": 1, "fault": fault})
    with suppress(ConnectionError, AssertionError):
        shop.execute(access, **one)
    assert shop.execute(access, **one)["ACS"] == "0"


def test_the_console_leads_from_a_transaction_to_the_cards_of_its_member(member: Shop) -> None:
    member.executed("A-1", **BY_MEMBER)
    page = member.http.get("/mulpayconsole/shop/tshop00000001/transactions/A-1").text
    assert "/mulpayconsole/site/tsite00000001/login/#member-m" in page
    cards = member.http.get("/mulpayconsole/site/tsite00000001/login/").text
    assert 'id="member-m"' in cards
    assert "*" * 13 + "111" in cards
