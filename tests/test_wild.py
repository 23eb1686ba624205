"""Each published slip is caught by the test on its page, and the right version passes it.

The functions are the page's own, wrong and right: its cells are read, and of each the imports and
the definitions are run. Beside the page's tests stand witnesses that know nothing of them.
"""

import ast
import inspect
import linecache
import os
import re
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from companion import (
    count,
    coupled_lstm,
    draw,
    gru,
    gru_reset_after,
    init,
    lstm,
    mgu,
    peephole_lstm,
    rnn,
    trace,
)
from companion.data.tasks import adding
from companion.symbolic import backward
from tools.environment import BOOK
from tools.notebooks import read

CELLS = read(BOOK / "wild.ipynb").cells
DEFINES = (ast.Import, ast.ImportFrom, ast.FunctionDef)
CAUGHT = (AssertionError, TypeError, ValueError)


def definitions():
    """What the page imports and defines, without running the rest of it."""
    names = {"__name__": "page", "norm": np.linalg.norm}
    for cell in CELLS:
        if cell.cell_type == "code":
            file = f"<page {cell.id}>"
            lines = cell.source.splitlines(True)
            linecache.cache[file] = (len(cell.source), None, lines, file)
            tree = ast.parse(cell.source)
            tree.body = [node for node in tree.body if isinstance(node, DEFINES)]
            exec(compile(tree, file, "exec"), names)
    return names


PAGE = definitions()
SEEDED = init(lstm, 2, 4, np.random.default_rng(0))
NO_WAY_ROUND = SEEDED._replace(**dict.fromkeys(("Ui", "Uf", "Ug"), 0 * SEEDED.Ui))
PAIRS = [
    ("check_backward", "hurried", "mended"),
    ("check_jacobian", "last_by_first", "one_each"),
    ("check_jacobian", "outside", "one_each"),  # a second way to be wrong
    ("check_is_torchs", gru, gru_reset_after),
    ("check_plain", "opened", "both_opened"),
    ("check_count", "keras_parameters", "two_biases"),
    ("check_names", "labelled", gru),
    ("check_all_alive", "demonstrated", gru),  # refused by init; by its gradients: see below
    ("check_weight", "lstm_for_music", "with_peepholes"),
    ("check_padding", "nats_per_frame", "masked"),
    ("check_direct", SEEDED, NO_WAY_ROUND),
]


NAMES = [f"{check}-{wrong if isinstance(wrong, str) else 'cell'}" for check, wrong, _ in PAIRS]


@pytest.mark.parametrize(("check", "wrong", "right"), PAIRS, ids=NAMES)
def test_the_slip_is_caught_and_the_right_version_passes(check, wrong, right):
    wrong, right = (PAGE[name] if isinstance(name, str) else name for name in (wrong, right))
    PAGE[check](right)
    with pytest.raises(CAUGHT):
        PAGE[check](wrong)
    assert PAGE["verdict"](PAGE[check], right) == "passes"
    assert PAGE["verdict"](PAGE[check], wrong).startswith("caught: ")


def test_the_page_has_no_check_that_is_not_tested_here():
    checks = {name for name in PAGE if name.startswith("check_")}
    assert checks == {check for check, _, _ in PAIRS} | {"check_baseline"}


def test_each_slip_has_its_place_its_exercise_its_solution_and_its_lesson():
    text = "\n".join(cell.source for cell in CELLS)
    sections = re.findall(r"^## (\d+)\. (.*?)(?=^## )", text, re.MULTILINE | re.DOTALL)
    assert [int(number) for number, _ in sections] == list(range(1, 11))
    for _, section in sections:
        marks = ("*Where.*", "{exercise}", "*Hint:*", "{solution-start}", "check_", "**Learn:**")
        places = [section.index(mark) for mark in marks]
        assert places == sorted(places)


def test_no_hunt_is_over_before_it_begins():
    """Where the slip is to be found, no word in front of the solution says what it is."""
    text = "\n".join(cell.source for cell in CELLS if cell.cell_type == "markdown")
    given_away = {2: "under the product", 4: "pdate", 6: "each other", 7: "applied", 8: "GRU of 36"}
    for number, words in (given_away | {9: "padd"}).items():
        section = text[text.index(f"## {number}. ") : text.index(f"## {number + 1}. ")]
        hunt, solution = section.split("{solution-start}")
        assert words not in re.sub(r"^:label:.*", "", hunt, flags=re.MULTILINE), number
        assert words in solution, number


