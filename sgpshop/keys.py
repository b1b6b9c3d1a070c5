"""Our two keys: made at the first start, and refused when they are weak (S22)."""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

_LENGTH = 32
#: So many different pieces of three characters a key has that was made at random.
_PIECES = 18
_WELL_KNOWN = re.compile(
    "secret|passw(or)?d|change|default|example|insecure|develop(ment)?|production|test|flask|django"
    "|replace|sgpshop|key|qwerty(uiop)?|asdfgh(jkl)?|zxcvbn(m)?",
    re.IGNORECASE,
)


def require_strong(key: str, place: str, *, may_be_guessable: bool) -> None:
    """Raise ValueError with a sentence unless `key`, which stands at `place`, may be used."""
    if not key:
        raise ValueError(
            f"{place} が空です。バックアップから戻してください"
            "(まだ何も登録していない場合は、ファイルを削除すると作り直されます)。"
        )
    if len(key) < _LENGTH:
        raise ValueError(f"{place} が短すぎます。{_LENGTH}文字以上の無作為な文字列にしてください。")
    if not may_be_guessable and is_guessable(key):
        raise ValueError(
            f"{place} が推測されやすい文字列です。"
            "無作為な文字列にしてください(空にすると自動で作られます)。"
        )


def is_guessable(key: str) -> bool:
    """Whether `key` is made of repetitions, runs (abc…, 123…) and well-known words (S22)."""
    rest = _WELL_KNOWN.sub("", key)
    pieces = {rest[at : at + 3] for at in range(len(rest) - 2)}
    return len([piece for piece in pieces if not _is_run(piece)]) < _PIECES


def _is_run(piece: str) -> bool:
    first, second = ord(piece[1]) - ord(piece[0]), ord(piece[2]) - ord(piece[1])
    return first == second and abs(first) <= 1


def read_or_make(path: Path) -> str:
    """The key in the file, made at the first start.  Raises ValueError with a sentence."""
    try:
        if not path.exists():
            keep(path, secrets.token_hex(32))
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as problem:
        why = getattr(problem, "strerror", None) or "文字列ではありません"
        raise ValueError(
            f"鍵のファイル {path} を読み書きできません({why})。"
            "所有者と権限、SGPSHOP_INSTANCE_PATH のフォルダーを確認してください。"
        ) from None


def keep(path: Path, key: str) -> None:
    """Write `key` into the file unless there is one by now.  Raises OSError.

    It is written elsewhere and then given its name, which goes to one process alone: nobody, and
    no crash, ever meets a key file that is still empty.
    """
    descriptor, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was faster: its key it is
            os.link(made, path)
    finally:
        os.unlink(made)
