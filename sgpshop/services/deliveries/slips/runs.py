"""The life of a slip run: prepared when the preview is shown, started once (R81, R82a, P19).

`prepare` writes down what a file says and what would become of it; nothing of the orders changes.
`start` turns every order that is to be captured into one QUEUED attempt and hands the other rows to
the worker.  A crash loses nothing and a restart repeats nothing, because all of it is rows.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from sgpshop import logs
from sgpshop.domain.activities import ActivityEvent
from sgpshop.domain.carriers import CARRIERS
from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.domain.order_rules import Refusal, is_big
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.row_files import Limits
from sgpshop.domain.second_look import ApprovalState, captured_to_approve
from sgpshop.domain.shop_terms import OnCaptureFailure
from sgpshop.domain.spreadsheets import shows_zeros
from sgpshop.extensions import db
from sgpshop.models import (
    ActorKind,
    Approval,
    Attempt,
    ItemResult,
    Operation,
    SlipRow,
    SlipRun,
    table_of,
    utc_now,
)
from sgpshop.services import settings
from sgpshop.services.access import activities
from sgpshop.services.deliveries.slips import carriers, matching, report
from sgpshop.services.deliveries.slips.decisions import OrderDecision, SlipInstruction, decide
from sgpshop.services.deliveries.slips.matching import Match
from sgpshop.services.deliveries.slips.planning import (
    PLANNED_FROM,
    STALE,
    SlipTerms,
    is_stale,
    join_parcels,
    new_row,
    outcomes_of,
    plan,
    remark_shared_numbers,
    write_down,
)
from sgpshop.services.deliveries.slips.reading import read, typed
from sgpshop.services.orders.facts import Facts, load_facts
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments import acts, second_look
from sgpshop.services.payments.acts import OperationRequest
from sgpshop.services.payments.clocks import usable_gateway
from sgpshop.services.payments.second_look import ApprovalAsked, ApprovalNeeded
from sgpshop.storage import queue
from sgpshop.storage.among import among
from sgpshop.storage.database import chunks, writing
from sgpshop.storage.queue import Task, Urgency

_MOST_PREVIEWS = 5
_STARTED_BEFORE = "同じ内容のファイルは、すでに処理されています。"
_NOT_FOUND = (
    "この伝票番号ファイルは見つかりません。実行する前の確認は、新しい5件までが1日だけ残ります。"
)


class TermsChanged(ShopError):
    """A run is to be carried out otherwise than it was seen; nothing was begun (P20)."""

    status = 409
    sentence = (
        "表示したあとで、設定か登録の内容が変わりました。まだ何も行っていません。"
        "いまの内容を確認してから、もう一度操作してください。"
    )


def usual_terms() -> SlipTerms:
    """As the shop's settings say (§10)."""
    shop = settings.load()
    keeps = shop.on_capture_failure == OnCaptureFailure.KEEP
    return SlipTerms(
        shop.capture_on_slip, OnCaptureFailure.KEEP if keeps else OnCaptureFailure.SKIP
    )


def limits() -> Limits:
    """How large a file may be, on the screen and by the command (S17)."""
    return Limits.of_screen(current_app.config, or_else="ファイルを分けてください。")


@dataclass(frozen=True)
class Uploaded:
    """A file as it was handed in: a real one, or lines that were pasted."""

    content: bytes
    is_pasted: bool = False


@dataclass(frozen=True)
class Typed:
    """Rows of 発送: 注文番号, 配送先番号, 配送会社コード, 伝票番号 (several of 複数個口 divided by blanks)."""

    rows: Sequence[list[str]]


