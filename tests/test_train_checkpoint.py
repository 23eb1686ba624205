"""A run that was cut off goes on to the same result, bit for bit."""

import copy
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from adding import Stacked, adding, error, errors, same, values

from companion.train import NonFiniteError, checkpoint, train

HERE = Path(__file__).parent


class Dropped(torch.nn.Module):
    """A GRU of torch's own with dropout, which draws from torch's random numbers."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.layer, self.read = torch.nn.GRU(2, 6), torch.nn.Linear(6, 1)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.double()

    def forward(self, xs):
        self.calls += self.training
        outputs = self.layer(xs.transpose(1, 2))[0]
        return self.read(torch.nn.functional.dropout(outputs[-1], 0.3, self.training)).T


def go(model, path, loss=error, steps=40, **changes):
    """The run under test: validated, scheduled, with a state in the optimiser."""
    options = {"rate": 0.02, "clip": 0.5, "schedule": lambda s: 0.99**s, "every": 7}
    options |= {"validate": lambda m: error(m, adding(999)), "patience": 9} | changes
    return train(model, loss, adding, steps=steps, checkpoint=path, **options)


KILLED = """
import os, signal, sys
import torch
from test_train_checkpoint import Dropped, error, go

path, when = sys.argv[1:]
calls = 0

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def loss(model, batch):
    global calls
    calls += 1
    if when == "in a step" and calls == 24:
        kill()
    return error(model, batch)

save = torch.save
written = 0

