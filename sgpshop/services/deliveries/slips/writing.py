"""Slip numbers and parcel statuses into the orders: many at once, each with its history (R82, P5).

Nothing here asks or tells SMBC-GP anything.  The transaction that closes a capture says that its
rows are due (`after_capture`), so no crash forgets them; the worker writes what is due, many rows
in one transaction (`process_batch`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.orm import Session

from sgpshop.domain.carriers import CARRIERS
from sgpshop.domain.delivery_status import DeliveryStatus, processing_class
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.shop_terms import OnCaptureFailure
from sgpshop.extensions import db
from sgpshop.models import (
    AttemptState,
    Delivery,
    ItemResult,
    Order,
    Queue,
    SlipRow,
    SlipRun,
    table_of,
    utc_now,
)
from sgpshop.services import settings
from sgpshop.services.deliveries.slips import runs
from sgpshop.services.deliveries.slips.decisions import (
    RowDecision,
    SlipInstruction,
    decide_one,
    delivered_at,
)
from sgpshop.services.deliveries.slips.planning import STALE, is_stale
from sgpshop.services.orders import history
from sgpshop.services.orders.facts import Facts, ParcelFacts, load_facts
from sgpshop.services.orders.history import Actor
from sgpshop.storage import setbacks
from sgpshop.storage.among import among
from sgpshop.storage.database import writing

log = logging.getLogger(__name__)

#: Rows worked off in one transaction (with what else there is of the last one's order), so that nobody
#: else waits long for the database.
_CHUNK = 200
_LONGEST_CHANGES = 1000

_rows = table_of(SlipRow)
_MAKE_DUE = (
    sa.update(_rows)
    .where(_rows.c.attempt_id == bindparam("attempt"))
    .values(is_due=True, result=ItemResult.PENDING, finished_at=None)
)


def after_capture(
    session: Session, attempt_id: int, row: Any, state: AttemptState, now: datetime
) -> None:
    """The rows that waited for this attempt, in the transaction that records how it ended.

    `row` is the attempt's of payments.record.  Nothing happens when no row waits for it.
    """
    if state is AttemptState.DONE:
        session.connection().execute(_MAKE_DUE, {"attempt": attempt_id})
        return
    waiting = session.scalars(_rows_where(SlipRow.attempt_id == attempt_id)).all()
    if not waiting:
        return
    if state is AttemptState.UNKNOWN:
        _record(session, [_ended(one, ItemResult.UNCERTAIN, now) for one in waiting])
        return
    run = session.get_one(SlipRun, waiting[0].run_id)
    if run.on_failure is not OnCaptureFailure.KEEP:
        _record(session, [_ended(one, ItemResult.FAILED, now) for one in waiting])
        return
    order = load_facts([row.order_id], with_parcels=True)[row.order_id]
    actor = Actor(row.actor_kind, row.actor)
    _write(session, run, [(order, waiting)], ItemResult.FAILED, actor, now)


def process_batch(first_row_id: int) -> None:
    """A part of the rows of that row's run that wait for nothing; the worker calls it until none is.

    Each part is one transaction, so a crash leaves rows undone, never half done.  Where one order
    breaks it off, each of the part goes on its own.
    """
    try:
        _process_batch(first_row_id)
    except setbacks.OF_EVERYTHING:
        raise
    except Exception:
        log.exception("rows of a slip file broke off: each order on its own")
        for order_id, row_ids in _next_orders(first_row_id):
            alone = partial(_process_batch, first_row_id, order_id)
            setbacks.carefully(Queue.SLIP, row_ids, alone)


def _next_orders(first_row_id: int) -> list[tuple[int, list[int]]]:
    """The orders of the next part, with their rows that are due."""
    of_run = SlipRow.run_id.in_(sa.select(SlipRow.run_id).where(SlipRow.id == first_row_id))
    rows = db.session.execute(
        sa.select(SlipRow.order_id, SlipRow.id)
        .where(of_run, _is_due())
        .order_by(SlipRow.order_id, SlipRow.id)
    ).all()
    db.session.commit()
    found: dict[int, list[int]] = {}
    for row in rows:
        found.setdefault(row.order_id, []).append(row.id)
    return list(found.items())[:_CHUNK]


def _process_batch(first_row_id: int, only: int | None = None) -> None:
    """The next part in one transaction, or that of the order `only`."""
    with writing() as session:
        run = session.scalars(
            sa.select(SlipRun)
            .where(SlipRun.id.in_(sa.select(SlipRow.run_id).where(SlipRow.id == first_row_id)))
            .with_for_update()
            .execution_options(populate_existing=True)
        ).one_or_none()
        if run is None:
            return
        is_due = sa.and_(SlipRow.run_id == run.id, _is_due())
        if only is not None:
            is_due = sa.and_(is_due, SlipRow.order_id == only)
        first = sa.select(SlipRow.order_id).where(is_due).order_by(SlipRow.order_id).limit(_CHUNK)
        order_ids = set(session.scalars(first))
        if not order_ids:
            return
        ids = sorted(i for i in order_ids if i is not None)
        orders = load_facts(ids, lock=True, with_parcels=True)
        found = session.scalars(_rows_where(is_due, among(SlipRow.order_id, ids)))
        groups = [
            (orders[order_id], list(rows))
            for order_id, rows in groupby(found, lambda row: row.order_id or 0)
        ]
        _write(session, run, groups, ItemResult.SUCCEEDED, runs.actor_of(run), utc_now())


def due(limit: int) -> list[int]:
    """A row that is due of each run that has any, for `process_batch`."""
    found = db.session.scalars(
        sa.select(sa.func.min(SlipRow.id)).where(_is_due()).group_by(SlipRow.run_id).limit(limit)
    ).all()
    first = [int(row_id) for row_id in found if row_id is not None]
    return [row_id for row_id in first if not setbacks.is_resting(Queue.SLIP_RUN, row_id)]


def _rows_where(*conditions: sa.ColumnElement[bool]) -> sa.Select[SlipRow]:
    """Rows that could be read, order by order, as they are now."""
    return (
        sa.select(SlipRow)
        .where(SlipRow.status.is_not(None), *conditions)
        .order_by(SlipRow.order_id, SlipRow.line)
        .execution_options(populate_existing=True)
    )


def _is_due() -> sa.ColumnElement[bool]:
    """Rows to be written now: those of an order that broke off rest together."""
    return sa.and_(SlipRow.is_due, ~setbacks.rests(Queue.SLIP, SlipRow.id))


def _write(
    session: Session,
    run: SlipRun,
    groups: Sequence[tuple[Facts, Sequence[SlipRow]]],
    result: ItemResult,
    actor: Actor,
    now: datetime,
) -> None:
    """Carry out the rows of these orders, as far as that is possible now, and record `result`."""
    shop = settings.load()
    batch = _Batch(actor, now, run.started_at or now)
    ends: list[dict[str, Any]] = []
    for order, rows in groups:
        said = [SlipInstruction.of(row, names_all=run.names_all) for row in rows]
        decisions = [decide_one(order, one, shop, now) for one in said]
        for row, one in zip(rows, decisions, strict=True):
            # What waited for its capture was changed by that.
            if row.attempt_id is None and is_stale(run, row, order):
                one.problem, one.changes = STALE, False
        batch.add(order, [one for one in decisions if one.changes], is_kept=_is_kept(rows, result))
        ends += [_end(row, one, result, now) for row, one in zip(rows, decisions, strict=True)]
    batch.write(session)
    _record(session, ends)


def _is_kept(rows: Sequence[SlipRow], result: ItemResult) -> bool:
    """Whether the capture failed, and the slip is registered all the same (R80)."""
    return result is ItemResult.FAILED or any(row.refusal for row in rows)


class _Batch:
    """What changes of many orders, written with a handful of statements."""

    def __init__(self, actor: Actor, now: datetime, said_at: datetime) -> None:
        self._actor = actor
        self._now = now
        #: when the file was begun: what it tells was so by then, however late it is written
        self._said_at = said_at
        self._parcels: list[dict[str, Any]] = []
        self._orders: list[dict[str, Any]] = []
        #: orders whose 返金しない was about returns of before (R90a)
        self._unwaived: list[int] = []
        #: orders of which more came back than 返金済み was about (R104)
        self._came_back: list[int] = []
        self._entries: list[dict[str, Any]] = []

    def add(self, order: Facts, changed: Sequence[RowDecision], *, is_kept: bool) -> None:
        """The rows of `changed` change this order; nothing happens when there are none."""
        if not changed:
            return
        statuses = {parcel.id: parcel.status for parcel in order.deliveries}
        described = []
        for one in changed:
            assert one.parcel is not None  # else there is a problem
            self._parcels.append(_parcel_values(one.parcel, one.instruction, order, self._said_at))
            statuses[one.parcel.id] = one.instruction.status
            described.append(_describe(order, one.parcel, one.instruction))
            if DeliveryStatus.RETURNED in {one.parcel.status, one.instruction.status}:
                self._unwaived.append(order.id)
            if one.instruction.status is DeliveryStatus.RETURNED is not one.parcel.status:
                self._came_back.append(order.id)
        self._orders.append(
            {
                "id": order.id,
                "processing_class": processing_class(statuses.values()),
                "version": order.version + 1,
                "updated_at": self._now,
            }
        )
        self._entries.append(
            {
                "order_id": order.id,
                "at": self._now,
                "actor_kind": self._actor.kind,
                "actor": self._actor.name,
                "event": "slips_kept" if is_kept else "slips_registered",
                "status_before": order.payment_status,
                "status_after": order.payment_status,
                "amount_before": order.total,
                "amount_after": order.total,
                "order_version": order.version + 1,
                "detail": {"changes": "、".join(described)[:_LONGEST_CHANGES]},
            }
        )

    def write(self, session: Session) -> None:
        """Into the database, the history last: it tells how everything stands afterwards."""
        if not self._orders:
            return
        session.execute(sa.update(Delivery), self._parcels)
        session.execute(sa.update(Order), self._orders)
        for orders, forgotten in (
            (self._unwaived, {"cancel_waived_at": None, "cancel_waived_reason": ""}),
            (self._came_back, {"refunded_on": None}),
        ):
            if orders:
                session.execute(
                    sa.update(Order)
                    .where(among(Order.id, orders))
                    .values(forgotten)
                    .execution_options(synchronize_session=False)
                )
        history.record_many(session, self._entries)


def _parcel_values(
    parcel: ParcelFacts, instruction: SlipInstruction, order: Facts, said_at: datetime
) -> dict[str, Any]:
    """The parcel's row afterwards; a parcel that was 配送完了 before keeps its day."""
    is_new = instruction.status is not parcel.status
    slip_no, more_slips = instruction.slips_of(parcel)
    values = {
        "id": parcel.id,
        "carrier_code": instruction.carrier_code or parcel.carrier_code,
        "slip_no": slip_no,
        "more_slips": more_slips,
        "status": instruction.status,
        "delivered_at": parcel.delivered_at,
        "returned_on": parcel.returned_on,
        "return_reason": parcel.return_reason,
    }
    if not is_new:
        return values
    values |= {"returned_on": None, "return_reason": ""}
    if instruction.status is DeliveryStatus.RETURNED:  # delivered_at stays: it did arrive then
        values["returned_on"] = instruction.ship_date or jst_day(said_at)
    elif instruction.status is DeliveryStatus.DELIVERED:
        values["delivered_at"] = delivered_at(instruction, order, said_at)
    else:  # 配送完了 and 返送 can be undone (R31)
        values["delivered_at"] = None
    return values


