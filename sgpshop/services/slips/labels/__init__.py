"""送り状ファイル: chosen orders as files from which carriers' programs print labels."""

from sgpshop.services.slips.labels.files import (
    LabelFile,
    Problem,
    SettingsMissing,
    made,
    named,
)
from sgpshop.services.slips.labels.job import Cool, LabelJob
from sgpshop.services.slips.labels.layouts import LAYOUTS

__all__ = [
    "LAYOUTS",
    "Cool",
    "LabelFile",
    "LabelJob",
    "Problem",
    "SettingsMissing",
    "made",
    "named",
]
