"""Monthly files as earlier versions left them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from sgpshop.extensions import db
from sgpshop.gateway import MonthlyLine, monthly_file
from sgpshop.models import BillingFile, CardTransaction
from sgpshop.services.payments import filed_numbers
from sgpshop.storage import schema
from tests.conftest import make_app
from tests.old_database import insert, upgrade_to

pytestmark = pytest.mark.long

THEN, LATER = (datetime(2026, 12, day, tzinfo=UTC) for day in (10, 11))


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_file_that_was_being_sent_when_its_process_was_killed_may_have_got_there(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    url: dict[str, Any] = {}
    if kind == "postgresql":
        url["DATABASE_URL"] = request.getfixturevalue("postgresql").new_database()
    with make_app(tmp_path, **url).app_context():
        upgrade_to("0018")
        insert(
            "billing_files",
            *(
                {"id": number, "window": date(2026, 12, 1), "content": "x", "lines": 1, "yen": 1,
                 "state": state, "tries": tries, "is_doubtful": False, "refused": {}}
                for number, state, tries in (
                    (1, "prepared", 0), (2, "prepared", 1), (3, "closed", 1)
                )
            ),
        )  # fmt: skip
        schema.migrate()
        wanted = sa.select(BillingFile.id).where(BillingFile.is_doubtful)
        assert list(db.session.scalars(wanted)) == [2]
        db.session.remove()
        db.engine.dispose()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_numbers_in_them_are_found(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    url: dict[str, Any] = {}
    if kind == "postgresql":
        url["DATABASE_URL"] = request.getfixturevalue("postgresql").new_database()
    with make_app(tmp_path, **url).app_context():
        upgrade_to("0022")
        lines = [MonthlyLine(f"A-{n}", "M", 0, 100, date(2026, 12, 10)) for n in (1, 2)]
        content = monthly_file.render("tshop00000001", "202612", lines).decode("ascii")
        insert(
            "billing_files",
            *(
                {"id": number, "window": date(2026, 12, 1), "content": text, "lines": 2, "yen": 200,
                 "state": "prepared", "tries": 1, "is_doubtful": True, "refused": {}}
                for number, text in ((1, content), (2, ""))
            ),
        )  # fmt: skip
        schema.migrate()
        found = [filed_numbers.filed(db.session(), number) for number in ("A-1", "A-2", "A-3")]
        assert [one and one.file_id for one in found] == [1, 1, None]
        db.session.remove()
        db.engine.dispose()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_codes_of_a_refused_file_stay_and_a_word_is_no_code(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    url: dict[str, Any] = {}
    if kind == "postgresql":
        url["DATABASE_URL"] = request.getfixturevalue("postgresql").new_database()
    with make_app(tmp_path, **url).app_context():
        upgrade_to("0021")
        insert(
            "billing_files",
            *(
                {"id": number, "window": date(2026, 12, 1), "content": "x", "lines": 1, "yen": 1,
                 "state": "refused", "reason": reason, "refused": {}}
                for number, reason in (
                    (1, "E01030002、E01210002"), (2, "FILE_WINDOW_CLOSED"), (3, "read_timeout"), (4, "")
                )
            ),
        )  # fmt: skip
        schema.migrate()
        wanted = sa.select(BillingFile.error_codes).order_by(BillingFile.id)
        codes = ["E01030002|E01210002", "FILE_WINDOW_CLOSED", "", ""]
        assert list(db.session.scalars(wanted)) == codes
        db.session.remove()
        db.engine.dispose()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_a_call_had_seen_before_it_paid_may_have_been_entered_by_it(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    """Nobody wrote down then who entered a number: since when, not whether."""
    url: dict[str, Any] = {}
    if kind == "postgresql":
        url["DATABASE_URL"] = request.getfixturevalue("postgresql").new_database()
    with make_app(tmp_path, **url).app_context():
        upgrade_to("0029")
        insert(
            "orders",
            {
                "id": 1,
                "order_no": "A",
                "payment_status": "awaiting_billing",
                "tax_rounding": "down",
            },
        )
        insert(
            "card_transactions",
            *(
                {"id": n, "order_id": 1, "sequence": n, "gateway_order_id": f"A-{n}",
                 "is_current": n == 1, "is_charge": n < 3}
                for n in (1, 2, 3)
            ),
        )  # fmt: skip
        insert(
            "attempts",
            *(
                {"order_id": 1, "transaction_id": n, "operation": "bill", "state": "rejected",
                 "amount": 100, "choices": {}, "state_seen": seen, "created_at": at}
                for n, seen, at in (
                    (1, "", THEN), (1, "UNPROCESSED", LATER), (2, "", THEN), (3, "CHECK", THEN)
                )
            ),
        )  # fmt: skip
        schema.migrate()
        wanted = sa.select(CardTransaction.entry_sent_at).order_by(CardTransaction.id)
        assert list(db.session.scalars(wanted)) == [LATER, None, None]
        db.session.remove()
        db.engine.dispose()
