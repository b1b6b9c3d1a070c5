"""Result notifications of SMBC-GP: kept, answered, and taken as a hint to look (P24-P26, S15).

Nothing a notification says becomes a status or an amount.  It is stored under the order number it
names; the worker then lets the look-up of that transaction be due, at a pace that does not depend
on how many came.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from flask import current_app
from sqlalchemy import bindparam
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from sgpshop import logs
from sgpshop.domain.order_number import LONGEST, at_gateway, later_stem
from sgpshop.domain.order_rules import MOST_NUMBERS
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.extensions import db
from sgpshop.gateway import Notice, TradeState
from sgpshop.models import (
    SGP_METHOD,
    Alert,
    Attempt,
    AttemptState,
    CardTransaction,
    Notification,
    NotificationLook,
    NotificationState,
    Order,
    table_of,
    utc_now,
)
from sgpshop.services import settings
from sgpshop.services.orders import acting, alerts
from sgpshop.services.orders.history import WORKER
from sgpshop.services.payments import journal, past_us, transaction_lookup
from sgpshop.services.settings import ShopSettings
from sgpshop.storage import queue, vault
from sgpshop.storage.among import among
from sgpshop.storage.database import writing
from sgpshop.storage.queue import Task, Urgency
from sgpshop.storage.write_together import write_together

#: Seconds a notification waits to be stored; the gateway hears `1` well within 3 s (P25).
_PATIENCE = 2.0
_KEPT = timedelta(days=90)
#: However many come: the newest so many are kept.
MOST_KEPT = 100_000
_LOOKS_KEPT = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
#: So long at most numbers that notifications name put off the next look-up of an order.
_LONGEST_REST = timedelta(minutes=15)
# Made once: they run for every notification.
_notifications = table_of(Notification)
_FIND = sa.select(CardTransaction.id).where(
    CardTransaction.gateway_order_id == bindparam("order_no")
)


_DIGITS = "0123456789"


def _stem(number: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """The order number in `<order number>-n`; "" for any other number."""
    start = sa.func.rtrim(number, _DIGITS)
    # PostgreSQL refuses a negative length, which a number of digits alone would come to.
    return sa.case(
        (start.like("_%-"), sa.func.substr(start, 1, sa.func.length(start) - 1)), else_=""
    )


def _of_order(number: sa.ColumnElement[str]) -> sa.Select[int]:
    """The transaction that counts of the order of which `number` may be a later payment, `<order number>-n`."""
    first, current = aliased(CardTransaction), aliased(CardTransaction)
    return (
        sa.select(current.id)
        .join(first, first.order_id == current.order_id)
        .where(
            first.gateway_order_id == _stem(number),
            first.sequence == 0,
            current.is_current,
            _is_later(number),
        )
    )


def _of_long(number: sa.ColumnElement[str]) -> sa.Select[int]:
    """The same of the order whose own number is too long to stand in it (order_number.later_stem)."""
    current = aliased(CardTransaction)
    return (
        sa.select(current.id)
        .join(Order, Order.id == current.order_id)
        .where(Order.later_stem == _stem(number), current.is_current, _is_later(number))
    )


def _is_later(number: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Whether it ends in 1 to MOST_NUMBERS, as a look-up asks for them; SMBC-GP has no longer ones."""
    start = sa.func.length(sa.func.rtrim(number, _DIGITS))
    return sa.and_(
        sa.func.rtrim(number, _DIGITS).like("%-"),
        sa.func.length(number).between(start + 1, start + len(str(MOST_NUMBERS))),
        sa.func.substr(number, start + 1, 1) != "0",
        sa.func.length(number) <= LONGEST,
    )


