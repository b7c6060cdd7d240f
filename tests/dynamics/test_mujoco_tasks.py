"""Arguments of environments: honoured as the environment does, or refused by name."""

from functools import partial

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.mujoco.hopper_v5 import HopperEnv

from mbrl.core.errors import ConfigError
from mbrl.core.types import EnvSpec
from mbrl.dynamics.mujoco_rewards import control_cost
from mbrl.dynamics.mujoco_tasks import HARMLESS, TASKS, upright
from mbrl.dynamics.true_dynamics import TrueDynamics
from tests.dynamics.trajectories import record, step_from

INF = float("inf")
NO_FORCES = {"include_cfrc_ext_in_observation": False, "contact_cost_weight": 0}
WEIGHTS = {"forward_reward_weight": 3.0, "ctrl_cost_weight": 0.2}
SEEN = {"exclude_current_positions_from_observation": False}
CASES = [
    EnvSpec("HalfCheetah-v4", WEIGHTS | SEEN),
    EnvSpec("HalfCheetah-v5", WEIGHTS | {"frame_skip": 2, "reset_noise_scale": 0.5}),
    EnvSpec("Hopper-v4", WEIGHTS | SEEN | {"healthy_reward": 2.5}),
    EnvSpec("Hopper-v4", {"terminate_when_unhealthy": False, "healthy_z_range": [1.2, INF]}),
    EnvSpec("Hopper-v5", WEIGHTS | {"healthy_state_range": [-1.2, 1.2], "healthy_reward": 2.0}),
    EnvSpec("Hopper-v5", {"terminate_when_unhealthy": False, "healthy_angle_range": [-0.05, 0.05]}),
    EnvSpec("Walker2d-v4", {"healthy_z_range": [1.1, 1.3], "healthy_angle_range": [-0.2, 0.4]}),
    EnvSpec("Walker2d-v5", WEIGHTS | {"xml_file": "walker2d.xml", "frame_skip": 3, "healthy_reward": 0.5}),
    EnvSpec("Ant-v4", SEEN | {"healthy_z_range": [0.5, 0.8], "ctrl_cost_weight": 2.0}),
    EnvSpec("Ant-v4", {"terminate_when_unhealthy": False, "healthy_reward": 0.0, "max_episode_steps": 50}),
    EnvSpec("Ant-v5", NO_FORCES | WEIGHTS | {"frame_skip": 3, "healthy_z_range": [0.6, 0.9]}),
    EnvSpec("Ant-v5", NO_FORCES | {"terminate_when_unhealthy": False, "main_body": "torso"}),
    EnvSpec("InvertedPendulum-v5", {"frame_skip": 4, "reset_noise_scale": 0.1}),
    EnvSpec("InvertedDoublePendulum-v5", {"frame_skip": 2, "healthy_reward": 3.0}),
]


@pytest.mark.parametrize("spec", CASES, ids=lambda spec: f"{spec.id} {' '.join(spec.kwargs)}")
def test_arguments_of_the_environment_are_honoured(spec):
    path = record(spec, 120)
    found = TrueDynamics(spec, threads=1).simulate(path.state, path.action)
    for mine, theirs in zip(found, step_from(spec, path.state, path.action), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-9)
    if not spec.kwargs.get("terminate_when_unhealthy", True):
        assert not path.terminal.any()