def half(content, file):
    global written
    written += 1
    if when == "in writing" and written == 3:
        save(content, file)
        file.flush()
        os.truncate(file.name, os.path.getsize(file.name) // 2)
        kill()
    save(content, file)

torch.save = half
go(Dropped(), path, loss)
"""


@pytest.fixture(scope="module")
def whole():
    """The run without a break: its history, its last state, the random numbers after it."""
    model = Dropped()
    history = go(model, None)
    return history, values(model), torch.rand(3)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 on this system")
@pytest.mark.parametrize(("when", "done"), [("in a step", 21), ("in writing", 14)])
def test_killed_and_begun_again(when, done, tmp_path, whole):
    path = tmp_path / "deep" / "run.pt"
    environment = {**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parent}"}
    ended = subprocess.run([sys.executable, "-c", KILLED, path, when], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert checkpoint.load(path)["done"] == done
    assert (path.with_name("run.pt.part")).exists() == (when == "in writing")
    seen = []
    model = Dropped()
    history = go(model, path, lambda m, b: seen.append(0) or error(m, b))
    assert len(seen) == 40 - done and model.calls == whole[1]["calls"]
    assert history == whole[0] and same(values(model), whole[1])
    assert torch.equal(torch.rand(3), whole[2])
    assert list(path.parent.iterdir()) == [path]


class Cut(Exception):  # noqa: N818
    """An interruption."""


def cut_at(step, loss=error):
    """The loss, cut off when it is called with the batch of that step."""

    def cut(model, batch):
        if torch.equal(batch[1], adding(step)[1]):
            raise Cut
        return loss(model, batch)

    return cut


@pytest.mark.parametrize("steps", [(3,), (7,), (8, 20, 34), (14, 15, 28, 39)])
def test_cut_off_anywhere(steps, tmp_path, whole):
    for step in steps:
        with pytest.raises(Cut):
            go(Dropped(), tmp_path / "run.pt", cut_at(step))
        torch.rand(5)  # what is drawn in between does not matter
    model = Dropped()
    assert go(model, tmp_path / "run.pt") == whole[0]
    assert same(values(model), whole[1])


@pytest.mark.parametrize("forgotten", ["random", "optimiser", "members", "table", "model"])
def test_every_part_is_needed(forgotten, tmp_path, whole, monkeypatch):
    """The negative control: without one of its parts a run goes on to another result."""
    path, first, save = tmp_path / "run.pt", {}, checkpoint.save

    def stale(to, content):
        first.update(first or copy.deepcopy(content))
        save(to, content | {forgotten: first[forgotten]})

    monkeypatch.setattr(checkpoint, "save", stale)
    with pytest.raises(Cut):
        go(Dropped(), path, cut_at(30))
    model = Dropped()
    assert go(model, path) != whole[0] or not same(values(model), whole[1])


def never(*_):
    raise AssertionError


def test_a_finished_run_returns_at_once(tmp_path, whole):
    path = tmp_path / "run.pt"
    go(Dropped(), path)
    written = path.read_bytes()
    model = Dropped().eval()
    options = {"rate": 0.02, "clip": 0.5, "schedule": lambda s: 0.99**s, "every": 7}
    again = train(
        model, never, never, steps=40, validate=never, patience=9, checkpoint=str(path), **options
    )
    assert again == whole[0] and same(values(model), whole[1]) and not model.training
    assert path.read_bytes() == written
    assert torch.equal(torch.rand(3), whole[2])


def test_more_steps_go_on_from_the_end(tmp_path):
    one, two = Dropped(), Dropped()
    torch.manual_seed(5)
    expected = go(one, None, steps=35)
    torch.manual_seed(5)
    go(two, tmp_path / "run.pt", steps=14)
    assert go(two, tmp_path / "run.pt", steps=35) == expected
    assert same(values(one), values(two))
    message = f"steps is 14, but checkpoint {tmp_path / 'run.pt'} is after 35; expected as many or"
    before = values(two)
    with pytest.raises(ValueError, match=message):
        go(two, tmp_path / "run.pt", steps=14)
    assert same(values(two), before)


@pytest.mark.parametrize("rate", [0.03, (0.1, 0.03, 0.01, 0.003)])
def test_a_stack_goes_on_with_those_that_ended(rate, tmp_path):
    """One fails, some run out of patience, before and after the cut."""

    def loss(model, batch):
        bad = torch.equal(batch[1], adding(33)[1])
        return errors(model, batch) / torch.tensor([1.0, 1.0, 1.0, 1.0 - bad])

    options = {"steps": 70, "rate": rate, "every": 5, "patience": 3}
    options["validate"] = lambda m: errors(m, adding(999, size=40))
    one = Stacked((0, 1, 2, 3))
    expected = train(one, loss, adding, **options)
    assert {"patience", "non-finite loss at step 33"} <= set(expected.ended)
    for cut in (22, 32, 36, 48):
        if cut < len(expected.losses):
            with pytest.raises(Cut):
                train(
                    Stacked((0, 1, 2, 3)),
                    cut_at(cut, loss),
                    adding,
                    checkpoint=tmp_path / "run.pt",
                    **options,
                )
    two = Stacked((0, 1, 2, 3))
    assert train(two, loss, adding, checkpoint=tmp_path / "run.pt", **options) == expected
    assert same(values(one), values(two))
    third = Stacked((0, 1, 2, 3))  # and it is finished, whatever ended it
    assert train(third, never, never, checkpoint=tmp_path / "run.pt", **options) == expected
    assert same(values(one), values(third))


def test_the_last_good_state_survives_a_cut(tmp_path):
    """Cut just before the bad step: the state to go back to is that of the step before the cut."""

    def diverges(model, batch):
        return sum((p**4).sum() for p in model.parameters())

    options = {"steps": 99, "rate": 9.0, "clip": None, "optimiser": torch.optim.SGD, "every": 1}
    one = Stacked((0,))
    with pytest.raises(NonFiniteError) as caught:
        train(one, diverges, adding, **options)
    bad = len(caught.value.history.losses) - 1
    path = tmp_path / "run.pt"
    with pytest.raises(Cut):
        train(Stacked((0,)), cut_at(bad, diverges), adding, checkpoint=path, **options)
    assert checkpoint.load(path)["done"] == bad
    for _ in range(2):  # a failure is not stored: the run can go on if its cause is mended
        two = Stacked((0,))
        with pytest.raises(NonFiniteError) as again:
            train(two, diverges, adding, checkpoint=path, **options)
        assert again.value.history == caught.value.history and same(values(one), values(two))
        assert diverges(two, None).isfinite()


def test_the_file_is_made_of_tensors_and_plain_values(tmp_path):
    go(Dropped(), tmp_path / "run.pt", steps=7)
    stored = torch.load(tmp_path / "run.pt", weights_only=True)
    assert stored["done"] == 7 and stored["table"]["losses"].shape == (7,)
    assert np.array_equal(stored["table"]["validated"], [7])


def test_numbers_of_numpy_are_kept_as_pythons(tmp_path):
    """torch writes them but does not read them: the run could never go on."""
    plain = {"clip": 0.5, "every": 5, "patience": 3}
    numpy = {"clip": np.float64(0.5), "every": np.int64(5), "patience": np.int64(3)}
    plain["optimiser"] = partial(torch.optim.SGD, momentum=0.9)
    numpy["optimiser"] = partial(torch.optim.SGD, momentum=np.float64(0.9))
    one, two, path = Dropped(), Dropped(), tmp_path / "run.pt"
    expected = go(one, None, **plain)
    with pytest.raises(Cut):
        go(Dropped(), path, cut_at(23), np.int64(40), **numpy)
    assert go(two, path, steps=np.int64(40), **numpy) == expected
    assert same(values(one), values(two))
    assert go(Dropped(), path, never, **plain) == expected  # they are the same settings
    with pytest.raises(ValueError, match="was made with every 5, but now it is 6"):
        go(Dropped(), path, **numpy | {"every": np.int64(6)})
    # The controls: as they were given they cannot be read; and nested ones are found.
    torch.save({"format": checkpoint.FORMAT, "every": np.int64(5)}, path)
    with pytest.raises(ValueError, match="cannot be read"):
        checkpoint.load(path)
    nested = {"a": [np.float32(0.5), (np.int64(2), np.True_)], "b": np.array([0.9, 0.99])}
    checkpoint.save(path, nested)
    found = checkpoint.load(path)
    assert found == {"format": checkpoint.FORMAT, "a": [0.5, (2, True)], "b": [0.9, 0.99]}


def test_betas_of_numpy_are_the_same_setting(tmp_path):
    path, betas = tmp_path / "run.pt", (np.float64(0.8), np.float64(0.9))
    go(Dropped(), path, steps=7, optimiser=partial(torch.optim.Adam, betas=betas))
    go(Dropped(), path, steps=9, optimiser=partial(torch.optim.Adam, betas=(0.8, 0.9)))
    with pytest.raises(ValueError, match="its options"):
        go(Dropped(), path, steps=9, optimiser=partial(torch.optim.Adam, betas=(0.8, 0.95)))
