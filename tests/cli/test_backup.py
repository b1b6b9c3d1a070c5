"""backup and restore: one file, its keys, and into what it may be put (interfaces.md §2, P36)."""

from __future__ import annotations

import resource
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from flask.cli import ScriptInfo

from sgpshop import create_app
from sgpshop.cli import commands
from sgpshop.extensions import db
from sgpshop.models import utc_now
from sgpshop.storage import backup as storage
from sgpshop.storage import vault
from tests.old_database import insert, upgrade_to

RIGHT = "ein langer Satz, den niemand errät"


def run(folder: Path, *words: object, passphrase: str = "") -> Result:
    """A command on the instance in `folder`, as the shell starts it."""
    environ = {
        "SGPSHOP_INSTANCE_PATH": str(folder),
        "SGPSHOP_TEST_MODE": "1",
        "SGPSHOP_BACKUP_PASSPHRASE": passphrase,
        "SGPSHOP_NEW_PASSWORD": "correct horse battery staple",
    }
    script = ScriptInfo(create_app=create_app)
    result = CliRunner().invoke(commands, [*map(str, words)], env=environ, obj=script)
    if script._loaded_app is not None:
        with script._loaded_app.app_context():
            db.session.remove()
            db.engine.dispose()
    return result


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An instance with somebody in it, to be copied for each test."""
    folder = tmp_path_factory.mktemp("begun") / "shop"
    assert run(folder, "migrate").exit_code == 0
    assert run(folder, "create-user", "店長", "--role", "owner").exit_code == 0
    return folder


@pytest.fixture
def shop(begun: Path, tmp_path: Path) -> Path:
    """An instance with somebody in it."""
    return Path(shutil.copytree(begun, tmp_path / "shop"))


def test_with_a_passphrase_one_file_is_all_there_is(shop: Path, tmp_path: Path) -> None:
    file, other = tmp_path / "shop.backup", tmp_path / "other"
    taken = run(shop, "backup", file, passphrase=RIGHT)
    assert taken.exit_code == 0
    assert "鍵は含まれていません" not in taken.stderr
    restored = run(other, "restore", file, passphrase=RIGHT)
    assert restored.exit_code == 0
    assert "0件の取引をSMBC-GPに照会します" in restored.stdout
    assert "もう一度行ってください" in restored.stderr  # what no look-up finds (P36)
    assert "承認の依頼は承認待ちに戻っています" in restored.stderr
    for key in ("secret_key", "encryption_key"):
        assert (other / key).read_text() == (shop / key).read_text()
        assert (other / key).stat().st_mode & 0o777 == 0o600
    assert (other / "sgpshop.db").stat().st_mode & 0o777 == 0o600
    assert run(other, "verify-history").exit_code == 0
    again = run(other, "create-user", "店長", "--role", "owner")
    assert again.exit_code == 1  # is there already
    assert run(other, "restore", file, passphrase=RIGHT).exit_code == 1


def test_without_one_it_says_that_the_keys_are_left_out(shop: Path, tmp_path: Path) -> None:
    file, other = tmp_path / "shop.backup", tmp_path / "other"
    assert "鍵は含まれていません" in run(shop, "backup", file).stderr
    refused = run(other, "restore", file)
    assert refused.exit_code == 2
    assert f"{other}/encryption_key に置いて" in refused.stderr
    assert not other.exists()
    other.mkdir()
    (other / "encryption_key").write_text((shop / "encryption_key").read_text())
    assert run(other, "restore", file).exit_code == 0
    assert run(other, "verify-history").exit_code == 0


@pytest.mark.parametrize(("passphrase", "why"), [("", "指定して"), ("x" * 20, "開けません")])
def test_the_wrong_passphrase_makes_no_instance(
    shop: Path, tmp_path: Path, passphrase: str, why: str
) -> None:
    file, other = tmp_path / "shop.backup", tmp_path / "other"
    run(shop, "backup", file, passphrase=RIGHT)
    refused = run(other, "restore", file, passphrase=passphrase)
    assert refused.exit_code == 2
    [line] = refused.stderr.splitlines()
    assert line.startswith("設定エラー: SGPSHOP_BACKUP_PASSPHRASE: ")
    assert why in line
    assert not other.exists()


def test_a_key_of_another_shop_is_not_written_over(shop: Path, tmp_path: Path) -> None:
    file, other = tmp_path / "shop.backup", tmp_path / "other"
    run(shop, "backup", file, passphrase=RIGHT)
    other.mkdir()
    (other / "encryption_key").write_text("5b0f7a3ce8d21694f0a7c3b58e6d9214")
    refused = run(other, "restore", file, passphrase=RIGHT)
    assert refused.exit_code == 2
    assert "別の鍵で作成されています" in refused.stderr
    assert not (other / "sgpshop.db").exists()


def test_what_is_no_backup_or_cannot_be_written_is_1(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no backup")
    for name in ("text", "missing"):
        refused = run(tmp_path / "other", "restore", tmp_path / name)
        assert refused.exit_code == 1
        assert "読み取れません" in refused.stderr
    refused = run(shop, "backup", tmp_path / "missing" / "shop.backup")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "書き込めません" in refused.stderr


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of ours gets longer than the smallest of SQLite's."""
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, most[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)