def prepare(given: Uploaded | Typed, terms: SlipTerms, *, person_id: int | None, actor: str) -> str:
    """Write down what the file says and what it would do; the id of the run, not yet started.

    The same file under the same terms as a run that was started is that run again (R82a); what was
    typed is looked at anew each time, for a number may be typed again after a correction.  Raises
    FileRefused for what cannot be read as a whole; then nothing is kept.
    """
    run_id = secrets.token_hex(16)
    content = given.content if isinstance(given, Uploaded) else run_id.encode()
    content_hash = hashlib.sha256(content).hexdigest()
    fingerprint = _fingerprint(content_hash, terms)
    if (earlier := _started(db.session(), fingerprint)) is not None:
        return earlier
    if isinstance(given, Uploaded):
        file = read(given.content, limits(), is_pasted=given.is_pasted)
    else:
        file = typed(given.rows, limits())
    numbers = [row.order_no for row in file.rows if not (row.problem or row.left_out)]
    found = matching.exact(numbers) if file.is_ours else matching.meant(numbers)
    # Excel takes them off all numbers of a file; what is typed in 発送 is of the order it stands beside.
    if isinstance(given, Uploaded) and not any(shows_zeros(row.order_no) for row in file.rows):
        found = matching.without_zeros(found)
    known, today = matching.registered(found.values()), jst_day(utc_now())
    rows = [
        new_row(
            run_id,
            row,
            matching.decided(found.get(row.order_no, Match()), row.slips, known),
            is_ours=file.is_ours,
            today=today,
        )
        for row in file.rows
    ]
    if not file.is_ours:
        join_parcels(rows)
    remark_shared_numbers(rows)
    plan(rows, terms)
    run = SlipRun(
        id=run_id,
        person_id=person_id,
        actor=actor,
        content_hash=content_hash,
        fingerprint=fingerprint,
        capture=terms.capture,
        on_failure=terms.on_failure,
        header=file.header,
        program=file.program,
        is_typed=isinstance(given, Typed),
        mails=sum(bool(row.values.get("mail")) for row in file.rows),
    )
    with writing() as session:
        write_down(session, run, rows)
        if person_id is not None:
            _make_room(session, person_id)
    return run_id


def _make_room(session: Session, person_id: int) -> None:
    """Of the files that this person only looks at the newest stay: the database holds their rows."""
    theirs = sa.select(SlipRun.id).where(
        SlipRun.person_id == person_id,
        SlipRun.started_at.is_(None),
        ~sa.exists().where(
            Approval.slip_run_id == SlipRun.id, Approval.state == ApprovalState.WAITING
        ),
    )
    older = session.scalars(
        theirs.order_by(SlipRun.created_at.desc(), SlipRun.id)
        .offset(_MOST_PREVIEWS)
        .with_for_update(skip_locked=True)  # one that is just being started is no preview any more
    ).all()
    session.execute(sa.delete(SlipRun).where(SlipRun.id.in_(older)))


def change_terms(run_id: str, terms: SlipTerms, *, person_id: int, carrier: str = "") -> str:
    """Look at a prepared file again under other terms; the id of the run to be shown (R79, R82a).

    `carrier` is the company of those parcels of which nobody said it.  Raises NotFound, ShopError.
    """
    if carrier and carrier not in CARRIERS:
        raise ShopError("配送会社を選び直してください。")
    run = own(run_id, person_id)
    if (asked := second_look.newest_of_run(slips=run_id)) is not None and asked.is_waiting:
        raise ShopError(
            "この登録は承認を待っています。変えるときは、先に「承認待ち」で取り下げてください。"
        )
    fingerprint = _fingerprint(run.content_hash, terms)
    if (earlier := _started(db.session(), fingerprint)) is not None:
        return earlier
    rows = [
        {name: getattr(row, name) for name in PLANNED_FROM}
        for row in db.session.execute(
            sa.select(*(getattr(SlipRow, name) for name in PLANNED_FROM))
            .where(SlipRow.run_id == run_id, SlipRow.order_id.is_not(None))
            .order_by(SlipRow.line)
        )
    ]
    without = carriers.unknown(run_id) if carrier else ()
    for row in rows:
        if row["id"] in without:
            row["carrier_code"] = carrier
    plan(rows, terms)
    with writing() as session:
        changed = session.execute(
            sa.update(SlipRun)
            .where(SlipRun.id == run_id, SlipRun.started_at.is_(None))
            .values(fingerprint=fingerprint, capture=terms.capture, on_failure=terms.on_failure)
        )
        if changed.rowcount == 1 and rows:  # type: ignore[attr-defined]
            session.execute(sa.update(SlipRow), rows)
    return run_id


