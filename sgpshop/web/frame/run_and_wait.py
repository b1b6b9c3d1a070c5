"""A click that moves money: accept it, let it run, wait a moment for the answer (P6, P23)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from flask import current_app, flash
from flask_login import current_user

from sgpshop.domain.errors import NotPossible
from sgpshop.domain.order_rules import is_unsent
from sgpshop.domain.payment_status import CAPTURABLE, PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Attempt, AttemptState, FollowUp, Operation, Order
from sgpshop.services.orders import acting
from sgpshop.services.orders.acting import Seen
from sgpshop.services.orders.history import Actor
from sgpshop.services.orders.reading import get_order, get_order_anew
from sgpshop.services.payments import acts, attempt_lookup, journal, transaction_lookup
from sgpshop.services.payments.acts import OperationRequest
from sgpshop.services.payments.transactions import standing
from sgpshop.storage.queue import Task, tell_now


def carry_out(
    order_no: str,
    wanted: OperationRequest,
    seen: Seen,
    actor: Actor | None = None,
    also: Callable[[Order], None] | None = None,
) -> str:
    """Accept what is `wanted` for this order and return when it ended, or after ANSWER_WAIT seconds.

    What is still under way then goes on by itself and shows as 処理中.  `actor` None: the person
    who is signed in; `also` as in `acts.open_attempt`.
    Returns what happened to the money, "" unless it is done.
    Raises NotFound, and ShopError when it was not accepted: nothing was sent then; ApprovalAsked
    when it waits for a second person (R157).
    """
    order_id = acting.id_of(order_no)
    actor = actor or Actor.person(current_user.name)
    return wait_for(order_no, acts.open_attempt(order_id, wanted, seen, actor, also))


def wait_for(order_no: str, attempt_id: int) -> str:
    """What happened to the money by then, as `carry_out` returns it."""
    tell_now(Task.OPERATION, attempt_id)
    journal.wait_for_end(attempt_id, current_app.config["ANSWER_WAIT"])
    ended = db.session.get_one(Attempt, attempt_id, populate_existing=True)
    if ended.state is not AttemptState.DONE:
        return ""  # the panel says why, or that it goes on
    done = _done(order_no, ended)
    if ended.follow_up is FollowUp.CAPTURE and _was_captured_after(ended):
        return f"{done}続けて、実売上 ¥{ended.amount:,} が完了しました。"
    return done


def tell_end(order_no: str) -> None:
    """Say what the operation did that a page waited for, once it has ended.

    For the request that such a page makes by itself: who pressed was answered before that.
    """
    last = db.session.scalar(
        sa.select(Attempt)
        .where(Attempt.order_id == acting.id_of(order_no))
        .order_by(Attempt.id.desc())
        .limit(1)
    )
    if last is not None and last.state is AttemptState.DONE and last.operation in _DONE:
        flash(_done(order_no, last), "success")


def _done(order_no: str, attempt: Attempt) -> str:
    """What this operation has done with the money; of a cancel what the panel says beside it."""
    told = ""
    if attempt.operation is Operation.CANCEL:
        transaction = get_order_anew(order_no).transaction
        if transaction and transaction.cancelled_at and transaction.gateway_amount:
            back = "返金" if transaction.captured_at else "解放"
            told = f"¥{transaction.gateway_amount:,} は{back}済みです。"
    return _DONE[attempt.operation].format(number=order_no, yen=f"¥{attempt.amount:,}") + told


def _was_captured_after(first: Attempt) -> bool:
    """Whether the second step of the act, an attempt of its own, has taken the money as well."""
    captured = sa.exists().where(
        Attempt.order_id == first.order_id,
        Attempt.id > first.id,
        Attempt.operation == Operation.CAPTURE,
        Attempt.state == AttemptState.DONE,
    )
    return bool(db.session.scalar(sa.select(captured)))


_DONE = {
    Operation.CAPTURE: "{number} 実売上 {yen} が完了しました。",
    Operation.CHANGE_AMOUNT: "{number} SMBC-GP側の金額を {yen} に変更しました。",
    Operation.EXTEND: "{number} オーソリ期間を延長しました({yen})。",
    Operation.REFUND_DIFFERENCE: "{number} 差額を返金し、{yen} の売上になりました。",
    Operation.CANCEL: "{number} をキャンセルしました。",
}


def reconcile(order_no: str) -> str:
    """照合: look the order up now, wait a moment, say what was found (R120, P13).

    An operation in doubt is looked up as such; one under way will end by itself.  Raises NotFound.
    """
    order = get_order(order_no)
    seen, patience = _OrderBefore.of(order), current_app.config["ANSWER_WAIT"]
    if order.open_attempt is not None:
        is_over = attempt_lookup.hurry_and_wait(order.open_attempt, patience)
    elif order.transaction is not None:
        is_over = transaction_lookup.look_soon_and_wait(order.transaction, patience)
    else:
        raise NotPossible("SGPカード決済の注文ではないため、照合する取引がありません。")
    if not is_over:
        return "SMBC-GPに確認しています。結果はこの画面に表示されます。"
    return _what_was_found(seen, get_order_anew(order_no))


@dataclass(frozen=True)
class _OrderBefore:
    """How an order stood before the look-up."""

    status: PaymentStatus | None
    amount: int | None
    looked_up_at: datetime | None
    attempt: Attempt | None

    @classmethod
    def of(cls, order: Order) -> _OrderBefore:
        transaction = order.transaction
        return cls(
            order.payment_status,
            transaction.gateway_amount if transaction else None,
            (order.open_attempt or transaction).looked_up_at if transaction else None,
            order.open_attempt,
        )


def _what_was_found(seen: _OrderBefore, order: Order) -> str:
    """What was compared and what came of it, in plain sentences."""
    status, transaction = order.payment_status, order.transaction
    if seen.attempt is not None:
        words = seen.attempt.operation.label
        now = order.open_attempt
        if now is not None and now.uncertain_since is None:
            return f"{words}を処理中です。結果はこの画面に表示されます。"
        if now is not None and now.looked_up_at == seen.looked_up_at:
            return f"{words}の結果は確認したばかりです。自動で確認を続けます。"
        if now is not None:
            return f"{words}の結果をSMBC-GPに確認しました。まだ判断できないため、自動で確認を続けます。"
        return (
            f"{words}の結果をSMBC-GPに確認し、「{status.label if status else ''}」と分かりました。"
        )
    if transaction is None or transaction.look_problem:
        return "SMBC-GPに確認しましたが、照合できませんでした。理由は決済情報に表示しています。"
    if transaction.looked_up_at == seen.looked_up_at or status is None:
        return "SMBC-GPに確認しています。結果はこの画面に表示されます。"
    amount = transaction.gateway_amount
    if status is not seen.status and seen.status is not None:
        return (
            f"SMBC-GPと照合しました。SMBC-GPの取引は「{standing(transaction)}」だったため、"
            f"「{seen.status.label}」から「{status.label}」に合わせました。"
        )
    if amount != seen.amount and amount is not None and seen.amount is not None:
        result = f"状態({status.label})は一致し、SMBC-GP側金額は{amount:,}円に変わっていました。"
        if seen.amount == order.total:  # nobody changed it here: there is nothing to send (B5)
            return f"SMBC-GPと照合しました。{result}合計金額{order.total:,}円とどちらが正しいか、確かめてください。"
    elif status is PaymentStatus.NEEDS_REVIEW:
        return f"SMBC-GPと照合しました。支払いはまだ完了していません({standing(transaction)})。"
    elif amount is None or status is PaymentStatus.CANCELLED:
        result = f"状態({status.label})は一致しています(SMBC-GPでは「{standing(transaction)}」)。"
    else:
        result = f"状態({status.label})と金額({amount:,}円)は一致しています。"
    if is_unsent(order) and status in CAPTURABLE:
        result += f"合計金額{order.total:,}円への変更は、まだ送信されていません。"
    return f"SMBC-GPと照合しました。{result}"
