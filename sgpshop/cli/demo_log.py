"""instance/demo.log: what the demo and its processes say; only errors reach the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TextIO

import click

_LONGEST = 120


class DemoLog:
    """The log of this start; one line of the terminal for each error in it."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._path = path
        self._read = 0
        #: the latest line that is no log line: what a process says that cannot go on
        self.last_words = ""
        is_below = path.is_relative_to(Path.cwd())
        self.shown_path = str(path.relative_to(Path.cwd()) if is_below else path)

    def open(self) -> TextIO:
        """For a process to write to, at the end of what the others wrote."""
        return self._path.open("a", encoding="utf-8")

    @property
    def where_to_read(self) -> str:
        """Where somebody finds out more."""
        return f"詳しくは {self.shown_path} をご覧ください。"

    def show_errors(self) -> None:
        """Show the errors that were written since the last call."""
        with self._path.open("rb") as file:
            file.seek(self._read)
            lines, _, _unfinished = file.read().rpartition(b"\n")
        self._read += len(lines) + 1 if lines else 0
        for line in lines.decode(errors="replace").splitlines():
            try:
                entry = json.loads(line)
                if entry["level"] in ("error", "critical"):
                    click.echo(f"{_words(entry)}。{self.where_to_read}", err=True)
            except (ValueError, TypeError, KeyError):
                self.last_words = line.strip()[:_LONGEST] or self.last_words


def _words(entry: dict[str, Any]) -> str:
    trace = str(entry.get("trace", "")).strip().splitlines()
    reason = str(entry.get("reason") or (trace[-1] if trace else ""))[:_LONGEST]
    clock = str(entry.get("time", ""))[11:19]
    return f"{clock} エラー {entry.get('event', '')}{f'({reason})' if reason else ''}"
