"""Requests that say by an Idempotency-Key that they are one (P19, P27).

`begin` notes that a request is under way; `finish` keeps its answer for a day; the same request
again gets that answer.  If a process dies in between, the next try begins anew *with the same
token*: what the first had started is found started, not done twice.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.errors import ShopError
from sgpshop.models import ApiRequest, table_of, utc_now
from sgpshop.storage.database import insert
from sgpshop.storage.write_together import write_together

#: So long an answer is kept, and the same request is known again.
KEPT = timedelta(hours=24)
#: Longer than any request can take; then its process is taken for dead.
_BUSY = timedelta(seconds=90)
#: Requests of past days that one request tidies away.
_TIDIED = 50


class KeyReused(ShopError):
    """The Idempotency-Key came before, with other content; nothing was changed (P27)."""

    sentence = "このIdempotency-Keyは、別の内容のリクエストで使われています。何も変更していません。"


class StillBusy(ShopError):
    """The same request is under way at this moment."""

    status = 409
    sentence = "同じIdempotency-Keyのリクエストを処理中です。少し待って再送してください。"


@dataclass(frozen=True)
class AdmittedRequest:
    """A request that may go ahead, or the answer that it got before."""

    id: int
    #: the same for every try of this request
    token: str
    status: int | None = None
    body: str = ""


def begin(key_id: int, route: str, idempotency_key: str, body: bytes) -> AdmittedRequest:
    """Note that this request is under way; one with a `status` was answered before.

    Raises KeyReused (P27) or StillBusy.
    """
    key_hash = hashlib.sha256(idempotency_key.encode()).hexdigest()
    fingerprint = hashlib.sha256(body).hexdigest()
    return write_together(lambda session: _begin(session, key_id, route, key_hash, fingerprint))


def _begin(
    session: Session, key_id: int, route: str, key_hash: str, fingerprint: str
) -> AdmittedRequest:
    now = utc_now()
    requests = table_of(ApiRequest)
    session.execute(_oldest(session, requests, requests.c.id, requests.c.created_at, now - KEPT))
    session.execute(
        insert(session, requests)
        .values(
            key_id=key_id,
            route=route,
            idempotency_hash=key_hash,
            fingerprint=fingerprint,
            token=secrets.token_hex(16),
            created_at=now,
            busy_until=now,
            body="",
        )
        .on_conflict_do_nothing()
    )
    same = sa.and_(
        requests.c.key_id == key_id,
        requests.c.route == route,
        requests.c.idempotency_hash == key_hash,
    )
    row = session.execute(sa.select(requests).where(same).with_for_update()).one()
    if row.created_at <= now - KEPT:  # more than were tidied away: this one is new all the same
        fresh = {
            "fingerprint": fingerprint,
            "token": secrets.token_hex(16),
            "created_at": now,
            "busy_until": now + _BUSY,
            "status": None,
            "body": "",
        }
        session.execute(sa.update(requests).where(same).values(**fresh))
        return AdmittedRequest(row.id, str(fresh["token"]))
    if row.fingerprint != fingerprint:
        raise KeyReused
    if row.status is not None:
        return AdmittedRequest(row.id, row.token, row.status, row.body)
    # Further ahead than that was written by a clock that was set back since (P30).  Whoever it was:
    # the token lets this try find what that one started.
    if now < row.busy_until <= now + 2 * _BUSY:
        raise StillBusy
    session.execute(sa.update(requests).where(same).values(busy_until=now + _BUSY))
    return AdmittedRequest(row.id, row.token)


def finish(begun: AdmittedRequest, status: int, body: str) -> None:
    """Keep the answer for whoever sends the same request again."""
    _change(begun, {"status": status, "body": body})


def break_off(begun: AdmittedRequest) -> None:
    """A fault of ours, perhaps after something was started: the next try goes on with it."""
    _change(begun, {"busy_until": utc_now()})


def forget(begun: AdmittedRequest) -> None:
    """The request was refused and changed nothing: the same key may come again, mended."""
    unanswered = sa.and_(ApiRequest.id == begun.id, ApiRequest.status.is_(None))
    write_together(lambda session: session.execute(sa.delete(ApiRequest).where(unanswered)).close())


def _change(begun: AdmittedRequest, values: dict[str, object]) -> None:
    requests = table_of(ApiRequest)
    unanswered = sa.and_(requests.c.id == begun.id, requests.c.status.is_(None))
    statement = sa.update(requests).where(unanswered).values(**values)
    write_together(lambda session: session.execute(statement).close())


def _oldest(
    session: Session,
    table: sa.Table,
    key: sa.Column[int],
    column: sa.Column[datetime],
    before: datetime,
) -> sa.Delete:
    """Delete a few of the rows from `before`, so that no request has to tidy up a day's worth."""
    old = sa.select(key).where(column <= before).order_by(column).limit(_TIDIED)
    if session.get_bind().dialect.name == "postgresql":  # two tidying up at once do not wait
        old = old.with_for_update(skip_locked=True)
    return sa.delete(table).where(key.in_(old))
