"""A slip run may come from a program: its key says whose it is."""

from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "ALTER TABLE slip_runs ADD COLUMN key_id INTEGER"
        " CONSTRAINT fk_slip_runs_key_id REFERENCES api_keys (id)"
    )
