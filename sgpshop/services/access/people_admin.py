"""What an owner does with the people of the shop, and everybody with the own account (S3, R150).

Whatever changes somebody's rights or password ends that person's sessions: the next request needs
a new sign-in, and so has a new identifier (S3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Session

from sgpshop import logs
from sgpshop.domain.activities import ActivityEvent
from sgpshop.domain.devices import device_name
from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.domain.rights import DEMO_NAME
from sgpshop.extensions import db
from sgpshop.models import HAS_SECOND_FACTOR, LoginSession, Person, Role, Scheme, utc_now
from sgpshop.services.access import activities, passwords
from sgpshop.services.access.sessions import is_open_at, key_of, still_in
from sgpshop.storage.database import writing

#: So much of a session's key names it on the screen; the key itself opens nothing.
_MARK = 16


class LastOwner(ShopError):
    """Nobody would be left who can change the settings; nothing was changed."""

    sentence = (
        "利用できるオーナーがほかにいないため、変更できません。先に別の人をオーナーにしてください。"
    )


class Colleague(NamedTuple):
    """A person as the list shows them; `sessions` are the open ones, `seen_at` their last use."""

    id: int
    name: str
    role: Role
    is_active: bool
    created_at: datetime
    has_second_factor: bool
    sessions: int
    seen_at: datetime | None


@dataclass(frozen=True)
class OpenSession:
    """A signed-in browser; `mark` tells it apart."""

    mark: str
    started_at: datetime
    seen_at: datetime
    address: str
    device: str
    is_this: bool


def everybody() -> list[Colleague]:
    """All people, those who may sign in first; one query."""
    return [Colleague._make(row) for row in db.session.execute(_colleagues())]


def get(person_id: int) -> Colleague:
    """One of them.  Raises NotFound."""
    row = db.session.execute(_colleagues().where(Person.id == person_id)).one_or_none()
    if row is None:
        raise NotFound("このユーザーは登録されていません。")
    return Colleague._make(row)


def set_rights(person_id: int, role: Role, *, is_active: bool) -> bool:
    """Give a person a role and let them sign in or not; whether anything changed.

    Raises NotFound, or LastOwner when no owner would be left who can sign in.
    """
    with writing() as session:
        owners = _usable_owners(session)
        person = _get(session, person_id)
        if (person.role, person.is_active) == (role, is_active):
            return False
        if not (role is Role.OWNER and is_active) and owners == [person_id]:
            raise LastOwner
        stood = _rights_in_words(person)
        person.role, person.is_active = role, is_active
        end_sessions_of(session, person_id)
        name = person.name
        changes = [
            [what, before, after]
            for (what, before), after in zip(
                stood.items(), _rights_in_words(person).values(), strict=True
            )
            if before != after
        ]
        activities.record(session, ActivityEvent.RIGHTS_CHANGED, name, changes=changes)
    logs.event("rights_changed", name=name, role=role, is_active=is_active)
    return True


@passwords.one_of_few()
def set_password(person_id: int, password: str, *, keep_token: str = "") -> None:
    """Give a person a new password and end their sessions, but that of `keep_token`: then it is their own act.

    A passkey alone opens no longer, until the person chooses that again (S2).

    Raises NotFound, PasswordRefused or TooOften; SessionOver where that session was ended meanwhile.
    """
    name = get(person_id).name
    if name == DEMO_NAME:
        raise passwords.PasswordRefused(
            "練習用のログインのパスワードは、起動のたびに表示されるものに決まっています。"
        )
    passwords.check(password, name)
    new_hash = passwords.make_hash(password)  # takes time: not while others wait to write
    with writing() as session:
        person = (
            still_in(session, person_id, keep_token) if keep_token else _get(session, person_id)
        )
        # Whoever had come in may have left a key of theirs: alone it opens no more.
        person.password_hash, person.passkey_alone = new_hash, False
        end_sessions_of(session, person_id, keep_token=keep_token)
        activities.record(session, ActivityEvent.PASSWORD_CHANGED, name)
    logs.event("password_changed", name=name)


def set_screen(person_id: int, *, has_shortcuts: bool, scheme: Scheme) -> None:
    """Whether keys of one sign do something for this person, and in which colours.  Raises NotFound."""
    with writing() as session:
        person = _get(session, person_id)
        person.has_shortcuts, person.scheme = has_shortcuts, scheme.value


def end_sessions(person_id: int, *, keep_token: str = "") -> int:
    """End all sessions of a person, but that of `keep_token`; how many.  Raises NotFound."""
    with writing() as session:
        name = _get(session, person_id).name
        ended = end_sessions_of(session, person_id, keep_token=keep_token)
        activities.record(session, ActivityEvent.SESSIONS_ENDED, name, count=ended)
    logs.event("sessions_ended", name=name, count=ended)
    return ended


def sessions_of(person_id: int, *, this_token: str = "") -> Sequence[OpenSession]:
    """Where somebody is signed in, the latest use first; `this_token`: that of who asks."""
    rows = db.session.scalars(
        sa.select(LoginSession)
        .where(LoginSession.person_id == person_id, is_open_at(utc_now()))
        .order_by(LoginSession.seen_at.desc())
    )
    this = key_of(this_token)
    return [
        OpenSession(
            row.id[:_MARK],
            row.started_at,
            row.seen_at,
            row.address,
            device_name(row.browser),
            row.id == this,
        )
        for row in rows
    ]


def end_session_of(person_id: int, mark: str) -> None:
    """End one session of a person; one that is over already is no mistake."""
    with writing() as session:
        name = _get(session, person_id).name
        session.execute(
            sa.delete(LoginSession).where(
                LoginSession.person_id == person_id,
                sa.func.substr(LoginSession.id, 1, _MARK) == mark,
            )
        )
        activities.record(session, ActivityEvent.SESSIONS_ENDED, name, count=1)
    logs.event("sessions_ended", name=name, count=1)


def _colleagues() -> sa.Select[int, str, Role, bool, datetime, bool, int, datetime]:
    is_theirs = sa.and_(LoginSession.person_id == Person.id, is_open_at(utc_now()))
    return (
        sa.select(
            Person.id,
            Person.name,
            Person.role,
            Person.is_active,
            Person.created_at,
            HAS_SECOND_FACTOR,
            sa.func.count(LoginSession.id),
            sa.func.max(LoginSession.seen_at),
        )
        .outerjoin(LoginSession, is_theirs)
        .group_by(Person.id)
        .order_by(Person.is_active.desc(), Person.name)
    )


def _get(session: Session, person_id: int) -> Person:
    person = session.get(Person, person_id, populate_existing=True)
    if person is None:
        raise NotFound("このユーザーは登録されていません。")
    return person


def _rights_in_words(person: Person) -> dict[str, str]:
    return {"権限": person.role.label, "ログイン": "できる" if person.is_active else "できない"}


def _usable_owners(session: Session) -> list[int]:
    """Ids of the owners who can sign in; on PostgreSQL kept as they are until the commit."""
    owners = session.execute(
        sa.select(Person.id, Person.name)
        .where(Person.role == Role.OWNER, Person.is_active)
        .order_by(Person.id)
        .with_for_update()
    )
    in_test_mode = current_app.config["TEST_MODE"]
    return [row.id for row in owners if in_test_mode or row.name != DEMO_NAME]


def end_sessions_of(session: Session, person_id: int, *, keep_token: str = "") -> int:
    """End the sessions of a person, but that of `keep_token`, in this transaction; how many."""
    ended = session.execute(
        sa.delete(LoginSession).where(
            LoginSession.person_id == person_id, LoginSession.id != key_of(keep_token)
        )
    )
    return int(ended.rowcount)  # type: ignore[attr-defined]
