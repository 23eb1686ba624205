"""One loop for every cell: it is the unrolled network, in batches and in pieces."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from companion import gru, gru_reset_after, init, lstm, rnn, scan, step, zero_state

CELLS = (rnn, lstm, gru, gru_reset_after)
sizes = st.integers(1, 5)
seeds = st.integers(0, 2**32 - 1)


def parts(state):
    return state if isinstance(state, tuple) else (state,)


def drawn(cell, rng, length, batch_size, input_size, hidden_size):
    p = init(cell, input_size, hidden_size, rng)
    xs = rng.standard_normal((length, batch_size, input_size))
    zero = zero_state(cell, p, batch_size)
    state = tuple(rng.uniform(-1, 1, part.shape) for part in parts(zero))
    return p, xs, state if cell is lstm else state[0]


@pytest.mark.parametrize("cell", CELLS)
@given(length=sizes, batch_size=sizes, input_size=sizes, hidden_size=sizes, seed=seeds)
def test_batch_is_a_loop_over_vectors(cell, length, batch_size, input_size, hidden_size, seed):
    rng = np.random.default_rng(seed)
    p, xs, state = drawn(cell, rng, length, batch_size, input_size, hidden_size)
    outputs, last = scan(cell, xs, state, p)
    assert outputs.shape == (length, batch_size, hidden_size)
    for b in range(batch_size):
        now = tuple(part[b] for part in parts(state))
        for t in range(length):  # the equation itself, without the loop under test
            now = parts(cell(xs[t, b], *now, p))
            np.testing.assert_allclose(outputs[t, b], now[0], rtol=0, atol=1e-14)
        for ours, theirs in zip(parts(last), now, strict=True):
            np.testing.assert_allclose(ours[b], theirs, rtol=0, atol=1e-14)


@pytest.mark.parametrize("cell", CELLS)
@given(first=sizes, second=sizes, seed=seeds)
def test_scan_over_two_halves(cell, first, second, seed):
    rng = np.random.default_rng(seed)
    p, xs, state = drawn(cell, rng, first + second, 2, 3, 4)
    whole, last = scan(cell, xs, state, p)
    half, between = scan(cell, xs[:first], state, p)
    rest, end = scan(cell, xs[first:], between, p)
    assert np.array_equal(whole, np.concatenate([half, rest]))
    assert all(map(np.array_equal, parts(last), parts(end)))
    # The negative control: forgetting the state between the halves is seen.
    forgotten, _ = scan(cell, xs[first:], zero_state(cell, p, 2), p)
    assert not np.allclose(forgotten, rest, atol=1e-6)


@pytest.mark.parametrize("cell", CELLS)
def test_step_is_one_turn_of_scan(cell):
    p, xs, state = drawn(cell, np.random.default_rng(1), 1, 3, 2, 4)
    outputs, last = scan(cell, xs, state, p)
    new = step(cell, xs[0], state, p)
    assert all(map(np.array_equal, parts(new), parts(last)))
    assert np.array_equal(parts(new)[0], outputs[0])
    assert isinstance(new, tuple) == (cell is lstm)


@pytest.mark.parametrize("cell", CELLS)
def test_torch_gives_the_same_and_differentiates(cell):
    p, xs, state = drawn(cell, np.random.default_rng(2), 4, 3, 2, 5)
    expected, _ = scan(cell, xs, state, p)
    weights = type(p)(*(torch.tensor(value, requires_grad=True) for value in p))
    given_state = tuple(map(torch.tensor, parts(state)))
    outputs, _ = scan(
        cell, torch.tensor(xs), given_state if cell is lstm else given_state[0], weights
    )
    np.testing.assert_allclose(outputs.detach().numpy(), expected, rtol=0, atol=1e-14)
    outputs.sum().backward()
    assert all(w.grad is not None and w.grad.abs().max() > 0 for w in weights)


def test_float32_stays_float32():
    p = init(lstm, 2, 3, np.random.default_rng(0), dtype=np.float32)
    outputs, state = scan(lstm, np.ones((4, 2), np.float32), zero_state(lstm, p), p)
    assert {a.dtype for a in (outputs, *state)} == {np.dtype(np.float32)}


def test_a_cell_with_two_inputs():
    def late(x, xo, h, p):
        return p.W @ x + p.U @ h + p.Wo @ xo

    p = init(late, 2, 3, np.random.default_rng(0))
    xs = np.random.default_rng(1).standard_normal((2, 5, 4, 2))
    outputs, _ = scan(late, tuple(xs), zero_state(late, p, 4), p)
    assert outputs.shape == (5, 4, 3)
    np.testing.assert_allclose(outputs[0, 1], late(xs[0, 0, 1], xs[1, 0, 1], np.zeros(3), p))
    with pytest.raises(ValueError, match="xs is a ndarray; expected a tuple of 2 arrays"):
        scan(late, xs[0], zero_state(late, p, 4), p)
    with pytest.raises(ValueError, match=r"xs\[1\] \(xo\) has shape \(3, 4, 2\); expected \(5, 4"):
        scan(late, (xs[0], xs[1, :3]), zero_state(late, p, 4), p)


P = init(gru, 3, 4, np.random.default_rng(0))
H0 = np.zeros(4)
XS = np.ones((5, 3))


def changed(**values):
    return SimpleNamespace(**{**P._asdict(), **values})


@pytest.mark.parametrize(
    ("xs", "state", "p", "error", "message"),
    [
        (np.ones((5, 2)), H0, P, ValueError, r"xs has shape \(5, 2\); expected \(T, 3\)"),
        (np.ones(3), H0, P, ValueError, r"xs has shape \(3,\); expected \(T, 3\)"),
        (np.ones((5, 2, 2, 3)), H0, P, ValueError, r"xs has shape \(5, 2, 2, 3\); expected"),
        (np.ones((0, 3)), H0, P, ValueError, r"xs has shape \(0, 3\): it is empty.* one step"),
        (np.ones((5, 0, 3)), np.zeros((0, 4)), P, ValueError, "empty.* one sequence"),
        (
            [np.ones((5, 3)), np.ones((4, 3))],
            H0,
            P,
            ValueError,
            r"xs is ragged.*\(4, 3\), \(5, 3\)",
        ),
        (
            np.array([np.ones(3), np.ones(2)], dtype=object),
            H0,
            P,
            ValueError,
            r"xs is ragged.*\(2,\), \(3,\)",
        ),
        ([[1.0, 2.0, 3.0]], H0, P, TypeError, "xs is a list; expected an array"),
        (XS.astype(int), H0, P, TypeError, "xs has dtype int64; expected real"),
        (XS + 0j, H0, P, TypeError, "xs has dtype complex128; expected real"),
        (XS > 0, H0, P, TypeError, "xs has dtype bool; expected real"),
        (torch.ones(5, 3, dtype=torch.int64), H0, P, TypeError, "xs has dtype torch.int64; exp"),
        (XS.astype(np.float32), H0, P, TypeError, "numpy float32.*expected one library and one"),
        (XS, H0.astype(np.float32), P, TypeError, "state is numpy float32.*one precision"),
        (torch.ones(5, 3), H0, P, TypeError, "torch torch.float32; expected one library"),
        (XS, H0, changed(bz=P.bz.astype(np.float32)), TypeError, "p.bz is numpy float32"),
        (XS, np.zeros(3), P, ValueError, r"state has shape \(3,\); expected \(4,\) = \(H,\)"),
        (XS, np.zeros((5, 4)), P, ValueError, r"state has shape \(5, 4\); expected \(4,\)"),
        (XS, (H0, H0), P, ValueError, "state is a tuple of 2; expected one array for gru"),
        (XS, (H0,), P, ValueError, "state is a tuple of 1; expected one array for gru"),
        (XS, None, P, TypeError, "state is a NoneType; expected an array"),
        (XS, H0, None, ValueError, "p, a NoneType, has no Wz"),
        (XS, H0, P._asdict(), ValueError, "p, a dict, has no Wz.*as attributes"),
        (
            XS,
            H0,
            changed(Uz=P.Uz[:, :3]),
            ValueError,
            r"p.Uz has shape \(4, 3\); expected \(4, 4\)",
        ),
        (
            XS,
            H0,
            changed(bz=P.bz[:, None]),
            ValueError,
            r"p.bz has shape \(4, 1\); expected \(4,\)",
        ),
        (XS, H0, changed(Wn=P.Wn.T), ValueError, r"p.Wn has shape \(3, 4\); expected \(4, 3\)"),
        (XS, H0, changed(bn=np.float64(0)), ValueError, r"p.bn has shape \(\); expected \(4,\)"),
        (XS, H0, changed(bn=[0.0] * 4), TypeError, "p.bn is a list; expected an array"),
        # B = H = 4: every one of these broadcasts happily in NumPy.
        (np.ones((5, 4, 3)), H0, P, ValueError, r"state has shape \(4,\); expected \(4, 4\) = \(B"),
        (np.ones((5, 2, 3)), np.zeros((4, 4)), P, ValueError, r"\(4, 4\); expected \(2, 4\)"),
        (np.ones((5, 2, 3)), np.zeros((1, 4)), P, ValueError, r"\(1, 4\); expected \(2, 4\)"),
        (XS, np.zeros((1, 4)), P, ValueError, r"state has shape \(1, 4\); expected \(4,\)"),
    ],
)
def test_bad_input_is_named(xs, state, p, error, message):
    with pytest.raises(error, match=message):
        scan(gru, xs, state, p)


@pytest.mark.parametrize("state", [H0, (H0,), (H0, H0, H0), [H0, H0]])
def test_an_lstm_has_two_states(state):
    p = init(lstm, 3, 4, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"expected a tuple of 2 arrays \(h, c\) for lstm"):
        scan(lstm, XS, state, p)
    with pytest.raises(ValueError, match=r"state\[1\] \(c\) has shape \(3,\); expected \(4,\)"):
        scan(lstm, XS, (H0, np.zeros(3)), p)


def test_a_missing_parameter_is_named():
    p = changed()
    del p.Ur
    with pytest.raises(ValueError, match="p, a SimpleNamespace, has no Ur; gru needs Wz, Uz"):
        scan(gru, XS, H0, p)


def test_step_checks_alike():
    assert step(gru, np.ones(3), H0, P).shape == (4,)
    with pytest.raises(ValueError, match=r"x has shape \(5, 3\); expected|state has shape"):
        step(gru, XS, H0, P)
    with pytest.raises(ValueError, match=r"x has shape \(2,\); expected \(3,\) = \(D,\) or"):
        step(gru, np.ones(2), H0, P)
    with pytest.raises(TypeError, match="cell is a str; expected a function"):
        step("gru", np.ones(3), H0, P)


def test_a_bias_is_never_added_to_rows():
    """With B = H the laid-out batch is square: the bias must still go to the columns."""
    p = changed(bn=np.array([1.0, -1.0, 2.0, 0.5]))
    batch = np.zeros((4, 3))
    together = step(gru, batch, np.zeros((4, 4)), p)
    assert np.allclose(together, gru(batch[0], H0, p))
    # What the bare equation does with the same batch, silently: the bug that step is there for.
    assert not np.allclose(gru(batch.T, np.zeros((4, 4)), p).T, together)
