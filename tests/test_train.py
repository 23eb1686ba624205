"""The training loop with one model: it is the plain loop, and it ends as it says."""

import importlib.util
import io
import json
import pickle
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from adding import Stacked, adding, error, errors, same, values
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from companion.train import History, NonFiniteError, clip, train


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
    with pytest.raises(ValueError, match=r"schedule\(1\) is -1.0; expected a finite number, not"):
        train(model, error, adding, steps=3, schedule=lambda s: 1 - 2 * s)


def scripted(numbers, seen):
    """A validation that gives these numbers, and keeps the states that it saw."""

    def validate(model):
        assert not model.training and not torch.is_grad_enabled()
        seen.append(values(model))
        return numbers[len(seen) - 1]

    return validate


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


def test_the_history_is_a_plain_table():
    def run(steps=25):
        return train(
            Stacked((0,)),
            error,
            adding,
            steps=steps,
            every=10,
            validate=lambda m: error(m, adding(99)).item(),
        )

    history = run()
    assert isinstance(history, History) and history == run() and history != run(24)
    assert not np.array_equal(history.seconds, run().seconds)
    assert (np.diff(history.seconds) > 0).all()
    assert history.steps.tolist() == list(range(25))
    rows = json.loads(json.dumps(history.rows()))
    assert [row["step"] for row in rows] == list(range(26))
    assert rows[7] == {
        "step": 7,
        "validation": None,
        "loss": history.losses[7],
        "norm": history.norms[7],
        "rate": 0.001,
        "seconds": history.seconds[7],
    }
    assert rows[20]["validation"] == history.validations[1] and rows[25]["loss"] is None
    shown = str(history).splitlines()
    assert shown[0].split() == ["step", "loss", "validation", "norm", "rate"]
    assert [line.split()[0] for line in shown[1:-1]] == ["10", "20", "25"]
    assert shown[-1] == "ended: steps"
    assert len(str(train(Stacked((0,)), error, adding, steps=200)).splitlines()) == 14
    with pytest.raises(TypeError, match="unhashable"):
        hash(history)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "progress", "shown"),
    [(Terminal, True, True), (Terminal, False, False), (io.StringIO, True, False)],
)
def test_the_bar_is_for_terminals(stream, progress, shown, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream())
    train(Stacked((0,)), error, adding, steps=3, progress=progress)
    written = sys.stderr.getvalue()
    assert ("3/3" in written and "loss 0." in written) if shown else not written


@pytest.mark.slow
def test_a_notebook_stores_no_bar():
    cell = new_code_cell(
        "import torch\nfrom companion.train import train\n"
        "model = torch.nn.Linear(1, 1)\nxs = torch.ones(2, 1)\n"
        "history = train(model, lambda m, xs: m(xs).square().mean(), lambda s: xs, steps=300)\n"
        "len(history.losses)"
    )
    notebook = new_notebook(cells=[cell])
    NotebookClient(notebook, kernel_name="python3").execute()
    assert [output["data"]["text/plain"] for output in cell.outputs] == ["300"]


def named(**changes):
    given = {"model": Stacked((0,)), "loss": error, "batches": adding, "steps": 2}
    return given | changes


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"model": error}, TypeError, "model is a function; expected a torch.nn.Module"),
        ({"model": torch.nn.Tanh()}, ValueError, "model, a Tanh, has no parameters to train"),
        ({"steps": 0}, ValueError, "steps is 0; expected a positive integer"),
        ({"steps": 2.0}, ValueError, "steps is 2.0; expected a positive integer"),
        ({"every": True}, ValueError, "every is True; expected a positive integer"),
        ({"rate": 0}, ValueError, "rate is 0; expected a positive number, or one for each"),
        ({"rate": np.nan}, ValueError, "rate is nan; expected a positive number"),
        ({"rate": []}, ValueError, r"rate is \[\]; expected"),
        ({"rate": [[1.0]]}, ValueError, r"rate is \[\[1.0\]\]; expected"),
        ({"rate": [1.0, 2.0]}, ValueError, r"rate has 2 values and loss has shape \(\); expected"),
        ({"clip": 0}, ValueError, "clip is 0; expected a positive number, or None"),
        ({"clip": np.nan}, ValueError, "clip is nan; expected a positive number, or None"),
        ({"patience": 3}, ValueError, "patience is 3, but validate is None; expected a function"),
        ({"patience": 0, "validate": error}, ValueError, "patience is 0; expected a positive"),
        ({"loss": lambda m, b: 1.0}, ValueError, "loss is 1.0; expected a tensor of shape"),
        ({"loss": lambda m, b: m.W}, ValueError, r"loss has shape \(1, 4, 2\); expected a tensor"),
        ({"loss": lambda m, b: m.w[:0, 0, 0]}, ValueError, r"loss has shape \(0,\); expected"),
        ({"loss": lambda m, b: torch.tensor(1.0)}, ValueError, "loss depends on none of the mod"),
        (
            {"loss": lambda m, s: errors(m, adding(s)) if s else error(m, adding(s))} | {
                "batches": int
            },
            ValueError,
            r"loss at step 1 has shape \(1,\); expected \(\), as before",
        ),
        (
            {"validate": lambda m: [1.0, 2.0]},
            ValueError,
            r"validate returned shape \(2,\); expected \(\), as the loss has",
        ),
        (
            {"optimiser": lambda p, lr: torch.optim.lr_scheduler.StepLR},
            TypeError,
            "optimiser made a type; expected a torch.optim.Optimizer",
        ),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(changes, kind, message):
    with pytest.raises(kind, match=message):
        train(**named(**changes))
