"""A sign-in from a new device is told to the address that the person had before it (S3)."""

import sqlalchemy as sa
from alembic import op

revision = "0076"
down_revision = "0075"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "known_devices",
        sa.Column("mail_to", sa.String(254), server_default="", nullable=False),
    )
    # Those of the last minute may not have been told yet; none from before the address was given are told now.
    op.execute(
        "UPDATE known_devices SET mail_to = coalesce((SELECT email FROM people"
        " WHERE people.id = known_devices.person_id"
        " AND (people.mails_since IS NULL OR people.mails_since <= known_devices.added_at)), '')"
        " WHERE is_news"
    )
