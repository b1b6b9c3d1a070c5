"""Four digits are a gram of the search, two are none: the texts of all orders are made anew by the worker.

Until it is through, which the list tells, a search asks the orders themselves.
"""

from alembic import op

revision = "0078"
down_revision = "0077"
branch_labels = None
depends_on = None


def upgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    forget = "INSERT INTO order_grams (order_grams) VALUES ('delete-all')"
    op.execute(forget if is_sqlite else "DELETE FROM order_grams")
    op.execute("DELETE FROM order_texts")
    op.execute("DELETE FROM order_texts_due")
    op.execute("INSERT INTO order_texts_due (order_id) SELECT id FROM orders ORDER BY id DESC")
