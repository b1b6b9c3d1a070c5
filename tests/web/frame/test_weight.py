"""How much style and script of our own a browser has to load, as it is written (htmx apart)."""

from __future__ import annotations

import re
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient

OURS = re.compile(r"/static/([a-z]+\.(?:css|js))[^>]*>")


def test_every_page_loads_forty_kilobytes_at_most(app: Flask, client: FlaskClient) -> None:
    assert app.static_folder is not None
    folder = Path(app.static_folder)
    page = client.get("/login").text
    loaded = {m[1] for m in OURS.finditer(page) if 'media="print"' not in m[0]}
    assert loaded == {"app.css", "app.js"}
    assert sum((folder / name).stat().st_size for name in loaded) <= 40_000


def test_all_screens_and_papers_together(app: Flask) -> None:
    """With what the scanner's grid and the printed papers have of their own."""
    assert app.static_folder is not None
    ours = [
        path
        for path in Path(app.static_folder).iterdir()
        if path.suffix in (".css", ".js") and path.stem.isalpha()
    ]
    assert len(ours) >= 4
    assert sum(path.stat().st_size for path in ours) <= 49_800
