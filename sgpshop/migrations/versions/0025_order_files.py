"""Order files are shown before they are taken in, and order numbers may be those of other programs."""

import sqlalchemy as sa
from alembic import op

from sgpshop.migrations.words import widen

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("orders", "import_issues", "slip_rows"):
        widen(table, "order_no", 28)
    op.create_table(
        "import_files",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("content_sealed", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["import_runs.id"],
            name=op.f("fk_import_files_run_id_import_runs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_files")),
    )
    op.create_index(op.f("ix_import_files_run_id"), "import_files", ["run_id"])
    op.create_table(
        "import_mappings",
        sa.Column("headings", sa.String(64), nullable=False),
        sa.Column("columns", sa.JSON(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_by", sa.String(80), nullable=False),
        sa.PrimaryKeyConstraint("headings", name=op.f("pk_import_mappings")),
    )
    op.execute("ALTER TABLE import_runs ADD COLUMN layout VARCHAR(10) DEFAULT '' NOT NULL")
    op.add_column("import_runs", sa.Column("started_at", sa.DateTime(timezone=True)))
    op.add_column("import_runs", sa.Column("preview", sa.JSON()))
    op.add_column("import_runs", sa.Column("mapping", sa.JSON()))
    op.execute("UPDATE import_runs SET started_at = created_at")
