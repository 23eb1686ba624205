"""Experiments as data: grids, and records on the disk.

Nothing here starts a worker; that is in test_experiments_running.
"""

import experiments_under_test
import numpy as np
import pytest

from companion.experiments import EXPERIMENTS, Experiment, grid
from companion.experiments.__main__ import main
from companion.experiments.experiment import canonical, find, slug
from companion.experiments.store import path_of, read, read_all, write

SQUARES = Experiment("squares", "Squares.", grid(n=[1, 2, 3], by=["hand"]), lambda s, f: {})


def record(n=1, **changes):
    return {
        "experiment": "squares",
        "settings": {"n": n, "by": "hand"},
        "result": {"square": n * n, "digits": [n]},
        "versions": {"python": "3"},
        "seconds": 90.0,
        "machine": "a machine",
    } | changes


def failure(n=2):
    error = {"type": "KeyError", "message": "no n\nat all", "traceback": "…"}
    return {k: v for k, v in record(n).items() if k != "result"} | {"error": error}


# ---------------------------------------------------------------- the data


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({}, TypeError, "at least one entry"),
        ([("n", 1)], TypeError, "expected a dict"),
        ({1: 2}, TypeError, "the key 1; expected strings"),
        ({"a b": 2}, ValueError, "the key 'a b'; expected a name"),
        ({"n": (1, 2)}, TypeError, r"settings\['n'\] is \(1, 2\); expected what JSON gives back"),
        ({"n": np.arange(2)}, TypeError, r"settings\['n'\] is array"),
        ({"n": np.int64(2)}, TypeError, r"settings\['n'\] is np.int64"),
        ({"n": np.float64(2)}, TypeError, r"is np.float64\(2.0\); .* number of Python's"),
        ({"n": float("nan")}, TypeError, r"settings\['n'\] is nan"),
        ({"n": float("inf")}, TypeError, r"settings\['n'\] is inf"),
        ({"n": {1: 2}}, TypeError, r"settings\['n'\] is \{1: 2\}"),
        ({"n": {2}}, TypeError, r"settings\['n'\] is \{2\}"),
    ],
)
def test_settings_that_json_would_change_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        canonical(settings)
    with pytest.raises(error, match=r"points\[0\] of squares"):
        Experiment("squares", "", (settings,), print)


def test_an_experiment_says_what_is_wrong_with_it():
    with pytest.raises(ValueError, match=r"name is 'a/b'; expected letters"):
        Experiment("a/b", "", grid(n=[1]), print)
    with pytest.raises(TypeError, match=r"points of a is \[\]; expected a tuple"):
        Experiment("a", "", [], print)
    with pytest.raises(TypeError, match="run of a is None; expected a function"):
        Experiment("a", "", grid(n=[1]), None)
    with pytest.raises(ValueError, match=r"points\[2\] of a is .*, and so is points\[0\]"):
        Experiment("a", "", ({"n": 1, "m": 2}, {"n": 1}, {"m": 2, "n": 1}), print)
    # 1, 1.0 and True are equal in Python, but three settings.
    assert len(Experiment("a", "", grid(n=[1, 1.0, True]), print).points) == 3


def test_a_grid_has_every_combination_in_order():
    points = grid(cell=["gru", "lstm"], seed=range(3))
    assert [(p["cell"], p["seed"]) for p in points] == [
        (cell, seed) for cell in ("gru", "lstm") for seed in range(3)
    ]
    with pytest.raises(TypeError, match="axis cell is 'gru'; expected a list"):
        grid(cell="gru")
    with pytest.raises(TypeError, match="axis seed is 3; expected a list"):
        grid(seed=3)
    with pytest.raises(ValueError, match="axis seed is empty"):
        grid(seed=range(0))


def test_a_grid_takes_numpys_numbers_and_makes_them_pythons():
    axes = {"rate": np.logspace(-3, -1, 3), "n": np.arange(2), "on": np.array([True])}
    points = grid(**axes, word=[np.str_("a"), "b"])
    assert points == grid(rate=[0.001, 0.01, 0.1], n=[0, 1], on=[True], word=["a", "b"])
    assert {type(value) for point in points for value in point.values()} == {float, int, bool, str}
    assert len(Experiment("a", "", points, print).points) == 12
    for value in (np.datetime64("2020-01-01"), np.float64("nan"), 1j * np.ones(()), np.arange(2)):
        with pytest.raises(TypeError, match=r"points\[0\] of a: settings\['n'\] is "):
            Experiment("a", "", grid(n=[value]), print)
    with pytest.raises(TypeError, match=r"axis n is array\(3\); expected a list"):
        grid(n=np.array(3))


