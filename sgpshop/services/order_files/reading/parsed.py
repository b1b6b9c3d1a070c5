"""What an order file says, as plain values: the form in which orders go on to be stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sgpshop.domain.payment_status import SUBSCRIPTION_STATUSES, PaymentStatus
from sgpshop.models import OrderKind
from sgpshop.services.files.layout import Layout


@dataclass(frozen=True)
class PaymentClaim:
    """What the file says about the card payment of an SGP order; the gateway has the last word."""

    #: 決済方法ステータス of the file, 注文状態 0 and 99 counted in; None: nothing said
    status: PaymentStatus | None
    access_id: str
    access_pass: str
    gateway_amount: int | None
    authorized_at: datetime | None
    #: whether its column says 売上失敗, whatever 注文状態 makes of it
    is_failed: bool

    @property
    def has_access(self) -> bool:
        """Whether the file brings what the gateway wants to see before it acts, right or wrong."""
        return bool(self.access_id and self.access_pass)

    def status_until_look_up(self, kind: OrderKind) -> PaymentStatus:
        """What we show before the gateway was asked: no claim becomes a fact (R143, P3)."""
        if self.status in SUBSCRIPTION_STATUSES:
            return self.status
        if self.status is PaymentStatus.AUTHORIZED and kind is not OrderKind.SUBSCRIPTION:
            return self.status
        return PaymentStatus.NEEDS_REVIEW


@dataclass(frozen=True)
class ParsedOrder:
    """One order of a file.

    `values`, and each of `deliveries` and `lines`, hold values by column name of the models
    Order, Delivery and OrderLine, for those columns that the file has: what it does not speak of
    stays as it is.  `line` is the first line in the file.
    """

    order_no: str
    line: int
    values: dict[str, Any]
    deliveries: list[dict[str, Any]]
    lines: list[dict[str, Any]]
    #: None: nobody said yet whether its way of payment is ours
    is_sgp: bool | None
    #: None for an order that is not paid by SGP card
    claim: PaymentClaim | None
    #: of a parcel: what stands in the file only fills what is empty here
    fills: tuple[str, ...] = ()
    #: the file shows leading zeros of numbers, so this one lost none
    keeps_zeros: bool = False
    #: the file has its number with more or fewer leading zeros, too
    has_twin: bool = False


@dataclass(frozen=True)
class Survey:
    """A file as a whole: how much there is, and the order numbers whose rows are not together.

    Rows of one order that stand apart are most often two exports put into one file; adding their
    items up would charge twice, so such orders are left out.
    """

    rows: int
    orders: int
    scattered: frozenset[str]
    layout: Layout
    #: headings that nothing is taken from
    unread: tuple[str, ...] = ()
    #: whether one of its numbers begins with a zero, and those that differ from another by such alone
    keeps_zeros: bool = False
    twins: frozenset[str] = frozenset()
