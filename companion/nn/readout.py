"""The linear map from a state to an output, for one model or for many."""

from __future__ import annotations

import torch
from torch import Tensor

from companion.nn import arguments
from companion.nn.weights import Rng, generators, stack


class Readout(torch.nn.Module):
    """y = W h + b for every state h of a sequence: (…, H) to (…, O).

    W (O, H) and b (O,) are drawn uniformly within ±1/√H. With models=E they are (E, O, H) and
    (E, O), and states (…, E, B, H) give (…, E, B, O), each model's by its own weights.
    rng, device, dtype: as for `Recurrent`. Raises ValueError that names the argument.

    >>> Readout(4, 2, models=3)(torch.zeros(7, 3, 5, 4)).shape
    torch.Size([7, 3, 5, 2])
    """

    def __init__(
        self,
        hidden_size: int,
        output_size: int,
        *,
        models: int | None = None,
        rng: Rng = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        arguments.sizes(hidden_size=hidden_size, output_size=output_size)
        self.hidden_size, self.output_size, self.models = hidden_size, output_size, models
        bound, shapes = hidden_size**-0.5, {"W": (output_size, hidden_size), "b": (output_size,)}
        drawn = [
            {name: generator.uniform(-bound, bound, shape) for name, shape in shapes.items()}
            for generator in generators(rng, models)
        ]
        self.weights = stack(drawn, models, device, dtype)

    def forward(self, h: Tensor) -> Tensor:
        """The outputs (…, O) of the states (…, H)."""
        models = self.models
        if h.shape[-1] != self.hidden_size or (
            models is not None and (h.ndim < 3 or h.shape[-3] != models)
        ):
            letters = "(…, H)" if models is None else "(…, E, B, H)"
            wanted = "" if models is None else f"{models}, B, "
            raise ValueError(
                f"h has shape {tuple(h.shape)}; "
                f"expected (…, {wanted}{self.hidden_size}) = {letters}"
            )
        W, b = self.weights["W"], self.weights["b"]
        outputs: Tensor = h @ W.mT + (b if models is None else b[:, None])
        return outputs

    def extra_repr(self) -> str:
        models = "" if self.models is None else f", models={self.models}"
        return f"{self.hidden_size}, {self.output_size}{models}"
