"""Rules 5-9 and 12: what is checked, in which order, and how errors add up."""

import pytest

from .shop import SHOP, SITE, VISA, Shop, fields, form


@pytest.mark.parametrize(
    ("credentials", "expected"),
    [
        ({}, "E01010001|E01020001"),
        ({"ShopID": "tshop-1", "ShopPass": "shoppass01x"}, "E01010008|E01020008"),
        ({"ShopID": "tshop00000002", "ShopPass": "shoppass01"}, "E01030002"),
        ({"ShopID": "tshop00000001", "ShopPass": "wrong"}, "E01030002"),
    ],
)
@pytest.mark.parametrize("api", ["EntryTran", "AlterTran", "ChangeTran", "SearchTrade"])
def test_the_shop_is_checked_before_anything_else(
    shop: Shop, api: str, credentials: dict[str, str], expected: str
) -> None:  # rule 5
    answer = fields(shop.send(api, form({**credentials, "OrderID": "!", "Amount": "x"})))
    assert answer["ErrInfo"] == expected
    assert answer["ErrCode"] == "|".join(["E01"] * len(expected.split("|")))


ENTRY = {"OrderID": "N-1", "JobCd": "AUTH", "Amount": "100"}


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"OrderID": ""}, ["E01040001"]),
        ({"OrderID": "x" * 28}, ["E01040003"]),
        ({"OrderID": "a_b"}, ["E01040013"]),
        ({"OrderID": "あ" * 28}, ["E01040003", "E01040013"]),  # length before characters
        ({"JobCd": ""}, ["E01050001"]),
        ({"JobCd": "AUTHORIZE"}, ["E01050002"]),
        ({"JobCd": "SALES"}, ["E01050004"]),  # rule 8
        ({"JobCd": "CANCEL"}, ["E01050004"]),
        ({"Amount": ""}, ["E01060001"]),
        ({"Amount": "12345678"}, ["E01060005"]),
        ({"Amount": "-1"}, ["E01060006"]),
        ({"Amount": "1,000"}, ["E01060006"]),
        ({"Amount": "1234567８"}, ["E01060005", "E01060006"]),
        ({"Tax": "12345678"}, ["E01070005"]),
        ({"Tax": "1.5"}, ["E01070006"]),
        ({"Amount": "9999999", "Tax": "1"}, ["E01490005"]),
        ({"ItemCode": "12"}, ["E01450008"]),
        ({"TdFlag": "9"}, ["E01080007"]),
        ({"TdFlag": "1"}, ["E01080010"]),  # withdrawn
        ({"TdFlag": "2", "Tds2Type": "4"}, ["E01840010"]),
        ({"TdFlag": "2", "TdTenantName": "A" * 28}, ["E01370012"]),
        ({"TdFlag": "2", "TdTenantName": "練習店"}, ["E01370008"]),
        (
            {"OrderID": "", "JobCd": "X", "Amount": "x", "Tax": "x"},
            ["E01040001", "E01050002", "E01060006", "E01070006"],
        ),
    ],
)
def test_entry_errors_add_up_in_the_order_of_the_table(
    shop: Shop, params: dict[str, str], expected: list[str]
) -> None:  # rules 5, 6, 8
    assert shop.codes("EntryTran", **{**ENTRY, **params}) == expected


def test_an_order_number_is_used_up_for_ever(shop: Shop) -> None:
    shop.alter(shop.executed(), "VOID")
    assert shop.codes("EntryTran", **{**ENTRY, "OrderID": "A-1"}) == ["E01040010"]
    assert shop.codes("EntryTran", OrderID="A-1", JobCd="AUTH", Amount="x") == [
        "E01060006",
        "E01040010",
    ]


def test_ids_are_32_lower_case_hex_digits_and_all_different(shop: Shop) -> None:  # rule 9
    pairs = [shop.entered(f"A-{n}") for n in range(5)]
    values = [value for pair in pairs for value in pair.values()]
    assert len(set(values)) == 10
    assert all(len(value) == 32 and set(value) <= set("0123456789abcdef") for value in values)


def test_a_check_ignores_its_amount(shop: Shop) -> None:  # rule 7
    shop.call("EntryTran", OrderID="A-1", JobCd="CHECK", Amount="not even digits")
    assert shop.look()["Amount"] == "0"


def test_amount_zero_is_entered_and_declined(shop: Shop) -> None:  # rule 7
    access = shop.entered(amount=0)
    assert shop.execute(access) == {"ErrCode": "G68", "ErrInfo": "42G680000"}


@pytest.mark.parametrize("api", ["AlterTran", "ChangeTran"])
def test_an_unknown_transaction_is_told_after_its_malformed_id(shop: Shop, api: str) -> None:
    # rule 5: existence is appended, and Amount and Tax are looked at only where it exists
    params = {"AccessID": "null", "AccessPass": "null", "JobCd": "CAPTURE", "Amount": "null"}
    assert shop.codes(api, **params) == ["E01090008", "E01100008", "E01110002"]


