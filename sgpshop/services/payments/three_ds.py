"""3-D Secure 2: where the buyer's browser comes back to us, and how that is told from anything else.

The address holds the gateway's order number and a mark made with our key: nobody can go on with
somebody else's checkout by guessing (protocol.md §11).
"""

from __future__ import annotations

import hashlib
import hmac

from flask import current_app

from sgpshop.services import settings
from sgpshop.storage import vault

PATH = "/three-ds"
#: In place of a return_url: the buyer stays on our page that says how it ended.
OUR_PAGE = "sgpshop:ended"


def tenant_name() -> str:
    """The shop's name as the buyer's bank shows it."""
    return settings.load().shop_name


def return_address(gateway_order_id: str) -> str:
    """Our address to which the browser comes back after 3-D Secure of that transaction."""
    base = current_app.config["PUBLIC_URL"]
    return f"{base}{PATH}/{gateway_order_id}/{_mark(gateway_order_id)}"


def is_ours(gateway_order_id: str, mark: str) -> bool:
    """Whether the address was made by us."""
    return hmac.compare_digest(_mark(gateway_order_id).encode(), mark.encode())


def return_key(order_no: str) -> str:
    """What the shop front verifies with that the buyer's return comes from us."""
    return vault.derive(f"three_ds return:{order_no}")


def signature(order_no: str, result: str, timestamp: str) -> str:
    """Of the parameters of the return, in hexadecimal digits."""
    said = f"{order_no}.{result}.{timestamp}".encode()
    return hmac.new(return_key(order_no).encode(), said, hashlib.sha256).hexdigest()


def _mark(gateway_order_id: str) -> str:
    return vault.derive(f"three_ds:{gateway_order_id}")
