"""Writing the history of an order; nothing here or elsewhere changes what is written (P5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.orm import Session

from sgpshop.domain import history_chain
from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.gateway import TradeState
from sgpshop.models import (
    ActorKind,
    BeginningStep,
    CardTransaction,
    HistoryEntry,
    Order,
    table_of,
    utc_now,
)
from sgpshop.services.orders import beginnings
from sgpshop.storage import vault
from sgpshop.storage.among import among


@dataclass(frozen=True)
class Actor:
    """Who or what acts: a person by name, or a part of the program."""

    kind: ActorKind
    name: str
    #: of a program: which of the keys of that name
    key_id: int | None = None

    @classmethod
    def person(cls, name: str) -> Actor:
        """A signed-in person."""
        return cls(ActorKind.PERSON, name)

    @classmethod
    def api_key(cls, name: str, key_id: int | None = None) -> Actor:
        """Another program, by its key and the key's name."""
        return cls(ActorKind.API_KEY, name, key_id)

    @property
    def begins_of_itself(self) -> bool:
        """Whether this is nobody's act: the worker's, a look-up's or a file's."""
        return self.kind in _OF_ITSELF


_OF_ITSELF = frozenset({ActorKind.WORKER, ActorKind.LOOK_UP, ActorKind.IMPORT})
#: Look-ups act on their own account: what they find, SMBC-GP said.
LOOK_UP = Actor(ActorKind.LOOK_UP, "照会")
WORKER = Actor(ActorKind.WORKER, "自動処理")

_orders = table_of(Order)
_INSERT = sa.insert(table_of(HistoryEntry))
_is_given_back = CardTransaction.gateway_state.in_(
    [state.value for state in TradeState if state.is_cancelled]
)
#: What an entry keeps of the order's transaction: yen reserved or taken, taken, and given back.
PAID = (
    CardTransaction.gateway_amount,
    CardTransaction.captured_amount,
    sa.case((_is_given_back, CardTransaction.captured_amount)).label("refunded_amount"),
)
#: Two writers on one order would break its chain, so it is locked, if it is not already.
_STAND = (
    sa.select(
        Order.id,
        Order.history_state,
        Order.processing_class,
        Order.order_no,
        *PAID,
    )
    .outerjoin(Order.transaction)
    .with_for_update(of=Order)
)
_STAND_OF_ONE = _STAND.where(Order.id == bindparam("order"))
_MOVE_CHAIN = (
    sa.update(_orders)
    .where(_orders.c.id == bindparam("order"))
    .values(history_state=bindparam("state"))
)
_NUMBER = sa.select(Order.order_no).where(Order.id == bindparam("order"))
#: What the chains' key is derived for.
CHAIN = "history"
#: The columns of an entry that its order's chain covers.
LINKED = tuple(
    column.name for column in table_of(HistoryEntry).c if column.name not in ("id", "mark")
)


@dataclass(frozen=True)
class OrderSnapshot:
    """What an entry is built on: the order's chain so far, and how the order stands by now."""

    history_state: str
    processing_class: ProcessingClass
    gateway_amount: int | None
    captured_amount: int | None = None
    refunded_amount: int | None = None


def beginning(processing_class: ProcessingClass, gateway_amount: int | None) -> OrderSnapshot:
    """What the first entry of an order is built on that is about to be written."""
    return OrderSnapshot(history_chain.START, processing_class, gateway_amount)


def chain_key() -> bytes:
    """The key of the chains, which is not in the database."""
    return vault.derived_key(CHAIN)


def record_change(
    order: Order, event: str, actor: Actor, *, before: PaymentStatus | None, **more: Any
) -> None:
    """Let the order be one version on, with an entry that says why; `more` as in `record`.

    Comes after every other change of the order in the present write transaction.
    """
    order.version += 1
    order.updated_at = utc_now()
    record(
        order.id,
        event,
        actor,
        before=before,
        after=order.payment_status,
        total=order.total,
        version=order.version,
        **more,
    )


def record_unchanged(order: Order, event: str, actor: Actor, **more: Any) -> None:
    """Add an entry about the order as it is: no new version, whatever a form has seen stays true.

    `more` as in `record`, within the present write transaction.
    """
    record(
        order.id,
        event,
        actor,
        before=order.payment_status,
        after=order.payment_status,
        total=order.total,
        version=order.version,
        **more,
    )


