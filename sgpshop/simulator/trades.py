"""The calls that work on a transaction: EntryTran, ExecTran, AlterTran and ChangeTran."""

import hashlib
import sqlite3
from dataclasses import replace

from . import fields as f
from . import three_ds, trade_records
from .card_records import take_token
from .cards import Card
from .clock import wire_date
from .context import Context
from .fields import Params, amount_problems, amounts, check, method_problems
from .lookups import client_fields
from .members import stored_card
from .processing import ProcessingRequest, process, record_entry
from .refusal import Refused, refuse_if
from .rules import (
    AUTHORIZATIONS,
    CANCELLATIONS,
    TRADE_MISSING,
    Job,
    Status,
    TransitionKind,
    may,
    step_of,
)
from .trade_records import Trade
from .wire import Fields

ORDER_EXISTS = "E01040010"
DEFAULT_ITEM_CODE = "0000990"

_CARD_FIELDS = {
    "token": (),
    "number": (f.CARD_NO, f.EXPIRE, f.SECURITY_CODE, f.HOLDER_NAME),
    "member": (
        f.MEMBER_ID,
        f.SEQ_MODE.optional(),
        f.CARD_SEQ,
        f.CARD_PASS,
        f.SECURITY_CODE,
    ),
}


def card_way(params: Params) -> str:
    """How ExecTran was given the card (protocol.md §2.2): "token", "number" or "member"."""
    if params.get("Token"):
        return "token"
    if params.get("MemberID") and not params.get("CardNo"):
        return "member"
    return "number"


def entry_tran(context: Context, params: Params) -> Fields:
    """Open a transaction; no money moves (protocol.md §2.1)."""
    problems = check(params, (f.ORDER_ID, f.ENTRY_JOB))
    has_amount = params.get("JobCd") != Job.CHECK
    if has_amount:
        problems += amount_problems(params)
    problems += check(params, (f.ITEM_CODE, f.TD_FLAG, f.TD_TENANT_NAME, f.TDS2_TYPE))
    with context.ledger.transaction() as db:
        order_id = params.get("OrderID", "")
        if trade_records.by_order(db, order_id):
            problems.append(ORDER_EXISTS)
        refuse_if(problems)
        amount, tax = amounts(params) if has_amount else (0, 0)
        trade = enter(
            db,
            Trade(
                order_id=order_id,
                access_id=context.ids.hex32(db),
                access_pass=context.ids.hex32(db),
                entry_job=Job(params["JobCd"]),
                item_code=params.get("ItemCode") or DEFAULT_ITEM_CODE,
                status=Status.UNPROCESSED,
                job=Job(params["JobCd"]),
                amount=amount,
                tax=tax,
                processed_at=context.clock.timestamp(),
            ),
        )
        if params.get("TdFlag") == "2":
            three_ds.note_request(db, trade, params)
    return [("AccessID", trade.access_id), ("AccessPass", trade.access_pass)]


def exec_tran(context: Context, params: Params) -> Fields:
    """Run the authorization of an entered transaction, or begin 3-D Secure (protocol.md §2.2)."""
    with context.ledger.transaction() as db:
        problems = check(params, (f.ACCESS_ID, f.ACCESS_PASS, f.ORDER_ID))
        trade = _find(db, params)
        if trade is not None and trade.order_id != params.get("OrderID"):
            trade = None
        if trade is None:
            problems.append(TRADE_MISSING)
        elif trade.entry_job is not Job.CHECK:
            problems += method_problems(params)
        problems += check(params, _CARD_FIELDS[card_way(params)])
        problems += check(params, f.CLIENT_FIELDS)
        asked = three_ds.request_of(db, trade)
        problems += check(params, (f.RETURN_URL, f.CALLBACK_TYPE)) if asked else []
        if trade is None or problems:
            raise Refused(*problems)
        # looked for only where it can be used: a token that is sent again after a lost answer
        # is to hear that the transaction is done
        card = _card(context, db, params) if may(trade.status, TransitionKind.EXECUTE) else None
        work = _execution(trade, card, params)
        if asked and card:
            work = three_ds.before(asked, work, card)
        after = process(context, db, _with_request(trade, params), work)
        if asked and after.status is Status.AUTHENTICATED:
            return three_ds.begin(context, db, asked, params)
    answer = [("ACS", "0"), *_executed(context, after)]
    if params.get("ClientFieldFlag") == "1":
        answer += client_fields(after)
    return answer


def secure_tran(context: Context, params: Params) -> Fields:
    """Authorize what the buyer passed 3-D Secure for: SecureTran2 (protocol.md §11)."""
    with context.ledger.transaction() as db:
        problems = check(params, (f.ACCESS_ID, f.ACCESS_PASS))
        trade = _find(db, params)
        if trade is None or problems:
            raise Refused(*problems, *([] if trade else [TRADE_MISSING]))
        work = ProcessingRequest(
            "SecureTran2",
            TransitionKind.FINISH,
            trade.entry_job,
            trade.amount,
            trade.tax,
            trade.card,
            trade.method,
            trade.pay_times,
            three_ds_error=three_ds.finish(db, trade),
        )
        return _executed(context, process(context, db, trade, work))


