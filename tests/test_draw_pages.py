"""On the pages, the alt text of a cell's diagram is the one that its trace gives."""

import re

import pytest

import companion
from companion import variants
from companion.draw import describe
from tools.environment import BOOK
from tools.notebooks import read

DIAGRAM = re.compile(r"draw\.cells?\(\(?([\w., ]+?),?\)")


def diagrams():
    for path in sorted(BOOK.glob("*.ipynb")):
        for cell in read(path).cells:
            if cell.cell_type == "code" and (found := DIAGRAM.search(cell.source)):
                names = [name.strip().rpartition(".")[2] for name in found[1].split(",")]
                alt = cell.metadata.mystnb.image.alt
                yield pytest.param(names, alt, id=f"{path.stem}-{'-'.join(names)}")


@pytest.mark.parametrize(("names", "alt"), list(diagrams()))
def test_the_alt_text_is_generated(names, alt):
    cells = [getattr(companion, name, None) or getattr(variants, name) for name in names]
    assert alt == " ".join(describe(cell) for cell in cells)


def test_there_are_diagrams():
    assert DIAGRAM.search("draw.cells((rnn, lstm, gru))")[1] == "rnn, lstm, gru"
    assert DIAGRAM.search("draw.cell(gru)")[1] == "gru"
    assert list(diagrams())
