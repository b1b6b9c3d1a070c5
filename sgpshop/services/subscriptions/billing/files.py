"""The monthly file: made once, sent until SMBC-GP answered, and every line told (protocol.md §13.9).

The same file again gets the same receipt and charges once, so a lost answer is asked for by sending
it again, unchanged.  Only when the window has closed meanwhile each line has to be looked up.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Session

from sgpshop import logs
from sgpshop.domain.billing_calendar import (
    file_window_ends,
    month_of,
    results_at,
)
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.payment_status import Event
from sgpshop.domain.shop_terms import BillingMode
from sgpshop.extensions import db
from sgpshop.gateway import (
    GatewayError,
    GatewayOutcomeUnknown,
    GatewayRejected,
    GatewayUnreachable,
    Job,
    MonthlyLine,
    SmbcGpGateway,
    monthly_file,
)
from sgpshop.models import (
    Attempt,
    AttemptState,
    Billing,
    BillingFile,
    CardTransaction,
    FiledNumber,
    FileState,
    Operation,
    OrderKind,
    join_codes,
    split_codes,
    utc_now,
)
from sgpshop.services import settings
from sgpshop.services.payments import billing_marks, filed_numbers, outcomes, past_us
from sgpshop.services.payments.outcomes import Outcome
from sgpshop.services.payments.record import close
from sgpshop.services.payments.transactions import describe
from sgpshop.services.subscriptions.billing.preparing import IS_PLANNED, is_ready, mark_sending
from sgpshop.storage.database import chunks, writing

_BILL = Operation.BILL
#: Between two tries to send a file: a minute, growing to an hour.
_PAUSES = (60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
LONGEST_PAUSE = timedelta(seconds=_PAUSES[-1])
#: What was asked so long ago says how it was then, not now.
_FRESH = timedelta(minutes=5)
#: To ask again, make the next file and send it: what was asked long ago goes out as it is after that.
_LAST_MINUTES = timedelta(minutes=10)
#: Of a file that may be at SMBC-GP; one that is refused shows nothing, hardly all.
_ASKED_OF_FILE = 5
#: So long a single refused line is looked for before it is put off.
_PATIENCE = timedelta(days=1)
#: «Order id already exists».
_NUMBER_IS_THERE = "E01040010"


def make() -> int:
    """Put all that is planned, ready and in no file into a file; how many lines."""
    shop, now = settings.load(), utc_now()
    window = month_of(now)
    with writing() as session:
        rows = session.execute(
            sa.select(Billing, CardTransaction.member_id, CardTransaction.card_seq)
            .join(CardTransaction, CardTransaction.gateway_order_id == Billing.gateway_order_id)
            .where(IS_PLANNED, is_ready(now))
            .with_for_update(of=Billing)
        ).all()
        ours = _take_lines(session, [row.Billing.attempt_id for row in rows])
        rows = [row for row in rows if row.Billing.attempt_id in ours]
        if not rows:
            return 0
        lines = [
            MonthlyLine(
                order_id=billing.gateway_order_id,
                member_id=member_id,
                card_seq=card_seq or 0,
                amount=billing.amount,
                use_date=jst_day(now),
            )
            for billing, member_id, card_seq in rows
        ]
        content = monthly_file.render(shop.shop_id, f"{window:%Y%m}", lines)
        file = BillingFile(
            window=window,
            content=content.decode("ascii"),
            lines=len(lines),
            yen=sum(line.amount for line in lines),
            due_at=now,
        )
        session.add(file)
        session.flush()
        session.execute(
            sa.insert(FiledNumber),
            [{"gateway_order_id": line.order_id, "file_id": file.id} for line in lines],
        )
        for billing, _member, _seq in rows:
            billing.file_id = file.id
    logs.event("billing_file_made", file=file.id, lines=file.lines, yen=file.yen)
    return len(lines)


def _take_lines(session: Session, attempt_ids: list[int]) -> set[int]:
    """Those attempts that are still open, and nobody else's to end from here on (P17).

    Another worker may be ending one as put off: its lease does not count any more, or ours is not
    taken.
    """
    taken: set[int] = set()
    for some in chunks(attempt_ids):
        taken |= set(
            session.scalars(
                sa.update(Attempt)
                .where(Attempt.id.in_(some), Attempt.is_open)
                .values(lease=Attempt.lease + 1)
                .returning(Attempt.id)
                .execution_options(synchronize_session=False)
            )
        )
    return taken


def send(gateway: SmbcGpGateway, file_id: int) -> None:
    """Send one prepared file, if it is due and nobody else does, and write down what was said."""
    claim = _claim(file_id, FileState.PREPARED)
    if claim is None:
        return
    window, content, lease, tries, was_doubtful = claim
    if was_doubtful and _is_stale(file_id) and not _is_there(gateway, file_id):
        # Sent as it is, it would charge beside what was paid meanwhile: each line is looked for.
        _answered(file_id, lease, state=FileState.IN_DOUBT, is_doubtful=True, error_codes="")
        return
    try:
        receipt = gateway.upload_monthly_file(f"{window:%Y%m}", content.encode("ascii"))
    except GatewayRejected as refusal:
        if refusal.is_congestion:
            _try_later(file_id, lease, tries, refusal.reason, is_doubtful=was_doubtful)
        else:
            _refused(file_id, lease, refusal, was_doubtful=was_doubtful)
    except GatewayUnreachable as failure:
        _try_later(file_id, lease, tries, failure.reason, is_doubtful=was_doubtful)
    except GatewayOutcomeUnknown as doubt:
        _try_later(file_id, lease, tries, doubt.reason, is_doubtful=True)
    else:
        _answered(
            file_id,
            lease,
            state=FileState.RECEIVED,
            is_doubtful=False,
            receipt_no=receipt.receipt_no[:60],
            refused=dict(receipt.refused),
            error_codes="",
            reason="",
        )


def record_lines(gateway: SmbcGpGateway, file_id: int) -> None:
    """End the registration of every line of an answered file, one by one; a restart goes on."""
    file = db.session.get_one(BillingFile, file_id, populate_existing=True)
    state, refused, window = file.state, file.refused, file.window
    may_be_there = state is not FileState.REFUSED
    put_off = _postponed(split_codes(file.error_codes), file.reason, is_doubtful=may_be_there)
    answered_at = file.answered_at or utc_now()
    is_late = utc_now() - answered_at > _PATIENCE
    lines = db.session.execute(
        sa.select(Billing.attempt_id, Billing.gateway_order_id, Billing.amount)
        .join(Attempt, Attempt.id == Billing.attempt_id)
        .where(Billing.file_id == file_id, Attempt.is_open)
        .order_by(Billing.id)
    ).all()
    db.session.commit()
    is_through = True
    for line in lines:
        if state is FileState.IN_DOUBT:
            outcome = _look_up(gateway, line.gateway_order_id, put_off, is_filed=True)
        elif state is FileState.REFUSED:
            outcome = put_off
        elif line.gateway_order_id in refused:
            code = str(refused[line.gateway_order_id])
            outcome = outcomes.rejected(_BILL, f"codes:{code}", (code,))
            if code == _NUMBER_IS_THERE:  # an earlier file or call brought it there: how far?
                is_filed = _waits_for_file(line.gateway_order_id)
                outcome = _look_up(gateway, line.gateway_order_id, outcome, is_filed=is_filed)
        else:
            outcome = Outcome(AttemptState.DONE, Event.BILL_DONE, "bill_done")
        if outcome is None and is_late:
            # Put off and told.  Asked again by itself, under the same number while that may be there.
            outcome = outcomes.rejected(_BILL, billing_marks.FILE_IN_DOUBT)
        if outcome is None:
            is_through = False
        else:
            _end(line.attempt_id, outcome)
    with writing() as session:
        session.execute(
            sa.update(BillingFile)
            .where(BillingFile.id == file_id, BillingFile.state == state)
            .values(
                {
                    "state": FileState.CLOSED,
                    "due_at": None,
                    # A sale that was made counts, also of a line that no look-up showed.
                    "results_due_at": _results_at(window) if may_be_there else None,
                }
                if is_through
                else {"due_at": utc_now() + _until_asked_again(answered_at)}
            )
        )


def _until_asked_again(since: datetime) -> timedelta:
    """A minute at first, growing with the time the doubt lasts to an hour."""
    age = (utc_now() - since).total_seconds()
    return timedelta(seconds=min(_PAUSES[-1], max(_PAUSES[0], age / 4)))


def _results_at(window: date) -> datetime:
    """When results of what was sent in the month `window` are to be had."""
    return results_at(window, BillingMode(settings.load().billing_mode).result_day)


def _waits_for_file(gateway_order_id: str) -> bool:
    """Whether a file sent before has a line of that number, and results still to come."""
    is_waiting = filed_numbers.is_waiting(db.session(), gateway_order_id)
    db.session.commit()
    return is_waiting


def _postponed(codes: tuple[str, ...], reason: str, *, is_doubtful: bool) -> Outcome:
    """R105: refused as a whole, or not found there in doubt; the orders stay 決済待ち."""
    is_late = codes == (monthly_file.WINDOW_CLOSED,)
    if is_doubtful and not is_late:
        return outcomes.rejected(_BILL, billing_marks.FILE_IN_DOUBT)
    return Outcome(
        AttemptState.REJECTED,
        Event.BILL_POSTPONED,
        "bill_postponed",
        reason=billing_marks.WINDOW_CLOSED if is_late else "file_refused",
        detail={"why": "、".join(codes) or reason},
    )


def _look_up(
    gateway: SmbcGpGateway, gateway_order_id: str, if_not: Outcome, *, is_filed: bool
) -> Outcome | None:
    """How the line of that number stands; None when SMBC-GP does not say.

    `if_not` is how it ends when nothing is registered under it.  What a file brought there shows as
    unfinished until the day of results (protocol.md §13.9); what was charged counts, whatever the
    amount.  What nobody can judge puts the line off, as by call; money that is only reserved is told.
    """
    try:
        trade = gateway.search_trade(gateway_order_id)
    except GatewayError:
        return None
    if trade is None:
        return if_not
    found = Outcome(AttemptState.DONE, Event.BILL_DONE, "bill_found_done", looked=True)
    if trade.state.is_unfinished:
        if is_filed:
            return found
        whose = filed_numbers.whose(OrderKind.SUBSCRIPTION, trade)
        may_be_filed = whose is filed_numbers.Whose.UNKNOWN_FILE
        return outcomes.rejected(_BILL, filed_numbers.MAY_BE_FILED) if may_be_filed else if_not
    if trade.state.is_captured:
        return replace(found, trade=trade, tran_id=trade.tran_id)
    if trade.state.is_cancelled:
        voided = outcomes.rejected(_BILL, "cancelled_there")
        return replace(voided, looked=True, detail={"found": describe(trade)})
    logs.event("billing_line_unclear", order=gateway_order_id, found=describe(trade))
    is_known = trade.state.is_authorized or trade.state.is_check
    unclear = outcomes.not_usable(
        _BILL, trade, "other_transaction" if is_known else "unknown_state"
    )
    reserved = {billing_marks.RESERVED: trade.state.is_authorized}
    return replace(unclear, trade=trade if is_known else None, detail=unclear.detail | reserved)


def _end(attempt_id: int, outcome: Outcome) -> None:
    lease = db.session.scalar(sa.select(Attempt.lease).where(Attempt.id == attempt_id))
    db.session.commit()
    close(attempt_id, lease or 0, outcome)


def lease_time() -> timedelta:
    """How long whoever sends a file has it for themselves (P17)."""
    config = current_app.config
    return timedelta(seconds=max(config["LEASE_SECONDS"], 2 * config["GATEWAY_TOTAL_TIMEOUT"]))


def _claim(file_id: int, state: FileState) -> tuple[date, str, int, int, bool] | None:
    """Take the file for this thread, its lines durably SENDING (P6); None if it is not ours.

    From here on it may be at SMBC-GP, also if we never come back: it is doubtful until an answer,
    or a proof that this very try did not get there.  Last of all: whether it was so before.
    """
    now = utc_now()
    with writing() as session:
        file = session.execute(
            sa.select(BillingFile.is_doubtful, BillingFile.state)
            .where(BillingFile.id == file_id)
            .with_for_update()
        ).one_or_none()
        if file is None:
            return None
        was_doubtful = file.is_doubtful
        is_here = file.state is FileState.PREPARED and not was_doubtful
        if is_here and _take_apart(session, file_id):
            return None
        row = session.execute(
            sa.update(BillingFile)
            .where(BillingFile.id == file_id, BillingFile.state == state, BillingFile.due_at <= now)
            .values(
                is_doubtful=True,
                lease=BillingFile.lease + 1,
                tries=BillingFile.tries + 1,
                due_at=now + lease_time(),
                sent_at=now,
            )
            .returning(
                BillingFile.window, BillingFile.content, BillingFile.lease, BillingFile.tries
            )
        ).one_or_none()
        if row is None:
            return None
        mark_sending(session, Billing.file_id == file_id)
        return row.window, row.content, row.lease, row.tries, was_doubtful


def _take_apart(session: Session, file_id: int) -> bool:
    """Give up a file that SMBC-GP provably never got, if it is old or one of its lines must not go as it is.

    What is old, and what is not ready, is asked about again before it goes into the next one: what
    is charged by file cannot be taken back, and whoever pays meanwhile pays past us (P1).
    """
    now = utc_now()
    of_it = Billing.file_id == file_id
    is_old = _is_old(session, file_id, now)
    if not is_old and not session.scalar(sa.select(_has_other_lines(file_id, now))):
        return False
    session.execute(  # nothing was sent for them
        sa.update(Attempt)
        .where(
            Attempt.id.in_(sa.select(Billing.attempt_id).where(of_it)),
            Attempt.state == AttemptState.SENDING,
        )
        .values(state=AttemptState.QUEUED, sent_at=None)
        .execution_options(synchronize_session=False)
    )
    session.execute(
        sa.update(Billing)
        .where(of_it)
        .values(file_id=None, ready_at=None if is_old else Billing.ready_at)
        .execution_options(synchronize_session=False)
    )
    session.execute(sa.delete(FiledNumber).where(FiledNumber.file_id == file_id))
    session.execute(sa.delete(BillingFile).where(BillingFile.id == file_id))
    logs.event("billing_file_given_up", file=file_id)
    return True


def _has_other_lines(file_id: int, now: datetime) -> sa.ColumnElement[bool]:
    """Condition: one of its lines would not go into a file any more."""
    return sa.exists().where(Billing.file_id == file_id, ~is_ready(now))


def _is_stale(file_id: int) -> bool:
    """Whether a file that may be at SMBC-GP is old, or one of its lines would not go any more.

    However near the end of its window is: to ask for a few lines takes seconds.
    """
    now = utc_now()
    is_old = sa.exists().where(Billing.file_id == file_id, Billing.ready_at < now - _FRESH)
    is_stale = db.session.scalar(sa.select(sa.or_(is_old, _has_other_lines(file_id, now))))
    db.session.commit()  # no transaction is open while we wait for the network (P8)
    return bool(is_stale)


def _is_there(gateway: SmbcGpGateway, file_id: int) -> bool:
    """Whether SMBC-GP shows any of the first lines of that file: it has it, and takes it again unchanged.

    As a file brings them: waiting, with our amount.  A cart may have paid under one of these numbers,
    or an earlier file have brought it; or a later one, where the books were put back since (P36): then
    no line was asked about, and none shows it.  False where SMBC-GP does not say, too.
    """
    in_others = sa.exists().where(
        FiledNumber.gateway_order_id == Billing.gateway_order_id, FiledNumber.file_id != file_id
    )
    is_named = past_us.learned(Billing.order_id, Billing.ready_at)
    lines = db.session.execute(
        sa.select(Billing.gateway_order_id, Billing.amount)
        .where(Billing.file_id == file_id, Billing.ready_at.is_not(None), ~in_others, ~is_named)
        .order_by(Billing.id)
        .limit(_ASKED_OF_FILE)
    ).all()
    db.session.commit()

    def is_waiting(line: Any) -> bool:
        trade = gateway.search_trade(line.gateway_order_id)
        if trade is None or not trade.state.is_unfinished:
            return False
        return (trade.job, trade.total) == (Job.CAPTURE, line.amount)

    try:
        return any(map(is_waiting, lines))
    except GatewayError:
        return False


def _is_old(session: Session, file_id: int, now: datetime) -> bool:
    """Whether its lines were asked about too long ago, and there is time to ask about all again.

    To ask about 10,000 takes hours: as long again they stay fresh, or they would never be sent.
    """
    made_at = session.scalar(sa.select(BillingFile.created_at).where(BillingFile.id == file_id))
    asked_at = session.scalar(
        sa.select(sa.func.min(Billing.ready_at)).where(Billing.file_id == file_id)
    )
    if made_at is None or asked_at is None:
        return False
    fresh_for = max(_FRESH, 2 * (made_at - asked_at))
    last_call = file_window_ends(now) - fresh_for - _LAST_MINUTES
    return asked_at + fresh_for < now < last_call


def _try_later(file_id: int, lease: int, tries: int, reason: str, *, is_doubtful: bool) -> None:
    pause = _PAUSES[min(tries, len(_PAUSES)) - 1]
    with writing() as session:
        session.execute(
            sa.update(BillingFile)
            .where(BillingFile.id == file_id, BillingFile.lease == lease)
            .values(
                due_at=utc_now() + timedelta(seconds=pause),
                reason=reason[:120],
                is_doubtful=is_doubtful,
            )
        )
    logs.event("billing_file_not_sent", file=file_id, reason=reason)


def _refused(file_id: int, lease: int, refusal: GatewayRejected, *, was_doubtful: bool) -> None:
    """Refused as a whole; after a try without an answer that says nothing about that one."""
    _answered(
        file_id,
        lease,
        state=FileState.IN_DOUBT if was_doubtful else FileState.REFUSED,
        is_doubtful=was_doubtful,
        error_codes=join_codes(refusal.codes),
        reason=refusal.reason[:120],
    )


def _answered(file_id: int, lease: int, **values: object) -> None:
    now = utc_now()
    with writing() as session:
        file = session.get_one(BillingFile, file_id, with_for_update=True, populate_existing=True)
        if file.lease != lease:
            return
        # Results come for all lines that were taken, whatever is still unclear about one of them.
        may_be_there = values["state"] is not FileState.REFUSED
        due_at = _results_at(file.window) if may_be_there else None
        for name, value in {**values, "answered_at": now, "due_at": now}.items():
            setattr(file, name, value)
        file.results_due_at = due_at
    logs.event("billing_file_answered", file=file_id, state=values["state"])