@pytest.mark.parametrize(("version", "forces"), [("v4", 3), ("v5", 1)])
def test_forces_at_the_end_of_the_rail_are_observed(version, forces):
    spec = EnvSpec(f"InvertedDoublePendulum-{version}")
    states = np.zeros((12, 6))
    states[:, 0], states[:, 3] = np.linspace(0.95, 1.0, 12), np.linspace(0, 2, 12)
    action = np.full((12, 1), 0.1, dtype=np.float32)
    _, obs, _, _ = TrueDynamics(spec, threads=1).simulate(states, action)
    np.testing.assert_allclose(obs, step_from(spec, states, action)[1], rtol=0, atol=1e-9)
    assert obs.shape == (12, 8 + forces)
    assert obs[:, 8].min() == -10  # clipped
    assert ((obs[:, 8] > -10) & (obs[:, 8] < 0)).any()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (EnvSpec("Ant-v5"), r"include_cfrc_ext_in_observation=False.*contact_cost_weight=0, or take Ant-v4"),
        (EnvSpec("Ant-v5", {"include_cfrc_ext_in_observation": False}), "contact_cost_weight=0"),
        (EnvSpec("Ant-v5", {"contact_cost_weight": 0}), "include_cfrc_ext_in_observation=False"),
        (EnvSpec("Ant-v4", {"use_contact_forces": True}), "use_contact_forces=True.* leave it False"),
        (EnvSpec("Ant-v5", NO_FORCES | {"main_body": 2}), "main_body=2: only the torso"),
        (EnvSpec("InvertedDoublePendulum-v5", {"xml_file": "ant.xml"}), "xml_file='ant.xml'.*poles"),
        (EnvSpec("Hoper-v4"), r"'Hoper-v4'; did you mean 'Hopper-v4'.*docs/true_dynamics.md"),
        (EnvSpec("Humanoid-v5"), r"known: Ant-v4, .*Walker2d-v5; docs/true_dynamics.md"),
        (EnvSpec("Hopper-v4", {"gravity": 3}), r"Hopper-v4 cannot be made with \{'gravity': 3\}"),
        (EnvSpec("Hopper-v5", {"xml_file": "/no/such.xml"}), "Hopper-v5 cannot be made .*such.xml"),
    ],
)
def test_what_is_not_honoured_is_refused(spec, message):
    with pytest.raises(ConfigError, match=message):
        TrueDynamics(spec)


class HighHopper(HopperEnv):
    """Hopper that must jump higher."""

    def __init__(self, hop=0.7, **kwargs):
        super().__init__(healthy_z_range=(hop, INF), **kwargs)


@pytest.fixture
def high():
    gymnasium.register(id="High-v0", entry_point=HighHopper)
    yield EnvSpec("High-v0", {"hop": 1.2})
    del gymnasium.registry["High-v0"]


def high_hopper(env, *, hop, **others):
    return upright(env, healthy_z_range=(hop, INF), **others)


def test_an_environment_of_ones_own_is_one_entry(high, monkeypatch):
    with pytest.raises(ConfigError, match="unknown environment for true dynamics 'High-v0'"):
        TrueDynamics(high)
    monkeypatch.setitem(TASKS, "High-v0", partial(upright, paid=False))
    with pytest.raises(ConfigError, match="High-v0: .* do not know what hop would change"):
        TrueDynamics(high)
    monkeypatch.setitem(TASKS, "High-v0", lambda env, *, hop, ctrl_cost_weight: None)
    with pytest.raises(ConfigError, match="High-v0: its constructor does not name ctrl_cost_weight"):
        TrueDynamics(high)
    fixed = {
        "forward_reward_weight": 1.0,
        "ctrl_cost_weight": 1e-3,
        "healthy_reward": 1.0,
        "terminate_when_unhealthy": True,
        "healthy_angle_range": (-0.2, 0.2),
        "healthy_state_range": (-100.0, 100.0),
        "exclude_current_positions_from_observation": True,
    }
    monkeypatch.setitem(TASKS, "High-v0", partial(high_hopper, paid=False, **fixed))
    path = record(high, 60)
    found = TrueDynamics(high, threads=1).simulate(path.state, path.action)
    np.testing.assert_allclose(found[2], path.reward, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(found[3], path.terminal)
    assert path.terminal.sum() > 1


def test_harmless_arguments_are_no_builders_business():
    for build in TASKS.values():
        named = set(getattr(build, "func", build).__kwdefaults__ or {})
        assert not named & HARMLESS - {"xml_file"}


def test_the_control_cost_rounds_as_the_environments_product_does():
    action = np.float32([[0.3, -0.7, 0.11], [1, 1, 1]])
    want = [0.1 * np.sum(np.square(row)) for row in action]
    np.testing.assert_array_equal(control_cost(0.1, action), want)
    assert control_cost(0.1, action).dtype == want[0].dtype
