"""Lines of runs that ask SMBC-GP nothing: each order on its own, by the worker (P22).

The lines of the run are the queue: a crash loses nothing and a restart repeats nothing.
"""

from __future__ import annotations

from functools import partial

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from sgpshop.extensions import db
from sgpshop.models import BulkItem, BulkRun, ItemResult, Queue, utc_now
from sgpshop.services import settings
from sgpshop.services.bulk import actions
from sgpshop.services.orders.acting import lock_order
from sgpshop.storage import setbacks
from sgpshop.storage.database import writing

#: Lines worked off before the worker looks for other work.
_BATCH = 50


def due(limit: int) -> list[int]:
    """The first line of each run that has lines to work off; `resume` takes these.

    A run of which only lines are left that broke off rests with them, and so does one whose action
    only another version of this program knows.
    """
    line = aliased(BulkItem)
    is_left = sa.exists().where(line.run_id == BulkRun.id, line.result == ItemResult.PENDING)
    known = [action.word for action in actions.ALL if action.do is not None]
    return list(
        db.session.scalars(
            sa.select(BulkItem.id)
            .join(BulkRun)
            .where(
                BulkRun.is_work_due,
                BulkRun.action.in_(known),
                BulkItem.position == 0,
                ~setbacks.rests(Queue.DELIVERY_RUN, BulkItem.id),
                sa.or_(~is_left, is_left.where(~setbacks.rests(Queue.DELIVERY, line.id))),
            )
            .order_by(BulkRun.started_at)
            .limit(limit)
        )
    )


def resume(first_item_id: int) -> None:
    """Work off the next lines of the run that begins with this one, each in its own transaction."""
    run_id = db.session.scalars(
        sa.select(BulkItem.run_id).where(BulkItem.id == first_item_id)
    ).one()
    pending = db.session.scalars(
        sa.select(BulkItem.id)
        .where(
            BulkItem.run_id == run_id,
            BulkItem.result == ItemResult.PENDING,
            ~setbacks.rests(Queue.DELIVERY, BulkItem.id),
        )
        .order_by(BulkItem.position)
        .limit(_BATCH)
    ).all()
    db.session.commit()
    for item_id in pending:
        setbacks.carefully(Queue.DELIVERY, [item_id], partial(_work_off, item_id))
    is_left = sa.exists().where(BulkItem.run_id == run_id, BulkItem.result == ItemResult.PENDING)
    with writing() as session:
        session.execute(
            sa.update(BulkRun).where(BulkRun.id == run_id, ~is_left).values(is_work_due=False)
        )


def _work_off(item_id: int) -> None:
    """One line: what becomes of its order, and its result, together."""
    with writing() as session:
        item = session.get_one(BulkItem, item_id, populate_existing=True, with_for_update=True)
        if item.result is not ItemResult.PENDING:  # another worker was first
            return
        run = session.get_one(BulkRun, item.run_id)
        action = actions.find(run.action)
        assert action is not None and action.do is not None  # noqa: PT018 - see `due`
        order = lock_order(session, item.order_id)
        now = utc_now()
        item.finished_at = now
        reason = action.left_out(item, order, settings.load(), now)
        if reason in (None, action.reason("changed")) and order.is_called_off:
            reason = action.reason("called_off")
        if reason is not None:
            item.result, item.reason = ItemResult.SKIPPED, str(reason)
            return
        item.result = ItemResult.SUCCEEDED
        action.do(session, order, run, now)
