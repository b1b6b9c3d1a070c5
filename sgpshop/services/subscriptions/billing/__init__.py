"""売上報告: the monthly registration of delivered subscription orders (R25, R101-R105, P29)."""

from sgpshop.services.subscriptions.billing.results import give_up
from sgpshop.services.subscriptions.billing.running import is_due, report, resume
