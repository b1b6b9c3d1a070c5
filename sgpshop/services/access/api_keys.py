"""Keys of other programs: made, shown once, recognized by their hash, revoked at once (S10, S13)."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from sgpshop import logs
from sgpshop.domain.activities import ActivityEvent
from sgpshop.domain.bounds import DAYS_WORDS, is_usable
from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.domain.payment_calendar import start_of_day
from sgpshop.domain.text import is_name
from sgpshop.extensions import db
from sgpshop.models import ApiKey, Scope, utc_now
from sgpshop.services.access import activities
from sgpshop.storage.database import write_if_free, writing

LONGEST_NAME = 60
#: What every key begins with, so that a lost one is recognized, by people and by `logs`.
MARK = "sgpk_"
#: Bytes of the part that people may see, and of the secret: 192 bits (S13).
_PREFIX_BYTES, _SECRET_BYTES = 4, 24
_FORM = re.compile(rf"{MARK}[0-9a-f]{{{2 * _PREFIX_BYTES}}}_[A-Za-z0-9_-]{{32}}")
#: The last use is written at most so often: a request must not cost a write.
_USED_EVERY = timedelta(seconds=60)


class KeyRefused(ShopError):
    """No key, or one that is unknown, revoked or over: nobody is told which."""

    status = 401
    sentence = "APIキーがないか、無効です。"


class AlreadyMade(ShopError):
    """This very form made a key before; it was shown then, and cannot be shown again (P19)."""

    status = 409
    sentence = (
        "このキーはすでに作成されています。キーは作成した直後に一度だけ表示されます。"
        "控えがない場合は、そのキーを無効にして、新しいキーを作成してください。"
    )


@dataclass(frozen=True)
class Caller:
    """The program behind a request, as its key says now."""

    key_id: int
    name: str
    prefix: str
    scopes: tuple[Scope, ...]


def create(
    name: str,
    scopes: Collection[Scope],
    *,
    by: str,
    last_day: date | None = None,
    request_token: str | None = None,
) -> str:
    """Make a key and return it: the only time that it can be seen.

    `last_day` is the last Japanese day on which it is good; None: until it is revoked.  Raises
    ShopError for a name, scopes or day that cannot be used, AlreadyMade for a token used before.
    """
    _check(name, scopes, last_day)
    prefix = MARK + secrets.token_hex(_PREFIX_BYTES)
    key = f"{prefix}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    made = ApiKey(
        name=name,
        prefix=prefix,
        key_hash=_hash(key),
        scope_words=",".join(scope.value for scope in Scope if scope in scopes),
        created_by=by,
        expires_at=start_of_day(last_day + timedelta(days=1)) if last_day else None,
        request_token=request_token,
    )
    try:
        with writing() as session:
            session.add(made)
            words = "、".join(scope.label for scope in made.scopes)
            activities.record(
                session, ActivityEvent.API_KEY_CREATED, _named(made), by=by, note=words
            )
    except IntegrityError:
        raise AlreadyMade from None
    logs.event("api_key_created", key_prefix=prefix, name=name, scopes=made.scope_words, by=by)
    return key


def revoke(prefix: str, *, by: str) -> ApiKey:
    """Make the key with that prefix worthless from the next request on; again does no harm.

    Raises NotFound.
    """
    with writing() as session:
        key: ApiKey | None = session.scalar(
            sa.select(ApiKey)
            .where(ApiKey.prefix == prefix)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        if key is None:
            raise NotFound("このプレフィックスのAPIキーはありません。")
        if key.revoked_at is None:
            key.revoked_at = utc_now()
            key.revoked_by = by
            activities.record(session, ActivityEvent.API_KEY_REVOKED, _named(key), by=by)
            logs.event("api_key_revoked", key_prefix=prefix, by=by)
    return key


def usable_of(name: str) -> list[ApiKey]:
    """The keys that the person `name` made and that still open the API, the oldest first."""
    return list(db.session.scalars(sa.select(ApiKey).where(*_usable_by(name)).order_by(ApiKey.id)))


def revoke_all_of(name: str, *, by: str) -> list[str]:
    """Make every key that the person `name` made worthless; the prefixes of those that were not."""
    with writing() as session:
        ended = session.scalars(
            sa.update(ApiKey)
            .where(*_usable_by(name))
            .values(revoked_at=utc_now(), revoked_by=by)
            .returning(ApiKey.prefix)
            .execution_options(synchronize_session=False)
        ).all()
        for prefix in ended:
            activities.record(session, ActivityEvent.API_KEY_REVOKED, prefix, by=by)
    for prefix in ended:
        logs.event("api_key_revoked", key_prefix=prefix, by=by)
    return list(ended)


def _usable_by(name: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        ApiKey.created_by == name,
        ApiKey.revoked_at.is_(None),
        sa.or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > utc_now()),
    )


def recognize(key: str) -> Caller:
    """Whose key that is, with what it is good for now.  Raises KeyRefused."""
    found = None
    if _FORM.fullmatch(key):
        found = db.session.execute(
            sa.select(
                ApiKey.id,
                ApiKey.name,
                ApiKey.prefix,
                ApiKey.scope_words,
                ApiKey.expires_at,
                ApiKey.revoked_at,
                ApiKey.last_used_at,
            ).where(ApiKey.key_hash == _hash(key))
        ).one_or_none()
    now = utc_now()
    if found is None or found.revoked_at is not None or _is_over(found.expires_at, now):
        raise KeyRefused
    if found.last_used_at is None or now - found.last_used_at >= _USED_EVERY:
        used = sa.update(ApiKey).where(ApiKey.id == found.id).values(last_used_at=now)
        write_if_free(used, "api_key_use_not_written")
    words = found.scope_words.split(",")
    scopes = tuple(scope for scope in Scope if scope.value in words)
    return Caller(found.id, found.name, found.prefix, scopes)


def all_keys() -> list[ApiKey]:
    """Every key there ever was, those still good first, the newest before the older."""
    return list(
        db.session.scalars(
            sa.select(ApiKey).order_by(ApiKey.revoked_at.is_not(None), ApiKey.id.desc())
        )
    )


def is_over(key: ApiKey) -> bool:
    """Whether the key's last day is past."""
    return _is_over(key.expires_at, utc_now())


def _is_over(expires_at: datetime | None, now: datetime) -> bool:
    return expires_at is not None and expires_at <= now


def _named(key: ApiKey) -> str:
    return f"{key.name}({key.prefix})"


def _check(name: str, scopes: Collection[Scope], last_day: date | None) -> None:
    if not is_name(name, LONGEST_NAME):
        raise ShopError(
            f"キーの名前は{LONGEST_NAME}文字以内で、前後の空白や見えない文字を含めずに入力してください。"
        )
    if not scopes:
        raise ShopError("キーでできることを、1つ以上選んでください。")
    if last_day is not None and not is_usable(last_day):
        raise ShopError(f"有効期限は{DAYS_WORDS}の日付にしてください。")
    if last_day is not None and start_of_day(last_day + timedelta(days=1)) <= utc_now():
        raise ShopError("有効期限は今日以降の日付にしてください。")


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
