"""The shipped series are what the mirror of their sources gives."""

import csv

import numpy as np

from companion.data import departures, sunspots


def test_sunspots(shared_data):
    with open(shared_data("sunspots_yearly.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    series = sunspots()
    assert [int(row["YEAR"]) for row in rows] == list(series.times)
    assert [float(row["SUNACTIVITY"]) for row in rows] == list(series.values[:, 0])


def test_departures(shared_data):
    with open(shared_data("nycflights13_hourly_departures.csv"), newline="") as file:
        flights = {
            (np.datetime64(row["time_utc"][:13].replace(" ", "T")), row["origin"]): row["flights"]
            for row in csv.DictReader(file)
        }
    series = departures()
    assert (np.diff(series.times) == np.timedelta64(1, "h")).all()
    assert len(flights) == series.values.size
    for column, name in enumerate(series.names):
        expected = [float(flights[hour, name]) for hour in series.times]
        assert expected == list(series.values[:, column])
