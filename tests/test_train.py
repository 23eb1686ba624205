"""The training loop with one model: it is the plain loop, and it ends as it says."""

import importlib.util
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from adding import Stacked, adding, error, errors, same, scripted, values

from companion.train import clip, train


class Layer(torch.nn.Module):
    """A layer of torch's own, with dropout and a linear read-out."""

    def __init__(self, kind, dropout=0.0):
        super().__init__()
        self.layer, self.read = kind(2, 6), torch.nn.Linear(6, 1)
        self.dropout = torch.nn.Dropout(dropout)
        self.double()

    def forward(self, xs):
        return self.read(self.dropout(self.layer(xs.transpose(1, 2))[0][-1])).T


@pytest.mark.parametrize("limit", [None, 0.1])
@pytest.mark.parametrize("kind", [torch.nn.RNN, torch.nn.LSTM, torch.nn.GRU])
def test_it_is_the_plain_loop(kind, limit):
    torch.manual_seed(0)
    ours = Layer(kind)
    plain = Layer(kind)
    plain.load_state_dict(ours.state_dict())
    history = train(ours, error, adding, steps=40, rate=0.01, clip=limit)
    optimiser = torch.optim.Adam(plain.parameters(), lr=0.01)
    for step in range(40):
        value = error(plain, adding(step))
        optimiser.zero_grad()
        value.backward()
        norm = torch.sqrt(sum((p.grad**2).sum() for p in plain.parameters()))
        for p in plain.parameters():
            p.grad *= 1 if limit is None or norm < limit else limit / norm
        optimiser.step()
        np.testing.assert_allclose(history.losses[step], value.item(), rtol=0, atol=1e-12)
        np.testing.assert_allclose(history.norms[step], norm.item(), rtol=1e-12)
    for name, value in values(plain).items():
        torch.testing.assert_close(values(ours)[name], value, rtol=0, atol=1e-11)
    assert history.losses[-5:].mean() < history.losses[0] / 2  # it learns
    # The negative control: one other batch is seen.
    torch.manual_seed(0)
    other = Layer(kind)
    train(other, error, lambda s: adding(s + (s == 20)), steps=40, rate=0.01, clip=limit)
    assert not torch.allclose(other.read.weight, plain.read.weight, atol=1e-6)


def test_the_chapter_on_gradients_could_have_used_it():
    """Its ten seeds, read-out, draws and clipping, on the stored losses of the first steps."""
    file = Path(__file__).parents[1] / "book" / "results" / "gradients.py"
    spec = importlib.util.spec_from_file_location("gradient_results", file)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    seeds, bound = (0, 7), script.HIDDEN**-0.5
    drawn = [script.first("gru", "turned", seed) for seed in seeds]
    rngs = [np.random.default_rng([seed, 1]) for seed in seeds]
    read = [rng.uniform(-bound, bound, (1, script.HIDDEN)) for rng in rngs]
    stacks = [np.stack(arrays) for arrays in zip(*drawn, strict=True)]
    stacks += [np.stack(read), np.zeros((2, 1))]
    model = torch.nn.ParameterList(torch.tensor(v if v.ndim == 3 else v[..., None]) for v in stacks)

    def loss(model, batch):
        xs, signs = batch
        wrong = -signs * script.logits("gru", list(model), xs)
        return torch.nn.functional.softplus(wrong).mean(1)

    history = train(
        model,
        loss,
        lambda s: script.together(rngs, script.BATCH),
        steps=8,
        rate=script.RATE,
        clip=script.LIMIT,
    )
    with np.load(script.STORED) as stored:
        expected = stored["turned_gru_begin"][list(seeds), :8]
    np.testing.assert_allclose(history.losses.T, expected, rtol=1e-8, atol=0)


def test_the_step_is_as_long_as_the_limit():
    def length(limit):
        model = Stacked((0,))
        before = values(model)
        history = train(
            model, error, adding, steps=1, rate=1.0, clip=limit, optimiser=torch.optim.SGD
        )
        moved = sum((v - before[k]).square().sum() for k, v in values(model).items())
        return float(moved) ** 0.5, history.norms[0]

    moved, norm = length(0.1)
    assert norm > 1
    np.testing.assert_allclose(moved, 0.1, rtol=1e-12)
    free, same_norm = length(None)  # the negative control
    np.testing.assert_allclose([free, same_norm], norm, rtol=1e-12)
    np.testing.assert_allclose(length(2 * norm)[0], norm, rtol=1e-12)  # shorter ones stay


