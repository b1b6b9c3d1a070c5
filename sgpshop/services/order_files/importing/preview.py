"""What taking a file in would do, before anybody does it: kept with the run, and shown.

Nothing of the orders changes.  What is shown is bounded; the counts are whole, and 取り込む decides
anew under lock.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import sqlalchemy as sa

from sgpshop.domain.payment_methods import KnownMethods
from sgpshop.domain.row_files import Limits
from sgpshop.models import ImportIssue, ImportRun
from sgpshop.services import settings
from sgpshop.services.order_files.importing import batches
from sgpshop.services.order_files.importing.decisions import OrderChange
from sgpshop.services.order_files.importing.differences import differences
from sgpshop.services.order_files.reading import FileOrder, Survey, read_orders
from sgpshop.storage.database import writing

#: orders looked at together: nobody waits for them, so more than what a run writes in one transaction
_TOGETHER = 800
#: of each kind of order
_SHOWN = 100
#: of issues: more is for the CSV file of problems
_ISSUES = 2000


def make(
    run_id: str,
    files: Sequence[BinaryIO],
    limits: Limits,
    found: Survey,
    mapping: Mapping[str, str] | None,
) -> None:
    """Look at every order of the files, and keep with the run what would become of it.

    `mapping` is what they were surveyed by: it is kept with that, so that what is shown is what goes in.
    """
    seen = _Seen()
    methods = settings.load().known_methods
    orders = read_orders(files, limits, found, methods)
    issues: list[dict[str, Any]] = []
    while batch := list(itertools.islice(orders, _TOGETHER)):
        decided = batches.look_at(batch)
        seen.count(batch, decided.changes)
        issues += decided.issue_rows(run_id)[: _ISSUES - len(issues)]
    with writing() as session:
        is_kept = session.execute(
            sa.update(ImportRun)
            .where(ImportRun.id == run_id, ImportRun.started_at.is_(None))
            .values(
                rows=found.rows,
                orders=found.orders,
                layout=found.layout.id,
                mapping=sa.null() if mapping is None else dict(mapping),
                preview=seen.as_json(found) | {"methods": methods.as_json()},
            )
        ).rowcount  # type: ignore[attr-defined]
        if not is_kept:  # begun meanwhile, and tells of that; or forgotten for newer ones
            return
        session.execute(sa.delete(ImportIssue).where(ImportIssue.run_id == run_id))
        if issues:
            session.execute(sa.insert(ImportIssue), issues)


def fingerprint(run: ImportRun) -> str:
    """Of what is shown of the run: whoever starts it says what he saw (P20)."""
    return hashlib.sha256(json.dumps(run.preview, sort_keys=True).encode()).hexdigest()


def methods_of(run: ImportRun) -> KnownMethods:
    """By which answers the orders were shown, and go in, whatever is answered meanwhile."""
    shown = (run.preview or {}).get("methods")
    return KnownMethods.from_json(shown) if shown else settings.load().known_methods


class _Seen:
    def __init__(self) -> None:
        self.counts = Counter[str]()
        self.unknown = Counter[str]()
        self.new: list[dict[str, Any]] = []
        self.changed: list[dict[str, Any]] = []

    def count(self, batch: Sequence[FileOrder], changes: Sequence[OrderChange]) -> None:
        self.unknown.update(one.unknown_method for one in batch if one.unknown_method)
        self.counts["left_out"] += len(batch) - len(changes)
        for change in changes:
            self.counts["warned"] += bool(change.warnings)
            content = change.content
            self.counts["differing_sums"] += content.values["total"] != content.calculated
            if change.stored is None:
                self.counts["new"] += 1
                if len(self.new) < _SHOWN:
                    self.new.append(_line(change))
            elif change.is_unchanged:
                self.counts["unchanged"] += 1
            else:
                self.counts["changed"] += 1
                if len(self.changed) < _SHOWN:
                    fields = differences(change.stored.content, content)
                    self.changed.append(_line(change) | {"fields": fields})

    def as_json(self, found: Survey) -> dict[str, Any]:
        return {
            "counts": dict(self.counts),
            "unknown": dict(self.unknown),
            "unread": [name[:60] for name in found.unread],
            "new": self.new,
            "changed": self.changed,
        }


def _line(change: OrderChange) -> dict[str, Any]:
    values = change.content.values
    return {
        "order_no": change.parsed.order_no,
        "line": change.parsed.line,
        "buyer": values["buyer_name"][:60],
        "method": values["method"],
        "total": values["total"],
    }
