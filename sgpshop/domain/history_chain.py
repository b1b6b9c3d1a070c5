"""The chain that shows when somebody altered an order's history behind our back (P5).

The order carries the *state* of its chain: a keyed hash over its last entry and the state before
that.  An entry itself keeps only a *mark*, a hash of the state it led to.  Marks tell which entry
is the first that is not as it was written; states of the past are kept nowhere, so nobody who can
write to the database, but does not have the key, can leave out the newest entries.

A second chain of the same kind, over the beginnings of all orders, shows that an order vanished with
everything about it (services/orders/beginnings.py).  Neither shows that all of the database was put back to
what an old backup says: what SMBC-GP knows does (`compare-ledgers`).

Never change how entries are hashed: it has to fit what was written years ago.  A column added later
is no matter while it is NULL for old entries.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

#: The state before the first entry.
START = ""


def link(key: bytes, state: str, entry: Mapping[str, Any]) -> str:
    """The state after `entry`, its columns by name, given the state before it (64 hex digits)."""
    known = {name: value for name, value in entry.items() if value is not None}
    return hmac.digest(key, f"link:{state}:{_as_text(known)}".encode(), "sha256").hex()


def mark(key: bytes, state: str) -> str:
    """What the entry that led to `state` keeps of it (32 hex digits)."""
    return hmac.digest(key, f"mark:{state}".encode(), "sha256").hex()[:32]


def _plain(value: object) -> str:
    """A time as text, the same whether the database kept its zone or not."""
    if not isinstance(value, datetime):
        raise TypeError(value)
    moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return moment.isoformat()


_as_text = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=_plain).encode
