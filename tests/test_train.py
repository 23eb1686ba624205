"""The training loop: one model or many in a stack, each as it would be alone."""

import numpy as np
import pytest
import torch

from companion.train import NonFiniteError, train

torch.set_num_threads(1)
RATES = (0.003, 0.03, 0.1)


class Stacked(torch.nn.Module):
    """A tanh RNN that reads the sum of marked numbers out, models of it at once."""

    def __init__(self, seeds, hidden_size=4):
        super().__init__()
        shapes = {"W": (hidden_size, 2), "U": (hidden_size, hidden_size), "w": (1, hidden_size)}
        for name, shape in shapes.items():
            drawn = [
                np.random.default_rng([seed, len(name + str(shape))]).uniform(-0.5, 0.5, shape)
                for seed in seeds
            ]
            setattr(self, name, torch.nn.Parameter(torch.tensor(np.stack(drawn))))
        self.b = torch.nn.Parameter(torch.zeros(len(seeds), hidden_size, 1, dtype=torch.float64))

    def forward(self, xs):
        h = xs.new_zeros(len(self.U), self.U.shape[1], xs.shape[-1])
        for x in xs:
            h = torch.tanh(self.W @ x + self.U @ h + self.b)
        return (self.w @ h)[:, 0]


def adding(step, size=8, length=6):
    """Numbers and marks (T, 2, B), and the sums of the marked numbers (B,)."""
    rng = np.random.default_rng([7, step])
    numbers, marks = rng.uniform(0, 1, (length, size)), np.zeros((length, size))
    for column in range(size):
        marks[rng.choice(length, 2, replace=False), column] = 1
    return torch.tensor(np.stack([numbers, marks], 1)), torch.tensor((numbers * marks).sum(0))


def squares(model, batch):
    xs, sums = batch
    return (model(xs) - sums).square().mean(1)


def square(model, batch):
    return squares(model, batch)[0]


def test_a_stack_is_trained_like_separate_models():
    stack = Stacked((0, 1, 2))
    together = train(stack, squares, adding, steps=60, rate=RATES)
    for k, rate in enumerate(RATES):
        alone = Stacked((k,))
        history = train(alone, square, adding, steps=60, rate=rate)
        np.testing.assert_allclose(together.losses[:, k], history.losses, rtol=0, atol=1e-10)
        for ours, theirs in zip(stack.parameters(), alone.parameters(), strict=True):
            np.testing.assert_allclose(ours[k].detach(), theirs[0].detach(), rtol=0, atol=1e-10)
    assert together.losses[-10:].mean() < together.losses[0].mean() / 2


def test_a_loss_that_is_not_finite_stops():
    model = Stacked((0,))
    with pytest.raises(NonFiniteError, match="non-finite loss at step 5"):
        train(model, lambda m, s: square(m, adding(s)) * (np.nan if s == 5 else 1), int, steps=9)


def test_it_goes_on(tmp_path):
    one, two = Stacked((0, 1)), Stacked((0, 1))
    whole = train(one, squares, adding, steps=30, every=10, checkpoint=tmp_path / "a")
    train(two, squares, adding, steps=20, every=10, checkpoint=tmp_path / "b")
    assert whole == train(two, squares, adding, steps=30, every=10, checkpoint=tmp_path / "b")
