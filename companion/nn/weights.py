"""First values for a layer's parameters: of one model, or of a stack of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

Rng = np.random.Generator | Sequence[np.random.Generator] | None


def generators(rng: Rng, models: int | None) -> list[np.random.Generator]:
    """One generator for each model.

    rng: one for all models, which then draw from it in turn; or one for each, so that no model
    depends on its neighbours; or None, and torch's seed decides.

    >>> len(generators(np.random.default_rng(0), models=3))
    3
    """
    is_count = isinstance(models, int) and not isinstance(models, bool) and models >= 1
    if models is not None and not is_count:
        raise ValueError(f"models is {models!r}; expected None or a positive integer")
    if rng is None:
        rng = np.random.default_rng(int(torch.randint(2**62, ())))
    found: list[Any] = list(rng) if isinstance(rng, list | tuple) else [rng] * (models or 1)
    if len(found) != (models or 1):
        raise ValueError(f"rng is {len(found)} generators; expected one, or {models or 1}")
    for generator in found:
        if not isinstance(generator, np.random.Generator):
            raise TypeError(
                f"rng is a {type(generator).__name__}; expected a numpy.random.Generator, "
                "a sequence of them, or None"
            )
    return found


def stack(
    drawn: list[dict[str, Any]],
    models: int | None,
    device: torch.device | str | None,
    dtype: torch.dtype | None,
) -> torch.nn.ParameterDict:
    """The arrays that were drawn, as parameters; those of several models along a leading axis.

    >>> stack([{"b": np.zeros(2)}] * 3, 3, None, None)["b"].shape
    torch.Size([3, 2])
    """
    dtype = dtype or torch.get_default_dtype()

    def parameter(name: str) -> torch.nn.Parameter:
        arrays = [values[name] for values in drawn]
        array = arrays[0] if models is None else np.stack(arrays)
        return torch.nn.Parameter(torch.tensor(array, dtype=dtype, device=device))

    # As pairs: a plain dictionary it would sort.
    return torch.nn.ParameterDict([(name, parameter(name)) for name in drawn[0]])
