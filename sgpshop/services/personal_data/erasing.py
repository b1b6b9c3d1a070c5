"""Erasing what orders say of their buyers; order, money, payment and history stay, and stay provable."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from sgpshop.domain import history_chain
from sgpshop.domain.activities import ActivityEvent
from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.errors import ShopError
from sgpshop.domain.order_acts import is_refund_open, may_waive_cancel
from sgpshop.domain.order_rules import taken_too_much
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.personal_data import ERASED, OF_BUYER, OF_RECIPIENT, without_person
from sgpshop.domain.second_look import ApprovalState
from sgpshop.models import (
    ActorKind,
    Alert,
    Approval,
    Billing,
    BillingState,
    HistoryEntry,
    ImportIssue,
    ItemResult,
    Order,
    SlipRow,
    table_of,
)
from sgpshop.services.access import activities
from sgpshop.services.order_files.importing.content import delivery_search, order_search
from sgpshop.services.order_files.reading.columns import COLUMNS, Part
from sgpshop.services.orders import history
from sgpshop.services.orders.acting import lock_order
from sgpshop.services.orders.history import Actor
from sgpshop.storage.database import writing
from sgpshop.storage.database_words import is_unavailable

log = logging.getLogger(__name__)

#: Nothing is expected of these any more, as far as money goes; None is another way of payment.
ENDED = frozenset(
    {None, PaymentStatus.CAPTURED, PaymentStatus.CANCELLED, PaymentStatus.BILLING_REPORTED}
)
#: The state of a chain while entries are replaced: the guard of the table asks for it.
_ERASING = "erasing"
_PERSONAL = {Part.ORDER: OF_BUYER, Part.DELIVERY: OF_RECIPIENT, Part.ITEM: ()}
#: Titles of fields of which a history entry keeps what they were and became.
_KEPT_TITLES = frozenset(
    column.title for column in COLUMNS if column.field not in _PERSONAL[column.part]
)

_entries, _orders = table_of(HistoryEntry), table_of(Order)


class HistoryAltered(ShopError):
    """The order's history is not as it was written: nothing may be linked anew over that."""

    sentence = "履歴が書かれたときのままではないため、消していません(verify-history で確認)"


@dataclass
class Erased:
    """What became of the orders that were asked for: numbers, and why some had to stay."""

    done: list[str] = field(default_factory=list)
    stayed: list[tuple[str, str]] = field(default_factory=list)


def why_stays(session: Session, order: Order) -> str:
    """Why the buyer's data of this order is still needed; "" when it is not."""
    status = order.payment_status
    if not order.history_state or order.open_attempt is not None:
        return "決済の処理中です"
    if status not in ENDED:
        return f"決済が「{status.label if status else ''}」です。終わってから消せます"
    if order.processing_class is ProcessingClass.UNPROCESSED:
        return "発送がまだです"
    is_too_much = status is PaymentStatus.CAPTURED and taken_too_much(order)
    if may_waive_cancel(order) or is_refund_open(order) or is_too_much:
        return "返金が済んでいません"
    is_asked = sa.exists().where(
        Approval.order_id == order.id, Approval.state == ApprovalState.WAITING
    )
    if session.scalar(sa.select(is_asked)):
        return "承認を待っている操作があります"
    is_open = sa.exists().where(Alert.order_id == order.id, Alert.acknowledged_at.is_(None))
    if session.scalar(sa.select(is_open)) or order.is_asked:
        return "確認が必要なお知らせがあります"
    waiting = (BillingState.PLANNED, BillingState.REGISTERED, BillingState.POSTPONED)
    is_waiting = sa.exists().where(Billing.order_id == order.id, Billing.state.in_(waiting))
    return "売上報告の結果を待っています" if session.scalar(sa.select(is_waiting)) else ""