def record(
    order_id: int,
    event: str,
    actor: Actor,
    *,
    before: PaymentStatus | None,
    after: PaymentStatus | None,
    total: int,
    version: int,
    total_before: int | None = None,
    attempt_id: int | None = None,
    request_token: str | None = None,
    request_act: str | None = None,
    snapshot: OrderSnapshot | None = None,
    **detail: Any,
) -> str:
    """Add one entry to the present write transaction, after everything it tells of was changed.

    `total` is the order's total in yen afterwards, `version` its version afterwards;
    `total_before` only if that was another.  The amounts at SMBC-GP and the 処理区分 are taken from
    the database.  A `request_token` makes the act behind it, `request_act`, happen once: the
    database refuses a second entry with it (P19, IntegrityError).

    Returns the state of the order's chain.  Whoever gives `snapshot`, because the order is written
    anyway, stores that state in its `history_state`, in the same transaction.
    """
    before_this = snapshot or snapshot_of(order_id)
    entry, state = linked(
        before_this,
        {
            "order_id": order_id,
            "at": utc_now(),
            "actor_kind": actor.kind,
            "actor": actor.name,
            "event": event,
            "status_before": before,
            "status_after": after,
            "amount_before": total if total_before is None else total_before,
            "amount_after": total,
            "attempt_id": attempt_id,
            "order_version": version,
            "request_token": request_token,
            "request_act": request_act,
            "detail": detail,
        },
    )
    connection = db.session.connection()
    connection.execute(_INSERT, entry)
    if snapshot is None:
        connection.execute(_MOVE_CHAIN, {"order": order_id, "state": state})
    if before_this.history_state == history_chain.START:
        number = connection.execute(_NUMBER, {"order": order_id}).scalar_one()
        beginnings.note(connection, BeginningStep.KEPT, [(order_id, number)])
    return state


def snapshot_of(order_id: int) -> OrderSnapshot:
    """How the order stands in the present write transaction; locks it."""
    session = db.session()
    session.flush()
    row = session.connection().execute(_STAND_OF_ONE, {"order": order_id}).one()
    return OrderSnapshot(
        row.history_state,
        row.processing_class,
        row.gateway_amount,
        row.captured_amount,
        row.refunded_amount,
    )


def record_many(session: Session, entries: Sequence[Mapping[str, Any]]) -> None:
    """Add one entry to each of many orders, given by its columns, as `record` does to one."""
    if not entries:
        return
    connection = session.connection()
    wanted = _STAND.where(among(Order.id, [entry["order_id"] for entry in entries]))
    snapshots = {
        snapshot.id: snapshot for snapshot in connection.execute(wanted.order_by(Order.id))
    }
    chained = [linked(snapshots[entry["order_id"]], entry) for entry in entries]
    connection.execute(_INSERT, [entry for entry, _ in chained])
    moves = [{"order": entry["order_id"], "state": state} for entry, state in chained]
    connection.execute(_MOVE_CHAIN, moves)
    first = [one for one in snapshots.values() if one.history_state == history_chain.START]
    beginnings.note(connection, BeginningStep.KEPT, [(one.id, one.order_no) for one in first])


def linked(snapshot: Any, values: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The complete entry that says `values`, and the state of its order's chain after it.

    Whoever writes it stores that state in the order's `history_state` with it.
    """
    entry = {
        **values,
        "gateway_amount": snapshot.gateway_amount,
        "captured_amount": snapshot.captured_amount,
        "refunded_amount": snapshot.refunded_amount,
        "processing_class": snapshot.processing_class,
    }
    key = chain_key()
    state = history_chain.link(key, snapshot.history_state, entry)
    return entry | {"mark": history_chain.mark(key, state)}, state


def since_version(order_id: int, version: int) -> list[HistoryEntry]:
    """What happened to the order after it had that version, oldest first (P20)."""
    return list(
        db.session.scalars(
            sa.select(HistoryEntry)
            .where(HistoryEntry.order_id == order_id, HistoryEntry.order_version > version)
            .order_by(HistoryEntry.id)
            .limit(20)
        )
    )


_NEWEST = (
    sa.select(HistoryEntry)
    .where(HistoryEntry.order_id == sa.bindparam("order"))
    .order_by(HistoryEntry.id.desc())
    .limit(sa.bindparam("most", type_=sa.Integer))
)


def entries(order_id: int, limit: int = 200) -> list[HistoryEntry]:
    """The newest entries of one order, newest first."""
    return list(db.session.scalars(_NEWEST, {"order": order_id, "most": limit}))
