"""Which act is possible on which order, and why not: the table of rules.md §4.3, asked by screens
and services alike.

`button` answers for one act on one order; a screen shows what it says, a service refuses what it
does not enable (`require`).  Functions read, never change.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from sgpshop.domain import words
from sgpshop.domain.delivery_status import OPEN_STATUSES, DeliveryStatus, ProcessingClass
from sgpshop.domain.errors import NotPossible
from sgpshop.domain.order_rules import (
    Button,
    OrderFacts,
    Parcel,
    Refusal,
    capture_refusal,
    is_mismatched,
    is_unsent,
    reserves_nothing,
    taken_too_much,
)
from sgpshop.domain.payment_status import CAPTURABLE, PaymentStatus
from sgpshop.domain.words import Labelled


class Act(Labelled):
    """What a person can do with one order; the values are used in addresses and hooks."""

    CAPTURE = "capture", "SGPカード実売上処理"
    CANCEL = "cancel", "注文キャンセル"
    EDIT = "edit", "注文内容修正"
    SEND_CHANGES = "send-changes", "変更内容をSMBC-GPに送信"
    DELIVER = "deliver", "配送完了"
    RETURN = "return", "返送処理"
    EXTEND = "extend", "オーソリ期間延長"
    REFUND_DIFFERENCE = "refund-difference", "差額を返金"
    RECONCILE = "reconcile", "照合"


#: Acts on the payment: none of them while another is open (§4.3).
PAYMENT_ACTS = frozenset(
    {Act.CAPTURE, Act.CANCEL, Act.SEND_CHANGES, Act.EXTEND, Act.REFUND_DIFFERENCE}
)


class StatusColumn(StrEnum):
    """How an order stands, as the columns of §4.3 tell it apart; OTHER is not paid by SGP card."""

    AUTHORIZED = "仮売上"
    PREORDER = "仮売上(予約)"
    CAPTURE_FAILED = "売上失敗"
    FAILED_SUBSCRIPTION = "売上失敗(定期)"
    CAPTURED = "決済完了"
    CAPTURED_SHIPPED = "決済完了+ship"
    NEEDS_REVIEW = "要確認"
    AWAITING_BILLING = "決済待ち"
    AWAITING_BILLING_SHIPPED = "決済待ち+ship"
    BILLING_REPORTED = "売上報告済"
    CANCELLED = "注文キャンセル"
    OTHER = "SGPカード以外"


#: ○ enabled, △ disabled with a reason, – absent; columns in the order of StatusColumn.  What depends on
#: more than the column (an open operation, an unsent change, the parcel, settings) is in `button`.
_TABLE = {
    #                       仮 予 失 失定 完 完配 要 待 待配 報 消 他
    Act.CAPTURE:           "○  ○  ○   –  –  –  –  –  –  –  –  –",
    Act.CANCEL:            "○  ○  ○   –  ○  –  ○  ○  –  △  –  –",
    Act.EDIT:              "○  ○  ○   △  △  △  △  ○  △  △  △  ○",
    Act.SEND_CHANGES:      "○  –  ○   –  –  –  –  –  –  –  –  –",
    Act.DELIVER:           "○  ○  ○   –  ○  –  △  ○  –  –  –  ○",
    Act.RETURN:            "○  ○  ○   ○  ○  ○  –  ○  ○  ○  –  ○",
    Act.EXTEND:            "○  –  ○   –  –  –  –  –  –  –  –  –",
    Act.REFUND_DIFFERENCE: "–  –  –   –  ○  ○  –  –  –  ○  –  –",
    Act.RECONCILE:         "○  ○  ○   ○  ○  ○  ○  ○  ○  ○  ○  –",
}  # fmt: skip
TABLE: dict[tuple[Act, StatusColumn], str] = {
    (act, column): mark
    for act, marks in _TABLE.items()
    for column, mark in zip(StatusColumn, marks.split(), strict=True)
}

#: Acts that wait until somebody took note that a file called the order off; capture_refusal says the same.
_NOT_CALLED_OFF = (Act.SEND_CHANGES, Act.EXTEND)

#: The reasons of the table's △ (R60).
_REASONS = {
    (Act.CANCEL, StatusColumn.BILLING_REPORTED): (
        "売上報告済みの注文はこの画面では取り消せません。"
        "翌月以降の月次ファイルで同額の返品を登録する必要があります(要返金)。SMBC-GPにご相談ください。"
    ),
    (Act.EDIT, StatusColumn.FAILED_SUBSCRIPTION): (
        "売上報告の後に失敗した定期購入の注文は修正できません。別の方法で請求してください。"
    ),
    (Act.EDIT, StatusColumn.CAPTURED): "決済完了(入金処理済み)の注文は修正できません。",
    (Act.EDIT, StatusColumn.CAPTURED_SHIPPED): "決済完了(入金処理済み)の注文は修正できません。",
    (
        Act.EDIT,
        StatusColumn.NEEDS_REVIEW,
    ): "要確認の注文は、決済の状態が確認できるまで修正できません。",
    (Act.EDIT, StatusColumn.AWAITING_BILLING_SHIPPED): "配送完了の注文は修正できません。",
    (Act.EDIT, StatusColumn.BILLING_REPORTED): "売上報告済(入金処理済み)の注文は修正できません。",
    (Act.EDIT, StatusColumn.CANCELLED): "注文キャンセル済みの注文は修正できません。",
    (Act.DELIVER, StatusColumn.NEEDS_REVIEW): (
        "要確認の注文は、決済の状態が確認できるまで配送完了にできません。"
    ),
}

#: of オーソリ期間延長 alone (R83)
EXTENDING_IS_OFF = (
    "「SGP:クレジットカードの設定」で、オーソリ期間延長を利用しない設定になっています。"
)

#: An upgrade is under way, and this process does not know what the new one wrote.
_OTHER_VERSION = (
    "このプログラムの版では分からない状態です。新しい版に更新してから操作してください。"
)

#: After the order the buyer of a 要確認 order may still be in 3-D Secure (R96).
REVIEW_LOCK = timedelta(minutes=30)
_CLOCKS_DIFFER = timedelta(hours=1)


class ActTerms(Protocol):
    """The settings that decide about acts (rules.md §10)."""

    @property
    def extend_auth_enabled(self) -> bool: ...
    @property
    def cancel_lock_minutes(self) -> int: ...


def column_of(order: OrderFacts) -> StatusColumn:
    """The column of §4.3 in which this order stands."""
    status, kind = order.payment_status, order.kind
    is_shipped = order.processing_class is ProcessingClass.DELIVERED
    if not order.is_sgp or status is None:
        return StatusColumn.OTHER
    nothing_held = reserves_nothing(order)
    if status is PaymentStatus.CAPTURE_FAILED and kind == "subscription" and nothing_held:
        return StatusColumn.FAILED_SUBSCRIPTION
    if status in CAPTURABLE and kind != "subscription" and nothing_held:
        return StatusColumn.PREORDER
    if is_shipped and status is PaymentStatus.CAPTURED:
        return StatusColumn.CAPTURED_SHIPPED
    if is_shipped and status is PaymentStatus.AWAITING_BILLING:
        return StatusColumn.AWAITING_BILLING_SHIPPED
    # A status of another version: none of the columns with an act on its payment.
    return StatusColumn(status.label) if words.is_known(status) else StatusColumn.OTHER


def button(act: Act, order: OrderFacts, terms: ActTerms, now: datetime) -> Button:
    """How the button of `act` stands for `order` at `now` (aware)."""
    if order.payment_status is not None and not words.is_known(order.payment_status):
        return Button(is_shown=True, reason=_OTHER_VERSION)
    column = column_of(order)
    mark = TABLE[act, column]
    if order.open_attempt is not None and act in PAYMENT_ACTS | {Act.EDIT}:
        # 結果確認中 shows 要確認; which act is in doubt does not matter (§4.3, R98).
        is_of_payment = act in PAYMENT_ACTS and column is StatusColumn.NEEDS_REVIEW
        if (mark == "–" and not is_of_payment) or not _could_stand(act, order, terms):
            return Button(is_shown=False)
        return Button(is_shown=True, reason=Refusal.BUSY.sentence)
    if mark == "–" or not _could_stand(act, order, terms):
        return Button(is_shown=False)
    reason = _REASONS.get((act, column), "") if mark == "△" else _reason(act, order, terms, now)
    return Button(is_shown=True, reason=reason)


def require(act: Act, order: OrderFacts, terms: ActTerms, now: datetime) -> None:
    """Refuse what the button does not offer.  Raises NotPossible with the reason in words."""
    found = button(act, order, terms, now)
    if not found.is_enabled:
        why = why_not(act, order, terms)
        is_off = why == WhyNot.SWITCHED_OFF
        absent = EXTENDING_IS_OFF if is_off else _why_absent(act, order)
        raise NotPossible(found.reason or absent, why)


class WhyNot(StrEnum):
    """Why an act is not possible, as one word for programs (interfaces.md §5)."""

    BUSY = "busy"
    STATUS = "payment_status"
    DELIVERED = "delivered"
    PARCELS = "parcels"
    OTHER_TRANSACTION = "other_transaction"
    NOT_LINKED = "not_linked"
    LOCKED = "cancel_locked"
    NOTHING_TO_SEND = "nothing_to_send"
    NOTHING_TO_REFUND = "nothing_to_refund"
    NOTHING_LEFT = "total_is_zero"
    SWITCHED_OFF = "switched_off"
    #: a second person has not said yes yet, or nobody did (R157)
    NEEDS_APPROVAL = "needs_approval"
    NOT_APPROVED = "not_approved"
    OTHER = "other"


def why_not(act: Act, order: OrderFacts, terms: ActTerms) -> str:
    """The word for why `button` does not enable `act`, which it does not."""
    if act is Act.CAPTURE and (refusal := capture_refusal(order)) is not None:
        return refusal.value
    if order.open_attempt is not None:
        return WhyNot.BUSY
    if act is Act.CANCEL and order.processing_class is ProcessingClass.DELIVERED:
        return WhyNot.DELIVERED
    if TABLE[act, column_of(order)] != "○":
        return WhyNot.STATUS
    if act in PAYMENT_ACTS and is_mismatched(order):
        return WhyNot.OTHER_TRANSACTION
    if act is Act.EXTEND and not terms.extend_auth_enabled:
        return WhyNot.SWITCHED_OFF
    if act in _NOT_CALLED_OFF and order.is_called_off and _could_stand(act, order, terms):
        return Refusal.CALLED_OFF.value
    if act is Act.SEND_CHANGES and not is_unsent(order):
        return WhyNot.NOTHING_TO_SEND
    if act is Act.REFUND_DIFFERENCE and not taken_too_much(order):
        return WhyNot.NOTHING_TO_REFUND
    if act in (Act.SEND_CHANGES, Act.REFUND_DIFFERENCE) and order.total < 1:
        return WhyNot.NOTHING_LEFT
    if act in (Act.SEND_CHANGES, Act.EXTEND):
        return WhyNot.NOT_LINKED
    if act in (Act.DELIVER, Act.RETURN):
        return WhyNot.PARCELS
    return WhyNot.LOCKED if act is Act.CANCEL else WhyNot.OTHER


def _why_absent(act: Act, order: OrderFacts) -> str:
    """The answer to a form whose button is not there (any more)."""
    parcels = order.processing_class
    if act is Act.DELIVER and parcels is not ProcessingClass.UNPROCESSED:
        return f"配送完了にするお届け先が残っていません(処理区分は「{parcels.label}」です)。"
    if act is Act.RETURN and parcels is ProcessingClass.RETURNED:
        return "お届け先はすべて返送処理済みです。"
    if act is Act.CANCEL and parcels is ProcessingClass.DELIVERED:  # R94, R95
        return (
            "配送完了の注文はキャンセルできません。商品が戻ったら返送処理をしてから、"
            "注文キャンセル(返金)をしてください。"
        )
    column = column_of(order).removesuffix("+ship")
    return f"この注文は「{column}」のため、{act.label}はできません。"


def status_change(order: OrderFacts) -> Button:
    """How 「ステータスの変更」 stands: undoing 配送完了 and 返送, on the parcel's axis only (R31).

    要確認 does not matter: where the parcel is has nothing to do with how the payment ends.
    """
    if order.payment_status is PaymentStatus.CANCELLED:
        return Button(
            is_shown=True, reason="注文キャンセル済みの注文のステータスは変更できません。"
        )
    if _is_being_cancelled(order):
        return Button(is_shown=True, reason=_BEING_CANCELLED)
    if any(status_choices(order, parcel) for parcel in order.deliveries):
        return Button(is_shown=True)
    if _was_billed(order):
        return Button(
            is_shown=True,
            reason="売上報告が済んでいるため、配送完了を取り消すことはできません。",
        )
    return Button(is_shown=False)


def status_choices(order: OrderFacts, parcel: Parcel) -> tuple[DeliveryStatus, ...]:
    """What 「ステータスの変更」 can make of one parcel; 配送完了 and 返送 have acts of their own.

    A 返送 can be taken back to the 配送完了 it was before, which counts for the month of then.
    """
    now = parcel.status
    # What was taken stays taken, so nothing but this says that one of several will not leave.
    is_taken = order.payment_status is PaymentStatus.CAPTURED and len(order.deliveries) > 1
    if now is DeliveryStatus.CANCELLED:
        # Cancelled here as a whole, then the payment was found standing: it may yet leave (R120).
        was_whole = order.processing_class is ProcessingClass.CANCELLED
        stands = order.is_sgp and order.payment_status is not PaymentStatus.CANCELLED
        # One of several a file called off, as a correction of the order: so it is taken back (R143).
        may_open = stands if was_whole else _may_edit(order)
        return OPEN_STATUSES if is_taken or may_open else ()
    if _was_billed(order) and now not in OPEN_STATUSES:  # the batch took it (R31)
        return (DeliveryStatus.DELIVERED,) if now is DeliveryStatus.RETURNED else ()
    was_delivered = now is DeliveryStatus.RETURNED and parcel.delivered_at is not None
    before = (DeliveryStatus.DELIVERED,) if was_delivered else ()
    called_off = (DeliveryStatus.CANCELLED,) if is_taken and now in OPEN_STATUSES else ()
    return before + tuple(status for status in OPEN_STATUSES if status is not now) + called_off


def _was_billed(order: OrderFacts) -> bool:
    """Whether the monthly registration took this subscription order, or tried to (R25, R105)."""
    if order.open_attempt is not None and order.open_attempt.operation == "bill":
        return True
    return order.payment_status is PaymentStatus.BILLING_REPORTED or (
        column_of(order) is StatusColumn.FAILED_SUBSCRIPTION
    )


_BEING_CANCELLED = "注文キャンセルの処理中です。結果が出るまでお待ちください。"


def _is_being_cancelled(order: OrderFacts) -> bool:
    """Whether a cancel is under way: its end decides about the parcels too (R92, R94)."""
    return order.open_attempt is not None and order.open_attempt.operation == Act.CANCEL


def is_return_open(order: OrderFacts) -> bool:
    """The badge 返送済み・返金未対応: to be cancelled, and nobody said 返金しない (R90a)."""
    return order.cancel_waived_at is None and needs_cancelling(order)


def return_words(order: OrderFacts) -> str:
    """What is open after a return: a hold is released, money taken is given back (R90a)."""
    is_paid = order.payment_status is PaymentStatus.CAPTURED
    return "返送済み・返金未対応" if is_paid else "返送済み・取消未対応"


def needs_cancelling(order: OrderFacts) -> bool:
    """返送済み・返金未対応, apart from a person's 返金しない: the goods are back, the money is not (R90a)."""
    return _is_back(order) and not is_unbilled(order)


