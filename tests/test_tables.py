"""Time tables, CSV files, the calendar and the embedded data set."""

from __future__ import annotations

import gzip
from datetime import date
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from rnnfast import data

# --------------------------------------------------------------------------------------------------- calendar


def test_us_federal_holidays_of_two_years() -> None:
    days = [day for year in (2017, 2018) for day in data.us_federal_holidays(year)]
    expected = (
        "2017-01-01 2017-01-16 2017-02-20 2017-05-29 2017-07-04 2017-09-04 2017-10-09 2017-11-11 "
        "2017-11-23 2017-12-25 2018-01-01 2018-01-15 2018-02-19 2018-05-28 2018-07-04 2018-09-03 "
        "2018-10-08 2018-11-11 2018-11-22 2018-12-25"
    )
    assert [str(day) for day in days] == expected.split()
    assert date(2021, 6, 19) in data.us_federal_holidays(2021)
    assert date(1985, 1, 21) not in data.us_federal_holidays(1985)
    assert date(1986, 1, 20) in data.us_federal_holidays(1986)
    assert date(2021, 5, 31) in data.us_federal_holidays(2021)


def test_calendar_features_of_hours() -> None:
    time = np.arange("2018-09-01", "2018-09-06", dtype="datetime64[h]")
    names, values = data.calendar_features(time, np.timedelta64(1, "h"), holidays="us")
    columns = dict(zip(names, values.T, strict=True))
    assert np.abs(values).max() <= 1.0
    for name, day in (("holiday", 3), ("before_holiday", 2), ("after_holiday", 4)):
        marked = np.unique(time[columns[name] == 1].astype("datetime64[D]"))
        assert [str(found) for found in marked] == [f"2018-09-0{day}"]
    assert columns["saturday"][:24].all()
    assert columns["wednesday"][-24:].all()
    np.testing.assert_allclose(columns["day_sine_1"][[0, 6, 12, 18]], [0, 1, 0, -1], atol=1e-12)
    np.testing.assert_array_equal(sum(columns[day] for day in data.calendar.WEEKDAYS), 1.0)


def test_calendar_features_by_step() -> None:
    daily = data.calendar_features(np.array(["2020-01-01"], "datetime64[D]"), np.timedelta64(1, "D"))
    assert daily.names == data.calendar.WEEKDAYS
    monthly = data.calendar_features(
        np.arange("2020-01", "2021-01", dtype="datetime64[M]"), np.timedelta64(1, "M")
    )
    assert monthly.names == ("year_sine", "year_cosine")
    assert monthly.values[0].tolist() == [0.0, 1.0]
    with pytest.raises(ValueError, match='holidays must be "us" or None'):
        data.calendar_features(
            np.array(["2020-01-01"], "datetime64[D]"), np.timedelta64(1, "D"), holidays="fr"
        )


@pytest.mark.parametrize(
    ("step", "seasons"),
    [
        (np.timedelta64(1, "h"), (24, 168)),
        (np.timedelta64(30, "m"), (48, 336)),
        (np.timedelta64(1, "D"), (7,)),
        (np.timedelta64(7, "D"), (52,)),
        (np.timedelta64(1, "M"), (12,)),
        (np.timedelta64(3, "M"), (4,)),
        (np.timedelta64(12, "M"), ()),
        (np.timedelta64(7, "m"), (1440,)),
    ],
)
def test_seasons_of_a_step(step: np.timedelta64, seasons: tuple[int, ...]) -> None:
    assert data.calendar_seasons(step) == seasons


# --------------------------------------------------------------------------------------------- tables and
# files


