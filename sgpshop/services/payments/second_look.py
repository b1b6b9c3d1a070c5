"""Asking for a second person's 承認, in place of what would move money (R157).

Whoever begins an act on money asks here first, with its orders locked; `services/approvals` says yes or
no to what was written down.  Nothing is sent before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from sgpshop.domain.activities import ActivityEvent
from sgpshop.domain.errors import NotPossible, ShopError
from sgpshop.domain.order_acts import WhyNot
from sgpshop.domain.second_look import EXPIRES_AFTER, LONGEST_REASON, ApprovalState
from sgpshop.extensions import db
from sgpshop.models import Approval, Order, utc_now
from sgpshop.services.access import activities
from sgpshop.services.orders import history
from sgpshop.services.orders.history import WORKER, Actor

#: `Attempt.choices`: who agreed, told in the history of the order
APPROVED_BY = "approved_by"
CHANGED = "依頼したあとで注文が変わりました"


class ApprovalAsked(ShopError):
    """It waits for a second person; this is written down, nothing was sent."""

    status = 202

    def __init__(self, approval: Approval) -> None:
        super().__init__(
            f"{approval.yen:,}円の{approval.what}は、ほかの人の承認が必要です。承認を依頼しました。"
            "承認されるまで、SMBC-GPには何も送信しません。"
        )
        self.approval_id = approval.id
        self.yen = approval.yen
        self.expires_at = approval.expires_at


class AskedBefore(NotPossible):
    """The same act on the same order waits already; nothing was written."""

    def __init__(self, approval: Approval) -> None:
        super().__init__(
            f"この注文の{approval.what}は、すでに承認を待っています({approval.who}が依頼)。",
            WhyNot.NEEDS_APPROVAL,
        )


class ApprovalNeeded(NotPossible):
    """Where nobody can be asked for it; nothing was done."""

    def __init__(self, yen: int) -> None:
        super().__init__(
            f"{yen:,}円の処理には、ほかの人の承認が必要です。画面から実行して、承認を依頼してください。",
            WhyNot.NEEDS_APPROVAL,
        )


def agreed(choices: Mapping[str, Any]) -> dict[str, Any]:
    """Of an attempt's choices what its second step keeps: who agreed to both."""
    return {name: value for name, value in choices.items() if name == APPROVED_BY}


def ask(session: Session, actor: Actor, **values: object) -> Approval:
    """Write a request down in the present transaction; `values` are columns of it.

    Raises AskedBefore when one for the same waits.
    """
    now = utc_now()
    approval = Approval(
        actor_kind=actor.kind,
        actor=actor.name,
        key_id=actor.key_id,
        asked_at=now,
        expires_at=now + EXPIRES_AFTER,
        state=ApprovalState.WAITING,
        **values,
    )
    step = session.begin_nested()
    try:
        session.add(approval)
        session.flush()
    except IntegrityError:  # the database itself allows one that waits
        step.rollback()
        before = _waiting_beside(session, approval)
        if before is None:
            raise
        raise AskedBefore(before) from None
    step.commit()
    if approval.order_id is not None:
        tell(session.get_one(Order, approval.order_id), "approval_asked", actor, approval)
    record(session, ActivityEvent.APPROVAL_ASKED, approval, by=actor.name)
    return approval


def is_as_asked(approval: Approval, order: Order) -> bool:
    """Whether the one order it is about is as it was seen when somebody asked (P20)."""
    return (order.version, order.total) == (approval.version, approval.total)


def end(
    session: Session,
    approval: Approval,
    state: ApprovalState,
    by: Actor = WORKER,
    why: str = "",
) -> None:
    """Nothing comes of a request that waits; it is locked.  `by` WORKER: nobody wanted that."""
    approval.state, approval.decided_at, approval.reason = state, utc_now(), why[:LONGEST_REASON]
    approval.decided_by = "" if by is WORKER else by.name
    event = _ENDS[state]
    if approval.order_id is not None:
        order = session.get_one(Order, approval.order_id)
        tell(order, event.value, by, approval, why=approval.reason)
    record(session, event, approval, by=by.name, note=approval.reason)