_THEIRS = sa.select(CardTransaction.id).where(
    CardTransaction.gateway_order_id == Notification.gateway_order_id
)
_NAMED = Notification.gateway_order_id.expression
_LATER, _LATER_OF_LONG = _of_order(_NAMED), _of_long(_NAMED)
#: Told of before its card order was known, which it is by now.
_IS_LATE = sa.and_(
    Notification.state == NotificationState.UNMATCHED,
    sa.or_(_THEIRS.exists(), _LATER.exists(), _LATER_OF_LONG.exists()),
)
_ASKED_FOR = bindparam("order_no", type_=sa.String)
#: one after the other: an order that has just that number is meant first
_FINDS = (_FIND, _of_order(_ASKED_FOR), _of_long(_ASKED_FOR))
#: Whether any of these numbers was told of while nobody had it; made once: asked for every order that comes
#: in, of a partial index, which SQLite takes only where the state is written out.
_IS_ANY_NAMED = sa.select(
    sa.exists().where(
        sa.text(f"state = '{NotificationState.UNMATCHED.value}'"),
        among(_NAMED, "numbers"),
    )
)
_IS_ANY_UNMATCHED = sa.select(
    sa.exists(
        sa.select(Notification.id).where(sa.text(f"state = '{NotificationState.UNMATCHED.value}'"))
    )
)
#: An order of another way of payment has that number.
_OTHERWISE = sa.and_(
    Notification.state == NotificationState.UNMATCHED,
    Order.order_no.in_([_NAMED, sa.literal("#") + _NAMED]),
    Order.method != SGP_METHOD,
)
_IS_OTHER_TOLD = sa.exists().where(Alert.order_id == Order.id, Alert.kind == AlertKind.OTHER_METHOD)
#: told at a time: each locks its order
_TOLD_TOGETHER = 100
#: Asked every few seconds by a worker at rest, and made once: most of what they cost is to make them.
_IS_ANY_LATE = sa.select(sa.exists().where(_IS_LATE))
_OF_OTHERS = (
    sa.select(Order.id)
    .join(Notification, _OTHERWISE)
    .where(~_IS_OTHER_TOLD)
    .distinct()
    .limit(_TOLD_TOGETHER)
)
_COUNT_COPY = (
    sa.update(_notifications)
    .where(_notifications.c.fingerprint == bindparam("print"))
    .values(
        copies=_notifications.c.copies + 1,
        last_at=bindparam("now"),
        state=bindparam("next"),
        transaction_id=bindparam("transaction"),
    )
)
_INSERT = sa.insert(_notifications)
#: Orders whose possible numbers are listed rather than reckoned from every unmatched notification.
_FEW = 5
#: The name of the lock of PostgreSQL under which one worker at a time counts and asks.
_LOCK = 7_415_226


# ---- the address --------------------------------------------------------------------------------


def secret_of(shop: ShopSettings) -> str:
    """The unguessable part of the address (S15), 160 bits.

    It follows from our key and a salt in the settings, so the page can show it, a copy of the
    database does not give it away, and there is one without anybody having to make it.
    """
    secret = vault.derive(f"notify:{shop.notify_salt}")
    logs.register_secret(secret)
    return secret


def is_ours(secret: str, shop: ShopSettings) -> bool:
    """Whether `secret` is the one of the address; takes as long for a near miss as for any other."""
    return hmac.compare_digest(secret.encode(errors="replace"), secret_of(shop).encode())


def renew_address(actor: str) -> None:
    """From now on another address; what is sent to the old one is not accepted any more."""
    settings.save(actor, notify_salt=secrets.token_hex(16))


# ---- coming in ----------------------------------------------------------------------------------


def receive(notice: Notice, source: str, shop: ShopSettings) -> NotificationState:
    """Keep what came from the address `source`; it is durable when this returns.

    Raises SQLAlchemyError within about two seconds when it cannot be stored (P25).
    """

    def store(session: Session) -> NotificationState:
        return _store(session, notice, source, shop)

    try:
        state = write_together(store, within=_PATIENCE)
    except IntegrityError:  # the same came in at the same moment, and was first
        state = write_together(store, within=_PATIENCE)
    logs.event(
        "notification",
        order=notice.order_id,
        job=notice.job,
        status=notice.status,
        codes=list(notice.codes),
        pay_type=notice.pay_type,
        result=state,
        address=source,
    )
    return state


def _store(session: Session, notice: Notice, source: str, shop: ShopSettings) -> NotificationState:
    now = utc_now()
    connection = session.connection()
    state, transaction_id = _sorted(connection, notice, shop)
    is_copy = connection.execute(
        _COUNT_COPY,
        {"print": notice.fingerprint, "now": now, "next": state, "transaction": transaction_id},
    ).rowcount
    if not is_copy:
        connection.execute(
            _INSERT,
            {
                "received_at": now,
                "last_at": now,
                "fingerprint": notice.fingerprint,
                "source": source[:45],
                "state": state,
                "transaction_id": transaction_id,
                "shop_id": notice.shop_id,
                "gateway_order_id": notice.order_id,
                "access_id": notice.access_id,
                "status": notice.status,
                "job": notice.job,
                "amount": notice.amount,
                "tran_id": notice.tran_id,
                "tran_date": notice.tran_date,
                "error_codes": "|".join(notice.codes),
                "pay_type": notice.pay_type,
                "content": notice.content,
            },
        )
    if state is NotificationState.WAITING:
        queue.tell(session, Task.SWEEP, [0], Urgency.LATER)
    return state


