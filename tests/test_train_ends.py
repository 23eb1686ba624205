"""The training loop where a number is not finite: it stops, says where, keeps what was good."""

import pickle

import numpy as np
import pytest
import torch
from adding import Stacked, adding, error, same, scripted, values

from companion.train import NonFiniteError, train


def spoiled(bad, factor):
    """The loss, times a factor at one step; batches are the steps' numbers."""
    return lambda model, s: error(model, adding(s)) * (factor if s == bad else 1.0)


@pytest.mark.parametrize("factor", [np.nan, np.inf, -np.inf])
def test_a_loss_that_is_not_finite_stops(factor):
    model, before = Stacked((0,)), Stacked((0,))
    with pytest.raises(FloatingPointError) as caught:
        train(model, spoiled(5, factor), int, steps=9, rate=0.02, clip=None)
    words = str(caught.value)
    assert "non-finite loss at step 5 (step 4: loss 0." in words
    assert "rate 0.02, clip None" in words and "a smaller rate or clip=1.0" in words
    assert "batches(5)" in words and "the last state with a finite loss" in words
    history = caught.value.history
    assert len(history.losses) == 6 and np.isfinite(history.losses[:5]).all()
    assert not np.isfinite(history.losses[5]) and history.failed
    expected = train(before, error, adding, steps=4, rate=0.02, clip=None)
    assert same(values(model), values(before))  # the state that step 4 was computed with
    np.testing.assert_array_equal(expected.losses, history.losses[:4])
    # The negative control: the plain loop goes on and ruins every parameter.
    plain = Stacked((0,))
    optimiser = torch.optim.Adam(plain.parameters(), lr=0.02)
    for s in range(9):
        optimiser.zero_grad()
        spoiled(5, factor)(plain, s).backward()
        optimiser.step()
    assert all(value.isnan().all() for value in values(plain).values())


def test_divergence_stops_at_the_last_state_that_gave_a_number():
    """Too large a rate: the parameters themselves overflow, so the state before is the good one."""

    def loss(model, batch):
        return sum((p**4).sum() for p in model.parameters())

    model = Stacked((0,))
    with pytest.raises(NonFiniteError, match="non-finite loss at step") as caught:
        train(model, loss, int, steps=99, rate=9.0, clip=None, optimiser=torch.optim.SGD)
    assert loss(model, 0).isfinite()
    np.testing.assert_allclose(loss(model, 0).item(), caught.value.history.losses[-2], rtol=1e-12)
    clipped = Stacked((0,))  # what the message advises does help
    train(clipped, loss, int, steps=99, rate=0.01, optimiser=torch.optim.SGD)


def test_a_gradient_that_is_not_finite_stops():
    """√ at 0: the loss is a number, its derivative is not."""
    model = Stacked((0,))

    def loss(model, s):
        return error(model, adding(s)) + ((model.w * (s < 4)).square().sum()).sqrt()

    with pytest.raises(NonFiniteError, match="non-finite gradient at step 4") as caught:
        train(model, loss, int, steps=9)
    assert np.isfinite(caught.value.history.losses).all()
    assert all(value.isfinite().all() for value in values(model).values())
    expected = Stacked((0,))
    train(expected, lambda m, s: error(m, adding(s)) + m.w.norm(), int, steps=4)
    for name, value in values(expected).items():
        torch.testing.assert_close(values(model)[name], value, rtol=0, atol=1e-12)


def test_the_last_step_is_looked_at_too():
    model = Stacked((0,))
    before = values(model)
    with pytest.raises(NonFiniteError, match="non-finite parameters after the last step"):
        train(
            model,
            lambda m, s: 1e200 * error(m, adding(s)),
            int,
            steps=1,
            rate=1e200,
            clip=None,
            optimiser=torch.optim.SGD,
        )
    assert same(values(model), before)


def test_a_buffer_may_hold_an_infinity():
    model = Stacked((0,))
    model.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
    assert train(model, error, adding, steps=2).ended == ("steps",)


def test_a_bad_first_step_leaves_the_model():
    model = Stacked((0,))
    before = values(model)
    with pytest.raises(NonFiniteError, match=r"non-finite loss at step 0 \(step 0: loss nan"):
        train(model, spoiled(0, np.nan), int, steps=3)
    assert same(values(model), before)


def test_the_best_is_kept_when_it_stops():
    model, seen = Stacked((0,)), []
    with pytest.raises(NonFiniteError, match="its best validated state") as caught:
        train(
            model, spoiled(8, np.nan), int, steps=9, every=2, validate=scripted([3, 1, 2, 2], seen)
        )
    assert same(values(model), seen[1])
    again = pickle.loads(pickle.dumps(caught.value))  # as a cluster sends it
    assert again.history == caught.value.history and str(again) == str(caught.value)
