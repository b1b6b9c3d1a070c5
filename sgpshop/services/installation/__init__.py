"""Whether this process may work on this database: its key is the database's, a demo stays one.

Another key does harm in silence: what it seals opens for nobody else, and every history it goes on
with counts as altered for ever.  So the database keeps the fingerprint of its key, and nobody with
another key starts.  A database from before that is asked what its key wrote, before anything of it
is changed.  A demo's logins and keys are known to whoever saw its screen, so a demo's database is
marked, and refused outside test mode.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from sgpshop.domain import history_chain
from sgpshop.domain.errors import CouldNotAsk, EnvironmentUnusable
from sgpshop.environment import PREFIX
from sgpshop.extensions import db
from sgpshop.keys import is_guessable
from sgpshop.models import (
    ApiKey,
    CardTransaction,
    HistoryEntry,
    InstallationFact,
    Order,
    Person,
    Setting,
    table_of,
    utc_now,
)
from sgpshop.models.base import UtcDateTime
from sgpshop.services import settings
from sgpshop.services.installation import backups
from sgpshop.services.orders import history
from sgpshop.storage import queue, schema, vault
from sgpshop.storage.database import writing

_FINGERPRINT = "key_fingerprint"
#: where the key was when the database came to know it
_KEY_PLACE = "key_place"
_DEMO = "demo"
_TOUCHED = "touched"

#: The shop of the simulator's one contract (interfaces.md §6).
DEMO_SHOP_ID = "tshop00000001"
#: Who makes the demo's settings and its practice shop's key: a name no person of a shop can have
#: made a key under without the demo's own login.
_DEMO_NAME = "demo"

_KEY = "sgpshop.installation"
#: A worker gives a sign of life every 15 seconds; it is watched for so many.
_WATCHED_FOR = 35
_SIGN_COUNTS = timedelta(minutes=2)
#: So many of the newest histories, and of the newest passwords, are asked whether our key wrote them.
_PROOFS = 20


def require_ours(*, again: bool = True) -> None:
    """Raise EnvironmentUnusable when this database belongs to another key, or to a demo.

    Once it was found right in this process, it is only asked `again` whether it has our key still.
    """
    was_right = current_app.extensions.get(_KEY)
    if was_right and not again:
        return
    current_app.extensions[_KEY] = False
    facts = _facts()
    if was_right and facts.get(_FINGERPRINT) == vault.fingerprint():
        current_app.extensions[_KEY] = True
        return
    _require_right(facts)
    if _FINGERPRINT not in facts:
        _take_key()
    if backups.RESTORED in facts:
        backups.finish_restore()
    current_app.extensions[_KEY] = True


def require_to_be_rekeyed(old_key: str) -> bool:
    """Whether the database is `old_key`'s; False: it is ours.

    Raises EnvironmentUnusable when it is neither's, AtWork while workers run.
    """
    known = _facts().get(_FINGERPRINT)
    db.session.rollback()
    if known == vault.fingerprint():
        return False
    if known != vault.fingerprint_of(old_key):
        raise EnvironmentUnusable(
            f"{PREFIX}OLD_ENCRYPTION_KEY: データベースの鍵ではありません"
            f"(データベースの鍵の指紋 {known or '不明'}、この鍵の指紋 {vault.fingerprint_of(old_key)})。"
            "何も変更していません。"
        )
    if is_guessable(current_app.config["ENCRYPTION_KEY"]):
        raise EnvironmentUnusable(
            f"{PREFIX}ENCRYPTION_KEY: 推測されやすい文字列です。無作為な文字列にしてください。"
        )
    _require_nobody_at_work()
    return True


def note_key(session: Session) -> None:
    """In a write transaction: from now on the database is our key's."""
    for name, value in ((_FINGERPRINT, vault.fingerprint()), (_KEY_PLACE, _key_place())):
        session.merge(InstallationFact(name=name, value=value))


def migrate() -> tuple[str | None, str]:
    """Bring the database to this version; the version before (None: empty) and the present one.

    It learns our key, if it knows none.  Raises NewerSchema, AtWork, or EnvironmentUnusable for a
    database of another key or a demo's, and then changes nothing: what a migration writes with another
    key could never be put right again.
    """
    schema.require_no_newer()
    _require_right(_facts() if _has("installation") else {})
    if schema.is_behind():
        _require_nobody_at_work()
    db.session.rollback()  # while we read, nobody could change the tables; and we read them as old
    moved = schema.migrate()
    queue.make_tables()
    require_ours()
    return moved


