"""The colours of the figures can be told apart: what companion/draw/style.py says of them."""

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from companion.draw import COLOURS, INK, LINES
from companion.draw.style import MUTED, PAPER, TEXT

# Linear sRGB to CIE XYZ, and the colours as those see them who lack one kind of cone
# (Machado, Oliveira and Fernandes 2009, doi:10.1109/TVCG.2009.113, severity 1).
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
SIGHT = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
MODES = {"light": {colour: colour for colour in INK}, "dark": INK}


def linear(colour: str) -> NDArray[np.float64]:
    """#rrggbb as amounts of light."""
    value = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lightness and two hues of CIE L*a*b*, in which equal distances look equally different."""
    ratio = XYZ @ np.clip(light, 0, 1) / XYZ.sum(axis=1)
    x, y, z = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(a: str, b: str) -> float:
    """The contrast of WCAG 2, from 1 to 21."""
    dark, bright = sorted(float(XYZ[1] @ linear(colour)) for colour in (a, b))
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("twin", MODES.values(), ids=MODES)
def test_every_ink_stands_out_from_its_paper(twin: dict[str, str]) -> None:
    for colour in COLOURS.values():
        assert contrast(twin[colour], twin[PAPER]) >= 3
    for colour in (TEXT, MUTED):
        assert contrast(twin[colour], twin[PAPER]) >= 4.5


@pytest.mark.parametrize("twin", MODES.values(), ids=MODES)
@pytest.mark.parametrize("sight", SIGHT.values(), ids=SIGHT)
def test_any_two_colours_stay_apart(sight: NDArray[np.float64], twin: dict[str, str]) -> None:
    seen = [lab(sight @ linear(twin[colour])) for colour in COLOURS.values()]
    assert min(float(np.linalg.norm(a - b)) for a, b in combinations(seen, 2)) >= 15


@pytest.mark.parametrize(("mode", "steps"), [("light", 19), ("dark", 13)])
def test_the_cells_stay_apart_in_grey(mode: str, steps: int) -> None:
    grey = [lab(linear(MODES[mode][COLOURS[cell]]))[0] for cell in ("rnn", "lstm", "gru")]
    assert min(abs(a - b) for a, b in combinations(grey, 2)) >= steps


def test_every_colour_has_one_twin_and_one_line() -> None:
    assert set(COLOURS.values()) <= INK.keys()
    assert len(set(COLOURS.values())) == len(COLOURS)
    assert len(set(INK.values())) == len(INK)
    assert COLOURS.keys() == LINES.keys()
    assert all(colour == colour.lower() for colour in [*INK, *INK.values()])
