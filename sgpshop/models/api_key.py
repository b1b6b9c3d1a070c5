"""Keys of other programs for the JSON API, the requests they made, and the count of them (S13, S23)."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.words import Labelled
from sgpshop.models.base import Base, UtcDateTime, utc_now


class Scope(Labelled):
    """What the holder of a key may ask for (interfaces.md §5); none holds another."""

    INTAKE = "intake", "注文の受付"
    READ = "read", "注文の照会(購入者の氏名・住所・電話番号を含む)"
    CAPTURE = "capture", "実売上処理・注文キャンセル・差額の返金"
    CHANGE = "change", "金額の変更・オーソリ期間延長"
    FULFIL = "fulfil", "発送の登録(伝票番号・配送完了・返送)"


class ApiKey(Base):
    """One key.  The key itself is nowhere: only its hash, and a prefix to tell keys apart (S10)."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(80))
    #: the beginning of the key that people may see
    prefix: Mapped[str] = mapped_column(sa.String(20), unique=True)
    #: SHA-256 of the whole key, which is too random to be guessed from it
    key_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    #: words of Scope, joined by ","
    scope_words: Mapped[str] = mapped_column(sa.String(60))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    created_by: Mapped[str] = mapped_column(sa.String(80))
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: written at most once a minute
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_by: Mapped[str] = mapped_column(sa.String(80), default="")
    #: the one-time token of the form that made it: sent twice, it makes one key (P19)
    request_token: Mapped[str | None] = mapped_column(sa.String(64), unique=True)

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """What the key is good for, in the order of Scope."""
        words = self.scope_words.split(",")
        return tuple(scope for scope in Scope if scope.value in words)

    @property
    def last_day(self) -> date | None:
        """The last Japanese day on which the key is good; None: until it is revoked."""
        return jst_day(self.expires_at - timedelta(seconds=1)) if self.expires_at else None


class ApiRequest(Base):
    """A request with an Idempotency-Key and, once it is known, its answer (P19, P27)."""

    __tablename__ = "api_requests"
    __table_args__ = (
        sa.UniqueConstraint("key_id", "route", "idempotency_hash"),
        sa.Index("ix_api_requests_created_at", "created_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    key_id: Mapped[int] = mapped_column(sa.ForeignKey("api_keys.id"))
    #: method and path
    route: Mapped[str] = mapped_column(sa.String(80))
    #: SHA-256 of the Idempotency-Key
    idempotency_hash: Mapped[str] = mapped_column(sa.String(64))
    #: SHA-256 of the body
    fingerprint: Mapped[str] = mapped_column(sa.String(64))
    #: for whatever the request starts, so that starting it again finds it started
    token: Mapped[str] = mapped_column(sa.String(32))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    #: so long somebody is at work on it; later it counts as broken off and may be begun again
    busy_until: Mapped[datetime] = mapped_column(UtcDateTime)
    #: None while there is no answer
    status: Mapped[int | None]
    body: Mapped[str] = mapped_column(sa.Text, default="")


class ApiCount(Base):
    """How many requests one key or address made in one span of time (S23)."""

    __tablename__ = "api_counts"

    #: what is counted, of whom: "key:7", "address:192.0.2.1", "search:7"
    subject: Mapped[str] = mapped_column(sa.String(80), primary_key=True)
    began_at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True, index=True)
    count: Mapped[int]
