"""Each variant against its equation written out anew, unit by unit, and its paper's form."""

import itertools
import math

import numpy as np
import pytest
import torch
from cells_under_test import CELLS, drawn, name, parts

from companion import (
    cell_gated_lstm,
    count,
    coupled_lstm,
    gru,
    gru_delayed_reset,
    init,
    janet,
    linear_lstm,
    lstm,
    lstm_host,
    mgu,
    min_gru,
    min_lstm,
    peephole_lstm,
    reading_lstm,
    relu_rnn,
    scan,
    softplus,
    trace,
)

COUNTS = {
    lstm_host: "H*(4*D + 7*H + 4)",
    peephole_lstm: "H*(4*D + 4*H + 7)",
    coupled_lstm: "3*H*(D + H + 1)",
    linear_lstm: "3*H*(D + H + 1)",
    cell_gated_lstm: "3*H*(D + H + 1)",
    reading_lstm: "3*H*(D + H + 1)",
    gru_delayed_reset: "3*H*(D + H + 1)",
    mgu: "2*H*(D + H + 1)",
    janet: "2*H*(D + H + 1)",
    min_gru: "2*H*(D + 1)",
    min_lstm: "3*H*(D + 1)",
    relu_rnn: "H*(D + H + 1)",
}


@pytest.mark.parametrize("cell", COUNTS, ids=name)
def test_parameters_are_those_of_the_papers(cell):
    assert str(count(cell)) == COUNTS[cell]


def sig(a):
    return 1 / (1 + math.exp(-a))


def by_hand(cell, x, state, p):
    """One step in plain Python: sums over k, one unit j at a time."""
    H = len(state[0])

    def dot(letter, v, j):
        matrix = getattr(p, letter)
        return sum(matrix[j, k] * v[k] for k in range(len(v)))

    def arg(gate, j, h, x=x, **extra):
        total = dot(f"W{gate}", x, j) + getattr(p, f"b{gate}")[j]
        total += dot(f"U{gate}", h, j) if h is not None else 0
        return total + sum(extra.values())

    new = [[0.0] * H for _ in state]
    h = state[0]
    gates = {}
    for j in range(H):
        if cell is relu_rnn:
            new[0][j] = max(arg("", j, h), 0)
        elif cell is peephole_lstm:
            c = state[1]
            i = sig(arg("i", j, h, v=p.vi[j] * c[j]))
            f = sig(arg("f", j, h, v=p.vf[j] * c[j]))
            new[1][j] = f * c[j] + i * math.tanh(arg("g", j, h))
            o = sig(arg("o", j, h, v=p.vo[j] * new[1][j]))
            new[0][j] = o * math.tanh(new[1][j])
        elif cell in (coupled_lstm, linear_lstm, cell_gated_lstm):
            c = state[1]
            read = c if cell is cell_gated_lstm else h
            i, o = sig(arg("i", j, read)), sig(arg("o", j, read))
            new[1][j] = (1 - i) * c[j] + i * math.tanh(arg("g", j, h))
            new[0][j] = o * (math.tanh(new[1][j]) if cell is coupled_lstm else new[1][j])
        elif cell is reading_lstm:
            gates[j] = [sig(arg("o", k, h)) * h[k] for k in range(H)]
            i, g = sig(arg("i", j, h)), math.tanh(arg("g", j, gates[j]))
            new[0][j] = (1 - i) * h[j] + i * g
        elif cell is gru_delayed_reset:
            r = state[1]
            z = sig(arg("z", j, h))
            n = math.tanh(arg("n", j, [r[k] * h[k] for k in range(H)]))
            new[0][j], new[1][j] = (1 - z) * h[j] + z * n, sig(arg("r", j, h))
        elif cell is mgu:
            z = [sig(arg("z", k, h)) for k in range(H)]
            n = math.tanh(arg("n", j, [z[k] * h[k] for k in range(H)]))
            new[0][j] = (1 - z[j]) * h[j] + z[j] * n
        elif cell is janet:
            a = arg("f", j, h)
            new[0][j] = sig(a) * h[j] + (1 - sig(a - 1)) * math.tanh(arg("g", j, h))
        elif cell is min_gru:
            z = sig(arg("z", j, None))
            new[0][j] = (1 - z) * h[j] + z * arg("n", j, None)
        else:
            f, i = sig(arg("f", j, None)), sig(arg("i", j, None))
            new[0][j] = f / (f + i) * h[j] + i / (f + i) * arg("g", j, None)
    return new


