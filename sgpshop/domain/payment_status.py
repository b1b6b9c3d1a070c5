"""The seven payment statuses of an order paid by SGP card, and the only moves between them.

Everything that shows, changes or compares a payment status asks this module (rules.md §3, §4, R7).
"""

from __future__ import annotations

from enum import StrEnum

from sgpshop.domain.errors import ImpossibleTransition
from sgpshop.domain.words import Labelled


class PaymentStatus(Labelled):
    """決済方法ステータス; the values are the ids that URLs, hooks and the database use."""

    AUTHORIZED = "authorized", "仮売上"
    CAPTURED = "captured", "決済完了"
    CAPTURE_FAILED = "capture_failed", "売上失敗"
    CANCELLED = "cancelled", "注文キャンセル"
    NEEDS_REVIEW = "needs_review", "要確認"
    AWAITING_BILLING = "awaiting_billing", "決済待ち"
    BILLING_REPORTED = "billing_reported", "売上報告済"

    @property
    def buyer_text(self) -> str:
        """What a shop front may tell the buyer; we have no screen for buyers (R27)."""
        return _BUYER_TEXTS.get(self, _BUYER_TEXTS[PaymentStatus.NEEDS_REVIEW])


_BUYER_TEXTS = {
    PaymentStatus.AUTHORIZED: "ご注文を承りました。",
    PaymentStatus.CAPTURED: "お支払いが完了しました。",
    PaymentStatus.CAPTURE_FAILED: "お支払いを確認できませんでした。ショップからの連絡をお待ちください。",
    PaymentStatus.CANCELLED: "ご注文はキャンセルされました。",
    PaymentStatus.NEEDS_REVIEW: "お支払いの状況を確認できていません。ショップにお問い合わせください。",
    PaymentStatus.AWAITING_BILLING: "定期購入のご注文を承りました。",
    PaymentStatus.BILLING_REPORTED: "お支払いの手続きをしました。",
}

#: Offered only to shops that use subscriptions (R26).
SUBSCRIPTION_STATUSES = frozenset({PaymentStatus.AWAITING_BILLING, PaymentStatus.BILLING_REPORTED})

#: A capture may start from here, and from nowhere else (R40, R41).
CAPTURABLE = frozenset({PaymentStatus.AUTHORIZED, PaymentStatus.CAPTURE_FAILED})
#: The money of these is still to come.
UNPAID = CAPTURABLE | {PaymentStatus.NEEDS_REVIEW, PaymentStatus.AWAITING_BILLING}


#: A cancel may start from here; what the parcel says is another matter (T7, T14, T15, T21).
CANCELLABLE = frozenset(
    {
        PaymentStatus.AUTHORIZED,
        PaymentStatus.CAPTURE_FAILED,
        PaymentStatus.CAPTURED,
        PaymentStatus.NEEDS_REVIEW,
        PaymentStatus.AWAITING_BILLING,
    }
)


#: The buyer was charged: what was taken too much can be given back from here.
PAID = frozenset({PaymentStatus.CAPTURED, PaymentStatus.BILLING_REPORTED})


class Event(StrEnum):
    """What happened to a payment: an outcome of our own call, or what a look-up found."""

    CAPTURE_DONE = "capture_done"
    CAPTURE_REJECTED = "capture_rejected"
    CAPTURE_UNKNOWN = "capture_unknown"
    CHANGE_DONE = "change_amount_done"
    CHANGE_REJECTED = "change_amount_rejected"
    CHANGE_UNKNOWN = "change_amount_unknown"
    EXTEND_DONE = "extend_done"
    EXTEND_REJECTED = "extend_rejected"
    EXTEND_UNKNOWN = "extend_unknown"
    CANCEL_DONE = "cancel_done"
    CANCEL_REJECTED = "cancel_rejected"
    CANCEL_UNKNOWN = "cancel_unknown"
    #: the buyer's own payment: by what it was to be (T1-T4), and the second one of 再決済 (T23)
    AUTHORIZE_DONE = "authorize_done"
    AUTHORIZE_REJECTED = "authorize_rejected"
    AUTHORIZE_UNKNOWN = "authorize_unknown"
    SALE_DONE = "sale_done"
    SALE_REJECTED = "sale_rejected"
    SALE_UNKNOWN = "sale_unknown"
    CHECK_CARD_DONE = "check_card_done"
    CHECK_CARD_REJECTED = "check_card_rejected"
    CHECK_CARD_UNKNOWN = "check_card_unknown"
    REGISTER_CARD_DONE = "register_card_done"
    REGISTER_CARD_REJECTED = "register_card_rejected"
    REGISTER_CARD_UNKNOWN = "register_card_unknown"
    REPAY_DONE = "repay_done"
    REPAY_REJECTED = "repay_rejected"
    REPAY_UNKNOWN = "repay_unknown"
    #: the monthly registration of a subscription sale (T18-T20); POSTPONED: nothing was registered
    BILL_DONE = "bill_done"
    BILL_REJECTED = "bill_rejected"
    BILL_UNKNOWN = "bill_unknown"
    BILL_POSTPONED = "bill_postponed"
    BILL_NOT_PAID = "bill_not_paid"
    #: more was taken than the order says, and the rest is given back; the payment stays
    REFUND_DIFFERENCE_DONE = "refund_difference_done"
    REFUND_DIFFERENCE_REJECTED = "refund_difference_rejected"
    REFUND_DIFFERENCE_UNKNOWN = "refund_difference_unknown"
    #: a person wants what failed to be registered again
    BILL_AGAIN = "bill_again"
    #: a person ended the doubt by hand; only a look-up says how the payment stands (P15)
    CLOSED_BY_PERSON = "closed_by_person"
    FOUND_AUTHORIZED = "found_authorized"
    FOUND_CAPTURED = "found_captured"
    FOUND_CANCELLED = "found_cancelled"
    FOUND_UNFINISHED = "found_unfinished"
    FOUND_PREORDER_CHECK = "found_preorder_check"
    FOUND_SUBSCRIPTION_CHECK = "found_subscription_check"
    #: a subscription's own billing, paid
    FOUND_BILLED = "found_billed"

    @property
    def is_found(self) -> bool:
        """Whether it is what a look-up showed, not the outcome of a call."""
        return self.value.startswith("found_")


