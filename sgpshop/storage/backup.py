"""One file that holds an installation: its database, its keys (sealed) and its version (P36).

A zip archive: `about.json`, `database` (SQLite's own file, or a dump of pg_dump's custom format) and
`keys`, sealed with a passphrase.  Written beside its place and renamed there, so that under its name
there is a whole backup or none.
"""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import subprocess
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from sgpshop.domain.errors import CouldNotAsk, EnvironmentUnusable, ShopError
from sgpshop.extensions import db

_ABOUT, _DATABASE, _KEYS = "about.json", "database", "keys"
#: Makes guessing a passphrase cost 64 MB and a tenth of a second each time.
_SCRYPT = {"length": 32, "n": 2**16, "r": 8, "p": 1}
_SALT = 16
#: A dump is packed already; SQLite's file is packed as fast as a disk takes it.
_PACKING = {"sqlite": zipfile.ZIP_DEFLATED, "postgresql": zipfile.ZIP_STORED}
#: SQLite's codes for a disk that is full, broken or read-only.
_UNWRITTEN = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY)
_VERSION_TABLE = "alembic_version"
_FORMAT = 1


@dataclass(frozen=True)
class About:
    """What a backup says of itself, without any secret."""

    #: number of the newest migration
    version: str
    #: "sqlite" or "postgresql"
    database: str
    taken_at: datetime
    #: of the ENCRYPTION_KEY the database belongs to (storage/vault.py)
    key_fingerprint: str
    has_keys: bool

    def to_json(self) -> str:
        """As `from_json` reads it."""
        return json.dumps({"format": _FORMAT} | asdict(self), default=datetime.isoformat)

    @classmethod
    def from_json(cls, data: bytes) -> About:
        """What `data` says.  Raises ValueError unless that is a backup's, of a form we know."""
        match json.loads(data):
            case {
                "format": 1,
                "version": str(version),
                "database": "sqlite" | "postgresql" as database,
                "taken_at": str(taken_at),
                "key_fingerprint": str(fingerprint),
                "has_keys": bool(has_keys),
            }:
                taken = datetime.fromisoformat(taken_at)
                return cls(version, database, taken, fingerprint, has_keys)
        raise ValueError("no backup of ours")


class NotABackup(ShopError):
    """The file cannot be read, is none of ours, or is damaged."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} は、このプログラムのバックアップとして読み取れません。")


class NotEmpty(ShopError):
    """What is there already would be lost."""

    sentence = (
        "データベースにはすでにデータがあります。何も変更していません。"
        "空のインスタンス(別のフォルダー、または新しいデータベース)に戻してください。"
    )


def write(path: Path, about: About, keys: Mapping[str, str], passphrase: str) -> int:
    """Write the database as it is now, and `keys` where `about` says so; the bytes written.

    Others go on working meanwhile.  Raises CouldNotAsk where pg_dump fails, ShopError where the file
    cannot be written.
    """
    try:
        with _beside(path, ".part") as part, _beside(path, ".database") as database:
            _copy(database)
            # Packed with the mode of the file made by mkstemp: its owner alone reads it (S12).
            packing = _PACKING[about.database]
            with zipfile.ZipFile(part, "w", packing, compresslevel=1) as archive:
                archive.writestr(_ABOUT, about.to_json())
                if about.has_keys:
                    archive.writestr(_KEYS, _seal(keys, passphrase))
                archive.write(database, _DATABASE)
            with part.open("rb") as file:
                os.fsync(file.fileno())
            size = part.stat().st_size
            part.replace(path)
    except (OSError, sqlite3.OperationalError) as problem:
        if not (why := _why_unwritten(problem)):
            raise
        raise ShopError(f"{path} に書き込めません({why})。") from None
    return size


def read_about(path: Path) -> About:
    """What the backup says of itself.  Raises NotABackup."""
    with _readable(path), zipfile.ZipFile(path) as archive:
        return About.from_json(archive.read(_ABOUT))


def read_keys(path: Path, passphrase: str) -> dict[str, str]:
    """The keys of a backup that has some.  Raises EnvironmentUnusable for another passphrase, NotABackup."""
    with _readable(path), zipfile.ZipFile(path) as archive:
        sealed = archive.read(_KEYS)
    try:
        opened: dict[str, str] = json.loads(
            _cipher(passphrase, sealed[:_SALT]).decrypt(sealed[_SALT:])
        )
    except InvalidToken:
        raise EnvironmentUnusable(
            "SGPSHOP_BACKUP_PASSPHRASE: このバックアップの鍵を開けません。"
            "バックアップを作成したときのパスフレーズを指定してください。"
        ) from None
    return opened


def restore(path: Path, about: About, note: Mapping[str, str]) -> None:
    """Fill our empty database from the backup, with `note` among its facts of the installation.

    Killed at any moment it leaves an empty database, or one that nothing starts on.  Raises NotEmpty,
    NotABackup where it is damaged, EnvironmentUnusable for the other kind of database, CouldNotAsk
    where pg_restore fails, ShopError where there is no room.
    """
    kind = db.engine.dialect.name
    if about.database != kind:
        raise EnvironmentUnusable(
            f"SGPSHOP_DATABASE_URL: これは {about.database} のバックアップです。"
            f"{about.database} のデータベースに戻してください。"
        )
    if sa.inspect(db.engine).get_table_names():
        raise NotEmpty
    where = Path(db.engine.url.database or "") if kind == "sqlite" else path
    try:
        with _beside(where, ".restoring") as database:
            _unpack(path, database)
            if kind == "sqlite":
                _put_file(database, where, note)
            else:
                _load_dump(database, about.version, note)
    except (OSError, sqlite3.DatabaseError) as problem:
        if why := _why_unwritten(problem):
            raise ShopError(f"{where.parent} に書き込めません({why})。") from None
        raise NotABackup(path) from None


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """While the backup is read: whatever its damage makes of that, raises NotABackup."""
    try:
        yield
    except (
        OSError,
        EOFError,
        KeyError,
        ValueError,
        RuntimeError,  # packed or locked in a way that is none of ours
        zipfile.BadZipFile,
        zlib.error,
    ):
        raise NotABackup(path) from None


def _why_unwritten(problem: Exception) -> str:
    """What the system says where a file could not be written; "" where something else was wrong."""
    if isinstance(problem, OSError):
        return problem.strerror or str(problem)
    code = (getattr(problem, "sqlite_errorcode", None) or 0) & 0xFF
    return str(problem) if code in _UNWRITTEN else ""


@contextmanager
def _beside(path: Path, suffix: str) -> Iterator[Path]:
    """An empty file in the folder of `path`, gone afterwards unless it was renamed."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", suffix=suffix, dir=path.parent)
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        for rest in ("", "-wal", "-shm", "-journal"):
            with suppress(FileNotFoundError):
                os.unlink(name + rest)