def start(
    run_id: str, *, person_id: int | None, sum_confirmed: bool = False, seen: str | None = None
) -> str:
    """Accept the run; the id of the run to be shown.

    `seen`: what the person saw of it (report.SlipPreview.seen).  A second start does nothing (P19), and
    the start of a file that another run was started with leads to that one (R82a).  Raises NotFound
    (also for somebody else's run), ShopError when nothing can be done, the second confirmation is
    missing (S21), or there is no usable contract; TermsChanged.
    Raises ApprovalAsked where a second person has to agree: that is written down then (R157).
    """
    asked = None
    try:
        with writing() as session:
            shown, accepted, asked = _start(
                session, run_id, person_id, sum_confirmed=sum_confirmed, seen=seen
            )
            if accepted:
                _record(session, run_id, **accepted)
    except IntegrityError:  # the same file was started at this very moment
        run = get(run_id)
        twin = _started(db.session(), run.fingerprint)
        if twin is None:
            raise
        return twin
    if asked is not None:
        raise asked
    if accepted:
        logs.event("slips_started", run=run_id, **accepted)
    return shown


def _start(
    session: Session,
    run_id: str,
    person_id: int | None,
    *,
    sum_confirmed: bool,
    seen: str | None,
) -> tuple[str, dict[str, int], ApprovalAsked | None]:
    """The id of the run to be shown, and what was accepted just now, if anything, or asked for."""
    run = session.get(SlipRun, run_id, populate_existing=True, with_for_update=True)
    if run is None or run.person_id != person_id:
        raise NotFound(_NOT_FOUND)
    if run.started_at is not None:
        return run_id, {}, None
    if (twin := _started(session, run.fingerprint)) is not None:
        return twin, {}, None
    if seen is not None and seen != report.preview(run).seen:  # another tab of the same run
        raise TermsChanged
    rows = _pending(session, run_id)
    captures, yen = _to_capture(rows)
    if is_big(captures, yen) and not sum_confirmed:
        raise ShopError("件数と合計金額を確認のうえ、確認欄にチェックを入れてください。")
    if captures:
        usable_gateway()  # what cannot be sent is not accepted (R2)
    if to_approve := captured_to_approve(yen, settings.load()):
        return run_id, {}, _asked(session, run, captures, to_approve)
    begun = _begin(session, run, rows)
    second_look.not_needed(session, slips=run_id)  # it records, which comes last of all
    return run_id, begun, None


def _pending(session: Session, run_id: str) -> list[SlipRow]:
    """What can be carried out.  Raises ShopError for nothing."""
    rows = list(
        session.scalars(
            sa.select(SlipRow)
            .where(SlipRow.run_id == run_id, SlipRow.result == ItemResult.PENDING)
            .order_by(SlipRow.line)
        )
    )
    if not rows:
        raise ShopError("処理できる行がありません。問題のある行を直して、もう一度選んでください。")
    return rows


def _to_capture(rows: Iterable[SlipRow]) -> tuple[int, int]:
    """How many captures were shown, and their yen."""
    captures = [row.amount for row in rows if row.amount is not None]
    return len(captures), sum(captures)


