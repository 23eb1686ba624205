"""Run, normalise and check the notebooks of the book.

    python -m tools.notebooks run [FILES]        execute, normalise and write back what changed
    python -m tools.notebooks check [FILES]      say what is wrong, without executing
    python -m tools.notebooks to-text [FILES]    NAME.ipynb to NAME.text.md, to edit as plain text
    python -m tools.notebooks from-text [FILES]  NAME.text.md back into NAME.ipynb, to run it then

FILES are notebooks; without them it is every one, book/*.ipynb. The stored outputs are what the
site shows; the tests execute the notebooks again, in the same environment, and compare.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
import time
from copy import deepcopy
from pathlib import Path

import jupytext
import nbformat
from jupytext.combine import combine_inputs_with_outputs
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbval.kernel import (  # type: ignore[import-untyped]
    CURRENT_ENV_KERNEL_NAME,
    NbvalKernelspecManager,
)

from tools.environment import BOOK, environment
from tools.guards import faults
from tools.pictures import lighten

CELL_TIMEOUT = 120  # seconds


def normalise(notebook: NotebookNode) -> NotebookNode:
    """The notebook with everything removed that is not content. It executes nothing."""
    notebook = deepcopy(notebook)
    notebook.nbformat_minor = 5
    notebook.metadata = NotebookNode(
        {key: notebook.metadata[key] for key in ("myst", "mystnb") if key in notebook.metadata},
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python"},
    )
    notebook.cells = [cell for cell in notebook.cells if cell.source.strip()]
    for cell, name in zip(notebook.cells, _names(notebook.cells), strict=True):
        cell.id = name
        cell.source = cell.source.strip("\n")
        cell.metadata = NotebookNode(
            {key: cell.metadata[key] for key in ("mystnb", "tags") if cell.metadata.get(key)}
        )
        for output in cell.get("outputs", []):
            if "metadata" in output:
                output.metadata = NotebookNode()
    return notebook


def _names(cells: list[NotebookNode]) -> list[str]:
    """The id of each cell: c01, c02, … A cell keeps its id for life, and a new cell gets the
    next free one, so that inserting, moving or removing a cell changes no other cell's id.

    A notebook editor draws eight hexadecimal digits, which may be a c and seven decimal ones:
    only short names are ours."""
    names = [cell.get("id", "") for cell in cells]
    kept = {name for name in names if re.fullmatch(r"c\d{2,4}", name)}
    number = max((int(name[1:]) for name in kept), default=0)
    result = []
    for name in names:
        if name in kept:
            kept.remove(name)  # a copied cell has its id a second time: it needs a new one
        else:
            number += 1
            name = f"c{number:02}"
        result.append(name)
    return result


def as_text(notebook: NotebookNode) -> str:
    """The notebook as the text of its file: sorted keys, one line of output on each line."""
    nbformat.validate(notebook)
    text: str = nbformat.writes(notebook)
    return text.rstrip("\n") + "\n"


def read(path: Path) -> NotebookNode:
    """The notebook in the file."""
    return nbformat.read(path, as_version=4)  # type: ignore[no-any-return]


def write(path: Path, notebook: NotebookNode) -> bool:
    """Put the notebook into the file, in one step, and say whether that changed anything."""
    text = as_text(notebook)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8", newline="\n")
    part.replace(path)
    return True


async def execute(notebook: NotebookNode, folder: Path) -> None:
    """Run every cell of the notebook, in place, in a fresh kernel: the one that nbval uses."""
    client = NotebookClient(
        notebook,
        kernel_name=CURRENT_ENV_KERNEL_NAME,
        timeout=CELL_TIMEOUT,
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],  # else a warning about TCP for each notebook
        resources={"metadata": {"path": str(folder)}},
    )
    client.create_kernel_manager().kernel_spec_manager = NbvalKernelspecManager()
    variables = {**os.environ, **environment()}
    variables.pop("MPLBACKEND", None)  # the kernel draws into the notebook
    await client.async_execute(env=variables)


async def run(path: Path, slots: asyncio.Semaphore) -> list[str]:
    """Execute the notebook, normalise it, write it back, and list its faults.

    A notebook in which a cell fails is left as it was.
    """
    async with slots:
        start = time.perf_counter()
        notebook = normalise(read(path))
        try:
            await execute(notebook, path.parent)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            return [f"{path} is left as it was, since a cell failed:\n{error}"]
        lighten(notebook)
        changed = "written" if write(path, normalise(notebook)) else "unchanged"
        print(f"{path}: {changed} ({time.perf_counter() - start:.1f} s)", flush=True)
        return check(path)


async def run_all(paths: list[Path]) -> list[str]:
    """Run the notebooks, two at a time, and list their faults."""
    slots = asyncio.Semaphore(2)
    found = await asyncio.gather(*(run(path, slots) for path in paths))
    return [fault for faults_of_one in found for fault in faults_of_one]


def check(path: Path) -> list[str]:
    """What is wrong with the stored notebook; nothing is executed."""
    notebook = read(path)
    found = list(faults(notebook))
    if path.read_text(encoding="utf-8") != as_text(normalise(notebook)):
        found.append("it is not in the form that the tool writes: run it")
    return [f"{path}: {fault}" for fault in found]


def to_text(path: Path) -> None:
    """Write the notebook, without its outputs, as MyST Markdown."""
    text = jupytext.writes(read(path), fmt="md:myst")
    path.with_suffix(".text.md").write_text(text, encoding="utf-8")


def from_text(path: Path) -> None:
    """Make the notebook from its Markdown. A cell that was not touched keeps its outputs, and a
    cell that was only edited keeps its id: it follows the same cell as before."""
    notebook = jupytext.read(path.with_suffix(".text.md"), fmt="md:myst")
    if path.exists():
        stored = read(path)
        notebook = combine_inputs_with_outputs(notebook, stored, fmt="md:myst")
        names = [cell.id for cell in stored.cells]
        free = set(names) - {cell.id for cell in notebook.cells}
        follower = dict(zip(["", *names], names, strict=False))
        last = ""
        for cell in notebook.cells:
            if cell.id not in names and follower.get(last) in free:
                cell.id = follower[last]
                free.remove(cell.id)
            last = cell.id
    write(path, normalise(notebook))


def main() -> int:
    """The command line. Returns 1 where a notebook has a fault."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.notebooks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=["run", "check", "to-text", "from-text"])
    parser.add_argument("files", nargs="*", type=Path)
    arguments = parser.parse_args()
    paths = arguments.files or [
        Path(os.path.relpath(path)) for path in sorted(BOOK.glob("*.ipynb"))
    ]
    for path in paths:
        if path.suffix != ".ipynb":
            parser.error(f"{path} is not a notebook: expected a name that ends in .ipynb")
    found: list[str] = []
    match arguments.command:
        case "run":
            found = asyncio.run(run_all(paths))
        case "check":
            found = [fault for path in paths for fault in check(path)]
        case "to-text":
            for path in paths:
                to_text(path)
        case "from-text":
            for path in paths:
                from_text(path)
    print(*found, sep="\n", file=sys.stderr, end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
