"""Items may bear no tax: a line's rate may be 0, and of the yen that move those at 0 % are told apart.

What moved before was at 8 % or 10 %, so 0 is right for every row that is here.
"""

import sqlalchemy as sa
from alembic import op

from sgpshop.migrations.words import take_condition

revision = "0061"
down_revision = "0060"
branch_labels = None
depends_on = None

_BY_DAY = ["day", "is_refund", "is_subscription", "kept_before", "kept_after", "at_8", "at_0"]


def upgrade() -> None:
    take_condition("order_lines", "tax_rate IN (0, 8, 10)", check="ck_order_lines_tax_rate_known")
    for table, kind in (("money_movements", sa.Integer()), ("money_days", sa.BigInteger())):
        op.add_column(table, sa.Column("at_0", kind, server_default="0", nullable=False))
    # The sums of days are read from the index alone.
    op.drop_index("ix_money_movements_day", "money_movements")
    op.create_index("ix_money_movements_day", "money_movements", [*_BY_DAY, "order_id"])
