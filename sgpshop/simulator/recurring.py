"""自動売上: the calls on charges that SMBC-GP makes by itself every month (protocol.md §10.2, §13.11).

They are entered, changed and ended here as the recording shows; no such charge is ever made: the shop's
subscriptions go by the monthly file or by a charge of the stored card.
"""

import calendar
import sqlite3
from dataclasses import dataclass, replace
from datetime import date, timedelta

from . import fields as f
from . import trade_records
from .cards import Card
from .context import Context
from .fields import Field, Params, amount_problems, amounts, check
from .members import CARD_MISSING, offered_card, require_member
from .refusal import Refused, refuse_if
from .rules import TRADE_MISSING
from .wire import Fields

EXISTS = "E01040010"
MISSING = "E01110002"
BY_MEMBER, BY_CARD, BY_ORDER = "1", "2", "3"
_EVERY_MONTH = "|".join(f"{month:02}" for month in range(1, 13))


@dataclass(frozen=True, slots=True)
class Recurring:
    """One such charge; days as yyyyMMdd, "" for none; `card_no` masked."""

    recurring_id: str
    amount: int
    tax: int
    charge_day: str
    charge_month: str
    start: str
    stop: str
    card_no: str
    expire: str
    site_id: str
    member_id: str
    is_over: int = 0


def register_recurring_credit(context: Context, params: Params) -> Fields:
    """Enter one: by member, by card, or by the card of an earlier order."""
    problems = check(params, (f.RECURRING_ID,)) + amount_problems(params)
    problems += check(params, (f.CHARGE_DAY, f.CHARGE_MONTH, *_DATES, f.REGIST_TYPE))
    with context.ledger.transaction() as db:
        if _find(db, params) is not None:
            problems.append(EXISTS)
        refuse_if(problems)
        amount, tax = amounts(params)
        card = _card(context, db, params)
        by_member = params["RegistType"] == BY_MEMBER
        tomorrow = context.clock.now().date() + timedelta(days=1)
        entered = Recurring(
            params["RecurringID"],
            amount,
            tax,
            params["ChargeDay"],
            params.get("ChargeMonth") or _EVERY_MONTH,
            params.get("ChargeStartDate") or f"{tomorrow:%Y%m%d}",
            params.get("ChargeStopDate", ""),
            card.trade_mask if card else "",
            card.expire if card else "",
            params["SiteID"] if by_member else "",
            params["MemberID"] if by_member else "",
        )
        _put(db, entered)
    return _shown(context, entered)


def change_recurring(context: Context, params: Params) -> Fields:
    """Another amount from the next charge on."""
    problems = check(params, (f.RECURRING_ID,)) + amount_problems(params)
    with context.ledger.transaction() as db:
        found = _require(db, params, problems)
        amount, tax = amounts(params)
        changed = replace(found, amount=amount, tax=tax)
        _put(db, changed)
    return _shown(context, changed)


def unregister_recurring(context: Context, params: Params) -> Fields:
    """End one: the same record, and no next charge."""
    problems = check(params, (f.RECURRING_ID,))
    with context.ledger.transaction() as db:
        ended = replace(_require(db, params, problems), is_over=1)
        _put(db, ended)
    return _shown(context, ended)


_DATES = (
    Field("ChargeStartDate", "", f.USE_DATE.checks),
    Field("ChargeStopDate", "", f.USE_DATE.checks),
)


def _card(context: Context, db: sqlite3.Connection, params: Params) -> Card | None:
    """The card that pays; None for a member's, of which the answer tells nothing."""
    way = params["RegistType"]
    if way == BY_MEMBER:
        require_member(db, params, check(params, (f.MEMBER_ID,)))
        return None
    if way == BY_CARD:
        refuse_if([] if params.get("Token") else check(params, (f.CARD_NO, f.EXPIRE)))
        return offered_card(context, db, params)
    trade = trade_records.by_order(db, params.get("SrcOrderID", ""))
    if trade is None:
        raise Refused(TRADE_MISSING)
    if trade.card is None:
        raise Refused(CARD_MISSING)
    return trade.card


def _shown(context: Context, charge: Recurring) -> Fields:
    next_day = "" if charge.is_over else _next(charge, context.clock.now().date())
    return [
        ("ShopID", context.contract.shop_id),
        ("RecurringID", charge.recurring_id),
        ("Amount", str(charge.amount)),
        ("Tax", str(charge.tax)),
        ("ChargeDay", charge.charge_day),
        ("ChargeMonth", charge.charge_month),
        ("ChargeStartDate", charge.start),
        ("ChargeStopDate", charge.stop),
        ("NextChargeDate", next_day),
        ("Method", "RECURRING_CREDIT"),
        ("CardNo", charge.card_no),
        ("Expire", charge.expire),
        ("SiteID", charge.site_id),
        ("MemberID", charge.member_id),
    ]


def _next(charge: Recurring, today: date) -> str:
    """The first day of charge from tomorrow and the start on, the last of a short month for a later one."""
    first = max(today + timedelta(days=1), date.fromisoformat(charge.start))
    for months in range(13):
        year, month = divmod(first.year * 12 + first.month - 1 + months, 12)
        last = calendar.monthrange(year, month + 1)[1]
        day = date(year, month + 1, min(int(charge.charge_day), last))
        if day < first or f"{day:%m}" not in charge.charge_month.split("|"):
            continue
        text = f"{day:%Y%m%d}"
        return "" if charge.stop and text > charge.stop else text
    return ""


def _find(db: sqlite3.Connection, params: Params) -> Recurring | None:
    row = db.execute(
        "SELECT * FROM recurring WHERE recurring_id = ?", (params.get("RecurringID", ""),)
    ).fetchone()
    return None if row is None else Recurring(*row)


def _require(db: sqlite3.Connection, params: Params, problems: list[str]) -> Recurring:
    """The one that goes on.  Raises Refused with `problems`, and E01110002 where there is none."""
    found = _find(db, params)
    if found is None or found.is_over:
        raise Refused(*problems, MISSING)
    refuse_if(problems)
    return found


def _put(db: sqlite3.Connection, charge: Recurring) -> None:
    db.execute(
        "INSERT OR REPLACE INTO recurring VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        tuple(getattr(charge, name) for name in Recurring.__slots__),
    )
