"""What moves money: every processing of a transaction, by the API or by hand in the console.

`process` is the one door.  It checks state, limits and amount, asks the card company, stores the
result and writes one line of history, whatever the outcome.
"""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from . import monthly_records, trade_records
from .cards import Card, CardVerdict, decide, validate
from .clock import at, day
from .context import Context
from .ledger import advance
from .refusal import Refused, refuse_if
from .rules import (
    Job,
    Status,
    TransitionKind,
    cancellation,
    require_operation_in_time,
    require_possible,
    require_sale_in_time,
)
from .trade_records import HistoryLine, Trade

#: The acquirer code the test environment always answers (protocol.md §2.2).
FORWARD = "2a99662"
AMOUNT_DIFFERS = "E01060010"
LOCKED = "E01410010"
#: The api of what a monthly file did (rule 36).
BY_FILE = "Batch"


@dataclass(frozen=True, slots=True)
class ProcessingRequest:
    """One request to process a transaction.  Amounts are yen; `by` is "api" or "console".

    `api` is the call that asks, or the one a person at the console does the work of.
    """

    api: str
    step: TransitionKind
    job: Job
    amount: int = 0
    tax: int = 0
    card: Card | None = None
    method: str = ""
    pay_times: str = ""
    display_date: str = ""
    by: str = "api"
    #: the shop gets a notification (rule 33)
    is_told: bool = True
    #: the buyer must pass 3-D Secure first: nothing reaches the card company yet
    is_to_authenticate: bool = False
    #: what 3-D Secure has against it ("" = nothing)
    three_ds_error: str = ""
    #: when it happens, in ledger time; None: now
    moment: int | None = None

    @property
    def total(self) -> int:
        """Amount + Tax."""
        return self.amount + self.tax


#: The transaction afterwards, and the code to answer all the same ("" = none).
Outcome = tuple[Trade, str]


def process(
    context: Context, db: sqlite3.Connection, trade: Trade, work: ProcessingRequest
) -> Trade:
    """Carry out `work` inside the caller's ledger transaction; returns the trade afterwards.

    Raises Refused with one code: the trade is then as it was, but for the card company's
    network failure, which is carried out and answered as an error (rule 14).
    """
    now = context.clock.timestamp() if work.moment is None else work.moment
    try:
        _require_unlocked(db, trade, work)
        require_possible(trade.status, work.step)
        after, code = _STEPS[work.step](context, db, trade, work, now)
    except Refused as refusal:
        record_refusal(db, trade, work.api, work.job, now, refusal.codes, work.by)
        context.notices.tell(db, trade, work.job, refusal.codes)
        raise
    if work.display_date:
        after = replace(after, display_date=work.display_date)
    trade_records.save(db, after)
    trade_records.add_history(db, _line(after, work.api, after.job, now, error=code, by=work.by))
    if work.is_told:
        context.notices.tell(db, after, after.job, (code,) if code else ())
    refuse_if([code] if code else [])
    return after


def record_entry(db: sqlite3.Connection, trade: Trade) -> None:
    """Write the first line of a transaction's history."""
    trade_records.add_history(db, _line(trade, "EntryTran", trade.job, trade.processed_at))


def record_refusal(
    db: sqlite3.Connection,
    trade: Trade,
    api: str,
    job: str,
    now: int,
    codes: tuple[str, ...],
    by: str = "api",
) -> None:
    """Write the history line of a processing that was refused; the trade stays as it is."""
    trade_records.add_history(db, _line(trade, api, job, now, error="|".join(codes), by=by))


def _line(
    trade: Trade, api: str, job: str, now: int, *, error: str = "", by: str = "api"
) -> HistoryLine:
    return HistoryLine(
        order_id=trade.order_id,
        at=now,
        api=api,
        job=job,
        status=trade.status,
        amount=trade.amount,
        tax=trade.tax,
        tran_id="" if error else trade.tran_id,
        error=error,
        by=by,
    )


