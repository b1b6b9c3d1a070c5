"""Requests that say by an Idempotency-Key that they are one, and the count of all (P19, P27, S23).

`begin` notes that a request is under way; `finish` keeps its answer for a day; the same request
again gets that answer.  If a process dies in between, the next try begins anew *with the same
token*: what the first had started is found started, not done twice.

Requests are many, so they are counted by spans of time, not one by one as in `limits`.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from sgpshop import logs
from sgpshop.domain.errors import ShopError
from sgpshop.models import ApiCount, ApiRequest, table_of, utc_now
from sgpshop.services.access.rate_limits import TooOften
from sgpshop.storage.write_together import write_together

#: So long an answer is kept, and the same request is known again.
KEPT = timedelta(hours=24)
#: Longer than any request can take; then its process is taken for dead.
_BUSY = timedelta(seconds=90)
#: Requests are counted in spans of so many seconds.
SPAN = 60
#: Counts and requests of past days that one request tidies away.
_TIDIED = 50


class KeyReused(ShopError):
    """The Idempotency-Key came before, with other content; nothing was changed (P27)."""

    def __init__(self) -> None:
        super().__init__(
            "このIdempotency-Keyは、別の内容のリクエストで使われています。何も変更していません。"
        )


class StillBusy(ShopError):
    """The same request is under way at this moment."""

    status = 409

    def __init__(self) -> None:
        super().__init__(
            "同じIdempotency-Keyのリクエストを処理中です。少し待って再送してください。"
        )


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
        _insert(session, requests)
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


def count(limits: dict[str, int], *, is_reading: bool) -> None:
    """Count one request of each subject against its limit in this span (S23).

    A request too many is not counted.  Raises TooOften.  While the database cannot be
    written, reading goes on uncounted (P32).
    """
    now = utc_now().timestamp()
    began_at = datetime.fromtimestamp(now // SPAN * SPAN, UTC)
    try:
        is_free = write_together(
            lambda session: _count(session, began_at, limits), within=1.0 if is_reading else 6.0
        )
    except OperationalError:
        if not is_reading:
            raise
        logs.event("api_request_not_counted")
        return
    if not is_free:
        wait = max(1, math.ceil(SPAN - now % SPAN))
        logs.event("api_limited", subjects=sorted(limits))
        raise TooOften("リクエスト", wait)


def _count(session: Session, began_at: datetime, limits: dict[str, int]) -> bool:
    """In subject order, so that no two transactions wait for each other."""
    counts = table_of(ApiCount)
    subjects = sorted(limits)
    is_first = False
    for subject in subjects:
        statement = _insert(session, counts).values(subject=subject, began_at=began_at, count=1)
        reached = session.execute(
            statement.on_conflict_do_update(
                index_elements=["subject", "began_at"], set_={"count": counts.c["count"] + 1}
            ).returning(counts.c["count"])
        ).scalar_one()
        is_first = is_first or reached == 1
        if reached > limits[subject]:
            # Taken back by hand: the transaction may be other threads' as well.
            for counted in subjects[: subjects.index(subject) + 1]:
                session.execute(
                    sa.update(counts)
                    .where(counts.c.subject == counted, counts.c.began_at == began_at)
                    .values({"count": counts.c["count"] - 1})
                )
            return False
    if is_first:
        session.execute(
            sa.delete(counts).where(counts.c.began_at < began_at - timedelta(seconds=SPAN))
        )
    return True


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


def _insert(session: Session, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """INSERT that can say ON CONFLICT, which both databases spell alike."""
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    return sqlite.insert(table) if is_sqlite else postgresql.insert(table)
