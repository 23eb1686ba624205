"""Experiments: the long runs behind the chapters, as data, on one machine or a cluster.

An experiment is a name, a grid of points and a function that runs one of them. Each point leaves
one file. A run may be killed at any moment and goes on where it was:

    python -m companion.experiments run example

Small files, each with one idea: `experiment` is the data, `store` a point's file, `point` what
happens where a point runs, `lock` that no two runs share a folder, `running` hands the points to
Dask and `progress` shows them, `report` says how far it is, `export` makes the one small file that
a chapter reads with `load`. Reading needs only what the package itself needs; running needs dask,
distributed and tqdm, and what the experiment needs.
"""

from companion.experiments.experiment import Experiment, grid
from companion.experiments.export import load
from companion.experiments.report import select

# Where each stands; its module, and with it what it needs, is imported when it is asked for.
EXPERIMENTS = {
    "example": "companion.experiments.example:EXAMPLE",
    "memory": "companion.experiments.memory:MEMORY",
    "counting": "companion.experiments.counting:COUNTING",
    "chung": "companion.experiments.chung:CHUNG",
    "speech": "companion.experiments.speech:SPEECH",
    "forecasting": "companion.experiments.forecasting:FORECASTING",
}

__all__ = ["EXPERIMENTS", "Experiment", "grid", "load", "select"]
