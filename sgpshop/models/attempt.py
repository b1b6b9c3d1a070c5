"""The journal: one row per money operation, written before the gateway is asked (P6, R151)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.words import Labelled
from sgpshop.models.base import (
    NUMBERED_ONCE,
    Base,
    UtcDateTime,
    enum_column,
    index_of,
    utc_now,
)
from sgpshop.models.order import CardTransaction, Order


class Operation(Labelled):
    """What we ask the gateway to do with money."""

    CAPTURE = "capture", "実売上処理"
    CHANGE_AMOUNT = "change_amount", "金額変更の送信"
    CANCEL = "cancel", "注文キャンセル"
    EXTEND = "extend", "オーソリ期間延長"
    #: What an order begins with, by kind and 売上処理種類 (T1-T4).
    AUTHORIZE = "authorize", "購入手続き(仮売上)"
    SALE = "sale", "購入手続き(即時売上)"
    CHECK_CARD = "check_card", "購入手続き(カードの有効性チェック)"
    REGISTER_CARD = "register_card", "購入手続き(定期購入のカード登録)"
    #: 再決済 of a subscription order (T23), and its monthly registration (T18)
    REPAY = "repay", "再決済"
    BILL = "bill", "売上報告"
    #: more was taken than the order says: the rest goes back (protocol.md §3.4)
    REFUND_DIFFERENCE = "refund_difference", "差額の返金"

    def enters(self, *, is_unpaid_charge: bool) -> bool:
        """Whether it begins with a transaction still to be entered.

        The buyer's own payment does, a subscription's billing, and a capture whose transaction
        `is_unpaid_charge`: nothing but a card check was there before (R112).
        """
        if self is Operation.CAPTURE:
            return is_unpaid_charge
        return self in CHECKOUTS or self is Operation.BILL


#: The buyer's own payment: begins with a transaction that is still to be entered.
CHECKOUTS = frozenset(
    {
        Operation.AUTHORIZE,
        Operation.SALE,
        Operation.CHECK_CARD,
        Operation.REGISTER_CARD,
        Operation.REPAY,
    }
)
#: `Attempt.choices["step"]` of one that goes on after 3-D Secure.
AFTER_THREE_DS = "three_ds"
#: key of `Attempt.choices` of a cancel: its number was in a monthly file, which SMBC-GP may have
IN_FILE = "in_file"
#: key of `Attempt.choices` of a payment: an earlier try may have entered its number with another wish
#: for 3-D Secure, which no look-up shows.
ENTERED_OTHERWISE = "entered_otherwise"


class FollowUp(StrEnum):
    """What the same act wants done once its money operation has succeeded, and only then."""

    CAPTURE = "capture"
    DELIVER = "deliver"


class AttemptState(StrEnum):
    """The one life of an attempt: QUEUED -> SENDING -> DONE, REJECTED or UNKNOWN (P9)."""

    QUEUED = "queued"
    SENDING = "sending"
    DONE = "done"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class LookResult(StrEnum):
    """What a look-up showed that decided nothing about an attempt in doubt (P14)."""

    #: no usable answer; `look_word` is the reason
    UNANSWERED = "unanswered"
    #: nothing is there
    NOT_THERE = "not_there"
    #: Status `look_word` with `look_amount` yen, which fits neither way: flagged for a person
    DIFFERS = "differs"


OPEN_STATES = (AttemptState.QUEUED, AttemptState.SENDING, AttemptState.UNKNOWN)
_OPEN = sa.text("state IN ('queued', 'sending', 'unknown')")


class ActorKind(StrEnum):
    """Who or what caused something (P5)."""

    PERSON = "person"
    WORKER = "worker"
    LOOK_UP = "look_up"
    IMPORT = "import"
    COMMAND = "command"
    API_KEY = "api_key"


class Attempt(Base):
    """One act on one order's money, from the wish to the certain end."""

    __tablename__ = "attempts"
    __table_args__ = (
        # P7: at most one open attempt per order, by the database itself.
        index_of("uq_attempts_open", "order_id", unique=True, where=_OPEN),
        sa.Index("ix_attempts_order_id_id", "order_id", "id"),
        # What the worker asks for: due queued, overdue sending, uncertain ones to look up.
        index_of("ix_attempts_due", "due_at", where=_OPEN),
        NUMBERED_ONCE,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(sa.ForeignKey("orders.id"))
    transaction_id: Mapped[int] = mapped_column(sa.ForeignKey("card_transactions.id"))
    operation: Mapped[Operation] = mapped_column(enum_column(Operation, "operation"))
    state: Mapped[AttemptState] = mapped_column(enum_column(AttemptState, "state"))
    #: what the person saw and what is sent, in yen (P20)
    amount: Mapped[int]
    gateway_order_id: Mapped[str] = mapped_column(sa.String(27))
    actor_kind: Mapped[ActorKind] = mapped_column(enum_column(ActorKind, "actor_kind"))
    actor: Mapped[str] = mapped_column(sa.String(80))
    #: the one-time token of the form that asked for it (P19)
    request_token: Mapped[str | None] = mapped_column(sa.String(64), unique=True)
    #: what that form asked for (`acting.Seen.act`): the token is good for nothing else
    request_act: Mapped[str | None] = mapped_column(sa.String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    #: when a worker has to care next: to send, to notice a lost lease, or to look up; None = ended
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: how often it was sent or tried to be sent; each later try follows a provable "nothing done"
    tries: Mapped[int] = mapped_column(default=0)
    #: fencing token: grows with every claim; only its holder may send or record (P17)
    lease: Mapped[int] = mapped_column(default=0)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    latency_ms: Mapped[int | None]

    uncertain_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    looks: Mapped[int] = mapped_column(default=0)
    looked_up_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: what the last look-up showed, if it did not decide (P14): see LookResult
    look_result: Mapped[LookResult | None] = mapped_column(enum_column(LookResult, "look_result"))
    look_word: Mapped[str] = mapped_column(sa.String(120), default="", server_default="")
    look_amount: Mapped[int | None]

    #: ErrInfo codes of the answer, joined by "|"
    error_codes: Mapped[str] = mapped_column(sa.String(400), default="")
    #: machine-readable reason, e.g. "refused", "read_timeout", "not_carried_out"
    reason: Mapped[str] = mapped_column(sa.String(120), default="")
    tran_id: Mapped[str] = mapped_column(sa.String(28), default="")
    #: "answer", "look_up" or "person": what the outcome rests on.  No code reads it: it is evidence
    decided_by: Mapped[str] = mapped_column(sa.String(10), default="")

    #: payment status when it was asked for: where a doubtful end leads back to (T9b, P20)
    status_before: Mapped[PaymentStatus | None] = mapped_column(
        enum_column(PaymentStatus, "status_before")
    )
    #: what the look-up just before sending showed: the state that "not carried out" must match (P14)
    state_seen: Mapped[str] = mapped_column(sa.String(20), default="")
    amount_seen: Mapped[int | None]
    tran_id_seen: Mapped[str] = mapped_column(sa.String(28), default="")
    #: second step of 「送信して実売上処理」 and 「実売上処理して配送完了」 (R30)
    follow_up: Mapped[FollowUp | None] = mapped_column(enum_column(FollowUp, "follow_up"))
    #: choices of the person for the history: stock and points of a cancel (R93)
    choices: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    #: the one-time card token that is to pay, sealed; gone when the attempt has ended (S10)
    card_sealed: Mapped[str | None] = mapped_column(sa.Text)

    order: Mapped[Order] = relationship()
    transaction: Mapped[CardTransaction] = relationship()

    @hybrid_property
    def is_open(self) -> bool:
        """Whether the outcome is still to come."""
        return self.state in OPEN_STATES

    @is_open.inplace.expression
    @classmethod
    def _is_open_expression(cls) -> sa.ColumnElement[bool]:
        # As in the partial index, which serves only a condition it can be compared with.
        return cls.state.in_(OPEN_STATES)


class LateAnswer(Base):
    """An answer that came after its attempt had ended otherwise: evidence, never a decision (P16)."""

    __tablename__ = "late_answers"

    id: Mapped[int] = mapped_column(primary_key=True)
    attempt_id: Mapped[int] = mapped_column(sa.ForeignKey("attempts.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    #: what it would have made of the attempt
    state: Mapped[AttemptState] = mapped_column(enum_column(AttemptState, "late_state"))
    reason: Mapped[str] = mapped_column(sa.String(120), default="")
    error_codes: Mapped[str] = mapped_column(sa.String(400), default="")
    tran_id: Mapped[str] = mapped_column(sa.String(28), default="")
    #: whether it says the opposite of how the attempt ended.  No code reads it: it is evidence
    is_contradiction: Mapped[bool] = mapped_column(default=False)