@pytest.mark.parametrize("cell", [cell for cell in COUNTS if cell is not lstm_host], ids=name)
@pytest.mark.parametrize("seed", range(5))
def test_each_unit_by_hand(cell, seed):
    rng = np.random.default_rng(seed)
    p, xs, state = drawn(cell, rng, 1, 3, 4)
    theirs = by_hand(cell, xs[0], parts(state), p)
    for ours, expected in zip(parts(cell(xs[0], *parts(state), p)), theirs, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-14)


def test_the_host_without_peepholes_is_the_lstm():
    rng = np.random.default_rng(0)
    p, xs, state = drawn(lstm_host, rng, 6, 3, 4)
    plain = p._replace(Vi=0 * p.Vi, Vf=0 * p.Vf, Vo=0 * p.Vo)
    ours, _ = scan(lstm_host, (xs[0], xs[0]), state, plain)
    theirs, _ = scan(lstm, xs[0], state, plain)
    np.testing.assert_array_equal(ours, theirs)
    peeped, _ = scan(lstm_host, (xs[0], xs[0]), state, p)
    assert not np.allclose(peeped, theirs, atol=1e-3)
    # Diagonal matrices are Graves' peepholes.
    diagonal = {f"v{k}": np.diag(getattr(p, f"V{k}")) for k in "ifo"}
    full = p._replace(**{f"V{k}": np.diag(diagonal[f"v{k}"]) for k in "ifo"})
    graves = init(peephole_lstm, 3, 4, rng)
    graves = graves._replace(**{n: getattr(p, n) for n in graves._fields if n in p._fields})
    ours, _ = scan(lstm_host, (xs[0], xs[0]), state, full)
    theirs, _ = scan(peephole_lstm, xs[0], state, graves._replace(**diagonal))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-14)


def test_neighbours_on_the_ladder_differ():
    """With the same weights and states; only the last rung is the GRU."""
    rng = np.random.default_rng(1)
    p, xs, state = drawn(lstm, rng, 5, 3, 4)
    rungs = [lstm, coupled_lstm, linear_lstm, cell_gated_lstm]
    cells = [np.array(scan(cell, xs, state, p)[1][1]) for cell in rungs]
    cells.append(scan(reading_lstm, xs, state[1], p)[1])
    for one, other in itertools.pairwise(cells):
        assert np.abs(one - other).max() > 1e-3
    letters = {"z": "i", "r": "o", "n": "g"}
    q = init(gru, 3, 4, rng)
    q = q._replace(**{n: getattr(p, n[0] + letters[n[1]]) for n in q._fields})
    np.testing.assert_array_equal(scan(gru, xs, state[1], q)[1], cells[-1])


def test_softplus_keeps_all_digits():
    a = np.array([-745.0, -40.0, 0.0, 25.0, 800.0])
    exact = [5e-324, math.exp(-40), math.log(2), 25 + math.log1p(math.exp(-25)), 800]
    np.testing.assert_allclose(softplus(a), exact, rtol=2e-16)
    np.testing.assert_allclose(softplus(torch.tensor(a)).numpy(), exact, rtol=2e-16)
    assert softplus(a.astype(np.float32)).dtype == np.float32
    assert softplus(torch.zeros(2)).dtype == torch.float32
    assert float(softplus(0.5)) == pytest.approx(math.log1p(math.exp(0.5)), rel=1e-15)


@pytest.mark.parametrize("cell", CELLS, ids=name)
def test_every_cell_runs_in_batches(cell):
    rng = np.random.default_rng(2)
    p, xs, state = drawn(cell, rng, 4, 3, 4, batch_size=4)
    outputs, _ = scan(cell, xs, state, p)
    now = tuple(part[1] for part in parts(state))
    for t in range(4):
        now = parts(cell(*(s[t, 1] for s in parts(xs)), *now, p))
        np.testing.assert_allclose(outputs[t, 1], now[0], rtol=0, atol=1e-14)
    assert str(trace(cell)).startswith(trace(cell).name)
