"""What every operation at the gateway works with."""

import hashlib
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .clock import Clock
from .contract import Contract
from .ledger import Ledger, advance
from .notices import Notices
from .refusal import Refused

STILL_AT_WORK = "E90010001"


class Ids:
    """Source of AccessIDs, AccessPasses and tokens: random, or repeatable from a seed."""

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed

    def hex32(self, db: sqlite3.Connection) -> str:
        """32 lower-case hex digits, never the same twice in one ledger."""
        if self._seed is None:
            return secrets.token_hex(16)
        # the ledger counts, so that a restarted gateway goes on instead of beginning again
        text = f"{self._seed}:{advance(db, 'ids')}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class Claims:
    """Which transactions are being worked on: one request at a time for each (rule 3)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._claimed: set[str] = set()

    @contextmanager
    def exclusively(self, order_id: str) -> Iterator[None]:
        """Hold a transaction; raises Refused(E90010001) while somebody else does."""
        with self._lock:
            if order_id in self._claimed:
                raise Refused(STILL_AT_WORK)
            self._claimed.add(order_id)
        try:
            yield
        finally:
            with self._lock:
                self._claimed.discard(order_id)


@dataclass(frozen=True, slots=True)
class Context:
    """The contract, the books, the clock, the ids, what the shop is told, and its own address.

    `address` answers the base URL under which browsers reach this gateway, with a closing slash.
    """

    contract: Contract
    ledger: Ledger
    clock: Clock
    ids: Ids
    notices: Notices
    claims: Claims = field(default_factory=Claims)
    address: Callable[[], str] = lambda: "http://127.0.0.1/"
