"""What goes back over the connection, misbehaviour included."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from flask import Response

from .wire import CONTENT_TYPE


class ConnectionDropped(ConnectionError):
    """The gateway hangs up without an answer.

    Raised when the body is asked for: the server closes the connection with no byte sent, and
    Flask's test client hands it to the test.
    """


@dataclass(frozen=True, slots=True)
class AnswerDelivery:
    """What goes back: a body, or None for a connection closed without a word."""

    body: bytes | None
    status: int = 200
    content_type: str = CONTENT_TYPE
    seconds_per_byte: float = 0.0


def response(delivery: AnswerDelivery, wait: Callable[[float], None]) -> Response:
    """The HTTP answer; `wait` lets seconds pass between the bytes of a dripping one."""
    if delivery.body is None:
        return Response(_HangUp())
    body: Any = delivery.body
    if delivery.seconds_per_byte:
        body = _drip(wait, delivery.body, delivery.seconds_per_byte)
    answer = Response(body, delivery.status, content_type=delivery.content_type)
    answer.content_length = len(delivery.body)
    return answer


class _HangUp(Iterator[bytes]):
    """A body that is never sent."""

    def __next__(self) -> bytes:
        raise ConnectionDropped("no answer")


def _drip(wait: Callable[[float], None], body: bytes, seconds: float) -> Iterator[bytes]:
    for position in range(len(body)):
        wait(seconds)
        yield body[position : position + 1]
