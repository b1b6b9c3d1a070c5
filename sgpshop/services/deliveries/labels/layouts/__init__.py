"""The carriers' programs we write for, one module each.  A new one: a module, and its line here."""

from __future__ import annotations

from sgpshop.services.deliveries.labels.layouts import (
    b2cloud,
    clickpost,
    ehiden3,
    yupri_cloud,
    yupri_r,
)

__all__ = ["LAYOUTS"]

LAYOUTS = {
    layout.word: layout
    for layout in (
        b2cloud.LAYOUT,
        ehiden3.LAYOUT,
        yupri_r.LAYOUT,
        yupri_cloud.LAYOUT,
        clickpost.LAYOUT,
    )
}
