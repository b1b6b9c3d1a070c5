"""Notifications about later payments of long order numbers, and about orders of other ways of payment."""

import sqlalchemy as sa
from alembic import op

from sgpshop.domain.order_number import later_stem
from sgpshop.migrations.words import add_words

revision = "0065"
down_revision = "0064"
branch_labels = None
depends_on = None

_IS_LONG = sa.text("later_stem IS NOT NULL")


def upgrade() -> None:
    op.add_column("orders", sa.Column("later_stem", sa.String(24)))
    orders = sa.table("orders", sa.column("id"), sa.column("order_no"), sa.column("later_stem"))
    connection = op.get_bind()
    longest_without = 24
    long_ones = connection.execute(
        sa.select(orders.c.id, orders.c.order_no).where(
            sa.func.length(orders.c.order_no) > longest_without
        )
    ).all()
    stems = [
        {"of": order_id, "stem": stem}
        for order_id, order_no in long_ones
        if (stem := later_stem(order_no)) is not None
    ]
    if stems:
        connection.execute(
            sa.update(orders)
            .where(orders.c.id == sa.bindparam("of"))
            .values(later_stem=sa.bindparam("stem")),
            stems,
        )
    op.create_index(
        "ix_orders_later_stem",
        "orders",
        ["later_stem"],
        sqlite_where=_IS_LONG,
        postgresql_where=_IS_LONG,
    )
    add_words("alerts", "kind", ["other_method"], check="ck_alerts_kind")
