"""How an order stood before a payment was called its own: put back where that is taken back.

Answers of before keep none, and stay.
"""

import sqlalchemy as sa
from alembic import op

revision = "0067"
down_revision = "0066"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("unknown_numbers", sa.Column("taken_over", sa.JSON(none_as_null=True)))
