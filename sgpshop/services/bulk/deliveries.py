"""配送完了 of many orders: confirmed once, then each order on its own by the worker (R30, R51, P22).

It captures nothing and asks SMBC-GP nothing.  The lines of the run are the queue: a crash loses
nothing and a restart repeats nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from sgpshop import logs
from sgpshop.domain.delivery_rules import DeliveryRefusal, delivery_refusal
from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.domain.payment_status import CAPTURABLE, PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import BulkAction, BulkItem, BulkRun, ItemResult, Order, Queue, utc_now
from sgpshop.services import settings
from sgpshop.services.deliveries.parcels import deliver_all, describe
from sgpshop.services.orders import history
from sgpshop.services.orders.acting import lock_order
from sgpshop.services.orders.facts import Facts, load_facts
from sgpshop.services.orders.history import Actor
from sgpshop.storage import setbacks
from sgpshop.storage.database import writing

#: Lines worked off before the worker looks for other work.
_BATCH = 50


@dataclass(frozen=True)
class DeliveryPreview:
    """What a confirmation says before anything happens (R47, R30); amounts in yen."""

    run_id: str
    eligible: int
    #: of these, 仮売上 and 売上失敗: they will be 配送完了 without having been captured
    uncaptured: int
    uncaptured_yen: int
    #: of these, subscription orders: they become billable (R101)
    billable: int
    left_out: list[tuple[DeliveryRefusal, int]]
    action: BulkAction = BulkAction.DELIVER

    @property
    def nothing_to_do(self) -> bool:
        """Whether no chosen order can be made 配送完了."""
        return self.eligible == 0


def preview(run_id: str) -> DeliveryPreview:
    """What would happen if this run were started now.  The run is known to be there."""
    items = _items(run_id)
    orders = load_facts(item.order_id for item in items)
    refusals = _refusals(items, orders)
    eligible = [orders[item.order_id] for item in items if refusals[item.id] is None]
    uncaptured = [order.total for order in eligible if order.payment_status in CAPTURABLE]
    reasons = Counter(refusal for refusal in refusals.values() if refusal is not None)
    return DeliveryPreview(
        run_id=run_id,
        eligible=len(eligible),
        uncaptured=len(uncaptured),
        uncaptured_yen=sum(uncaptured),
        billable=sum(o.payment_status is PaymentStatus.AWAITING_BILLING for o in eligible),
        left_out=reasons.most_common(),
    )


def start(run_id: str, *, person_id: int) -> None:
    """Accept the run: note why some lines are left out, hand the others to the worker.

    A second start does nothing (P19).  Raises NotFound (also for somebody else's run), or ShopError
    when no order can be made 配送完了.
    """
    with writing() as session:
        run = session.get(BulkRun, run_id, populate_existing=True, with_for_update=True)
        if run is None or run.person_id != person_id:
            raise NotFound("この一括処理は見つかりません。")
        if run.started_at is not None:
            return
        items = _items(run_id)
        refusals = _refusals(items, load_facts(item.order_id for item in items))
        now = utc_now()
        skipped = [
            {"id": item, "result": ItemResult.SKIPPED, "reason": reason.value, "finished_at": now}
            for item, reason in refusals.items()
            if reason is not None
        ]
        if len(skipped) == len(items):
            raise ShopError("配送完了にできる注文がありません。")
        if skipped:
            session.execute(sa.update(BulkItem), skipped)
        run.started_at = now
        run.is_work_due = True
    logs.event("bulk_delivery_started", run=run_id, orders=len(items) - len(skipped))


def due(limit: int) -> list[int]:
    """The first line of each run that has lines to work off; `resume` takes these.

    A run of which only lines are left that broke off rests with them.
    """
    line = aliased(BulkItem)
    is_left = sa.exists().where(line.run_id == BulkRun.id, line.result == ItemResult.PENDING)
    return list(
        db.session.scalars(
            sa.select(BulkItem.id)
            .join(BulkRun)
            .where(
                BulkRun.is_work_due,
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
        setbacks.carefully(Queue.DELIVERY, [item_id], partial(_deliver, item_id))
    is_left = sa.exists().where(BulkItem.run_id == run_id, BulkItem.result == ItemResult.PENDING)
    with writing() as session:
        session.execute(
            sa.update(BulkRun).where(BulkRun.id == run_id, ~is_left).values(is_work_due=False)
        )


def _deliver(item_id: int) -> None:
    """One line: the parcels of its order, its history and its result together."""
    with writing() as session:
        item = session.get_one(BulkItem, item_id, populate_existing=True, with_for_update=True)
        if item.result is not ItemResult.PENDING:  # another worker was first
            return
        run = session.get_one(BulkRun, item.run_id)
        order = lock_order(session, item.order_id)
        now = utc_now()
        item.finished_at = now
        refusal = delivery_refusal(order, settings.load(), now) or _is_changed(item, order)
        if refusal is not None:
            item.result, item.reason = ItemResult.SKIPPED, refusal.value
            return
        item.result = ItemResult.SUCCEEDED
        delivered = deliver_all(session, order, now)
        order.version += 1
        order.updated_at = now
        history.record(
            order.id,
            "delivered",
            Actor.person(run.actor),
            before=order.payment_status,
            after=order.payment_status,
            total=order.total,
            version=order.version,
            parcels=describe(order, delivered),
            run=run.id,
        )


def _is_changed(item: BulkItem, order: Order | Facts) -> DeliveryRefusal | None:
    """CHANGED where the order is not as the person saw it any more (P20)."""
    as_seen = (order.version, order.total) == (item.version, item.amount)
    return None if as_seen else DeliveryRefusal.CHANGED


def _items(run_id: str) -> list[BulkItem]:
    return list(
        db.session.scalars(
            sa.select(BulkItem).where(BulkItem.run_id == run_id).order_by(BulkItem.position)
        )
    )


def _refusals(items: list[BulkItem], orders: dict[int, Facts]) -> dict[int, DeliveryRefusal | None]:
    """By line why it is left out; None: its order can be made 配送完了."""
    terms, now = settings.load(), utc_now()
    return {
        item.id: delivery_refusal(orders[item.order_id], terms, now)
        or _is_changed(item, orders[item.order_id])
        for item in items
    }
