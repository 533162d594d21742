"""Data for sequence models: tables of time, windows, time-ordered splits, scaling, exact transforms, padding.

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
from rnnfast.data.csv_file import read_csv
from rnnfast.data.datasets import data_card, load_i94_traffic
from rnnfast.data.missing import fill_from_past
from rnnfast.data.padding import pad, padding_mask, unpad
from rnnfast.data.scaling import Scaler
from rnnfast.data.splits import TimeSplit, time_split
from rnnfast.data.time_table import TimeTable, from_dataframe
from rnnfast.data.transforms import Trend, difference, integrate, mu_law_decode, mu_law_encode
from rnnfast.data.windows import window_origins, windows

__all__ = [
    "CalendarFeatures",
    "Scaler",
    "TimeSplit",
    "TimeTable",
    "Trend",
    "calendar_features",
    "calendar_seasons",
    "data_card",
    "difference",
    "fill_from_past",
    "from_dataframe",
    "integrate",
    "load_i94_traffic",
    "mu_law_decode",
    "mu_law_encode",
    "pad",
    "padding_mask",
    "read_csv",
    "time_split",
    "unpad",
    "us_federal_holidays",
    "window_origins",
    "windows",
]
