"""Uniform and noisy behaviours."""

import pytest
import torch

from mbrl.core.errors import ConfigError
from mbrl.core.seeds import Streams
from mbrl.run.behaviour import Noisy, Uniform, device_of
from mbrl.run.evaluate import Episodic
from tests.fakes import Towards


def test_uniform_fills_the_cube_and_is_a_function_of_its_streams():
    uniform = Uniform(2, Streams([0, 1], "own"))
    obs = torch.zeros(2, 4000, 3)
    action = uniform.act(obs, Streams([0, 1], "given"))
    assert action.shape == (2, 4000, 2)
    assert -1 <= action.min() < -0.99
    assert 0.99 < action.max() <= 1
    assert action.mean().abs() < 0.05
    assert torch.equal(action, uniform.act(obs, Streams([0, 1], "given")))
    assert not torch.equal(uniform.act(obs), uniform.act(obs))


def test_noise_has_the_stated_width_and_stays_in_bounds():
    policy = Noisy(Towards(0.0), 0.3)
    still = torch.zeros(1, 20_000, 3)
    assert policy.act(still, Streams([0], "n")).std() == pytest.approx(0.3, rel=0.02)
    assert torch.equal(policy.act(still), torch.zeros(1, 20_000, 2))
    edge = policy.act(torch.full((1, 500, 3), -2.0), Streams([0], "n"))
    assert edge.max() == 1
    assert 0.3 < (edge == 1).float().mean() < 0.7


def test_noise_passes_resets_and_the_device_on():
    class Clock(Towards):
        device = torch.device("meta")
        resets = 0

        def reset(self):
            self.resets += 1

    clock = Clock()
    noisy = Noisy(clock, 0.1)
    assert isinstance(noisy, Episodic)
    noisy.reset()
    assert clock.resets == 1
    assert device_of(noisy) == torch.device("meta")
    Noisy(Towards(), 0.1).reset()


def test_negative_noise():
    for std in (-0.1, float("nan")):
        with pytest.raises(ConfigError, match="noise"):
            Noisy(Towards(), std)
