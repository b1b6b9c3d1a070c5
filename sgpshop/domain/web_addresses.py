"""Addresses of other programs that somebody tells us: those that can be asked for at all."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit


def split(url: str) -> SplitResult:
    """The parts of `url`, which has the name of a host.

    Raises ValueError for names and ports that no host can have: whoever asks for them later breaks off.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    host.encode("idna")  # a part that is empty or longer than 63 signs is a ValueError, too
    if not host or parts.port == 0:
        raise ValueError("no host")
    return parts
