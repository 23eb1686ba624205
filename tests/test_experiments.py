"""Experiments as data: grids, records on the disk, tables, exports, the command line.

Nothing here starts a worker; that is in test_experiments_running.
"""

import gzip
import io
import json
import subprocess
import sys
import threading
from pathlib import Path

import experiments_under_test
import numpy as np
import pytest
import torch

from companion.experiments import EXPERIMENTS, Experiment, grid, load, select
from companion.experiments.__main__ import main
from companion.experiments.experiment import canonical, find, slug
from companion.experiments.export import export
from companion.experiments.lock import BusyError, lock
from companion.experiments.point import clear, processor, run_point
from companion.experiments.progress import Progress
from companion.experiments.report import left, status, table
from companion.experiments.store import path_of, read, read_all, scratch_of, write

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


def here(run, folder, settings=SQUARES.points[0]):
    return run_point("squares", run, settings, str(folder))


def test_a_point_leaves_its_result_and_what_it_was_made_with(tmp_path):
    made = here(lambda s, f: {"a": np.arange(3), "b": np.float32(0.5), "c": np.bool_(1)}, tmp_path)
    assert made["result"] == {"a": [0, 1, 2], "b": 0.5, "c": True}
    assert made["settings"] == SQUARES.points[0]
    assert made["versions"]["numpy"] == np.__version__
    assert made["versions"]["python"] == sys.version.split()[0]
    assert made["machine"] == processor() != ""
    assert 0 <= made["seconds"] < 1
    write(tmp_path, made)
    assert read(tmp_path, SQUARES.name, SQUARES.points[0]) == made


def test_torch_has_one_thread(tmp_path):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        made = here(lambda s, f: {"threads": torch.get_num_threads()}, tmp_path)
    finally:
        torch.set_num_threads(before)
    assert made["result"] == {"threads": 1}
    assert made["versions"]["torch"] == torch.__version__


def test_what_run_does_to_its_settings_stays_there(tmp_path):
    settings = {"n": [1]}
    made = here(lambda s, f: {"popped": s["n"].pop()}, tmp_path, settings)
    assert made["settings"] == settings == {"n": [1]}


@pytest.mark.parametrize(
    ("run", "kind", "message"),
    [
        (lambda s, f: 1 / 0, "ZeroDivisionError", "division by zero"),
        (lambda s, f: sys.exit("enough"), "SystemExit", "enough"),
        (lambda s, f: 3, "TypeError", "run returned a int; expected a dict"),
        (lambda s, f: {"a": {1, 2}}, "TypeError", "run returned a set in its dict; expected"),
    ],
    ids="error exit number set".split(),
)
def test_an_error_becomes_the_record(tmp_path, run, kind, message):
    made = here(run, tmp_path)
    assert "result" not in made
    assert made["error"]["type"] == kind
    assert message in made["error"]["message"]
    assert "Traceback" in made["error"]["traceback"]
    write(tmp_path, made)
    assert read(tmp_path, SQUARES.name, SQUARES.points[0]) == made


def test_scratch_outlives_an_error_and_without_a_common_disk_goes_when_done(tmp_path, monkeypatch):
    def checkpoint(settings, scratch):
        found = (scratch / "state").exists()
        (scratch / "state").touch()
        if not found:
            raise KeyError("before the end")
        return {"where": str(scratch)}

    assert "error" in here(checkpoint, tmp_path)
    scratch = scratch_of(tmp_path, SQUARES.points[0])
    assert here(checkpoint, tmp_path)["result"] == {"where": str(scratch)}

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    assert "error" in here(checkpoint, tmp_path / "not" / "here")
    found = Path(here(checkpoint, tmp_path / "not" / "here")["result"]["where"])
    assert found.is_relative_to(elsewhere) and not found.exists()
    assert not (tmp_path / "not").exists()


