"""What a look-up of a doubtful operation showed: sentences of earlier versions become data."""

from __future__ import annotations

from pathlib import Path

import pytest

from sgpshop.extensions import db
from sgpshop.models import Attempt
from sgpshop.models.attempt import LookResult
from sgpshop.services import installation
from sgpshop.services.payments.attempt_lookup import describe_look
from tests.conftest import make_app
from tests.old_database import insert, upgrade_to

pytestmark = pytest.mark.long

#: as version 0017 wrote them, and what they are now
WRITTEN = {
    "": (None, "", None),
    "照会できませんでした(read_timeout)": (LookResult.UNANSWERED, "read_timeout", None),
    "取引なし": (LookResult.NOT_THERE, "", None),
    "実売上 12,000円": (LookResult.DIFFERS, "SALES", 12_000),
    "未決済(3D登録済) 0円": (LookResult.DIFFERS, "AUTHENTICATED", 0),
    "REVERSED 500円": (LookResult.DIFFERS, "REVERSED", 500),
}


def test_what_was_written_before_stays_and_reads_the_same(
    request: pytest.FixtureRequest, tmp_path: Path, database_kind: str
) -> None:
    url: dict[str, str] = {}
    if database_kind == "postgresql":
        url["DATABASE_URL"] = request.getfixturevalue("postgresql").new_database()
    app = make_app(tmp_path, **url)
    with app.app_context():
        upgrade_to("0017")
        for number, found in enumerate(WRITTEN, start=1):
            insert(
                "orders",
                {
                    "id": number,
                    "order_no": f"P{number}",
                    "payment_status": "needs_review",
                    "tax_rounding": "down",
                },
            )
            insert(
                "card_transactions",
                {"id": number, "order_id": number, "gateway_order_id": f"P{number}"},
            )
            insert(
                "attempts",
                {
                    "order_id": number,
                    "transaction_id": number,
                    "operation": "capture",
                    "state": "unknown",
                    "found": found,
                    "choices": {},
                },
            )
        installation.migrate()
        attempts = db.session.query(Attempt).order_by(Attempt.id).all()
        now = [(one.look_result, one.look_word, one.look_amount) for one in attempts]
        assert now == list(WRITTEN.values())
        unanswered = {"照会できませんでした(read_timeout)": "時間内に返事がありませんでした"}
        assert [describe_look(one) for one in attempts] == [
            unanswered.get(words, words) for words in WRITTEN
        ]
        db.session.remove()
        db.engine.dispose()