def _asked(session: Session, run: SlipRun, captures: int, yen: int) -> ApprovalAsked:
    """The request for what a second person has to agree to (R157).

    Raises ApprovalNeeded for a command: from nobody in particular no second person can be told apart.
    """
    if run.person_id is None and run.key_id is None:
        raise ApprovalNeeded(yen)
    before = second_look.newest_of_run(slips=run.id)
    if before is not None and before.is_waiting:
        return ApprovalAsked(before)
    return ApprovalAsked(
        second_look.ask(
            session,
            actor_of(run),
            slip_run_id=run.id,
            what="伝票番号の登録と実売上処理",
            operation=Operation.CAPTURE,
            orders=captures,
            yen=yen,
        )
    )


def start_approved(session: Session, run: SlipRun, seen: tuple[int, int], by: str) -> int:
    """Begin a run that was asked for, whose row is locked, as `by` agreed to; how many captures.

    `seen`: captures and yen that `by` saw.  Raises ShopError where it is not to be begun any more.
    """
    if run.started_at is not None or _started(session, run.fingerprint) is not None:
        raise ShopError(_STARTED_BEFORE)
    rows = _pending(session, run.id)
    if _to_capture(rows) != seen:
        raise ShopError("依頼したあとで、登録の内容が変わりました。")
    run.started_at = utc_now()
    try:
        session.flush()
    except IntegrityError:  # the same file is started at this very moment
        raise ShopError(_STARTED_BEFORE) from None
    begun = _begin(session, run, rows, agreed_by=by)
    return begun["captures"]


def _begin(
    session: Session, run: SlipRun, rows: Sequence[SlipRow], *, agreed_by: str = ""
) -> dict[str, int]:
    """Take the orders and hand the other rows to the worker; what was accepted.  The run's row is locked."""
    orders = _by_order(rows)
    now = utc_now()
    facts = load_facts(orders, lock=True, with_parcels=True)
    run.started_at = now
    shop = settings.load()
    values: list[dict[str, Any]] = []
    to_capture: list[tuple[Facts, Sequence[SlipRow]]] = []
    for order_id, of_order in orders.items():
        order = facts.get(order_id)
        if order is None:  # taken back at this very moment: checkouts.refuse ended its rows
            continue
        decision = decide(
            order,
            [SlipInstruction.of(row, names_all=run.names_all) for row in of_order],
            capture=run.capture,
            terms=shop,
            now=now,
        )
        for row, one in zip(of_order, decision.rows, strict=True):
            if is_stale(run, row, order):
                one.problem, decision.wants_capture = STALE, False
        _keep_to_what_was_seen(decision, order, of_order)
        if decision.is_to_be_captured:
            to_capture.append(
                (order, [r for r, d in zip(of_order, decision.rows, strict=True) if d.waits])
            )
        planned = outcomes_of(decision, SlipTerms(run.capture, run.on_failure))
        for row, (result, refusal, message) in zip(of_order, planned, strict=True):
            is_pending = result is ItemResult.PENDING
            values.append(
                {
                    "id": row.id,
                    "result": result,
                    "refusal": refusal,
                    "message": message,
                    "is_due": is_pending and not decision.is_to_be_captured,
                    "finished_at": None if is_pending else now,
                }
            )
    session.execute(sa.update(SlipRow), values)
    queue.tell(session, Task.SWEEP, [0], Urgency.MANY)
    choices = {second_look.APPROVED_BY: agreed_by} if agreed_by else {}
    wanted = OperationRequest(Operation.CAPTURE, choices=choices, is_agreed=bool(agreed_by))
    to_capture.sort(key=lambda one: (one[0].ordered_at, one[0].id))  # R48
    _queue(session, to_capture, wanted, actor_of(run))
    yen = sum(order.total for order, _ in to_capture)
    return {"rows": len(rows), "captures": len(to_capture), "yen": yen}


def _record(session: Session, run_id: str, *, rows: int, captures: int, yen: int) -> None:
    run = session.get_one(SlipRun, run_id)
    event = ActivityEvent.MONEY_RUN_STARTED if captures else ActivityEvent.SLIPS_STARTED
    activities.record(
        session,
        event,
        "伝票番号の登録",
        by=run.actor,
        count=rows,
        yen=yen or None,
        note=f"実売上処理 {captures:,}件" if captures else "",
    )


