"""One row for each event and receiver, written once, in the order in which events become readable."""

from __future__ import annotations

import json
import secrets
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from sgpshop.domain.errors import NotFound
from sgpshop.domain.webhook_rules import WebhookState
from sgpshop.extensions import db
from sgpshop.models import Webhook, WebhookMessage, table_of, utc_now
from sgpshop.services.access import rate_limits
from sgpshop.services.orders import feed
from sgpshop.services.orders.entries import values_of_event
from sgpshop.storage import shared_clock
from sgpshop.storage.database import writing

#: So many rows are written at once, so that nobody waits long for the database.
_AT_ONCE = 200
#: So long it is known what was sent.
_KEPT = timedelta(days=30)
#: Tests and repetitions by one person in a minute (S23).
_BY_HAND = 20
_messages = table_of(WebhookMessage)


def write_due() -> None:
    """Write the messages of events that came since; by any number of workers at once."""
    receivers = db.session.execute(
        sa.select(Webhook.id, Webhook.position, Webhook.kinds)
        .where(Webhook.is_active)
        .order_by(Webhook.id)
    ).all()
    db.session.rollback()
    for webhook_id, position, kinds in receivers:
        rows = feed.events_behind(position, _AT_ONCE)
        if not rows:
            continue
        generation = feed.generation()
        now = shared_clock.now()
        found = [_row(webhook_id, row, generation, now) for row in rows]
        if kinds:
            found = [one for one in found if one["type"] in kinds.split()]
        behind = rows[-1].OrderEvent.position
        with writing() as session:
            # Whoever moves the place on writes the rows: another worker saw the same events.
            is_ours = session.execute(
                sa.update(Webhook)
                .where(Webhook.id == webhook_id, Webhook.position == position, Webhook.is_active)
                .values(position=behind)
            ).rowcount  # type: ignore[attr-defined]
            if is_ours and found:
                session.connection().execute(sa.insert(_messages), found)


def send_test(webhook_id: int, person_id: int) -> None:
    """A message about nothing, also to a receiver that is off.  Raises NotFound, TooOften."""
    _count(person_id)
    event_id = f"test-{secrets.token_hex(8)}"
    made = _values(webhook_id, event_id, "", "test", {"id": event_id}, utc_now())
    with writing() as session:
        if session.get(Webhook, webhook_id, populate_existing=True) is None:
            raise NotFound("この送信先は見つかりません。画面を開き直してください。")
        session.connection().execute(sa.insert(_messages), [made | {"due_at": shared_clock.now()}])


def send_again(webhook_id: int, message_id: int, person_id: int) -> None:
    """One message once more, under its id of before; one that waits, now.

    Raises NotFound, TooOften.
    """
    _count(person_id)
    with writing() as session:
        is_there = session.execute(
            sa.update(WebhookMessage)
            .where(
                WebhookMessage.id == message_id,
                WebhookMessage.webhook_id == webhook_id,
                WebhookMessage.state != WebhookState.SENDING,
            )
            .values(
                state=WebhookState.WAITING,
                due_at=shared_clock.now(),
                tries=0,
                first_tried_at=None,
                ended_at=None,
                problem="",
            )
        ).rowcount  # type: ignore[attr-defined]
    if not is_there:
        raise NotFound("この送信は見つからないか、いま送信中です。画面を開き直してください。")


def tidy() -> None:
    """Forget messages of long ago."""
    with writing() as session:
        session.execute(
            sa.delete(WebhookMessage).where(WebhookMessage.created_at < utc_now() - _KEPT)
        )


def _count(person_id: int) -> None:
    rate_limits.count_in_span({f"{rate_limits.WEBHOOKS}:{person_id}": _BY_HAND}, is_reading=False)


def _row(webhook_id: int, row: Any, generation: str, now: datetime) -> dict[str, Any]:
    event_id = feed.cursor(generation, row.OrderEvent.position)
    told = {"id": event_id, "order_no": row.order_no} | values_of_event(row)
    values = _values(webhook_id, event_id, row.order_no, told["type"], told, utc_now())
    return values | {"due_at": now}


def _values(
    webhook_id: int,
    event_id: str,
    order_no: str,
    kind: str,
    told: dict[str, Any],
    now: datetime,
) -> dict[str, Any]:
    """The row of a message; its body is that of the Standard Webhooks scheme."""
    at = told.get("at") or now.isoformat(timespec="seconds")
    body = {"type": f"order.{kind}" if order_no else kind, "timestamp": at, "data": told}
    return {
        "webhook_id": webhook_id,
        "event_id": event_id,
        "order_no": order_no,
        "type": kind,
        "body": json.dumps(body, ensure_ascii=False, separators=(",", ":")),
        "state": WebhookState.WAITING,
        "tries": 0,
        "created_at": now,
        "problem": "",
    }
