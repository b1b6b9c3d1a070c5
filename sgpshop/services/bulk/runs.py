"""The life of a bulk run: prepared when the confirmation is shown, started once (P19, P22, R47-R50).

`prepare` only writes down what was chosen and seen.  `start` turns every line that can take part
into work for the worker: a QUEUED attempt where SMBC-GP is asked, else the line itself (`working`).
A crash loses nothing and a restart repeats nothing, because all of it is rows.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop import logs
from sgpshop.domain.activities import ActivityEvent
from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.domain.second_look import ApprovalState, yen_to_approve
from sgpshop.domain.words import Reason
from sgpshop.extensions import db
from sgpshop.models import (
    Approval,
    Attempt,
    BulkItem,
    BulkRun,
    ItemResult,
    Operation,
    SlipRow,
    SlipRun,
    table_of,
    utc_now,
)
from sgpshop.services import settings
from sgpshop.services.access import activities
from sgpshop.services.bulk import actions
from sgpshop.services.bulk.action import Action, Line, Refused
from sgpshop.services.bulk.selection import TooMany
from sgpshop.services.orders.facts import Facts, keep, load_facts
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments import acts, second_look
from sgpshop.services.payments.acts import OperationRequest
from sgpshop.services.payments.clocks import usable_gateway
from sgpshop.services.payments.second_look import ApprovalAsked
from sgpshop.storage import queue
from sgpshop.storage.database import read_alone, writing
from sgpshop.storage.questions import Question
from sgpshop.storage.queue import Task, Urgency
from sgpshop.storage.rows import put
from sgpshop.storage.rows import read as rows_of

#: What a program said of parcels is told for so long; so many of its runs go in one transaction.
_PROGRAMS_KEPT, _FORGOTTEN_AT_ONCE = timedelta(weeks=8), 20
#: 処理を実行 with nothing ticked, wherever it was pressed (R46)
NO_ORDER_CHOSEN = "注文が選択されていません。処理する注文にチェックを入れてください。"


class RunChanged(ShopError):
    """A run is not what was seen of it any more; nothing was begun (P20)."""

    status = 409
    sentence = (
        "表示したあとで、対象の件数か金額が変わりました。まだ何も行っていません。"
        "いまの内容を確認してから、もう一度操作してください。"
    )


@dataclass(frozen=True)
class RunPreview:
    """What a confirmation says before anything happens (R47); amounts in yen."""

    run_id: str
    action: Action
    eligible: int
    eligible_yen: int
    left_out: list[tuple[Reason, int]]
    #: the same, order by order, by reason
    refused: list[Refused]
    needs_second_confirmation: bool
    #: yen that a second person has to agree to first (R157)
    yen_to_approve: int
    #: of this action alone (Action.figures)
    figures: Any

    @property
    def nothing_to_do(self) -> bool:
        """Whether every chosen order is left out."""
        return self.eligible == 0


def prepare(order_ids: Sequence[int], action: str, *, person_id: int, actor: str) -> str:
    """Write down a selection as it is seen now; returns the id of the run, not yet started.

    Raises ShopError when nothing was chosen (R46), more than `bulk_max` orders (R50), or for the
    word of an action that there is not.
    """
    known = actions.find(action)
    if known is None:
        raise ShopError("処理内容が選択されていません。「一括処理を選択」から選んでください。")
    if not order_ids:
        raise ShopError(NO_ORDER_CHOSEN)
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
        put(
            session.connection(),
            _items,
            ("run_id", "position", "order_id", "amount", "version"),
            [
                (run_id, position, order.id, known.amount(order), order.version)
                for position, order in enumerate(chosen)
            ],
        )
    return run_id


def get(run_id: str) -> BulkRun:
    """The run.  Raises NotFound."""
    run = db.session.get(BulkRun, run_id)
    if run is None:
        raise NotFound("この一括処理は見つかりません。")
    return run


def action_of(run_id: str) -> str:
    """The word of what this run does with its orders; "" when there is no such run."""
    return db.session.scalar(sa.select(BulkRun.action).where(BulkRun.id == run_id)) or ""


def preview(run_id: str, person_id: int) -> RunPreview:
    """What would happen if this run were started now.  Raises NotFound, also for another's run."""
    action = _own(run_id, person_id)
    now = utc_now()
    taken, refused = _weighed(db.session(), run_id, action, now)
    orders = [order for _, order in taken]
    yen = sum(action.amount(order) for order in orders)
    return RunPreview(
        run_id=run_id,
        action=action,
        eligible=len(orders),
        eligible_yen=yen,
        left_out=Counter(one.reason for _, one in refused).most_common(),
        refused=sorted((one for _, one in refused), key=lambda one: one.reason.label),
        needs_second_confirmation=action.has_yen and action.asks_twice(orders, yen),
        yen_to_approve=_yen_to_approve(action, orders),
        figures=action.figures(orders, [one for _, one in refused], now),
    )


