"""Many models in one stack: each fares as it would alone."""

from functools import partial

import numpy as np
import pytest
import torch
from adding import Stacked, adding, error, errors, same, values

from companion import gru
from companion.nn import Readout, Recurrent
from companion.train import NonFiniteError, train

SEEDS, RATES = (0, 1, 2), (0.002, 0.01, 0.03)
OPTIMISERS = {
    "adam": torch.optim.Adam,
    "nadam": torch.optim.NAdam,
    "rmsprop": torch.optim.RMSprop,
    "adagrad": torch.optim.Adagrad,
    "momentum": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
}


def row(model, k):
    return {name: value[k : k + 1] for name, value in values(model).items()}


def close(a, b):
    return all(torch.allclose(a[k], b[k], rtol=0, atol=1e-10) for k in a)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_several_rates_are_one_each(name):
    """Clipped, scheduled, each at its own rate; to rounding, like training one after another."""
    options = {"steps": 25, "clip": 0.5, "schedule": lambda s: 0.98**s}
    options["optimiser"] = OPTIMISERS[name]
    stack = Stacked(SEEDS)
    together = train(stack, errors, adding, rate=RATES, **options)
    assert (together.norms > 0.5).any() and (together.norms < 0.5).any()  # some are clipped
    for k, rate in enumerate(RATES):
        alone = Stacked(SEEDS[k : k + 1])
        history = train(alone, error, adding, rate=rate, **options)
        for column in ("losses", "norms", "rates"):
            ours, theirs = getattr(together, column)[:, k], getattr(history, column)
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10)
        assert close(row(stack, k), values(alone))
        assert not close(row(stack, k), row(stack, (k + 1) % 3))
        wrong = Stacked(SEEDS[k : k + 1])  # the negative control: another model's rate
        train(wrong, error, adding, rate=RATES[k - 1], **options)
        assert not close(row(stack, k), values(wrong))


def test_a_rate_for_each_loses_no_digit():
    """The update is added as it is: at rate 1 it would be lost beside the parameter."""
    line, rates = torch.nn.Linear(1, 1, bias=False), (1e3, 2e3)
    line.weight = torch.nn.Parameter(torch.ones(2, 1))

    def loss(model, s):
        return 1e-9 * model.weight[:, 0]

    train(line, loss, int, steps=10, rate=rates, optimiser=torch.optim.SGD)
    moved = 1 - line.weight[:, 0].detach().double()
    np.testing.assert_allclose(moved.numpy(), [1e-5, 2e-5], atol=1e-6)
    before = torch.ones(2)  # the control: rate · (stepped − p), in float32
    stepped = before - 1e-9
    assert (torch.tensor(rates) * (stepped - before) == 0).all()


def test_one_rate_for_all_is_like_the_others():
    stack, wide = Stacked(SEEDS), Stacked(SEEDS)
    one = train(stack, errors, adding, steps=20, rate=0.02)
    each = train(wide, errors, adding, steps=20, rate=[0.02] * 3)
    np.testing.assert_allclose(one.losses, each.losses, rtol=0, atol=1e-12)
    assert np.array_equal(one.rates, each.rates)
    decayed = Stacked(SEEDS)  # with one rate, weight decay is as it is alone
    options = {"steps": 9, "rate": 0.02, "optimiser": partial(torch.optim.AdamW, weight_decay=0.3)}
    train(decayed, errors, adding, **options)
    alone = Stacked(SEEDS[1:2])
    train(alone, error, adding, **options)
    assert close(row(decayed, 1), values(alone))
    with pytest.raises(ValueError, match="rate has 3 values and the optimiser a weight decay"):
        train(decayed, errors, adding, **options | {"rate": RATES})


def test_a_norm_for_all_would_be_another_training():
    """The negative control of clipping by each model's own norm."""
    stack, plain = Stacked(SEEDS), Stacked(SEEDS)
    train(stack, errors, adding, steps=5, rate=0.02, clip=0.5)
    optimiser = torch.optim.Adam(plain.parameters(), lr=0.02)
    for s in range(5):
        optimiser.zero_grad()
        errors(plain, adding(s)).sum().backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
        optimiser.step()
    assert not any(close(row(stack, k), row(plain, k)) for k in range(3))


