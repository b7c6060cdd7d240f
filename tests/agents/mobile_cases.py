"""Batches, predictions and networks that MOBILE is tested on."""

import torch

from mbrl.agents import SAC
from mbrl.core.seeds import Streams
from mbrl.core.types import Prediction, Transitions
from tests.fakes import random_transitions


def mixed(*lead: int, real: int = 2, **options) -> Transitions:
    """Real rows first, then synthetic ones of steps 1, 2, 3, 1, .."""
    batch = random_transitions(*lead, **options)
    rows = torch.arange(lead[-1])
    step = torch.where(rows < real, 0, 1 + (rows - real) % 3).expand(lead).clone()
    batch = Transitions(**{**vars(batch), "step": step})
    dtype = torch.get_default_dtype()
    return batch.map(lambda x: x.to(dtype) if x.is_floating_point() else x)


def streams(seeds=(0,), purpose="t"):
    return Streams(seeds, purpose)


class Given:
    """Whatever prediction it is given."""

    def __init__(self, prediction: Prediction) -> None:
        self.prediction = prediction

    def predict(self, obs, action):
        return self.prediction


def random_prediction(seeds=2, members=4, rows=6, dim=4, elites=((2, 0, 3), (1, 3, 0)), scale=0.5):
    g = torch.Generator().manual_seed(5)
    mean = torch.randn(seeds, members, rows, dim, generator=g)
    std = scale * torch.rand(seeds, members, rows, dim, generator=g)
    return Prediction(mean, std, torch.tensor(elites))


def linear(agent: SAC, weight: list[list[float]]) -> SAC:
    """Target critics that are linear in the observation: Q'_i(s, a) = weight_i . s; and others for acting."""
    with torch.no_grad():
        layer = agent.targets.net.layers[0]
        layer.weight.zero_()
        layer.bias.zero_()
        for i, row in enumerate(weight):
            layer.weight[:, i, : len(row), 0] = torch.tensor(row)
    return agent
