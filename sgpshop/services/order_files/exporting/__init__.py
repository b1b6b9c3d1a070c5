"""Orders as a file: CSV that the importer takes in again, or an Excel workbook (R51, §14.3, S18).

One row an item; the columns are those of an order file except 取引パスワード, and what happened
since.  Orders are read a few hundred at a time, each time in a short transaction of its own, so
that a file of any size takes little memory and holds up nobody (P23).
"""

from sgpshop.services.order_files.exporting.csv_file import Loss, as_csv, look_for_loss
from sgpshop.services.order_files.exporting.excel_file import write_excel
from sgpshop.services.order_files.exporting.forms import (
    MOST_AT_ONCE,
    Form,
    ask,
    files,
    form_of,
    work,
    write,
)
from sgpshop.services.order_files.exporting.reading import ExportedOrder, Source, chosen, found
