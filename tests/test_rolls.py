"""Batches of piano rolls: each frame once an epoch, what is predicted is never shown."""

import numpy as np
import pytest
import torch

from companion.experiments.rolls import KEYS, Rolls


def pieces(count=21, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.random((n, KEYS)) < 0.3 for n in rng.integers(1, 95, count)]


def epoch_of(rolls, chunk, seeds, epoch=0):
    n = rolls.chunks(chunk)
    return [rolls.draw(epoch * n + k, chunk, seeds) for k in range(n)]


@pytest.mark.parametrize("seeds", [[0, 0], [1, 2, 3]])
@pytest.mark.parametrize("epoch", [0, 1])
def test_an_epoch_has_each_frame_once(seeds, epoch):
    given = pieces()
    rolls = Rolls(given, 4)
    drawn = epoch_of(rolls, 40, seeds, epoch)
    models = len(seeds) if len(set(seeds)) > 1 else 1
    for k in range(models):
        frames = []
        for chunk in drawn:
            targets = chunk.targets[:, k] if models > 1 else chunk.targets
            mask = chunk.mask[:, k] if models > 1 else chunk.mask
            assert not targets[mask == 0].any()
            frames.append(targets[mask == 1])
        mine = sorted(map(bytes, torch.cat(frames).numpy().astype(bool)))
        assert mine == sorted(map(bytes, np.concatenate(given)))


def test_a_chunk_goes_on_where_the_last_one_ended():
    rolls = Rolls(pieces(), 4)
    for before, after in zip((drawn := epoch_of(rolls, 40, [0])), drawn[1:], strict=False):
        if not after.first:
            assert torch.equal(after.inputs[0], before.targets[-1])
            assert len(before.targets) == 40
    for chunk in drawn:
        assert torch.equal(chunk.inputs[1:], chunk.targets[:-1])
        assert not chunk.first or not chunk.inputs[0].any()
    assert sum(chunk.first for chunk in drawn) == 6 < len(drawn)


def test_a_batch_is_a_function_of_the_step_and_of_its_seed():
    rolls = Rolls(pieces(), 4)
    assert torch.equal(rolls.draw(5, 40, [1]).targets, rolls.draw(5, 40, [1]).targets)
    alone, stacked = rolls.draw(5, 40, [1]), rolls.draw(5, 40, [1, 2])
    length = len(alone.targets)
    assert torch.equal(stacked.targets[:length, 0], alone.targets)
    n = rolls.chunks(40)
    assert [rolls.draw(s, 40, [1]).targets.sum() for s in range(n)] != [
        rolls.draw(s + n, 40, [1]).targets.sum() for s in range(n)
    ]


def test_the_whole_pieces_come_back_in_their_own_order():
    given = pieces()
    rolls = Rolls(given, 4)
    found = torch.cat([chunk.targets.sum((0, 2)) for chunk in rolls.whole()])[rolls.back]
    assert found.tolist() == [piece.sum() for piece in given]
    masked = torch.cat([chunk.mask.sum(0) for chunk in rolls.whole()])[rolls.back]
    assert masked.tolist() == rolls.lengths.tolist()
