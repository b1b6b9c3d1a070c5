"""What was taken and given back is written down once, as it is learned, for the accounting files.

What is there is written down as the files read until now: by the history, by the numbers that do not
count, and by 返金済み of the whole sale.
"""

import datetime as dt
import json

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

_JST = dt.timezone(dt.timedelta(hours=9))
_BATCH = 1000


def upgrade() -> None:
    moved = op.create_table(
        "money_movements",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("transaction_id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("booked_on", sa.Date(), nullable=False),
        sa.Column("kept_before", sa.Integer(), nullable=False),
        sa.Column("kept_after", sa.Integer(), nullable=False),
        sa.Column("learned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_by_hand", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_money_movements_order_id")
        ),
        sa.ForeignKeyConstraint(
            ["transaction_id"],
            ["card_transactions.id"],
            name=op.f("fk_money_movements_transaction_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_money_movements")),
    )
    for column in ("booked_on", "transaction_id", "order_id"):
        op.create_index(f"ix_money_movements_{column}", "money_movements", [column])
    database = op.get_bind()
    for query in (_HISTORY, _OTHER_NUMBERS, _BY_HAND):
        rows = database.execute(sa.text(query).columns(**_TIMES)).all()
        for start in range(0, len(rows), _BATCH):
            database.execute(
                sa.insert(moved), [_movement(row) for row in rows[start : start + _BATCH]]
            )
    _refuse_changes()


_TIMES = {
    "at": sa.DateTime(timezone=True),
    "captured_at": sa.DateTime(timezone=True),
    "on_day": sa.Date(),
}
_KEPT = "coalesce(captured_amount, 0) - coalesce(refunded_amount, 0)"
_HISTORY = f"""
SELECT e.order_id, t.id AS transaction_id, e.at, t.captured_at, NULL AS on_day, e.detail,
 e.kept_before, e.kept_after, t.captured_amount
FROM (SELECT id, order_id, at, detail, {_KEPT} AS kept_after,
 coalesce(lag({_KEPT}) OVER (PARTITION BY order_id ORDER BY id), 0) AS kept_before
 FROM history) e
JOIN card_transactions t ON t.order_id = e.order_id AND t.is_current
WHERE e.kept_after <> e.kept_before ORDER BY e.id
"""  # noqa: S608
_OTHER_NUMBERS = """
SELECT order_id, id AS transaction_id, captured_at AS at, captured_at, NULL AS on_day, NULL AS detail,
 0 AS kept_before, captured_amount AS kept_after, captured_amount
FROM card_transactions
WHERE NOT is_current AND gateway_state IN ('SALES', 'CAPTURE') AND captured_amount IS NOT NULL
 AND captured_at IS NOT NULL ORDER BY id
"""
_BY_HAND = """
SELECT o.id AS order_id, t.id AS transaction_id, h.at, t.captured_at, o.refunded_on AS on_day,
 NULL AS detail, h.captured_amount - coalesce(h.refunded_amount, 0) AS kept_before,
 0 AS kept_after, t.captured_amount
FROM orders o JOIN card_transactions t ON t.order_id = o.id AND t.is_current
JOIN history h ON h.id = (SELECT max(id) FROM history WHERE order_id = o.id)
WHERE o.refunded_on IS NOT NULL AND h.captured_amount > coalesce(h.refunded_amount, 0) ORDER BY o.id
"""


def _movement(row: sa.Row) -> dict:
    """A row of the table: on the day the files have it until now, told in time."""
    day = row.on_day or _aware(_moment(row)).astimezone(_JST).date()
    return {
        "order_id": row.order_id,
        "transaction_id": row.transaction_id,
        "day": day,
        "booked_on": day,
        "kept_before": row.kept_before,
        "kept_after": row.kept_after,
        "learned_at": row.at,
        "is_by_hand": row.on_day is not None,
    }


def _moment(row: sa.Row) -> dt.datetime:
    detail = json.loads(row.detail) if isinstance(row.detail, str) else row.detail or {}
    if told := detail.get("processed_at"):
        return dt.datetime.fromisoformat(told)
    is_latest_sale = row.kept_after > row.kept_before and row.kept_after == row.captured_amount
    return row.captured_at if is_latest_sale and row.captured_at else row.at


def _aware(moment: dt.datetime) -> dt.datetime:
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment


def _refuse_changes() -> None:
    """The database itself refuses to change or delete a row, as of the history."""
    if op.get_bind().dialect.name == "sqlite":
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER money_movements_no_{act.lower()} BEFORE {act} ON money_movements "
                "BEGIN SELECT RAISE(ABORT, 'money_movements is append-only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION money_movements_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'money_movements is append-only'; END $$"
    )
    for act, each in (("UPDATE", "ROW"), ("DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
        op.execute(
            f"CREATE TRIGGER money_movements_no_{act.lower()} BEFORE {act} ON money_movements "
            f"FOR EACH {each} EXECUTE FUNCTION money_movements_refuse()"
        )
