"""Results that depend on luck, drawn with their spread: a median and a band over the seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from companion.draw.style import COLOURS, LINES


def band(axis: Axes, runs: NDArray[Any], kind: str, label: str) -> None:
    """Draw runs (seeds, T) over time 0 … T−1: their median, and the middle 80 % as a band.

    kind: a name of COLOURS, which gives colour and line style; label: the legend's.
    """
    low, middle, high = np.quantile(runs, [0.1, 0.5, 0.9], axis=0)
    time = np.arange(runs.shape[1])
    # Opaque strips under all lines would hide each other; a light one does not.
    axis.fill_between(time, low, high, color=COLOURS[kind], alpha=0.2, linewidth=0)
    axis.plot(time, middle, color=COLOURS[kind], linestyle=LINES[kind], label=label)
