"""What a label is made of: the parcel, and what is the same for all labels of a file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sgpshop.domain.label_text import Address, divided
from sgpshop.domain.words import Labelled
from sgpshop.services.settings import ShopSettings


class Cool(Labelled):
    """クール区分 of all parcels of a file."""

    NORMAL = "normal", "常温"
    CHILLED = "chilled", "冷蔵"
    FROZEN = "frozen", "冷凍"


@dataclass(frozen=True)
class LabelJob:
    """What is chosen for a file."""

    ship_date: date
    cool: Cool = Cool.NORMAL


@dataclass(frozen=True)
class Label:
    """One parcel that is to go out."""

    order_no: str
    #: the parcel's number where there are several
    parcel: int | None
    name: str
    postal_code: str
    address: Address
    tel: str
    wish_date: date | None
    wish_time: str
    contents: str
    #: 代引金額 and the tax in it, in yen; 0: paid otherwise
    cash: int = 0
    cash_tax: int = 0

    @property
    def reference(self) -> str:
        """The order number, with `-n` where there are several parcels."""
        return self.order_no if self.parcel is None else f"{self.order_no}-{self.parcel}"

    def numbers(self, most: int) -> list[str]:
        """What may stand for it in a field of `most` signs and come back, best first (R148).

        A parcel's with zeros: `A-1` may be the number of an order.  So is the only one's where the
        number alone reads as a parcel of another.  No ending begins with a hyphen: the file would have
        an apostrophe before it (S18), and with that it does not fit any more.
        """
        plain = [""] if self.parcel is None else []
        marks = [*plain, *(f"-{zeros}{self.parcel or 1}" for zeros in ("0", "00"))]
        return [
            (
                self.order_no
                if len(self.order_no + mark) <= most
                else self.order_no[len(mark) - most :].lstrip("-")
            )
            + mark
            for mark in marks
        ]


@dataclass(frozen=True)
class Sender:
    """ご依頼主: the shop."""

    name: str
    postal_code: str
    address: Address
    tel: str

    @classmethod
    def of(cls, shop: ShopSettings) -> Sender:
        """As the settings say."""
        return cls(
            shop.label_sender_name or shop.shop_name,
            shop.label_sender_postal_code,
            divided("", shop.label_sender_address),
            shop.label_sender_tel or shop.shop_tel,
        )