def _executed(context: Context, after: Trade) -> Fields:
    """The answer about an authorization, signed."""
    answer = [
        ("OrderID", after.order_id),
        ("Forward", after.forward),
        ("Method", after.method),
        ("PayTimes", after.pay_times),
        ("Approve", after.approve),
        ("TranID", after.tran_id),
        ("TranDate", wire_date(after.processed_at)),
    ]
    return [*answer, ("CheckString", _check_string(answer, context.contract.shop_pass))]


def alter_tran(context: Context, params: Params) -> Fields:
    """Capture, cancel or re-authorize (protocol.md §2.3)."""
    with context.ledger.transaction() as db:
        problems = check(params, (f.ACCESS_ID, f.ACCESS_PASS, f.ALTER_JOB))
        trade = _find(db, params)
        # a cancellation tolerates any Amount: it takes the whole back
        has_amount = params.get("JobCd") not in CANCELLATIONS
        has_method = params.get("JobCd") in AUTHORIZATIONS and bool(params.get("Method"))
        if trade is None:
            problems.append(TRADE_MISSING)
        else:
            problems += amount_problems(params) if has_amount else []
            problems += method_problems(params) if has_method else []
        if trade is None or problems:
            raise Refused(*problems)
        job = Job(params["JobCd"])
        amount, tax = amounts(params) if has_amount else (0, 0)
        work = ProcessingRequest(
            "AlterTran",
            step_of(job),
            job,
            amount,
            tax,
            method=params["Method"] if has_method else "",
            pay_times=_pay_times(params) if has_method else "",
            display_date=params.get("DisplayDate", ""),
        )
        return _operated(process(context, db, trade, work))


def change_tran(context: Context, params: Params) -> Fields:
    """Change the amount: cancel and authorize anew in one step (protocol.md §2.4, §3.5)."""
    with context.ledger.transaction() as db:
        problems = check(params, (f.ACCESS_ID, f.ACCESS_PASS, f.CHANGE_JOB))
        trade = _find(db, params)
        problems += [TRADE_MISSING] if trade is None else amount_problems(params)
        if trade is None or problems:
            raise Refused(*problems)
        amount, tax = amounts(params)
        work = ProcessingRequest(
            "ChangeTran",
            TransitionKind.CHANGE,
            Job(params["JobCd"]),
            amount,
            tax,
            display_date=params.get("DisplayDate", ""),
        )
        return _operated(process(context, db, trade, work))


def enter(db: sqlite3.Connection, trade: Trade) -> Trade:
    """Write a new transaction and the first line of its history into the ledger."""
    trade_records.add(db, trade)
    record_entry(db, trade)
    return trade


def _find(db: sqlite3.Connection, params: Params) -> Trade | None:
    return trade_records.by_access(db, params.get("AccessID", ""), params.get("AccessPass", ""))


def _card(context: Context, db: sqlite3.Connection, params: Params) -> Card:
    """The card ExecTran is to use; raises Refused if there is none (rules 5 and 31)."""
    way = card_way(params)
    if way == "token":
        issued_after = context.clock.timestamp() - context.contract.token_seconds
        return take_token(db, params["Token"], issued_after=issued_after)
    if way == "member":
        return stored_card(db, params).card
    return Card.from_number(params["CardNo"], params["Expire"], params.get("HolderName", ""))


def _with_request(trade: Trade, params: Params) -> Trade:
    """The transaction with what ExecTran says about the buyer and for the merchant."""
    by_member = card_way(params) == "member"
    return replace(
        trade,
        site_id=params["SiteID"] if by_member else "",
        member_id=params["MemberID"] if by_member else "",
        client_field1=params.get("ClientField1", ""),
        client_field2=params.get("ClientField2", ""),
        client_field3=params.get("ClientField3", ""),
    )


def _execution(trade: Trade, card: Card | None, params: Params) -> ProcessingRequest:
    work = ProcessingRequest(
        "ExecTran", TransitionKind.EXECUTE, trade.entry_job, trade.amount, trade.tax, card
    )
    if trade.entry_job is Job.CHECK:  # answers blank Method and PayTimes [V]
        return work
    return replace(work, method=params["Method"], pay_times=_pay_times(params))


def _pay_times(params: Params) -> str:
    """PayTimes of instalments; blank otherwise, even if it was sent [V]."""
    return params["PayTimes"] if params["Method"] in f.METHODS_WITH_PAY_TIMES else ""


def _check_string(answer: Fields, shop_pass: str) -> str:
    text = "".join(value for _, value in answer) + shop_pass
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _operated(trade: Trade) -> Fields:
    """The answer of AlterTran and ChangeTran."""
    return [
        ("AccessID", trade.access_id),
        ("AccessPass", trade.access_pass),
        ("Forward", trade.forward),
        ("Approve", trade.approve),
        ("TranID", trade.tran_id),
        ("TranDate", wire_date(trade.processed_at)),
    ]
