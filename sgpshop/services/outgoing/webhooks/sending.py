"""Handing messages over, of each order in its order, of several orders at once.

Some are taken at once, each of another order, under a lease that is committed before a byte leaves: while
hundreds of orders change, two commits for each message would leave them behind, and so would a receiver that
thinks about each for a while.  Who dies meanwhile leaves them to the next: a message may come twice, under one
id, and none is lost (at least once).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import timedelta
from functools import partial
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
from sgpshop.services.outgoing.webhooks.receivers import context_of
from sgpshop.storage import shared_clock, vault
from sgpshop.storage.database import writing

#: Longer than a name is looked up and all time-outs of one message; who holds it longer is dead.
_LEASE = timedelta(minutes=2)
#: So many are taken under one lease, and so long at most before those that are left are put back.
_AT_ONCE, _SECONDS_AT_ONCE = 50, 30.0
#: So many of them are on their way to one receiver at the same moment, over a connection each.
_WAYS = 8
_INNER = "送信先の名前が内部のネットワークのアドレスを指しているため、送信しませんでした。"
_AWAY = "送信先に接続できませんでした。"
_NO_ANSWER = "送信先から、時間内に正しい応答がありませんでした。"
_REDIRECT = "送信先が別のアドレスへの転送を返しました(HTTP {})。転送先には送信しません。"
_NOT_OK = "送信先がHTTP {}を返しました。"


def _is_open(of: type[WebhookMessage]) -> sa.ColumnElement[bool]:
    # Written out, as the index has it.
    return of.state.in_([sa.literal_column("'waiting'"), sa.literal_column("'sending'")])


#: Else neither `write_due` nor `waiting_receivers` finds anything: a test is sent to one that is off.
IS_ANYBODY_TO_TELL = sa.or_(
    sa.exists().where(Webhook.is_active), sa.exists().where(_is_open(WebhookMessage))
)


def waiting_receivers() -> list[int]:
    """Those to which something is to be sent now."""
    found = db.session.scalars(
        sa.select(Webhook.id).where(
            sa.exists().where(WebhookMessage.webhook_id == Webhook.id, *_is_due())
        )
    ).all()
    db.session.rollback()
    return list(found)


class _Ways:
    """Connections to one receiver: as many as messages were ever on their way together."""

    def __init__(self, url: str, in_test_mode: bool, closed: ExitStack) -> None:
        self._url, self._in_test_mode, self._closed = url, in_test_mode, closed
        self._ways: list[Elsewhere] = []
        self._threads = closed.enter_context(ThreadPoolExecutor(_WAYS, "webhook"))

    def post(self, secret: str, messages: Sequence[WebhookMessage]) -> Iterable[tuple[str, bool]]:
        """What `_post` says of each: all of them at the same moment."""
        bodies = [message.body.encode() for message in messages]
        headers = [_signed(secret, one.event_id, one.body) for one in messages]
        may_connect = partial(_may_connect, in_test_mode=self._in_test_mode)
        while len(self._ways) < len(messages):
            way = self._closed.enter_context(closing(Elsewhere(self._url, may_connect)))
            self._ways.append(way)
        send = partial(_post, url=self._url, in_test_mode=self._in_test_mode)
        each = map if len(messages) == 1 else self._threads.map
        return each(send, self._ways, bodies, headers)


def send_due(webhook_id: int, is_over: Callable[[], bool] = lambda: False) -> int:
    """Send what is due to one receiver until `is_over`; how many arrived.

    Ends early when the receiver is away: nobody waits for the same time-out again and again.
    """
    found = db.session.get(Webhook, webhook_id)
    if found is None:
        return 0
    with ExitStack() as closed:
        ways = _Ways(found.url, current_app.config["TEST_MODE"], closed)
        return _send_over(ways, webhook_id, is_over)


def _send_over(ways: _Ways, webhook_id: int, is_over: Callable[[], bool]) -> int:
    # The first goes alone: a receiver that is away is waited for once.
    sent, is_away, at_once = 0, False, 1
    while not is_away and not is_over() and (taken := _take(webhook_id)):
        receiver = db.session.get(Webhook, webhook_id)
        if receiver is None:
            break
        secret = vault.unseal(receiver.secret_sealed, context_of(webhook_id))
        db.session.rollback()  # no transaction is open while the receiver is waited for
        until, arrived = time.monotonic() + _SECONDS_AT_ONCE, []
        try:
            while taken and not is_away and not is_over() and time.monotonic() < until:
                if not _are_wanted(taken[:at_once]):
                    break
                together, taken = taken[:at_once], taken[at_once:]
                at_once = _WAYS
                said = list(zip(together, ways.post(secret, together), strict=True))
                arrived += [message for message, (problem, _) in said if not problem]
                for message, (problem, was_away) in said:
                    if problem:
                        _try_later(message, problem)
                        is_away = is_away or was_away
        finally:  # also where that could not be written down: what arrived is not sent again
            _arrived(arrived)
            _put_back(taken)
        sent += len(arrived)
    return sent


def _may_connect(address: str, *, in_test_mode: bool) -> bool:
    """Whether something may be sent to that address of the network (S16a)."""
    return is_public(address) or (in_test_mode and is_loopback(address))


def _signed(secret: str, event_id: str, body: str) -> dict[str, str]:
    now = utc_now()
    return {
        "Content-Type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Signer(secret).sign(event_id, now, body),
    }


def _post(
    way: Elsewhere, body: bytes, headers: dict[str, str], *, url: str, in_test_mode: bool
) -> tuple[str, bool]:
    """Why it did not arrive, or ""; and whether the receiver is away."""
    # Asked anew: it may have been written in test mode, or by an earlier version.
    if problem := problem_of(url, in_test_mode=in_test_mode):
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


def _are_wanted(messages: Sequence[WebhookMessage]) -> bool:
    """Whether they are still to be sent: a person may have switched their receiver off, or deleted it."""
    found = db.session.scalar(
        sa.select(sa.func.count())
        .select_from(WebhookMessage)
        .join(Webhook, Webhook.id == WebhookMessage.webhook_id)
        .where(WebhookMessage.id.in_([message.id for message in messages]), _IS_WANTED)
    )
    db.session.rollback()
    return found == len(messages)


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
