"""What happened to one order, as the API tells it (interfaces.md §5)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.history import EventKind, kind_of
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.models import ActorKind, Alert, HistoryEntry
from sgpshop.web.api.content import DateTime, moment
from sgpshop.web.api.fields import AnswerBody


class EntryAnswer(AnswerBody):
    """One thing that happened to an order, and how the order stood after it.  Amounts are yen."""

    type: Annotated[
        EventKind,
        Field(
            description="What matters most in it.  received: the order is here; payment_status: the"
            " payment has another status; amount: the total, or what SMBC-GP holds, changed;"
            " delivery: a parcel has another status or slip number; alert: somebody of the shop has"
            " to look at the order; other: anything else."
        ),
    ]
    at: DateTime
    action: Annotated[
        str, Field(description="What was done, as one word; more words may come with versions.")
    ]
    by: Annotated[ActorKind | None, Field(description="Who did it; null for an alert.")]
    version: Annotated[int | None, Field(description="Of the order after it; null for an alert.")]
    payment_status_before: PaymentStatus | None
    payment_status: PaymentStatus | None
    total_before: int | None
    total: int | None
    gateway_amount: int | None
    captured_amount: Annotated[int | None, Field(description="Captured so far.")]
    refunded_amount: Annotated[int | None, Field(description="Of it given back by a cancel.")]
    processing_class: ProcessingClass | None
    alert: Annotated[AlertKind | None, Field(description="With type `alert`, what it is about.")]


def of_entry(entry: HistoryEntry) -> EntryAnswer:
    """An entry of the history of one order."""
    return EntryAnswer(**values_of_entry(entry))


def is_of_payment(entry: HistoryEntry) -> bool:
    """Whether it tells of the payment: what an order's own answer lists."""
    kinds = (EventKind.RECEIVED, EventKind.PAYMENT_STATUS, EventKind.AMOUNT)
    return entry.attempt_id is not None or _kind(entry) in kinds


def _kind(entry: HistoryEntry) -> EventKind:
    return kind_of(
        entry.event,
        status_changes=entry.status_before is not entry.status_after,
        total_changes=entry.amount_before != entry.amount_after,
    )


def values_of_entry(entry: HistoryEntry) -> dict[str, Any]:
    """Fields of EntryAnswer for an entry of the history."""
    return {
        "type": _kind(entry),
        "at": moment(entry.at),
        "action": entry.event,
        "by": entry.actor_kind,
        "version": entry.order_version,
        "payment_status_before": entry.status_before,
        "payment_status": entry.status_after,
        "total_before": entry.amount_before,
        "total": entry.amount_after,
        "gateway_amount": entry.gateway_amount,
        "captured_amount": entry.captured_amount,
        "refunded_amount": entry.refunded_amount,
        "processing_class": entry.processing_class,
        "alert": None,
    }


def values_of_alert(alert: Alert) -> dict[str, Any]:
    """Fields of EntryAnswer for an alert."""
    nothing = dict.fromkeys(EntryAnswer.model_fields)
    return nothing | {
        "type": EventKind.ALERT,
        "at": moment(alert.since),
        "action": "alert_raised",
        "alert": alert.kind,
    }
