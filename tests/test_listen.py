"""The sounds of the rerun: notes, pitch, and the files on the page."""

import json
import wave
from pathlib import Path

import numpy as np
import pytest

from companion.experiments import load
from companion.experiments.listen import RATE, clips, notes, synthesise

BOOK = Path(__file__).parents[1] / "book"
RESULTS = BOOK / "results" / "chung.json.gz"
PLAYED = BOOK / "results" / "played.json"


@pytest.mark.parametrize("key", [36, 48, 60])
def test_a_key_sounds_at_its_frequency(key):
    sound = synthesise([[key]] * 10, 0.1) - 128.0
    loudest = np.abs(np.fft.rfft(sound)).argmax() * RATE / len(sound)
    assert loudest == pytest.approx(440 * 2 ** ((key - 48) / 12), abs=1.5 * RATE / len(sound))


def test_a_key_that_stays_down_is_one_note_and_silence_is_silent():
    frames = [[48], [48], [], [48, 52]]
    assert notes(frames) == [(48, 0, 2), (48, 3, 1), (52, 3, 1)]
    sound = synthesise(frames, 0.1).astype(int) - 128
    frame = RATE // 10
    assert not sound[2 * frame : 3 * frame].any()
    assert np.abs(sound[frame - 20 : frame + 20]).max() > 20  # no gap where it is held
    assert np.abs(sound).max() == 120


def stored(name):
    with wave.open(str(BOOK / "_static" / "played" / f"{name}.wav")) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (RATE, 1, 1)
        return np.frombuffer(file.readframes(file.getnframes()), np.uint8).astype(int)


def test_the_files_on_the_page_are_what_the_models_play():
    made = clips(load(RESULTS), json.loads(PLAYED.read_text(encoding="utf-8")))
    files = {path.stem for path in (BOOK / "_static" / "played").glob("*.wav")}
    assert files == set(made)
    for name, sound in made.items():
        assert np.abs(stored(name) - sound.astype(int)).max() <= 1, name
        assert len(sound) < 90_000


def test_the_files_differ_from_one_another():
    names = [path.stem for path in (BOOK / "_static" / "played").glob("*.wav")]
    kept = {stored(name).tobytes() for name in names}
    assert len(kept) == len(names)
