"""What happened to one order, as the API tells it (interfaces.md §5)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.history import EventKind
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.models import ActorKind, HistoryEntry
from sgpshop.services.orders import entries
from sgpshop.web.api.content import DateTime
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
    at: Annotated[DateTime, Field(description="When it happened.")]
    action: Annotated[
        str, Field(description="What was done, as one word; more words may come with versions.")
    ]
    by: Annotated[ActorKind | None, Field(description="Who did it; null for an alert.")]
    version: Annotated[int | None, Field(description="Of the order after it; null for an alert.")]
    payment_status_before: Annotated[
        PaymentStatus | None, Field(description="Before it; null also for an alert.")
    ]
    payment_status: Annotated[
        PaymentStatus | None, Field(description="After it; null also for an alert.")
    ]
    total_before: Annotated[int | None, Field(description="The order's `total` before it.")]
    total: Annotated[int | None, Field(description="The order's `total` after it.")]
    gateway_amount: Annotated[
        int | None, Field(description="What SMBC-GP holds or took, as of the order.")
    ]
    captured_amount: Annotated[int | None, Field(description="Captured so far.")]
    refunded_amount: Annotated[int | None, Field(description="Of it given back by a cancel.")]
    processing_class: Annotated[
        ProcessingClass | None, Field(description="All parcels together after it.")
    ]
    alert: Annotated[AlertKind | None, Field(description="With type `alert`, what it is about.")]


def of_entry(entry: HistoryEntry) -> EntryAnswer:
    """An entry of the history of one order."""
    return EntryAnswer(**entries.values_of_entry(entry))


def is_of_payment(entry: HistoryEntry) -> bool:
    """Whether it tells of the payment: what an order's own answer lists."""
    kinds = (EventKind.RECEIVED, EventKind.PAYMENT_STATUS, EventKind.AMOUNT)
    return entry.attempt_id is not None or entries.kind_of_entry(entry) in kinds
