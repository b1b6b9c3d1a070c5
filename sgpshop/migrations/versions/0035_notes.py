"""社内メモ and 対応状況: what people of the shop note about an order."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "orders", sa.Column("handling", sa.String(12), nullable=False, server_default="open")
    )
    op.add_column("orders", sa.Column("memo", sa.Text(), nullable=False, server_default=""))
    # Few are anything else; the list asks for those.
    not_open = sa.text("handling <> 'open'")
    op.create_index(
        "ix_orders_handling",
        "orders",
        ["handling"],
        sqlite_where=not_open,
        postgresql_where=not_open,
    )
