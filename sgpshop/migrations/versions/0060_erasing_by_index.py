"""What files said of one order is found along indexes, while its buyer's data is erased.

No other writer waits for a scan of all rows there ever were.
"""

from alembic import op

revision = "0060"
down_revision = "0059"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_slip_rows_order_id", "slip_rows", ["order_id"])
    op.create_index("ix_import_issues_order_no", "import_issues", ["order_no"])
