"""Parameters: found by tracing, drawn by name, counted as polynomials, carried everywhere."""

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils import _pytree as pytree

from companion import count, gru, gru_reset_after, init, lstm, rnn

CELLS = (rnn, lstm, gru, gru_reset_after)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("cell", CELLS)
@given(input_size=st.integers(1, 9), hidden_size=st.integers(1, 9))
def test_count_counts(cell, input_size, hidden_size):
    p = init(cell, input_size, hidden_size, rng())
    assert sum(value.size for value in p) == count(cell).subs({"D": input_size, "H": hidden_size})


def test_counts_of_the_books():
    """PyTorch has two biases where one is enough, except in reset-after's candidate."""
    for cell, layer, gates in ((rnn, torch.nn.RNN, 1), (lstm, torch.nn.LSTM, 4)):
        theirs = sum(w.numel() for w in layer(5, 7).parameters())
        assert theirs == count(cell).subs({"D": 5, "H": 7}) + gates * 7
    theirs = sum(w.numel() for w in torch.nn.GRU(5, 7).parameters())
    assert theirs == count(gru_reset_after).subs({"D": 5, "H": 7}) + 2 * 7


def test_uniform_is_pytorchs_range():
    p = init(gru, 30, 100, rng())
    for value in p:
        assert np.abs(value).max() <= 0.1
        assert np.abs(value).max() > 0.09  # the range is used


def test_glorot_and_orthogonal():
    p = init(lstm, 3, 50, rng(), W="glorot", U="orthogonal", b="zeros", forget_bias=2.0)
    assert np.abs(p.Wi).max() <= (6 / 53) ** 0.5
    np.testing.assert_allclose(p.Ui.T @ p.Ui, np.eye(50), atol=1e-12)
    assert not np.allclose(p.Ui, p.Uf)
    assert (p.bf == 2.0).all()
    assert (p.bi == 0.0).all()


def test_orthogonal_is_uniform_over_rotations():
    """Without the sign correction the mean of the diagonal is far from zero."""
    draws = [np.diag(init(rnn, 1, 4, rng(s), U="orthogonal").U) for s in range(400)]
    assert np.abs(np.mean(draws, axis=0)).max() < 0.1
    raw = [np.diag(np.linalg.qr(rng(s).standard_normal((4, 4)))[0]) for s in range(400)]
    assert np.abs(np.mean(raw, axis=0)).max() > 0.1


def test_the_same_seed_gives_the_same_parameters():
    assert all(map(np.array_equal, init(gru, 2, 3, rng(5)), init(gru, 2, 3, rng(5))))
    assert not np.array_equal(init(gru, 2, 3, rng(5)).Wz, init(gru, 2, 3, rng(6)).Wz)


@pytest.mark.parametrize("cell", CELLS)
def test_parameters_travel(cell):
    p = init(cell, 2, 3, rng())
    for again in (pickle.loads(pickle.dumps(p)), copy.deepcopy(p)):
        assert type(again) is type(p)
        assert all(map(np.array_equal, again, p))
        assert all(a is not b for a, b in zip(again, p, strict=True))
    assert type(init(cell, 2, 3, rng(1))) is type(p)  # one type a cell, as trees need
    assert repr(p).startswith(f"{cell.__name__} parameters: W")


def test_parameters_are_a_tree_for_torch():
    p = pytree.tree_map(torch.tensor, init(gru, 2, 3, rng()))
    assert type(p) is type(init(gru, 2, 3, rng()))
    leaves, structure = pytree.tree_flatten(p)
    assert len(leaves) == 9
    assert torch.equal(pytree.tree_unflatten(leaves, structure).Un, p.Un)
    gradient = torch.func.grad(
        lambda q: gru(torch.ones(2).double(), torch.ones(3).double(), q).sum()
    )
    assert gradient(p).Wz.shape == (3, 2)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((gru, 0, 4, rng()), {}, ValueError, "input_size is 0; expected a positive integer"),
        ((gru, 3, -1, rng()), {}, ValueError, "hidden_size is -1; expected a positive"),
        ((gru, 3.0, 4, rng()), {}, ValueError, "input_size is 3.0; expected"),
        ((gru, True, 4, rng()), {}, ValueError, "input_size is True; expected"),
        ((gru, 3, 4, 0), {}, TypeError, "rng is a int; expected a numpy.random.Generator"),
        ((gru, 3, 4, rng()), {"U": "he"}, ValueError, "U is 'he'; expected one of uniform"),
        ((gru, 3, 4, rng()), {"b": "glorot"}, ValueError, "b is 'glorot'; a vector takes"),
        ((gru, 3, 4, rng()), {"W": "orthogonal"}, ValueError, r"Wz has shape \(4, 3\), not square"),
        ((gru, 3, 4, rng()), {"forget_bias": 1.0}, ValueError, "gru has no parameter bf"),
        ((lstm, 3, 4, rng()), {"forget_bias": "chrono"}, TypeError, "is 'chrono'; expected a num"),
        ((gru, 3, 4, rng()), {"dtype": int}, TypeError, "dtype is int64; expected a real"),
        (("gru", 3, 4, rng()), {}, TypeError, "cell is a str; expected a function"),
    ],
)
def test_bad_arguments_are_named(arguments, options, error, message):
    with pytest.raises(error, match=message):
        init(*arguments, **options)
