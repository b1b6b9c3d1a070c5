"""The commands backup and restore: all of an installation in one file (interfaces.md §2, P36)."""

from __future__ import annotations

import os
from pathlib import Path

import click
from flask.cli import ScriptInfo, with_appcontext

from sgpshop import environment, keys
from sgpshop.cli.shop import with_shop
from sgpshop.domain.errors import EnvironmentUnusable
from sgpshop.environment import PREFIX
from sgpshop.storage import vault
from sgpshop.storage.backup import About, read_about, read_keys

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("backup")
@click.argument("file", type=_FILE)
@with_shop
def backup(file: Path) -> None:
    """Write database, keys and version into FILE, while everything goes on."""
    from sgpshop.services.installation import backups

    taken = backups.take(file)
    click.echo(f"{file} に書き出しました({taken.size:,}バイト)。")
    if not taken.has_keys:
        click.echo(
            f"鍵は含まれていません({PREFIX}BACKUP_PASSPHRASE が未設定のため)。"
            "encryption_key を別の場所に保管してください。鍵がないと復元できません。",
            err=True,
        )


@click.command("restore")
@click.argument("file", type=_FILE)
@click.pass_context
def restore(context: click.Context, file: Path) -> None:
    """Fill an empty instance from FILE, and have all looked up that may have moved since.

    Exit code 0: done; 1: nothing was changed, because there is data or FILE is no backup; 2: the
    keys or the kind of database do not fit; 3: the database, or a later version's backup.
    """
    about = read_about(file)
    _bring_keys(environment.load(os.environ), about, file)
    with context.ensure_object(ScriptInfo).load_app().app_context():
        from sgpshop.services.installation import backups

        looks = backups.restore(file, about)
    taken = about.taken_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    click.echo(f"{taken} のバックアップに戻しました(版 {about.version})。")
    if looks is None:
        click.echo(
            "このプログラムより前の版です。続けて python app.py migrate を実行してください。"
        )
    else:
        click.echo(
            f"ワーカーを起動すると、{looks:,}件の取引をSMBC-GPに照会します。"
            "照会が済むまで、その取引には何も送信しません。"
        )
    # It leaves no trace at SMBC-GP, so no look-up can know (P36).
    click.echo(
        "予約と定期購入(決済待ち)の注文は、バックアップより後の注文キャンセル・金額の修正・返送・"
        "配送完了がSMBC-GPに残っていません。ワーカーを起動する前に、もう一度行ってください。"
        "起動すると、登録日には元の内容で請求します。",
        err=True,
    )
    click.echo(
        "全員のログインを終了しました。バックアップより後に無効にしたユーザーとAPIキーは有効に、"
        "却下・取り下げた承認の依頼は承認待ちに戻っています。確認してください。",
        err=True,
    )


@click.command("move-database")
@click.argument("file", type=click.Path(dir_okay=False, exists=True, path_type=Path))
@with_appcontext
def move_database(file: Path) -> None:
    """Copy the SQLite database FILE into the empty PostgreSQL database of DATABASE_URL.

    Everything is stopped meanwhile; FILE is read and stays.  Exit code 0: all is there; 1: nothing was
    copied; 3: another version's, or the database is away.
    """
    from sgpshop.services import installation
    from sgpshop.storage.moving import move_in

    moved = move_in(file.resolve())
    installation.migrate()  # there is nothing to migrate; the rest of it is to be done
    for table, rows in moved.items():
        if rows:
            click.echo(f"{table}: {rows:,}行")
    click.echo(f"{file} の {sum(moved.values()):,}行を移しました。")


@click.command("change-encryption-key")
@with_appcontext
def change_encryption_key() -> None:
    """Write all anew that hangs on the key in SGPSHOP_OLD_ENCRYPTION_KEY, for the present one.

    Everything is stopped meanwhile.  Exit code 0: done, or done before; 1: something was altered; 2: the
    database has neither key; 3: somebody works with it, or it is away.  But for 0 nothing was changed.
    """
    from sgpshop import logs
    from sgpshop.services.installation import rekeying

    old_key = os.environ.get(f"{PREFIX}OLD_ENCRYPTION_KEY", "").strip()
    if not old_key:
        raise EnvironmentUnusable(f"{PREFIX}OLD_ENCRYPTION_KEY: 元の鍵を指定してください。")
    logs.register_secret(old_key)
    done = rekeying.change_key(old_key)
    if done is None:
        click.echo("データベースはすでに今の鍵のものです。何も変更していません。")
        return
    click.echo(
        f"鍵を変更しました(パスワードなど{done.secrets:,}件、履歴{done.entries:,}件)。"
        "ほかのサーバーにも新しい鍵を配ってから起動してください。"
    )
    click.echo(
        "結果通知のアドレスが変わりました。設定の画面で確認し、SMBC-GPに登録し直してください。"
        "これまでのバックアップには元の鍵が必要です。元の鍵も保管し、すぐにバックアップを取ってください。",
        err=True,
    )


def _bring_keys(values: dict[str, object], about: About, file: Path) -> None:
    """See that our keys are the backup's, before anybody makes others.

    Raises EnvironmentUnusable, with the name of the variable and what to do.
    """
    instance = Path(str(values["INSTANCE_PATH"]))
    ours = {
        name: str(values[name]) or _kept(instance / name.lower())
        for name in ("SECRET_KEY", "ENCRYPTION_KEY")
    }
    if key := ours["ENCRYPTION_KEY"]:
        if vault.fingerprint_of(key) != about.key_fingerprint:
            raise EnvironmentUnusable(
                f"{PREFIX}ENCRYPTION_KEY: このバックアップは別の鍵で作成されています。"
                "そのときの鍵を指定するか、まだ鍵のないインスタンスフォルダーに戻してください。"
            )
        return
    if not about.has_keys:
        raise EnvironmentUnusable(
            f"{PREFIX}ENCRYPTION_KEY: このバックアップには鍵が含まれていません。"
            f"保管してある鍵を {instance / 'encryption_key'} に置いて、もう一度実行してください。"
        )
    if not values["BACKUP_PASSPHRASE"]:
        raise EnvironmentUnusable(
            f"{PREFIX}BACKUP_PASSPHRASE: このバックアップの鍵を開くパスフレーズを指定してください。"
        )
    opened = read_keys(file, str(values["BACKUP_PASSPHRASE"]))
    instance.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, key in opened.items():
        if not ours[name]:
            keys.keep(instance / name.lower(), key)


def _kept(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""
