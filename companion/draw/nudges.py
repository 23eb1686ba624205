"""The figure of how long a nudge lives, which the first page and the first chapter share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from numpy.typing import NDArray

from companion.draw.band import band


def nudges(panels: Mapping[str, Mapping[str, NDArray[Any]]]) -> Figure:
    """One panel for each name, and in it a band for each cell's runs (seeds, T) of `nudge`."""
    figure, axes = plt.subplots(1, len(panels), figsize=(6.4, 3.4), sharey=True)
    for axis, (name, cells) in zip(axes, panels.items(), strict=True):
        for cell, runs in cells.items():
            band(axis, runs, cell, cell.upper())
        axis.set(yscale="log", ylim=(1e-3, 2e1), xlabel="steps since the nudge")
        axis.text(0.03, 0.97, name, transform=axis.transAxes, va="top", weight="bold")
    axes[0].set_ylabel("share of the nudge left")
    axes[0].legend(loc="upper right", bbox_to_anchor=(1, 0.93))
    return figure
