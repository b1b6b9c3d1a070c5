"""The numbers in monthly files have an index: looking for one no longer reads every file."""

import csv

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

#: the columns of a line, and which of them is the number (protocol.md §13.9)
_COLUMNS, _NUMBER = 7, 3


def upgrade() -> None:
    numbers = op.create_table(
        "filed_numbers",
        sa.Column("gateway_order_id", sa.String(27), nullable=False),
        sa.Column("file_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["file_id"], ["billing_files.id"], name=op.f("fk_filed_numbers_file_id_billing_files")
        ),
        sa.PrimaryKeyConstraint("gateway_order_id", "file_id", name=op.f("pk_filed_numbers")),
    )
    files = sa.table("billing_files", *map(sa.column, ("id", "content")))
    connection = op.get_bind()
    for file_id in connection.scalars(sa.select(files.c.id)).all():  # one at a time: they are big
        content = connection.scalar(sa.select(files.c.content).where(files.c.id == file_id))
        lines = [line for line in csv.reader(str(content).splitlines()) if len(line) == _COLUMNS]
        rows = {
            line[_NUMBER]: {"gateway_order_id": line[_NUMBER], "file_id": file_id} for line in lines
        }
        if rows:
            connection.execute(sa.insert(numbers), list(rows.values()))
