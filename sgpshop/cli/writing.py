"""A file that a command writes: whole or not at all, and for nobody else to read (S12)."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import click


def require_folder(file: Path) -> None:
    """Raise UsageError unless the folder that `file` is to stand in is there."""
    if not file.absolute().parent.is_dir():
        raise click.UsageError(f"フォルダーがありません: {file.absolute().parent}")


def write_whole(file: Path, fill: Callable[[IO[bytes]], object]) -> int:
    """Let `fill` write beside `file`, then take its place.  Size in bytes.

    Ends the command with code 2 when the disk does not take it; an older file stays then.
    """
    try:
        handle, name = tempfile.mkstemp(dir=file.absolute().parent, prefix=f".{file.name}-")
        try:
            with os.fdopen(handle, "w+b") as out:
                fill(out)
                out.flush()
                os.fsync(out.fileno())
                size = out.seek(0, os.SEEK_END)
            os.replace(name, file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as problem:
        click.echo(f"{file} に書き込めません: {problem.strerror or problem}", err=True)
        sys.exit(2)
    return size
