"""How far a payment is that is not finished, told apart for programs (rules.md R18; interfaces.md §5)."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from flask import current_app

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.gateway import ErrorKind, explain, worst
from sgpshop.models import CHECKOUTS, Attempt, AttemptState, Operation, Order, split_codes
from sgpshop.services.payments.checkouts import MAY_FINISH
from sgpshop.services.payments.filed_numbers import MAY_BE_FILED
from sgpshop.services.payments.outcomes import CHALLENGED
from sgpshop.services.payments.unknown_numbers import UNKNOWN_NUMBER


class Unfinished(StrEnum):
    """Why a payment is not finished."""

    PROCESSING = "processing"
    OUTCOME_UNKNOWN = "outcome_unknown"
    AT_BANK = "at_bank"
    ABANDONED = "abandoned"
    AUTHENTICATION_FAILED = "authentication_failed"
    DECLINED = "declined"
    NOT_PAID = "not_paid"
    UNCONFIRMED = "unconfirmed"

    @property
    def buyer_text(self) -> str:
        """What the buyer may be told (R27)."""
        return _BUYER_TEXTS[self]


#: A clear no: nothing was paid, and the reason is known.
REFUSED = frozenset({Unfinished.AUTHENTICATION_FAILED, Unfinished.DECLINED, Unfinished.NOT_PAID})

_BUYER_TEXTS = {
    Unfinished.PROCESSING: "お支払いの手続きをしています。このまま少しお待ちください。",
    Unfinished.OUTCOME_UNKNOWN: (
        "お支払いの結果を確認しています。二重に請求されることはありません。少しお待ちください。"
    ),
    Unfinished.AT_BANK: "カード会社の本人認証をお待ちしています。",
    Unfinished.ABANDONED: "お支払いの手続きが完了していません。もう一度お手続きください。",
    Unfinished.AUTHENTICATION_FAILED: (
        "カード会社の本人認証ができませんでした。もう一度お試しいただくか、別のカードをご利用ください。"
    ),
    Unfinished.DECLINED: "カードが承認されませんでした。別のカードをご利用ください。",
    Unfinished.NOT_PAID: (
        "ただいまお支払いができませんでした。請求はされていません。もう一度お手続きください。"
    ),
    Unfinished.UNCONFIRMED: PaymentStatus.NEEDS_REVIEW.buyer_text,
}


_PERHAPS_PAID = (
    UNKNOWN_NUMBER,
    MAY_BE_FILED,
    "others_live",
    "other_transaction",
    "unknown_state",
)


def unfinished(order: Order, last: Attempt | None, now: datetime) -> Unfinished | None:
    """How far the payment of `order` is, whose newest attempt is `last`; None where it is finished.

    A capture or billing that failed has a status of its own, and is none of these.
    """
    attempt, status = order.open_attempt, order.payment_status
    if attempt is not None and attempt.state is AttemptState.UNKNOWN:
        return Unfinished.OUTCOME_UNKNOWN
    if attempt is not None and attempt.operation in CHECKOUTS:
        return Unfinished.PROCESSING
    is_of_buyer = last is not None and last.operation in CHECKOUTS
    if attempt is not None or status not in MAY_FINISH:
        return None
    if last is None or not is_of_buyer or last.state is not AttemptState.REJECTED:
        return Unfinished.UNCONFIRMED if status is PaymentStatus.NEEDS_REVIEW else None
    if last.reason == CHALLENGED:
        return Unfinished.AT_BANK if _is_at_bank(order, last, now) else Unfinished.ABANDONED
    if last.reason in _PERHAPS_PAID:  # there or elsewhere: a person, or a look-up, has to say so
        return Unfinished.UNCONFIRMED
    codes = split_codes(last.error_codes)
    kind = explain(worst(codes)).kind if codes else None
    if kind is ErrorKind.THREE_DS:
        return Unfinished.AUTHENTICATION_FAILED
    return Unfinished.DECLINED if kind is ErrorKind.BUYER_CARD else Unfinished.NOT_PAID


def may_refund(last: Attempt | None, how_far: Unfinished | None) -> bool:
    """Whether a cancel of a payment that is that far can find money taken, which would go back.

    A clear no took nothing, and what only reserves is released.
    """
    if last is None or how_far in (None, Unfinished.OUTCOME_UNKNOWN, Unfinished.UNCONFIRMED):
        return True
    reserves = (Operation.AUTHORIZE, Operation.CHECK_CARD, Operation.REGISTER_CARD)
    clear_no = (Unfinished.DECLINED, Unfinished.AUTHENTICATION_FAILED)
    return last.operation not in reserves and how_far not in clear_no


def _is_at_bank(order: Order, last: Attempt, now: datetime) -> bool:
    since = last.finished_at or last.created_at
    patience = timedelta(seconds=current_app.config["ABANDONED_AFTER"])
    there = order.transaction
    return there is not None and bool(there.challenge_url) and now - since < patience
