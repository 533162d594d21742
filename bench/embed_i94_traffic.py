"""Make python/rnnfast/data/i94_traffic.csv.gz, the embedded data set, from the wheel that carries it clean.

    pip download --no-deps autots==1.0.4
    python bench/embed_i94_traffic.py autots-1.0.4-py3-none-any.whl

The rows are copied as they are. Three things change: the time column goes (one row per hour from 2016-10-01
00:00, none left out, so the row number says it), the columns are put in another order, and a header of
comments carries the attribution that CC BY 4.0 asks for. The result is the same bytes on every machine with
the same zlib.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import io
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

MEMBER = "autots/datasets/data/traffic_hourly.zip"
MEMBER_SHA256 = "71416c6c5adf1e322c3a9483c70ea44dbbcac4ef3d47aa346d763b77478f35ad"
TARGET = Path(__file__).parents[1] / "python" / "rnnfast" / "data" / "i94_traffic.csv.gz"
COLUMNS = ("traffic_volume", "temp", "rain_1h", "snow_1h", "clouds_all", "weather_main")
HEADER = """\
# Metro Interstate Traffic Volume, hourly part 2016-10-01 00:00 to 2018-09-30 23:00 (local time,
# Minneapolis-St Paul). John Hogue (2019), UCI Machine Learning Repository, https://doi.org/10.24432/C5X60B
# Licence: Creative Commons Attribution 4.0 International (CC BY 4.0),
# https://creativecommons.org/licenses/by/4.0/ Changes: this part alone; time column dropped (one row per
# hour, none left out), columns in another order. Units: traffic_volume vehicles/h, temp K, rain_1h mm,
# snow_1h mm, clouds_all %. An empty row of cells is a missing hour.
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path)
    wheel = parser.parse_args().wheel
    with zipfile.ZipFile(wheel) as archive:
        packed = archive.read(MEMBER)
    digest = hashlib.sha256(packed).hexdigest()
    if digest != MEMBER_SHA256:
        raise SystemExit(f"{wheel}: {MEMBER} must have sha256 {MEMBER_SHA256}, got {digest}")
    with zipfile.ZipFile(io.BytesIO(packed)) as inner:
        text = inner.read(inner.namelist()[0]).decode("utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    start = datetime(2016, 10, 1)
    for index, row in enumerate(rows):
        expected = start + timedelta(hours=index)
        if row["datetime"] != str(expected):
            raise SystemExit(f"row {index}: expected {expected}, got {row['datetime']}")
    lines = [HEADER, ",".join(COLUMNS) + "\n", *(",".join(row[c] for c in COLUMNS) + "\n" for row in rows)]
    TARGET.write_bytes(gzip.compress("".join(lines).encode("utf-8"), compresslevel=9, mtime=0))
    print(f"{TARGET}: {len(rows)} rows, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
