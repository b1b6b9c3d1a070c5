"""Whether a request is wanted still, asked right before its first byte (P17).

Apart from `transport`, which loads an HTTP client (5 MB): the shop is told of it before it asks SMBC-GP.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

log = logging.getLogger(__name__)


def _always() -> bool:
    return True


#: Asked when a connection stands and the first byte of a request comes next: is it wanted still?
#: And whether it is asked of each request, or of the first.
_may_send: ContextVar[tuple[Callable[[], bool], bool]] = ContextVar(
    "may_send", default=(_always, True)
)


@contextmanager
def only_while(may_send: Callable[[], bool], *, each: bool = False) -> Iterator[None]:
    """The first request of this block leaves only if `may_send` says so right before its first byte.

    GatewayUnreachable (NOT_WANTED) otherwise, and where `may_send` raises (P17).  Those that follow
    are not asked about: GatewayUnreachable means that nothing was sent.  Unless all of them only ask:
    then `each` is.
    """
    token = _may_send.set((may_send, each))
    try:
        yield
    finally:
        _may_send.reset(token)


def is_wanted() -> bool:
    """Whether the request that comes next is wanted still; from then on the following are."""
    try:
        may_send, is_each = _may_send.get()
        said = may_send()
        if not is_each:
            _may_send.set((_always, True))
    except Exception:  # who cannot be asked has not said yes
        log.exception("whether a request is wanted still could not be asked")
        return False
    return said
