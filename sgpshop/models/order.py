"""Orders as the merchant knows them, and their card transactions at the gateway."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column, object_session, relationship

from sgpshop.domain.amounts import TaxRounding
from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.order_number import later_stem
from sgpshop.domain.order_rules import (
    LIVE_STATES,
    ONLY_BY_FILE,
    TAKEN_STATES,
    UNFINISHED_STATES,
    is_to_be_charged,
)
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.models.base import (
    NUMBERED_ONCE,
    Base,
    UtcDateTime,
    enum_column,
    index_of,
    utc_now,
)

if TYPE_CHECKING:
    from sgpshop.models.attempt import Attempt

#: What 決済方法 says for an order paid by SGP card (rules.md §14.2, R144).
SGP_METHOD = "SGP"


class OrderKind(StrEnum):
    """What was sold: decides whether and how the card is charged (R21, R110)."""

    NORMAL = "normal"
    PREORDER = "preorder"
    SUBSCRIPTION = "subscription"


_HOLDS_ROUND = sa.text(
    "subscription_id IS NOT NULL AND subscription_round IS NOT NULL"
    " AND payment_status <> 'cancelled' AND NOT is_round_shared"
)

#: What still needs somebody: to be sent, or its payment neither taken nor given back: all UNPAID are.  Words are
#: written out, not bound: the index serves only a condition that it can be compared with.
UNFINISHED = sa.text(
    "processing_class = 'unprocessed'"
    " OR payment_status IN ('authorized', 'capture_failed', 'needs_review', 'awaiting_billing')"
    " OR (cancel_waived_at IS NULL AND (processing_class = 'returned' AND payment_status = 'captured'"
    " OR processing_class IN ('returned', 'cancelled') AND payment_status = 'billing_reported'"
    " AND refunded_on IS NULL))"
)

#: Its payment is not waited for: it was taken, or is none of ours.
NOT_UNPAID = sa.text(
    "coalesce(CAST(payment_status AS VARCHAR), '')"
    " NOT IN ('authorized', 'awaiting_billing', 'capture_failed', 'needs_review')"
)

#: 発送済み・売上処理待ち (R130), of whatever kind: the goods are through, the money was not taken.  With the
#: cast no planner goes through all that is held, by status.
SHIPPED_UNCAPTURED = sa.text(
    "CAST(payment_status AS VARCHAR) IN ('authorized', 'capture_failed')"
    " AND (processing_class = 'delivered'"
    " OR processing_class = 'returned' AND cancel_waived_at IS NOT NULL)"
)

#: Reported sales whose goods are back or were never sent: money to be given back, and few.  With the
#: cast no planner takes the index by status for it.
REPORTED_BACK = sa.text(
    "CAST(payment_status AS VARCHAR) = 'billing_reported'"
    " AND processing_class IN ('returned', 'cancelled')"
)


def _later_stem(context: DefaultExecutionContext) -> str | None:
    row = context.get_current_parameters()  # type: ignore[no-untyped-call]
    return later_stem(row["order_no"])


@cache  # making the statement takes several times as long as asking it
def _of_one(model: type[Order | CardTransaction], name: str) -> sa.Select[Any]:
    return sa.select(getattr(model, name)).where(model.id == sa.bindparam("id"))


def _asked_of(row: Order | CardTransaction, name: str) -> Any:
    """What the database says of one order or transaction."""
    session = object_session(row)
    assert session is not None
    if session.autoflush:
        session.flush()
    # Past the ORM, whose own part takes as long as asking it.
    return session.connection().scalar(_of_one(type(row), name), {"id": row.id})


class Order(Base):
    """One order (受注).  Amounts are yen; `total` is what the buyer is to be charged."""

    __tablename__ = "orders"
    __table_args__ = (
        sa.Index("ix_orders_ordered_at_id", "ordered_at", "id"),
        sa.Index("ix_orders_payment_status_ordered_at_id", "payment_status", "ordered_at", "id"),
        sa.Index("ix_orders_total_id", "total", "id"),
        sa.Index(
            "ix_orders_lower_order_no",
            sa.func.lower(sa.column("order_no")).label("number"),
            # A beginning, in whatever language; said for PostgreSQL as index_of's conditions are.
            info={"ops": {"number": "text_pattern_ops"}},
        ),
        # The sums over the list, with and without a period, from the index alone.
        sa.Index("ix_orders_payment_status_total", "payment_status", "total"),
        sa.Index(
            "ix_orders_ordered_at_payment_status_total", "ordered_at", "payment_status", "total"
        ),
        # 返送済み・返金未対応 is looked for on every first page (R90a).
        index_of("ix_orders_returned", "ordered_at", "id", where="processing_class = 'returned'"),
        # The order list as it is first seen.
        index_of(
            "ix_orders_unfinished",
            *("ordered_at", "id", "payment_status", "total"),
            # SQLite looks at the condition once more, and would read each order for it
            *("processing_class", "cancel_waived_at", "refunded_on"),
            where=UNFINISHED,
        ),
        # Its sums, where they are not kept.
        index_of(
            "ix_orders_paid_unfinished",
            *("payment_status", "total"),
            *("processing_class", "cancel_waived_at", "refunded_on"),
            where=f"{NOT_UNPAID.text} AND ({UNFINISHED.text})",
        ),
        index_of(
            "ix_orders_shipped_uncaptured",
            *("ordered_at", "id", "payment_status", "total"),
            *("kind", "processing_class", "cancel_waived_at"),
            where=SHIPPED_UNCAPTURED,
        ),
        index_of("ix_orders_reported_back", "id", where=REPORTED_BACK),
        # 定期購入 and 予約: their screens page through one status; latest order of a subscription.
        index_of(
            "ix_orders_subscriptions",
            "payment_status",
            "ordered_at",
            "id",
            where="kind = 'subscription'",
        ),
        index_of(
            "ix_orders_subscription_id", "subscription_id", where="subscription_id IS NOT NULL"
        ),
        # Two orders of one round would both be billed; a cancelled one frees it.
        index_of(
            "uq_orders_subscription_round",
            "subscription_id",
            "subscription_round",
            unique=True,
            where=_HOLDS_ROUND,
        ),
        index_of("ix_orders_preorders", "payment_status", "id", where="kind = 'preorder'"),
        index_of("ix_orders_handling", "handling", where="handling <> 'open'"),
        # Which order SMBC-GP names by a number that was shortened (R141).
        index_of("ix_orders_later_stem", "later_stem", where="later_stem IS NOT NULL"),
        sa.CheckConstraint("total >= 0", name="total_not_negative"),
        sa.CheckConstraint(
            "(method = 'SGP') = (payment_status IS NOT NULL)", name="status_only_for_sgp"
        ),
        NUMBERED_ONCE,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_no: Mapped[str] = mapped_column(sa.String(28), unique=True)
    #: what its later numbers at SMBC-GP begin with, where that is not its own: it is too long (R141)
    later_stem: Mapped[str | None] = mapped_column(sa.String(24), default=_later_stem)
    ordered_at: Mapped[datetime] = mapped_column(UtcDateTime)
    kind: Mapped[OrderKind] = mapped_column(
        enum_column(OrderKind, "kind"), default=OrderKind.NORMAL
    )
    method: Mapped[str] = mapped_column(sa.String(60))
    payment_status: Mapped[PaymentStatus | None] = mapped_column(
        enum_column(PaymentStatus, "payment_status")
    )
    #: what an order file says of a payment that was not begun here: it decides where a look-up finds
    #: no more than a card check, and a 注文キャンセル is told where it finds more
    claimed_status: Mapped[PaymentStatus | None] = mapped_column(
        enum_column(PaymentStatus, "claimed_status")
    )
    processing_class: Mapped[ProcessingClass] = mapped_column(
        enum_column(ProcessingClass, "processing_class"), default=ProcessingClass.UNPROCESSED
    )
    #: Raised by every change; forms carry it (R61, P20).
    version: Mapped[int] = mapped_column(default=1)
    #: state of the chain of its history (domain/history_chain.py, P5)
    history_state: Mapped[str] = mapped_column(sa.String(64), default="")

    member_id: Mapped[str | None] = mapped_column(sa.String(60))
    buyer_name: Mapped[str] = mapped_column(sa.String(200), default="")
    buyer_kana: Mapped[str] = mapped_column(sa.String(200), default="")
    buyer_company: Mapped[str] = mapped_column(sa.String(200), default="")
    buyer_department: Mapped[str] = mapped_column(sa.String(200), default="")
    buyer_postal_code: Mapped[str] = mapped_column(sa.String(10), default="")
    buyer_prefecture: Mapped[str] = mapped_column(sa.String(10), default="")
    buyer_address: Mapped[str] = mapped_column(sa.String(400), default="")
    buyer_tel: Mapped[str] = mapped_column(sa.String(30), default="")
    buyer_email: Mapped[str] = mapped_column(sa.String(254), default="")
    #: name, kana and company in the form of domain.text.search_key
    buyer_search: Mapped[str] = mapped_column(sa.Text, default="")
    #: digits of the phone number
    tel_search: Mapped[str] = mapped_column(sa.String(30), default="")

    carriage: Mapped[int] = mapped_column(default=0)
    commission: Mapped[int] = mapped_column(default=0)
    bulk_discount: Mapped[int] = mapped_column(default=0)
    coupon: Mapped[int] = mapped_column(default=0)
    points_used: Mapped[int] = mapped_column(default=0)
    #: 値引き, by the shop
    discount: Mapped[int] = mapped_column(default=0)
    #: tax by rate when set by hand or brought by a file; None: calculated (R76a, R77b)
    tax_8: Mapped[int | None]
    tax_10: Mapped[int | None]
    #: 価格の税区分 (税込) and 消費税の端数 as they were when it came in: no setting moves them later
    prices_include_tax: Mapped[bool] = mapped_column(default=True)
    tax_rounding: Mapped[TaxRounding] = mapped_column(
        enum_column(TaxRounding, "tax_rounding"), default=TaxRounding.DOWN
    )
    total: Mapped[int]
    #: the total was typed in and wins over the calculation (R76b); the difference is 金額調整
    is_total_set: Mapped[bool] = mapped_column(default=False)
    #: the total before the first correction; None while there was none (R64)
    original_total: Mapped[int | None]
    #: last confirmed modification of amount or content (R66, R67)
    edited_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    subscription_id: Mapped[str | None] = mapped_column(sa.String(60))
    subscription_round: Mapped[int | None]
    #: another order holds the same round: from before that was refused, or cancelled here and then
    #: found standing at SMBC-GP; both are told
    is_round_shared: Mapped[bool] = mapped_column(default=False)
    note: Mapped[str] = mapped_column(sa.Text, default="")
    #: 対応状況 (domain.handling) and 社内メモ: for people of the shop alone
    handling: Mapped[str] = mapped_column(sa.String(12), default="open", server_default="open")
    memo: Mapped[str] = mapped_column(sa.Text, default="", server_default="")
    #: 返金しない: a person decided that the payment of a returned order stays (R90a)
    cancel_waived_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cancel_waived_reason: Mapped[str] = mapped_column(sa.String(200), default="")
    #: 返金済み: when the money of a reported sale went back, and how (R104)
    refunded_on: Mapped[date | None]
    refund_reason: Mapped[str] = mapped_column(sa.String(200), default="")

    #: of the content as it was handed in by the API; None for orders from files (P27)
    intake_fingerprint: Mapped[str | None] = mapped_column(sa.String(64))

    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    #: when the buyer's data was erased (S12a)
    erased_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    lines: Mapped[list[OrderLine]] = relationship(
        order_by="OrderLine.position", cascade="all, delete-orphan"
    )
    deliveries: Mapped[list[Delivery]] = relationship(
        order_by="Delivery.number", cascade="all, delete-orphan"
    )
    #: The transaction that counts now; earlier ones (repayments, preorder charges) stay behind it.
    transaction: Mapped[CardTransaction | None] = relationship(
        primaryjoin="and_(Order.id == CardTransaction.order_id, CardTransaction.is_current)",
        viewonly=True,
    )
    open_attempt: Mapped[Attempt | None] = relationship(
        primaryjoin="and_(Order.id == foreign(Attempt.order_id), Attempt.is_open)",
        viewonly=True,
    )

    @property
    def is_sgp(self) -> bool:
        """Whether this order is paid by SGP card."""
        return self.method == SGP_METHOD

    @hybrid_property
    def is_called_off(self) -> bool:
        """Whether a file called it 注文キャンセル while its payment stands, and nobody took note of it yet."""
        return bool(_asked_of(self, "is_called_off"))

    @is_called_off.inplace.expression
    @classmethod
    def _is_called_off_expression(cls) -> sa.ColumnElement[bool]:
        alert = sa.table(
            "alerts", sa.column("order_id"), sa.column("kind"), sa.column("acknowledged_at")
        )
        return (
            sa.exists()
            .where(
                alert.c.order_id == cls.id,
                alert.c.kind == AlertKind.CANCELLED_IN_FILE.value,
                alert.c.acknowledged_at.is_(None),
            )
            .correlate(cls)
        )

    @hybrid_property
    def is_asked(self) -> bool:
        """Whether money stands, or is being paid, under a number of nobody knows whom (R141)."""
        return bool(_asked_of(self, "is_asked"))

    @is_asked.inplace.expression
    @classmethod
    def _is_asked_expression(cls) -> sa.ColumnElement[bool]:
        names = ("order_id", "is_ours", "is_left", "gateway_state")
        found = sa.table("unknown_numbers", *map(sa.column, names)).c
        return (
            sa.exists()
            .where(
                found.order_id == cls.id,
                found.is_ours.is_(None),
                sa.not_(found.is_left),
                found.gateway_state.in_(sorted(LIVE_STATES | UNFINISHED_STATES)),
            )
            .correlate(cls)
        )

    @property
    def is_charge(self) -> bool:
        """Whether the transaction that counts now charges a card that was checked before."""
        return self.transaction is not None and self.transaction.is_charge


class Delivery(Base):
    """One parcel of an order (お届け先); an order has 1 to 50 (R29)."""

    __tablename__ = "deliveries"
    __table_args__ = (sa.UniqueConstraint("order_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(sa.ForeignKey("orders.id", ondelete="CASCADE"))
    #: 配送先番号; 0 is the only delivery of an order
    number: Mapped[int] = mapped_column(default=0)
    name: Mapped[str] = mapped_column(sa.String(200), default="")
    postal_code: Mapped[str] = mapped_column(sa.String(10), default="")
    prefecture: Mapped[str] = mapped_column(sa.String(10), default="")
    address: Mapped[str] = mapped_column(sa.String(400), default="")
    tel: Mapped[str] = mapped_column(sa.String(30), default="")
    wish_date: Mapped[date | None] = mapped_column(index=True)
    wish_time: Mapped[str] = mapped_column(sa.String(60), default="")
    #: three digits of rules.md §9.2, or empty
    carrier_code: Mapped[str] = mapped_column(sa.String(3), default="")
    slip_no: Mapped[str] = mapped_column(sa.String(30), default="", index=True)
    #: further slip numbers of the same parcel (複数個口), divided by blanks; the first is reported
    more_slips: Mapped[str] = mapped_column(sa.String(400), default="", server_default="")
    status: Mapped[DeliveryStatus] = mapped_column(
        enum_column(DeliveryStatus, "status"), default=DeliveryStatus.UNPROCESSED
    )
    name_search: Mapped[str] = mapped_column(sa.Text, default="")
    #: 配送完了 since; its JST month is the billable one of a subscription (R101)
    delivered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    returned_on: Mapped[date | None]
    return_reason: Mapped[str] = mapped_column(sa.String(200), default="")


class OrderLine(Base):
    """One item of an order; unit price in yen, tax included if `Order.prices_include_tax`."""

    __tablename__ = "order_lines"
    __table_args__ = (
        sa.UniqueConstraint("order_id", "position"),
        sa.CheckConstraint("tax_rate IN (0, 8, 10)", name="tax_rate_known"),
        sa.CheckConstraint("quantity > 0", name="quantity_positive"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(sa.ForeignKey("orders.id", ondelete="CASCADE"))
    #: `Delivery.number` of the parcel this goes into
    delivery_number: Mapped[int] = mapped_column(default=0)
    position: Mapped[int]
    code: Mapped[str] = mapped_column(sa.String(100), default="")
    name: Mapped[str] = mapped_column(sa.String(400))
    option: Mapped[str] = mapped_column(sa.String(400), default="")
    jan: Mapped[str] = mapped_column(sa.String(20), default="")
    unit_price: Mapped[int]
    quantity: Mapped[int]
    tax_rate: Mapped[int] = mapped_column(default=10)
    is_preorder: Mapped[bool] = mapped_column(default=False)
    item_search: Mapped[str] = mapped_column(sa.Text, default="")

    @property
    def amount(self) -> int:
        """Unit price times quantity, in yen."""
        return self.unit_price * self.quantity


#: `look_problem` of a transaction whose AccessID is not that of its OrderID at the gateway.
MISMATCH = "mismatch"


class CardTransaction(Base):
    """One transaction at the gateway for an order, as our last answer or look-up showed it."""

    __tablename__ = "card_transactions"
    __table_args__ = (
        sa.UniqueConstraint("order_id", "sequence"),
        index_of("uq_card_transactions_current", "order_id", unique=True, where="is_current"),
        index_of(
            "ix_card_transactions_next_look_at", "next_look_at", where="next_look_at IS NOT NULL"
        ),
        index_of(
            "ix_card_transactions_hold_ends_at",
            *("hold_ends_at", "order_id", "gateway_amount", "differs"),
            where="hold_ends_at IS NOT NULL",
        ),
        index_of("ix_card_transactions_differs", "order_id", where="differs"),
        sa.Index("ix_card_transactions_access_id", "access_id"),
        sa.Index("ix_card_transactions_captured_at", "captured_at"),
        sa.Index("ix_card_transactions_cancelled_at", "cancelled_at"),
        NUMBERED_ONCE,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(sa.ForeignKey("orders.id", ondelete="CASCADE"))
    #: 0 for the first; n for the one sent with suffix `-n` (R141)
    sequence: Mapped[int] = mapped_column(default=0)
    is_current: Mapped[bool] = mapped_column(default=True)
    #: made by us to charge the card that an earlier one checked (R112, R102)
    is_charge: Mapped[bool] = mapped_column(default=False)
    #: a call of ours may have entered it since then, and an answer said that it did; asked of later
    #: numbers, which a monthly file or another's order may have brought there (unknown_numbers)
    entry_sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    entered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: OrderID at the gateway, unique per shop id (R141)
    gateway_order_id: Mapped[str] = mapped_column(sa.String(27), unique=True)
    access_id: Mapped[str | None] = mapped_column(sa.String(64))
    #: AccessPass, sealed with `gateway_order_id` as its context (S10)
    access_pass_sealed: Mapped[str | None] = mapped_column(sa.Text)
    #: word of the gateway's own state machine (protocol.md §3.1), as last seen
    gateway_state: Mapped[str | None] = mapped_column(sa.String(20))
    #: SMBC-GP側金額 in yen; None while nothing is reserved (R111)
    gateway_amount: Mapped[int | None]
    authorized_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: end of the hold by the configured term (§10 `auth_valid_days`); it warns, the gateway decides
    auth_expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: the same while it is of use: current, and its order may be captured; triggers alone write it
    #: (order_search/holds.py)
    hold_ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: current, and not what its order comes to, which is not paid yet; triggers alone write it, too
    differs: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    captured_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    captured_amount: Mapped[int | None]
    #: 取消日時: when SMBC-GP released or gave back all of it
    cancelled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    amount_sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    tran_id: Mapped[str] = mapped_column(sa.String(28), default="")
    card_last4: Mapped[str] = mapped_column(sa.String(4), default="")
    pay_method: Mapped[str] = mapped_column(sa.String(1), default="")
    #: number of instalments; None for everything but 分割
    pay_times: Mapped[int | None]
    #: the card kept at SMBC-GP for later charges (protocol.md §2.8): member and number of the card
    member_id: Mapped[str] = mapped_column(sa.String(60), default="")
    card_seq: Mapped[int | None]
    #: where the buyer passes 3-D Secure, while that is to come; and where they go afterwards
    challenge_url: Mapped[str] = mapped_column(sa.Text, default="")
    return_url: Mapped[str] = mapped_column(sa.Text, default="")
    #: a look-up that links or checks this transaction is due then; None when none is wanted
    next_look_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    first_look_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    looks: Mapped[int] = mapped_column(default=0)
    looked_up_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: why the last look-up did not settle it: "", "not_found", "unanswered", "mismatch",
    #: "unknown_state"
    look_problem: Mapped[str] = mapped_column(sa.String(20), default="")
    #: comes from a backup and was not seen at SMBC-GP since: nothing is sent before it is (P36)
    is_restored: Mapped[bool] = mapped_column(default=False, server_default=sa.false())

    @hybrid_property
    def others_live(self) -> bool:
        """Whether money of the order is reserved or taken under another of its numbers."""
        return bool(_asked_of(self, "others_live"))

    @others_live.inplace.expression
    @classmethod
    def _others_live_expression(cls) -> sa.ColumnElement[bool]:
        # Not `aliased`, which makes each of the mapper's columns anew whenever it is asked.
        names = ("id", "order_id", "gateway_state", "challenge_url")
        other = sa.table("card_transactions", *map(sa.column, names)).alias().c
        return (
            sa.exists()
            .where(
                other.order_id == cls.order_id,
                other.id != cls.id,
                sa.or_(
                    other.gateway_state.in_(sorted(LIVE_STATES)),
                    # A buyer at 3-D Secure can still finish: the database refuses beside it too.
                    sa.and_(other.gateway_state == "AUTHENTICATED", other.challenge_url != ""),
                ),
            )
            .correlate(cls)
        )

    @hybrid_property
    def given_by_hand(self) -> int:
        """Yen of it that a person recorded as given back by another way (返金済み)."""
        return _asked_of(self, "given_by_hand") or 0

    @given_by_hand.inplace.expression
    @classmethod
    def _given_by_hand_expression(cls) -> sa.ColumnElement[int]:
        names = ("transaction_id", "is_by_hand", "kept_before", "kept_after")
        moved = sa.table("money_movements", *map(sa.column, names)).c
        went_back = sa.func.sum(moved.kept_before - moved.kept_after)
        return (
            sa.select(sa.func.coalesce(went_back, 0))
            .where(moved.transaction_id == cls.id, moved.is_by_hand)
            .correlate(cls)
            .scalar_subquery()
        )

    @hybrid_property
    def is_filed(self) -> bool:
        """Of what was taken: whether a monthly file did it, and SMBC-GP takes no call on such a sale.

        Not where the file's line was refused, and a call of ours entered the number afterwards; but
        where SMBC-GP said so itself, of a file our books do not know.
        """
        return bool(_asked_of(self, "is_filed"))

    @is_filed.inplace.expression
    @classmethod
    def _is_filed_expression(cls) -> sa.ColumnElement[bool]:
        filed = sa.table("filed_numbers", sa.column("gateway_order_id"))
        is_line = sa.exists().where(filed.c.gateway_order_id == cls.gateway_order_id).correlate(cls)
        is_ours = sa.and_(is_line, cls.entry_sent_at.is_(None), cls.entered_at.is_(None))
        return sa.or_(is_ours, cls.was_refused_to_calls)

    @hybrid_property
    def was_refused_to_calls(self) -> bool:
        """SMBC-GP said to any call on the number that a file brought it: that beats all we believe."""
        return bool(_asked_of(self, "was_refused_to_calls"))

    @was_refused_to_calls.inplace.expression
    @classmethod
    def _was_refused_to_calls_expression(cls) -> sa.ColumnElement[bool]:
        names = ("order_id", "gateway_order_id")
        tried = sa.table("attempts", *map(sa.column, names), sa.column("error_codes", sa.String)).c
        its = sa.select(tried.order_id).where(
            tried.order_id == cls.order_id,  # which has an index
            tried.gateway_order_id == cls.gateway_order_id,
            tried.error_codes.contains(ONLY_BY_FILE),
        )
        # OFFSET: else PostgreSQL reads all attempts there are once, for any list of orders.
        return its.offset(sa.literal_column("0")).correlate(cls).exists()

    @property
    def is_mere_number(self) -> bool:
        """Whether nothing was sent under it, and nothing seen there so far."""
        return not (self.entry_sent_at or self.access_id or self.gateway_state)

    @hybrid_property
    def is_used(self) -> bool:
        """Whether it counts, or something was sent under it or seen there: not merely named by SMBC-GP."""
        return self.is_current or not self.is_mere_number

    @is_used.inplace.expression
    @classmethod
    def _is_used_expression(cls) -> sa.ColumnElement[bool]:
        was_used = (cls.entry_sent_at, cls.access_id, cls.gateway_state)
        return sa.or_(cls.is_current, *(column.is_not(None) for column in was_used))

    @property
    def is_captured(self) -> bool:
        """Whether SMBC-GP showed last that its money is taken."""
        return self.gateway_state in TAKEN_STATES

    @property
    def is_unpaid_charge(self) -> bool:
        """Whether it is still to be entered and paid by a charge of ours (R112, R102)."""
        return self.is_charge and is_to_be_charged(self)

    @hybrid_property
    def is_linked(self) -> bool:
        """Whether we hold what the gateway wants to see before it acts, or enter it ourselves.

        Access data of a file is a claim until a look-up, or an answer to us, has shown what stands
        under our own OrderID (P3): the gateway acts by AccessID alone, whoever's it is.
        """
        is_known = bool(self.access_id and self.access_pass_sealed)
        return self.is_charge or (is_known and self.gateway_state is not None)

    @is_linked.inplace.expression
    @classmethod
    def _is_linked_expression(cls) -> sa.ColumnElement[bool]:
        return sa.or_(
            cls.is_charge,
            sa.and_(
                sa.func.coalesce(cls.access_id, "") != "",
                sa.func.coalesce(cls.access_pass_sealed, "") != "",
                cls.gateway_state.is_not(None),
            ),
        )

    @hybrid_property
    def is_mismatched(self) -> bool:
        """Whether another transaction stands under our OrderID than the one we hold access to."""
        return self.look_problem == MISMATCH


#: Wholly 配送完了; or something came back, and a person decided that the payment stays (返金しない, R90a).
IS_THROUGH = sa.or_(
    Order.processing_class == ProcessingClass.DELIVERED,
    sa.and_(
        Order.processing_class == ProcessingClass.RETURNED, Order.cancel_waived_at.is_not(None)
    ),
)
