"""Piano rolls cut into batches and chunks, so that a step's batch is a function of the step.

In each epoch the pieces are shuffled and then sorted by length to within `BIN` frames, so that a
batch wastes little on padding; neighbours of one batch so have about one length, and the number
of chunks of the n-th batch is the same in every epoch. The batches then come in random order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

KEYS = 88
BIN = 20  # frames; a chunk is a multiple of it


class Chunk(NamedTuple):
    """Frames of a batch of pieces that follow one another: what is seen, and what is to be said.

    inputs, targets (T, B, 88), mask (T, B), or for E models, each with its own pieces,
    (T, E, B, 88) and (T, E, B). inputs[t] is the frame before targets[t], silence at first; mask
    is 0 behind the end of a piece. first: whether the pieces begin here.
    """

    inputs: Tensor
    targets: Tensor
    mask: Tensor
    first: bool


class Rolls:
    """The pieces of one part of a collection, (T, 88) each, in batches of so many."""

    def __init__(self, pieces: Sequence[Any], batch: int) -> None:
        self.pieces, self.batch = pieces, batch
        self.lengths = np.array([len(piece) for piece in pieces])
        self.order = np.argsort(self.lengths, kind="stable")
        self.back = np.argsort(self.order)  # from the order of `whole` to the pieces' own

    def log_odds(self) -> Any:
        """Of each key being down, from its frames with one of each kind added.

        >>> Rolls([np.ones((8, KEYS), bool)], 1).log_odds()[0].round(3) == np.log(9).round(3)
        np.True_
        """
        down = sum(piece.sum(0) for piece in self.pieces) + 1
        return np.log(down / (self.lengths.sum() + 2 - down))

    def starts(self, chunk: int) -> list[tuple[int, int]]:
        """Each chunk of an epoch: the batch it is of, as sorted by length, and its first frame."""
        bins = np.sort(-(-self.lengths // BIN)) * BIN
        longest = bins[self.batch - 1 :: self.batch].tolist()
        longest += [bins[-1]] if len(bins) % self.batch else []
        return [(k, start) for k, size in enumerate(longest) for start in range(0, size, chunk)]

    def chunks(self, chunk: int) -> int:
        """How many chunks, and so updates, an epoch has."""
        return len(self.starts(chunk))

    def draw(self, step: int, chunk: int, seeds: Sequence[int]) -> Chunk:
        """The chunk of a step, of pieces that each seed has shuffled; for equal seeds, one."""
        starts = self.starts(chunk)
        epoch, place = divmod(step, len(starts))
        several = sorted(set(seeds))
        # The order of the batches is the same for all models: it decides how long a chunk is.
        count = starts[-1][0] + 1
        turns = np.random.default_rng([several[0], epoch, 1]).permutation(count)
        turn = np.argsort(turns)
        k, start = sorted(starts, key=lambda s: (turn[s[0]], s[1]))[place]
        batches = []
        for seed in several:
            shuffled = np.random.default_rng([seed, epoch]).permutation(len(self.pieces))
            bins = -(-self.lengths[shuffled] // BIN)
            by_length = shuffled[np.argsort(bins, kind="stable")]
            batches.append(by_length[k * self.batch : (k + 1) * self.batch])
        stop = min(start + chunk, max(self.lengths[b].max() for b in batches))
        cut = [self._cut(batch, start, int(stop), self.batch) for batch in batches]
        if len(several) == 1:
            return cut[0]
        at = [several.index(seed) for seed in seeds]
        inputs, targets, mask = (
            torch.stack([getattr(cut[n], part) for n in at], 1)
            for part in ("inputs", "targets", "mask")
        )
        return Chunk(inputs, targets, mask, start == 0)

    def whole(self) -> Iterator[Chunk]:
        """All pieces, uncut, from the shortest to the longest."""
        for k in range(0, len(self.pieces), self.batch):
            batch = self.order[k : k + self.batch]
            yield self._cut(batch, 0, int(self.lengths[batch].max()), len(batch))

    def _cut(self, batch: Any, start: int, stop: int, width: int) -> Chunk:
        frames = np.zeros((stop - start + 1, width, KEYS), np.float32)  # from one frame earlier
        mask = np.zeros((stop - start, width), np.float32)
        for b, k in enumerate(batch):
            piece = self.pieces[k][max(start - 1, 0) : stop]
            begin = 1 if start == 0 else 0
            frames[begin : begin + len(piece), b] = piece
            mask[: max(0, self.lengths[k] - start), b] = 1
        whole = torch.from_numpy(frames)
        return Chunk(whole[:-1], whole[1:], torch.from_numpy(mask), start == 0)
