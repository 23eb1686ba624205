"""How long the import and one step of each cell take on this machine: `make bench`.

Not a comparison with other libraries: that is a chapter's business.
"""

from __future__ import annotations

import subprocess
import sys
from timeit import repeat

import numpy as np

from companion import gru, gru_reset_after, init, lstm, rnn, scan, zero_state
from companion.trace import Cell

STEPS, INPUT, HIDDEN = 1000, 1, 32
BATCHES = (None, 32)
IMPORT = "from time import *; t = perf_counter(); import companion; print(perf_counter() - t)"


def import_seconds() -> float:
    """The quickest of five imports, each in a new process."""
    command = [sys.executable, "-c", IMPORT]
    outputs = [subprocess.run(command, capture_output=True, check=True).stdout for _ in range(5)]
    return min(map(float, outputs))


def step_microseconds(cell: Cell, batch: int | None) -> float:
    """One step within a scan, the quickest of five."""
    rng = np.random.default_rng(0)
    p = init(cell, INPUT, HIDDEN, rng)
    xs = rng.normal(size=(STEPS, INPUT) if batch is None else (STEPS, batch, INPUT))
    state = zero_state(cell, p, batch)
    return min(repeat(lambda: scan(cell, xs, state, p), number=1, repeat=5)) / STEPS * 1e6


def main() -> None:
    """Print the table."""
    print(f"import companion    {import_seconds():.2f} s")
    print(f"one step of scan    T = {STEPS}, D = {INPUT}, H = {HIDDEN}, float64, in µs")
    print(f"{'':20}{'single':>8}{f'B = {BATCHES[1]}':>8}")
    for cell in (rnn, lstm, gru, gru_reset_after):
        times = "".join(f"{step_microseconds(cell, batch):8.1f}" for batch in BATCHES)
        print(f"{cell.__name__:20}{times}")


if __name__ == "__main__":
    main()
