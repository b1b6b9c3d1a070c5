"""Bytes in, bytes out: form bodies and answers in Windows-31J (protocol.md §1.2, §1.3)."""

from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from .refusal import Refused, error_class

#: Key and value pairs of an answer, in the order they are sent.
Fields = list[tuple[str, str]]

CHARSET = "cp932"
CONTENT_TYPE = "text/plain;charset=Windows-31J"


class MalformedForm(Refused):
    """The body is empty or is no form in cp932."""

    def __init__(self) -> None:
        super().__init__("E00000010")


def parse_form(body: bytes) -> dict[str, str]:
    """Decode a form body; of a name sent twice the first value counts.

    Raises MalformedForm for an empty body, for one without `=` and for bytes outside cp932.
    """
    if b"=" not in body:
        raise MalformedForm
    params: dict[str, str] = {}
    try:
        for pair in body.strip().split(b"&"):
            name, _, value = pair.partition(b"=")
            params.setdefault(_decode(name), _decode(value))
    except UnicodeDecodeError:
        raise MalformedForm from None
    return params


def _decode(text: bytes) -> str:
    return unquote_to_bytes(text.replace(b"+", b" ")).decode(CHARSET)


def render(fields: Fields) -> str:
    """The answer as one line; values are raw, nothing is escaped, no newline follows."""
    return "&".join(f"{key}={value}" for key, value in fields)


def render_errors(codes: Iterable[str]) -> str:
    """The error answer: two parallel lists and no other key (protocol.md §1.4)."""
    infos = list(codes)
    return render(
        [("ErrCode", "|".join(error_class(code) for code in infos)), ("ErrInfo", "|".join(infos))]
    )


def encode(text: str) -> bytes:
    """An answer's bytes as they travel."""
    return text.encode(CHARSET)
