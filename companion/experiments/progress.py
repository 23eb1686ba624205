"""How far a run is: a bar in a terminal, elsewhere one line for each point that is finished."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tqdm import tqdm

from companion.experiments.report import left, outcome_of, words
from companion.experiments.store import Record


class Progress:
    """The records of a run as they come, and how long the rest may take."""

    def __init__(self, records: Sequence[Record | None], waiting: int) -> None:
        self.records = [record for record in records if record is not None]
        self.left = waiting
        self.total = len(records)
        self.told = False
        self.bar = tqdm(
            total=self.total,
            initial=self.total - waiting,
            disable=not sys.stderr.isatty(),
            bar_format="{n_fmt}/{total_fmt} points |{bar}| {elapsed}{postfix}",
        )

    def add(self, record: Record, workers: int) -> None:
        """One more is finished."""
        self.records.append(record)
        self.left -= 1
        rest = left(self.records, self.left, workers)
        if self.bar.disable or "error" in record:
            done = f"{self.total - self.left}/{self.total}"
            line = f"{done} {words(record['settings'])}: {outcome_of(record)}, {rest}"
            self.bar.write(line, file=sys.stderr)
        self.bar.set_postfix_str(rest, refresh=False)
        self.bar.update()

    def tick(self, *, waiting_for_workers: bool) -> None:
        """Show that time goes by; say it once when there is no one who works."""
        if waiting_for_workers and not self.told:
            self.bar.write("there is no worker yet; waiting for one", file=sys.stderr)
        self.told = waiting_for_workers
        self.bar.refresh()

    def close(self) -> None:
        """Leave the bar as it is."""
        self.bar.close()
