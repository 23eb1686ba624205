"""Piano rolls made audible, with NumPy alone: what the models of the rerun play, and the original.

    python -m companion.experiments.listen book/results/chung.json.gz book/_static/played

writes a small WAV file for each of them, and the frames of the originals, played.json, beside the
results.
"""

from __future__ import annotations

import json
import sys
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from companion.data.downloads import music
from companion.experiments.chung import PAPER
from companion.experiments.export import load
from companion.experiments.store import Record

RATE = 8000  # samples a second, one byte each
SECONDS = {"JSB_Chorales": 0.3, "Nottingham": 0.2, "MuseData": 0.2, "Piano_midi": 0.2}  # a frame
HEARD = slice(20, 56)  # of the 96 frames: the last 12 of the original's start, and 24 more

Frames = Sequence[Sequence[int]]  # the keys that are down, 0 … 87, frame by frame


def notes(frames: Frames) -> list[tuple[int, int, int]]:
    """Each note as key, first frame, number of frames: a key that stays down is one note.

    >>> notes([[40, 44], [40], [], [40]])
    [(40, 0, 2), (44, 0, 1), (40, 3, 1)]
    """
    found = []
    for key in sorted({key for frame in frames for key in frame}):
        down = np.array([0, *(key in frame for frame in frames), 0])
        begins, ends = (np.flatnonzero(np.diff(down) == change) for change in (1, -1))
        found += [(key, int(a), int(b - a)) for a, b in zip(begins, ends, strict=True)]
    return sorted(found, key=lambda note: (note[1], note[0]))


def synthesise(frames: Frames, seconds: float) -> Any:
    """The sound as bytes, 0 … 255: each note a decaying sum of four harmonics.

    seconds: of a frame. Key k has the frequency 440 · 2^((k − 48)/12) Hz, 48 being the piano's a'.

    >>> len(synthesise([[48], []], 0.5)) / RATE
    1.0
    """
    frame = round(seconds * RATE)
    sound = np.zeros(frame * len(frames))
    for key, begin, count in notes(frames):
        t = np.arange(count * frame) / RATE
        f = 440 * 2 ** ((key - 48) / 12)
        tone = sum(
            np.sin(2 * np.pi * m * f * t) / m**2 for m in range(1, 5) if m * f < RATE / 2
        ) * np.exp(-1.5 * t)
        edge = np.minimum(1, np.minimum(t, t[-1] - t) / 0.01)  # 10 ms, or it would click
        sound[begin * frame :][: len(t)] += tone * edge
    loudest = max(float(np.abs(sound).max(initial=0)), 1e-9)
    return np.round(128 + 120 * sound / loudest).astype(np.uint8)


def originals(records: Sequence[Record]) -> dict[str, Frames]:
    """Of each collection in the records the piece that was played on, as long as that."""
    found: dict[str, Frames] = {}
    for record in paper(records):
        name, length = record["settings"]["collection"], len(record["result"]["played"])
        piece = music(name).test[record["settings"]["piece"]][:length]
        found[name] = [np.flatnonzero(frame).tolist() for frame in piece]
    return found


def clips(records: Sequence[Record], played_on: dict[str, Frames]) -> dict[str, Any]:
    """The sounds by name, such as JSB_Chorales-gru: of each original and of the paper's units."""
    rolls = {f"{name}-original": frames for name, frames in played_on.items()}
    for record in paper(records):
        name = f"{record['settings']['collection']}-{record['settings']['unit']}"
        rolls[name] = record["result"]["played"]
    return {
        name: synthesise(frames[HEARD], SECONDS[name.split("-")[0]])
        for name, frames in rolls.items()
    }


def paper(records: Sequence[Record]) -> list[Record]:
    """The records of the paper's own sizes under the plain protocol, in the order of the grid."""
    wanted = [point for points in PAPER.values() for point in points]
    return [record for record in records if record["settings"] in wanted]


def main(results: Path, folder: Path) -> None:
    """Write all the files."""
    records = load(results)
    played_on = originals(records)
    folder.mkdir(parents=True, exist_ok=True)
    for name, sound in clips(records, played_on).items():
        with wave.open(str(folder / f"{name}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(1)
            file.setframerate(RATE)
            file.writeframes(sound.tobytes())
    text = json.dumps(played_on, separators=(",", ":"), sort_keys=True)
    results.with_name("played.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