def test_the_wrong_code_is_short():
    for _, name, _ in PAIRS:
        if isinstance(name, str):
            assert len(inspect.getsource(PAGE[name]).splitlines()) <= 16, name


# ------------------------------------------------------------------ the backward pass


def step(seed=0):
    """One step of an LSTM, with gradients that arrive at its new h and c."""
    rng = np.random.default_rng(seed)
    p, (h, c) = init(lstm, 2, 5, rng), rng.normal(size=(2, 5, 1))
    columns = type(p)(*(v.reshape(len(v), -1) for v in p))
    return columns, p, rng.normal(size=(2, 1)), h, c, *rng.normal(size=(2, 5, 1))


def test_the_slip_is_a_gradient_that_was_overwritten():
    """All is right but dc, which has the old step's dh in the place of the new step's."""
    columns, p, x, h, c, dh, dc = step()
    wrong_h, wrong_c, wrong_gates = PAGE["hurried"](x, h, c, columns, dh, dc)
    _, right_h, right_c, d_p = backward(lstm)(x[:, 0], h[:, 0], c[:, 0], p, dh[:, 0], dc[:, 0])
    np.testing.assert_allclose(wrong_h[:, 0], right_h, rtol=0, atol=1e-14)
    for gate, da in wrong_gates.items():
        np.testing.assert_allclose(da[:, 0], getattr(d_p, f"b{gate}"), rtol=0, atol=1e-14)
    i, f, g, o = (
        s(getattr(columns, f"W{k}") @ x + getattr(columns, f"U{k}") @ h + getattr(columns, f"b{k}"))
        for k, s in zip("ifgo", (PAGE["sigmoid"],) * 2 + (np.tanh, PAGE["sigmoid"]), strict=True)
    )
    slope = o * (1 - np.tanh(f * c + i * g) ** 2)
    off = wrong_c[:, 0] - right_c
    np.testing.assert_allclose(off, (f * slope * (wrong_h - dh))[:, 0], rtol=0, atol=1e-14)
    assert np.abs(off).max() > 0.1
    mended = PAGE["mended"](x, h, c, columns, dh, dc)[1]
    np.testing.assert_allclose(mended[:, 0], right_c, rtol=0, atol=1e-14)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_exact_for_one_step_and_for_no_more(seed):
    for T in (1, 2, 3, 10):
        given = PAGE["drawn"](T, seed)
        wrong, right = PAGE["by_hand"](PAGE["hurried"], *given), PAGE["by_autograd"](*given)
        off = max(np.abs(a - b).max() for a, b in zip(wrong, right, strict=True))
        assert off < 1e-12 if T == 1 else off > 1e-2


def test_a_network_learns_with_it_all_the_same():
    losses = PAGE["train"](partial(PAGE["by_hand"], PAGE["hurried"]), seed=0)
    assert losses[-20:].mean() < 0.2 * losses[:20].mean()
    assert losses[-20:].max() < 5 / 36


def test_a_look_at_the_last_step_is_worth_a_sixth():
    """A guess without a memory may still look at the last step: it costs 5/36, not 1/6."""
    xs, targets = adding(5, 200_000, np.random.default_rng(0))
    value, marker = xs[-1].T
    for guess, cost in ((1, 1 / 6), (0.5 + np.where(marker == 1, value, 0.5), 5 / 36)):
        assert np.mean((targets[:, 0] - guess) ** 2) == pytest.approx(cost, abs=1e-3)


@pytest.mark.parametrize("words", ["noise", "unknown"])
def test_with_the_tutorials_sizes_the_error_is_of_the_gradients_order(words):
    off, _ = PAGE["compared"](30, partial(PAGE["as_there"], words=PAGE[words]), seeds=3)
    assert 0.3 < off[1] < 30
    xs, p, d_last = PAGE["as_there"](30, 0, PAGE[words])
    assert (xs.shape, p.Wi.shape, d_last.shape) == ((30, 1, 300), (64, 300), (1, 64))


def test_the_check_catches_all_mutants():
    mutants = [PAGE["mutant"](gate, factor) for gate in "ifgo" for factor in (-1, 0)]
    mutants += [PAGE["mutant"]("i", 1, keep_h=0), PAGE["mutant"]("i", 1, keep_c=0)]
    for broken in mutants:
        with pytest.raises(AssertionError):
            PAGE["check_backward"](broken)
    PAGE["check_backward"](PAGE["mutant"]("i", 1))  # the mutant without a mutation


# ------------------------------------------------------------------ the power


