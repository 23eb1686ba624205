"""nbval made strict: a stored output must be what the cell gives, part for part.

Text, stdout, LaTeX and HTML are compared exactly. A figure's SVG is compared as a drawing: the
same elements in the same order, with the same colours, lines and glyphs, and every coordinate
within half a point. Of its PNG twin, which is the same drawing in pixels, only the presence
counts. A cell that was never run fails, where nbval itself would let it pass.

A pytest plugin, loaded by the conftest.py at the root, so that it is there however pytest is
started.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import nbval.plugin  # type: ignore[import-untyped]
import pytest
from nbformat import NotebookNode

from tools.environment import IS_X86

POINTS = 0.5
"""How far a coordinate of a figure may be from the stored one, in points of 1/72 inch."""

LINEAR = 1e-3
"""How far the numbers of a rotation or scaling may be: they have no unit."""

_GEOMETRY = set("d points viewBox x y x1 y1 x2 y2 cx cy r rx ry width height".split())
_TOKEN = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[A-Za-z]+")
_HASH = re.compile(r"[0-9a-f]{10}\b")


def pytest_configure(config: pytest.Config) -> None:
    nbval.plugin.IPyNbCell.compare_outputs = _compare_outputs
    if not IS_X86:  # the environment does not fix this processor's arithmetic
        config.option.nbval_lax = True


def pytest_report_header() -> str:
    if IS_X86:
        return "notebooks: every stored output is compared"
    return "notebooks: not on x86-64, so every cell must run, and no output is compared"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    if isinstance(item, nbval.plugin.IPyNbCell) and item.cell.execution_count is None:
        item.raise_cell_error("The stored cell was never run: python -m tools.notebooks run")


def _compare_outputs(
    self: Any, test: list[NotebookNode], ref: list[NotebookNode], skip_compare: object = None
) -> bool:
    """Whether the computed outputs are the stored ones, in the place of nbval's comparison."""
    self.comparison_traceback = list(differences(stored=ref, computed=test))
    return not self.comparison_traceback


def differences(stored: list[NotebookNode], computed: list[NotebookNode]) -> Iterator[str]:
    """What differs between two lists of outputs, in words. Nothing where they agree."""
    if len(stored) != len(computed):
        yield f"stored are {len(stored)} outputs, computed were {len(computed)}"
    for number, (old, new) in enumerate(zip(stored, computed, strict=False), start=1):
        before, after = _parts(old), _parts(new)
        if before.keys() != after.keys():
            yield f"output {number}: stored is {_names(before)}, computed was {_names(after)}"
        for kind in before.keys() & after.keys() - {"image/png"}:
            if kind == "image/svg+xml":
                found = list(svg_differences(before[kind], after[kind]))
                yield from (f"output {number}, figure: {line}" for line in found[:5])
                if len(found) > 5:
                    yield f"output {number}, figure: and {len(found) - 5} more"
            elif before[kind] != after[kind]:
                yield f"output {number}, {kind}:\n{_changed(str(before[kind]), str(after[kind]))}"


def _parts(output: NotebookNode) -> dict[str, Any]:
    """What an output consists of: its kinds of data, the name of its stream, or its error."""
    if output.output_type == "stream":
        return {output.name: output.text}
    if output.output_type == "error":
        return {"error": f"{output.ename}: {output.evalue}"}
    return {output.output_type: "", **output.data}


def _names(parts: dict[str, Any]) -> str:
    return " + ".join(sorted(parts))


def _changed(before: str, after: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), "stored", "computed", n=1, lineterm=""
    )
    return "\n".join(lines)


def svg_differences(stored: str, computed: str) -> Iterator[str]:
    """What differs between two drawings, in words. Nothing where they agree."""
    before, after = _Drawing(stored), _Drawing(computed)
    for old, new in zip(before.elements, after.elements, strict=False):
        where = before.place(old)
        if old.tag != new.tag or len(old) != len(new):
            yield f"{where}: another element stands there, or one with other parts"
            return
        text, now = (old.text or "").strip(), (new.text or "").strip()
        if text != now:
            yield f"{where}: the text {text!r} is now {now!r}"
        if old.keys() != new.keys():
            yield f"{where}: its attributes differ"
            continue
        for key in sorted(old.attrib):
            problem = _difference(key, before.value(old, key), after.value(new, key))
            if problem:
                yield f"{where}, {key.rpartition('}')[2]}: {problem}"


class _Drawing:
    """An SVG as its elements in order, comments included: they hold the text of the labels."""

    def __init__(self, svg: str) -> None:
        parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
        root = ElementTree.fromstring(svg, parser)
        self.elements = list(root.iter())
        self._parents = {child: parent for parent in self.elements for child in parent}
        self._hashes: dict[str, str] = {}

    def place(self, element: ElementTree.Element) -> str:
        """The names of the groups that the element stands in, from the outside in."""
        names = []
        while element in self._parents:
            element = self._parents[element]
            names.append(element.get("id", ""))
        return "/".join(name for name in reversed(names) if name) or "svg"

    def value(self, element: ElementTree.Element, key: str) -> str:
        """An attribute. Matplotlib names a marker or a clip by the hash of its coordinates, which
        differs as soon as they do: here it is named by the order in which it appears."""
        value = element.get(key, "")
        if key == "id" or value.startswith("#") or "url(#" in value:
            return _HASH.sub(
                lambda match: self._hashes.setdefault(match[0], f"<{len(self._hashes)}>"), value
            )
        return value


def _difference(key: str, before: str, after: str) -> str:
    """What differs between two values of an attribute, or nothing."""
    if key == "transform":
        near = _near(before, after, LINEAR, "translate")
    elif key in _GEOMETRY:
        near = _near(before, after, POINTS)
    else:
        near = "" if before == after else "differs"
    if near == "differs":
        return f"stored is {before[:60]!r}, computed was {after[:60]!r}"
    return near


def _near(before: str, after: str, tolerance: float, in_points: str = "") -> str:
    """Compare token by token: words exactly, numbers within the tolerance, which is that of
    points behind the word named in_points."""
    old, new = _TOKEN.findall(before), _TOKEN.findall(after)
    if len(old) != len(new):
        return "differs"
    allowed = tolerance
    for a, b in zip(old, new, strict=True):
        if a[-1].isalpha() or b[-1].isalpha():
            if a != b:
                return "differs"
            allowed = POINTS if a == in_points else tolerance
        elif not abs(float(a) - float(b)) <= allowed:
            return f"{a} is now {b}"
    return ""
