"""People who sign in, their sessions, and the count of failed tries (S1-S4)."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sgpshop.domain.rights import Role
from sgpshop.domain.words import Labelled
from sgpshop.models.base import NUMBERED_ONCE, Base, UtcDateTime, enum_column, utc_now


class Scheme(Labelled):
    """Which colours a person wants on the screen."""

    AUTO = "auto", "端末の設定に合わせる"
    LIGHT = "light", "明るい配色"
    DARK = "dark", "暗い配色"


class Person(Base):
    """Somebody who may sign in."""

    __tablename__ = "people"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(80), unique=True)
    role: Mapped[Role] = mapped_column(enum_column(Role, "role"))
    password_hash: Mapped[str] = mapped_column(sa.String(200))
    is_active: Mapped[bool] = mapped_column(default=True)
    #: conditions of the list this person chose to see (R32), names of the search form
    search_fields: Mapped[list[str] | None] = mapped_column(sa.JSON)
    #: keys of one sign (/, x, ?) do something; whoever speaks to the computer switches them off
    has_shortcuts: Mapped[bool] = mapped_column(default=True, server_default=sa.true())
    #: a Scheme; the word of another version is that of the device
    scheme: Mapped[str] = mapped_column(sa.String(8), default="auto", server_default="auto")
    #: where and of what this person is told by mail (R156): words of MailKind, of what happened since
    email: Mapped[str] = mapped_column(sa.String(254), default="", server_default="")
    mail_kinds: Mapped[list[str] | None] = mapped_column(sa.JSON)
    mails_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: the seed of the one-time codes, sealed (S10); None: a password alone opens (S2)
    totp_sealed: Mapped[str | None] = mapped_column(sa.Text)
    #: the newest span of 30 seconds whose code was taken: a code works once
    totp_step: Mapped[int] = mapped_column(default=0, server_default="0")
    #: a passkey whose device knows its owner opens without name and password (S2)
    passkey_alone: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)


class RecoveryCode(Base):
    """予備コード: opens once where the telephone is not at hand; what was used is gone."""

    __tablename__ = "recovery_codes"

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(
        sa.ForeignKey("people.id", ondelete="CASCADE"), index=True
    )
    #: SHA-256: a code has 118 random bits
    code_hash: Mapped[str] = mapped_column(sa.String(64))


class Passkey(Base):
    """A key of a person's device, good on one host name: as the second step, or alone (S2)."""

    __tablename__ = "passkeys"
    __table_args__ = NUMBERED_ONCE

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(
        sa.ForeignKey("people.id", ondelete="CASCADE"), index=True
    )
    #: what the person calls it
    name: Mapped[str] = mapped_column(sa.String(40))
    host: Mapped[str] = mapped_column(sa.String(255))
    #: its id and public key, base64url
    credential: Mapped[str] = mapped_column(sa.String(1400), unique=True)
    public_key: Mapped[str] = mapped_column(sa.Text)
    #: of how often it signed, where the device counts
    sign_count: Mapped[int] = mapped_column(sa.BigInteger)
    added_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


#: One-time codes, or a passkey.
HAS_SECOND_FACTOR = sa.or_(
    Person.totp_sealed.is_not(None), sa.exists().where(Passkey.person_id == Person.id)
)


class SavedView(Base):
    """Conditions of the order list that a person gave a name."""

    __tablename__ = "saved_views"
    __table_args__ = NUMBERED_ONCE

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(
        sa.ForeignKey("people.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str] = mapped_column(sa.String(40))
    #: the query string of the search
    query: Mapped[str] = mapped_column(sa.Text)
    #: everybody sees it
    is_shared: Mapped[bool] = mapped_column(default=False)


class LoginSession(Base):
    """A signed-in browser; ended on the server, whatever the cookie says (S3)."""

    __tablename__ = "login_sessions"

    #: SHA-256 of the random id in the cookie
    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    person_id: Mapped[int] = mapped_column(
        sa.ForeignKey("people.id", ondelete="CASCADE"), index=True
    )
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    #: when the password was last given, at the sign-in or since (S5); None: not known
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=utc_now)
    address: Mapped[str] = mapped_column(sa.String(64), default="")
    browser: Mapped[str] = mapped_column(sa.String(200), default="")

    person: Mapped[Person] = relationship()


class KnownDevice(Base):
    """A browser in which somebody signed in before; a new one is told by mail (S3)."""

    __tablename__ = "known_devices"
    __table_args__ = (sa.UniqueConstraint("person_id", "device_hash"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(sa.ForeignKey("people.id", ondelete="CASCADE"))
    #: SHA-256 of the random mark in the browser's cookie
    device_hash: Mapped[str] = mapped_column(sa.String(64))
    added_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now, index=True)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    #: of its first sign-in
    address: Mapped[str] = mapped_column(sa.String(64), default="")
    browser: Mapped[str] = mapped_column(sa.String(200), default="")
    #: another one was known by then
    is_news: Mapped[bool] = mapped_column(default=False)
    #: who is told of it: the person's address before whoever signed in could give another; "": nobody
    mail_to: Mapped[str] = mapped_column(sa.String(254), default="")


class LoginAttempt(Base):
    """A failed sign-in, counted by account and by address across processes (S2)."""

    __tablename__ = "login_attempts"
    __table_args__ = (
        sa.Index("ix_login_attempts_account_at", "account", "at"),
        sa.Index("ix_login_attempts_address_at", "address", "at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    account: Mapped[str] = mapped_column(sa.String(80))
    address: Mapped[str] = mapped_column(sa.String(64))
