"""Bulk capture: prepared when the confirmation is shown, started once, each order on its own (P22).

`prepare` only writes down what was chosen and seen.  `start` turns every line that can be captured
into a QUEUED attempt; the worker does the rest through payments.run_operation.  A crash loses
nothing and a restart repeats nothing, because all of it is rows.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session, joinedload

from sgpshop import logs
from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.domain.order_rules import Refusal, capture_refusal, is_big, is_to_be_charged
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import (
    Attempt,
    BulkAction,
    BulkItem,
    BulkRun,
    CardTransaction,
    ItemResult,
    Operation,
    Order,
    utc_now,
)
from sgpshop.models.attempt import ActorKind, AttemptState
from sgpshop.services import settings
from sgpshop.services.bulk.pace import RunPace
from sgpshop.services.bulk.selection import TooMany
from sgpshop.services.orders.facts import Facts, TransactionFacts, keep, load_facts
from sgpshop.services.payments import transaction_numbers
from sgpshop.services.payments.clocks import usable_gateway
from sgpshop.storage.database import writing

#: What is written down as a run, and confirmed before anything happens.
RUNS = (BulkAction.SGP_CAPTURE, BulkAction.DELIVER)

#: Failed lines first: they are what somebody has to do something about (look.md).
_ORDER_OF_RESULTS = (
    ItemResult.FAILED,
    ItemResult.UNCERTAIN,
    ItemResult.SKIPPED,
    ItemResult.PENDING,
    ItemResult.SUCCEEDED,
)


@dataclass(frozen=True)
class CapturePreview:
    """What a confirmation says before anything happens (R47); amounts in yen."""

    run_id: str
    eligible: int
    eligible_yen: int
    left_out: list[tuple[Refusal, int]]
    #: numbers of orders whose amount change was not sent (R72)
    unsent: list[str]
    retries: int
    expired: int
    action: BulkAction = BulkAction.SGP_CAPTURE

    @property
    def nothing_to_do(self) -> bool:
        """Whether no chosen order can be captured."""
        return self.eligible == 0

    @property
    def needs_second_confirmation(self) -> bool:
        """Whether count or sum is large enough to be asked twice (S21)."""
        return is_big(self.eligible, self.eligible_yen)


@dataclass(frozen=True)
class CaptureProgress:
    """How far a run is (R49); `unattempted` lines are still to come."""

    run_id: str
    action: BulkAction
    total: int
    succeeded: int
    failed: int
    uncertain: int
    skipped: int
    unattempted: int
    succeeded_yen: int
    pace: RunPace
    actor: str
    started_at: datetime

    @property
    def is_running(self) -> bool:
        """Whether lines are still to be worked off; uncertain ones count as worked off (R49)."""
        return self.unattempted > 0


def prepare(
    order_ids: Sequence[int],
    *,
    person_id: int,
    actor: str,
    action: BulkAction = BulkAction.SGP_CAPTURE,
) -> str:
    """Write down a selection as it is seen now; returns the id of the run, not yet started.

    Raises ShopError when nothing was chosen (R46) or more than `bulk_max` orders (R50).
    """
    if not order_ids:
        raise ShopError("注文が選択されていません。処理する注文にチェックを入れてください。")
    most = settings.load().bulk_max
    if len(set(order_ids)) > most:
        raise TooMany(len(set(order_ids)), most)
    run_id = secrets.token_hex(16)
    with writing() as session:
        facts = load_facts(keep(session, order_ids)).values()
        chosen = sorted(facts, key=lambda f: (f.ordered_at, f.id))  # R48
        if not chosen:
            raise ShopError("選択された注文が見つかりません。検索し直してください。")
        session.add(BulkRun(id=run_id, action=action, person_id=person_id, actor=actor))
        session.flush()
        session.execute(
            sa.insert(BulkItem),
            [
                {
                    "run_id": run_id,
                    "position": position,
                    "order_id": order.id,
                    "amount": order.total,
                    "version": order.version,
                }
                for position, order in enumerate(chosen)
            ],
        )
    return run_id


def is_started(run_id: str) -> bool:
    """Whether somebody confirmed this run.  Raises NotFound."""
    return _get(run_id).started_at is not None


def action_of(run_id: str) -> BulkAction:
    """What this run does with its orders.  Raises NotFound."""
    return _get(run_id).action


def preview(run_id: str) -> CapturePreview:
    """What would happen if this run were started now.  Raises NotFound."""
    _get(run_id)
    items = _items(db.session(), run_id)
    orders = load_facts(item.order_id for item in items)
    refusals = Counter[Refusal]()
    eligible: list[Facts] = []
    unsent: list[str] = []
    for item in items:
        order = orders.get(item.order_id)
        if order is None:  # taken back at this very moment, and the line with it
            continue
        refusal = _refusal(item, order)
        if refusal is None:
            eligible.append(order)
            continue
        refusals[refusal] += 1
        if refusal is Refusal.UNSENT_AMOUNT:
            unsent.append(order.order_no)
    now = utc_now()
    return CapturePreview(
        run_id=run_id,
        eligible=len(eligible),
        eligible_yen=sum(order.total for order in eligible),
        left_out=refusals.most_common(),
        unsent=unsent,
        retries=sum(o.payment_status is PaymentStatus.CAPTURE_FAILED for o in eligible),
        expired=sum(_is_expired(order, now) for order in eligible),
    )


def start(run_id: str, *, person_id: int, sum_confirmed: bool = False) -> None:
    """Accept the run: queue every line that can be captured, note why others are left out.

    A second start does nothing (P19).  Raises NotFound (also for somebody else's run), ShopError
    when the second confirmation is missing (S21), nothing can be captured, or there is no usable
    contract (R2).
    """
    usable_gateway()
    with writing() as session:
        run = session.get(BulkRun, run_id, populate_existing=True, with_for_update=True)
        if run is None or run.person_id != person_id:
            raise NotFound("この一括処理は見つかりません。")
        if run.started_at is not None:
            return
        items = _items(session, run_id)
        orders = load_facts((item.order_id for item in items), lock=True)
        refusals = {item.id: _refusal(item, orders[item.order_id]) for item in items}
        queued = [item for item in items if refusals[item.id] is None]
        if not queued:
            raise ShopError("実売上処理できる注文がありません。")
        yen = sum(item.amount for item in queued)
        if is_big(len(queued), yen) and not sum_confirmed:
            raise ShopError("件数と合計金額を確認のうえ、確認欄にチェックを入れてください。")
        now = utc_now()
        run.started_at = now
        _leave_out(session, refusals, now)
        _queue(session, run, queued, orders, now)
    logs.event("bulk_started", run=run_id, orders=len(queued), yen=yen)


def progress(run_id: str) -> CaptureProgress:
    """Counts of a started run.  Raises NotFound."""
    run = _get(run_id)
    if run.started_at is None:
        raise NotFound("この一括処理はまだ開始されていません。")
    rows = {
        row.result: row
        for row in db.session.execute(
            sa.select(
                BulkItem.result,
                sa.func.count().label("number"),
                # What was taken: somebody else may have captured another amount before us.
                sa.func.sum(
                    sa.func.coalesce(CardTransaction.captured_amount, BulkItem.amount)
                ).label("yen"),
                sa.func.max(BulkItem.finished_at).label("last"),
            )
            .outerjoin(Attempt, Attempt.id == BulkItem.attempt_id)
            .outerjoin(CardTransaction, CardTransaction.id == Attempt.transaction_id)
            .where(BulkItem.run_id == run_id)
            .group_by(BulkItem.result)
        )
    }
    counts = {result: rows[result].number if result in rows else 0 for result in ItemResult}
    worked = sum(counts[r] for r in (ItemResult.SUCCEEDED, ItemResult.FAILED, ItemResult.UNCERTAIN))
    succeeded = rows.get(ItemResult.SUCCEEDED)
    return CaptureProgress(
        run_id=run_id,
        action=run.action,
        total=sum(counts.values()),
        succeeded=counts[ItemResult.SUCCEEDED],
        failed=counts[ItemResult.FAILED],
        uncertain=counts[ItemResult.UNCERTAIN],
        skipped=counts[ItemResult.SKIPPED],
        unattempted=counts[ItemResult.PENDING],
        succeeded_yen=int(succeeded.yen) if succeeded else 0,
        pace=RunPace.of(
            run.started_at,
            max((row.last for row in rows.values() if row.last is not None), default=None),
            utc_now(),
            worked=worked,
            left=counts[ItemResult.PENDING],
        ),
        actor=run.actor,
        started_at=run.started_at,
    )


def lines(run_id: str, *, after: int = 0, limit: int = 200) -> list[BulkItem]:
    """Lines of a run with order and attempt, `after` so many: failed, uncertain, left out first."""
    rank = sa.case(
        {result.value: number for number, result in enumerate(_ORDER_OF_RESULTS)},
        value=BulkItem.result,
    )
    return list(
        db.session.scalars(
            sa.select(BulkItem)
            .where(BulkItem.run_id == run_id)
            .order_by(rank, BulkItem.position)
            .offset(after)
            .limit(limit)
            .options(
                joinedload(BulkItem.attempt),
                joinedload(BulkItem.order).joinedload(Order.transaction),
                joinedload(BulkItem.order).joinedload(Order.open_attempt),
            )
        )
    )


def changed_since(run_id: str, since: datetime) -> list[int]:
    """Ids of the orders of this run whose line got a result at or after `since`."""
    return list(
        db.session.scalars(
            sa.select(BulkItem.order_id).where(
                BulkItem.run_id == run_id, BulkItem.finished_at >= since
            )
        )
    )


def order_ids(run_id: str, result: ItemResult) -> list[int]:
    """Ids of the orders of this run with that result (失敗分を再選択, R49)."""
    return list(
        db.session.scalars(
            sa.select(BulkItem.order_id)
            .where(BulkItem.run_id == run_id, BulkItem.result == result)
            .order_by(BulkItem.position)
        )
    )


def latest_running(person_id: int) -> str | None:
    """The newest run of this person that still has lines to work off."""
    return db.session.execute(
        sa.select(BulkRun.id)
        .where(
            BulkRun.person_id == person_id,
            BulkRun.started_at.is_not(None),
            sa.exists().where(BulkItem.run_id == BulkRun.id, BulkItem.result == ItemResult.PENDING),
        )
        .order_by(BulkRun.started_at.desc())
        .limit(1)
    ).scalar_one_or_none()


def forget_unconfirmed() -> None:
    """Drop selections that nobody confirmed within a day."""
    with writing() as session:
        session.execute(
            sa.delete(BulkRun).where(
                BulkRun.started_at.is_(None), BulkRun.created_at < utc_now() - timedelta(days=1)
            )
        )


def _get(run_id: str) -> BulkRun:
    run = db.session.get(BulkRun, run_id)
    if run is None:
        raise NotFound("この一括処理は見つかりません。")
    return run


def _items(session: Session, run_id: str) -> list[BulkItem]:
    return list(
        session.scalars(
            sa.select(BulkItem).where(BulkItem.run_id == run_id).order_by(BulkItem.position)
        )
    )


def _refusal(item: BulkItem, order: Facts) -> Refusal | None:
    """Why this line is left out; also when the order is not as it was seen any more (P20)."""
    refusal = capture_refusal(order)
    if refusal is None and (order.version, order.total) != (item.version, item.amount):
        return Refusal.CHANGED
    return refusal


def _is_expired(order: Facts, now: datetime) -> bool:
    expires = order.transaction.auth_expires_at if order.transaction else None
    return expires is not None and expires <= now


def _leave_out(session: Session, refusals: dict[int, Refusal | None], now: datetime) -> None:
    skipped = [
        {"id": item_id, "result": ItemResult.SKIPPED, "reason": refusal.value, "finished_at": now}
        for item_id, refusal in refusals.items()
        if refusal is not None
    ]
    if skipped:
        session.execute(sa.update(BulkItem), skipped)


def _queue(
    session: Session, run: BulkRun, items: list[BulkItem], orders: dict[int, Facts], now: datetime
) -> None:
    """One QUEUED attempt for each line; the orders are taken from here on (P7)."""
    rows = []
    for item in items:
        order = orders[item.order_id]
        transaction: TransactionFacts | CardTransaction | None = order.transaction
        assert transaction is not None  # else capture_refusal says NOT_LINKED
        if is_to_be_charged(transaction):  # a new number for each charge (R112)
            transaction = transaction_numbers.transaction_for(
                session.get_one(Order, order.id), Operation.CAPTURE
            )
        rows.append(
            {
                "order_id": item.order_id,
                "transaction_id": transaction.id,
                "operation": Operation.CAPTURE,
                "state": AttemptState.QUEUED,
                "amount": item.amount,
                "gateway_order_id": transaction.gateway_order_id,
                "actor_kind": ActorKind.PERSON,
                "actor": run.actor,
                "created_at": now,
                "due_at": now,
                "status_before": order.payment_status,
            }
        )
    ids = session.execute(
        sa.insert(Attempt).returning(Attempt.id, sort_by_parameter_order=True), rows
    ).scalars()
    session.execute(
        sa.update(BulkItem),
        [
            {"id": item.id, "attempt_id": attempt_id}
            for item, attempt_id in zip(items, ids, strict=True)
        ],
    )
    session.execute(
        sa.update(Order)
        .where(
            Order.id.in_(
                sa.select(BulkItem.order_id).where(
                    BulkItem.run_id == run.id, BulkItem.attempt_id.is_not(None)
                )
            )
        )
        .values(version=Order.version + 1)
        .execution_options(synchronize_session=False)
    )