def write(folder: Path, text: str, name: str = "y.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "day,y,word\n2020-01-01,1,a\n2020-01-02,,b\n2020-01-03,3.5,c\n",
        "day;y;word\n2020-01-01;1;a\n2020-01-02;NA;b\n2020-01-03;3.5;c\n",
        "# a remark\n\nday\ty\tword\n01/01/2020\t1\ta\n01/02/2020\tnan\tb\n01/03/2020\t3.5\tc\n",
        "\ufeffday,y,word\r\n2020-01-01T00:00:00Z,1,a\r\n2020-01-02T00:00:00Z,null,b\r\n2020-01-03T02:00:00+02:00,3.5,c\r\n",
        "day,y,word\n01.01.2020 00:00,1,a\n02.01.2020 00:00,,b\n03.01.2020 00:00,3.5,c\n",
    ],
)
def test_csv_dialects_all_give_the_same_table(tmp_path: Path, text: str) -> None:
    table = data.read_csv(write(tmp_path, text))
    assert list(table.columns) == ["y"]
    np.testing.assert_array_equal(table["y"], [1.0, np.nan, 3.5])
    assert [str(t) for t in table.time] == [f"2020-01-0{d}T00:00:00" for d in (1, 2, 3)]
    assert table.step == np.timedelta64(1, "D")


def test_csv_of_months_quarters_and_gzip(tmp_path: Path) -> None:
    months = "m,y\n" + "".join(f"2020-{m:02d},{m}\n" for m in range(1, 13))
    assert data.read_csv(write(tmp_path, months)).step == np.timedelta64(1, "M")
    ends = data.read_csv(write(tmp_path, "m,y\n2020-01-31,1\n2020-02-29,2\n2020-03-31,3\n"))
    assert ends.step == np.timedelta64(1, "M")
    assert [str(t)[:10] for t in ends.time_after(3)] == ["2020-04-30", "2020-05-31", "2020-06-30"]
    assert [str(t)[:10] for t in ends.time_after(2, row=0)] == [str(t)[:10] for t in ends.time[1:3]]
    quarters = data.read_csv(write(tmp_path, "m,y\n2020-01,1\n2020-04,2\n2020-07,3\n"))
    assert quarters.step == np.timedelta64(3, "M")
    assert str(quarters.time_after(2)[-1])[:10] == "2021-01-01"
    packed = tmp_path / "y.csv.gz"
    packed.write_bytes(gzip.compress(months.encode()))
    assert data.read_csv(packed)["y"].tolist() == list(range(1, 13))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a header line and rows of data, got an empty file"),
        ("t,y\n2020-01-01,1\n", "expected at least 2 rows of data after the header, got 1"),
        ("t,y\n2020-01-01,1\n2020-01-02,x1\n", 'line 3, column "y": expected a finite number .* got "x1"'),
        ("t,y\n2020-01-01,1\n2020-01-02,inf\n", 'line 3, column "y": expected a finite number .* got "inf"'),
        (
            "t,y\n2020-01-01,1\n2020-13-02,2\n",
            'line 3, column "t": expected a date or time .* got "2020-13-02"',
        ),
        ("t,y\nnever,1\n2020-01-02,2\n", 'line 2, column "t": expected a date or time .* got "never"'),
        ("t,y\n2020-01-01,1\n2020-01-02\n", "line 3: expected 2 fields as in the header, got 1"),
        ("t,y,y\n2020-01-01,1,1\n2020-01-02,2,2\n", 'line 1: expected each column name once, got "y" twice'),
        ("t,\n2020-01-01,1\n2020-01-02,2\n", "line 1: expected a name for column 2, got nothing"),
        (
            "t,y\n2020-01-02,1\n2020-01-01,2\n",
            'line 3, column "t": expected times that ascend, got 2020-01-01 .*; sort the rows by time',
        ),
        (
            "t,y\n2020-01-01,1\n2020-01-01,2\n",
            'line 3, column "t": .* that ascend, .*; keep one row per time',
        ),
        (
            "t,y\n2020-01-01,1\n2020-01-02,2\n2020-01-04,4\n2020-01-03,3\n2020-01-05,5\n",
            'line 5, column "t": expected times that ascend, .*; sort the rows by time',
        ),
        (
            "t,y\n2020-01-01,1\n2020-01-02,2\n2020-01-03,3\n2020-01-05,4\n",
            'line 5, column "t": .* every 1 day .* got 2020-01-05 .* after .*; add 1 row between them$',
        ),
        ("t,y\n2020-01-01,1\n2020-03-01,2\n2020-04-01,2\n2020-05-01,2\n", "line 4"),
        ("t,y\n2020-01-01,1\n2020-02-01,2\n2020-05-01,2\n", "line 4, .*; add 2 rows between them$"),
        (
            "t,y\n2020-01-01,1\n2020-01-02,2\n2020-01-03,3\n2020-01-04 07:00,4\n",
            "line 5, .* got 2020-01-04 07:00:00 after .*; put every time on that grid$",
        ),
        ("t,y\n2020-01-01,a\n2020-01-02,b\n", 'line 2, column "y": .* got "a"; the column is not numeric'),
    ],
)
def test_a_bad_csv_is_told_by_file_line_and_column(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text, "bad.csv")
    with pytest.raises(ValueError, match=message) as caught:
        data.read_csv(path, columns=None if text.count("y") != 1 else ["y"])
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_csv_without_the_asked_for_column_or_of_another_encoding(tmp_path: Path) -> None:
    path = write(tmp_path, "t,y\n2020-01-01,1\n2020-01-02,2\n")
    with pytest.raises(ValueError, match='line 1, column "z": expected a column of that name, got t, y'):
        data.read_csv(path, columns=["z"])
    with pytest.raises(ValueError, match='column "when": expected a column of that name'):
        data.read_csv(path, time="when")
    with pytest.raises(FileNotFoundError):
        data.read_csv(tmp_path / "none.csv")
    path.write_bytes(b"t,y\n2020-01-01,1\n2020-01-02,\xff\n")
    with pytest.raises(ValueError, match="line 3: expected UTF-8 text, got byte 0xff"):
        data.read_csv(path)


