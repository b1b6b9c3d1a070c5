"""One order a round of a subscription; the same round handed in twice is told, not billed."""

import sqlalchemy as sa
from alembic import op

from sgpshop.migrations.words import add_words
from sgpshop.models.base import UtcDateTime, utc_now

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_IS_TAKEN = (
    "subscription_id IS NOT NULL AND subscription_round IS NOT NULL"
    " AND payment_status <> 'cancelled'"
)


def upgrade() -> None:
    add_words("alerts", "kind", ("duplicate_round",), check="ck_alerts_kind")
    op.add_column(
        "orders",
        sa.Column("is_round_shared", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    _tell_of_duplicates()
    op.create_index(
        "uq_orders_subscription_round",
        "orders",
        ["subscription_id", "subscription_round"],
        unique=True,
        sqlite_where=sa.text(f"{_IS_TAKEN} AND NOT is_round_shared"),
        postgresql_where=sa.text(f"{_IS_TAKEN} AND NOT is_round_shared"),
    )


def _tell_of_duplicates() -> None:
    """The first order keeps the round; all of them wait for a person, as far as not yet billed."""
    connection = op.get_bind()
    rows = connection.execute(
        sa.text(
            "SELECT id, order_no, subscription_id, subscription_round, payment_status FROM orders"  # noqa: S608 - names of our own
            f" WHERE {_IS_TAKEN} AND (subscription_id, subscription_round) IN ("
            f"SELECT subscription_id, subscription_round FROM orders WHERE {_IS_TAKEN}"
            " GROUP BY subscription_id, subscription_round HAVING count(*) > 1) ORDER BY id"
        )
    ).all()
    groups: dict[tuple[str, int], list[sa.Row]] = {}
    for row in rows:
        groups.setdefault((row.subscription_id, row.subscription_round), []).append(row)
    orders = sa.table("orders", sa.column("id"), sa.column("is_round_shared"))
    alerts = sa.table(
        "alerts",
        *(sa.column(name) for name in ("order_id", "kind", "facts", "acknowledged_by", "reason")),
        sa.column("since", UtcDateTime()),
    )
    for same in groups.values():
        connection.execute(
            sa.update(orders)
            .where(orders.c.id.in_([row.id for row in same[1:]]))
            .values(is_round_shared=True)
        )
        for row in same:
            others = "、".join(one.order_no for one in same if one.id != row.id)
            connection.execute(
                sa.insert(alerts).values(
                    order_id=row.id,
                    kind="duplicate_round",
                    facts=(
                        f"定期購入ID「{row.subscription_id}」の{row.subscription_round}回目は、"
                        f"注文 {others} でも登録されています。"
                    )[:400],
                    acknowledged_by="",
                    reason="",
                    since=utc_now(),
                )
            )