def _sorted(
    connection: sa.Connection, notice: Notice, shop: ShopSettings
) -> tuple[NotificationState, int | None]:
    """What is to become of it, and the transaction it names, if that is one of ours."""
    if notice.is_test:
        return NotificationState.TEST, None
    if not (notice.is_card and notice.order_id and notice.shop_id == shop.shop_id):
        return NotificationState.IGNORED, None
    # An earlier one of the order too, as money may be left there; and one that nobody here entered:
    # a buyer paid past us, which a look-up of the order finds and asks about (R106, R141).
    for find in _FINDS:
        transaction_id = connection.execute(find, {"order_no": notice.order_id}).scalar()
        if transaction_id is not None:
            return NotificationState.WAITING, transaction_id
    return NotificationState.UNMATCHED, None


# ---- leading to look-ups ------------------------------------------------------------------------


def ask_for_looks() -> int:
    """Let the look-ups be due that notifications call for and the pace allows; how many (S15).

    At most one per order in NOTIFY_LOOK_PAUSE seconds and NOTIFY_LOOKS_PER_MINUTE in all, each further
    number that is asked about with it counting as one; what has to wait stays WAITING.  Those that tell
    something new go first, of few numbers before of many, and half of each minute is kept for them.
    """
    if not _room(utc_now()):
        return 0
    with writing() as session:
        now = utc_now()
        if not _is_alone(session):
            return 0
        room = _room(now)
        quiet_room = room - int(current_app.config["NOTIFY_LOOKS_PER_MINUTE"]) // 2
        chosen: dict[int, int] = {}
        spent = 0
        for row in session.execute(_candidates(now).limit(room)).all():  # news first
            if spent >= (room if row.is_news else quiet_room):
                break
            chosen[row.id] = further = _further(session, row.id)
            spent += 1 + further
        # In the order of their ids, as everybody else: otherwise two could wait for each other.
        asked = [_ask(session, one, chosen[one], now) for one in sorted(chosen)]
    return sum(asked)


def _room(now: datetime) -> int:
    """How many look-ups may be asked for now; 0 too if none is wanted."""
    is_any = sa.select(sa.exists().where(Notification.state == NotificationState.WAITING))
    if not db.session.scalar(is_any):
        return 0
    # Both ends: a clock that was set back must not stop us (P30).
    recent = db.session.scalar(
        sa.select(sa.func.count()).where(NotificationLook.at.between(now - _MINUTE, now))
    )
    return max(0, int(current_app.config["NOTIFY_LOOKS_PER_MINUTE"]) - (recent or 0))


def _candidates(now: datetime) -> sa.Select[int, int]:
    """Transactions that notifications wait for and that nobody asked about or works on just now."""
    transaction, attempt = CardTransaction, Attempt
    pause = now - timedelta(seconds=current_app.config["NOTIFY_LOOK_PAUSE"])
    is_news = sa.func.max(
        sa.case(
            (Notification.status != sa.func.coalesce(transaction.gateway_state, ""), 1),
            (Notification.amount.is_distinct_from(transaction.gateway_amount), 1),
            else_=0,
        )
    )
    # What lies ahead is the rest of a look-up of many numbers; what lies further, a clock that was set back.
    longest = now + _LONGEST_REST
    was_asked = sa.exists().where(
        NotificationLook.transaction_id == transaction.id,
        NotificationLook.at.between(pause, longest),
    )
    # Before our own answer it is only kept; right after an answer or look-up there is no need.
    is_at_work = sa.exists().where(
        attempt.order_id == transaction.order_id,
        sa.or_(
            attempt.state.in_((AttemptState.QUEUED, AttemptState.SENDING)),
            attempt.finished_at.between(pause, now),
            attempt.looked_up_at.between(pause, now),
        ),
    )
    # What it says of another number waits for the order's own look-up, once the attempt is over.
    is_of_another = sa.exists().where(
        attempt.transaction_id == transaction.id,
        attempt.is_open,
        attempt.gateway_order_id != Notification.gateway_order_id,
    )
    was_looked_up = sa.func.coalesce(transaction.looked_up_at.between(pause, now), sa.false())
    return (
        sa.select(transaction.id, is_news.label("is_news"))
        .join(Notification, Notification.transaction_id == transaction.id)
        .where(
            Notification.state == NotificationState.WAITING,
            sa.not_(was_looked_up),
            sa.not_(was_asked),
            sa.not_(is_at_work),
            sa.not_(is_of_another),
        )
        .group_by(transaction.id)
        .order_by(
            is_news.desc(),
            # What names many, which take the pace of others, comes after those.
            sa.func.count(sa.distinct(Notification.gateway_order_id)),
            sa.func.min(Notification.id),
        )
    )


