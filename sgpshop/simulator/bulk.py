"""Many executed transactions in one call, for demonstrations, benchmarks and tests."""

import sqlite3
from collections.abc import Mapping
from typing import Any

from . import fields as f
from .cards import Card
from .clock import at, wire_date
from .context import Context
from .fields import amount_problems, amounts, check
from .processing import ProcessingRequest, process
from .refusal import Refused, refuse_if
from .rules import SECONDS_PER_DAY, Job, Status, TransitionKind
from .trade_records import Trade
from .trades import DEFAULT_ITEM_CODE, enter

MAX_TRANSACTIONS = 100_000
DEFAULT_CARD = "4111111111111111"
EXPIRES_IN_SECONDS = 3 * 365 * SECONDS_PER_DAY
_KEYS = {
    "order_id": "OrderID",
    "amount": "Amount",
    "job_cd": "JobCd",
    "access_id": "AccessID",
    "access_pass": "AccessPass",
    "card_no": "CardNo",
}


class BadTransactions(ValueError):
    """The list cannot be followed; nothing of it was entered."""


def create(context: Context, body: Any) -> list[dict[str, str]]:
    """Enter and execute `[{order_id, amount, job_cd, access_id?, access_pass?, card_no?}]`.

    All or nothing: raises BadTransactions naming the first that cannot be made.  Answers
    order_id, access_id, access_pass, tran_id and tran_date of each, in the order given.
    """
    if not isinstance(body, list) or len(body) > MAX_TRANSACTIONS:
        raise BadTransactions(f"the body must be a list of at most {MAX_TRANSACTIONS}")
    made = []
    with context.ledger.transaction() as db:
        for number, asked in enumerate(body):
            try:
                trade = _executed(context, db, _params(asked))
            except Refused as refusal:
                # as another error, because Refused would commit those made before it
                raise BadTransactions(f"transaction {number}: {refusal}") from refusal
            made.append(_answer(trade))
    return made


def _params(asked: Any) -> dict[str, str]:
    """One wish as the parameters EntryTran and ExecTran would carry."""
    if not isinstance(asked, Mapping) or asked.keys() - _KEYS.keys():
        raise BadTransactions(f"a transaction is an object of {', '.join(_KEYS)}")
    return {_KEYS[key]: str(value) for key, value in asked.items() if value is not None}


def _executed(context: Context, db: sqlite3.Connection, params: Mapping[str, str]) -> Trade:
    problems = check(
        params,
        (f.ORDER_ID, f.ENTRY_JOB, f.ACCESS_ID.optional(), f.ACCESS_PASS.optional()),
    )
    is_check = params.get("JobCd") == Job.CHECK
    problems += [] if is_check else amount_problems(params)
    problems += check(params, (f.CARD_NO.optional(),))
    refuse_if(problems)
    job, now = Job(params["JobCd"]), context.clock.timestamp()
    amount, tax = (0, 0) if is_check else amounts(params)
    try:
        trade = enter(
            db,
            Trade(
                order_id=params["OrderID"],
                access_id=params.get("AccessID") or context.ids.hex32(db),
                access_pass=params.get("AccessPass") or context.ids.hex32(db),
                entry_job=job,
                item_code=DEFAULT_ITEM_CODE,
                status=Status.UNPROCESSED,
                job=job,
                amount=amount,
                tax=tax,
                processed_at=now,
            ),
        )
    except sqlite3.IntegrityError:
        raise BadTransactions(f"{params['OrderID']}: order_id or access_id is taken") from None
    expire = at(now + EXPIRES_IN_SECONDS).strftime("%y%m")
    card = Card.from_number(params.get("CardNo") or DEFAULT_CARD, expire)
    method = "" if is_check else "1"
    # as if long ago: the shop is not told
    work = ProcessingRequest(
        "ExecTran", TransitionKind.EXECUTE, job, amount, tax, card, method, is_told=False
    )
    return process(context, db, trade, work)


def _answer(trade: Trade) -> dict[str, str]:
    return {
        "order_id": trade.order_id,
        "access_id": trade.access_id,
        "access_pass": trade.access_pass,
        "tran_id": trade.tran_id,
        "tran_date": wire_date(trade.processed_at),
    }
