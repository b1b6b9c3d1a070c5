"""The codes with which a monthly file was refused stand by themselves, not in a sentence's shape."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE billing_files ADD COLUMN error_codes VARCHAR(400) DEFAULT '' NOT NULL")
    files = sa.table("billing_files", *map(sa.column, ("id", "reason", "error_codes")))
    connection = op.get_bind()
    rows = connection.execute(sa.select(files.c.id, files.c.reason).where(files.c.reason != ""))
    for row in rows.all():
        codes = [code for code in row.reason.split("、") if code.isascii() and code.isupper()]
        if codes:
            connection.execute(
                sa.update(files).where(files.c.id == row.id).values(error_codes="|".join(codes))
            )
