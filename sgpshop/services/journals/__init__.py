"""仕訳ファイル: what was captured and given back, as files that accounting programs read."""

from sgpshop.services.journals.files import file_name, written
from sgpshop.services.journals.layouts import LAYOUTS, JournalLayout
from sgpshop.services.journals.movements import Movement, Sums, movements, sums_of

__all__ = [
    "LAYOUTS",
    "JournalLayout",
    "Movement",
    "Sums",
    "file_name",
    "movements",
    "sums_of",
    "written",
]