def _ask(session: Session, transaction_id: int, further: int, now: datetime) -> bool:
    """Let the look-up of this transaction be due: the open attempt's on it, if there is one.

    `further`: how many numbers more it asks about.
    """
    attempt = session.scalar(
        sa.select(Attempt)
        .where(Attempt.transaction_id == transaction_id, Attempt.is_open)
        .execution_options(populate_existing=True)
    )
    if attempt is not None:
        is_due = journal.make_look_due(session, attempt)
    else:
        is_due = transaction_lookup.is_due(session, transaction_id) or bool(
            transaction_lookup.make_due(session, CardTransaction.id == transaction_id)
        )
    if is_due:
        # Each further number that notifications name is a question more, and a pause more.
        rest = timedelta(seconds=current_app.config["NOTIFY_LOOK_PAUSE"] * further)
        at = [now] * (1 + further) + [now + min(rest, _LONGEST_REST)] * bool(further)
        session.add_all(NotificationLook(transaction_id=transaction_id, at=one) for one in at)
        is_told = (
            sa.true()
            if attempt is None
            else Notification.gateway_order_id == attempt.gateway_order_id
        )
        session.execute(
            sa.update(Notification)
            .where(
                Notification.transaction_id == transaction_id,
                Notification.state == NotificationState.WAITING,
                is_told,
            )
            .values(state=NotificationState.ASKED, asked_at=now)
            .execution_options(synchronize_session=False)
        )
    return is_due


def _further(session: Session, transaction_id: int) -> int:
    """How many numbers besides its own the look-up of this transaction asks about because they were named.

    That of an attempt in doubt asks about its own alone.
    """
    in_doubt = sa.exists().where(Attempt.transaction_id == transaction_id, Attempt.is_open)
    if session.scalar(sa.select(in_doubt)):
        return 0
    order_id, own = session.execute(
        sa.select(CardTransaction.order_id, CardTransaction.gateway_order_id).where(
            CardTransaction.id == transaction_id
        )
    ).one()
    return len(past_us.named(session, [order_id])[order_id].keys() - {own})


def _is_alone(session: Session) -> bool:
    """Whether no other worker is counting and asking right now; SQLite has one writer anyway."""
    if db.engine.dialect.name == "sqlite":
        return True
    return bool(session.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(_LOCK))))


# ---- keeping house ------------------------------------------------------------------------------


def match_late() -> int:
    """Give those for orders we did not know the transaction that came in meanwhile (P25); how many.

    And tell of those whose order is paid in another way.
    """
    matched = 0
    if db.session.scalar(_IS_ANY_LATE):
        with writing() as session:
            matched = _match(session, _IS_LATE)
    _tell_of_others()
    return matched


def _tell_of_others() -> None:
    """An order of another way of payment was perhaps paid by card too: a person is told, once."""
    found = db.session.scalars(_OF_OTHERS).all()
    db.session.commit()
    for order_id in found:
        with writing() as session:
            order = acting.lock_order(session, order_id)
            if not order.is_sgp:
                alerts.raise_once(session, order, AlertKind.OTHER_METHOD, found=order.method)


