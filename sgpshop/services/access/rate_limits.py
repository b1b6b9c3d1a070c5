"""How often anybody may do what costs much or can be guessed, counted across processes (S2, S23).

| what | counted for | how |
| --- | --- | --- |
| failed sign-ins | account, address; known browser | one by one; a right password takes them back |
| wrong links of the first set-up | address | one by one, with the failed sign-ins |
| wrong one-time codes | person | the same |
| exports and bulk prints | person, address | one by one |
| uploads, bulk actions | person | in spans of SPAN seconds, for they are many |
| requests of the API, searches besides | key, address | the same, in lots: a write for each would cost as much |
| searches | person | the same |

The numbers are variables of the environment (interfaces.md §3).
"""

from __future__ import annotations

import ipaddress
import logging
import math
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NoReturn

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from sgpshop import logs
from sgpshop.domain.activities import ActivityEvent
from sgpshop.domain.errors import ShopError
from sgpshop.models import ApiCount, LoginAttempt, RecentUse, table_of, utc_now
from sgpshop.services.access import activities
from sgpshop.storage.database import insert, write_alone, writing
from sgpshop.storage.database_words import is_unavailable
from sgpshop.storage.write_together import write_together

#: Requests are counted in spans of so many seconds.
SPAN = 60
#: A process takes so many lots of one's requests before the limit is reached; what it has left of one is
#: lost with the span.
_LOTS = 20
#: Seconds a search waits to take a lot while others write; then the lot is given uncounted (P32).
_PATIENCE = 0.3
_EXPORTS, _CODES = "EXPORTS", "CODES"
#: Whose failed sign-in it is where no name was given: nobody can have this one.
_NO_ACCOUNT = ""


class Use(StrEnum):
    """What a person may do so often in a span: the names of the variables that say how often."""

    SEARCH = "SEARCHES_PER_PERSON"
    UPLOAD = "UPLOADS_PER_PERSON"
    BULK = "BULK_ACTIONS_PER_PERSON"


#: Tests and repetitions of webhooks by a person; how many stands with them.
WEBHOOKS = "webhooks"
#: What is counted in spans, besides requests of the API.
_COUNTED = {
    WEBHOOKS: "Webhookのテスト送信・再送",
    Use.SEARCH.value: "検索",
    Use.UPLOAD.value: "ファイルの取込",
    Use.BULK.value: "一括処理などの操作",
}


class TooOften(ShopError):
    """Not now: `retry_after` seconds must pass.  Nothing was done."""

    status = 429

    def __init__(self, why: str, retry_after: int) -> None:
        wait = f"約{math.ceil(retry_after / 60)}分" if retry_after > 60 else f"{retry_after}秒"
        super().__init__(f"{why}{wait}後にもう一度お試しください。")
        self.retry_after = retry_after


def count_try(account: str, address: str, known: str = "") -> None:
    """Count a sign-in as failed before looking at the password, so that none slips by in parallel.

    `known`, where it is not "": the secret of somebody who was let in before, who is counted by that
    alone: no stranger who fails under the same name, or from the same address, shuts them out.

    A refused try is not counted, so the table is bounded.  Raises TooOften.
    """
    config, source = current_app.config, source_of(address)
    counted_as = known or account
    limits = [(LoginAttempt.account == counted_as, config["LOGIN_FAILURES_PER_ACCOUNT"])]
    if not known:
        limits.append((LoginAttempt.address == source, config["LOGIN_FAILURES_PER_ADDRESS"]))
    tried = LoginAttempt(account=counted_as, address=source)
    if wait := _count_unless(limits, config["LOGIN_WINDOW"], sa.true(), tried):
        logs.event("login", result="throttled", name=account, address=source)
        activities.refused(ActivityEvent.SIGN_IN_REFUSED, "ログイン", "失敗が続いたため", by="")
        raise TooOften("ログインの失敗が続いたため、一時的に受け付けていません。", wait)


def count_wrong_link(address: str) -> None:
    """Count a wrong link of the first set-up.  Raises TooOften.

    By address alone, and never before a right one is let in: no stranger can shut out who has it, and
    256 bits are not guessed.
    """
    config, source = current_app.config, source_of(address)
    limit = LoginAttempt.address == source, config["LOGIN_FAILURES_PER_ADDRESS"]
    tried = LoginAttempt(account=_NO_ACCOUNT, address=source)
    if wait := _count_unless([limit], config["LOGIN_WINDOW"], sa.true(), tried):
        logs.event("first_set_up", result="throttled", address=source)
        raise TooOften("開けないアドレスが続いたため、一時的に受け付けていません。", wait)


def take_back_tries(session: Session, account: str) -> None:
    """The password was right: what failed as this account, or as `known`, counts no more, wherever it came from."""
    session.execute(sa.delete(LoginAttempt).filter_by(account=account))


