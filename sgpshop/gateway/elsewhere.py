"""A POST to a server that is not SMBC-GP's, with the care of our transport (S16).

No redirect is followed, no environment asked for a proxy, the certificate is checked, and the time is
short.  Which addresses may be connected to is asked after the name was resolved, of the very address
that is connected to: a name that says something else the next moment gains nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from sgpshop.gateway.exceptions import AddressRefused

#: `GatewayUnreachable.reason` where no address of the name is allowed.
ADDRESS_REFUSED = f"connect:{AddressRefused.__name__}"
_CONNECT_TIMEOUT, _TOTAL_TIMEOUT, _MAX_ANSWER = 5.0, 10.0, 65_536
_ANY_STATUS = range(100, 600)


class Elsewhere:
    """One address of somebody else; of one thread."""

    def __init__(self, url: str, may_connect: Callable[[str], bool]) -> None:
        from sgpshop.gateway.transport import Transport, new_session  # see wanted.py

        parts = urlsplit(url)
        self._path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        self._session = new_session(1, may_connect)
        self._transport = Transport(
            f"{parts.scheme}://{parts.netloc}",
            self._session,
            connect_timeout=_CONNECT_TIMEOUT,
            total_timeout=_TOTAL_TIMEOUT,
            max_answer_bytes=_MAX_ANSWER,
            pool_size=1,
        )

    def close(self) -> None:
        """Hang up."""
        self._session.close()

    def post(self, body: bytes, headers: Mapping[str, str]) -> int:
        """The HTTP status of the answer.

        Raises GatewayUnreachable if no byte was sent, GatewayOutcomeUnknown without a whole answer.
        """
        return self._transport.send("POST", self._path, body, headers, statuses=_ANY_STATUS)[0]
