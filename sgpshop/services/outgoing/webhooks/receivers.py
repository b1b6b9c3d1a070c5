"""Who is told by webhooks: addresses, their keys, whether they are on."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Collection, Sequence
from urllib.parse import urlsplit

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Session

from sgpshop import logs
from sgpshop.domain.activities import ActivityEvent
from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.domain.history import EventKind
from sgpshop.domain.webhook_rules import MOST, WebhookState, problem_of
from sgpshop.extensions import db
from sgpshop.models import Webhook, WebhookMessage
from sgpshop.models.webhook import LONGEST_BY
from sgpshop.services.access import activities
from sgpshop.services.orders import feed
from sgpshop.storage import shared_clock, vault
from sgpshop.storage.database import write_alone, writing

#: What a key of the Standard Webhooks scheme begins with.
_MARK = "whsec_"
_SECRET_BYTES = 32
_SHOWN = 10
_SENDING = {True: "送信する", False: "送信しない"}


class WebhookRefused(ShopError):
    """There is no such receiver to be had."""


def create(url: str, kinds: Collection[EventKind] = tuple(EventKind), *, by: str) -> str:
    """Tell `url` of these events from now on; the key of its signatures, which is shown but once.

    Raises WebhookRefused.
    """
    if problem := problem_of(url, in_test_mode=current_app.config["TEST_MODE"]):
        raise WebhookRefused(problem)
    position = feed.last_position()
    secret = _MARK + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
    with writing() as session:
        write_alone(session, Webhook)  # two owners at once: counted one by one
        urls = session.scalars(sa.select(Webhook.url)).all()
        if url in urls:
            raise WebhookRefused("この送信先は、すでに登録されています。")
        if len(urls) >= MOST:
            raise WebhookRefused(
                f"送信先は{MOST}件まで登録できます。使わない送信先を削除してください。"
            )
        made = Webhook(
            url=url,
            secret_sealed="",
            created_by=by[:LONGEST_BY],
            position=position,
            kinds=_kept(kinds),
        )
        session.add(made)
        session.flush()
        made.secret_sealed = vault.seal(secret, context_of(made.id))
        activities.record(session, ActivityEvent.WEBHOOK_CREATED, _host(url), by=by)
    logs.event("webhook_created", webhook=made.id, by=by)
    return secret


def context_of(webhook_id: int) -> str:
    """What its sealed key is bound to."""
    return f"webhook:{webhook_id}"


def all_receivers() -> Sequence[Webhook]:
    """Every receiver, the oldest first."""
    return db.session.scalars(sa.select(Webhook).order_by(Webhook.id)).all()


def last_messages(webhook_id: int) -> Sequence[WebhookMessage]:
    """The newest to one receiver."""
    return db.session.scalars(
        sa.select(WebhookMessage)
        .where(WebhookMessage.webhook_id == webhook_id)
        .order_by(WebhookMessage.id.desc())
        .limit(_SHOWN)
    ).all()


def switch(webhook_id: int, *, is_on: bool, by: str) -> None:
    """Send, or send no more; what happened while it was off is sent when it is on again (30 days).

    Raises NotFound.
    """
    with writing() as session:
        known = _locked(session, webhook_id)
        words, known.is_active = _SENDING[known.is_active], is_on
        values = {"failing_since": None, "given_up_at": None}
        session.execute(sa.update(Webhook).where(Webhook.id == webhook_id).values(values))
        if is_on:
            waits = (WebhookMessage.webhook_id == webhook_id) & (
                WebhookMessage.state == WebhookState.WAITING
            )
            anew = {"due_at": shared_clock.now(), "first_tried_at": None, "tries": 0}
            session.execute(sa.update(WebhookMessage).where(waits).values(anew))
        changes = [["送信", words, _SENDING[is_on]]]
        host = _host(known.url)
        activities.record(session, ActivityEvent.WEBHOOK_SWITCHED, host, by=by, changes=changes)
    logs.event("webhook_switched", webhook=webhook_id, is_on=is_on, by=by)


def choose(webhook_id: int, kinds: Collection[EventKind], *, by: str) -> None:
    """Tell it of these events alone, of what becomes known from now on.  Raises NotFound."""
    with writing() as session:
        receiver = _locked(session, webhook_id)
        before, receiver.kinds = _told(receiver), _kept(kinds)
        changes = [["できごと", before, _told(receiver)]]
        host = _host(receiver.url)
        activities.record(session, ActivityEvent.WEBHOOK_CHOSEN, host, by=by, changes=changes)
    logs.event("webhook_chosen", webhook=webhook_id, kinds=_kept(kinds), by=by)


def chosen(receiver: Webhook) -> list[EventKind]:
    """Of which events it is told."""
    words = receiver.kinds.split()
    return [kind for kind in EventKind if not words or kind in words]


def _kept(kinds: Collection[EventKind]) -> str:
    return "" if set(kinds) == set(EventKind) else " ".join(sorted(kinds))


def _told(receiver: Webhook) -> str:
    return "・".join(kind.label for kind in chosen(receiver)) if receiver.kinds else "すべて"


def delete(webhook_id: int, *, by: str) -> None:
    """Forget a receiver, its key and its messages.  Raises NotFound."""
    with writing() as session:
        url = _locked(session, webhook_id).url
        session.execute(sa.delete(WebhookMessage).where(WebhookMessage.webhook_id == webhook_id))
        session.execute(sa.delete(Webhook).where(Webhook.id == webhook_id))
        activities.record(session, ActivityEvent.WEBHOOK_DELETED, _host(url), by=by)
    logs.event("webhook_deleted", webhook=webhook_id, by=by)


def _host(url: str) -> str:
    """What is told of an address whose path may be somebody's secret."""
    return urlsplit(url).hostname or ""


def _locked(session: Session, webhook_id: int) -> Webhook:
    found = session.get(Webhook, webhook_id, populate_existing=True, with_for_update=True)
    if found is None:
        raise NotFound("この送信先は見つかりません。画面を開き直してください。")
    return found
