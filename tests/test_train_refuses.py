"""A checkpoint that does not belong to the run, or is damaged: refused, in words."""

import os
from functools import partial

import pytest
import torch
from adding import same, values
from test_train_checkpoint import Dropped, go

from companion.train import checkpoint


class Other(Dropped):
    def __init__(self):
        super().__init__()
        self.more = torch.nn.Parameter(torch.zeros(2).double())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": 0.03}, "rate 0.02 at step 0, but rate and schedule give 0.03"),
        ({"rate": [0.02]}, r"rate 0.02 at step 0, but rate and schedule give \[0.02\]"),
        ({"schedule": lambda s: 1.0 if s < 3 else 0.5}, "at step 1, but rate and schedule give"),
        ({"clip": None}, "was made with clip 0.5, but now it is None; expected the same"),
        ({"every": 8}, "was made with every 7, but now it is 8"),
        ({"patience": None}, "was made with patience 9, but now it is None"),
        ({"validate": None, "patience": None}, "patience 9|validation True, but now it is False"),
        ({"optimiser": torch.optim.NAdam}, "was made with optimiser Adam, but now it is NAdam"),
        ({"optimiser": partial(torch.optim.Adam, betas=(0.5, 0.9))}, r"its options .*\(0.5, 0.9\)"),
        ({"model": Other()}, r"tensor more missing, but now it is \(2,\) torch.float64"),
        ({"model": Dropped().float()}, r"tensor layer.weight_ih_l0 \(18, 2\) torch.float64, but"),
        ({"model": torch.nn.Linear(1, 1)}, r"tensor weight missing, but now it is \(1, 1\)"),
    ],
)
def test_other_settings_are_refused(changes, message, tmp_path):
    path = tmp_path / "run.pt"
    go(Dropped(), path, steps=7)
    model = changes.pop("model", None) or Dropped()
    before = values(model)
    with pytest.raises(ValueError, match=message) as caught:
        go(model, path, **changes)
    assert str(path) in str(caught.value) and same(values(model), before)


def flip(data):
    """One bit of a number, which torch.load would not notice."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


class Evil:
    def __reduce__(self):
        return os.system, ("false",)


@pytest.mark.parametrize(
    "damage",
    [flip, lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"no zip" * 99],
    ids=["flipped", "truncated", "empty", "text"],
)
def test_a_damaged_file_is_named(damage, tmp_path):
    path = tmp_path / "run.pt"
    go(Dropped(), path, steps=7)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"checkpoint .*run\.pt cannot be read \(.*without it"):
        go(Dropped(), path)


def test_a_file_of_another_kind_is_named(tmp_path):
    path = tmp_path / "run.pt"
    for content in (Dropped().state_dict(), [1.0], {"format": "companion.train 0"}):
        torch.save(content, path)
        with pytest.raises(ValueError, match=r"run\.pt is a torch file of another kind; expected"):
            go(Dropped(), path)
    torch.save({"format": checkpoint.FORMAT, "settings": Evil()}, path)
    with pytest.raises(ValueError, match=r"run\.pt cannot be read"):
        go(Dropped(), path)
