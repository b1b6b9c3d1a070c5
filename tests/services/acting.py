"""Doing to an order what a person does, and looking at what came of it."""

from __future__ import annotations

import itertools
from typing import Any, Protocol

import sqlalchemy as sa

from sgpshop.extensions import db
from sgpshop.models import Attempt, AttemptState, FollowUp, Operation, Order
from sgpshop.services.order_detail import editing
from sgpshop.services.orders.acting import Seen
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments import acts, attempt_lookup, cancelling, runner
from sgpshop.services.payments.acts import OperationRequest
from sgpshop.services.payments.journal import RunResult
from tests.factories import fresh
from tests.gateway_world import World

TANAKA = Actor.person("田中")


class Numbered(Protocol):
    """Anything that has an order number."""

    @property
    def order_no(self) -> str: ...


_tokens = itertools.count(1)


def seen(order: Order) -> Seen:
    """What a form opened just now carries."""
    now = fresh(order)
    return Seen(now.version, now.total, f"form {next(_tokens)}")


def run_act(attempt_id: int) -> RunResult:
    """Carry out an attempt and, once it succeeded, the second step of the same act, if any."""
    ran = runner.run_operation(attempt_id)
    following = db.session.scalar(
        sa.select(Attempt.id).where(
            Attempt.order_id.in_(sa.select(Attempt.order_id).where(Attempt.id == attempt_id)),
            Attempt.id > attempt_id,
            Attempt.state == AttemptState.QUEUED,
        )
    )
    db.session.commit()
    return ran if following is None else runner.run_operation(following)


def press(order: Order, operation: Operation, follow_up: FollowUp | None = None) -> Order:
    """Press the button of `operation` and wait for the end of the act."""
    attempt_id = acts.open_attempt(
        order.id,
        OperationRequest(operation, follow_up, is_sum_confirmed=True),
        seen(order),
        TANAKA,
    )
    run_act(attempt_id)
    return fresh(order)


def cancel(order: Order, *, refund_confirmed: bool = True, **choices: bool) -> Order:
    """Press 注文キャンセル and go ahead."""
    wanted = {"restock": False, "return_points": False} | choices
    wanted = cancelling.operation_request(
        order.order_no, refund_confirmed=refund_confirmed, **wanted
    )
    run_act(acts.open_attempt(order.id, wanted, seen(order), TANAKA))
    return fresh(order)


def correct(order: Order, total: int) -> Order:
    """注文内容修正: type another total and press 確定."""
    editing.correct_total(order.id, total, seen(order), TANAKA)
    return fresh(order)


def last_attempt(order: Order) -> Attempt:
    """The newest attempt of the order."""
    db.session.rollback()
    found = db.session.query(Attempt).filter_by(order_id=order.id).order_by(Attempt.id.desc())
    attempt = found.populate_existing().first()
    assert attempt is not None
    return attempt


def look(order: Order) -> Order:
    """Let the uncertain operation be looked up now."""
    attempt_lookup.look_up(last_attempt(order).id)
    return fresh(order)


def effects(world: World, order: Numbered) -> list[tuple[str, int]]:
    """What was carried out at SMBC-GP since the authorization: (JobCd or CHANGE, yen), in order."""
    history: list[dict[str, Any]] = world.trade(order.order_no)["history"]
    return [
        ("CHANGE" if step["api"] == "ChangeTran" else step["job"], step["amount"])
        for step in history
        if step["api"] in ("AlterTran", "ChangeTran") and not step["error"]
    ]
