"""Bring an order file into the database: `prepare` a run and `start` it, or `begin` one at once.

Taking the same file in again changes nothing and never duplicates (R143), so a run that broke off
is mended by doing just that.
"""

from sgpshop.services.order_files.importing.preview import fingerprint
from sgpshop.services.order_files.importing.runs import (
    ImportProgress,
    RunState,
    answer_method,
    begin,
    carry_out,
    find,
    issues,
    map_columns,
    new_run_id,
    prepare,
    problems_csv,
    program_of,
    progress,
    recent,
    start,
    state_of,
    visible,
    work,
)
