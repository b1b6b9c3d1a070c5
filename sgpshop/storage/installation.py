"""Whether this process may work on this database: its key is the database's, a demo stays one.

Another key does harm in silence: what it seals opens for nobody else, and every history it goes on
with counts as altered for ever.  So the database keeps the fingerprint of its key, and nobody with
another key starts.  A demo's logins and keys are known to whoever saw its screen, so a demo's
database is marked, and refused outside test mode.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.exc import IntegrityError

from sgpshop.config import PREFIX, ConfigurationError, is_guessable
from sgpshop.domain import history_chain
from sgpshop.extensions import db
from sgpshop.models import (
    HistoryEntry,
    InstallationFact,
    Order,
    Person,
    Setting,
    table_of,
    utc_now,
)
from sgpshop.services import settings
from sgpshop.services.orders import history
from sgpshop.storage import vault
from sgpshop.storage.database import writing

_FINGERPRINT = "key_fingerprint"
#: where the key was when the database came to know it
_KEY_PLACE = "key_place"
_DEMO = "demo"
_TOUCHED = "touched"

#: The shop of the simulator's one contract (interfaces.md §6).
DEMO_SHOP_ID = "tshop00000001"

_KEY = "sgpshop.installation"
#: So many of the newest histories are asked whether our key wrote them.
_PROOFS = 20


def require_ours() -> None:
    """Raise ConfigurationError when this database belongs to another key, or to a demo.

    Asked until it was found right once in this process.
    """
    if current_app.extensions.get(_KEY):
        return
    facts = _facts()
    _require_no_demo(facts)
    if _FINGERPRINT not in facts:
        take_key()
    elif facts[_FINGERPRINT] != vault.fingerprint():
        raise ConfigurationError(_other_key(facts))
    current_app.extensions[_KEY] = True


def take_key() -> None:
    """Let the database know our key, unless it knows one.

    What an earlier version wrote is asked whether that key wrote it.  Raises ConfigurationError.
    """
    try:
        with writing() as session:
            facts = _facts()
            if _FINGERPRINT not in facts:
                proofs = list(_proofs())
                if proofs and not any(proofs):
                    raise ConfigurationError(_other_key({}))
                if not proofs and is_guessable(current_app.config["ENCRYPTION_KEY"]):
                    raise ConfigurationError(
                        f"{PREFIX}ENCRYPTION_KEY: 推測されやすい文字列です。"
                        "無作為な文字列にしてください(空にすると自動で作られます)。"
                    )
                values = {_FINGERPRINT: vault.fingerprint(), _KEY_PLACE: _key_place()}
                session.add_all(InstallationFact(name=n, value=v) for n, v in values.items())
                return
    except IntegrityError:  # another process was faster
        db.session.rollback()
        facts = _facts()
    if facts[_FINGERPRINT] != vault.fingerprint():
        raise ConfigurationError(_other_key(facts))


def become_demo() -> None:
    """Mark the database as a demo's.  Raises ConfigurationError when a shop works with it."""
    with writing() as session:
        if _DEMO in _facts():
            return
        if _is_of_a_shop():
            raise ConfigurationError(
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


def _require_no_demo(facts: dict[str, str]) -> None:
    if _DEMO in facts and not current_app.config["TEST_MODE"]:
        raise ConfigurationError(
            f"{_place_names()}: これは見本(demo)のデータベースです。見本のログイン・APIキー・注文が"
            f"入っているため、本番では使えません。別のフォルダーを指定してください"
            f"(見本として使う場合は {PREFIX}TEST_MODE=1)。"
        )


def _is_of_a_shop() -> bool:
    """Whether there is anything a demo did not make: it begins with its own contract."""
    shop = settings.load()
    if shop.has_contract:
        return shop.shop_id != DEMO_SHOP_ID
    return any(db.session.scalar(sa.select(sa.exists(model.id))) for model in (Order, Person))


def _proofs() -> Iterator[bool]:
    """Whether our key made this and that of what is there; nothing where nothing is there."""
    for name in settings.SECRETS:
        if sealed := db.session.scalar(sa.select(Setting.value).filter_by(name=f"{name}_sealed")):
            yield _opens(sealed, f"setting:{name}")
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


def _place_names() -> str:
    name = "DATABASE_URL" if db.engine.dialect.name != "sqlite" else "INSTANCE_PATH"
    return f"{PREFIX}{name}"
