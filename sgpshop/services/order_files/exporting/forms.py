"""The forms of an exported file, and the one that a worker makes because it is too long to be waited for."""

from __future__ import annotations

import hashlib
import json
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import IO, Any

from sgpshop import logs
from sgpshop.domain.csv_writing import Encoding
from sgpshop.domain.words import Labelled
from sgpshop.models import Job, JobKind
from sgpshop.services.order_files.exporting.csv_file import Loss, as_csv
from sgpshop.services.order_files.exporting.excel_file import write_excel
from sgpshop.services.order_files.exporting.reading import ExportedOrder, Source, chosen
from sgpshop.storage import jobs
from sgpshop.storage.database import writing
from sgpshop.storage.jobs import Claim

#: A file of more orders is made by a worker.
MOST_AT_ONCE = 10_000


class Form(Labelled):
    """How an exported file is written."""

    CSV = "csv", "CSV(UTF-8)"
    CP932 = "csv-cp932", "CSV(Shift_JIS)"
    EXCEL = "xlsx", "Excel"

    @property
    def ending(self) -> str:
        """How the names of its files end."""
        return self.value.partition("-")[0]

    @property
    def content_type(self) -> str:
        """What HTTP calls it."""
        return {
            Form.CSV: "text/csv; charset=utf-8",
            Form.CP932: "text/csv; charset=Shift_JIS",
            Form.EXCEL: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        }[self]


def write(source: Source, form: Form, out: IO[bytes]) -> int:
    """Write all orders of `source` into `out`; how many bytes."""
    if form is Form.EXCEL:
        write_excel(source, out)
    else:
        out.writelines(as_csv(source, Encoding.CP932 if form is Form.CP932 else Encoding.UTF_8))
    return out.tell()


def ask(order_ids: Sequence[int], form: Form, person_id: int) -> None:
    """Let a worker make the file of these orders, for this person; a second press asks for no other."""
    ids = json.dumps(order_ids).encode()
    asked = {"form": form.value, "orders": hashlib.sha256(ids).hexdigest()}
    if any(one.finished_at is None and one.asked == asked for one in files(person_id)):
        return
    with writing() as session:
        jobs.add(
            session,
            JobKind.EXPORT,
            secrets.token_hex(16),
            person_id=person_id,
            asked=asked,
            content=ids,
            total=len(order_ids),
        )


def files(person_id: int) -> Sequence[Job]:
    """The files that this person asked for, newest first, until they are a day old."""
    return jobs.of_person(JobKind.EXPORT, person_id)


def form_of(job: Job) -> Form:
    """Its form."""
    return Form(job.asked["form"])


def work(claim: Claim) -> dict[str, Any]:
    """Make the file that was asked for: its `bytes`, and what its characters lost.  Raises Interrupted."""
    form, ids, loss = Form(claim.asked["form"]), json.loads(claim.input()), Loss()

    def orders() -> Iterator[list[ExportedOrder]]:
        done = 0
        for some in chosen(ids)():
            claim.go_on(done, len(ids))
            if form is Form.CP932:
                loss.look_at(some)
            yield some
            done += len(some)

    with tempfile.TemporaryFile() as file:
        size = write(orders, form, file)
        claim.keep(file)
    logs.event("export_ended", result="whole", bytes=size)
    return {"bytes": size, "loss": asdict(loss) if loss else None}
