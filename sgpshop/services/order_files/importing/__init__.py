"""Bring an order file into the database: `begin` a run, `carry_out` its orders batch by batch.

Taking the same file in again changes nothing and never duplicates (R143), so a run that broke off
is mended by doing just that.
"""

from sgpshop.services.order_files.importing.runs import (
    ImportProgress,
    RunState,
    begin,
    carry_out,
    find,
    issues,
    new_run_id,
    problems_csv,
    progress,
    recent,
    state_of,
)

__all__ = [
    "ImportProgress",
    "RunState",
    "begin",
    "carry_out",
    "find",
    "issues",
    "new_run_id",
    "problems_csv",
    "progress",
    "recent",
    "state_of",
]
