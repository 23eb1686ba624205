"""A stack is told which of its models are still in training: the rest need not be computed."""

import numpy as np
import torch
from adding import Stacked, adding, errors, same, values

from companion.train import train

SEEDS, RATES = (0, 1, 2), (0.002, 0.01, 0.03)


def test_a_model_is_told_who_is_still_in_training(tmp_path):
    """What has ended need not be computed; the others do not notice, nor does a resumed run."""

    class Told(Stacked):
        alive = np.ones(len(SEEDS), bool)

    seen = []

    def living(model, batch):
        seen.append(model.alive.tolist())
        return torch.where(torch.as_tensor(model.alive), errors(model, batch), 0.0)

    def validate(model):
        found = errors(model, adding(0)).tolist()
        return [1.0 if k == 1 else found[k] for k in range(3)]  # the second ends early

    options = {"rate": RATES, "validate": validate, "every": 2, "patience": 3}
    whole, told = Stacked(SEEDS), Told(SEEDS)
    history = train(whole, errors, adding, steps=16, **options)
    path = tmp_path / "run.pt"
    train(told, living, adding, steps=12, checkpoint=path, **options)
    assert seen == [[True] * 3] * 8 + [[True, False, True]] * 4
    assert told.alive.all()  # at the end
    again = Told(SEEDS)
    assert train(again, living, adding, steps=16, checkpoint=path, **options) == history
    assert seen[12:] == [[True, False, True]] * 4
    assert same(values(again), values(whole))


def test_a_method_of_that_name_is_left_alone():
    class Alive(Stacked):
        def alive(self):
            return "yes"

    model = Alive(SEEDS)
    train(model, errors, adding, steps=2, rate=RATES)
    assert model.alive() == "yes"
