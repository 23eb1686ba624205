"""The stand-in for speech: the mixture's density, what is seen and said, a small point again."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.data import digits, spoken
from companion.experiments import load, speech, stacks
from companion.experiments.chung import CELLS
from companion.experiments.speech import MIXED, OUTPUTS, SAID, SEEN, Model, Recordings, costs
from companion.experiments.stacks import judge, loss
from companion.parameters import count

FLOOR = -5.0
RESULTS = Path(__file__).parents[1] / "book" / "results"


def audio(count=5, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(n) for n in rng.integers(200, 600, count)]


@pytest.fixture(autouse=True)
def in_float64(chunks_in_float64, monkeypatch):
    chunks_in_float64(Recordings)
    return monkeypatch


def model_of(unit, recordings, seeds=(1, 2)):
    return Model(unit, 5, list(seeds), recordings.batch, FLOOR).double()


def drawn(shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(0, 2, shape))


def direct(outputs, target, floor=FLOOR):
    """The cost of one target (D,), from the definition, by SciPy."""
    logits, means, a = np.split(outputs, [MIXED, MIXED * (1 + len(target))])
    deviations = np.exp(floor + np.logaddexp(0, a - floor))
    each = scipy.stats.norm(means, deviations).pdf(np.tile(target, MIXED))
    weights = np.exp(logits) / np.exp(logits).sum()
    return -np.log((weights * each.reshape(MIXED, -1).prod(1)).sum())


def test_a_cost_is_minus_the_log_of_the_mixtures_density():
    outputs, targets = drawn((3, 4, OUTPUTS)), drawn((3, 4, SAID), 1)
    found = costs(outputs, targets, FLOOR)
    for at in np.ndindex(3, 4):
        assert found[at].item() == pytest.approx(
            direct(outputs[at].numpy(), targets[at].numpy()), rel=1e-10
        )
    swapped = torch.cat([outputs[..., :MIXED], outputs[..., MIXED:].flip(-1)], -1)
    assert (costs(swapped, targets, FLOOR) - found).abs().min() > 1e-3


def test_the_density_integrates_to_one():
    xs = torch.linspace(-60, 60, 200_001, dtype=torch.float64)[:, None]
    outputs = drawn(3 * MIXED)
    outputs[2 * MIXED :] /= 2
    density = torch.exp(-costs(outputs.expand(len(xs), -1), xs, FLOOR))
    assert torch.trapezoid(density, xs[:, 0]).item() == pytest.approx(1, abs=1e-10)
    narrow = outputs[2 * MIXED :].min()  # one scale for what has many is no density
    wrong = density * torch.exp(narrow)
    assert abs(torch.trapezoid(wrong, xs[:, 0]).item() - 1) > 0.1


@pytest.mark.parametrize("mean", [0.0, 0.25, 0.5])
def test_no_gaussian_is_so_narrow_that_it_gains_from_the_rounding(mean):
    """At the floor, the density times the step is a probability of the whole numbers."""
    s = 2469.0
    whole = torch.arange(-50, 51, dtype=torch.float64)[:, None]

    def total(floor):
        outputs = torch.tensor([0.0, mean / s, -1e3], dtype=torch.float64).expand(len(whole), -1)
        return (torch.exp(-costs(outputs, whole / s, floor)) / s).sum().item()

    assert abs(total(-math.log(s)) - 1) <= 2.0001 * math.exp(-2 * math.pi**2) < 6e-9
    assert abs(total(-math.log(8 * s)) - 1) > 0.2  # an eighth of the step


def ends_where_the_target_begins(chunk):
    """Of recordings whose samples are their own numbers."""
    heard = chunk.mask > 0
    seen, said = chunk.inputs[heard], chunk.targets[heard]
    return bool((seen[:, -1] + 1 == said[:, 0]).all() and (seen.max(1)[0] < said.min(1)[0]).all())


@given(st.lists(st.integers(30, 700), min_size=2, max_size=6), st.integers(0, 3))
@settings(max_examples=25)
def test_what_is_seen_ends_where_what_is_said_begins(lengths, epoch):
    starts = 1000 * np.arange(len(lengths))
    recordings = Recordings(
        [start + np.arange(n) for start, n in zip(starts, lengths, strict=True)], 2
    )
    n = recordings.chunks(20)
    said = []
    for chunk in (recordings.draw(epoch * n + k, 20, [1]) for k in range(n)):
        assert ends_where_the_target_begins(chunk)
        heard = chunk.mask > 0
        assert (chunk.inputs[heard].diff() == 1).all()
        said.append(chunk.targets[heard].flatten())
        late = torch.cat([chunk.inputs[1:], chunk.inputs[-1:]])
        if heard.sum(0).max() > 1:
            assert not ends_where_the_target_begins(chunk._replace(inputs=late))
    # Each sample is said once an epoch, from the 21st on, in whole tens.
    tens = [start + np.arange(20, n // 10 * 10) for start, n in zip(starts, lengths, strict=True)]
    assert sorted(torch.cat(said).tolist()) == np.concatenate(tens).tolist()


@pytest.mark.parametrize("unit", CELLS)
def test_a_prediction_depends_on_nothing_that_comes_after_it(unit):
    samples, t = audio(1)[0], 7
    model, states = model_of(unit, Recordings([samples], 1)), []
    model.readout.register_forward_pre_hook(lambda _, given: states.append(given[0].detach()))
    for changed in (len(samples), 10 * t + 20, 10 * t + 19):
        other = samples.copy()
        other[changed:] += 1
        judge(model, Recordings([other], 1))
    same, target, seen = states
    assert torch.equal(same[:, : t + 1], target[:, : t + 1])
    assert not torch.equal(same[:, t], seen[:, t])


@pytest.mark.parametrize("unit", CELLS)
def test_the_loss_is_nats_a_step_as_the_definition_says(unit):
    recordings = Recordings(audio(3), 2)
    model = model_of(unit, recordings)
    found = judge(model, recordings).numpy()
    p, W, b = model.layer.weights("l0"), model.readout.weights["W"], model.readout.weights["b"]
    for k, n in np.ndindex(2, 3):
        one, nats = p._make(v[k].detach() for v in p), 0.0
        state = tuple(torch.zeros(5, 1, dtype=torch.float64) for _ in model.layer.state_names)
        samples = recordings.pieces[n].astype(np.float32).astype(np.float64)
        for window in samples:
            x = torch.tensor(window[:SEEN, None])
            new = model.layer.cell(x, *state, one)
            state = new if isinstance(new, tuple) else (new,)
            outputs = (W[k] @ state[0][:, 0] + b[k]).detach().numpy()
            nats += direct(outputs, window[SEEN:])
        assert found[k, n] == pytest.approx(nats, rel=1e-10)


@pytest.mark.parametrize("unit", CELLS)
def test_chunks_that_carry_the_state_cost_what_whole_recordings_do(unit):
    recordings = Recordings(audio(), 2)
    model = model_of(unit, recordings)
    whole = judge(model, recordings).sum(1)
    model.train()
    chunks = [recordings.draw(k, 20, [1]) for k in range(recordings.chunks(20))]
    with torch.no_grad():
        chunked = sum(model(chunk).sum((1, 2)) for chunk in chunks)
        forgetful = sum(model(chunk._replace(first=True)).sum((1, 2)) for chunk in chunks)
    torch.testing.assert_close(chunked, whole, rtol=1e-12, atol=0)
    assert not torch.allclose(forgetful, whole, rtol=1e-6)


def test_padding_costs_nothing():
    recordings = audio()
    model = model_of("gru", Recordings(recordings, 5))
    padded = judge(model, Recordings(recordings, 5))
    alone = torch.cat([judge(model, Recordings([samples], 1)) for samples in recordings], 1)
    torch.testing.assert_close(padded, alone, rtol=1e-12, atol=0)
    chunk = next(Recordings(recordings, 5).whole())
    costly = model.eval()(chunk._replace(mask=torch.ones_like(chunk.mask)))
    assert (costly.sum((1, 2)) - padded.sum(1)).abs().min() > 1
    torch.testing.assert_close(
        loss(model, chunk), padded.sum(1) / chunk.mask.sum(), rtol=1e-12, atol=0
    )
    assert chunk.mask.sum() == sum((len(samples) - 20) // 10 for samples in recordings)


def test_each_model_may_have_recordings_of_its_own():
    recordings = Recordings(audio(), 2)
    model = model_of("lstm", recordings)
    together = loss(model, recordings.draw(0, 20, [1, 2]))
    for k, seed in enumerate((1, 2)):
        alone = loss(model, recordings.draw(0, 20, [seed]))[k]
        torch.testing.assert_close(together[k], alone, rtol=1e-12, atol=0)


def test_the_references_are_the_densities_they_say():
    rng = np.random.default_rng(0)
    walks = [np.cumsum(rng.standard_normal(500)) / 10 for _ in range(4)]
    train, test = Recordings(walks[:2], 2), Recordings(walks[2:], 2)
    x, y = np.split(np.concatenate([speech.windows(walk) for walk in walks[:2]]), [SEEN], 1)
    seen, said = np.split(np.concatenate([speech.windows(walk) for walk in walks[2:]]), [SEEN], 1)
    white = -scipy.stats.norm.logpdf(said).sum(1).mean()
    assert speech.memoryless(test) == pytest.approx(white, rel=1e-12)
    weights = np.linalg.solve(x.T @ x, x.T @ y)
    spread = np.sqrt(((y - x @ weights) ** 2).mean(0))
    expected = -scipy.stats.norm.logpdf(said, seen @ weights, spread).sum(1).mean()
    assert speech.linear(train, test) == pytest.approx(expected, rel=1e-10)
    assert speech.linear(train, test) < speech.memoryless(test) - 1


LAYERS = {unit: sympy.lambdify("H", count(cell).subs("D", SEEN)) for unit, cell in CELLS.items()}


def total(unit, size):
    layer = LAYERS[unit](size)
    return layer, layer + (size + 1) * OUTPUTS


def test_the_layers_have_twenty_thousand_parameters_and_the_matched_ones_are_equal_in_all():
    assert OUTPUTS == 20 * (10 + 10 + 1)
    for unit, size in speech.SIZES.items():
        assert size == min(range(1, 300), key=lambda h: abs(total(unit, h)[0] - 20_000))
        model = Model(unit, size, [0], 1, FLOOR)
        assert sum(p.numel() for p in model.parameters()) == total(unit, size)[1]
    target = total("tanh", speech.SIZES["tanh"])[1]
    for unit, size in speech.MATCHED.items():
        assert size == min(range(1, 300), key=lambda h: abs(total(unit, h)[1] - target))


def test_the_papers_units_come_first_and_differ_in_nothing_else():
    others = [
        {k: v for k, v in p.items() if k not in ("unit", "size")} for p in speech.SPEECH.points
    ]
    assert [p["unit"] for p in speech.SPEECH.points] == [
        "gru",
        "tanh",
        "gru",
        "lstm",
        "gru",
        "lstm",
    ]
    assert all(other == others[1] for other in others[2:])


def test_the_parts_share_no_take_and_have_all_sixteen_bits(shared_data):
    shared_data(spoken.NAME)
    point = speech.SPEECH.points[1]
    parts, _ = speech.load(point["speakers"], point["takes"], point["batch"])
    sizes = {part: len(of.pieces) for part, of in parts.items()}
    assert sizes == {"test": 100, "valid": 100, "train": 20 * point["takes"]}
    firsts = {part: {of[0].tobytes() for of in parts[part].pieces} for part in parts}
    assert not firsts["train"] & firsts["valid"] and not firsts["train"] & firsts["test"]
    every = np.concatenate([piece.ravel() for piece in parts["train"].pieces])
    assert every.std() == pytest.approx(1, rel=0.01)
    found = digits()

    def step(name):
        mine = [found.audio[k].astype(int) for k in np.flatnonzero(found.speaker == name)]
        return np.gcd.reduce(np.concatenate(mine))

    assert [step(name) for name in point["speakers"]] == [1, 1]
    assert step("nicolas") == 256  # eight bits: the floor would not be the quantisation step


def test_a_small_point_learns_more_than_a_line_does(shared_data, in_float64, tmp_path):
    shared_data(spoken.NAME)
    in_float64.undo()
    found = speech.run(json.loads(json.dumps(speech.SMALL)), tmp_path)
    json.dumps(found, default=np.ndarray.tolist)  # as a record is written
    assert len(found["test"]) == speech.SMALL["seeds"] and len(found["by rate"]["valid"]) == 2
    assert max(found["test"]) < found["linear"] < found["memoryless"]
    assert np.shape(found["test recordings"]) == (2, len(found["steps"])) == (2, 50)
    mean = found["test recordings"].sum(1) / found["steps"].sum()
    assert mean == pytest.approx(found["test"], abs=1e-3)
    stored = load(RESULTS / "speech.json.gz")  # and it is the point of the chapter's grid
    assert [record["settings"] for record in stored] == list(speech.SPEECH.points)
    assert found["rate"] == stored[0]["result"]["rate"]
    for part in ("train", "valid", "test"):
        assert found[part] == pytest.approx(stored[0]["result"][part], rel=0.02)


def test_a_killed_point_goes_on_to_the_same_result(in_float64, tmp_path):
    in_float64.undo()
    parts = {part: Recordings(audio(6, k), 2) for k, part in enumerate(("test", "valid", "train"))}
    in_float64.setattr(speech, "load", lambda *_: (parts, 100.0))
    point = {**speech.SMALL, "batch": 2, "chunk": 20}
    whole, calls = speech.run(point, tmp_path / "whole"), []

    def judged(*given):
        calls.append(given)
        if len(calls) == 4:  # in the second stage's last epoch
            raise KeyboardInterrupt
        return judge(*given)

    in_float64.setattr(stacks, "judge", judged)
    with pytest.raises(KeyboardInterrupt):
        speech.run(point, tmp_path / "killed")
    again = speech.run(point, tmp_path / "killed")
    assert len(calls) == 4 + 1 + len(parts)  # the last epoch's once more, and the end's
    for part in ("train", "valid", "test", "test recordings"):
        assert np.array_equal(again[part], whole[part])
    assert again["by rate"]["seconds"] is None  # that stage was done
    assert again["by seed"]["valid"] == whole["by seed"]["valid"]
    assert again["rate"] == whole["rate"]