def is_unbilled(order: OrderFacts) -> bool:
    """A subscription that could not be billed: it holds nothing that could be cancelled (R105)."""
    is_failed = order.payment_status is PaymentStatus.CAPTURE_FAILED
    return is_failed and order.kind == "subscription"


def may_waive_cancel(order: OrderFacts) -> bool:
    """Whether 返金しない is to be had: the payment stays, or what was not billed is to be after all."""
    is_returned = order.processing_class is ProcessingClass.RETURNED
    is_open = _is_back(order) or (is_returned and is_refund_open(order))
    return (order.cancel_waived_at is None and is_open) or is_difference_open(order)


def _is_back(order: OrderFacts) -> bool:
    is_returned = order.processing_class is ProcessingClass.RETURNED
    return is_returned and order.payment_status in UNCANCELLED_STATUSES


def is_refund_open(order: OrderFacts) -> bool:
    """要返金: reported as sold, but the goods are back, the order was cancelled, or a file took too much (R104).

    Until a person says when and how the money went back, or that it stays (返金しない, which may have
    been said before it was billed): SMBC-GP takes no cancel of such a sale.
    """
    is_back = order.processing_class in REFUND_CLASSES and order.cancel_waived_at is None
    return (
        order.payment_status is PaymentStatus.BILLING_REPORTED
        and order.refunded_on is None
        and (is_back or _is_filed_too_much(order, asks=True))
    )


