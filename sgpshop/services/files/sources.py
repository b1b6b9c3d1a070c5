"""Sources that more than one layout needs, beside those of `layout`."""

from __future__ import annotations

from sgpshop.domain.carriers import carrier_called
from sgpshop.domain.prefectures import of_iso, split_address
from sgpshop.services.files.layout import Row, Source


def prefecture_in(heading: str) -> Source:
    """The prefecture with which an address begins."""
    return Source((heading,), lambda texts: split_address(texts[0])[0])


def without_prefecture(*headings: str) -> Source:
    """An address without the prefecture with which it begins, its cells joined."""
    return Source(headings, lambda texts: split_address("".join(texts))[1])


def iso_prefecture(heading: str) -> Source:
    """JP-13 as 東京都."""
    return Source((heading,), lambda texts: of_iso(texts[0]))


def japanese_number(heading: str) -> Source:
    """A telephone number, +81 3-… as 03-…"""

    def national(texts: list[str]) -> str:
        number = texts[0]
        return "0" + number[3:].lstrip(" -(") if number.startswith("+81") else number

    return Source((heading,), national)


def said_once(rows: list[Row], *fields: str) -> None:
    """Take these fields of the order from its first row that says them, for every row."""
    for name in fields:
        text = next((row.texts[name] for row in rows if row.texts.get(name)), "")
        for row in rows:
            row.texts[name] = text


#: what a cart's order file says of a label (`Layout.fills`)
LABEL = ("carrier_code", "slip_no")


def labelled(rows: list[Row]) -> list[Row]:
    """The company in our code, of parcels that have a number: before, it is what the shop usually takes."""
    for row in rows:
        word = row.texts.get("carrier_code", "")
        has_number = bool(row.texts.get("slip_no"))  # which the shop may not have chosen
        row.texts["carrier_code"] = (carrier_called(word) or word) if has_number else ""
    return rows