def test_table_errors_and_columns() -> None:
    time = np.arange("2020-01-01", "2020-01-04", dtype="datetime64[D]")
    table = data.TimeTable(time, {"a": np.arange(3), "b": np.ones(3)}, name="mine")
    assert table.matrix(["b", "a"]).tolist() == [[1, 0], [1, 1], [1, 2]]
    assert table.matrix([]).shape == (3, 0)
    with pytest.raises(ValueError, match='mine: no column "c"; there are a, b'):
        table["c"]
    with pytest.raises(ValueError, match=r'column "a" must have shape \(3,\), got \(2,\)'):
        data.TimeTable(time, {"a": np.ones(2)})
    with pytest.raises(ValueError, match="time must ascend with a constant step of 1 day"):
        data.TimeTable(time[[0, 1, 2, 2]], {"a": np.ones(4)})


def test_table_from_a_data_frame() -> None:
    pytest.importorskip("narwhals")
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"t": pandas.date_range("2020", periods=4, freq="h"), "y": [1, 2, 3, 4], "w": list("abcd")}
    )
    table = data.from_dataframe(frame, time="t")
    assert list(table.columns) == ["y"]
    assert table.step == np.timedelta64(1, "h")
    with pytest.raises(ValueError, match='no column "z"'):
        data.from_dataframe(frame, time="t", columns=["z"])


# ------------------------------------------------------------------------------------------- embedded data
# set


def test_the_embedded_data_set_is_what_its_card_says() -> None:
    table = data.load_i94_traffic()
    volume = table["traffic_volume"]
    assert len(table) == 17_520
    assert np.isnan(volume).sum() == 104
    assert (str(table.time[0]), str(table.time[-1])) == ("2016-10-01T00:00:00", "2018-09-30T23:00:00")
    assert (np.nanmin(volume), np.nanmax(volume)) == (113.0, 7280.0)
    assert np.nansum(volume) == 57_833_978.0
    for name, column in table.columns.items():
        np.testing.assert_array_equal(np.isnan(column), np.isnan(volume), err_msg=name)
    weather = table.matrix([name for name in table.columns if name.startswith("weather_")])
    assert weather.shape[1] == 10
    np.testing.assert_array_equal(np.nansum(weather, axis=1), ~np.isnan(volume))


def test_the_embedded_data_set_is_small_and_attributed() -> None:
    packed = (resources.files("rnnfast.data") / "i94_traffic.csv.gz").read_bytes()
    assert len(packed) < 150_000
    for text in (
        gzip.decompress(packed).decode()[:1000],
        data.data_card(),
        data.load_i94_traffic().attribution,
    ):
        assert "10.24432/C5X60B" in text
        assert "CC BY 4.0" in text
        assert "Hogue" in text
    with pytest.raises(ValueError, match='name must be "i94_traffic"'):
        data.data_card("other")
