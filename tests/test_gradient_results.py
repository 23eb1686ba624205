"""The stored results of the chapter on gradients, repeated in part; and its theorem, on numbers."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from companion import init, rnn, scan, sigmoid, zero_state
from companion.symbolic import backward, evaluate, jacobian
from companion.symbolic.evaluate import named
from companion.symbolic.program import program

FILE = Path(__file__).parents[1] / "book" / "results" / "gradients.py"
KINDS = [(start, name) for start in ("drawn", "turned") for name in ("rnn", "lstm", "gru")]
kinds = pytest.mark.parametrize(("start", "name"), KINDS)


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("gradient_results", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def stored(script):
    with np.load(script.STORED) as found:
        return dict(found)


@kinds
def test_the_first_steps_of_training_are_the_stored_ones(start, name, script, stored):
    """Two of the ten seeds, whose arithmetic does not depend on the others'."""
    losses, _, _ = script.train(name, start, seeds=(0, 7), steps=8)
    expected = stored[f"{start}_{name}_begin"][[0, 7], :8]
    np.testing.assert_allclose(losses, expected, rtol=1e-8, atol=0)


@kinds
def test_the_stored_networks_are_as_good_as_stored(start, name, script, stored):
    """Their parameters were rounded to float32, which may move a few of 1,000 answers."""
    for seed in (0, 7):
        key, p = f"{start}_{name}", script.first(name, start, seed)
        p = p._replace(**{k: stored[f"{key}_{k}"][seed].astype(float) for k in p._fields})
        xs, signs = script.sequences(np.random.default_rng([seed, 2]), script.TESTED)
        outputs, _ = scan(
            script.CELLS[name],
            np.swapaxes(xs, 1, 2),
            zero_state(script.CELLS[name], p, batch_size=script.TESTED),
            p,
        )
        w, a = (stored[f"{key}_{k}"][seed] for k in "wa")
        right = (outputs[-1] @ w.T + a > 0)[:, 0] == (signs > 0)
        assert abs(right.mean() - stored[f"{key}_accuracy"][seed]) <= 0.01


def test_the_truncations_are_the_stored_ones(script, stored):
    for start, name, seed in (("drawn", "rnn", 0), ("turned", "rnn", 3)):
        expected = stored[f"{start}_{name}_truncated"][seed]
        found = script.deviations(name, start, seed)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_what_is_stored_is_complete_and_small(script, stored):
    assert FILE.with_suffix(".npz").stat().st_size < 300_000
    for start, name in KINDS:
        assert stored[f"{start}_{name}_losses"].shape == (10, script.STEPS // 25)
        assert stored[f"{start}_{name}_truncated"].shape == (10, 4, len(script.SPANS))
        assert np.isfinite(stored[f"{start}_{name}_truncated"]).all()


def logistic(x, s, p):
    return sigmoid(p.W @ x + p.U @ s + p.b)


def stretches(cell, xs, p):
    """The norm of the product of the last k Jacobians, k = 0, 1, …"""
    state, product, steps = np.zeros(p.b.shape), np.eye(len(p.b)), []
    for x in xs:
        steps.append(named(program(cell), [x, state], p))
        state = steps[-1][program(cell).outputs[0]]
    found = [1.0]
    for values in reversed(steps):
        product = product @ evaluate(jacobian(cell), values)
        found.append(np.linalg.norm(product, 2))
    return np.array(found)


@pytest.mark.parametrize(("cell", "border"), [(rnn, 1.0), (logistic, 4.0)])
@pytest.mark.parametrize("share", [0.5, 0.99, 1.0, 3.0])
def test_pascanus_bound_holds_at_every_lag(cell, border, share):
    """‖∂h_T/∂h_{T−k}‖ ≤ (γλ₁)^k, on both sides of the border; and a wrong γ is noticed."""
    tight = False
    for seed in range(10):
        rng = np.random.default_rng(seed)
        p = init(cell, 2, 6, rng, U="orthogonal", b="zeros")
        p = p._replace(U=share * border * p.U, W=0.1 * p.W)
        if cell is logistic:  # at s = 1/2 the slope is as large as it can be
            p = p._replace(b=-p.U @ np.full(6, 0.5))
        found = stretches(cell, rng.normal(size=(30, 2)), p)
        assert (found <= share ** np.arange(31) * (1 + 1e-12)).all()
        tight |= bool((found[1:] > (0.8 * share) ** np.arange(1, 31)).any())
    assert tight


def test_the_jacobian_of_the_bound_is_the_backward_step():
    """v J is what the derived backward step returns for v."""
    rng = np.random.default_rng(0)
    p = init(rnn, 2, 5, rng)
    x, h, v = rng.normal(size=2), rng.normal(size=5), rng.normal(size=5)
    values = named(program(rnn), [x, h], p)
    back = backward(rnn).gradients(values, (v,))["h"]
    np.testing.assert_allclose(v @ evaluate(jacobian(rnn), values), back, rtol=1e-12, atol=1e-14)
