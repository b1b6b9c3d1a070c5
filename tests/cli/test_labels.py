"""export-labels: chosen orders, or all that are to go out, for a carrier's program (interfaces.md §2)."""

from __future__ import annotations

from pathlib import Path

from click.testing import Result
from flask import Flask

from sgpshop.cli import commands
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.services import settings
from tests.factories import make_order
from tests.services.deliveries.test_labels import SENDER, people


def run(app: Flask, *arguments: object) -> Result:
    return app.test_cli_runner().invoke(commands, ["export-labels", *map(str, arguments)])


def test_all_that_are_to_go_out(app: Flask, tmp_path: Path) -> None:
    with app.app_context():
        settings.save("山田", **SENDER)
        people(101)
        make_order(status=PaymentStatus.NEEDS_REVIEW)
        make_order(status=PaymentStatus.CANCELLED)
    result = run(app, "--layout", "b2cloud", tmp_path / "out.csv")
    assert result.exit_code == 0, result.output
    assert "3件の注文、3枚の送り状を" in result.stdout
    assert len((tmp_path / "out.csv").read_bytes().splitlines()) == 4


def test_chosen_orders_and_one_that_is_not_there(app: Flask, tmp_path: Path) -> None:
    with app.app_context():
        settings.save("山田", **SENDER)
        first = people(101)[0].order_no
    result = run(app, "--layout", "ehiden3", tmp_path / "out.csv", first, "P9")
    assert result.exit_code == 1
    assert "P9: この注文番号の注文はありません" in result.stderr
    assert "1件の注文、1枚の送り状を" in result.stdout


def test_settings_that_lack_something(app: Flask, tmp_path: Path) -> None:
    result = run(app, "--layout", "yupri-r", tmp_path / "out.csv")
    assert result.exit_code == 2
    assert "送り状の設定が足りません" in result.stderr
    assert not (tmp_path / "out.csv").exists()
