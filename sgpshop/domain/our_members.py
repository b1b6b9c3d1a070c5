"""Members at SMBC-GP under which we keep cards for later charges: nobody hands one in to pay with.

The id follows from the order number (protocol.md §2.8): taken from outside it would charge the card of
another order's buyer.
"""

from __future__ import annotations

#: how every id of ours begins
OUR_MEMBERS = "sgpshop."
#: what is said to whoever hands one in
REFUSAL = f"「{OUR_MEMBERS}」で始まる会員IDは使えません(このシステムがカードの保管に使います)。"


def is_our_member(member_id: str) -> bool:
    """Whether it is the id of a member of ours, in whatever letters."""
    return member_id.strip().casefold().startswith(OUR_MEMBERS)
