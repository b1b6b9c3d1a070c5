"""Yes or no to what waits, once, and what was not decided in time (R157)."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop import logs
from sgpshop.domain import rights
from sgpshop.domain.activities import ActivityEvent
from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.domain.rights import Role
from sgpshop.domain.second_look import LONGEST_REASON, ApprovalState
from sgpshop.domain.text import has_control_characters
from sgpshop.models import (
    ActorKind,
    ApiKey,
    Approval,
    BulkRun,
    ItemResult,
    Order,
    Person,
    SlipRow,
    SlipRun,
    utc_now,
)
from sgpshop.services.approvals.waiting import asked_by, get, why_void
from sgpshop.services.bulk import runs as bulk_runs
from sgpshop.services.deliveries.slips import runs as slip_runs
from sgpshop.services.orders import acting
from sgpshop.services.orders.history import WORKER, Actor
from sgpshop.services.payments import acts, second_look
from sgpshop.services.payments.acts import OperationRequest
from sgpshop.services.payments.clocks import usable_gateway
from sgpshop.storage.database import read_alone, writing

#: A sweep ends so many at once.
_ENDED_AT_ONCE = 100
_LOCKED: Any = {"populate_existing": True, "with_for_update": True}


class AlreadyDecided(ShopError):
    """Somebody was first; nothing was done."""

    status = 409

    def __init__(self, approval: Approval) -> None:
        by = f"({approval.decided_by}さん)" if approval.decided_by else ""
        super().__init__(f"この依頼は、すでに「{approval.state.label}」になっています{by}。")
        self.state, self.decided_by = approval.state, approval.decided_by


class RequestVoid(ShopError):
    """What it was about changed meanwhile: it is void now, and nothing was sent."""

    status = 409

    def __init__(self, why: str) -> None:
        why = why.removesuffix("。")
        super().__init__(
            f"承認できませんでした。{why}。SMBC-GPへの送信は行っていません。"
            "必要なら、いまの内容でもう一度依頼してもらってください。"
        )


class OwnRequest(ShopError):
    """The second person has to be another one; nothing was done."""

    sentence = "ご自身(またはご自身が作成したAPIキー)の依頼は承認できません。ほかの人に承認してもらってください。"


def approve(approval_id: int, *, by: str, seen: tuple[int, int]) -> Approval:
    """Begin what was asked for, as the person `by` agrees to: `seen` are the orders and yen they saw.

    Once, whoever else presses at the same moment.  Everything is asked again first: what changed makes
    it void.  Raises NotFound, AlreadyDecided, OwnRequest, RequestVoid, RunChanged, or ShopError
    without the right, or a usable contract or clock; nothing was sent then.
    """
    usable_gateway()
    with writing() as session:
        approval, order, run = _locked(session, approval_id)
        _require_second(session, approval, by)
        why = why_void(session, approval)
        if not why:
            step = session.begin_nested()
            try:
                _begin(session, approval, order, run, by, seen)
            except bulk_runs.RunChanged:
                raise
            except ShopError as problem:
                step.rollback()
                why = problem.message
            else:
                step.commit()
        if why:
            _end(session, approval, _over(approval), WORKER, why)
        else:
            _agreed(session, approval, order, by)
    if why:
        raise RequestVoid(why)
    logs.event("approval_given", approval=approval_id, by=by)
    return get(approval_id)


def _begin(
    session: Session,
    approval: Approval,
    order: Order | None,
    run: BulkRun | SlipRun | None,
    by: str,
    seen: tuple[int, int],
) -> None:
    if isinstance(run, BulkRun):
        bulk_runs.start_approved(session, run, seen, by)
        return
    if seen != (approval.orders, approval.yen):
        raise bulk_runs.RunChanged
    if isinstance(run, SlipRun):
        slip_runs.start_approved(session, run, seen, by)
        return
    assert order is not None  # else it would be void
    wanted = OperationRequest(
        approval.operation,
        approval.follow_up,
        approval.choices | {second_look.APPROVED_BY: by},
        is_sum_confirmed=True,
        is_agreed=True,
    )
    asker = Actor(approval.actor_kind, approval.actor)
    [attempt] = acts.open(session, [order], wanted, asker)
    approval.attempt_id = attempt.id


def _agreed(session: Session, approval: Approval, order: Order | None, by: str) -> None:
    approval.state, approval.decided_by = ApprovalState.APPROVED, by
    approval.decided_at = utc_now()
    if order is not None:
        second_look.tell(order, "approval_given", Actor.person(by), approval)
    second_look.record(session, ActivityEvent.APPROVAL_GIVEN, approval, by=by)


def refuse(approval_id: int, *, by: str, reason: str) -> Approval:
    """Say no, with the reason that the asker is told.

    Raises NotFound, AlreadyDecided, OwnRequest, or ShopError for no reason or no right.
    """
    why = " ".join(reason.split())
    if not why or len(why) > LONGEST_REASON or has_control_characters(why):
        raise ShopError(f"却下の理由を、{LONGEST_REASON}文字以内で入力してください。")
    with writing() as session:
        approval, _, _ = _locked(session, approval_id)
        _require_second(session, approval, by)
        _end(session, approval, ApprovalState.REFUSED, Actor.person(by), why)
    logs.event("approval_refused", approval=approval_id, by=by)
    return get(approval_id)


def withdraw(approval_id: int, *, by: str) -> Approval:
    """Who asked for it wants it no more.  Raises NotFound, AlreadyDecided, or ShopError for others."""
    with writing() as session:
        approval, _, _ = _locked(session, approval_id)
        if approval.actor_kind is not ActorKind.PERSON or approval.actor != by:
            raise ShopError("取り下げられるのは、依頼した本人だけです。")
        _require_waiting(approval)
        _end(session, approval, ApprovalState.WITHDRAWN, Actor.person(by), "")
    logs.event("approval_withdrawn", approval=approval_id, by=by)
    return get(approval_id)


def tidy() -> None:
    """End what nobody decided in time, or can be approved no more."""
    is_other = sa.exists().where(
        Order.id == Approval.order_id,
        sa.or_(Order.version != Approval.version, Order.total != Approval.total),
    )
    is_by_no_key = sa.exists().where(
        ApiKey.id == Approval.key_id,
        sa.or_(ApiKey.revoked_at.is_not(None), ApiKey.expires_at <= utc_now()),
    )
    is_over = sa.or_(Approval.expires_at <= utc_now(), is_other, is_by_no_key)
    wanted = sa.select(Approval.id).where(Approval.state == ApprovalState.WAITING, is_over)
    for approval_id in read_alone(wanted.order_by(Approval.id).limit(_ENDED_AT_ONCE)):
        with writing() as session:
            approval, _, _ = _locked(session, approval_id)
            if approval.is_waiting and (why := why_void(session, approval)):
                _end(session, approval, _over(approval), WORKER, why)


def _over(approval: Approval) -> ApprovalState:
    is_late = approval.expires_at <= utc_now()
    return ApprovalState.EXPIRED if is_late else ApprovalState.VOID


def _end(session: Session, approval: Approval, state: ApprovalState, by: Actor, why: str) -> None:
    second_look.end(session, approval, state, by, why)
    # A program that asked finds its parcels failed; of a person's file the preview stays (R81).
    if approval.slip_run_id is None or approval.actor_kind is not ActorKind.API_KEY:
        return
    # Over, and told as long as what was carried out: not forgotten as a preview.
    over = sa.update(SlipRun).where(
        SlipRun.id == approval.slip_run_id, SlipRun.started_at.is_(None)
    )
    if session.execute(over.values(started_at=utc_now())).rowcount:  # type: ignore[attr-defined]
        session.execute(
            sa.update(SlipRow)
            .where(SlipRow.run_id == approval.slip_run_id, SlipRow.result == ItemResult.PENDING)
            .values(
                result=ItemResult.FAILED,
                message=f"承認なし:承認の依頼は「{state.label}」です。{why}",
                finished_at=utc_now(),
            )
        )


def _locked(
    session: Session, approval_id: int
) -> tuple[Approval, Order | None, BulkRun | SlipRun | None]:
    """The request and what it is about, locked: that first, in the order of who asks.  Raises NotFound."""
    found = session.get(Approval, approval_id)
    if found is None:
        raise NotFound("この承認の依頼はありません。")
    order: Order | None = None
    run: BulkRun | SlipRun | None = None
    if found.order_id is not None:
        order = acting.lock_order(session, found.order_id)
    elif found.bulk_run_id is not None:
        run = session.get(BulkRun, found.bulk_run_id, **_LOCKED)
    elif found.slip_run_id is not None:
        run = session.get(SlipRun, found.slip_run_id, **_LOCKED)
    approval = session.get_one(Approval, approval_id, **_LOCKED)
    return approval, order, run


def _require_waiting(approval: Approval) -> None:
    if not approval.is_waiting:
        raise AlreadyDecided(approval)


def _require_second(session: Session, approval: Approval, by: str) -> None:
    """It waits, and `by` is another person who may.  Raises AlreadyDecided, OwnRequest or ShopError."""
    _require_waiting(approval)
    person = session.scalar(sa.select(Person).where(Person.name == by))
    if person is None or not person.is_active or not rights.holds(person.role, Role.OPERATOR):
        raise ShopError("承認できるのは、オーナーと担当者です。")
    if asked_by(session, approval, by):
        raise OwnRequest