def may_undo_refund(order: OrderFacts) -> bool:
    """Whether a record of 返金済み stands that can be taken back (R104)."""
    there = order.transaction
    is_reported = order.payment_status is PaymentStatus.BILLING_REPORTED
    has_any = order.refunded_on is not None or (there is not None and there.given_by_hand > 0)
    return is_reported and has_any


def is_difference_open(order: OrderFacts) -> bool:
    """Whether it is 要返金 for what a file took too much, which may stay as well (返金しない)."""
    return is_refund_open(order) and _is_filed_too_much(order, asks=True)


def _is_filed_too_much(order: OrderFacts, *, asks: bool = False) -> bool:
    """A monthly file took more than the total: only by another way can the difference go back.

    `asks`: and nobody has said since the sale that it stays.
    """
    there, waived_at = order.transaction, order.cancel_waived_at
    if there is None or not taken_too_much(order) or not there.is_filed:
        return False
    if not asks or waived_at is None:
        return True
    return there.captured_at is not None and waived_at < there.captured_at


#: 処理区分 of a reported sale whose money is to go back (R104).
REFUND_CLASSES = frozenset({ProcessingClass.RETURNED, ProcessingClass.CANCELLED})


#: Statuses in which a returned order's payment is still to be cancelled (R90a).
UNCANCELLED_STATUSES = frozenset(
    {
        PaymentStatus.AUTHORIZED,
        PaymentStatus.CAPTURE_FAILED,
        PaymentStatus.CAPTURED,
        PaymentStatus.AWAITING_BILLING,
    }
)