def start(
    run_id: str,
    *,
    person_id: int,
    sum_confirmed: bool = False,
    seen: tuple[int, int] | None = None,
) -> None:
    """Accept the run: hand every line that can take part to the worker, note why others cannot.

    `seen`: orders and yen that the person saw; fewer can take part by now, but never more (P20): a
    lock of time runs out, and a colleague takes note of an alert.  A second start does nothing (P19).
    Raises NotFound (also for somebody else's run), RunChanged, ShopError when the second confirmation
    is missing (S21), no order can take part, or there is no usable contract (R2).  Raises
    ApprovalAsked where a second person has to agree: that is written down then.
    """
    action = _own(run_id, person_id)
    if action.operation is not None:
        usable_gateway()
    with writing() as session:
        run = session.get_one(BulkRun, run_id, populate_existing=True, with_for_update=True)
        if run.started_at is not None:
            return
        now = utc_now()
        taken, refused = _weighed(session, run_id, action, now, lock=True)
        orders = [order for _, order in taken]
        if not orders:
            raise ShopError(action.nothing)
        yen = sum(line.amount for line, _ in taken)
        if seen is not None and (len(orders) > seen[0] or yen > seen[1]):
            raise RunChanged
        if action.has_yen and action.asks_twice(orders, yen) and not sum_confirmed:
            raise ShopError("件数と合計金額を確認のうえ、確認欄にチェックを入れてください。")
        _leave_out(session, refused, now)
        asked = _asked(session, run, action, orders)
        if asked is None:
            _begin(session, run, action, taken)
            second_look.not_needed(session, bulk=run_id)  # it records, which comes last of all
            event = (
                ActivityEvent.BULK_STARTED
                if action.operation is None
                else ActivityEvent.MONEY_RUN_STARTED
            )
            activities.record(
                session,
                event,
                action.label,
                by=run.actor,
                count=len(orders),
                yen=yen if action.has_yen else None,
            )
    if asked is not None:
        raise asked
    logs.event("bulk_started", run=run_id, action=action.word, orders=len(orders), yen=yen)


def _asked(
    session: Session, run: BulkRun, action: Action, orders: Sequence[Facts]
) -> ApprovalAsked | None:
    """The request for what a second person has to agree to; None: nobody has to (R157).

    Who was left out by now stays so: the run can only become smaller until it is approved.
    """
    operation, yen = action.operation, _yen_to_approve(action, orders)
    if operation is None or not yen:
        return None
    before = second_look.newest_of_run(bulk=run.id)
    if before is not None and before.is_waiting:
        return ApprovalAsked(before)
    return ApprovalAsked(
        second_look.ask(
            session,
            Actor.person(run.actor),
            bulk_run_id=run.id,
            what=action.label,
            operation=operation,
            orders=len(orders),
            yen=yen,
        )
    )


def _yen_to_approve(action: Action, orders: Sequence[Facts]) -> int:
    operation = action.operation
    if operation is None:
        return 0
    captures = operation is Operation.CAPTURE
    return yen_to_approve(orders, operation, settings.load(), captures=captures)


def start_approved(session: Session, run: BulkRun, seen: tuple[int, int], by: str) -> int:
    """Begin a run that was asked for, whose row is locked, as `by` agreed to; how many orders.

    `seen`: orders and yen that `by` saw (P20); who can take part no longer is left out with the reason.
    Raises RunChanged where it is not those any more, ShopError where nobody is left.
    """
    action = actions.find(run.action)
    now = utc_now()
    if action is None or run.started_at is not None:
        raise ShopError("この一括処理は、もう開始できません。")
    taken, refused = _weighed(session, run.id, action, now, lock=True)
    if not taken:
        raise ShopError(action.nothing)
    if (len(taken), sum(line.amount for line, _ in taken)) != seen:
        raise RunChanged
    _leave_out(session, refused, now)
    _begin(session, run, action, taken, agreed_by=by)
    return len(taken)


