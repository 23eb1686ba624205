"""All records of an experiment in one small file, which a chapter reads.

The same records give the same bytes: keys are sorted, one record stands on a line, and what is
compressed bears no time and no name.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from companion.experiments.experiment import Experiment
from companion.experiments.report import counts
from companion.experiments.store import Record, replace


def export(
    path: Path,
    experiment: Experiment,
    records: Sequence[Record | None],
    *,
    command: str,
    partial: bool = False,
) -> None:
    """Write the records to path, .json or .json.gz, with the command that made them.

    Raises ValueError where points have failed or are missing, but not with partial=True, which
    leaves those out.
    """
    if path.suffixes[-1:] != [".json"] and path.suffixes[-2:] != [".json", ".gz"]:
        raise ValueError(f"path is {path}; expected a name that ends in .json or .json.gz")
    done = [record for record in records if record is not None and "error" not in record]
    if len(done) < len(records) and not partial:
        number = counts(records)
        raise ValueError(
            f"experiment {experiment.name} is not complete: of {len(records)} points "
            f"{number['failed']} failed and {number['missing']} are missing; only a partial "
            "export leaves them out"
        )
    header = {
        "about": experiment.about,
        "command": command,
        "experiment": experiment.name,
        "minutes": round(sum(record["seconds"] for record in done) / 60, 2),
        "points": len(records),
    }
    fields = ("machine", "result", "seconds", "settings", "versions")
    lines = [_line({name: record[name] for name in fields}) for record in done]
    text = f'{_line(header)[:-1]},"records":[\n' + ",\n".join(lines) + "\n]}\n"
    content = text.encode()
    if path.suffix == ".gz":
        packed = io.BytesIO()
        with gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=0) as file:
            file.write(content)
        content = packed.getvalue()
    replace(path, content)


def load(path: Path | str) -> list[Record]:
    """The records of an exported file, in the order of the grid.

    Each is a dict of settings, result, versions, seconds and machine. Raises ValueError, with the
    path, for a file that is not one that export wrote, OSError where there is none.

    >>> [record["result"]["lifetime"] for record in load("example.json.gz")[:3]]  # doctest: +SKIP
    [9, 8, 6]
    """
    content = Path(path).read_bytes()
    try:
        found = json.loads(gzip.decompress(content) if Path(path).suffix == ".gz" else content)
        return list(found["records"])
    except (ValueError, OSError, EOFError, TypeError, KeyError) as error:
        raise ValueError(
            f"file {path} cannot be read ({type(error).__name__}: {error}); expected one that "
            "python -m companion.experiments export wrote"
        ) from error


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
