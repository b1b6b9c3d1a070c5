"""Who signs in by a passkey alone, without name and password (S2): whoever chose that."""

import sqlalchemy as sa
from alembic import op

revision = "0068"
down_revision = "0067"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "people",
        sa.Column("passkey_alone", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
