"""The site as browsers name it, for which a passkey is good (S2)."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from flask import request

from sgpshop.services.access.passkeys import Site


def this_site() -> Site | None:
    """Host and origin of this request, which was sent to one of our names (S24).

    None where browsers know no passkeys: an address instead of a name, or plain http.
    """
    parts = urlsplit(request.host_url)
    host = parts.hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        is_safe = parts.scheme == "https" or host == "localhost"
        return Site(host, f"{parts.scheme}://{parts.netloc}") if host and is_safe else None
    return None
