"""What a program says of parcels, as a slip run of its own: planned, decided and written as a file is (R79-R82).

The request's token is the id of its run, so a request that comes again finds what it began.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.exc import IntegrityError

from sgpshop import logs
from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.domain.errors import NotFound
from sgpshop.domain.order_rules import is_big
from sgpshop.extensions import db
from sgpshop.models import ItemResult, Order, SlipRow, SlipRun
from sgpshop.services.deliveries.slips import matching, planning, runs, writing
from sgpshop.services.deliveries.slips.report import ReportedRow, in_order
from sgpshop.services.payments import journal
from sgpshop.services.payments.acts import SumNotConfirmed
from sgpshop.storage.among import among
from sgpshop.storage.database import writing as writing_transaction
from sgpshop.storage.queue import Task, tell_now

_PROGRAM = "API"


@dataclass(frozen=True)
class ParcelNews:
    """What happened to one parcel."""

    #: 配送先番号; 0 is the only one, whatever its number
    number: int
    status: DeliveryStatus
    #: "" and () keep what is stored
    carrier_code: str = ""
    slips: Sequence[str] = ()
    #: when it left or came back; None: today
    day: date | None = None


@dataclass(frozen=True)
class OrderNews:
    """What happened to the parcels of one order; `version` and `amount` as the program saw them, if it says."""

    order_no: str
    parcels: Sequence[ParcelNews]
    version: int | None = None
    amount: int | None = None


@dataclass
class OrderResult:
    """What became of one order's parcels."""

    order_no: str
    #: None: there is no such order
    order: Order | None
    rows: list[ReportedRow] = field(default_factory=list)


def take(
    token: str,
    key_id: int,
    key_name: str,
    news: Sequence[OrderNews],
    *,
    capture: bool,
    sum_confirmed: bool = False,
) -> None:
    """Do what `news` say, as far as each order allows; each order is in them once.

    What needs no capture is written before this returns; a single capture is waited for ANSWER_WAIT
    seconds.  The same `token` again goes on with what it began.  Raises SumNotConfirmed (S21), or
    ShopError without a usable contract where something is to be captured: nothing was done then.
    """
    run = db.session.get(SlipRun, token, populate_existing=True)
    if run is None:
        try:
            _prepare(token, key_id, key_name, news, capture=capture)
        except IntegrityError:  # the same request at the same moment
            db.session.rollback()
        run = runs.get(token)
    if run.started_at is None and not _start(run, sum_confirmed=sum_confirmed):
        return
    _work_off(token)
    attempts = db.session.scalars(
        sa.select(SlipRow.attempt_id)
        .where(SlipRow.run_id == token, SlipRow.attempt_id.is_not(None))
        .distinct()
        .limit(2)
    ).all()
    if len(attempts) == 1 and attempts[0] is not None:
        tell_now(Task.OPERATION, attempts[0])
        journal.wait_for_end(attempts[0], current_app.config["ANSWER_WAIT"])
        _work_off(token)


def results(run_id: str, key_id: int) -> list[OrderResult]:
    """What became of each order of a run by then, in the order they were named.

    Raises NotFound, also for the run of another key.
    """
    db.session.commit()
    run = runs.get(run_id)
    if run.key_id != key_id:
        raise NotFound("この発送の登録は見つかりません。")
    found: dict[str, OrderResult] = {}
    rows = in_order(run_id)
    ids = [line.row.order_id for line in rows if line.row.order_id is not None]
    orders = {
        order.order_no: order
        for order in db.session.scalars(
            sa.select(Order).where(among(Order.id, ids)).execution_options(populate_existing=True)
        )
    }
    for line in rows:
        number = line.row.order_no
        result = found.setdefault(number, OrderResult(number, orders.get(number)))
        result.rows.append(line)
    return list(found.values())


