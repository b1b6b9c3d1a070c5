"""Orders as files: all hits of a search, or the chosen ones, as CSV or Excel (R51, §14.3).

What makes a file is POST: another web site must not be able to set it off.  That and each fetching of
one counts against a limit (S23).  Nothing about orders is changed.
"""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime

from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop import logs
from sgpshop.domain.errors import ShopError
from sgpshop.domain.payment_calendar import JST
from sgpshop.models import JobKind, Role, utc_now
from sgpshop.services.access import activities, rate_limits
from sgpshop.services.access.rate_limits import TooOften
from sgpshop.services.order_files import exporting
from sgpshop.services.order_files.exporting import Form, Source
from sgpshop.services.order_search.search import matching_ids
from sgpshop.services.order_search.totals import total
from sgpshop.storage import jobs
from sgpshop.web.frame.attachments import at_readers_pace, disposition
from sgpshop.web.frame.limits import SOON, Writing
from sgpshop.web.frame.pieces import wants_fragment
from sgpshop.web.frame.security import leads_back, requires
from sgpshop.web.order_search.bulk_choice import refused, require_chosen, search_of_form
from sgpshop.web.order_search.form import SearchForm

bp = Blueprint("exports", __name__, url_prefix="/orders")

#: all hits of a search
_ALL = 2**31 - 1
#: So many kept files are given out at once by one process, and to one person: each holds a thread for
#: as long as its reader takes.
_FETCHED_AT_ONCE, _FETCHED_BY_ONE = 6, 2


leads_back(bp, Role.VIEWER, "/export", "/bulk/export", to="order_search.show")


@bp.post("/export")
@requires(Role.ACCOUNTANT)
def export_found() -> ResponseReturnValue:
    """All orders of the search, whatever page is shown and whatever is ticked."""
    form = search_of_form()
    count = total(form.criteria).count
    source = exporting.found(form.criteria)
    return _answer(form, source, count, "search", lambda: matching_ids(form.criteria, _ALL))


@bp.post("/bulk/export")
@requires(Role.ACCOUNTANT)
def export_chosen() -> ResponseReturnValue:
    """CSVダウンロード of the bulk actions: the chosen orders."""
    form = search_of_form()
    try:
        chosen = require_chosen(form)
    except ShopError as problem:
        return refused(form, problem)
    return _answer(form, exporting.chosen(chosen), len(chosen), "chosen", lambda: chosen)


def _answer(
    form: SearchForm, source: Source, count: int, what: str, ids: Callable[[], list[int]]
) -> ResponseReturnValue:
    """The file in the wanted form; before a CP932 file that loses characters, what it loses.

    A long one is made by a worker: the answer leads to where it will be.
    """
    try:
        wanted = Form(request.form.get("format", Form.CSV))
    except ValueError:
        raise ShopError("ファイルの形式を選び直してください。") from None
    is_long = count > exporting.MOST_AT_ONCE
    rate_limits.count_export(current_user.id, request.remote_addr or "")
    if wanted is Form.CP932 and not is_long and "loss_seen" not in request.form:
        with Writing():
            loss = exporting.look_for_loss(source)
        if loss:
            return _tell_loss(loss, count, what)
    activities.exported(
        f"orders_{what}",
        "注文(検索結果)" if what == "search" else "注文(選択した注文)",
        count=count,
        format=wanted.value,
        conditions=_names_of_conditions(form) if what == "search" else [],
    )
    if is_long:
        exporting.ask(ids(), wanted, current_user.id)
        return redirect(url_for(".files"), code=303)
    return _file(source, wanted)


@bp.get("/export/files")
@requires(Role.ACCOUNTANT)
def files() -> ResponseReturnValue:
    """The files that a worker makes or made for this person, and how far they are."""
    return render_template(
        "exports/_files.html" if wants_fragment() else "exports/files.html",
        files=[(job, exporting.form_of(job)) for job in exporting.files(current_user.id)],
    )


@bp.get("/export/files/<token>")
@requires(Role.ACCOUNTANT)
def fetch(token: str) -> ResponseReturnValue:
    """One of these files, part by part as it is read.  Raises TooOften."""
    job = jobs.find(JobKind.EXPORT, token, current_user.id)
    if job.result is None:
        return redirect(url_for(".files"), code=303)
    rate_limits.count_export(current_user.id, request.remote_addr or "")
    form = exporting.form_of(job)
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    response = Response(_within(app, jobs.content(job)), content_type=form.content_type)
    response.headers.update(_attached(form, job.created_at))
    response.content_length = job.result["bytes"]
    places = app.extensions.setdefault("fetched", _Fetched())
    response.call_on_close(places.take(current_user.id))
    at_readers_pace()
    activities.exported("orders_file", "注文(作成済みのファイル)", bytes=job.result["bytes"])
    return response


def _tell_loss(loss: exporting.Loss, count: int, what: str) -> ResponseReturnValue:
    """The number of 〓 and where they would stand, before the file is made (§14.3)."""
    again = [
        (name, value)
        for name, value in request.form.items(multi=True)
        if name in ("conditions", "order_no", "all_hits")
    ]
    return render_template(
        "exports/loss.html",
        loss=loss,
        count=count,
        address=url_for(".export_found" if what == "search" else ".export_chosen"),
        again=again,
    )


def _file(source: Source, form: Form) -> Response:
    file = io.BytesIO()
    with Writing():
        size = exporting.write(source, form, file)
    logs.event("export_ended", result="whole", bytes=size)
    headers = _attached(form, utc_now())
    return Response(file.getvalue(), content_type=form.content_type, headers=headers)


def _within(app: Flask, parts: Iterator[bytes]) -> Iterator[bytes]:
    """The same parts after the request is over, each read in an app context of its own."""
    while True:
        with app.app_context():
            part = next(parts, None)
        if part is None:
            return
        yield part


class _Fetched:
    """The kept files that are being given out, counted by person."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_person: Counter[int] = Counter()

    def take(self, person_id: int) -> Callable[[], None]:
        """A place, and what gives it back.  Raises TooOften when none is left for this person."""
        with self._lock:
            if (
                self._by_person.total() >= _FETCHED_AT_ONCE
                or self._by_person[person_id] >= _FETCHED_BY_ONE
            ):
                raise TooOften("ほかのファイルのダウンロードが続いています。", SOON)
            self._by_person[person_id] += 1
        return lambda: self._give_back(person_id)

    def _give_back(self, person_id: int) -> None:
        with self._lock:
            self._by_person[person_id] -= 1
            self._by_person += Counter()  # whoever has none is forgotten


def _attached(form: Form, at: datetime) -> dict[str, str]:
    return disposition(f"orders-{at.astimezone(JST):%Y%m%d-%H%M}.{form.ending}")


def _names_of_conditions(form: SearchForm) -> list[str]:
    """Which conditions narrow the search; what was typed into them may be about a person (S12)."""
    names = {name for name, value in form.values.items(multi=True) if value}
    return sorted(names - {"sort", "dir", "size", "cursor", "date_field", "kw_field[]"})
