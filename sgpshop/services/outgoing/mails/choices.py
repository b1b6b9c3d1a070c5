"""Where each person wants to be told of what (アカウント)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import timedelta

import sqlalchemy as sa
from flask import current_app

from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.domain.mail_kinds import CHOICES, MailKind, MailState, is_mail_address
from sgpshop.extensions import db
from sgpshop.models import Mail, Person, utc_now
from sgpshop.services.access.rate_limits import TooOften
from sgpshop.storage.database import writing

_SHOWN = 5
#: So many confirming mails a person may ask for in an hour: the address may be anybody's.
_TESTS_AN_HOUR = 5
_HOUR = timedelta(hours=1)


class AddressRefused(ShopError):
    """No mail server would take it."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


def is_on() -> bool:
    """Whether there is a mail server."""
    return bool(current_app.config["MAIL_SERVER"])


def chosen_by(person_id: int) -> tuple[str, list[str]]:
    """The address and the words of the kinds that this person chose."""
    person = db.session.get(Person, person_id)
    return (person.email, person.mail_kinds or []) if person else ("", [])


def save_choice(person_id: int, address: str, kinds: Iterable[str]) -> None:
    """Tell this person at `address` of these kinds, of what happens from now on.

    An empty address: of nothing.  Raises AddressRefused, NotFound.
    """
    address = address.strip()
    chosen = [kind.value for kind in CHOICES if kind.value in set(kinds)]
    if address and not is_mail_address(address):
        raise AddressRefused("メールアドレスの形ではありません(例 tanaka@example.jp)。")
    if chosen and not address:
        raise AddressRefused("お知らせを受け取るメールアドレスを入力してください。")
    with writing() as session:
        person = session.get(Person, person_id, populate_existing=True)
        if person is None:
            raise NotFound("このアカウントは見つかりません。")
        if set(chosen) - set(person.mail_kinds or ()) or (address and not person.email):
            person.mails_since = utc_now()
        person.email, person.mail_kinds = address, chosen


def send_test(person_id: int) -> None:
    """A mail that only says that mails arrive; one that waits already is tried again at once.

    Raises AddressRefused, TooOften (S23).
    """
    now = utc_now()
    with writing() as session:
        # Locked, so that two presses at the same time count one after the other.
        person = session.get(Person, person_id, populate_existing=True, with_for_update=True)
        if person is None or not person.email:
            raise AddressRefused("先にメールアドレスを保存してください。")
        tests = (
            sa.select(Mail)
            .where(Mail.person_id == person_id, Mail.kind == MailKind.TEST)
            .order_by(Mail.id.desc())
            .limit(_TESTS_AN_HOUR)
        )
        last = session.scalars(tests.execution_options(populate_existing=True)).all()
        if last and last[0].ended_at is None:
            if last[0].state is MailState.WAITING:
                last[0].due_at = now
            return
        if (
            len(last) == _TESTS_AN_HOUR
            and (wait := last[-1].created_at + _HOUR - now) > timedelta()
        ):
            raise TooOften("確認のメールの送信が続いています。", math.ceil(wait.total_seconds()))
        session.add(Mail(person_id=person_id, kind=MailKind.TEST, event=now.isoformat()))


def last_mails(person_id: int) -> Sequence[Mail]:
    """The latest few to this person, newest first."""
    return db.session.scalars(
        sa.select(Mail).where(Mail.person_id == person_id).order_by(Mail.id.desc()).limit(_SHOWN)
    ).all()