class AtWork(CouldNotAsk):
    """Processes still work with the database: they know nothing of its next version, or key."""

    def __init__(self, who: str) -> None:
        super().__init__(
            f"ほかのプロセスが動いています({who})。何も変更していません。"
            "すべてのワーカーとWebを止めてから、もう一度実行してください。"
        )


def _require_nobody_at_work() -> None:
    """Raise AtWork where a worker gives a new sign of life, or an operation is being sent.

    Who was killed a moment ago left its last sign: it is waited for whether another one comes.
    Clocks of other machines may differ, so signs are compared with each other alone.
    """
    beats = sa.table("worker_beats", sa.column("worker"), sa.column("at", UtcDateTime()))
    attempts = sa.table("attempts", sa.column("state"), sa.column("due_at", UtcDateTime()))
    sending = sa.select(sa.func.count()).select_from(attempts).where(attempts.c.state == "sending")

    def signs() -> dict[str, datetime]:
        rows = db.session.execute(sa.select(beats).where(beats.c.at > utc_now() - _SIGN_COUNTS))
        found = {row.worker: row.at for row in rows}
        db.session.rollback()
        return found

    first = signs()
    for _ in range(_WATCHED_FOR if first else 0):
        time.sleep(1)
        now = signs()
        if alive := [worker for worker, at in now.items() if first.get(worker) != at]:
            raise AtWork("、".join(sorted(alive)))
        if not now:  # all have said that they ended
            break
    if db.session.scalar(sending.where(attempts.c.due_at > utc_now())):
        raise AtWork("決済の処理中")


def become_demo() -> None:
    """Mark the database as a demo's.  Raises EnvironmentUnusable when a shop works with it."""
    with writing() as session:
        if _DEMO in _facts():
            return
        if _is_of_a_shop():
            raise EnvironmentUnusable(
                f"{_place_names()}: このデータベースには店舗のデータがあります。"
                "見本(demo)には、別のフォルダーを指定してください。"
            )
        session.add(InstallationFact(name=_DEMO, value="1"))


def is_demo() -> bool:
    """Whether the database is marked as a demo's."""
    return _DEMO in _facts()


def touch(connection: sa.Connection) -> None:
    """Write a row that means nothing, to see whether rows can be written."""
    table = table_of(InstallationFact)
    values = {"value": utc_now().isoformat()}
    if not connection.execute(
        sa.update(table).where(table.c.name == _TOUCHED).values(values)
    ).rowcount:
        connection.execute(sa.insert(table).values(name=_TOUCHED, **values))


def _facts() -> dict[str, str]:
    rows = db.session.execute(sa.select(InstallationFact.name, InstallationFact.value))
    return {row.name: row.value for row in rows}


def _require_right(facts: dict[str, str]) -> None:
    """Raise EnvironmentUnusable unless the database, of any version, is our key's and no demo's.

    One that does not know its key says by what is in it whose it is.
    """
    is_known = _FINGERPRINT in facts
    if _DEMO in facts or (not is_known and _was_made_by_demo()):
        _require_test_mode()
    if is_known:
        if facts[_FINGERPRINT] != vault.fingerprint():
            raise EnvironmentUnusable(_other_key(facts))
        return
    proofs = list(_proofs())
    if any(proofs) and not all(proofs):
        raise EnvironmentUnusable(_several_keys(proofs))
    if proofs and not all(proofs):
        raise EnvironmentUnusable(_other_key({}))
    if not proofs and is_guessable(current_app.config["ENCRYPTION_KEY"]):
        raise EnvironmentUnusable(
            f"{PREFIX}ENCRYPTION_KEY: 推測されやすい文字列です。"
            "無作為な文字列にしてください(空にすると自動で作られます)。"
        )


def _take_key() -> None:
    """Let the database know our key, of which it was asked, and whether it is a demo's."""
    values = {_FINGERPRINT: vault.fingerprint(), _KEY_PLACE: _key_place()}
    try:
        with writing() as session:
            known = _facts()
            if _FINGERPRINT not in known:
                if _DEMO not in known and _was_made_by_demo():
                    values |= {_DEMO: "1"}
                session.add_all(InstallationFact(name=n, value=v) for n, v in values.items())
                return
    except IntegrityError:  # another process was faster
        db.session.rollback()
    _require_right(_facts())


def _require_test_mode() -> None:
    if not current_app.config["TEST_MODE"]:
        raise EnvironmentUnusable(
            f"{_place_names()}: これは見本(demo)のデータベースです。見本のログイン・APIキー・注文が"
            f"入っているため、本番では使えません。別のフォルダーを指定してください"
            f"(見本として使う場合は {PREFIX}TEST_MODE=1)。"
        )


