"""A monthly file that was being sent when an older version was killed may have got there (R105).

That version noted a doubt only once a try had ended; which tries never ended nobody can tell now.
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("UPDATE billing_files SET is_doubtful = true WHERE state = 'prepared' AND tries > 0")
