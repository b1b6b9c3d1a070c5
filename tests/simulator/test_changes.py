"""ChangeTran: protocol.md §3.5, rules 22-25."""

from datetime import timedelta

import pytest

from .shop import SettableClock, Shop


@pytest.mark.parametrize("before", ["AUTH", "SAUTH", "CAPTURE", "SALES"])
@pytest.mark.parametrize("job", ["AUTH", "CAPTURE", "SAUTH"])
@pytest.mark.parametrize("amount", [1, 1000, 9_999_999])
def test_the_job_given_is_the_state_afterwards(
    shop: Shop, before: str, job: str, amount: int
) -> None:  # rule 22
    access = shop.executed(job=before)
    old = shop.look()

    answer = shop.change(access, job, amount)

    new = shop.look()
    assert (new["Status"], new["JobCd"], new["Amount"]) == (job, job, str(amount))
    assert {key: answer[key] for key in access} == access
    assert answer["TranID"] == new["TranID"] != old["TranID"]
    assert int(new["Approve"]) == int(old["Approve"]) + 2  # cancelled and authorized anew


def test_a_changed_sale_is_undone_until_it_is_sold_again(shop: Shop) -> None:  # §3.5, 4
    access = shop.executed(job="SALES")
    shop.change(access, "AUTH", 900)
    assert shop.alter(access, "SALES", 1000)["ErrInfo"] == "E01060010"
    assert "ErrInfo" not in shop.alter(access, "SALES", 900)
    assert shop.status() == "SALES"


def test_a_change_begins_90_new_days(shop: Shop, clock: SettableClock) -> None:  # rule 22
    access = shop.executed()
    clock.time += timedelta(days=89)
    shop.change(access, "AUTH", 1000)
    clock.time += timedelta(days=89)
    assert "ErrInfo" not in shop.alter(access, "SALES", 1000)


def test_a_tax_left_out_is_none(shop: Shop) -> None:  # §2.4
    access = shop.call("EntryTran", OrderID="A-1", JobCd="AUTH", Amount="1000", Tax="100")
    shop.execute(access)
    shop.change(access, "AUTH", 800)
    assert (shop.look()["Amount"], shop.look()["Tax"]) == ("800", "0")


def test_a_declined_change_leaves_everything_and_one_line(shop: Shop) -> None:  # rule 23
    access = shop.executed(job="SALES", CardNo="4999000000000044")
    before, lines = shop.look(), len(shop.history())

    assert shop.change(access, "CAPTURE", 2000)["ErrInfo"] == "42G550000"

    assert shop.look() == before
    assert [line["error"] for line in shop.history()[lines:]] == ["42G550000"]


def test_a_fault_declines_a_change_the_same_way(shop: Shop) -> None:  # rule 23
    access = shop.executed()
    before, lines = shop.look(), len(shop.history())
    shop.control("faults", {"api": "ChangeTran", "times": 1, "fault": "error:42G550000"})

    assert shop.change(access, "AUTH", 2000) == {"ErrCode": "G55", "ErrInfo": "42G550000"}

    assert shop.look() == before
    assert [line["error"] for line in shop.history()[lines:]] == ["42G550000"]


def test_a_change_to_nothing_is_declined(shop: Shop) -> None:
    access = shop.executed()
    assert shop.change(access, "AUTH", 0)["ErrInfo"] == "42G680000"


def test_a_change_needs_an_amount(shop: Shop) -> None:
    access = shop.executed()
    assert shop.codes("ChangeTran", **access, JobCd="AUTH") == ["E01060001"]
