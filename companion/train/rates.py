"""One step of the optimiser: with one rate for all, or with one for each model of a stack."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from companion.train.checkpoint import plain

Optimiser = Callable[..., torch.optim.Optimizer]


class Stepper:
    """An optimiser whose rate may be an array (E,), one number for each model of a stack.

    torch takes one rate for a whole array of parameters. So for several, the optimiser runs at
    rate 1 on *shadows*: arrays of zeros that are given the gradients. After its step a shadow
    holds the update and nothing else, no digit of it lost, and rate times the update is added to
    the parameter. That is exact for every optimiser whose step is proportional to the rate and
    computed component by component: SGD, Adam, RMSprop, Adagrad, …. Weight decay looks at the
    parameter itself, which the shadow is not, so it is refused.
    """

    def __init__(
        self, parameters: Sequence[Tensor], optimiser: Optimiser, rate: np.ndarray[Any, Any]
    ) -> None:
        self.parameters = parameters
        self.rate = rate
        self.shadows: list[Tensor] = []
        if rate.ndim:
            self.shadows = [torch.zeros_like(p) for p in parameters]
        self.optimiser = optimiser(self.shadows or parameters, lr=1.0 if rate.ndim else float(rate))
        if not isinstance(self.optimiser, torch.optim.Optimizer):
            raise TypeError(
                f"optimiser made a {type(self.optimiser).__name__}; expected a "
                "torch.optim.Optimizer, as torch.optim.Adam makes it"
            )
        needed = inspect.signature(self.optimiser.step).parameters.values()
        if any(a.default is a.empty and a.kind is a.POSITIONAL_OR_KEYWORD for a in needed):
            raise TypeError(
                f"optimiser made a {type(self.optimiser).__name__}, whose step computes the loss "
                "anew (it needs a closure); expected one that steps by the gradients it is given, "
                "such as torch.optim.Adam"
            )
        if self.shadows and any(group.get("weight_decay") for group in self.groups):
            raise ValueError(
                f"rate has {len(rate)} values and the optimiser a weight decay; expected one rate, "
                "or no weight decay (give it to the loss)"
            )

    @property
    def groups(self) -> list[dict[str, Any]]:
        return self.optimiser.param_groups

    @property
    def options(self) -> list[dict[str, Any]]:
        """Of each group of parameters, all but the rate; as a checkpoint keeps them."""
        kept = [{k: v for k, v in g.items() if k not in ("params", "lr")} for g in self.groups]
        return [plain(group) for group in kept]

    def rates(self, factor: float) -> np.ndarray[Any, Any]:
        """The rates of a step, () or (E,)."""
        return np.asarray(self.rate * factor)

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Move the parameters along their gradients at factor times the rate."""
        for group in self.groups:
            group["lr"] = 1.0 if self.shadows else float(self.rates(factor))
        for shadow, p in zip(self.shadows, self.parameters, strict=bool(self.shadows)):
            shadow.zero_()
            shadow.grad = p.grad
        self.optimiser.step()
        for shadow, p in zip(self.shadows, self.parameters, strict=bool(self.shadows)):
            rates = torch.as_tensor(self.rates(factor), dtype=p.dtype, device=p.device)
            p += rates.reshape(-1, *(1,) * (p.ndim - 1)) * shadow
