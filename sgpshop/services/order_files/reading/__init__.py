"""An order file (rules.md §14.2) as bytes -> orders and problems by line.  No database here.

A file is read twice from a stream that can be rewound: `survey` refuses what cannot be read as a
whole before anything is written, and learns which orders are scattered; `read_orders` then gives
one order after the other, in constant memory.
"""

from sgpshop.services.order_files.reading.groups import UnknownLayout
from sgpshop.services.order_files.reading.orders import FileOrder, Issue, read_orders, survey
from sgpshop.services.order_files.reading.parsed import ParsedOrder, PaymentClaim, Survey
