"""When the buyer's data of an order was erased, and a guard of the history that lets that happen.

An entry may only lose what its detail says of a person, while its order is marked as being erased; the
mark lasts for one transaction, which links the chain anew.  Whoever writes to the database without our
key can set the mark too, and then the chain shows it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0058"
down_revision = "0057"
branch_labels = None
depends_on = None

#: `orders.history_state` while the details of its entries are replaced
_ERASING = "EXISTS (SELECT 1 FROM orders WHERE id = OLD.order_id AND history_state = 'erasing')"
_FREE = {"detail", "mark"}


def upgrade() -> None:
    op.add_column("orders", sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "DROP TRIGGER history_no_update"
        + (" ON history" if op.get_bind().dialect.name == "postgresql" else "")
    )
    if op.get_bind().dialect.name == "sqlite":
        names = [column["name"] for column in sa.inspect(op.get_bind()).get_columns("history")]
        same = " AND ".join(f"NEW.{name} IS OLD.{name}" for name in names if name not in _FREE)
        op.execute(
            f"CREATE TRIGGER history_no_update BEFORE UPDATE ON history WHEN NOT ({_ERASING} AND {same}) "
            "BEGIN SELECT RAISE(ABORT, 'history is append-only'); END"
        )
        return
    op.execute(
        "CREATE FUNCTION history_refuse_update() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF {_ERASING} AND to_jsonb(NEW) - 'detail' - 'mark' = to_jsonb(OLD) - 'detail' - 'mark' "
        "THEN RETURN NEW; END IF; "
        "RAISE EXCEPTION 'history is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER history_no_update BEFORE UPDATE ON history "
        "FOR EACH ROW EXECUTE FUNCTION history_refuse_update()"
    )
