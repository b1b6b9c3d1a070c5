"""操作の記録: what people did, append-only and in one chain (P5a); changes of settings move into it."""

import sqlalchemy as sa
from alembic import op

from sgpshop.domain import history_chain
from sgpshop.models.base import UtcDateTime
from sgpshop.storage import vault

revision = "0062"
down_revision = "0061"
branch_labels = None
depends_on = None

_SOME = 500


def upgrade() -> None:
    op.create_table(
        "activities",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.String(length=20), nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("event", sa.String(length=40), nullable=False),
        sa.Column("about", sa.String(length=200), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("mark", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_activities")),
    )
    for columns in (["at", "id"], ["kind", "at", "id"], ["actor", "at", "id"]):
        op.create_index(f"ix_activities_{'_'.join(columns)}", "activities", columns)
    op.create_table(
        "activities_end",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_activities_end")),
    )
    _take_over_changes_of_settings()
    op.drop_table("setting_changes")
    _refuse_changes()


def _take_over_changes_of_settings() -> None:
    database, key = op.get_bind(), vault.derived_key("activities")
    before = sa.table(
        "setting_changes",
        sa.column("id", sa.Integer()),
        sa.column("at", UtcDateTime()),
        sa.column("actor", sa.String()),
        sa.column("fields", sa.JSON()),
        sa.column("told", sa.JSON()),
    )
    names = ("id", "actor_kind", "actor", "address", "kind", "event", "about", "mark")
    rows = sa.table(
        "activities",
        *(sa.column(name) for name in names),
        sa.column("at", UtcDateTime()),
        sa.column("detail", sa.JSON()),
    )
    state, number, last = history_chain.START, 0, 0
    wanted = sa.select(before).order_by(before.c.id).limit(_SOME)
    while found := database.execute(wanted.where(before.c.id > last)).all():
        added = []
        for change in found:
            number, last, told = number + 1, change.id, change.told or {}
            said = {
                "id": number,
                "at": change.at,
                "actor_kind": "person",
                "actor": change.actor,
                "address": "",
                "kind": "settings",
                "event": "settings_changed",
                "about": "",
                "detail": {"changes": [[name, *told.get(name, [])] for name in change.fields]},
            }
            state = history_chain.link(key, state, said)
            added.append(said | {"mark": history_chain.mark(key, state)})
        database.execute(sa.insert(rows), added)
    end = sa.table("activities_end", sa.column("id"), sa.column("last"), sa.column("state"))
    database.execute(sa.insert(end).values(id=1, last=number, state=state))


def _refuse_changes() -> None:
    """The database itself refuses to change or delete an entry."""
    if op.get_bind().dialect.name == "sqlite":
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER activities_no_{act.lower()} BEFORE {act} ON activities "
                "BEGIN SELECT RAISE(ABORT, 'activities are append-only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION activities_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'activities are append-only'; END $$"
    )
    for act, each in (("UPDATE", "ROW"), ("DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
        op.execute(
            f"CREATE TRIGGER activities_no_{act.lower()} BEFORE {act} ON activities "
            f"FOR EACH {each} EXECUTE FUNCTION activities_refuse()"
        )
