"""The files of a run between preview and end: compressed and sealed in the database, then deleted (S10, S17).

So the preview and 取り込む are about the same bytes, and work that broke off goes on from them.
"""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Sequence
from datetime import timedelta
from typing import BinaryIO

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.models import ImportFile, ImportRun, utc_now
from sgpshop.storage import vault
from sgpshop.storage.database import read_alone, writing

#: A preview that nobody carried out is forgotten, its file with it.
_KEPT = timedelta(hours=24)
#: previews of one person: the database holds their files
MOST = 5


def keep(session: Session, run_id: str, contents: Sequence[bytes]) -> None:
    """Store the files of a run, in their order."""
    for content in contents:
        text = base64.b64encode(zlib.compress(content)).decode()
        session.add(ImportFile(run_id=run_id, content_sealed=vault.seal(text, context_of(run_id))))


def make_room(session: Session, actor: str) -> None:
    """Let the newest MOST previews of this person stay, the others be forgotten."""
    theirs = sa.select(ImportRun.id).where(
        ImportRun.actor == actor, ImportRun.started_at.is_(None), ImportRun.refused == ""
    )
    older = theirs.order_by(ImportRun.created_at.desc(), ImportRun.id).offset(MOST)
    # One that is just being started is no preview any more.
    ids = session.scalars(older.with_for_update(skip_locked=True)).all()
    session.execute(sa.delete(ImportFile).where(ImportFile.run_id.in_(ids)))
    session.execute(sa.delete(ImportRun).where(ImportRun.id.in_(ids)))


def files(run_id: str) -> list[BinaryIO]:
    """The files of a run; none when it ended.  Raises SealBroken when our key changed meanwhile."""
    query = sa.select(ImportFile.content_sealed).where(ImportFile.run_id == run_id)
    sealed = read_alone(query.order_by(ImportFile.id))
    texts = [vault.unseal(text, context_of(run_id)) for text in sealed]
    return [io.BytesIO(zlib.decompress(base64.b64decode(text))) for text in texts]


def forget(session: Session, run_id: str) -> None:
    """Delete the files of a run that ended."""
    session.execute(sa.delete(ImportFile).where(ImportFile.run_id == run_id))


def tidy() -> None:
    """Forget previews that nobody carried out, and files that could not be taken in to their end."""
    is_old = ImportRun.created_at < utc_now() - _KEPT
    is_over = sa.func.coalesce(ImportRun.started_at, ImportRun.created_at) < utc_now() - _KEPT
    old = sa.select(ImportRun.id).where(is_over)
    with writing() as session:
        session.execute(sa.delete(ImportFile).where(ImportFile.run_id.in_(old)))
        session.execute(
            sa.delete(ImportRun).where(
                is_old, ImportRun.started_at.is_(None), ImportRun.refused == ""
            )
        )


def context_of(run_id: str) -> str:
    """What the files of a run are bound to."""
    return f"import_file:{run_id}"