_S, _E = PaymentStatus, Event

#: (status now, what happened) -> status next.  A pair that is not here cannot happen.
TRANSITIONS: dict[tuple[PaymentStatus, Event], PaymentStatus] = {
    # Our own capture: T8-T11, T9a, T9b.  From 要確認 only the look-up after a lost answer gets here.
    (_S.AUTHORIZED, _E.CAPTURE_DONE): _S.CAPTURED,
    (_S.CAPTURE_FAILED, _E.CAPTURE_DONE): _S.CAPTURED,
    (_S.NEEDS_REVIEW, _E.CAPTURE_DONE): _S.CAPTURED,
    (_S.AUTHORIZED, _E.CAPTURE_REJECTED): _S.CAPTURE_FAILED,
    (_S.CAPTURE_FAILED, _E.CAPTURE_REJECTED): _S.CAPTURE_FAILED,
    (_S.NEEDS_REVIEW, _E.CAPTURE_REJECTED): _S.CAPTURE_FAILED,
    (_S.AUTHORIZED, _E.CAPTURE_UNKNOWN): _S.NEEDS_REVIEW,
    (_S.CAPTURE_FAILED, _E.CAPTURE_UNKNOWN): _S.NEEDS_REVIEW,
    # An amount sent, a hold extended: the status stays (T12, T13, T26).
    **{
        (now, event): now
        for now in CAPTURABLE
        for event in (_E.CHANGE_DONE, _E.CHANGE_REJECTED, _E.EXTEND_DONE, _E.EXTEND_REJECTED)
    },
    # The buyer's payment: 要確認 from the moment it is written down until it is known (T1-T5).
    (_S.NEEDS_REVIEW, _E.AUTHORIZE_DONE): _S.AUTHORIZED,
    (_S.NEEDS_REVIEW, _E.SALE_DONE): _S.CAPTURED,
    (_S.NEEDS_REVIEW, _E.CHECK_CARD_DONE): _S.AUTHORIZED,
    (_S.NEEDS_REVIEW, _E.REGISTER_CARD_DONE): _S.AWAITING_BILLING,
    **{
        (_S.NEEDS_REVIEW, event): _S.NEEDS_REVIEW
        for event in (
            _E.AUTHORIZE_REJECTED,
            _E.AUTHORIZE_UNKNOWN,
            _E.SALE_REJECTED,
            _E.SALE_UNKNOWN,
            _E.CHECK_CARD_REJECTED,
            _E.CHECK_CARD_UNKNOWN,
            _E.REGISTER_CARD_REJECTED,
            _E.REGISTER_CARD_UNKNOWN,
        )
    },
    # 再決済 of a subscription order (T23).
    (_S.CAPTURE_FAILED, _E.REPAY_DONE): _S.BILLING_REPORTED,
    (_S.CAPTURE_FAILED, _E.REPAY_REJECTED): _S.CAPTURE_FAILED,
    (_S.CAPTURE_FAILED, _E.REPAY_UNKNOWN): _S.NEEDS_REVIEW,
    (_S.NEEDS_REVIEW, _E.REPAY_DONE): _S.BILLING_REPORTED,
    (_S.NEEDS_REVIEW, _E.REPAY_REJECTED): _S.CAPTURE_FAILED,
    # The monthly registration, and its result (T18-T20, R105).
    (_S.AWAITING_BILLING, _E.BILL_DONE): _S.BILLING_REPORTED,
    (_S.AWAITING_BILLING, _E.BILL_REJECTED): _S.CAPTURE_FAILED,
    (_S.AWAITING_BILLING, _E.BILL_UNKNOWN): _S.NEEDS_REVIEW,
    (_S.AWAITING_BILLING, _E.BILL_POSTPONED): _S.AWAITING_BILLING,
    (_S.NEEDS_REVIEW, _E.BILL_DONE): _S.BILLING_REPORTED,
    (_S.NEEDS_REVIEW, _E.BILL_REJECTED): _S.CAPTURE_FAILED,
    (_S.NEEDS_REVIEW, _E.BILL_POSTPONED): _S.AWAITING_BILLING,
    (_S.BILLING_REPORTED, _E.BILL_NOT_PAID): _S.CAPTURE_FAILED,
    # Its line was put off here, and refused there all the same.
    (_S.AWAITING_BILLING, _E.BILL_NOT_PAID): _S.CAPTURE_FAILED,
    # A difference given back: what is left stays captured.
    **{
        (now, event): now
        for now in PAID
        for event in (_E.REFUND_DIFFERENCE_DONE, _E.REFUND_DIFFERENCE_REJECTED)
    },
    **{(now, _E.REFUND_DIFFERENCE_UNKNOWN): _S.NEEDS_REVIEW for now in PAID},
    (_S.CAPTURE_FAILED, _E.BILL_AGAIN): _S.AWAITING_BILLING,
    # A cancel confirmed, or refused and nothing changed: T7, T14-T16, T21.
    **{(now, _E.CANCEL_DONE): _S.CANCELLED for now in CANCELLABLE},
    **{(now, _E.CANCEL_REJECTED): now for now in CANCELLABLE},
    # In doubt: 要確認, until a look-up decides (T9a, T9b).
    **{
        (now, event): _S.NEEDS_REVIEW
        for now in CAPTURABLE
        for event in (_E.CHANGE_UNKNOWN, _E.EXTEND_UNKNOWN)
    },
    **{(now, _E.CANCEL_UNKNOWN): _S.NEEDS_REVIEW for now in CANCELLABLE},
    (_S.NEEDS_REVIEW, _E.CLOSED_BY_PERSON): _S.NEEDS_REVIEW,
    # What a look-up shows wins (R120, R121, P18): T6, T27.  Every pair has its line, so none is left
    # to chance; whether a person has to be told is a matter of reconciliation.ALERTS.
    (_S.NEEDS_REVIEW, _E.FOUND_AUTHORIZED): _S.AUTHORIZED,
    (_S.AUTHORIZED, _E.FOUND_AUTHORIZED): _S.AUTHORIZED,
    (_S.CAPTURE_FAILED, _E.FOUND_AUTHORIZED): _S.CAPTURE_FAILED,
    (_S.CAPTURED, _E.FOUND_AUTHORIZED): _S.AUTHORIZED,
    (_S.CANCELLED, _E.FOUND_AUTHORIZED): _S.AUTHORIZED,
    (_S.NEEDS_REVIEW, _E.FOUND_CAPTURED): _S.CAPTURED,
    (_S.AUTHORIZED, _E.FOUND_CAPTURED): _S.CAPTURED,
    (_S.CAPTURE_FAILED, _E.FOUND_CAPTURED): _S.CAPTURED,
    (_S.CAPTURED, _E.FOUND_CAPTURED): _S.CAPTURED,
    (_S.CANCELLED, _E.FOUND_CAPTURED): _S.CAPTURED,
    (_S.NEEDS_REVIEW, _E.FOUND_CANCELLED): _S.CANCELLED,
    (_S.AUTHORIZED, _E.FOUND_CANCELLED): _S.CANCELLED,
    (_S.CAPTURE_FAILED, _E.FOUND_CANCELLED): _S.CANCELLED,
    (_S.CAPTURED, _E.FOUND_CANCELLED): _S.CANCELLED,
    (_S.CANCELLED, _E.FOUND_CANCELLED): _S.CANCELLED,
    (_S.NEEDS_REVIEW, _E.FOUND_UNFINISHED): _S.NEEDS_REVIEW,
    (_S.AUTHORIZED, _E.FOUND_UNFINISHED): _S.NEEDS_REVIEW,
    (_S.CAPTURE_FAILED, _E.FOUND_UNFINISHED): _S.NEEDS_REVIEW,
    (_S.CAPTURED, _E.FOUND_UNFINISHED): _S.NEEDS_REVIEW,
    (_S.CANCELLED, _E.FOUND_UNFINISHED): _S.CANCELLED,
    # A card check reserves nothing: fine for 予約 and 定期 (R110, R21).
    (_S.NEEDS_REVIEW, _E.FOUND_PREORDER_CHECK): _S.AUTHORIZED,
    (_S.AUTHORIZED, _E.FOUND_PREORDER_CHECK): _S.AUTHORIZED,
    (_S.CAPTURE_FAILED, _E.FOUND_PREORDER_CHECK): _S.CAPTURE_FAILED,
    (_S.CANCELLED, _E.FOUND_PREORDER_CHECK): _S.CANCELLED,
    (_S.NEEDS_REVIEW, _E.FOUND_SUBSCRIPTION_CHECK): _S.AWAITING_BILLING,
    (_S.AWAITING_BILLING, _E.FOUND_SUBSCRIPTION_CHECK): _S.AWAITING_BILLING,
    (_S.CANCELLED, _E.FOUND_SUBSCRIPTION_CHECK): _S.CANCELLED,
    # No more than a check where a charge was shown: nothing was taken.
    (_S.CAPTURED, _E.FOUND_PREORDER_CHECK): _S.AUTHORIZED,
    (_S.CAPTURED, _E.FOUND_SUBSCRIPTION_CHECK): _S.AWAITING_BILLING,
    (_S.AUTHORIZED, _E.FOUND_SUBSCRIPTION_CHECK): _S.AWAITING_BILLING,
    (_S.CAPTURE_FAILED, _E.FOUND_SUBSCRIPTION_CHECK): _S.CAPTURE_FAILED,  # 売上失敗(定期), R105
    # The statuses of a subscription on an order that is none (any more): the check is a 予約's.
    (_S.AWAITING_BILLING, _E.FOUND_PREORDER_CHECK): _S.AUTHORIZED,
    (_S.BILLING_REPORTED, _E.FOUND_PREORDER_CHECK): _S.AUTHORIZED,
    # Billing goes its own way (R101-R105): what is found there is told, the status stays.
    (_S.AWAITING_BILLING, _E.FOUND_AUTHORIZED): _S.AWAITING_BILLING,
    (_S.AWAITING_BILLING, _E.FOUND_CAPTURED): _S.AWAITING_BILLING,
    (_S.AWAITING_BILLING, _E.FOUND_CANCELLED): _S.AWAITING_BILLING,
    # The card may be known later; the registration itself refuses an order without one (T19).
    (_S.AWAITING_BILLING, _E.FOUND_UNFINISHED): _S.AWAITING_BILLING,
    (_S.BILLING_REPORTED, _E.FOUND_AUTHORIZED): _S.BILLING_REPORTED,
    (_S.BILLING_REPORTED, _E.FOUND_CAPTURED): _S.BILLING_REPORTED,
    (_S.BILLING_REPORTED, _E.FOUND_CANCELLED): _S.BILLING_REPORTED,
    # Registered, and not charged yet: the results decide (R105).
    (_S.BILLING_REPORTED, _E.FOUND_SUBSCRIPTION_CHECK): _S.BILLING_REPORTED,
    # Reported by another system, under a number that we do not know.
    (_S.BILLING_REPORTED, _E.FOUND_UNFINISHED): _S.BILLING_REPORTED,
    # A charged line counts, wherever our status stood.
    **{(now, _E.FOUND_BILLED): _S.BILLING_REPORTED for now in PaymentStatus},
}