def test_a_disk_that_is_full_is_told_in_one_line(shop: Path, tmp_path: Path) -> None:
    file, other = tmp_path / "shop.backup", tmp_path / "other"
    with full_disk():
        refused = run(shop, "backup", file)
    assert refused.exit_code == 1
    assert "書き込めません" in refused.stderr
    assert not list(tmp_path.glob("*.backup*"))
    run(shop, "backup", file, passphrase=RIGHT)
    with full_disk():
        refused = run(other, "restore", file, passphrase=RIGHT)
    assert refused.exit_code == 1
    assert "書き込めません" in refused.stderr
    assert run(other, "restore", file, passphrase=RIGHT).exit_code == 0


def test_one_of_a_later_version_is_3(shop: Path, tmp_path: Path) -> None:
    file, later = tmp_path / "shop.backup", tmp_path / "later.backup"
    run(shop, "backup", file, passphrase=RIGHT)
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(later, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "about.json":
                about = replace(storage.read_about(file), version="9999")
                content = about.to_json().encode()
            new.writestr(name, content)
    refused = run(tmp_path / "other", "restore", later, passphrase=RIGHT)
    assert refused.exit_code == 3
    assert "新しい版" in refused.stderr
    assert run(tmp_path / "other", "migrate").exit_code == 0  # still empty


def test_one_of_an_earlier_version_is_finished_by_migrate(tmp_path: Path) -> None:
    file, old, new = tmp_path / "old.backup", tmp_path / "old", tmp_path / "new"
    app = create_app({"INSTANCE_PATH": old, "TEST_MODE": True})
    with app.app_context():
        upgrade_to("0022")
        held = {"payment_status": "authorized", "tax_rounding": "down"}
        insert("orders", {"id": 1, "order_no": "P1"} | held)
        insert("card_transactions", {"order_id": 1, "gateway_order_id": "P1"})
        about = storage.About(
            version="0022",
            database="sqlite",
            taken_at=utc_now(),
            key_fingerprint=vault.fingerprint(),
            has_keys=True,
        )
        keys = {name: app.config[name] for name in ("SECRET_KEY", "ENCRYPTION_KEY")}
        storage.write(file, about, keys, RIGHT)
        db.engine.dispose()
    restored = run(new, "restore", file, passphrase=RIGHT)
    assert restored.exit_code == 0
    assert "続けて python app.py migrate" in restored.stdout
    assert run(new, "verify-history").exit_code == 3
    assert run(new, "migrate").exit_code == 0
    with create_app({"INSTANCE_PATH": new, "TEST_MODE": True}).app_context():
        rows = db.session.execute(
            db.text("SELECT is_restored, next_look_at IS NOT NULL FROM card_transactions")
        )
        assert [tuple(row) for row in rows] == [(1, 1)]
        db.session.remove()
        db.engine.dispose()


def test_another_encryption_key_by_the_document(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shop / "encryption_key").rename(shop / "encryption_key.old")
    assert run(shop, "change-encryption-key").exit_code == 2  # without the old one
    assert run(shop, "verify-history").exit_code == 2
    monkeypatch.setenv("SGPSHOP_OLD_ENCRYPTION_KEY", (shop / "encryption_key.old").read_text())
    changed = run(shop, "change-encryption-key")
    assert changed.exit_code == 0
    assert "結果通知のアドレスが変わりました" in changed.stderr
    again = run(shop, "change-encryption-key")
    assert (again.exit_code, "何も変更していません" in again.stdout) == (0, True)
    assert run(shop, "verify-history").exit_code == 0
    (shop / "encryption_key").write_text((shop / "encryption_key.old").read_text())
    assert run(shop, "verify-history").exit_code == 2