def _could_stand(act: Act, order: OrderFacts, terms: ActTerms) -> bool:
    """Whether settings, kind of order, edits and the parcel let the button be there at all."""
    parcel = order.processing_class
    if act is Act.EXTEND:
        return terms.extend_auth_enabled and not reserves_nothing(order)  # R83
    if act is Act.REFUND_DIFFERENCE:  # a part of the right amount is never given back (R100)
        there = order.transaction
        if there is None or taken_too_much(order) <= 0:
            return False
        # SMBC-GP would give all of it back.
        return not there.given_by_hand and not _is_filed_too_much(order)
    if act is Act.SEND_CHANGES:  # R67, R69
        is_changed = order.edited_at is not None or is_unsent(order)
        return is_changed and not reserves_nothing(order)
    if act is Act.CAPTURE:
        return order.kind != "subscription" or not reserves_nothing(order)  # R23
    if act is Act.CANCEL:
        return parcel is not ProcessingClass.DELIVERED  # R94, R95
    if act is Act.DELIVER:
        return parcel is ProcessingClass.UNPROCESSED
    if act is Act.RETURN:
        # Some parcels may be back already: the others can still follow (R89).
        return parcel is not ProcessingClass.CANCELLED and (
            parcel is not ProcessingClass.RETURNED
            or any(one.status is DeliveryStatus.DELIVERED for one in order.deliveries)
        )
    return True


