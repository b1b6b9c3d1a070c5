"""送り状ファイル: chosen orders as files from which carriers' programs print labels."""

from sgpshop.services.labels.files import (
    LabelFile,
    Problem,
    SettingsMissing,
    made,
    named,
)
from sgpshop.services.labels.job import Cool, LabelJob
from sgpshop.services.labels.layouts import LAYOUTS

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