def test_the_power_exaggerates_in_both_directions():
    sizes = {
        s: [
            np.linalg.norm(PAGE[f](*PAGE["turned"](6, s)), 2) for f in ("last_by_first", "one_each")
        ]
        for s in (0.5, 3)
    }
    wrong, right = sizes[0.5]
    assert wrong < 1e-4 * right < right < 1
    wrong, right = sizes[3]
    assert wrong > 1e4 * right > right > 1


def test_it_is_right_up_to_two_steps():
    for T in (1, 2, 3):
        given = PAGE["drawn_rnn"](T)
        right = PAGE["one_each"](*given)
        for wrong in ("last_by_first", "outside"):
            assert np.allclose(PAGE[wrong](*given), right, rtol=1e-12) == (T < 3), (T, wrong)


# ------------------------------------------------------------------ names, counts, documents


def test_a_drawing_with_swapped_labels_is_refused():
    with pytest.raises(ValueError, match="labelled"):
        draw.cell(PAGE["labelled"])
    plt.close(draw.cell(gru))


def test_a_dead_gate_is_a_cell_with_an_open_one():
    rng = np.random.default_rng(0)
    p, x, h = init(gru, 3, 8, rng), rng.normal(size=3), rng.normal(size=8)
    opened = PAGE["opened"](p)
    assert np.array_equal(PAGE["demonstrated"](x, h, p), gru(x, h, opened))
    assert not np.allclose(gru(x, h, p), gru(x, h, opened), atol=1e-3)
    with pytest.raises(TypeError, match="the size of Wr"):
        trace(PAGE["demonstrated"])


@pytest.mark.parametrize(
    "cell", [rnn, lstm, gru, gru_reset_after, mgu, peephole_lstm, coupled_lstm]
)
def test_no_weight_of_a_right_cell_is_idle(cell):
    PAGE["check_all_alive"](cell)
    from_zero = PAGE["idle"](cell, scale=0)  # where it would be wrong to ask
    assert {name for name in trace(cell).parameters if name[0] == "U"} <= set(from_zero)


@pytest.mark.parametrize("wrong", ["demonstrated", "muted"])
def test_the_gradients_find_the_idle_gate(wrong):
    assert PAGE["idle"](PAGE[wrong], like=gru) == ["Wr", "Ur", "br"]


def test_a_gate_times_zero_passes_the_trace():
    trace(PAGE["muted"])
    with pytest.raises(AssertionError, match="Wr, Ur, br do nothing"):
        PAGE["check_all_alive"](PAGE["muted"])


def test_weights_of_the_two_music_networks():
    lstm_size, gru_size = (count(c).subs({"D": 96, "H": 36}) for c in (peephole_lstm, gru))
    assert (lstm_size, gru_size) == (19_260, 14_364)
    sizes = {count(gru).subs({"D": 96, "H": H}) for H in range(1, 100)}
    assert lstm_size not in sizes  # no GRU passes for the LSTM


def test_the_quickest_other_program_is_the_baseline(monkeypatch):
    monkeypatch.setitem(PAGE, "new", "new")
    monkeypatch.setitem(PAGE, "times", {"new": 0.1, "quick": 1.0, "as quick": 1.05, "slow": 3.0})
    PAGE["check_baseline"]("quick")
    PAGE["check_baseline"]("as quick")
    with pytest.raises(AssertionError, match=r"another is 3\.0 times as fast"):
        PAGE["check_baseline"]("slow")


def test_the_documents_still_say_what_the_page_says(monkeypatch):
    """If one was mended, the better: then the page should say so."""
    for name, value in (("BACKEND", "torch"), ("TORCH_DEVICE", "cpu"), ("HOME", os.devnull)):
        monkeypatch.setenv(f"KERAS_{name}", value)  # read when Keras is imported
    import keras

    text = "\n".join(cell.source for cell in CELLS)
    assert f"(version {keras.__version__})" in text
    said = " ".join(keras.layers.GRU.__doc__.split())
    assert re.search(r"The default one is based on \S*v3\S* and has reset gate applied to", said)
    assert inspect.signature(keras.layers.GRU).parameters["reset_after"].default is True
    layer = keras.layers.GRU(32)
    layer.build((None, None, 32))
    assert layer.count_params() == PAGE["two_biases"](32, 32) == 6336
    assert PAGE["keras_parameters"](32, 32) == 6240
    said = " ".join(torch.nn.GRU.__doc__.split())
    assert "In the original implementation" in said
    assert "done before the multiplication with the weight matrix" in said
