"""What every dynamics must do. A new one is tested by being listed in DYNAMICS and given a Case here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from mbrl.core.seeds import Streams
from mbrl.core.types import Dynamics, EnvSpec
from mbrl.dynamics import DYNAMICS
from mbrl.dynamics.artefact import load_model, save_model
from mbrl.dynamics.fit import fit
from tests.fakes import random_transitions

ROWS, STEPS = 16, 3


@dataclass(frozen=True)
class Case:
    """make(seeds, device) a small model ready to step; save and load where it holds anything to save.

    states(streams): start states of a simulator, (obs, sim_state); else obs are drawn, of whatever value.
    """

    make: Callable[..., Dynamics]
    obs_dim: int = 3
    action_dim: int = 2
    states: Callable[[Streams], tuple[torch.Tensor, torch.Tensor]] | None = None
    members: bool = True
    save: Callable[[Any, Dynamics], None] | None = None
    load: Callable[[Any], Dynamics] | None = None


def ensemble(seeds, device="cpu"):
    sizes = {"members": 4, "elites": 3, "hidden": (8, 8), "weight_decay": (0, 0, 0)}
    model = DYNAMICS["ensemble"](3, 2, seeds=seeds, device=device, **sizes)
    fit(model, random_transitions(60), batch_size=16, max_epochs=1, progress=False)
    return model


def mujoco(seeds, device="cpu"):
    return DYNAMICS["mujoco"](EnvSpec("Hopper-v4"), threads=1, device=device)


def interpolated(seeds, device="cpu"):
    sizes = {"members": 3, "elites": 2, "hidden": (8, 8), "weight_decay": (0, 0, 0)}
    learned = DYNAMICS["ensemble"](11, 3, seeds=seeds, device=device, **sizes)
    return DYNAMICS["interpolated"](learned, mujoco(seeds, device), weight=0.5)


def hopper_states(draws):
    """About where Hopper stands; its observation leaves out x."""
    sim_state = 0.005 * draws.randn(ROWS, 12, dtype=torch.float64)
    sim_state[..., 1] += 1.25
    return sim_state[..., 1:].float(), sim_state


def simple(seeds, device="cpu"):
    return DYNAMICS["simple"]("sines_6", device=device)


CASES = {
    "ensemble": Case(ensemble, save=save_model, load=load_model),
    "interpolated": Case(interpolated, obs_dim=11, action_dim=3, states=hopper_states),
    "mujoco": Case(mujoco, obs_dim=11, action_dim=3, states=hopper_states),
    "simple": Case(simple, obs_dim=2),
}


def starts(case, seeds, device="cpu"):
    """Start states of a seed depend on that seed alone, as everything drawn from Streams."""
    draws = Streams(seeds, "starts")
    if case.states is None:
        return draws.randn(ROWS, case.obs_dim).to(device), None
    obs, sim_state = case.states(draws)
    return obs.to(device), sim_state.to(device)


def roll(case, model, seeds, *, device="cpu", members=False):
    """Three steps under fixed actions; returns the list of DynamicsStep."""
    streams, actions = Streams(seeds, "rollout", device), Streams(seeds, "actions")
    obs, sim_state = starts(case, seeds, device)
    carry, out = model.begin(obs, sim_state), []
    for _ in range(STEPS):
        action = (2 * actions.rand(ROWS, case.action_dim) - 1).to(device)
        out.append(model.step(carry, obs, action, streams, members=members))
        carry, obs = out[-1].carry, out[-1].next_obs
    return out


@pytest.fixture(params=sorted(DYNAMICS))
def case(request):
    return CASES[request.param]


def test_every_dynamics_has_a_case():
    assert set(CASES) == set(DYNAMICS)


def test_speaks_the_protocol(case):
    model = case.make((0,))
    assert isinstance(model, Dynamics)
    assert (model.obs_dim, model.action_dim) == (case.obs_dim, case.action_dim)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
@pytest.mark.parametrize("members", [False, True])
def test_shapes_types_and_device(case, device, seeds, members, request):
    if device == "cuda":
        request.getfixturevalue("cuda")
    for out in roll(case, case.make(seeds, device), seeds, device=device, members=members and case.members):
        lead = (len(seeds), ROWS)
        assert (out.next_obs.shape, out.next_obs.dtype) == ((*lead, case.obs_dim), torch.float32)
        assert (out.reward.shape, out.reward.dtype) == (lead, torch.float32)
        assert (out.terminal.shape, out.terminal.dtype) == (lead, torch.bool)
        assert {x.device.type for x in (out.next_obs, out.reward, out.terminal)} == {device}
        if not (members and case.members):
            assert out.prediction is None
            continue
        mean, std, elites = out.prediction
        assert mean.shape == std.shape
        assert (mean.shape[0], *mean.shape[2:]) == (*lead, case.obs_dim + 1)
        assert (std >= 0).all()
        assert elites.shape[0] == len(seeds)
        assert elites.min() >= 0
        assert elites.max() < mean.shape[1]


def test_same_streams_same_bits(case):
    a, b = (roll(case, case.make((0, 1)), (0, 1)) for _ in range(2))
    for x, y in zip(a, b, strict=True):
        assert torch.equal(x.next_obs, y.next_obs)
        assert torch.equal(x.reward, y.reward)


def test_asking_for_members_changes_nothing_else(case):
    model = case.make((0,))
    if not case.members:
        return
    for x, y in zip(roll(case, model, (0,)), roll(case, model, (0,), members=True), strict=True):
        torch.testing.assert_close(x.next_obs, y.next_obs, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(x.reward, y.reward, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shared", [False, True], ids=["stacked model", "shared model"])
def test_a_stack_of_rollouts_equals_single_ones(case, shared):
    together = roll(case, case.make((0,) if shared else (0, 1)), (0, 1))
    for s in range(2):
        alone = roll(case, case.make((0,) if shared else (s,)), (s,))
        for x, y in zip(together, alone, strict=True):
            torch.testing.assert_close(x.next_obs[s], y.next_obs[0], rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(x.reward[s], y.reward[0], rtol=1e-5, atol=1e-5)
            assert torch.equal(x.terminal[s], y.terminal[0])


def test_inputs_are_left_alone_and_nothing_is_recorded(case):
    model = case.make((0,))
    obs, sim_state = starts(case, (0,))
    action = torch.zeros(1, ROWS, case.action_dim)
    copies = obs.clone(), action.clone()
    out = model.step(model.begin(obs, sim_state), obs, action, Streams((0,), "x"), members=case.members)
    assert torch.equal(obs, copies[0])
    assert torch.equal(action, copies[1])
    assert not out.next_obs.requires_grad


def test_save_then_load_same_behaviour(case, tmp_path):
    if case.save is None:
        return
    model = case.make((0, 1))
    case.save(tmp_path / "model", model)
    a, b = roll(case, model, (0, 1)), roll(case, case.load(tmp_path / "model"), (0, 1))
    for x, y in zip(a, b, strict=True):
        assert torch.equal(x.next_obs, y.next_obs)
        assert torch.equal(x.reward, y.reward)
        assert torch.equal(x.terminal, y.terminal)
