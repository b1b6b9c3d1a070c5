"""Order files of no known program: a person says once which column is what, and it is remembered."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa

from sgpshop.domain.errors import ShopError
from sgpshop.domain.row_files import heading_key
from sgpshop.extensions import db
from sgpshop.models import ImportMapping
from sgpshop.services.files.layout import Purpose, first, layouts
from sgpshop.services.files.layouts import general
from sgpshop.services.order_files.reading.columns import BY_KEY
from sgpshop.storage.database import writing

#: What a heading that no program we know has may mean, in the order in which they are tried: good enough
#: to be proposed to a person, never to be read by.  Compared by `heading_key`.
_MAY_MEAN = (
    ("buyer_tel", "電話|tel|連絡先"),
    ("buyer_postal_code", "郵便|〒"),
    ("buyer_email", "メール|mail"),
    ("buyer_address", "住所"),
    ("order_no", "(注文|受注|受付|オーダー|order).*(no|番号|コード|id)"),
    ("ordered_at", "(注文|受注|受付|購入|オーダー).*日"),
    ("method", "支払|決済"),
    ("total", "合計|請求|総額|金額"),
    ("unit_price", "単価|価格"),
    ("quantity", "数量|点数|個数|数$"),
    ("item_name", "商品|品目|品名|アイテム"),
    ("buyer_name", "客様|氏名|名前|購入者|注文者|様$"),
    ("note", "備考|メモ|コメント"),
)
#: of the recipient or the parcel: too near to the buyer's own to be proposed for it
_OF_ANOTHER = re.compile("届|配送|送付|発送|受取|送り")


def choices() -> list[tuple[str, str]]:
    """Our fields by key and name, those that every file must have first."""
    columns = sorted(BY_KEY.items(), key=lambda one: not one[1].required)
    return [(key, column.title + ("(必須)" if column.required else "")) for key, column in columns]


def propose(headings: Sequence[str]) -> dict[str, str]:
    """Heading -> field, by the words of all programs we know, then by parts of words; each field once."""
    fields: dict[str, str] = {}
    sources = [*general.COLUMNS.items()]
    for layout in layouts(Purpose.ORDERS):
        sources += layout.columns.items()
    for field, source in sources:
        for name in first(source).headings if isinstance(source, str) else source.headings:
            fields.setdefault(heading_key(name), field)
    found: dict[str, str] = {}
    for heading in headings:
        wanted = fields.get(heading_key(heading))
        if wanted in BY_KEY and wanted not in found.values():
            found[heading] = str(wanted)
    unknown = [one for one in headings if one not in found and not _OF_ANOTHER.search(one)]
    for field, words in _MAY_MEAN:
        meant = next((one for one in unknown if re.search(words, heading_key(one))), None)
        if meant and field not in found.values():
            found[meant] = field
            unknown.remove(meant)
    return found


def checked(headings: Sequence[str], chosen: Mapping[int, str]) -> dict[str, str]:
    """Field -> heading, from the field chosen for each column.  Raises ShopError."""
    picked = {n: field for n, field in chosen.items() if field}
    if any(field not in BY_KEY or not 0 <= n < len(headings) for n, field in picked.items()):
        raise ShopError("画面を開き直してから、もう一度選んでください。")
    twice = [field for field, times in Counter(picked.values()).items() if times > 1]
    if twice:
        titles = "、".join(BY_KEY[field].title for field in twice)
        raise ShopError(f"同じ項目を2つの列に選んでいます: {titles}。どちらか1つにしてください。")
    missing = [c.title for key, c in BY_KEY.items() if c.required and key not in picked.values()]
    if missing:
        raise ShopError(f"必須の項目に列を選んでください: {'、'.join(missing)}。")
    return {field: headings[n] for n, field in picked.items()}


def remembered(headings: Iterable[str]) -> dict[str, str] | None:
    """What was said of files with just these headings, in whatever order; None for nothing."""
    query = sa.select(ImportMapping.columns).where(ImportMapping.headings == _key(headings))
    found = db.session.scalar(query)
    db.session.commit()
    return found


def remember(headings: Iterable[str], columns: Mapping[str, str], actor: str) -> None:
    """この対応を覚える: the next file with these headings is read so without asking."""
    with writing() as session:
        session.merge(
            ImportMapping(headings=_key(headings), columns=dict(columns), updated_by=actor)
        )


def _key(headings: Iterable[str]) -> str:
    keys = sorted(filter(None, map(heading_key, headings)))
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()
