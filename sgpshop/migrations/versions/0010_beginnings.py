"""Every order's beginning in one chain; captured and refunded amounts in the history (P5)."""

import sqlalchemy as sa
from alembic import op

from sgpshop.domain import history_chain
from sgpshop.models.base import UtcDateTime, utc_now
from sgpshop.storage import vault

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_SOME = 500


def upgrade() -> None:
    for name in ("captured_amount", "refunded_amount"):
        op.add_column("history", sa.Column(name, sa.Integer(), nullable=True))
    words = sa.Enum(
        "paying",
        "kept",
        "taken_back",
        name=op.f("ck_beginnings_what"),
        native_enum=False,
        create_constraint=True,
        length=32,
    )
    op.create_table(
        "beginnings",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("order_no", sa.String(length=24), nullable=False),
        sa.Column("what", words, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mark", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_beginnings")),
    )
    op.create_index("ix_beginnings_order_no_id", "beginnings", ["order_no", "id"])
    op.create_table(
        "beginnings_end",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_beginnings_end")),
    )
    meta = sa.MetaData()
    _tell_amounts(meta)
    _chain_what_is_there(meta)


def _reflected(name: str, meta: sa.MetaData) -> sa.Table:
    return sa.Table(name, meta, autoload_with=op.get_bind(), resolve_fks=False)


def _tell_amounts(meta: sa.MetaData) -> None:
    """One entry for each order with a captured amount, to replay it from."""
    database, key, now, last = op.get_bind(), vault.derived_key("history"), utc_now(), 0
    orders, history = _reflected("orders", meta), _reflected("history", meta)
    at = sa.column("at", UtcDateTime())
    move = sa.update(orders).where(orders.c.id == sa.bindparam("order"))
    move = move.values(history_state=sa.bindparam("new"))
    wanted = sa.text(
        "SELECT o.id, o.payment_status, o.total, o.version, o.processing_class, o.history_state,"
        " t.gateway_amount, t.captured_amount,"
        " CASE WHEN t.gateway_state IN ('VOID', 'RETURN', 'RETURNX', 'CANCEL')"
        " THEN t.captured_amount END AS refunded_amount"
        " FROM orders o JOIN card_transactions t ON t.order_id = o.id AND t.is_current"
        " WHERE t.captured_amount IS NOT NULL AND o.history_state <> '' AND o.id > :last"
        " ORDER BY o.id LIMIT :some"
    )
    while found := database.execute(wanted, {"last": last, "some": _SOME}).all():
        last = found[-1].id
        entries, moves = [], []
        for row in found:
            said = {
                "order_id": row.id,
                "at": now,
                "actor_kind": "command",
                "actor": "migrate",
                "event": "amounts_begin",
                "status_before": row.payment_status,
                "status_after": row.payment_status,
                "amount_before": row.total,
                "amount_after": row.total,
                "order_version": row.version,
                "detail": {},
                "gateway_amount": row.gateway_amount,
                "captured_amount": row.captured_amount,
                "refunded_amount": row.refunded_amount,
                "processing_class": row.processing_class,
            }
            state = history_chain.link(key, row.history_state, said)
            entries.append(said | {"mark": history_chain.mark(key, state)})
            moves.append({"order": row.id, "new": state})
        database.execute(_insert(history, at, entries[0]), entries)
        database.execute(move, moves)


def _insert(table: sa.Table, at: "sa.ColumnClause[object]", row: dict[str, object]) -> sa.Insert:
    """An INSERT of such rows, their times as this program keeps them."""
    values = {name: sa.bindparam(name, type_=table.c[name].type) for name in row}
    return sa.insert(table).values(values | {at.name: sa.bindparam(at.name, type_=at.type)})


def _chain_what_is_there(meta: sa.MetaData) -> None:
    """Note the beginning of every order there is, in their own order."""
    database, key, now = op.get_bind(), vault.derived_key("beginnings"), utc_now()
    rows, end = _reflected("beginnings", meta), _reflected("beginnings_end", meta)
    at = sa.column("at", UtcDateTime())
    wanted = sa.text(
        "SELECT id, order_no, history_state FROM orders WHERE id > :last ORDER BY id LIMIT :some"
    )
    state, number, last = history_chain.START, 0, 0
    while found := database.execute(wanted, {"last": last, "some": _SOME}).all():
        last = found[-1].id
        added = []
        for order in found:
            number += 1
            said = {
                "id": number,
                "order_id": order.id,
                "order_no": order.order_no,
                "what": "kept" if order.history_state else "paying",
                "at": now,
            }
            state = history_chain.link(key, state, said)
            added.append(said | {"mark": history_chain.mark(key, state)})
        database.execute(_insert(rows, at, added[0]), added)
    database.execute(sa.insert(end).values(id=1, last=number, state=state))