def _reason(act: Act, order: OrderFacts, terms: ActTerms, now: datetime) -> str:
    """Why a button that is there cannot be pressed now; empty when it can."""
    if act is Act.CAPTURE:
        refusal = capture_refusal(order)
        return refusal.sentence if refusal else ""
    if act in PAYMENT_ACTS and is_mismatched(order):
        return Refusal.OTHER_TRANSACTION.sentence
    if act is Act.CANCEL:
        return _cancel_lock(order, terms, now)
    if act in (Act.DELIVER, Act.RETURN):
        return _BEING_CANCELLED if _is_being_cancelled(order) else ""
    if act is Act.EDIT:
        return _NOT_EDITED.get(order.processing_class, "")
    if act in _NOT_CALLED_OFF and order.is_called_off:
        return Refusal.CALLED_OFF.sentence
    if act is Act.SEND_CHANGES and not is_unsent(order):
        return "金額に変更がないため送信は不要です。"  # R67
    if act is Act.REFUND_DIFFERENCE and order.total < 1:
        return "合計金額が0円です。全額を返金する場合は注文キャンセルをしてください。"
    if act in (Act.SEND_CHANGES, Act.EXTEND):
        transaction = order.transaction
        if transaction is None or not transaction.is_linked or transaction.gateway_amount is None:
            return Refusal.NOT_LINKED.sentence
        if act is Act.SEND_CHANGES and order.total < 1:
            return "0円にする場合は注文キャンセルをしてください。"  # R65
    return ""