def _unpack(path: Path, to: Path) -> None:
    with to.open("wb") as file:
        for part in _parts(path):
            file.write(part)


def _parts(path: Path) -> Iterator[bytes]:
    """The database, to its end, where its checksum is compared.  Raises NotABackup."""
    with _readable(path), zipfile.ZipFile(path) as archive, archive.open(_DATABASE) as packed:
        while part := packed.read(1 << 20):
            yield part


def _copy(to: Path) -> None:
    if db.engine.dialect.name == "sqlite":
        with db.engine.connect() as connection, closing(sqlite3.connect(to)) as target:
            raw = connection.connection.driver_connection
            assert isinstance(raw, sqlite3.Connection)
            # In one step: in several it would begin anew whenever another process writes.
            raw.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")  # whole without a file beside it
        return
    # Without the version, which is written last: a restore that was cut off is no database of ours.
    arguments = ["--format=custom", "--no-owner", "--no-privileges", f"--file={to}"]
    _run("pg_dump", *arguments, f"--exclude-table-data={_VERSION_TABLE}")


def _put_file(database: Path, where: Path, note: Mapping[str, str]) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        [sound] = connection.execute("PRAGMA quick_check(1)").fetchone()
        if sound != "ok":
            raise sqlite3.DatabaseError(sound)
        connection.executemany("INSERT INTO installation (name, value) VALUES (?, ?)", note.items())
    db.engine.dispose()  # of the empty file
    for rest in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.unlink(f"{where}{rest}")
    database.replace(where)


def _load_dump(database: Path, version: str, note: Mapping[str, str]) -> None:
    _run(
        "pg_restore", "--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges",
        str(database),
    )  # fmt: skip
    with db.engine.begin() as connection:
        facts = sa.table("installation", sa.column("name"), sa.column("value"))
        connection.execute(sa.insert(facts), [{"name": k, "value": v} for k, v in note.items()])
        versions = sa.table(_VERSION_TABLE, sa.column("version_num"))
        connection.execute(sa.insert(versions).values(version_num=version))


def _run(program: str, *arguments: str) -> None:
    """One of PostgreSQL's own programs on our database; the password goes by the environment."""
    url = db.engine.url
    address = url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program, arguments of ours
            [program, *arguments, f"--dbname={address}"],
            env=os.environ | ({"PGPASSWORD": str(url.password)} if url.password else {}),
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        raise CouldNotAsk(
            f"{program} がありません。PostgreSQLのクライアント(Debianでは postgresql-client)を"
            "インストールしてください。"
        ) from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [str(done.returncode)]
        raise CouldNotAsk(f"{program} が失敗しました: {said[-1][:300]}")


def _seal(keys: Mapping[str, str], passphrase: str) -> bytes:
    salt = os.urandom(_SALT)
    return salt + _cipher(passphrase, salt).encrypt(json.dumps(dict(keys)).encode())


def _cipher(passphrase: str, salt: bytes) -> Fernet:
    key = Scrypt(salt=salt, **_SCRYPT).derive(passphrase.encode())
    return Fernet(base64.urlsafe_b64encode(key))