def test_clip_does_not_overflow():
    """An exploding gradient of float32, whose square is infinite, is what clipping is for."""
    drawn = np.random.default_rng(0).standard_normal((3, 4, 5))
    exact = np.sqrt((drawn**2).sum((1, 2)))
    for size in (1e-30, 1.0, 1e30):
        g = [torch.tensor(drawn * size, dtype=torch.float32)]
        norms = clip(g, 1e-32, stacked=True)
        np.testing.assert_allclose(norms.numpy(), exact * size, rtol=1e-6)
        expected = 1e-32 * drawn / exact[:, None, None]
        np.testing.assert_allclose(g[0].numpy(), expected, rtol=1e-5)
    naive = torch.tensor(drawn * 1e30, dtype=torch.float32).square().sum()
    assert naive.isinf()


def test_clip_at_the_edges():
    zero = [torch.zeros(2, 3), torch.zeros(2)]
    assert clip(zero, 1.0).item() == 0 and zero[0].abs().max() == 0
    three = [torch.tensor([[3.0], [1.0]]), torch.tensor([4.0, torch.inf])]
    norms = clip(three, 1.0, stacked=True)
    assert norms[0] == 5 and not norms[1].isfinite()
    assert three[1][0] == 0.8 and not three[1][1].isfinite()  # a bad model spoils no other
    shared = [torch.tensor([[3.0], [1.0]]), torch.tensor([4.0, torch.inf])]
    assert not clip(shared, 1.0).isfinite()
    for stacked in (False, True):  # an array without elements has no largest one
        some = [torch.zeros(2, 0), torch.tensor([[3.0, 4.0], [0.0, 0.0]])]
        assert clip(some, 1.0, stacked=stacked).max() == 5 and some[1][0, 1] == 0.8
        assert clip(some[:1], 1.0, stacked=stacked).abs().max() == 0
    for wrong, message in (([], "gradients is empty"), ([torch.ones(2), torch.ones(3)], "one E")):
        with pytest.raises(ValueError, match=message):
            clip(wrong, 1.0, stacked=True)
    with pytest.raises(ValueError, match=r"limit is -1\.0; expected a number, not negative"):
        clip([torch.ones(2)], -1.0)


def test_the_schedule_is_a_factor_on_the_rate():
    half = train(Stacked((0,)), error, adding, steps=6, rate=0.02, schedule=lambda s: 0.5)
    assert half == train(Stacked((0,)), error, adding, steps=6, rate=0.01)
    model = Stacked((0,))
    history = train(model, error, adding, steps=6, rate=0.01, schedule=lambda s: float(s < 3))
    assert history.rates.tolist() == [0.01] * 3 + [0.0] * 3
    three = Stacked((0,))
    train(three, error, adding, steps=3, rate=0.01)
    assert same(values(model), values(three))
    assert half != train(Stacked((0,)), error, adding, steps=6, rate=0.02)
    with pytest.raises(ValueError, match="rate is 'fast'; expected a positive number"):
        train(Stacked((0,)), error, adding, steps=1, rate="fast")
    with pytest.raises(ValueError, match=r"schedule\(1\) is -1.0; expected a finite number, not"):
        train(model, error, adding, steps=3, schedule=lambda s: 1 - 2 * s)


@pytest.mark.parametrize(
    ("numbers", "patience", "best", "calls", "ended"),
    [
        ([5, 4, 3, 2, 1], 2, 4, 5, "steps"),
        ([5, 3, 4, 4, 1], 2, 1, 4, "patience"),
        ([5, 3, 4, 4, 1], 3, 4, 5, "steps"),
        ([5, 3, 4, 4, 1], None, 4, 5, "steps"),
        ([5, 5, 5, 1, 1], 2, 0, 3, "patience"),  # as low is not lower
        ([np.nan, 5, np.nan, np.nan, 1], 2, 1, 4, "patience"),
        ([2, np.inf, 1, 3, 4], 2, 2, 5, "patience"),
    ],
)
def test_early_stopping_leaves_the_best(numbers, patience, best, calls, ended):
    model, seen = Stacked((0,)), []
    history = train(
        model,
        error,
        adding,
        steps=15,
        every=3,
        validate=scripted(numbers, seen),
        patience=patience,
    )
    assert len(seen) == calls and history.ended == (ended,)
    assert same(values(model), seen[best]) and not same(seen[best], seen[best - 1])
    assert history.validated.tolist() == [3 * (k + 1) for k in range(calls)]
    np.testing.assert_array_equal(history.validations, np.array(numbers[:calls], float))
    assert tuple(map(float, history.best())) == (3 * (best + 1), numbers[best])
    assert len(history.losses) == 3 * calls


