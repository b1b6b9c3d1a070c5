"""Long work that a worker does: imports, big exports, comparisons with the console's list."""

import sqlalchemy as sa
from alembic import op

from sgpshop.migrations.words import add_words

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked", sa.JSON(), nullable=False),
        sa.Column("input_sealed", sa.Text(), nullable=False),
        sa.Column("lease", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed", sa.String(300), nullable=False),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_jobs_person_id")),
        sa.UniqueConstraint("token", name=op.f("uq_jobs_token")),
        sa.CheckConstraint(
            sa.column("kind", sa.String()).in_(["import", "export", "comparison"]),
            name=op.f("ck_jobs_kind"),
        ),
    )
    is_open = sa.text("finished_at IS NULL")
    op.create_index(
        "ix_jobs_due_at", "jobs", ["due_at"], sqlite_where=is_open, postgresql_where=is_open
    )
    op.create_table(
        "job_parts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("lease", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_parts")),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_job_parts_job_id"), ondelete="CASCADE"
        ),
    )
    op.create_index("ix_job_parts_job_id", "job_parts", ["job_id"])
    add_words("setbacks", "queue", ["job"], check="ck_setbacks_queue")
    # A file that was being taken in goes on.
    op.execute(
        """
        INSERT INTO jobs (token, kind, created_at, asked, input_sealed, lease, due_at, done, total, failed)
        SELECT id, 'import', created_at, '{}', '', 0, started_at, 0, 0, ''
        FROM import_runs
        WHERE started_at IS NOT NULL AND finished_at IS NULL
          AND EXISTS (SELECT 1 FROM import_files WHERE run_id = import_runs.id)
        """
    )
