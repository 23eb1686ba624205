"""The shipped series and the loaders, on the real files, in the folder that COMPANION_DATA names.

Everything that needs these files is here; what the loaders do with others is in test_downloads.
"""

import csv
import io
import json
import tarfile
import wave
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pytest
from local_server import serve

from companion.data import (
    DOWNLOADS,
    departures,
    digits,
    fetch,
    music,
    shakespeare,
    spoken,
    sunspots,
)

RESULTS = Path(__file__).parents[1] / "book" / "results"


def test_sunspots(shared_data):
    with open(shared_data("sunspots_yearly.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    series = sunspots()
    assert [int(row["YEAR"]) for row in rows] == list(series.times)
    assert [float(row["SUNACTIVITY"]) for row in rows] == list(series.values[:, 0])


def test_departures(shared_data):
    with open(shared_data("nycflights13_hourly_departures.csv"), newline="") as file:
        flights = {
            (np.datetime64(row["time_utc"][:13].replace(" ", "T")), row["origin"]): row["flights"]
            for row in csv.DictReader(file)
        }
    series = departures()
    assert (np.diff(series.times) == np.timedelta64(1, "h")).all()
    assert len(flights) == series.values.size
    for column, name in enumerate(series.names):
        expected = [float(flights[hour, name]) for hour in series.times]
        assert expected == list(series.values[:, column])


@pytest.mark.parametrize("name", DOWNLOADS)
def test_every_download_has_its_sum_and_a_changed_one_has_not(
    shared_data, name, monkeypatch, tmp_path
):
    path = shared_data(name)
    assert fetch(name) == path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path))
    with pytest.raises(OSError, match="is damaged or another version"):
        fetch(name)


# Sequences and frames of train, valid and test; mean length and notes per frame of train; what a
# fixed chance for each key costs on test, in nats per frame, by Boulanger-Lewandowski et al. (2012,
# their note 1-gram), who print two decimals.
MUSIC = {
    "JSB_Chorales": ((229, 76, 77), (13_807, 4_602, 4_725), 60, 3.90, 11.06),
    "Nottingham": ((694, 173, 170), (176_561, 45_513, 44_463), 254, 3.96, 10.25),
    "MuseData": ((524, 135, 124), (245_202, 82_755, 64_339), 468, 3.49, 11.51),
    "Piano_midi": ((87, 12, 25), (75_911, 8_540, 19_036), 873, 3.04, 11.05),
}


@pytest.mark.parametrize("name", MUSIC)
def test_music_is_what_the_literature_counts(shared_data, name):
    shared_data(f"{name}.mat")
    sequences, frames, length, notes, unigram = MUSIC[name]
    loaded = music(name)
    assert tuple(map(len, loaded)) == sequences
    assert tuple(sum(map(len, part)) for part in loaded) == frames
    assert {(p.shape[1], p.dtype) for part in loaded for p in part} == {(88, np.dtype(bool))}
    assert round(frames[0] / sequences[0]) == length
    train, test = np.concatenate(loaded.train), np.concatenate(loaded.test)
    assert round(train.sum() / len(train), 2) == notes
    # Another split would change this: it ties the units, the keys and the parts to the paper.
    assert round(note_unigram(train, test), 2) == unigram
    assert abs(note_unigram(np.roll(train, 1, axis=1), test) - unigram) > 0.5


def note_unigram(train, test):
    """One pseudo-count for each outcome, since a key of the test part may be new."""
    q = (train.sum(axis=0) + 1) / (len(train) + 2)
    played = test.mean(axis=0)
    return -(played * np.log(q) + (1 - played) * np.log1p(-q)).sum()


# What a chance for each key that depends on that key one frame before costs on test, as the
# chapter says; all that Chung et al. report for Piano-midi, 8.82 to 9.03, is more.
@pytest.mark.parametrize(
    ("name", "markov"),
    [("JSB_Chorales", 10.48), ("Nottingham", 5.17), ("MuseData", 8.56), ("Piano_midi", 8.26)],
)
def test_what_a_key_that_follows_itself_costs(shared_data, name, markov):
    shared_data(f"{name}.mat")
    loaded = music(name)
    train, test = ([(_before(p), p) for p in part] for part in (loaded.train, loaded.test))
    down, counts = np.ones((2, 88)), np.full((2, 88), 2.0)  # one pseudo-count for each outcome
    for before, now in train:
        for was in (0, 1):
            counts[was] += (before == was).sum(axis=0)
            down[was] += ((before == was) & now).sum(axis=0)
    off, on = down / counts
    cost = 0
    for before, now in test:
        q = np.where(before, on, off)
        cost -= np.log(np.where(now, q, 1 - q)).sum()
    assert round(cost / sum(len(now) for _, now in test), 2) == markov
    assert markov < note_unigram(*(np.concatenate(part) for part in (loaded.train, loaded.test)))


