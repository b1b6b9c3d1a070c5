"""送り状ファイル: chosen orders as files from which carriers' programs print labels."""

from sgpshop.services.deliveries.labels.files import LabelFile, SettingsMissing, made, named
from sgpshop.services.deliveries.labels.job import Cool, LabelJob
from sgpshop.services.deliveries.labels.layouts import LAYOUTS
