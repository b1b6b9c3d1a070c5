"""The accounting programs we write for, one module each.  A new one: a module, and its line here."""

from __future__ import annotations

from sgpshop.services.journals.layouts import freee, mf, yayoi
from sgpshop.services.journals.layouts.layout import JournalLayout

__all__ = ["LAYOUTS", "JournalLayout"]

LAYOUTS = {layout.word: layout for layout in (freee.LAYOUT, mf.LAYOUT, yayoi.LAYOUT)}
