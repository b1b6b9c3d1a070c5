"""What is kept only so long after an order was closed: found and erased a few at a time, at night."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from sgpshop import logs
from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.shop_terms import PersonalDataFor
from sgpshop.extensions import db
from sgpshop.models import Order
from sgpshop.services import settings
from sgpshop.services.orders.history import WORKER
from sgpshop.services.personal_data import erasing

#: Orders of one step of the night; the worker does other things between two.
_AT_ONCE = 50
_MONTH = 30.44


def count_ended(term: PersonalDataFor, now: datetime) -> int:
    """How many orders would lose their buyer's data at night under `term`."""
    if term is PersonalDataFor.EVER:
        return 0
    return db.session.scalar(sa.select(sa.func.count(Order.id)).where(*_ended(term, now))) or 0


def erase_some(after: int, now: datetime) -> int | None:
    """Erase some orders' buyers whose time is over, by id from after this one on.

    Returns the last id looked at, or None when there are no more, or nothing ever ends.
    """
    word = settings.load().personal_data_for
    term = PersonalDataFor(word) if word in set(PersonalDataFor) else PersonalDataFor.EVER
    if term is PersonalDataFor.EVER:
        return None
    wanted = sa.select(Order.id).where(Order.id > after, *_ended(term, now))
    ids = list(db.session.scalars(wanted.order_by(Order.id).limit(_AT_ONCE)))
    db.session.commit()
    if not ids:
        return None
    found = erasing.erase(ids, WORKER, "personal_data_ended", term=term.label)
    logs.event("personal_data_ended", erased=len(found.done), stayed=len(found.stayed))
    return ids[-1]


def _ended(term: PersonalDataFor, now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    """Nothing happened to it for so long, and nothing is to be done with it, by its columns alone."""
    ended = [status for status in erasing.ENDED if status is not None]
    return (
        Order.updated_at <= now - timedelta(days=_MONTH * int(term.value)),
        sa.or_(Order.erased_at.is_(None), Order.erased_at < Order.updated_at),
        Order.processing_class != ProcessingClass.UNPROCESSED,
        sa.or_(Order.payment_status.is_(None), Order.payment_status.in_(ended)),
    )
