"""What there is to tell: looked for now and then, written down once for each person who wants it.

Whatever can come in heaps (unknown outcomes, differences) is told by the hour in which it began.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import sqlalchemy as sa
from flask import current_app

from sgpshop.domain.mail_kinds import MailKind
from sgpshop.domain.payment_calendar import URGENT_DAYS, jst_day, start_of_day
from sgpshop.domain.second_look import ApprovalState
from sgpshop.extensions import db
from sgpshop.models import (
    ActorKind,
    Alert,
    Approval,
    Attempt,
    BulkItem,
    BulkRun,
    CardTransaction,
    ItemResult,
    KnownDevice,
    Mail,
    Order,
    Person,
    Webhook,
    WorkerBeat,
    table_of,
    utc_now,
)
from sgpshop.services import approvals
from sgpshop.services.order_search import holds
from sgpshop.services.outgoing.mails.choices import is_on
from sgpshop.storage import shared_clock
from sgpshop.storage.database import insert, writing

#: The morning's mails are written only so long after their hour; then the next morning's.
_MORNING_LASTS = timedelta(hours=6)
#: So long an outcome is unknown before it is told.
UNCERTAIN_LONG = timedelta(hours=1)
#: What is older is no news: nobody was there to tell.
_NEWS = timedelta(days=2)
#: Days for which it is known who was told of what; what began before is no news either.
_KEPT = timedelta(days=30)
#: What was asked for in an hour may be written down so much later, by a machine whose clock is behind.
_LATE = timedelta(minutes=2)
#: So long without any sign of life the worker stood still.
_STOOD = timedelta(minutes=10)
#: So many requests for 承認 of one person or program in an hour are told each by itself.
_TOLD_SINGLY = 5
_mails = table_of(Mail)


@dataclass(frozen=True)
class Occasion:
    """Something to tell since the moment `at`; `event` tells it from others of its kind."""

    kind: MailKind
    event: str
    at: datetime
    #: ids of those it is about; None: everybody who wants to hear of its kind
    people: frozenset[int] | None = None


def look_for_occasions() -> int:
    """Write a row for everybody who wants to hear of what there is; how many were new."""
    if not is_on():
        return 0
    now = utc_now()
    devices = _insert(_of_new_devices(now))
    if not (people := _people()):
        return devices
    wanted = {kind for person in people for kind in person.mail_kinds or ()}
    found: list[Occasion] = []
    for kind, look in _LOOKS.items():
        if kind.value in wanted:
            found += look(now)
    return devices + _write(found, people)


def worker_begins() -> None:
    """Before the first sign of life of a worker: whether none had given one for long.

    A worker that stands still cannot tell, and the web process sends nothing: the next worker does.
    Meanwhile the bar of every page and `/readyz` say so.
    """
    last = db.session.scalar(sa.select(sa.func.max(WorkerBeat.at)))
    now = shared_clock.now()
    if last is not None and now - last > _STOOD and is_on():
        event = f"{last:%Y-%m-%dT%H:%M:%SZ}"
        _write([Occasion(MailKind.WORKER_STOOD, event, utc_now())], _people())


def tidy() -> None:
    """Forget mails of which nothing can be told any more: no look finds what is as old as they are."""
    with writing() as session:
        session.execute(sa.delete(Mail).where(Mail.created_at < utc_now() - _KEPT))


def _people() -> list[sa.Row[int, list[str] | None, datetime | None]]:
    rows = db.session.execute(
        sa.select(Person.id, Person.mail_kinds, Person.mails_since).where(
            Person.is_active, Person.email != ""
        )
    ).all()
    return [row for row in rows if row.mail_kinds]


def _write(
    found: Iterable[Occasion],
    people: list[sa.Row[int, list[str] | None, datetime | None]],
) -> int:
    return _insert(
        (person.id, one.kind, one.event)
        for one in found
        for person in people
        if one.kind.value in person.mail_kinds
        and (one.people is None or person.id in one.people)
        and (person.mails_since is None or one.at >= person.mails_since)
    )


def _insert(wanted: Iterable[tuple[int, MailKind, str]]) -> int:
    """A row for each person, kind and event that has none; how many were new."""
    now = utc_now()
    rows = [
        {
            "person_id": person_id,
            "kind": kind,
            "event": event,
            "state": "waiting",
            "due_at": now,
            "tries": 0,
            "created_at": now,
            "problem": "",
        }
        for person_id, kind, event in wanted
    ]
    if not rows:
        return 0
    events = {row["event"] for row in rows}
    known = {
        tuple(row)
        for row in db.session.execute(
            sa.select(Mail.person_id, Mail.kind, Mail.event).where(Mail.event.in_(sorted(events)))
        )
    }
    new = [row for row in rows if (row["person_id"], row["kind"], row["event"]) not in known]
    if new:
        with writing() as session:
            # Another worker may write the same: one of us does.
            session.execute(insert(session, _mails).on_conflict_do_nothing(), new)
    return len(new)


def _of_new_devices(now: datetime) -> Iterator[tuple[int, MailKind, str]]:
    """Sign-ins from a browser in which that person never was, each told to that person alone (S3)."""
    rows = db.session.execute(
        sa.select(KnownDevice.person_id, KnownDevice.id).where(
            KnownDevice.is_news, KnownDevice.added_at >= now - _NEWS, KnownDevice.mail_to != ""
        )
    )
    for person_id, device_id in rows:
        yield person_id, MailKind.NEW_DEVICE, str(device_id)


def _morning(now: datetime) -> date | None:
    """The day whose morning it is."""
    hour: int | None = current_app.config["DAILY_DIGEST_HOUR"]
    if hour is None:
        return None
    day = jst_day(now)
    return day if timedelta() <= now - _begins(day) < _MORNING_LASTS else None


def _begins(day: date) -> datetime:
    return start_of_day(day) + timedelta(hours=current_app.config["DAILY_DIGEST_HOUR"])


def _mornings(now: datetime) -> Iterator[Occasion]:
    if day := _morning(now):
        yield Occasion(MailKind.MORNING, str(day), _begins(day))


def _holds(now: datetime) -> Iterator[Occasion]:
    """The days on which holds end, told once each: URGENT_DAYS before, or as soon as a worker is there."""
    today = _morning(now)
    if today is None:
        return
    days = [today + timedelta(days=number) for number in range(URGENT_DAYS + 1)]
    ends = sa.select(*(holds_of(day).exists() for day in days))
    for day, is_any in zip(days, db.session.execute(ends).one(), strict=True):
        if is_any:
            yield Occasion(MailKind.HOLD_ENDS, str(day), _begins(today))


def holds_of(day: date) -> sa.Select[str, int, datetime | None]:
    """Number, yen and end of the holds that end on that Japanese day."""
    at = holds.ends_at
    return (
        sa.select(Order.order_no, Order.total, at)
        .join(CardTransaction, CardTransaction.order_id == Order.id)
        .where(at >= start_of_day(day), at < start_of_day(day + timedelta(days=1)))
    )


def _failed_runs(now: datetime) -> Iterator[Occasion]:
    """Runs that are over, with failures."""
    failed, open_ones = (
        sa.func.count().filter(BulkItem.result.in_(results))
        for results in ((ItemResult.FAILED,), (ItemResult.PENDING, ItemResult.UNCERTAIN))
    )
    is_told = sa.exists().where(Mail.kind == MailKind.RUN_FAILED, Mail.event == BulkRun.id)
    rows = db.session.execute(
        sa.select(BulkRun.id, sa.func.max(BulkItem.finished_at).label("at"))
        .join(BulkItem, BulkItem.run_id == BulkRun.id)
        .where(BulkRun.started_at >= now - _NEWS, ~is_told)
        .group_by(BulkRun.id)
        .having(failed > 0, open_ones == 0)
    )
    for run_id, at in rows:
        yield Occasion(MailKind.RUN_FAILED, run_id, at or now)


def _uncertain(now: datetime) -> Iterator[Occasion]:
    moments = db.session.scalars(
        sa.select(Attempt.uncertain_since).where(
            Attempt.is_open,
            Attempt.uncertain_since.between(now - _KEPT, now - UNCERTAIN_LONG),
        )
    )
    for hour in {hour_of(moment) for moment in moments if moment}:
        yield Occasion(MailKind.UNCERTAIN, hour.isoformat(), hour + 2 * UNCERTAIN_LONG)


def _differences(now: datetime) -> Iterator[Occasion]:
    """Of hours that are over, so that each is told with all that it brought."""
    rows = db.session.execute(
        sa.select(Alert.since, Alert.kind).where(
            Alert.acknowledged_at.is_(None),
            Alert.since >= now - _NEWS,
            Alert.since < hour_of(now),
        )
    )
    for hour in {hour_of(since) for since, kind in rows if not kind.is_notice}:
        yield Occasion(MailKind.DIFFERENCE, hour.isoformat(), hour + timedelta(hours=1))


def _approvals(now: datetime) -> Iterator[Occasion]:
    """What waits for a second person, told to those who may be that (R157).

    The first of everybody in an hour each at once, what is beyond them together when the hour is over.
    """
    asked = db.session.scalars(
        sa.select(Approval).where(
            Approval.state == ApprovalState.WAITING, Approval.asked_at >= hour_of(now - _NEWS)
        )
    ).all()
    if not asked:
        return
    singly = told_singly(hour_of(now - _NEWS))
    together = defaultdict[datetime, set[int]](set)
    for one, people in zip(asked, approvals.ids_of_others(asked), strict=True):
        hour = hour_of(one.asked_at)
        if one.id in singly:
            yield Occasion(MailKind.APPROVAL, str(one.id), one.asked_at, people)
        elif hour < hour_of(now - _LATE):
            together[hour] |= people
    for hour, everybody in together.items():
        at = hour + timedelta(hours=1)
        yield Occasion(MailKind.APPROVAL, hour.isoformat(), at, frozenset(everybody))


def told_singly(since: datetime) -> set[int]:
    """The ids of the first requests of everybody in each hour since the full hour `since`.

    Whatever became of them; and a program that asks for hundreds delays no word of what a person asks for.
    """
    rows = db.session.execute(
        sa.select(Approval.id, Approval.asked_at, Approval.actor_kind, Approval.actor)
        .where(Approval.asked_at >= since)
        .order_by(Approval.id)
    )
    found: set[int] = set()
    counts = Counter[tuple[datetime, ActorKind, str]]()
    for approval_id, asked_at, kind, name in rows:
        place = (hour_of(asked_at), kind, name)
        counts[place] += 1
        if counts[place] <= _TOLD_SINGLY:
            found.add(approval_id)
    return found


def _webhooks_off(now: datetime) -> Iterator[Occasion]:
    moments = db.session.scalars(
        sa.select(Webhook.given_up_at).where(Webhook.given_up_at >= now - _NEWS)
    )
    for at in {moment for moment in moments if moment}:
        yield Occasion(MailKind.WEBHOOK_OFF, at.isoformat(), at)


def hour_of(moment: datetime) -> datetime:
    """The full hour that it is in."""
    return moment.replace(minute=0, second=0, microsecond=0)


_LOOKS = {
    MailKind.MORNING: _mornings,
    MailKind.HOLD_ENDS: _holds,
    MailKind.RUN_FAILED: _failed_runs,
    MailKind.UNCERTAIN: _uncertain,
    MailKind.DIFFERENCE: _differences,
    MailKind.APPROVAL: _approvals,
    MailKind.WEBHOOK_OFF: _webhooks_off,
}