def erase(order_ids: Sequence[int], actor: Actor, event: str, **detail: Any) -> Erased:
    """Erase the buyers' data of these orders, each in a transaction of its own, unless it is needed.

    `event` and `detail` say in the history why.  What is found by it goes with the next round of texts.
    One that breaks off stays, and holds up none of the others; only without the database all end.
    """
    found = Erased()
    for order_id in order_ids:
        number = ""
        try:
            with writing() as session:
                order = lock_order(session, order_id)
                number = order.order_no
                if order.erased_at is not None and order.erased_at >= order.updated_at:
                    continue  # by somebody else meanwhile
                why = why_stays(session, order)
                if not why:
                    _erase(session, order, actor, event, detail)
        except HistoryAltered as problem:
            why = problem.message
        except Exception as problem:
            if isinstance(problem, SQLAlchemyError) and is_unavailable(problem):
                raise
            log.exception("erasing the buyer of order %s broke off", order_id)
            why = "問題が起きたため消していません(管理者はログを確認してください)"
        if why:
            found.stayed.append((number, why))
        else:
            found.done.append(number)
    return found


def _erase(
    session: Session, order: Order, actor: Actor, event: str, detail: dict[str, Any]
) -> None:
    linked = _erase_in_history(session, order)
    for name in OF_BUYER:
        setattr(order, name, "")
    order.buyer_name = ERASED
    search = {name: getattr(order, name) for name in OF_BUYER}
    for name, value in order_search(search).items():
        setattr(order, name, value)
    for delivery in order.deliveries:
        for name in OF_RECIPIENT:
            setattr(delivery, name, "")
        delivery.name = ERASED
        for name, value in delivery_search({"name": ERASED}).items():
            setattr(delivery, name, value)
    session.execute(
        sa.update(SlipRow)
        .where(SlipRow.order_id == order.id, SlipRow.result != ItemResult.PENDING)
        .values(cells=[])
        .execution_options(synchronize_session=False)
    )
    session.execute(
        sa.update(ImportIssue)
        .where(ImportIssue.order_no == order.order_no)
        .values(message=ERASED)
        .execution_options(synchronize_session=False)
    )
    history.record_change(order, event, actor, before=order.payment_status, **linked, **detail)
    order.erased_at = order.updated_at
    if actor.kind is ActorKind.PERSON:
        activities.record(
            session, ActivityEvent.PERSONAL_DATA_ERASED, order.order_no, by=actor.name
        )


def _erase_in_history(session: Session, order: Order) -> dict[str, Any]:
    """Let the entries lose what they say of a person, and link the chain anew over what is left.

    Returns what the entry that tells of it keeps: how many were replaced, and the mark of the old
    chain's end, by which a backup from before can be told to be what stood here.  Raises HistoryAltered.
    """
    connection, key = session.connection(), history.chain_key()
    wanted = sa.select(_entries).where(_entries.c.order_id == order.id).order_by(_entries.c.id)
    before = after = history_chain.START
    changes, replaced, last = [], 0, ""
    for entry in connection.execute(wanted).mappings():
        said = {name: entry[name] for name in history.LINKED}
        before = history_chain.link(key, before, said)
        last = history_chain.mark(key, before)
        if entry["mark"] != last:
            raise HistoryAltered
        left = without_person(entry["detail"], _KEPT_TITLES)
        replaced += left != entry["detail"]
        after = history_chain.link(key, after, said | {"detail": left})
        changes.append({"row": entry["id"], "left": left, "new": history_chain.mark(key, after)})
    if order.history_state != before:
        raise HistoryAltered
    if not replaced:
        return {}
    move = sa.update(_orders).where(_orders.c.id == order.id)
    connection.execute(move.values(history_state=_ERASING))
    connection.execute(
        sa.update(_entries)
        .where(_entries.c.id == sa.bindparam("row"))
        .values(
            detail=sa.bindparam("left", type_=_entries.c.detail.type), mark=sa.bindparam("new")
        ),
        changes,
    )
    connection.execute(move.values(history_state=after))
    session.expire(order, ["history_state"])
    return {"replaced": replaced, "before_mark": last}
