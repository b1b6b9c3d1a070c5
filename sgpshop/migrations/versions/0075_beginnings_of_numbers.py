"""On PostgreSQL orders are found by the beginning of their number in whatever language the database is.

The index was good for that in the language C alone, and nothing was found in any other.
"""

from alembic import op

revision = "0075"
down_revision = "0074"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        return
    op.execute("DROP INDEX ix_orders_lower_order_no")
    op.execute("CREATE INDEX ix_orders_lower_order_no ON orders (lower(order_no) text_pattern_ops)")