_ENDS = {
    ApprovalState.REFUSED: ActivityEvent.APPROVAL_REFUSED,
    ApprovalState.WITHDRAWN: ActivityEvent.APPROVAL_WITHDRAWN,
    ApprovalState.VOID: ActivityEvent.APPROVAL_VOID,
    ApprovalState.EXPIRED: ActivityEvent.APPROVAL_VOID,
}


def _waiting_beside(session: Session, approval: Approval) -> Approval | None:
    about = (
        (Approval.order_id == approval.order_id, Approval.operation == approval.operation)
        if approval.order_id is not None
        else (
            Approval.bulk_run_id == approval.bulk_run_id,
            Approval.slip_run_id == approval.slip_run_id,
        )
    )
    return session.scalar(
        sa.select(Approval).where(Approval.state == ApprovalState.WAITING, *about)
    )


def tell(order: Order, event: str, actor: Actor, approval: Approval, **detail: Any) -> None:
    """An entry in the history of the one order it is about; the order itself stays as it is."""
    history.record_unchanged(
        order,
        event,
        actor,
        what=approval.what,
        yen=f"{approval.yen:,}円",
        asker=approval.who,
        **detail,
    )


def record(
    session: Session, event: ActivityEvent, approval: Approval, *, by: str, note: str = ""
) -> None:
    """The same in 操作の記録, with both people."""
    about = approval.order.order_no if approval.order is not None else approval.what
    asked = "" if event is ActivityEvent.APPROVAL_ASKED else f"依頼 {approval.who}"
    words = [approval.what if approval.order is not None else "", asked, note]
    activities.record(
        session,
        event,
        about,
        by=by,
        note="、".join(filter(None, words)),
        count=approval.orders if approval.order is None else None,
        yen=approval.yen,
    )


def by_token(session: Session, token: str) -> Approval | None:
    """What the form with this one-time token asked for."""
    return session.scalar(
        sa.select(Approval)
        .where(Approval.request_token == token)
        .execution_options(populate_existing=True)
    )


def newest_of_run(*, bulk: str | None = None, slips: str | None = None) -> Approval | None:
    """The newest request for a run that is not started; None: nobody asked."""
    is_of_run = Approval.bulk_run_id == bulk if bulk else Approval.slip_run_id == slips
    return db.session.scalar(
        sa.select(Approval)
        .where(is_of_run)
        .order_by(Approval.id.desc())
        .limit(1)
        .execution_options(populate_existing=True)
    )


def not_needed(session: Session, *, bulk: str | None = None, slips: str | None = None) -> None:
    """That run (locked) begins without a second person, as the settings say by now: nobody is asked any more.

    After its orders are locked: an entry in 操作の記録 comes last, or others wait in a circle.
    """
    is_of_run = Approval.bulk_run_id == bulk if bulk else Approval.slip_run_id == slips
    waiting = sa.select(Approval).where(is_of_run, Approval.state == ApprovalState.WAITING)
    for approval in session.scalars(waiting.with_for_update()):
        end(
            session,
            approval,
            ApprovalState.VOID,
            why="承認が要らなくなり、依頼した人が開始しました。",
        )


def waiting_of_order(order_id: int) -> list[Approval]:
    """What waits for this order alone."""
    return list(
        db.session.scalars(
            sa.select(Approval)
            .where(Approval.order_id == order_id, Approval.state == ApprovalState.WAITING)
            .order_by(Approval.id)
        )
    )


def refused_before(approval: Approval) -> NotPossible:
    """What became of a request that was not approved, for who sends it again."""
    why = f"(理由:{approval.reason})" if approval.reason else ""
    return NotPossible(
        f"{approval.what}の承認の依頼は「{approval.state.label}」です{why}。SMBC-GPへの送信は行っていません。",
        WhyNot.NOT_APPROVED,
    )
