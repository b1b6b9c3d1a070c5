"""Differences that look-ups found: told until a person acknowledges them (R120, R121)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import cache

import sqlalchemy as sa
from sqlalchemy.orm import Session, joinedload

from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import BEFORE_CHARGE, MISSING, AlertKind, Decision
from sgpshop.extensions import db
from sgpshop.models import Alert, DailyJob, Order, utc_now
from sgpshop.services.orders import history
from sgpshop.services.orders.acting import id_of, lock_order, require_received
from sgpshop.services.orders.history import LOOK_UP, WORKER, Actor
from sgpshop.storage.among import among
from sgpshop.storage.database import writing
from sgpshop.storage.questions import Question

_LONGEST = 400
#: Who ended what was over without anybody's doing.
_BY_ITSELF = (LOOK_UP.name, WORKER.name)
_OTHERWISE = "その後に取り込んだファイルでは、注文キャンセルではありません。"
REASON_MOST = 200
#: Name of the nightly comparison among the jobs of a day.
COMPARE = "compare"
_LAST_COMPARED = sa.select(sa.func.max(DailyJob.finished_at)).where(DailyJob.name == COMPARE)


class NoteRefused(ShopError):
    """The note of the person cannot be kept as it is."""

    sentence = f"メモは{REASON_MOST}文字以内の文字で入力してください。"


class OtherByNow(ShopError):
    """What the alert says is not what the person read (P20)."""

    status = 409
    sentence = (
        "この通知の内容は、画面を開いている間に変わりました。確認済みにしていません。"
        "いまの内容を読んでから、もう一度「確認済みにする」を押してください。"
    )


def raise_for(
    session: Session,
    order_id: int,
    before: PaymentStatus | None,
    decision: Decision | None,
    *,
    found: str,
    total: int,
) -> None:
    """Write down what `decision` says a person has to acknowledge; the caller has locked the order.

    `found` is what the gateway showed, in words; `total` the order's total in yen.  What is open
    already is not said twice, but says what was seen last.
    """
    for kind in decision.alerts if decision else ():
        raise_kind(session, order_id, kind, before=before, found=found, total=total)


def raise_kind(
    session: Session,
    order_id: int,
    kind: AlertKind,
    *,
    before: PaymentStatus | None,
    found: str,
    total: int,
) -> None:
    """The same for one thing that needs no table to decide about."""
    _raise(session, order_id, kind, _facts(kind, before, found=found, total=total))
    session.flush()


def mended(session: Session, order_id: int, kind: AlertKind, by: str, now: datetime) -> None:
    """What is open of that kind is over, because of an act that the history tells of itself."""
    session.execute(
        sa.update(Alert)
        .where(Alert.order_id == order_id, Alert.kind == kind, Alert.acknowledged_at.is_(None))
        .values(acknowledged_at=now, acknowledged_by=by)
    )


def open_again(
    session: Session,
    order_id: int,
    kinds: Collection[AlertKind],
    by: Collection[str],
    since: datetime,
) -> None:
    """What of these kinds was over because of what is taken back: ended `by` these since then."""
    for kind in kinds:
        of_kind = sa.and_(Alert.order_id == order_id, Alert.kind == kind)
        is_open = sa.exists().where(of_kind, Alert.acknowledged_at.is_(None))
        ended = sa.select(sa.func.max(Alert.id)).where(
            of_kind, Alert.acknowledged_at >= since, Alert.acknowledged_by.in_(by)
        )
        if not session.scalar(sa.select(is_open)) and (last := session.scalar(ended)):
            session.execute(
                sa.update(Alert)
                .where(Alert.id == last)
                .values(acknowledged_at=None, acknowledged_by="")
            )


def money_is_there(
    session: Session,
    order: Order,
    *,
    is_taken: bool,
    now: datetime,
    news: str = "",
) -> None:
    """SMBC-GP has reserved money of the locked order, or taken it: what says that it is missing is over.

    So is what was said of it before it was taken (BEFORE_CHARGE).

    `news` is what it has, in words, where it was taken past us, and not before: if a person took
    note of the warning and perhaps collected the money in another way, that is told.
    """
    kinds = MISSING | BEFORE_CHARGE if is_taken else {AlertKind.HOLD_MISSING}
    was_noted = sa.exists().where(
        Alert.order_id == order.id,
        Alert.kind.in_(MISSING),
        Alert.acknowledged_at.is_not(None),
        Alert.acknowledged_by.not_in(_BY_ITSELF),
    )
    if is_taken and news and session.scalar(sa.select(was_noted)):
        raise_once(session, order, AlertKind.CHARGED_AFTER_ALL, found=news)
    for kind in kinds:  # by the system, whose money it is: a person's name says «took note» (above)
        mended(session, order.id, kind, WORKER.name, now)


def raise_once(session: Session, order: Order, kind: AlertKind, *, found: str) -> bool:
    """What `raise_for` does, for one `kind` about the locked `order`, whose status stays.

    False, and nothing is written, where the very same was told before, and is open or acknowledged.
    """
    is_news, facts = _news(session, order, kind, found)
    if is_news:
        _raise(session, order.id, kind, facts)
        session.flush()
    return is_news


def keep_open(session: Session, order: Order, kind: AlertKind, *, found: str) -> bool:
    """The same for what stays open until it ends: told before or not, it stands there; whether it is news."""
    is_news, facts = _news(session, order, kind, found)
    _raise(session, order.id, kind, facts)
    session.flush()
    return is_news


def _news(session: Session, order: Order, kind: AlertKind, found: str) -> tuple[bool, str]:
    facts = _facts(kind, order.payment_status, found=found, total=order.total)
    was_told = sa.exists().where(
        Alert.order_id == order.id,
        Alert.kind == kind,
        Alert.facts == facts,
        # What was over by itself, and is there again, nobody knows of.
        sa.or_(Alert.acknowledged_at.is_(None), Alert.acknowledged_by.not_in(_BY_ITSELF)),
    )
    return not session.scalar(sa.select(was_told)), facts


def raise_cancelled_in_file(session: Session, order: Order, other: str = "") -> None:
    """A file calls the locked `order` 注文キャンセル while its payment stands (R143), or perhaps the `other`.

    Told once, and again after a file said otherwise.
    """
    found = PaymentStatus.CANCELLED.label
    if other:
        found += f"(先頭の0が消えた注文 {other} のことかもしれません)"
    raise_once(session, order, AlertKind.CANCELLED_IN_FILE, found=found)


def not_cancelled_in_file(session: Session, order_ids: Collection[int]) -> None:
    """Later files say otherwise of these orders, which are locked: the next 注文キャンセル is news.

    What is open stays so, and says it: a file that is older, or our own export, ends no warning.
    """
    if order_ids:
        session.execute(
            sa.update(Alert)
            .where(
                among(Alert.order_id, order_ids),
                Alert.kind == AlertKind.CANCELLED_IN_FILE,
                Alert.facts.not_like(f"%{_OTHERWISE}"),
            )
            .values(facts=Alert.facts + _OTHERWISE)
            .execution_options(synchronize_session=False)
        )


def _facts(kind: AlertKind, before: PaymentStatus | None, *, found: str, total: int) -> str:
    return kind.sentence.format(
        before=before.label if before else "-", found=found, total=f"{total:,}円"
    )[:_LONGEST]


def _raise(session: Session, order_id: int, kind: AlertKind, facts: str) -> None:
    is_open = sa.and_(
        Alert.order_id == order_id, Alert.kind == kind, Alert.acknowledged_at.is_(None)
    )
    alert = session.scalars(sa.select(Alert).where(is_open)).one_or_none()
    if alert is None:
        session.add(Alert(order_id=order_id, kind=kind, facts=facts))
    else:
        alert.facts = facts


_IS_OPEN_OF = sa.and_(Alert.order_id == sa.bindparam("order"), Alert.acknowledged_at.is_(None))
_OPEN = sa.select(Alert).where(_IS_OPEN_OF).order_by(Alert.id)
_HAS_OPEN = sa.select(sa.exists().where(_IS_OPEN_OF))


def has_open_question(order_id: int) -> Question[bool]:
    """Whether anything is still to be acknowledged of one order."""
    return Question(_HAS_OPEN, lambda row: bool(row[0]), {"order": order_id})


def open_of(order_id: int) -> list[Alert]:
    """What is still to be acknowledged of one order, oldest first."""
    return list(db.session.scalars(_OPEN, {"order": order_id}))


def newest_open(limit: int) -> list[Alert]:
    """What is still to be acknowledged of any order, newest first, alerts before notices.

    Of its order the number alone is read.
    """
    return list(db.session.scalars(_newest(), {"most": limit}))


@cache
def _newest() -> sa.Select[Alert]:
    notices = [kind for kind in AlertKind if kind.is_notice]
    return (
        sa.select(Alert)
        .where(Alert.acknowledged_at.is_(None))
        .order_by(Alert.kind.in_(notices), Alert.since.desc(), Alert.id.desc())
        .limit(sa.bindparam("most", type_=sa.Integer))
        .options(joinedload(Alert.order).load_only(Order.order_no))
    )


def count_open() -> int:
    """How many are still to be acknowledged."""
    return db.session.execute(
        sa.select(sa.func.count()).select_from(Alert).where(Alert.acknowledged_at.is_(None))
    ).scalar_one()


def acknowledge(
    order_no: str, alert_id: int, actor: Actor, reason: str, *, read: str | None = None
) -> None:
    """Somebody has seen it, and perhaps noted something; a second click changes nothing (P19).

    `read` is the `mark` of what stood on the page: what was found since is told on (P20).

    Raises NotFound, OtherByNow, NotPossible while the buyer is paying, ShopError for one that has to be
    answered.
    """
    with writing() as session:
        order = lock_order(session, id_of(order_no))
        alert = session.get(Alert, alert_id, populate_existing=True)
        if alert is None or alert.order_id != order.id:
            raise NotFound("この通知は見つかりません。")
        if alert.acknowledged_at is not None:
            return
        require_received(order)
        if alert.kind.is_question:  # it is answered: payments.unknown_numbers
            raise ShopError("どの注文の決済かを選んでください。選ぶと、この通知は消えます。")
        if read not in (None, alert.mark):
            raise OtherByNow
        _acknowledge(session, order, alert, actor, reason, utc_now())


def _acknowledge(
    session: Session, order: Order, alert: Alert, actor: Actor, reason: str, now: datetime
) -> None:
    alert.acknowledged_at = now
    alert.acknowledged_by = actor.name
    alert.reason = reason
    session.flush()
    history.record_unchanged(
        order,
        "alert_acknowledged_why" if reason else "alert_acknowledged",
        actor,
        alert=alert.kind.label,
        reason=reason,
    )


def last_compared() -> Question[datetime | None]:
    """When the last nightly comparison was planned to its end; None: never yet."""
    return Question(_LAST_COMPARED, lambda row: row[0])