def _execute(
    context: Context, db: sqlite3.Connection, trade: Trade, work: ProcessingRequest, now: int
) -> Outcome:
    refuse_if([work.three_ds_error] if work.three_ds_error else [])
    paid_by = replace(trade, card=work.card, method=work.method, pay_times=work.pay_times)
    if work.is_to_authenticate:
        return replace(paid_by, status=Status.AUTHENTICATED), ""
    return _settled(_with_numbers(db, paid_by, now), work, _judge(work, None, now), now)


def _sell(
    context: Context, db: sqlite3.Connection, trade: Trade, work: ProcessingRequest, now: int
) -> Outcome:
    require_sale_in_time(trade.authorized_at or now, now, context.contract)
    if work.total != trade.total:
        raise Refused(AMOUNT_DIFFERS)
    return replace(trade, status=Status.SALES, job=Job.SALES, processed_at=now), ""


def _cancel(
    context: Context, db: sqlite3.Connection, trade: Trade, work: ProcessingRequest, now: int
) -> Outcome:
    kind = cancellation(work.job, trade.status, day(trade.processed_at), day(now))
    require_operation_in_time(trade.processed_at, now, context.contract)
    numbered = _with_numbers(db, trade, now)
    return replace(numbered, status=Status(kind), job=kind, processed_at=now), ""


def _reauthorize(
    context: Context, db: sqlite3.Connection, trade: Trade, work: ProcessingRequest, now: int
) -> Outcome:
    require_operation_in_time(trade.processed_at, now, context.contract)
    numbered = _with_numbers(db, trade, now)
    if work.method:
        numbered = replace(numbered, method=work.method, pay_times=work.pay_times)
    return _settled(numbered, work, _judge(replace(work, card=trade.card), None, now), now)


def _change(
    context: Context, db: sqlite3.Connection, trade: Trade, work: ProcessingRequest, now: int
) -> Outcome:
    require_operation_in_time(trade.processed_at, now, context.contract)
    # the inner cancellation and the new authorization take a number each (rule 22)
    numbered = _with_numbers(db, trade, now, count=2)
    verdict = _judge(replace(work, card=trade.card), trade.total, now)
    return _settled(numbered, work, verdict, now)


_STEPS: Mapping[
    TransitionKind, Callable[[Context, sqlite3.Connection, Trade, ProcessingRequest, int], Outcome]
] = {
    TransitionKind.EXECUTE: _execute,
    TransitionKind.SELL: _sell,
    TransitionKind.CANCEL: _cancel,
    TransitionKind.REAUTHORIZE: _reauthorize,
    TransitionKind.CHANGE: _change,
    TransitionKind.FINISH: _execute,
}


def _require_unlocked(db: sqlite3.Connection, trade: Trade, work: ProcessingRequest) -> None:
    """Raise Refused(E01410010) for a charge of a monthly file, which only files work on."""
    if work.api != BY_FILE and monthly_records.is_file_charge(db, trade.order_id):
        raise Refused(LOCKED)


def _judge(work: ProcessingRequest, held: int | None, now: int) -> CardVerdict:
    """The card company's word on `work`, which carries the card."""
    if work.card is None:
        raise ValueError("nothing is authorized without a card")
    if work.job is Job.CHECK:
        return validate(work.card, day(now))
    return decide(work.card, total=work.total, held=held, today=day(now))


def _settled(trade: Trade, work: ProcessingRequest, verdict: CardVerdict, now: int) -> Outcome:
    """The trade once authorized; raises Refused if the card company said no."""
    if not verdict.authorized:
        raise Refused(verdict.code)
    after = replace(
        trade,
        status=Status(work.job),
        job=work.job,
        amount=work.amount,
        tax=work.tax,
        processed_at=now,
        authorized_at=now,
    )
    return after, verdict.code


def _with_numbers(db: sqlite3.Connection, trade: Trade, now: int, count: int = 1) -> Trade:
    """The trade with the next Approve and TranID: something went to the card company (rule 13)."""
    number = advance(db, "processings", count)
    return replace(
        trade,
        forward=FORWARD,
        approve=f"{number % 10**7:07d}",
        tran_id=f"{at(now):%y%m%d%H%M}{'1' * 12}{number % 10**6:06d}",
    )