def _was_made_by_demo() -> bool:
    """Whether a demo of a version that did not mark its database filled it.

    Its contract is the simulator's, and its practice shop's key is the demo's work, whatever the
    contract was changed to since.
    """
    signs = (
        ("settings", Setting, {"name": "shop_id", "value": DEMO_SHOP_ID}),
        ("api_keys", ApiKey, {"created_by": _DEMO_NAME}),
    )
    return any(
        db.session.scalar(sa.select(sa.select(model).filter_by(**sign).exists()))
        for table, model, sign in signs
        if _has(table)
    )


def _is_of_a_shop() -> bool:
    """Whether there is anything a demo did not make: it begins with its own contract."""
    shop = settings.load()
    if shop.has_contract:
        return shop.shop_id != DEMO_SHOP_ID
    return any(db.session.scalar(sa.select(sa.exists(model.id))) for model in (Order, Person))


def _proofs() -> Iterator[bool]:
    """Whether our key made this and that of what is there; nothing where nothing is there.

    Asks a database of any version for what its version has.
    """
    if _has("settings"):
        for name in settings.SECRETS:
            wanted = sa.select(Setting.value).filter_by(name=f"{name}_sealed")
            if sealed := db.session.scalar(wanted):
                yield _opens(sealed, f"setting:{name}")
    if _has("card_transactions", "access_pass_sealed"):
        trade = CardTransaction
        passwords = sa.select(trade.gateway_order_id, trade.access_pass_sealed)
        passwords = passwords.where(trade.access_pass_sealed != "")
        for number, sealed in db.session.execute(
            passwords.order_by(trade.id.desc()).limit(_PROOFS)
        ):
            yield _opens(sealed or "", f"access_pass:{number}")
    if _has("history", "mark"):
        yield from _marks()


def _marks() -> Iterator[bool]:
    newest = (
        sa.select(Order.history_state, HistoryEntry.mark)
        .join(Order, Order.id == HistoryEntry.order_id)
        .where(
            HistoryEntry.id.in_(
                sa.select(sa.func.max(HistoryEntry.id)).group_by(HistoryEntry.order_id)
            )
        )
        .order_by(HistoryEntry.id.desc())
        .limit(_PROOFS)
    )
    key = history.chain_key()
    for state, mark in db.session.execute(newest):
        yield mark == history_chain.mark(key, state)


def _has(table: str, column: str = "") -> bool:
    """Whether the database, of whatever version, has this table and column."""
    there = sa.inspect(db.engine)
    if not there.has_table(table):
        return False
    return not column or column in {found["name"] for found in there.get_columns(table)}


def _opens(sealed: str, context: str) -> bool:
    try:
        vault.unseal(sealed, context)
    except vault.SealBroken:
        return False
    return True


def _key_place() -> str:
    return f"{socket.gethostname()} の {current_app.config['ENCRYPTION_KEY_PLACE']}"


def _other_key(facts: dict[str, str]) -> str:
    kept = (
        facts.get(_KEY_PLACE)
        or "最初に起動した環境のインスタンスフォルダーのファイル encryption_key"
    )
    here = _key_place()
    if kept == here:
        what = f"{here} が別のものに変わっています。バックアップから元の鍵を戻して"
    else:
        what = f"元の鍵は {kept} にあります。それを {here} にコピーして(環境変数は同じ値にして)"
    return (
        f"{PREFIX}ENCRYPTION_KEY: このデータベースは別の鍵で使われています"
        f"(データベースの鍵の指紋 {facts.get(_FINGERPRINT, '不明')}、"
        f"この環境の鍵の指紋 {vault.fingerprint()})。{what}、起動し直してください。"
        "元の鍵に戻るまで、パスワードを登録し直さないでください。"
    )


def _several_keys(proofs: list[bool]) -> str:
    return (
        f"{PREFIX}ENCRYPTION_KEY: このデータベースには、別の鍵で書かれたものが混じっています"
        f"(調べた{len(proofs)}件のうち、{_key_place()} の鍵で読めないもの{proofs.count(False)}件)。"
        "バックアップから、データベースとそのときの鍵を揃えて戻し、起動し直してください。"
        "それまで、パスワードを登録し直さないでください。"
    )


def _place_names() -> str:
    name = "DATABASE_URL" if db.engine.dialect.name != "sqlite" else "INSTANCE_PATH"
    return f"{PREFIX}{name}"
