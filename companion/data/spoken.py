"""Spoken digits: 3,000 short recordings, packed from the wav files of a public repository.

The repository's archive is made anew by its host when it is asked for, so its checksum is not
fixed; what is checked is the content, every sample and label, once it is packed.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
import tempfile
import wave
import zipfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from companion.data.downloads import at_hand, cache, retrieve

NAME = "fsdd_int16.npz"
HOST = "https://github.com"
COMMIT = "26eb9aaf76e81b692f806f9140c2d2777410d7a1"
ARCHIVE = f"Jakobovski/free-spoken-digit-dataset/archive/{COMMIT}.tar.gz"
RATE = 8000
CONTENT = "23504fd8368b53f735b11ca7de24d513cd5ca40871a5e35ccbce3add77143388"


class Digits(NamedTuple):
    """N recordings: audio, each (T,) of 16-bit samples, rate of them a second, and their labels.

    digit (N,), speaker (N,), a name, and take (N,), its number, 0 … 49.

    >>> found = digits()  # doctest: +SKIP
    >>> len(found.audio), found.rate, str(found.speaker[0])  # doctest: +SKIP
    (3000, 8000, 'george')
    """

    audio: tuple[NDArray[np.int16], ...]
    digit: NDArray[np.int8]
    speaker: NDArray[np.str_]
    take: NDArray[np.int16]
    rate: int


def digits() -> Digits:
    """The Free Spoken Digit Dataset: ten digits, six speakers, fifty takes each, at 8 kHz.

    The official test part is the takes 0 … 4. The order is that of the file names. A
    sample divided by 32,768 lies in [−1, 1). Looked for as :func:`companion.data.fetch` does, under
    the name fsdd_int16.npz; the download is packed into such a file in the cache. Raises OSError if
    the file cannot be had or is damaged, ModuleNotFoundError if pooch is needed and missing.

    Source: Jackson et al., github.com/Jakobovski/free-spoken-digit-dataset; CC BY-SA 4.0.

    >>> digits().digit[:3]  # doctest: +SKIP
    array([0, 0, 0], dtype=int8)
    """
    path = at_hand(NAME) or cache() / NAME
    if not path.exists():
        _pack(path)
    try:
        with path.open("rb") as whole, np.load(whole) as file:
            packed = {key: file[key] for key in ("audio", "length", "digit", "speaker", "index")}
        found = _content(packed)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        found = f"unknown, since it cannot be read ({error})"
    if found != CONTENT:
        raise OSError(
            f"{path} is damaged or another version: the SHA-256 of its content is {found}; "
            f"expected {CONTENT}. Remove it, and it is made again from {HOST}/{ARCHIVE}"
        )
    ends = packed["length"].cumsum()[:-1]
    return Digits(
        tuple(np.split(packed["audio"], ends)),
        packed["digit"],
        packed["speaker"],
        packed["index"],
        RATE,
    )


def _pack(path: Path) -> None:
    """Download the archive and pack its recordings into one file, which is there whole or not at
    all; the archive is not kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        archive = retrieve(
            f"{HOST}/{ARCHIVE}",
            Path(folder, "recordings.tar.gz"),
            None,
            f"save an {NAME}, made by this function on another machine (it is in the cache there),",
        )
        try:
            packed = _recordings(archive)
        except (OSError, EOFError, tarfile.TarError, zlib.error, wave.Error, ValueError) as error:
            raise OSError(
                f"{HOST}/{ARCHIVE} gave an archive that cannot be read: {error}"
            ) from error
        found = _content(packed)
        if found != CONTENT:
            raise OSError(
                f"{HOST}/{ARCHIVE} gave {len(packed['length'])} recordings whose content has the "
                f"SHA-256 {found}; expected 3000 with {CONTENT}"
            )
        part = Path(folder, NAME)
        np.savez_compressed(part, rate=RATE, **packed)
        part.replace(path)


def _recordings(archive: Path) -> dict[str, Any]:
    """The wav files, in the order of their names, as arrays; the audio end to end."""
    pattern = re.compile(r"[^/]+/recordings/((\d)_([a-z]+)_(\d+)\.wav)")
    rows = []
    with tarfile.open(archive) as tar:
        for member in tar:
            match = pattern.fullmatch(member.name)
            file = tar.extractfile(member) if match else None
            if match and file:
                with wave.open(file) as sound:
                    kind = (sound.getnchannels(), sound.getsampwidth(), sound.getframerate())
                    samples = np.frombuffer(sound.readframes(sound.getnframes()), dtype="<i2")
                if kind != (1, 2, RATE):
                    raise ValueError(f"{match[1]} has (channels, bytes, rate) {kind}")
                rows.append((match[1], samples, int(match[2]), match[3], int(match[4])))
    rows.sort(key=lambda row: row[0])
    if not rows:
        raise ValueError("it holds no recordings")
    _, audio, digit, speaker, index = zip(*rows, strict=True)
    return {
        "audio": np.concatenate(audio),
        "length": np.array([len(samples) for samples in audio], dtype="<i4"),
        "digit": np.array(digit, dtype=np.int8),
        "speaker": np.array(speaker),
        "index": np.array(index, dtype="<i2"),
    }


def _content(packed: dict[str, Any]) -> str:
    """The SHA-256 of all arrays, with their names, kinds and shapes: not of the file's packing."""
    total = hashlib.sha256()
    for name, array in sorted(packed.items()):
        total.update(f"{name} {array.dtype.str} {array.shape}".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()