#: Events that leave the payment where it was: out of doubt it goes back there (T9b, R140).
_LEAVES_STATUS = frozenset(
    {
        _E.CHANGE_DONE,
        _E.CHANGE_REJECTED,
        _E.EXTEND_DONE,
        _E.EXTEND_REJECTED,
        _E.CANCEL_REJECTED,
        _E.REFUND_DIFFERENCE_DONE,
        _E.REFUND_DIFFERENCE_REJECTED,
    }
)


def next_status(
    now: PaymentStatus, event: Event, *, before_doubt: PaymentStatus | None = None
) -> PaymentStatus:
    """The status after `event`; raises ImpossibleTransition for a pair the table does not know.

    `before_doubt` is where an operation of unknown outcome began: 要確認 ends there when the
    operation turns out to have left the status alone.
    """
    if before_doubt is not None and now is _S.NEEDS_REVIEW and event in _LEAVES_STATUS:
        now = before_doubt
    try:
        return TRANSITIONS[now, event]
    except KeyError:
        raise ImpossibleTransition(now.label, event) from None


def is_possible(now: PaymentStatus | None, event: Event) -> bool:
    """Whether `event` can happen to a payment in `now`; None is an order not paid by SGP card."""
    return now is not None and (now, event) in TRANSITIONS