def test_a_file_name_is_readable_and_depends_on_the_settings_only():
    assert slug({"n": 1, "m": 2}) == slug({"m": 2, "n": 1})
    assert slug({"n": 1}).startswith("n-1_")
    names = [slug(s) for s in grid(n=[1, 1.0, True, "1", "True", None, [1], "/../x", "σ", "ς"])]
    assert len(set(names)) == 10
    long = [slug({"text": 1000 * "x" + end}) for end in "ab"]
    assert long[0] != long[1]
    assert all(len(name) < 120 and set(name) <= ALLOWED for name in names + long)


ALLOWED = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_named_experiment_is_where_its_place_says(name):
    assert find(name, EXPERIMENTS).name == name


def test_an_unknown_experiment_is_named(monkeypatch):
    assert find("experiments_under_test:SLOW", {}) is experiments_under_test.SLOW
    for name, message in {
        "nothing": "experiment 'nothing' is unknown; expected one of example",
        "no.such:NAME": "experiment 'no.such:NAME' cannot be loaded: No module named 'no'",
        "experiments_under_test:note": "is <function note.*expected an Experiment",
        "experiments_under_test:NOTHING": "is None; expected an Experiment",
    }.items():
        with pytest.raises(ValueError, match=message):
            find(name, EXPERIMENTS)


# ---------------------------------------------------------------- a file for each point


def test_a_record_is_read_as_it_was_written(tmp_path):
    assert read_all(tmp_path, SQUARES) == [None, None, None]
    strange = record(3, result={"loss": float("inf"), "text": "σ \udc80 ⊙"})
    for one in (record(1), failure(2), strange):
        write(tmp_path, one)
    assert read_all(tmp_path, SQUARES) == [record(1), failure(2), strange]
    assert len(list(tmp_path.iterdir())) == 3


def test_a_write_that_is_cut_off_leaves_what_was_there(tmp_path, monkeypatch):
    write(tmp_path, record(1))

    def cut_off(number):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", cut_off)
    for n in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path, record(n, seconds=7.0))
    assert len(list(tmp_path.glob("*.part"))) == 2
    assert read_all(tmp_path, SQUARES) == [record(1), None, None]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: text[:-10], r"is not a whole record \(.*without it the point is run again"),
        (lambda text: b"", "is not a whole record"),
        (lambda text: b"\xff" + text, "is not a whole record"),
        (lambda text: b"[1]", "is JSON but not a record"),
        (lambda text: text.replace(b'"seconds"', b'"minutes"'), "is JSON but not a record"),
        (lambda text: text.replace(b'"n": 1', b'"n": 2'), r"has the settings .*'n': 2"),
        (lambda text: text.replace(b'"n": 1', b'"n": 1.0'), r"has the settings .*'n': 1.0"),
        (lambda text: text.replace(b'"n": 1', b'"n": NaN'), r"has the settings .*'n': nan"),
        (lambda text: text.replace(b"squares", b"cubes"), "has the experiment 'cubes'; expected"),
    ],
    ids="cut empty bytes list field another float nan experiment".split(),
)
def test_a_file_that_is_not_this_points_record_is_refused(tmp_path, spoil, message):
    write(tmp_path, record(1))
    settings = SQUARES.points[0]
    path = path_of(tmp_path, settings)
    assert read(tmp_path, SQUARES.name, settings) == record(1)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ValueError, match=rf"{path.name} {message}"):
        read(tmp_path, SQUARES.name, settings)


def test_a_half_file_stops_every_command(tmp_path, capsys):
    folder = tmp_path / "example"
    experiment = find("example", EXPERIMENTS)
    folder.mkdir()
    path_of(folder, experiment.points[4]).write_text('{"settings": {')
    for command in ("run", "resume", "status", "table"):
        with pytest.raises(SystemExit, match="is not a whole record"):
            main([command, "example", "--folder", str(folder)])
    with pytest.raises(SystemExit, match="is not a whole record"):
        main(["export", "example", str(tmp_path / "e.json"), "--folder", str(folder)])
    assert not list(tmp_path.glob("*.json"))


# ---------------------------------------------------------------- where a point runs
