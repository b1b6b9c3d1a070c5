"""Handing mails to the mail server, one after the other.

Each is taken under a lease that is committed before a byte leaves.  If the process dies between the
server's yes and our commit, the mail goes out again: a notice that comes twice does no harm, one that
is lost might (at least once).  Both carry the same Message-ID, by which mail programs know the second.
"""

from __future__ import annotations

import logging
import smtplib
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from email.utils import parseaddr
from typing import Any

import sqlalchemy as sa
from flask import current_app

from sgpshop import logs
from sgpshop.domain.mail_kinds import UNASKED, MailState, is_mail_address
from sgpshop.extensions import db
from sgpshop.models import Mail, Person, utc_now
from sgpshop.services.outgoing.mails.choices import is_on
from sgpshop.services.outgoing.mails.contents import address_of, content_of
from sgpshop.storage import setbacks, shared_clock
from sgpshop.storage.database import writing

log = logging.getLogger(__name__)

#: Longer than all time-outs of one mail together; who holds a mail longer is taken for dead.
_LEASE = timedelta(minutes=10)
#: Minutes until the next try; then the last of them again and again.
_PAUSES = (1, 5, 15, 60)
#: Then it is no news any more.
_GIVE_UP = timedelta(hours=24)
#: what a server says that is about to go, whatever it was asked
_CLOSING = 421
_REFUSED = "メールサーバーが、この宛先または内容を断りました。メールアドレスを確認してください。"
_NOT_NOW = "メールサーバーが、この宛先または内容を今は受け付けませんでした。時間をおいて、自動的にもう一度送信します。"
_BROKE_OFF = (
    "このお知らせを作れませんでした(このシステムの不具合です)。システム担当者にご連絡ください。"
)
_AWAY = "メールサーバーに送信できませんでした。システム担当者に、送信の設定を確認するようご連絡ください。"


def is_any_due() -> bool:
    """Whether a mail waits to be sent now."""
    return is_on() and bool(db.session.scalar(sa.select(sa.exists().where(_is_due()))))


def send_due(is_over: Callable[[], bool] = lambda: False) -> int:
    """Send what is due until `is_over`; how many were sent.  Ends early when the server is away."""
    sent = 0
    while not is_over():
        mail = _take() if is_on() else None
        if mail is None:
            break
        try:
            sent += _send(mail)
        except OSError as problem:  # smtplib's errors are such too: away, slow, busy
            is_of_this = _is_of_this_mail(problem)
            _try_later(mail, problem, _NOT_NOW if is_of_this else _AWAY)
            if not is_of_this:
                break
        except setbacks.OF_EVERYTHING:
            raise
        except Exception as fault:  # of ours, about this one: it holds up no other
            log.exception("mail %s broke off", mail.id)
            db.session.rollback()
            _try_later(mail, fault, _BROKE_OFF)
    return sent


def _is_due() -> sa.ColumnElement[bool]:
    # Written out and without a type, as the index has it (order_search/criteria.py).
    is_open: sa.ColumnElement[Any] = sa.literal_column("(state IN ('waiting', 'sending'))")
    return sa.and_(is_open, Mail.due_at <= shared_clock.now())


def _take() -> Mail | None:
    """The next mail, ours for the length of a lease."""
    row = db.session.execute(
        sa.select(Mail.id, Mail.tries).where(_is_due()).order_by(Mail.due_at, Mail.id).limit(1)
    ).one_or_none()
    db.session.rollback()
    if row is None:
        return None
    with writing() as session:
        taken = session.execute(
            sa.update(Mail)
            .where(Mail.id == row.id, Mail.tries == row.tries, _is_due())
            .values(
                state=MailState.SENDING,
                tries=row.tries + 1,
                due_at=shared_clock.now() + _LEASE,
            )
        ).rowcount  # type: ignore[attr-defined]
    return db.session.get(Mail, row.id, populate_existing=True) if taken else None


def _send(mail: Mail) -> bool:
    """Raises OSError where another try may help."""
    person = db.session.get(Person, mail.person_id, populate_existing=True)
    address = "" if person is None else address_of(mail, person)
    if person is None or not person.is_active or not address:
        return _end(mail, MailState.DROPPED)
    if mail.kind.value not in (*(person.mail_kinds or ()), *UNASKED):
        return _end(mail, MailState.DROPPED)
    content = content_of(mail)
    db.session.rollback()  # no transaction is open while the server is waited for
    if content is None:
        return _end(mail, MailState.DROPPED)
    if not is_mail_address(address):
        return _end(mail, MailState.FAILED, _REFUSED)
    sender = current_app.config["MAIL_FROM"]
    domain = parseaddr(sender)[1].rpartition("@")[2]
    headers = {
        "Message-ID": f"<sgpshop-{mail.id}-{int(mail.created_at.timestamp())}@{domain}>",
        "Auto-Submitted": "auto-generated",
    }
    # Loaded here: a process that sends no mail does without (1 MB).
    from sgpshop.services.outgoing.mails import server

    connection = server.of(current_app).get_connection()
    letter = server.letter(content, address, headers)
    try:
        _sign_in(connection)
        connection.send_messages([letter])
    except ValueError:  # a header or address that is none
        return _end(mail, MailState.FAILED, _REFUSED)
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError) as problem:
        if not _is_for_good(problem):
            raise
        return _end(mail, MailState.FAILED, _REFUSED)
    finally:
        with suppress(OSError):  # it has the mail, or has not, whatever it says to our good-bye
            connection.close()
    return _end(mail, MailState.SENT)


def _sign_in(connection: Any) -> None:
    """Raises OSError, also for a name or password that cannot be said to it: no fault of this mail."""
    try:
        connection.open()
    except ValueError as problem:
        raise ConnectionError from problem


def _is_for_good(problem: smtplib.SMTPRecipientsRefused | smtplib.SMTPDataError) -> bool:
    """Whether the server would say the same tomorrow of this recipient or content.

    What it says of us, our name, password or MAIL_FROM, may be put right: then all mails wait.
    """
    if isinstance(problem, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in problem.recipients.values())
    return problem.smtp_code >= 500


def _is_of_this_mail(problem: OSError) -> bool:
    """Whether the server may well take the next one: it refused a recipient or what it was to say."""
    if isinstance(problem, smtplib.SMTPRecipientsRefused):
        return all(code != _CLOSING for code, _ in problem.recipients.values())
    return isinstance(problem, smtplib.SMTPDataError) and problem.smtp_code != _CLOSING


def _end(mail: Mail, state: MailState, problem: str = "") -> bool:
    values = {"state": state, "ended_at": utc_now(), "problem": problem}
    _write(mail, values)
    level = logging.WARNING if state is MailState.FAILED else logging.INFO
    logs.event("mail_ended", level=level, kind=mail.kind, result=state, tries=mail.tries)
    return state is MailState.SENT


def _try_later(mail: Mail, problem: Exception, told: str) -> None:
    now: datetime = shared_clock.now()
    logs.event("mail_not_sent", level=logging.WARNING, kind=mail.kind, error=type(problem).__name__)
    if utc_now() - mail.created_at > _GIVE_UP:
        _end(mail, MailState.FAILED, told)
        return
    pause = timedelta(minutes=_PAUSES[min(mail.tries, len(_PAUSES)) - 1])
    _write(mail, {"state": MailState.WAITING, "due_at": now + pause, "problem": told})


def _write(mail: Mail, values: dict[str, Any]) -> None:
    """Within our lease alone: who was taken for dead changes nothing any more."""
    with writing() as session:
        session.execute(
            sa.update(Mail).where(Mail.id == mail.id, Mail.tries == mail.tries).values(**values)
        )
