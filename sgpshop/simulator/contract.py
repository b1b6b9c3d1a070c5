"""The contract between the practice gateway and its one shop: ids, limits and options."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Contract:
    """What a merchant signs for.  Defaults are interfaces.md §6 and the bracketed ones of §13."""

    shop_id: str = "tshop00000001"
    shop_pass: str = "shoppass01"  # noqa: S105 - published practice value
    site_id: str = "tsite00000001"
    site_pass: str = "sitepass01"  # noqa: S105 - published practice value

    max_in_flight: int = 64  # rule 4
    authorization_days: int = 90  # rule 16: a sale must follow within these
    operation_days: int = 180  # rule 16: cancel or change within these
    cards_per_member: int = 5  # rule 29
    token_seconds: int = 15 * 60  # rule 31
    file_window_days: int = 10  # rule 35: monthly files are taken until this day of a month


#: The contract every practice gateway starts with.
DEFAULT_CONTRACT = Contract()
