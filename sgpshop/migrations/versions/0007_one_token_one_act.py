"""One token, one act: what the form that carried a token asked for (P19)."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # NULL for what is there: columns of the history are part of its chains (models/history.py).
    for table in ("attempts", "history"):
        op.add_column(table, sa.Column("request_act", sa.String(length=64), nullable=True))
    op.add_column(
        "import_runs",
        sa.Column("content_hash", sa.String(length=64), nullable=False, server_default=""),
    )
