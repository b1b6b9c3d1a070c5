"""What every file of rows has that somebody hands in: its limits (S17), its rows, its headings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sgpshop.domain.errors import ShopError
from sgpshop.domain.text import nfkc


class FileRefused(ShopError):
    """The file as a whole cannot be taken; nothing of it was kept."""


@dataclass(frozen=True)
class Limits:
    """What the screen accepts (S17); None: no limit, as on the command line."""

    max_bytes: int | None = None
    max_lines: int | None = None
    max_cell: int | None = None
    #: what to do about a file that is too large, in a sentence
    or_else: str = "分けて取り込むか、コマンド import-orders を使ってください。"

    @classmethod
    def of_screen(cls, config: Mapping[str, Any], **more: str) -> Limits:
        """Those of the variables UPLOAD_…, for every file that somebody hands in."""
        size, lines, cell = (config[f"UPLOAD_MAX_{what}"] for what in ("BYTES", "LINES", "CELL"))
        return cls(size, lines, cell, **more)

    def require_bytes(self, size: int) -> None:
        """Raise FileRefused for a file of more than `max_bytes`."""
        if self.max_bytes is not None and size > self.max_bytes:
            raise FileRefused(
                f"ファイルが大きすぎます。画面から取り込めるのは{self.max_bytes:,}バイトまでです。"
                + self.or_else
            )

    def require_lines(self, lines: int) -> None:
        """Raise FileRefused for a file of more than `max_lines`."""
        if self.max_lines is not None and lines > self.max_lines:
            raise FileRefused(
                f"行数が多すぎます。画面から取り込めるのは{self.max_lines:,}行までです。"
                + self.or_else
            )


@dataclass(frozen=True)
class Record:
    """One row: the number of its first line in the file, and its cells as they stand there."""

    line: int
    cells: list[str]


_KEY_NOISE = re.compile(r"^\*+|\(必須\)$|\.$")


def heading_key(title: str) -> str:
    """A heading in the form in which headings are compared.

    Width, case, blanks, a leading `*`, a trailing (必須) and the dot of No. make no difference; what
    stands below the first line of a cell explains the heading.
    """
    name = next(iter(title.strip().splitlines()), "")
    return _KEY_NOISE.sub("", "".join(nfkc(name).casefold().split()))
