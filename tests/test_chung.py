"""The rerun of Chung et al.: losses, chunks, and a small point trained again."""

from pathlib import Path

import numpy as np
import pytest
import torch

from companion.experiments import load
from companion.experiments.chung import CELLS, CHUNG, MATCHED, PAPER, SIZES, Model
from companion.experiments.rolls import KEYS, Rolls
from companion.experiments.stacks import judge, living, loss
from companion.parameters import count

STORED = Path(__file__).parents[1] / "book" / "results" / "chung.json.gz"


def pieces(count=5, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.random((n, KEYS)) < 0.1 for n in rng.integers(30, 60, count)]


@pytest.fixture(autouse=True)
def in_float64(chunks_in_float64):
    chunks_in_float64(Rolls)


def model_of(unit, rolls, seeds=(1, 2)):
    return Model(unit, 5, list(seeds), rolls.batch, rolls.log_odds()).double()


@pytest.mark.parametrize("unit", CELLS)
def test_the_loss_is_nats_a_frame_as_the_definition_says(unit):
    rolls = Rolls(pieces(), 2)
    model = model_of(unit, rolls)
    found = judge(model, Rolls(rolls.pieces, 2)).numpy()
    p, state_names = model.layer.weights("l0"), model.layer.state_names
    for k in range(2):
        one = p._make(v[k] for v in p)
        W, b = model.readout.weights["W"][k].detach(), model.readout.weights["b"][k].detach()
        for n, piece in enumerate(rolls.pieces):
            state = tuple(torch.zeros(5, 1, dtype=torch.float64) for _ in state_names)
            x, nats = torch.zeros(KEYS, 1, dtype=torch.float64), 0.0
            for frame in piece:
                new = model.layer.cell(x, *state, one)
                state = new if isinstance(new, tuple) else (new,)
                odds = torch.sigmoid(W @ state[0][:, 0] + b)
                y = torch.tensor(frame, dtype=torch.float64)
                nats -= (y * odds.log() + (1 - y) * (1 - odds).log()).sum().item()
                x = y[:, None]
            assert found[k, n] == pytest.approx(nats, rel=1e-10)


@pytest.mark.parametrize("unit", CELLS)
def test_chunks_that_carry_the_state_cost_what_whole_pieces_do(unit):
    rolls = Rolls(pieces(), 2)
    model = model_of(unit, rolls)
    whole = judge(model, rolls).sum(1)
    model.train()
    with torch.no_grad():
        chunked = sum(
            model(chunk).sum((1, 2))
            for chunk in (rolls.draw(s, 20, [1]) for s in range(rolls.chunks(20)))
        )
        forgetful = sum(
            model(chunk._replace(first=True)).sum((1, 2))
            for chunk in (rolls.draw(s, 20, [1]) for s in range(rolls.chunks(20)))
        )
    torch.testing.assert_close(chunked, whole, rtol=1e-12, atol=0)
    assert not torch.allclose(forgetful, whole, rtol=1e-6)


def test_each_model_may_have_pieces_of_its_own():
    rolls = Rolls(pieces(), 2)
    model = model_of("lstm", rolls)
    together = loss(model, rolls.draw(0, 20, [1, 2]))
    for k, seed in enumerate((1, 2)):
        alone = loss(model, rolls.draw(0, 20, [seed]))[k]
        torch.testing.assert_close(together[k], alone, rtol=1e-12, atol=0)