_NOT_EDITED = {
    ProcessingClass.DELIVERED: "配送完了の注文は修正できません。",  # R75a
    ProcessingClass.CANCELLED: "注文キャンセル済みの注文は修正できません。",
}


def _may_edit(order: OrderFacts) -> bool:
    """Whether 注文内容修正 is possible, which no setting and no clock decides."""
    is_free = order.open_attempt is None and order.processing_class not in _NOT_EDITED
    return is_free and TABLE[Act.EDIT, column_of(order)] == "○"


def _cancel_lock(order: OrderFacts, terms: ActTerms, now: datetime) -> str:
    """R96: no cancel while the buyer may still be paying, or the shop's own lock runs.

    An order dated further ahead than clocks differ was not placed then, so it locks nothing.
    """
    lock = timedelta(minutes=terms.cancel_lock_minutes)
    if order.payment_status is PaymentStatus.NEEDS_REVIEW:
        lock = max(lock, REVIEW_LOCK)
    left = order.ordered_at + lock - now
    if not timedelta(0) < left <= lock + _CLOCKS_DIFFER or lock == timedelta(0):
        return ""
    minutes = -(-int(left.total_seconds()) // 60)
    return (
        f"注文から{int(lock.total_seconds()) // 60}分間は、購入者が手続き中の可能性があるため"
        f"キャンセルできません(あと約{minutes}分)。"
    )
