"""The kinds of values in bodies of the API, each with its limits (S14, S25).

What is said here is what the OpenAPI document says: the schema is made from these types.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import date, datetime
from typing import Annotated

from flask import current_app
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from sgpshop.domain import order_number, our_members, web_addresses
from sgpshop.domain.amounts import MOST_YEN

_CONTROLS = r"\x00-\x1f\x7f-\x9f"
#: without control characters; with something to see; the same with line breaks and tabs
_LINE = rf"^[^{_CONTROLS}]*$"
_VISIBLE = rf"^[^{_CONTROLS}]*[^{_CONTROLS}\s\u3000][^{_CONTROLS}]*$"
_LINES = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"
_FIRST_YEAR, _LAST_YEAR = 2000, 2099

ORDER_NO = order_number.PATTERN
_MOST = 2**31 - 1


class Body(BaseModel):
    """An object of which every field is known (S14)."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class AnswerBody(BaseModel):
    """An object in an answer.

    We fill none that we do not know; the document leaves room for those of later versions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


def _moment(text: str) -> str:
    try:
        year = datetime.fromisoformat(text).year
    except ValueError:
        year = 0
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        raise PydanticCustomError("moment", "not a time from 2000 to 2099")
    return text


def _day(text: str) -> str:
    try:
        year = date.fromisoformat(text).year
    except ValueError:
        year = 0
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        raise PydanticCustomError("day", "not a day from 2000 to 2099")
    return text


def _order_no(text: str) -> str:
    if order_number.is_reserved(text):
        raise PydanticCustomError("order_no", "an address of ours")
    return text


def _not_our_member(text: str) -> str:
    if our_members.is_our_member(text):
        raise PydanticCustomError("our_member", "a member of ours")
    return text


def _return_url(text: str) -> str:
    try:
        parts = web_addresses.split(text)
    except ValueError:
        raise PydanticCustomError("return_url", "not an address") from None
    is_practice = current_app.config["TEST_MODE"] and _is_this_machine(parts.hostname or "")
    if "@" in parts.netloc or (parts.scheme == "http" and not is_practice):
        raise PydanticCustomError("return_url", "not an https address")
    return text


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


Text10 = Annotated[str, Field(max_length=10, pattern=_LINE)]
Text30 = Annotated[str, Field(max_length=30, pattern=_LINE)]
Text60 = Annotated[str, Field(max_length=60, pattern=_LINE)]
Text100 = Annotated[str, Field(max_length=100, pattern=_LINE)]
Text200 = Annotated[str, Field(max_length=200, pattern=_LINE)]
Text254 = Annotated[str, Field(max_length=254, pattern=_LINE)]
Text400 = Annotated[str, Field(max_length=400, pattern=_LINE)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=_VISIBLE)]
ItemName = Annotated[str, Field(min_length=1, max_length=400, pattern=_VISIBLE)]
Code = Annotated[str, Field(min_length=1, max_length=100, pattern=_VISIBLE)]
Id = Annotated[str, Field(min_length=1, max_length=60, pattern=_VISIBLE)]
Memo = Annotated[str, Field(max_length=2000, pattern=_LINES)]

OrderNo = Annotated[
    str,
    Field(
        pattern=order_number.INTAKE_PATTERN,
        json_schema_extra={"not": {"enum": sorted(order_number.RESERVED)}},
    ),
    AfterValidator(_order_no),
]
#: of a member whose card pays
MemberId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9@._-]{1,60}$",
        json_schema_extra={"not": {"pattern": f"^{re.escape(our_members.OUR_MEMBERS)}"}},
    ),
    AfterValidator(_not_our_member),
]
#: the buyer's, in the shop front's own words
BuyerMemberId = Annotated[Text60, AfterValidator(_not_our_member)]
Token = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[!-~]*$")]

#: yen that are charged; yen that may be none
Yen = Annotated[int, Field(ge=1, le=MOST_YEN)]
YenOrNone = Annotated[int, Field(ge=0, le=MOST_YEN)]
Quantity = Annotated[int, Field(ge=1, le=9999)]
Version = Annotated[int, Field(ge=1, le=_MOST)]

#: ISO 8601 with seconds and offset, as text; 2000 to 2099
Moment = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$",
        json_schema_extra={"format": "date-time"},
    ),
    AfterValidator(_moment),
]
Day = Annotated[
    str,
    Field(pattern=r"^20[0-9]{2}-[0-9]{2}-[0-9]{2}$", json_schema_extra={"format": "date"}),
    AfterValidator(_day),
]
ReturnUrl = Annotated[
    str,
    Field(max_length=500, pattern=r"^https?://[A-Za-z0-9._~!$&'()*+,;=:@%/?\[\]-]+$"),
    AfterValidator(_return_url),
]
