"""Handing messages over, of each receiver one after the other, of each order in its order.

Some are taken at once, each of another order, under a lease that is committed before a byte leaves: while
hundreds of orders change, two commits for each message would leave them behind.  Who dies meanwhile leaves
them to the next: a message may come twice, under one id, and none is lost (at least once).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import aliased
from standardwebhooks import Webhook as Signer

from sgpshop import logs
from sgpshop.domain.webhook_rules import (
    GIVE_UP,
    WebhookState,
    is_loopback,
    is_public,
    pause_after,
    problem_of,
)
from sgpshop.extensions import db
from sgpshop.gateway import (
    ADDRESS_REFUSED,
    Elsewhere,
    GatewayOutcomeUnknown,
    GatewayUnreachable,
)
from sgpshop.models import Webhook, WebhookMessage, utc_now
from sgpshop.services.webhooks.receivers import context_of
from sgpshop.storage import shared_clock, vault
from sgpshop.storage.database import writing

#: Longer than a name is looked up and all time-outs of one message; who holds it longer is dead.
_LEASE = timedelta(minutes=2)
#: So many are taken under one lease, and so long at most before those that are left are put back.
_AT_ONCE, _SECONDS_AT_ONCE = 50, 30.0
_INNER = "送信先の名前が内部のネットワークのアドレスを指しているため、送信しませんでした。"
_AWAY = "送信先に接続できませんでした。"
_NO_ANSWER = "送信先から、時間内に正しい応答がありませんでした。"
_REDIRECT = "送信先が別のアドレスへの転送を返しました(HTTP {})。転送先には送信しません。"
_NOT_OK = "送信先がHTTP {}を返しました。"


def waiting_receivers() -> list[int]:
    """Those to which something is to be sent now."""
    found = db.session.scalars(
        sa.select(Webhook.id).where(
            sa.exists().where(WebhookMessage.webhook_id == Webhook.id, *_is_due())
        )
    ).all()
    db.session.rollback()
    return list(found)


def send_due(webhook_id: int, is_over: Callable[[], bool] = lambda: False) -> int:
    """Send what is due to one receiver until `is_over`; how many arrived.

    Ends early when the receiver is away: nobody waits for the same time-out again and again.
    """
    found = db.session.get(Webhook, webhook_id)
    if found is None:
        return 0
    with closing(Elsewhere(found.url, may_connect)) as way:
        return _send_over(way, webhook_id, is_over)


def _send_over(way: Elsewhere, webhook_id: int, is_over: Callable[[], bool]) -> int:
    sent, is_away = 0, False
    while not is_away and not is_over() and (taken := _take(webhook_id)):
        receiver = db.session.get(Webhook, webhook_id)
        if receiver is None:
            break
        url, secret = receiver.url, vault.unseal(receiver.secret_sealed, context_of(webhook_id))
        db.session.rollback()  # no transaction is open while the receiver is waited for
        until, arrived = time.monotonic() + _SECONDS_AT_ONCE, []
        try:
            while taken and not is_away and not is_over() and time.monotonic() < until:
                if not _is_wanted(taken[0]):
                    break
                message = taken.pop(0)
                headers = _signed(secret, message.event_id, message.body)
                problem, is_away = _post(way, url, message.body.encode(), headers)
                if problem:
                    _try_later(message, problem)
                else:
                    arrived.append(message)
        finally:  # also where that could not be written down: what arrived is not sent again
            _arrived(arrived)
            _put_back(taken)
        sent += len(arrived)
    return sent


def may_connect(address: str) -> bool:
    """Whether something may be sent to that address of the network (S16a)."""
    return is_public(address) or (current_app.config["TEST_MODE"] and is_loopback(address))


def _signed(secret: str, event_id: str, body: str) -> dict[str, str]:
    now = utc_now()
    return {
        "Content-Type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Signer(secret).sign(event_id, now, body),
    }


def _post(way: Elsewhere, url: str, body: bytes, headers: dict[str, str]) -> tuple[str, bool]:
    """Why it did not arrive, or ""; and whether the receiver is away."""
    # Asked anew: it may have been written in test mode, or by an earlier version.
    if problem := problem_of(url, in_test_mode=current_app.config["TEST_MODE"]):
        return problem, True
    try:
        status = way.post(body, headers)
    except GatewayUnreachable as failure:
        return (_INNER if failure.reason == ADDRESS_REFUSED else _AWAY), True
    except GatewayOutcomeUnknown:
        return _NO_ANSWER, True
    if 200 <= status < 300:
        return "", False
    return (_REDIRECT if 300 <= status < 400 else _NOT_OK).format(status), False


#: Of a receiver that is on, or a test.
_IS_WANTED = sa.or_(Webhook.is_active, WebhookMessage.order_no == "")


def _is_wanted(message: WebhookMessage) -> bool:
    """Whether it is still to be sent: a person may have switched its receiver off, or deleted it."""
    found = db.session.scalar(
        sa.select(WebhookMessage.id)
        .join(Webhook, Webhook.id == WebhookMessage.webhook_id)
        .where(WebhookMessage.id == message.id, _IS_WANTED)
    )
    db.session.rollback()
    return found is not None


def _is_due() -> tuple[sa.ColumnElement[bool], ...]:
    """Wanted, and no earlier one of the same order waits."""
    before = aliased(WebhookMessage)
    return (
        _is_open(WebhookMessage),
        WebhookMessage.due_at <= shared_clock.now(),
        _IS_WANTED,
        ~sa.exists().where(
            before.webhook_id == WebhookMessage.webhook_id,
            before.order_no == WebhookMessage.order_no,
            before.id < WebhookMessage.id,
            _is_open(before),
        ),
    )


def _is_open(of: type[WebhookMessage]) -> sa.ColumnElement[bool]:
    # Written out, as the index has it.
    return of.state.in_([sa.literal_column("'waiting'"), sa.literal_column("'sending'")])


def _take(webhook_id: int) -> list[WebhookMessage]:
    """The next messages, ours for the length of a lease; of each order the first alone."""
    ids = db.session.scalars(
        sa.select(WebhookMessage.id)
        .join(Webhook, Webhook.id == WebhookMessage.webhook_id)
        .where(WebhookMessage.webhook_id == webhook_id, *_is_due())
        .order_by(WebhookMessage.due_at, WebhookMessage.id)
        .limit(_AT_ONCE)
    ).all()
    db.session.rollback()
    if not ids:
        return []
    now = shared_clock.now()
    with writing() as session:
        taken = session.scalars(
            sa.update(WebhookMessage)
            .where(
                WebhookMessage.id.in_(ids),
                # Another worker may have taken it since: then it is due after its lease.
                _is_open(WebhookMessage),
                WebhookMessage.due_at <= now,
            )
            .values(
                state=WebhookState.SENDING,
                tries=WebhookMessage.tries + 1,
                due_at=now + _LEASE,
                first_tried_at=sa.func.coalesce(WebhookMessage.first_tried_at, now),
            )
            .returning(WebhookMessage.id)
            .execution_options(synchronize_session=False)
        ).all()
    messages = db.session.scalars(
        sa.select(WebhookMessage)
        .where(WebhookMessage.id.in_(taken))
        .order_by(WebhookMessage.id)
        .execution_options(populate_existing=True)
    ).all()
    for message in messages:
        db.session.expunge(message)  # as it was taken, whatever becomes of its receiver
    return list(messages)


def _put_back(messages: Sequence[WebhookMessage]) -> None:
    """These were taken and not tried: they are as they were."""
    if not messages:
        return
    with writing() as session:
        for message in messages:
            was_tried = message.tries > 1
            _write(
                session,
                message,
                state=WebhookState.WAITING,
                due_at=shared_clock.now(),
                tries=message.tries - 1,
                first_tried_at=message.first_tried_at if was_tried else None,
            )


def _arrived(messages: Sequence[WebhookMessage]) -> None:
    if not messages:
        return
    now, receiver_id = utc_now(), messages[0].webhook_id
    with writing() as session:
        for message in messages:
            _write(session, message, state=WebhookState.SENT, ended_at=now, problem="")
        fails = (Webhook.id == receiver_id) & Webhook.failing_since.is_not(None)
        session.execute(sa.update(Webhook).where(fails).values(failing_since=None))


def _try_later(message: WebhookMessage, problem: str) -> None:
    """Once more after a pause, or no more; and the receiver off once it has failed for days."""
    now, receiver = shared_clock.now(), None
    is_too_old = now - (message.first_tried_at or now) >= GIVE_UP
    with writing() as session:
        receiver = session.get(
            Webhook, message.webhook_id, populate_existing=True, with_for_update=True
        )
        if receiver is None:
            return
        if message.order_no:
            receiver.failing_since = receiver.failing_since or now
            if receiver.is_active and now - receiver.failing_since >= GIVE_UP:
                receiver.is_active, receiver.given_up_at = False, now
        # What is left when a receiver is switched off waits for the day when it is on again.
        is_over = (is_too_old and receiver.is_active) or not message.order_no
        if is_over:
            _write(session, message, state=WebhookState.FAILED, ended_at=utc_now(), problem=problem)
        else:
            due_at = now + pause_after(message.tries)
            _write(session, message, state=WebhookState.WAITING, due_at=due_at, problem=problem)
        is_given_up = receiver.given_up_at == now
    logs.event("webhook_not_sent", level=logging.WARNING, webhook=message.webhook_id)
    if is_given_up:
        logs.event("webhook_given_up", level=logging.ERROR, webhook=message.webhook_id)


def _write(session: Any, message: WebhookMessage, **values: Any) -> bool:
    """Within our lease alone: who was taken for dead changes nothing any more."""
    is_ours = (
        WebhookMessage.id == message.id,
        WebhookMessage.tries == message.tries,
        WebhookMessage.state == WebhookState.SENDING,
    )
    statement = sa.update(WebhookMessage).where(*is_ours).values(**values)
    statement = statement.execution_options(synchronize_session=False)
    return bool(session.execute(statement).rowcount)