@pytest.mark.parametrize(
    ("api", "job", "expected"),
    [
        ("AlterTran", "", "E01050001"),
        ("AlterTran", "SELL", "E01050002"),
        ("AlterTran", "CHECK", "E01050004"),
        ("ChangeTran", "SALES", "E01050004"),  # rule 24
        ("ChangeTran", "VOID", "E01050004"),
    ],
)
def test_each_call_has_its_own_jobs(shop: Shop, api: str, job: str, expected: str) -> None:
    access = shop.executed()
    assert shop.codes(api, **access, JobCd=job, Amount="1000") == [expected]


def test_a_wrong_access_pass_is_an_unknown_transaction(shop: Shop) -> None:
    access = {**shop.executed(), "AccessPass": "0" * 32}
    assert shop.alter(access, "SALES", 1000)["ErrInfo"] == "E01110002"


def test_execution_tells_a_missing_transaction_before_card_errors(shop: Shop) -> None:
    # rule 5, exception for ExecTran: Method is not looked at, the card is
    codes = shop.codes("ExecTran", AccessID="null", AccessPass="null", OrderID="A-1", CardNo="x")
    assert codes == [
        "E01090008", "E01100008", "E01110002", "E01170011", "E01170006", "E01180001",
    ]  # fmt: skip


def test_the_order_must_be_that_of_the_access_id(shop: Shop) -> None:  # rule 11
    access = shop.entered("A-1")
    shop.entered("A-2")
    assert shop.execute(access, "A-2")["ErrInfo"] == "E01110002"


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"Method": ""}, ["E01260001"]),
        ({"Method": "6"}, ["E01260002"]),
        ({"Method": "2"}, ["E01270001"]),
        ({"Method": "4", "PayTimes": "7"}, ["E01270010"]),
        ({"Method": "2", "PayTimes": "100"}, ["E01270005"]),
        ({"Method": "2", "PayTimes": "x"}, ["E01270006"]),
        ({"CardNo": "", "Expire": ""}, ["E01170001", "E01180001"]),
        ({"CardNo": "4" * 17}, ["E01170003"]),
        ({"CardNo": "4" * 9}, ["E01170011"]),
        ({"CardNo": "4111-1111-1111"}, ["E01170006"]),
        ({"Expire": "305"}, ["E01180003"]),
        ({"Expire": "30ab"}, ["E01180006"]),
        ({"Expire": "3013"}, ["E01180008"]),
        ({"SecurityCode": "12"}, ["E01460008"]),
        ({"HolderName": "X" * 51}, ["E01480011"]),
        ({"HolderName": "A&B"}, ["E01480008"]),
        ({"ClientField1": "あ" * 51}, ["E01320012"]),
        ({"ClientField2": "x" * 101, "ClientField3": "x" * 101}, ["E01330012", "E01340012"]),
        ({"ClientFieldFlag": "2"}, ["E01400007"]),
        ({"DeviceCategory": "2"}, ["E01310007"]),
    ],
)
def test_execution_errors(shop: Shop, params: dict[str, str], expected: list[str]) -> None:
    access = shop.entered()
    assert shop.execute(access, **params)["ErrInfo"].split("|") == expected
    assert shop.status() == "UNPROCESSED"


def test_instalments_are_answered_and_one_payment_is_blank(shop: Shop) -> None:  # §2.2
    split = shop.execute(shop.entered("A-1"), "A-1", Method="2", PayTimes="3")
    whole = shop.execute(shop.entered("A-2"), "A-2", Method="1", PayTimes="1")
    assert (split["Method"], split["PayTimes"]) == ("2", "3")
    assert (whole["Method"], whole["PayTimes"]) == ("1", "")


def test_execution_needs_no_shop_but_checks_one_that_is_named(shop: Shop) -> None:  # §2.2
    request = {**shop.entered(), "OrderID": "A-1", "Method": "1", **VISA}
    wrong = form({**request, **SHOP, "ShopPass": "wrong"})
    assert fields(shop.send("ExecTran", wrong))["ErrInfo"] == "E01030002"
    assert fields(shop.send("ExecTran", form(request)))["ACS"] == "0"


def test_a_stored_card_needs_the_right_site_password(shop: Shop) -> None:  # §5
    shop.site_call("SaveMember", MemberID="m")
    shop.site_call("SaveCard", MemberID="m", **VISA)
    request = {**shop.entered(), "OrderID": "A-1", "Method": "1", "MemberID": "m", "CardSeq": "0"}
    assert shop.codes("ExecTran", **request, **{**SITE, "SitePass": "wrong"}) == ["E01210002"]
    assert shop.codes("ExecTran", **request) == ["E01190001", "E01200001"]
    assert shop.call("ExecTran", **request, **SITE)["ACS"] == "0"
    assert shop.look()["MemberID"] == "m"
    assert shop.look()["SiteID"] == SITE["SiteID"]


def test_of_several_missing_things_the_first_is_told(shop: Shop) -> None:  # rule 5
    request = {**SITE, "OrderID": "A-1", "Method": "1", "MemberID": "m", "CardSeq": "0"}
    unknown = {"AccessID": "0" * 32, "AccessPass": "0" * 32}
    assert shop.codes("ExecTran", **request, **unknown) == ["E01110002"]
    access = shop.entered()
    assert shop.codes("ExecTran", **request, **access) == ["E01390002"]
    shop.site_call("SaveMember", MemberID="m")
    assert shop.codes("ExecTran", **request, **access) == ["E01240002"]
