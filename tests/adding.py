"""A task and models that are small enough to be trained in a test."""

import numpy as np
import torch

torch.set_num_threads(1)


class Stacked(torch.nn.Module):
    """One tanh RNN with a linear read-out for each seed, in stacks of matrices."""

    def __init__(self, seeds, dtype=torch.float64, hidden_size=4):
        super().__init__()
        h = hidden_size
        for name, shape in {"W": (h, 2), "U": (h, h), "b": (h, 1), "w": (1, h)}.items():
            rngs = [np.random.default_rng([seed, ord(name)]) for seed in seeds]
            drawn = np.stack([rng.uniform(-0.5, 0.5, shape) for rng in rngs])
            setattr(self, name, torch.nn.Parameter(torch.tensor(drawn, dtype=dtype)))

    def forward(self, xs):
        h = xs.new_zeros(*self.b.shape[:2], xs.shape[-1])
        for x in xs:
            h = torch.tanh(self.W @ x + self.U @ h + self.b)
        return (self.w @ h)[:, 0]


def adding(step, size=8, length=5, dtype=torch.float64):
    """Numbers beside marks (T, 2, B), and the sum of the two marked numbers (B,)."""
    rng = np.random.default_rng([7, step])
    numbers, marks = rng.uniform(0, 1, (length, size)), np.zeros((length, size))
    for column in range(size):
        marks[rng.choice(length, 2, replace=False), column] = 1
    sums = (numbers * marks).sum(0)
    return torch.tensor(np.stack([numbers, marks], 1), dtype=dtype), torch.tensor(sums, dtype=dtype)


def errors(model, batch):
    """Mean squared errors (E,) of a stack."""
    xs, sums = batch
    return (model(xs) - sums).square().mean(1)


def error(model, batch):
    """The same for one model."""
    return errors(model, batch)[0]


def values(model):
    """All its parameters and buffers, copied, by name."""
    found = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: value.detach().clone() for name, value in found.items()}


def same(a, b):
    """Whether two such dictionaries are equal bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def scripted(numbers, seen):
    """A validation that gives these numbers, and keeps the states that it saw."""

    def validate(model):
        assert not model.training and not torch.is_grad_enabled()
        seen.append(values(model))
        return numbers[len(seen) - 1]

    return validate