def test_the_last_state_is_validated_and_kept_where_none_was_good():
    model, seen = Stacked((0,)), []
    history = train(model, error, adding, steps=5, every=2, validate=scripted([np.nan] * 3, seen))
    assert history.validated.tolist() == [2, 4, 5]
    assert same(values(model), seen[-1])
    assert history.best()[0] == -1 and np.isnan(history.best()[1])
    plain = Stacked((0,))
    assert train(plain, error, adding, steps=5).best()[0] == -1
    assert same(values(plain), seen[-1])


def test_dropout_is_on_in_training_only():
    seen = []

    def loss(model, batch):
        seen.append(model.training)
        return error(model, batch)

    for training in (True, False):
        model = Layer(torch.nn.GRU, dropout=0.5).train(training)
        train(model, loss, adding, steps=3, every=1, validate=lambda m: error(m, adding(9)))
        assert model.training == training
    assert all(seen)


def test_what_has_no_gradient_stays():
    model = Stacked((0,))
    model.U.requires_grad_(False)
    before = values(model)
    train(model, error, adding, steps=3, optimiser=partial(torch.optim.AdamW, weight_decay=0.1))
    after = values(model)
    assert torch.equal(before["U"], after["U"]) and not torch.equal(before["W"], after["W"])


class Normed(torch.nn.Module):
    """A model with a normalisation, whose running mean moves in training mode only."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.norm, self.read = torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 1)
        self.drop = torch.nn.Dropout(0.5)
        self.double()

    def forward(self, xs):
        return self.read(self.drop(self.norm(xs.mean(0).T))).T


def test_a_part_that_is_frozen_stays_frozen():
    """Also after a validation, and after an error; the rest is in training mode all the while."""
    seen = []

    def loss(model, batch):
        seen.append((model.norm.training, model.drop.training))
        return error(model, batch)

    model = Normed()
    model.norm.eval()
    options = {"steps": 4, "every": 1, "validate": lambda m: error(m, adding(9))}
    train(model, loss, adding, **options)
    assert set(seen) == {(False, True)} and len(seen) == 4
    assert not model.norm.running_mean.any() and model.norm.num_batches_tracked == 0
    assert (model.training, model.norm.training, model.drop.training) == (True, False, True)
    with pytest.raises(ZeroDivisionError):
        train(model, loss, adding, **options | {"validate": lambda m: 1 / 0})
    assert (model.training, model.norm.training, model.drop.training) == (True, False, True)
    # The control: not frozen it moves; and a whole model in evaluation mode is put into training.
    for whole in (Normed(), Normed().eval()):
        mode = whole.training
        train(whole, error, adding, steps=2)
        assert whole.norm.running_mean.all() and whole.norm.num_batches_tracked == 2
        assert [m.training for m in whole.modules()] == [mode] * 4


def test_odd_tensors(tmp_path):
    """A parameter without elements, and buffers that are one row in memory."""
    plain, odd = Stacked((0, 1)), Stacked((0, 1))
    odd.none = torch.nn.Parameter(torch.zeros(2, 0).double())
    odd.register_buffer("row", torch.arange(3.0).expand(2, 3))
    odd.register_buffer("one", torch.ones(()).expand(2, 4))

    def loss(model, s):
        bad = torch.tensor([1.0, np.nan if s == 4 else 1.0])
        empty = sum(p.sum() for p in model.parameters() if not p.numel())
        return errors(model, adding(s)) * bad + empty

    options = {"steps": 9, "every": 3, "validate": lambda m: errors(m, adding(9))}
    expected = train(plain, loss, int, **options)
    assert train(odd, loss, int, checkpoint=tmp_path / "run.pt", **options) == expected
    assert expected.failed.tolist() == [False, True]
    assert torch.equal(odd.row, torch.arange(3.0).expand(2, 3)) and odd.one.stride() == (0, 0)
    assert all(torch.equal(value, values(odd)[key]) for key, value in values(plain).items())
    assert train(odd, loss, int, checkpoint=tmp_path / "run.pt", **options) == expected
