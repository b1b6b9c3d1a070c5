"""What a worker does for each kind of message; every task takes the id of a row and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sgpshop.models import JobKind, Queue
from sgpshop.services.bulk import working
from sgpshop.services.deliveries import slips
from sgpshop.services.order_files import exporting, importing
from sgpshop.services.payments import attempt_lookup, journal, runner, transaction_lookup
from sgpshop.services.reconciliation import daily
from sgpshop.services.subscriptions import billing
from sgpshop.storage import jobs
from sgpshop.storage.jobs import Claim
from sgpshop.storage.queue import Task


@dataclass(frozen=True)
class Work:
    """What is done with a row, and where it is noted when it breaks off."""

    queue: Queue
    do: Callable[[int], object]
    #: takes seconds or minutes and asks SMBC-GP nothing: beside the others, a few at a time
    is_long: bool = False


#: What is done for each kind of job; it gives what the person will see.
JOBS: dict[JobKind, Callable[[Claim], dict[str, Any]]] = {
    JobKind.IMPORT: importing.work,
    JobKind.EXPORT: exporting.work,
}

# Looked up when they are called, not here: each has one place where it can be exchanged.
WORK: dict[Task, Work] = {
    Task.OPERATION: Work(Queue.ATTEMPT, lambda row_id: runner.run_operation(row_id)),
    Task.LOST: Work(Queue.ATTEMPT, lambda row_id: journal.give_up_lost(row_id)),
    Task.UNCERTAIN: Work(Queue.ATTEMPT, lambda row_id: attempt_lookup.look_up(row_id)),
    Task.HURRY: Work(Queue.ATTEMPT, lambda row_id: attempt_lookup.hurry(row_id)),
    Task.LOOK_UP: Work(Queue.LOOK_UP, lambda row_id: transaction_lookup.look_up(row_id)),
    Task.LINK: Work(Queue.LOOK_UP, lambda row_id: transaction_lookup.look_up(row_id)),
    Task.DELIVERIES: Work(Queue.DELIVERY_RUN, lambda row_id: working.resume(row_id)),
    Task.SLIPS: Work(Queue.SLIP_RUN, lambda row_id: slips.process_batch(row_id)),
    Task.JOB: Work(Queue.JOB, lambda row_id: jobs.work(row_id, JOBS), is_long=True),
    Task.BACKUP: Work(Queue.HOUSEKEEPING, lambda _: daily.back_up(), is_long=True),
    Task.BILLING: Work(Queue.BILLING, lambda row_id: billing.resume(row_id)),
}
