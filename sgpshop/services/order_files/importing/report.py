"""All problems of a run as a CSV file, to be worked off line by line."""

from __future__ import annotations

import csv
import io

import sqlalchemy as sa

from sgpshop.domain.csv_text import csv_guarded
from sgpshop.extensions import db
from sgpshop.models import ImportIssue


def problems_csv(run_id: str) -> str:
    """One line per problem: 行, 注文番号, 区分, 内容; CRLF, formulas made harmless (S18)."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("行", "注文番号", "区分", "内容"))
    for issue in db.session.scalars(
        sa.select(ImportIssue)
        .where(ImportIssue.run_id == run_id)
        .order_by(ImportIssue.line, ImportIssue.id)
        .execution_options(yield_per=1000)
    ):
        number, message = csv_guarded(issue.order_no), csv_guarded(issue.message)
        writer.writerow((issue.line, number, issue.level.label, message))
    return text.getvalue()
