"""What a layout of a label file is, and the row that it fills for each parcel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sgpshop.domain.csv_writing import Encoding, Value, csv_guarded, for_cp932
from sgpshop.domain.label_text import Measure, cut, hours, spread
from sgpshop.services.deliveries.labels.job import Label, LabelJob, Sender
from sgpshop.services.settings import ShopSettings


@dataclass
class LabelRow:
    """The cells of one parcel by column, from 1, and what is wrong with them."""

    measure: Measure
    cells: dict[int, Value] = field(default_factory=dict)
    #: the parcel cannot be in the file because of these
    problems: list[str] = field(default_factory=list)
    #: it can, but somebody should know
    warnings: list[str] = field(default_factory=list)

    def put(self, place: int, text: str, most: int, what: str) -> None:
        """A text that must be there and must fit."""
        if not text:
            self.problems.append(f"{what}が空です。")
        elif self.measure(csv_guarded(text)) > most:
            self.problems.append(f"{what}が長すぎます({self._limit(most)}まで):{text}")
        else:
            self.cells[place] = text

    def put_cut(self, place: int, text: str, most: int, what: str) -> None:
        """A text of which the beginning will do."""
        self.put(place, text[: cut(text, most, self.measure)], most, what)

    def put_over(
        self, places: Sequence[int], parts: Sequence[str], most: Sequence[int], what: str
    ) -> None:
        """A text that goes over several fields."""
        if not "".join(parts):
            self.problems.append(f"{what}が空です。")
            return
        fields = spread(parts, most, self.measure)
        if fields is None:
            self.problems.append(
                f"{what}が長すぎます(全部で{self._limit(sum(most))}まで):{''.join(parts)}"
            )
        else:
            self.cells |= dict(zip(places, fields, strict=True))

    def put_time(self, place: int, label: Label, codes: Mapping[tuple[int, int], str]) -> None:
        """The wished time as the carrier's code; one that it has not is told and left out."""
        wanted = hours(label.wish_time)
        if wanted is not None and wanted in codes:
            self.cells[place] = codes[wanted]
        elif wanted != (0, 0):
            self.warnings.append(
                f"配送時間帯「{label.wish_time}」はこの送り状では指定できません。指定なしにします。"
            )

    def put_date(self, place: int, label: Label, job: LabelJob, written: str) -> bool:
        """The wished day in that form; whether it is asked for."""
        if label.wish_date is None:
            return False
        if label.wish_date <= job.ship_date:
            self.warnings.append(
                f"配送希望日{label.wish_date:%Y/%m/%d}が出荷日より後ではありません。指定なしにします。"
            )
            return False
        self.cells[place] = f"{label.wish_date:{written}}"
        return True

    def _limit(self, most: int) -> str:
        return f"{most}文字" if self.measure is len else f"{most}バイト(全角{most // 2}文字)"

    def look_for_lost(self) -> None:
        """Characters that the file cannot hold: nobody wants 〓 on a label."""
        for value in self.cells.values():
            if isinstance(value, str) and (lost := for_cp932(value)[1]):
                self.problems.append(f"Shift_JISにない文字「{lost}」があります:{value}")


@dataclass(frozen=True, kw_only=True)
class LabelLayout:
    """One program's file."""

    #: of commands and addresses
    word: str
    label: str
    headings: tuple[str, ...]
    has_headings: bool = True
    encoding: Encoding = Encoding.CP932
    is_quoted: bool = True
    measure: Measure = len
    #: how much of the order number comes back; None: nothing does
    longest_number: int | None
    #: settings without which no label can be made, beside the sender
    needs: tuple[str, ...] = ()
    has_sender: bool = True
    #: fills the row of a parcel; its own number is `reference`
    fill: Callable[[LabelRow, Label, str, Sender, LabelJob, ShopSettings], None]
    #: what to know when the file is read in there
    remark: str = ""


def named(text: str) -> tuple[str, ...]:
    """Headings, divided by blanks."""
    return tuple(text.split())


def blank_headings(width: int) -> tuple[str, ...]:
    """Of a file without headings: only their number counts."""
    return ("",) * width
