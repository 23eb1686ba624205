"""A download is whole and right, or an error that says what to do; here from a local server."""

import hashlib
import io
import re
import socket
import subprocess
import sys
import tarfile
import wave

import numpy as np
import pytest
import scipy.io
from local_server import serve, use

from companion.data import DOWNLOADS, digits, downloads, fetch, music, shakespeare, spoken

TEXT = "A small text, with an accent: é.\n" * 200
NAME = "tinyshakespeare.txt"
PAGE = f"/{DOWNLOADS[NAME].path}"


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def site(monkeypatch, cache):
    """A server that has the small text, which stands in the table in the place of the large one."""
    with serve(monkeypatch, cache) as site:
        stand_in(monkeypatch, site, NAME, TEXT.encode())
        yield site


def stand_in(monkeypatch, site, name, content):
    known = DOWNLOADS[name]._replace(sha256=sha256(content))
    monkeypatch.setitem(downloads.DOWNLOADS, name, known)
    site.pages[f"/{known.path}"] = content


def kept(cache):
    """The files below the cache, half ones too."""
    return [path for path in cache.rglob("*") if path.is_file()] if cache.exists() else []


def test_addresses_are_pinned_and_sums_are_sums():
    for name, known in DOWNLOADS.items():
        pattern = r"https://raw\.githubusercontent\.com/[\w-]+/[\w-]+/[0-9a-f]{40}/[\w./-]+"
        assert re.fullmatch(pattern, known.address), name
        assert re.fullmatch(r"[0-9a-f]{64}", known.sha256), name
        assert known.source
        assert known.licence
    assert len({known.sha256 for known in DOWNLOADS.values()}) == len(DOWNLOADS)


def test_it_is_downloaded_once_and_kept(site, cache):
    path = fetch(NAME)
    assert path == cache / NAME
    assert path.read_text(encoding="utf-8") == TEXT
    assert shakespeare() == TEXT
    assert site.asked == [PAGE]
    assert kept(cache) == [path]


def test_a_damaged_copy_in_the_cache_is_replaced(site, cache):
    fetch(NAME).write_text("damaged")
    assert shakespeare() == TEXT
    assert site.asked == [PAGE, PAGE]


def refused(cache, *reasons):
    """The error names the file's address, its sum and what to do, and leaves nothing behind."""
    with pytest.raises(OSError, match="could not be downloaded") as caught:
        fetch(NAME)
    known = DOWNLOADS[NAME]
    for part in (known.address, known.sha256, f"as {NAME}", "COMPANION_DATA", *reasons):
        assert part in str(caught.value)
    assert kept(cache) == []


def test_wrong_content_is_refused(site, cache):
    wrong = TEXT.replace("small", "large").encode()
    site.pages[PAGE] = wrong
    refused(cache, sha256(wrong), "which is not set")


def test_half_an_answer_is_refused(site, cache):
    site.broken.add(PAGE)
    refused(cache)


def test_a_missing_page_is_refused(site, cache):
    del site.pages[PAGE]
    refused(cache, "404")


def test_no_server_is_refused(monkeypatch, cache):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # taken, but nobody listens
        use(monkeypatch, f"http://127.0.0.1:{free.getsockname()[1]}", cache)
        refused(cache)


def test_the_named_folder_comes_first(site, cache, monkeypatch, tmp_path):
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path))
    (tmp_path / NAME).write_text(TEXT, encoding="utf-8")
    assert fetch(NAME) == tmp_path / NAME
    assert shakespeare() == TEXT
    assert (site.asked, kept(cache)) == ([], [])


def test_a_damaged_file_in_the_named_folder_is_refused(site, cache, monkeypatch, tmp_path):
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path))
    (tmp_path / NAME).write_text(TEXT[:-1], encoding="utf-8")
    with pytest.raises(OSError, match="is damaged or another version") as caught:
        shakespeare()
    found, known = sha256(TEXT[:-1].encode()), DOWNLOADS[NAME]
    for part in (str(tmp_path / NAME), found, known.sha256, known.address):
        assert part in str(caught.value)
    assert (site.asked, kept(cache)) == ([], [])  # nothing stands in for it


def test_what_the_named_folder_lacks_is_downloaded(site, cache, monkeypatch, tmp_path):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path / "empty"))
    assert fetch(NAME) == cache / NAME
    del site.pages[PAGE]
    fetch(NAME).unlink()
    refused(cache, str(tmp_path / "empty"))


def test_a_named_folder_that_does_not_exist_is_refused(site, monkeypatch, tmp_path):
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path / "misspelt"))
    with pytest.raises(OSError, match=r"COMPANION_DATA is .*misspelt; expected a folder that exis"):
        fetch(NAME)
    assert site.asked == []


def test_music_is_read_as_it_was_written(site, monkeypatch):
    rng = np.random.default_rng(0)
    lengths = {"train": (5, 3, 4), "valid": (2,), "test": (1, 6)}
    pieces = {
        part: [rng.integers(0, 2, (T, 88), dtype=np.uint8) for T in of_part]
        for part, of_part in lengths.items()
    }
    cells = {f"{part}data": np.empty((1, len(rolls)), object) for part, rolls in pieces.items()}
    for part, rolls in pieces.items():
        cells[f"{part}data"][0, :] = rolls
    scipy.io.savemat(file := io.BytesIO(), cells)
    stand_in(monkeypatch, site, "Nottingham.mat", file.getvalue())
    loaded = music("Nottingham")
    for part, rolls in pieces.items():
        read = getattr(loaded, part)
        assert all(map(np.array_equal, read, rolls))
        assert len(read) == len(rolls)
        assert {piece.dtype for piece in read} == {np.dtype(bool)}