def come_in(session: Session, order_nos: Collection[str]) -> None:
    """Orders with these numbers come in: what SMBC-GP told of them before is heard from now on.

    Whoever captures one right away asks for what was paid past us first.
    """
    theirs = list(map(at_gateway, order_nos))
    stems = [stem for order_no in order_nos if (stem := later_stem(order_no)) is not None]
    names_one = sa.or_(_NAMED.in_(theirs), _stem(_NAMED).in_([*theirs, *stems]))
    if len(theirs) > _FEW:
        if not session.connection().execute(_IS_ANY_UNMATCHED).scalar():
            return
    else:  # by the index, however many are of somebody else
        later = (at_gateway(own, n) for own in order_nos for n in range(1, MOST_NUMBERS + 1))
        numbers = [*theirs, *later]
        if not session.connection().execute(_IS_ANY_NAMED, {"numbers": numbers}).scalar():
            return
        names_one = among(_NAMED, numbers)
    if _match(session, sa.and_(_IS_LATE, names_one)):
        _end_of_others(session, order_nos)


def _end_of_others(session: Session, order_nos: Collection[str]) -> None:
    """Those that are card orders by now: that SMBC-GP tells of their card says nothing any more."""
    are_told = sa.exists().where(
        Alert.order_id == Order.id,
        Alert.kind == AlertKind.OTHER_METHOD,
        Alert.acknowledged_at.is_(None),
    )
    wanted = sa.select(Order.id).where(
        among(Order.order_no, order_nos), Order.method == SGP_METHOD, are_told
    )
    for order_id in session.scalars(wanted).all():
        alerts.mended(session, order_id, AlertKind.OTHER_METHOD, WORKER.name, utc_now())


def _match(session: Session, are_late: sa.ColumnElement[bool]) -> int:
    matched = session.execute(
        sa.update(Notification)
        .where(are_late)
        .values(
            state=NotificationState.WAITING,
            transaction_id=sa.func.coalesce(
                _THEIRS.scalar_subquery(),
                _LATER.scalar_subquery(),
                _LATER_OF_LONG.scalar_subquery(),
            ),
        )
        .execution_options(synchronize_session=False)
    )
    return int(matched.rowcount)  # type: ignore[attr-defined]


def tidy() -> None:
    """Forget notifications after 90 days, the oldest beyond MOST_KEPT, and old counts."""
    now = utc_now()
    newest = sa.select(sa.func.max(Notification.id)).scalar_subquery()
    with writing() as session:
        for is_old in (
            Notification.last_at < now - _KEPT,
            Notification.id <= newest - MOST_KEPT,
        ):
            session.execute(
                sa.delete(Notification).where(is_old).execution_options(synchronize_session=False)
            )
        session.execute(sa.delete(NotificationLook).where(NotificationLook.at < now - _LOOKS_KEPT))


# ---- being shown --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Arrival:
    """A notification as it is shown: what it said, and what came of it."""

    notification: Notification
    order_no: str | None
    has_been_looked_up: bool
    #: of the order that has its number, though it is not paid by SGP card
    is_of_other_method: bool = False

    @property
    def status_word(self) -> str:
        """The state it named, in the words of SMBC-GP's console."""
        state = TradeState.of(self.notification.status)
        return self.notification.status if state is TradeState.UNKNOWN else state.label

    @property
    def outcome(self) -> str:
        """What came of it."""
        if self.is_of_other_method:
            return "別の決済方法の注文"
        if self.notification.state is NotificationState.ASKED:
            return "確認済み" if self.has_been_looked_up else "確認待ち"
        return _OUTCOMES[self.notification.state]


_OUTCOMES = {
    NotificationState.WAITING: "確認待ち",
    NotificationState.UNMATCHED: "該当注文なし",
    NotificationState.TEST: "テスト",
    NotificationState.IGNORED: "対象外",
}


def recent(limit: int = 50) -> Sequence[Arrival]:
    """The notifications that came last, newest first."""
    other = sa.select(sa.func.min(Order.order_no)).where(_OTHERWISE).correlate(Notification)
    theirs = aliased(Order)
    rows = db.session.execute(
        sa.select(
            Notification,
            theirs.order_no,
            sa.func.coalesce(CardTransaction.looked_up_at >= Notification.asked_at, sa.false()),
            other.scalar_subquery(),
        )
        .outerjoin(CardTransaction, CardTransaction.id == Notification.transaction_id)
        .outerjoin(theirs, theirs.id == CardTransaction.order_id)
        .order_by(Notification.last_at.desc(), Notification.id.desc())
        .limit(limit)
    )
    return [
        Arrival(notification, order_no or other_no, bool(looked), other_no is not None)
        for notification, order_no, looked, other_no in rows
    ]