def _begin(
    session: Session,
    run: BulkRun,
    action: Action,
    taken: Sequence[tuple[Line, Facts]],
    *,
    agreed_by: str = "",
) -> None:
    """Hand the lines to the worker; the run's row is locked, and so are the orders."""
    run.started_at = utc_now()
    if action.operation is None:
        run.is_work_due = True
        queue.tell(session, Task.SWEEP, [0], Urgency.MANY)
        return
    choices = {second_look.APPROVED_BY: agreed_by} if agreed_by else {}
    wanted = OperationRequest(action.operation, choices=choices, is_agreed=bool(agreed_by))
    orders = [order for _, order in taken]
    acts.open(session, orders, wanted, Actor.person(run.actor))
    session.connection().execute(_OF_ATTEMPTS, {"run": run.id})


_items = table_of(BulkItem)
#: Each line that waits is of the attempt that was opened on its order: no order has two that are open.
_OF_ATTEMPTS = (
    sa.update(_items)
    .where(_items.c.run_id == sa.bindparam("run"), _items.c.result == ItemResult.PENDING)
    .values(
        attempt_id=sa.select(Attempt.id)
        .where(Attempt.order_id == _items.c.order_id, Attempt.is_open)
        .scalar_subquery()
    )
)
_LINES = (
    sa.select(*(getattr(BulkItem, name) for name in Line._fields))
    .where(BulkItem.run_id == sa.bindparam("run"), BulkItem.result == ItemResult.PENDING)
    .order_by(BulkItem.position)
)


def latest_running(person_id: int) -> Question[str | None]:
    """The newest run of this person that still has lines to work off."""
    return Question(_latest_running(person_id), lambda row: row[0])


@lru_cache(maxsize=64)
def _latest_running(person_id: int) -> sa.Select[str | None]:
    newest = (
        sa.select(BulkRun.id)
        .where(BulkRun.person_id == person_id, is_running())
        .order_by(BulkRun.started_at.desc())
        .limit(1)
    )
    return sa.select(newest.scalar_subquery())


def is_running() -> sa.ColumnElement[bool]:
    """Condition: started, with lines to work off."""
    has_work = sa.exists().where(
        BulkItem.run_id == BulkRun.id, BulkItem.result == ItemResult.PENDING
    )
    return sa.and_(BulkRun.started_at.is_not(None), has_work)


def tidy() -> None:
    """Drop what nobody confirmed within a day, and what programs said of parcels eight weeks ago.

    What was done is in the history of the orders.
    """
    yesterday = utc_now() - timedelta(days=1)
    with writing() as session:
        for run, of_run in ((BulkRun, Approval.bulk_run_id), (SlipRun, Approval.slip_run_id)):
            waits = sa.exists().where(of_run == run.id, Approval.state == ApprovalState.WAITING)
            session.execute(
                sa.delete(run)
                .where(run.started_at.is_(None), run.created_at < yesterday, ~waits)
                .execution_options(synchronize_session=False)
            )

    is_open = sa.exists().where(SlipRow.run_id == SlipRun.id, SlipRow.result == ItemResult.PENDING)
    old = sa.select(SlipRun.id).where(
        SlipRun.key_id.is_not(None), SlipRun.started_at < utc_now() - _PROGRAMS_KEPT, ~is_open
    )
    while ids := read_alone(old.limit(_FORGOTTEN_AT_ONCE)):
        with writing() as session:
            session.execute(sa.delete(SlipRun).where(SlipRun.id.in_(ids)))


def _own(run_id: str, person_id: int) -> Action:
    """The action of a run that this person prepared.  Raises NotFound."""
    run = get(run_id)
    action = actions.find(run.action)
    if run.person_id != person_id or action is None:
        raise NotFound("この一括処理は見つかりません。")
    return action


def _weighed(
    session: Session, run_id: str, action: Action, now: datetime, *, lock: bool = False
) -> tuple[list[tuple[Line, Facts]], list[tuple[Line, Refused]]]:
    """The lines that can take part now, and those that are left out."""
    lines = [*map(Line._make, rows_of(_LINES, {"run": run_id}))]
    orders = load_facts((line.order_id for line in lines), lock=lock)
    terms = settings.load()
    taken, refused = [], []
    for line in lines:
        order = orders.get(line.order_id)
        if order is None:  # taken back at this very moment, and the line with it
            continue
        reason = action.left_out(line, order, terms, now)
        if reason is None:
            taken.append((line, order))
        else:
            refused.append((line, Refused(order, reason)))
    return taken, refused


def _leave_out(session: Session, refused: Sequence[tuple[Line, Refused]], now: datetime) -> None:
    skipped = [
        {
            "id": line.id,
            "result": ItemResult.SKIPPED,
            "reason": str(one.reason),
            "finished_at": now,
        }
        for line, one in refused
    ]
    if skipped:
        session.execute(sa.update(BulkItem), skipped)
