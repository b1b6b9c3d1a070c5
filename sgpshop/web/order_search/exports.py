"""Orders as files: all hits of a search, or the chosen ones, as CSV or Excel (R51, §14.3).

Everything here is POST: it counts against a limit (S23), and another web site must not be able to
set it off.  Nothing about orders is changed.
"""

from __future__ import annotations

import itertools
import tempfile
import threading
from collections.abc import Iterable, Iterator
from typing import IO

from flask import (
    Blueprint,
    Response,
    current_app,
    redirect,
    render_template,
    request,
    send_file,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop import logs
from sgpshop.domain.csv_writing import Encoding
from sgpshop.domain.errors import ShopError
from sgpshop.domain.payment_calendar import JST
from sgpshop.models import Role, utc_now
from sgpshop.services.access import rate_limits
from sgpshop.services.access.rate_limits import TooOften
from sgpshop.services.order_files import exporting
from sgpshop.services.order_files.exporting import Source
from sgpshop.services.order_search.totals import total
from sgpshop.web.frame.attachments import disposition
from sgpshop.web.frame.security import requires
from sgpshop.web.order_search.bulk_choice import refused, require_chosen, search_of_form
from sgpshop.web.order_search.form import SearchForm

bp = Blueprint("exports", __name__, url_prefix="/orders")

_EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
#: So many files are written at once by one process: the others have threads left (P23).
_AT_ONCE = 2
_writers = threading.BoundedSemaphore(_AT_ONCE)
#: seconds after which a person who found all writers busy may try again
_SOON = 30


@bp.get("/export")
@bp.get("/bulk/export")
@requires(Role.VIEWER)
def to_list() -> ResponseReturnValue:
    """A reload of an address that only forms are sent to leads back to the list."""
    return redirect(url_for("order_search.show"), code=303)


@bp.post("/export")
@requires(Role.OPERATOR)
def export_found() -> ResponseReturnValue:
    """All orders of the search, whatever page is shown and whatever is ticked."""
    form = search_of_form()
    count = total(form.criteria).count
    return _answer(form, exporting.found(form.criteria), count, "search")


@bp.post("/bulk/export")
@requires(Role.OPERATOR)
def export_chosen() -> ResponseReturnValue:
    """CSVダウンロード of the bulk actions: the chosen orders."""
    form = search_of_form()
    try:
        chosen = require_chosen(form)
    except ShopError as problem:
        return refused(form, problem)
    return _answer(form, exporting.chosen(chosen), len(chosen), "chosen")


def _answer(form: SearchForm, source: Source, count: int, what: str) -> ResponseReturnValue:
    """The file in the wanted form; before a CP932 file that loses characters, what it loses."""
    wanted = request.form.get("format", "csv")
    if wanted not in ("csv", "csv-cp932", "xlsx"):
        raise ShopError("ファイルの形式を選び直してください。")
    encoding = Encoding.CP932 if wanted == "csv-cp932" else Encoding.UTF_8
    rate_limits.count_export(current_user.id, request.remote_addr or "")
    if encoding is Encoding.CP932 and "loss_seen" not in request.form:
        with _Writing():
            loss = exporting.look_for_loss(source)
        if loss:
            return _tell_loss(loss, count, what)
    logs.event(
        "exported",
        what=f"orders_{what}",
        count=count,
        format=wanted,
        conditions=_names_of_conditions(form) if what == "search" else [],
    )
    if wanted == "xlsx":
        return _excel(source)
    return _csv(source, encoding)


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


def _csv(source: Source, encoding: Encoding) -> Response:
    writing = _Writing()
    writing.__enter__()
    try:
        chunks = exporting.as_csv(source, encoding)
        # The first orders are read before the headers leave: what fails at once is a page (P32).
        start = list(itertools.islice(chunks, 2))
    except BaseException:
        writing.__exit__()
        raise
    response = Response(
        _with_end(itertools.chain(start, _later(chunks)), writing),
        mimetype="text/csv",
        headers=_attached("csv"),
    )
    response.headers["Content-Type"] = (
        "text/csv; charset=" + {"utf-8": "utf-8", "cp932": "Shift_JIS"}[encoding.value]
    )
    response.call_on_close(writing.__exit__)  # if nobody reads it at all
    return response


def _later(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same chunks after the request is over, each read in an app context of its own."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]

    def read() -> Iterator[bytes]:
        while True:
            with app.app_context():
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield chunk

    return read()


def _with_end(chunks: Iterable[bytes], writing: _Writing) -> Iterator[bytes]:
    """The same chunks, with a line in the log when all of them went out, or not."""
    size, is_whole = 0, False
    try:
        for chunk in chunks:
            size += len(chunk)
            yield chunk
        is_whole = True
    finally:
        writing.__exit__()
        logs.event("export_ended", result="whole" if is_whole else "broken_off", bytes=size)


def _excel(source: Source) -> Response:
    """Written to a nameless file, which is gone when it was sent or the connection broke."""
    file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
    try:
        with _Writing():
            exporting.write_excel(source, file)
        size = file.tell()
        file.seek(0)
    except BaseException:
        file.close()
        raise
    response = send_file(file, _EXCEL)
    response.headers.update(_attached("xlsx"))
    response.content_length = size
    response.call_on_close(file.close)
    return response


class _Writing:
    """One of the few files that are written at once; raises TooOften when all are taken."""

    def __enter__(self) -> None:
        if not _writers.acquire(blocking=False):
            raise TooOften("ほかの人の書き出しが行われているため、順番を待っています。", _SOON)
        self._is_held = True

    def __exit__(self, *_details: object) -> None:
        if self._is_held:  # a response may be closed more than once
            self._is_held = False
            _writers.release()


def _attached(ending: str) -> dict[str, str]:
    name = f"orders-{utc_now().astimezone(JST):%Y%m%d-%H%M}.{ending}"
    return disposition(name)


def _names_of_conditions(form: SearchForm) -> list[str]:
    """Which conditions narrow the search; what was typed into them may be about a person (S12)."""
    names = {name for name, value in form.values.items(multi=True) if value}
    return sorted(names - {"sort", "dir", "size", "cursor", "date_field", "kw_field[]"})
