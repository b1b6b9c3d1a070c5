"""What /metrics tells of the database: uncertain outcomes, queues, comparison, backups (T3)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import sqlalchemy as sa
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from sgpshop.extensions import db
from sgpshop.models import Attempt, CardTransaction
from sgpshop.models.attempt import AttemptState
from sgpshop.services.installation import backups
from sgpshop.services.installation.health import readiness
from sgpshop.services.orders import alerts
from sgpshop.storage import shared_clock
from sgpshop.storage.questions import answer
from sgpshop.storage.queue import messages


class DatabaseFigures(Collector):
    """Read when it is asked; what cannot be read is left out.  Times are seconds."""

    def collect(self) -> Iterator[Metric]:
        """One gauge for each figure that is known."""
        now = readiness.check()
        known: dict[str, tuple[str, float | None]] = {
            "ready": ("Orders can be worked on (/readyz)", now.is_ready),
            "database_writable": ("The database takes writes", now.is_database_writable),
            "worker_beat_age_seconds": ("Since the last sign of a worker", now.worker_beat_age),
            "uncertain": ("Operations whose outcome nobody knows", now.uncertain),
            "uncertain_oldest_seconds": ("Age of the oldest of them", now.oldest_uncertain_age),
            "queued": ("Operations that wait to be sent", now.queued),
            "set_aside": ("Work that broke off however often it was tried", now.set_aside),
            "clock_ahead_seconds": ("Our clock against the others", now.clock_ahead),
        }
        try:
            known |= _read()
        except SQLAlchemyError:
            db.session.rollback()
        for name, (help_text, value) in known.items():
            if value is not None:
                yield GaugeMetricFamily(f"sgpshop_{name}", help_text, float(value))


def _read() -> dict[str, tuple[str, float | None]]:
    shared_clock.read()
    now = shared_clock.now()
    oldest = db.session.scalar(
        sa.select(sa.func.min(Attempt.due_at)).where(
            Attempt.is_open, Attempt.state == AttemptState.QUEUED, Attempt.due_at <= now
        )
    )
    looks, oldest_look, restored = db.session.execute(
        sa.select(
            sa.func.count(),
            sa.func.min(CardTransaction.next_look_at),
            sa.func.count().filter(CardTransaction.is_restored),
        ).where(CardTransaction.next_look_at <= now)
    ).one()
    backup = backups.last()
    return {
        "queued_oldest_seconds": ("How long the oldest of them is due", _age(oldest, now)),
        "looks_due": ("Look-ups that are due", looks),
        "looks_oldest_seconds": ("How long the oldest of them is due", _age(oldest_look, now)),
        "restored_unseen": ("Of those, payments from a backup not seen since", restored),
        "messages": ("Messages in the queue", messages().size()),
        "alerts_open": ("Findings nobody has acknowledged", alerts.count_open()),
        "compared_timestamp_seconds": (
            "Last nightly comparison planned",
            _stamp(answer(alerts.last_compared())),
        ),
        "backup_timestamp_seconds": ("Last backup", _stamp(backup and backup[0])),
        "backup_bytes": ("Its size", backup and backup[1]),
    }


def _age(moment: datetime | None, now: datetime) -> float | None:
    return None if moment is None else max(0.0, (now - moment).total_seconds())


def _stamp(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
