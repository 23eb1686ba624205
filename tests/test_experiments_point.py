"""One point of an experiment, run here: its record, its scratch, its errors, its lock."""

import asyncio
import sys
import threading
from pathlib import Path

import experiments_under_test
import numpy as np
import pytest
import torch
from test_experiments import SQUARES

from companion.experiments.lock import BusyError, lock
from companion.experiments.point import clear, processor, run_point
from companion.experiments.store import read, scratch_of, write


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


class Stop(BaseException):
    """Not an Exception, as KeyboardInterrupt and asyncio's CancelledError are none."""


def raising(error):
    def run(settings, scratch):
        raise error

    return run


@pytest.mark.parametrize(
    ("run", "kind", "message"),
    [
        (raising(Stop("no more")), "Stop", "no more"),
        (raising(asyncio.CancelledError("off")), "CancelledError", "off"),
        (raising(KeyboardInterrupt("key")), "KeyboardInterrupt", "key"),
        (lambda s, f: pytest.fail("not so"), "Failed", "not so"),
        (lambda s, f: 1 / 0, "ZeroDivisionError", "division by zero"),
        (lambda s, f: sys.exit("enough"), "SystemExit", "enough"),
        (lambda s, f: 3, "TypeError", "run returned a int; expected a dict"),
        (lambda s, f: {"a": {1, 2}}, "TypeError", "run returned a set in its dict; expected"),
    ],
    ids="base cancelled key failed error exit number set".split(),
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
