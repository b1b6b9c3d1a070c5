"""Which key asked for an approval (R157): names of keys are not unique, and one that is revoked asks for nothing."""

from alembic import op

revision = "0070"
down_revision = "0069"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "ALTER TABLE approvals ADD COLUMN key_id INTEGER"
        " CONSTRAINT fk_approvals_key_id REFERENCES api_keys (id)"
    )
