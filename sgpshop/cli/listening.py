"""A port that cannot be had is one line, whoever wanted it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from sgpshop.domain.errors import EnvironmentUnusable


@contextmanager
def listening(setting: str) -> Iterator[None]:
    """Raise EnvironmentUnusable, by the name of the setting, for a port that is taken or forbidden."""
    try:
        yield
    except OSError as problem:
        if problem.errno not in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL):
            raise
        raise EnvironmentUnusable(
            f"{setting}: このアドレスで待ち受けできません({problem.strerror})。"
            "ほかのプログラムが使っていないか確認するか、別のポートを指定してください。"
        ) from None
