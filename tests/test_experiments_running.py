"""Experiments run by real workers: killed, cut off, failing, and two runs at once."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import experiments_under_test
import psutil
import pytest
from distributed import LocalCluster

from companion.experiments import EXPERIMENTS, Experiment, example, grid, load, running
from companion.experiments.__main__ import main
from companion.experiments.experiment import find
from companion.experiments.lock import BusyError
from companion.experiments.running import run
from companion.experiments.store import path_of

pytestmark = pytest.mark.slow
SIZE = len(experiments_under_test.SLOW.points)
QUIET = {
    "threads_per_worker": 1,
    "host": "127.0.0.1",
    "scheduler_kwargs": {"dashboard": False, "dashboard_address": "127.0.0.1:0"},
    "silence_logs": 50,
}


@pytest.fixture(scope="module")
def address():
    """Of a cluster of two workers, which any run may use."""
    with LocalCluster(n_workers=2, **QUIET) as cluster:
        yield cluster.scheduler_address


def noted(log, what):
    """How often each point left that word, by number."""
    lines = [line.split() for line in Path(log, "log").read_text().splitlines()]
    return Counter(int(number) for number, word, _ in lines if word == what)


def once(numbers):
    return Counter(dict.fromkeys(numbers, 1))


# ---------------------------------------------------------------- any Dask cluster


def test_the_example_from_its_run_to_its_export(address, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "example", "--scheduler", address, "--only", "size=8"]) == 0
    assert "9 points: 9 done, 0 failed, 0 missing" in capsys.readouterr().out
    times = {path: path.stat().st_mtime_ns for path in Path("results/example").glob("*.json")}
    assert len(times) == 9
    assert main(["run", "example", "--scheduler", address]) == 0
    shown = capsys.readouterr()
    assert "18 points: 18 done" in shown.out
    assert shown.err.count("done in") == 9 and "nothing left" in shown.err
    assert all(path.stat().st_mtime_ns == before for path, before in times.items())

    main(["status", "example"])
    assert "18 points: 18 done" in capsys.readouterr().out
    main(["table", "example"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["cell", "size", "seed", "lifetime", "seconds"]
    assert lines[1].split()[:4] == ["rnn", "8", "0", "9"]
    assert len(lines) == 19
    main(["export", "example", "example.json.gz"])
    records = load("example.json.gz")
    assert [record["settings"] for record in records] == list(example.EXAMPLE.points)
    for record in records[::7]:
        again = example.run(record["settings"], tmp_path)
        assert record["result"] == again | {"left": again["left"].tolist()}
    assert not Path("results/example/scratch").exists()
    main(["export", "example", "part.json", "--only", "size=8"])
    part = json.loads(Path("part.json").read_text())
    assert part["command"] == "python -m companion.experiments run example --only size=8"
    assert part["points"] == len(part["records"]) == 9


def test_a_failing_point_is_recorded_and_the_rest_goes_on(address, tmp_path, monkeypatch, capsys):
    points = grid(log=[str(tmp_path)], n=range(5))
    experiment = Experiment("failing", "", points, experiments_under_test.fail)
    folder = tmp_path / "results"

    records = run(experiment, folder, scheduler=address)
    assert noted(tmp_path, "end") == once([0, 2, 4])
    for record in records[1::2]:
        assert record["error"]["type"] == "ArithmeticError"
        assert record["error"]["message"] == f"{record['settings']['n']} is odd\nand that is all"
        assert "in fail\n" in record["error"]["traceback"]
        assert record["settings"] in points and record["versions"]["python"]
    assert "ArithmeticError: 1 is odd, " in capsys.readouterr().err

    # run leaves failed points alone; resume runs them and no other.
    Path(tmp_path, "mended").touch()
    assert run(experiment, folder, scheduler=address) == records
    monkeypatch.setattr(experiments_under_test, "FAILING", experiment, raising=False)
    given = ["experiments_under_test:FAILING", "--folder", str(folder), "--scheduler", address]
    assert main(["run", *given]) == 1
    assert main(["resume", *given]) == 0
    again = run(experiment, folder, scheduler=address)
    assert again[::2] == records[::2]
    assert [record["result"]["n"] for record in again] == list(range(5))
    assert noted(tmp_path, "start") == once(range(5))


def test_a_cluster_that_is_not_there_or_goes_is_named(tmp_path):
    points = grid(log=[str(tmp_path)], n=range(9), seconds=[0.4])
    experiment = Experiment("slow", "", points, experiments_under_test.run)
    with LocalCluster(n_workers=1, processes=False, protocol="tcp://", **QUIET) as cluster:
        wrong = "what is this"
        with pytest.raises(ConnectionError, match=f"scheduler {wrong} cannot be reached"):
            run(experiment, tmp_path, scheduler=wrong)
        cluster.loop.call_later(1.0, cluster.close)
        with pytest.raises(ConnectionError, match=r"the scheduler is lost .*finished is kept"):
            run(experiment, tmp_path, scheduler=cluster.scheduler_address)
    done = [json.loads(path.read_text()) for path in tmp_path.glob("*.json")]
    assert 1 <= len(done) <= 3
    assert noted(tmp_path, "end") >= once(record["settings"]["n"] for record in done)


# ---------------------------------------------------------------- workers of its own


def test_a_point_that_kills_its_workers_is_given_up(tmp_path, monkeypatch):
    assert running.TIMES_KILLED == 3
    monkeypatch.setattr(running, "TIMES_KILLED", 2)  # a worker's start is what takes long here
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    points = grid(log=[str(tmp_path)], n=range(3))
    experiment = Experiment("killing", "", points, experiments_under_test.kill)
    records = run(experiment, tmp_path / "results", workers=1)
    assert records[2]["error"]["type"] == "KilledWorker"
    assert "on 2 different workers" in records[2]["error"]["message"]
    assert noted(tmp_path, "start") == Counter({0: 1, 1: 1, 2: 2})
    assert [record["result"]["n"] for record in records[:2]] == [0, 1]
    assert all(record["result"]["threads"] == "1" for record in records[:2])


@pytest.fixture
def start(tmp_path):
    """Start a run of SLOW in a session of its own, as a reader does in a terminal."""
    started = []
    tests = str(Path(experiments_under_test.__file__).parent)
    path = os.pathsep.join([tests, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"EXPERIMENTS_LOG": str(tmp_path), "PYTHONPATH": path}

    def start(workers):
        command = [sys.executable, "-W", "error", "-m", "companion.experiments", "run"]
        options = ["--folder", "out", "--workers", str(workers)]
        process = subprocess.Popen(
            [*command, "experiments_under_test:SLOW", *options],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def until(condition, process):
    """Wait for a condition while a process runs."""
    end = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def records_in(folder):
    """By number; each is whole, or this fails."""
    found = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    return {record["settings"]["n"]: record for record in found}


def test_a_killed_worker_costs_its_point_a_second_try(start, tmp_path):
    process, out = start(workers=2), tmp_path / "out"
    until(lambda: len(records_in(out)) >= 1, process)

    # Nothing of it can be reached from outside, and no other run may use its folder.
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    listening = [
        connection.laddr.ip
        for member in family
        for connection in member.net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 3 and set(listening) == {"127.0.0.1"}
    with pytest.raises(BusyError, match=f"is in use by a run .process {process.pid} on"):
        run(experiments_under_test.SLOW, out)

    before = noted(tmp_path, "start")
    until(lambda: noted(tmp_path, "start") != before, process)
    lines = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    killed, pid = next((int(n), int(pid)) for n, word, pid in lines[::-1] if word == "start")
    os.kill(pid, signal.SIGKILL)
    until(lambda: killed in records_in(out), process)
    # Only this point was begun twice, and only it found the scratch folder of a first try.
    assert noted(tmp_path, "start") - once(range(SIZE)) == Counter([killed])
    records = records_in(out)
    assert [n for n in records if records[n]["result"]["begun"]] == [killed]

    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal: the workers too
    out_text, err_text = process.communicate(timeout=60)
    assert process.returncode == 130, err_text
    again = "run experiments_under_test:SLOW --folder out --workers 2"
    assert f"go on with\n    python -m companion.experiments {again}\n" in err_text
    assert "Traceback" not in err_text and "Warning" not in err_text
    assert out_text == "" and records_in(out).items() >= records.items()


def test_a_run_that_is_killed_whole_goes_on_where_it_was(start, address, tmp_path):
    process, out = start(workers=1), tmp_path / "out"
    until(lambda: len(records_in(out)) >= 2, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    kept, begun = records_in(out), noted(tmp_path, "start")
    assert 2 <= len(kept) < SIZE and begun == once(begun)

    slow = experiments_under_test.SLOW
    points = tuple(point | {"log": str(tmp_path)} for point in slow.points)
    records = run(replace(slow, points=points), out, scheduler=address)
    assert [record["result"]["n"] for record in records] == list(range(SIZE))
    assert records_in(out).items() >= kept.items()  # what was there is there, the same
    # At most one point was under way at the kill; no other was begun twice, or finished twice.
    again = noted(tmp_path, "start") - once(range(SIZE))
    assert again.total() <= 1 and not set(again) & set(kept)
    assert noted(tmp_path, "end") == once(range(SIZE))
    assert {n for n, r in records_in(out).items() if r["result"]["begun"]} == set(again)
    assert sorted(path.name for path in out.iterdir() if path.suffix != ".json") == ["lock"]


def test_the_tests_can_see_a_point_run_twice(address, tmp_path):
    """The negative control: without its record a point is run again, and the log shows it."""
    points = grid(log=[str(tmp_path)], n=range(2))
    experiment = Experiment("twice", "", points, experiments_under_test.run)
    run(experiment, tmp_path, scheduler=address)
    path_of(tmp_path, points[1]).unlink()
    run(experiment, tmp_path, scheduler=address)
    assert noted(tmp_path, "start") == Counter({0: 1, 1: 2})
    assert find("example", EXPERIMENTS).run is example.run
