"""A small experiment to try the machinery on, a few seconds long: how long a nudge lives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import companion
from companion.experiments.experiment import Experiment, Settings, grid
from companion.nudge import nudge

STEPS = 50


def run(settings: Settings, scratch: Path) -> dict[str, Any]:
    """Nudge the first input of a loop with random weights, and see how long that lasts.

    lifetime: the number of steps until less than 1 % is left of it. left: what is left at each of
    these steps.

    >>> run({"cell": "rnn", "size": 8, "seed": 0}, Path())["lifetime"]
    9
    """
    cell = getattr(companion, settings["cell"])
    rng = np.random.default_rng(settings["seed"])
    p = companion.init(cell, 1, settings["size"], rng)
    left = nudge(cell, rng.standard_normal((STEPS, 1)), p)
    lifetime = int((left >= 0.01).nonzero()[0].max()) + 1
    return {"lifetime": lifetime, "left": left[:lifetime].round(3)}


EXAMPLE = Experiment(
    name="example",
    about="How many steps a nudge of the first input lives, in untrained cells.",
    points=grid(cell=["rnn", "gru", "lstm"], size=[8, 32], seed=range(3)),
    run=run,
)
