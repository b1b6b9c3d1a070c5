"""伝票番号一括ステータス変更 (rules.md §9): a file, or rows typed into 発送 -> slip numbers, parcel statuses, captures.

`prepare` reads a file and shows what it would do, `start` accepts it once, the worker does it:
captures as attempts like any other (`after_capture` writes the rows when one has ended), the other
rows a part at a time (`process_batch`).
"""

from sgpshop.services.deliveries.slips.carriers import usual as usual_carrier
from sgpshop.services.deliveries.slips.columns import TITLES
from sgpshop.services.deliveries.slips.planning import SlipTerms
from sgpshop.services.deliveries.slips.report import (
    ReportedRow,
    SlipProgress,
    errors_csv,
    failed_lines,
    lines,
    preview,
    progress,
    progresses,
)
from sgpshop.services.deliveries.slips.runs import (
    Typed,
    Uploaded,
    change_terms,
    get,
    limits,
    own,
    prepare,
    recent,
    rows_typed,
    start,
    usual_terms,
)
from sgpshop.services.deliveries.slips.writing import after_capture, due, process_batch