def count_code(person_id: int) -> None:
    """Count a one-time code as wrong before looking at it, as with passwords.  Raises TooOften."""
    config = current_app.config
    limit = _codes_of(person_id), config["CODE_FAILURES"]
    tried = RecentUse(what=_CODES, who=f"person {person_id}")
    if wait := _count_unless([limit], config["CODE_WINDOW"], RecentUse.what == _CODES, tried):
        logs.event("throttled", what=_CODES, person=person_id)
        activities.refused(ActivityEvent.LIMITED, "認証コード", "間違いが続いたため")
        raise TooOften("コードの間違いが続いたため、一時的に受け付けていません。", wait)


def take_back_codes(session: Session, person_id: int) -> None:
    """A code was right: this person's wrong ones count no more."""
    session.execute(sa.delete(RecentUse).where(_codes_of(person_id)))


def _codes_of(person_id: int) -> sa.ColumnElement[bool]:
    return sa.and_(RecentUse.what == _CODES, RecentUse.who == f"person {person_id}")


def count_export(person_id: int, address: str) -> None:
    """Count one export or bulk print now.  Raises TooOften; a refused one is not counted.

    While the database cannot be written it is let through uncounted: reading goes on (P32).
    """
    config = current_app.config
    most = {
        f"person {person_id}": config["EXPORTS_PER_PERSON"],
        f"address {source_of(address)}": config["EXPORTS_PER_ADDRESS"],
    }
    is_export = RecentUse.what == _EXPORTS
    limits = [(sa.and_(is_export, RecentUse.who == who), most[who]) for who in most]
    made = [RecentUse(what=_EXPORTS, who=who) for who in most]
    try:
        wait = _count_unless(limits, config["EXPORTS_WINDOW"], is_export, *made)
    except DBAPIError as problem:
        if not is_unavailable(problem):
            raise
        logs.event("use_not_counted", level=logging.WARNING, what=_EXPORTS)
        return
    if wait:
        logs.event("throttled", what=_EXPORTS, person=person_id, address=address)
        activities.refused(ActivityEvent.LIMITED, "書き出し・印刷")
        raise TooOften("短い時間に書き出し・印刷が続いたため、一時的に受け付けていません。", wait)


def _count_unless(
    limits: Sequence[tuple[sa.ColumnElement[bool], int]],
    window: float,
    of_kind: sa.ColumnElement[bool],
    *made: LoginAttempt | RecentUse,
) -> int:
    """Count what was `made` just now, unless so many within `window` seconds reach one of the `limits`.

    Seconds to wait until one is free, 0: it was counted.  Forgets what left the window.
    """
    uses, now, span = type(made[0]), utc_now(), timedelta(seconds=window)
    with writing() as session:
        write_alone(session, uses)
        session.execute(sa.delete(uses).where(of_kind, uses.at <= now - span))
        for condition, most in limits:
            # Of the newest `most` uses the oldest: when it leaves the window, one is free.
            newest = sa.select(uses.at).where(condition).order_by(uses.at.desc())
            oldest = session.scalar(newest.offset(most - 1).limit(1))
            if oldest is not None:
                return max(1, math.ceil((oldest + span - now).total_seconds()))
        for use in made:
            use.at = now
        session.add_all(made)
        return 0


@dataclass(frozen=True)
class Left:
    """What is left of the limit that is nearest: `subject` begins with what is counted."""

    subject: str
    most: int
    left: int

    @property
    def seconds(self) -> int:
        """Until it is counted anew."""
        return max(1, math.ceil(SPAN - utc_now().timestamp() % SPAN))


def count_request(
    address: str, key_id: int | None, *, is_search: bool = False, is_reading: bool
) -> Left | None:
    """Count one request of a key, or of a stranger; what is left, None if it could not be counted.

    Raises TooOften.
    """
    config = current_app.config
    limits = {f"address:{source_of(address)}": config["API_REQUESTS_PER_ADDRESS"]}
    if key_id is not None:
        limits[f"key:{key_id}"] = config["API_REQUESTS_PER_KEY"]
        if is_search:
            limits[f"search:{key_id}"] = config["API_SEARCHES_PER_KEY"]
    lots: _Lots = current_app.extensions.setdefault("requests", _Lots())
    if missing := lots.use(limits):
        asked = {subject: limits[subject] for subject in missing}
        with lots.asking(asked) as sizes:
            counted = count_in_span(asked, sizes, is_reading=is_reading)
            if counted is None:
                return None
            lots.put(sizes, counted)
        lots.use(limits, even_if_missing=True)
    return lots.nearest(limits)


def count_use(use: Use, person_id: int) -> None:
    """Count one use by a person.  Raises TooOften."""
    subject, most = f"{use}:{person_id}", current_app.config[use]
    if use is not Use.SEARCH:
        count_in_span({subject: most}, is_reading=False)
        return
    lots: _Lots = current_app.extensions.setdefault("searches", _Lots())
    if lots.use([subject]):
        with lots.asking({subject: most}) as sizes:
            counted = count_in_span({subject: most}, sizes, is_reading=True, within=_PATIENCE)
            lots.put(sizes, counted or {})
        lots.use([subject], even_if_missing=True)


