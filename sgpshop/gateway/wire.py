"""The text of SMBC-GP's protocol: form bodies out, one-line answers in (protocol.md §1.2–§1.4).

Everything on this wire is Windows-31J, which Python calls cp932.  Answers are not escaped, so
they are decoded first and split afterwards: the second byte of a character may be ``|`` or a
backslash.  Nothing here knows what an answer means; it only refuses what is not an answer.
"""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote, urlencode

ENCODING = "cp932"

#: Characters that look alike but only the right-hand one exists in cp932 (protocol.md §1.2).
TO_CP932 = str.maketrans(
    {
        "\u301c": "\uff5e",  # 〜 wave dash
        "\u2212": "\uff0d",  # − minus sign
        "\u2016": "\u2225",  # ‖ double vertical line
        "\u2014": "\u2015",  # — em dash
        "\u00a2": "\uffe0",  # ¢ cent sign
        "\u00a3": "\uffe1",  # £ pound sign
        "\u00ac": "\uffe2",  # ¬ not sign
    }
)

#: Values people typed once; an unescaped ``&`` inside them is text, not a separator.
_FREE_TEXT = frozenset(
    {"clientfield1", "clientfield2", "clientfield3", "membername", "cardname", "holdername"}
)
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_CODE = re.compile(r"[0-9A-Za-z]{1,20}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class UnencodableValue(ValueError):
    """A value cannot be written in cp932.  ``field`` names the parameter, never its content."""

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} holds a character that cp932 does not have")
        self.field = field


class MalformedAnswer(ValueError):
    """The bytes received are no answer of this protocol.  str() is a short ASCII reason."""


def encode_form(params: Mapping[str, str]) -> bytes:
    """Return ``params`` in their order as a percent-encoded cp932 form body.

    Raises UnencodableValue if a value cannot be written even after ``TO_CP932``.
    """
    encoded = []
    for name, value in params.items():
        try:
            encoded.append((name, value.translate(TO_CP932).encode(ENCODING)))
        except UnicodeEncodeError:
            raise UnencodableValue(name) from None
    return urlencode(encoded, quote_via=quote, safe="").encode("ascii")


class Answer:
    """The fields of one answer, in the order received; names are matched without case.

    A blank value is ``""`` and an absent one raises KeyError (or ``get`` gives None): the
    gateway means different things by the two (protocol.md §1.3).  Raises MalformedAnswer when
    a key comes twice with different values, or the two lists of an error do not match.
    """

    def __init__(self, fields: tuple[tuple[str, str], ...]) -> None:
        self.fields = fields
        self._by_name: dict[str, str] = {}
        for name, value in fields:
            if self._by_name.setdefault(name.lower(), value) != value:
                raise MalformedAnswer("key_twice_with_different_values")
        #: The ErrInfo codes, in their order; empty for a success.
        self.codes = self._read_codes()

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._by_name

    def __getitem__(self, name: str) -> str:
        return self._by_name[name.lower()]

    def __repr__(self) -> str:  # the values may be AccessPass
        return f"Answer({', '.join(name for name, _ in self.fields)})"

    def get(self, name: str) -> str | None:
        """Return the value, ``""`` if it came blank, None if it did not come at all."""
        return self._by_name.get(name.lower())

    def items(self, name: str) -> tuple[str, ...]:
        """Return the value as a list: one key may carry several items joined by ``|``."""
        return tuple(self[name].split("|"))

    def _read_codes(self) -> tuple[str, ...]:
        """Both lists there, equally long and every code a plain word, or both absent (§1.4)."""
        if "ErrCode" not in self and "ErrInfo" not in self:
            return ()
        if "ErrCode" not in self or "ErrInfo" not in self:
            raise MalformedAnswer("half_an_error")
        classes, codes = self.items("ErrCode"), self.items("ErrInfo")
        if len(classes) != len(codes) or not all(map(_CODE.fullmatch, classes + codes)):
            raise MalformedAnswer("error_lists_do_not_match")
        return codes


def parse_answer(body: bytes) -> Answer:
    """Return the fields of a body as received (protocol.md §1.3).

    Raises MalformedAnswer for anything that is not ``key=value`` text in cp932: nothing at
    all, HTML, a cut character, a key given twice with different values.
    """
    try:
        line = body.decode(ENCODING).rstrip("\r\n")
    except UnicodeDecodeError:
        raise MalformedAnswer("not_cp932") from None
    if not line:
        raise MalformedAnswer("empty")
    if _CONTROL.search(line):
        raise MalformedAnswer("control_character")
    return Answer(tuple(_split(line)))


def _split(line: str) -> Iterator[tuple[str, str]]:
    """Yield (key, value), giving RedirectUrl the rest of the line: its own ``&`` are raw."""
    key, value = "", ""
    rest: str | None = line
    while rest is not None:
        pair, more, after = rest.partition("&")
        name, equals, content = pair.partition("=")
        if not (equals and _KEY.fullmatch(name)):
            if key.lower() not in _FREE_TEXT:
                raise MalformedAnswer("not_key_value")
            value += "&" + pair
        else:
            if key:
                yield key, value
            key, value = name, content
            if key.lower() == "redirecturl":
                yield key, rest.partition("=")[2]
                return
        rest = after if more else None
    yield key, value