def test_each_ends_by_its_own_patience():
    seeds, rates = (0, 1, 2, 3), (0.1, 0.03, 0.01, 0.003)
    options = {"steps": 100, "every": 5, "patience": 3}
    held_out = adding(999, size=40)
    stack = Stacked(seeds)
    together = train(
        stack, errors, adding, rate=rates, validate=lambda m: errors(m, held_out), **options
    )
    ends = []
    for k, rate in enumerate(rates):
        alone = Stacked(seeds[k : k + 1])
        history = train(
            alone, error, adding, rate=rate, validate=lambda m: error(m, held_out), **options
        )
        n, v = len(history.losses), len(history.validations)
        np.testing.assert_allclose(together.losses[:n, k], history.losses, rtol=0, atol=1e-10)
        np.testing.assert_allclose(together.validations[:v, k], history.validations, atol=1e-10)
        assert np.isnan(together.losses[n:, k]).all() and np.isnan(together.norms[n:, k]).all()
        assert np.isnan(together.validations[v:, k]).all()
        assert together.ended[k] == history.ended[0]
        assert [together.best()[0][k], history.best()[0]] == [history.best()[0]] * 2
        assert close(row(stack, k), values(alone))
        ends.append(n)
    assert together.ended == ("patience", "patience", "patience", "steps")
    assert len(set(ends)) == 4
    # The control: a model that had gone on would have become better than it was left.
    on = Stacked(seeds)
    longer = train(
        on,
        errors,
        adding,
        rate=rates,
        validate=lambda m: errors(m, held_out),
        **options | {"patience": None},
    )
    assert (longer.best()[1] < together.best()[1] - 1e-6).any()


def spoiled(at, models=SEEDS):
    """Losses of a stack in which model k is not finite at step at[k]; batches are the steps."""

    def loss(model, s):
        factors = [np.nan if at.get(k) == s else 1.0 for k in range(len(models))]
        return errors(model, adding(s)) * torch.tensor(factors)

    return loss


@pytest.mark.parametrize("rate", [0.02, RATES])
def test_a_model_that_fails_is_held_and_the_others_go_on(rate):
    stack = Stacked(SEEDS)
    history = train(stack, spoiled({1: 7}), int, steps=20, rate=rate)
    assert history.ended == ("steps", "non-finite loss at step 7", "steps")
    assert history.failed.tolist() == [False, True, False]
    assert np.isnan(history.losses[7:, 1]).all() and np.isfinite(history.losses[:7]).all()
    assert np.isfinite(history.losses[:, [0, 2]]).all()
    for k, steps in ((0, 20), (1, 6), (2, 20)):  # step 6 was the last with a finite loss
        alone = Stacked(SEEDS[k : k + 1])
        train(alone, error, adding, steps=steps, rate=np.broadcast_to(rate, 3)[k].item())
        assert close(row(stack, k), values(alone))
    # The control: one more step, or one less, is another state.
    for steps in (5, 7):
        other = Stacked(SEEDS[1:2])
        train(other, error, adding, steps=steps, rate=np.broadcast_to(rate, 3)[1].item())
        assert not close(row(stack, 1), values(other))
    assert str(history).startswith("3 models, medians")
    assert str(history).endswith("ended: steps (2), non-finite loss at step 7 (1)")


def test_a_gradient_that_is_not_finite_ends_its_model_only():
    def loss(model, s):
        root = (model.w * torch.tensor([1.0, 1.0, s < 4])[:, None, None]).square().sum((1, 2))
        return errors(model, adding(s)) + root.sqrt()

    stack = Stacked(SEEDS)
    history = train(stack, loss, int, steps=8)
    assert history.ended == ("steps", "steps", "non-finite gradient at step 4")
    assert np.isfinite(history.losses[:5]).all() and np.isnan(history.losses[5:, 2]).all()
    assert all(value.isfinite().all() for value in values(stack).values())
    alone = Stacked(SEEDS[1:2])
    train(
        alone,
        lambda m, s: error(m, adding(s)) + m.w.square().sum().sqrt(),
        int,
        steps=8,
    )
    assert close(row(stack, 1), values(alone))


