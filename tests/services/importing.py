"""Order files as a person takes them in, for tests of what becomes of the orders."""

from __future__ import annotations

import io

from sgpshop.domain.row_files import Limits
from sgpshop.models import ImportRun
from sgpshop.services.order_files import importing
from tests.services.order_csv import csv_file

NO_LIMITS = Limits()


def take_in(*rows: dict[str, str]) -> ImportRun:
    """Take a file with these rows in; its run when it is through."""
    return take_in_file(csv_file(*rows, encoding="utf-8"))


def take_in_file(content: bytes) -> ImportRun:
    """The same with the bytes of a file."""
    stream = io.BytesIO(content)
    run, found = importing.begin(importing.new_run_id(), "田中", [stream], NO_LIMITS)
    if found is not None:
        importing.carry_out(run.id, [stream], NO_LIMITS, found)
    return importing.find(run.id)


def counts(run: ImportRun) -> dict[str, int]:
    """How many orders the run added, updated…; only what is not 0."""
    return {
        name: value
        for name in ("added", "updated", "unchanged", "left_out")
        if (value := getattr(run, name))
    }


def messages(run: ImportRun) -> list[str]:
    """What the run has to say about its rows, by line."""
    return [issue.message for issue in importing.issues(run.id)]
