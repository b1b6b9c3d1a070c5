"""What a slip file was, what is remarked about a row of it, and further slip numbers of a parcel."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    text = {"nullable": False, "server_default": ""}
    op.add_column("slip_runs", sa.Column("program", sa.String(80), **text))
    op.add_column("slip_rows", sa.Column("remark", sa.String(300), **text))
    op.add_column("slip_rows", sa.Column("more_slips", sa.String(400), **text))
    op.add_column("deliveries", sa.Column("more_slips", sa.String(400), **text))
