"""What orders are found by, in the form of domain/text.py; derived, and renewed by the worker.

The grams of these texts stand in `order_grams`, which is FTS5 on SQLite and no table of SQLAlchemy's
(services/order_search/index.py).
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from sgpshop.models.base import Base


class OrderText(Base):
    """One order's words by field, each on a line between line breaks, so no hit runs over two."""

    __tablename__ = "order_texts"
    __table_args__ = {"info": {"is_derived": True}}

    order_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    #: by it the newest come first, and the grams are found
    sort_key: Mapped[int] = mapped_column(sa.BigInteger, index=True, unique=True)
    buyer: Mapped[str] = mapped_column(sa.Text)
    tel: Mapped[str] = mapped_column(sa.Text)
    email: Mapped[str] = mapped_column(sa.Text)
    number: Mapped[str] = mapped_column(sa.Text)
    member: Mapped[str] = mapped_column(sa.Text)
    recipient: Mapped[str] = mapped_column(sa.Text)
    slip: Mapped[str] = mapped_column(sa.Text)
    item: Mapped[str] = mapped_column(sa.Text)


class OrderTextDue(Base):
    """An order whose text is older than the order, noted by triggers in the writing transaction."""

    __tablename__ = "order_texts_due"
    __table_args__ = {"info": {"is_derived": True}}

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(index=True)
