"""What is told of an experiment: status, table, progress, exports, the command line."""

import gzip
import io
import json
import subprocess
import sys

import pytest
from test_experiments import SQUARES, failure, record

from companion.experiments import EXPERIMENTS, Experiment, grid, load, select
from companion.experiments.__main__ import _only, main
from companion.experiments.experiment import find
from companion.experiments.export import export
from companion.experiments.progress import Progress
from companion.experiments.report import left, status, table
from companion.experiments.store import write


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
    main(["run", "example", "--dry-run", "--only", "cell=gru", "--only", "size=8", "seed=0"])
    again = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()]
    assert again == lines[:1]  # a second --only adds to the first
    for only, message in {
        "gru": "--only gru: expected key=value with one of the keys cell, size, seed",
        "depth=2": "--only depth=2: expected key=value with one of the keys",
        "cell=mgu": "--only cell=mgu: there is no such point; cell is one of rnn, gru, lstm$",
        "size=8.0": "--only size=8.0: there is no such point; size is one of 8, 32$",
    }.items():
        with pytest.raises(SystemExit, match=message):
            main(["status", "example", "--only", only])


@pytest.mark.parametrize(
    ("only", "values"),
    {
        "rate=1e-5": [1e-5], "rate=1e-05": [1e-5], "rate=0.00001": [1e-5], "rate=0.50": [0.5],
        "flag=True": [True], "flag=true": [True], "flag=None": [None], "flag=null": [None],
        "sizes=[1,2]": [[1, 2]], "sizes=[1, 2]": [[1, 2]], "kind={}": [{}], "word=1": ["1"],
        "flag=1": [], "rate=0.5,": [], "sizes=[2,1]": [], "sizes=1": [], "flag=": [],
    }.items(),
)  # fmt: skip
def test_only_knows_a_value_in_any_spelling_of_it(only, values):
    axes = {
        "rate": [1e-5, 0.5], "flag": [True, None, "2"], "sizes": [[1, 2], [3]],
        "kind": [{}, "x"], "word": ["1", "one"],
    }  # fmt: skip
    experiment = Experiment("odd", "", grid(**axes), print)
    name = only.partition("=")[0]
    if values:
        found = _only(experiment, [only])
        assert [v for v in axes[name] if v in [p[name] for p in found]] == values
        assert len(found) == len(experiment.points) // len(axes[name])
    else:
        with pytest.raises(ValueError, match=f"there is no such point; {name} is one of "):
            _only(experiment, [only])


def test_only_that_no_point_meets_at_once():
    experiment = Experiment("odd", "", ({"a": 1, "b": 1}, {"a": 2, "b": 2}), print)
    with pytest.raises(ValueError, match=r"--only a=1 b=2: there is no such point$"):
        _only(experiment, ["a=1", "b=2"])


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
