"""One thing that happened to an order, as programs are told of it: by the API and by webhooks.

No names, addresses or words that somebody typed: who may know more asks for the order.
"""

from __future__ import annotations

from typing import Any

from sgpshop.domain.history import EventKind, kind_of
from sgpshop.models import Alert, HistoryEntry


def kind_of_entry(entry: HistoryEntry) -> EventKind:
    """What matters most in it."""
    return kind_of(
        entry.event,
        status_changes=entry.status_before is not entry.status_after,
        total_changes=entry.amount_before != entry.amount_after,
    )


def values_of_entry(entry: HistoryEntry) -> dict[str, Any]:
    """What is told of an entry of the history (EntryAnswer of the API says what each means)."""
    return {
        "type": kind_of_entry(entry),
        "at": entry.at.isoformat(timespec="seconds"),
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
    """The same fields of an alert."""
    return {
        "type": EventKind.ALERT,
        "at": alert.since.isoformat(timespec="seconds"),
        "action": "alert_raised",
        "by": None,
        "version": None,
        "payment_status_before": None,
        "payment_status": None,
        "total_before": None,
        "total": None,
        "gateway_amount": None,
        "captured_amount": None,
        "refunded_amount": None,
        "processing_class": None,
        "alert": alert.kind,
    }


def values_of_event(row: Any) -> dict[str, Any]:
    """The same of a row of the feed, one of the two (services/orders/feed.py)."""
    entry = row.HistoryEntry
    return values_of_entry(entry) if entry is not None else values_of_alert(row.Alert)
