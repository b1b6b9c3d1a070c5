"""売上集計: a month by day, from what moved money (R149)."""

from sgpshop.services.journals.sales.files import as_csv, as_excel, file_name
from sgpshop.services.journals.sales.month import Line, MonthOfSales, read
