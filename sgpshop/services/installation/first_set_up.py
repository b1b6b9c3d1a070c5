"""The first set-up: who comes first to an empty instance becomes its owner, once (S1a).

Nobody can sign in then, so who may do it is known otherwise: the screen is opened by a link that a command
printed, or in test mode on this machine (web/frame/proxies.py).  As soon as anybody is registered, here or
by `create-user`, all of it is over for good: people are never deleted.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Session

from sgpshop import logs
from sgpshop.domain.activities import ActivityEvent
from sgpshop.domain.errors import ShopError
from sgpshop.domain.shop_terms import PersonalDataFor
from sgpshop.extensions import db
from sgpshop.models import InstallationFact, Person, Role, utc_now
from sgpshop.services import installation, settings
from sgpshop.services.access import activities, passwords, people
from sgpshop.services.access.sessions import key_of
from sgpshop.services.personal_data import ending
from sgpshop.services.settings.rules import SettingRefused, Value
from sgpshop.storage.database import write_alone, writing

#: A link opens so long, and only the newest.
LINK_HOURS = 24
_LINK = "first_owner_link"
_OVER = "sgpshop.first_set_up_is_over"


class SetUpOver(ShopError):
    """Somebody is registered already; nothing was changed."""

    status = 409
    sentence = "最初の設定は、すでに終わっています。ログインしてください。"


def is_open() -> bool:
    """Whether nobody is registered yet, in an instance that is no demo."""
    if current_app.extensions.get(_OVER):
        return False
    if is_over := _has_people(db.session()):
        current_app.extensions[_OVER] = True
    return not is_over and not installation.is_demo()


def make_link() -> str:
    """A new token for the link, of 256 bits; an earlier one opens nothing any more.  Raises SetUpOver."""
    token = secrets.token_urlsafe(32)
    until = utc_now() + timedelta(hours=LINK_HOURS)
    with writing() as session:
        _require_open(session)
        kept = json.dumps([key_of(token), until.isoformat()])
        session.merge(InstallationFact(name=_LINK, value=kept))
    logs.event("first_owner_link_made")
    return token


def admits(token: str) -> bool:
    """Whether `token` is that of the newest link, and in time."""
    kept = db.session.scalar(sa.select(InstallationFact.value).filter_by(name=_LINK))
    if kept is None:
        return False
    hashed, until = json.loads(kept)
    is_right = hmac.compare_digest(key_of(token), hashed)
    return is_right and utc_now() < datetime.fromisoformat(until)


@passwords.one_of_few()
def carry_out(name: str, password: str, values: Mapping[str, Value]) -> None:
    """Register the first owner and store the shop's settings `values`, all or nothing.

    Raises SetUpOver, PasswordRefused, SettingRefused, TooOften, or ShopError for the name.
    """
    owner = people.make(name, password, Role.OWNER)
    with writing() as session:
        _require_open(session)
        session.add(owner)
        settings.store(session, name, values)
        _require_nothing_to_end(str(values.get("personal_data_for", PersonalDataFor.EVER)))
        session.execute(sa.delete(InstallationFact).filter_by(name=_LINK))
        words = f"{owner.role.label}、最初の設定"
        activities.record(session, ActivityEvent.PERSON_CREATED, name, by=name, note=words)
    logs.event("first_set_up", result="done", name=name)


def _require_open(session: Session) -> None:
    """Keep everybody else from registering anybody until the commit.  Raises SetUpOver."""
    write_alone(session, Person)
    if _has_people(session) or installation.is_demo():
        raise SetUpOver


def _has_people(session: Session) -> bool:
    return bool(session.scalar(sa.select(sa.exists(Person.id))))


def _require_nothing_to_end(term: str) -> None:
    """Orders may be here already (`import-orders`): what a term would erase is confirmed in 設定 alone."""
    if ended := ending.count_ended(PersonalDataFor(term), utc_now()):
        raise SettingRefused(
            "personal_data_for",
            f"すでに期間を過ぎた注文が{ended:,}件あります。いまは「{PersonalDataFor.EVER.label}」を選び、"
            "あとで 設定 → 購入者の情報 で変更してください。",
        )