@pytest.mark.parametrize("seeds", [[1, 1, 1], [1, 2, 3]])
def test_what_has_ended_is_left_out_and_the_others_do_not_notice(seeds):
    rolls = Rolls(pieces(), 2)
    every, some = (model_of("lstm", rolls, (1, 2, 3)) for _ in range(2))
    some.alive = np.array([True, False, True])
    for step in range(3):  # the state goes on
        chunk = rolls.draw(step, 20, seeds)
        all_of_them, found = loss(every, chunk), loss(some, chunk)
        torch.testing.assert_close(found[[0, 2]], all_of_them[[0, 2]], rtol=1e-12, atol=0)
        assert found[1] == 0 != all_of_them[1]
        for model, value in ((every, all_of_them), (some, found)):
            model.zero_grad()
            value.sum().backward()
        for one, other in zip(every.parameters(), some.parameters(), strict=True):
            torch.testing.assert_close(other.grad[[0, 2]], one.grad[[0, 2]], rtol=1e-10, atol=1e-14)
            assert not other.grad[1].any()
    found, whole = judge(some, rolls)[[0, 2]], judge(every, rolls)[[0, 2]]
    torch.testing.assert_close(found, whole, rtol=1e-12, atol=0)
    every.train(), some.train()
    noisy = living(every, chunk, {k: 2 * p for k, p in every.named_parameters()})
    found = living(some, chunk, {k: 2 * p for k, p in some.named_parameters()})
    torch.testing.assert_close(found[[0, 2]], noisy[[0, 2]], rtol=1e-12, atol=0)


def test_an_untrained_model_starts_near_the_notes_own_frequencies():
    rolls = Rolls(pieces(), 2)
    b = torch.tensor(rolls.log_odds())
    frames = torch.tensor(np.concatenate(rolls.pieces), dtype=torch.float64)
    alone = (torch.nn.functional.softplus(b) - frames * b).sum(1).mean().item()
    found = judge(model_of("gru", rolls), rolls).sum(1) / rolls.lengths.sum()
    assert (found - alone).abs().max() < 1


def test_weight_noise_moves_the_loss_and_not_the_weights():
    rolls = Rolls(pieces(), 2)
    model = model_of("gru", rolls)
    chunk, before = rolls.draw(0, 20, [1]), {k: v.clone() for k, v in model.named_parameters()}
    torch.manual_seed(0)
    assert not torch.equal(loss(model, chunk, noise=0.075), loss(model, chunk))
    assert all(torch.equal(before[k], v) for k, v in model.named_parameters())


def total(unit, size):
    layer = int(count(CELLS[unit]).subs({"D": KEYS, "H": size}))
    return layer, layer + size * KEYS + KEYS


def test_the_sizes_are_the_papers_and_the_matched_ones_match():
    assert [round(total(u, h)[0] / 1000, 1) for u, h in SIZES.items()] == [18.9, 18.6, 18.1]
    target = total("tanh", SIZES["tanh"])[1]
    for unit, size in MATCHED.items():
        best = min(range(1, 200), key=lambda h: abs(total(unit, h)[1] - target))
        assert size == best
        assert abs(total(unit, size)[1] / target - 1) < 0.02


def test_no_point_of_the_grid_is_there_twice_and_the_papers_come_first():
    assert [p["unit"] for p in CHUNG.points[1:4]] == ["tanh", "gru", "lstm"]
    assert len(CHUNG.points) == 1 + 4 * 3 + 2 * 2 + 3 * 3


def test_what_is_stored_is_small_and_of_the_current_grid():
    records = load(STORED)
    settings = [record["settings"] for record in records]
    assert settings == [point for point in CHUNG.points if point in settings]
    for points in PAPER.values():
        assert sum(point in settings for point in points) in (0, len(points))
    assert STORED.stat().st_size < 300_000
    for record in records:
        result, of = record["result"], record["settings"]
        assert result["rate"] in of["rates"]
        assert len(result["by seed"]["ended"]) == len(result["test"]) == of["seeds"]
        total = np.sum(result["test pieces"], axis=1) / sum(result["frames"])
        np.testing.assert_allclose(total, result["test"], rtol=1e-5)


def test_the_rate_is_the_one_with_the_lowest_validation():
    for record in load(STORED):
        valid = np.array(record["result"]["by rate"]["valid"], float)
        best = np.nanmin(valid, axis=0)
        chosen = best[record["settings"]["rates"].index(record["result"]["rate"])]
        assert chosen == best.min()