def _queue(
    session: Session,
    captures: Sequence[tuple[Facts, Sequence[SlipRow]]],
    wanted: OperationRequest,
    actor: Actor,
) -> None:
    """Take the orders: an attempt each, in this order, and the rows that wait for it (R12a, P7)."""
    acts.open(session, [order for order, _ in captures], wanted, actor)
    for some in chunks([row.id for _, rows in captures for row in rows]):
        session.connection().execute(_OF_ATTEMPTS, {"waiting": some})


_rows = table_of(SlipRow)
#: A row waits for the attempt that was opened on its order: no order has two that are open.
_OF_ATTEMPTS = (
    sa.update(_rows)
    .where(among(_rows.c.id, "waiting"))
    .values(
        attempt_id=sa.select(Attempt.id)
        .where(Attempt.order_id == _rows.c.order_id, Attempt.is_open)
        .scalar_subquery()
    )
)


def actor_of(run: SlipRun) -> Actor:
    """Who wants what the run does (P5)."""
    if run.key_id is not None:
        return Actor.api_key(run.actor, run.key_id)
    return Actor(ActorKind.COMMAND if run.person_id is None else ActorKind.PERSON, run.actor)


def _keep_to_what_was_seen(decision: OrderDecision, order: Facts, rows: Sequence[SlipRow]) -> None:
    """No capture but the one that was shown: of that amount, of the order as it was (P20)."""
    if not decision.is_to_be_captured:
        return
    shown = [row.amount for row in rows if row.amount is not None]
    if shown != [order.total] or any(row.version != order.version for row in rows):
        decision.refusal = Refusal.CHANGED


def get(run_id: str) -> SlipRun:
    """The run.  Raises NotFound."""
    run = db.session.get(SlipRun, run_id, populate_existing=True)
    if run is None:
        raise NotFound(_NOT_FOUND)
    return run


def own(run_id: str, person_id: int | None) -> SlipRun:
    """The run that this person prepared.  Raises NotFound, also for another's."""
    run = get(run_id)
    if run.person_id != person_id:
        raise NotFound(_NOT_FOUND)
    return run


def recent(limit: int, after: int = 0) -> Sequence[SlipRun]:
    """The newest of people that were started, newest first, `after` of them left out."""
    return db.session.scalars(
        sa.select(SlipRun)
        .where(SlipRun.started_at.is_not(None), SlipRun.key_id.is_(None))
        .order_by(SlipRun.started_at.desc())
        .limit(limit)
        .offset(after)
    ).all()


def rows_typed(run_id: str, result: ItemResult | None = None) -> list[list[str]]:
    """What was typed, row by row; with `result`, the rows that ended so."""
    wanted = [SlipRow.run_id == run_id, *([] if result is None else [SlipRow.result == result])]
    return list(
        db.session.scalars(sa.select(SlipRow.cells).where(*wanted).order_by(SlipRow.line)).all()
    )


def _fingerprint(content_hash: str, terms: SlipTerms) -> str:
    text = f"{content_hash}|{int(terms.capture)}|{terms.on_failure.value}"
    return hashlib.sha256(text.encode()).hexdigest()


def _started(session: Session, fingerprint: str) -> str | None:
    return session.execute(
        sa.select(SlipRun.id).where(
            SlipRun.fingerprint == fingerprint, SlipRun.started_at.is_not(None)
        )
    ).scalar_one_or_none()


def _by_order(rows: Iterable[SlipRow]) -> dict[int, list[SlipRow]]:
    orders: dict[int, list[SlipRow]] = defaultdict(list)
    for row in rows:
        assert row.order_id is not None  # else it failed when it was planned
        orders[row.order_id].append(row)
    return orders
