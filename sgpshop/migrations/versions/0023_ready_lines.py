"""What was asked about a line of a monthly file is kept, so that a restart does not ask again."""

import sqlalchemy as sa
from alembic import op

from sgpshop.migrations.words import add_words

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("billings", sa.Column("ready_at", sa.DateTime(timezone=True)))
    add_words("setbacks", "queue", ("billing_line",), check="ck_setbacks_queue")