def test_an_unknown_name_lists_the_known_ones():
    for load in (fetch, music):
        with pytest.raises(ValueError, match=r"name is \['a'\]; expected one of JSB_Chorales"):
            load(["a"])
    with pytest.raises(ValueError, match=r"name is 'bach'; expected one of JSB_Chorales.mat, Not"):
        fetch("bach")
    with pytest.raises(ValueError, match=r"name is 'bach'; .* JSB_Chorales, Nottingham, MuseData"):
        music("bach")


def test_a_missing_library_is_named_with_the_extra(site, monkeypatch, tmp_path):
    for module in ("pooch", "scipy.io"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        ImportError, match=r"needs pooch.*pip install 'recurrent-companion\[data\]'"
    ):
        fetch(NAME)
    with pytest.raises(
        ImportError, match=r"needs pooch.*pip install 'recurrent-companion\[data\]'"
    ):
        digits()
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path))  # a file at hand needs no pooch
    (tmp_path / NAME).write_text(TEXT, encoding="utf-8")
    assert shakespeare() == TEXT
    with pytest.raises(
        ImportError, match=r"needs scipy.*pip install 'recurrent-companion\[data\]'"
    ):
        music("Nottingham")


def test_the_import_brings_neither_pooch_nor_scipy():
    code = "import companion.data, sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "companion.data.spoken" in run.stdout.split()
    assert not {"pooch", "scipy", "requests", "torch"} & {*run.stdout.split()}


def archive(recordings, rate=8000):
    """A repository's archive with these recordings: file name → samples."""
    with tarfile.open(fileobj=(packed := io.BytesIO()), mode="w:gz", compresslevel=1) as tar:
        for name, samples in {"README.md": b"", **recordings}.items():
            file = io.BytesIO()
            if name.endswith(".wav"):
                with wave.open(file, "wb") as sound:
                    sound.setparams((1, 2, rate, 0, "NONE", ""))
                    sound.writeframes(samples.astype("<i2").tobytes())
            member = tarfile.TarInfo(f"dataset-1/{name}")
            member.size = file.tell()
            file.seek(0)
            tar.addfile(member, file)
    return packed.getvalue()


RECORDINGS = {
    f"recordings/{digit}_{speaker}_{take}.wav": np.arange(digit, digit + 3 + take) - 4
    for speaker in ("zoe", "ann")
    for take in (10, 2)
    for digit in (1, 0)
}


@pytest.fixture
def spoken_site(site, monkeypatch):
    """A server with a small archive in the large one's place."""
    content = "e6e7e619a8109c2ef7be0b127b8cf9e4c996298690e1981bcf34e95c62c446ef"
    monkeypatch.setattr(spoken, "CONTENT", content)
    site.pages[f"/{spoken.ARCHIVE}"] = archive(RECORDINGS)
    return site


def test_the_recordings_are_packed_in_the_order_of_their_names(spoken_site, cache):
    found = digits()
    names = [
        f"recordings/{digit}_{speaker}_{take}.wav"
        for digit, speaker, take in zip(found.digit, found.speaker, found.take, strict=True)
    ]
    assert names == sorted(RECORDINGS)
    assert all(
        np.array_equal(RECORDINGS[name], audio)
        for name, audio in zip(names, found.audio, strict=True)
    )
    assert (found.rate, found.audio[0].dtype) == (8000, np.int16)
    assert kept(cache) == [cache / spoken.NAME]
    again = digits()
    assert all(map(np.array_equal, again.audio, found.audio))
    assert len(spoken_site.asked) == 1


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (archive({**RECORDINGS, "recordings/0_ann_2.wav": np.ones(3)}), "gave 8 recordings whose"),
        (archive({**RECORDINGS, "recordings/0_eve_2.wav": np.ones(3)}), "gave 9 recordings whose"),
        (archive(RECORDINGS, rate=16000), r"has \(channels, bytes, rate\) \(1, 2, 16000\)"),
        (archive({}), "it holds no recordings"),
        (archive(RECORDINGS)[:-40], "gave an archive that cannot be read"),
        (b"no archive", "gave an archive that cannot be read"),
        (None, "404.*COMPANION_DATA"),
    ],
    ids=["a sample", "one more", "rate", "empty", "half", "no archive", "no page"],
)
def test_another_archive_is_refused(spoken_site, cache, page, message):
    if page is None:
        spoken_site.pages.clear()
    else:
        spoken_site.pages[f"/{spoken.ARCHIVE}"] = page
    with pytest.raises(OSError, match=message) as caught:
        digits()
    assert f"{spoken_site.address}/{spoken.ARCHIVE}" in str(caught.value)
    assert kept(cache) == []


@pytest.mark.parametrize("damage", ["a sample", "half", "nothing", "no arrays"])
def test_a_damaged_packed_file_is_refused(spoken_site, monkeypatch, tmp_path, cache, damage):
    digits()
    whole = (cache / spoken.NAME).read_bytes()
    path = tmp_path / spoken.NAME
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path))
    path.write_bytes(whole)
    assert len(digits().audio) == 8  # undamaged, it is taken
    with np.load(io.BytesIO(whole)) as file:
        arrays = dict(file)
    if damage == "a sample":
        arrays["audio"][5] += 1
        np.savez(path, **arrays)
    elif damage == "no arrays":
        np.savez(path, audio=arrays["audio"])
    else:
        path.write_bytes(whole[: len(whole) // 2] if damage == "half" else b"")
    with pytest.raises(OSError, match="is damaged or another version") as caught:
        digits()
    for part in (str(path), spoken.CONTENT, spoken.ARCHIVE):
        assert part in str(caught.value)
    assert len(spoken_site.asked) == 1