def _prepare(
    token: str, key_id: int, key_name: str, news: Sequence[OrderNews], *, capture: bool
) -> None:
    terms = planning.SlipTerms(capture, runs.usual_terms().on_failure)
    known = matching.exact(one.order_no for one in news)
    rows: list[dict[str, Any]] = []
    for order in news:
        match = known.get(order.order_no)
        rows += [
            _row(token, len(rows) + n, order.order_no, match.order_id if match else None, parcel)
            for n, parcel in enumerate(order.parcels, start=1)
        ]
    planning.plan(rows, terms, names_all=True)
    _refuse_what_was_not_seen(rows, news)
    content = hashlib.sha256(token.encode()).hexdigest()
    run = SlipRun(
        id=token,
        person_id=None,
        key_id=key_id,
        actor=key_name,
        content_hash=content,
        fingerprint=content,
        capture=capture,
        on_failure=terms.on_failure,
        header=[],
        program=_PROGRAM,
        mails=0,
    )
    with writing_transaction() as session:
        planning.write_down(session, run, rows)


def _row(
    token: str, line: int, order_no: str, order_id: int | None, parcel: ParcelNews
) -> dict[str, Any]:
    return {
        "run_id": token,
        "line": line,
        "cells": [],
        "order_no": order_no,
        "delivery_number": parcel.number,
        "carrier_code": parcel.carrier_code,
        "slip_no": parcel.slips[0] if parcel.slips else "",
        "more_slips": " ".join(parcel.slips[1:]),
        "status": parcel.status,
        "ship_date": parcel.day,
        "order_id": order_id,
        "version": None,
        "amount": None,
        "refusal": "",
        "result": ItemResult.PENDING if order_id else ItemResult.FAILED,
        "message": "" if order_id else planning.NO_ORDER,
        "remark": "",
    }


def _refuse_what_was_not_seen(rows: Sequence[dict[str, Any]], news: Sequence[OrderNews]) -> None:
    """An order that is not as the program saw it stays as it is (P20).

    As which version it was compared stands in its rows, and is compared again when they are carried out:
    in between, or before a call that died comes again, something may change.
    """
    by_number: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_number[row["order_no"]].append(row)
    ids = [row["order_id"] for row in rows if row["order_id"] is not None]
    totals = {
        row.order_no: (row.version, row.total)
        for row in db.session.execute(
            sa.select(Order.order_no, Order.version, Order.total).where(among(Order.id, ids))
        )
    }
    for one in news:
        if one.order_no not in totals:
            continue
        version, total = totals[one.order_no]
        theirs = by_number[one.order_no]
        if one.version in (None, version) and one.amount in (None, total):
            is_said = one.version is not None or one.amount is not None
            is_compared = is_said or any(row["amount"] is not None for row in theirs)
            for row in theirs:
                row["version"] = version if is_compared else None
            continue
        is_seen = one.version in (None, version)
        for row in theirs:
            row |= {
                "result": ItemResult.FAILED,
                "refusal": "",
                "amount": None,
                "message": planning.AMOUNT_DIFFERS if is_seen else planning.STALE,
            }


def _start(run: SlipRun, *, sum_confirmed: bool) -> bool:
    """Accept the run; False when nothing of it can be done."""
    pending = db.session.execute(
        sa.select(
            sa.func.count(),
            sa.func.count(SlipRow.amount),
            sa.func.coalesce(sa.func.sum(SlipRow.amount), 0),
        ).where(SlipRow.run_id == run.id, SlipRow.result == ItemResult.PENDING)
    ).one()
    rows, captures, yen = (int(figure) for figure in pending)
    if rows == 0:
        return False
    if is_big(captures, yen) and not sum_confirmed:
        with writing_transaction() as session:  # it comes again, confirmed
            session.execute(sa.delete(SlipRun).where(SlipRun.id == run.id))
        raise SumNotConfirmed(yen)
    runs.start(run.id, person_id=None, sum_confirmed=sum_confirmed)
    logs.event("slips_by_api", run=run.id, rows=rows, captures=captures)
    return True


def _work_off(run_id: str) -> None:
    """Write what waits for nothing, here and now; a worker that is at it is waited for."""
    due = sa.select(sa.func.min(SlipRow.id)).where(SlipRow.run_id == run_id, SlipRow.is_due)
    while (first := db.session.scalar(due)) is not None:
        before = first
        writing.process_batch(first)
        if db.session.scalar(due) == before:  # it broke off: the worker comes back to it
            return
