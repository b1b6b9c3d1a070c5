"""Everything the screen 詳細注文情報 shows of one order, in a fixed number of queries (R53)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from sgpshop.domain.amounts import AMOUNT_COLUMNS, Breakdown, break_down_order
from sgpshop.domain.order_rules import is_unsent
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.gateway import ErrorKind, explain, worst
from sgpshop.models import (
    Alert,
    Attempt,
    BillingState,
    CardTransaction,
    HistoryEntry,
    Operation,
    Order,
    OrderKind,
    UnknownNumber,
)
from sgpshop.models.attempt import AttemptState
from sgpshop.services import settings
from sgpshop.services.orders import alerts, history
from sgpshop.services.orders.reading import get_order
from sgpshop.services.payments import answers_taken_back, unknown_numbers
from sgpshop.services.payments.attempt_lookup import describe_look
from sgpshop.services.payments.error_content import error_content, is_past
from sgpshop.services.subscriptions import facts
from sgpshop.services.subscriptions.facts import BillingFacts
from sgpshop.services.subscriptions.use import in_use_question
from sgpshop.storage.questions import Question, answers


@dataclass(frozen=True)
class OrderProblem:
    """The error content of an order (R15, R16): what happened, what to do, and the evidence."""

    headline: str
    sentence: str
    next_step: str
    codes: tuple[str, ...] = ()
    at: datetime | None = None
    actor: str = ""


@dataclass(frozen=True)
class Detail:
    """One order with its breakdown, error content and history."""

    order: Order
    breakdown: Breakdown
    problem: OrderProblem | None
    #: what the last look-up of an operation in doubt showed, in words; "" for nothing
    last_look: str
    history: list[HistoryEntry]
    #: what look-ups found and nobody has acknowledged yet (R121)
    alerts: list[Alert]
    #: the latest monthly registration of a subscription order
    billing: BillingFacts | None
    #: all its transactions at SMBC-GP by number, where there can be several (R106, R112)
    transactions: list[CardTransaction]
    #: payments at SMBC-GP of which a person has to say whose they are, and what there is to say
    questions: Sequence[tuple[UnknownNumber, Sequence[unknown_numbers.Answer]]]
    #: those of which somebody said it, and can take that back
    answered: Sequence[UnknownNumber]

    @property
    def is_changed_there(self) -> bool:
        """Whether the amount was changed at SMBC-GP itself: ours is still what both agreed on last."""
        agreed = (
            entry.amount_after
            for entry in self.history
            if entry.gateway_amount is not None and entry.gateway_amount == entry.amount_after
        )
        return is_unsent(self.order) and next(agreed, None) == self.order.total


def get_detail(order_no: str) -> Detail:
    """Everything about one order.  Raises NotFound."""
    order = get_order(order_no)
    # What most orders have none of is not asked for one by one; the menu wants to know the last.
    has_numbers, has_alerts, was_refused, _ = answers(
        unknown_numbers.has_any_question(order.id),
        alerts.has_open_question(order.id),
        Question(_WAS_REFUSED, lambda row: bool(row[0]), {"order": order.id}),
        in_use_question(),
    )
    open_numbers, answered = (
        unknown_numbers.open_and_answered(order.id) if has_numbers else ([], [])
    )
    billing = facts.latest_billing(order.id) if order.kind is OrderKind.SUBSCRIPTION else None
    return Detail(
        order=order,
        breakdown=break_down_order(
            {name: getattr(order, name) for name in AMOUNT_COLUMNS},
            order.lines,
            total=order.total,
        ),
        problem=problem_of(order, _last(order) if was_refused else None, billing),
        last_look=describe_look(order.open_attempt) if order.open_attempt else "",
        history=history.entries(order.id),
        alerts=alerts.open_of(order.id) if has_alerts else [],
        billing=billing,
        transactions=[] if order.kind is OrderKind.NORMAL else _transactions(order),
        questions=[(row, unknown_numbers.answers_to(order.kind, row)) for row in open_numbers],
        answered=[row for row in answered if not answers_taken_back.why_not(row)],
    )


def _transactions(order: Order) -> list[CardTransaction]:
    return list(
        db.session.scalars(
            sa.select(CardTransaction)
            .where(CardTransaction.order_id == order.id)
            .order_by(CardTransaction.sequence)
        )
    )


def _newest(wanted: Any) -> sa.Select[Any]:
    its_own = Attempt.order_id == sa.bindparam("order")
    return sa.select(wanted).where(its_own).order_by(Attempt.id.desc()).limit(1)


_LAST: sa.Select[Attempt] = _newest(Attempt)
_WAS_REFUSED = sa.select(_newest(Attempt.state).scalar_subquery() == AttemptState.REJECTED)


def _last(order: Order) -> Attempt:
    return db.session.scalars(_LAST, {"order": order.id}).one()


def problem_of(
    order: Order, last: Attempt | None, billing: BillingFacts | None = None
) -> OrderProblem | None:
    """The error content of `order`; None if nothing is wrong.

    `last` is its newest attempt, which matters where it was refused; `billing` the latest registration
    of a subscription order.
    """
    if order.open_attempt is not None:
        return None  # the panel tells of the operation under way itself
    is_told = last is not None and last.state is AttemptState.REJECTED and not is_past(last, order)
    if _is_unpaid(order, billing) and last is not None and last.operation is Operation.BILL:
        is_told = False  # its line was put off, and the result says more
    if last is not None and is_told:
        return failure_of(last, order)
    if _is_unpaid(order, billing):
        assert billing is not None
        return _unpaid(billing)
    if order.transaction is not None and order.transaction.look_problem:
        return _LOOK_PROBLEMS[order.transaction.look_problem](order.transaction)
    return None


def failure_of(attempt: Attempt, order: Order) -> OrderProblem | None:
    """What went wrong with `attempt`, which was refused."""
    content = error_content(attempt)
    if content is None:
        return None
    is_bill = attempt.operation is Operation.BILL
    if is_bill and order.payment_status is PaymentStatus.AWAITING_BILLING:
        content = replace(content, next_step=f"{_mended(content.next_step)}{_TRIED_AGAIN}")
    if order.payment_status is PaymentStatus.CAPTURE_FAILED:
        if is_bill:
            content = replace(content, next_step=facts.OTHER_WAY)
        elif order.kind is OrderKind.PREORDER and _is_declined(content.codes):
            content = replace(content, next_step=f"{_AFTER_MONTHS}{content.next_step}")
    return OrderProblem(
        headline=_headline(attempt.operation, content.codes),
        sentence=content.sentence,
        next_step=content.next_step,
        codes=content.codes,
        at=attempt.finished_at,
        actor=attempt.actor,
    )


def _headline(operation: Operation, codes: tuple[str, ...]) -> str:
    """Who said no, and to what; without a code nobody did."""
    if not codes:
        return f"{operation.label}は行われませんでした"
    who = "カード会社" if _is_declined(codes) else "SMBC-GP"
    return f"{who}に断られました({operation.label})"


#: R105: 決済待ち stays, and nobody has to do anything but mend what can be mended.
_TRIED_AGAIN = "決済待ちのまま、自動でもう一度登録します(月次ファイルで登録する場合、受付期間の後は次の登録日)。"


def _mended(next_step: str) -> str:
    """What a person can do about it, without the advice to press again."""
    return "" if "もう一度実行" in next_step else next_step


#: R112: months after the check a card may not be good any more.
_AFTER_MONTHS = "もう一度実売上処理ができます(登録されたカードに、新しい取引として請求します)。続けて断られる場合は、"


def _is_declined(codes: tuple[str, ...]) -> bool:
    return bool(codes) and explain(worst(codes)).kind is ErrorKind.BUYER_CARD


def _is_unpaid(order: Order, billing: BillingFacts | None) -> bool:
    return (
        order.payment_status is PaymentStatus.CAPTURE_FAILED
        and billing is not None
        and billing.state is BillingState.NOT_PAID
    )


def _unpaid(billing: BillingFacts) -> OrderProblem:
    """The registered sale came back as NG (T20, R105)."""
    return OrderProblem(
        headline="売上報告の結果がNGでした",
        sentence=f"{billing.why}。{facts.guarantee(settings.load().billing_mode)}",
        next_step=facts.OTHER_WAY,
        codes=billing.codes,
        at=billing.result_at,
        actor="SMBC-GPの結果ファイル",
    )


def _not_found(transaction: CardTransaction) -> OrderProblem:
    return OrderProblem(
        headline="SMBC-GPに取引が見つかりません",
        sentence=(
            f"オーダーID {transaction.gateway_order_id} の取引はSMBC-GPにありませんでした。"
            "購入手続きが完了していないか、別のショップIDの取引の可能性があります。"
        ),
        next_step="ショップIDの設定と、SMBCマルチペイメント管理画面の取引を確認してください。自動で確認を続けます。",
    )


def _unanswered(transaction: CardTransaction) -> OrderProblem:
    known = "表示しているのは、前回確認した状態です。"
    return OrderProblem(
        headline="SMBC-GPに確認できませんでした",
        sentence="取引の確認に応答がありませんでした。"
        + (known if transaction.looked_up_at else "決済の状態はまだ分かりません。"),
        next_step="自動で確認を続けます。続く場合はネットワークと契約情報の設定を確認してください。",
    )


def _mismatch(_transaction: CardTransaction) -> OrderProblem:
    return OrderProblem(
        headline="取引IDが一致しません",
        sentence="注文ファイルの取引IDと、SMBC-GPにある同じオーダーIDの取引IDが異なります。",
        next_step="注文ファイルの取引IDとショップIDの設定を確認してください。",
    )


def _unknown_state(transaction: CardTransaction) -> OrderProblem:
    return OrderProblem(
        headline="決済の状態を判断できません",
        sentence=f"SMBC-GPの取引状態「{transaction.gateway_state or '不明'}」はこのシステムが知らない状態です。",
        next_step="SMBCマルチペイメント管理画面で取引の状態を確認してください。",
    )


def _card_not_kept(_transaction: CardTransaction) -> OrderProblem:
    return OrderProblem(
        headline="請求に使うカードを保存できていません",
        sentence="カードの有効性は確認できましたが、SMBC-GPへのカードの登録に失敗しました(内容は履歴にあります)。",
        next_step="請求の前に、自動でもう一度登録します。続く場合はサイトIDとサイトパスワードの設定を確認してください。",
    )


def _perhaps_paid(transaction: CardTransaction) -> OrderProblem:
    return OrderProblem(
        headline="注文キャンセルかどうか確認できません",
        sentence="ファイルかSMBC-GPでは注文キャンセルですが、この注文の決済がほかの番号にある可能性があります。",
        next_step="結果が分かるまでお待ちください。月次ファイルの結果が届くか、取引がどの注文の決済か決まると、自動で確認します。",
        at=transaction.looked_up_at,
    )


_LOOK_PROBLEMS = {
    "card_not_kept": _card_not_kept,
    "not_found": _not_found,
    "unanswered": _unanswered,
    "mismatch": _mismatch,
    "unknown_state": _unknown_state,
    "perhaps_paid": _perhaps_paid,
}
