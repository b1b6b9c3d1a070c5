"""protocol.md §3.2 as a table, §3.3 by dates, and the limits of rules 15-20."""

from datetime import datetime, timedelta

import pytest

from sgpshop.simulator.rules import STOPS, Status, TransitionKind

from .shop import SettableClock, Shop, jst

CALLS = {
    "ExecTran": lambda shop, access: shop.execute(access),
    "SALES": lambda shop, access: shop.alter(access, "SALES", 1000),
    "VOID": lambda shop, access: shop.alter(access, "VOID"),
    "AUTH": lambda shop, access: shop.alter(access, "AUTH", 1000),
    "CAPTURE": lambda shop, access: shop.alter(access, "CAPTURE", 1000),
    "Change": lambda shop, access: shop.change(access, "AUTH", 1000),
}
DONE, EARLY, NO = "E11010001", "E11010002", "E11010003"
#: status -> what each call leads to: the Status afterwards, or the code.
TABLE = {
    #              ExecTran  SALES    VOID    AUTH    CAPTURE   Change
    "UNPROCESSED": ("AUTH", EARLY, EARLY, EARLY, EARLY, EARLY),
    "CHECK": (DONE, NO, NO, NO, NO, NO),
    "AUTH": (DONE, "SALES", "VOID", NO, NO, "AUTH"),
    "SAUTH": (DONE, NO, "VOID", NO, NO, "AUTH"),
    "CAPTURE": (DONE, NO, "VOID", NO, NO, "AUTH"),
    "SALES": (DONE, NO, "VOID", NO, NO, "AUTH"),
    "VOID": (DONE, NO, NO, "AUTH", "CAPTURE", NO),
    "RETURN": (DONE, NO, NO, "AUTH", "CAPTURE", NO),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", TABLE)
def test_the_state_table(shop: Shop, status: str, call: str) -> None:  # §3.2
    access = shop.entered() if status == "UNPROCESSED" else shop.executed(job=status)
    assert shop.status() == status
    expected = TABLE[status][list(CALLS).index(call)]

    answer = CALLS[call](shop, access)

    if expected.startswith("E1"):
        assert answer == {"ErrCode": "E11", "ErrInfo": expected}
        assert shop.status() == status
    else:
        assert "ErrInfo" not in answer
        assert shop.status() == expected


def test_every_status_and_step_has_its_place_in_the_table() -> None:
    assert {status: set(row) for status, row in STOPS.items()} == {
        s: set(TransitionKind) for s in Status
    }
    assert STOPS[Status.AUTHENTICATED] == {  # reached with 3-D Secure only
        TransitionKind.EXECUTE: DONE,
        TransitionKind.SELL: EARLY,
        TransitionKind.CANCEL: EARLY,
        TransitionKind.REAUTHORIZE: EARLY,
        TransitionKind.CHANGE: EARLY,
        TransitionKind.FINISH: "",  # SecureTran2
    }


def test_an_authorization_can_be_carried_out_again_after_a_decline(shop: Shop) -> None:  # rule 10
    access = shop.entered()
    assert shop.execute(access, CardNo="4999000000000002")["ErrInfo"] == "42G020000"
    assert shop.status() == "UNPROCESSED"
    assert shop.execute(access)["ACS"] == "0"
    assert shop.execute(access)["ErrInfo"] == DONE


LATE_NOVEMBER = jst(2026, 11, 30, 23, 59)
DATES = [
    # status, processed at, cancelled at, cancellation that fits, others that are accepted
    ("AUTH", jst(2026, 11, 23, 0), jst(2026, 11, 23, 23, 59), "VOID", {"RETURN"}),
    ("AUTH", jst(2026, 11, 23, 23, 59), jst(2026, 11, 24, 0), "RETURN", set()),
    ("AUTH", LATE_NOVEMBER, jst(2026, 12, 1, 0), "RETURN", set()),
    ("SAUTH", LATE_NOVEMBER, jst(2026, 12, 1, 0), "RETURN", set()),
    ("CAPTURE", jst(2026, 11, 23, 0), jst(2026, 11, 23, 23, 59), "VOID", {"RETURN"}),
    ("CAPTURE", jst(2026, 11, 1, 0), LATE_NOVEMBER, "RETURN", set()),
    ("CAPTURE", LATE_NOVEMBER, jst(2026, 12, 1, 0), "RETURNX", set()),
    ("SALES", LATE_NOVEMBER, jst(2026, 12, 1, 0), "RETURNX", set()),
    ("SALES", jst(2026, 12, 31, 23, 59), jst(2027, 1, 1, 0), "RETURNX", set()),
    ("SALES", jst(2026, 12, 5), jst(2027, 5, 5), "RETURNX", set()),
    ("SALES", jst(2024, 2, 29), jst(2024, 3, 1), "RETURNX", set()),
]


@pytest.mark.parametrize("asked", ["VOID", "RETURN", "RETURNX", "CANCEL"])
@pytest.mark.parametrize(("status", "processed", "now", "fitting", "accepted"), DATES)
def test_the_date_decides_which_cancellation_passes(
    shop: Shop,
    clock: SettableClock,
    status: str,
    processed: datetime,
    now: datetime,
    fitting: str,
    accepted: set[str],
    asked: str,
) -> None:  # §3.3, rules 17 and 18: calendar days in Japan
    clock.time = processed
    access = shop.executed(job=status)
    clock.time = now

    answer = shop.alter(access, asked)

    if asked in {fitting, "CANCEL"} | accepted:
        done = fitting if asked == "CANCEL" else asked
        assert "ErrInfo" not in answer
        assert (shop.look()["Status"], shop.look()["JobCd"]) == (done, done)
    else:
        assert answer["ErrInfo"] == NO
        assert shop.status() == status


def test_the_capture_counts_as_last_processing(shop: Shop, clock: SettableClock) -> None:  # §3.3
    clock.time = jst(2026, 10, 31)
    access = shop.executed()
    clock.time = jst(2026, 11, 23)
    shop.alter(access, "SALES", 1000)
    assert "ErrInfo" not in shop.alter(access, "VOID")


@pytest.mark.parametrize(("late", "code"), [(0, None), (1, "E01420010")])
def test_a_sale_must_come_within_90_times_24_hours(
    shop: Shop, clock: SettableClock, late: int, code: str | None
) -> None:  # rule 16
    access = shop.executed()
    clock.time += timedelta(days=90, seconds=late)
    assert shop.alter(access, "SALES", 1000).get("ErrInfo") == code


@pytest.mark.parametrize(("late", "code"), [(0, None), (1, "E11010010")])
def test_nothing_can_be_undone_after_180_days(
    shop: Shop, clock: SettableClock, late: int, code: str | None
) -> None:  # rule 16
    cancelled, changed = shop.executed("A-1", "CAPTURE"), shop.executed("A-2", "CAPTURE")
    clock.time += timedelta(days=180, seconds=late)
    assert shop.alter(cancelled, "RETURNX").get("ErrInfo") == code
    assert shop.change(changed, "CAPTURE", 900).get("ErrInfo") == code


@pytest.mark.parametrize(
    ("amount", "tax", "code"),
    [
        ("1000", "", "E01060010"),
        ("1101", "", "E01060010"),
        ("1100", "", None),  # the sum counts, not its parts
        ("1000", "100", None),
        ("", "", "E01060001"),
    ],
)
def test_the_sum_sold_is_the_sum_authorized(
    shop: Shop, amount: str, tax: str, code: str | None
) -> None:  # rule 15
    access = shop.call("EntryTran", OrderID="A-1", JobCd="AUTH", Amount="1000", Tax="100")
    shop.execute(access)
    answer = shop.call("AlterTran", **access, JobCd="SALES", Amount=amount, Tax=tax)
    assert answer.get("ErrInfo") == code


def test_state_comes_before_limits_and_limits_before_amount(
    shop: Shop, clock: SettableClock
) -> None:  # rule 5
    access = shop.executed()
    clock.time += timedelta(days=200)
    assert shop.alter(access, "SALES", 1)["ErrInfo"] == "E01420010"
    captured = shop.executed("A-2", "CAPTURE")
    assert shop.alter(captured, "SALES", 1)["ErrInfo"] == NO


def test_a_sale_keeps_the_numbers_and_a_cancellation_gets_new_ones(
    shop: Shop, clock: SettableClock
) -> None:  # rule 19
    access = shop.entered()
    authorized = shop.execute(access)
    clock.time += timedelta(minutes=5)
    sold = shop.alter(access, "SALES", 1000)
    cancelled = shop.alter(access, "VOID")
    assert list(sold) == ["AccessID", "AccessPass", "Forward", "Approve", "TranID", "TranDate"]
    assert (sold["Approve"], sold["TranID"]) == (authorized["Approve"], authorized["TranID"])
    assert sold["TranDate"] == "20261123100500"
    assert int(cancelled["Approve"]) == int(authorized["Approve"]) + 1
    assert cancelled["TranID"] != authorized["TranID"]


def test_a_cancellation_tolerates_any_amount(shop: Shop) -> None:  # §2.3
    access = shop.executed()
    assert "ErrInfo" not in shop.call("AlterTran", **access, JobCd="VOID", Amount="1")
    assert shop.look()["Amount"] == "1000"  # rule 26: the amount that was cancelled


def test_a_cancelled_transaction_can_be_authorized_again(shop: Shop) -> None:  # rule 19
    access = shop.executed(job="VOID")
    assert shop.codes("AlterTran", **access, JobCd="AUTH") == ["E01060001"]
    assert "ErrInfo" not in shop.alter(access, "AUTH", 700)
    assert (shop.look()["Status"], shop.look()["Amount"]) == ("AUTH", "700")


def test_a_new_authorization_may_be_declined(shop: Shop, clock: SettableClock) -> None:
    access = shop.executed(job="VOID", Expire="2611")
    clock.time = jst(2026, 12, 1)  # the card has run out
    assert shop.alter(access, "AUTH", 1000)["ErrInfo"] == "42G830000"
    assert shop.status() == "VOID"


def test_a_new_authorization_may_be_in_instalments(shop: Shop) -> None:  # §2.3
    access = shop.executed(job="VOID")
    again = {**access, "JobCd": "AUTH", "Amount": "1000", "Method": "2"}
    assert shop.codes("AlterTran", **again) == ["E01270001"]
    assert "ErrInfo" not in shop.call("AlterTran", **again, PayTimes="3")
    assert (shop.look()["Method"], shop.look()["PayTimes"]) == ("2", "3")
