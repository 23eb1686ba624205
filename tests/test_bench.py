"""The benchmark's machinery on tiny sizes, and the bounds that its stored results meet.

Nothing here compares two times measured now: that would depend on what else the machine does.
"""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tools import bench, peak
from tools.contenders import JAX, PLAIN, TORCH, Case, has_jax, make

STORED = Path(__file__).parents[1] / "book" / "results" / "cost.json"
TINY = [Case(cell, 5, 2, 3, 4) for cell in bench.CELLS]
tiny = pytest.mark.parametrize("case", TINY, ids=lambda case: case.cell)


@pytest.fixture(scope="module")
def stored():
    return json.loads(STORED.read_text())


@tiny
@pytest.mark.parametrize("who", [*TORCH[1:], JAX])
def test_every_program_gives_the_same_outputs_and_gradients(case, who):
    if who == JAX and not has_jax():
        pytest.skip("JAX is not installed")
    theirs, ours = make(case, "torch.nn"), make(case, who)
    np.testing.assert_allclose(np.asarray(ours.forward()), theirs.forward(), rtol=0, atol=1e-6)
    found, expected = list(ours.train()), list(theirs.train())
    assert len(found) == len(expected) == 4
    for ours_, theirs_ in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.asarray(ours_), theirs_, rtol=0, atol=1e-6)


def test_another_cell_would_be_noticed():
    case = TINY[0]
    other = make(case._replace(cell="gru"), "torch loop").forward()
    assert abs(make(case, "torch.nn").forward() - other).max() > 1e-3


def test_training_twice_does_not_add_up():
    runs = make(TINY[1], "companion.nn")
    once = [gradient.clone() for gradient in runs.train()]
    for first, second in zip(once, runs.train(), strict=True):
        assert torch.equal(first, second)


def test_onednn_is_on_again_after_the_program_without_it():
    before = torch._C._get_mkldnn_enabled()
    runs = make(TINY[2], PLAIN)
    runs.train()
    assert torch._C._get_mkldnn_enabled() == before


class Listing(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.called = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.called += 1
        return function(*args, **(kwargs or {}))


def called_in_a_step(cell, who, what):
    """How many operations torch carries out for one step more."""
    found = []
    for T in (10, 11):
        call = getattr(make(Case(cell, T, 2, 3, 4), who), what)
        with Listing() as listing:
            call()
        found.append(listing.called)
    return found[1] - found[0]


@pytest.mark.parametrize("what", ["forward", "train"])
def test_a_grus_step_calls_about_as_many_operations_as_an_lstms_save_in_our_loop(what):
    for who, low, high in (
        ("torch loop", 0.9, 1.25), (PLAIN, 0.9, 1.25), ("companion.nn", 0.8, 0.85),
    ):  # fmt: skip
        gru, lstm = (called_in_a_step(cell, who, what) for cell in ("gru", "lstm"))
        assert low < gru / lstm < high, (who, gru, lstm)


def test_everything_is_held_to_one_processor_where_the_system_allows_it(monkeypatch):
    held = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5, 3}, raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", lambda *to: held.append(to), raising=False)
    bench.on_one_processor()
    assert held == [(0, {3})]
    monkeypatch.delattr(os, "sched_setaffinity")
    bench.on_one_processor()
    assert len(held) == 1


@pytest.fixture(scope="module")
def measured():
    timed = [(case, who) for case in TINY for who in ("torch.nn", "companion.nn", "torch loop")]
    longer = [(case._replace(T=10), who) for case, who in timed]
    return bench.measure([*timed, *longer], rounds=2)


def test_every_case_is_measured_in_every_round(measured):
    assert len(measured) == 2 * 2 * 9
    for record in measured:
        assert len(record["seconds"]) == len(record["shares"]) == 2
        assert all(0 < value < 10 for value in record["seconds"])


def test_the_table_takes_the_quickest_round_and_the_ratio_is_ours_by_theirs():
    case = Case("gru", 1, 1, 1, 1)
    records = [
        {**case._asdict(), "who": who, "what": "train", "seconds": seconds}
        for who, seconds in (("companion.nn", [3.0, 4.0]), ("torch.nn", [9.0, 2.0]))
    ]
    table = bench.Table(records)
    assert table.ratio(case, "torch.nn", "train") == 1.5
    assert math.isnan(table.ratio(case, JAX, "train"))


