"""A reader who changes a cell of the theorem chapter's notebook sees the proof fail.

The page's code is run from the top, as a reader would, up to the end of its proof: as it stands,
and with one line of its GRU changed, or with another LSTM as the host. Every saboteur must be
caught by an assertion of the proof itself.
"""

import itertools
import linecache
import re
from types import SimpleNamespace

import pytest

from tools.environment import BOOK
from tools.notebooks import read

PROOF = "## The proof, live"
GRU = "def gru(x, h, p):"
number = itertools.count()


def page():
    """The code cells up to the end of the proof, and which of them are of the proof."""
    section, found = "", []
    for cell in read(BOOK / "theorem.ipynb").cells:
        headings = re.findall("^## .*", cell.source, re.MULTILINE)
        if cell.cell_type == "markdown" and headings:
            if section == PROOF:
                return found
            section = headings[-1]
        if cell.cell_type == "code" and "hide-input" not in cell.metadata.get("tags", []):
            found.append(SimpleNamespace(source=cell.source, of_proof=section == PROOF))
    raise AssertionError(f"no section after {PROOF!r}")


def execute(cells):
    """Run the cells; the first that fails, and its exception, or nothing."""
    names = {"__name__": "page"}
    for cell in cells:
        file = f"<page {next(number)}>"  # where `inspect` finds the source, as in a notebook
        linecache.cache[file] = (len(cell.source), None, cell.source.splitlines(True), file)
        try:
            exec(compile(cell.source, file, "exec"), names)
        except Exception as error:
            return cell, error
    return None


def sabotaged(*changes):
    """The page with one or more places of its GRU changed."""
    cells = page()
    (cell,) = [cell for cell in cells if GRU in cell.source]
    for old, new in changes:
        assert cell.source.count(old) == 1
        cell.source = cell.source.replace(old, new)
    return cells


def test_the_page_tells_its_reader_to_change_the_cell():
    text = [cell.source for cell in read(BOOK / "theorem.ipynb").cells]
    (place,) = [k for k, source in enumerate(text) if GRU in source]
    assert "Change a line of this cell" in text[place + 1]
    assert "see the proof fail" in text[place + 1]
    assert len(text[place].splitlines()) <= 15


def test_as_it_stands_the_proof_succeeds(capsys):
    assert execute(page()) is None
    printed = capsys.readouterr().out
    assert "the book's own GRU: True" in printed
    assert "proved under A1, A2, A3, A4, A5, A6" in printed


@pytest.mark.parametrize(
    "changes",
    [
        [("r * h", "z * h"), ("(1 - z) * h + z * n", "(1 - r) * h + r * n")],
        [("(1 - z) * h + z * n", "z * h + (1 - z) * n")],
        [("(1 - z) * h + z * n", "h + z * n")],
        [("(1 - z) * h + z * n", "(1 - z) * h + n")],
        [("(1 - z) * h + z * n", "(1 - z) * h - z * n")],
        [("p.Un @ (r * h)", "r * (p.Un @ h)")],
        [("p.Un @ (r * h)", "p.Un @ (r * z * h)")],
        [(" + p.bz", "")],
        [("p.Wn @ x + ", "")],
        [("p.Ur @ h", "p.Uz @ h")],
        [("tanh(p.Wn", "sigmoid(p.Wn")],
    ],
    ids=lambda changes: " for ".join(reversed(changes[-1])),
)
def test_a_changed_gru_is_caught_by_the_proof(changes, capsys):
    cell, error = execute(sabotaged(*changes))
    assert isinstance(error, AssertionError)
    assert cell.of_proof
    assert "equal(" in cell.source
    assert str(error) == "c_t = hG_t"
    assert "the book's own GRU: False" in capsys.readouterr().out


def test_a_gate_that_is_not_used_is_refused():
    """It has no equation to print or to prove: the cell itself says so, before the proof."""
    cell, error = execute(sabotaged(("p.Un @ (r * h)", "p.Un @ h")))
    assert isinstance(error, TypeError)
    assert "Wr" in str(error)
    assert GRU in cell.source


def test_a_star_for_an_at_is_refused():
    cell, error = execute(sabotaged(("p.Uz @ h", "p.Uz * h")))
    assert isinstance(error, TypeError)
    assert "Uz is a matrix" in str(error)
    assert cell.of_proof


HOST = """

def lstm_host(x, xo, h, c, p, phi=tanh):
    i = sigmoid(p.Wi @ x + p.Ui @ h + p.Vi @ c + p.bi)
    f = sigmoid(p.Wf @ x + p.Uf @ h + p.Vf @ c + p.bf)
    g = tanh(p.Wg @ x + p.Ug @ h + p.bg)
    c = f * c + i * g
    o = sigmoid(p.Wo @ xo + p.Uo @ h + p.Vo @ c + p.bo)
    return o * phi(c), c
"""


def with_host(host):
    """The page whose GRU's cell also defines a host."""
    cells = page()
    (cell,) = [cell for cell in cells if GRU in cell.source]
    cell.source += host
    return cells


def test_the_same_host_written_on_the_page_passes():
    assert execute(with_host(HOST)) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("f * c + i * g", "i * c + f * g"),
        ("f * c + i * g", "f * c + g"),
        ("p.Wo @ xo", "p.Wo @ (0 * xo + x)"),
        ("o * phi(c), c", "o * tanh(c), c"),
        ("p.Vi @ c", "p.Vi @ h"),
    ],
)
def test_a_changed_host_is_caught_by_the_proof(old, new):
    assert HOST.count(old) == 1
    cell, error = execute(with_host(HOST.replace(old, new)))
    assert isinstance(error, AssertionError)
    assert cell.of_proof
    assert "equal(" in cell.source
