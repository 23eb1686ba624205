"""The tool that runs, normalises and converts the notebooks."""

import asyncio
import shutil
from base64 import b64decode, b64encode
from copy import deepcopy
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from tools.notebooks import from_text, normalise, read, run_all, to_text, write
from tools.pictures import lighten


def test_a_second_run_changes_nothing(stored: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.ipynb"
    shutil.copy(stored, copy)
    before = copy.stat().st_mtime_ns
    assert asyncio.run(run_all([copy])) == []
    assert copy.read_bytes() == stored.read_bytes()
    assert copy.stat().st_mtime_ns == before


def test_a_picture_keeps_its_looks_and_loses_weight() -> None:
    figure = Figure(figsize=(6, 4))
    t = np.linspace(0, 20, 300)
    figure.subplots().plot(t, np.sin(np.outer(t, [1, 1.1, 1.2])))
    figure.savefig(file := BytesIO(), format="png", dpi=120)
    pixels = np.asarray(Image.open(file).convert("RGB"), int)
    output = new_output("display_data", {"image/png": b64encode(file.getvalue()).decode()})
    notebook = new_notebook(cells=[new_code_cell("draw()", outputs=[output])])
    lighten(notebook)
    once = deepcopy(notebook)
    lighten(notebook)
    assert notebook == once
    stored = b64decode(once.cells[0].outputs[0].data["image/png"])
    assert len(stored) < len(file.getvalue()) / 2
    few = Image.open(BytesIO(stored))
    assert few.info["dpi"] == pytest.approx((120, 120), abs=0.1)
    missed = np.abs(np.asarray(few.convert("RGB"), int) - pixels)
    assert missed.mean() < 0.2 and np.mean(missed > 32) < 1e-3


def test_a_page_with_a_failing_cell_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "failing.ipynb"
    write(path, new_notebook(cells=[new_markdown_cell("# Fails"), new_code_cell("1 / 0")]))
    before = path.read_bytes()
    (fault,) = asyncio.run(run_all([path]))
    assert "ZeroDivisionError" in fault
    assert path.read_bytes() == before


def test_a_cell_keeps_its_id(page: NotebookNode) -> None:
    page.cells.insert(1, new_markdown_cell("In between."))
    page.cells.append(deepcopy(page.cells[0]))
    del page.cells[2]
    names = [cell.id for cell in normalise(page).cells]
    assert names == ["c01", "c06", "c03", "c04", "c05", "c07"]


def test_an_editors_random_id_is_not_ours(page: NotebookNode) -> None:
    page.cells[0].id = "c7739541"  # eight hexadecimal digits, one in 430 is like this
    page.cells[3].id = "c0773954"
    names = [cell.id for cell in normalise(page).cells]
    assert names == ["c06", "c02", "c03", "c07", "c05"]


def test_the_way_through_text_and_back_loses_nothing(stored: Path, tmp_path: Path) -> None:
    path = tmp_path / "page.ipynb"
    shutil.copy(stored, path)
    to_text(path)
    from_text(path)
    assert path.read_bytes() == stored.read_bytes()
    path.unlink()
    from_text(path)
    assert read(path).cells[2].metadata == read(stored).cells[2].metadata


def test_an_edited_cell_keeps_its_id(stored: Path, tmp_path: Path) -> None:
    path = tmp_path / "page.ipynb"
    shutil.copy(stored, path)
    to_text(path)
    text = path.with_suffix(".text.md")
    new = "```{code-cell}\na = 1\n```\n\n```{code-cell}\nprint('one')\n"
    old = "```{code-cell}\nprint('one')\n"
    source = text.read_text(encoding="utf-8").replace("ipython3}", "}").replace(" }", "}")
    assert old in source
    text.write_text(source.replace(old, new).replace("small page", "page"), encoding="utf-8")
    from_text(path)
    assert [cell.id for cell in read(path).cells] == ["c01", "c02", "c03", "c06", "c04", "c05"]