def test_no_point_runs_twice_at_once(tmp_path):
    """A worker that was taken for dead, or whose run was killed, may still be at work.

    The second waits for it, and finds that it is done.
    """

    def log_of(name, numbers):
        log = tmp_path / name
        log.mkdir()
        settings = [{"log": str(log), "n": n, "seconds": 0.3} for n in numbers]
        threads = [
            threading.Thread(target=here, args=(experiments_under_test.run, log, one))
            for one in settings
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [line.split()[1] for line in (log / "log").read_text().splitlines()]

    assert log_of("one", [1, 1]) == ["start", "end"]
    assert log_of("two", [1, 2]) == ["start", "start", "end", "end"]


def test_what_is_finished_but_not_kept_is_not_run_again(tmp_path):
    first = here(lambda s, f: {"try": 1}, tmp_path)
    assert here(lambda s, f: {"try": 2}, tmp_path) == first
    clear(tmp_path, SQUARES.points[0])
    assert list(tmp_path.iterdir()) == []
    assert here(lambda s, f: {"try": 2}, tmp_path)["result"] == {"try": 2}


def test_a_lock_is_held_by_one_and_names_it(tmp_path):
    with lock(tmp_path / "lock", wait=False):
        with (
            pytest.raises(BusyError, match=r"process \d+ on "),
            lock(tmp_path / "lock", wait=False),
        ):
            pass
        with lock(tmp_path / "other", wait=False):
            pass
    with lock(tmp_path / "lock", wait=False):
        pass


# ---------------------------------------------------------------- what the records say


def test_status_and_table():
    records = [record(1), failure(2), None]
    assert status(SQUARES, records).splitlines() == [
        "squares: Squares.",
        "3 points: 1 done, 1 failed, 1 missing; 3.0 min spent; about 1.5 min left on one worker",
        "failed: n=2 by=hand: KeyError: no n",
    ]
    assert [line.split() for line in table(records).splitlines()] == [
        ["by=hand"],
        ["n", "square", "seconds", "error"],
        ["1", "1", "90"],
        ["2", "90", "KeyError:", "no", "n"],
    ]
    assert table([None]) == "no point has a record yet"


def test_the_estimate_is_that_of_what_is_done():
    assert left([record(seconds=2.0), record(seconds=4.0), failure()], 6, 2) == "about 9.0 s left"
    assert left([failure()], 6, 2) == "6 left"
    assert left([record()], 0, 2) == "nothing left"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_progress_is_a_bar_in_a_terminal_and_else_lines(monkeypatch, stream):
    shown = stream()
    monkeypatch.setattr("sys.stderr", shown)
    progress = Progress([record(1), None, None, None], 3)
    progress.tick(waiting_for_workers=True)
    progress.tick(waiting_for_workers=True)
    progress.add(record(2), 1)
    progress.add(failure(3), 1)
    progress.close()
    text = shown.getvalue()
    assert text.count("there is no worker yet") == 1
    assert "3/4 n=3 by=hand: KeyError: no n, about 1.5 min left" in text
    assert ("3/4 points |" in text) == (stream is Terminal)
    assert ("2/4 n=2 by=hand: done in 1.5 min, about 3.0 min left" in text) != (stream is Terminal)


def test_an_export_is_the_same_to_the_byte_and_loads(tmp_path):
    records = [record(n) for n in (1, 2, 3)]
    turned = [dict(reversed(one.items())) for one in records]
    paths = [tmp_path / name for name in ("a.json", "b.json", "a.json.gz", "b.json.gz")]
    for path, given in zip(paths, [records, turned] * 2, strict=True):
        export(path, SQUARES, given, command="python -m companion.experiments run squares")
    contents = [path.read_bytes() for path in paths]
    assert contents[0] == contents[1] == gzip.decompress(contents[2])
    assert contents[2] == contents[3] and b"a.json" not in contents[2]
    assert contents[2][4:8] == bytes(4)  # the time in gzip's header
    header = json.loads(contents[0])
    assert header["minutes"] == 4.5 and header["points"] == 3
    assert header["command"] == "python -m companion.experiments run squares"
    expected = [{k: v for k, v in one.items() if k != "experiment"} for one in records]
    assert load(paths[0]) == load(str(paths[2])) == expected
    assert select(load(paths[0]), {"n": 2}) == expected[1:2]
    with pytest.raises(ValueError, match="settings name 'm'; expected some of by, n"):
        select(expected, {"m": 2})


def test_an_export_leaves_nothing_out_unless_told_so(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(ValueError, match="of 3 points 1 failed and 1 are missing"):
        export(path, SQUARES, [record(1), failure(2), None], command="")
    assert not path.exists()
    export(path, SQUARES, [record(1), failure(2), None], command="", partial=True)
    assert [one["settings"]["n"] for one in load(path)] == [1]
    with pytest.raises(ValueError, match=r"path is .*a.csv; expected a name that ends in .json"):
        export(tmp_path / "a.csv", SQUARES, [record(1)], command="", partial=True)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"records":[', b"\x1f\x8b\x08", b"3"])
@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_what_is_no_export_is_not_loaded(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"file .*{name} cannot be read"):
        load(tmp_path / name)


# ---------------------------------------------------------------- the command line


def test_a_dry_run_lists_the_points_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for command in ("run", "resume"):
        assert main([command, "example", "--dry-run", "--only", "cell=gru", "cell=rnn"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 12
        assert lines[0].startswith("missing cell=rnn size=8 seed=0  -> results/example/cell-rnn_")
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_tells_what_each_command_would_run(tmp_path, capsys):
    experiment = find("example", EXPERIMENTS)
    done, failed = (
        made | {"experiment": "example", "settings": experiment.points[k]}
        for k, made in enumerate([record(), failure()])
    )
    write(tmp_path, done)
    write(tmp_path, failed)
    for command, expected in {
        "run": ["done", "failed", "missing ->"],
        "resume": ["done", "failed ->", "missing ->"],
    }.items():
        main([command, "example", "--dry-run", "--folder", str(tmp_path)])
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] + " ->" * ("->" in line) for line in lines[:3]] == expected


def test_only_takes_a_part_of_the_grid(capsys):
    main(["run", "example", "--dry-run", "--only", "cell=gru", "size=8", "seed=0", "seed=2"])
    lines = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()]
    assert lines == ["missing cell=gru size=8 seed=0", "missing cell=gru size=8 seed=2"]
    for only, message in {
        "gru": "--only gru: expected key=value with one of the keys cell, size, seed",
        "depth=2": "--only depth=2: expected key=value with one of the keys",
        "cell=mgu": "--only cell=mgu: there is no such point",
    }.items():
        with pytest.raises(SystemExit, match=message):
            main(["status", "example", "--only", only])


def test_wrong_commands_are_named(tmp_path, capsys):
    with pytest.raises(SystemExit, match="experiment 'exmaple' is unknown"):
        main(["run", "exmaple"])
    with pytest.raises(SystemExit, match="workers is 0; expected at least 1"):
        main(["run", "example", "--workers", "0", "--folder", str(tmp_path / "new")])
    assert not (tmp_path / "new").exists()
    with pytest.raises(SystemExit, match="is not complete: of 18 points 0 failed and 18 are miss"):
        main(["export", "example", str(tmp_path / "e.json"), "--folder", str(tmp_path)])
    main(["table", "example", "--folder", str(tmp_path)])
    assert capsys.readouterr().out == "no point has a record yet\n"


def test_listing_and_reading_import_nothing_heavy():
    code = (
        "import sys; from companion.experiments.__main__ import main; main(['list']); "
        "main(['status', 'example']); "
        "print({'torch', 'dask', 'distributed', 'tqdm'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[: len(EXPERIMENTS)] == list(EXPERIMENTS)
    assert lines[-1] == "set()"
