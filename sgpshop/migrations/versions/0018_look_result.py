"""What a look-up of a doubtful operation showed is data, not a sentence that code compares."""

import re

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_RESULTS = ("unanswered", "not_there", "differs")
#: the sentences until now
_UNANSWERED = re.compile(r"照会できませんでした\((.*)")
_NOT_THERE = "取引なし"
_SHOWN = re.compile(r"(.+) (-?[\d,]+)円")
_STATES = {
    "未決済": "UNPROCESSED",
    "未決済(3D登録済)": "AUTHENTICATED",
    "有効性チェック": "CHECK",
    "仮売上": "AUTH",
    "簡易オーソリ": "SAUTH",
    "即時売上": "CAPTURE",
    "実売上": "SALES",
    "取消": "VOID",
    "返品": "RETURN",
    "月跨返品": "RETURNX",
    "キャンセル": "CANCEL",
}


def upgrade() -> None:
    # With its CHECK, which Alembic cannot add on SQLite; both databases take it in this form.
    words = ", ".join(f"'{word}'" for word in _RESULTS)
    op.execute(
        "ALTER TABLE attempts ADD COLUMN look_result VARCHAR(32) "
        f"CONSTRAINT ck_attempts_look_result CHECK (look_result IN ({words}))"
    )
    op.execute("ALTER TABLE attempts ADD COLUMN look_word VARCHAR(120) DEFAULT '' NOT NULL")
    op.add_column("attempts", sa.Column("look_amount", sa.Integer()))
    _take_apart()
    op.drop_column("attempts", "found")


def _take_apart() -> None:
    attempts = sa.table(
        "attempts",
        *map(sa.column, ("id", "found", "look_result", "look_word", "look_amount")),
    )
    connection = op.get_bind()
    rows = connection.execute(
        sa.select(attempts.c.id, attempts.c.found).where(attempts.c.found != "")
    )
    for row in rows.all():
        result, word, amount = _read(row.found)
        connection.execute(
            sa.update(attempts)
            .where(attempts.c.id == row.id)
            .values(look_result=result, look_word=word[:120], look_amount=amount)
        )


def _read(found: str) -> tuple[str, str, int | None]:
    if unanswered := _UNANSWERED.match(found):
        return "unanswered", unanswered[1].removesuffix(")"), None
    if shown := _SHOWN.fullmatch(found):
        return "differs", _STATES.get(shown[1], shown[1]), int(shown[2].replace(",", ""))
    return ("not_there", "", None) if found == _NOT_THERE else ("differs", found, None)
