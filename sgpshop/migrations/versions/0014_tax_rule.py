"""The rule of tax under which an order came in stays with it, whatever the settings say later."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_ROUNDINGS = ("down", "half_up", "up")


def upgrade() -> None:
    op.add_column(
        "orders",
        sa.Column("prices_include_tax", sa.Boolean(), nullable=False, server_default=sa.true()),
    )
    # With its CHECK, which Alembic cannot add on SQLite; both databases take it in this form.
    words = ", ".join(f"'{word}'" for word in _ROUNDINGS)
    op.execute(
        "ALTER TABLE orders ADD COLUMN tax_rounding VARCHAR(32) DEFAULT 'down' NOT NULL "
        f"CONSTRAINT ck_orders_tax_rounding CHECK (tax_rounding IN ({words}))"
    )
    _as_shown_until_now()


def _as_shown_until_now() -> None:
    """The present settings decided what was shown; only prices by the API included tax always."""
    settings = sa.table("settings", sa.column("name"), sa.column("value"))
    orders = sa.table(
        "orders",
        sa.column("intake_fingerprint"),
        sa.column("prices_include_tax", sa.Boolean()),
        sa.column("tax_rounding"),
    )
    connection = op.get_bind()
    wanted = sa.select(settings.c.name, settings.c.value)
    said = {row.name: row.value for row in connection.execute(wanted)}
    if said.get("tax_included", "1") != "1":
        connection.execute(
            sa.update(orders)
            .where(orders.c.intake_fingerprint.is_(None))
            .values(prices_include_tax=False)
        )
    rounding = said.get("tax_rounding", "down")
    if rounding != "down" and rounding in _ROUNDINGS:
        connection.execute(sa.update(orders).values(tax_rounding=rounding))
