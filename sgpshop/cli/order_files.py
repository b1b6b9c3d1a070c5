"""The command that takes orders out: export-orders."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import click

from sgpshop.cli.days import Day
from sgpshop.cli.shop import with_shop
from sgpshop.cli.writing import require_folder, write_whole
from sgpshop.domain.csv_writing import Encoding
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.services.access import activities
from sgpshop.services.order_files import exporting
from sgpshop.services.order_files.exporting import ExportedOrder, Form, Loss, Source
from sgpshop.services.order_search.criteria import SearchCriteria


@click.command("export-orders")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--from", "day_from", type=Day(), help="first day of the order (JST)")
@click.option("--to", "day_to", type=Day(), help="last day of the order (JST)")
@click.option(
    "--status",
    "statuses",
    type=click.Choice([status.value for status in PaymentStatus]),
    multiple=True,
    help="only this payment status; may be given several times",
)
@click.option(
    "--encoding",
    type=click.Choice([encoding.value for encoding in Encoding]),
    help="of a CSV file; default utf-8",
)
@with_shop
def export_orders(
    file: Path,
    day_from: date | None,
    day_to: date | None,
    statuses: tuple[str, ...],
    encoding: str | None,
) -> None:
    """Write orders into FILE: CSV, or Excel where it ends in .xlsx.

    FILE appears when it is complete; an older one is replaced.  Exit code 0: written; 2: wrong use,
    nothing was written.
    """
    is_excel = file.suffix.lower() == ".xlsx"
    if is_excel and encoding:
        raise click.UsageError(
            "--encoding はCSVファイルの文字コードです。.xlsxには指定できません。"
        )
    if day_from and day_to and day_from > day_to:
        raise click.UsageError("--to は --from 以降の日付にしてください。")
    require_folder(file)
    criteria = SearchCriteria(
        day_from=day_from,
        day_to=day_to,
        statuses=tuple(PaymentStatus(status) for status in statuses),
    )
    wanted = Encoding(encoding or Encoding.UTF_8)
    source = exporting.found(criteria)
    counter = _Counter(source)
    plain = Form.CP932 if wanted is Encoding.CP932 else Form.CSV
    form = Form.EXCEL if is_excel else plain
    size = write_whole(file, lambda out: exporting.write(counter.orders, form, out))
    activities.exported("orders_command", "注文", count=counter.count, file=file.name)
    click.echo(f"{counter.count:,}件の注文を {file} に書き出しました({size:,}バイト)")
    if wanted is Encoding.CP932:
        _tell(exporting.look_for_loss(source))


class _Counter:
    """Counts the orders that a file is made of."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.count = 0

    def orders(self) -> Iterator[list[ExportedOrder]]:
        """The same orders, counted."""
        for orders in self._source():
            self.count += len(orders)
            yield orders


def _tell(loss: Loss) -> None:
    if not loss:
        return
    click.echo(
        f"Shift_JISにない文字 {loss.characters:,}個({loss.orders:,}件の注文)を「〓」に置き換えました:"
    )
    for order_no, title, characters in loss.places:
        click.echo(f"{order_no} {title}: {characters}")
    if loss.is_more:
        click.echo("ほかにもあります。")
