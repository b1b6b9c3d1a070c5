"""操作の記録 (`/settings/activities`): what people did, in pages and as a file (P5a)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from sgpshop.domain.activities import ActivityKind
from sgpshop.domain.bounds import DAYS_WORDS, is_usable
from sgpshop.domain.csv_writing import csv_file
from sgpshop.domain.errors import CursorInvalid, ShopError
from sgpshop.domain.payment_calendar import JST, start_of_day
from sgpshop.models import Activity, Role, utc_now
from sgpshop.services.access import activities, people_admin
from sgpshop.services.access.activities import MOST_IN_FILE, Wanted
from sgpshop.services.access.rate_limits import Use
from sgpshop.services.settings import rules
from sgpshop.web.frame.attachments import attached
from sgpshop.web.frame.limits import limited, makes_file
from sgpshop.web.frame.security import requires

bp = Blueprint("activities", __name__, url_prefix="/settings/activities")

_LONGEST_NAME = 80
_TITLES = ("日時", "だれが", "接続元", "種類", "操作", "対象", "内容", "件数", "金額(円)")


@bp.get("")
@requires(Role.OWNER)
@limited(Use.SEARCH)
def show() -> ResponseReturnValue:
    """One page of what was done, the newest first, by kind, person and period."""
    error, found = "", None
    try:
        found = activities.find(_wanted(), request.args.get("cursor", "")[:200])
    except ShopError as problem:
        error = problem.message
        if isinstance(problem, CursorInvalid):
            found = activities.find(_wanted())
    page = render_template(
        "settings/activities.html",
        found=found,
        error=error,
        chosen=_chosen(),
        kinds=list(ActivityKind),
        people=[person.name for person in people_admin.everybody()],
        changes_in_words=changes_in_words,
        note_in_words=note_in_words,
        most=MOST_IN_FILE,
    )
    return page, 422 if error else 200


@bp.post("")
@requires(Role.OWNER)
@makes_file
def download() -> ResponseReturnValue:
    """The same as a file; POST, for it counts against a limit (S23)."""
    wanted = _wanted()
    if activities.is_too_long(wanted):
        raise ShopError(
            f"1つのファイルは{MOST_IN_FILE:,}件までです。期間を短くして、何回かに分けて書き出してください。"
        )
    rows = ([_row(entry) for entry in some] for some in activities.parts(wanted))
    content = b"".join(csv_file(_TITLES, rows))
    activities.exported("activities", "操作の記録")
    return attached(content, f"activities-{utc_now().astimezone(JST):%Y%m%d-%H%M}.csv")


def changes_in_words(entry: Activity) -> list[tuple[str, list[str]]]:
    """What was changed: its name, then what it was and is, of a secret nothing."""
    listed = entry.detail.get("changes", [])
    return [(rules.label(name), told) for name, *told in listed]


def note_in_words(entry: Activity) -> str:
    """What else is told of it."""
    parts = [entry.detail.get("note", "")]
    if (count := entry.detail.get("count")) is not None:
        parts.append(f"{count:,}件")
    if (yen := entry.detail.get("yen")) is not None:
        parts.append(f"{yen:,}円")
    return "、".join(filter(None, parts))


def _row(entry: Activity) -> tuple[Any, ...]:
    changed = [
        f"{name}: {told[0] or '(空欄)'} → {told[1] or '(空欄)'}" if told else name
        for name, told in changes_in_words(entry)
    ]
    words = "、".join(filter(None, [entry.detail.get("note", ""), *changed]))
    figures = entry.detail.get("count"), entry.detail.get("yen")
    whose = (entry.at, entry.who, entry.address)
    return *whose, entry.kind_label, entry.what, entry.about, words, *figures


def _chosen() -> dict[str, str]:
    """What the form says, as it was sent."""
    return {
        name: request.values.get(name, "")[:_LONGEST_NAME] for name in ("kind", "who", "from", "to")
    }


def _wanted() -> Wanted:
    """Raises ShopError."""
    chosen = _chosen()
    try:
        kind = ActivityKind(chosen["kind"]) if chosen["kind"] else None
    except ValueError:
        raise ShopError("種類を選び直してください。") from None
    try:
        first, last = (
            date.fromisoformat(chosen[name]) if chosen[name] else None for name in ("from", "to")
        )
    except ValueError:
        raise ShopError("期間の日付は 2026-11-01 のように入力してください。") from None
    if not all(day is None or is_usable(day) for day in (first, last)):
        raise ShopError(f"期間は{DAYS_WORDS}で入力してください。")
    if first and last and first > last:
        raise ShopError("期間の最後の日は、最初の日以降にしてください。")
    return Wanted(
        kind,
        chosen["who"].strip(),
        start_of_day(first) if first else None,
        start_of_day(last + timedelta(days=1)) if last else None,
    )
