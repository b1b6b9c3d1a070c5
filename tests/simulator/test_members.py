"""Members and their cards: protocol.md §2.7, §2.8, rules 29 and 30."""

import pytest

from .shop import SHOP, SITE, VISA, Shop, fields, form

TRADED = {"OrderID": "A-1", "MemberID": "m"}


@pytest.fixture
def member(shop: Shop) -> str:
    """A member without cards."""
    shop.site_call("SaveMember", MemberID="m", MemberName="佐藤 花子")
    return "m"


def add_cards(shop: Shop, count: int, **params: str) -> list[str]:
    """CardSeq of `count` new cards of m."""
    return [
        shop.site_call("SaveCard", MemberID="m", **VISA, **params)["CardSeq"] for _ in range(count)
    ]


def test_the_life_of_a_member(shop: Shop, member: str) -> None:  # rule 29
    assert shop.site_codes("SaveMember", MemberID=member) == ["E01390010"]
    assert shop.site_call("UpdateMember", MemberID=member, MemberName="新") == {"MemberID": member}
    assert shop.site_call("SearchMember", MemberID=member) == {
        "MemberID": member,
        "MemberName": "新",
        "DeleteFlag": "0",
    }
    add_cards(shop, 1)
    assert shop.site_call("DeleteMember", MemberID=member) == {"MemberID": member}
    for api in ("UpdateMember", "DeleteMember", "SearchMember"):
        assert shop.site_codes(api, MemberID=member) == ["E01390002"]
    shop.site_call("SaveMember", MemberID=member)
    assert shop.site_codes("SearchCard", MemberID=member, SeqMode="0") == ["E01240002"]


@pytest.mark.parametrize(
    ("credentials", "expected"),
    [
        ({}, "E01190001|E01200001"),
        ({"SiteID": "x" * 14, "SitePass": "x" * 21}, "E01190008|E01200008"),
        ({"SiteID": "tsite00000001", "SitePass": "wrong"}, "E01210002"),
    ],
)
def test_the_site_is_checked_first(
    shop: Shop, credentials: dict[str, str], expected: str
) -> None:  # rule 29
    answer = fields(shop.send("SaveMember", form({**credentials, "MemberID": "!"})))
    assert answer["ErrInfo"] == expected


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"MemberID": "x" * 61}, ["E01220005"]),
        ({"MemberID": "日本"}, ["E01220008"]),
        ({"MemberID": "a@b._-", "MemberName": "あ" * 128}, ["E01430012"]),
    ],
)
def test_member_errors(shop: Shop, params: dict[str, str], expected: list[str]) -> None:
    assert shop.site_codes("SaveMember", **params) == expected


def test_a_member_has_five_cards_at_most(shop: Shop, member: str) -> None:  # rule 29
    assert add_cards(shop, 5) == ["0", "1", "2", "3", "4"]
    assert shop.site_codes("SaveCard", MemberID=member, **VISA) == ["E01230009"]
    assert shop.site_call("SaveCard", MemberID=member, CardSeq="4", **VISA)["CardSeq"] == "4"


def test_logical_numbers_close_up_and_physical_ones_stay(shop: Shop, member: str) -> None:  # §2.8
    add_cards(shop, 3)
    shop.site_call("DeleteCard", MemberID=member, CardSeq="1")
    logical = shop.site_call("SearchCard", MemberID=member, SeqMode="0")
    physical = shop.site_call("SearchCard", MemberID=member, SeqMode="1")
    assert (logical["CardSeq"], logical["DeleteFlag"]) == ("0|1", "0|0")
    assert (physical["CardSeq"], physical["DeleteFlag"]) == ("0|1|2", "0|1|0")
    assert add_cards(shop, 1, SeqMode="1") == ["3"]
    assert shop.site_codes("DeleteCard", MemberID=member, SeqMode="1", CardSeq="1") == ["E01240002"]


def test_one_card_is_the_default(shop: Shop, member: str) -> None:
    add_cards(shop, 2, DefaultFlag="1")
    add_cards(shop, 1, CardName="家族", HolderName="H SATO")
    found = shop.site_call("SearchCard", MemberID=member, SeqMode="0")
    assert found["DefaultFlag"] == "0|1|0"
    assert found["CardName"] == "||家族"
    assert found["HolderName"] == "||H SATO"
    one = shop.site_call("SearchCard", MemberID=member, SeqMode="0", CardSeq="2")
    assert one["CardName"] == "家族"
    assert one["CardNo"] == "*" * 13 + "111"


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"MemberID": "none", **VISA}, ["E01390002"]),
        (
            {"MemberID": "m", "CardNo": "x", "Expire": "3099"},
            ["E01170011", "E01170006", "E01180008"],
        ),
        ({"MemberID": "m", "CardSeq": "x", **VISA}, ["E01230006"]),
        ({"MemberID": "m", "CardSeq": "0", **VISA}, ["E01240002"]),
        ({"MemberID": "m", "SeqMode": "2", **VISA}, ["E01470008"]),
        ({"MemberID": "m", "CardNo": "4999000000000002", "Expire": "3012"}, ["42G020000"]),
        ({"MemberID": "m", "CardNo": "4111111111111111", "Expire": "2610"}, ["42G830000"]),
    ],
)
def test_a_card_that_cannot_be_stored(
    shop: Shop, member: str, params: dict[str, str], expected: list[str]
) -> None:
    assert shop.site_codes("SaveCard", **params) == expected
    assert shop.site_codes("SearchCard", MemberID=member, SeqMode="0") == ["E01240002"]


@pytest.mark.parametrize("job", ["CHECK", "AUTH", "CAPTURE", "SALES", "VOID"])
def test_the_card_of_a_finished_transaction_can_be_stored(
    shop: Shop, member: str, job: str
) -> None:  # rule 30
    shop.executed(job=job)
    stored = shop.call("TradedCard", **SITE, **TRADED)
    assert stored == {"CardSeq": "0", "CardNo": "*" * 12 + "1111", "Forward": "2a99662"}
    # and pays for the next order (protocol.md §3.6)
    paid = {**SITE, "MemberID": member, "CardSeq": "0", "CardNo": ""}
    assert shop.execute(shop.entered("A-1-1", "CAPTURE"), "A-1-1", **paid)["ACS"] == "0"


def test_the_card_of_an_unfinished_transaction_cannot(shop: Shop, member: str) -> None:  # rule 30
    assert shop.codes("TradedCard", **SITE, **TRADED) == ["E01110002"]
    shop.entered()
    assert shop.codes("TradedCard", **SITE, **TRADED) == ["E01110010"]
    assert shop.codes("TradedCard", **TRADED) == ["E01190001", "E01200001"]
    wrong = form({**SHOP, **SITE, **TRADED, "ShopPass": "wrong", "SitePass": "wrong"})
    assert fields(shop.send("TradedCard", wrong))["ErrInfo"] == "E01030002"


def test_the_details_of_a_card_that_is_offered(shop: Shop) -> None:  # rule 39
    jcb = shop.call("SearchCardDetail", CardNo="3528000000005006")
    assert (jcb["CardNo"], jcb["Brand"]) == ("*" * 12 + "5006", "JCB")
    assert shop.codes("SearchCardDetail", CardNo="12") == ["E01170011"]
    assert shop.codes("SearchCardDetail") == ["E01170001"]
    assert shop.codes("SearchCardDetail", MemberID="m", CardSeq="0") == ["E01190001", "E01200001"]
    assert shop.site_codes("SearchCardDetail", MemberID="m", CardSeq="0") == ["E01390002"]