class _Lots:
    """What this process may still let pass in this span without asking the database again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._span = 0.0
        self._left: Counter[str] = Counter()
        #: threads that ask the database for more just now
        self._asking: Counter[str] = Counter()
        #: how many were counted in the database, as far as we know
        self._counted: dict[str, int] = {}

    def use(self, subjects: Collection[str], *, even_if_missing: bool = False) -> set[str]:
        """Use one of each up; those of which there is none, and then nothing is used up."""
        with self._lock:
            self._begin()
            missing = {subject for subject in subjects if self._left[subject] <= 0}
            if even_if_missing or not missing:
                self._left.subtract(list(subjects))
            return missing

    @contextmanager
    def asking(self, limits: Mapping[str, int]) -> Iterator[dict[str, int]]:
        """How many the database is to count of each: a lot, but 1 while another thread asks for a lot.

        The first requests of a process come at once: each would take a lot, all of them most of the
        limit, and it is other processes' requests that were refused for it.
        """
        with self._lock:
            sizes = {
                subject: 1 if self._asking[subject] else max(1, most // _LOTS)
                for subject, most in limits.items()
            }
            self._asking.update(limits.keys())
        try:
            yield sizes
        finally:
            with self._lock:
                self._asking.subtract(limits.keys())

    def put(self, sizes: Mapping[str, int], counted: Mapping[str, int]) -> None:
        """Add lots that the database counted, or that nobody could count."""
        with self._lock:
            self._begin()
            self._left.update(sizes)
            self._counted |= counted

    def nearest(self, limits: Mapping[str, int]) -> Left:
        """What is left of the limit that is nearest."""
        with self._lock:
            return min(
                (
                    Left(
                        subject,
                        most,
                        max(0, most - self._counted.get(subject, 0) + self._left[subject]),
                    )
                    for subject, most in sorted(limits.items())
                ),
                key=lambda one: one.left,
            )

    def _begin(self) -> None:
        span = utc_now().timestamp() // SPAN
        if span != self._span:
            self._span = span
            self._left.clear()
            self._counted.clear()


def count_in_span(
    limits: Mapping[str, int],
    sizes: Mapping[str, int] | None = None,
    *,
    is_reading: bool,
    within: float = 1.0,
) -> dict[str, int] | None:
    """Count so many requests of each subject, or one, against its limit in this span; what they come to.

    What is too many is not counted.  Raises TooOften.  While the database cannot be written
    `within` so many seconds, reading goes on uncounted (P32).
    """
    now = utc_now().timestamp()
    began_at = datetime.fromtimestamp(now // SPAN * SPAN, UTC)
    try:
        counted = write_together(
            lambda session: _count(session, began_at, limits, sizes or {}),
            within=within if is_reading else 6.0,
        )
    except DBAPIError as problem:
        if not (is_reading and is_unavailable(problem)):
            raise
        logs.event("api_request_not_counted")
        return None
    if counted is None:
        _refuse(sorted(limits), now)
    return counted


def _refuse(subjects: list[str], now: float) -> NoReturn:
    logs.event("api_limited", subjects=subjects)
    activities.refused(
        ActivityEvent.LIMITED, _COUNTED.get(subjects[-1].partition(":")[0], "APIの呼び出し")
    )
    wait = max(1, math.ceil(SPAN - now % SPAN))
    raise TooOften("リクエストが多すぎるため、一時的に受け付けていません。", wait)


def _count(
    session: Session, began_at: datetime, limits: Mapping[str, int], sizes: Mapping[str, int]
) -> dict[str, int] | None:
    """None when one is used up.  In subject order, so that no two transactions wait for each other."""
    counts = table_of(ApiCount)
    subjects = sorted(limits)
    known = sa.select(counts.c.subject, counts.c["count"]).where(
        counts.c.began_at == began_at, counts.c.subject.in_(subjects)
    )
    # Who is refused has nothing written: a flood would else keep the disk busy, and others from writing.
    for subject, before in session.execute(known):
        if before + sizes.get(subject, 1) > limits[subject]:
            return None
    is_first, counted = False, {}
    for subject in subjects:
        size = sizes.get(subject, 1)
        statement = insert(session, counts).values(subject=subject, began_at=began_at, count=size)
        reached = session.execute(
            statement.on_conflict_do_update(
                index_elements=["subject", "began_at"], set_={"count": counts.c["count"] + size}
            ).returning(counts.c["count"])
        ).scalar_one()
        is_first = is_first or reached == size
        if reached > limits[subject]:
            # Others were faster.  Taken back by hand: the transaction may be other threads' as well.
            for one in subjects[: subjects.index(subject) + 1]:
                session.execute(
                    sa.update(counts)
                    .where(counts.c.subject == one, counts.c.began_at == began_at)
                    .values({"count": counts.c["count"] - sizes.get(one, 1)})
                )
            return None
        counted[subject] = reached
    if is_first:
        session.execute(
            sa.delete(counts).where(counts.c.began_at < began_at - timedelta(seconds=SPAN))
        )
    return counted


def source_of(address: str) -> str:
    """The address to count by: one subscriber holds a whole /64 of IPv6."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if ip.version == 4:
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))
