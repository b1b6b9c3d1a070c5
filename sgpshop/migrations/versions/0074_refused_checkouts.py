"""A declined checkout keeps the whole of its order's number, and whether 3-D Secure was wished for.

On PostgreSQL a number of 25 to 27 characters did not fit, so its refusal could not be written down.
"""

import sqlalchemy as sa
from alembic import op

from sgpshop.migrations.words import widen

revision = "0074"
down_revision = "0073"
branch_labels = None
depends_on = None


def upgrade() -> None:
    widen("refused_checkouts", "order_no", 28)
    op.add_column("refused_checkouts", sa.Column("by_three_ds", sa.Boolean()))