def _before(piece):
    """The frame before each frame: silence before the first."""
    return np.vstack([np.zeros_like(piece[:1]), piece[:-1]])


def test_shakespeare(shared_data):
    shared_data("tinyshakespeare.txt")
    text = shakespeare()
    assert (len(text), len(set(text))) == (1_115_394, 65)
    assert text.startswith("First Citizen:\nBefore we proceed any further, hear me speak.\n")


def test_digits_are_complete(shared_data):
    shared_data(spoken.NAME)
    found = digits()
    labels = list(zip(*(column.tolist() for column in found[1:4]), strict=True))
    names = {"george", "jackson", "lucas", "nicolas", "theo", "yweweler"}
    assert set(labels) == {(d, s, t) for d in range(10) for s in names for t in range(50)}
    assert len(labels) == len(found.audio) == 3000
    assert (sum(map(len, found.audio)), found.rate) == (10_498_424, 8000)
    assert min(map(len, found.audio)) == 1148


def test_the_archive_of_the_recordings_gives_the_same_digits(shared_data, monkeypatch, tmp_path):
    """Unpacked to wav files, and these put in an archive as their host makes it."""
    shared_data(spoken.NAME)
    expected = digits()
    with tarfile.open(fileobj=(packed := io.BytesIO()), mode="w:gz", compresslevel=1) as tar:
        for k in np.random.default_rng(0).permutation(3000):
            with wave.open(file := io.BytesIO(), "wb") as sound:
                sound.setparams((1, 2, 8000, 0, "NONE", ""))
                sound.writeframes(expected.audio[k].tobytes())
            name = f"{expected.digit[k]}_{expected.speaker[k]}_{expected.take[k]}.wav"
            member = tarfile.TarInfo(f"free-spoken-digit-dataset-{spoken.COMMIT}/recordings/{name}")
            member.size = file.tell()
            file.seek(0)
            tar.addfile(member, file)
    with serve(monkeypatch, tmp_path) as site:
        site.pages[f"/{spoken.ARCHIVE}"] = packed.getvalue()
        found = digits()  # its content is checked against the sum in the package
    assert all(map(np.array_equal, found.audio, expected.audio))
    assert all(map(np.array_equal, found[1:4], expected[1:4]))


def test_the_official_parts_of_the_music_overlap(shared_data):
    """What the chapter on Chung et al. says of the four collections."""
    shared_data("JSB_Chorales.mat")

    def shared(a, b):
        """The share of the shorter piece's frames that stand in the other in the same order."""
        frames = [[frame.tobytes() for frame in piece] for piece in (a, b)]
        blocks = SequenceMatcher(None, *frames, autojunk=False).get_matching_blocks()
        return round(sum(block.size for block in blocks) / min(len(a), len(b)), 2)

    jsb = music("JSB_Chorales")
    assert shared(jsb.train[14], jsb.valid[33]) == 1
    assert shared(jsb.train[110], jsb.valid[51]) == 0.75
    assert shared(jsb.train[198], jsb.test[50]) == 0.69
    assert shared(jsb.train[14], jsb.valid[51]) < 0.2
    shared_data("Nottingham.mat")
    tunes = music("Nottingham")
    pieces = [{piece.tobytes() for piece in part} for part in tunes]
    assert [len(pieces[0] & pieces[1]), len(pieces[0] & pieces[2])] == [1, 1]
    assert shared(tunes.train[585], tunes.valid[131]) == 1
    assert shared(tunes.train[478], tunes.test[132]) == 0.99
    assert shared(tunes.train[606], tunes.test[144]) == 0.94
    assert max(shared(tunes.train[585 + k], tunes.valid[131 - k]) for k in range(1, 9)) < 0.4
    for name in ("MuseData", "Piano_midi"):
        shared_data(f"{name}.mat")
        one, two, three = ({piece.tobytes() for piece in part} for part in music(name))
        assert not (one & two or one & three or two & three)


def test_the_small_point_of_the_rerun_is_the_stored_one(shared_data, tmp_path):
    """Chung et al. again: two rates and two seeds of a small GRU, three epochs on the chorales."""
    from companion.experiments import chung, load

    shared_data("JSB_Chorales.mat")
    (stored,) = [r for r in load(RESULTS / "chung.json.gz") if r["settings"] == chung.SMALL]
    made = chung.run(chung.SMALL, tmp_path)
    assert made["rate"] == stored["result"]["rate"]
    for part in ("train", "valid", "test"):
        np.testing.assert_allclose(made[part], stored["result"][part], rtol=0.01)


def test_the_originals_that_are_played_are_in_the_test_part(shared_data):
    stored = json.loads((RESULTS / "played.json").read_text(encoding="utf-8"))
    for name, frames in stored.items():
        shared_data(f"{name}.mat")
        piece = music(name).test[0]
        assert frames == [np.flatnonzero(frame).tolist() for frame in piece[: len(frames)]]
