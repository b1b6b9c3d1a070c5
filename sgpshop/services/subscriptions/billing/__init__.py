"""売上報告: the monthly registration of delivered subscription orders (R25, R101-R105, P29)."""

from sgpshop.services.subscriptions.billing.running import Report, carry_on, is_due, report

__all__ = ["Report", "carry_on", "is_due", "report"]
