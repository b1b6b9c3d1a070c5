"""What waits, as the list, the first page and mails tell it; functions read, never change."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased, joinedload

from sgpshop.domain import rights
from sgpshop.domain.errors import NotFound
from sgpshop.domain.rights import Role
from sgpshop.domain.second_look import EXPIRES_AFTER, ApprovalState
from sgpshop.extensions import db
from sgpshop.models import (
    ActorKind,
    ApiKey,
    Approval,
    Attempt,
    BulkItem,
    BulkRun,
    ItemResult,
    Operation,
    Order,
    Person,
    Scope,
    SlipRow,
    utc_now,
)
from sgpshop.services import settings
from sgpshop.services.bulk import runs
from sgpshop.services.order_search.totals import Total
from sgpshop.services.payments import second_look
from sgpshop.services.settings import second_person
from sgpshop.storage.questions import Question

_WAITING_SHOWN, _ENDED_SHOWN = 200, 50
_ORDERS_SHOWN = 100
_IS_WAITING = Approval.state == ApprovalState.WAITING
_WAITING = sa.select(
    sa.func.count(Approval.id), sa.func.coalesce(sa.func.sum(Approval.yen), 0)
).where(_IS_WAITING)
_NOT_AGREED = (ApprovalState.REFUSED, ApprovalState.VOID, ApprovalState.EXPIRED)


@dataclass(frozen=True)
class Content:
    """What a request is about by now."""

    #: orders that would be acted on, and their yen
    count: int
    yen: int
    #: number and yen of each, not more than a person reads
    orders: Sequence[tuple[str, int]]
    #: orders of it that can take part no longer
    left_out: int = 0
    #: why it can be approved no more; "" while it can
    void: str = ""


def waiting(most: int = _WAITING_SHOWN) -> Sequence[Approval]:
    """What waits, the oldest first; of what a program asks for by the thousand the first `most`."""
    return db.session.scalars(
        sa.select(Approval)
        .where(_IS_WAITING)
        .options(joinedload(Approval.order))
        .order_by(Approval.asked_at, Approval.id)
        .limit(most)
    ).all()


def ended() -> Sequence[Approval]:
    """The last that were decided or are over, the newest first."""
    return db.session.scalars(
        sa.select(Approval)
        .where(~_IS_WAITING)
        .options(joinedload(Approval.order))
        .order_by(Approval.decided_at.desc(), Approval.id.desc())
        .limit(_ENDED_SHOWN)
    ).all()


def get(approval_id: int) -> Approval:
    """One of them.  Raises NotFound."""
    found = db.session.get(Approval, approval_id, populate_existing=True)
    if found is None:
        raise NotFound("この承認の依頼はありません。")
    return found


def waiting_question() -> Question[Total]:
    """How many wait, and their yen."""
    return Question(_WAITING, lambda row: Total(int(row[0]), int(row[1])))


def not_agreed_to(name: str) -> Total:
    """What this person asked for, nobody agreed to within the last days, and was not taken up again since.

    How many, and their yen: nothing was sent, and nobody else is to do anything about it.
    """
    newer = aliased(Approval)
    is_asked_again = sa.exists().where(
        newer.id > Approval.id,
        sa.or_(
            newer.order_id == Approval.order_id,
            newer.bulk_run_id == Approval.bulk_run_id,
            newer.slip_run_id == Approval.slip_run_id,
        ),
    )
    is_begun = sa.exists().where(
        Attempt.order_id == Approval.order_id, Attempt.created_at >= Approval.asked_at
    )
    count, yen = db.session.execute(
        sa.select(sa.func.count(Approval.id), sa.func.coalesce(sa.func.sum(Approval.yen), 0)).where(
            Approval.actor_kind == ActorKind.PERSON,
            Approval.actor == name,
            Approval.state.in_(_NOT_AGREED),
            Approval.decided_at >= utc_now() - EXPIRES_AFTER,
            ~is_asked_again,
            ~is_begun,
        )
    ).one()
    return Total(int(count), int(yen))


def what_it_is(approval: Approval) -> Content:
    """Its orders as they are now, and whether it can still be approved."""
    void = why_void(db.session(), approval) if approval.is_waiting else ""
    if approval.order is not None:
        return Content(1, approval.yen, [(approval.order.order_no, approval.yen)], void=void)
    count, yen, left_out = approval.orders, approval.yen, 0
    gone: set[str] = set()
    if approval.is_waiting and approval.bulk_run_id is not None:
        run = db.session.get_one(BulkRun, approval.bulk_run_id)
        now = runs.preview(run.id, run.person_id)
        count, yen, left_out = now.eligible, now.eligible_yen, len(now.refused)
        gone = {one.order.order_no for one in now.refused}
        void = void or (now.action.nothing if now.nothing_to_do else "")
    shown = [one for one in _orders_of(approval) if one[0] not in gone]
    return Content(count, yen, shown[:_ORDERS_SHOWN], left_out, void)


def _orders_of(approval: Approval) -> list[tuple[str, int]]:
    """Number and yen of the orders of a run, in the order of its work."""
    if approval.bulk_run_id is not None:
        wanted = (
            sa.select(Order.order_no, BulkItem.amount)
            .join(Order, Order.id == BulkItem.order_id)
            .where(BulkItem.run_id == approval.bulk_run_id, BulkItem.result != ItemResult.SKIPPED)
            .order_by(BulkItem.position)
        )
    else:
        wanted = (
            sa.select(SlipRow.order_no, sa.func.coalesce(SlipRow.amount, 0))
            .where(SlipRow.run_id == approval.slip_run_id, SlipRow.amount.is_not(None))
            .order_by(SlipRow.line)
        )
    return [(row[0], int(row[1])) for row in db.session.execute(wanted)]


def why_void(session: Session, approval: Approval) -> str:
    """Why a request that waits can be approved no more; "" while it can."""
    if approval.expires_at <= utc_now():
        return "依頼から7日が過ぎました"
    if not _may_still_ask(session, approval):
        if approval.actor_kind is ActorKind.API_KEY:
            return "依頼したAPIキーが無効になったか、その権限がなくなりました"
        return "依頼した人の権限がなくなりました"
    if approval.order is not None:
        if not second_look.is_as_asked(approval, approval.order):
            return second_look.CHANGED
    elif approval.bulk_run_id is None and approval.slip_run_id is None:
        return "依頼の内容が残っていません"
    return ""


def _may_still_ask(session: Session, approval: Approval) -> bool:
    """Whether who asked could still ask for it."""
    if approval.actor_kind is ActorKind.API_KEY:
        is_theirs = (
            ApiKey.name == approval.actor
            if approval.key_id is None
            else ApiKey.id == approval.key_id
        )
        keys = session.scalars(
            sa.select(ApiKey).where(
                is_theirs,
                ApiKey.revoked_at.is_(None),
                sa.or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > utc_now()),
            )
        )
        return any(Scope.CAPTURE in key.scopes for key in keys)
    person = session.scalar(sa.select(Person).where(Person.name == approval.actor))
    if person is None or not person.is_active:
        return False
    if rights.holds(person.role, Role.OPERATOR):
        return True
    # Who only ships captures with slip numbers, where the shop does so usually (R150).
    is_of_slips = approval.operation is Operation.CAPTURE and approval.bulk_run_id is None
    return is_of_slips and rights.may_capture_with_slips(
        person.role, is_usual=settings.load().capture_on_slip
    )


def asked_by(session: Session, approval: Approval, name: str) -> bool:
    """Whether this person asked, or made the key of the program that did."""
    return _is_asked_by(approval, name, _makers(session, [approval]))


def _makers(session: Session, asked: Sequence[Approval]) -> set[tuple[str, str]]:
    """Names of the programs among who asked, and of the people who made their keys; at most one query."""
    programs = {one.actor for one in asked if one.actor_kind is ActorKind.API_KEY}
    keys = sa.select(ApiKey.name, ApiKey.created_by).where(ApiKey.name.in_(programs))
    return {(row.name, row.created_by) for row in session.execute(keys)} if programs else set()


def _is_asked_by(approval: Approval, name: str, makers: Set[tuple[str, str]]) -> bool:
    if approval.actor_kind is ActorKind.API_KEY:
        return (approval.actor, name) in makers
    return approval.actor == name


def may_decide(approval: Approval, name: str) -> bool:
    """Whether this person, who has the right, is not the one who asked."""
    return not asked_by(db.session(), approval, name)


def ids_of_others(asked: Sequence[Approval]) -> list[frozenset[int]]:
    """Of who may approve each; two queries, however many there are."""
    session = db.session()
    people = second_person.who_may_approve(session)
    makers = _makers(session, asked)
    return [
        frozenset(person.id for person in people if not _is_asked_by(one, person.name, makers))
        for one in asked
    ]


def others(approval: Approval | None = None, name: str = "") -> list[str]:
    """Names of who may approve this; without one, of who may approve what `name` asks for."""
    session = db.session()
    people = [row.name for row in second_person.who_may_approve(session)]
    if approval is None:
        return [one for one in people if one != name]
    return [one for one in people if not asked_by(session, approval, one)]
