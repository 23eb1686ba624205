"""The length of a gradient, and shortening it: one for each model of a stack."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def clip(gradients: Sequence[Tensor], limit: float | None, *, stacked: bool = False) -> Tensor:
    r"""Shorten a gradient that is longer than limit to that length, in place.

    g ← g · min(1, limit / ‖g‖), where ‖g‖ is the Euclidean norm over all arrays together. With
    stacked=True every array is (E, …) and each of the E models is shortened by its own norm.
    limit None shortens nothing. Returns the norms from before, of shape () or (E,).
    The largest component is taken out of the norm, so that the squares do not overflow: exploding
    gradients are what clipping is for.
    Raises ValueError for no array at all, for a limit that is negative or nan, and with stacked for
    arrays whose first axes differ.
    Source: Pascanu, Mikolov & Bengio 2013, PMLR 28(3):1310, algorithm 1.

    >>> g = [torch.tensor([[3.0, 0.0], [0.3, 0.0]]), torch.tensor([4.0, 0.4])]
    >>> clip(g, 1.0, stacked=True)
    tensor([5.0000, 0.5000])
    >>> g[0]
    tensor([[0.6000, 0.0000],
            [0.3000, 0.0000]])
    """
    if not len(gradients):
        raise ValueError("gradients is empty; expected at least one array")
    if limit is not None and not limit >= 0:
        raise ValueError(f"limit is {limit}; expected a number, not negative, or None")
    counts = {g.shape[:1] for g in gradients} if stacked else set()
    if len(counts) > 1 or torch.Size() in counts:
        shapes = ", ".join(str(tuple(g.shape)) for g in gradients)
        raise ValueError(f"gradients have shapes {shapes}; expected (E, …), one E for all")
    rows = [g.reshape(len(g) if stacked else 1, -1) for g in gradients]
    sized = [row for row in rows if row.shape[1]]  # an array without elements has no largest one
    rows = sized or [row.new_zeros(len(row), 1) for row in rows[:1]]
    largest = torch.stack([row.abs().amax(1) for row in rows]).amax(0)
    unit = torch.where(largest == 0, 1, largest)[:, None]
    squares = torch.stack([(row / unit).square().sum(1) for row in rows]).sum(0)
    norms = largest * squares.sqrt()
    if limit is not None:
        is_long = norms > limit
        length = torch.where(is_long, norms, 1)
        wanted = torch.where(is_long, torch.full_like(norms, limit), 1)
        for g in gradients:  # divided first: limit / norm could be too small for a float32
            shape = (-1, *(1,) * (g.ndim - 1)) if stacked else ()
            g.div_(length.reshape(shape)).mul_(wanted.reshape(shape))
    return norms if stacked else norms[0]
