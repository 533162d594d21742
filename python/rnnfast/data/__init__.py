"""Data for sequence models: tables of time, windows, splits, scaling, exact transforms, padding, tasks.

NumPy alone is needed. Nothing here knows models or training, and nothing looks ahead: whatever is computed
for a time step is computed from that step and the ones before it, unless its name says otherwise.
"""

from __future__ import annotations

from rnnfast.data.calendar import (
    CalendarFeatures,
    calendar_features,
    calendar_seasons,
    us_federal_holidays,
)
from rnnfast.data.characters import decode_characters, encode_characters
from rnnfast.data.csv_file import read_csv
from rnnfast.data.datasets import data_card, load_i94_traffic
from rnnfast.data.japanese_vowels import LabelledSequences, read_japanese_vowels, read_ts
from rnnfast.data.missing import fill_from_past
from rnnfast.data.padding import pad, padding_mask, unpad
from rnnfast.data.scaling import Scaler
from rnnfast.data.splits import TimeSplit, time_split
from rnnfast.data.tasks import adding_problem, copy_memory, copy_memory_baseline
from rnnfast.data.tasks_dates import (
    DATE_SOURCE_CHARACTERS,
    DATE_TARGET_CHARACTERS,
    date_strings,
    date_translation,
)
from rnnfast.data.tasks_reber import REBER_CHARACTERS, is_reber, reber_grammar, reber_strings
from rnnfast.data.time_table import TimeTable, from_dataframe
from rnnfast.data.transforms import Trend, difference, integrate, mu_law_decode, mu_law_encode
from rnnfast.data.windows import window_origins, windows

__all__ = [
    "DATE_SOURCE_CHARACTERS",
    "DATE_TARGET_CHARACTERS",
    "REBER_CHARACTERS",
    "CalendarFeatures",
    "LabelledSequences",
    "Scaler",
    "TimeSplit",
    "TimeTable",
    "Trend",
    "adding_problem",
    "calendar_features",
    "calendar_seasons",
    "copy_memory",
    "copy_memory_baseline",
    "data_card",
    "date_strings",
    "date_translation",
    "decode_characters",
    "difference",
    "encode_characters",
    "fill_from_past",
    "from_dataframe",
    "integrate",
    "is_reber",
    "load_i94_traffic",
    "mu_law_decode",
    "mu_law_encode",
    "pad",
    "padding_mask",
    "read_csv",
    "read_japanese_vowels",
    "read_ts",
    "reber_grammar",
    "reber_strings",
    "time_split",
    "unpad",
    "us_federal_holidays",
    "window_origins",
    "windows",
]