def _describe(order: Facts, parcel: ParcelFacts, instruction: SlipInstruction) -> str:
    """One row for the history: which parcel, carrier, slip number, status."""
    which = f"【お届け先{parcel.number}】" if len(order.deliveries) > 1 else ""
    carrier = CARRIERS.get(instruction.carrier_code or parcel.carrier_code, "")
    slips = " ".join(instruction.slips_of(parcel)).strip().replace(" ", "・")
    words = f"{which}{carrier} {slips}".strip()
    if instruction.status is parcel.status:
        return words
    return f"{words}、{parcel.status.label} → {instruction.status.label}"


def _end(row: SlipRow, decision: RowDecision, result: ItemResult, now: datetime) -> dict[str, Any]:
    """How one row ends, now that what can be written was written."""
    if decision.problem:
        was_captured = row.attempt_id is not None and result is ItemResult.SUCCEEDED
        words = "実売上処理は完了しましたが、登録できませんでした。" if was_captured else ""
        return _ended(row, ItemResult.FAILED, now, message=words + decision.problem)
    is_refused = bool(row.refusal)  # the capture failed before anything was sent (R82)
    return _ended(row, ItemResult.FAILED if is_refused else result, now, is_written=True)


def _ended(
    row: SlipRow, result: ItemResult, now: datetime, *, message: str = "", is_written: bool = False
) -> dict[str, Any]:
    return {
        "id": row.id,
        "result": result,
        "message": message[:300],
        "is_written": is_written,
        "finished_at": now,
        "is_due": False,
    }


def _record(session: Session, ends: list[dict[str, Any]]) -> None:
    if ends:
        session.execute(sa.update(SlipRow), ends)
