"""The embedded real data set: two years of hourly traffic on the interstate I-94 (CC BY 4.0).

The file is a gzip-packed CSV that carries its own attribution; `bench/embed_i94_traffic.py` makes it from its
source.
"""

from __future__ import annotations

import csv
import gzip
from importlib import resources
from typing import Any

import numpy as np

from rnnfast.data.time_table import TimeTable

I94_ATTRIBUTION = (
    "Data: Metro Interstate Traffic Volume, John Hogue (2019), UCI Machine Learning Repository, "
    "https://doi.org/10.24432/C5X60B, CC BY 4.0; the hours 2016-10-01 to 2018-09-30, values unchanged."
)
I94_START = np.datetime64("2016-10-01T00:00:00", "s")


def load_i94_traffic() -> TimeTable:
    """Hourly westbound traffic on I-94 at Minneapolis-St Paul, with the weather: 17,520 hours, 104 missing.

    Returns:
        TimeTable of `traffic_volume` (vehicles/h), `temp` (K), `rain_1h` and `snow_1h` (mm), `clouds_all` (%)
        and one 0/1 column per weather state (`weather_clear`, `weather_rain`, …); NaN in every column of a
        missing hour. `attribution` is the line that CC BY 4.0 asks to be shown.

    Example:
        >>> table = load_i94_traffic()
        >>> len(table), int(np.isnan(table["traffic_volume"]).sum())
        (17520, 104)

    Reference: UCI Machine Learning Repository, doi:10.24432/C5X60B.
    """
    packed = (resources.files("rnnfast.data") / "i94_traffic.csv.gz").read_bytes()
    lines = gzip.decompress(packed).decode("utf-8").splitlines()
    reader = csv.reader(line for line in lines if not line.startswith("#"))
    header = next(reader)
    rows: list[list[str]] = list(reader)
    text: np.ndarray[Any, np.dtype[np.str_]] = np.array(rows)
    columns: dict[str, np.ndarray[Any, np.dtype[np.float64]]] = {}
    for name in ("traffic_volume", "temp", "rain_1h", "snow_1h", "clouds_all"):
        cells = text[:, header.index(name)]
        columns[name] = np.where(cells == "", "nan", cells).astype(np.float64)
    weather = text[:, header.index("weather_main")]
    for state in sorted(set(weather) - {""}):
        columns[f"weather_{state.lower()}"] = np.where(weather == "", np.nan, weather == state)
    time = I94_START + np.arange(len(rows)) * np.timedelta64(3600, "s")
    return TimeTable(time, columns, name="I-94 traffic", attribution=I94_ATTRIBUTION)


def data_card(name: str = "i94_traffic") -> str:
    """The data card (Markdown) of an embedded data set: origin, licence, columns, what is missing.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> "CC BY 4.0" in data_card()
        True
    """
    if name != "i94_traffic":
        raise ValueError(f'data_card: name must be "i94_traffic", got {name!r}')
    return (resources.files("rnnfast.data") / f"{name}.md").read_text(encoding="utf-8")
