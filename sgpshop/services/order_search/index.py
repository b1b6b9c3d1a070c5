"""The index of two signs: which orders hold a word, in which fields, the newest first.

An order whose text is being renewed (`OrderTextDue`) is asked itself; those are few, so what anybody
finds is true at once.  A gram is a token of letters and digits, which FTS5 and PostgreSQL's arrays take
alike.  Digits are in every order, any two of them in a third of all: of digits three and four are grams, no
two, and the last four of a number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from itertools import pairwise
from operator import add
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.operators import in_op

from sgpshop.extensions import db
from sgpshop.models import Delivery, Order, OrderLine, OrderText, OrderTextDue
from sgpshop.storage.database import ANEW
from sgpshop.storage.questions import Question, answer, once
from sgpshop.storage.rows import Statement
from sgpshop.storage.rows import read as rows_of

Condition = sa.ColumnElement[bool]
#: What a key is compared with by LIKE: written into a statement, or given when that is asked.
Pattern = sa.BindParameter[str]
_ESCAPE, _SPECIAL = "/", re.compile("[/%_]")

#: SQLite has a table of FTS5 of this name, PostgreSQL one with an array; `rowid` is `OrderText.sort_key`.
GRAMS = sa.table(
    "order_grams", sa.column("rowid", sa.BigInteger), sa.column("grams", sa.ARRAY(sa.Text))
)

#: What somebody remembers of a number: its end, or at least so much of it.
LAST = 4
_GRAM = 2
#: More of a long word make nothing narrower: what is found is compared with the whole of it.
_MOST_GRAMS = 16
#: Signs of the names of things that are kept with what follows from them.
_LONGEST_KEPT = 300
_DIGITS = re.compile(r"[0-9]{3,}")
#: So many of them, one after the other, are a gram.
_DIGITS_OF_GRAMS = (3, 4)
#: More orders that hold a word are not counted.
MOST_COUNTED = 1_000
#: Bits of the sort key below the second: the order's id.
_ID_BITS = 28
MOST_KEY = 2**63 - 1
_DUE = sa.select(OrderTextDue.order_id)
#: PostgreSQL's "has all of these".  By a plan made for a word in thousands of orders another is looked for in all.
_HAS = f"@> {ANEW}"
_ID_OF_ROW = GRAMS.c.rowid.bitwise_and(sa.literal_column(str((1 << _ID_BITS) - 1), sa.BigInteger))
_NO_MOMENT = sa.type_coerce(sa.null(), Order.ordered_at.type)


class Where(Enum):
    """Where in a field a key is looked for: its patterns in a text of the index, and in a column."""

    ANYWHERE = "%{}%", "%{}%"
    AT_END = "%{}\n%", "%{}"
    WHOLE = "%\n{}\n%", "{}"

    def patterns(self, key: str) -> list[str]:
        """What `_like` compares a text of the index with, and a column of the order itself."""
        escaped = _SPECIAL.sub(rf"{_ESCAPE}\g<0>", key)
        return [pattern.format(escaped) for pattern in self.value]


class Key(NamedTuple):
    """One key as a statement asks for it; `in_text` None: whoever has its grams has all of it."""

    in_text: Pattern | None
    in_order: Pattern


def _like(column: Any, pattern: Pattern) -> Condition:
    found: Condition = column.like(pattern, escape=_ESCAPE)
    return found


@dataclass(frozen=True)
class Field:
    """A field of the index, and the condition on `Order` that asks the order itself for a key."""

    text: InstrumentedAttribute[str]
    of_order: Callable[[Pattern], Condition]
    #: somebody may know no more than its end
    has_end: bool = False


def exists(*conditions: sa.ColumnExpressionArgument[bool]) -> Condition:
    """EXISTS beside `Order`, which alone is taken from outside: the list joins some tables itself."""
    return sa.exists().where(*conditions).correlate(Order)


def _of(column: Any) -> Callable[[Pattern], Condition]:
    return lambda pattern: _like(column, pattern)


def _of_rows(model: Any, *columns: Any) -> Callable[[Pattern], Condition]:
    return lambda pattern: exists(
        model.order_id == Order.id, sa.or_(*(_like(column, pattern) for column in columns))
    )


def _plain(column: Any) -> sa.Function[str]:
    return sa.func.replace(sa.func.lower(column), "-", "")


BUYER = Field(OrderText.buyer, _of(Order.buyer_search))
TEL = Field(OrderText.tel, _of(Order.tel_search), has_end=True)
EMAIL = Field(OrderText.email, _of(_plain(Order.buyer_email)))
NUMBER = Field(OrderText.number, _of(_plain(Order.order_no)), has_end=True)
MEMBER = Field(OrderText.member, _of(_plain(Order.member_id)))
RECIPIENT = Field(OrderText.recipient, _of_rows(Delivery, Delivery.name_search))
SLIP = Field(
    OrderText.slip, _of_rows(Delivery, Delivery.slip_no, Delivery.more_slips), has_end=True
)
ITEM = Field(OrderText.item, _of_rows(OrderLine, OrderLine.item_search))
ALL = (BUYER, TEL, EMAIL, NUMBER, MEMBER, RECIPIENT, SLIP, ITEM)


def sort_key(ordered_at: datetime, order_id: int) -> int:
    """What the order's text is sorted by: the second it was ordered in, then its id."""
    seconds = int((ordered_at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    return max(0, seconds) << _ID_BITS | order_id


def holds(keys: Sequence[str], fields: Sequence[Field] = ALL) -> Condition:
    """The condition on `Order` that each of `keys` (domain/text.py) is in one of `fields`."""
    if not keys or not all(keys):
        return sa.false()
    where = Where.ANYWHERE
    written = [Key(*map(sa.literal, where.patterns(key))) for key in keys]
    if len(fields) == len(ALL):
        written = [
            one._replace(in_text=None) if _is_gram(key) else one
            for one, key in zip(written, keys, strict=True)
        ]
    grams = _grams_of(keys, where)
    narrowed = sa.literal(_given(grams), _GRAMS) if grams else None
    known = _indexed(written, fields, narrowed)
    ids = known.with_only_columns(known.selected_columns[1])
    return Order.id.in_(sa.union_all(ids, _being_renewed(written, fields)))


class _Form(NamedTuple):
    """What decides a statement of `newest` or `number_of`; keys, place and number are given to it."""

    where: Where
    #: of each key whether its grams say all of it
    is_gram: tuple[bool, ...]
    has_grams: bool
    has_start: bool
    descending: bool
    is_sqlite: bool
    #: few orders hold them, of which PostgreSQL would not know
    is_few: bool = False


def newest(
    keys: Sequence[str],
    beside: Sequence[Condition] = (),
    *,
    most: int,
    beyond: int | None = None,
    descending: bool = True,
    where: Where = Where.ANYWHERE,
) -> list[tuple[int, int]]:
    """Sort key and id of the first `most` orders that hold all `keys` and meet `beside`.

    They come newest first, or oldest first, after the sort key `beyond`; no more are read than that
    many and those that `beside` refuses.  Whole numbers and their ends are
    looked for in fields that have any.
    """
    if not keys or not all(keys):
        return []
    form, values = _asked_for(keys, where, most, beyond=beyond, descending=descending)
    if not form.is_sqlite and all(form.is_gram):
        # Its planner takes any such word that is not among the most common for one in two hundred, and would look
        # for the few orders of a rare one among all of them, by date.
        form = form._replace(is_few=number(keys) < MOST_COUNTED)
    found = []
    for place, order_id, ordered_at in rows_of(_first(form, beside), values):
        if ordered_at is not None:
            place = sort_key(ordered_at, order_id)
        if beyond is None or (place < beyond if descending else place > beyond):
            found.append((place, order_id))
    return sorted(found, reverse=descending)[:most]


def number(keys: Sequence[str], beside: Sequence[Condition] = ()) -> int:
    """How many orders hold all `keys` and meet `beside`, counted up to MOST_COUNTED; without `beside` asked once."""
    if beside:
        return answer(number_of(keys, beside))
    return once((number, *keys), lambda: answer(number_of(keys)))


def number_of(keys: Sequence[str], beside: Sequence[Condition] = ()) -> Question[int]:
    """The same, to be asked with other things; on PostgreSQL by itself."""
    if not keys or not all(keys):
        return Question(sa.select(sa.literal(0)), lambda _row: 0)
    form, values = _asked_for(keys, Where.ANYWHERE, MOST_COUNTED)
    counted = _counted(form, beside) if beside else _kept_counted(form)
    # There what is asked with it would be planned anew as well, with each word.
    is_alone = bool(beside) or not form.is_sqlite
    return Question(counted, lambda row: min(int(row[0]), MOST_COUNTED), values, is_alone)


def _asked_for(
    keys: Sequence[str],
    where: Where,
    most: int,
    *,
    beyond: int | None = None,
    descending: bool = True,
) -> tuple[_Form, dict[str, Any]]:
    """The statement that looks for `keys`, and what it is given."""
    grams = _grams_of(keys, where)
    is_gram = tuple(where is Where.ANYWHERE and _is_gram(key) for key in keys)
    form = _Form(where, is_gram, bool(grams), beyond is not None, descending, _is_sqlite())
    values: dict[str, Any] = {"most": most}
    for number, key in enumerate(keys):
        values[f"text_{number}"], values[f"order_{number}"] = where.patterns(key)
    if grams:
        values["grams"] = _given(grams)
    if beyond is not None:
        values["beyond"] = beyond
    return form, values


def _first(form: _Form, beside: Sequence[Condition]) -> sa.CompoundSelect[*tuple[Any, ...]]:
    return _made_first(form, beside) if beside else _kept_first(form)


def _made_first(
    form: _Form, beside: Sequence[Condition] = (), *, is_any: bool = False
) -> sa.CompoundSelect[*tuple[Any, ...]]:
    """Sort key and id of what the index knows; id and moment of those whose text is being renewed.

    `is_any`: of whichever that many, in no order, for which PostgreSQL does not look at all there are.
    """
    fields = [field for field in ALL if field.has_end or form.where is Where.ANYWHERE]
    keys = [
        Key(
            None if is_gram else sa.bindparam(f"text_{number}", type_=sa.String),
            sa.bindparam(f"order_{number}", type_=sa.String),
        )
        for number, is_gram in enumerate(form.is_gram)
    ]
    grams = sa.bindparam("grams", type_=_GRAMS) if form.has_grams else None
    statement = _indexed(keys, fields, grams)
    if beside:
        statement = statement.join(Order, Order.id == statement.selected_columns[1])
        statement = statement.where(*map(_looked_into, beside))
    # FTS5 goes through its hits by the rowid alone, so that is what they are sorted by.
    key = GRAMS.c.rowid if form.has_grams else OrderText.sort_key.expression
    if form.has_start:
        start = sa.bindparam("beyond", type_=sa.BigInteger)
        statement = statement.where(key < start if form.descending else key > start)
    if not is_any:
        # What is computed no index is sorted by: then PostgreSQL goes through what holds them.
        by = key + 0 if form.is_few else key
        statement = statement.order_by(by.desc() if form.descending else by)
    statement = statement.limit(sa.bindparam("most", type_=sa.Integer))
    fresh = _being_renewed(keys, fields).add_columns(Order.ordered_at).where(*beside)
    return sa.union_all(
        sa.select(statement.subquery(), _NO_MOMENT), sa.select(sa.null(), *fresh.subquery().c)
    )


def _counted(form: _Form, beside: Sequence[Condition] = ()) -> sa.Select[int]:
    found = _made_first(form, beside, is_any=True)
    return sa.select(sa.func.count()).select_from(found.subquery())


#: With nothing beside the words it is the same statement for whoever types any: making one takes longer
#: than asking it.
_kept_first, _kept_counted = lru_cache(maxsize=64)(_made_first), lru_cache(maxsize=16)(_counted)


def _looked_into(condition: Condition) -> Condition:
    """The same condition; a list of ids is only looked into.

    SQLite would find each order by going through the list, which is the square of what holds both words.
    """
    is_list = isinstance(condition, sa.BinaryExpression) and condition.operator is in_op
    if is_list and isinstance(condition.left.type, sa.Integer):
        return sa.BinaryExpression(condition.left + 0, condition.right, in_op)
    return condition


def _indexed(
    keys: Sequence[Key], fields: Sequence[Field], grams: sa.BindParameter[Any] | None
) -> sa.Select[*tuple[Any, ...]]:
    """Sort key and id of the orders that have all `keys` by their texts."""
    if grams is not None and _say_all(keys):
        # No text has to be looked up, which took PostgreSQL most of the time.
        by_grams = sa.select(GRAMS.c.rowid, _ID_OF_ROW).where(_have(grams))
        return by_grams.where(_ID_OF_ROW.not_in(_DUE)).correlate(None)
    statement = sa.select(OrderText.sort_key, OrderText.order_id)
    statement = statement.where(OrderText.order_id.not_in(_DUE))
    if grams is not None:
        statement = statement.join(GRAMS, GRAMS.c.rowid == OrderText.sort_key)
        statement = statement.where(_have(grams))
    for key in keys:
        if key.in_text is not None:
            in_any = (_like(field.text, key.in_text) for field in fields)
            statement = statement.where(sa.or_(*in_any))
    return statement.correlate(None)


def _say_all(keys: Sequence[Key]) -> bool:
    """Whether whoever has the grams of these keys has the keys."""
    return all(key.in_text is None for key in keys)


def _being_renewed(keys: Sequence[Key], fields: Sequence[Field]) -> sa.Select[*tuple[Any, ...]]:
    each = (sa.or_(*(field.of_order(key.in_order) for field in fields)) for key in keys)
    return sa.select(Order.id).where(Order.id.in_(_DUE), *each).correlate(None)


# ---- grams ----------------------------------------------------------------------------------------


def tokens_of(fields: Iterable[tuple[Field, str]]) -> set[str]:
    """The grams of an order's texts."""
    tokens: set[str] = set()
    for field, text in fields:
        if field is ITEM and is_short([text]):
            tokens.update(_tokens_again(text).split())
        elif text:
            _add_tokens(tokens, text, field.has_end)
    return tokens - _TWO_DIGITS


def is_short(texts: Iterable[str | None]) -> bool:
    """Whether it is worth keeping what follows from these: a few things are in many orders, a long list in one.

    The grams of a list take a hundred times its length.
    """
    return sum(len(text) for text in texts if text) <= _LONGEST_KEPT


def _add_tokens(tokens: set[str], text: str, has_end: bool) -> None:
    for run in _DIGITS.findall(text):
        threes = [*map(add, map(add, run, run[1:]), run[2:])]
        tokens.update(map(_ascii_token, threes))
        tokens.update(map(_ascii_token, map(add, threes, run[3:])))
    for line in text.split("\n"):
        if not line.isascii():
            tokens.update(map(_token, pairwise(map(_code, line))))
        elif not line.isdigit():  # two of them are no gram
            tokens.update(map(_ascii_token, map(add, line, line[1:])))
        if has_end and len(line) >= LAST:
            tokens.add(_token(map(_code, line[-LAST:])))


#: The same things are in many orders.
@lru_cache(maxsize=1_000)
def _tokens_again(text: str) -> str:
    """As one text, which takes an eighth of the memory of a set."""
    tokens: set[str] = set()
    _add_tokens(tokens, text, ITEM.has_end)
    return " ".join(tokens)


def asked(key: str, *, at_end: bool = False) -> Iterator[str]:
    """Grams that an order with `key` in one of its texts must have, the narrowest first; of two digits none."""
    codes = [*map(_code, key)]
    if at_end and len(codes) >= LAST:
        yield _token(codes[-LAST:])
    runs = [match.span() for match in _DIGITS.finditer(key)]
    for begin, end in runs:
        # As few as have each digit: what a phone begins with is in half of all orders, and each more is gone through.
        number = min(end - begin, max(_DIGITS_OF_GRAMS))
        for at in (*range(begin, end - number, number), end - number):
            yield _token(codes[at : at + number])
    for two in map(_token, pairwise(codes)):
        if two not in _TWO_DIGITS:
            yield two


def _is_gram(key: str) -> bool:
    """Whether an order with the gram of `key` has all of it."""
    if _DIGITS.fullmatch(key):
        return len(key) in _DIGITS_OF_GRAMS
    return len(key) == _GRAM and any(asked(key))


#: A gram, given by the codes of its signs.
_token = "x".join


@lru_cache(maxsize=10_000)
def _code(sign: str) -> str:
    return f"{ord(sign):x}"


_TWO_DIGITS = frozenset(_token(map(_code, f"{number:02d}")) for number in range(100))


class _AsciiTokens(dict[str, str]):
    """Two signs of ASCII, or three or four digits, as a gram: some ten thousand."""

    def __missing__(self, signs: str) -> str:
        made = self[signs] = _token(map(_code, signs))
        return made


_ascii_token = _AsciiTokens().__getitem__


def _grams_of(keys: Sequence[str], where: Where) -> list[str]:
    tokens = [token for key in keys for token in asked(key, at_end=where is not Where.ANYWHERE)]
    return list(dict.fromkeys(tokens[:_MOST_GRAMS]))


def has_grams(tokens: Iterable[str]) -> Condition:
    """The condition on `GRAMS` that a row has all `tokens`."""
    return _have(sa.literal(_given(tokens), _GRAMS))


#: Grams that are asked for: words of FTS5, or an array.
_GRAMS = sa.Text().with_variant(sa.ARRAY(sa.Text), "postgresql")


def _given(tokens: Iterable[str]) -> str | list[str]:
    return " ".join(tokens) if _is_sqlite() else list(tokens)


def _have(grams: sa.BindParameter[Any]) -> Condition:
    if _is_sqlite():
        matches: Condition = sa.literal_column("order_grams").op("MATCH")(grams)
        return matches
    return GRAMS.c.grams.bool_op(_HAS)(grams)


def inserts_of(dialect: sa.Dialect, rows: Iterable[tuple[int, set[str]]]) -> Iterator[Statement]:
    """What indexes the grams of texts by their sort keys, under which there are none."""
    if dialect.name == "sqlite":
        text = "INSERT INTO order_grams (rowid, grams) VALUES (?, ?)"
        yield Statement(text, [(key, " ".join(tokens)) for key, tokens in rows])
        return
    text = (
        "INSERT INTO order_grams (rowid, grams) VALUES (%s, %s)"
        " ON CONFLICT (rowid) DO UPDATE SET grams = excluded.grams"
    )
    yield Statement(text, [(key, sorted(tokens)) for key, tokens in rows])
    # Each row only lays its grams aside, where every search would look through them (migration 0082).
    yield Statement("SELECT gin_clean_pending_list('ix_order_grams_grams')", ())


def take_out(session: Session, rows: Iterable[tuple[int, set[str]]]) -> None:
    """Forget the grams of these sort keys; FTS5 has to be told which they were."""
    if _is_sqlite():
        told = "INSERT INTO order_grams (order_grams, rowid, grams) VALUES ('delete', ?, ?)"
        if values := [(key, " ".join(tokens)) for key, tokens in rows]:
            session.connection().exec_driver_sql(told, values)
    elif keys := [{"key": key} for key, _ in rows]:
        session.execute(sa.text("DELETE FROM order_grams WHERE rowid = :key"), keys)


def empty(session: Session) -> None:
    """Forget all grams."""
    statement = "DELETE FROM order_grams"
    if _is_sqlite():
        statement = "INSERT INTO order_grams (order_grams) VALUES ('delete-all')"
    session.execute(sa.text(statement))


#: So many pieces of FTS5 of one size are merged a little with each text that is written; 0: none are.
_MERGED, _LEFT = 4, 0


@contextmanager
def merged_later(connection: sa.Connection) -> Iterator[None]:
    """Let FTS5 merge what is put in within only where sixteen pieces of one size lie there.

    Of a million texts the merging took longer than their grams.  Within an open write transaction:
    whoever is killed before its end leaves FTS5 as it was.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    told = "INSERT INTO order_grams (order_grams, rank) VALUES ('automerge', ?)"
    connection.exec_driver_sql(told, (_LEFT,))
    yield
    with connection.begin_nested():  # before that FTS5 writes down what it holds, and would merge
        connection.exec_driver_sql(told, (_MERGED,))


def _is_sqlite() -> bool:
    return db.engine.dialect.name == "sqlite"
