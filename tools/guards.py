"""What every notebook of the book must be, as rules that need not execute it.

That its stored outputs are what its code gives is another matter, for nbval: tests/strict_nbval.py.
"""

from __future__ import annotations

import ast
import re
import symtable
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from nbformat import NotebookNode

from companion.draw import INK

LONGEST_CELL = 25  # lines: what a reader sees at once
SHORTEST_ALT = 20  # characters: a shorter one says nothing that the caption does not
ROOT = str(Path(__file__).resolve().parents[1])
ABSOLUTE = re.compile(r"(?<![\w.:/])/(?:home|root|tmp|usr|opt|var|mnt|Users)/|\b[A-Z]:\\\w")
FOLDED = {"hide-input", "hide-cell", "remove-input", "remove-cell"}


def faults(notebook: NotebookNode) -> Iterator[str]:
    """Every fault of the notebook, as a sentence that names the cell."""
    yield from _title(notebook)
    yield from _solutions(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    yield from _order(code)
    for cell in code:
        yield from (f"{cell.id}: {fault}" for fault in _code(cell))
        yield from (f"{cell.id}: {fault}" for fault in _outputs(cell))
        yield from (f"{cell.id}: {fault}" for fault in _figures(cell))
    if all(_is_python(cell.source) for cell in code):
        yield from _folded_definitions(code)


def _markdown(notebook: NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def _title(notebook: NotebookNode) -> Iterator[str]:
    first = notebook.cells[0] if notebook.cells else None
    if not first or first.cell_type != "markdown" or not re.match(r"(\(\S+\)=\n)?# ", first.source):
        yield "the first cell is not the title: a Markdown cell that begins with '# '"
    fence = re.compile(r"^(`{3,}|~{3,}).*?^\1", re.MULTILINE | re.DOTALL)
    prose = [fence.sub("", source) for source in _markdown(notebook)]
    titles = sum(len(re.findall(r"^# ", text, re.MULTILINE)) for text in prose)
    if titles > 1:
        yield f"there are {titles} titles ('# '): a page has one, its parts begin with '## '"
    if any(re.search(r"!\[\s*\]\(", text) for text in prose):
        yield "an image in the text has no alt text: ![what it shows](file)"


def _solutions(notebook: NotebookNode) -> Iterator[str]:
    """Each solution is opened and closed in turn, and belongs to an exercise of the page."""
    text = "\n".join(_markdown(notebook))
    marks = re.findall(r"\{(exercise|solution-start|solution-end)\}[^\n]*", text)
    is_open = False
    for mark in marks:
        if mark != "exercise" and is_open == (mark == "solution-start"):
            yield f"a {{{mark}}} stands where there should be the other of start and end"
            return
        is_open = {"exercise": is_open, "solution-start": True, "solution-end": False}[mark]
    if is_open:
        yield "the last {solution-start} has no {solution-end}"
    labels = set(re.findall(r"\{exercise\}[^\n]*\n:label: (\S+)", text))
    for label in re.findall(r"\{solution-start\} (\S+)", text):
        if label not in labels:
            yield f"a solution answers {label}, which is no exercise of this page"


def _is_python(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


def _code(cell: NotebookNode) -> Iterator[str]:
    source = cell.source
    lines = len(source.splitlines())
    if lines > LONGEST_CELL:
        yield f"it has {lines} lines of code, and {LONGEST_CELL} is the most"
    if ROOT in source or ABSOLUTE.search(source):
        yield "its code names a path that only one machine has"
    tags = [tag for tag in cell.metadata.get("tags", []) if tag.startswith(("nbval-", "raises-"))]
    if tags or re.search(r"#\s*(NBVAL|PYTEST_VALIDATE)_", source):
        yield "it is kept from validation by a tag or a comment: no cell may be"
    if not _is_python(source):
        yield "it is not plain Python (no % or ! commands, so that it runs anywhere)"
        return
    for node in ast.walk(ast.parse(source)):
        if (isinstance(node, ast.Expr) and getattr(node.value, "value", None) is ...) or (
            isinstance(node, ast.Raise) and "NotImplementedError" in ast.unparse(node)
        ):
            yield "it is an exercise's stub: that stands in Markdown, since it cannot run"


def _order(code: list[NotebookNode]) -> Iterator[str]:
    """Every cell was run, once, from the top. One fault says it for all the cells that follow."""
    for number, cell in enumerate(code, start=1):
        count = cell.execution_count
        if count != number:
            was = "was not run" if count is None else f"was run as [{count}]"
            yield f"{cell.id}: it {was}, expected [{number}]: run the notebook from the top"
            return


def _outputs(cell: NotebookNode) -> Iterator[str]:
    for output in cell.outputs:
        if output.output_type == "error":
            yield f"it ends in an error: {output.ename}"
            continue
        if output.get("name") == "stderr":
            yield f"it writes to stderr: {output.text.strip()[:200]!r}"
        data = {"text/plain": output.text} if output.output_type == "stream" else output.data
        if not data:
            yield "one of its outputs is empty"
        text = "\n".join(str(data[kind]) for kind in data if kind.startswith("text/"))
        address = re.search(r"\b0x[0-9a-f]{6,}\b", text)
        if address:
            yield f"it prints the address of an object, {address[0]}: another one each time"
        if ROOT in text or ABSOLUTE.search(text):
            yield "its output names a path that only one machine has"


def _figures(cell: NotebookNode) -> Iterator[str]:
    figures = [
        output.data
        for output in cell.outputs
        if any(kind.startswith("image/") for kind in output.get("data", {}))
    ]
    if not figures:
        return
    if len(figures) > 1:
        yield f"it shows {len(figures)} figures: one caption and alt text serve one figure"
    about: dict[str, Any] = cell.metadata.get("mystnb", {})
    if len(about.get("image", {}).get("alt", "").strip()) < SHORTEST_ALT:
        yield f"its figure has no alt text of {SHORTEST_ALT} characters: mystnb.image.alt"
    if not about.get("figure", {}).get("caption", "").strip():
        yield "its figure has no caption: mystnb.figure.caption"
    for data in figures:
        if not {"image/svg+xml", "image/png"} <= data.keys():
            yield "its figure is not stored as both SVG and PNG: call companion.draw.use_style()"
        else:
            strange = sorted(colours(data["image/svg+xml"]) - INK.keys())
            if strange:
                yield f"its figure uses colours without a dark twin in INK: {', '.join(strange)}"


def colours(svg: str) -> set[str]:
    """The colours that an SVG is drawn with, black included where it is not said."""
    return set(_colours(ElementTree.fromstring(svg), "black", in_definitions=False)) - {"none"}


def _colours(element: ElementTree.Element, fill: str, *, in_definitions: bool) -> Iterator[str]:
    tag = element.tag.rpartition("}")[2]
    style = dict(re.findall(r"([\w-]+):\s*([^;]+)", element.get("style", "")))
    ink = {key: style.get(key, element.get(key)) for key in ("fill", "stroke", "stop-color")}
    yield from (value for value in ink.values() if value and not value.startswith("url("))
    fill = ink["fill"] or fill
    # In definitions a shape is not drawn yet: the place that uses it may give it a colour.
    in_definitions = in_definitions or tag == "defs"
    drawn = {"path", "use", "rect", "circle", "ellipse", "polygon", "polyline", "text"}
    if tag in drawn and not in_definitions and not fill.startswith("url("):
        yield fill
    for child in element:
        yield from _colours(child, fill, in_definitions=in_definitions)


def _folded_definitions(code: list[NotebookNode]) -> Iterator[str]:
    """What a folded cell defines, no later cell may use: the reader would look for it in vain."""
    folded: dict[str, str] = {}
    for cell in code:
        table = symtable.symtable(cell.source, cell.id, "exec")
        top = table.get_symbols()
        bound = {symbol.get_name() for symbol in top if symbol.is_assigned()}
        used = {symbol.get_name() for symbol in top if symbol.is_referenced()} | _globals(table)
        for name in sorted((used - bound) & folded.keys()):
            yield f"{cell.id}: it uses {name}, which the folded cell {folded[name]} defines"
        folded = {name: home for name, home in folded.items() if name not in bound}
        if FOLDED & set(cell.metadata.get("tags", [])):
            folded |= dict.fromkeys(bound, cell.id)


def _globals(table: symtable.SymbolTable) -> set[str]:
    """The names of the page that the functions and classes of a cell use."""
    found: set[str] = set()
    for child in table.get_children():
        found |= {s.get_name() for s in child.get_symbols() if s.is_global() and s.is_referenced()}
        found |= _globals(child)
    return found
