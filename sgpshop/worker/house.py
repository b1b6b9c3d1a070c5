"""Beside the tasks: the sweeper, which finds what nobody was told about, and what is done now and then.

It has the place of huey's scheduler: one thread of each worker.  What is done now and then can be done
by any number of workers at once; how far it is stands in rows (P29, `services/reconciliation/daily.py`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from flask import Flask

from sgpshop.domain.errors import CouldNotAsk
from sgpshop.models import Queue
from sgpshop.services import approvals
from sgpshop.services.bulk import runs
from sgpshop.services.installation.health import due_work, replanning
from sgpshop.services.order_files.importing import kept
from sgpshop.services.order_search import sums, texts
from sgpshop.services.orders import feed, money_days
from sgpshop.services.outgoing import mails, webhooks
from sgpshop.services.payments import checkouts, clocks, notifications
from sgpshop.services.payments.connections import connections
from sgpshop.services.reconciliation import daily
from sgpshop.services.subscriptions import billing
from sgpshop.storage import jobs, schema, setbacks
from sgpshop.storage.database import fold_back
from sgpshop.storage.queue import Messages, Task, Urgency, encode, messages
from sgpshop.storage.setbacks import Step
from sgpshop.worker.pace import Throttle
from sgpshop.worker.tasks import WORK
from sgpshop.worker.told import Key, Told

log = logging.getLogger(__name__)

#: Seconds between two sweeps with nothing to do; whoever makes something due wakes us before.
_SWEEP_EVERY = 2.0
#: And between two questions for the database's version; whoever writes asks in any case (P36).
_VERSION_EVERY = 10.0
#: So often the steps are gone through, sweep or not: sweeps pause while database or queue are away.
_ROUND_EVERY = 2.0
#: While there is work it may leave something to do: a look-up that is due at once, rows of a file.
_SWEEP_AFTER_WORK = 1.0
#: So many times the threads is told at once; another worker may be first with some of it.
_AHEAD = 4
_BEAT_EVERY = 15.0
_CONNECTIONS_EVERY = 2.0
_REPLAN_EVERY, _MATCH_EVERY = 60.0, 30.0
_TIDY_EVERY, _DAY = 3600.0, 86_400.0
#: While the nightly comparison is under way; else it is enough to see in time that its hour came.
_DAILY_EVERY, _DAILY_AT_REST = 5.0, 30.0
_BILLING_EVERY = 30.0
_BACKUP_EVERY = 30.0
_FOLD_EVERY = 2.0
#: Texts of changed orders, if a sweep saw any; after so long a round of it the others have their turn,
#: and after a pause the next round if there are more.
_TEXTS_EVERY, _TEXTS_FOR, _TEXTS_PAUSE = 2.0, 0.3, 1.0
_SUMS_EVERY = 30.0
#: While captures wait, rows of slip files are written only so often, many in one transaction.
_SLIPS_EVERY = 2.0
#: What there is to tell by mail; and mails that are due.
_OCCASIONS_EVERY, _MAILS_EVERY = 60.0, 5.0
#: What there is to tell by webhooks, and what is due of it, while anybody is to be told.
_WEBHOOKS_EVERY = 0.25
#: So long the end of a worker waits for what is being sent: a mail, or messages of webhooks.
_SENDING_MAY_TAKE = 5.0
_FAULT_PAUSE = 5.0


class Threads(Protocol):
    """What the house asks of the worker."""

    @property
    def pace(self) -> Throttle: ...
    @property
    def share(self) -> int: ...
    @property
    def is_paused(self) -> bool: ...
    @property
    def is_busy(self) -> bool: ...
    def is_at(self, key: Key) -> bool: ...
    def is_resting(self, key: Key) -> bool: ...
    def has_place_for(self, task: Task) -> bool: ...
    def links_under_way(self) -> int: ...


@dataclass
class _Periodic:
    """Something done every so many seconds beside the work; one that breaks off spoils no other."""

    every: float
    do: Callable[[], object]
    next_at: float = 0.0


class House:
    """Called by huey again and again in a thread of its own."""

    process_name = "House"

    def __init__(self, app: Flask, name: str, threads: int, worker: Threads) -> None:
        self._app = app
        self._threads = threads
        self._worker = worker
        #: set by the worker once it has one; huey asks for it
        self.stop_flag = threading.Event()
        #: called when nothing is due and nothing is under way, if somebody waits for that
        self.when_idle: Callable[[], None] | None = None
        #: ends the worker, because the database is of another version by now
        self.end: Callable[[], None] = self.stop_flag.set
        self.other_version: CouldNotAsk | None = None
        self._woken = threading.Event()
        self._sweep_at = self._swept_at = 0.0
        self._next_slips = 0.0
        self._is_billing_due = self._is_backup_due = False
        self._are_texts_due = True  # for all we know; then as the last sweep saw it
        self._name = name
        self._gave_sign = False
        #: what is sent to others in threads of its own: a slow one holds up nothing (R156, S16a)
        self._sending: dict[str, threading.Thread] = {}
        #: others are to be told by webhooks, as the last sweep saw it
        self._are_others_to_tell = threading.Event()
        self._told = Told(self._room_for_look_ups)
        #: captures wait in the queue, as the last sweep saw it
        self._is_crowded = False
        #: when no more than so much of what was found is left, the next sweep is due
        self._is_low_at = 0
        #: rows that broke off before and have not gone through since
        self._set_back: frozenset[Key] | None = None
        #: steps among them that broke off here
        self._steps_set_back: frozenset[Key] = frozenset()
        self._noting = threading.Lock()
        self._daily = _Periodic(_DAILY_EVERY, self._do_daily)
        self._texts = _Periodic(_TEXTS_EVERY, self._renew_texts)
        #: the place of a step is its number among the setbacks
        self._house = (
            _Periodic(_BEAT_EVERY, self._give_sign),
            _Periodic(_REPLAN_EVERY, partial(due_work.forget_beats, name)),
            _Periodic(_BEAT_EVERY, clocks.watch),
            _Periodic(_CONNECTIONS_EVERY, _keep_connections),
            _Periodic(_REPLAN_EVERY, replanning.replan),
            _Periodic(_MATCH_EVERY, notifications.match_late),
            _Periodic(_BILLING_EVERY, self._ask_for_billing),
            self._daily,
            _Periodic(_BACKUP_EVERY, self._ask_for_backup),
            _Periodic(_FOLD_EVERY, fold_back),
            _Periodic(_TIDY_EVERY, runs.tidy),
            _Periodic(_TIDY_EVERY, notifications.tidy),
            _Periodic(_TIDY_EVERY, checkouts.tidy),
            _Periodic(_TIDY_EVERY, feed.tidy),
            _Periodic(_TIDY_EVERY, setbacks.tidy),
            _Periodic(_TIDY_EVERY, jobs.tidy),
            _Periodic(_TIDY_EVERY, kept.tidy),
            self._texts,
            _Periodic(_SUMS_EVERY, sums.fold),
            _Periodic(_TIDY_EVERY, texts.compare_some),
            _Periodic(_OCCASIONS_EVERY, mails.look_for_occasions),
            _Periodic(_MAILS_EVERY, self._send_mails),
            _Periodic(_TIDY_EVERY, money_days.fold),
            _Periodic(_DAY, money_days.compare),
            _Periodic(_TIDY_EVERY, mails.tidy),
            _Periodic(_TIDY_EVERY, webhooks.tidy),
            _Periodic(_TIDY_EVERY, approvals.tidy),
        )

    # ---- huey's side ----------------------------------------------------------------------------

    def initialize(self) -> None:
        """Begin to tell others: in a thread of its own, for rounds of the house may be long (S16a)."""
        self._sending["webhooks"] = threading.Thread(
            target=self._keep_telling, name="webhooks", daemon=True
        )
        self._sending["webhooks"].start()

    def shutdown(self) -> None:
        """Let what is under way to others arrive; else it would be sent again."""
        self._are_others_to_tell.set()  # who waits for it sees that it is over
        until = time.monotonic() + _SENDING_MAY_TAKE
        for _ in range(2):  # until it ends itself, who hands over may have begun one more
            for thread in list(self._sending.values()):
                thread.join(max(0.0, until - time.monotonic()))

    def loop(self, _now: object = None) -> None:
        """One round: what is done now and then, a sweep if it is time, then wait."""
        self._woken.clear()
        self._keep_house()
        if time.monotonic() >= self._sweep_at:
            self._sweep()
        if not self.stop_flag.is_set():
            # Steps wait for the next sweep: at rest it is the number of rounds that costs.
            most = _TEXTS_PAUSE if self._are_texts_due else _ROUND_EVERY
            self._woken.wait(max(0.0, min(most, self._sweep_at - time.monotonic())))

    def wake(self) -> None:
        """Begin the next round now."""
        self._woken.set()

    # ---- sweeping -------------------------------------------------------------------------------

    def sweep_soon(self) -> None:
        """Something became due."""
        self._sweep_at = 0.0
        self.wake()

    def tell_others(self, is_any: bool) -> None:
        """Whether anybody is to be told by webhooks: from now on until it is said anew."""
        if is_any:
            self._are_others_to_tell.set()
        else:
            self._are_others_to_tell.clear()

    def is_done(self, key: Key) -> None:
        """A task ended: its row may be told again, and may have left something to do."""
        was_told, look_ups = self._told.done(key)
        if look_ups:
            with self._app.app_context():
                self._send(
                    messages(), [(Task.LINK, row_id, self._of_look_ups) for row_id in look_ups]
                )
        # When what a sweep found runs low the next one is due; what others told of waits for that.
        is_next = was_told and self._told.left() <= self._is_low_at
        is_next = is_next or self.when_idle is not None
        due = 0.0 if is_next else self._swept_at + _SWEEP_AFTER_WORK
        if due < self._sweep_at:
            self._sweep_at = due
            self.wake()

    def was_set_back(self, key: Key) -> bool:
        """Whether it broke off before, as far as we know."""
        return key in (self._set_back or ())

    def _sweep(self) -> None:
        self._swept_at = time.monotonic()
        self._sweep_at = self._swept_at + _SWEEP_EVERY
        try:
            was_busy = self._worker.is_busy  # asked first: a task may leave new work
            with self._app.app_context():
                schema.require_unchanged(every=_VERSION_EVERY)
                queue = messages()
                is_any = self._tell(queue)
                is_empty = self.when_idle is None or not queue.size()
        except (
            schema.NewerSchema,
            schema.OtherSchema,
        ) as problem:  # only another program can go on (P36)
            self.other_version = problem
            self.end()
            return
        except Exception:  # database or queue may be locked, full or away for a while (P32)
            log.exception("looking for due work failed")
            self._sweep_at = time.monotonic() + _FAULT_PAUSE
            return
        if self.when_idle is None:
            return
        if self._worker.is_paused or (is_empty and not is_any and not was_busy):
            self.when_idle()
        self._sweep_at = time.monotonic() + 0.02

    def _tell(self, queue: Messages) -> bool:
        """Tell of what is due and neither told nor under way; whether anything is due at all."""
        self._told.forget_old()
        letters, look_ups, is_any = [], [], False
        for task, row_id, urgency in self._found(queue):
            key = (WORK[task].queue, row_id)
            if self._worker.is_resting(key):
                continue
            is_any = True
            if self._worker.is_at(key) or not self._worker.has_place_for(task):
                continue
            if task is Task.LINK:
                look_ups.append(row_id)
            elif self._told.is_new(key):
                letters.append((task, row_id, urgency))
        next_ones = self._told.line_up(look_ups)
        self._send(
            queue, letters + [(Task.LINK, row_id, self._of_look_ups) for row_id in next_ones]
        )
        return is_any

    def _send(self, queue: Messages, found: list[tuple[Task, int, int]]) -> None:
        letters = [(encode(task, row_id), urgency) for task, row_id, urgency in found]
        if letters and not queue.send(letters):
            queue.keep(letters)

    def _found(self, queue: Messages) -> Iterable[tuple[Task, int, int]]:
        self._is_low_at = 0
        if self._is_backup_due:
            self._is_backup_due = False
            yield Task.BACKUP, Step.BACKUP, Urgency.LATER
        any_due = due_work.any_due()
        if any_due.texts and not self._are_texts_due:
            self._are_texts_due = True
            self.wake()
        # What broke off is called again although it may have nothing to do.
        self.tell_others(any_due.others or bool(self._broken_off()))
        if not any_due.work and not self._is_billing_due:
            return
        self._carefully(Step.NOTICES, notifications.ask_for_looks)
        most = _AHEAD * self._threads
        waiting = queue.size() or 0
        self._is_crowded = is_crowded = waiting >= most
        # Each that is told a second time costs its claim again.
        due = due_work.due_work(most, with_fresh=waiting < self._threads)
        if due.is_more:
            self._is_low_at = self._threads
        with self._noting:  # what threads of ours noted since it was read is known, too
            self._set_back = due.set_back | self._steps_set_back
        if self._is_billing_due:
            self._is_billing_due = False
            yield Task.BILLING, 0, Urgency.FOUND
        yield from ((Task.LOST, row_id, Urgency.FOUND) for row_id in due.lost)
        yield from ((Task.UNCERTAIN, row_id, Urgency.FOUND) for row_id in due.uncertain)
        yield from ((Task.OPERATION, row_id, Urgency.MANY) for row_id in due.captures)
        yield from ((Task.DELIVERIES, row_id, Urgency.FOUND) for row_id in due.deliveries)
        yield from ((Task.JOB, row_id, Urgency.FOUND) for row_id in due.jobs)
        are_captures = is_crowded or bool(due.captures)
        if not are_captures or time.monotonic() >= self._next_slips:
            self._next_slips = time.monotonic() + _SLIPS_EVERY
            yield from ((Task.SLIPS, row_id, Urgency.FOUND) for row_id in due.slips)
        yield from ((Task.LINK, row_id, self._of_look_ups) for row_id in due.links)

    @property
    def _of_look_ups(self) -> int:
        """While many captures wait, one look-up after the other among them; else those come last."""
        return Urgency.FOUND if self._is_crowded else Urgency.LATER

    def _room_for_look_ups(self, told: int) -> int:
        """So many that one connection is left, and none waiting: captures go first (P23)."""
        most = 1 if self._is_crowded else min(self._worker.pace.allowed, self._worker.share) - 1
        return max(1, most) - max(self._worker.links_under_way(), told)

    # ---- now and then ---------------------------------------------------------------------------

    def _keep_house(self) -> None:
        """Every step that is due, each on its own; one that breaks off spoils no other."""
        for number, step in enumerate(self._house):
            if time.monotonic() < step.next_at:
                continue
            try:
                with self._app.app_context():
                    self._carefully(number, step.do)
            except Exception:  # the database is away: the others would say the same
                log.exception("housekeeping failed")
                return
            finally:
                step.next_at = time.monotonic() + step.every

    def _carefully(self, number: int, do: Callable[[], object]) -> None:
        """One step; the database is asked whether it rests only if it broke off before."""
        key = (Queue.HOUSEKEEPING, number)
        with self._noting:
            if self._set_back is None:
                self._set_back = setbacks.all_known()
            may_rest = key in self._set_back
        went_through = setbacks.carefully(key[0], [number], do, may_rest=may_rest)
        with self._noting:  # of several threads none undoes what another noted
            if went_through:
                self._set_back -= {key}
                self._steps_set_back -= {key}
            else:
                self._set_back |= {key}
                self._steps_set_back |= {key}

    def _ask_for_billing(self) -> None:
        is_resting = setbacks.is_resting(Queue.BILLING, 0)
        self._is_billing_due = not is_resting and billing.is_due()
        if self._is_billing_due:
            self.sweep_soon()

    def _ask_for_backup(self) -> None:
        self._is_backup_due = daily.is_backup_due()
        if self._is_backup_due:
            self.sweep_soon()

    def _renew_texts(self) -> None:
        if not self._are_texts_due:
            return
        until = time.monotonic() + _TEXTS_FOR
        while is_more := texts.renew():
            if time.monotonic() > until:
                break
        self._are_texts_due = is_more
        self._texts.every = 0.0 if is_more else _TEXTS_EVERY

    def _give_sign(self) -> None:
        try:
            if not self._gave_sign:
                mails.worker_begins()
        finally:
            self._gave_sign = True
            due_work.beat(self._name)

    def _send_mails(self) -> None:
        if mails.is_any_due() or Step.MAILS in self._broken_off():
            self._send_beside("mails", Step.MAILS, mails.send_due)

    def _keep_telling(self) -> None:
        pause = _WEBHOOKS_EVERY
        while True:
            self._are_others_to_tell.wait()
            if self.stop_flag.wait(pause):
                return
            try:
                with self._app.app_context():
                    self._carefully(Step.WRITE_MESSAGES, webhooks.write_due)
                    self._carefully(Step.HAND_OVER, self._hand_over)
                pause = _WEBHOOKS_EVERY
            except Exception:  # the database is away: what was not written is found the next time
                log.exception("telling others failed")
                pause = _FAULT_PAUSE

    def _hand_over(self) -> None:
        broke_off = {
            number - Step.RECEIVER for number in self._broken_off() if number > Step.RECEIVER
        }
        for receiver in broke_off.union(webhooks.waiting_receivers()):
            self._send_beside(
                f"webhook {receiver}",
                Step.RECEIVER + receiver,
                partial(webhooks.send_due, receiver),
            )

    def _broken_off(self) -> set[int]:
        """What is called again although it may have nothing to do: else it would never be forgotten."""
        return {number for queue, number in self._set_back or () if queue is Queue.HOUSEKEEPING}

    def _send_beside(
        self, name: str, number: int, send: Callable[[Callable[[], bool]], object]
    ) -> None:
        """In a thread of its own, unless that is at it."""
        if name in self._sending and self._sending[name].is_alive():
            return
        self._sending[name] = threading.Thread(
            target=self._send_to_others, args=(name, number, send), name=name, daemon=True
        )
        self._sending[name].start()

    def _send_to_others(
        self, name: str, number: int, send: Callable[[Callable[[], bool]], object]
    ) -> None:
        with self._app.app_context():
            try:
                self._carefully(number, lambda: send(self.stop_flag.is_set))
            except Exception:  # the database is away: the lease ends, and it is sent again
                log.exception("sending %s failed", name)

    def _do_daily(self) -> None:
        is_more = daily.run(share=self._worker.pace.allowed / self._threads)
        self._daily.every = _DAILY_EVERY if is_more else _DAILY_AT_REST


def _keep_connections() -> None:
    connections().keep()
