"""Signing in: counted tries, sessions that the server ends (S2, S3)."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Session

from sgpshop import logs
from sgpshop.domain import rights
from sgpshop.domain.activities import ActivityEvent
from sgpshop.domain.card_data import mask_card_numbers
from sgpshop.domain.devices import device_name
from sgpshop.domain.errors import ShopError
from sgpshop.domain.shop_terms import SecondFactorFor
from sgpshop.domain.text import has_control_characters
from sgpshop.extensions import db
from sgpshop.models import (
    HAS_SECOND_FACTOR,
    KnownDevice,
    LoginSession,
    Person,
    Role,
    Setting,
    utc_now,
)
from sgpshop.services.access import activities, one_time_codes, passwords, rate_limits
from sgpshop.services.access.people import LONGEST_NAME, is_demo
from sgpshop.storage import vault
from sgpshop.storage.database import write_if_free, writing
from sgpshop.storage.rows import read as rows_of

#: A session's last use is written at most so often: a page must not cost a write.
_SEEN_EVERY = timedelta(seconds=60)
#: Whatever began later than that was begun under a clock that was set back since, and would last for as long (P30).
_AHEAD = timedelta(hours=1)
#: So long a password once given is good for what is grave (S5).
CONFIRMED_FOR = timedelta(minutes=10)
#: So many seconds the code may follow the password.
_STEP_FOR = 300
_STEP = "second step"
#: A browser in which nobody signed in for so long is a new one again: no browser keeps a cookie longer.
DEVICE_KEPT = timedelta(days=400)
_RULE = sa.select(Setting.value).where(Setting.name == "second_factor_for").scalar_subquery()
_OF_SESSION = (
    sa.select(
        Person.id,
        Person.name,
        Person.role,
        Person.search_fields,
        Person.has_shortcuts,
        Person.scheme,
        Person.is_active,
        LoginSession.started_at,
        LoginSession.seen_at,
        LoginSession.confirmed_at,
        HAS_SECOND_FACTOR.label("has_second_factor"),
        Person.totp_sealed.is_not(None).label("has_codes"),
        Person.passkey_alone,
        _RULE.label("second_factor_for"),
    )
    .select_from(LoginSession)
    .join(Person)
    .where(LoginSession.id == sa.bindparam("session"))
)


class SignInRefused(ShopError):
    """Unknown name, wrong password or disabled person: nobody is told which (S2)."""

    sentence = "ユーザー名またはパスワードが違います。"


class CodeNeeded(ShopError):
    """The password was right, and a code is wanted as well: `step` says so to `sign_in_second`."""

    def __init__(self, step: str) -> None:
        super().__init__("認証コードを入力してください。")
        self.step = step


class StepOver(ShopError):
    """Too long after the password, or things have changed since: from the beginning."""

    sentence = "時間がたったため、もう一度ユーザー名とパスワードからログインしてください。"


class SessionOver(ShopError):
    """The session was ended while its request was under way; nothing was done."""

    status = 401
    sentence = "このログインは終了しています。何も変更していません。もう一度ログインしてください。"


class WrongPassword(ShopError):
    """The password asked for again was not the right one; nothing was done (S5)."""

    sentence = "パスワードが違います。何も変更していません。"


@dataclass(frozen=True)
class SignedIn:
    """The person of this request, as the database had them at its start (for Flask-Login)."""

    id: int
    name: str
    role: Role
    search_fields: list[str] | None
    has_shortcuts: bool
    scheme: str
    #: what the cookie holds; the database knows only its hash
    token: str = field(repr=False)
    #: when this session's password was last given, at the sign-in or since
    confirmed_at: datetime | None = None
    #: seconds until the session ends if nothing more is done, and whether doing something would help
    left: float = 0.0
    is_extendable: bool = True
    has_second_factor: bool = False
    #: the shop wants it of this person (S2)
    needs_second_factor: bool = False
    #: one-time codes of a telephone are among it
    has_codes: bool = False
    #: a passkey alone lets this person in
    passkey_alone: bool = False

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def get_id(self) -> str:
        """What Flask-Login keeps in the cookie: the session, not the person."""
        return self.token

    def may_act_as(self, role: Role) -> bool:
        """Whether this person has the right of `role` (R150)."""
        return rights.holds(self.role, role)


@passwords.one_of_few()
def sign_in(name: str, password: str, *, address: str, browser: str, device: str = "") -> SignedIn:
    """Check `password` and begin a session for the person `name`.

    `device`: the mark that this browser keeps for us; a new one is told by mail (S3).

    Raises TooOften, or SignInRefused with the same words after the same time whatever was wrong;
    CodeNeeded when the password was right and this person has 2段階認証.
    """
    known = _recognized(name, password, address, _known_device(name, device))
    account = name[:LONGEST_NAME]
    with writing() as session:
        person = _still_good(session, known, password)
        rate_limits.take_back_tries(session, known.counted_as)
        if passwords.is_outdated(person.password_hash):
            person.password_hash = passwords.make_hash(password)
        signed_in = None
        if not session.scalar(sa.select(HAS_SECOND_FACTOR).where(Person.id == person.id)):
            signed_in = _begin(session, person, address, browser, device)
            activities.record(
                session, ActivityEvent.SIGNED_IN, by=person.name, note=device_name(browser)
            )
        step = [person.id, int(time.time()), key_of(person.password_hash)]
    if signed_in is None:
        logs.event("login", result="code wanted", name=account, address=address)
        raise CodeNeeded(vault.seal(json.dumps(step), _STEP))
    logs.event("login", result="done", name=account, address=address)
    return signed_in


def person_of_step(step: str) -> int:
    """Whose second step it is.  Raises StepOver."""
    return _opened(step)[0]


def _opened(step: str) -> tuple[int, str]:
    try:
        person_id, at, password = json.loads(vault.unseal(step, _STEP))
    except vault.SealBroken:
        raise StepOver from None
    if not 0 <= time.time() - at < _STEP_FOR:
        raise StepOver
    return person_id, password


def sign_in_second(
    step: str,
    prove: Callable[[Session, Person], bool],
    *,
    address: str,
    browser: str,
    device: str = "",
) -> tuple[SignedIn, bool]:
    """The second step, after CodeNeeded: begin the session; whether a 予備コード was used for it.

    `prove` takes a code or the answer of a passkey, and says whether it was a 予備コード; the person is
    locked.  Raises StepOver, TooOften, or what it raises.
    """
    person_id, password = _opened(step)
    rate_limits.count_code(person_id)
    try:
        with writing() as session:
            person = session.get(Person, person_id, populate_existing=True, with_for_update=True)
            if person is None or not _may_enter(person):
                raise StepOver
            if key_of(person.password_hash) != password:
                raise StepOver
            if not session.scalar(sa.select(HAS_SECOND_FACTOR).where(Person.id == person_id)):
                raise StepOver
            is_recovery = prove(session, person)
            signed_in = _begin(session, person, address, browser, device)
            words = f"{device_name(browser)}{'、予備コード' if is_recovery else ''}"
            activities.record(session, ActivityEvent.SIGNED_IN, by=person.name, note=words)
    except StepOver:
        raise
    except ShopError:
        name = db.session.scalar(sa.select(Person.name).where(Person.id == person_id)) or ""
        activities.refused(ActivityEvent.SIGN_IN_REFUSED, name, "2段階認証", by=name)
        logs.event("login", result="second step refused", person=person_id, address=address)
        raise
    logs.event(
        "login", result="done", name=signed_in.name, address=address, by_recovery_code=is_recovery
    )
    return signed_in, is_recovery


def sign_in_by_passkey(
    person_id: int,
    prove: Callable[[Session, Person], None],
    *,
    address: str,
    browser: str,
    device: str = "",
) -> SignedIn:
    """The only step of who wants it so: a device that knows its owner (S2).

    `prove` takes its answer; the person is locked.  Raises TooOften, SignInRefused, or what `prove` raises.
    """
    rate_limits.count_code(person_id)
    try:
        with writing() as session:
            person = session.get(Person, person_id, populate_existing=True, with_for_update=True)
            if person is None or not _may_enter(person) or not person.passkey_alone:
                raise SignInRefused
            prove(session, person)
            signed_in = _begin(session, person, address, browser, device)
            words = f"{device_name(browser)}、パスキーだけ"
            activities.record(session, ActivityEvent.SIGNED_IN, by=person.name, note=words)
    except ShopError:
        name = db.session.scalar(sa.select(Person.name).where(Person.id == person_id)) or ""
        activities.refused(ActivityEvent.SIGN_IN_REFUSED, name, "パスキー", by=name)
        logs.event("login", result="passkey refused", person=person_id, address=address)
        raise
    logs.event("login", result="done", name=signed_in.name, address=address, by_passkey=True)
    return signed_in


def _begin(session: Session, person: Person, address: str, browser: str, device: str) -> SignedIn:
    """A new session of somebody who proved who they are."""
    token = secrets.token_urlsafe(32)
    _forget_ended_sessions(session)
    seen = {"person_id": person.id, "address": address[:64], "browser": _named(browser)}
    session.add(LoginSession(id=key_of(token), **seen))
    if device:
        _note_device(session, key_of(device), seen, person.email)
    chosen = person.search_fields, person.has_shortcuts, person.scheme
    return SignedIn(person.id, person.name, person.role, *chosen, token, utc_now())


def _note_device(session: Session, device_hash: str, seen: dict[str, Any], mail_to: str) -> None:
    """The person's row is locked, so of two sign-ins at once the second finds what the first wrote.

    `mail_to`: where they are told of it; who came in with a stolen password may give another address next.
    """
    of_person = KnownDevice.person_id == seen["person_id"]
    known = sa.update(KnownDevice).where(of_person, KnownDevice.device_hash == device_hash)
    if session.execute(known.values(seen_at=utc_now()).returning(KnownDevice.id)).all():
        return
    gone = KnownDevice.seen_at < utc_now() - DEVICE_KEPT
    session.execute(sa.delete(KnownDevice).where(of_person, gone))
    is_news = bool(session.scalar(sa.select(sa.exists().where(of_person))))
    told = {"is_news": is_news, "mail_to": mail_to if is_news else ""}
    session.add(KnownDevice(device_hash=device_hash, **told, **seen))


@passwords.one_of_few()
def confirm(person: SignedIn, password: str, *, address: str) -> None:
    """Ask a signed-in person for the password again, before something grave (S5).

    The session is good for CONFIRMED_FOR from now.  Raises TooOften or WrongPassword; tries are
    counted by the session.
    """
    try:
        known = _recognized(person.name, password, address, key_of(person.token))
        with writing() as session:
            _still_good(session, known, password)
            rate_limits.take_back_tries(session, known.counted_as)
            _note_confirmed(session, person)
    except SignInRefused:
        raise WrongPassword from None


def confirm_by_code(person: SignedIn, code: str) -> None:
    """The same by a one-time code, of somebody who has 2段階認証.  Raises TooOften or CodeRefused."""
    rate_limits.count_code(person.id)
    with writing() as session:
        stored = session.get(Person, person.id, populate_existing=True, with_for_update=True)
        if stored is None or stored.totp_sealed is None:
            raise one_time_codes.CodeRefused
        one_time_codes.use(session, stored, code)
        try:
            _note_confirmed(session, person)
        except SignInRefused:
            raise one_time_codes.CodeRefused from None


def confirm_by_device(person: SignedIn, prove: Callable[[Session, Person], None]) -> None:
    """The same by the answer of a passkey, which `prove` takes.  Raises TooOften, or what it raises."""
    rate_limits.count_code(person.id)
    try:
        with writing() as session:
            stored = session.get(Person, person.id, populate_existing=True, with_for_update=True)
            if stored is None:
                raise SignInRefused
            prove(session, stored)
            _note_confirmed(session, person)
    except SignInRefused:  # the session was ended meanwhile
        raise WrongPassword from None


def _note_confirmed(session: Session, person: SignedIn) -> None:
    """Raises SignInRefused when the session was ended meanwhile."""
    confirmed = session.execute(
        sa.update(LoginSession)
        .where(LoginSession.id == key_of(person.token))
        .values(confirmed_at=utc_now())
        .returning(LoginSession.id)
    ).all()
    if not confirmed:
        raise SignInRefused


def still_in(session: Session, person_id: int, token: str) -> Person:
    """The person of that session, kept so until the commit, if it was not ended meanwhile.

    What somebody changes of the ways by which they come in must not outlive that an owner shut them out, or
    gave them another password (S3).  Raises SessionOver.
    """
    person: Person | None = session.get(
        Person, person_id, populate_existing=True, with_for_update=True
    )
    is_open = sa.exists().where(LoginSession.id == key_of(token))
    if person is None or not session.scalar(sa.select(is_open)):
        raise SessionOver
    return person


def is_confirmed(person: SignedIn) -> bool:
    """Whether the password was given within CONFIRMED_FOR, as of the start of this request (S5)."""
    if person.confirmed_at is None:
        return False
    return abs(utc_now() - person.confirmed_at) < CONFIRMED_FOR  # also after a clock set back (P30)


@dataclass(frozen=True)
class _CheckedPerson:
    """A person whose password was right, and the hash it was compared with."""

    id: int
    password_hash: str = field(repr=False)
    #: whose failures count no more
    counted_as: str = field(repr=False)


def _known_device(name: str, device: str) -> str:
    """As what a try in a browser is counted in which that person signed in before; "" in any other."""
    device_hash = key_of(device)
    person_id = db.session.scalar(
        sa.select(KnownDevice.person_id)
        .join(Person, Person.id == KnownDevice.person_id)
        .where(
            Person.name == name,
            KnownDevice.device_hash == device_hash,
            KnownDevice.seen_at >= utc_now() - DEVICE_KEPT,
        )
    )
    return "" if person_id is None else f"{device_hash[:56]}:{person_id}"


def _recognized(name: str, password: str, address: str, known_as: str) -> _CheckedPerson:
    """The person with that name and password; `known_as` goes with rate_limits.count_try.

    Raises TooOften, SignInRefused.
    """
    account = name[:LONGEST_NAME]
    rate_limits.count_try(account, address, known_as)
    person = db.session.scalar(sa.select(Person).filter_by(name=name))
    stored_hash = person.password_hash if person else None
    is_right = passwords.matches(password, stored_hash)
    if not is_right or person is None or stored_hash is None or not _may_enter(person):
        logs.event("login", result="refused", name=account, address=address)
        # A name that nobody has may be a password typed into the wrong field: it is not kept.
        known = person.name if person else ""
        activities.refused(
            ActivityEvent.SIGN_IN_REFUSED,
            known or "登録のないユーザー名",
            "ユーザー名・パスワード",
            by=known,
        )
        raise SignInRefused
    return _CheckedPerson(person.id, stored_hash, known_as or account)


def _still_good(session: Session, known: _CheckedPerson, password: str) -> Person:
    """The person as they are now, kept so until the commit, if the password still is theirs.

    Comparing a password takes long: what was changed or disabled meanwhile must not be outlived by a
    session that begins after it (S3).  Raises SignInRefused.
    """
    person: Person | None = session.get(
        Person, known.id, populate_existing=True, with_for_update=True
    )
    if person is None or not _may_enter(person):
        raise SignInRefused
    is_same = person.password_hash == known.password_hash
    if not is_same and not passwords.matches(password, person.password_hash):
        raise SignInRefused
    return person


def _named(browser: str) -> str:
    """What is kept of a User-Agent: one line, cut, without card numbers (S11)."""
    text = "".join(c for c in browser[:1000] if not has_control_characters(c))
    return mask_card_numbers(text)[:200]


def person_of_session(token: str, *, is_use: bool = True) -> SignedIn | None:
    """Who `token` stands for now, with today's rights; None when the session is over (S3).

    `is_use` False: a page that renews itself asks, which is no sign of anybody being there.
    """
    row = rows_of(_OF_SESSION, {"session": key_of(token)}).one_or_none()
    if row is None:
        return None
    now = utc_now()
    has_no_age = not _latest_start(now) < row.started_at <= now + _AHEAD
    if has_no_age or row.seen_at <= _latest_use(now):
        return None
    if not row.is_active or (is_demo(row.name) and not current_app.config["TEST_MODE"]):
        end_session(token)
        return None
    seen = row.seen_at
    if is_use and abs(now - seen) >= min(_SEEN_EVERY, _idle() / 10):
        seen = now
        used = sa.update(LoginSession).where(LoginSession.id == key_of(token)).values(seen_at=now)
        write_if_free(used, "session_use_not_written")
    by_idling, by_age = seen - _latest_use(now), row.started_at - _latest_start(now)
    return SignedIn(
        row.id,
        row.name,
        row.role,
        row.search_fields,
        row.has_shortcuts,
        row.scheme,
        token,
        row.confirmed_at,
        min(by_idling, by_age).total_seconds(),
        by_idling < by_age,
        row.has_second_factor,
        row.second_factor_for == SecondFactorFor.ALL
        or (row.second_factor_for == SecondFactorFor.OWNERS and row.role == Role.OWNER),
        row.has_codes,
        row.passkey_alone,
    )


def end_session(token: str, *, signed_out: str = "") -> None:
    """Forget the session on the server, so that its cookie is worth nothing any more (S3).

    `signed_out`: the person who wanted that.
    """
    with writing() as session:
        session.execute(sa.delete(LoginSession).where(LoginSession.id == key_of(token)))
        if signed_out:
            activities.record(session, ActivityEvent.SIGNED_OUT, by=signed_out)


def _may_enter(person: Person) -> bool:
    return person.is_active and (not is_demo(person.name) or current_app.config["TEST_MODE"])


def is_open_at(now: datetime) -> sa.ColumnElement[bool]:
    """The condition that a session is over neither by its age nor by idling (S3)."""
    return sa.and_(
        LoginSession.started_at > _latest_start(now),
        LoginSession.started_at <= now + _AHEAD,
        LoginSession.seen_at > _latest_use(now),
    )


def _forget_ended_sessions(session: Session) -> None:
    session.execute(sa.delete(LoginSession).where(sa.not_(is_open_at(utc_now()))))


def _idle() -> timedelta:
    return timedelta(seconds=current_app.config["SESSION_IDLE"])


def _latest_use(now: datetime) -> datetime:
    return now - _idle()


def _latest_start(now: datetime) -> datetime:
    return now - timedelta(seconds=current_app.config["SESSION_MAX"])


def key_of(token: str) -> str:
    """What the database keeps of a token, so that a stolen copy opens no session."""
    return hashlib.sha256(token.encode()).hexdigest()
