"""Which months' results were read: no number of a file is given up by the calendar alone."""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "monthly_results",
        sa.Column("window", sa.Date(), primary_key=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
    )
    # Where a line has its result they were read; of any other month SMBC-GP is asked once more.
    op.execute(
        """
        INSERT INTO monthly_results ("window", due_at, read_at)
        SELECT file."window",
               CASE WHEN max(told.result_at) IS NULL
                    THEN coalesce(min(file.results_due_at), min(file.created_at)) END,
               max(told.result_at)
        FROM billing_files AS file
        LEFT JOIN billings AS told
               ON told.file_id = file.id AND told.state IN ('paid', 'not_paid')
        WHERE file.tries > 0
        GROUP BY file."window"
        """
    )
