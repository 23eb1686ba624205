"""Each guard over the notebooks is shown something broken, and must see it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_output

from companion.draw import COLOURS
from tools.environment import BOOK, IS_X86
from tools.guards import LONGEST_CELL, colours, faults
from tools.notebooks import check, read
from tools.strict_nbval import differences, svg_differences

ROOT = BOOK.parent
FIGURE, TEXT, LATEX = "c03", "c04", "c05"  # cells of the small page


def cell(page: NotebookNode, name: str) -> NotebookNode:
    found: NotebookNode = next(cell for cell in page.cells if cell.id == name)
    return found


def svg(page: NotebookNode) -> str:
    return str(cell(page, FIGURE).outputs[0].data["image/svg+xml"])


def strip(page: NotebookNode) -> None:
    for each in page.cells:
        if each.cell_type == "code":
            each.outputs, each.execution_count = [], None


def add_output(page: NotebookNode, kind: str, **content: object) -> None:
    cell(page, TEXT).outputs.append(new_output(kind, **content))


def comment_as_title(page: NotebookNode) -> None:
    del page.cells[0]
    page.cells[0].source = "# A small page"


def fold_a_definition(page: NotebookNode) -> None:
    cell(page, TEXT).source = "def double(a):\n    return 2 * a"
    cell(page, TEXT).metadata.tags = ["hide-input"]
    cell(page, LATEX).source = "[double(a) for a in (1, 2)]"


def move_curve(drawing: str, points: float) -> str:
    """The drawing with its curve that much lower, and so with other hashes in its ids."""
    style = f'clip-path="[^"]*" style="fill: none; stroke: {COLOURS["gru"]}'
    curves = re.findall(rf'd="([^"]*)" {style}', drawing)
    assert len(curves) == 1
    x_and_y = re.compile(r"([ML] [\d.]+) ([\d.]+)")
    moved = x_and_y.sub(lambda at: f"{at[1]} {float(at[2]) + points:.6f}", curves[0])
    drawing = drawing.replace(curves[0], moved)
    return re.sub(r"([#\"][mp])([0-9a-f]{10})", lambda name: name[1] + name[2][::-1], drawing)


SABOTAGE: dict[str, tuple[Callable[[NotebookNode], object], str]] = {
    "stripped": (strip, "not run"),
    "one cell not run": (lambda p: cell(p, TEXT).update(execution_count=None), "not run"),
    "out of order": (lambda p: cell(p, TEXT).update(execution_count=9), "run as [9]"),
    "a long cell": (
        lambda p: cell(p, TEXT).update(source="\n".join(["a = 1"] * (LONGEST_CELL + 1))),
        "26 lines",
    ),
    "an error": (
        lambda p: add_output(p, "error", ename="ValueError", evalue="no", traceback=[]),
        "ends in an error",
    ),
    "a warning": (lambda p: add_output(p, "stream", name="stderr", text="beware"), "stderr"),
    "an address": (
        lambda p: add_output(p, "stream", name="stdout", text="<Thing at 0x7f66c0ffee>"),
        "address of an object",
    ),
    "a path in the code": (
        lambda p: cell(p, TEXT).update(source="open('/home/me/file')"),
        "its code names a path",
    ),
    "a path in the output": (
        lambda p: add_output(p, "stream", name="stdout", text=f"{ROOT}/companion"),
        "its output names a path",
    ),
    "an empty output": (lambda p: add_output(p, "display_data"), "outputs is empty"),
    "no alt text": (lambda p: cell(p, FIGURE).metadata.mystnb.pop("image"), "no alt text"),
    "a short alt text": (
        lambda p: cell(p, FIGURE).metadata.mystnb.image.update(alt="a curve"),
        "no alt text",
    ),
    "no caption": (lambda p: cell(p, FIGURE).metadata.mystnb.pop("figure"), "no caption"),
    "two figures": (
        lambda p: cell(p, FIGURE).outputs.append(cell(p, FIGURE).outputs[0]),
        "2 figures",
    ),
    "no SVG": (
        lambda p: cell(p, FIGURE).outputs[0].data.pop("image/svg+xml"),
        "both SVG and PNG",
    ),
    "a strange colour": (
        lambda p: (
            cell(p, FIGURE)
            .outputs[0]
            .data.update({"image/svg+xml": svg(p).replace(COLOURS["gru"], "#12ab34")})
        ),
        "#12ab34",
    ),
    "no title": (lambda p: p.cells.pop(0), "not the title"),
    "a comment as title": (comment_as_title, "not the title"),
    "two titles": (lambda p: p.cells.append(new_markdown_cell("# More")), "2 titles"),
    "an image without alt text": (
        lambda p: p.cells.append(new_markdown_cell("![](picture.svg)")),
        "no alt text",
    ),
    "a folded definition": (fold_a_definition, "uses double, which the folded cell c04 defines"),
    "a stub": (lambda p: cell(p, TEXT).update(source="def f(a):\n    ..."), "stub"),
    "an opting out tag": (
        lambda p: cell(p, TEXT).metadata.update(tags=["nbval-ignore-output"]),
        "kept from validation",
    ),
    "an opting out comment": (
        lambda p: cell(p, TEXT).update(source="# NBVAL_SKIP\nprint('one')"),
        "kept from validation",
    ),
    "a shell command": (lambda p: cell(p, TEXT).update(source="!ls"), "not plain Python"),
    "an open solution": (
        lambda p: p.cells.append(new_markdown_cell("```{solution-start} ex-one\n```")),
        "no {solution-end}",
    ),
    "a stray solution": (
        lambda p: p.cells.append(
            new_markdown_cell("```{solution-start} ex-one\n```\n```{solution-end}\n```")
        ),
        "answers ex-one",
    ),
    "metadata of the page": (lambda p: p.metadata.update(toc={}), "not in the form"),
    "metadata of a cell": (lambda p: p.cells[1].metadata.update(scrolled=True), "not in the form"),
    "another id": (lambda p: p.cells[1].update(id="f00d"), "not in the form"),
}


@pytest.mark.parametrize("name", SABOTAGE)
def test_sabotage_is_seen(name: str, page: NotebookNode, tmp_path: Path) -> None:
    damage, words = SABOTAGE[name]
    damage(page)
    path = tmp_path / "page.ipynb"
    nbformat.write(page, path)
    assert words in "\n".join(check(path))


def test_what_is_allowed_is_not_seen(page: NotebookNode) -> None:
    cell(page, TEXT).metadata.tags = ["hide-input"]
    cell(page, TEXT).source = "import math\n\nfigure, axes = 1, 2"
    cell(page, LATEX).source = "figure, axes = 3, 4\nprint(math.pi, axes, [a for a in (1, 2)])"
    page.cells.append(new_markdown_cell("```python\n# no title\n```\n\nsee https://a.org/home/b"))
    assert list(faults(page)) == []


def test_black_that_is_not_said_is_seen() -> None:
    drawing = '<svg xmlns="http://www.w3.org/2000/svg"><g style="stroke: #ffffff">{}</g></svg>'
    assert colours(drawing.format('<path d="M 0 0"/>')) == {"#ffffff", "black"}
    assert colours(drawing.format('<path d="M 0 0" style="fill: none"/>')) == {"#ffffff"}


def test_a_curve_may_jitter_but_not_move(page: NotebookNode) -> None:
    assert list(svg_differences(svg(page), move_curve(svg(page), 0.0))) == []
    assert list(svg_differences(svg(page), move_curve(svg(page), 0.1))) == []
    moved = list(svg_differences(svg(page), move_curve(svg(page), 2.0)))
    assert len(moved) == 1
    assert "is now" in moved[0]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (COLOURS["gru"], COLOURS["lstm"]),
        ("stroke-width: 2", "stroke-width: 3"),
        ("<!-- step -->", "<!-- year -->"),
        ("scale(0.13 -0.13)", "scale(0.15 -0.15)"),
        ('<g id="axes_1">', '<g id="axes_1"><path d="M 0 0"/>'),
        ("L ", "M "),
    ],
)
def test_a_changed_drawing_is_seen(before: str, after: str, page: NotebookNode) -> None:
    assert before in svg(page)
    assert list(svg_differences(svg(page), svg(page).replace(before, after)))


def test_a_missing_or_added_part_is_seen(page: NotebookNode) -> None:
    outputs = cell(page, FIGURE).outputs
    fewer = deepcopy(outputs)
    del fewer[0].data["image/png"]
    assert list(differences(outputs, deepcopy(outputs))) == []
    assert list(differences(outputs, fewer))
    assert list(differences(fewer, outputs))
    assert list(differences(outputs, []))
    assert list(differences([], outputs))


@pytest.mark.skipif(not IS_X86, reason="outputs are compared on x86-64 only")
def test_nbval_sees_every_changed_cell(stored: Path, tmp_path: Path) -> None:
    """In a copy of the repository, with its own settings, nbval runs three damaged pages."""
    for name in ("tools", "conftest.py", "pyproject.toml", "book/environment.env"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)

    jittered = read(stored)
    data = cell(jittered, FIGURE).outputs[0].data
    data["image/svg+xml"] = move_curve(data["image/svg+xml"], 0.1)

    broken = read(stored)
    add = new_output("stream", name="stderr", text="beware")
    broken.cells[1].outputs.append(add)
    data = cell(broken, FIGURE).outputs[0].data
    data["image/svg+xml"] = move_curve(data["image/svg+xml"], 2.0)
    cell(broken, TEXT).outputs[0].text = "one\nthree\n"
    cell(broken, LATEX).outputs = []

    stripped = read(stored)
    strip(stripped)

    for name, page in {"jittered": jittered, "broken": broken, "stripped": stripped}.items():
        nbformat.write(page, tmp_path / "book" / f"{name}.ipynb")
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-v",
            "-rN",
            "--color=no",
            "-p",
            "no:cacheprovider",
            "book",
        ],
        cwd=tmp_path,
        env={key: os.environ[key] for key in os.environ if not key.startswith(("PYTEST", "COV"))},
        capture_output=True,
        text=True,
        check=False,
    )
    seen = dict(re.findall(r"(\w+::ipynb::Cell \d) (PASSED|FAILED)", result.stdout))
    assert seen == {
        f"{name}::ipynb::Cell {number}": "PASSED" if name == "jittered" else "FAILED"
        for name in ("jittered", "broken", "stripped")
        for number in range(4)
    }, result.stdout
    assert result.stdout.count("The stored cell was never run") == 4