def test_growth_is_told_by_its_power():
    case = Case("rnn", 0, 1, 1, 1)
    for power in (1, 2):
        records = [
            {**case._replace(T=T)._asdict(), "who": "a", "what": "train", "seconds": [T**power]}
            for T in (10, 40)
        ]
        found = bench.exponent(bench.Table(records), case, "a", "train", (10, 40))
        assert math.isclose(found, power)


def invented(ratio):
    """Records in which companion.nn takes `ratio` times as long as torch.nn."""
    return [
        {**case._asdict(), "who": who, "what": what, "seconds": [seconds * case.T]}
        for case in bench.GRID
        for who, seconds in (("torch.nn", 1.0), ("companion.nn", ratio))
        for what in ("forward", "train")
    ]


def test_the_report_says_which_bounds_hold():
    found = {"import": 0.2, "memory": []}
    said = bench.report(found | {"times": invented(2.0)})
    assert "nn.GRU at T = 100, B = 32, D = 64, H = 128: 2.00, DOES NOT HOLD" in said
    assert "nn.LSTM at T = 100, B = 32, D = 64, H = 128: 2.00, holds" in said
    assert "rnn   1.00" in said  # grows as T
    assert "DOES NOT" not in bench.report(found | {"times": invented(1.5)})


def test_what_is_stored_can_be_read_again(measured, tmp_path):
    times = [dict(record) for record in measured]
    found = {"about": bench.about(times, 2, 60.0), "import": 0.1, "times": times, "memory": []}
    bench.store(found, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == found
    assert found["about"]["threads"] == torch.get_num_threads()
    assert "shares" not in times[0]


def test_the_highest_mark_rises_with_the_length():
    """In a process of its own it would begin lower; that it never falls is what is used."""
    first, second = peak.peaks("torch loop", Case("lstm", 0, 32, 64, 128), [20, 400])
    assert 0 <= first <= second


def test_the_stored_results_are_complete_and_small(stored):
    assert STORED.stat().st_size < 300_000
    assert set(stored["about"]["versions"]) == {"python", "torch", "jax", "jaxlib", "numpy"}
    assert stored["about"]["threads"] == 1
    assert stored["about"]["share"]["100%"] < 1.05  # on one processor, JAX too
    assert stored["about"]["processor"]
    keys = (*Case._fields, "who", "what")
    found = [tuple(record[key] for key in keys) for record in stored["times"]]
    wanted = {(*case, who, what) for case, who in bench.TIMED for what in ("forward", "train")}
    assert len(found) == len(wanted)
    assert set(found) == wanted
    assert {len(record["seconds"]) for record in stored["times"]} == {stored["about"]["rounds"]}
    assert stored["about"]["rounds"] >= 3


def test_the_stored_results_meet_the_bounds(stored):
    """Training of the plain path within 1.5 of nn.GRU and 3 of nn.LSTM at the size that counts."""
    assert bench.BOUNDS == {"gru": 1.5, "lstm": 3.0}
    assert bench.BOUNDED == {"T": 100, "B": 32, "D": 64, "H": 128}
    said = bench.report(stored)
    assert said.count("holds") == 2
    assert "DOES NOT" not in said


def test_the_stored_times_are_linear_in_the_length(stored):
    table = bench.Table(stored["times"])
    for cell in bench.CELLS:
        for B, (D, H) in {(1, (16, 32)), (1, (64, 128)), (32, (16, 32)), (32, (64, 128))}:
            case = Case(cell, 0, B, D, H)
            power = bench.exponent(table, case, "companion.nn", "train", (25, 400))
            assert 0.75 < power < 1.25


def test_the_stored_memory_is_linear_in_the_length(stored):
    assert len(stored["memory"]) == 9
    for record in stored["memory"]:
        assert record["T"] == bench.LENGTHS
        assert 3 < record["MB"][2] / record["MB"][1] < 5