def test_when_all_fail_it_says_so():
    stack, before = Stacked(SEEDS), Stacked(SEEDS)
    with pytest.raises(
        NonFiniteError, match="all 3 models ended: non-finite loss at step"
    ) as caught:
        train(stack, spoiled({0: 4, 1: 2, 2: 4}), int, steps=9)
    assert caught.value.history.ended == tuple(f"non-finite loss at step {s}" for s in (4, 2, 4))
    train(before, errors, adding, steps=3)
    assert close(row(stack, 0), row(before, 0)) and not close(row(stack, 1), row(before, 1))
    # If one came to its end, the history tells of the others.
    validations = iter([[1, 1, 1], [2, 0.5, 0.5], [0.5] * 3, [0.1] * 3])
    history = train(
        Stacked(SEEDS),
        spoiled({1: 3, 2: 5}),
        int,
        steps=9,
        every=2,
        patience=1,
        validate=lambda m: next(validations),
    )
    assert history.ended[0] == "patience" and history.failed.tolist() == [False, True, True]
    assert len(history.losses) == 6
    assert history.best()[0].tolist() == [2, 2, 4] and history.best()[1].tolist() == [1, 1, 0.5]


class Counting(Stacked):
    """With a buffer for each model, one common to all, and one that is not stored by torch."""

    def __init__(self, seeds):
        super().__init__(seeds)
        self.register_buffer("mean", torch.zeros(len(seeds), dtype=torch.float64))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("last", torch.zeros(len(seeds), 8).double(), persistent=False)

    def forward(self, xs):
        found = super().forward(xs)
        if self.training:
            self.mean += 0.1 * (found.detach().mean(1) - self.mean)
            self.last.copy_(found.detach())
            self.calls += 1
        return found


def test_buffers_are_kept_with_their_model():
    stack, shorter, longer = Counting(SEEDS), Counting(SEEDS), Counting(SEEDS)
    train(stack, spoiled({1: 7}), int, steps=20, rate=0.02)
    train(shorter, errors, adding, steps=6, rate=0.02)
    train(longer, errors, adding, steps=20, rate=0.02)
    assert stack.calls == 20
    for name in ("mean", "last"):
        ours, few, many = (values(m)[name] for m in (stack, shorter, longer))
        assert torch.equal(ours[1], few[1]) and not torch.equal(few[1], many[1])
        assert torch.equal(ours[[0, 2]], many[[0, 2]])
    alone = Counting(SEEDS[:1])
    with pytest.raises(NonFiniteError):
        train(alone, lambda m, s: error(m, adding(s)) / (s != 7), int, steps=20, rate=0.02)
    assert alone.calls == 6 and torch.allclose(alone.mean[0], shorter.mean[0], atol=1e-12)


def test_layers_of_the_package_are_stacked_alike():
    """A recurrent layer for E models, its read-out, and dropout that draws for all."""

    class Network(torch.nn.Module):
        def __init__(self, seeds):
            super().__init__()
            rngs = [np.random.default_rng(seed) for seed in seeds]
            kind = {"models": len(seeds), "rng": rngs, "dtype": torch.float64}
            self.layer = Recurrent(gru, 2, 5, **kind)
            self.read = Readout(5, 1, **kind)

        def forward(self, xs):
            outputs, _ = self.layer(xs.transpose(1, 2))
            return self.read(outputs)[-1, ..., 0]

    stack = Network(SEEDS)
    history = train(stack, errors, adding, steps=30, rate=RATES)
    for k, rate in enumerate(RATES):
        alone = Network(SEEDS[k : k + 1])
        single = train(alone, error_of_one, adding, steps=30, rate=[rate])
        np.testing.assert_allclose(history.losses[:, k], single.losses[:, 0], rtol=0, atol=1e-10)
        assert close(row(stack, k), values(alone))


def error_of_one(model, batch):
    return errors(model, batch)[:1]


def test_what_is_not_stacked_is_named():
    stack = Stacked(SEEDS)
    stack.common = torch.nn.Parameter(torch.zeros(4))
    with pytest.raises(ValueError, match=r"parameter common has shape \(4,\); expected \(3, …\)"):
        train(stack, errors, adding, steps=2)
    stack.common = torch.nn.Parameter(torch.zeros(()))
    with pytest.raises(ValueError, match=r"parameter common has shape \(\); expected \(3, …\)"):
        train(stack, errors, adding, steps=2)
    with pytest.raises(ValueError, match=r"rate has 2 values and loss has shape \(3,\); expected"):
        train(Stacked(SEEDS), errors, adding, steps=2, rate=[0.1, 0.2])
    with pytest.raises(ValueError, match=r"validate returned shape \(\); expected \(3,\), as the"):
        train(Stacked(SEEDS), errors, adding, steps=2, validate=lambda m: 1.0)
    one = Stacked((0,))
    assert train(one, errors, adding, steps=2).losses.shape == (2, 1)  # a stack of one
    two = Stacked((0,))
    train(two, error, adding, steps=2)
    assert same(values(one), values(two))
